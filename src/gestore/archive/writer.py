"""How does an archive get written: manifest, rows, closing line, under its name only when whole?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import IO

from ..errors import UsageError
from ..rows import ArchivedRow, JsonValue
from .background import Background, written_meanwhile
from .columns import Lines
from .compression import compressing, compression_of, refuse_unknown, require
from .documents import Layout, pieces, row_text, utf8
from .manifest import Manifest
from .storage import STANDARD, check_free, new_file, standard_output

_BLOCK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: where, rows per model, the digest, the size of the document in bytes
    before compression."""

    name: str
    rows_by_model: dict[str, int]
    sha256: str
    size_bytes: int

    @property
    def row_count(self) -> int:
        return sum(self.rows_by_model.values())


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an archive goes and how: all of it told by the name."""

    name: str
    layout: Layout
    compression: str
    overwrite: bool = False

    @classmethod
    def parse(cls, name: str, *, form: str = "jsonl", overwrite: bool = False) -> Destination:
        """Read `acme.json`, `acme.jsonl.zst`; for `-`, standard output, `form` is the ending."""
        ending = f".{form}" if name == STANDARD else name
        refuse_unknown(ending)
        compression = compression_of(ending)
        stem = ending.removesuffix(compression)
        for layout in (Layout.JSON_LINES, Layout.JSON):
            if stem.endswith(layout.value):
                return cls(name, layout, compression, overwrite)
        raise UsageError(
            f"{name}: the name does not say what to write.",
            hint="End it in .json or .jsonl, and .gz or .zst after that to compress.",
        )

    def check(self) -> None:
        """Find out early that the name cannot be written: before hours of reading."""
        if self.name != STANDARD:
            check_free(Path(self.name), overwrite=self.overwrite)
        require(self.compression)


def is_archive_name(name: str) -> bool:
    """Whether the name itself says what to write; otherwise it is a folder's."""
    try:
        Destination.parse(name)
    except UsageError:
        return name.endswith(".age")
    return True


def write_archive(
    destination: Destination, manifest: Manifest, rows: Iterable[ArchivedRow]
) -> Written:
    """Write the archive. It appears under its name whole and synced, or not at all."""
    return write_lines(destination, manifest, _lines_of(rows))


def write_lines(destination: Destination, manifest: Manifest, lines: Iterable[Lines]) -> Written:
    """The same of rows that are lines already."""
    with (
        _opened(destination) as file,
        compressing(file, destination.compression) as sink,
        written_meanwhile(sink) as background,
    ):
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


@contextmanager
def _opened(destination: Destination) -> Iterator[IO[bytes]]:
    if destination.name == STANDARD:
        with standard_output() as file:
            yield file
    else:
        with new_file(Path(destination.name), overwrite=destination.overwrite) as file:
            yield file


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
