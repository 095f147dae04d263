"""What about pointers that the database checks row by row, in circles?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import Finding, Severity
from ..schema.graph import Graph
from ..schema.relation import Relation
from ..schema.table import Table


@dataclass(frozen=True, slots=True)
class Circles:
    """`immediate` are the relations that the database checks row by row. Of those in circles,
    `late` may be empty, and are filled when all rows are in; `stuck` are required, and lead against
    the order of loading even so."""

    immediate: Sequence[Relation]
    late: Sequence[Relation]
    stuck: Sequence[Relation]
    _waiting: frozenset[str]

    @classmethod
    def of(cls, graph: Graph, cannot_defer: Collection[str]) -> Circles:
        immediate = [r for r in graph.relations if r.name in cannot_defer]
        circular = [r for r in immediate if graph.is_circular(r)]
        place = {table.name: number for number, table in enumerate(graph.load_order)}
        late = [r for r in circular if r.is_nullable]
        required = [r for r in circular if not r.is_nullable]
        stuck = [r for r in required if place[r.target] >= place[r.source]]
        waiting = {r.name for r in immediate} - {r.name for r in late}
        return cls(immediate, late, stuck, frozenset(waiting))

    def late_names(self, table: Table) -> list[str]:
        """The columns of a table that are filled when all rows are in."""
        names = (n for r in self.late if r.source == table.name for n in r.columns)
        return list(dict.fromkeys(names))

    def waits(self, relation: Relation) -> bool:
        """Whether what the relation points at has to be in before the row."""
        return relation.name in self._waiting


def check_circles(
    graph: Graph, immediate: set[str], tables: Iterable[str], *, can_go_unchecked: bool
) -> Iterator[Finding]:
    """A circle of required pointers that the database checks row by row cannot be loaded."""
    if can_go_unchecked:
        return
    present = set(tables)
    for relation in graph.relations:
        if (
            relation.name in immediate
            and relation.source in present
            and graph.is_circular(relation)
            and not relation.is_nullable
        ):
            yield Finding(
                "immediate-circle",
                Severity.ERROR,
                relation.name,
                "is required, stands in a circle, and its constraint cannot be deferred.",
                "Make the constraint DEFERRABLE in the database.",
            )
