"""Which rows belong to the roots, and which do they point at?

Breadth first, a level at a time, one question per relation, level and batch of keys. Knows neither
SQL nor files: a `KeySource` answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from typing import Any, Protocol, TypeAlias, cast

from ..rows import Key, Value, batches
from ..schema.graph import Graph
from ..schema.policy import Follow, Policies, Policy
from ..schema.relation import Relation
from .closure import Closure, Status
from .keys import KeySet, empty_keys
from .source import KeySource
from .trail import Direction, Step

_Lots: TypeAlias = "dict[Relation | None, KeySet]"


@dataclass(frozen=True, slots=True)
class Roots:
    """Where a walk starts, and the models whose other rows are never owned."""

    keys_by_table: Mapping[str, Sequence[Key]]
    models: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a removal says of a walk: by which relations belongings come, whether what is pointed at
    can be owned, which rows are never owned, and which are shared from the start."""

    brings: Callable[[Relation], bool]
    owns_forward: bool = True
    staying: Mapping[str, KeySet] = field(default_factory=dict)
    shared: Mapping[str, KeySet] = field(default_factory=dict)


class Recorder(Protocol):
    """Told of every step that brought rows in."""

    def __call__(self, step: Step) -> None: ...


def walk(
    graph: Graph,
    roots: Roots,
    policies: Policies,
    follow: Follow,
    source: KeySource,
    record: Recorder | None = None,
    bounds: Bounds | None = None,
) -> Closure:
    """The closure of the roots: complete, nothing taken points at a row that is neither taken,
    external, skipped nor dangling."""
    walker = _Walker(graph, roots, policies, follow, source, record or _forget, bounds)
    return walker.run()


def owning(
    graph: Graph,
    roots: Roots,
    policies: Policies,
    follow: Follow,
    source: KeySource,
    bounds: Bounds,
) -> Callable[[Relation, str], bool]:
    """Whether such a walk owned every row that points by a relation at an owned row of a table:
    it asked for all of them, and left none out. Nobody needs to ask again in the same snapshot."""
    walker = _Walker(graph, roots, policies, follow, source, _forget, bounds)
    return walker.owns_all_that_point


def _forget(step: Step) -> None:
    pass


class _Walker:
    def __init__(
        self,
        graph: Graph,
        roots: Roots,
        policies: Policies,
        follow: Follow,
        source: KeySource,
        record: Recorder,
        bounds: Bounds | None,
    ) -> None:
        self.graph = graph
        self.roots = roots
        self.policies = policies
        self.follow = follow
        self.source = source
        self.record = record
        self.bounds = bounds
        self.closure = Closure(graph)
        named = set(roots.models) | set(roots.keys_by_table)
        # A multi-table child of a root model is a row of the root model too.
        self.families = [{name, *graph.children(name)} for name in sorted(named)]
        self.root_family = set().union(*self.families)
        self.root_ancestors = {
            upper for name in named for upper in graph.ancestors(name)
        } - self.root_family
        # New keys by table and status, in lots by the relation that they came by.
        self.pending: dict[tuple[str, Status], _Lots] = defaultdict(dict)

    def run(self) -> Closure:
        for name, keys in self.roots.keys_by_table.items():
            new = self.closure.taken_of(name).add(Status.OWNED, keys)
            self.record(Step(None, Direction.ROOT, name, Status.OWNED, (), new))
            self._add(self.pending[name, Status.OWNED], name, None, new)
        for name, lot in (self.bounds.shared if self.bounds else {}).items():
            for keys in lot.batches(self.source.batch_keys):
                new = self.closure.taken_of(name).add(Status.SHARED, keys)
                self._add(self.pending[name, Status.SHARED], name, None, new)
        while self.pending:
            level, self.pending = self.pending, defaultdict(dict)
            for (name, status), lots in sorted(level.items(), key=_by_table):
                self._leave(name, status, lots)
        self.closure.settle()
        return self.closure

    def _add(self, lots: _Lots, name: str, via: Relation | None, keys: Iterable[Key]) -> None:
        if via not in lots:
            lots[via] = empty_keys(self.graph.tables[name])
        lots[via].add(keys)

    def _leave(self, name: str, status: Status, lots: _Lots) -> None:
        """Follow every relation of the newly taken rows of one table."""
        chains = self._chains(name, status)
        self._to_the_end(chains, name, status, lots)
        for relation in self.graph.pointing_at(name):
            if relation not in chains and self._is_followed_back(relation, name, status):
                # A parent that was reached from its child need not ask for that child again; of
                # any other relation there may be more rows that point here.
                known = relation if relation.is_parent else None
                for keys in self._batches(lots, without=known):
                    self._come_back(relation, name, status, keys)
        for relation in self.graph.pointing_from(name):
            if self.policies.of_relation(relation) is Policy.SKIP:
                continue
            # The rows that came because they point here: where they point is known.
            for keys in self._batches(lots, without=relation):
                self._go_forward(relation, status, keys)

    def _chains(self, name: str, status: Status) -> list[Relation]:
        """The relations by which rows of the table hang on one another."""
        return [
            relation
            for relation in self.graph.pointing_at(name)
            if relation.source == name
            and not relation.is_generic
            and self._is_followed_back(relation, name, status)
        ]

    def _to_the_end(
        self, chains: Sequence[Relation], name: str, status: Status, lots: _Lots
    ) -> None:
        """Add to the lots all that hangs on them: a chain of 10,000 rows is 10,000 levels, and at
        each of them only the chain's own relation is asked, not every other one too."""
        fresh = lots
        while chains and fresh:
            for relation in chains:
                for keys in self._batches(fresh, without=None):
                    self._come_back(relation, name, status, keys)
            fresh = self.pending.pop((name, status), {})
            for via, lot in fresh.items():
                for keys in lot.batches(self.source.batch_keys):
                    self._add(lots, name, via, keys)

    def _batches(self, lots: _Lots, without: Relation | None) -> Iterable[list[Key]]:
        """The keys of all lots in order, but for those that came by the relation."""
        size = self.source.batch_keys
        # A generic or self-relation leads from one table to several rows: no short cut there.
        if without is not None and (without.is_generic or without.source == without.target):
            without = None
        wanted = [lot for via, lot in lots.items() if without is None or via is not without]
        if len(wanted) == 1:
            return wanted[0].batches(size)
        streams: list[Any] = [(key for keys in lot.batches(size) for key in keys) for lot in wanted]
        return batches(merge(*streams), size)

    # Backward: the rows that point at a taken row --------------------------------------------

    def _is_followed_back(self, relation: Relation, target: str, status: Status) -> bool:
        """Rule 2, rule 4 and the policies: may rows come in because they point at `target`?"""
        policy = self.policies.of_relation(relation) or self.policies.of_table(relation.source)
        if policy in (Policy.SKIP, Policy.EXTERNAL):
            return False
        if relation.is_parent:
            return True
        if status is not Status.OWNED or policy is Policy.SHARE:
            return False
        if self.bounds and policy is not Policy.OWN and not self.bounds.brings(relation):
            return False
        return not self._is_kept_out(relation, target)

    def owns_all_that_point(self, relation: Relation, target: str) -> bool:
        if self.bounds and len(self.bounds.staying.get(relation.source, ())):
            return False
        has_strangers = relation.source in self.root_ancestors and not relation.is_parent
        return not has_strangers and self._is_followed_back(relation, target, Status.OWNED)

    def _is_kept_out(self, relation: Relation, target: str) -> bool:
        """Rule 4: other rows of the roots' models are never owned, but for those that hang on a
        root through a self-relation."""
        if relation.source not in self.root_family:
            return False
        is_self = any(relation.source in f and target in f for f in self.families)
        return relation.is_generic or not is_self

    def _come_back(
        self, relation: Relation, target: str, status: Status, keys: Sequence[Key]
    ) -> None:
        pointing = self.source.pointing(relation, target, keys)
        for found in batches(pointing, self.source.batch_keys):
            if relation.source in self.root_ancestors and not relation.is_parent:
                found = self._without_strangers(relation.source, found)
            self._take(relation, Direction.BACK, target, keys, relation.source, status, found)

    def _without_strangers(self, name: str, keys: Sequence[Key]) -> list[Key]:
        """Leave out the parent halves of other rows of a root model: rule 4 is about them too."""
        strangers: set[Key] = set()
        for child, key in self._halves(name, keys):
            taken = self.closure.taken.get(child[0])
            if taken is None or child[1] not in taken.owned:
                strangers.add(key)
        return [key for key in keys if key not in strangers]

    def _halves(self, name: str, keys: Sequence[Key]) -> Iterable[tuple[tuple[str, Key], Key]]:
        """The rows of root models that these rows are the upper half of: ((table, key), key)."""
        links = [r for r in self.graph.pointing_at(name) if r.is_parent]
        for link in links:
            pairs = [
                pair
                for batch in batches(keys, self.source.batch_keys)
                for pair in self.source.pointing_pairs(link, batch)
            ]
            if link.source in self.root_family:
                yield from (((link.source, child), key) for child, key in pairs)
            elif pairs and link.source in self.root_ancestors:
                upper = dict(pairs)
                for half, middle in self._halves(link.source, [child for child, _ in pairs]):
                    yield half, upper[middle]

    # Forward: the rows that a taken row points at ------------------------------------------------

    def _go_forward(self, relation: Relation, status: Status, keys: Sequence[Key]) -> None:
        if not relation.is_generic:
            if self.policies.of_table(relation.target) is not Policy.SKIP:
                values = self.source.pointed(relation, keys)
                self._arrive(relation, relation.target, status, keys, [(v, v) for v in values])
            return
        by_table: dict[str, list[tuple[Value, Value]]] = defaultdict(list)
        for pair in cast("Sequence[tuple[Key, Value]]", self.source.pointed(relation, keys)):
            content_type, raw = pair
            by_table[self.source.generic_target(content_type)].append((raw, pair))
        for target, raws in sorted(by_table.items()):
            self._arrive_generic(relation, target, status, keys, raws)

    def _arrive_generic(
        self,
        relation: Relation,
        target: str,
        status: Status,
        keys: Sequence[Key],
        raws: list[tuple[Value, Value]],
    ) -> None:
        """`raws` are raw keys, each with the pair it stands for."""
        if self.policies.of_table(target) is Policy.SKIP:
            return
        values: list[tuple[Value, Value]] = []
        for raw, pair in raws:
            key = self.source.generic_key(target, raw) if target else None
            if key is None:
                self.closure.add_dangling(relation, [pair])
            else:
                values.append((key, pair))
        self._arrive(relation, target, status, keys, values)

    def _arrive(
        self,
        relation: Relation,
        target: str,
        status: Status,
        keys: Sequence[Key],
        values: list[tuple[Value, Value]],
    ) -> None:
        """`values` are what is pointed at, each with the value to remember if nothing is there."""
        if not values:
            return
        table = self.graph.tables[target]
        columns = relation.target_columns or table.key_names
        wanted = [value for value, _ in values]
        if relation.points_at_key:
            # What is taken exists: only the others are looked for.
            wanted = self.closure.taken_of(target).missing(wanted)
        found: list[Key] = []
        there: set[Value] = set()
        for batch in batches(wanted, self.source.batch_keys):
            for value, key in self.source.resolve(target, columns, batch):
                there.add(value)
                found.append(key)
        absent = set(wanted) - there
        self.closure.add_dangling(relation, [mark for value, mark in values if value in absent])
        if relation.points_at_key:
            found += [value for value, _ in values if value not in absent and value not in there]
        reached = self._status_forward(relation, target, status)
        if reached is None:
            self.closure.external_of(target).add(found)
            return
        if reached is Status.OWNED and target in self.root_ancestors and not relation.is_parent:
            # Rule 4: the parent halves of other rows of a root model come as shared.
            own = set(self._without_strangers(target, found))
            strangers = [key for key in found if key not in own]
            origin, forward = relation.source, Direction.FORWARD
            self._take(relation, forward, origin, keys, target, Status.SHARED, strangers)
            found = [key for key in found if key in own]
        self._take(relation, Direction.FORWARD, relation.source, keys, target, reached, found)

    def _status_forward(self, relation: Relation, target: str, status: Status) -> Status | None:
        """How a pointed-at row comes; None for external."""
        policy = self.policies.of_relation(relation) or self.policies.of_table(target)
        if policy is Policy.EXTERNAL:
            return None
        if relation.is_parent:
            return status
        if status is Status.SHARED or policy is Policy.SHARE or target in self.root_family:
            return Status.SHARED
        if self.bounds and not self.bounds.owns_forward:
            return Status.SHARED
        if policy is Policy.OWN or self.follow is Follow.CONNECTED:
            return Status.OWNED
        return Status.SHARED

    def _take(
        self,
        relation: Relation,
        direction: Direction,
        origin: str,
        origin_keys: Sequence[Key],
        name: str,
        status: Status,
        keys: Sequence[Key],
    ) -> None:
        if status is Status.OWNED and self.bounds and name in self.bounds.staying:
            going = self.bounds.staying[name].missing(keys)
            gone = set(going)
            staying = [key for key in keys if key not in gone]
            self._take(relation, direction, origin, origin_keys, name, Status.SHARED, staying)
            keys = going
        new = self.closure.taken_of(name).add(status, keys)
        if new:
            self.record(Step(relation, direction, name, status, origin_keys, new, origin))
            self._add(self.pending[name, status], name, relation, new)


def _by_table(item: tuple[tuple[str, Status], object]) -> tuple[str, str]:
    (name, status), _ = item
    return name, status.value
