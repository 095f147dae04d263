"""Which columns of a table are replaced by what, and which did nobody decide?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from ..errors import ConfigurationError, Finding, Severity, ValueNotCarried
from ..rows import Value
from ..schema.graph import Graph
from ..schema.table import Column, Kind, Table
from .replacements import keep
from .seed import Seed

Replacement: TypeAlias = "Callable[[Value, Seed], Value]"
Replace: TypeAlias = "Callable[[Value], Value]"

_TEXTS = frozenset({Kind.TEXT, Kind.JSON, Kind.HSTORE, Kind.ARRAY, Kind.CUSTOM})


@dataclass(frozen=True, slots=True)
class Anonymizing:
    """The declared replacements, by table and column; pointers follow what they point at."""

    by_column: Mapping[tuple[str, str], Replacement]
    seed: Seed
    graph: Graph

    @classmethod
    def of(cls, graph: Graph, declared: Mapping[str, Replacement], salt: bytes) -> Anonymizing:
        """Read the setting's labels; `ConfigurationError` names the one that is wrong."""
        by_column = {}
        for label, replacement in declared.items():
            model, _, field = label.rpartition(".")
            table = graph.tables.get(model.lower())
            if table is None or field not in table.columns_by_name:
                raise _wrong(label, "there is no such model or field")
            _check_free(graph, table, field, label)
            by_column[table.name, field] = replacement
        return cls(by_column, Seed(salt), graph)

    def of_table(self, table: Table) -> dict[int, Replace]:
        """The place of each replaced column among the table's, with what replaces its values."""
        found = {}
        for place, column in enumerate(table.columns):
            source = self._source(table, column)
            if source is not None:
                found[place] = self._replace(table, column, *source)
        return found

    def _source(self, table: Table, column: Column) -> tuple[Table, str] | None:
        """The declared column whose values these are: its own, or the one it points at."""
        name, here = column.name, table
        seen = set()
        while (here.name, name) not in seen:
            if (here.name, name) in self.by_column:
                return here, name
            seen.add((here.name, name))
            for relation in self.graph.pointing_from(here.name):
                if name in relation.columns and not relation.is_generic:
                    here = self.graph.tables[relation.target]
                    name = relation.target_columns[relation.columns.index(name)]
                    break
        return None

    def _replace(self, table: Table, column: Column, source: Table, name: str) -> Replace:
        replacement = self.by_column[source.name, name]
        declared = source.column(name)
        seed = replace(
            self.seed,
            max_length=getattr(declared.leaf, "max_length", None) or 0,
            is_unique=any(name in unique.columns for unique in source.unique_sets)
            or name in source.key_names,
            is_nullable=declared.is_nullable,
        )

        def replaced(value: Value) -> Value:
            if value is None:
                return None
            try:
                return replacement(value, seed)
            except (TypeError, ValueError, AttributeError, LookupError) as error:
                raise ValueNotCarried(
                    f"{table.label}.{column.name} cannot be anonymized: {error}.",
                    hint='Name another replacement for it in GESTORE["ANONYMIZE"].',
                ) from error

        return replaced

    def labels(self, tables: Iterable[Table]) -> list[str]:
        """The columns of these tables whose values are replaced, for the manifest."""
        return [
            f"{table.label}.{table.columns[place].name}"
            for table in tables
            for place in self.of_table(table)
            if self._is_changed(table, table.columns[place])
        ]

    def _is_changed(self, table: Table, column: Column) -> bool:
        source = self._source(table, column)
        return source is not None and self.by_column[source[0].name, source[1]] is not keep

    def undecided(self, tables: Iterable[Table]) -> Iterator[Finding]:
        """Columns of text that nobody decided: not declared, no key and no pointer."""
        for table in tables:
            pointers = {
                name
                for relation in self.graph.pointing_from(table.name)
                for name in relation.columns
            }
            for column in table.value_columns:
                if column.kind not in _TEXTS or column.name in pointers:
                    continue
                if self._source(table, column) is None:
                    yield Finding(
                        "undecided",
                        Severity.ERROR,
                        f"{table.label}.{column.name}",
                        "may hold personal data, and nobody decided what becomes of it.",
                        'Name it in GESTORE["ANONYMIZE"]: "gestore.anonymize.keep" leaves it.',
                    )


def _check_free(graph: Graph, table: Table, field: str, label: str) -> None:
    """A pointer follows what it points at; a key that generic keys may hold cannot change."""
    for relation in graph.pointing_from(table.name):
        if field in relation.columns or field == relation.content_type:
            raise _wrong(label, "is a pointer: name what it points at")
    if field in table.key_names and any(r.is_generic for r in graph.relations):
        raise _wrong(label, "is a key, and generic keys may point at it")


def _wrong(label: str, why: str) -> ConfigurationError:
    return ConfigurationError(f'GESTORE["ANONYMIZE"]: {label!r}: {why}.')
