"""Do rows and files come out of a tar as they went in, and does nothing else come out of it?"""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
import tracemalloc
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import IO

import pytest

from gestore.archive.container import CarriedFile, Container, FileSource, is_tar, write_container
from gestore.errors import ArchiveCutOff, ArchiveDamaged, ArchiveTooLarge

ROWS = b'{"format_version": 2}\n' * 1_000
MOST = 10**9


def of(label: str, name: str, content: bytes | None) -> FileSource:
    def opened() -> AbstractContextManager[IO[bytes]]:
        if content is None:
            raise FileNotFoundError(name)
        return nullcontext(io.BytesIO(content))

    return FileSource(label, name, opened)


def packed(*files: FileSource) -> tuple[bytes, list[CarriedFile]]:
    sink = io.BytesIO()
    carried = list(write_container(sink, io.BytesIO(ROWS), files))
    return sink.getvalue(), carried


def container(data: bytes, most: int = MOST) -> Container:
    @contextmanager
    def start() -> Iterator[IO[bytes]]:
        yield io.BytesIO(data)

    return Container("acme.tar", start, most)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read(data: bytes) -> tuple[bytes, list[CarriedFile], dict[str, bytes]]:
    tar = container(data)
    with tar.rows() as rows:
        text = rows.read()
    return text, list(tar.files()), {name: content.read() for name, content in tar.contents()}


def test_round_trip() -> None:
    data, carried = packed(
        of("a.B.photo", "photos/1.jpg", b"one"),
        of("a.B.photo", "photos/2.jpg", b"two" * 3_000_000),
        of("a.C.file", 'ł\n"../../etc/passwd', b""),
        of("a.C.file", "photos/1.jpg", b"one"),
        of("a.C.file", "gone", None),
    )
    assert is_tar(data[:300])
    text, files, contents = read(data)
    assert text == ROWS
    assert files == carried
    assert [file.sha256 for file in files] == [
        digest(b"one"), digest(b"two" * 3_000_000), digest(b""), digest(b"one"), "",
    ]  # fmt: skip
    assert contents == {digest(c): c for c in (b"one", b"two" * 3_000_000, b"")}


def test_any_changed_byte_that_matters_is_noticed() -> None:
    """Beyond the rows, which have a digest of their own: contents and their list."""
    data, _ = packed(of("a.B.photo", "1.jpg", random.Random(7).randbytes(20_000)))
    place = data.index(b"files/") + 512
    listed = data.rindex(b'["a.B.photo"')
    for at in [*range(place, place + 20_000, 997), *range(listed, listed + 90, 7)]:
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(ArchiveDamaged):
            read(bytes(changed))


@pytest.mark.parametrize("part", [0.0, 0.3, 0.5, 0.9, 0.99, 1.0])
def test_cut_off(part: float) -> None:
    data, _ = packed(of("a.B.photo", "1.jpg", b"x" * 50_000))
    end = data.rindex(b"files.jsonl") + 600
    with pytest.raises((ArchiveCutOff, ArchiveDamaged)):
        read(data[: int(end * part)])


def made(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(content), "/etc/passwd"
            tar.addfile(member, io.BytesIO(content))
    return sink.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        made(("rows.jsonl", ROWS), ("../evil", b"x"), ("files.jsonl", b"")),
        made(("rows.jsonl", ROWS), ("rows.jsonl", ROWS), ("files.jsonl", b"")),
        made(("files.jsonl", b""), ("rows.jsonl", ROWS)),
        made(("rows.jsonl", ROWS), ("files.jsonl", b""), ("files/" + digest(b"x"), b"x")),
        made(("rows.jsonl", ROWS), ("files/" + digest(b"x"), b"x"), ("files.jsonl", b"")),
        made(("rows.jsonl", ROWS), ("files.jsonl", b'["a.B.c", "x", "' + b"0" * 64 + b'", 1]\n')),
        made(("rows.jsonl", ROWS), ("files.jsonl", b"{}\n")),
        made(("rows.jsonl", ROWS), ("files.jsonl", b"no json\n")),
        made(("rows.jsonl", b""), kind=tarfile.SYMTYPE),
    ],
)
def test_what_does_not_belong_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveDamaged):
        read(data)


def test_expansion_is_bounded() -> None:
    data, _ = packed(of("a.B.photo", "1.jpg", b"x" * 500_000))
    with pytest.raises(ArchiveTooLarge), container(data, 400_000).rows():
        pass


def test_memory_does_not_grow_with_the_files() -> None:
    class Nowhere(io.RawIOBase):
        def write(self, data: object) -> int:
            return len(data)  # type: ignore[arg-type]

    def peak(count: int) -> int:
        sources = (of("a.B.photo", f"{n}.jpg", b"%d" % n) for n in range(count))
        tracemalloc.start()
        for _ in write_container(Nowhere(), io.BytesIO(ROWS), sources):  # type: ignore[arg-type]
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(3_000) - peak(300) < 3_000 * 150
