"""Which columns of a table are replaced by what, and which did nobody decide?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TypeAlias
from uuid import UUID

from ..errors import ConfigurationError, ValueNotCarried
from ..rows import Key, Value
from ..schema.graph import Graph
from ..schema.relation import Relation
from ..schema.table import Column, Kind, Table
from . import replacements
from .seed import Seed

Replacement: TypeAlias = "Callable[[Value, Seed], Value]"
Replace: TypeAlias = "Callable[[Sequence[Value]], list[Value]]"
"""The values of one column, replaced."""
TargetOf: TypeAlias = "Callable[[Value], str]"
"""The table that a content type means, or ""."""

_TEXTS = frozenset({Kind.TEXT, Kind.JSON, Kind.HSTORE, Kind.ARRAY, Kind.CUSTOM})
# A generic key holds them as text, and its row's replacement is found by them.
_KEYS = frozenset({Kind.TEXT, Kind.UUID})
_NESTED = frozenset({Kind.JSON, Kind.HSTORE, Kind.ARRAY})
# Of a document or a list the built-ins are given each part.
_OF_PARTS: frozenset[Replacement] = frozenset(
    {
        replacements.date,
        replacements.email,
        replacements.username,
        replacements.name,
        replacements.phone,
        replacements.shape,
        replacements.text,
        replacements.password,
        replacements.uuid,
    }
)
# So many characters a built-in needs where no two values may become the same one.
_ROOM: Mapping[Replacement, int] = {
    replacements.email: 24,
    replacements.username: 17,
    replacements.name: 12,
    replacements.text: 12,
    replacements.token: 12,
    replacements.password: 13,
    replacements.uuid: 32,
}
_ADDRESSES = ("GenericIPAddressField", "IPAddressField")
# How collations end that tell upper from lower case.
_EXACT = ("_bin", "_cs")
_FAILURES = (TypeError, ValueError, AttributeError, ArithmeticError, LookupError, RecursionError)


@dataclass(frozen=True, slots=True)
class Replacing:
    """What of one table's rows is replaced: columns by name; and generic keys, each with the column
    of its content type, by what `pointed` makes of both."""

    table: Table
    columns: Mapping[str, Replace]
    generic: Sequence[tuple[str, str]]
    pointed: Callable[[Value, Value], Value]

    def __bool__(self) -> bool:
        return bool(self.columns or self.generic)

    def row(self, row: tuple[Value, ...]) -> tuple[Value, ...]:
        """A row with the values of `table.columns`, replaced."""
        names = [column.name for column in self.table.columns]
        values = dict(zip(names, row, strict=True))
        made = {name: replaced([values[name]])[0] for name, replaced in self.columns.items()}
        for content_type, name in self.generic:
            made[name] = self.pointed(values[content_type], values[name])
        return tuple((values | made)[name] for name in names)


@dataclass(frozen=True, slots=True)
class Anonymizing:
    """The declared replacements, by table and column; pointers follow what they point at.

    With `is_loose` the database takes a pointer for what it points at even where upper and lower
    case differ, unless a column says otherwise.
    """

    by_column: Mapping[tuple[str, str], Replacement]
    seed: Seed
    graph: Graph
    target_of: TargetOf
    is_loose: bool
    _made: dict[tuple[str, str], Replace | None] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        graph: Graph,
        declared: Mapping[str, Replacement],
        salt: bytes,
        target_of: TargetOf = lambda _: "",
        *,
        is_loose: bool = False,
    ) -> Anonymizing:
        """Read the setting's labels; `ConfigurationError` names the one that is wrong."""
        by_column = {}
        for label, replacement in declared.items():
            model, _, name = label.rpartition(".")
            table = graph.tables.get(model.lower())
            if table is None or name not in table.columns_by_name:
                raise _wrong(label, "there is no such model or field")
            _check(graph, table, name, label, replacement)
            by_column[table.name, name] = replacement
        return cls(by_column, Seed(salt), graph, target_of, is_loose)

    # What is replaced -------------------------------------------------------------------------

    def of_table(self, table: Table) -> Replacing:
        columns = {
            column.name: made
            for column in table.columns
            if (made := self.of_column(table, column)) is not None
        }
        generic = [
            (relation.content_type, relation.columns[0])
            for relation in self.graph.pointing_from(table.name)
            if relation.is_generic
            and table.column(relation.columns[0]).kind in _KEYS
            and self._has_replaced_keys()
        ]
        return Replacing(table, columns, generic, self._pointed)

    def of_column(self, table: Table, column: Column) -> Replace | None:
        """What replaces the column's values; None: nothing does."""
        place = table.name, column.name
        if place not in self._made:
            self._made[place] = self._replace(table, column)
        return self._made[place]

    def key(self, table: Table, key: Key) -> Key:
        """A key of the table, replaced."""
        parts = key if isinstance(key, tuple) else (key,)
        made = [
            part if replaced is None else replaced([part])[0]
            for part, replaced in zip(
                parts, [self.of_column(table, c) for c in table.key_columns], strict=True
            )
        ]
        return made[0] if len(made) == 1 else tuple(made)

    def labels(self, tables: Iterable[Table]) -> list[str]:
        """The columns of these tables whose values are replaced."""
        return [
            f"{table.label}.{column.name}"
            for table in tables
            for column in table.columns
            if self.is_replaced(table, column)
        ]

    def is_replaced(self, table: Table, column: Column) -> bool:
        return self.of_column(table, column) is not None

    def identity_is_replaced(self, table: Table) -> bool:
        """Whether what the table's rows are known by elsewhere is replaced, or their keys."""
        for name in table.identity or table.key_names:
            if self.is_replaced(table, table.column(name)):
                return True
            for relation in self.graph.pointing_from(table.name):
                if relation.columns == (name,) and not relation.is_generic:
                    target = self.graph.tables[relation.target]
                    if target != table and self.identity_is_replaced(target):
                        return True
        return False

    def undecided(self, table: Table) -> list[str]:
        """The table's columns of text that nobody decided: not declared, and no pointers."""
        pointers = {
            name for relation in self.graph.pointing_from(table.name) for name in relation.columns
        }
        return [
            column.name
            for column in table.columns
            if column.kind in _TEXTS
            and column.name not in pointers
            and (table.name, column.name) not in self.by_column
        ]

    # Pointers ---------------------------------------------------------------------------------

    def _source(self, table: Table, column: Column) -> tuple[Table, str] | None:
        """The declared column whose values these are: its own, or the one it points at."""
        ends = _ends(self.graph, table.name, column.name)
        declared = [end for end in ends if end in self.by_column]
        if not declared:
            return None
        if len(ends) > 1:
            told = ", ".join(f"{self.graph.tables[t].label}.{n}" for t, n in sorted(ends))
            raise _wrong(
                f"{table.label}.{column.name}", f"points at {told}, which are replaced unlike"
            )
        (name_of_table, name), *_ = declared
        return self.graph.tables[name_of_table], name

    def _has_replaced_keys(self) -> bool:
        return any(
            name in self.graph.tables[table].key_names and made is not replacements.keep
            for (table, name), made in self.by_column.items()
        )

    def _pointed(self, content_type: Value, raw: Value) -> Value:
        """What a generic key becomes, in the form it has."""
        target = None if content_type is None else self.target_of(content_type)
        if raw is None or not target:
            return raw
        table = self.graph.tables[target]
        key = table.key_from(raw)
        if key is None or not self.is_replaced(table, table.key_columns[0]):
            return raw
        made = self.key(table, key)
        if isinstance(raw, str) and isinstance(made, UUID):
            return str(made) if "-" in raw else made.hex
        return made

    # Values -----------------------------------------------------------------------------------

    def _replace(self, table: Table, column: Column) -> Replace | None:
        source = self._source(table, column)
        if source is None or self.by_column[source[0].name, source[1]] is replacements.keep:
            return None
        replacement = self.by_column[source[0].name, source[1]]
        seed = _seed_of(self.graph, *source, self.seed)
        inner = getattr(column.leaf, "base_field", None)
        part = replace(seed, max_length=getattr(inner, "max_length", None) or 0)
        number = replace(part, max_length=0, is_unique=False)
        is_loose = self.is_loose and _is_pointed_at(self.graph, *source)
        if str(getattr(source[0].column(source[1]).leaf, "db_collation", "")).endswith(_EXACT):
            is_loose = False
        one = _OneValue(table, column, replacement, seed, part, number, is_loose)
        if column.kind in _NESTED or column.kind is Kind.CUSTOM:
            return lambda values: [*map(one, values)]

        return one.of_many


def _seed_of(graph: Graph, table: Table, name: str, seed: Seed) -> Seed:
    column = table.column(name)
    is_unique = name in table.key_names or any(
        # A constraint that names no column may be of any: only the database could say.
        name in unique.columns or not unique.columns
        for unique in table.unique_sets
    )
    return replace(
        seed,
        max_length=getattr(column.leaf, "max_length", None) or 0,
        is_unique=is_unique,
        # What is pointed at cannot be nothing.
        is_nullable=column.is_nullable and not _is_pointed_at(graph, table, name),
    )


def _is_pointed_at(graph: Graph, table: Table, name: str) -> bool:
    return any(
        table.key_names == (name,) if relation.is_generic else name in relation.target_columns
        for relation in graph.pointing_at(table.name)
    )


@dataclass(frozen=True, slots=True)
class _OneValue:
    """Replaces one value of a column, and looks whether the column can hold what comes."""

    table: Table
    column: Column
    replacement: Replacement
    seed: Seed
    part: Seed
    """Of a part of a document or list, whose length is none of the column's."""
    number: Seed
    is_loose: bool
    """Whether values are the same that differ in upper and lower case, or in spaces at the end."""

    def __call__(self, value: Value) -> Value:
        if value is None:
            return None
        if self.is_loose and isinstance(value, str):
            value = value.casefold().rstrip(" ")
        try:
            made = self._made(value)
        except _FAILURES as error:
            raise self._failed(str(error)) from error
        self._check(value, made)
        return made

    def of_many(self, values: Sequence[Value]) -> list[Value]:
        """The same of values that are no documents; those that occur often are made once."""
        made: dict[Value, Value] = {}
        replacement, seed, most = self.replacement, self.seed, self.seed.max_length or sys.maxsize
        for value in set(values):
            if type(value) is str and not self.is_loose:
                try:
                    new = replacement(value, seed)
                except _FAILURES as error:
                    raise self._failed(str(error)) from error
                if type(new) is str and len(new) <= most:
                    made[value] = new
                    continue
            made[value] = self(value)
        return [made[value] for value in values]

    def _made(self, value: Value) -> Value:
        if self.column.kind is Kind.JSON:
            document = json.loads(str(value))
            if document is None:
                return value
            made = self._nested(document)
            if made is None:
                return None
            return json.dumps(made, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        if self.column.kind in _NESTED:
            return self._nested(value)
        return self.replacement(value, self.seed)

    def _nested(self, value: Value) -> Value:
        if self.replacement is replacements.token:
            return None if self.seed.is_nullable else type(value)()
        if self.replacement not in _OF_PARTS:
            return self.replacement(value, self.seed)
        return self._walked(value)

    def _walked(self, value: Value) -> Value:
        """A document or a list, every text in it replaced, and every number's digits; the names of
        members, truth and nothing stay."""
        if isinstance(value, dict):
            return {name: self._walked(part) for name, part in value.items()}
        if isinstance(value, list):
            return [*map(self._walked, value)]
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(str(replacements.shape(value, self.number)))
        if isinstance(value, float):
            made = float(str(replacements.shape(f"{value:.6f}", self.number)))
            return made if isfinite(made) else 0.0
        part = self.replacement(value, self.part)
        if not isinstance(part, type(value)):
            raise TypeError(
                f"a part of it is a {type(value).__name__}, its replacement a {type(part).__name__}"
            )
        return part

    def _check(self, value: Value, made: Value) -> None:
        if made is None:
            if not self.column.is_nullable:
                raise self._failed("its replacement is nothing, and it cannot be empty")
            return
        if self.column.kind in (Kind.JSON, Kind.CUSTOM):
            return
        if not isinstance(made, type(value)):
            raise self._failed(
                f"its replacement is a {type(made).__name__}, not a {type(value).__name__}"
            )
        most = self.seed.max_length
        if isinstance(made, str) and most and len(made) > most:
            raise self._failed(f"its replacement has {len(made)} characters, it holds {most}")

    def _failed(self, why: str) -> ValueNotCarried:
        return ValueNotCarried(
            f"{self.table.label}.{self.column.name} cannot be anonymized: {why}.",
            hint='Name another replacement for it in GESTORE["ANONYMIZE"].',
        )


# Right and wrong ----------------------------------------------------------------------------------


def _ends(graph: Graph, table: str, name: str) -> set[tuple[str, str]]:
    """The columns that a column's values are of in the end: itself, where it is no pointer."""
    found: set[tuple[str, str]] = set()
    seen: set[tuple[str, str]] = set()
    ways = [(table, name)]
    while ways:
        place = ways.pop()
        if place in seen:
            continue
        seen.add(place)
        further = [
            (relation.target, relation.target_columns[relation.columns.index(place[1])])
            for relation in _pointers(graph, *place)
        ]
        if further:
            ways += further
        else:
            found.add(place)
    return found


def _pointers(graph: Graph, table: str, name: str) -> Iterator[Relation]:
    for relation in graph.pointing_from(table):
        if name in relation.columns and not relation.is_generic:
            yield relation


def problems(graph: Graph, declared: Mapping[str, Replacement]) -> Iterator[ConfigurationError]:
    """Everything that is wrong with the setting, but for names of what does not exist."""
    for label, replacement in declared.items():
        model, _, name = label.rpartition(".")
        table = graph.tables.get(model.lower())
        if table is not None and name in table.columns_by_name:
            try:
                _check(graph, table, name, label, replacement)
            except ConfigurationError as error:
                yield error


def _check(graph: Graph, table: Table, name: str, label: str, replacement: Replacement) -> None:
    for relation in graph.pointing_from(table.name):
        if name in relation.columns or name == relation.content_type:
            raise _wrong(label, "is a pointer: name what it points at")
    if replacement is replacements.keep:
        return
    if name in table.key_names and table.column(name).kind not in _KEYS:
        raise _wrong(label, "is a key, and only keys of text and UUIDs can be replaced")
    if table.column(name).type_name in _ADDRESSES and replacement in _OF_PARTS:
        raise _wrong(label, "holds addresses of machines: no built-in makes one")
    seed = _seed_of(graph, table, name, Seed(b""))
    room = _ROOM.get(replacement, 0)
    if seed.is_unique and seed.max_length and seed.max_length < room:
        raise _wrong(
            label,
            f"holds {seed.max_length} characters, and "
            f"{getattr(replacement, '__name__', 'its replacement')} needs {room} to keep its "
            "values unique: gestore.anonymize.shape needs none more",
        )


def _wrong(label: str, why: str) -> ConfigurationError:
    return ConfigurationError(f'GESTORE["ANONYMIZE"]: {label!r}: {why}.')
