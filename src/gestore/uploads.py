"""Which uploaded files do rows name, and how do they travel, arrive and go? A stage of each.

Rows hold names only; the content lies in the storage of the field. What is known of files is kept
in a temporary database, not in memory.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Protocol

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import File

from .archive.container import CarriedFile, FileSource
from .archive.shelf import words_of
from .errors import ArchiveDamaged, ConfigurationError, Finding, GestoreError, Severity
from .rows import Value, batches
from .schema.graph import Graph
from .schema.table import Column, Table

if TYPE_CHECKING:
    from django.core.files.storage import Storage

    from .database.select import Reader
    from .walk.keys import KeySet

_FILE_FIELD = "FileField"
_BATCH_KEYS = 5_000
_PIECE_BYTES = 1 << 18
_IN_MEMORY_BYTES = 4 << 20
_SHOWN = 100


class Contents(Protocol):
    """The files of an archive."""

    def files(self) -> Iterable[CarriedFile]: ...

    def contents(self) -> Iterable[tuple[str, Any]]: ...


def file_columns(table: Table) -> list[Column]:
    """The columns that name uploaded files."""
    pointed = [c for c in table.columns if c.type_name == _FILE_FIELD and c.field is c.leaf]
    return [column for column in pointed if hasattr(column.field, "storage")]


def _label(table: Table, column: Column) -> str:
    return f"{table.label}.{column.name}"


def _storage(column: Column) -> Storage:
    field: Any = column.field
    storage: Storage = field.storage
    return storage


class Named:
    """The names that rows have for files, each once: (label, name)."""

    def __init__(self) -> None:
        # An empty path: a database in a file of its own, gone when it is closed.
        self._names = sqlite3.connect("")
        self._names.execute("CREATE TABLE named (label, name, PRIMARY KEY (label, name))")

    def close(self) -> None:
        self._names.close()

    def read(self, reader: Reader, table: Table, keys: KeySet) -> None:
        """Take in the names that these rows have."""
        columns = file_columns(table)
        for lot in keys.batches(_BATCH_KEYS) if columns else ():
            where = reader.among(table, table.key_names, lot)
            for row in reader.select(table, columns, where):
                pairs = zip(columns, row, strict=True)
                self._names.executemany(
                    "INSERT OR IGNORE INTO named VALUES (?, ?)",
                    [(_label(table, column), str(name)) for column, name in pairs if name],
                )

    def __iter__(self) -> Iterator[tuple[str, str]]:
        yield from self._names.execute("SELECT label, name FROM named ORDER BY label, name")

    def __len__(self) -> int:
        (count,) = self._names.execute("SELECT count(*) FROM named").fetchone()
        return int(count)


def named_files(reader: Reader, keys_by_table: Mapping[str, KeySet], graph: Graph) -> Named:
    """The files that these rows name."""
    named = Named()
    for name, keys in keys_by_table.items():
        named.read(reader, graph.tables[name], keys)
    return named


# Leaving ------------------------------------------------------------------------------------------


def sources(graph: Graph, named: Iterable[tuple[str, str]]) -> Iterator[FileSource]:
    """Each file, to be carried along."""
    columns = _columns_by_label(graph)
    for label, name in named:
        yield FileSource(label, name, _opener(_storage(columns[label]), label, name))


def _opener(
    storage: Storage, label: str, name: str
) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        try:
            file = storage.open(name, "rb")
        except FileNotFoundError:
            raise
        except Exception as error:
            raise GestoreError(
                f"The file {name!r} of {label} cannot be read: {words_of(error)}."
            ) from error
        with file:
            yield file

    return opened


def missing_findings(carried: Iterable[CarriedFile]) -> Iterator[Finding]:
    """Files that rows name and that are nowhere: the first ones, and how many more."""
    count = 0
    for file in carried:
        if not file.sha256:
            count += 1
            if count <= _SHOWN:
                yield Finding(
                    "file-missing",
                    Severity.WARNING,
                    file.label,
                    f"names {file.name!r}, and there is no such file: its name alone is archived.",
                )
    if count > _SHOWN:
        yield Finding(
            "file-missing",
            Severity.WARNING,
            "files",
            f"{count - _SHOWN:,} more files that rows name are not there.",
        )


# Arriving -----------------------------------------------------------------------------------------


class Arrivals:
    """The files of one archive on their way into this site's storages.

    A name that is taken here by another content gets a new one, made of the content's digest: the
    same every time, so that a second import finds what the first one wrote.
    """

    def __init__(self, graph: Graph, archive: Contents) -> None:
        self._columns = _columns_by_label(graph)
        self._archive = archive
        self._known = sqlite3.connect("")
        self._known.execute(
            "CREATE TABLE files (label, name, target, sha256, is_here, is_wanted DEFAULT 0,"
            " is_written DEFAULT 0, PRIMARY KEY (label, name))"
        )
        self._known.execute("CREATE INDEX by_digest ON files (sha256)")
        for carried in archive.files():
            if carried.label in self._columns:
                self._meet(carried)

    def _meet(self, carried: CarriedFile) -> None:
        storage = _storage(self._columns[carried.label])
        target, is_here = carried.name, not carried.sha256
        try:
            if carried.sha256 and storage.exists(target):
                is_here = _digest(storage, target) == carried.sha256
                if not is_here:
                    target = self._renamed(carried)
                    is_here = storage.exists(target)
        except (SuspiciousFileOperation, ValueError) as error:
            raise ArchiveDamaged(
                f"The archive names a file of {carried.label} that no storage may have: "
                f"{carried.name!r}."
            ) from error
        self._known.execute(
            "INSERT OR REPLACE INTO files (label, name, target, sha256, is_here)"
            " VALUES (?, ?, ?, ?, ?)",
            (carried.label, carried.name, target, carried.sha256, is_here),
        )

    def _renamed(self, carried: CarriedFile) -> str:
        path = PurePosixPath(carried.name)
        ending = f"_{carried.sha256[:16]}{path.suffix}"
        most = getattr(self._columns[carried.label].field, "max_length", None)
        stem = str(path.with_suffix(""))
        return stem[: most - len(ending)] + ending if most else stem + ending

    def rewriters(self, declared: Iterable[str]) -> dict[str, Callable[[Value, object], Value]]:
        """For each field with a file under another name here, what gives the rows that name."""
        taken = {label.lower() for label in declared}
        found = {}
        changed = "SELECT DISTINCT label FROM files WHERE name != target"
        for (label,) in self._known.execute(changed).fetchall():
            if label.lower() in taken:
                raise ConfigurationError(
                    f'GESTORE["REWRITERS"] has {label}, whose files come along under new names.',
                    hint="Leave it out, or import an archive without files.",
                )
            found[label] = self._rewriter(label)
        return found

    def _rewriter(self, label: str) -> Callable[[Value, object], Value]:
        def rewritten(value: Value, keys: object) -> Value:
            row = self._known.execute(
                "SELECT target FROM files WHERE label = ? AND name = ?", (label, value)
            ).fetchone()
            return row[0] if row else value

        return rewritten

    def want(self, table: Table, values: Mapping[str, Value]) -> None:
        """The row is to be written, as it was at the source: its files are needed."""
        for column in file_columns(table):
            if values.get(column.name):
                self._known.execute(
                    "UPDATE files SET is_wanted = 1 WHERE label = ? AND name = ?",
                    (_label(table, column), values[column.name]),
                )

    @property
    def wanted_count(self) -> int:
        sql = "SELECT count(*) FROM files WHERE is_wanted AND NOT is_here"
        return int(self._known.execute(sql).fetchone()[0])

    @contextmanager
    def written(self) -> Iterator[None]:
        """Around everything: what was written is removed if it does not end well."""
        try:
            yield
        except BaseException:
            self._remove_written()
            raise
        finally:
            self._known.close()

    def write(self) -> None:
        """Put the wanted files into their storages."""
        if not self.wanted_count:
            return
        for sha256, content in self._archive.contents():
            wanted = self._known.execute(
                "SELECT DISTINCT label, target FROM files"
                " WHERE sha256 = ? AND is_wanted AND NOT is_here AND NOT is_written",
                (sha256,),
            ).fetchall()
            if wanted:
                self._write(wanted, content)

    def _write(self, wanted: Sequence[tuple[str, str]], content: Any) -> None:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, prefix="gestore-") as kept:
            while piece := content.read(_PIECE_BYTES):
                kept.write(piece)
            for label, target in wanted:
                kept.seek(0)
                self._save(label, target, kept)

    def _save(self, label: str, target: str, kept: Any) -> None:
        storage = _storage(self._columns[label])
        # Two fields may share a storage and a name: what one wrote is there for the other.
        if not storage.exists(target):
            try:
                saved = storage.save(target, File(kept, target))
            except Exception as error:
                raise GestoreError(
                    f"The file {target!r} of {label} could not be written: {words_of(error)}.",
                    hint="Everything was rolled back.",
                ) from error
            self._known.execute(
                "UPDATE files SET is_written = 1 WHERE label = ? AND target = ?", (label, target)
            )
            if saved != target:
                storage.delete(saved)
                raise GestoreError(
                    f"The name {target!r} of {label} was taken meanwhile.",
                    hint="Everything was rolled back. Import again.",
                )

    def _remove_written(self) -> None:
        written = "SELECT DISTINCT label, target FROM files WHERE is_written"
        for label, target in self._known.execute(written).fetchall():
            _storage(self._columns[label]).delete(target)


# Going --------------------------------------------------------------------------------------------


def remove_files(
    graph: Graph, reader: Reader, named: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, str, str]]:
    """Remove the files of rows that are gone, unless another row names them, in any field: label,
    name and "", or why it is left."""
    columns = _columns_by_label(graph)
    for lot in batches(named, 500):
        used = _used(graph, reader, {name for _, name in lot})
        for label, name in lot:
            if name in used:
                yield label, name, "another row names it"
                continue
            try:
                _remove(columns[label], label, name)
            except GestoreError as error:
                # The rows are gone already: it is told, and the others go.
                yield label, name, error.message
            else:
                yield label, name, ""


def _remove(column: Column, label: str, name: str) -> None:
    try:
        _storage(column).delete(name)
    except Exception as error:
        raise GestoreError(f"The file {name!r} of {label} was left: {words_of(error)}.") from error


def _used(graph: Graph, reader: Reader, names: set[str]) -> set[str]:
    used: set[str] = set()
    for table in graph.tables.values():
        for column in file_columns(table):
            found: list[Any] = reader.select(
                table, [column], reader.among(table, [column.name], sorted(names)), distinct=True
            )
            used.update(str(name) for (name,) in found)
    return used


def _columns_by_label(graph: Graph) -> dict[str, Column]:
    return {
        _label(table, column): column
        for table in graph.tables.values()
        for column in file_columns(table)
    }


def _digest(storage: Storage, name: str) -> str:
    digest = hashlib.sha256()
    with storage.open(name, "rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
