"""By what is a row known in any database, and which row here is known by that?

A natural key is a list of the encoded values of `table.identity`; a pointer among them stands as
the natural key of the row it points at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..anonymize.declared import Anonymizing
from ..archive.values import TimeZones, decoder, encoder
from ..rows import JsonValue, Key, Value, batches
from ..schema.graph import Graph
from ..schema.relation import Relation
from ..schema.table import Table
from .select import Reader


def natural_keys(
    reader: Reader,
    table: Table,
    keys: Iterable[Key],
    anonymizing: Anonymizing | None = None,
) -> dict[Key, JsonValue]:
    """The natural keys of the rows, by key; None where the table has no identity but its key. They
    are made of what stands in the place of personal data, the keys are as they are here."""
    if not table.identity:
        return dict.fromkeys(keys)
    found: dict[Key, JsonValue] = {}
    for batch in batches(keys, reader.batch_keys):
        found |= _natural_keys(reader, table, batch, anonymizing)
    return found


def _natural_keys(
    reader: Reader, table: Table, keys: Sequence[Key], anonymizing: Anonymizing | None
) -> dict[Key, JsonValue]:
    columns = [table.column(name) for name in table.identity]
    where = reader.among(table, table.key_names, keys)
    rows = reader.select(table, [*table.key_columns, *columns], where)
    width = len(table.key_names)
    parts: list[list[JsonValue]] = []
    for place, column in enumerate(columns, start=width):
        values = [row[place] for row in rows]
        relation = relation_of(reader.graph, table, column.name)
        if relation is None:
            replaced = anonymizing.of_column(table, column) if anonymizing else None
            values = values if replaced is None else replaced(values)
            encode = encoder(column)
            parts.append([encode(value) if encode else value for value in values])  # type: ignore[misc]
        else:
            target = reader.graph.tables[relation.target]
            known = natural_keys(reader, target, set(values), anonymizing)
            parts.append([known[value] for value in values])
    found = [row[0] if width == 1 else tuple(row[:width]) for row in rows]
    return {
        key: list(natural) for key, natural in zip(found, zip(*parts, strict=True), strict=True)
    }


def keys_by_natural(
    reader: Reader, table: Table, naturals: Sequence[JsonValue], zones: TimeZones
) -> dict[str, Key]:
    """The keys of the rows here, by the text of the natural key. What is not here is not in it."""
    wanted: dict[Value, list[JsonValue]] = {}
    columns = [table.column(name) for name in table.identity]
    whole = [n for n in naturals if isinstance(n, list) and len(n) == len(columns)]
    parts: list[list[Value]] = []
    for place, column in enumerate(columns):
        values: list[JsonValue] = [natural[place] for natural in whole]
        relation = relation_of(reader.graph, table, column.name)
        if relation is None:
            decode = decoder(column, zones)
            parts.append([decode(value) for value in values])
        else:
            target = reader.graph.tables[relation.target]
            known = keys_by_natural(reader, target, values, zones)
            parts.append([known.get(natural_text(value)) for value in values])
    for natural, row in zip(whole, zip(*parts, strict=True), strict=True):
        if None not in row:
            wanted.setdefault(row[0] if len(row) == 1 else row, []).append(natural)
    found: dict[str, Key] = {}
    for batch in batches(wanted, 1_000):
        for value, key in reader.resolve(table.name, table.identity, batch):
            for known_as in wanted.get(value, ()):
                found[natural_text(known_as)] = key
    return found


def natural_text(natural: JsonValue) -> str:
    """A natural key as text that equal ones share."""
    import json

    return json.dumps(natural, sort_keys=True)


def relation_of(graph: Graph, table: Table, name: str) -> Relation | None:
    """The relation that one column alone points by, if it is a pointer."""
    for relation in graph.pointing_from(table.name):
        if relation.columns == (name,) and not relation.is_generic:
            return relation
    return None
