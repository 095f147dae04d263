"""What does a project look like that has only what a test says?

Tables, relations and rows as plain values, and a `KeySource` that answers from them: the walk's
questions, counted.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from django.db import models
from hypothesis.vendor.pretty import RepresentationPrinter

from gestore.rows import Key, Value, batches
from gestore.schema.graph import Graph
from gestore.schema.policy import Follow, Policies, Policy
from gestore.schema.relation import Relation, RelationKind
from gestore.schema.table import Column, Kind, Table
from gestore.walk.closure import Closure, Status
from gestore.walk.source import Ask, Lot
from gestore.walk.walker import Recorder, Roots, walk

T = TypeVar("T")
P = TypeVar("P")
Row = Mapping[str, Value]


def column(name: str, kind: Kind = Kind.INTEGER) -> Column:
    leaf: models.Field = models.TextField() if kind is Kind.TEXT else models.BigIntegerField()
    leaf.set_attributes_from_name(name)
    return Column(
        name=name,
        db_name=name,
        kind=kind,
        type_name=leaf.get_internal_type(),
        is_nullable=True,
        has_default=True,
        field=leaf,
        leaf=leaf,
    )


def table(
    name: str,
    *columns: str,
    key: Sequence[str] = ("id",),
    text: Iterable[str] = (),
    parents: Sequence[str] = (),
) -> Table:
    """A table of the app `w`; columns in `text` hold text, the others integers."""
    names = [*key, *(c for c in columns if c not in key)]
    return Table(
        label=f"w.{name.capitalize()}",
        db_table=name,
        model=models.Model,
        columns=tuple(column(n, Kind.TEXT if n in text else Kind.INTEGER) for n in names),
        key_names=tuple(key),
        unique_sets=(),
        identity=(),
        parents=tuple(f"w.{parent}" for parent in parents),
        proxies=(),
        is_auto_key=False,
        is_managed=True,
    )


def relation(
    source: str,
    name: str,
    target: str,
    *,
    columns: Sequence[str] = (),
    to: Sequence[str] = (),
    kind: RelationKind = RelationKind.FOREIGN_KEY,
) -> Relation:
    """`w.Source.name`, which points at the key of `w.target`, or at its columns `to`."""
    return Relation(
        name=f"w.{source.capitalize()}.{name}",
        kind=kind,
        source=f"w.{source}",
        columns=tuple(columns) or (name,),
        target=f"w.{target}",
        target_columns=tuple(to) or ("id",),
        points_at_key=not to,
        is_nullable=True,
        is_constrained=True,
        on_delete="CASCADE",
    )


def parent(source: str, target: str) -> Relation:
    """The multi-table link of a child whose key is its parent's."""
    return relation(source, "id", target, kind=RelationKind.PARENT)


def generic(source: str, content_type: str = "kind", key: str = "number") -> Relation:
    return Relation(
        name=f"w.{source.capitalize()}.target",
        kind=RelationKind.GENERIC,
        source=f"w.{source}",
        columns=(key,),
        target="",
        target_columns=(),
        points_at_key=True,
        is_nullable=True,
        is_constrained=False,
        on_delete="CASCADE",
        content_type=content_type,
    )


@dataclass
class DictSource:
    """Answers from rows by table name and key. A content type is a table's name without `w.`."""

    graph: Graph
    rows: Mapping[str, Mapping[Key, Row]]
    batch_keys: int = 1_000
    ahead: int = 0
    """Answers that are found before the first of them is taken."""
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=list)

    def _ask(self, question: str, subject: str, batch: Sequence[object]) -> None:
        assert 0 < len(batch) <= self.batch_keys
        self.asked[question, subject] += 1
        self.sizes.append(len(batch))

    def pointing(self, relation: Relation, target: str, keys: Sequence[Key]) -> list[Key]:
        self._ask("pointing", relation.name, keys)
        if relation.is_generic:
            wanted: set[Value] = {(target, key) for key in keys}
            return [
                key
                for key, row in self.rows.get(relation.source, {}).items()
                if (found := self._generic(relation, row)) is not None and found in wanted
            ]
        rows = self.rows.get(target, {})
        wanted = {_value(rows[key], relation.target_columns) for key in keys}
        return [
            key
            for key, row in self.rows.get(relation.source, {}).items()
            if (value := _value(row, relation.columns)) is not None and value in wanted
        ]

    def _generic(self, relation: Relation, row: Row) -> tuple[str, Key] | None:
        content_type, raw = row.get(relation.content_type), row.get(relation.columns[0])
        if content_type is None or raw is None:
            return None
        name = self.generic_target(content_type)
        key = self.generic_key(name, raw) if name else None
        return None if key is None else (name, key)

    def pointing_pairs(self, relation: Relation, keys: Sequence[Key]) -> list[tuple[Key, Key]]:
        self._ask("pointing_pairs", relation.name, keys)
        return [
            (key, value)
            for key, row in self.rows.get(relation.source, {}).items()
            if (value := _value(row, relation.columns)) in set(keys)
        ]

    def pointed(self, relation: Relation, keys: Sequence[Key]) -> list[Value]:
        self._ask("pointed", relation.name, keys)
        names = [relation.content_type, *relation.columns] if relation.is_generic else None
        rows = self.rows[relation.source]
        values = {_value(rows[key], names or relation.columns) for key in keys}
        return [value for value in values if value is not None]

    def resolve(
        self, table: str, columns: Sequence[str], values: Sequence[Value]
    ) -> list[tuple[Value, Key]]:
        self._ask("resolve", table, values)
        wanted = set(values)
        return [
            (value, key)
            for key, row in self.rows.get(table, {}).items()
            if (value := _value(row, columns)) in wanted
        ]

    @property
    def lot_keys(self) -> int:
        return self.batch_keys

    def arriving(
        self, relation: Relation, target: str, keys: Sequence[Key], along: Sequence[Relation]
    ) -> Iterator[Lot]:
        for found in batches(self.pointing(relation, target, keys), self.batch_keys):
            yield self._lot(relation.source, found, along)

    def standing(self, table: str, keys: Sequence[Key], along: Sequence[Relation]) -> Iterator[Lot]:
        self._ask("standing", table, keys)
        rows = self.rows.get(table, {})
        yield self._lot(table, [key for key in keys if key in rows], along)

    def in_turn(self, asks: Iterable[tuple[T, Ask[P]]]) -> Iterator[tuple[T, Iterable[P]]]:
        pending: deque[tuple[T, list[P]]] = deque()
        for about, ask in asks:
            pending.append((about, [*ask(self)]))
            if len(pending) > self.ahead:
                yield pending.popleft()
        yield from pending

    def _lot(self, name: str, keys: list[Key], along: Sequence[Relation]) -> Lot:
        rows = self.rows.get(name, {})
        pointers = {
            relation.name: [
                value for key in keys if (value := _value(rows[key], relation.columns)) is not None
            ]
            for relation in along
        }
        return Lot(keys, pointers)

    def generic_keys(self, table: str, raws: Sequence[Value]) -> list[Key | None]:
        return [self.generic_key(table, raw) for raw in raws]

    def generic_target(self, content_type: Key) -> str:
        name = f"w.{content_type}"
        return name if name in self.graph.tables else ""

    def generic_key(self, table: str, raw: Value) -> Key | None:
        return self.graph.tables[table].key_from(raw)

    @property
    def question_count(self) -> int:
        return self.asked.total()


def _value(row: Row, names: Sequence[str]) -> Value:
    """The columns' value, or None where one of them is empty."""
    parts = tuple(row.get(name) for name in names)
    if None in parts:
        return None
    return parts[0] if len(parts) == 1 else parts


@dataclass(repr=False)
class World:
    """Tables, relations and rows. `rows` maps a table's short name to rows by key; their key
    columns are filled in."""

    tables: Sequence[Table]
    relations: Sequence[Relation]
    rows: Mapping[str, Mapping[Key, Row]]
    batch_keys: int = 1_000
    ahead: int = 0

    def __post_init__(self) -> None:
        self.graph = Graph(self.tables, self.relations)
        by_name = {
            f"w.{name}": {key: self._complete(f"w.{name}", key, row) for key, row in rows.items()}
            for name, rows in self.rows.items()
        }
        self.source = DictSource(self.graph, by_name, self.batch_keys, self.ahead)

    def __repr__(self) -> str:
        pointers = [
            f"{r.source}.{','.join(r.columns)} -> {r.target}.{','.join(r.target_columns)}"
            f" ({r.kind.value})"
            for r in self.relations
        ]
        return (
            f"World({pointers}, rows={self.rows}, batch_keys={self.batch_keys}, ahead={self.ahead})"
        )

    def _repr_pretty_(self, printer: RepresentationPrinter, cycle: bool) -> None:
        # Hypothesis would spell out every column of every table.
        printer.text(repr(self))

    def _complete(self, name: str, key: Key, row: Row) -> Row:
        parts = key if isinstance(key, tuple) else (key,)
        return {**row, **dict(zip(self.graph.tables[name].key_names, parts, strict=True))}

    def walk(
        self,
        *roots: tuple[str, Key],
        follow: Follow = Follow.OWNED,
        policies: Mapping[str, Policy] | None = None,
        models: Iterable[str] = (),
        record: Recorder | None = None,
    ) -> Closure:
        """Walk from rows (table, key). `policies` are by `w.table`, or `w.table.relation`."""
        keys: dict[str, list[Key]] = {}
        for name, key in roots:
            keys.setdefault(f"w.{name}", []).append(key)
        given = policies or {}
        return walk(
            self.graph,
            Roots(keys, frozenset(f"w.{name}" for name in models)),
            Policies(
                {name: policy for name, policy in given.items() if name.count(".") == 1},
                {name: policy for name, policy in given.items() if name.count(".") == 2},
            ),
            follow,
            self.source,
            record,
        )


def taken(closure: Closure, status: Status) -> set[tuple[str, Key]]:
    """(short table name, key) of every row taken with the status."""
    return {
        (name.removeprefix("w."), key)
        for name, keys in closure.taken.items()
        for batch in keys.batches(status, 100)
        for key in batch
    }


def owned(closure: Closure) -> set[tuple[str, Key]]:
    return taken(closure, Status.OWNED)


def shared(closure: Closure) -> set[tuple[str, Key]]:
    return taken(closure, Status.SHARED)


def external(closure: Closure) -> set[tuple[str, Key]]:
    return {
        (name.removeprefix("w."), key)
        for name, keys in closure.external.items()
        for batch in keys.batches(100)
        for key in batch
    }


def dangling(closure: Closure) -> dict[str, set[Value]]:
    return {
        name: {value for batch in values.batches(100) for value in batch}
        for name, values in closure.dangling.items()
        if len(values)
    }
