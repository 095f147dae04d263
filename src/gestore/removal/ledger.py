"""Which rows are to be removed or changed, and in which state were they archived?

Kept in a temporary file in the archive's order and read a lot at a time: memory holds a place for
every thousand rows. Knows neither databases nor archives.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any, Self, cast

from ..errors import GestoreError
from ..rows import ArchivedRow, JsonValue

_LOT_ROWS = 1_000
_GOES, _CHANGES = "goes", "changes"


@dataclass(frozen=True, slots=True)
class Columns:
    """Of one table: its key, the columns emptied before its rows go, those that others point at
    beside the whole key, and those of each of its pointers."""

    key: Sequence[str] = ()
    emptied: Sequence[str] = ()
    pointed: Sequence[str] = ()
    pointers: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A row that goes: its key as archived, a digest of all its values, one without the columns
    that are emptied first, and the values that others point at."""

    pk: JsonValue
    digest: str
    bare: str
    pointed: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChangedEntry:
    """A row that stays: its key, the fields whose pointers change, and the values of these as
    archived."""

    pk: JsonValue
    changed: Sequence[str]
    fields: Mapping[str, JsonValue]


def entry_of(row: ArchivedRow, columns: Columns) -> Entry:
    """The entry of a row, whether read from the archive or encoded anew from the database."""
    digest = bare = digest_of(row.fields)
    if columns.emptied:
        bare = digest_of({n: v for n, v in row.fields.items() if n not in columns.emptied})
    if not columns.pointed:
        return Entry(row.pk, digest, bare)
    parts = row.pk if isinstance(row.pk, list) and len(columns.key) > 1 else [row.pk]
    values = {**dict(zip(columns.key, parts, strict=True)), **row.fields}
    return Entry(row.pk, digest, bare, {name: values[name] for name in columns.pointed})


def digest_of(fields: Mapping[str, JsonValue]) -> str:
    """Equal for equal values, in whatever order they stand."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def width_of(fields: Mapping[str, JsonValue]) -> int:
    """About how many bytes the values take."""
    return sum(len(v) if isinstance(v, str | list | dict) else 8 for v in fields.values())


class Ledger:
    """The entries of one removal, by table. A context manager: its file ends with it, and with the
    process."""

    def __init__(self) -> None:
        self._file: IO[bytes] = TemporaryFile(prefix="gestore-")  # noqa: SIM115
        self._end = 0
        self._lots: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self._pending: dict[tuple[str, str], list[bytes]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._widest: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def take(self, row: ArchivedRow, columns: Columns) -> None:
        """Note a row of the archive; one that is merely shared is of no concern."""
        if not row.is_shared:
            entry = entry_of(row, columns)
            self._widest[row.model] = max(self._widest[row.model], width_of(row.fields))
            bare = "" if entry.bare == entry.digest else entry.bare
            self._add((_GOES, row.model), [entry.pk, entry.digest, bare, dict(entry.pointed)])
        if row.changed:
            names = [name for pointer in row.changed for name in columns.pointers[pointer]]
            values = {name: row.fields[name] for name in names}
            self._add((_CHANGES, row.model), [row.pk, list(row.changed), values])

    def widest(self, name: str) -> int:
        """About how many bytes the widest row of a table has that goes."""
        return self._widest[name]

    def _add(self, place: tuple[str, str], values: list[Any]) -> None:
        pending = self._pending.setdefault(place, [])
        pending.append(json.dumps(values, separators=(",", ":")).encode())
        self._counts[place] += 1
        if len(pending) == _LOT_ROWS:
            self._write(place)

    def _write(self, place: tuple[str, str]) -> None:
        data = b"\n".join(self._pending.pop(place))
        try:
            self._file.seek(self._end)
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise GestoreError(
                f"The temporary file with the rows' keys could not be written: {error.strerror}.",
                hint="Nothing was removed. Make room, or set TMPDIR to a folder with room.",
            ) from error
        self._lots.setdefault(place, []).append((self._end, len(data)))
        self._end += len(data)

    def close(self) -> None:
        """All rows were noted."""
        for place in [*self._pending]:
            self._write(place)

    def going(self, name: str) -> Iterator[Entry]:
        """The rows of a table that go, in the archive's order."""
        for pk, digest, bare, pointed in self._read((_GOES, name)):
            yield Entry(pk, digest, bare or digest, pointed)

    def changing(self, name: str) -> Iterator[ChangedEntry]:
        """The rows of a table that stay and change."""
        for pk, changed, fields in self._read((_CHANGES, name)):
            yield ChangedEntry(pk, changed, fields)

    def _read(self, place: tuple[str, str]) -> Iterator[list[Any]]:
        for start, size in self._lots.get(place, ()):
            self._file.seek(start)
            for line in self._file.read(size).split(b"\n"):
                yield cast("list[Any]", json.loads(line))

    def going_counts(self) -> dict[str, int]:
        """Rows that go, by table, in the archive's order."""
        return {name: count for (kind, name), count in self._counts.items() if kind == _GOES}

    def changing_counts(self) -> dict[str, int]:
        """Rows that stay and change, by table."""
        return {name: count for (kind, name), count in self._counts.items() if kind == _CHANGES}
