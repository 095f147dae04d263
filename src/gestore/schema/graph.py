"""Which tables are there, what points at what, and in which order and circles?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from ..errors import NotFound
from .relation import Relation
from .table import Table


class Graph:
    """The project's tables and the relations between them. Immutable.

    `undeclared` holds the labels of unmanaged models, by lower-case name, that were left out.
    """

    def __init__(
        self,
        tables: Iterable[Table],
        relations: Iterable[Relation],
        undeclared: Mapping[str, str] | None = None,
    ) -> None:
        self.tables: dict[str, Table] = {table.name: table for table in tables}
        self.relations: tuple[Relation, ...] = tuple(relations)
        self.undeclared = dict(undeclared or {})

    def table(self, name: str) -> Table:
        """The table of a model label (any case; a proxy's is its concrete model's)."""
        wanted = name.lower()
        table = self.tables.get(wanted) or self.tables_by_proxy.get(wanted)
        if table is not None:
            return table
        if wanted in self.undeclared:
            raise NotFound(
                f"{self.undeclared[wanted]} is unmanaged, and unmanaged models take part only "
                f"when declared.",
                hint=f'Add "{self.undeclared[wanted]}" to GESTORE["UNMANAGED"].',
            )
        raise NotFound(f"No model {name!r} in this project.", hint=self._near(wanted))

    def _near(self, wanted: str) -> str:
        from difflib import get_close_matches

        near = get_close_matches(wanted, self.tables, n=3)
        return (
            f"Did you mean {', '.join(self.tables[name].label for name in near)}?" if near else ""
        )

    @cached_property
    def tables_by_proxy(self) -> dict[str, Table]:
        return {proxy: table for table in self.tables.values() for proxy in table.proxies}

    @cached_property
    def relations_by_name(self) -> dict[str, Relation]:
        return {relation.name.lower(): relation for relation in self.relations}

    @cached_property
    def _from(self) -> dict[str, list[Relation]]:
        found: dict[str, list[Relation]] = {name: [] for name in self.tables}
        for relation in self.relations:
            found[relation.source].append(relation)
        return found

    @cached_property
    def _at(self) -> dict[str, list[Relation]]:
        found: dict[str, list[Relation]] = {name: [] for name in self.tables}
        for relation in self.relations:
            for name in self._targets(relation):
                found[name].append(relation)
        return found

    def _targets(self, relation: Relation) -> Sequence[str]:
        """A generic key can point at any table with a key of one column."""
        if not relation.is_generic:
            return (relation.target,)
        return [name for name, table in self.tables.items() if len(table.key_names) == 1]

    def pointing_from(self, name: str) -> Sequence[Relation]:
        """The relations whose columns stand in this table."""
        return self._from[name]

    def pointing_at(self, name: str) -> Sequence[Relation]:
        """The relations whose columns may hold a row of this table, generic ones included."""
        return self._at[name]

    def children(self, name: str) -> list[str]:
        """Multi-table children, all the way down."""
        found = [n for n, table in self.tables.items() if name in table.parents]
        return found + [lower for child in found for lower in self.children(child)]

    def ancestors(self, name: str) -> list[str]:
        """Multi-table parents, all the way up."""
        parents = [parent for parent in self.tables[name].parents if parent in self.tables]
        return parents + [upper for parent in parents for upper in self.ancestors(parent)]

    @cached_property
    def circles(self) -> list[tuple[str, ...]]:
        """The tables in loading order, pointed-at ones first; those that point at each other in
        a circle stand together, in one tuple with their names sorted."""
        targets = {
            name: sorted({r.target for r in self._from[name] if not r.is_generic} - {name})
            for name in sorted(self.tables)
        }
        return strongly_connected(targets)

    @cached_property
    def load_order(self) -> list[Table]:
        """The tables, pointed-at ones first where such an order exists, and in a circle those that
        are required to be pointed at; multi-table parents come before their children always."""
        order: list[Table] = []
        for circle in self.circles:
            for inner in self._by_need(circle):
                by_depth = sorted(inner, key=lambda name: (len(self.ancestors(name)), name))
                order.extend(self.tables[name] for name in by_depth)
        return order

    def _by_need(self, circle: Sequence[str]) -> list[tuple[str, ...]]:
        """The circle without the pointers that may be empty."""
        needed = {
            name: sorted(
                {r.target for r in self._from[name] if r.is_parent or not _may_be_empty(r)}
                & set(circle) - {name}
            )
            for name in circle
        }
        return strongly_connected(needed)

    @cached_property
    def circle_of(self) -> dict[str, int]:
        """Table name to the number of its circle; equal numbers point at each other."""
        return {name: n for n, circle in enumerate(self.circles) for name in circle}

    def is_circular(self, relation: Relation) -> bool:
        """True when no order of tables lets the pointed-at row always come first."""
        if relation.is_generic:
            return False
        return self.circle_of[relation.source] == self.circle_of[relation.target]


def _may_be_empty(relation: Relation) -> bool:
    return relation.is_generic or relation.is_nullable


def strongly_connected(targets: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Tarjan's algorithm without recursion: components, pointed-at ones first."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    components: list[tuple[str, ...]] = []
    for start in targets:
        if start in index:
            continue
        work = [(start, iter(targets[start]))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            name, pending = work[-1]
            following = next(pending, None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    components.append(_unwind(stack, on_stack, name))
            elif following not in index:
                index[following] = low[following] = len(index)
                stack.append(following)
                on_stack.add(following)
                work.append((following, iter(targets[following])))
            elif following in on_stack:
                low[name] = min(low[name], index[following])
    return components


def _unwind(stack: list[str], on_stack: set[str], name: str) -> tuple[str, ...]:
    component = []
    while True:
        member = stack.pop()
        on_stack.discard(member)
        component.append(member)
        if member == name:
            return tuple(sorted(component))
