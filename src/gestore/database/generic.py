"""What do all three databases do alike?"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from django.db import OperationalError
from django.db.models import (
    DateField,
    DateTimeField,
    DecimalField,
    DurationField,
    TimeField,
    UUIDField,
)

from ..rows import Value
from ..schema.relation import Relation
from ..schema.table import Column, Kind, Table
from .dialect import (
    Adapter,
    Condition,
    DeleteAction,
    Keys,
    KeyTable,
    Lent,
    Mark,
    Moment,
    Parameter,
    RawTexts,
    RowStatements,
    quoted,
)

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from ..walk.keys import KeySet

# The kinds whose usual texts are stored with little change, and the fields that do it so.
TEXT_FIELDS: dict[Kind, type] = {
    Kind.DATETIME: DateTimeField,
    Kind.DATE: DateField,
    Kind.TIME: TimeField,
    Kind.UUID: UUIDField,
    Kind.DECIMAL: DecimalField,
    Kind.DURATION: DurationField,
}
# Their Python values are what every driver takes.
_AS_THEY_ARE = frozenset({Kind.INTEGER, Kind.BOOLEAN, Kind.FLOAT, Kind.JSON})


class GenericDialect:
    """The ways that need no knowledge of the vendor."""

    batch_keys = 1_000
    lot_keys = 1_000
    can_interleave = True
    locking = " FOR UPDATE"

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def streaming(self) -> AbstractContextManager[Any]:
        return self.connection.cursor()

    def is_one_moment(self) -> bool:
        return False

    def session_settings(self) -> Mapping[str, str] | None:
        return None

    def begin_beside(self, settings: Mapping[str, str]) -> None:
        raise NotImplementedError("No other session reads beside one that loads.")

    def make_room_ahead(self, table: Table, key: int) -> None:
        pass

    def stop(self, other: BaseDatabaseWrapper) -> None:
        pass

    def unique_columns(self, table: Table) -> Iterable[Sequence[str]]:
        return ()

    def check_at_once(
        self, relations: Iterable[Relation], graph_tables: Mapping[str, Table]
    ) -> None:
        pass

    def lend_snapshot(self) -> Lent | None:
        return None

    def take_snapshot(self, lent: Lent) -> None:
        raise NotImplementedError

    @contextmanager
    def tuned(self) -> Iterator[None]:
        yield

    def begin_snapshot(self) -> None:
        pass

    def among(
        self,
        columns: Sequence[str],
        leaves: Sequence[Column],
        values: Sequence[Sequence[Parameter]],
    ) -> Condition:
        if len(columns) == 1:
            marks = ", ".join(["%s"] * len(values))
            return Condition(f"{columns[0]} IN ({marks})", tuple(value[0] for value in values))
        one = f"({', '.join(['%s'] * len(columns))})"
        marks = ", ".join([one] * len(values))
        parameters = tuple(part for value in values for part in value)
        return Condition(f"({', '.join(columns)}) IN ({marks})", parameters)

    def among_packed(self, column: str, leaf: Column, keys: Sequence[Value]) -> Condition | None:
        return None

    def key_tables(self, column: Column, keys: KeySet) -> Iterator[KeyTable]:
        return iter(())

    def joined(self, column: str, leaf: Column, keys: Keys) -> Condition | None:
        return None

    def leading_columns(self, tables: Collection[str]) -> set[tuple[str, str]]:
        return set()

    def distinct(self, column: str, table: str) -> str:
        return (
            f"WITH RECURSIVE step(kind) AS (SELECT min({column}) FROM {table} UNION ALL"
            f" SELECT (SELECT min({column}) FROM {table} WHERE {column} > step.kind)"
            " FROM step WHERE step.kind IS NOT NULL) SELECT kind FROM step WHERE kind IS NOT NULL"
        )

    def packs(self, table: Table, column: Column) -> bool:
        return False

    def packed(
        self,
        columns: Sequence[Column],
        names: Sequence[str],
        table: str,
        where: Condition,
        limit: int,
    ) -> Sequence[Sequence[Value]] | None:
        raise NotImplementedError("Asked of a dialect that packs no column.")

    def as_read(self, column: Column, sql: str) -> str:
        return sql

    def as_text(self, sql: str) -> str:
        return f"CAST({sql} AS char)"

    def in_order(self, column: Column, sql: str) -> str:
        return sql

    def row_statements(
        self, table: Table, plain: Container[str], marks: Mapping[str, Mark]
    ) -> RowStatements | None:
        return None

    def raw_texts(self, column: Column) -> RawTexts | None:
        return None

    def as_raw(self, column: Column, sql: str) -> str:
        return self.as_read(column, sql)

    @contextmanager
    def in_turn(self, name: str) -> Iterator[None]:
        yield

    def begin_load(self, name: str) -> None:
        pass

    def cannot_defer(
        self, relations: Iterable[Relation], graph_tables: Mapping[str, Table]
    ) -> set[str]:
        return set()

    def checks_itself(
        self, relations: Iterable[Relation], graph_tables: Mapping[str, Table]
    ) -> set[str]:
        return set()

    @contextmanager
    def unchecked(self) -> Iterator[None]:
        yield

    def settle_constraints(self) -> None:
        pass

    def insert(
        self, table: Table, columns: Sequence[Column], rows: Sequence[Sequence[Parameter]]
    ) -> None:
        self._inserted(table, columns, rows)

    def _inserted(
        self, table: Table, columns: Sequence[Column], rows: Sequence[Sequence[Parameter]]
    ) -> int:
        """Put the rows in; how many the driver says there were."""
        names = ", ".join(quoted(self.connection, column.db_name) for column in columns)
        marks = ", ".join(["%s"] * len(columns))
        with self.connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {quoted(self.connection, table.db_table)} ({names}) VALUES ({marks})",
                rows,
            )
            return int(cursor.rowcount) if rows else 0

    def takes_texts(self, column: Column) -> bool:
        return False

    def pack_texts(self, column: Column, texts: Sequence[str | None]) -> list[Parameter]:
        raise NotImplementedError

    def pack(self, column: Column, values: Sequence[Value]) -> list[Parameter]:
        adapt = self.adapt(column)
        return [*values] if adapt is None else [*map(adapt, values)]

    def may_refuse(self, column: Column, values: Sequence[Value], *, are_texts: bool) -> bool:
        if are_texts:
            return False
        return any(self.refuses(column, value) for value in values if value is not None)

    def insert_packed(
        self, table: Table, columns: Sequence[Column], packed: Sequence[Sequence[Parameter]]
    ) -> None:
        self.insert(table, columns, list(zip(*packed, strict=True)))

    def counts_inserts(self, tables: Sequence[Table]) -> bool:
        return False

    def fills_packed(self, table: Table, columns: Sequence[Column]) -> bool:
        return False

    def fill_packed(
        self,
        table: Table,
        columns: Sequence[Column],
        keys: Sequence[Parameter],
        packed: Sequence[Sequence[Parameter]],
    ) -> None:
        raise NotImplementedError

    def adapt(self, column: Column) -> Adapter | None:
        if column.kind in _AS_THEY_ARE:
            return None
        leaf, connection = column.leaf, self.connection
        if column.kind is Kind.TEXT and leaf.get_internal_type() != "GenericIPAddressField":
            return None

        def adapted(value: Value) -> Parameter:
            return None if value is None else leaf.get_db_prep_save(value, connection)

        return adapted

    def reserve(
        self, table: Table, count: int, above: int, bump: Callable[[int], None]
    ) -> Sequence[int]:
        start = max(above, self.highest_key(table)) + 1
        return range(start, start + count)

    def make_room(self, table: Table, key: int, bump: Callable[[int], None]) -> None:
        pass

    def last_key(self, table: Table) -> int:
        _, limit = self.connection.ops.integer_field_range(table.key_columns[0].type_name)
        return limit or 2**63 - 1

    def highest_key(self, table: Table) -> int:
        (key,) = table.key_columns
        name = quoted(self.connection, table.db_table)
        column = quoted(self.connection, key.db_name)
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT max({column}) FROM {name}")
            (highest,) = cursor.fetchone()
        return highest or 0

    def moment(self) -> Moment:
        return Moment(self.connection.connection, by_rows=True)

    def is_reliable(self, moment: Moment, tables: Sequence[Table]) -> bool:
        return True

    def unchanged(self, moment: Moment, table: Table) -> str:
        return ""

    def row_digests(
        self, table: Table, columns: Sequence[Column], where: Condition, *, locked: bool
    ) -> tuple[int, bytes]:
        raise NotImplementedError

    @property
    def waiting_lots(self) -> int:
        # With two, an import into MariaDB takes 9 % longer; with five it takes as long.
        return 3

    @property
    def removes_telling(self) -> bool:
        return False

    def removed_digests(
        self, table: Table, columns: Sequence[Column], where: Condition
    ) -> tuple[int, bytes]:
        raise NotImplementedError

    def has_triggers(self, tables: Sequence[Table]) -> bool:
        return True

    def delete_actions(self) -> Iterable[DeleteAction]:
        return []

    def row_estimate(self, table: Table) -> int:
        name = quoted(self.connection, table.db_table)
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT 1000000) counted")
            return int(cursor.fetchone()[0])

    @contextmanager
    def probing(self) -> Iterator[None]:
        with self.unchecked():
            yield

    def is_refusal(self, error: Exception) -> bool:
        return "foreign key" not in str(error).lower()

    def is_about_everything(self, error: Exception) -> bool:
        return isinstance(error, OperationalError)

    def is_deadlock(self, error: Exception) -> bool:
        return False

    def is_lock_timeout(self, error: Exception) -> bool:
        return False

    def is_overtaken(self, error: Exception) -> bool:
        return False

    def advance_sequence(self, table: Table) -> None:
        pass

    def refuses(self, column: Column, value: Value) -> str:
        return ""


def constraint_of(
    relation: Relation, tables: Mapping[str, Table]
) -> tuple[str, str, frozenset[tuple[str, str]]] | None:
    """What the database has as a relation's constraint: two tables, and pairs of columns."""
    if relation.is_generic:
        return None
    source, target = tables[relation.source], tables[relation.target]
    pairs = zip(relation.columns, relation.target_columns, strict=True)
    return (
        source.db_table,
        target.db_table,
        frozenset((source.column(n).db_name, target.column(t).db_name) for n, t in pairs),
    )


def replaced(
    texts: Sequence[str | None], character: str, other: str, empty: Parameter = None
) -> list[Parameter]:
    """The texts, none of which has a line's end in it, with the character replaced; `empty` for
    None."""
    filled = [text for text in texts if text is not None]
    if filled:
        filled = "\n".join(filled).replace(character, other).split("\n")
    if len(filled) == len(texts):
        return filled
    there = iter(filled)
    return [empty if text is None else next(there) for text in texts]


def stored_moments(texts: Sequence[str | None]) -> list[Parameter]:
    """Moments of UTC, or of no zone, as Django has them stored where there are no zones."""
    return replaced(replaced(texts, "T", " "), "+00:00", "")


def microseconds(text: str | None) -> int | None:
    """A duration's usual text as Django has it stored where there is no type for it."""
    if text is None:
        return None
    days, _, rest = text[1:].partition("DT")
    seconds = 3_600 * int(rest[:2]) + 60 * int(rest[3:5]) + int(rest[6:8])
    fraction = int(rest[9:15]) if rest[8] == "." else 0
    return 1_000_000 * (86_400 * int(days) + seconds) + fraction


def is_usual(column: Column, *fields: type) -> bool:
    """Whether a field puts its values into the database as Django's own do."""
    leaf = type(column.leaf)
    names = ("db_type", "get_db_prep_value", "get_db_prep_save", "get_prep_value")
    return any(
        issubclass(leaf, field) and all(getattr(leaf, n) is getattr(field, n) for n in names)
        for field in fields
    )


def are_as_stored(column: Column, texts: Sequence[str | None]) -> bool:
    """Whether Django would write the decimals just so: with all their places, and no zero first."""
    leaf: Any = column.leaf
    whole = max(1, leaf.max_digits - leaf.decimal_places)
    places = f"[.][0-9]{{{leaf.decimal_places}}}" if leaf.decimal_places else ""
    shape = re.compile(f"-?(?:0|[1-9][0-9]{{0,{whole - 1}}}){places}")
    return all(map(shape.fullmatch, (text for text in texts if text is not None)))
