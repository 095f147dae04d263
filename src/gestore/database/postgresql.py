"""PostgreSQL's ways (psycopg 3)."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from itertools import chain, count, islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from ..rows import Value
from ..schema.relation import Relation
from ..schema.table import Column, Kind, Table
from ..walk.keys import PackedUUIDs
from . import packing
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
    RowStatements,
    quoted,
)
from .generic import GenericDialect, constraint_of, replaced
from .row_sql import ColumnType, in_order, row_statements

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from ..walk.keys import KeySet

# The types that arrays of keys are sent as; of others the column's own type.
_ARRAY_TYPES = {Kind.INTEGER: "bigint", Kind.TEXT: "text", Kind.UUID: "uuid"}
# nextval() this often costs less than a second, and needs no lock.
_STEPS = 1_000_000
_LOT_KEYS = 5_000
_FEW_TEXTS = 100
# Statements with all keys of a table of keys: of more, those that wait see nothing move.
_TABLE_LOTS = 50
_table_numbers = count(1)
# Numbers of transactions have 32 bits in a row, and are compared in a circle.
_XIDS, _FIRST_XID, _FAR_XIDS = 1 << 32, 3, 1 << 30
# How COPY's text says NULL, and what stands in it for what it means by itself.
_NULL = "\\N"
_ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))
_BOOLEANS = {None: _NULL, True: "t", False: "f"}
_COPY_ROWS = 500
_TEXT_KINDS = frozenset(
    {Kind.DATETIME, Kind.DATE, Kind.TIME, Kind.UUID, Kind.DECIMAL, Kind.DURATION}
)
# The escape itself: not one whose backslash is escaped.
_NUL_IN_JSON = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class PostgreSQLDialect(GenericDialect):
    # More keys a statement would be hardly faster, and take more memory at once.
    batch_keys = 10_000
    lot_keys = 20_000

    def streaming(self) -> AbstractContextManager[Any]:
        # On the server's side: works on a standby too, and under pgbouncer in a transaction.
        return self.connection.chunked_cursor()

    def is_one_moment(self) -> bool:
        with self.connection.cursor() as cursor:
            cursor.execute("SHOW transaction_isolation")
            (level,) = cursor.fetchone()
        return level in ("repeatable read", "serializable")

    def session_settings(self) -> Mapping[str, str] | None:
        with self.connection.cursor() as cursor:
            # Which rows a session sees may hang on what was told to it alone.
            cursor.execute(
                "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relrowsecurity),"
                " current_setting('search_path'), current_user::text, session_user::text"
            )
            is_guarded, search_path, role, user = cursor.fetchone()
        if is_guarded:
            return None
        zone = self.connection.connection.info.parameter_status("TimeZone")
        settings = {"search_path": search_path, "TimeZone": zone}
        return settings if role == user else {**settings, "role": role}

    def lend_snapshot(self) -> Lent | None:
        settings = self.session_settings()
        if settings is None:
            return None
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT pg_export_snapshot()")
            return Lent(cursor.fetchone()[0], settings)

    def begin_beside(self, settings: Mapping[str, str]) -> None:
        # Where it tries rows it could wait for the other session, which waits for it.
        own = {"lock_timeout": "5s", "statement_timeout": "0", "jit": "off"}
        with self.connection.cursor() as cursor:
            for name, value in {**settings, **own}.items():
                cursor.execute("SELECT set_config(%s, %s, false)", (name, value))

    def take_snapshot(self, lent: Lent) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # The server's own name: digits and dashes. It takes no parameters here.
            cursor.execute(f"SET TRANSACTION SNAPSHOT '{lent.name}'")
        self.begin_snapshot()
        with self.connection.cursor() as cursor:
            for name, value in lent.settings.items():
                cursor.execute("SELECT set_config(%s, %s, true)", (name, value))

    def begin_snapshot(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # Short statements with many keys look dear to the planner: compiling them would be.
            cursor.execute("SET LOCAL jit = off")
            # Lot after lot it would rather read large tables from end to end than go by an index.
            cursor.execute("SET LOCAL enable_seqscan = off")
            # All rows of a cursor are wanted: it is to be planned like any other query.
            cursor.execute("SET LOCAL cursor_tuple_fraction = 1")
            # Hosts set these for web requests; a long export is no web request.
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")

    def among(
        self,
        columns: Sequence[str],
        leaves: Sequence[Column],
        values: Sequence[Sequence[Parameter]],
    ) -> Condition:
        arrays = tuple(
            _as_array(leaf, parts)
            for leaf, parts in zip(leaves, zip(*values, strict=True), strict=True)
        )
        types = [self._array_type(leaf) for leaf in leaves]
        if len(columns) == 1:
            return Condition(f"{columns[0]} = ANY(%s::{types[0]}[])", arrays)
        marks = ", ".join(f"%s::{name}[]" for name in types)
        return Condition(f"({', '.join(columns)}) IN (SELECT * FROM unnest({marks}))", arrays)

    def among_packed(self, column: str, leaf: Column, keys: Sequence[Value]) -> Condition | None:
        kind = Kind.UUID if isinstance(keys, PackedUUIDs) else Kind.TEXT
        kind = Kind.INTEGER if isinstance(keys, array) else kind
        if leaf.kind is not kind:
            return None
        parameter = packing.parameter(self.connection, keys)
        values = f"%s::{self._array_type(leaf)}[]"
        if kind is Kind.TEXT and len(keys) > _FEW_TEXTS:
            # The planner weighs each text of an array against the column's commonest values: of
            # thousands it takes longer than to find them.
            return Condition(f"{column} IN (SELECT unnest({values}))", (parameter,))
        return Condition(f"{column} = ANY({values})", (parameter,))

    def joined(self, column: str, leaf: Column, keys: Keys) -> Condition | None:
        parameters: tuple[Parameter, ...] = ()
        if isinstance(keys, KeyTable):
            kind, source = keys.kind, keys.sql
        elif leaf.kind is Kind.TEXT and isinstance(keys, array | PackedUUIDs):
            kind = Kind.UUID if isinstance(keys, PackedUUIDs) else Kind.INTEGER
            source = f"unnest(%s::{_ARRAY_TYPES[kind]}[]) keys(key)"
            parameters = (packing.parameter(self.connection, keys),)
        else:
            return None
        if not (forms := _forms(leaf, kind)):
            return None
        # Texts made here come in the keys' order, and so do the places of the index. No text is
        # there twice.
        values = f"SELECT unnest(ARRAY[{', '.join(forms)}]) FROM {source}"
        join = f"JOIN ({values}) gestore_keys(key) ON {column} = gestore_keys.key"
        return Condition("", parameters, join)

    def key_tables(self, column: Column, keys: KeySet) -> Iterator[KeyTable]:
        # Once for all keys a large table is gone through in the order in which it lies; lot by lot
        # from end to end each time, or to and fro.
        if len(keys) <= self.lot_keys or not packing.packs(self.connection, column):
            return
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT has_database_privilege(current_database(), 'TEMPORARY')")
            (may_make_tables,) = cursor.fetchone()
            if not may_make_tables:
                return
            # A million keys at most, to be in memory together: where they are not, rows are found,
            # and go, not as they lie, but some here and some there, in several rounds.
            cursor.execute(
                "SELECT set_config('work_mem', current_setting('maintenance_work_mem'), true)"
                " WHERE pg_size_bytes(current_setting('work_mem'))"
                " < pg_size_bytes(current_setting('maintenance_work_mem'))"
            )
        lots = keys.packed(self.lot_keys)
        while held := self._key_table(column, islice(lots, _TABLE_LOTS)):
            yield held

    def _key_table(self, column: Column, lots: Iterable[Sequence[Value]]) -> KeyTable | None:
        name = f"pg_temp.gestore_keys_{next(_table_numbers)}"
        left = iter(lots)
        first = next(left, None)
        if first is None:
            return None
        total = 0
        with self.connection.cursor() as cursor:
            of = self._array_type(column)
            cursor.execute(f"CREATE TEMPORARY TABLE {name} (key {of}) ON COMMIT DROP")
            with cursor.copy(f"COPY {name} FROM STDIN") as copy:
                for lot in chain([first], left):
                    texts = lot.hexes() if isinstance(lot, PackedUUIDs) else map(str, lot)
                    copy.write("\n".join(texts) + "\n")
                    total += len(lot)
            # Nobody else does: no other session sees it.
            cursor.execute(f"ANALYZE {name}")
        return KeyTable(name, column.kind, total)

    def leading_columns(self, tables: Collection[str]) -> set[tuple[str, str]]:
        names = sorted(tables)
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT t.name, a.attname::text"
                " FROM unnest(%s::text[], %s::text[]) AS t(name, quoted)"
                " JOIN pg_index i ON i.indrelid = to_regclass(t.quoted)"
                " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
                " JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam"
                " WHERE m.amname = 'btree' AND i.indisvalid AND i.indpred IS NULL",
                (names, [quoted(self.connection, name) for name in names]),
            )
            return set(cursor.fetchall())

    def packs(self, table: Table, column: Column) -> bool:
        # Of a table that Django did not make, who knows what its columns hold.
        return table.is_managed and packing.packs(self.connection, column)

    def packed(
        self,
        columns: Sequence[Column],
        names: Sequence[str],
        table: str,
        where: Condition,
        limit: int,
    ) -> Sequence[Sequence[Value]] | None:
        inner = ", ".join(f"{name} AS c{n}" for n, name in enumerate(names))
        outer = ", ".join(packing.aggregate(c, f"c{n}") for n, c in enumerate(columns))
        with packing.cursor(self.connection) as cursor:
            cursor.execute(
                f"SELECT count(*), {outer} FROM (SELECT {inner} FROM {table}"
                f" {where.clause} LIMIT {limit + 1}) found",
                [packing.parameter(self.connection, value) for value in where.parameters],
            )
            count, *answers = cursor.fetchone()
        if count > limit:
            return None
        return [packing.unpacked(c, answer) for c, answer in zip(columns, answers, strict=True)]

    def _array_type(self, column: Column) -> str:
        if column.type_name == "GenericIPAddressField":
            return "inet"
        return _ARRAY_TYPES.get(column.kind) or str(column.leaf.rel_db_type(self.connection))

    def as_read(self, column: Column, sql: str) -> str:
        # Django has psycopg leave `jsonb` as text, and not `json`.
        return f"({sql})::text" if column.kind is Kind.JSON else sql

    def as_text(self, sql: str) -> str:
        return f"({sql})::text"

    def in_order(self, column: Column, sql: str) -> str:
        return in_order(column, sql)

    def row_statements(
        self, table: Table, plain: Container[str], marks: Mapping[str, Mark]
    ) -> RowStatements | None:
        self.connection.ensure_connection()
        info = self.connection.connection.info
        # Moments are written in UTC, days as Python does, and what comes is taken for UTF-8.
        if (
            self.connection.timezone is None
            or info.parameter_status("TimeZone") != "UTC"
            or info.encoding != "utf-8"
            or info.parameter_status("server_encoding") == "SQL_ASCII"
        ):
            return None
        return row_statements(self.connection, table, self._types(table), plain, marks)

    def _types(self, table: Table) -> dict[str, ColumnType]:
        """What the columns are in the database, by their names there."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT attname, format_type(atttypid, NULL), format_type(atttypid, atttypmod)"
                " FROM pg_attribute"
                " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
                (quoted(self.connection, table.db_table),),
            )
            return {name: ColumnType(*described) for name, *described in cursor.fetchall()}

    def begin_load(self, name: str) -> None:
        with self.connection.cursor() as cursor:
            if name:
                # Held to the end of the transaction: whoever waits sees what was written.
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_lock_number(name),))
            cursor.execute("SET LOCAL jit = off")
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")

    def cannot_defer(
        self, relations: Iterable[Relation], graph_tables: Mapping[str, Table]
    ) -> set[str]:
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT c.conrelid::regclass::text, array_agg(a.attname::text)"
                " FROM pg_constraint c"
                " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey)"
                " WHERE c.contype = 'f' AND NOT c.condeferrable GROUP BY c.oid, c.conrelid"
            )
            immediate = {(name.strip('"'), frozenset(columns)) for name, columns in cursor}
        return {
            relation.name for relation in relations if _place(relation, graph_tables) in immediate
        }

    def unique_columns(self, table: Table) -> Iterable[Sequence[str]]:
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT array_agg(a.attname::text) FROM pg_index i"
                " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)"
                " WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indisvalid"
                " AND i.indisready AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL"
                " AND i.indnatts = i.indnkeyatts GROUP BY i.indexrelid",
                (quoted(self.connection, table.db_table),),
            )
            return [names for (names,) in cursor.fetchall()]

    def check_at_once(
        self, relations: Iterable[Relation], graph_tables: Mapping[str, Table]
    ) -> None:
        wanted = {_place(relation, graph_tables) for relation in relations}
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT c.conrelid::regclass::text, array_agg(a.attname::text),"
                " format('%I.%I', n.nspname, c.conname)"
                " FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace"
                " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey)"
                " WHERE c.contype = 'f' AND c.condeferrable"
                " GROUP BY c.oid, c.conrelid, c.conname, n.nspname"
            )
            names = [
                name
                for table, columns, name in cursor.fetchall()
                if (table.strip('"'), frozenset(columns)) in wanted
            ]
            if names:
                cursor.execute(f"SET CONSTRAINTS {', '.join(names)} IMMEDIATE")

    def moment(self) -> Moment:
        # All transactions below had come to their end before the snapshot was taken.
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
            return Moment(self.connection.connection, (int(cursor.fetchone()[0]),))

    def is_reliable(self, moment: Moment, tables: Sequence[Table]) -> bool:
        """Every statement sees, and waits for, what others committed; the moment is no more than
        half the circle of transactions away; and rows are where versions are: in plain tables."""
        names = sorted({quoted(self.connection, table.db_table) for table in tables})
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('transaction_isolation'),"
                " pg_snapshot_xmax(pg_current_snapshot())::text, count(*)"
                " FROM pg_class c JOIN pg_am a ON a.oid = c.relam"
                " WHERE c.oid IN (SELECT to_regclass(name) FROM unnest(%s::text[]) name)"
                " AND c.relkind = 'r' AND a.amname = 'heap'"
                " AND NOT EXISTS (SELECT 1 FROM pg_inherits WHERE inhparent = c.oid)",
                (names,),
            )
            level, latest, plain = cursor.fetchone()
        (oldest,) = moment.marks
        is_near = int(latest) - oldest < _FAR_XIDS and oldest % _XIDS >= _FIRST_XID
        return level == "read committed" and is_near and plain == len(names)

    def unchanged(self, moment: Moment, table: Table) -> str:
        (oldest,) = moment.marks
        version = f"{quoted(self.connection, table.db_table)}.xmin"
        return f"age({version}) > age('{oldest % _XIDS}'::xid)"

    def has_triggers(self, tables: Sequence[Table]) -> bool:
        names = [quoted(self.connection, table.db_table) for table in tables]
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN"
                " (SELECT to_regclass(name) FROM unnest(%s::text[]) name)) OR EXISTS (SELECT 1"
                " FROM pg_rewrite WHERE ev_class IN"
                " (SELECT to_regclass(name) FROM unnest(%s::text[]) name))",
                (names, names),
            )
            return bool(cursor.fetchone()[0])

    def checks_itself(
        self, relations: Iterable[Relation], graph_tables: Mapping[str, Table]
    ) -> set[str]:
        columns = (
            "array(SELECT a.attname::text FROM unnest(c.{0}key) WITH ORDINALITY k(number, place)"
            " JOIN pg_attribute a ON a.attrelid = c.{0}relid AND a.attnum = k.number"
            " ORDER BY k.place)"
        )
        with self.connection.cursor() as cursor:
            # Two triggers on either side: whoever switched one off is not believed.
            cursor.execute(
                f"SELECT c.conrelid::regclass::text, {columns.format('con')},"
                f" c.confrelid::regclass::text, {columns.format('conf')}"
                " FROM pg_constraint c WHERE c.contype = 'f'"
                " AND current_setting('session_replication_role') = 'origin'"
                " AND (SELECT count(*) FROM pg_trigger t WHERE t.tgconstraint = c.oid"
                " AND t.tgenabled IN ('O', 'A')) = 4"
            )
            there = {
                (name.strip('"'), target.strip('"'), frozenset(zip(own, pointed, strict=True)))
                for name, own, target, pointed in cursor.fetchall()
            }
        return {r.name for r in relations if constraint_of(r, graph_tables) in there}

    def delete_actions(self) -> Iterable[DeleteAction]:
        columns = (
            "array(SELECT a.attname::text FROM unnest(c.{0}key) WITH ORDINALITY k(number, place)"
            " JOIN pg_attribute a ON a.attrelid = c.{0}relid AND a.attnum = k.number"
            " ORDER BY k.place)"
        )
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT c.conrelid::regclass::text, {columns.format('con')},"
                f" c.confrelid::regclass::text, {columns.format('conf')}"
                " FROM pg_constraint c WHERE c.contype = 'f' AND c.confdeltype IN ('c', 'n', 'd')"
            )
            rows = cursor.fetchall()
        for name, names, target, pointed in rows:
            yield DeleteAction(name.strip('"'), tuple(names), target.strip('"'), tuple(pointed))

    def settle_constraints(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")

    def insert(
        self, table: Table, columns: Sequence[Column], rows: Sequence[Sequence[Parameter]]
    ) -> None:
        with self._copying(table, columns) as copy:
            for row in rows:
                copy.write_row(row)

    @contextmanager
    def _copying(self, table: Table, columns: Sequence[Column]) -> Iterator[Any]:
        # COPY is twice as fast as INSERT, and writes GENERATED ALWAYS identities as they are.
        names = ", ".join(quoted(self.connection, column.db_name) for column in columns)
        statement = f"COPY {quoted(self.connection, table.db_table)} ({names}) FROM STDIN"
        with (
            self.connection.wrap_database_errors,
            self.connection.cursor() as cursor,
            cursor.copy(statement) as copy,
        ):
            yield copy

    def takes_texts(self, column: Column) -> bool:
        if column.kind is Kind.DURATION:
            return column.leaf.db_type(self.connection) == "interval"
        return column.kind in _TEXT_KINDS

    def pack_texts(self, column: Column, texts: Sequence[str | None]) -> list[Parameter]:
        # What the driver makes of the values, too.
        if column.kind is Kind.DATETIME:
            return replaced(texts, "T", " ", _NULL)
        if column.kind is Kind.UUID:
            return replaced(texts, "-", "", _NULL)
        return [_NULL if text is None else text for text in texts] if None in texts else [*texts]

    def pack(self, column: Column, values: Sequence[Value]) -> list[Parameter]:
        """As the fields of COPY's text."""
        if column.kind is Kind.INTEGER or column.kind is Kind.FLOAT:
            if None not in values:
                return [*map(repr, values)]
            return [_NULL if value is None else repr(value) for value in values]
        if column.kind is Kind.BOOLEAN:
            return [*map(_BOOLEANS.__getitem__, values)]  # type: ignore[arg-type]
        if column.kind is Kind.UUID:
            return [_NULL if value is None else str(value) for value in values]
        if column.kind is Kind.JSON or (self.adapt(column) is None and column.kind is Kind.TEXT):
            return _escaped(values)  # type: ignore[arg-type]
        return self._dumped(column, values)

    def _dumped(self, column: Column, values: Sequence[Value]) -> list[Parameter]:
        """As psycopg writes them into a COPY."""
        from psycopg.adapt import PyFormat, Transformer

        adapt = self.adapt(column)
        transformer = Transformer(self.connection.connection)
        texts: list[str | None] = []
        for value in values:
            adapted = value if adapt is None else adapt(value)
            told = None
            if adapted is not None:
                told = transformer.get_dumper(adapted, PyFormat.TEXT).dump(adapted)
            texts.append(None if told is None else bytes(told).decode())
        return _escaped(texts)

    def may_refuse(self, column: Column, values: Sequence[Value], *, are_texts: bool) -> bool:
        if are_texts or column.kind in (Kind.INTEGER, Kind.FLOAT, Kind.BOOLEAN):
            return False
        if column.kind not in (Kind.TEXT, Kind.JSON):
            return super().may_refuse(column, values, are_texts=are_texts)
        texts: Any = [value for value in values if value is not None]
        joined = "".join(texts)
        return "\x00" in joined or (column.kind is Kind.JSON and "\\u0000" in joined)

    def insert_packed(
        self, table: Table, columns: Sequence[Column], packed: Sequence[Sequence[Parameter]]
    ) -> None:
        rows = map("\t".join, zip(*packed, strict=True))
        with self._copying(table, columns) as copy:
            while piece := "\n".join(islice(rows, _COPY_ROWS)):
                copy.write(f"{piece}\n")

    def adapt(self, column: Column) -> Adapter | None:
        # Numbers, texts and moments go as they are; NaN is a decimal here.
        if column.kind in (Kind.DECIMAL, Kind.DATETIME, Kind.DATE, Kind.TIME, Kind.UUID):
            return None
        return super().adapt(column)

    @property
    def waiting_lots(self) -> int:
        # COPY takes them evenly: with three it is 1 or 2 % quicker, and long runs take more memory.
        return 2

    def reserve(
        self, table: Table, count: int, above: int, bump: Callable[[int], None]
    ) -> Sequence[int]:
        """From the key's own sequence: safe beside any other writer, and never given back."""
        sequence = self._sequence(table)
        with self.connection.cursor() as cursor:
            if sequence is None:
                # No sequence gives these keys: nobody may write one between the look and the load.
                name = quoted(self.connection, table.db_table)
                cursor.execute(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")
                return super().reserve(table, count, above, bump)
            # A row with an explicit key may stand above the sequence.
            self._advance(table, above)
            drawn = array("q")
            while len(drawn) < count:
                lot = min(_LOT_KEYS, count - len(drawn))
                cursor.execute(
                    "SELECT nextval(%s::regclass) FROM generate_series(1, %s)", (sequence, lot)
                )
                drawn.extend(sorted(key for (key,) in cursor.fetchall()))
        return drawn

    def highest_key(self, table: Table) -> int:
        sequence = self._sequence(table)
        highest = super().highest_key(table)
        if sequence is None:
            return highest
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT last_value FROM {sequence}")
            return max(highest, int(cursor.fetchone()[0]))

    def _sequence(self, table: Table) -> str | None:
        (key,) = table.key_columns
        name = quoted(self.connection, table.db_table)
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT pg_get_serial_sequence(%s, %s)", (name, key.db_name))
            (sequence,) = cursor.fetchone()
        return None if sequence is None else str(sequence)

    def is_refusal(self, error: Exception) -> bool:
        # 23503: a foreign key that is not deferrable; its row is not in yet.
        cause = error.__cause__
        return getattr(cause, "sqlstate", "") != "23503"

    def is_lock_timeout(self, error: Exception) -> bool:
        return getattr(error.__cause__, "sqlstate", "") == "55P03"

    def is_deadlock(self, error: Exception) -> bool:
        return getattr(error.__cause__, "sqlstate", "") == "40P01"

    def is_overtaken(self, error: Exception) -> bool:
        # A unique value, or what an exclusion constraint excludes.
        return getattr(error.__cause__, "sqlstate", "") in ("23505", "23P01")

    def make_room(self, table: Table, key: int, bump: Callable[[int], None]) -> None:
        if table.is_auto_key:
            self._advance(table, key)

    def make_room_ahead(self, table: Table, key: int) -> None:
        self._advance(table, key)

    def stop(self, other: BaseDatabaseWrapper) -> None:
        self.connection.connection.cancel()

    def advance_sequence(self, table: Table) -> None:
        self._advance(table, 0)

    def _advance(self, table: Table, least: int) -> None:
        """Let the sequence stand at `least` and at every key of the table, or above."""
        (key,) = table.key_columns
        name, column = quoted(self.connection, table.db_table), quoted(self.connection, key.db_name)
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT pg_get_serial_sequence(%s, %s), (SELECT max({column}) FROM {name})",
                (name, key.db_name),
            )
            sequence, highest = cursor.fetchone()
            if sequence is None:
                return
            highest = max(least, highest or 0)
            cursor.execute(f"SELECT last_value, is_called FROM {sequence}")
            last, is_called = cursor.fetchone()
            behind = highest - (last if is_called else last - 1)
            if behind <= 0:
                return
            if behind <= _STEPS:
                # Only ever forward, whatever other writers draw meanwhile.
                cursor.execute(
                    "SELECT count(nextval(%s::regclass)) FROM generate_series(1, %s)",
                    (sequence, behind),
                )
                return
        # Too far to walk. One import leaps at a time, so none leaps back; a writer would have to
        # draw a million keys between the look and the leap. Sequences know no ROLLBACK: that of
        # the savepoint lets go of the lock, and of nothing else.
        with transaction.atomic(using=self.connection.alias), self.connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_lock_number(sequence),))
            cursor.execute(
                f"SELECT setval(%s::regclass, %s) FROM {sequence} WHERE last_value < %s",
                (sequence, highest, highest),
            )
            transaction.set_rollback(True, using=self.connection.alias)

    def refuses(self, column: Column, value: Value) -> str:
        if isinstance(value, str) and "\x00" in value:
            return "PostgreSQL holds no NUL in text"
        if column.kind is Kind.JSON and isinstance(value, str) and _NUL_IN_JSON.search(value):
            return "PostgreSQL holds no NUL in JSON text"
        return ""


def _forms(column: Column, kind: Kind) -> list[str]:
    """SQL for what a generic key column may hold for a key of that kind."""
    if column.kind is not Kind.TEXT:
        return ["key"] if column.kind is kind else []
    # Both ways that a UUID is written.
    return ["key::text", *(["encode(uuid_send(key), 'hex')"] if kind is Kind.UUID else [])]


def _as_array(column: Column, parts: Sequence[Parameter]) -> Parameter:
    """Numbers and UUIDs as an array's text, which costs a driver a fraction of the list."""
    if column.kind is Kind.INTEGER and {int}.issuperset(map(type, parts)):
        return f"{{{','.join(map(str, parts))}}}"
    if column.kind is Kind.UUID and {UUID}.issuperset(map(type, parts)):
        return "{" + ",".join([f"{part.int:032x}" for part in parts]) + "}"
    return [*parts]


def _escaped(texts: Sequence[str | None]) -> list[str]:
    """Texts as COPY reads them: all of them in one, for none has a NUL here."""
    filled = [text for text in texts if text is not None]
    joined = "\0".join(filled)
    escaped = joined
    for character, escape in _ESCAPES:
        if character in joined:
            escaped = escaped.replace(character, escape)
    if escaped is not joined:
        filled = escaped.split("\0")
    if len(filled) == len(texts):
        return filled
    there = iter(filled)
    return [_NULL if text is None else next(there) for text in texts]


def _lock_number(name: str) -> int:
    """The 64 bits by which advisory locks are known; they are the database's own."""
    return int.from_bytes(sha256(f"gestore {name}".encode()).digest()[:8], "big", signed=True)


def _place(relation: Relation, tables: Mapping[str, Table]) -> tuple[str, frozenset[str]]:
    table = tables[relation.source]
    return table.db_table, frozenset(table.column(n).db_name for n in relation.columns)
