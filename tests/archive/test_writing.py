"""Does an archive appear whole or not at all, and the same each time?"""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from gestore.archive import storage
from gestore.archive.documents import Layout
from gestore.archive.storage import new_file
from gestore.archive.writer import Destination, is_archive_name, write_archive
from gestore.errors import (
    ArchiveExists,
    ArchiveNotWritten,
    MissingExtra,
    UsageError,
    ValueNotCarried,
)
from gestore.rows import ArchivedRow

from .archives import MANIFEST, ROWS, read, write

# Under its name ---------------------------------------------------------------------------------


def failing() -> Iterator[ArchivedRow]:
    yield from ROWS
    raise ValueNotCarried("no more")


def interrupted() -> Iterator[ArchivedRow]:
    yield from ROWS
    raise KeyboardInterrupt


@pytest.mark.parametrize("suffix", [".json", ".jsonl.gz", ".json.zst"])
@pytest.mark.parametrize(
    ("rows", "error"), [(failing, ValueNotCarried), (interrupted, KeyboardInterrupt)]
)
def test_nothing_is_left_of_an_archive_that_was_not_finished(
    tmp_path: Path, suffix: str, rows: object, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        write(tmp_path / f"zoo{suffix}", rows())  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []


def test_unfinished_archive_does_not_touch_the_one_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "zoo.json"
    write(path)
    before = path.read_bytes()
    with pytest.raises(ValueNotCarried):
        write(path, failing())
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["zoo.json"]


def test_archive_has_no_name_until_it_is_whole(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def watched() -> Iterator[ArchivedRow]:
        for row in ROWS:
            seen.append([p.name for p in tmp_path.iterdir()])
            yield row

    write(tmp_path / "zoo.jsonl", watched())
    assert all(len(names) == 1 for names in seen)
    assert all(names[0].startswith(".zoo.jsonl.") for names in seen)
    assert all(names[0].endswith(".part") for names in seen)
    assert [p.name for p in tmp_path.iterdir()] == ["zoo.jsonl"]


def test_taken_name_is_refused_and_overwritten_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "zoo.json"
    path.write_text("mine")
    destination = Destination.parse(str(path))
    with pytest.raises(ArchiveExists, match="exists already") as caught:
        destination.check()
    assert "--overwrite" in caught.value.hint
    with pytest.raises(ArchiveExists):
        write_archive(destination, MANIFEST, ROWS)
    assert path.read_text() == "mine"
    write_archive(Destination.parse(str(path), overwrite=True), MANIFEST, ROWS)
    assert len(read(path)[1]) == len(ROWS)


def test_name_that_was_taken_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "zoo.json"

    def slow() -> Iterator[ArchivedRow]:
        yield from ROWS
        path.write_text("mine")

    with pytest.raises(ArchiveExists):
        write_archive(Destination.parse(str(path)), MANIFEST, slow())
    assert path.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["zoo.json"]


def test_folder_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "zoo.json").mkdir()
    with pytest.raises(ArchiveNotWritten, match="is a folder"):
        Destination.parse(str(tmp_path / "zoo.json"), overwrite=True).check()


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "zoo.json")
    assert (tmp_path / "a" / "b" / "zoo.json").is_file()


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveNotWritten, match="could not be written"):
        write(tmp_path / "file" / "zoo.json")


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_others_on_the_machine_cannot_read_an_archive(tmp_path: Path) -> None:
    write(tmp_path / "zoo.json")
    assert stat.S_IMODE((tmp_path / "zoo.json").stat().st_mode) == 0o600


def test_file_is_closed_and_gone_when_the_writer_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_file(tmp_path / "x") as file:
        file.write(b"half")
        raise RuntimeError
    assert file.closed
    assert list(tmp_path.iterdir()) == []


def test_file_goes_to_disk_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fsync

    def noted(handle: int) -> None:
        sync(handle)
        synced.append(os.fstat(handle).st_size)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(storage, "_SYNCED_BYTES", 300_000)
    with new_file(tmp_path / "x") as file:
        for number in range(10):
            file.write(bytes([number]) * 100_000)
        under_way = [*synced]
    assert under_way == [400_000, 800_000]
    assert (tmp_path / "x").read_bytes() == b"".join(bytes([n]) * 100_000 for n in range(10))
    assert synced[len(under_way)] == 1_000_000


def test_standard_output_gets_the_payload_and_stays_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for form in ("json", "jsonl.gz"):
        sink = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(sink))
        destination = Destination.parse("-", form=form)
        destination.check()
        written = write_archive(destination, MANIFEST, ROWS)
        assert not sink.closed
        assert written.name == "-"
        path = tmp_path / "copy"
        path.write_bytes(sink.getvalue())
        assert read(path)[2].sha256 == written.sha256
        sys.stdout.detach()  # type: ignore[attr-defined]


def test_full_disk_behind_standard_output_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", type("Stdout", (), {"buffer": Full()}))
    with pytest.raises(ArchiveNotWritten, match=r"standard output .* No space left"):
        write_archive(Destination.parse("-"), MANIFEST, ROWS)


# The same each time -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".json.gz", ".jsonl.zst"])
def test_equal_rows_make_equal_files(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / f"one{suffix}", tmp_path / f"another{suffix}"
    write(first)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 86_400)
    write(second)
    assert first.read_bytes() == second.read_bytes()


def test_compressed_archives_are_what_other_programs_read(tmp_path: Path) -> None:
    for suffix in (".json", ".json.gz", ".json.zst"):
        write(tmp_path / f"zoo{suffix}")
    plain = (tmp_path / "zoo.json").read_bytes()
    assert gzip.decompress((tmp_path / "zoo.json.gz").read_bytes()) == plain
    packed = (tmp_path / "zoo.json.zst").read_bytes()
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == plain


def test_counts_are_of_the_rows_that_were_written(tmp_path: Path) -> None:
    written = write(tmp_path / "zoo.json")
    assert written.rows_by_model == {"zoo.tag": 2, "zoo.menagerie": 1, "zoo.cage": 1}
    assert written.row_count == 4
    assert written.size_bytes == (tmp_path / "zoo.json").stat().st_size
    closing = json.loads((tmp_path / "zoo.json").read_text())["closing"]
    assert closing == {
        "rows": 4,
        "rows_by_model": {"zoo.cage": 1, "zoo.menagerie": 1, "zoo.tag": 2},
        "sha256": written.sha256,
    }


# What a name says -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "layout", "compression"),
    [
        ("acme.json", Layout.JSON, ""),
        ("acme.jsonl", Layout.JSON_LINES, ""),
        ("acme.json.gz", Layout.JSON, ".gz"),
        ("a/b.c/acme.2024.jsonl.zst", Layout.JSON_LINES, ".zst"),
    ],
)
def test_name_says_how_it_is_written(name: str, layout: Layout, compression: str) -> None:
    destination = Destination.parse(name)
    assert (destination.layout, destination.compression) == (layout, compression)
    assert is_archive_name(name)


@pytest.mark.parametrize("name", ["acme", "acme.xml", "acme.gz", "acme.json.bz2", "folder/", "."])
def test_name_that_says_nothing_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"does not say what to write\. End it in \.json"):
        Destination.parse(name)
    assert not is_archive_name(name)


def test_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    destination = Destination.parse(str(tmp_path / "acme.json.zst"))
    with pytest.raises(MissingExtra, match=r"pip install 'django-gestore\[zstd\]'"):
        destination.check()
