"""What does a database look like that has only what a test says?

Rows in dictionaries, and the answers that the load asks for: a `RowFinder`, a `RowStore` and a
`Witness` in one. It refuses what a database would refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from gestore.archive.manifest import ColumnEntry, ExternalRow, Manifest, TableEntry
from gestore.archive.values import TimeZones
from gestore.load.circles import Circles
from gestore.load.conflicts import Examiner
from gestore.load.decoding import Decoding
from gestore.load.keymap import KeyMap
from gestore.load.leavings import Leavings
from gestore.load.loader import Loaded, Loader
from gestore.load.meeting import Fates, Ground
from gestore.load.strategies import Strategies, Strategy
from gestore.load.verdicts import Examination
from gestore.rows import ArchivedRow, JsonValue, Key, Value
from gestore.schema.graph import Graph
from gestore.schema.introspect import build_graph
from gestore.schema.relation import Relation
from gestore.schema.table import Column, Table
from gestore.walk.keys import KeySet

ROME = ZoneInfo("Europe/Rome")
ZONES = TimeZones(True, True, ROME, ROME)
GRAPH = build_graph()

Named = dict[str, Value]


class Refusal(Exception):
    """What the database raises."""


@dataclass
class Site:
    """Rows by table name and key. `immediate` names relations that are checked row by row."""

    rows: dict[str, dict[Key, Named]] = field(default_factory=dict)
    immediate: frozenset[str] = frozenset()
    refuses_value: Callable[[Column, Value], str] = lambda column, value: ""
    refuses_row: Callable[[Table, Named], str] = lambda table, row: ""
    questions: list[str] = field(default_factory=list)
    inserted: list[tuple[str, int]] = field(default_factory=list)
    is_unchecked: bool = False
    was_unchecked: bool = False

    def put(self, label: str, /, **values: Any) -> None:
        """A row that is here; what is not said is empty."""
        table = GRAPH.table(label)
        row = {column.name: values.get(column.name) for column in table.columns}
        self.rows.setdefault(table.name, {})[_key(table, row)] = row

    def row(self, label: str, key: Key) -> Named:
        return self.rows[GRAPH.table(label).name][key]

    def keys(self, label: str) -> set[Key]:
        return set(self.rows.get(GRAPH.table(label).name, {}))

    # RowFinder ----------------------------------------------------------------------------------

    def matching(
        self, table: Table, names: Sequence[str], values: Sequence[Value]
    ) -> list[tuple[Value, ...]]:
        self.questions.append(f"matching {table.label}: {', '.join(names)}")
        return [
            tuple(row[column.name] for column in table.columns)
            for row in self._with(table.name, names, values)
        ]

    def resolve(
        self, table: str, columns: Sequence[str], values: Sequence[Value]
    ) -> list[tuple[Value, Key]]:
        found = self._with(table, columns, values)
        return [(_value(row, columns), _key(GRAPH.tables[table], row)) for row in found]

    def _with(self, table: str, names: Sequence[str], values: Sequence[Value]) -> Iterator[Named]:
        wanted = set(values)
        for row in self.rows.get(table, {}).values():
            if _value(row, names) in wanted:
                yield row

    def refuses(self, column: Column, value: Value) -> str:
        return self.refuses_value(column, value)

    def refused(self, table: Table, rows: Sequence[Mapping[str, Value]]) -> list[tuple[int, str]]:
        reasons = [(place, self.refuses_row(table, dict(row))) for place, row in enumerate(rows)]
        return [(place, reason) for place, reason in reasons if reason]

    def clashing(self, table: Table, values: Mapping[str, Value]) -> list[tuple[Value, ...]]:
        return []

    # RowStore -------------------------------------------------------------------------------------

    def insert(
        self, table: Table, columns: Sequence[Column], rows: Sequence[Sequence[Value]]
    ) -> None:
        self.inserted.append((table.label, len(rows)))
        here = self.rows.setdefault(table.name, {})
        for values in rows:
            row: Named = {column.name: None for column in table.columns}
            row |= dict(zip((column.name for column in columns), values, strict=True))
            if row[table.key_names[0]] is None:
                row[table.key_names[0]] = 1 + max((k for k in here), default=0)  # type: ignore[type-var, operator]
            key = _key(table, row)
            if key in here:
                raise Refusal(f"{table.label}.{key} is there.")
            here[key] = row
            self._check(table, row)

    def fill(
        self,
        table: Table,
        columns: Sequence[Column],
        rows: Sequence[tuple[Key, Sequence[Value]]],
    ) -> None:
        for key, values in rows:
            row = self.rows[table.name][key]
            row.update(zip((column.name for column in columns), values, strict=True))
            self._check(table, row)

    def _check(self, table: Table, row: Named) -> None:
        for relation in GRAPH.pointing_from(table.name):
            if relation.name not in self.immediate or self.is_unchecked:
                continue
            value = _value(row, relation.columns)
            if value is not None and not self.resolve(
                relation.target, relation.target_columns, [value]
            ):
                raise Refusal(f"{relation.name} points at nothing.")

    def circles(self, graph: Graph) -> Circles:
        return Circles.of(graph, self.immediate)

    @contextmanager
    def unchecked(self) -> Iterator[None]:
        self.is_unchecked = self.was_unchecked = True
        yield
        self.is_unchecked = False

    # Witness --------------------------------------------------------------------------------------

    def count(self, table: Table, names: Sequence[str], values: Sequence[Value]) -> int:
        return len(list(self._with(table.name, names, values)))

    def unresolved(
        self, relation: Relation, keys: Sequence[Key], known: Mapping[str, KeySet] | None = None
    ) -> list[Key]:
        lost = []
        for key in keys:
            value = _value(self.rows[relation.source][key], relation.columns)
            if relation.is_generic or value is None:
                continue
            if not self.resolve(relation.target, relation.target_columns, [value]):
                lost.append(key)
        return lost


def _value(row: Mapping[str, Value], names: Sequence[str]) -> Value:
    parts = tuple(row[name] for name in names)
    if None in parts:
        return None
    return parts[0] if len(parts) == 1 else parts


def _key(table: Table, row: Mapping[str, Value]) -> Key:
    parts = tuple(row[name] for name in table.key_names)
    return parts[0] if len(parts) == 1 else parts


# Archives -----------------------------------------------------------------------------------------


def archived(label: str, pk: JsonValue, /, **fields: JsonValue) -> ArchivedRow:
    """A row of an archive; `_shared`, `_dangling` and `_changed` are its marks."""
    is_shared = bool(fields.pop("_shared", False))
    dangling, changed = (_names(fields.pop(name, ())) for name in ("_dangling", "_changed"))
    return ArchivedRow(label.lower(), pk, fields, is_shared, dangling, changed)


def _names(marks: JsonValue) -> tuple[str, ...]:
    return tuple(str(name) for name in marks) if isinstance(marks, tuple) else ()


def manifest(
    *rows: ArchivedRow,
    external: Sequence[ExternalRow] = (),
    policies: Mapping[str, str] | None = None,
    **changes: Any,
) -> Manifest:
    """A manifest that fits the rows and the models here."""
    tables = {}
    for name in dict.fromkeys(row.model for row in rows):
        table = GRAPH.table(name)
        count = sum(row.model == name for row in rows)
        tables[name] = TableEntry(
            table.label,
            count,
            0,
            table.key_names,
            {c.name: ColumnEntry(c.kind.value, c.type_name, c.is_nullable) for c in table.columns},
            "0001_initial",
        )
    made = Manifest(
        format_version=2,
        version="0.1",
        date="2024-01-01",
        provided_objects=("zoo.Menagerie.1",),
        policies=policies or {},
        tables=tables,
        external=tuple(external),
    )
    return replace(made, **changes)


@dataclass
class Trip:
    """An archive on its way to a site."""

    rows: list[ArchivedRow]
    site: Site = field(default_factory=Site)
    external: Sequence[ExternalRow] = ()
    policies: Mapping[str, str] = field(default_factory=dict)
    strategy: Strategy = Strategy.REFUSE
    by_table: Mapping[str, Strategy] = field(default_factory=dict)
    keymap: KeyMap = field(default_factory=KeyMap)
    leavings: Leavings | None = None
    graph: Graph = GRAPH

    def __post_init__(self) -> None:
        made = manifest(*self.rows, external=self.external, policies=self.policies)
        self.decoding = Decoding(self.graph, made, ZONES)
        self.fates: Fates = {}
        self.examiner = self._examiner()

    def _examiner(self, *, is_first: bool = False) -> Examiner:
        strategies = Strategies(self.strategy, self.by_table)
        return Examiner(
            Ground(
                self.graph,
                self.decoding,
                self.site,
                strategies,
                self.keymap,
                fates=self.fates,
                leavings=self.leavings,
                is_first=is_first,
            )
        )

    def examine(self) -> Examination:
        return self.examiner.examine(self.rows)

    def settle(self) -> Examination:
        """Examine as often as it takes: rows of a circle look ahead."""
        for number in range(10):
            examination = self._examiner(is_first=number == 0).examine(self.rows)
            if examination.is_settled:
                return examination
        raise AssertionError("It does not settle.")

    def codes(self) -> list[str]:
        """The codes of what stands in the way."""
        found = list(self.examine().findings)
        if self.examiner.has_missing:
            found += self.examiner.missing_rows(self.rows)
        return [finding.code for finding in found]

    def load(self) -> Loaded:
        """Examine, which must find nothing, and load."""
        examination = self.examine()
        assert list(examination.findings) == []
        assert not self.examiner.has_missing
        loader = Loader(
            self.graph, self.decoding, examination, self.site, self.site.circles(self.graph)
        )
        return loader.load(lambda: iter(self.rows), lambda count: None)
