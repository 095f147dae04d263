"""Is an archive that is not whole, or not what it was, ever taken for one that is?"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gestore.archive.reader import ArchiveReader, Ending, open_archive
from gestore.errors import (
    ArchiveCutOff,
    ArchiveDamaged,
    ArchiveError,
    ArchiveNotRead,
    ArchiveTooLarge,
    NotAnArchive,
)
from gestore.rows import ArchivedRow

from .archives import MANIFEST, MAX_BYTES, ROWS, codes, read, write

SMALL = ROWS[:2]
SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz", ".jsonl.zst")


def read_bytes(data: bytes, max_bytes: int = MAX_BYTES) -> tuple[Any, list[ArchivedRow], Ending]:
    archive = ArchiveReader("x", io.BytesIO(data), max_bytes)
    rows = list(archive.rows())
    assert archive.ending is not None
    return archive.manifest, rows, archive.ending


@pytest.fixture
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    path = tmp_path / f"small{request.param}"
    write(path, SMALL)
    return path.read_bytes()


@pytest.mark.parametrize("archive", SUFFIXES, indirect=True)
def test_cut_off_archive_is_never_whole(archive: bytes) -> None:
    # The last line end is no part of the document: without it the archive is whole still.
    has_spare_end = archive.endswith(b"\n")
    for length in range(len(archive) - has_spare_end):
        with pytest.raises((ArchiveCutOff, ArchiveDamaged, NotAnArchive)) as caught:
            read_bytes(archive[:length])
        assert str(caught.value)


@pytest.mark.parametrize("archive", (".json", ".jsonl"), indirect=True)
def test_cut_between_lines_is_said_to_be_cut_off(archive: bytes) -> None:
    lines = archive.splitlines(keepends=True)
    for count in range(1, len(lines)):
        with pytest.raises(ArchiveCutOff):
            read_bytes(b"".join(lines[:count]))


@pytest.mark.parametrize("archive", SUFFIXES, indirect=True)
@pytest.mark.parametrize("mask", [0x01, 0x04, 0x20, 0x80, 0xFF])
def test_flipped_byte_is_never_overlooked(archive: bytes, mask: int) -> None:
    original = read_bytes(archive)
    for place in range(len(archive)):
        changed = bytearray(archive)
        changed[place] ^= mask
        try:
            manifest, rows, ending = read_bytes(bytes(changed))
        except ArchiveError:
            continue
        if not ending.findings("x"):
            # A blank for another, a byte of a compression's header: it says the same.
            assert (manifest, rows, ending) == original, f"byte {place}"


@pytest.mark.parametrize("archive", SUFFIXES, indirect=True)
@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_mangled_archive_is_refused_or_found(archive: bytes, data: st.DataObject) -> None:
    original = read_bytes(archive)
    start = data.draw(st.integers(0, len(archive)))
    end = data.draw(st.integers(start, min(len(archive), start + 30)))
    mangled = archive[:start] + data.draw(st.binary(max_size=12)) + archive[end:]
    try:
        manifest, rows, ending = read_bytes(mangled)
    except ArchiveError:
        return
    if not ending.findings("x"):
        assert (manifest, rows, ending) == original


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd"]))
def test_any_bytes_are_refused(data: bytes, start: bytes) -> None:
    with pytest.raises(ArchiveError):
        read_bytes(start + data)


@given(st.binary(max_size=300))
def test_any_bytes_inside_a_compression_are_refused(data: bytes) -> None:
    for packed in (gzip.compress(data), zstandard.compress(data)):
        with pytest.raises(ArchiveError):
            read_bytes(packed)


@pytest.mark.parametrize("archive", [".jsonl.gz", ".jsonl.zst"], indirect=True)
def test_rest_after_the_end_is_refused(archive: bytes) -> None:
    with pytest.raises(ArchiveError):
        read_bytes(archive + archive)
    with pytest.raises(ArchiveError):
        read_bytes(archive + b"more")


def test_compression_is_known_by_the_bytes_not_by_the_name(tmp_path: Path) -> None:
    write(tmp_path / "zoo.json.gz")
    renamed = (tmp_path / "zoo.json.gz").rename(tmp_path / "zoo.json")
    assert len(read(renamed)[1]) == len(ROWS)


# Edited archives ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_edited_row_is_found(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"zoo{suffix}"
    write(path)
    assert codes(path) == []
    path.write_bytes(path.read_bytes().replace(b'"Zoo"', b'"Zoe"'))
    assert codes(path) == ["archive-edited"]
    (finding,) = read(path)[2].findings("zoo")
    assert finding.severity.value == "warning"
    assert "does not match." in finding.message


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_removed_row_is_found_and_counted(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"zoo{suffix}"
    write(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"pk":2' not in line))
    (finding,) = read(path)[2].findings("zoo")
    assert finding.message.endswith("It says 4 rows and holds 3.")


def test_count_by_model_is_held_to(tmp_path: Path) -> None:
    path = tmp_path / "zoo.jsonl"
    write(path)
    data = path.read_bytes()
    assert b'"zoo.menagerie":1,' in data
    path.write_bytes(data.replace(b'"zoo.menagerie":1,', b'"zoo.menagerie":2,'))
    assert codes(path) == ["archive-edited"]


def test_text_of_a_closing_line_in_a_row_is_text(tmp_path: Path) -> None:
    path = tmp_path / "zoo.jsonl"
    text = '\n{"closing": {"rows": 1}}\n"closing"'
    write(path, [ArchivedRow("zoo.tag", n, {"label": text, "closing": 1}) for n in range(5)])
    assert codes(path) == []
    assert [row.fields["label"] for row in read(path)[1]] == [text] * 5


def test_digest_is_of_all_bytes_before_the_closing_line(tmp_path: Path) -> None:
    for suffix in (".json", ".jsonl"):
        path = tmp_path / f"zoo{suffix}"
        written = write(path)
        data = path.read_bytes()
        covered = data[: data.rindex(b"\n", 0, -1) + 1]
        assert hashlib.sha256(covered).hexdigest() == written.sha256


@pytest.mark.parametrize(
    "closing",
    [
        '"text"',
        "7",
        "null",
        "[]",
        "{}",
        '{"rows": 2}',
        '{"sha256": "x"}',
        '{"rows": [], "sha256": {}}',
    ],
)
def test_odd_closing_line_is_no_success(tmp_path: Path, closing: str) -> None:
    path = tmp_path / "zoo.jsonl"
    write(path, SMALL)
    lines = path.read_text("utf-8").split("\n")
    path.write_text("\n".join([*lines[:-2], f'{{"closing": {closing}}}']), "utf-8")
    try:
        assert codes(path) == ["archive-edited"]
    except (ArchiveDamaged, ArchiveCutOff) as error:
        assert "closing line" in str(error)


# Rows that are none -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"model": "a.b"},
        {"model": "a.b", "pk": 1},
        {"model": "a.b", "fields": {}},
        {"model": 7, "pk": 1, "fields": {}},
        {"model": "a.b", "pk": 1, "fields": []},
        {"model": "a.b", "pk": 1, "fields": {}, "dangling": "x"},
        {"model": "a.b", "pk": 1, "fields": {}, "dangling": {"x": 1}},
        {"model": "a.b", "pk": 1, "fields": {}, "dangling": [["x"]]},
        {"model": "a.b", "pk": 1, "fields": {}, "dangling": [1]},
    ],
)
def test_row_that_is_none_is_damage(tmp_path: Path, row: dict[str, Any]) -> None:
    path = tmp_path / "zoo.jsonl"
    write(path, SMALL)
    lines = path.read_text("utf-8").split("\n")
    path.write_text("\n".join([lines[0], json.dumps(row), *lines[2:]]), "utf-8")
    with pytest.raises(ArchiveDamaged, match="object 1 "):
        read(path)


def test_names_of_models_are_read_in_any_case(tmp_path: Path) -> None:
    path = tmp_path / "zoo.jsonl"
    write(path, [ArchivedRow("Zoo.TAG", 1, {})])
    assert read(path)[1][0].model == "zoo.tag"


# Bounds -------------------------------------------------------------------------------------------


def bomb(compression: str, size: int) -> bytes:
    """A small file that expands to an archive of one very long row."""
    start = json.dumps(MANIFEST.as_json()).encode() + b'\n{"model": "'
    body = start + b"a" * size
    return gzip.compress(body) if compression == "gz" else zstandard.compress(body)


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_expansion_stops_at_the_bound(compression: str) -> None:
    data = bomb(compression, 100_000_000)
    assert len(data) < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveTooLarge, match="larger than 5,000,000 bytes when expanded"):
            read_bytes(data, max_bytes=5_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40_000_000


def test_archive_of_just_the_bound_is_read(tmp_path: Path) -> None:
    path = tmp_path / "zoo.jsonl"
    size = write(path).size_bytes
    assert size == path.stat().st_size
    assert len(read(path, size)[1]) == len(ROWS)
    with pytest.raises(ArchiveTooLarge):
        read(path, size - 1)


@pytest.mark.parametrize("suffix", [".json", ".jsonl.gz"])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"long{suffix}"
    text = "x" * 500
    write(path, (ArchivedRow("zoo.tag", n, {"label": f"{n}{text}"}) for n in range(20_000)))
    tracemalloc.start()
    try:
        with open_archive(str(path), MAX_BYTES) as archive:
            count = sum(1 for _ in archive.rows())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert peak < 5_000_000


def test_one_long_line_is_read(tmp_path: Path) -> None:
    # Longer than the pieces in which lines are looked for; of characters of four bytes.
    path = tmp_path / "long.jsonl"
    text = "🦁" * 2_000_000 + "é"
    write(path, [ArchivedRow("zoo.tag", 1, {"label": text}), *SMALL])
    _, rows, ending = read(path)
    assert rows[0].fields["label"] == text
    assert len(rows) == 3
    assert ending.findings("x") == []


# Where it is read from ----------------------------------------------------------------------------


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    for name in ("nowhere.json", "."):
        with (
            pytest.raises(ArchiveNotRead, match=r"cannot be read: .*(No such file|directory)"),
            open_archive(str(tmp_path / name), MAX_BYTES),
        ):
            pass


class Pipe(io.RawIOBase):
    """Bytes that come once, a few at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 7) if size > 0 else 7)


def test_standard_input_is_read_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path / "zoo.json.gz")
    pipe = type("Stdin", (), {"buffer": Pipe((tmp_path / "zoo.json.gz").read_bytes())})
    monkeypatch.setattr(sys, "stdin", pipe)
    with open_archive("-", MAX_BYTES) as archive:
        assert archive.name == "standard input"
        assert len(list(archive.rows())) == len(ROWS)
        assert len(list(archive.rows())) == len(ROWS)


def test_standard_input_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = type("Stdin", (), {"buffer": Pipe(b" " * 10_000)})
    monkeypatch.setattr(sys, "stdin", pipe)
    with pytest.raises(ArchiveTooLarge, match="standard input"), open_archive("-", 5_000):
        pass


# Told by the bytes alone -------------------------------------------------------------------------


def _holds(data: bytes, sha256: str, rows_by_model: dict[str, int]) -> bool:
    try:
        return ArchiveReader("x", io.BytesIO(data), MAX_BYTES).holds(sha256, rows_by_model)
    except ArchiveError:
        return False


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_file_holds_what_was_written_to_it_or_it_is_noticed(suffix: str, tmp_path: Path) -> None:
    written = write(tmp_path / f"small{suffix}", SMALL)
    data, told = (tmp_path / f"small{suffix}").read_bytes(), (written.sha256, written.rows_by_model)
    assert _holds(data, *told)
    assert not _holds(data, "0" * 64, written.rows_by_model)
    assert not _holds(data, written.sha256, {"zoo.tag": 3})
    has_spare_end = data.endswith(b"\n")
    for length in range(len(data) - has_spare_end):
        assert not _holds(data[:length], *told)
    if suffix in (".json", ".jsonl"):
        for place in range(len(data) - 1):
            changed = bytes([data[place] ^ 1])
            assert not _holds(data[:place] + changed + data[place + 1 :], *told), place
        assert not _holds(data + b"{}", *told)
        # Rows after the closing line are no part of what was written.
        assert not _holds(data + data.splitlines()[1], *told)
