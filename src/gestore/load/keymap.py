"""Which key here stands for which key at the source?

Only what differs is kept. A row that is to get a new key is `Fresh` until keys are reserved, which
is after every check: nothing here can equal a fresh key.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Protocol, TypeAlias, cast
from uuid import UUID, uuid5

from ..rows import Key, Value
from ..schema.graph import Graph
from ..walk.keys import KeySet
from .pairs import MOST_PAIRS, IntegerPairs, Pairs

Place: TypeAlias = "tuple[str, tuple[str, ...]]"
Reserve: TypeAlias = "Callable[[int], Sequence[int]]"
_BATCH_KEYS = 50_000


@dataclass(frozen=True, slots=True)
class Fresh:
    """A key that is not reserved yet: that of the row `source` of `table`."""

    table: str
    source: Key


class _Assigned(Protocol):
    """Source keys to their new ones."""

    def __getitem__(self, source: Key) -> Key: ...

    def many(self, sources: Iterable[Key]) -> dict[Key, Key]:
        """The new keys of those of the sources that have one, perhaps of others."""


class KeyMap:
    """Source values to target values, by table and columns (the key's columns for keys).

    `derived` says which columns are themselves pointers, and to what: the key of a multi-table
    child, or of a one-to-one that is the key, follows the row it points at.
    """

    def __init__(self, derived: Mapping[Place, Place] | None = None) -> None:
        self._values: dict[Place, Pairs] = defaultdict(Pairs)
        self._fresh: dict[Place, KeySet] = {}
        self._assigned: dict[Place, _Assigned] = {}
        self._drawn: dict[Place, _Assigned] = {}
        self._recalled: dict[Place, Pairs | IntegerPairs] = {}
        self._derived = dict(derived or {})
        # The places of all of these, so that what changes nothing is not asked value by value.
        self._touched: set[Place] = set()
        self._changes: Counter[Place] = Counter()

    @property
    def touched_count(self) -> int:
        """Grows whenever `may_change` may give another answer."""
        return len(self._touched)

    def may_change(self, place: Place) -> bool:
        """Whether any value there may have another here."""
        if place in self._touched:
            return True
        derived = self._derived.get(place)
        return derived is not None and self.may_change(derived)

    def chain(self, place: Place) -> Iterator[Place]:
        """The place, and those that its values follow."""
        yield place
        while place in self._derived:
            place = self._derived[place]
            yield place

    def change_count(self, place: Place) -> int:
        """Grows whenever something else becomes of a value there."""
        return sum(self._changes[link] for link in self.chain(place))

    def put(self, table: str, columns: tuple[str, ...], source: Value, target: Value) -> None:
        """`target` stands for `source`, also where `source` was to get a new key."""
        if source != target or self.is_fresh((table, columns), source):
            self._touched.add((table, columns))
            self._changes[table, columns] += 1
            self._values[table, columns][source] = target

    def forget(self, table: str, columns: tuple[str, ...], source: Value) -> bool:
        """Take back what `put` said of it; whether it had said anything."""
        values = self._values.get((table, columns))
        is_told = values is not None and values.pop(source)
        self._changes[table, columns] += is_told
        return is_told

    def renew(self, place: Place, keys: Sequence[Key], empty: Callable[[], KeySet]) -> None:
        """These rows are to get new keys."""
        self._touched.add(place)
        self._changes[place] += 1
        if place not in self._fresh:
            self._fresh[place] = empty()
        self._fresh[place].add(keys)

    def target(self, table: str, columns: tuple[str, ...], source: Value) -> Value:
        """The value here for the value there; `Fresh` while its key is not reserved."""
        place = (table, columns)
        values = self._values.get(place)
        if values is not None and source in values:
            return self._settled(values[source])
        fresh = self._fresh.get(place)
        if fresh is not None and source in fresh:
            assigned = self._assigned.get(place)
            return Fresh(table, source) if assigned is None else assigned[source]
        recalled = self._recalled.get(place)
        if recalled is not None and source in recalled:
            return recalled[source]
        derived = self._derived.get(place)
        return source if derived is None else self.target(*derived, source)

    def targets(
        self, table: str, columns: tuple[str, ...], sources: Sequence[Value]
    ) -> Sequence[Value]:
        """`target` of each of them, None for None: the very list where nothing may change."""
        place = (table, columns)
        if not self.may_change(place):
            return sources
        found = self._found(place, {source for source in sources if source is not None})
        return [found.get(source, source) for source in sources]

    def _found(self, place: Place, sources: set[Value]) -> dict[Value, Value]:
        """The targets of those of the sources that have another, perhaps of more."""
        fresh = self._fresh.get(place)
        if fresh is None or self._values.get(place) or {place} & {*self._recalled, *self._derived}:
            return {source: self.target(*place, source) for source in sources}
        # Nothing but new keys: asked of all at once.
        assigned = self._assigned.get(place)
        if isinstance(assigned, IntegerPairs):
            return assigned.many(sources)
        changing = sources - {*fresh.lacking(sources)}
        if assigned is None:
            return {source: Fresh(place[0], source) for source in changing}
        return assigned.many(changing)

    def _settled(self, value: Value) -> Value:
        """A composite key may hold parts that were fresh when it was put."""
        if isinstance(value, Fresh):
            place = next(place for place in self._fresh if place[0] == value.table)
            return self.target(*place, value.source)
        if isinstance(value, tuple):
            return tuple(self._settled(part) for part in value)
        return value

    def recall(self, place: Place, pairs: Pairs) -> None:
        """What an earlier import of the same archive made of these keys."""
        self._touched.add(place)
        self._recalled[place] = pairs
        if len(pairs) <= MOST_PAIRS and all(type(k) is int for p in pairs.items() for k in p):
            in_order = sorted(cast("Iterable[tuple[int, int]]", pairs.items()))
            self._recalled[place] = IntegerPairs.of(in_order, len(in_order))

    def is_changed(self, table: str, columns: tuple[str, ...], source: Key) -> bool:
        """Whether the source's value has another here."""
        return self.target(table, columns, source) != source

    def is_fresh(self, place: Place, source: Key) -> bool:
        fresh = self._fresh.get(place)
        return fresh is not None and source in fresh

    def fresh_counts(self) -> dict[Place, int]:
        """How many new keys each table wants."""
        return {place: len(keys) for place, keys in self._fresh.items()}

    # New keys are drawn, maybe of one table after the other, and then used, all at once: while rows
    # are being examined nothing equals a new key, drawn or not.

    def is_drawn(self, place: Place) -> bool:
        """Whether nothing is left to be drawn for the place: none of its keys is new, or all are
        known."""
        return place not in self._fresh or place in self._drawn

    def draw_integers(self, place: Place, reserve: Reserve) -> None:
        """Give the fresh rows of a table reserved keys: ascending, in the order of their own."""
        fresh = self._fresh[place]
        targets = reserve(len(fresh))
        starts = range(0, len(fresh), _BATCH_KEYS)
        blocks = (
            (array("q", cast("list[int]", keys)), array("q", targets[start : start + _BATCH_KEYS]))
            for start, keys in zip(starts, fresh.packed(_BATCH_KEYS), strict=True)
        )
        self._drawn[place] = IntegerPairs(blocks, len(fresh))

    def draw_uuids(self, place: Place, namespace: UUID) -> None:
        """Give them UUIDs made of the namespace and their own: nothing needs to be kept."""
        self._drawn[place] = _DerivedUUIDs(namespace)

    def undraw(self) -> None:
        """Forget what was drawn, and is not used."""
        self._drawn.clear()

    def use_drawn(self) -> None:
        """From now on the drawn keys are what becomes of their rows."""
        self._assigned = self._drawn

    def with_drawn(self) -> KeyMap:
        """This map, as it will be when the drawn keys are used."""
        view = copy(self)
        view.use_drawn()
        return view

    def changed(self, place: Place) -> Iterator[tuple[Key, Key]]:
        """Every key of the table that has another here, with that one."""
        for source in self._values.get(place, ()):
            yield source, self.target(*place, source)
        fresh = self._fresh.get(place)
        if fresh is not None and place in self._assigned:
            assigned = self._assigned[place]
            for batch in fresh.batches(_BATCH_KEYS):
                found = assigned.many(batch)
                yield from ((source, found[source]) for source in batch)

    def __len__(self) -> int:
        return sum(map(len, self._values.values())) + sum(map(len, self._fresh.values()))


class _DerivedUUIDs:
    def __init__(self, namespace: UUID) -> None:
        self._namespace = namespace

    def __getitem__(self, source: Key) -> Key:
        return uuid5(self._namespace, str(source))

    def many(self, sources: Iterable[Key]) -> dict[Key, Key]:
        return {source: self[source] for source in sources}


def is_fresh(value: Value) -> bool:
    """Whether a translated value, or a part of it, is a key not reserved yet."""
    if isinstance(value, tuple):
        return any(is_fresh(part) for part in value)
    return isinstance(value, Fresh)


def derived_places(graph: Graph) -> dict[Place, Place]:
    """The columns that others point at and that are pointers themselves, with what they point at:
    a key that is a one-to-one, or the link to a multi-table parent."""
    pointed = {(t.name, t.key_names) for t in graph.tables.values()}
    pointed |= {(r.target, r.target_columns) for r in graph.relations if not r.is_generic}
    return {
        (r.source, r.columns): (r.target, r.target_columns)
        for r in graph.relations
        if not r.is_generic and (r.source, r.columns) in pointed
    }
