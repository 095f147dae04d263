"""How does a row of the archive become a row for a table here?

Values are decoded, pointers that were skipped are emptied, columns that came later get their
default; which row is already there is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from ..archive.manifest import Manifest
from ..archive.values import TimeZones, decoder
from ..errors import ValueNotCarried
from ..rows import ArchivedRow, JsonValue, Key, Value, key_text
from ..schema.graph import Graph
from ..schema.policy import Policy
from ..schema.relation import Relation
from ..schema.table import Column, Table

if TYPE_CHECKING:
    from ..archive.values import Decode

BATCH_ROWS = 1_000
_BATCH_WIDTH = 4_000_000

_Decoders: TypeAlias = "dict[str, Decode]"
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A decoded row: `values` by column name, pointers still the source's.

    `absent` names the columns that the archived row does not have; of them, those in `values` have
    their default. `unknown` names the fields of the row that are no columns here. `key` is None
    where the database is to number the row. `changed` names the columns that a deletion changed in
    a row that stayed: the values are those before.
    """

    table: Table
    key: Key | None
    values: dict[str, Value]
    absent: frozenset[str]
    is_shared: bool
    dangling: frozenset[str]
    pk: JsonValue = None
    unknown: tuple[str, ...] = ()
    changed: frozenset[str] = _NONE

    @property
    def reference(self) -> str:
        key = "(new)" if self.key is None else key_text(self.key)
        return f"{self.table.label}.{key}"


def _unedited(model: str, pk: JsonValue) -> Mapping[str, JsonValue]:
    return {}


@dataclass(frozen=True)
class Decoding:
    """Decodes rows of one archive for one graph. `edited` gives the values that somebody decided
    by hand instead of the archived ones."""

    graph: Graph
    manifest: Manifest
    zones: TimeZones
    edited: Callable[[str, JsonValue], Mapping[str, JsonValue]] = _unedited
    _decoders: dict[str, _Decoders] = field(default_factory=dict)
    _many: dict[str, dict[str, _Many]] = field(default_factory=dict)
    _plans: dict[str, _Plan] = field(default_factory=dict)

    def rows(self, archived: ArchivedRow) -> Iterator[SourceRow]:
        """The row, then the through rows of any many-to-many lists in it (the original's)."""
        plan = self._plans.get(archived.model)
        if plan is None:
            plan = self._plans[archived.model] = self._plan(self.graph.table(archived.model))
        yield self._row(plan, archived)
        for name, many in plan.many.items():
            keys = archived.fields.get(name)
            if isinstance(keys, list) and name not in plan.table.columns_by_name:
                yield from many.rows(self, archived.pk, keys)

    def _plan(self, table: Table) -> _Plan:
        skipping = [
            relation
            for relation in self.graph.pointing_from(table.name)
            if relation.is_nullable and (relation.is_generic or self.is_skipped(relation, {}))
        ]
        columns = [(c.name, decoder(c, self.zones), c) for c in table.value_columns]
        return _Plan(table, columns, self._many_of(table), skipping)

    def _row(self, plan: _Plan, archived: ArchivedRow) -> SourceRow:
        table = plan.table
        key = self.key_of(table, archived.pk)
        values: dict[str, Value] = dict(zip(table.key_names, _parts(key), strict=True))
        absent = []
        edited = self.edited(table.name, archived.pk)
        fields = {**archived.fields, **edited} if edited else archived.fields
        try:
            for name, decode, column in plan.columns:
                if name in fields:
                    values[name] = decode(fields[name])
                else:
                    absent.append(name)
                    if not column.field.has_db_default():
                        values[name] = column.field.get_default()
        except ValueNotCarried as error:
            raise _told_of(table, archived.pk, error) from error
        if plan.skipping:
            self._empty_skipped(plan, values)
        return SourceRow(
            table,
            key,
            values,
            frozenset(absent) if absent else _NONE,
            archived.is_shared,
            frozenset(archived.dangling) if archived.dangling else _NONE,
            archived.pk,
            self._unknown(table, fields) if len(fields) + len(absent) > len(plan.columns) else (),
            self._changed(table, archived.changed, fields) if archived.changed else _NONE,
        )

    def _changed(
        self, table: Table, names: Sequence[str], fields: Mapping[str, JsonValue]
    ) -> frozenset[str]:
        """The archived columns of the pointers that are called so."""
        return frozenset(
            column
            for relation in self.graph.pointing_from(table.name)
            if relation.field_name in names
            for column in relation.columns
            if column in fields
        )

    def _unknown(self, table: Table, fields: Mapping[str, JsonValue]) -> tuple[str, ...]:
        many = self._many_of(table)
        return tuple(n for n in fields if n not in table.columns_by_name and n not in many)

    def key_of(self, table: Table, pk: JsonValue) -> Key:
        """The key that a `pk` of the archive says; `ValueNotCarried` if it says none."""
        columns = table.key_columns
        if len(columns) == 1:
            key = self.value(table, columns[0], pk, pk)
            if key is None:
                raise ValueNotCarried(f"A row of {table.label} has no key.")
            return key
        if not isinstance(pk, list) or len(pk) != len(columns):
            raise ValueNotCarried(f"{table.label}: {pk!r} is no key of {len(columns)} parts.")
        return tuple(self.value(table, c, v, pk) for c, v in zip(columns, pk, strict=True))

    def value(self, table: Table, column: Column, value: JsonValue, pk: JsonValue) -> Value:
        decoders = self._decoders.setdefault(table.name, {})
        decode = decoders.get(column.name)
        if decode is None:
            decode = decoders[column.name] = decoder(column, self.zones)
        try:
            return decode(value)
        except ValueNotCarried as error:
            raise _told_of(table, pk, error) from error

    def _empty_skipped(self, plan: _Plan, values: dict[str, Value]) -> None:
        """A pointer to what the source skipped points at nothing here."""
        for relation in plan.skipping:
            if self.is_skipped(relation, values):
                for name in relation.columns:
                    values[name] = None
                if relation.content_type:
                    values[relation.content_type] = None

    def is_skipped(self, relation: Relation, values: Mapping[str, Value]) -> bool:
        """Whether the source's policies left out what the relation points at."""
        policies = self.manifest.policies
        if policies.get(relation.name.lower()) == Policy.SKIP.value:
            return True
        target = self.target_of(relation, values)
        return bool(target) and policies.get(target) == Policy.SKIP.value

    def target_of(self, relation: Relation, values: Mapping[str, Value]) -> str:
        """The table a pointer means, "" where a generic one means none that is here."""
        if not relation.is_generic:
            return relation.target
        label = self.content_types.get(values.get(relation.content_type), "")
        table = self.graph.tables.get(label) or self.graph.tables_by_proxy.get(label)
        return table.name if table else ""

    @cached_property
    def content_types(self) -> Mapping[Value, str]:
        """The source's content type numbers, from the manifest's natural keys."""
        return {
            row.pk: ".".join(str(part) for part in row.natural_key)
            for row in self.manifest.external
            if row.model == "contenttypes.contenttype" and isinstance(row.natural_key, list)
        }

    def _many_of(self, table: Table) -> dict[str, _Many]:
        if table.name not in self._many:
            self._many[table.name] = dict(_many_to_many(self.graph, table))
        return self._many[table.name]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is the same for every row of a table: the decoders of its values, its many-to-many
    fields, and the relations that may point at what the source skipped."""

    table: Table
    columns: Sequence[tuple[str, Decode, Column]]
    many: Mapping[str, _Many]
    skipping: Sequence[Relation]


@dataclass(frozen=True, slots=True)
class _Many:
    """A many-to-many list as the original wrote it: keys under the field's name."""

    through: Table
    near: str
    far: str

    def rows(
        self, decoding: Decoding, pk: JsonValue, keys: Sequence[JsonValue]
    ) -> Iterator[SourceRow]:
        value = decoding.value
        for key in keys:
            values = {
                self.near: value(self.through, self.through.column(self.near), pk, pk),
                self.far: value(self.through, self.through.column(self.far), key, pk),
            }
            absent = frozenset(c.name for c in self.through.columns) - values.keys()
            yield SourceRow(
                self.through, None, values, absent, is_shared=False, dangling=frozenset()
            )


def _many_to_many(graph: Graph, table: Table) -> Iterator[tuple[str, _Many]]:
    from ..schema.introspect import many_to_many_of

    for name, through, near, far in many_to_many_of(table.model):
        if through in graph.tables:
            yield name, _Many(graph.tables[through], near, far)


def row_batches(rows: Iterable[SourceRow]) -> Iterator[list[SourceRow]]:
    """The rows in order, up to a thousand and about 4 MB at a time: wide rows come few at once."""
    batch: list[SourceRow] = []
    width = 0
    for row in rows:
        batch.append(row)
        width += sum(len(v) for v in row.values.values() if isinstance(v, str | bytes))
        if len(batch) >= BATCH_ROWS or width > _BATCH_WIDTH:
            yield batch
            batch, width = [], 0
    if batch:
        yield batch


def _parts(key: Key) -> tuple[Value, ...]:
    return key if isinstance(key, tuple) else (key,)


def _told_of(table: Table, pk: JsonValue, error: ValueNotCarried) -> ValueNotCarried:
    """The same error, with the row it is about."""
    return ValueNotCarried(f"{table.label}.{_pk_text(pk)}: {error.message}")


def _pk_text(pk: JsonValue) -> str:
    return ",".join(map(str, pk)) if isinstance(pk, list) else str(pk)
