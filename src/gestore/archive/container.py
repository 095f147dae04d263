"""How do rows and uploaded files travel in one stream? In a tar: the rows, each file's content once
under its digest, and at the end which file it is.

Nothing is ever unpacked under a name that stands in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Any, NamedTuple

from ..errors import ArchiveCutOff, ArchiveDamaged
from .storage import too_large

TAR = ".tar"
_ROWS, _INDEX, _FOLDER = "rows.jsonl", "files.jsonl", "files/"
_CLOSING = b'{"closing": '
_CONTENT = re.compile(r"files/[0-9a-f]{64}")
_DIGEST = re.compile("[0-9a-f]{64}")
_PIECE_BYTES = 1 << 18
_IN_MEMORY_BYTES = 4 << 20
_MOST_INDEX_LINE = 100_000


class FileSource(NamedTuple):
    """A file that a row names: `label` is the field's (`app.Model.field`), `open` gives its
    content, and raises `FileNotFoundError` where there is none."""

    label: str
    name: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]


class CarriedFile(NamedTuple):
    """A file in an archive; `sha256` is "" where it was missing at the source."""

    label: str
    name: str
    sha256: str
    size_bytes: int


def is_tar(start: bytes) -> bool:
    """Whether a file that begins so is a tar: 265 bytes tell."""
    return start[257:262] == b"ustar"


# Writing ------------------------------------------------------------------------------------------


def write_container(
    sink: IO[bytes], rows: IO[bytes], files: Iterable[FileSource]
) -> Iterator[CarriedFile]:
    """Write everything; each file as it is carried comes back. To be exhausted."""
    seen: set[bytes] = set()
    with (
        tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        tempfile.TemporaryFile(prefix="gestore-") as index,
    ):
        _add(tar, _ROWS, rows)
        digest = hashlib.sha256()
        for source in files:
            carried = _carry(tar, source, seen)
            line = _line(carried)
            digest.update(line)
            index.write(line)
            yield carried
        index.write(_closing(digest.hexdigest()))
        _add(tar, _INDEX, index)


def _carry(tar: tarfile.TarFile, source: FileSource, seen: set[bytes]) -> CarriedFile:
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, prefix="gestore-") as kept:
        digest = hashlib.sha256()
        try:
            with source.open() as content:
                while piece := content.read(_PIECE_BYTES):
                    digest.update(piece)
                    kept.write(piece)
        except FileNotFoundError:
            return CarriedFile(source.label, source.name, "", 0)
        size = kept.tell()
        if digest.digest() not in seen:
            seen.add(digest.digest())
            _add(tar, f"{_FOLDER}{digest.hexdigest()}", kept)
    return CarriedFile(source.label, source.name, digest.hexdigest(), size)


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size = content.seek(0, io.SEEK_END)
    member.mode = 0o600
    content.seek(0)
    tar.addfile(member, content)
    _forget(tar)


def _line(carried: CarriedFile) -> bytes:
    told = [carried.label, carried.name, carried.sha256, carried.size_bytes]
    return json.dumps(told, ensure_ascii=True).encode() + b"\n"


# Reading ------------------------------------------------------------------------------------------


class Container:
    """A tar that can be read from its beginning as often as needed; `start` opens it there, clear
    and expanded."""

    def __init__(
        self, name: str, start: Callable[[], AbstractContextManager[IO[bytes]]], max_bytes: int
    ) -> None:
        self._name = name
        self._start = start
        self._max_bytes = max_bytes

    def start(self, count: int) -> bytes:
        """Its first bytes, as many as that if there are so many."""
        found = b""
        with self._start() as stream:
            while len(found) < count and (piece := stream.read(count - len(found))):
                found += piece
        return found

    @contextmanager
    def rows(self) -> Iterator[IO[bytes]]:
        """The document with the rows, as a file. All of the tar is read and checked for it: what
        is missing or damaged is told before any row is looked at."""
        with tempfile.TemporaryFile(prefix="gestore-") as kept:
            sizes: dict[bytes, int] = {}
            for member, content in self._members():
                if member.name == _ROWS:
                    _copy(content, kept)
                elif member.name == _INDEX:
                    self._check_index(content, sizes)
                else:
                    sizes[self._checked(member.name, content)] = member.size
            kept.seek(0)
            yield kept

    def files(self) -> Iterator[CarriedFile]:
        """What the rows name, as it was carried."""
        for member, content in self._members():
            if member.name == _INDEX:
                yield from self._index(content)

    def contents(self) -> Iterator[tuple[str, _Content]]:
        """Digest and content of each file; a content is to be read before the next one."""
        for member, content in self._members():
            if member.name.startswith(_FOLDER):
                yield member.name.removeprefix(_FOLDER), content

    def _members(self) -> Iterator[tuple[tarfile.TarInfo, _Content]]:
        """Rows, contents, index, in this order and nothing else."""
        size, last = 0, ""
        with self._start() as stream, self.errors(), tarfile.open(fileobj=stream, mode="r|") as tar:
            while (member := tar.next()) is not None:
                size += member.size
                if size > self._max_bytes:
                    raise too_large(self._name, self._max_bytes)
                if not member.isreg() or not _may_follow(last, member.name):
                    raise self._damaged(f"{member.name!r} does not belong in it")
                content = tar.extractfile(member)
                assert content is not None
                last = member.name
                yield member, _Content(self, content)
                _forget(tar)
            if last != _INDEX:
                raise ArchiveCutOff(
                    f"{self._name} is cut off: its end is missing.",
                    hint="Fetch it again from where it was whole.",
                )
            # Whoever decrypts or expands tells only at the end that something is wrong.
            while stream.read(_PIECE_BYTES):
                pass

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What the library raises for broken input, in our words."""
        try:
            yield
        except tarfile.TarError as error:
            raise self._damaged(str(error)) from error

    def _check_index(self, content: _Content, sizes: dict[bytes, int]) -> None:
        """The list names what is there, and nothing else is there."""
        named: set[bytes] = set()
        for carried in self._index(content):
            if carried.sha256:
                named.add(bytes.fromhex(carried.sha256))
                if sizes.get(bytes.fromhex(carried.sha256)) != carried.size_bytes:
                    raise self._damaged(f"{carried.name!r} is not in it, or of another size")
        if len(named) != len(sizes):
            raise self._damaged("it has files that it does not name")

    def _checked(self, name: str, content: _Content) -> bytes:
        wanted = name.removeprefix(_FOLDER)
        digest = hashlib.sha256()
        while piece := content.read(_PIECE_BYTES):
            digest.update(piece)
        if digest.hexdigest() != wanted:
            raise self._damaged("a file in it is not what it was")
        return digest.digest()

    def _index(self, content: _Content) -> Iterator[CarriedFile]:
        digest, line = hashlib.sha256(), b""
        for line in content.lines():
            if line.startswith(_CLOSING):
                break
            digest.update(line)
            yield self._entry(line)
        if line != _closing(digest.hexdigest()):
            raise self._damaged("its list of files is not what it was")

    def _entry(self, line: bytes) -> CarriedFile:
        try:
            label, name, sha256, size = json.loads(line)
            texts = all(isinstance(part, str) for part in (label, name, sha256))
            if texts and (not sha256 or _DIGEST.fullmatch(sha256)):
                return CarriedFile(label, name, sha256, int(size))
        except (ValueError, TypeError) as error:
            raise self._damaged("its list of files is odd") from error
        raise self._damaged("its list of files is odd")

    def _damaged(self, why: str) -> ArchiveDamaged:
        return ArchiveDamaged(f"{self._name} is damaged: {why}.")


def _may_follow(last: str, name: str) -> bool:
    if not last:
        return name == _ROWS
    return last != _INDEX and (name == _INDEX or bool(_CONTENT.fullmatch(name)))


class _Content:
    """What stands in a tar under one name, to be read once, from its beginning."""

    def __init__(self, container: Container, file: IO[bytes]) -> None:
        self._container = container
        self._file = file

    def read(self, size: int = -1) -> bytes:
        with self._container.errors():
            return self._file.read(size)

    def lines(self) -> Iterator[bytes]:
        while line := self._line():
            yield line

    def _line(self) -> bytes:
        with self._container.errors():
            return self._file.readline(_MOST_INDEX_LINE)


def _forget(tar: Any) -> None:
    """tarfile remembers every member it met: memory that grows with files. `members` is no part of
    its manual (seen the same from 3.11 to 3.13; a test measures)."""
    tar.members = []


def _closing(sha256: str) -> bytes:
    return _CLOSING + json.dumps({"sha256": sha256}).encode() + b"}\n"


def _copy(source: _Content, target: IO[bytes]) -> None:
    while piece := source.read(_PIECE_BYTES):
        target.write(piece)
