"""How does a row of a table become a row of an archive, and an archived key a key again?"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from ..rows import ArchivedRow, JsonValue, Key, Value
from ..schema.relation import Relation
from ..schema.table import Kind, Table
from .values import Encode, TimeZones, decoder, encoder

Keys: TypeAlias = "Container[Key]"
"""Keys of a table, or values that point at one."""
Changed: TypeAlias = "Mapping[Relation, Keys]"
"""The rows whose pointer a removal changes, by relation."""


class RowEncoder:
    """Encodes the rows of one table: which codec goes where is found out once."""

    def __init__(
        self,
        table: Table,
        dangling: Iterable[tuple[Relation, Keys]] = (),
        changed: Changed | None = None,
        replaced: Callable[[tuple[Value, ...]], tuple[Value, ...]] | None = None,
    ) -> None:
        """`replaced` gives the values that are written in the place of a row's own."""
        self._name = table.name
        self._replaced = replaced
        places = {column.name: place for place, column in enumerate(table.columns)}
        self._key = [(places[c.name], encoder(c)) for c in table.key_columns]
        self._fields = [(c.name, places[c.name], encoder(c)) for c in table.value_columns]
        self._dangling = [
            (relation, _places(relation, places), values) for relation, values in dangling
        ]
        self._changed = [
            (relation, keys)
            for relation, keys in (changed or {}).items()
            if relation.source == table.name
        ]
        self._key_places = [place for place, _ in self._key]

    def __call__(self, row: tuple[Value, ...], *, is_shared: bool = False) -> ArchivedRow:
        shown = row if self._replaced is None else self._replaced(row)
        key = [_encoded(shown[place], encode) for place, encode in self._key]
        fields: dict[str, Any] = {
            name: shown[place] if encode is None else encode(shown[place])
            for name, place, encode in self._fields
        }
        return ArchivedRow(
            self._name,
            key[0] if len(key) == 1 else key,
            fields,
            is_shared,
            self._dangling_of(row) if self._dangling else (),
            self._changed_of(row) if self._changed else (),
        )

    def _dangling_of(self, row: tuple[Value, ...]) -> tuple[str, ...]:
        names = []
        for relation, places, values in self._dangling:
            parts = tuple(row[place] for place in places)
            value = parts[0] if len(parts) == 1 else parts
            if None not in parts and value in values:
                names.append(relation.field_name)
        return tuple(names)

    def _changed_of(self, row: tuple[Value, ...]) -> tuple[str, ...]:
        parts = tuple(row[place] for place in self._key_places)
        key = parts[0] if len(parts) == 1 else parts
        return tuple(relation.field_name for relation, keys in self._changed if key in keys)


def _places(relation: Relation, places: dict[str, int]) -> list[int]:
    names = [relation.content_type] if relation.is_generic else []
    return [places[name] for name in [*names, *relation.columns]]


def _encoded(value: Value, encode: Encode | None) -> JsonValue:
    return encode(value) if encode is not None else value  # type: ignore[return-value]


def key_encoder(table: Table) -> Callable[[Key], JsonValue]:
    """Keys of the table as an archive has them."""
    encoders = [encoder(column) for column in table.key_columns]

    def encoded(key: Key) -> JsonValue:
        parts = key if isinstance(key, tuple) else (key,)
        texts = [_encoded(part, e) for part, e in zip(parts, encoders, strict=True)]
        return texts[0] if len(texts) == 1 else texts

    return encoded


def keys_encoder(table: Table) -> Callable[[Sequence[Key]], list[JsonValue]]:
    """The same of many keys at once."""
    encode = key_encoder(table)
    kind = table.key_columns[0].kind if len(table.key_names) == 1 else None
    if kind in (Kind.INTEGER, Kind.TEXT):
        return lambda keys: [*keys]  # type: ignore[list-item]
    if kind is Kind.UUID:
        return lambda keys: [*map(str, keys)]
    return lambda keys: [*map(encode, keys)]


def key_decoder(table: Table, zones: TimeZones) -> Callable[[JsonValue], Key]:
    """What an archive has as keys of the table, as keys."""
    decoders = [decoder(column, zones) for column in table.key_columns]

    def decoded(pk: JsonValue) -> Key:
        parts = pk if isinstance(pk, list) and len(decoders) > 1 else [pk]
        values = tuple(decode(part) for decode, part in zip(decoders, parts, strict=True))
        return values[0] if len(values) == 1 else values

    return decoded
