"""SQLite's ways (3.37 and newer)."""

from __future__ import annotations

import json
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from decimal import Decimal
from itertools import groupby

from django.db.models import UUIDField

from ..rows import Value
from ..schema.table import Column, Kind, Table
from ..walk.keys import PackedUUIDs
from .dialect import Condition, DeleteAction, Moment, Parameter, RawTexts
from .generic import (
    TEXT_FIELDS,
    GenericDialect,
    are_as_stored,
    is_usual,
    microseconds,
    replaced,
    stored_moments,
)
from .raw_texts import (
    booleans,
    days,
    decimals_of_floats,
    durations,
    moments_in_utc,
    of_texts,
    uuids_of_digits,
)

# What Django's own converter keeps of a decimal, which is a float of 64 bits there.
_DECIMAL_DIGITS = 15


class SQLiteDialect(GenericDialect):
    batch_keys = 10_000
    lot_keys = 10_000
    locking = ""  # its one writer is us

    def is_one_moment(self) -> bool:
        # One transaction reads one state of the file.
        return True

    def among(
        self,
        columns: Sequence[str],
        leaves: Sequence[Column],
        values: Sequence[Sequence[Parameter]],
    ) -> Condition:
        # json_each takes any number of values in one variable; variables are 999 on old builds.
        if not _fit_in_json(values):
            return _spelled_out(columns, values)
        if len(columns) == 1 and len(values) == 1:
            # Of a list nobody knows beforehand how long it is.
            return Condition(f"{columns[0]} = %s", (values[0][0],))
        if len(columns) == 1:
            document = json.dumps([value[0] for value in values], ensure_ascii=False)
            return Condition(f"{columns[0]} IN (SELECT value FROM json_each(%s))", (document,))
        document = json.dumps([list(value) for value in values], ensure_ascii=False)
        parts = ", ".join(f"json_extract(value, '$[{n}]')" for n in range(len(columns)))
        return Condition(
            f"({', '.join(columns)}) IN (SELECT {parts} FROM json_each(%s))", (document,)
        )

    def among_packed(self, column: str, leaf: Column, keys: Sequence[Value]) -> Condition | None:
        if isinstance(keys, PackedUUIDs):
            if type(leaf.leaf) is not UUIDField:
                return None
            document = '["' + '","'.join(keys.hexes()) + '"]'
        else:
            if not isinstance(keys, array):
                return None
            if len(keys) == 1:
                return Condition(f"{column} = %s", (keys[0],))
            document = f"[{','.join(map(str, keys))}]"
        return Condition(f"{column} IN (SELECT value FROM json_each(%s))", (document,))

    def leading_columns(self, tables: Collection[str]) -> set[tuple[str, str]]:
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT t.value, i.name FROM json_each(%s) t JOIN pragma_index_list(t.value) l"
                " JOIN pragma_index_info(l.name) i WHERE i.seqno = 0 AND NOT l.partial",
                (json.dumps(sorted(tables)),),
            )
            return set(cursor.fetchall())

    def as_read(self, column: Column, sql: str) -> str:
        # Of a column that says it holds dates, Django has the driver read what is none as NULL.
        return f"+{sql}" if column.kind in (Kind.DATE, Kind.DATETIME, Kind.TIME) else sql

    def raw_texts(self, column: Column) -> RawTexts | None:
        kind = column.kind
        if kind is Kind.DATETIME and self.connection.timezone is UTC:
            return of_texts(moments_in_utc)
        if kind is Kind.DECIMAL:
            digits = getattr(column.leaf, "max_digits", None)
            places = getattr(column.leaf, "decimal_places", None)
            # Zeros of more places are written with an exponent.
            if digits is None or places is None or places > 6:
                return None
            return decimals_of_floats(digits, places)
        return _RAW_TEXTS.get(kind)

    def as_text(self, sql: str) -> str:
        return f"CAST({sql} AS text)"

    def begin_load(self, name: str) -> None:
        with self.connection.cursor() as cursor:
            # An empty write takes the one writer's place before anything is checked.
            cursor.execute("DELETE FROM django_migrations WHERE 0")
            # PRAGMA foreign_keys does nothing inside a transaction, this one works there only.
            cursor.execute("PRAGMA defer_foreign_keys = ON")

    def highest_key(self, table: Table) -> int:
        # AUTOINCREMENT remembers keys of rows that are gone; the write lock is ours already.
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_sequence'")
            if not cursor.fetchone()[0]:
                return super().highest_key(table)
            cursor.execute(
                "SELECT max(seq) FROM sqlite_sequence WHERE name = %s", (table.db_table,)
            )
            (given,) = cursor.fetchone()
        return max(given or 0, super().highest_key(table))

    def moment(self) -> Moment:
        # What others committed changes the first, what this connection wrote the second; tables
        # that somebody made or altered the third.
        marks = []
        with self.connection.cursor() as cursor:
            for question in (
                "PRAGMA data_version",
                "SELECT total_changes()",
                "PRAGMA schema_version",
            ):
                cursor.execute(question)
                marks.append(int(cursor.fetchone()[0]))
        return Moment(self.connection.connection, tuple(marks))

    def is_reliable(self, moment: Moment, tables: Sequence[Table]) -> bool:
        """Nobody has written since, and nobody can: the write lock is ours."""
        now = self.moment()
        return now.session is moment.session and now.marks == moment.marks

    def has_triggers(self, tables: Sequence[Table]) -> bool:
        names = [table.db_table for table in tables]
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'"
                " AND tbl_name COLLATE NOCASE IN (SELECT value FROM json_each(%s))",
                (json.dumps(names),),
            )
            return bool(cursor.fetchone()[0])

    def delete_actions(self) -> Iterable[DeleteAction]:
        with self.connection.cursor() as cursor:
            cursor.execute(
                'SELECT m.name, f.id, f."from", f."table", f."to"'
                " FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f"
                " WHERE m.type = 'table' AND f.on_delete NOT IN ('NO ACTION', 'RESTRICT')"
                " ORDER BY m.name, f.id, f.seq"
            )
            rows = cursor.fetchall()
        for (name, _, target), group in groupby(rows, key=lambda row: (row[0], row[1], row[3])):
            pairs = [(column, pointed) for _, _, column, _, pointed in group]
            yield DeleteAction(
                name,
                tuple(column for column, _ in pairs),
                target,
                # A constraint that names no column means the primary key.
                tuple(pointed or "rowid" for _, pointed in pairs),
            )

    def settle_constraints(self) -> None:
        """Nothing to ask: SQLite checks at COMMIT, and every pointer was verified before."""

    @contextmanager
    def unchecked(self) -> Iterator[None]:
        yield

    def is_lock_timeout(self, error: Exception) -> bool:
        return "is locked" in str(error)

    def takes_texts(self, column: Column) -> bool:
        field = TEXT_FIELDS.get(column.kind)
        if field is None or not is_usual(column, field):
            return False
        # Moments are stored in the connection's zone.
        return column.kind is not Kind.DATETIME or str(self.connection.timezone) in ("UTC", "None")

    def pack_texts(self, column: Column, texts: Sequence[str | None]) -> list[Parameter]:
        if column.kind is Kind.DATETIME:
            return stored_moments(texts)
        if column.kind is Kind.UUID:
            return replaced(texts, "-", "")
        if column.kind is Kind.DURATION:
            return [*map(microseconds, texts)]
        if column.kind is Kind.DECIMAL and not are_as_stored(column, texts):
            return self.pack(column, [None if text is None else Decimal(text) for text in texts])
        return [*texts]

    def may_refuse(self, column: Column, values: Sequence[Value], *, are_texts: bool) -> bool:
        if column.kind is Kind.DECIMAL and are_texts:
            # Digits, a point and a sign: at most as many digits as are held.
            return max((len(str(text)) for text in values if text is not None), default=0) > (
                _DECIMAL_DIGITS
            ) and any(
                self.refuses(column, Decimal(str(text))) for text in values if text is not None
            )
        # Integers of more than 64 bits do not come here.
        if are_texts or column.kind not in (Kind.FLOAT, Kind.DECIMAL):
            return False
        return super().may_refuse(column, values, are_texts=are_texts)

    def refuses(self, column: Column, value: Value) -> str:
        if column.kind is Kind.FLOAT and isinstance(value, float) and value != value:
            return "SQLite stores NaN as NULL"
        if column.kind is Kind.INTEGER and isinstance(value, int) and not -(2**63) <= value < 2**63:
            return "SQLite's integers have 64 bits"
        if column.kind is Kind.DECIMAL and isinstance(value, Decimal) and not _is_exact(value):
            return "SQLite holds decimals of 15 digits"
        return ""


_RAW_TEXTS: dict[Kind, RawTexts] = {
    Kind.DATE: of_texts(days),
    Kind.DURATION: durations,
    Kind.UUID: of_texts(uuids_of_digits),
    Kind.BOOLEAN: booleans,
}


def _is_exact(value: Decimal) -> bool:
    """Whether Django reads the decimal back from SQLite's float as it was."""
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or not -300 < value.adjusted() < 300:
        return False
    return len("".join(map(str, digits)).strip("0")) <= _DECIMAL_DIGITS


def _fit_in_json(values: Sequence[Sequence[Parameter]]) -> bool:
    # A number is compared as a number and text as text only if json_each gives them back as such;
    # NUL ends a text there.
    return all(
        type(part) is int or (type(part) is str and "\x00" not in part)
        for value in values
        for part in value
    )


def _spelled_out(columns: Sequence[str], values: Sequence[Sequence[Parameter]]) -> Condition:
    one = f"({', '.join(['%s'] * len(columns))})" if len(columns) > 1 else "(%s)"
    marks = ", ".join([one] * len(values))
    left = f"({', '.join(columns)})" if len(columns) > 1 else columns[0]
    parameters = tuple(part for value in values for part in value)
    return Condition(f"{left} IN (VALUES {marks})", parameters)
