"""What does a source row look like here, once every pointer says the target's keys?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from ..rows import Key, Value
from ..schema.graph import Graph
from ..schema.relation import Relation
from ..schema.table import Kind, Table
from ..walk.keys import PackedUUIDs
from .decoding import Decoding, SourceRow
from .keymap import KeyMap, is_fresh
from .rewriting import Rewriting


@dataclass(frozen=True, slots=True)
class _Changing:
    """The relations of a table whose pointers may change, and whether its own keys may; true while
    the key map has been touched at so many places."""

    touched: int
    relations: tuple[Relation, ...]
    has_keys: bool


class Translation:
    """Translates pointers by a key map; values that are no pointers stay as they are."""

    def __init__(
        self,
        graph: Graph,
        decoding: Decoding,
        keymap: KeyMap,
        rewriting: Rewriting | None = None,
    ) -> None:
        self._graph = graph
        self._decoding = decoding
        self._keymap = keymap
        self._rewriting = rewriting or Rewriting(graph, keymap)
        self._changing: dict[str, _Changing] = {}

    def values(self, row: SourceRow) -> dict[str, Value]:
        """The row's values as they are to stand here."""
        translated = dict(row.values)
        changing = self._changing_of(row.table)
        for relation in changing.relations:
            if relation.field_name in row.dangling:
                continue
            if relation.is_generic:
                self._generic(relation, row, translated)
            else:
                self._plain(relation, row.values, translated)
        if changing.has_keys and row.key is not None:
            self._own_key(row, translated)
        self._rewriting.rewrite(row, translated)
        return translated

    def _changing_of(self, table: Table) -> _Changing:
        """What the key map may change in rows of the table, as far as it is filled now."""
        known = self._changing.get(table.name)
        touched = self._keymap.touched_count
        if known is None or known.touched != touched:
            may_change = self._keymap.may_change
            relations = tuple(
                relation
                for relation in self._graph.pointing_from(table.name)
                if (touched and relation.is_generic)
                or may_change((relation.target, relation.target_columns))
            )
            has_keys = may_change((table.name, table.key_names))
            known = self._changing[table.name] = _Changing(touched, relations, has_keys)
        return known

    def _own_key(self, row: SourceRow, translated: dict[str, Value]) -> None:
        """A row that got a new key, or for which another here stands."""
        names = row.table.key_names
        here = self._keymap.target(row.table.name, names, row.key)
        if here != row.key:
            translated.update(zip(names, here if isinstance(here, tuple) else (here,), strict=True))

    def key(self, table: Table, values: Mapping[str, Value]) -> Key:
        """The key among translated values."""
        parts = tuple(values[name] for name in table.key_names)
        return parts[0] if len(parts) == 1 else parts

    def _plain(
        self, relation: Relation, values: Mapping[str, Value], translated: dict[str, Value]
    ) -> None:
        value = pointer(relation, values)
        if value is None:
            return
        found = self._keymap.target(relation.target, relation.target_columns, value)
        if found is not value:
            parts = found if isinstance(found, tuple) else (found,)
            translated.update(zip(relation.columns, parts, strict=True))

    def _generic(self, relation: Relation, row: SourceRow, translated: dict[str, Value]) -> None:
        """The content type is a foreign key of its own; here it is about the key beside it."""
        (name,) = relation.columns
        raw, target = row.values[name], self._decoding.target_of(relation, row.values)
        if raw is None or not target:
            return
        table = self._graph.tables[target]
        if not self._keymap.may_change((target, table.key_names)):
            return
        key = table.key_from(raw)
        if key is not None and self._keymap.is_changed(target, table.key_names, key):
            here = self._keymap.target(target, table.key_names, key)
            translated[name] = _written_as(raw, key, here)


class RawColumns:
    """The columns of many rows that hold keys, as an archive has them: UUIDs as their text."""

    def __init__(
        self,
        graph: Graph,
        decoding: Decoding,
        keymap: KeyMap,
        table: Table,
        raw: Mapping[str, Sequence[Value]],
    ) -> None:
        self._graph = graph
        self._decoding = decoding
        self._keymap = keymap
        self._table = table
        self._raw = raw
        self._known: dict[str, tuple[Sequence[Value], bool]] = {}

    def translated(self, name: str) -> tuple[Sequence[Value], bool]:
        """The column as it is to stand here, and whether UUIDs in it are still texts."""
        if name not in self._known:
            self._known[name] = self._translated(name)
        return self._known[name]

    def _translated(self, name: str) -> tuple[Sequence[Value], bool]:
        values = self._raw[name]
        is_uuid = self._table.column(name).kind is Kind.UUID
        may_change, targets = self._keymap.may_change, self._keymap.targets
        places = []
        for relation in self._graph.pointing_from(self._table.name):
            if relation.is_generic and name in relation.columns:
                return self._generic(relation, values), False
            if name in relation.columns and may_change((relation.target, relation.target_columns)):
                places.append((relation.target, relation.target_columns))
        own = (self._table.name, self._table.key_names)
        if (name,) == own[1] and may_change(own):
            places.append(own)
        if not places:
            return values, is_uuid
        sources: Sequence[Value] = uuids(values) if is_uuid else values
        found = sources
        for place in places:
            # As of single rows: what a later one changes goes before what an earlier one did.
            found = [
                new if new != source else old
                for new, source, old in zip(targets(*place, sources), sources, found, strict=True)
            ]
        return found, False

    def _generic(self, relation: Relation, raws: Sequence[Value]) -> Sequence[Value]:
        targets: dict[Value, str] = {}
        types = self._raw[relation.content_type]
        for content_type in set(types):
            target = self._decoding.target_of(relation, {relation.content_type: content_type})
            if target:
                names = self._graph.tables[target].key_names
                if self._keymap.may_change((target, names)):
                    targets[content_type] = target
        if not targets:
            return uuids(raws) if self._is_uuid(relation) else raws
        values = uuids(raws) if self._is_uuid(relation) else raws
        return [
            self._generic_key(targets[content_type], raw)
            if raw is not None and content_type in targets
            else raw
            for content_type, raw in zip(types, values, strict=True)
        ]

    def _is_uuid(self, relation: Relation) -> bool:
        return self._table.column(relation.columns[0]).kind is Kind.UUID

    def _generic_key(self, target: str, raw: Value) -> Value:
        table = self._graph.tables[target]
        key = table.key_from(raw)
        if key is None:
            return raw
        here = self._keymap.target(target, table.key_names, key)
        return raw if here == key else _written_as(raw, key, here)

    def keys_stay(self) -> bool:
        """Whether every key here is the source's."""
        may_change = self._keymap.may_change
        names = self._table.key_names
        return not may_change((self._table.name, names)) and not any(
            may_change((relation.target, relation.target_columns))
            for relation in self._graph.pointing_from(self._table.name)
            if not relation.is_generic and not set(names).isdisjoint(relation.columns)
        )

    def keys(self) -> Sequence[Key]:
        """The rows' keys here."""
        parts = []
        for name in self._table.key_names:
            values, are_texts = self.translated(name)
            parts.append(
                uuids(values)
                if are_texts and self._table.column(name).kind is Kind.UUID
                else values
            )
        return parts[0] if len(parts) == 1 else [*zip(*parts, strict=True)]


def uuids(texts: Sequence[Value]) -> Sequence[Value]:
    """Usual texts of UUIDs, as UUIDs: packed where none is empty."""
    if None in texts:
        return [None if text is None else UUID(str(text)) for text in texts]
    return packed_uuids(texts)


def packed_uuids(texts: Sequence[Value]) -> Sequence[Value]:
    joined = "".join(cast("Sequence[str]", texts))
    return PackedUUIDs(bytes.fromhex(joined.replace("-", "")))


def _written_as(raw: Value, key: Key, here: Key) -> Value:
    """A generic key the way the old one was written: as a number, as text, as bare hex digits."""
    if is_fresh(here) or not isinstance(raw, str):
        return here
    if isinstance(key, UUID) and isinstance(here, UUID) and raw == key.hex:
        return here.hex
    return str(here)


def pointer(relation: Relation, values: Mapping[str, Value]) -> Value:
    """What the relation's columns point with; None if any of them is empty."""
    parts = tuple(values.get(name) for name in relation.columns)
    if any(part is None for part in parts):
        return None
    return parts[0] if len(parts) == 1 else parts
