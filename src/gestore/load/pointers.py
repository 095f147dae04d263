"""Does every pointer of an archive lead somewhere: into it, or to an external row?

Reads along with the rows; a pointer to a row that has not come yet is remembered, compactly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from ..errors import Finding, Severity
from ..rows import Value, key_text
from ..schema.graph import Graph
from ..schema.policy import Policy
from ..schema.relation import Relation
from ..schema.table import Table
from ..walk.keys import KeySet, PlainKeys, empty_keys
from .decoding import Decoding, SourceRow
from .translation import pointer

_BATCH_KEYS = 5_000
_SHOWN = 100


class Columns(Protocol):
    """A batch of rows as columns, with the values as the archive has them."""

    def values(self, name: str) -> Sequence[Value]: ...

    def filled(self, name: str) -> Sequence[Value]:
        """The values that are not empty."""


class PointerCheck:
    """Follows one reading of an archive. `archived` gives the keys read of a table so far."""

    def __init__(
        self, graph: Graph, decoding: Decoding, archived: Callable[[str], KeySet | None]
    ) -> None:
        self._graph = graph
        self._decoding = decoding
        self._archived = archived
        # Values of pointed-at columns that are no key.
        self._values: dict[tuple[str, tuple[str, ...]], KeySet] = {}
        # Pointers whose row had not come yet when they were read, by relation and table.
        self._open: dict[tuple[str, str], KeySet] = {}
        self._external = self._external_keys()

    def _external_keys(self) -> dict[str, set[Value]]:
        external: dict[str, set[Value]] = defaultdict(set)
        for row in self._decoding.manifest.external:
            table = self._graph.tables.get(row.model)
            if table is not None:
                external[table.name].add(self._decoding.key_of(table, row.pk))
        return external

    def read(self, table: Table, rows: Sequence[SourceRow]) -> None:
        """Take in a batch of rows whose keys are archived already."""
        self._collect_values(table, rows)
        for relation in self._graph.pointing_from(table.name):
            pointed: dict[str, list[Value]] = defaultdict(list)
            if relation.is_generic:
                for row in rows:
                    for target, value in self._generic_pointer(relation, row):
                        pointed[target].append(value)
            elif not self._decoding.is_skipped(relation, {}):
                pointed[relation.target] = _values(relation, rows)
            for target, values in pointed.items():
                if values and not self._is_external_by_key(target):
                    self._wait_for(relation, target, values)

    def read_columns(self, table: Table, columns: Columns) -> None:
        """The same of a batch that comes as columns, and in which nothing dangled."""
        for relation in self._graph.pointing_at(table.name):
            if not (relation.points_at_key or relation.is_generic):
                self._values_of(relation).take(_filled(relation.target_columns, columns))
        for relation in self._graph.pointing_from(table.name):
            for target, values in self._pointed(relation, columns):
                if values and not self._is_external_by_key(target):
                    self._wait_for(relation, target, values)

    def _pointed(
        self, relation: Relation, columns: Columns
    ) -> Iterator[tuple[str, Sequence[Value]]]:
        if not relation.is_generic:
            if not self._decoding.is_skipped(relation, {}):
                yield relation.target, _filled(relation.columns, columns)
            return
        types, raws = map(columns.values, (relation.content_type, *relation.columns))
        pairs = set(zip(types, raws, strict=True))
        by_type: dict[Value, list[Value]] = defaultdict(list)
        for content_type, raw in pairs:
            if raw is not None:
                by_type[content_type].append(raw)
        for content_type, pointed in by_type.items():
            values = {relation.content_type: content_type}
            target = self._decoding.target_of(relation, values)
            if target and not self._decoding.is_skipped(relation, values):
                key_from = self._graph.tables[target].key_from
                yield target, [key for raw in pointed if (key := key_from(raw)) is not None]

    def _wait_for(self, relation: Relation, target: str, values: Sequence[Value]) -> None:
        """Remember those of the values whose row has not come yet."""
        if external := self._external.get(target):
            values = [value for value in values if value not in external]
        unknown = self._unknown(relation, target, values)
        if unknown:
            place = (relation.name, target)
            if place not in self._open:
                table = self._graph.tables[target]
                self._open[place] = empty_keys(table, relation.target_columns)
            self._open[place].take(unknown)

    def pointers(self, row: SourceRow) -> Iterator[tuple[Relation, str, Value]]:
        """What the row points at: relation, table, the source's value; dangling ones left out."""
        for relation in self._graph.pointing_from(row.table.name):
            if relation.is_generic:
                for target, key in self._generic_pointer(relation, row):
                    yield relation, target, key
            elif not self._decoding.is_skipped(relation, row.values):
                for value in _values(relation, [row]):
                    yield relation, relation.target, value

    def _generic_pointer(self, relation: Relation, row: SourceRow) -> Iterator[tuple[str, Value]]:
        value = pointer(relation, row.values)
        if value is None or relation.field_name in row.dangling:
            return
        target = self._decoding.target_of(relation, row.values)
        if target and not self._decoding.is_skipped(relation, row.values):
            key = self._graph.tables[target].key_from(value)
            if key is not None:
                yield target, key

    def _collect_values(self, table: Table, rows: Sequence[SourceRow]) -> None:
        """Keep the values that foreign keys with a `to_field` can point at."""
        for relation in self._graph.pointing_at(table.name):
            if relation.points_at_key or relation.is_generic:
                continue
            parts = [tuple(row.values.get(n) for n in relation.target_columns) for row in rows]
            values = [p[0] if len(p) == 1 else p for p in parts if None not in p]
            self._values_of(relation).add(values)

    def _values_of(self, relation: Relation) -> KeySet:
        place = (relation.target, relation.target_columns)
        if place not in self._values:
            table = self._graph.tables[relation.target]
            self._values[place] = empty_keys(table, relation.target_columns)
        return self._values[place]

    def _unknown(self, relation: Relation, target: str, values: Sequence[Value]) -> Sequence[Value]:
        """Those of the values that no row read so far has."""
        if relation.points_at_key:
            known = self._archived(target)
        else:
            known = self._values.get((target, relation.target_columns))
        return values if known is None else known.lacking(values)

    def _is_external_by_key(self, target: str) -> bool:
        """The original's documents name no external rows: `verify` finds those that lack."""
        manifest = self._decoding.manifest
        is_external = manifest.policies.get(target) == Policy.EXTERNAL.value
        return manifest.format_version == 1 and is_external

    def close(self) -> None:
        """After the last row: drop the pointers whose row came after all; the rest is missing."""
        still_open: dict[tuple[str, str], KeySet] = {}
        for (name, target), values in self._open.items():
            relation = self._graph.relations_by_name[name.lower()]
            absent: KeySet = PlainKeys()
            for batch in values.batches(_BATCH_KEYS):
                absent.add(self._unknown(relation, target, batch))
            if len(absent):
                still_open[name, target] = absent
        self._open = still_open

    @property
    def has_missing(self) -> bool:
        """Whether pointers lead to rows that never came; `missing` names them."""
        return bool(self._open)

    def missing(self, rows: Iterable[SourceRow]) -> Iterator[Finding]:
        """Name the rows whose pointers lead nowhere: the first hundred, and how many more."""
        count = 0
        for row in rows:
            for relation, target, value in self.pointers(row):
                if value in self._open.get((relation.name, target), ()):
                    count += 1
                    if count <= _SHOWN:
                        yield _missing(row, relation, self._graph.tables[target], value)
        if count > _SHOWN:
            yield Finding(
                "missing",
                Severity.ERROR,
                "the archive",
                f"{count - _SHOWN:,} more pointers lead to rows that are not in it.",
            )


def _values(relation: Relation, rows: Sequence[SourceRow]) -> list[Value]:
    """What the rows point with by a relation that is not generic; dangling ones left out."""
    name = relation.field_name
    rows = [row for row in rows if name not in row.dangling]
    if len(relation.columns) > 1:
        values = [pointer(relation, row.values) for row in rows]
    else:
        (column,) = relation.columns
        values = [row.values.get(column) for row in rows]
    return [value for value in values if value is not None]


def _filled(names: Sequence[str], columns: Columns) -> Sequence[Value]:
    """The values of the columns in the rows that have all of them."""
    if len(names) == 1:
        return columns.filled(names[0])
    return [parts for parts in zip(*map(columns.values, names), strict=True) if None not in parts]


def _missing(row: SourceRow, relation: Relation, target: Table, value: Value) -> Finding:
    return Finding(
        "missing",
        Severity.ERROR,
        row.reference,
        f"{relation.field_name} points at {target.label}.{key_text(value)}, which is neither in "
        "the archive nor external.",
        "Was the archive edited? Put the row back, or export it again.",
    )
