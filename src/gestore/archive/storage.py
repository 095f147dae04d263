"""Where do an archive's bytes lie? The only file that opens, names or moves files.

A file appears under its name whole, or not at all.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..errors import ArchiveExists, ArchiveNotRead, ArchiveNotWritten, ArchiveTooLarge

if TYPE_CHECKING:
    from typing_extensions import Buffer

STANDARD = "-"
_SPOOL_BYTES = 1 << 20
_SYNCED_BYTES = 8 << 20


@contextmanager
def new_file(path: Path, *, overwrite: bool = False) -> Iterator[IO[bytes]]:
    """A file that is written beside `path`, and becomes `path` when everything went well.

    It is synced to disk before it gets its name; after any failure nothing is left of it.
    """
    check_free(path, overwrite=overwrite)
    part: Path | None = None
    # A link is written through: it stays, and what it leads to is replaced.
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name}.", suffix=".part"
        )
        part = Path(name)
        with io.BufferedWriter(_Synced(handle, "wb")) as file:
            yield file
            file.flush()
            os.fsync(handle)
        part.chmod(0o600)
        _give_name(part, target, overwrite=overwrite)
        _sync_folder(target.parent)
    except OSError as error:
        raise _not_written(path, error.strerror or str(error)) from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


class _Synced(io.FileIO):
    """A file that goes to disk while it is written: at the end little is left to wait for."""

    _unsynced = 0

    def write(self, data: Buffer) -> int:
        count = super().write(data)
        self._unsynced += count
        if self._unsynced > _SYNCED_BYTES:
            os.fsync(self.fileno())
            self._unsynced = 0
        return count


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that is filled beside `path`, and becomes `path` when everything went well."""
    part: Path | None = None
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=path.absolute().parent, prefix=f".{path.name}."))
        yield part
        part.rename(path)
    except OSError as error:
        raise _not_written(path, error.strerror or str(error)) from error
    finally:
        if part is not None and part.exists():
            shutil.rmtree(part)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuse a name that is a folder's, or taken, or in a place where nothing can be written."""
    try:
        if path.is_dir():
            raise ArchiveNotWritten(f"{path} is a folder.", hint="Name a file.")
        if path.exists() and not path.is_file():
            # A device: it would be replaced by a file.
            raise ArchiveNotWritten(f"{path} is no regular file.", hint="Name another.")
        if not overwrite and path.exists():
            raise exists_already(path)
        there = next(folder for folder in path.absolute().parents if folder.exists())
    except PermissionError as error:
        raise _not_written(path, error.strerror or str(error)) from error
    if not there.is_dir():
        raise _not_written(path, f"{there} is no folder")
    if not os.access(there, os.W_OK):
        raise _not_written(path, f"nothing can be written in {there}")


def _not_written(path: Path, reason: str) -> ArchiveNotWritten:
    return ArchiveNotWritten(
        f"{path} could not be written: {reason}.", hint="Nothing was written under that name."
    )


def exists_already(
    name: object, hint: str = "Choose another name, or add --overwrite to replace it."
) -> ArchiveExists:
    """The refusal of a name that is taken."""
    return ArchiveExists(f"{name} exists already.", hint=hint)


def _give_name(part: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        part.replace(path)
        return
    try:
        # Unlike a rename, a link never replaces a file that came meanwhile.
        os.link(part, path)
    except FileExistsError as error:
        raise exists_already(path) from error
    except OSError:
        # Some file systems know no links.
        part.replace(path)


def _sync_folder(folder: Path) -> None:
    # Windows cannot open a folder: there the name is as safe as it gets.
    with suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def standard_output() -> Iterator[IO[bytes]]:
    """The payload's way out for `-`."""
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except OSError as error:
        raise ArchiveNotWritten(
            f"standard output could not be written: {error.strerror or error}."
        ) from error


@contextmanager
def readable(path: str, max_bytes: int) -> Iterator[IO[bytes]]:
    """The archive's bytes as a file that can be read again; a pipe is kept on disk meanwhile."""
    if path == STANDARD:
        with tempfile.TemporaryFile() as kept:
            spool(sys.stdin.buffer, kept, max_bytes, "standard input")
            yield kept
        return
    with open_file(Path(path), path) as file:
        if not file.seekable():
            with tempfile.TemporaryFile() as kept:
                spool(file, kept, max_bytes, path)
                yield kept
            return
        yield file


def open_file(path: Path, shown: str) -> IO[bytes]:
    """The file, to be read."""
    try:
        return path.open("rb")
    except OSError as error:
        raise ArchiveNotRead(f"{shown} cannot be read: {error.strerror or error}.") from error


def spool(source: IO[bytes], kept: IO[bytes], max_bytes: int, name: str) -> None:
    """Keep on disk what can be read only once; `ArchiveTooLarge` beyond the bound."""
    size = 0
    while piece := _piece(source, name):
        size += len(piece)
        if size > max_bytes:
            raise too_large(name, max_bytes)
        try:
            kept.write(piece)
        except OSError as error:
            raise ArchiveNotRead(
                f"{name} could not be kept on disk: {error.strerror or error}.",
                hint="Another folder for temporary files can be named by TMPDIR.",
            ) from error
    kept.seek(0)


def _piece(source: IO[bytes], name: str) -> bytes:
    try:
        return source.read(_SPOOL_BYTES)
    except OSError as error:
        raise ArchiveNotRead(f"{name} cannot be read: {error.strerror or error}.") from error


class Scratch:
    """Bytes kept on disk for a while, without a name."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._end = 0

    def write(self, piece: bytes) -> tuple[int, int]:
        """Keep the bytes; what comes back gives them to `read`."""
        place = self._end
        try:
            self._file.seek(place)
            self._file.write(piece)
            # So that a full disk is told of here.
            self._file.flush()
        except OSError as error:
            raise _not_kept(error) from error
        self._end += len(piece)
        return place, len(piece)

    def read(self, place: int, size: int) -> bytes:
        try:
            self._file.seek(place)
            return self._file.read(size)
        except OSError as error:
            raise _not_kept(error) from error

    def empty(self) -> None:
        """Forget all of it."""
        try:
            self._file.truncate(0)
        except OSError as error:
            raise _not_kept(error) from error
        self._end = 0

    def close(self) -> None:
        self._file.close()


def _not_kept(error: OSError) -> ArchiveNotRead:
    return ArchiveNotRead(
        f"the archive's rows could not be kept on disk: {error.strerror or error}.",
        hint="Another folder for temporary files can be named by TMPDIR.",
    )


def too_large(name: str, max_bytes: int) -> ArchiveTooLarge:
    """The refusal of an archive beyond the bound."""
    return ArchiveTooLarge(
        f"{name} is larger than {max_bytes:,} bytes when expanded.",
        hint='If it is to be trusted, raise GESTORE["MAX_ARCHIVE_BYTES"].',
    )


def write_text(name: str, lines: Iterable[str]) -> None:
    """A text file, whole or not at all; one that is there is replaced."""
    with new_file(Path(name), overwrite=True) as file:
        for line in lines:
            # A lone surrogate has no UTF-8; what stands in for it is JSON's own escape.
            file.write(line.encode(errors="backslashreplace"))


def read_text(name: str) -> str:
    """A small text file."""
    try:
        return read_bytes(name).decode()
    except UnicodeDecodeError as error:
        raise ArchiveNotRead(f"{name} cannot be read: it is no UTF-8 text.") from error


def read_start(path: Path, most_bytes: int) -> bytes | None:
    """A small file's first bytes; None where there is none."""
    try:
        with path.open("rb") as file:
            return file.read(most_bytes)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArchiveNotRead(f"{path} cannot be read: {error.strerror or error}.") from error


def remove_file(path: Path) -> None:
    """Take a file away, if it is there."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ArchiveNotWritten(
            f"{path} could not be removed: {error.strerror or error}."
        ) from error


def sha256_of(file: IO[bytes]) -> str:
    """The SHA-256 of what is still to be read of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    while piece := file.read(_SPOOL_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def read_bytes(name: str) -> bytes:
    """A small file."""
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ArchiveNotRead(f"{name} cannot be read: {error.strerror or error}.") from error
