"""Which rows were taken, and how: the outcome of a walk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from ..rows import Key
from ..schema.graph import Graph
from ..schema.relation import Relation
from ..schema.table import Table
from .keys import KeySet, PlainKeys, empty_keys

_SETTLE_KEYS = 50_000


class Status(Enum):
    """A taken row is owned or shared; a shared one can become owned, never the other way."""

    OWNED = "owned"
    SHARED = "shared"


class TakenKeys(NamedTuple):
    """The keys taken of one table. While a walk lasts, `shared` may still hold keys that became
    owned later; `Closure.settle` takes them out."""

    owned: KeySet
    shared: KeySet

    def add(self, status: Status, keys: Iterable[Key]) -> list[Key]:
        """Take the keys in; those whose status is new come back."""
        if status is Status.OWNED:
            return self.owned.add(keys)
        return self.shared.add(self.owned.missing(keys))

    def take(self, status: Status, keys: Iterable[Key]) -> Sequence[Key]:
        """What `add` does; packed keys come back packed."""
        if status is Status.OWNED:
            return self.owned.take(keys)
        return self.shared.take(self.owned.lacking(keys))

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        """The keys that are taken neither way."""
        return self.shared.missing(self.owned.missing(keys))

    def lacking(self, keys: Iterable[Key]) -> Sequence[Key]:
        """What `missing` does; packed keys come back packed."""
        return self.shared.lacking(self.owned.lacking(keys))

    def of(self, status: Status) -> KeySet:
        return self.owned if status is Status.OWNED else self.shared

    def batches(self, status: Status, size: int) -> Iterator[list[Key]]:
        """The keys of one status, in order."""
        return self.of(status).batches(size)

    def settled(self, shared: KeySet) -> TakenKeys:
        """The same with only those in `shared` that are not owned; `shared` comes empty."""
        for batch in self.shared.packed(_SETTLE_KEYS):
            shared.take(self.owned.lacking(batch))
        return TakenKeys(self.owned, shared)

    def __contains__(self, key: Key) -> bool:
        return key in self.owned or key in self.shared


@dataclass(frozen=True, slots=True)
class Closure:
    """Keys by table: taken, external (identity only), and the values that point at nothing."""

    graph: Graph
    taken: dict[str, TakenKeys] = field(default_factory=dict)
    external: dict[str, KeySet] = field(default_factory=dict)
    dangling: dict[str, KeySet] = field(default_factory=dict)
    # (relation, table, status): every row that points by it at such a row of the table is taken.
    exhausted: set[tuple[str, str, Status]] = field(default_factory=set)

    def taken_of(self, name: str) -> TakenKeys:
        """The keys taken of a table, an empty pair at first."""
        if name not in self.taken:
            table = self.graph.tables[name]
            self.taken[name] = TakenKeys(empty_keys(table), empty_keys(table))
        return self.taken[name]

    def external_of(self, name: str) -> KeySet:
        if name not in self.external:
            self.external[name] = empty_keys(self.graph.tables[name])
        return self.external[name]

    def tables(self) -> list[Table]:
        """The tables with taken rows, in loading order."""
        return [t for t in self.graph.load_order if t.name in self.taken and self.count(t.name)]

    def count(self, name: str, status: Status | None = None) -> int:
        """Rows taken of a table: with one status, or both."""
        taken = self.taken.get(name)
        if taken is None:
            return 0
        return sum(len(taken.of(s)) for s in Status if status in (None, s))

    def settle(self) -> None:
        """At the end of a walk: let every key have one status; what is taken is not external."""
        for name, taken in self.taken.items():
            if len(taken.owned) and len(taken.shared):
                self.taken[name] = taken.settled(empty_keys(self.graph.tables[name]))
            if name in self.external:
                left = empty_keys(self.graph.tables[name])
                for batch in self.external[name].packed(_SETTLE_KEYS):
                    left.take(taken.lacking(batch))
                self.external[name] = left

    def add_dangling(self, relation: Relation, values: Iterable[object]) -> None:
        """Remember values that point at nothing; a generic one is (content type, key)."""
        if relation.name not in self.dangling:
            target = self.graph.tables.get(relation.target)
            columns = relation.target_columns
            self.dangling[relation.name] = empty_keys(target, columns) if target else PlainKeys()
        self.dangling[relation.name].add(values)

    @property
    def row_count(self) -> int:
        return sum(self.count(name) for name in self.taken)

    @property
    def size_bytes(self) -> int:
        """Memory the keys take."""
        sets = [s for taken in self.taken.values() for s in (taken.owned, taken.shared)]
        return sum(s.size_bytes for s in [*sets, *self.external.values()])
