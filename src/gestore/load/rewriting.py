"""What about keys that hide in values: in JSON, in text, in the path of a file?

A declared callable rewrites a column (`GESTORE["REWRITERS"]`); columns that look as if they held
keys that changed, and have none, are told of.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from ..errors import ConfigurationError, Finding, Severity
from ..rows import Key, Value
from ..schema.graph import Graph
from ..schema.table import Kind, Table
from .decoding import SourceRow
from .keymap import KeyMap, is_fresh

Rewriter: TypeAlias = "Callable[[Value, NewKeys], Value]"


class NewKeys:
    """The key map as a rewriter sees it."""

    def __init__(self, graph: Graph, keymap: KeyMap) -> None:
        self._graph = graph
        self._keymap = keymap

    def new(self, model: str, key: Key) -> Key:
        """The key here of the row of `model` whose key was `key` at the source. The same key if
        nothing changed it; None while an import only checks and the key is not drawn yet."""
        table = self._graph.table(model)
        here = self._keymap.target(table.name, table.key_names, key)
        return None if is_fresh(here) else here


class Rewriting:
    """Applies the declared rewriters to a row's translated values."""

    def __init__(
        self, graph: Graph, keymap: KeyMap, rewriters: Mapping[str, Rewriter] | None = None
    ) -> None:
        self._keys = NewKeys(graph, keymap)
        self._by_table: dict[str, dict[str, Rewriter]] = {}
        for label, rewrite in (rewriters or {}).items():
            model, _, name = label.rpartition(".")
            self._by_table.setdefault(model.lower(), {})[name] = rewrite

    def has(self, table: Table) -> bool:
        """Whether any column of the table has a rewriter."""
        return table.name in self._by_table

    def rewrite(self, row: SourceRow, values: dict[str, Value]) -> None:
        """Rewrite the row's translated values in place."""
        for name, rewrite in self._by_table.get(row.table.name, {}).items():
            value = values.get(name)
            if value is not None:
                values[name] = self._rewritten(row, name, rewrite, value)

    def _rewritten(self, row: SourceRow, name: str, rewrite: Rewriter, value: Value) -> Value:
        try:
            if row.table.column(name).kind is Kind.JSON:
                return json.dumps(rewrite(json.loads(str(value)), self._keys))
            return rewrite(value, self._keys)
        except Exception as error:
            # The project's own code: whatever it raises, the row is named.
            raise ConfigurationError(
                f'GESTORE["REWRITERS"]["{row.table.label}.{name}"] failed on {row.reference}: '
                f"{type(error).__name__}: {error}",
                hint="Everything was rolled back. While an import checks, new keys may be None.",
            ) from error

    def covers(self, table: Table, name: str) -> bool:
        return name in self._by_table.get(table.name, {})


class Suspects:
    """Watches the rows that are loaded for values that look like keys that changed."""

    def __init__(self, graph: Graph, keymap: KeyMap, rewriting: Rewriting) -> None:
        self._graph = graph
        self._keymap = keymap
        self._rewriting = rewriting
        self._places = [
            (table.name, table.key_names)
            for table in graph.tables.values()
            if len(table.key_names) == 1 and table.key_columns[0].kind is Kind.INTEGER
        ]
        self._watched: dict[str, Sequence[tuple[str, bool]]] = {}
        self._counts: Counter[str] = Counter()

    def watch(self, table: Table, values: Mapping[str, Value]) -> None:
        """Look at a row's values as they were at the source."""
        for name, is_json in self._columns(table):
            value = values.get(name)
            if value is None:
                continue
            if not is_json:
                self._note(f"{table.label}.{name}", value)
                continue
            document = {name: json.loads(str(value))}
            for path, number in _numbers_under_ids(document, table.label):
                self._note(path, number)

    def watch_found(self, found: Sequence[tuple[str, int]]) -> None:
        """The same of numbers that `hidden_numbers` has found already."""
        for path, number in found:
            self._note(path, number)

    def _columns(self, table: Table) -> Sequence[tuple[str, bool]]:
        if table.name not in self._watched:
            self._watched[table.name] = watched_columns(self._graph, self._rewriting, table)
        return self._watched[table.name]

    def _note(self, path: str, number: Value) -> None:
        if any(self._keymap.is_changed(name, columns, number) for name, columns in self._places):
            self._counts[path] += 1

    def findings(self) -> Iterator[Finding]:
        for path, count in sorted(self._counts.items()):
            label = ".".join(path.split(".")[:3]).removesuffix("[]")
            yield Finding(
                "hidden-key",
                Severity.WARNING,
                path,
                f"{count:,} {'value equals a key' if count == 1 else 'values equal keys'} that "
                "changed: left as archived.",
                f'If they are keys, declare GESTORE["REWRITERS"] = {{"{label}": …}}.',
            )


def watched_columns(graph: Graph, rewriting: Rewriting, table: Table) -> Sequence[tuple[str, bool]]:
    """The columns to look at, and whether each is JSON: the others are integers called `*_id` that
    are no relation."""
    pointing = {n for r in graph.pointing_from(table.name) for n in r.columns}
    return [
        (column.name, column.kind is Kind.JSON)
        for column in table.value_columns
        if column.name not in pointing
        and not rewriting.covers(table, column.name)
        and (
            column.kind is Kind.JSON
            or (column.kind is Kind.INTEGER and column.name.endswith("_id"))
        )
    ]


# Names under which a JSON text may hold keys, as `json.dumps` writes them, or any other way.
_LIKE_AN_ID = re.compile(r'ids?"|\\u00[5-7]')


def hidden_numbers(
    table: Table, name: str, values: Sequence[Value], *, is_json: bool
) -> Iterator[tuple[str, int]]:
    """The numbers in a column's values that look like keys, with where they stand."""
    if not is_json:
        path = f"{table.label}.{name}"
        yield from ((path, value) for value in values if isinstance(value, int))
        return
    is_id = name == "id" or name.endswith(("_id", "_ids"))
    for value in values:
        if value is not None and (is_id or _LIKE_AN_ID.search(str(value))):
            yield from _numbers_under_ids({name: json.loads(str(value))}, table.label)


def _numbers_under_ids(value: Value, path: str) -> Iterator[tuple[str, int]]:
    """The integers in a JSON value under names like `user_id` or `user_ids`, with their path."""
    if isinstance(value, dict):
        for name, inner in value.items():
            is_id = name == "id" or name.endswith(("_id", "_ids"))
            if is_id and type(inner) is int:
                yield f"{path}.{name}", inner
            elif is_id and isinstance(inner, list):
                yield from ((f"{path}.{name}[]", n) for n in inner if type(n) is int)
            else:
                yield from _numbers_under_ids(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers_under_ids(inner, path)
