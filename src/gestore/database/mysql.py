"""MariaDB's and MySQL's ways."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError
from django.db.models import UUIDField

from ..errors import DatabaseFailed
from ..rows import Value
from ..schema.relation import Relation
from ..schema.table import Column, Kind, Table
from ..walk.keys import PackedUUIDs
from .dialect import Condition, DeleteAction, Parameter, RawTexts, quoted
from .generic import (
    TEXT_FIELDS,
    GenericDialect,
    are_as_stored,
    constraint_of,
    is_usual,
    microseconds,
    replaced,
    stored_moments,
)
from .raw_texts import (
    booleans,
    durations,
    naive_moments_in_utc,
    of_texts,
    uuids_of_digits,
    uuids_with_hyphens,
)

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_NULL = b"NULL"
# Characters that hardly any text has; none of them is escaped.
_BETWEEN = ("\x1f", "\x1e", "\x1d", "\x01")
_STATEMENT_BYTES = 1 << 20
# MariaDB makes a table of a list of as many and more, and looks there; 0: it goes by the index.
_LISTS = "in_predicate_conversion_threshold"
# Keys left to writers between our look at the counter and our row above it: two statements apart.
_MARGIN = 1_000
_WAIT_SECONDS = 60
_DAY_SECONDS = 86_400
# A lock not given, a deadlock, a lost connection: the transaction is gone, whatever the row.
_DEADLOCK = 1213
_LOCK_TIMEOUT = 1205
_ABOUT_EVERYTHING = frozenset({_LOCK_TIMEOUT, _DEADLOCK, 2006, 2013})
_DUPLICATE = 1062
# Their texts are short, and have neither a colon nor a hyphen alone.
_PLAIN_KINDS = frozenset({Kind.INTEGER, Kind.UUID})
# The right to triggers of whoever asks.
_OURS = (
    "PRIVILEGE_TYPE = 'TRIGGER' AND GRANTEE = CONCAT(QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', 1))"
    ", '@', QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)))"
)
_HARMLESS = b"-0123456789abcdef"


def _numbers(values: Sequence[int | None]) -> list[bytes]:
    return [_NULL if value is None else b"%d" % value for value in values]


def _took_all(taken: int, given: int) -> None:
    if taken != given:
        raise DatabaseError(f"Of {given:,} rows the database took {taken:,}.")


def _are_plain(columns: Iterable[Column]) -> bool:
    return _PLAIN_KINDS.issuperset(column.kind for column in columns)


class MySQLDialect(GenericDialect):
    batch_keys = 5_000
    # Of a UUID that is pointed at by a text there are two: beyond 32,000 MariaDB gives an index up.
    lot_keys = 10_000
    can_interleave = False

    def among_packed(self, column: str, leaf: Column, keys: Sequence[Value]) -> Condition | None:
        # Written into the statement: the driver would look at each.
        if isinstance(keys, array):
            return Condition(f"{column} IN ({','.join(map(str, keys))})")
        if leaf.kind is Kind.TEXT and set(map(type, keys)) == {str}:
            texts: Any = keys
            # Numbers and UUIDs, as generic keys have them: nothing in them is to be escaped.
            if "".join(texts).encode().translate(None, _HARMLESS):
                return None
            return Condition(f"""{column} IN ('{"','".join(texts)}')""")
        if not isinstance(keys, PackedUUIDs) or type(leaf.leaf) is not UUIDField:
            return None
        if self.connection.features.has_native_uuid_field:
            # As bytes: a text would have to be taken apart.
            return Condition(f"{column} IN (0x{',0x'.join(keys.hexes())})")
        return Condition(f"""{column} IN ('{"','".join(keys.hexes())}')""")

    def distinct(self, column: str, table: str) -> str:
        # It leaps through the index by itself, and not when asked for one value after the other.
        return f"SELECT DISTINCT {column} AS kind FROM {table} WHERE {column} IS NOT NULL"

    def leading_columns(self, tables: Collection[str]) -> set[tuple[str, str]]:
        if not tables:
            return set()
        marks = ", ".join(["%s"] * len(tables))
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS"
                " WHERE TABLE_SCHEMA = DATABASE() AND SEQ_IN_INDEX = 1 AND INDEX_TYPE = 'BTREE'"
                f" AND TABLE_NAME IN ({marks})",
                sorted(tables),
            )
            return set(cursor.fetchall())

    @contextmanager
    def streaming(self) -> Iterator[Any]:
        from django.db.backends.mysql.base import CursorWrapper
        from MySQLdb.cursors import SSCursor

        connection: Any = self.connection
        connection.ensure_connection()
        # What `cursor()` does, with the driver's cursor that does not hold all rows.
        plain = CursorWrapper(connection.connection.cursor(SSCursor))
        with connection._prepare_cursor(plain) as cursor:
            yield cursor

    @property
    def _is_mariadb(self) -> bool:
        return bool(getattr(self.connection, "mysql_is_mariadb", False))

    def is_one_moment(self) -> bool:
        with self.connection.cursor() as cursor:
            # MariaDB has the other name since 11.1 only.
            cursor.execute(f"SELECT @@{'tx' if self._is_mariadb else 'transaction'}_isolation")
            (level,) = cursor.fetchone()
        return str(level).upper() in ("REPEATABLE-READ", "SERIALIZABLE")

    @contextmanager
    def tuned(self) -> Iterator[None]:
        if not self._is_mariadb:
            yield
            return
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT @@{_LISTS}")
            (before,) = cursor.fetchone()
            cursor.execute(f"SET SESSION {_LISTS} = 0")
        driver = self.connection.connection
        try:
            yield
        finally:
            # Past Django, which asks nothing more after a failure. What was lost needs no more.
            with suppress(driver.Error):
                driver.query(f"SET SESSION {_LISTS} = {before}")

    def begin_snapshot(self) -> None:
        with self.connection.cursor() as cursor:
            # Ends the empty transaction that Django opened: its isolation level is fixed already.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def raw_texts(self, column: Column) -> RawTexts | None:
        if column.kind is Kind.DATETIME:
            return naive_moments_in_utc if self.connection.timezone is UTC else None
        if column.kind is Kind.UUID:
            is_native = self.connection.features.has_native_uuid_field
            return of_texts(uuids_with_hyphens if is_native else uuids_of_digits)
        if column.kind is Kind.DURATION:
            return durations
        return booleans if column.kind is Kind.BOOLEAN else None

    def session_settings(self) -> Mapping[str, str] | None:
        with self.connection.cursor() as cursor:
            # Other engines know no transactions, and what is written there is seen at once.
            cursor.execute(
                "SELECT count(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
                " AND TABLE_TYPE = 'BASE TABLE' AND ENGINE <> 'InnoDB'"
            )
            if cursor.fetchone()[0]:
                return None
            cursor.execute("SELECT @@sql_mode, @@time_zone, @@unique_checks")
            sql_mode, time_zone, has_checks = cursor.fetchone()
        # Without them what is taken may go in.
        return {"sql_mode": sql_mode, "time_zone": time_zone} if has_checks else None

    def begin_beside(self, settings: Mapping[str, str]) -> None:
        with self.connection.cursor() as cursor:
            for name, value in settings.items():
                cursor.execute(f"SET SESSION {name} = %s", (value,))
            if self._is_mariadb:
                cursor.execute(f"SET SESSION {_LISTS} = 0")
            # Where it tries rows it could wait for the other session, which waits for it.
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 5")

    def stop(self, other: BaseDatabaseWrapper) -> None:
        with other.cursor() as cursor:
            cursor.execute(f"KILL QUERY {int(self.connection.connection.thread_id())}")

    def unique_columns(self, table: Table) -> Iterable[Sequence[str]]:
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS"
                " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND NON_UNIQUE = 0"
                " ORDER BY INDEX_NAME",
                (table.db_table,),
            )
            rows = cursor.fetchall()
        for _, group in groupby(rows, key=lambda row: row[0]):
            parts = [(name, length) for _, name, length in group]
            # An index of the first characters says nothing of the whole.
            if all(length is None for _, length in parts):
                yield [name for name, _ in parts]

    def cannot_defer(
        self, relations: Iterable[Relation], graph_tables: Mapping[str, Table]
    ) -> set[str]:
        # InnoDB checks row by row.
        return {relation.name for relation in relations if relation.is_constrained}

    def checks_itself(
        self, relations: Iterable[Relation], graph_tables: Mapping[str, Table]
    ) -> set[str]:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT @@foreign_key_checks")
            if not cursor.fetchone()[0]:
                return set()
            cursor.execute(
                "SELECT TABLE_NAME, CONSTRAINT_NAME, REFERENCED_TABLE_NAME, COLUMN_NAME,"
                " REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE"
                " WHERE TABLE_SCHEMA = DATABASE() AND REFERENCED_TABLE_SCHEMA = DATABASE()"
                " ORDER BY TABLE_NAME, CONSTRAINT_NAME"
            )
            rows = cursor.fetchall()
        there = {
            (name, target, frozenset((row[3], row[4]) for row in group))
            for (name, _, target), group in groupby(rows, key=lambda row: row[:3])
        }
        return {r.name for r in relations if constraint_of(r, graph_tables) in there}

    @contextmanager
    def unchecked(self) -> Iterator[None]:
        with self.connection.cursor() as cursor:
            cursor.execute("SET SESSION foreign_key_checks = 0")
            try:
                yield
            finally:
                cursor.execute("SET SESSION foreign_key_checks = 1")

    @contextmanager
    def in_turn(self, name: str) -> Iterator[None]:
        # Let go after the COMMIT: whoever waits is to see what was written.
        with self._lock(name, _DAY_SECONDS):
            yield

    @contextmanager
    def _lock(self, name: str, seconds: int) -> Iterator[None]:
        """A lock of the server's, held by the connection, in or out of a transaction."""
        # Names are the server's, of 64 characters: the digest keeps databases and tables apart.
        place = f"{self.connection.settings_dict['NAME']}\0{name}"
        lock = f"gestore {sha256(place.encode()).hexdigest()}"[:64]
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT GET_LOCK(%s, %s)", (lock, seconds))
            if cursor.fetchone()[0] != 1:
                raise DatabaseFailed(
                    f"Another import holds {name} for more than {seconds} seconds.",
                    hint="Nothing was written. Import again when it is done.",
                )
        try:
            yield
        finally:
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT RELEASE_LOCK(%s)", (lock,))

    def takes_texts(self, column: Column) -> bool:
        field = TEXT_FIELDS.get(column.kind)
        if field is None or not is_usual(column, field):
            return False
        # Moments are stored in the connection's zone.
        return column.kind is not Kind.DATETIME or str(self.connection.timezone) in ("UTC", "None")

    def pack_texts(self, column: Column, texts: Sequence[str | None]) -> list[Parameter]:
        if column.kind is Kind.DURATION:
            return _numbers([*map(microseconds, texts)])
        if column.kind is Kind.DECIMAL:
            if not are_as_stored(column, texts):
                return self.pack(column, [t if t is None else Decimal(t) for t in texts])
            # As the driver writes them: as numbers.
            return [_NULL if text is None else text.encode() for text in texts]
        if column.kind is Kind.DATETIME:
            texts = stored_moments(texts)
        if column.kind is Kind.UUID and not self.connection.features.has_native_uuid_field:
            texts = replaced(texts, "-", "")
        return self._quoted(texts)

    def pack(self, column: Column, values: Sequence[Value]) -> list[Parameter]:
        """As they stand in a statement."""
        if column.kind in (Kind.INTEGER, Kind.BOOLEAN):
            return _numbers(values)  # type: ignore[arg-type]
        adapt = self.adapt(column)
        adapted = [*values] if adapt is None else [*map(adapt, values)]
        if {str, type(None)}.issuperset(map(type, adapted)):
            return self._quoted(adapted)  # type: ignore[arg-type]
        return [*map(self.connection.connection.literal, adapted)]

    def _quoted(self, texts: Sequence[str | None]) -> list[Parameter]:
        """Texts in quotes: escaped all in one, with a character between them that none has."""
        filled = [text for text in texts if text is not None]
        if not filled:
            return [_NULL] * len(texts)
        driver = self.connection.connection
        signs = "".join(filled)
        between = next((sign for sign in _BETWEEN if sign not in signs), None)
        if between is None:
            return [_NULL if text is None else driver.literal(text) for text in texts]
        mark = between.encode()
        escaped = driver.escape_string(between.join(filled).encode(driver.encoding))
        there = b"'%b'" % escaped.replace(mark, b"'%b'" % mark)
        if len(filled) == len(texts):
            return there.split(mark)
        in_order = iter(there.split(mark))
        return [_NULL if text is None else next(in_order) for text in texts]

    def may_refuse(self, column: Column, values: Sequence[Value], *, are_texts: bool) -> bool:
        if column.kind is not Kind.FLOAT:
            return False
        return super().may_refuse(column, values, are_texts=are_texts)

    def insert_packed(
        self, table: Table, columns: Sequence[Column], packed: Sequence[Sequence[Parameter]]
    ) -> None:
        names = ", ".join(quoted(self.connection, column.db_name) for column in columns)
        start = f"INSERT INTO {quoted(self.connection, table.db_table)} ({names}) VALUES "
        head = start.encode(self.connection.connection.encoding)
        with self.connection.cursor() as cursor:
            # Bytes: a binary value is no text.
            execute: Any = cursor.execute
            rows = [*map(b",".join, zip(*packed, strict=True))]
            ends = [*accumulate(len(row) + 3 for row in rows)]
            first, before = 0, 0
            while first < len(rows):
                most = before + self._statement_bytes - len(head)
                end = max(first + 1, bisect_right(ends, most))
                execute(b"%b(%b)" % (head, b"),(".join(rows[first:end])))
                _took_all(cursor.rowcount, end - first)
                first, before = end, ends[end - 1]

    def insert(
        self, table: Table, columns: Sequence[Column], rows: Sequence[Sequence[Parameter]]
    ) -> None:
        _took_all(self._inserted(table, columns, rows), len(rows))

    def counts_inserts(self, tables: Sequence[Table]) -> bool:
        return not self.has_triggers(tables)

    def fills_packed(self, table: Table, columns: Sequence[Column]) -> bool:
        # Numbers and UUIDs are equal whatever the collation.
        is_number = len(table.key_names) == 1 and table.key_columns[0].kind is Kind.INTEGER
        return is_number and _are_plain(columns) and self._joins_values

    @cached_property
    def _joins_values(self) -> bool:
        # MySQL writes VALUES otherwise; and who wants safe updates may join nothing to a table.
        if not self._is_mariadb:
            return False
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT @@sql_safe_updates")
            return not cursor.fetchone()[0]

    def fill_packed(
        self,
        table: Table,
        columns: Sequence[Column],
        keys: Sequence[Parameter],
        packed: Sequence[Sequence[Parameter]],
    ) -> None:
        name = quoted(self.connection, table.db_table)
        key = quoted(self.connection, table.db_table, table.key_columns[0].db_name)
        # The first row is none, and gives the others their names.
        head = ", ".join(["0 AS gestore_key", *(f"NULL AS v{n}" for n in range(len(columns)))])
        start = f"UPDATE (SELECT {head} WHERE 1 = 0 UNION ALL VALUES "
        end = f") gestore_values STRAIGHT_JOIN {name} ON {key} = gestore_key SET " + ", ".join(
            f"{quoted(self.connection, table.db_table, column.db_name)} = v{n}"
            for n, column in enumerate(columns)
        )
        rows = b",".join(b"(%b)" % b",".join(row) for row in zip(keys, *packed, strict=True))
        with self.connection.cursor() as cursor:
            execute: Any = cursor.execute
            execute(start.encode() + rows + end.encode())

    @cached_property
    def _statement_bytes(self) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT @@max_allowed_packet")
            return min(_STATEMENT_BYTES, int(cursor.fetchone()[0]) // 2)

    def reserve(
        self, table: Table, count: int, above: int, bump: Callable[[int], None]
    ) -> Sequence[int]:
        """AUTO_INCREMENT counts on from the highest key that was ever written, even if the write
        is taken back: a row tried high up leaves the keys below it to us.

        The counter is read just before; `_MARGIN` keys are left to those who write in between.
        GET_LOCK keeps two imports from reading the same counter.
        """
        if not table.is_auto_key:
            return super().reserve(table, count, above, bump)
        with self._lock(table.db_table, _WAIT_SECONDS):
            highest = max(above, self.highest_key(table))
            # A narrow key near its end has no room for a margin, and few who write meanwhile.
            margin = max(0, min(_MARGIN, self.last_key(table) - highest - count))
            start = highest + margin + 1
            bump(start + count - 1)
        return range(start, start + count)

    def make_room(self, table: Table, key: int, bump: Callable[[int], None]) -> None:
        if table.is_auto_key and self.highest_key(table) < key:
            bump(key)

    @property
    def removes_telling(self) -> bool:
        # DELETE … RETURNING: all of MariaDB that Django takes, and no MySQL.
        return self._is_mariadb

    def row_digests(
        self, table: Table, columns: Sequence[Column], where: Condition, *, locked: bool
    ) -> tuple[int, bytes]:
        """MD5 of the values, each with its length before it: no two rows are one text. Where values
        of different character sets cannot stand in one, the server says so. Of short values that
        hold no sign of ours, the texts themselves; of keys none, where there are other columns:
        each is known by its place."""
        name = quoted(self.connection, table.db_table)
        return self._digests(
            columns,
            f"SELECT {self._told(table, columns)} FROM {name} WHERE {where.sql}"
            f" ORDER BY {self._keys(table)}{self.locking if locked else ''}",
            where.parameters,
        )

    def removed_digests(
        self, table: Table, columns: Sequence[Column], where: Condition
    ) -> tuple[int, bytes]:
        name = quoted(self.connection, table.db_table)
        return self._digests(
            columns,
            f"DELETE FROM {name} WHERE {where.sql}"
            f" ORDER BY {self._keys(table)} RETURNING {self._told(table, columns)}",
            where.parameters,
        )

    def _keys(self, table: Table) -> str:
        return ", ".join(
            quoted(self.connection, table.db_table, column.db_name) for column in table.key_columns
        )

    def _told(self, table: Table, columns: Sequence[Column]) -> str:
        is_plain = _are_plain(columns)
        others = [column for column in columns if column.name not in table.key_names]
        names = [
            quoted(self.connection, table.db_table, column.db_name)
            for column in (is_plain and others) or columns
        ]
        if is_plain:
            texts = ", ".join(f"IFNULL(CONCAT({name}), '-')" for name in names)
            return f"CONCAT_WS(':', {texts})"
        texts = ", ".join(f"IFNULL(CONCAT(LENGTH({name}), ':', {name}), '-')" for name in names)
        return f"UNHEX(MD5(CONCAT({texts})))"

    def _digests(
        self, columns: Sequence[Column], statement: str, parameters: Sequence[Parameter]
    ) -> tuple[int, bytes]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            rows = cursor.fetchall()
        if _are_plain(columns):
            return len(rows), "\n".join([text for (text,) in rows]).encode()
        # A row too long for the server to put together has none: it is like no other.
        digests = [bytes(digest or b"") for (digest,) in rows]
        return len(rows), b"" if b"" in digests else b"".join(digests)

    def has_triggers(self, tables: Sequence[Table]) -> bool:
        names = {table.db_table.lower() for table in tables}
        with self.connection.cursor() as cursor:
            # Who lacks the right is not shown any. One that comes by a role or a pattern is not
            # found here.
            cursor.execute(
                f"SELECT EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE {_OURS})"
                " OR EXISTS (SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES"
                f" WHERE {_OURS} AND TABLE_SCHEMA = DATABASE())"
            )
            if not cursor.fetchone()[0]:
                return True
            cursor.execute(
                "SELECT EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS"
                " WHERE TRIGGER_SCHEMA = DATABASE()"
            )
            return any(name.lower() in names for (name,) in cursor.fetchall())

    def delete_actions(self) -> Iterable[DeleteAction]:
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_NAME,"
                " k.REFERENCED_COLUMN_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS r"
                " JOIN information_schema.KEY_COLUMN_USAGE k"
                " ON k.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA"
                " AND k.CONSTRAINT_NAME = r.CONSTRAINT_NAME AND k.TABLE_NAME = r.TABLE_NAME"
                " WHERE r.CONSTRAINT_SCHEMA = DATABASE()"
                " AND r.DELETE_RULE NOT IN ('RESTRICT', 'NO ACTION')"
                " ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION"
            )
            rows = cursor.fetchall()
        for (name, _, target), group in groupby(rows, key=lambda row: (row[0], row[1], row[3])):
            pairs = [(column, pointed) for _, _, column, _, pointed in group]
            yield DeleteAction(
                name,
                tuple(column for column, _ in pairs),
                target,
                tuple(pointed for _, pointed in pairs),
            )

    def highest_key(self, table: Table) -> int:
        with self.connection.cursor() as cursor:
            # MySQL 8 would answer from statistics that may be a day old.
            if not self._is_mariadb:
                cursor.execute("SET SESSION information_schema_stats_expiry = 0")
            cursor.execute(
                "SELECT AUTO_INCREMENT FROM information_schema.TABLES"
                " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s",
                (table.db_table,),
            )
            row = cursor.fetchone()
        given = int(row[0]) - 1 if row and row[0] else 0
        return max(given, super().highest_key(table))

    def is_about_everything(self, error: Exception) -> bool:
        return bool(error.args) and error.args[0] in _ABOUT_EVERYTHING

    def is_deadlock(self, error: Exception) -> bool:
        return bool(error.args) and error.args[0] == _DEADLOCK

    def is_lock_timeout(self, error: Exception) -> bool:
        return bool(error.args) and error.args[0] == _LOCK_TIMEOUT

    def is_overtaken(self, error: Exception) -> bool:
        return bool(error.args) and error.args[0] == _DUPLICATE

    def refuses(self, column: Column, value: Value) -> str:
        if column.kind is Kind.FLOAT and isinstance(value, float) and value - value != 0:
            return "MariaDB and MySQL hold no NaN or infinity"
        return ""
