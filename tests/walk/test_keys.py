"""Do the key sets do what Python's sets do, in little memory?"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestore.schema.introspect import build_graph
from gestore.walk.keys import IntegerKeys, KeySet, PlainKeys, UUIDKeys, empty_keys

# The memory that a million rows may take is 64 MB: so many bytes for each.
BYTES_PER_ROW = 64
ROWS = 200_000

integers = st.integers(-(2**63), 2**63 - 1) | st.integers(-20, 20)
# Few upper halves, so that many keys share one.
uuids = st.builds(
    lambda high, low: UUID(int=high << 64 | low),
    st.sampled_from([0, 1, 2**63, 2**64 - 1]),
    st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1),
)
texts = st.text(max_size=4)
pairs = st.tuples(st.integers(-3, 3), texts)

KINDS = [
    pytest.param(IntegerKeys, integers, id="integers"),
    pytest.param(UUIDKeys, uuids, id="uuids"),
    pytest.param(PlainKeys, texts, id="texts"),
    pytest.param(PlainKeys, pairs, id="tuples"),
]


@pytest.mark.parametrize(("make", "keys"), KINDS)
@given(data=st.data())
def test_key_set_is_a_set(
    make: Callable[[], KeySet], keys: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    ours, reference = make(), set[Any]()
    for lot in data.draw(st.lists(st.lists(keys, max_size=12), max_size=12)):
        assert ours.missing(lot) == sorted(set(lot) - reference)
        assert ours.add(lot) == sorted(set(lot) - reference)
        reference |= set(lot)
        assert ours.missing(lot) == []
        assert ours.add(lot) == []
        assert len(ours) == len(reference)
    for key in [*reference, *data.draw(st.lists(keys, max_size=6))]:
        assert (key in ours) == (key in reference)
    size = data.draw(st.integers(1, 5))
    batches = list(ours.batches(size))
    assert [key for batch in batches for key in batch] == sorted(reference)
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(batches)
    # Batches merge what had grown apart: nothing may be lost by that.
    assert ours.missing(reference) == []
    assert len(ours) == len(reference)


@pytest.mark.parametrize(("make", "keys"), KINDS)
def test_empty_key_set_holds_nothing(
    make: Callable[[], KeySet], keys: st.SearchStrategy[Any]
) -> None:
    ours = make()
    assert len(ours) == 0
    assert list(ours.batches(10)) == []
    assert ours.missing([]) == []
    assert ours.add([]) == []
    assert ours.size_bytes < 1_000


def test_integers_beyond_one_chunk_are_merged() -> None:
    # Runs longer than the chunk of 65,536 that a merge works on, interleaved and apart.
    keys = IntegerKeys()
    for start in range(7):
        assert len(keys.add(range(start, 700_000, 7))) == 100_000
    assert len(keys) == 700_000
    assert [key for batch in keys.batches(50_000) for key in batch] == list(range(700_000))
    keys.add(range(1_000_000, 1_100_000))
    assert keys.missing([699_999, 700_000, 999_999, 1_000_000]) == [700_000, 999_999]


def test_uuids_beyond_one_chunk_are_merged() -> None:
    keys = UUIDKeys()
    for start in range(2):
        lot = [UUID(int=(n % 3) << 64 | n) for n in range(start, 140_000, 2)]
        assert len(keys.add(lot)) == 70_000
    expected = sorted((n % 3) << 64 | n for n in range(140_000))
    assert [key.int for batch in keys.batches(50_000) for key in batch] == expected  # type: ignore[attr-defined]


def _integer(n: int) -> int:
    return n * 2_654_435_761 % 2**62


def _uuid(n: int) -> UUID:
    return UUID(int=n * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)


@pytest.mark.parametrize(
    ("make", "key_of", "bytes_per_row"), [(IntegerKeys, _integer, 8), (UUIDKeys, _uuid, 16)]
)
def test_key_sets_are_compact(
    make: Callable[[], KeySet], key_of: Callable[[int], Any], bytes_per_row: int
) -> None:
    lots = [[key_of(n) for n in range(start, ROWS, 4)] for start in range(4)]
    tracemalloc.start()
    try:
        keys = make()
        for lot in lots:
            keys.add(lot)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(keys) == ROWS
    assert keys.size_bytes == bytes_per_row * ROWS
    assert held / ROWS < 2 * bytes_per_row
    assert peak / ROWS <= BYTES_PER_ROW


def test_size_of_plain_keys_counts_the_keys() -> None:
    keys = PlainKeys()
    keys.add(f"{n:010d}" for n in range(1_000))
    assert keys.size_bytes > 1_000 * (50 + 10)


def test_kind_of_key_decides_the_set() -> None:
    graph = build_graph()
    expected = {
        "zoo.Animal": IntegerKeys,
        "zoo.UuidKey": UUIDKeys,
        "zoo.ForeignKeyKey": UUIDKeys,
        "zoo.OneToOneOfOneToOneKey": IntegerKeys,
        "zoo.CharKey": PlainKeys,
        "zoo.DateKey": PlainKeys,
        "zoo.CustomKey": PlainKeys,
        "zoo.Cage": PlainKeys,
    }
    assert {label: type(empty_keys(graph.table(label))) for label in expected} == expected
    assert type(empty_keys(graph.table("zoo.Species"), ["code"])) is PlainKeys
    assert type(empty_keys(graph.table("zoo.Cage"), ["number"])) is IntegerKeys
