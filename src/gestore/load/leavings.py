"""What did a deletion leave in the pointers of rows that stayed?

Their `on_delete` says it here as it did there: a row that still has it can be given back what it
had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..archive.values import is_same
from ..errors import ConfigurationError, GestoreError
from ..rows import Value
from ..schema.graph import Graph
from ..schema.on_delete import Effect, effect_of, values_left
from ..schema.relation import Relation
from ..schema.table import Table
from .decoding import SourceRow


class Leavings:
    """Asked within the import's transaction, and of each relation once: a `SET(function)` may
    write."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._values: dict[str, Mapping[str, Value]] = {}

    def among(self, row: SourceRow, names: Sequence[str], here: Mapping[str, Value]) -> set[str]:
        """Of the columns in which the archived row and the row here differ, those that a deletion
        changed and that have here what it left."""
        found: set[str] = set()
        for relation in self._graph.pointing_from(row.table.name):
            columns = set(relation.columns)
            wanted = columns.intersection(names)
            if wanted and columns <= row.changed:
                left = self._left_by(relation, row.table)
                found |= {n for n in wanted & left.keys() if _is(row.table, n, left, here)}
        return found

    def _left_by(self, relation: Relation, table: Table) -> Mapping[str, Value]:
        if relation.name not in self._values:
            self._values[relation.name] = _left_by(relation, table)
        return self._values[relation.name]


def _left_by(relation: Relation, table: Table) -> Mapping[str, Value]:
    """By column; nothing where no deletion changes such pointers here."""
    if effect_of(relation) is not Effect.CHANGES:
        return {}
    try:
        values = values_left(relation, table)
        return {
            name: None if value is None else table.column(name).leaf.to_python(value)
            for name, value in zip(relation.columns, values, strict=True)
        }
    except GestoreError:
        # Only the database could tell: what it left is then a difference like any other.
        return {}
    except Exception as error:
        # The project's own function: whatever it raises, the relation is named.
        raise ConfigurationError(
            f"The on_delete of {relation.name} failed: {type(error).__name__}: {error}",
            hint="It is asked what a deletion left there. Everything was rolled back.",
        ) from error


def _is(table: Table, name: str, one: Mapping[str, Value], other: Mapping[str, Value]) -> bool:
    return is_same(table.column(name), one[name], other[name])
