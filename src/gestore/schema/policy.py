"""What happens to the rows of a model, or to what one relation leads to?

The words of the command line, the setting and the built-in defaults become one `Policies` value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ..errors import NotFound
from .graph import Graph
from .relation import Relation


class Policy(Enum):
    """`own`: reached either way from an owned row. `share`: only when pointed at. `external`:
    never taken, must exist at the target. `skip`: never taken, pointers to it are emptied."""

    OWN = "own"
    SHARE = "share"
    EXTERNAL = "external"
    SKIP = "skip"


class Follow(Enum):
    """How far the walk goes: `owned` takes pointed-at rows alone, `connected` with all theirs."""

    OWNED = "owned"
    CONNECTED = "connected"


DEFAULTS = {
    "contenttypes.contenttype": Policy.EXTERNAL,
    "auth.permission": Policy.EXTERNAL,
    "sites.site": Policy.EXTERNAL,
    "sessions.session": Policy.SKIP,
    "admin.logentry": Policy.SKIP,
}


@dataclass(frozen=True, slots=True)
class Policies:
    """The policy of each table and relation that has one; absent means the walk's own rules."""

    by_table: Mapping[str, Policy] = field(default_factory=dict)
    by_relation: Mapping[str, Policy] = field(default_factory=dict)

    def of_table(self, name: str) -> Policy | None:
        return self.by_table.get(name)

    def of_relation(self, relation: Relation) -> Policy | None:
        return self.by_relation.get(relation.name.lower())

    def as_json(self) -> dict[str, str]:
        merged = {**self.by_table, **self.by_relation}
        return {name: policy.value for name, policy in sorted(merged.items())}


def resolve(graph: Graph, *layers: Mapping[str, Policy], skips_by_default: bool = True) -> Policies:
    """The layers' labels against the graph, later layers winning over earlier ones.

    The built-in defaults are the first layer and may name models that are not installed; any
    other label that names neither a model nor a relation here is `NotFound`. A removal skips
    nothing by default: the admin log's rows of a user go with the user.
    """
    by_table = {name: policy for name, policy in DEFAULTS.items() if name in graph.tables}
    by_table |= {name: Policy.SKIP for name, table in graph.tables.items() if _is_session(table)}
    if not skips_by_default:
        by_table = {n: policy for n, policy in by_table.items() if policy is not Policy.SKIP}
    by_table |= {name: Policy.EXTERNAL for name, t in graph.tables.items() if not t.is_managed}
    by_relation: dict[str, Policy] = {}
    for layer in layers:
        for label, policy in layer.items():
            if label.count(".") == 2:
                by_relation[find_relation(graph, label).name.lower()] = policy
            else:
                by_table[graph.table(label).name] = policy
    return Policies(by_table, by_relation)


def find_relation(graph: Graph, label: str) -> Relation:
    """The relation of `app.Model.field`; `NotFound` lists those the model has."""
    relation = graph.relations_by_name.get(label.lower())
    if relation is not None:
        return relation
    table = graph.table(label.rpartition(".")[0])
    names = ", ".join(r.field_name for r in graph.pointing_from(table.name)) or "none"
    raise NotFound(
        f"{table.label} has no relation {label.rpartition('.')[2]!r}.",
        hint=f"Its relations: {names}.",
    )


def unknown_labels(graph: Graph, labels: Sequence[str]) -> list[str]:
    """The labels that name neither a model nor a relation of this project."""
    unknown = []
    for label in labels:
        try:
            resolve(graph, {label: Policy.SKIP})
        except NotFound:
            unknown.append(label)
    return unknown


def _is_session(table: object) -> bool:
    bases = getattr(table, "model").__mro__  # noqa: B009 - any model class will do
    return any(base.__name__ == "AbstractBaseSession" for base in bases)
