"""Which rows would the database itself remove or change when others go, without asking anybody?

Constraints with `ON DELETE CASCADE`, `SET NULL` or `SET DEFAULT`: Django 6.1's own, and those that
somebody made by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from ..errors import Finding, Severity
from ..schema.graph import Graph
from ..walk.keys import KeySet
from .dialect import DeleteAction, quoted
from .dialects import dialect_of
from .select import Reader


class Cascades:
    """What one database does by itself; asked of it once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._graph: Graph = reader.graph

    @cached_property
    def _actions(self) -> list[DeleteAction]:
        return list(dialect_of(self._reader.connection).delete_actions())

    @cached_property
    def _relations(self) -> Mapping[tuple[str, frozenset[str]], str]:
        """Relation names by where they stand: table and columns, as the database calls them."""
        tables = self._graph.tables
        return {
            (
                tables[r.source].db_table,
                frozenset(tables[r.source].column(name).db_name for name in r.columns),
            ): r.name
            for r in self._graph.relations
            if not r.is_generic
        }

    @cached_property
    def relations(self) -> frozenset[str]:
        """The names of the relations that the database acts upon."""
        places = ((action.table, frozenset(action.columns)) for action in self._actions)
        return frozenset(self._relations[place] for place in places if place in self._relations)

    def unknown(self, going: Mapping[str, KeySet]) -> Iterator[Finding]:
        """A blocker for each table that Gestore does not know and the database would take rows
        from: they would be gone without a trace."""
        tables = {self._graph.tables[name].db_table: name for name in going}
        for action in self._actions:
            place = action.table, frozenset(action.columns)
            name = tables.get(action.target)
            if place in self._relations or name is None:
                continue
            count = sum(self._count(action, name, keys) for keys in going[name].batches(5_000))
            if count:
                rows = "row points" if count == 1 else "rows point"
                yield Finding(
                    "unknown-cascade",
                    Severity.BLOCKER,
                    f"table {action.table}",
                    f"{count:,} {rows} at rows of {self._graph.tables[name].label} that go, and "
                    "the database would remove or change them without a trace.",
                    'Declare its model in GESTORE["UNMANAGED"], with its relations.',
                )

    def _count(self, action: DeleteAction, name: str, keys: list[object]) -> int:
        connection, table = self._reader.connection, self._graph.tables[name]
        where = self._reader.among(table, table.key_names, keys)
        columns = ", ".join(quoted(connection, column) for column in action.columns)
        pointed = ", ".join(quoted(connection, column) for column in action.target_columns)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*) FROM {quoted(connection, action.table)} WHERE ({columns}) IN"
                f" (SELECT {pointed} FROM {quoted(connection, action.target)} WHERE {where.sql})",
                where.parameters,
            )
            return int(cursor.fetchone()[0])
