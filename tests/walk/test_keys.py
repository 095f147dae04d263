"""Do the key sets do what Python's sets do, in little memory?"""

from __future__ import annotations

import gc
import resource
import signal
import tempfile
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestore.errors import NoRoom
from gestore.schema.introspect import build_graph
from gestore.walk import keys as keys_module
from gestore.walk import spill
from gestore.walk.keys import IntegerKeys, KeySet, PackedUUIDs, PlainKeys, UUIDKeys, empty_keys

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
@given(data=st.data())
def test_key_set_on_disk_is_a_set_too(
    make: Callable[[], KeySet], keys: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Hardly a key stays in memory, and a block has three.
        patch.setattr(keys_module, "SPILL_BYTES", data.draw(st.sampled_from([0, 50, 200])))
        patch.setattr(spill, "_BLOCK_KEYS", 3)
        ours, reference = make(), set[Any]()
        for lot in data.draw(st.lists(st.lists(keys, max_size=12), max_size=12)):
            assert ours.missing(lot) == sorted(set(lot) - reference)
            assert [*ours.lacking(lot)] == sorted(set(lot) - reference)
            assert [*ours.take(lot)] == sorted(set(lot) - reference)
            reference |= set(lot)
            assert ours.add(lot) == []
            assert len(ours) == len(reference)
            for key in [*lot, *data.draw(st.lists(keys, max_size=3))]:
                assert (key in ours) == (key in reference)
        size = data.draw(st.integers(1, 7))
        for batches in (list(ours.batches(size)), [[*lot] for lot in ours.packed(size)]):
            assert [key for batch in batches for key in batch] == sorted(reference)
            assert all(len(batch) == size for batch in batches[:-1])
            assert all(batches)


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


def test_packed_uuids_are_written_as_python_writes_them() -> None:
    uuids = [UUID(int=n * 0x0123456789ABCDEF0123456789ABCDEF % 2**128) for n in range(100)]
    packed = PackedUUIDs.of(uuids)
    assert packed.texts() == [str(uuid) for uuid in uuids]
    assert packed.hexes() == [uuid.hex for uuid in uuids]
    assert PackedUUIDs().texts() == []


def _integer(n: int) -> int:
    return n * 2_654_435_761 % 2**62


def _uuid(n: int) -> UUID:
    return UUID(int=n * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)


@pytest.mark.parametrize(
    ("make", "key_of", "bytes_per_row"), [(IntegerKeys, _integer, 8), (UUIDKeys, _uuid, 16)]
)
def test_key_sets_are_compact(
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], KeySet],
    key_of: Callable[[int], Any],
    bytes_per_row: int,
) -> None:
    monkeypatch.setattr(keys_module, "SPILL_BYTES", bytes_per_row * ROWS)
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


@pytest.mark.parametrize(
    ("make", "key_of"),
    [
        pytest.param(IntegerKeys, _integer, id="integers"),
        pytest.param(UUIDKeys, _uuid, id="uuids"),
        pytest.param(PlainKeys, "{:012d}".format, id="texts"),
    ],
)
def test_memory_does_not_grow_with_keys(
    make: Callable[[], KeySet], key_of: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "SPILL_BYTES", 100_000)
    peaks = []
    for count in (40_000, 160_000):
        tracemalloc.start()
        try:
            keys = make()
            for start in range(0, count, 4_000):
                keys.add([key_of(n) for n in range(start, start + 4_000)])
            assert len(keys) == count
            assert sum(len(lot) for lot in keys.packed(4_000)) == count
            assert keys.missing([key_of(n) for n in range(count - 5, count + 1)]) == [key_of(count)]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        peaks.append(peak)
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 3_000_000


def test_full_disk_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "SPILL_BYTES", 1_000)
    keys = IntegerKeys()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(NoRoom, match="Keys did not fit into a temporary file") as raised:
            keys.add(range(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, heard)
    assert "TMPDIR" in raised.value.hint


def test_files_have_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "SPILL_BYTES", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    keys = IntegerKeys()
    for start in range(5):
        keys.add(range(start, 1_000, 5))
    assert list(tmp_path.iterdir()) == []
    assert len(keys) == 1_000
    assert _open_in(tmp_path)
    del keys
    gc.collect()
    assert not _open_in(tmp_path)


def _open_in(folder: Path) -> list[str]:
    """The files of the folder that this process has open, removed or not."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(str(descriptor.readlink()))
    return [name for name in found if name.startswith(f"{folder}/")]
