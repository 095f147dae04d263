"""Which uploaded files do rows name, how do they go along, and how do they go? A stage of each.

Rows hold names only; the content lies in the storage of the field. What is known of files is kept
in a temporary database, not in memory.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from django.core.exceptions import SuspiciousOperation
from django.db import connections

from . import conf
from .archive.container import CarriedFile, FileSource, write_container
from .archive.shelf import READ_SIZES, bounded, words_of
from .archive.storage import sha256_of
from .archive.writer import Destination, Written, packed
from .database.select import Reader
from .database.transactions import failures, quiet
from .errors import Finding, Findings, GestoreError, Severity
from .progress import Progress
from .rows import JsonValue, batches
from .schema.graph import Graph
from .schema.introspect import build_graph
from .schema.table import Column, Table

if TYPE_CHECKING:
    from django.core.files.storage import Storage

    from .walk.keys import KeySet

_FILE_FIELD = "FileField"
_BATCH_KEYS = 5_000
_BATCH_NAMES = 5_000
_SHOWN = 100
# What a storage says of a name that none of its files can have, and of one that is a folder's.
NO_NAME = (SuspiciousOperation, ValueError, IsADirectoryError, NotADirectoryError)
_UNASKED = "Its rows may name the same files: make it reachable, and try again."
# By what storages that are no folders are told apart.
_TOLD_APART_BY = ("bucket_name", "azure_container", "account_name", "endpoint_url", "location")


def file_columns(table: Table) -> list[Column]:
    """The columns that name uploaded files."""
    pointed = [c for c in table.columns if c.type_name == _FILE_FIELD and c.field is c.leaf]
    return [column for column in pointed if hasattr(column.field, "storage")]


def label_of(table: Table, column: Column) -> str:
    return f"{table.label}.{column.name}"


class Storages:
    """The storages of fields, such as hold little in memory. Each is made once: some then begin
    with a client of their own."""

    def __init__(self, sizes: Mapping[str, int] = READ_SIZES) -> None:
        self._sizes = sizes
        # With what it was made of, so that nothing else gets that one's number.
        self._found: dict[int, tuple[Storage, Storage]] = {}

    def of(self, column: Column) -> Storage:
        field: Any = column.field
        storage: Storage = field.storage
        if id(storage) not in self._found:
            self._found[id(storage)] = storage, bounded(storage, self._sizes)
        return self._found[id(storage)][1]


def columns_by_label(graph: Graph) -> dict[str, Column]:
    """The columns that name files, by label."""
    return {
        label_of(table, column): column
        for table in graph.tables.values()
        for column in file_columns(table)
    }


def digest_of(storage: Storage, name: str) -> str:
    """The SHA-256 of a stored file."""
    with storage.open(name, "rb") as file:
        return sha256_of(file)


class Named:
    """The files that rows name, each once: label, name, and the digest of the content that an
    archive has; "" where none does. To be closed."""

    def __init__(self) -> None:
        # An empty path: a database in a file of its own, gone when it is closed.
        import sqlite3

        self._names = sqlite3.connect("")
        for table in ("named (label, name,", "carried (label, name, sha256,"):
            self._names.execute(f"CREATE TABLE {table} PRIMARY KEY (label, name))")

    def close(self) -> None:
        self._names.close()

    def read(self, reader: Reader, keys_by_table: Mapping[str, KeySet]) -> None:
        """Take in the names that these rows have."""
        for name, keys in keys_by_table.items():
            table = reader.graph.tables[name]
            columns = file_columns(table)
            for lot in keys.batches(_BATCH_KEYS) if columns else ():
                where = reader.among(table, table.key_names, lot)
                for row in reader.select(table, columns, where):
                    for column, value in zip(columns, row, strict=True):
                        if value:
                            self.add(label_of(table, column), [str(value)])

    def add(self, label: str, names: Iterable[str]) -> None:
        """Take in names of one field."""
        self._names.executemany(
            "INSERT OR IGNORE INTO named VALUES (?, ?)", [(label, name) for name in names]
        )

    def carry(self, file: CarriedFile) -> None:
        """Take note of what an archive has of a file."""
        self.add(file.label, [file.name])
        self._names.execute(
            "INSERT OR REPLACE INTO carried VALUES (?, ?, ?)", (file.label, file.name, file.sha256)
        )

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        yield from self._names.execute(
            "SELECT label, name, coalesce(sha256, '') FROM named LEFT JOIN carried"
            " USING (label, name) ORDER BY label, name"
        )

    def __len__(self) -> int:
        (count,) = self._names.execute("SELECT count(*) FROM named").fetchone()
        return int(count)

    def missing(self) -> Iterator[Finding]:
        """Those that are nowhere, once they were to be archived."""
        return missing_findings((label, name) for label, name, sha256 in self if not sha256)

    def counts(self) -> dict[str, int]:
        """How many there are of each field."""
        asked = "SELECT label, count(*) FROM named GROUP BY label ORDER BY label"
        return {label: int(count) for label, count in self._names.execute(asked)}


# Leaving ------------------------------------------------------------------------------------------


class Packing:
    """An archive with files in the making: its rows wait on disk while their snapshot is open, and
    its files follow, for which none need be held open. To be closed."""

    def __init__(self, destination: Destination, named: Named) -> None:
        self.destination = destination
        self.named = named
        self.rows: IO[bytes] = tempfile.TemporaryFile(prefix="gestore-")  # noqa: SIM115

    def close(self) -> None:
        self.rows.close()

    def pack(self, graph: Graph, written: Written, progress: Progress) -> Written:
        """Write the archive: the rows that are in `rows`, and the files that `named` has, which
        then knows their digests."""
        progress.begin("Packing files", len(self.named))
        count = size = 0
        files = sources(graph, ((label, name) for label, name, _ in self.named))
        with packed(self.destination) as sealed:
            for carried in write_container(sealed.sink, self.rows, files):
                self.named.carry(carried)
                count += bool(carried.sha256)
                size += carried.size_bytes
                progress.advance(1)
        progress.end()
        return replace(
            written,
            file_count=count,
            file_bytes=size,
            file_sha256=sealed.sha256,
            signer=sealed.signer,
        )


def sources(graph: Graph, named: Iterable[tuple[str, str]]) -> Iterator[FileSource]:
    """Each file, to be carried along."""
    columns, storages = columns_by_label(graph), Storages()
    for label, name in named:
        yield FileSource(label, name, _opener(storages.of(columns[label]), label, name))


def _opener(
    storage: Storage, label: str, name: str
) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with _reading(storage, label, name):
            file = storage.open(name, "rb")
        with file:
            yield _Upload(storage, label, name, file)  # type: ignore[misc]

    return opened


class _Upload:
    """An uploaded file that is read: some storages look for it only then."""

    def __init__(self, storage: Storage, label: str, name: str, file: IO[bytes]) -> None:
        self._place = storage, label, name
        self._file = file

    def read(self, size: int) -> bytes:
        with _reading(*self._place):
            return self._file.read(size)


@contextmanager
def _reading(storage: Storage, label: str, name: str) -> Iterator[None]:
    """`FileNotFoundError` where there is no such file, ours for everything else."""
    try:
        yield
    except FileNotFoundError:
        raise
    except NO_NAME as error:
        raise FileNotFoundError(name) from error
    except Exception as error:
        if not _exists(storage, label, name):
            raise FileNotFoundError(name) from error
        raise GestoreError(
            f"The file {name!r} of {label} cannot be read: {words_of(error)}."
        ) from error


def _exists(storage: Storage, label: str, name: str) -> bool:
    try:
        return storage.exists(name)
    except NO_NAME:
        return False
    except Exception as error:
        raise GestoreError(
            f"The file {name!r} of {label} cannot be looked for: {words_of(error)}."
        ) from error


def missing_findings(named: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Of files that are nowhere: the first ones, and how many more."""
    count = 0
    for label, name in named:
        count += 1
        if count <= _SHOWN:
            yield Finding(
                "file-missing",
                Severity.WARNING,
                label,
                f"names {name!r}, and there is no such file: its name alone is archived.",
            )
    if count > _SHOWN:
        yield Finding(
            "file-missing",
            Severity.WARNING,
            "files",
            f"{count - _SHOWN:,} more files that rows name are not there.",
        )


def staying_findings(counts: Mapping[str, int]) -> Iterator[Finding]:
    """Files that a deletion leaves where they are, since nobody asked for them."""
    for label, count in counts.items():
        files = "1 uploaded file stays" if count == 1 else f"{count:,} uploaded files stay"
        yield Finding(
            "files-stay",
            Severity.WARNING,
            label,
            f"{files} in storage when the rows are gone, and out of the archive.",
            "Add --with-files, and end the archive's name in .tar, to have them go along.",
        )


# Going --------------------------------------------------------------------------------------------


def cleared(
    reader: Reader,
    named: Named,
    progress: Progress,
    *,
    only_archived: bool,
) -> tuple[Cleared, Findings]:
    """Remove the files of rows that are gone; what of them stays, and why: warnings of what others
    need, blockers of what could not be removed. A file that was not there to be archived, and is
    now, is let be where that matters."""
    progress.begin("Removing files", len(named))
    connection = reader.connection
    with quiet(connection), failures(connection, "No more files were removed."):
        going = (file for file in named if file[2] or not only_archived)
        found, left = Clearing(reader).run(going, progress.advance)
    progress.end()
    return found, left


@contextmanager
def rows_are_gone(how: str) -> Iterator[None]:
    """Whatever breaks the removal of files off says that the rows are gone, and how to go on."""
    told = "The rows are gone, and not all of their files."
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"{told} {how}".strip()) from error
    except GestoreError as error:
        raise type(error)(f"{error.message} {told}", hint=how) from error


class Cleared(NamedTuple):
    """Files of rows that are gone: removed, and those that stay because other rows name them."""

    removed: int
    staying: int

    def as_json(self) -> dict[str, JsonValue]:
        return {"removed": self.removed, "staying": self.staying}


class Clearing:
    """The files of rows that are gone are removed, unless another row names them, in any of the
    project's databases: these may share a storage."""

    def __init__(self, reader: Reader) -> None:
        self._columns = columns_by_label(reader.graph)
        self._places = [*_places(reader)]
        self._storages = Storages()

    def run(
        self, named: Iterable[tuple[str, str, str]], advance: Callable[[int], None]
    ) -> tuple[Cleared, Findings]:
        """Remove them; how many, and what stays."""
        left, stays, removed = Findings(), Counter[str](), 0
        for lot in batches(named, _BATCH_NAMES):
            used = self._used({name for _, name, _ in lot})
            for label, name, sha256 in lot:
                if label in self._columns and self._is_used(label, name, used):
                    stays[label] += 1
                    continue
                try:
                    removed += self._removed(label, name, sha256)
                except GestoreError as error:
                    # The rows are gone already: it is told, and the others go.
                    left.append(_left(label, name, error.message))
            advance(len(lot))
        for label, count in sorted(stays.items()):
            files = "1 file stays" if count == 1 else f"{count:,} files stay"
            message = f"{files}: other rows name the same."
            left.append(Finding("file-needed", Severity.WARNING, label, message))
        return Cleared(removed, stays.total()), left

    def _removed(self, label: str, name: str, sha256: str) -> bool:
        if label not in self._columns:
            raise GestoreError("there is no such field here")
        return _removed(self._storages.of(self._columns[label]), label, name, sha256)

    def there(self, named: Iterable[tuple[str, str, str]]) -> Iterator[Finding]:
        """Those that are there, and that no row names."""
        for lot in batches(named, _BATCH_NAMES):
            used = self._used({name for _, name, _ in lot})
            for label, name, _ in lot:
                if label not in self._columns or self._is_used(label, name, used):
                    continue
                if _exists(self._storages.of(self._columns[label]), label, name):
                    yield Finding(
                        "file-still-there",
                        Severity.BLOCKER,
                        label,
                        f"{name!r} is in its storage, and no row names it.",
                    )

    def _used(self, names: set[str]) -> dict[str, list[Storage]]:
        """The storages of fields in which rows have these names."""
        used: dict[str, list[Storage]] = {}
        for reader, table, column in self._places:
            where = reader.among(table, [column.name], sorted(names))
            for (name,) in reader.select(table, [column], where, distinct=True):
                used.setdefault(str(name), []).append(self._storages.of(column))
        return used

    def _is_used(self, label: str, name: str, used: Mapping[str, list[Storage]]) -> bool:
        mine = self._storages.of(self._columns[label])
        return any(is_same_place(mine, other, name) for other in used.get(name, ()))


def check_databases() -> None:
    """`DatabaseFailed` where one of the project's databases cannot be asked which files its rows
    name: before anything goes."""
    for alias in connections:
        with failures(connections[alias], _UNASKED):
            connections[alias].ensure_connection()


def _places(reader: Reader) -> Iterator[tuple[Reader, Table, Column]]:
    """Every column of every database that names files."""
    settings = conf.load()
    for alias in connections:
        connection = connections[alias]
        here = reader
        if alias != reader.connection.alias:
            graph = build_graph(settings.relations, settings.unmanaged, alias)
            here = Reader(connection, graph)
        with failures(connection, _UNASKED):
            there = set(connection.introspection.table_names())
        for table in here.graph.tables.values():
            if table.db_table in there:
                yield from ((here, table, column) for column in file_columns(table))


def _removed(storage: Storage, label: str, name: str, sha256: str) -> bool:
    """Remove the file, if it has the content of this digest; whether there was one."""
    if not _exists(storage, label, name):
        return False
    try:
        if sha256 and digest_of(storage, name) != sha256:
            raise GestoreError("it is not what was archived")
        storage.delete(name)
    except GestoreError:
        raise
    except Exception as error:
        raise GestoreError(words_of(error)) from error
    if _exists(storage, label, name):
        raise GestoreError("it is still there after it was removed")
    return True


def _left(label: str, name: str, why: str) -> Finding:
    return Finding(
        "file-left",
        Severity.BLOCKER,
        label,
        f"{name!r} is left in its storage: {why}.",
        "Look at it; it may be removed by hand.",
    )


def is_same_place(one: Storage, other: Storage, name: str) -> bool:
    """Whether the name is the same file in both: if in doubt, it is."""
    paths = _path(one, name), _path(other, name)
    if None not in paths:
        return paths[0] == paths[1]
    if paths != (None, None):
        return False
    for place in _TOLD_APART_BY:
        told = [str(getattr(s, place)).strip("/") for s in (one, other) if hasattr(s, place)]
        if len(told) == 2 and told[0] != told[1]:
            return False
    return True


def _path(storage: Storage, name: str) -> str | None:
    """Where a storage of plain files has it; None for others."""
    try:
        return os.path.realpath(storage.path(name))
    except NotImplementedError:
        return None
    except NO_NAME:
        return ""
