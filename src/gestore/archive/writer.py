"""How does an archive get written: manifest, rows, closing line, under its name only when whole?"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import IO, Any

from ..errors import ArchiveError, ArchiveNotWritten, UsageError
from ..rows import ArchivedRow, JsonValue
from .background import Background, written_meanwhile
from .columns import Lines
from .compression import compressing, compression_of, require
from .container import TAR
from .documents import Layout, pieces, row_text, utf8
from .encryption import AGE, encrypting
from .manifest import Manifest
from .place import Place
from .shelf import Shelf
from .signing import SIG, Signer
from .storage import STANDARD

_BLOCK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: where, rows per model, the digest, the size of the document in bytes
    before compression; of uploaded files how many came along, and their bytes. Of an archive that
    is encrypted or signed also the digest of all bytes of the file, and who signed them."""

    name: str
    rows_by_model: dict[str, int]
    sha256: str
    size_bytes: int
    file_sha256: str = ""
    signer: str = ""
    file_count: int = 0
    file_bytes: int = 0

    @property
    def row_count(self) -> int:
        return sum(self.rows_by_model.values())


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an archive goes and how: most of it told by the name. Who may open it are age's
    recipients (`encryption.recipients_of`), none for a clear one."""

    place: Place
    layout: Layout
    compression: str
    overwrite: bool = False
    recipients: tuple[Any, ...] = ()
    signer: Signer | None = None

    @classmethod
    def parse(
        cls,
        name: str,
        *,
        form: str = "",
        overwrite: bool = False,
        with_files: bool = False,
        shelf: Shelf | None = None,
        recipients: tuple[Any, ...] = (),
        signer: Signer | None = None,
    ) -> Destination:
        """Read `acme.json`, `acme.jsonl.zst.age`, `acme.tar`; for `-`, standard output, `form` is
        the ending: `jsonl`, with files `tar`, unless it is given. The recipients are of concern to
        a name that ends in `.age`."""
        form = form or ("tar" if with_files else "jsonl")
        ending = f".{form}" if name == STANDARD else name
        clear = ending.removesuffix(AGE)
        compression = compression_of(clear)
        stem = clear.removesuffix(compression)
        layout = next((way for way in _LAYOUTS if stem.endswith(way.value)), None)
        if stem.endswith(TAR):
            layout = Layout.JSON_LINES
        if layout is None:
            raise UsageError(
                f"{name}: the name does not say what to write.",
                hint="End it in .json, .jsonl or .tar, .gz or .zst after that to compress, and "
                ".age to encrypt.",
            )
        _check_files(ending, has_room=stem.endswith(TAR), with_files=with_files)
        is_clear = clear == ending
        if not is_clear and not recipients:
            raise UsageError(
                f"{name} is to be encrypted, and nobody is named who may open it.",
                hint='Name them with --encrypt-to RECIPIENT, or in GESTORE["RECIPIENTS"].',
            )
        place = Place(name, shelf)
        if signer is not None and place.is_stream:
            raise UsageError(
                "A signature lies beside its archive: standard output has no place for it.",
                hint="Name a file.",
            )
        to = () if is_clear else recipients
        return cls(place, layout, compression, overwrite, to, signer)

    @property
    def name(self) -> str:
        """As people read it."""
        return self.place.shown

    def check(self) -> None:
        """Find out early that the name cannot be written: before hours of reading."""
        self.place.check_free(overwrite=self.overwrite)
        if self.signer is not None:
            self.place.beside(SIG).check_free(overwrite=self.overwrite)
        require(self.compression)


_LAYOUTS = (Layout.JSON_LINES, Layout.JSON)


def _check_files(ending: str, *, has_room: bool, with_files: bool) -> None:
    """What is asked for and what the name says agree: a .tar holds files, nothing else does."""
    if has_room and not with_files:
        raise UsageError(
            f"{ending}: a .tar holds uploaded files beside the rows, and none are asked for.",
            hint="Add --with-files, or end the name in .json or .jsonl.",
        )
    if with_files and not has_room:
        raise UsageError(
            f"{ending}: an archive of this kind has no room for uploaded files.",
            hint="End it in .tar, then .gz or .zst to compress, and .age to encrypt.",
        )


def is_archive_name(name: str) -> bool:
    """Whether the name itself says what to write; otherwise it is a folder's."""
    try:
        clear = name.removesuffix(AGE)
        is_tar = clear.removesuffix(compression_of(clear)).endswith(TAR)
        Destination.parse(clear, with_files=is_tar)
    except UsageError:
        return name.endswith(AGE)
    return True


def write_archive(
    destination: Destination, manifest: Manifest, rows: Iterable[ArchivedRow]
) -> Written:
    """Write the archive. It appears under its name whole and synced, or not at all."""
    return write_lines(destination, manifest, _lines_of(rows))


def write_lines(destination: Destination, manifest: Manifest, lines: Iterable[Lines]) -> Written:
    """The same of rows that are lines already."""
    with packed(destination) as sealed, written_meanwhile(sealed.sink) as background:
        written = _write(background, destination, manifest, lines)
    return replace(written, file_sha256=sealed.sha256, signer=sealed.signer)


def write_aside(
    file: IO[bytes], destination: Destination, manifest: Manifest, lines: Iterable[Lines]
) -> Written:
    """The document with the rows alone, into `file`: what else goes along is not known yet."""
    with written_meanwhile(file) as background:
        return _write(background, destination, manifest, lines)


def _lines_of(rows: Iterable[ArchivedRow]) -> Iterator[Lines]:
    for model, group in groupby(rows, key=attrgetter("model")):
        texts: list[bytes] = []
        size = 0
        for row in group:
            texts.append(utf8(row_text(row)))
            size += len(texts[-1])
            if size > _BLOCK_BYTES:
                yield Lines(model, len(texts), b"\n".join(texts))
                texts, size = [], 0
        if texts:
            yield Lines(model, len(texts), b"\n".join(texts))


# The bytes ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Packed:
    """Where clear bytes are written to; when all of them lie under the archive's name, the digest
    of what lies there, if somebody wants to know it, and who signed it."""

    sink: IO[bytes]
    tally: _Tally | None
    signer: str = ""

    @property
    def sha256(self) -> str:
        return self.tally.digest.hexdigest() if self.tally else ""


class _Tally:
    """A file that digests what passes into another."""

    def __init__(self, sink: IO[bytes]) -> None:
        self.digest = hashlib.sha256()
        self._sink = sink

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._sink.write(data)

    def flush(self) -> None:
        self._sink.flush()


@contextmanager
def packed(destination: Destination) -> Iterator[Packed]:
    """From the outside in: the place, the digest, encryption, compression; then the signature."""
    with destination.place.new_file(overwrite=destination.overwrite) as file:
        is_told = bool(destination.recipients or destination.signer)
        tally = _Tally(file) if is_told else None
        outer: Any = tally or file
        with (
            _encrypted(destination, outer) as sealed,
            compressing(sealed, destination.compression) as sink,
        ):
            told = Packed(sink, tally)
            yield told
    told.signer = _sign(destination, told.sha256)


def _encrypted(destination: Destination, sink: IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    recipients = destination.recipients
    return encrypting(sink, recipients) if recipients else nullcontext(sink)


def _sign(destination: Destination, sha256: str) -> str:
    """Lay the signature beside the archive, which stands; where that fails, take the archive away.
    Who signed comes back."""
    place, signer = destination.place.beside(SIG), destination.signer
    if signer is None:
        if destination.overwrite and not destination.place.is_stream and place.exists():
            # Of what was replaced.
            place.remove()
        return ""
    try:
        place.write(signer.signature(sha256), overwrite=destination.overwrite)
    except ArchiveError as error:
        raise _not_signed(destination, error) from error
    return signer.public_key


def _not_signed(destination: Destination, why: ArchiveError) -> ArchiveNotWritten:
    try:
        destination.place.remove()
    except ArchiveError:
        left = f"{destination.name} is there, whole, and NOT signed: remove it."
    else:
        left = "So the archive was taken away again."
    return ArchiveNotWritten(f"{destination.name} could not be signed: {why.message}", hint=left)


# The document -------------------------------------------------------------------------------------


def _write(
    background: Background, destination: Destination, manifest: Manifest, lines: Iterable[Lines]
) -> Written:
    counts: Counter[str] = Counter()
    size = 0

    def counted() -> Iterator[bytes]:
        for block in lines:
            if block.count:
                counts[block.model] += block.count
                yield block.text

    def closing() -> dict[str, JsonValue]:
        return {
            "rows": sum(counts.values()),
            "rows_by_model": dict(sorted(counts.items())),
            "sha256": background.digest(),
        }

    for piece, is_covered in pieces(destination.layout, manifest.as_json(), counted(), closing):
        background.put(piece, is_covered=is_covered)
        size += len(piece)
    return Written(destination.name, dict(counts), background.digest(), size)
