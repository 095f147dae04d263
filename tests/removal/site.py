"""What does a project look like from which rows are to go? The walk's small world, and more of it.

Relations say what becomes of a row that points at a deleted one, and the rows answer what points
where; and the removal's rules are written here once more, in the slowest and plainest way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from gestore.removal.plan import Removal, plan_removal
from gestore.rows import Key, Value
from gestore.schema.policy import Follow, Policies, Policy
from gestore.schema.relation import Relation, RelationKind
from gestore.walk.walker import Roots
from tests.walk.small_world import DictSource, World, relation
from tests.walk.test_rules import Place, Reference, Trip, trips

GOING = ("CASCADE", "DB_CASCADE")
CHANGING = ("SET_NULL", "SET_DEFAULT", "DB_SET_NULL")
BLOCKING = ("PROTECT", "RESTRICT", "DO_NOTHING")


@dataclass
class Pointers(DictSource):
    """Answers which row points where, too."""

    def pointer_pairs(self, relation: Relation, keys: Sequence[Key]) -> list[tuple[Key, Value]]:
        self._ask("pointer_pairs", relation.name, keys)
        names = [relation.content_type, *relation.columns] if relation.is_generic else None
        rows = self.rows[relation.source]
        pairs = []
        for key in keys:
            parts = tuple(rows[key].get(name) for name in names or relation.columns)
            if None not in parts:
                pairs.append((key, parts[0] if len(parts) == 1 else parts))
        return pairs


@dataclass(repr=False)
class Project(World):
    """A world whose rows can be asked where they point."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.pointers = Pointers(self.graph, self.source.rows, self.batch_keys)
        self.source = self.pointers

    def plan(
        self,
        *roots: Place,
        follow: Follow = Follow.OWNED,
        policies: Mapping[str, Policy] | None = None,
        models: Sequence[str] = (),
    ) -> Removal:
        """Plan to remove rows (table, key). `policies` are by `w.table`, or `w.table.relation`."""
        keys: dict[str, list[Key]] = {}
        for name, key in roots:
            keys.setdefault(f"w.{name}", []).append(key)
        return plan_removal(
            self.graph,
            Roots(keys, frozenset(f"w.{name}" for name in models)),
            as_policies(policies or {}),
            follow,
            self.pointers,
        )


def as_policies(policies: Mapping[str, Policy]) -> Policies:
    return Policies(
        {name: policy for name, policy in policies.items() if name.count(".") == 1},
        {name: policy for name, policy in policies.items() if name.count(".") == 2},
    )


def pointing(
    source: str,
    name: str,
    target: str,
    on_delete: str = "CASCADE",
    *,
    to: Sequence[str] = (),
    is_required: bool = False,
    is_one: bool = False,
    is_constrained: bool = True,
) -> Relation:
    """`w.Source.name`, which points at `w.target`, and what becomes of it when that goes."""
    return replace(
        relation(source, name, target, to=to),
        kind=RelationKind.ONE_TO_ONE if is_one else RelationKind.FOREIGN_KEY,
        on_delete=on_delete,
        is_nullable=not is_required,
        is_constrained=is_constrained,
    )


# The rules, word for word -------------------------------------------------------------------------


@dataclass
class Bounded(Reference):
    """The rules of the walk within a removal's bounds."""

    owns_forward: bool = True
    staying: set[Place] = field(default_factory=set)
    shared_first: set[Place] = field(default_factory=set)

    def run(self) -> Reference:
        self.shared.update(self.shared_first)
        return super().run()

    def _comes_back(self, rel: Relation, source: Place, target: Place, *, is_owned: bool) -> bool:
        is_said = self._policy(rel, rel.source) is Policy.OWN
        if not rel.is_parent and not is_said and rel.on_delete not in GOING:
            # What is no CASCADE brings nothing, unless it is said to.
            return False
        return super()._comes_back(rel, source, target, is_owned=is_owned)

    def _arrive(self, rel: Relation, place: Place, *, is_owned: bool) -> None:
        is_bound = not self.owns_forward and not rel.is_parent
        super()._arrive(rel, place, is_owned=is_owned and not is_bound)

    def _take(self, place: Place, *, is_owned: bool) -> None:
        super()._take(place, is_owned=is_owned and place not in self.staying)


@dataclass
class Rules:
    """What goes, what changes, and what blocks."""

    project: Project
    roots: Sequence[Place]
    models: set[str]
    follow: Follow
    policies: dict[str, Policy]

    def __post_init__(self) -> None:
        self.sure = self._walk(owns_forward=False).owned
        self.going = self._going()

    def _walk(self, *, owns_forward: bool = True, staying: set[Place] | None = None) -> Bounded:
        walk = Bounded(
            self.project,
            list(self.roots),
            self.models,
            self.follow,
            self.policies,
            owns_forward=owns_forward,
            staying=staying or set(),
        )
        walk.run()
        return walk

    def _going(self) -> set[Place]:
        """As much as can go: what somebody holds is left out, until nobody holds anything."""
        staying: set[Place] = set()
        while True:
            self.last = self._walk(staying=staying)
            held = {p for p in self.last.owned - self.sure if self._is_held(p)}
            if not held:
                return self.last.owned
            staying |= held

    def _is_held(self, place: Place) -> bool:
        going = self.last.owned
        for rel, source in self.last._pointing_at(place):
            if source not in going and (rel.is_parent or not self._is_ignored(rel)):
                return True
        return any(
            target not in going and not self._is_lookup(rel, target)
            for rel in self._owners(place[0])
            for target in self._pointed(rel, place)
        )

    def _is_ignored(self, rel: Relation) -> bool:
        policy = self.last._policy(rel, rel.source)
        return policy is Policy.SKIP and not rel.is_constrained and not rel.is_parent

    def _is_lookup(self, rel: Relation, target: Place) -> bool:
        keeping_out = (Policy.SHARE, Policy.EXTERNAL, Policy.SKIP)
        if rel.is_parent:
            return False
        return (
            self.policies.get(rel.name.lower()) in keeping_out
            or self.policies.get(f"w.{target[0]}") in keeping_out
        )

    def _owners(self, name: str) -> list[Relation]:
        """By which relations rows of the table belong to others."""
        table = self.project.graph.tables[f"w.{name}"]
        found = [
            rel
            for rel in self.project.graph.pointing_from(table.name)
            if self._belongs(rel) and not self._is_ignored(rel)
        ]
        if table.through_of:
            return [rel for rel in found if rel.target == table.through_of][:1]
        only = [
            rel
            for rel in found
            if rel.is_parent or (rel.kind is RelationKind.ONE_TO_ONE and not rel.is_nullable)
        ]
        return only or found

    def _belongs(self, rel: Relation) -> bool:
        if rel.is_parent or rel.on_delete in GOING:
            return True
        return rel.on_delete in BLOCKING and self.last._policy(rel, rel.source) is Policy.OWN

    def _pointed(self, rel: Relation, place: Place) -> Iterator[Place]:
        """The rows that the row points at by the relation."""
        for name in self.project.rows:
            for key in self.last._rows(name):
                for other, source in self.last._pointing_at((name, key)):
                    if other is rel and source == place:
                        yield name, key

    def pointers(self) -> Iterator[tuple[Relation, Place, Place]]:
        """Pointers of rows that stay at rows that go."""
        for place in self.going:
            for rel, source in self.last._pointing_at(place):
                if source not in self.going:
                    yield rel, source, place

    def changed(self) -> dict[str, set[Key]]:
        found: dict[str, set[Key]] = {}
        for rel, source, _ in self.pointers():
            if rel.on_delete in CHANGING and not self._is_ignored(rel):
                found.setdefault(rel.name, set()).add(source[1])
        return found

    def blocked(self) -> set[tuple[str, Place, Place]]:
        return {
            (rel.name, source, place)
            for rel, source, place in self.pointers()
            if rel.on_delete not in CHANGING and not self._is_ignored(rel)
        } | set(self._split())

    def _split(self) -> Iterator[tuple[str, Place, Place]]:
        """Upper halves that would stay."""
        for place in self.going:
            for rel in self.project.graph.pointing_from(f"w.{place[0]}"):
                for upper in self._pointed(rel, place) if rel.is_parent else ():
                    if upper not in self.going:
                        yield rel.name, upper, place

    def left_dangling(self) -> set[str]:
        return {rel.name for rel, _, _ in self.pointers() if self._is_ignored(rel)}


# Random projects ----------------------------------------------------------------------------------


@st.composite
def removals(draw: st.DrawFn) -> Trip:
    """A trip whose relations say what becomes of them, and in which policies let rows come."""
    trip = draw(trips())
    kinds = st.sampled_from([*GOING, "CASCADE", "CASCADE", *CHANGING, *BLOCKING])
    relations = [
        rel
        if rel.is_parent or rel.is_generic
        else replace(
            rel,
            on_delete=draw(kinds, label=rel.name),
            kind=draw(st.sampled_from([RelationKind.FOREIGN_KEY, RelationKind.ONE_TO_ONE])),
            is_nullable=draw(st.booleans()),
            is_constrained=draw(st.booleans()),
        )
        for rel in trip.world.relations
    ]
    tables = []
    for table in trip.world.tables:
        targets = [r.target for r in relations if r.source == table.name and r.on_delete in GOING]
        if targets and not table.parents and draw(st.integers(0, 4)) == 0:
            table = replace(table, through_of=draw(st.sampled_from(targets)))
        tables.append(table)
    policies = dict(trip.policies)
    names = [f"w.{name}" for name in trip.world.rows]
    for name in draw(st.sets(st.sampled_from(names), max_size=3)):
        policies.setdefault(name, Policy.OWN)
    project = Project(tables, relations, trip.world.rows, trip.world.batch_keys)
    return replace(trip, world=project, policies=policies)
