"""How are keys and rows read? As values, never as model instances, past every manager.

Answers the walk's questions (`walk.source.KeySource`) and the load's (`load.rows_here`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import DatabaseError, DataError, transaction

from ..errors import NotFound, RowUnreadable
from ..references import Reference
from ..rows import Key, Value, key_text
from ..schema.graph import Graph
from ..schema.relation import Relation
from ..schema.table import Column, Kind, Table
from ..walk.keys import KeySet, PackedUUIDs, empty_keys
from ..walk.source import Ask, Lot
from .dialect import (
    Adapter,
    Condition,
    Keys,
    KeyTable,
    Mark,
    Parameter,
    RowStatements,
    key_tuple,
    quoted,
)
from .dialects import dialect_of
from .gather import Gathering, packed_texts

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from .sessions import Sessions

_About = TypeVar("_About")
_Answer = TypeVar("_Answer")
RowValues: TypeAlias = "tuple[Value, ...]"
_Converter: TypeAlias = "Callable[[Value], Value]"

# Rows are read in batches of about this many bytes: wide rows come few at a time.
_BATCH_BYTES = 2_000_000
_BATCH_ROWS = 2_000
_FIRST_ROWS = 10
# What drivers and Django's conversions raise at a value that is none of its kind.
_UNREADABLE = (DatabaseError, ValueError, TypeError, AttributeError, ArithmeticError)
# What a value takes beside its length.
_NARROW_BYTES = 50
NARROW = frozenset(
    {
        Kind.INTEGER,
        Kind.BOOLEAN,
        Kind.FLOAT,
        Kind.DATETIME,
        Kind.DATE,
        Kind.TIME,
        Kind.DURATION,
        Kind.UUID,
    }
)
# From so many keys on it is worth a question of its own which content types are pointed at at all.
_MANY_KEYS = 2_000
_CONTENT_TYPE = "contenttypes.contenttype"


class Reader:
    """Reads one database. Holds no row; the content types, which are few, are kept. With
    `is_still`, all its questions are about one moment: what was told once is not asked again."""

    def __init__(
        self, connection: BaseDatabaseWrapper, graph: Graph, *, is_still: bool = False
    ) -> None:
        self.connection = connection
        self.graph = graph
        self.is_still = is_still
        self.dialect = dialect_of(connection)
        self.batch_keys = self.dialect.batch_keys
        self.lot_keys = self.dialect.lot_keys
        self.sessions: Sessions | None = None
        self._gather = Gathering(self.dialect, self._table, self.sql, self.converter)
        self._converters: dict[tuple[str, str], _Converter | None] = {}
        self._adapters: dict[tuple[str, str], Adapter | None] = {}

    def twin(self, connection: BaseDatabaseWrapper) -> Reader:
        """One that reads the same moment over another connection."""
        twin = Reader(connection, self.graph, is_still=True)
        vars(twin).update(self._told())
        twin._gather.learn_with(self._gather)
        return twin

    def remember(self) -> None:
        """Ask now what twins are not to ask again."""
        self._told()

    def _told(self) -> dict[str, object]:
        return {"content_types": self.content_types, "_types_told": self._types_told}

    # What a reference names -------------------------------------------------------------------

    def find(self, reference: Reference) -> tuple[Table, Key]:
        """The one row a reference names; `NotFound` says what is missing."""
        table = self.graph.table(reference.label)
        if reference.key is not None:
            names: Sequence[str] = table.key_names
            texts = reference.key.split(",") if len(names) > 1 else [reference.key]
            if len(texts) != len(names):
                raise NotFound(
                    f"{reference}: the key of {table.label} has {len(names)} parts.",
                    hint=f"Join them by commas: {table.label}.{','.join(names)}",
                )
        else:
            names, texts = list(reference.values), list(reference.values.values())
        columns = [self._named(table, name, reference) for name in names]
        values = [self._parsed(c, t, reference) for c, t in zip(columns, texts, strict=True)]
        keys = self._keys_of(table, columns, values)
        if not keys:
            raise NotFound(f"{reference}: no such {table.label} in {self.connection.alias!r}.")
        if len(keys) > 1:
            raise NotFound(
                f"{reference}: more than one {table.label} has these values.",
                hint=f"Name the one you mean: {table.label}.{key_text(keys[0])}, for instance.",
            )
        return table, keys[0]

    def _keys_of(
        self, table: Table, columns: Sequence[Column], values: Sequence[Value]
    ) -> list[Key]:
        """At most two keys of rows with these values; a value no row can hold is held by none."""
        try:
            where = self.among(table, [c.name for c in columns], [tuple(values)])
            # A savepoint: PostgreSQL gives up a transaction in which a number was too large.
            with transaction.atomic(using=self.connection.alias):
                return self._keys(table, where, limit=2)
        except (DataError, ValueError, TypeError, OverflowError, ArithmeticError):
            return []

    def _named(self, table: Table, name: str, reference: Reference) -> Column:
        for column in table.columns:
            if name in (column.name, column.field.attname):
                return column
        names = ", ".join(c.name for c in table.columns)
        raise NotFound(
            f"{reference}: {table.label} has no field {name!r}.", hint=f"It has {names}."
        )

    def _parsed(self, column: Column, text: str, reference: Reference) -> Value:
        try:
            return column.leaf.to_python(text)
        except (ValidationError, ValueError, TypeError) as error:
            raise NotFound(
                f"{reference}: {text!r} is no value of {column.name} ({column.kind.value})."
            ) from error

    # What the walk asks -----------------------------------------------------------------------

    def pointing(self, relation: Relation, target: str, keys: Sequence[Key]) -> Iterable[Key]:
        where = self._pointing_at(relation, target, keys)
        return [] if where is None else self._many_keys(self.graph.tables[relation.source], where)

    def arriving(
        self, relation: Relation, target: str, keys: Sequence[Key], along: Sequence[Relation]
    ) -> Iterable[Lot]:
        source = self.graph.tables[relation.source]
        size = self.batch_keys if self._is_long(relation, source, keys) else max(1, len(keys))
        for start in range(0, len(keys), size):
            yield from self._gather.arriving(
                source,
                relation.name,
                keys[start : start + size],
                lambda some: self._pointing_at(relation, target, some),
                along,
            )

    def _is_long(self, relation: Relation, source: Table, keys: Sequence[Key]) -> bool:
        """Whether the keys travel as texts, which are many times as long."""
        if not relation.is_generic:
            return False
        column = source.column(relation.columns[0])
        name = self.sql(source, column.name)
        return column.kind is Kind.TEXT and self.dialect.joined(name, column, keys[:1]) is None

    def standing(self, table: str, keys: Sequence[Key], along: Sequence[Relation]) -> Iterable[Lot]:
        source = self.graph.tables[table]
        names = source.key_names
        return self._gather.arriving(
            source, table, keys, lambda some: self.among(source, names, some), along
        )

    def in_turn(
        self, asks: Iterable[tuple[_About, Ask[_Answer]]]
    ) -> Iterator[tuple[_About, Iterable[_Answer]]]:
        if self.sessions is not None:
            return self.sessions.in_turn(asks)
        return ((about, ask(self)) for about, ask in asks)

    def _pointing_at(self, relation: Relation, target: str, keys: Keys) -> Condition | None:
        """The rows whose relation points at these rows of the target; None: no row can."""
        source, pointed = self.graph.tables[relation.source], self.graph.tables[target]
        if relation.is_generic:
            return self._pointing_generic(relation, source, pointed, keys)
        if relation.points_at_key:
            return self.among(source, relation.columns, keys)
        inner = self.among(pointed, pointed.key_names, keys)
        columns = ", ".join(self.sql(source, name) for name in relation.columns)
        values = ", ".join(self.sql(pointed, name) for name in relation.target_columns)
        where = f"({columns}) IN (SELECT {values} FROM {self._table(pointed)} WHERE {inner.sql})"
        return Condition(where, inner.parameters)

    def _pointing_generic(
        self, relation: Relation, source: Table, target: Table, keys: Keys
    ) -> Condition | None:
        types = self._types_pointed_at(relation, target, keys)
        if not types:
            return None
        column = source.column(relation.columns[0])
        by_type = self.among(source, [relation.content_type], types)
        joined = self.dialect.joined(self.sql(source, column.name), column, keys)
        if joined is not None:
            return Condition(by_type.sql, joined.parameters + by_type.parameters, joined.join)
        raws = () if isinstance(keys, KeyTable) else _raw_forms(column, keys)
        if not raws:
            return None
        by_key = self.among(source, relation.columns, raws)
        return Condition(f"{by_type.sql} AND {by_key.sql}", by_type.parameters + by_key.parameters)

    def _types_pointed_at(self, relation: Relation, target: Table, keys: Keys) -> list[Key]:
        """The content types by which rows may point at the target: few models are pointed at by
        any row, and the others need not be asked for."""
        types = self._content_types_of(target)
        if self.is_still:
            told = self._types_told
        elif len(keys) > _MANY_KEYS:
            # Others write: what nobody pointed at a moment ago may be pointed at now.
            told = self._ask_types([relation])
        else:
            return types
        pointed = told.get(relation.name)
        return [key for key in types if pointed is None or key in pointed]

    def is_pointed_at(self, relation: Relation, target: str, keys: Keys) -> bool:
        """Whether any row points at one of these rows of the target."""
        source = self.graph.tables[relation.source]
        where = self._pointing_at(relation, target, keys)
        if where is None:
            return False
        with self.connection.cursor() as cursor:
            # Counted, not LIMIT 1: for one row of many a database would read the whole table.
            cursor.execute(
                f"SELECT count(*) FROM {self._table(source)} {where.clause}", where.parameters
            )
            return bool(cursor.fetchone()[0])

    @cached_property
    def _types_told(self) -> dict[str, set[Key]]:
        return self._ask_types(self._generic_relations)

    @cached_property
    def _generic_relations(self) -> list[Relation]:
        return [relation for relation in self.graph.relations if relation.is_generic]

    @cached_property
    def _leading_columns(self) -> set[tuple[str, str]]:
        tables = (self.graph.tables[relation.source] for relation in self._generic_relations)
        return self.dialect.leading_columns({table.db_table for table in tables})

    def _ask_types(self, relations: Sequence[Relation]) -> dict[str, set[Key]]:
        """By generic relation the content types that any row points at; of relations for which an
        index tells."""
        answers: list[str] = []
        told: list[tuple[Relation, Table, Column]] = []
        for relation in relations:
            table = self.graph.tables[relation.source]
            column = table.column(relation.content_type)
            if (table.db_table, column.db_name) in self._leading_columns:
                values = self.dialect.distinct(self.sql(table, column.name), self._table(table))
                answers.append(f"SELECT {len(told)}, kind FROM ({values}) kinds{len(told)}")
                told.append((relation, table, column))
        found: dict[str, set[Key]] = {relation.name: set() for relation, _, _ in told}
        if told:
            with self.connection.cursor() as cursor:
                cursor.execute(" UNION ALL ".join(answers))
                for number, kind in cursor.fetchall():
                    relation, table, column = told[number]
                    converter = self.converter(table, column)
                    found[relation.name].add(kind if converter is None else converter(kind))
        return found

    def pointing_pairs(self, relation: Relation, keys: Sequence[Key]) -> list[tuple[Key, Key]]:
        source = self.graph.tables[relation.source]
        columns = [*source.key_columns, *(source.column(n) for n in relation.columns)]
        width = len(source.key_names)
        where = self.among(source, relation.columns, keys)
        return [
            (_key(row[:width]), _key(row[width:])) for row in self.select(source, columns, where)
        ]

    def pointed(self, relation: Relation, keys: Sequence[Key]) -> list[Value]:
        return self._pointers(relation, keys, distinct=True)

    def pointers(self, relation: Relation, keys: Sequence[Key]) -> list[Value]:
        """What `pointed` gives, once for every row that points."""
        return self._pointers(relation, keys, distinct=False)

    def _pointers(self, relation: Relation, keys: Sequence[Key], *, distinct: bool) -> list[Value]:
        source = self.graph.tables[relation.source]
        columns = self._pointing_columns(relation)
        where = self._filled(relation, keys)
        return [_key(row) for row in self.select(source, columns, where, distinct=distinct)]

    def pointer_pairs(self, relation: Relation, keys: Sequence[Key]) -> list[tuple[Key, Value]]:
        """The same, each with the key of the row that points."""
        source = self.graph.tables[relation.source]
        columns = [*source.key_columns, *self._pointing_columns(relation)]
        width = len(source.key_names)
        rows = self.select(source, columns, self._filled(relation, keys))
        return [(_key(row[:width]), _key(row[width:])) for row in rows]

    def _pointing_columns(self, relation: Relation) -> list[Column]:
        source = self.graph.tables[relation.source]
        names = [relation.content_type] if relation.is_generic else []
        return [source.column(name) for name in [*names, *relation.columns]]

    def _filled(self, relation: Relation, keys: Sequence[Key]) -> Condition:
        """These rows, but for those whose pointer is empty."""
        source = self.graph.tables[relation.source]
        where = self.among(source, source.key_names, keys)
        filled = "".join(
            f" AND {self.sql(source, column.name)} IS NOT NULL"
            for column in self._pointing_columns(relation)
            if column.is_nullable
        )
        return Condition(f"{where.sql}{filled}", where.parameters)

    def values(self, table: Table, names: Sequence[str], keys: Sequence[Key]) -> list[Value]:
        """What these rows hold in the columns, but for those that hold nothing in one."""
        columns = [table.column(name) for name in names]
        rows = self.select(table, columns, self.among(table, table.key_names, keys))
        return [_key(row) for row in rows if None not in row]

    def holding(self, table: Table, names: Sequence[str], values: Sequence[Value]) -> Iterable[Key]:
        """The keys of the rows whose columns hold one of the values; however many."""
        return self._many_keys(table, self.among(table, names, values))

    def all_keys(self, table: Table) -> Iterable[Key]:
        """The keys of every row of the table; however many."""
        return self._many_keys(table, Condition("1 = 1"))

    def resolve(
        self, table: str, columns: Sequence[str], values: Sequence[Value]
    ) -> list[tuple[Value, Key]]:
        target = self.graph.tables[table]
        wanted = [*(target.column(name) for name in columns), *target.key_columns]
        rows = self.select(target, wanted, self.among(target, columns, values))
        width = len(columns)
        found = [(_key(row[:width]), _key(row[width:])) for row in rows]
        return found + _equal_to_the_database(values, found)

    def generic_target(self, content_type: Key) -> str:
        label = self.content_types.get(content_type, "")
        table = self.graph.tables.get(label) or self.graph.tables_by_proxy.get(label)
        return table.name if table and len(table.key_names) == 1 else ""

    def generic_key(self, table: str, raw: Value) -> Key | None:
        return self.graph.tables[table].key_from(raw)

    def generic_keys(self, table: str, raws: Sequence[Value]) -> Sequence[Key | None]:
        target = self.graph.tables[table]
        keys = packed_texts(target.key_columns[0], raws)
        return [target.key_from(raw) for raw in raws] if keys is None else keys

    @cached_property
    def content_types(self) -> dict[Key, str]:
        """Content type key to model name, for all content types there are."""
        table = self.graph.tables.get(_CONTENT_TYPE)
        if table is None:
            return {}
        columns = [table.column(name) for name in ("id", "app_label", "model")]
        rows = self.select(table, columns, Condition("1 = 1"))
        return {key: f"{app_label}.{model}" for key, app_label, model in rows}

    def _content_types_of(self, table: Table) -> list[Key]:
        labels = {table.name, *table.proxies}
        return [key for key, label in self.content_types.items() if label in labels]

    # Rows -------------------------------------------------------------------------------------

    def rows(self, table: Table, keys: Iterable[Key]) -> Iterator[list[RowValues]]:
        """The rows of these keys, in batches ordered by key, with the values of `table.columns`.

        A batch holds at most 2,000 rows and about 2 MB, whatever the width of a row.
        """
        size = _FIRST_ROWS
        wide = [n for n, column in enumerate(table.columns) if column.kind not in NARROW]
        pending: list[Key] = []
        for key in keys:
            pending.append(key)
            if len(pending) >= size:
                rows = self.rows_of(table, pending)
                yield rows
                size = _next_size(rows, size, wide)
                pending = []
        if pending:
            yield self.rows_of(table, pending)

    def rows_of(
        self, table: Table, keys: Sequence[Key], *, locked: bool = False
    ) -> list[RowValues]:
        """The rows of one batch of keys, ordered by key; one that cannot be read is named. With
        `locked`, nobody else changes them until the transaction ends."""
        where = self.among(table, table.key_names, keys)
        try:
            return self.select(table, table.columns, where, ordered=True, locked=locked)
        except _UNREADABLE as error:
            if self.connection.needs_rollback or not self.is_about_values(error):
                raise
            raise self._unreadable(table, keys, error) from error

    def is_about_values(self, error: Exception) -> bool:
        return not isinstance(error, DatabaseError) or isinstance(error, DataError)

    def _unreadable(self, table: Table, keys: Sequence[Key], error: Exception) -> RowUnreadable:
        """Halve the batch until one row is left."""
        candidates = list(keys)
        while len(candidates) > 1:
            half = candidates[: len(candidates) // 2]
            try:
                where = self.among(table, table.key_names, half)
                self.select(table, table.columns, where)
            except _UNREADABLE:
                candidates = half
            else:
                candidates = candidates[len(half) :]
        return RowUnreadable(
            f"{table.label}.{key_text(candidates[0])} cannot be read: {error}",
            hint="Python cannot hold one of its values; change it in the database.",
        )

    def matching(
        self, table: Table, names: Sequence[str], values: Sequence[Value]
    ) -> list[RowValues]:
        """The rows whose columns `names` hold one of `values`, as the database compares them."""
        return self.select(table, table.columns, self.among(table, names, values))

    def parts(
        self,
        table: Table,
        wanted: Sequence[str],
        names: Sequence[str],
        values: Sequence[Value],
    ) -> list[RowValues]:
        """`matching`, but of these rows the columns `wanted` only."""
        columns = [table.column(name) for name in wanted]
        return self.select(table, columns, self.among(table, names, values))

    def count(self, table: Table, names: Sequence[str], values: Keys) -> int:
        """How many rows hold one of `values`."""
        where = self.among(table, names, values)
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*) FROM {self._table(table)} WHERE {where.sql}",
                where.parameters,
            )
            return int(cursor.fetchone()[0])

    def count_pointing(self, relation: Relation, target: Table, keys: Sequence[Key]) -> int:
        """How many rows point at these rows of the target by the relation."""
        source = self.graph.tables[relation.source]
        if relation.is_generic or not relation.points_at_key:
            return sum(1 for _ in self.pointing(relation, target.name, keys))
        return self.count(source, relation.columns, keys)

    def unresolved(
        self, relation: Relation, keys: Sequence[Key], known: Mapping[str, KeySet] | None = None
    ) -> list[Key]:
        """Those of the rows whose pointer leads to no row, dangling or not as they may. `known` are
        rows by table that need not be looked for."""
        source = self.graph.tables[relation.source]
        where = self.among(source, source.key_names, keys)
        if relation.is_generic:
            return self._unresolved_generic(relation, source, where, known or {})
        target = self.graph.tables[relation.target]
        pointers = [self.sql(source, name) for name in relation.columns]
        # The alias keeps a self-relation's two sides apart.
        there = quoted(self.connection, "gestore_target")
        equal = " AND ".join(
            f"{there}.{quoted(self.connection, target.column(name).db_name)} = {pointer}"
            for name, pointer in zip(relation.target_columns, pointers, strict=True)
        )
        filled = "".join(f" AND {pointer} IS NOT NULL" for pointer in pointers)
        sql = (
            f"{where.sql}{filled} AND NOT EXISTS"
            f" (SELECT 1 FROM {self._table(target)} {there} WHERE {equal})"
        )
        return self._keys(source, Condition(sql, where.parameters))

    def _unresolved_generic(
        self, relation: Relation, source: Table, where: Condition, known: Mapping[str, KeySet]
    ) -> list[Key]:
        columns = [*source.key_columns, source.column(relation.content_type)]
        columns.append(source.column(relation.columns[0]))
        pointing: dict[Key, list[tuple[Key, Value]]] = {}
        for row in self.select(source, columns, where):
            key, content_type, raw = _key(row[:-2]), row[-2], row[-1]
            if content_type is not None and raw is not None:
                pointing.setdefault(content_type, []).append((key, raw))
        wanted: dict[str, dict[Key, list[Key]]] = {}
        lost: list[Key] = []
        for content_type, pairs in pointing.items():
            target = self.generic_target(content_type)
            if not target:
                lost += [key for key, _ in pairs]
                continue
            pointed_keys = self.generic_keys(target, [raw for _, raw in pairs])
            for (key, _), pointed in zip(pairs, pointed_keys, strict=True):
                if pointed is None:
                    lost.append(key)
                else:
                    wanted.setdefault(target, {}).setdefault(pointed, []).append(key)
        for target, keys_by_pointed in wanted.items():
            names, pointed_at = self.graph.tables[target].key_names, list(keys_by_pointed)
            if target in known:
                pointed_at = known[target].missing(pointed_at)
            found = self.resolve(target, names, pointed_at) if pointed_at else ()
            absent = {*pointed_at}.difference(value for value, _ in found)
            lost += [key for pointed in absent for key in keys_by_pointed[pointed]]
        return lost

    def refuses(self, column: Column, value: Value) -> str:
        """Why this database can never hold the value, or ""."""
        return self.dialect.refuses(column, value)

    # SQL --------------------------------------------------------------------------------------

    def among(self, table: Table, names: Sequence[str], values: Keys) -> Condition:
        """`names` hold one of `values` (scalars for one column, tuples for several)."""
        if isinstance(values, KeyTable):
            return Condition(f"{self.sql(table, names[0])} IN (SELECT key FROM {values.sql})")
        columns = [table.column(name) for name in names]
        if not values:
            return Condition("1 = 0")
        known: Any = values
        keys = PackedUUIDs.of(known) if _are_uuids(columns, values) else values
        if isinstance(keys, array | PackedUUIDs) or _are_texts(columns, keys):
            packed = self.dialect.among_packed(self.sql(table, names[0]), columns[0], keys)
            if packed is not None:
                return packed
        adapters = [self._adapter(table, column) for column in columns]
        if adapters == [None]:
            plain = [value if isinstance(value, tuple) else (value,) for value in values]
            return self.dialect.among([self.sql(table, names[0])], columns, plain)
        adapted: list[tuple[Parameter, ...]] = [
            tuple(
                part if adapter is None else adapter(part)
                for part, adapter in zip(key_tuple(value), adapters, strict=True)
            )
            for value in values
        ]
        return self.dialect.among([self.sql(table, name) for name in names], columns, adapted)

    def select(
        self,
        table: Table,
        columns: Sequence[Column],
        where: Condition,
        *,
        distinct: bool = False,
        ordered: bool = False,
        locked: bool = False,
    ) -> list[RowValues]:
        """The values of the columns, as Python has them (JSON as its text)."""
        names = ", ".join(
            self.dialect.as_read(column, self.sql(table, column.name)) for column in columns
        )
        order = self._order(table)
        statement = (
            f"SELECT {'DISTINCT ' if distinct else ''}{names} FROM {self._table(table)}"
            f" WHERE {where.sql}{f' ORDER BY {order}' if ordered else ''}"
            f"{self.dialect.locking if locked else ''}"
        )
        with self.connection.cursor() as cursor:
            cursor.execute(statement, where.parameters)
            rows = cursor.fetchall()
        converters = [
            (place, converter)
            for place, column in enumerate(columns)
            if (converter := self.converter(table, column)) is not None
        ]
        if not converters:
            return list(rows)
        return [_converted(row, converters) for row in rows]

    def _order(self, table: Table) -> str:
        return ", ".join(
            self.dialect.in_order(column, self.sql(table, column.name))
            for column in table.key_columns
        )

    def raw_rows(
        self, table: Table, columns: Sequence[Column], keys: Sequence[Key]
    ) -> list[RowValues]:
        """The rows of one batch of keys, ordered by key, with what the driver gives for the
        columns: what `dialect.as_raw` asks for, which `converter` is yet to be called with."""
        where = self.among(table, table.key_names, keys)
        names = ", ".join(
            self.dialect.as_raw(column, self.sql(table, column.name)) for column in columns
        )
        statement = (
            f"SELECT {names} FROM {self._table(table)} WHERE {where.sql}"
            f" ORDER BY {self._order(table)}"
        )
        with self.connection.cursor() as cursor:
            cursor.execute(statement, where.parameters)
            return list(cursor.fetchall())

    def row_statements(
        self, table: Table, marks: Mapping[str, Mark] | None = None
    ) -> RowStatements | None:
        """How the database itself makes lines of the table's rows, if it can; with marks around the
        values of some columns."""
        plain = {
            column.name
            for column in table.columns
            if column.kind in (Kind.JSON, Kind.BINARY) or self.converter(table, column) is None
        }
        return self.dialect.row_statements(table, plain, marks or {})

    def _keys(self, table: Table, where: Condition, limit: int = 0) -> list[Key]:
        statement = self._select_keys(table, where)
        with self.connection.cursor() as cursor:
            cursor.execute(statement + (f" LIMIT {limit}" if limit else ""), where.parameters)
            return self._as_keys(table, cursor.fetchall())

    def _many_keys(self, table: Table, where: Condition) -> Iterable[Key]:
        """The same of however many rows: more than a batch of keys is held compactly."""
        with self.dialect.streaming() as cursor:
            cursor.execute(self._select_keys(table, where), where.parameters)
            rows = cursor.fetchmany(self.batch_keys)
            if len(rows) < self.batch_keys:
                return self._as_keys(table, rows)
            keys = empty_keys(table)
            while rows:
                keys.add(self._as_keys(table, rows))
                rows = cursor.fetchmany(self.batch_keys)
        return (key for batch in keys.batches(self.batch_keys) for key in batch)

    def _select_keys(self, table: Table, where: Condition) -> str:
        names = ", ".join(self.sql(table, name) for name in table.key_names)
        return f"SELECT {names} FROM {self._table(table)} {where.clause}"

    def _as_keys(self, table: Table, rows: Sequence[RowValues]) -> list[Key]:
        converters = [
            (place, converter)
            for place, column in enumerate(table.key_columns)
            if (converter := self.converter(table, column)) is not None
        ]
        if len(table.key_columns) > 1:
            return [_converted(row, converters) if converters else tuple(row) for row in rows]
        if converters:
            ((_, converter),) = converters
            return [converter(value) for (value,) in rows]
        return [value for (value,) in rows]

    def sql(self, table: Table, name: str) -> str:
        return quoted(self.connection, table.db_table, table.column(name).db_name)

    def _table(self, table: Table) -> str:
        return quoted(self.connection, table.db_table)

    def _adapter(self, table: Table, column: Column) -> Adapter | None:
        place = (table.name, column.name)
        if place not in self._adapters:
            self._adapters[place] = self.dialect.adapt(column)
        return self._adapters[place]

    def converter(self, table: Table, column: Column) -> _Converter | None:
        place = (table.name, column.name)
        if place not in self._converters:
            self._converters[place] = self._make_converter(table, column)
        return self._converters[place]

    def _make_converter(self, table: Table, column: Column) -> _Converter | None:
        """What the backend and the field do to a value that comes out of the database.

        `Field.get_col` and the two `get_db_converters` are what Django's compiler calls (seen the
        same in 5.2, 6.0 and 6.1). A JSON column's text is left as it is.
        """
        if column.kind is Kind.JSON:
            return None
        expression: Any = column.leaf.get_col(table.db_table)
        converters = [
            *self.connection.ops.get_db_converters(expression),
            *expression.get_db_converters(self.connection),
        ]
        if column.kind is Kind.BINARY:
            converters.append(_as_bytes)
        if not converters:
            return None
        connection = self.connection

        def converted(raw: Value) -> Value:
            value = raw
            for converter in converters:
                value = converter(value, expression, connection)
            if value is None and raw is not None and column.kind is not Kind.CUSTOM:
                # Django reads a date that is none as NULL: that would lose it without a word.
                raise ValueError(f"{column.name} holds {raw!r}, which is no {column.kind.value}")
            return value

        return converted


def _equal_to_the_database(
    values: Sequence[Value], found: Sequence[tuple[Value, Key]]
) -> list[tuple[Value, Key]]:
    """Values that a collation finds equal to a row's although Python does not: 'abc' and 'ABC'."""
    wanted = set(values)
    loosely = {_loose(value): key for value, key in found if value not in wanted}
    if not loosely:
        return []
    exact = {value for value, _ in found}
    return [(value, loosely[_loose(value)]) for value in wanted - exact if _loose(value) in loosely]


def _loose(value: Value) -> Value:
    if isinstance(value, tuple):
        return tuple(_loose(part) for part in value)
    return value.rstrip(" ").casefold() if isinstance(value, str) else value


def _as_bytes(value: Value, expression: object, connection: object) -> Value:
    return bytes(value) if isinstance(value, memoryview) else value


def _converted(row: RowValues, converters: Sequence[tuple[int, _Converter]]) -> RowValues:
    values = list(row)
    for place, converter in converters:
        values[place] = converter(values[place])
    return tuple(values)


def _key(parts: RowValues) -> Key:
    return parts[0] if len(parts) == 1 else tuple(parts)


def _next_size(rows: Sequence[RowValues], size: int, wide: Sequence[int]) -> int:
    """Rows for the next batch, from the width of the last one's; `wide` are the places where
    values of any length may stand."""
    if not rows:
        return size
    width = len(rows[0]) * _NARROW_BYTES
    width += sum(_width(row[place]) for row in rows for place in wide) // len(rows)
    return max(1, min(_BATCH_ROWS, size * 16, _BATCH_BYTES // max(1, width)))


def _width(value: Value) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    return sum(map(_width, value)) if isinstance(value, list) else 0


def _raw_forms(column: Column, keys: Sequence[Key]) -> Sequence[Value]:
    """The values a generic key column may hold for these keys."""
    if column.kind is Kind.TEXT:
        if isinstance(keys, PackedUUIDs):
            return keys.texts() + keys.hexes()
        texts = [str(key) for key in keys]
        # Both ways that a UUID is written.
        return texts + [key.hex for key in keys if isinstance(key, UUID)]
    if column.kind is Kind.INTEGER:
        return keys if isinstance(keys, array) else [k for k in keys if isinstance(k, int)]
    if column.kind is Kind.UUID:
        return keys if isinstance(keys, PackedUUIDs) else [k for k in keys if isinstance(k, UUID)]
    return []


def _are_texts(columns: Sequence[Column], values: Sequence[Value]) -> bool:
    return len(columns) == 1 and columns[0].kind is Kind.TEXT and type(values[0]) is str


def _are_uuids(columns: Sequence[Column], values: Sequence[Value]) -> bool:
    is_one = len(columns) == 1 and columns[0].kind is Kind.UUID
    return is_one and not isinstance(values, PackedUUIDs) and set(map(type, values)) == {UUID}
