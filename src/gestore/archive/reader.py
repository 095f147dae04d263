"""How is an archive read: strictly, in bounded memory, as often as needed?

Nothing in it is executed, no path in it is followed, and it expands up to a bound.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from typing import IO, Any, NamedTuple

from ..errors import (
    ArchiveCutOff,
    ArchiveDamaged,
    ArchiveNotTrusted,
    Finding,
    NotAnArchive,
    Severity,
)
from ..rows import ArchivedRow, JsonValue
from .compression import cut_off, expanding, expansion_errors, sniff
from .container import Container, is_tar
from .documents import Lines, Part, is_closing, parse
from .encryption import START_BYTES, decrypting, is_encrypted
from .manifest import Manifest, read_manifest
from .place import Place
from .shelf import Shelf
from .signing import MOST_BYTES, SIG, TrustedSigners, unsigned
from .storage import too_large

_PIECE_BYTES = 1 << 18
# Far more than a closing line takes that names every model of a project.
_END_BYTES = 1 << 20
# What a tar is known by.
_TAR_BYTES = 512
# Rows of one model are handed out together, up to so many of them and so many characters.
LOT_ROWS = 2_000
_LOT_WIDTH = 4_000_000
_NO_MARKS: Mapping[str, Any] = {}


class Ending(NamedTuple):
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


@dataclass(slots=True)
class Lot:
    """Rows of one model that stand together, as columns: keys, fields, and by place the marks that
    few rows have (`shared`, `dangling`, `changed`)."""

    model: str
    keys: list[JsonValue] = field(default_factory=list)
    fields: list[dict[str, JsonValue]] = field(default_factory=list)
    marks: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    width: int = 0

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self) -> Iterator[ArchivedRow]:
        """The same, row by row."""
        model, marks = self.model, self.marks
        for place, (pk, fields) in enumerate(zip(self.keys, self.fields, strict=True)):
            yield _archived(model, pk, fields, marks.get(place, _NO_MARKS))

    def row(self, place: int) -> ArchivedRow:
        """One of them."""
        marks = self.marks.get(place, _NO_MARKS)
        return _archived(self.model, self.keys[place], self.fields[place], marks)

    def take(self, lot: Lot) -> None:
        """Have the rows of the other one, too."""
        start = len(self)
        self.keys += lot.keys
        self.fields += lot.fields
        self.marks |= {start + place: marks for place, marks in lot.marks.items()}
        self.width += lot.width

    @property
    def is_full(self) -> bool:
        return len(self) >= LOT_ROWS or self.width >= _LOT_WIDTH


def _archived(
    model: str, pk: JsonValue, fields: Mapping[str, JsonValue], marks: Mapping[str, Any]
) -> ArchivedRow:
    if not marks:
        return ArchivedRow(model, pk, fields)
    names: Sequence[str] = marks.get("dangling", ())
    changed: Sequence[str] = marks.get("changed", ())
    return ArchivedRow(model, pk, fields, marks.get("shared") is True, tuple(names), tuple(changed))


def _lots_of(lines: Lines) -> Iterator[Lot]:
    """Lines by model, in their order."""
    width, start = lines.width // len(lines.models), 0
    for model, group in groupby(lines.models):
        end = start + sum(1 for _ in group)
        marks: dict[int, Mapping[str, Any]] = {
            place - start: told for place, told in lines.marks.items() if start <= place < end
        }
        keys, fields = lines.keys[start:end], lines.fields[start:end]
        yield Lot(model.lower(), keys, fields, marks, width * len(keys))
        start = end


class ArchiveReader:
    """An open archive. `rows()` starts from the beginning each time it is called; what read before
    has ended then. `signer` is the public key of who signed it, if that was asked; `files` has the
    uploaded files that came along, None where none were to."""

    def __init__(
        self,
        name: str,
        file: IO[bytes],
        max_bytes: int,
        identities: Sequence[Any] = (),
        signer: str = "",
        files: Container | None = None,
    ) -> None:
        self.name = name
        self.signer = signer
        self.files = files
        self._file = file
        self._max_bytes = max_bytes
        self._identities = identities
        self._pass = ExitStack()
        self.is_encrypted = _is_sealed(file)
        try:
            self._compression = sniff(self._clear().read(4))
            self.manifest = self._read_manifest()
        except BaseException:
            self.close()
            raise
        self.ending: Ending | None = None

    def close(self) -> None:
        """End the pass that is under way."""
        self._pass.close()

    def _clear(self) -> IO[bytes]:
        """The bytes from their beginning, as they were before encryption."""
        self._pass.close()
        return self._pass.enter_context(_decrypted(self.name, self._file, self._identities))

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
        for lot in self._small_lots():
            yield from lot.rows()

    def lots(self) -> Iterator[Lot]:
        """The same rows, those of one model that stand together in lots of some thousands."""
        pending: Lot | None = None
        for lot in self._small_lots():
            if pending is not None and (pending.model != lot.model or pending.is_full):
                yield pending
                pending = None
            if pending is None:
                pending = lot
            else:
                pending.take(lot)
        if pending is not None:
            yield pending

    def _small_lots(self) -> Iterator[Lot]:
        """The rows as the text gives them: a lot for some lines, or one for a row."""
        tap = _Tap()
        counts: Counter[str] = Counter()
        closing: Mapping[str, Any] | None = None
        with expansion_errors(self.name):
            for part, value in parse(self.name, self._pieces(tap)):
                if part is Part.LINES:
                    for lot in _lots_of(value):
                        counts[lot.model] += len(lot)
                        yield lot
                elif part is Part.ROW:
                    lot = self._lot(value, counts.total() + 1)
                    counts[lot.model] += 1
                    yield lot
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
            for _ in self._bytes(tap):
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

    def _lot(self, value: Mapping[str, Any], number: int) -> Lot:
        model, fields = value.get("model"), value.get("fields")
        if not isinstance(model, str) or not isinstance(fields, dict) or "pk" not in value:
            raise ArchiveDamaged(
                f"{self.name} is damaged: object {number} lacks its model, pk or fields."
            )
        marks = {
            "dangling": self._names(value, "dangling", number),
            "changed": self._names(value, "changed", number),
            "shared": value.get("shared"),
        }
        told = {name: mark for name, mark in marks.items() if mark}
        return Lot(model.lower(), [value["pk"]], [fields], {0: told} if told else {})

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
        return map(self._decoded, self._bytes(tap))

    def _bytes(self, tap: _Tap) -> Iterator[bytes]:
        """The same, as bytes."""
        clear = self._clear()
        stream = expanding(clear, self._compression)
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
                yield piece
        if rest:
            tap.take(rest)
            yield rest
        if self._compression and not size:
            # zstandard is silent about a frame that breaks off before its first block ends.
            raise cut_off(self.name)
        # Encryption tells only at its very end that all was as it should be.
        while self.is_encrypted and clear.read(_PIECE_BYTES):
            pass

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
        # Backwards a text is searched far more slowly: most pieces have none.
        start = piece.rfind(b'"closing"') if b'"closing"' in piece else -1
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
def open_archive(
    name: str,
    max_bytes: int,
    *,
    shelf: Shelf | None = None,
    identities: Sequence[Any] = (),
    trusted: TrustedSigners | None = None,
) -> Iterator[ArchiveReader]:
    """Open `name`, or standard input for `-`, or what a storage has under that name, and read its
    manifest. With trusted signers, all bytes are held against the signature before."""
    place = Place(name, shelf)
    shown = "standard input" if place.is_stream else place.shown
    if place.is_stream and trusted is not None:
        raise ArchiveNotTrusted(
            "Standard input brings no signature along, and one is wanted here.",
            hint="Lay the archive and its .sig in a folder, and name the archive.",
        )
    with place.readable(max_bytes) as file:
        signer = "" if trusted is None else _signer(place, shown, file, trusted)
        is_sealed = _is_sealed(file)
        with _rows(shown, file, max_bytes, identities) as (rows, files):
            reader = ArchiveReader(shown, rows, max_bytes, identities, signer, files)
            # The rows of a tar are opened already.
            reader.is_encrypted = is_sealed
            try:
                yield reader
            finally:
                reader.close()


@contextmanager
def _rows(
    name: str, file: IO[bytes], max_bytes: int, identities: Sequence[Any]
) -> Iterator[tuple[IO[bytes], Container | None]]:
    """The file with the document, and what has the uploaded files: of a tar, all is read and
    checked for it."""
    container = Container(name, lambda: _expanded(name, file, identities), max_bytes)
    if not is_tar(container.start(_TAR_BYTES)):
        file.seek(0)
        yield file, None
        return
    with container.rows() as rows:
        yield rows, container


@contextmanager
def _expanded(name: str, file: IO[bytes], identities: Sequence[Any]) -> Iterator[IO[bytes]]:
    """The bytes from their beginning, decrypted and expanded."""
    with _decrypted(name, file, identities) as clear:
        compression = sniff(clear.read(4))
    with expansion_errors(name), _decrypted(name, file, identities) as clear:
        yield expanding(clear, compression)


@contextmanager
def _decrypted(name: str, file: IO[bytes], identities: Sequence[Any]) -> Iterator[IO[bytes]]:
    is_sealed = _is_sealed(file)
    with decrypting(name, file, identities) if is_sealed else nullcontext(file) as clear:
        yield clear


def _is_sealed(file: IO[bytes]) -> bool:
    """Whether the file is encrypted; it is left at its beginning."""
    file.seek(0)
    start = file.read(START_BYTES)
    file.seek(0)
    return is_encrypted(start)


def _signer(place: Place, shown: str, file: IO[bytes], trusted: TrustedSigners) -> str:
    """Who of the trusted ones signed these very bytes; else `ArchiveNotTrusted`."""
    signature = place.beside(SIG).read(MOST_BYTES + 1)
    if signature is None:
        raise unsigned(shown)
    return trusted.check(shown, file, signature)
