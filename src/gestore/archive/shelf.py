"""How does an archive lie in a storage of the project's: S3, Google's, Azure's, any of Django's?

It is written to a temporary file first and sent when it is whole: not every storage can take what
is still growing, and none keeps half of it under its name. Memory is bounded both ways.
"""

from __future__ import annotations

import copy
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

from ..errors import ArchiveError, ArchiveNotRead, ArchiveNotWritten
from .storage import exists_already, new_file, open_file, spool

if TYPE_CHECKING:
    from django.core.files.storage import Storage

# What storages read and send at a time, where they would otherwise hold all of it, or 100 MB of it:
# a download that is not on disk yet; an upload to Google.
READ_SIZES = {"max_memory_size": 4 << 20}
SENT_SIZES = {**READ_SIZES, "blob_chunk_size": 4 << 20}
# How many pieces of 8 MB S3's has in hand at once, and how many of 256 kB on their way to disk.
_TRANSFERS = {
    "max_concurrency": 2,
    "max_in_memory_upload_chunks": 2,
    "max_in_memory_download_chunks": 2,
    "max_io_queue": 8,
}
# How S3's and Google's, and Azure's, are told to replace a file rather than choose another name.
_REPLACING = ("file_overwrite", "overwrite_files")
# How a storage keeps what is put into it.
_OWN_WAYS = ("_save", "_open")
# Where the libraries' messages show an address: what is asked of it, and by whom, may be a key.
_SECRETS = re.compile(r"(?<=://)[^/@\s]+(?=@)|(?<=[?&])[^\s\"'()<>]+|(?<=AccountKey=)[^\s;]+")


@dataclass(frozen=True, slots=True)
class Shelf:
    """A storage, and what the project calls it."""

    alias: str
    storage: Storage

    def shown(self, name: str) -> str:
        """An archive's name as people read it."""
        return f"{self.alias}:{name}"

    def check_free(self, name: str, *, overwrite: bool) -> None:
        """Refuse a name that is taken, or a storage that is out of reach."""
        with self._written(name):
            if not self.storage.exists(name):
                return
        if not overwrite:
            raise exists_already(self.shown(name))
        if self._folder_path(name) is None and not self._replacing():
            raise ArchiveNotWritten(
                f"{self.shown(name)} exists already, and this storage cannot replace a file.",
                hint="Choose another name.",
            )

    @contextmanager
    def new_blob(self, name: str, *, overwrite: bool) -> Iterator[IO[bytes]]:
        """A file that is sent when everything went well; else nothing lies under its name."""
        self.check_free(name, overwrite=overwrite)
        path = self._folder_path(name)
        if path is not None:
            with new_file(path, overwrite=overwrite) as file:
                yield file
            return
        with tempfile.TemporaryFile(prefix="gestore-") as kept:
            try:
                yield kept
                kept.flush()
            except OSError as error:
                raise ArchiveNotWritten(
                    f"{self.shown(name)} could not be kept on disk before it is sent: "
                    f"{error.strerror or error}.",
                    hint="Another folder for temporary files can be named by TMPDIR.",
                ) from error
            # Once more: hours may have gone by.
            self.check_free(name, overwrite=overwrite)
            self._send(name, kept, overwrite=overwrite)

    def _send(self, name: str, kept: IO[bytes], *, overwrite: bool) -> None:
        size = kept.seek(0, 2)
        kept.seek(0)
        storage = bounded((self._replacing() if overwrite else None) or self.storage, SENT_SIZES)
        with self._written(name, cleaning=not overwrite):
            saved = storage.save(name, File(kept, name))
            if saved != name:
                # Somebody took the name meanwhile, and the storage chose another.
                self.storage.delete(saved)
                raise exists_already(self.shown(name))
            found = self.storage.size(name)
        if found != size:
            with self._written(name):
                self.storage.delete(name)
            raise ArchiveNotWritten(
                f"{self.shown(name)} has {found:,} bytes, and {size:,} were sent.",
                hint="It was removed again.",
            )

    @contextmanager
    def readable(self, name: str, max_bytes: int) -> Iterator[IO[bytes]]:
        """The archive's bytes as a file that can be read again; kept on disk meanwhile."""
        path = self._folder_path(name)
        if path is not None:
            with open_file(path, self.shown(name)) as file:
                yield file
            return
        with tempfile.TemporaryFile(prefix="gestore-") as kept:
            with self._read(name), bounded(self.storage).open(name, "rb") as file:
                spool(file, kept, max_bytes, self.shown(name))
            yield kept

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """A small file's first bytes; None where there is none."""
        with self._read(name):
            if not self.storage.exists(name):
                return None
            with self.storage.open(name, "rb") as file:
                return bytes(file.read(most_bytes))

    def exists(self, name: str) -> bool:
        with self._read(name):
            return bool(self.storage.exists(name))

    def remove(self, name: str) -> None:
        """Take a file away."""
        try:
            self.storage.delete(name)
        except Exception as error:
            raise ArchiveNotWritten(
                f"{self.shown(name)} could not be removed: {words_of(error)}."
            ) from error

    # The storage ----------------------------------------------------------------------------------

    def _folder_path(self, name: str) -> Path | None:
        """Where Django's storage of plain files has it: there files are written as anywhere else.
        That a storage has paths is not enough: Django's in memory has, and one that changes what it
        stores may."""
        kind: Any = type(self.storage)
        if any(getattr(kind, way, None) is not vars(FileSystemStorage)[way] for way in _OWN_WAYS):
            return None
        try:
            return Path(self.storage.path(name))
        except (SuspiciousFileOperation, ValueError) as error:
            raise ArchiveNotWritten(f"{self.shown(name)}: {error}.") from error

    def _replacing(self) -> Storage | None:
        """The same storage, replacing a file of the name it is given; None where it cannot."""
        known = [name for name in _REPLACING if hasattr(self.storage, name)]
        return _changed(self.storage, dict.fromkeys(known, True)) if known else None

    # What storages raise --------------------------------------------------------------------------

    @contextmanager
    def _written(self, name: str, *, cleaning: bool = False) -> Iterator[None]:
        try:
            yield
        except ArchiveError:
            raise
        except KeyboardInterrupt as error:
            if cleaning:
                self._clean(name, error)
            raise
        except Exception as error:
            if cleaning:
                self._clean(name, error)
            raise ArchiveNotWritten(
                f"{self.shown(name)} could not be written: {words_of(error)}.",
                hint="Nothing was written under that name.",
            ) from error

    def _clean(self, name: str, why: BaseException) -> None:
        """Take away what a broken-off upload may have left."""
        try:
            if self.storage.exists(name):
                self.storage.delete(name)
        except Exception as error:
            raise ArchiveNotWritten(
                f"{self.shown(name)} could not be written: {words_of(why)}.",
                hint=f"What is under that name, if anything, is not whole: {words_of(error)}.",
            ) from error

    @contextmanager
    def _read(self, name: str) -> Iterator[None]:
        try:
            yield
        except ArchiveError:
            raise
        except FileNotFoundError as error:
            raise ArchiveNotRead(f"{self.shown(name)} cannot be read: it is not there.") from error
        except Exception as error:
            raise ArchiveNotRead(
                f"{self.shown(name)} cannot be read: {words_of(error)}."
            ) from error


def bounded(storage: Storage, sizes: Mapping[str, int] = READ_SIZES) -> Storage:
    """The same storage, holding little in memory; the project's own object stays as it is, and so
    does what its settings say."""
    wanted: dict[str, Any] = {
        name: size
        for name, size in sizes.items()
        if hasattr(storage, name) and not getattr(storage, name)
    }
    transfers = getattr(storage, "transfer_config", None)
    if transfers is not None:
        wanted["transfer_config"] = _changed(transfers, _bounded_transfers(transfers))
    return _changed(storage, wanted) if wanted else storage


def _bounded_transfers(transfers: Any) -> dict[str, int]:
    now = {name: getattr(transfers, name, None) for name in _TRANSFERS}
    return {name: min(value, _TRANSFERS[name]) for name, value in now.items() if value}


_T = TypeVar("_T")


def _changed(thing: _T, values: dict[str, Any]) -> _T:
    """A copy with other values."""
    changed = copy.copy(thing)
    for name, value in values.items():
        setattr(changed, name, value)
    return changed


def words_of(error: BaseException) -> str:
    """What a storage's library says, in one line: it may raise anything."""
    lines = str(error).strip().splitlines()
    words = _SECRETS.sub("…", lines[0].rstrip(". ")) if lines else ""
    words = words if len(words) <= 200 else f"{words[:197]}..."
    return words or type(error).__name__
