"""Which pointing columns has the database no index for? They make a removal crawl."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from ..errors import Finding, Severity
from ..schema.graph import Graph
from ..schema.relation import Relation
from ..schema.table import Table
from .dialect import quoted
from .dialects import dialect_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# Below, reading the whole table costs less than the warning.
_FEW_ROWS = 1_000


def unindexed(
    connection: BaseDatabaseWrapper, graph: Graph, names: Collection[str]
) -> Iterator[Finding]:
    """A warning for each relation that points at one of the tables from a large one, and whose
    columns no index begins with."""
    relations = {relation: None for name in names for relation in graph.pointing_at(name)}
    tables = {graph.tables[relation.source].db_table for relation in relations}
    # Of indexes of the usual kind, at once; what else there may be is asked where there is none.
    usual = dialect_of(connection).leading_columns(tables)
    # None for a small table: what it has for indexes is not asked, which takes long.
    first_columns: dict[str, set[str] | None] = {}
    for relation in relations:
        table = graph.tables[relation.source]
        if any((table.db_table, name) in usual for name in _columns(relation, table)):
            continue
        if table.name not in first_columns:
            is_large = _is_large(connection, table)
            first_columns[table.name] = _first_columns(connection, table) if is_large else None
        indexed = first_columns[table.name]
        if indexed is not None and _columns(relation, table).isdisjoint(indexed):
            rows = dialect_of(connection).row_estimate(table)
            yield Finding(
                "unindexed",
                Severity.WARNING,
                relation.name,
                f"has no index: {table.label} has about {rows:,} rows, which are all read for "
                "each batch of rows that go.",
                "Give the field an index (db_index=True) before a large deletion.",
            )


def _is_large(connection: BaseDatabaseWrapper, table: Table) -> bool:
    name = quoted(connection, table.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {_FEW_ROWS + 1}) counted")
        return bool(cursor.fetchone()[0] > _FEW_ROWS)


def _columns(relation: Relation, table: Table) -> set[str]:
    names = [*relation.columns, *([relation.content_type] if relation.is_generic else [])]
    return {table.column(name).db_name for name in names}


def _first_columns(connection: BaseDatabaseWrapper, table: Table) -> set[str]:
    """The columns that an index, a key or a unique constraint begins with."""
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, table.db_table)
    return {
        found["columns"][0]
        for found in constraints.values()
        if found["columns"] and (found["index"] or found["primary_key"] or found["unique"])
    }
