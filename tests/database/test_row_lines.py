"""Do all ways to write a row write the same, and leave to the next what they cannot carry?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import pytest
from django.db import connections

from gestore.archive.columns import Lines
from gestore.archive.encoding import RowEncoder
from gestore.database.dialect import Condition
from gestore.database.row_lines import ByColumns, ByHand, quick_lanes
from gestore.database.select import Reader
from gestore.rows import Key
from gestore.schema.introspect import build_graph
from gestore.schema.table import Table
from tests.zoo import rows

pytestmark = pytest.mark.django_db(databases=["default"], transaction=True)

VENDOR = connections["default"].vendor


@pytest.fixture
def reader(transactional_db: None) -> Iterator[Reader]:
    from gestore.database.transactions import snapshot

    connection = connections["default"]
    with snapshot(connection):
        yield Reader(connection, build_graph([], [], "default"))


def keys_of(reader: Reader, table: Table) -> list[Key]:
    return sorted(reader._keys(table, Condition("1 = 1")))  # type: ignore[type-var]


def lines_of(found: Iterable[Lines] | None) -> list[bytes] | None:
    if found is None:
        return None
    blocks = list(found)
    lines = [line for block in blocks if block.count for line in block.text.split(b"\n")]
    assert len(lines) == sum(block.count for block in blocks)
    return lines


def meaning(lines: list[bytes] | None) -> list[str]:
    """As the reader of an archive reads them: equal texts are equal values of equal types."""
    assert lines is not None
    return [json.dumps(json.loads(line)) for line in lines]


def by_hand(reader: Reader, table: Table, keys: list[Key], *, is_shared: bool) -> list[bytes]:
    way = ByHand(reader, table, RowEncoder(table))
    return list(way.texts(keys, is_shared=is_shared))


def compare_ways(reader: Reader, table: Table) -> set[str]:
    """The ways that wrote all rows of the table at once; each wrote what is written by hand."""
    keys = keys_of(reader, table)
    used = set()
    for is_shared in (False, True):
        expected = by_hand(reader, table, keys, is_shared=is_shared)
        for lane in quick_lanes(reader, table, ByHand(reader, table, RowEncoder(table))):
            found = lines_of(lane.lines(keys, is_shared=is_shared))
            if found is None:
                continue
            used.add(type(lane).__name__)
            assert meaning(found) == meaning(expected), table
            if isinstance(lane, ByColumns):
                assert found == expected
    return used


def test_every_way_writes_the_zoo_alike(reader: Reader) -> None:
    pass


# What PostgreSQL does not write itself: custom kinds, and those that it has no JSON for.
BY_PYTHON = {
    "zoo.Durations",
}


@pytest.mark.parametrize("portable", [False])
def test_zoo(portable: bool) -> None:
    from gestore.database.transactions import snapshot

    rows.populate("default", menageries=2)
    connection = connections["default"]
    ways: dict[str, set[str]] = {}
    with snapshot(connection):
        reader = Reader(connection, build_graph([], [], "default"))
        for table in reader.graph.tables.values():
            if table.is_managed and keys_of(reader, table):
                ways[table.label] = compare_ways(reader, table)
