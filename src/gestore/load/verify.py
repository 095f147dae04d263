"""Is what was written really there, and does every pointer lead somewhere?"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Protocol

from ..errors import Finding, Severity
from ..rows import Key, Value, key_text
from ..schema.graph import Graph
from ..schema.relation import Relation
from ..schema.table import Table
from ..walk.keys import KeySet
from .decoding import SourceRow, row_batches
from .loader import Loaded
from .translation import Translation
from .versions import differing, shown

_BATCH_KEYS = 10_000
_SHOWN = 100


class Witness(Protocol):
    """Looks into the database after the load."""

    def count(self, table: Table, names: Sequence[str], values: Sequence[Value]) -> int: ...

    def unresolved(
        self, relation: Relation, keys: Sequence[Key], known: Mapping[str, KeySet] | None = None
    ) -> Sequence[Key]:
        """Those of the rows whose pointer leads to no row. `known` are rows that there are."""


def verify(
    graph: Graph,
    loaded: Loaded,
    witness: Witness,
    proved: Container[str] = (),
    taken: Mapping[str, int] | None = None,
) -> Iterator[Finding]:
    """What is wrong with the rows just written; nothing, normally. The pointers of the relations
    `proved` are left to the database, which checks them itself. `taken` says how many rows it took
    of each table, where what it took is there: those need not be looked for."""
    for name, keys in loaded.keys_by_table.items():
        if taken is None:
            yield from _absent(graph.tables[name], keys, witness)
        elif (found := taken.get(name, 0)) != (written := loaded.rows_by_table[name]):
            yield _too_few(graph.tables[name], written, found)
    known = None if taken is None else loaded.keys_by_table
    yield from dangling(graph, loaded, witness, proved, known)
    for name, keys in loaded.restored.items():
        relation = graph.relations_by_name[name.lower()]
        table = graph.tables[relation.source]
        yield from _absent(table, keys, witness)
        yield from _unresolved(table, relation, keys, set(), witness)


def dangling(
    graph: Graph,
    loaded: Loaded,
    witness: Witness,
    proved: Container[str] = (),
    known: Mapping[str, KeySet] | None = None,
) -> Iterator[Finding]:
    """The written rows whose pointers lead nowhere. What is `known` need not be looked for."""
    for written in (loaded.keys_by_table, loaded.overridden):
        for name, keys in written.items():
            for relation in graph.pointing_from(name):
                if relation.name in proved:
                    continue
                allowed = loaded.dangling.get(relation.name, set())
                table = graph.tables[name]
                yield from _unresolved(table, relation, keys, allowed, witness, known)


def _absent(table: Table, keys: KeySet, witness: Witness) -> Iterator[Finding]:
    batches = keys.packed(_BATCH_KEYS)
    found = sum(witness.count(table, table.key_names, batch) for batch in batches)
    if found != len(keys):
        yield _too_few(table, len(keys), found)


def _too_few(table: Table, written: int, found: int) -> Finding:
    told = f"{written:,} rows were written and {found:,} are there."
    return Finding("count", Severity.ERROR, table.label, told)


def _unresolved(
    table: Table,
    relation: Relation,
    keys: KeySet,
    allowed: set[Key],
    witness: Witness,
    known: Mapping[str, KeySet] | None = None,
) -> Iterator[Finding]:
    shown = 0
    for batch in keys.packed(_BATCH_KEYS):
        for key in witness.unresolved(relation, batch, known):
            if key in allowed:
                continue
            shown += 1
            if shown <= _SHOWN:
                yield Finding(
                    "dangling",
                    Severity.ERROR,
                    f"{table.label}.{key_text(key)}",
                    f"{relation.field_name} would point at nothing.",
                )


def read_back(
    rows: Iterable[SourceRow],
    translation: Translation,
    matching: Callable[[Table, Sequence[str], Sequence[Value]], Sequence[tuple[Value, ...]]],
) -> Iterator[Finding]:
    """Compare every value of the written rows with what the database gives back."""
    for table, group in groupby(rows, key=lambda row: row.table):
        for batch in row_batches(group):
            wanted = [(row, translation.values(row)) for row in batch]
            keys = [translation.key(table, values) for _, values in wanted]
            found: dict[Key, dict[str, Value]] = {}
            for stored in matching(table, table.key_names, keys):
                here = {c.name: v for c, v in zip(table.columns, stored, strict=True)}
                found[translation.key(table, here)] = here
            for (row, values), key in zip(wanted, keys, strict=True):
                yield from _different(table, row, values, found.get(key))


def _different(
    table: Table, row: SourceRow, values: dict[str, Value], here: dict[str, Value] | None
) -> Iterator[Finding]:
    if here is None:
        yield Finding("read-back", Severity.ERROR, row.reference, "was written and is not there.")
    elif names := differing(table, row, values, here):
        yield Finding(
            "read-back",
            Severity.ERROR,
            row.reference,
            f"came back with other values: {shown(names, values, here)}.",
            "A trigger, or a column too narrow, may have changed them.",
        )
