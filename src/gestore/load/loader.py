"""How do the examined rows get into their tables?

Tables come in the archive's order; pointers in a circle that the database will not defer are left
empty first and filled in a second pass. A `RowStore` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

from ..errors import Finding
from ..rows import ArchivedRow, Key, Value
from ..schema.graph import Graph
from ..schema.table import Column, Table
from ..walk.keys import KeySet, empty_keys
from .ahead import LoadedAhead
from .circles import Circles
from .decoding import Decoding, SourceRow, row_batches
from .packed import PackedColumns
from .rewriting import Rewriting, Suspects
from .spool import PackedLot, Spool
from .translation import Translation
from .verdicts import Examination


class RowStore(Protocol):
    """Writes rows to the target database."""

    def insert(
        self, table: Table, columns: Sequence[Column], rows: Sequence[Sequence[Value]]
    ) -> None: ...

    def takes_texts(self, column: Column) -> bool: ...

    def pack(
        self, column: Column, values: Sequence[Value], *, are_texts: bool
    ) -> Sequence[Value] | None: ...

    def insert_packed(
        self,
        table: Table,
        columns: Sequence[Column],
        packed: Sequence[Sequence[Value]],
        keys: Callable[[], Sequence[Key]],
    ) -> None:
        """Put rows in that come as packed columns; a refused one is named by its key."""

    def fill(
        self,
        table: Table,
        columns: Sequence[Column],
        rows: Sequence[tuple[Key, Sequence[Value]]],
    ) -> None:
        """Give the columns of existing rows these values."""

    def unchecked(self) -> AbstractContextManager[None]: ...


@dataclass(slots=True)
class Loaded:
    """What was written: target keys by table, and by relation the keys whose pointer dangled at
    the source and may dangle here, and those that got their pointer back. `was_unchecked` says that
    the database was kept from checking pointers."""

    keys_by_table: dict[str, KeySet] = field(default_factory=dict)
    rows_by_table: dict[str, int] = field(default_factory=dict)
    dangling: dict[str, set[Key]] = field(default_factory=dict)
    overridden: dict[str, KeySet] = field(default_factory=dict)
    restored: dict[str, KeySet] = field(default_factory=dict)
    was_unchecked: bool = False


class Loader:
    """Loads one examined archive."""

    def __init__(
        self,
        graph: Graph,
        decoding: Decoding,
        examination: Examination,
        store: RowStore,
        circles: Circles,
        rewriting: Rewriting | None = None,
    ) -> None:
        self._graph = graph
        self._decoding = decoding
        self._examination = examination
        self._store = store
        keymap = examination.keymap
        self._translation = Translation(graph, decoding, keymap, rewriting)
        self._suspects = Suspects(graph, keymap, rewriting or Rewriting(graph, keymap))
        self._loaded = Loaded()
        self._circles = circles

    def load(
        self,
        rows: Callable[[], Iterable[ArchivedRow]],
        advance: Callable[[int], None],
        spool: Spool | None = None,
        ahead: LoadedAhead | None = None,
    ) -> Loaded:
        """Write every row that is to be written; `rows` starts the archive from the beginning. What
        the examination kept in the spool is taken from there, but for what is loaded already."""
        self._loaded.was_unchecked = self._must_be_unchecked()
        with self._store.unchecked() if self._loaded.was_unchecked else nullcontext():
            if spool is None:
                self._load_rows(rows(), advance)
            else:
                self._load_spool(spool, ahead or LoadedAhead(), advance)
            if any(
                relation.source in self._loaded.keys_by_table for relation in self._circles.late
            ):
                if spool is None:
                    self._fill_late(rows())
                else:
                    self._fill_spooled(spool)
            if self._examination.has_overrides:
                self._override(rows())
            if self._examination.has_restored:
                self._restore(rows())
        return self._loaded

    def _load_spool(self, spool: Spool, ahead: LoadedAhead, advance: Callable[[int], None]) -> None:
        self._note_ahead(ahead, spool)
        advance(sum(ahead.counts.values()))
        for number in sorted({*range(len(spool))} - ahead.numbers):
            lot = spool.lot(number)
            if isinstance(lot, PackedLot):
                self._insert_packed(lot)
                advance(lot.count)
            else:
                self._load_rows(lot.rows(), advance)

    def _load_rows(self, rows: Iterable[ArchivedRow], advance: Callable[[int], None]) -> None:
        loaded = self._those(rows, self._examination.is_loaded)
        for table, group in groupby(loaded, key=lambda row: row.table):
            for batch in row_batches(group):
                self._insert(table, batch)
                advance(len(batch))

    def _insert_packed(self, lot: PackedLot) -> None:
        table = self._graph.tables[lot.table]
        if len(self._examination.keymap):
            self._suspects.watch_found(lot.hidden)
        columns = self._packed(lot, self._circles.late_names(table))
        self._store.insert_packed(table, columns.written, columns.packed(), columns.keys)
        if columns.keys_stay() and self._are_all_loaded(table):
            self._note_all(table, lot.count)
        else:
            self._note_keys(table, columns.keys(), lot.count)

    def _packed(self, lot: PackedLot, empty: Collection[str] = ()) -> PackedColumns:
        keymap = self._examination.keymap
        return PackedColumns(self._graph, self._decoding, keymap, lot, self._store, empty)

    def _are_all_loaded(self, table: Table) -> bool:
        verdict = self._examination.verdicts[table.name]
        return verdict.loaded_count == len(verdict.archived)

    def _note_all(self, table: Table, count: int) -> None:
        """All of them, as they are: nobody needs to count them out again."""
        loaded = self._loaded
        loaded.keys_by_table[table.name] = self._examination.verdicts[table.name].archived
        loaded.rows_by_table[table.name] = loaded.rows_by_table.get(table.name, 0) + count

    def _note_ahead(self, ahead: LoadedAhead, spool: Spool) -> None:
        """What is loaded already."""
        for name, count in ahead.counts.items():
            table = self._graph.tables[name]
            if name in ahead.keys:
                self._loaded.keys_by_table[name] = ahead.keys[name]
                self._loaded.rows_by_table[name] = count
            elif self._are_all_loaded(table):
                self._note_all(table, count)
            else:
                self._loaded.keys_by_table[name] = self._examination.loaded_keys(table)
                self._loaded.rows_by_table[name] = count
        if len(self._examination.keymap):
            for piece in ahead.hidden:
                self._suspects.watch_found(spool.hidden(piece))

    def _override(self, rows: Iterable[ArchivedRow]) -> None:
        """Give rows that are here the archived values, when everything they point at is in."""
        wanted = self._those(rows, self._examination.is_override)
        for (table, names), group in groupby(wanted, key=lambda row: (row.table, _names(row))):
            columns = [column for column in table.value_columns if column.name in names]
            for batch in row_batches(group):
                translated = [self._translation.values(row) for row in batch]
                self._store.fill(
                    table,
                    columns,
                    [
                        (self._translation.key(table, v), [v[column.name] for column in columns])
                        for v in translated
                    ],
                )
                self._note_overridden(table, list(zip(batch, translated, strict=True)))

    def _note_overridden(
        self, table: Table, rows: Sequence[tuple[SourceRow, dict[str, Value]]]
    ) -> None:
        if table.name not in self._loaded.overridden:
            self._loaded.overridden[table.name] = empty_keys(table)
        self._loaded.overridden[table.name].add(
            self._translation.key(table, values) for _, values in rows
        )
        self._note_dangling(table, rows)

    def _restore(self, rows: Iterable[ArchivedRow]) -> None:
        """Give rows that stayed the pointers that a deletion took from them."""
        wanted = self._those(rows, self._examination.is_restored)
        for table, group in groupby(wanted, key=lambda row: row.table):
            for batch in row_batches(group):
                # What was not taken from one of them is the same here.
                names = frozenset[str]().union(*(row.changed for row in batch))
                columns = [column for column in table.columns if column.name in names]
                keys, filled = [], []
                for row in batch:
                    values = self._translation.values(row)
                    keys.append(self._translation.key(table, values))
                    filled.append((keys[-1], [values[column.name] for column in columns]))
                self._store.fill(table, columns, filled)
                self._note_restored(batch, keys)

    def _note_restored(self, rows: Sequence[SourceRow], keys: Sequence[Key]) -> None:
        table = rows[0].table
        for relation in self._graph.pointing_from(table.name):
            restored = [
                key
                for row, key in zip(rows, keys, strict=True)
                if row.changed.issuperset(relation.columns)
            ]
            if restored:
                if relation.name not in self._loaded.restored:
                    self._loaded.restored[relation.name] = empty_keys(table)
                self._loaded.restored[relation.name].add(restored)

    def _must_be_unchecked(self) -> bool:
        """Where constraints are checked row by row, circles of required pointers and rows out of
        order pass only unchecked; `verify` looks at every pointer afterwards."""
        verdicts = self._examination.verdicts
        is_stuck = any(
            relation.source in verdicts and verdicts[relation.source].loaded_count
            for relation in self._circles.stuck
        )
        # An overridden row may get the value that others point at only when they are in.
        is_late = self._examination.has_overrides or not self._examination.is_in_order
        return is_stuck or bool(self._circles.immediate and is_late)

    def _those(
        self, rows: Iterable[ArchivedRow], is_wanted: Callable[[SourceRow], bool]
    ) -> Iterator[SourceRow]:
        for archived in rows:
            for row in self._decoding.rows(archived):
                if is_wanted(row):
                    yield row

    def suspects(self) -> Iterator[Finding]:
        """Columns that look as if they held keys that changed."""
        return self._suspects.findings()

    def _insert(self, table: Table, rows: Sequence[SourceRow]) -> None:
        if len(self._examination.keymap):
            for row in rows:
                self._suspects.watch(table, row.values)
        late = self._circles.late_names(table)
        translated = [(row, self._translation.values(row)) for row in rows]
        by_columns = groupby(translated, key=lambda pair: _written_names(pair[0]))
        for names, group in by_columns:
            columns = [column for column in table.columns if column.name in names]
            pairs = list(group)
            self._store.insert(
                table,
                columns,
                [[None if c.name in late else v[c.name] for c in columns] for _, v in pairs],
            )
        self._note(table, translated)

    def _note(self, table: Table, rows: Sequence[tuple[SourceRow, dict[str, Value]]]) -> None:
        keys = [self._translation.key(table, values) for row, values in rows if row.key is not None]
        self._note_keys(table, keys, len(rows))
        self._note_dangling(table, rows)

    def _note_keys(self, table: Table, keys: Sequence[Key], count: int) -> None:
        if table.name not in self._loaded.keys_by_table:
            self._loaded.keys_by_table[table.name] = empty_keys(table)
            self._loaded.rows_by_table[table.name] = 0
        self._loaded.keys_by_table[table.name].take(keys)
        self._loaded.rows_by_table[table.name] += count

    def _note_dangling(
        self, table: Table, rows: Sequence[tuple[SourceRow, dict[str, Value]]]
    ) -> None:
        """What pointed at nothing at the source may do so here."""
        for row, values in rows:
            for name in row.dangling:
                relation = f"{table.label}.{name}"
                keys_of = self._loaded.dangling.setdefault(relation, set())
                keys_of.add(self._translation.key(table, values))

    def _fill_spooled(self, spool: Spool) -> None:
        """The pointers that had to wait for their rows, of what the spool has."""
        tables = {relation.source for relation in self._circles.late}
        for number in range(len(spool)):
            if spool.table(number) not in tables:
                continue
            lot = spool.lot(number)
            if isinstance(lot, PackedLot):
                self._fill_packed(lot)
            else:
                self._fill_late(lot.rows())

    def _fill_packed(self, lot: PackedLot) -> None:
        table, columns = self._graph.tables[lot.table], self._packed(lot)
        names = self._circles.late_names(table)
        values = zip(*map(columns.values, names), strict=True)
        filled = [
            (key, found)
            for key, found in zip(columns.keys(), values, strict=True)
            if any(value is not None for value in found)
        ]
        if filled:
            self._store.fill(table, [table.column(name) for name in names], filled)

    def _fill_late(self, rows: Iterable[ArchivedRow]) -> None:
        """The pointers that had to wait for their rows."""
        tables = {relation.source for relation in self._circles.late}
        # The original's documents have through rows in those of other tables.
        is_nested = self._decoding.manifest.format_version == 1
        of_them = (r for r in rows if is_nested or self._graph.table(r.model).name in tables)
        waiting = self._those(of_them, self._examination.is_loaded)
        for table, group in groupby(waiting, key=lambda row: row.table):
            names = self._circles.late_names(table)
            columns = [table.column(name) for name in names]
            for batch in row_batches(group):
                values = [self._translation.values(row) for row in batch]
                filled = [
                    (self._translation.key(table, v), [v[name] for name in names])
                    for v in values
                    if any(v[name] is not None for name in names)
                ]
                if filled:
                    self._store.fill(table, columns, filled)


def _names(row: SourceRow) -> frozenset[str]:
    """The columns that the archive has."""
    return frozenset(row.values) - row.absent


def _written_names(row: SourceRow) -> frozenset[str]:
    """The columns that are written: not the key the database gives, nor its own defaults."""
    names = frozenset(row.values)
    return names - frozenset(row.table.key_names) if row.key is None else names
