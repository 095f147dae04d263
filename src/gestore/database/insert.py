"""How are rows put into tables, in bulk, past models and signals?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from django.db import DatabaseError, Error, transaction

from ..errors import LoadFailed, Overtaken
from ..rows import Key, Value, batches, key_text
from ..schema.graph import Graph
from ..schema.relation import Relation
from ..schema.table import Column, Table
from .dialect import Adapter, Parameter, key_tuple, quoted
from .dialects import dialect_of
from .transactions import told

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# Two parameters a row and column for CASE: far below every database's limit.
_FILL_ROWS = 200
_FILL_PACKED_ROWS = 2_000


class Writer:
    """Writes to one database, inside the caller's transaction."""

    def __init__(self, connection: BaseDatabaseWrapper, graph: Graph) -> None:
        self.connection = connection
        self.graph = graph
        self.dialect = dialect_of(connection)
        self._adapters: dict[tuple[str, str], Adapter | None] = {}
        self._taken: Counter[str] = Counter()

    def taken(self, tables: Sequence[Table]) -> Mapping[str, int] | None:
        """By table how many rows the database took; None where that does not say that they are
        there."""
        return self._taken if self.dialect.counts_inserts(tables) else None

    def insert(
        self, table: Table, columns: Sequence[Column], rows: Sequence[Sequence[Value]]
    ) -> None:
        """Put the rows in. A row the database refuses is `LoadFailed`, which names it."""
        adapted = self._all_adapted(table, columns, rows)
        try:
            self._attempt(lambda: self.dialect.insert(table, columns, adapted))
        except (DatabaseError, ValueError, OverflowError) as error:
            if self.dialect.is_about_everything(error):
                raise
            raise self._refusal(table, columns, rows, adapted, error) from error
        self._taken[table.name] += len(rows)

    # Packed columns: the values of many rows as this database takes them quickest.

    def takes_texts(self, column: Column) -> bool:
        return self.dialect.takes_texts(column)

    def pack(
        self, column: Column, values: Sequence[Value], *, are_texts: bool
    ) -> list[Parameter] | None:
        """The values as `insert_packed` takes them; None where one of them has to be looked at
        alone. `are_texts` says that they are the usual texts of their kind."""
        try:
            if self.dialect.may_refuse(column, values, are_texts=are_texts):
                return None
            if are_texts:
                return self.dialect.pack_texts(column, values)  # type: ignore[arg-type]
            return self.dialect.pack(column, values)
        except (Error, ValueError, TypeError, ArithmeticError, LookupError):
            return None

    def insert_packed(
        self,
        table: Table,
        columns: Sequence[Column],
        packed: Sequence[Sequence[Parameter]],
        keys: Callable[[], Sequence[Key]],
    ) -> None:
        """Put the rows in. A row the database refuses is `LoadFailed`, which names it by its key
        among `keys`."""
        write = self.dialect.insert_packed
        try:
            self._attempt(lambda: write(table, columns, packed))
        except (DatabaseError, ValueError, OverflowError) as error:
            if self.dialect.is_about_everything(error):
                raise
            place = self._first_refused(
                len(packed[0]),
                lambda lot: write(table, columns, [[part[n] for n in lot] for part in packed]),
            )
            raise self._failure(table, key_text(keys()[place]), error) from error
        self._taken[table.name] += len(packed[0])

    # While others ask over another session (`database.beside`): after a failure all is rolled back.

    def insert_unguarded(
        self, table: Table, columns: Sequence[Column], packed: Sequence[Sequence[Parameter]]
    ) -> None:
        """Put rows in that come as packed columns, without a savepoint."""
        self.dialect.insert_packed(table, columns, packed)
        self._taken[table.name] += len(packed[0])

    def make_room_unguarded(self, table: Table, key: int) -> None:
        """`make_room` for rows that are just about to be written."""
        self.dialect.make_room_ahead(table, key)

    def enforced(self, table: Table) -> set[frozenset[str]]:
        """The sets of columns in which the database itself lets no two rows be equal, as they
        come."""
        names = {column.db_name: column.name for column in table.columns}
        unique = self.dialect.unique_columns(table)
        return {frozenset(names.get(name, "") for name in found) for found in unique}

    def is_far(self, table: Table, key: int) -> bool:
        """Whether a key is so high that it would leave half of the keys to nobody."""
        return key > self.dialect.last_key(table) // 2

    def check_at_once(self, relations: Iterable[Relation]) -> None:
        """Have deferred constraints of these checked as rows come."""
        self.dialect.check_at_once(relations, self.graph.tables)

    def _attempt(self, write: Callable[[], None]) -> None:
        """Inside a savepoint: after a refusal the rows can be tried one by one, to name it."""
        with transaction.atomic(using=self.connection.alias):
            write()

    def _refusal(
        self,
        table: Table,
        columns: Sequence[Column],
        rows: Sequence[Sequence[Value]],
        adapted: Sequence[Sequence[Parameter]],
        error: Exception,
    ) -> LoadFailed:
        place = self._first_refused(
            len(rows),
            lambda lot: self.dialect.insert(table, columns, [adapted[n] for n in lot]),
        )
        named = dict(zip((c.name for c in columns), rows[place], strict=True))
        key = ",".join(str(named.get(name, "(new)")) for name in table.key_names)
        return self._failure(table, key, error)

    def _first_refused(self, count: int, write: Callable[[list[int]], None]) -> int:
        """The place of a row that the database refuses, found by halves."""
        candidates = list(range(count))
        while len(candidates) > 1:
            half = candidates[: len(candidates) // 2]
            try:
                self._attempt(partial(write, half))
            except (DatabaseError, ValueError, OverflowError):
                candidates = half
            else:
                candidates = candidates[len(half) :]
        return candidates[0]

    def _failure(self, table: Table, key: str, error: Exception) -> LoadFailed:
        message = f"{table.label}.{key} was refused by the database: {told(error)}"
        if self.dialect.is_overtaken(error):
            return Overtaken(
                message,
                hint="Everything was rolled back: another writer was faster. Import again.",
            )
        return LoadFailed(message, hint="Everything was rolled back.")

    def refused(self, table: Table, rows: Sequence[Mapping[str, Value]]) -> list[tuple[int, str]]:
        """The places of the rows that the table's constraints refuse, with what the database says.

        The rows are tried in a savepoint that is rolled back, their pointers unchecked.
        """
        found: list[tuple[int, str]] = []
        with self.dialect.probing(), transaction.atomic(using=self.connection.alias):
            by_names = groupby(enumerate(rows), key=lambda item: frozenset(item[1]))
            for names, group in by_names:
                columns = [column for column in table.columns if column.name in names]
                lot = [
                    (place, self._adapted(table, columns, [row[c.name] for c in columns]))
                    for place, row in group
                ]
                self._probe(table, columns, lot, found)
            transaction.set_rollback(True, using=self.connection.alias)
        return found

    def _probe(
        self,
        table: Table,
        columns: Sequence[Column],
        lot: Sequence[tuple[int, tuple[Parameter, ...]]],
        found: list[tuple[int, str]],
    ) -> None:
        try:
            self._attempt(lambda: self.dialect.insert(table, columns, [row for _, row in lot]))
        except (DatabaseError, ValueError, OverflowError) as error:
            if len(lot) > 1:
                half = len(lot) // 2
                self._probe(table, columns, lot[:half], found)
                self._probe(table, columns, lot[half:], found)
            elif self.dialect.is_refusal(error):
                found.append((lot[0][0], told(error)))

    def reserve(
        self, table: Table, count: int, above: int, sample: Mapping[str, Value]
    ) -> Sequence[int]:
        """New keys above `above` that no other writer can be given; `sample` is a row of the
        table, to try."""
        return self.dialect.reserve(table, count, above, partial(self._bump, table, sample))

    def make_room(self, table: Table, key: int, sample: Mapping[str, Value]) -> None:
        """Let the database give no key up to `key` to anyone: rows are to be loaded there."""
        self.dialect.make_room(table, key, partial(self._bump, table, sample))

    def _bump(self, table: Table, sample: Mapping[str, Value], key: int) -> None:
        (name,) = table.key_names
        self.refused(table, [{**sample, name: key}])

    def room(self, table: Table, above: int) -> int:
        """How many keys an integer key still has above `above` and the highest here."""
        return self.dialect.last_key(table) - max(above, self.dialect.highest_key(table))

    def fill(
        self, table: Table, columns: Sequence[Column], rows: Sequence[tuple[Key, Sequence[Value]]]
    ) -> None:
        """Give the columns of existing rows these values: one statement for some 200 rows, where
        they can go packed for more."""
        fill, size = self._fill, _FILL_ROWS
        if self.dialect.fills_packed(table, columns):
            fill, size = self._fill_packed, _FILL_PACKED_ROWS
        for lot in batches(rows, size):
            try:
                fill(table, columns, lot)
            except DatabaseError as error:
                raise LoadFailed(
                    f"{table.label}: pointers were refused by the database: {told(error)}",
                    hint="Everything was rolled back.",
                ) from error

    def _fill_packed(
        self, table: Table, columns: Sequence[Column], rows: Sequence[tuple[Key, Sequence[Value]]]
    ) -> None:
        keys = self.dialect.pack(table.key_columns[0], [key for key, _ in rows])
        values = zip(*(row for _, row in rows), strict=True)
        packed = [self.dialect.pack(c, some) for c, some in zip(columns, values, strict=True)]
        self.dialect.fill_packed(table, columns, keys, packed)

    def _fill(
        self, table: Table, columns: Sequence[Column], rows: Sequence[tuple[Key, Sequence[Value]]]
    ) -> None:
        keys = self._all_adapted(table, table.key_columns, [key_tuple(key) for key, _ in rows])
        values = self._all_adapted(table, columns, [row for _, row in rows])
        names = [quoted(self.connection, column.db_name) for column in table.key_columns]
        equal = " AND ".join(f"{name} = %s" for name in names)
        parameters: list[Parameter] = []
        assignments = []
        for place, column in enumerate(columns):
            name = quoted(self.connection, column.db_name)
            cases = "".join(f" WHEN {equal} THEN %s" for _ in rows)
            assignments.append(f"{name} = CASE{cases} ELSE {name} END")
            for key, row in zip(keys, values, strict=True):
                parameters += [*key, row[place]]
        where = self.dialect.among(names, table.key_columns, keys)
        statement = (
            f"UPDATE {quoted(self.connection, table.db_table)}"
            f" SET {', '.join(assignments)} WHERE {where.sql}"
        )
        with self.connection.cursor() as cursor:
            cursor.execute(statement, [*parameters, *where.parameters])

    def cannot_defer(self, relations: Iterable[Relation]) -> set[str]:
        return self.dialect.cannot_defer(relations, self.graph.tables)

    def checks_itself(self, relations: Iterable[Relation]) -> set[str]:
        return self.dialect.checks_itself(relations, self.graph.tables)

    def unchecked(self) -> AbstractContextManager[None]:
        return self.dialect.unchecked()

    def settle(self, tables: Iterable[Table]) -> None:
        """Have deferred constraints checked, and sequences stand above the loaded keys. After a
        `LoadFailed` the rows can still be looked at."""
        try:
            self._attempt(self.dialect.settle_constraints)
        except DatabaseError as error:
            raise LoadFailed(
                f"The database refused the rows together: {told(error)}",
                hint="Everything was rolled back.",
            ) from error
        for table in tables:
            if table.is_auto_key:
                self.dialect.advance_sequence(table)

    def _adapted(
        self, table: Table, columns: Sequence[Column], row: Sequence[Value]
    ) -> tuple[Parameter, ...]:
        return self._all_adapted(table, columns, [row])[0]

    def _all_adapted(
        self, table: Table, columns: Sequence[Column], rows: Sequence[Sequence[Value]]
    ) -> list[tuple[Parameter, ...]]:
        adapters = [
            (place, adapter)
            for place, column in enumerate(columns)
            if (adapter := self._adapter(table, column)) is not None
        ]
        adapted = []
        for row in rows:
            values = list(row)
            for place, adapt in adapters:
                values[place] = adapt(values[place])
            adapted.append(tuple(values))
        return adapted

    def _adapter(self, table: Table, column: Column) -> Adapter | None:
        place = (table.name, column.name)
        if place not in self._adapters:
            self._adapters[place] = self.dialect.adapt(column)
        return self._adapters[place]
