"""Which rows belong to the roots, and which do they point at?

Breadth first, a level at a time, one question per relation, level and batch of keys. What a row
points at is read along when the row is found. Knows neither SQL nor files: a `KeySource` answers.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, Protocol, TypeAlias

from ..rows import Key, Value, batches
from ..schema.graph import Graph
from ..schema.policy import Follow, Policies, Policy
from ..schema.relation import Relation
from ..schema.table import Kind, Table
from .closure import Closure, Status
from .keys import KeySet, PackedUUIDs, empty_keys
from .source import Ask, KeySource, Lot, arriving, pointed, standing
from .trail import Direction, Step

_Way: TypeAlias = "tuple[Relation, Direction]"
_Place: TypeAlias = "tuple[str, Status]"


# Where fewer than one in so many rows of an answer are new, it is asked anew where those point.
_READ_ANEW = 16


class Roots(NamedTuple):
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
    walker = _Walker(graph, roots, policies, follow, source, record, bounds)
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
    walker = _Walker(graph, roots, policies, follow, source, None, bounds)
    return walker.owns_all_that_point


class _Arrivals:
    """Rows of one table that were newly taken with one status, by the way that they came; what is
    known of where they point, and of which rows it is not."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.table = graph.tables[name]
        self.lots: dict[_Way | None, KeySet] = {}
        self.unread = empty_keys(self.table)
        self.pointers: dict[Relation, KeySet] = {}

    def add(self, way: _Way | None, keys: Sequence[Key], lot: Lot | None) -> None:
        """`keys` are newly taken: they never came before. `lot` is what was read of exactly these
        rows."""
        if way not in self.lots:
            self.lots[way] = empty_keys(self.table)
        self.lots[way].extend(keys)
        if lot is None or lot.pointers is None:
            self.unread.extend(keys)
        else:
            self.read(lot.pointers)

    def read(self, pointers: Mapping[str, Sequence[Value]]) -> None:
        for relation in self.graph.pointing_from(self.table.name):
            if values := pointers.get(relation.name):
                self._values(relation).take(values)

    def _values(self, relation: Relation) -> KeySet:
        if relation not in self.pointers:
            target = self.graph.tables[relation.target]
            self.pointers[relation] = empty_keys(target, relation.target_columns)
        return self.pointers[relation]

    def read_lots(self, lots: Iterable[Lot]) -> None:
        for lot in lots:
            if lot.pointers is not None:
                self.read(lot.pointers)

    def absorb(self, later: _Arrivals, size: int) -> None:
        for way, lot in later.lots.items():
            for keys in lot.packed(size):
                self.lots.setdefault(way, empty_keys(self.table)).take(keys)
        for keys in later.unread.packed(size):
            self.unread.take(keys)
        for relation, values in later.pointers.items():
            for some in values.packed(size):
                self._values(relation).take(some)

    def batches(self, size: int, without: _Way | None = None) -> Iterator[Sequence[Key]]:
        """The keys in order, but for those that came that way."""
        wanted = [lot for way, lot in self.lots.items() if without is None or way != without]
        if len(wanted) == 1:
            return wanted[0].packed(size)
        together = empty_keys(self.table)
        for lot in wanted:
            for keys in lot.packed(size):
                together.take(keys)
        return together.packed(size)


class _Question(NamedTuple):
    """What is asked, and who takes the parts of the answer, all of them."""

    ask: Ask[Any]
    take: Callable[[Iterable[Any]], None]


class _Forward(NamedTuple):
    """Keys of the target, sorted, at most a lot of them, that rows of that status point at.
    `origin` are those rows, for the trail; `lost` says which values are to be remembered if no row
    has some of the keys."""

    relation: Relation
    target: str
    status: Status
    origin: Sequence[Key]
    keys: Sequence[Key]
    lost: Callable[[set[Key]], Iterable[Value]]


class _Walker:
    def __init__(
        self,
        graph: Graph,
        roots: Roots,
        policies: Policies,
        follow: Follow,
        source: KeySource,
        record: Recorder | None,
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
        self.pending: dict[_Place, _Arrivals] = {}
        self.along: dict[str, list[Relation]] = {}

    def run(self) -> Closure:
        for name, keys in self.roots.keys_by_table.items():
            new = self.closure.taken_of(name).add(Status.OWNED, keys)
            self._tell(Step(None, Direction.ROOT, name, Status.OWNED, (), new))
            self._arrivals(name, Status.OWNED).add(None, new, None)
        for name, lot in (self.bounds.shared if self.bounds else {}).items():
            for some in lot.packed(self.source.lot_keys):
                fresh = self.closure.taken_of(name).take(Status.SHARED, some)
                self._arrivals(name, Status.SHARED).add(None, fresh, None)
        while self.pending:
            level, self.pending = self.pending, {}
            self._leave(sorted(level.items(), key=_by_table))
        self.closure.settle()
        return self.closure

    def _arrivals(self, name: str, status: Status) -> _Arrivals:
        if (name, status) not in self.pending:
            self.pending[name, status] = _Arrivals(self.graph, name)
        return self.pending[name, status]

    def _tell(self, step: Step) -> None:
        if self.record is not None:
            self.record(step)

    def _leave(self, level: Sequence[tuple[_Place, _Arrivals]]) -> None:
        """Follow every relation of the newly taken rows. The questions of all tables stand in two
        queues, in which none needs another's answer: first what points at the rows, then what they
        point at, which is known by then."""
        for (name, status), arrivals in level:
            self._to_the_end(name, status, arrivals)
        for questions in (self._first_questions, self._last_questions):
            self._put(chain.from_iterable(questions(*place, found) for place, found in level))

    def _put(self, questions: Iterable[_Question]) -> None:
        asks = ((question.take, question.ask) for question in questions)
        for take, parts in self.source.in_turn(asks):
            take(parts)

    def _first_questions(
        self, name: str, status: Status, arrivals: _Arrivals
    ) -> Iterator[_Question]:
        chains = self._chains(name, status)
        size = self._lot_size(name)
        for relation in self.graph.pointing_at(name):
            if relation not in chains and self._is_followed_back(relation, name, status):
                # A parent that was reached from its child need not ask for that child again; of
                # any other relation there may be more rows that point here.
                known = (relation, Direction.FORWARD) if relation.is_parent else None
                for keys in arrivals.batches(size, without=known):
                    yield self._back(relation, name, status, keys)
        if along := self._along(name):
            for keys in arrivals.unread.packed(size):
                yield _Question(standing(name, keys, along), arrivals.read_lots)
        for relation in self.graph.pointing_from(name):
            if relation.is_generic and self.policies.of_relation(relation) is not Policy.SKIP:
                # The rows that came because they point here: where they point is known.
                known = (relation, Direction.BACK)
                for keys in arrivals.batches(self.source.batch_keys, without=known):
                    take = partial(self._arrive_generic, relation, status, keys)
                    yield _Question(pointed(relation, keys), take)

    def _last_questions(
        self, name: str, status: Status, arrivals: _Arrivals
    ) -> Iterator[_Question]:
        for relation in self.graph.pointing_from(name):
            if relation in arrivals.pointers:
                origin = self._origin(arrivals)
                target = self.graph.tables[relation.target]
                for values in arrivals.pointers[relation].packed(self.source.lot_keys):
                    if relation.points_at_key and _is_exact(target):
                        ahead = _Forward(relation, target.name, status, origin, values, _themselves)
                        yield from self._forward(ahead)
                        continue
                    for some in batches(values, self.source.batch_keys):
                        pairs = [(value, value) for value in some]
                        self._arrive_loosely(relation, target.name, status, origin, pairs)

    def _chains(self, name: str, status: Status) -> list[Relation]:
        """The relations by which rows of the table hang on one another."""
        return [
            relation
            for relation in self.graph.pointing_at(name)
            if relation.source == name
            and not relation.is_generic
            and self._is_followed_back(relation, name, status)
        ]

    def _to_the_end(self, name: str, status: Status, arrivals: _Arrivals) -> None:
        """Add to the arrivals all that hangs on them: a chain of 10,000 rows is 10,000 levels, and
        at each of them only the chain's own relation is asked, not every other one too."""
        chains = self._chains(name, status)
        size = self._lot_size(name)
        fresh: _Arrivals | None = arrivals if chains else None
        while fresh is not None:
            self._put(
                self._back(relation, name, status, keys)
                for relation in chains
                for keys in fresh.batches(size)
            )
            fresh = self.pending.pop((name, status), None)
            if fresh is not None:
                arrivals.absorb(fresh, size)

    def _lot_size(self, name: str) -> int:
        """Keys of the table in one question: more where they travel packed."""
        is_packed = _is_exact(self.graph.tables[name])
        return self.source.lot_keys if is_packed else self.source.batch_keys

    def _along(self, name: str, without: Relation | None = None) -> list[Relation]:
        """The relations of the table that are read with its rows; where the rows of a question
        point by the relation that led to them is known."""
        if name not in self.along:
            self.along[name] = [
                relation
                for relation in self.graph.pointing_from(name)
                if not relation.is_generic
                and self.policies.of_relation(relation) is not Policy.SKIP
                and self.policies.of_table(relation.target) is not Policy.SKIP
            ]
        return [relation for relation in self.along[name] if relation is not without]

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

    def _back(
        self, relation: Relation, target: str, status: Status, keys: Sequence[Key]
    ) -> _Question:
        along = self._along(relation.source, without=relation)
        return _Question(
            arriving(relation, target, keys, along),
            partial(self._come_back, relation, target, status, keys),
        )

    def _come_back(
        self,
        relation: Relation,
        target: str,
        status: Status,
        keys: Sequence[Key],
        lots: Iterable[Lot],
    ) -> None:
        """Take what points by the relation at these rows of the target."""
        name = relation.source
        may_be_strangers = name in self.root_ancestors and not relation.is_parent
        if not may_be_strangers:
            self.closure.exhausted.add((relation.name, target, status))
        for lot in lots:
            found = self._without_strangers(name, lot.keys) if may_be_strangers else lot.keys
            self._take(relation, Direction.BACK, target, keys, name, status, found, lot)

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

    def _origin(self, arrivals: _Arrivals) -> Sequence[Key]:
        """All of the rows, for the trail; where nobody keeps one, none."""
        if self.record is None:
            return ()
        return next(iter(arrivals.batches(sum(map(len, arrivals.lots.values())))))

    def _arrive_generic(
        self,
        relation: Relation,
        status: Status,
        origin: Sequence[Key],
        parts: Iterable[Iterable[tuple[Key, Value]]],
    ) -> None:
        """The parts are of content types and raw keys."""
        by_table: dict[str, list[tuple[Key, Value]]] = defaultdict(list)
        for pair in chain.from_iterable(parts):
            by_table[self.source.generic_target(pair[0])].append(pair)
        for target, pairs in sorted(by_table.items()):
            if self.policies.of_table(target) is Policy.SKIP:
                continue
            if target:
                self._arrive_at(relation, target, status, origin, pairs)
            else:
                self.closure.add_dangling(relation, pairs)

    def _arrive_at(
        self,
        relation: Relation,
        target: str,
        status: Status,
        origin: Sequence[Key],
        pairs: list[tuple[Key, Value]],
    ) -> None:
        found = self.source.generic_keys(target, [raw for _, raw in pairs])
        if _is_exact(self.graph.tables[target]) and isinstance(found, array | PackedUUIDs):

            def lost(absent: set[Key]) -> Iterator[Value]:
                return (p for key, p in zip(found, pairs, strict=True) if key in absent)

            in_order = empty_keys(self.graph.tables[target]).take(found)
            for some in _slices(in_order, self.source.lot_keys):
                ahead = _Forward(relation, target, status, origin, some, lost)
                self._put(self._forward(ahead))
            return
        values: list[tuple[Value, Value]] = [
            (key, pair) for key, pair in zip(found, pairs, strict=True) if key is not None
        ]
        nowhere = [pair for key, pair in zip(found, pairs, strict=True) if key is None]
        if nowhere:
            self.closure.add_dangling(relation, nowhere)
        self._arrive_loosely(relation, target, status, origin, values)

    def _forward(self, ahead: _Forward) -> Iterator[_Question]:
        """The question after those keys of which it is not known whether a row has them: what is
        taken exists."""
        target = ahead.target
        reached = self._status_forward(ahead.relation, target, ahead.status)
        keys = self.closure.taken_of(target).lacking(ahead.keys)
        if reached is None:
            keys = self.closure.external_of(target).lacking(keys)
        elif reached is Status.OWNED and len(keys) < len(ahead.keys):
            # A shared row becomes owned.
            unknown = empty_keys(self.graph.tables[target])
            unknown.take(keys)
            self._take_ahead(ahead, reached, unknown.lacking(ahead.keys), None)
        if keys:
            along = self._along(target) if reached is not None else []
            yield _Question(standing(target, keys, along), partial(self._arrive, ahead, keys))

    def _arrive(self, ahead: _Forward, keys: Sequence[Key], lots: Iterable[Lot]) -> None:
        """Take what is there of these keys, and remember what is not."""
        reached = self._status_forward(ahead.relation, ahead.target, ahead.status)
        found: list[Sequence[Key]] = []
        for lot in lots:
            found.append(lot.keys)
            self._take_ahead(ahead, reached, lot.keys, lot)
        if sum(map(len, found)) < len(keys):
            absent = set(keys).difference(*found)
            self.closure.add_dangling(ahead.relation, ahead.lost(absent))

    def _take_ahead(
        self, ahead: _Forward, reached: Status | None, keys: Sequence[Key], lot: Lot | None
    ) -> None:
        if reached is None:
            self.closure.external_of(ahead.target).take(keys)
        else:
            self._take_forward(ahead.relation, ahead.target, reached, ahead.origin, keys, lot)

    def _arrive_loosely(
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
        else:
            self._take_forward(relation, target, reached, keys, found, None)

    def _take_forward(
        self,
        relation: Relation,
        target: str,
        reached: Status,
        keys: Sequence[Key],
        found: Sequence[Key],
        lot: Lot | None,
    ) -> None:
        origin, forward = relation.source, Direction.FORWARD
        if reached is Status.OWNED and target in self.root_ancestors and not relation.is_parent:
            # Rule 4: the parent halves of other rows of a root model come as shared.
            own = set(self._without_strangers(target, found))
            strangers = [key for key in found if key not in own]
            self._take(relation, forward, origin, keys, target, Status.SHARED, strangers, None)
            found, lot = [key for key in found if key in own], None
        self._take(relation, forward, origin, keys, target, reached, found, lot)

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
        lot: Lot | None,
    ) -> None:
        """`lot` is what was read of these rows and perhaps of more."""
        if status is Status.OWNED and self.bounds and name in self.bounds.staying:
            going = self.bounds.staying[name].missing(keys)
            gone = set(going)
            staying = [key for key in keys if key not in gone]
            shared = Status.SHARED
            self._take(relation, direction, origin, origin_keys, name, shared, staying, lot)
            keys = going
        new = self.closure.taken_of(name).take(status, keys)
        if new:
            self._tell(Step(relation, direction, name, status, origin_keys, new, origin))
            # Where others of the lot were taken before, what they point at is, too. Of a lot of
            # which some stay away it is not said whose the pointers are.
            is_all = lot is not None and len(keys) == len(lot.keys) <= _READ_ANEW * len(new)
            self._arrivals(name, status).add(
                self._way(relation, direction, origin), new, lot if is_all else None
            )

    def _way(self, relation: Relation, direction: Direction, origin: str) -> _Way | None:
        """How rows came, where somebody asks for those that came otherwise: where they are kept
        apart they have to be put together."""
        if relation.is_generic:
            # A key that holds a text may be equal to it only in the database.
            is_asked = direction is Direction.BACK and _is_exact(self.graph.tables[origin])
        else:
            is_asked = direction is Direction.FORWARD and relation.is_parent
        return (relation, direction) if is_asked else None


def _is_exact(table: Table) -> bool:
    """Whether the table's keys are equal in the database exactly if they are in Python."""
    columns = table.key_columns
    return len(columns) == 1 and columns[0].kind in (Kind.INTEGER, Kind.UUID)


def _themselves(keys: set[Key]) -> Iterable[Value]:
    return keys


def _slices(keys: Sequence[Key], size: int) -> Iterator[Sequence[Key]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _by_table(item: tuple[_Place, object]) -> tuple[str, str]:
    (name, status), _ = item
    return name, status.value
