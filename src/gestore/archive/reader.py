"""How is an archive read: strictly, in bounded memory, as often as needed?

Nothing in it is executed, no path in it is followed, and it expands up to a bound.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from ..errors import ArchiveCutOff, ArchiveDamaged, Finding, NotAnArchive, Severity
from ..rows import ArchivedRow
from .compression import cut_off, expanding, expansion_errors, sniff
from .documents import Part, is_closing, parse
from .manifest import Manifest, read_manifest
from .storage import STANDARD, readable, too_large

_PIECE_BYTES = 1 << 18
# Far more than a closing line takes that names every model of a project.
_END_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Ending:
    """What the end of an archive told: rows read and announced, the digest found and announced.

    The announced ones are None in the original's documents, which have no closing line.
    """

    row_count: int
    announced_count: int | None
    sha256: str
    announced_sha256: str | None

    def findings(self, name: str) -> list[Finding]:
        """An archive edited by hand is warned of."""
        if self.announced_sha256 is None:
            return []
        if self.announced_count == self.row_count and self.announced_sha256 == self.sha256:
            return []
        counts = ""
        if self.announced_count != self.row_count:
            counts = f" It says {self.announced_count} rows and holds {self.row_count}."
        return [
            Finding(
                "archive-edited",
                Severity.WARNING,
                name,
                f"was changed after it was written: its digest does not match.{counts}",
                "Refuse such archives with --strict.",
            )
        ]


class ArchiveReader:
    """An open archive. `rows()` starts from the beginning each time it is called."""

    def __init__(self, name: str, file: IO[bytes], max_bytes: int) -> None:
        self.name = name
        self._file = file
        self._max_bytes = max_bytes
        start = file.read(4)
        self._compression = sniff(start)
        self.manifest = self._read_manifest()
        self.ending: Ending | None = None

    def _read_manifest(self) -> Manifest:
        with expansion_errors(self.name):
            for part, value in parse(self.name, self._pieces(_Tap())):
                if part is Part.MEMBERS:
                    return read_manifest(self.name, value)
        raise ArchiveCutOff(f"{self.name} is cut off: its end is missing.")

    def rows(self) -> Iterator[ArchivedRow]:
        """Every row in the order written; afterwards `ending` is set.

        Raises `ArchiveCutOff` or `ArchiveDamaged` where the file is not whole.
        """
        tap = _Tap()
        counts: Counter[str] = Counter()
        closing: Mapping[str, Any] | None = None
        with expansion_errors(self.name):
            for part, value in parse(self.name, self._pieces(tap)):
                if part is Part.ROW:
                    row = self._row(value, counts.total() + 1)
                    counts[row.model] += 1
                    yield row
                elif part is Part.CLOSING:
                    closing = value
        self.ending = self._ending(closing, tap, counts)

    def digest(self) -> str:
        """The SHA-256 of everything before the closing line, as it is now."""
        tap = _Tap()
        with expansion_errors(self.name):
            for _ in self._pieces(tap):
                pass
        return tap.digest.hexdigest()

    def holds(self, sha256: str, rows_by_model: Mapping[str, int]) -> bool:
        """Whether the file is whole and ends as one that was written with this digest and these
        rows: told by its bytes, no row is parsed."""
        tap = _Tap()
        with expansion_errors(self.name):
            for _ in self._pieces(tap):
                pass
        if tap.digest.hexdigest() != sha256:
            return False
        end = bytes(tap.end).strip()
        try:
            closing = json.loads(end if end.startswith(b"{") else b"{" + end)
        except ValueError:
            return False
        rows = sum(rows_by_model.values())
        told = {"rows": rows, "rows_by_model": dict(rows_by_model), "sha256": sha256}
        return bool(closing == {"closing": told})

    def _row(self, value: Mapping[str, Any], number: int) -> ArchivedRow:
        model, fields = value.get("model"), value.get("fields")
        if not isinstance(model, str) or not isinstance(fields, dict) or "pk" not in value:
            raise ArchiveDamaged(
                f"{self.name} is damaged: object {number} lacks its model, pk or fields."
            )
        return ArchivedRow(
            model.lower(),
            value["pk"],
            fields,
            value.get("shared") is True,
            self._names(value, "dangling", number),
            self._names(value, "changed", number),
        )

    def _names(self, value: Mapping[str, Any], member: str, number: int) -> tuple[str, ...]:
        names = value.get(member, ())
        if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
            raise ArchiveDamaged(f"{self.name} is damaged: object {number} has odd {member}.")
        return tuple(names)

    def _ending(
        self, closing: Mapping[str, Any] | None, tap: _Tap, counts: Mapping[str, int]
    ) -> Ending:
        count, digest = sum(counts.values()), tap.digest.hexdigest()
        if closing is None:
            if self.manifest.format_version > 1:
                raise ArchiveCutOff(
                    f"{self.name} is cut off: its closing line is missing.",
                    hint="Fetch it again from where it was whole.",
                )
            return Ending(count, None, digest, None)
        try:
            announced = closing["sha256"] if closing["rows_by_model"] == counts else ""
            return Ending(count, closing["rows"], digest, announced)
        except (KeyError, TypeError) as error:
            raise ArchiveDamaged(f"{self.name} is damaged: its closing line is odd.") from error

    def _pieces(self, tap: _Tap) -> Iterator[str]:
        """The text in pieces that end with a line where there are lines."""
        self._file.seek(0)
        stream = expanding(self._file, self._compression)
        size = 0
        rest = b""
        while data := stream.read(_PIECE_BYTES):
            size += len(data)
            if size > self._max_bytes:
                raise too_large(self.name, self._max_bytes)
            data = rest + data
            end = data.rfind(b"\n") + 1
            piece, rest = (data[:end], data[end:]) if end else (b"", data)
            if len(rest) > 16 * _PIECE_BYTES:
                # One long line: cut it anywhere that is no middle of a character.
                place = _whole_characters(rest)
                piece, rest = piece + rest[:place], rest[place:]
            if piece:
                tap.take(piece)
                yield self._decoded(piece)
        if rest:
            tap.take(rest)
            yield self._decoded(rest)
        if self._compression and not size:
            # zstandard is silent about a frame that breaks off before its first block ends.
            raise cut_off(self.name)

    def _decoded(self, piece: bytes) -> str:
        try:
            return piece.decode()
        except UnicodeDecodeError as error:
            raise NotAnArchive(
                f"{self.name} is not an archive of Gestore: it is no UTF-8 text."
            ) from error


class _Tap:
    """Digests all bytes before the closing line, and keeps that: as much as one may have."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.end = bytearray()
        self._is_closed = False

    def take(self, piece: bytes) -> None:
        if self._is_closed:
            self.end += piece[: _END_BYTES - len(self.end)]
            return
        start = piece.rfind(b'"closing"')
        if start >= 0:
            begin = piece.rfind(b"\n", 0, start) + 1
            if is_closing(piece[begin:]):
                self._is_closed = True
                self.end += piece[begin : begin + _END_BYTES]
                piece = piece[:begin]
        self.digest.update(piece)


def _whole_characters(data: bytes) -> int:
    place = len(data)
    while place and data[place - 1] & 0xC0 == 0x80:
        place -= 1
    return place - 1 if place and data[place - 1] >= 0xC0 else place


@contextmanager
def open_archive(name: str, max_bytes: int) -> Iterator[ArchiveReader]:
    """Open `name`, or standard input for `-`, and read its manifest."""
    shown = "standard input" if name == STANDARD else name
    with readable(name, max_bytes) as file:
        yield ArchiveReader(shown, file, max_bytes)
