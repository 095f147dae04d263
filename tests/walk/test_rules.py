"""Does the walk find what the rules say, row by row?

The rules of the design are written here once more, in the slowest and plainest way: every row is
looked at until nothing changes. Small random projects are walked both ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gestore.rows import Key, Value
from gestore.schema.policy import Follow, Policy
from gestore.schema.relation import Relation
from gestore.walk import walker

from .small_world import (
    World,
    dangling,
    external,
    generic,
    owned,
    parent,
    relation,
    shared,
    table,
)

Place = tuple[str, Key]


@dataclass
class Reference:
    """The rules of the walk, word for word."""

    world: World
    roots: list[Place]
    models: set[str]
    follow: Follow
    policies: dict[str, Policy]
    owned: set[Place] = field(default_factory=set)
    shared: set[Place] = field(default_factory=set)
    external: set[Place] = field(default_factory=set)
    dangling: set[tuple[str, Value]] = field(default_factory=set)

    def run(self) -> Reference:
        # Rule 1.
        self.owned.update(self.roots)
        while self._step():
            pass
        self.shared -= self.owned
        # What is in the archive need not be there already.
        self.external -= self.owned | self.shared
        return self

    def _step(self) -> bool:
        before = self._size()
        for place in [*self.owned, *self.shared]:
            is_owned = place in self.owned
            for rel, source in self._pointing_at(place):
                if self._comes_back(rel, source, place, is_owned=is_owned):
                    self._take(source, is_owned=is_owned)
            for rel in self.world.graph.pointing_from(f"w.{place[0]}"):
                self._follow(rel, place, is_owned=is_owned)
        return self._size() != before

    def _size(self) -> list[int]:
        return [len(s) for s in (self.owned, self.shared, self.external, self.dangling)]

    def _take(self, place: Place, *, is_owned: bool) -> None:
        (self.owned if is_owned else self.shared).add(place)

    # Rule 2, and what keeps rows out of it.

    def _comes_back(self, rel: Relation, source: Place, target: Place, *, is_owned: bool) -> bool:
        policy = self._policy(rel, rel.source)
        if policy in (Policy.SKIP, Policy.EXTERNAL):
            return False
        if rel.is_parent:
            return True
        if not is_owned or policy is Policy.SHARE:
            return False
        return not self._is_other_root(source, rel, target)

    def _is_other_root(self, place: Place, rel: Relation, target: Place) -> bool:
        """Rule 4: a row of a root model, or the upper part of one, that no self-relation joins to
        a root."""
        if self._is_of_root_model(place[0]):
            is_self = any(place[0] in family and target[0] in family for family in self._families())
            return rel.is_generic or not is_self
        return any(
            self._is_of_root_model(half[0]) and half not in self.owned
            for half in self._lower_halves(place)
        )

    # Rule 3.

    def _follow(self, rel: Relation, source: Place, *, is_owned: bool) -> None:
        if self.policies.get(rel.name.lower()) is Policy.SKIP:
            return
        row = self._rows(source[0])[source[1]]
        names = [rel.content_type, *rel.columns] if rel.is_generic else rel.columns
        parts = tuple(row.get(name) for name in names)
        if None in parts:
            return
        target = rel.target
        if rel.is_generic:
            target = self.world.source.generic_target(parts[0])
            if target and self.policies.get(target) is Policy.SKIP:
                return
        elif self.policies.get(target) is Policy.SKIP:
            return
        places = list(self._held(rel, target.removeprefix("w."), parts)) if target else []
        if not places:
            self.dangling.add((rel.name, parts if len(parts) > 1 else parts[0]))
        for place in places:
            self._arrive(rel, place, is_owned=is_owned)

    def _held(self, rel: Relation, target: str, parts: tuple[Value, ...]) -> Iterator[Place]:
        for key, row in self._rows(target).items():
            if rel.is_generic:
                if key == self.world.graph.tables[f"w.{target}"].key_from(parts[1]):
                    yield target, key
            elif tuple(row.get(name) for name in rel.target_columns) == parts:
                yield target, key

    def _arrive(self, rel: Relation, place: Place, *, is_owned: bool) -> None:
        policy = self._policy(rel, f"w.{place[0]}")
        if policy is Policy.EXTERNAL:
            self.external.add(place)
        elif rel.is_parent:
            self._take(place, is_owned=is_owned)
        else:
            becomes_owned = (
                is_owned
                and policy is not Policy.SHARE
                and (policy is Policy.OWN or self.follow is Follow.CONNECTED)
                and not self._is_kept_shared(place)
            )
            self._take(place, is_owned=becomes_owned)

    def _is_kept_shared(self, place: Place) -> bool:
        """Rule 4, for rows that are pointed at."""
        return self._is_of_root_model(place[0]) or any(
            self._is_of_root_model(half[0]) and half not in self.owned
            for half in self._lower_halves(place)
        )

    # What the world is like.

    def _policy(self, rel: Relation, table_name: str) -> Policy | None:
        return self.policies.get(rel.name.lower()) or self.policies.get(table_name)

    def _families(self) -> list[set[str]]:
        named = self.models | {name for name, _ in self.roots}
        return [
            {name, *(c.removeprefix("w.") for c in self.world.graph.children(f"w.{name}"))}
            for name in named
        ]

    def _is_of_root_model(self, name: str) -> bool:
        return any(name in family for family in self._families())

    def _lower_halves(self, place: Place) -> Iterator[Place]:
        for rel, source in self._pointing_at(place):
            if rel.is_parent:
                yield source
                yield from self._lower_halves(source)

    def _rows(self, name: str) -> dict[Key, dict[str, Value]]:
        return self.world.source.rows.get(f"w.{name}", {})  # type: ignore[return-value]

    def _pointing_at(self, place: Place) -> Iterator[tuple[Relation, Place]]:
        for rel in self.world.graph.pointing_at(f"w.{place[0]}"):
            if rel.is_generic:
                keys = [
                    key
                    for key, row in self._rows(rel.source.removeprefix("w.")).items()
                    if row.get(rel.content_type) == place[0]
                    and row.get(rel.columns[0]) is not None
                    and self.world.graph.tables[f"w.{place[0]}"].key_from(row[rel.columns[0]])
                    == place[1]
                ]
            else:
                value = [self._rows(place[0])[place[1]].get(n) for n in rel.target_columns]
                keys = [
                    key
                    for key, row in self._rows(rel.source.removeprefix("w.")).items()
                    if None not in value and [row.get(n) for n in rel.columns] == value
                ]
            for key in keys:
                yield rel, (rel.source.removeprefix("w."), key)


# Random projects --------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d")
KEYS = range(1, 6)
# Mostly rows that are there: what is far from a root must be reached to be tested.
pointers = st.sampled_from([*KEYS, *KEYS, None, 9])


@dataclass(frozen=True)
class Trip:
    """A world and where to start in it."""

    world: World
    roots: tuple[Place, ...]
    models: frozenset[str]
    follow: Follow
    policies: dict[str, Policy]


@st.composite
def trips(draw: st.DrawFn) -> Trip:
    parents = draw(
        st.sampled_from(
            [{}, {}, {"b": "a"}, {"b": "a", "c": "b"}, {"b": "a", "c": "a"}, {"d": "c"}]
        )
    )
    name = st.sampled_from(NAMES)
    ends = draw(st.lists(st.tuples(name, name), min_size=3, max_size=6))
    foreign = [(source, f"to{n}", target) for n, (source, target) in enumerate(ends)]
    by_code = draw(st.sets(st.sampled_from([column for _, column, _ in foreign]), max_size=2))
    generics = draw(st.sets(st.sampled_from(NAMES), max_size=1))
    tables, relations, rows = [], [], {}
    for name in NAMES:
        columns = [column for source, column, _ in foreign if source == name]
        tables.append(
            table(
                name,
                "code",
                *columns,
                *(("kind", "number") if name in generics else ()),
                text=("kind",),
                parents=[parents[name]] if name in parents else (),
            )
        )
        allowed = sorted(rows[parents[name]]) if name in parents else list(KEYS)
        keys = draw(st.sets(st.sampled_from(allowed), min_size=min(3, len(allowed))))
        rows[name] = {
            key: {
                "code": 10 - key,
                **{column: draw(pointers) for column in columns},
                **(
                    {"kind": draw(st.sampled_from([*NAMES, "gone"])), "number": draw(pointers)}
                    if name in generics
                    else {}
                ),
            }
            for key in keys
        }
    for source, column, target in foreign:
        to = ("code",) if column in by_code else ()
        relations.append(relation(source, column, target, to=to))
    relations += [parent(child, upper) for child, upper in parents.items()]
    relations += [generic(name) for name in generics]
    batch_keys, ahead = draw(st.sampled_from([2, 1_000])), draw(st.sampled_from([0, 3]))
    world = World(tables, relations, rows, batch_keys, ahead)
    places = [(name, key) for name in NAMES for key in rows[name]]
    roots = draw(st.sets(st.sampled_from(places), min_size=1, max_size=2))
    labels = [f"w.{name}" for name in NAMES]
    labels += [rel.name.lower() for rel in relations if not rel.is_parent]
    return Trip(
        world,
        tuple(sorted(roots)),
        frozenset(draw(st.sets(st.sampled_from(NAMES), max_size=1))),
        draw(st.sampled_from(Follow)),
        draw(st.dictionaries(st.sampled_from(labels), st.sampled_from(Policy), max_size=2)),
    )


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(trip=trips(), read_anew=st.sampled_from([1, 16]))
def test_walk_keeps_the_rules(trip: Trip, read_anew: int) -> None:
    # How many of an answer's rows have to be new for all of it to be read.
    with patch.object(walker, "_READ_ANEW", read_anew):
        closure = trip.world.walk(
            *trip.roots, follow=trip.follow, policies=trip.policies, models=trip.models
        )
    expected = Reference(
        trip.world, list(trip.roots), set(trip.models), trip.follow, trip.policies
    ).run()
    assert owned(closure) == expected.owned
    assert shared(closure) == expected.shared
    assert external(closure) == expected.external
    found = {(name, value) for name, values in dangling(closure).items() for value in values}
    assert found == expected.dangling
