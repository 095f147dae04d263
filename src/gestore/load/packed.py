"""What do packed rows hold, once every key in them says the target's?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from ..errors import LoadFailed
from ..rows import Key, Value
from ..schema.graph import Graph
from ..schema.table import Column, Table
from .decoding import Decoding
from .keymap import Fresh, KeyMap
from .spool import PackedLot
from .translation import RawColumns, uuids


class Packing(Protocol):
    """Packs columns for the target database."""

    def takes_texts(self, column: Column) -> bool: ...

    def pack(
        self, column: Column, values: Sequence[Value], *, are_texts: bool
    ) -> Sequence[Value] | None: ...


class PackedColumns:
    """The columns of a lot as they are written; those called in `empty` without their values."""

    def __init__(
        self,
        graph: Graph,
        decoding: Decoding,
        keymap: KeyMap,
        lot: PackedLot,
        packing: Packing,
        empty: Collection[str] = (),
    ) -> None:
        self.table: Table = graph.tables[lot.table]
        self._raw = RawColumns(graph, decoding, keymap, self.table, lot.raw)
        self._lot = lot
        self._packing = packing
        self._empty = empty

    @property
    def written(self) -> Sequence[Column]:
        """Those that are written."""
        there: Collection[str] = {*self._lot.raw, *self._lot.packed}
        return [column for column in self.table.columns if column.name in there]

    def packed(self) -> Sequence[Sequence[Value]]:
        """The packed values of each; `LoadFailed` where one cannot be stored here."""
        done: Mapping[str, Sequence[Value]] = {
            **self._lot.packed,
            **{name: self._packed(name) for name in self._lot.raw},
        }
        return [done[column.name] for column in self.written]

    def _packed(self, name: str) -> Sequence[Value]:
        column = self.table.column(name)
        values: Sequence[Value]
        if name in self._empty:
            values, are_texts = [None] * self._lot.count, False
        else:
            values, are_texts = self._raw.translated(name)
        if are_texts and not self._packing.takes_texts(column):
            values, are_texts = uuids(values), False
        is_drawn = values is self._lot.raw[name] or Fresh not in {*map(type, values)}
        done = self._packing.pack(column, values, are_texts=are_texts) if is_drawn else None
        if done is None:
            raise LoadFailed(f"{self.table.label}.{name} holds what cannot be stored here.")
        return done

    def values(self, name: str) -> Sequence[Value]:
        """The values of a column that holds keys, as they are to stand here."""
        values, are_texts = self._raw.translated(name)
        return uuids(values) if are_texts else values

    def keys(self) -> Sequence[Key]:
        """The rows' keys here."""
        return self._raw.keys()

    def keys_stay(self) -> bool:
        """Whether each of them is the source's."""
        return self._raw.keys_stay()
