"""In which order do tables lose their rows, and what has to be emptied first?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ..schema.graph import Graph, strongly_connected
from ..schema.relation import Relation


@dataclass(frozen=True, slots=True)
class Order:
    """`groups` of tables, those that point before those they point at; tables of one group point
    at each other by pointers that cannot be emptied, and lose their rows together. `emptied` are
    the pointers to be emptied first."""

    groups: tuple[tuple[str, ...], ...]
    emptied: tuple[Relation, ...]

    def emptied_of(self, name: str) -> list[Relation]:
        return [relation for relation in self.emptied if relation.source == name]

    def emptied_columns(self, name: str) -> list[str]:
        return [column for relation in self.emptied_of(name) for column in relation.columns]

    def emptied_sources(self, names: Iterable[str]) -> list[str]:
        """Those of the tables that have pointers to be emptied."""
        sources = {relation.source for relation in self.emptied}
        return [name for name in names if name in sources]

    @property
    def stuck(self) -> bool:
        """Whether some rows must go together, in no order."""
        return any(len(group) > 1 for group in self.groups)


def removal_order(graph: Graph, going: Collection[str], checked: Collection[str]) -> Order:
    """The order in which the tables in `going` lose their rows.

    `checked` names the relations that must hold at every step, not only at the end.
    """
    circular = [
        relation
        for relation in graph.relations
        if relation.source in going
        and relation.target in going
        and relation.name in checked
        and graph.is_circular(relation)
    ]
    emptied = tuple(r for r in circular if can_be_emptied(graph, r))
    stuck = [r for r in circular if r not in emptied and r.source != r.target]
    groups = _grouped(going, stuck)
    return Order(tuple(_sorted(graph, groups, emptied)), emptied)


def self_stuck(graph: Graph, going: Collection[str]) -> list[Relation]:
    """Pointers of a table at itself that cannot be emptied: its rows go together, too."""
    return [
        relation
        for relation in graph.relations
        if relation.source in going
        and relation.source == relation.target
        and not can_be_emptied(graph, relation)
    ]


def can_be_emptied(graph: Graph, relation: Relation) -> bool:
    """Whether rows may point at nothing until they go: not where that is part of their key, nor
    where a constraint of the table's could forbid it."""
    table = graph.tables[relation.source]
    is_key = not set(relation.columns).isdisjoint(table.key_names)
    return relation.is_nullable and not is_key and not table.needs_asking


def _grouped(going: Collection[str], stuck: Collection[Relation]) -> list[tuple[str, ...]]:
    """Tables that stuck relations join in a circle stand together."""
    pointed: dict[str, set[str]] = {name: set() for name in going}
    for relation in stuck:
        pointed[relation.source].add(relation.target)
    circles = strongly_connected({name: sorted(targets) for name, targets in pointed.items()})
    group_of = {name: tuple(sorted(circle)) for circle in circles for name in circle}
    return list({group_of[name]: None for name in going})


def _sorted(
    graph: Graph, groups: list[tuple[str, ...]], emptied: tuple[Relation, ...]
) -> list[tuple[str, ...]]:
    """Each group after all that point at it: by foreign keys always, by generic ones where that
    can be."""
    place_of = {name: place for place, group in enumerate(groups) for name in group}
    hard: dict[int, set[int]] = {place: set() for place in range(len(groups))}
    soft: dict[int, set[int]] = {place: set() for place in range(len(groups))}
    for relation in graph.relations:
        if relation.source not in place_of or relation in emptied:
            continue
        source = place_of[relation.source]
        if relation.is_generic:
            for place in range(len(groups)):
                soft[place].add(source)
        elif relation.target in place_of:
            hard[place_of[relation.target]].add(source)
    order = {table.name: place for place, table in enumerate(graph.load_order)}
    last_first = sorted(
        range(len(groups)), key=lambda p: max(order[n] for n in groups[p]), reverse=True
    )
    return [groups[place] for place in _drained(last_first, hard, soft)]


def _drained(
    places: list[int], hard: Mapping[int, set[int]], soft: Mapping[int, set[int]]
) -> list[int]:
    left, drained = list(places), list[int]()
    while left:
        waiting = set(left)

        def is_free(place: int, waiting: set[int] = waiting) -> bool:
            return not (hard[place] & waiting - {place})

        free = [place for place in left if is_free(place)] or left[:1]
        easy = [place for place in free if not (soft[place] & waiting - {place})]
        drained.append((easy or free)[0])
        left.remove(drained[-1])
    return drained
