"""How do an archive's files come into the storages of this site? Written before the commit, and
removed if it does not come. A stage of an import.

A name that is taken here by another content gets a new one, made of the content's digest: the same
every time, so that a second import finds what the first one wrote.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Protocol

from django.core.files.base import File

from .archive.container import CarriedFile
from .archive.shelf import SENT_SIZES, words_of
from .errors import ArchiveDamaged, ConfigurationError, Finding, GestoreError, Severity
from .rows import JsonValue, Value
from .schema.graph import Graph
from .schema.table import Table
from .uploads import NO_NAME, Storages, digest_of, file_columns, label_of, missing_findings

if TYPE_CHECKING:
    from django.core.files.storage import Storage

_PIECE_BYTES = 1 << 18
_IN_MEMORY_BYTES = 4 << 20
# So much of a digest tells contents apart in a name; the whole of it where that is taken, too.
_DIGITS = (16, 64)


class Content(Protocol):
    """The bytes of a file, to be read once."""

    def read(self, size: int = -1) -> bytes: ...


class Contents(Protocol):
    """The files of an archive."""

    def files(self) -> Iterable[CarriedFile]: ...

    def contents(self) -> Iterable[tuple[str, Content]]: ...


@dataclass(frozen=True, slots=True)
class FileCounts:
    """Of the files that imported rows name: written, there already, and those under a new name."""

    written: int = 0
    here: int = 0
    renamed: int = 0

    def as_json(self) -> dict[str, JsonValue]:
        return {"written": self.written, "here": self.here, "renamed": self.renamed}


class Arrivals:
    """The files of one archive on their way; `name_here` says what a field of its is called here.
    To be closed by `written`."""

    def __init__(
        self, graph: Graph, archive: Contents, name_here: Callable[[str], str] = str.lower
    ) -> None:
        self._tables = graph.tables
        self._columns = {
            label_of(table, column).lower(): column
            for table in graph.tables.values()
            for column in file_columns(table)
        }
        self._storages, self._sinks = Storages(), Storages(SENT_SIZES)
        self._archive = archive
        self._known = sqlite3.connect("")
        self._known.execute(
            "CREATE TABLE files (label, name, target, sha256, size, is_here DEFAULT 0,"
            " is_wanted DEFAULT 0, is_written DEFAULT 0, PRIMARY KEY (label, name))"
        )
        self._known.execute("CREATE INDEX by_digest ON files (sha256)")
        self._known.execute("CREATE INDEX by_name ON files (name)")
        for carried in archive.files():
            self._meet(name_here(carried.label).lower(), carried)

    def _meet(self, label: str, carried: CarriedFile) -> None:
        target, is_here = carried.name, False
        if label in self._columns and carried.sha256:
            target, is_here = self._place(label, carried)
        self._known.execute(
            "INSERT OR REPLACE INTO files (label, name, target, sha256, size, is_here)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (label, carried.name, target, carried.sha256, carried.size_bytes, is_here),
        )

    def _place(self, label: str, carried: CarriedFile) -> tuple[str, bool]:
        """The name that the file gets here, and whether it is there already."""
        storage = self._storages.of(self._columns[label])
        try:
            for name in (carried.name, *self._other_names(label, carried)):
                if not storage.exists(name):
                    return name, False
                if digest_of(storage, name) == carried.sha256:
                    return name, True
        except NO_NAME as error:
            raise ArchiveDamaged(
                f"The archive names a file of {carried.label} that no storage may have: "
                f"{carried.name!r}."
            ) from error
        except GestoreError:
            raise
        except Exception as error:
            raise GestoreError(
                f"The storage of {carried.label} cannot be asked for {carried.name!r}: "
                f"{words_of(error)}.",
                hint="Nothing was imported.",
            ) from error
        raise GestoreError(
            f"The name {carried.name!r} of {carried.label} is taken here, and so is every name "
            "that it would get instead.",
            hint="Nothing was imported. Move these files, or make the field longer.",
        )

    def _other_names(self, label: str, carried: CarriedFile) -> Iterator[str]:
        path = PurePosixPath(carried.name)
        stem = carried.name.removesuffix(path.suffix) if path.suffix else carried.name
        most = getattr(self._columns[label].field, "max_length", None)
        for digits in _DIGITS:
            ending = f"_{carried.sha256[:digits]}{path.suffix}"
            if most is None or len(ending) < most:
                yield (stem[: most - len(ending)] if most else stem) + ending

    # What is needed -------------------------------------------------------------------------------

    def adopt(self, table: Table, values: Mapping[str, Value]) -> None:
        """A row that lived through migrations: its files are known by their names, though its
        fields were called otherwise."""
        for label, name in self._names(table, values):
            asked = "SELECT DISTINCT sha256, size FROM files WHERE name = ?"
            found = self._known.execute(asked, (name,)).fetchall()
            known = "SELECT 1 FROM files WHERE label = ? AND name = ?"
            if len(found) == 1 and not self._known.execute(known, (label, name)).fetchone():
                self._meet(label, CarriedFile(label, name, *found[0]))

    def want(self, table: Table, values: Mapping[str, Value]) -> None:
        """The row is to be written, as it was at the source: its files are needed."""
        for label, name in self._names(table, values):
            self._known.execute(
                "UPDATE files SET is_wanted = 1 WHERE label = ? AND name = ?", (label, name)
            )

    def _names(self, table: Table, values: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
        for column in file_columns(table):
            if values.get(column.name):
                yield label_of(table, column).lower(), str(values[column.name])

    def rewriters(self, declared: Iterable[str]) -> dict[str, Callable[[Value, object], Value]]:
        """For each field with a file under another name here, what gives the rows that name."""
        taken = {label.lower() for label in declared}
        found = {}
        changed = "SELECT DISTINCT label FROM files WHERE name != target"
        for (label,) in self._known.execute(changed).fetchall():
            if label in taken:
                raise ConfigurationError(
                    f'GESTORE["REWRITERS"] has {label}, whose files come along under new names.',
                    hint="Leave it out, or import an archive without files.",
                )
            found[self._label(label)] = self._rewriter(label)
        return found

    def _label(self, label: str) -> str:
        """The field as people write it."""
        return f"{self._tables[label.rpartition('.')[0]].label}.{self._columns[label].name}"

    def _rewriter(self, label: str) -> Callable[[Value, object], Value]:
        def rewritten(value: Value, keys: object) -> Value:
            row = self._known.execute(
                "SELECT target FROM files WHERE label = ? AND name = ?", (label, value)
            ).fetchone()
            return row[0] if row else value

        return rewritten

    def counts(self) -> FileCounts:
        """Of the files that are needed."""
        asked = "SELECT count(*), sum(is_here), sum(name != target) FROM files WHERE is_wanted"
        count, here, renamed = self._known.execute(f"{asked} AND sha256 != ''").fetchone()
        return FileCounts(count - (here or 0), here or 0, renamed or 0)

    def missing(self) -> Iterator[Finding]:
        """What rows name and nobody had."""
        asked = "SELECT label, name FROM files WHERE is_wanted AND sha256 = ''"
        return missing_findings((self._label(label), name) for label, name in self._all(asked))

    def absent(self) -> Iterator[Finding]:
        """Files of the archive that are not here."""
        asked = "SELECT label, name FROM files WHERE NOT is_here AND sha256 != ''"
        for label, name in self._all(asked):
            if label in self._columns:
                yield Finding(
                    "file-absent",
                    Severity.CONFLICT,
                    self._label(label),
                    f"{name!r} is not in its storage here, or has another content.",
                )

    def _all(self, asked: str) -> Iterator[tuple[str, str]]:
        yield from self._known.execute(f"{asked} ORDER BY label, name")

    # Writing --------------------------------------------------------------------------------------

    @contextmanager
    def written(self) -> Iterator[None]:
        """Around everything: what was written is removed if it does not end well."""
        try:
            yield
        except BaseException as error:
            self._remove_written(error)
            raise
        finally:
            self._known.close()

    def write(self, advance: Callable[[int], None] = lambda count: None) -> None:
        """Put the wanted files into their storages."""
        asked = "SELECT 1 FROM files WHERE is_wanted AND NOT is_here AND sha256 != '' LIMIT 1"
        if not self._known.execute(asked).fetchone():
            return
        for sha256, content in self._archive.contents():
            wanted = self._known.execute(
                "SELECT DISTINCT label, target FROM files"
                " WHERE sha256 = ? AND is_wanted AND NOT is_here AND NOT is_written",
                (sha256,),
            ).fetchall()
            if wanted:
                self._write(wanted, content, sha256)
                advance(len(wanted))

    def _write(self, wanted: Sequence[tuple[str, str]], content: Content, sha256: str) -> None:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, prefix="gestore-") as kept:
            while piece := content.read(_PIECE_BYTES):
                kept.write(piece)
            for label, target in wanted:
                kept.seek(0)
                with self._saving(label, target):
                    self._save(label, target, kept, sha256)

    def _save(self, label: str, target: str, kept: IO[bytes], sha256: str) -> None:
        storage = self._storages.of(self._columns[label])
        if storage.exists(target):
            # Two fields may share a storage and a name: what one wrote is there for the other.
            if digest_of(storage, target) != sha256:
                raise _taken(target, self._label(label))
            return
        # Noted before: what is half written is removed, too.
        self._note_written(label, target, is_written=True)
        saved = self._sinks.of(self._columns[label]).save(target, File(kept, target))
        if saved != target:
            self._note_written(label, target, is_written=False)
            storage.delete(saved)
            raise _taken(target, self._label(label))

    def _note_written(self, label: str, target: str, *, is_written: bool) -> None:
        self._known.execute(
            "UPDATE files SET is_written = ? WHERE label = ? AND target = ?",
            (is_written, label, target),
        )

    @contextmanager
    def _saving(self, label: str, target: str) -> Iterator[None]:
        try:
            yield
        except GestoreError:
            raise
        except Exception as error:
            raise GestoreError(
                f"The file {target!r} of {self._label(label)} could not be written: "
                f"{words_of(error)}.",
                hint="Everything was rolled back.",
            ) from error

    def written_names(self) -> Iterator[tuple[str, str]]:
        """Field and name of each file that was written."""
        asked = "SELECT DISTINCT label, target FROM files WHERE is_written ORDER BY label, target"
        for label, target in self._known.execute(asked).fetchall():
            yield self._label(label), target

    def _remove_written(self, why: BaseException) -> None:
        left = []
        written = "SELECT DISTINCT label, target FROM files WHERE is_written"
        for label, target in self._known.execute(written).fetchall():
            try:
                _delete(self._storages.of(self._columns[label]), target)
            except GestoreError as error:
                left.append(f"{target!r} of {self._label(label)} ({error.message})")
        if left:
            told = ", ".join(left[:10]) + (f" and {len(left) - 10:,} more" if left[10:] else "")
            raise GestoreError(
                f"Nothing was imported: {str(why) or type(why).__name__} Files that were written "
                f"could not be removed again: {told}.",
                hint="Remove them by hand.",
            ) from why


def _delete(storage: Storage, name: str) -> None:
    try:
        storage.delete(name)
    except Exception as error:
        raise GestoreError(words_of(error)) from error


def _taken(name: str, label: str) -> GestoreError:
    return GestoreError(
        f"The name {name!r} of {label} was taken meanwhile, or its storage chooses names itself.",
        hint="Everything was rolled back. Import again.",
    )
