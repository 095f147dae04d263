"""Where does an archive lie? In a file, in a storage of the project's, or in a standard stream; the
same is asked of all three."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import UsageError
from .shelf import Shelf
from .storage import (
    STANDARD,
    check_free,
    new_file,
    read_start,
    readable,
    remove_file,
    standard_output,
)


@dataclass(frozen=True, slots=True)
class Place:
    """A name, in the storage or, without one, of a file; `-` is a standard stream."""

    name: str
    shelf: Shelf | None = None

    def __post_init__(self) -> None:
        if self.is_stream and self.shelf is not None:
            raise UsageError(
                "A storage is named, and - is a standard stream.", hint="Name what lies in it."
            )

    @property
    def is_stream(self) -> bool:
        return self.name == STANDARD

    @property
    def shown(self) -> str:
        """The name as people read it."""
        return self.name if self.shelf is None else self.shelf.shown(self.name)

    def beside(self, suffix: str) -> Place:
        """The place of a file that belongs to this one."""
        return Place(self.name + suffix, self.shelf)

    def check_free(self, *, overwrite: bool) -> None:
        """Refuse a name that is taken, or a place where nothing can be written."""
        if self.shelf is not None:
            self.shelf.check_free(self.name, overwrite=overwrite)
        elif not self.is_stream:
            check_free(Path(self.name), overwrite=overwrite)

    def exists(self) -> bool:
        if self.shelf is not None:
            return self.shelf.exists(self.name)
        return not self.is_stream and Path(self.name).exists()

    def new_file(self, *, overwrite: bool) -> AbstractContextManager[IO[bytes]]:
        """A file to be written, that has its name when everything went well."""
        if self.shelf is not None:
            return self.shelf.new_blob(self.name, overwrite=overwrite)
        if self.is_stream:
            return standard_output()
        return new_file(Path(self.name), overwrite=overwrite)

    def readable(self, max_bytes: int) -> AbstractContextManager[IO[bytes]]:
        """The bytes as a file that can be read again."""
        if self.shelf is not None:
            return self.shelf.readable(self.name, max_bytes)
        return readable(self.name, max_bytes)

    def write(self, data: bytes, *, overwrite: bool) -> None:
        """Write a small file, whole or not at all."""
        with self.new_file(overwrite=overwrite) as file:
            file.write(data)

    def read(self, most_bytes: int) -> bytes | None:
        """A small file's first bytes; None where there is none."""
        if self.shelf is not None:
            return self.shelf.read(self.name, most_bytes)
        return None if self.is_stream else read_start(Path(self.name), most_bytes)

    def remove(self) -> None:
        """Take the file away."""
        if self.shelf is not None:
            self.shelf.remove(self.name)
        elif not self.is_stream:
            remove_file(Path(self.name))
