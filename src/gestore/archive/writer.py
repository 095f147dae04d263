"""How does an archive get written: manifest, rows, closing line, under its name only when whole?"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import UsageError
from ..rows import ArchivedRow, JsonValue
from .compression import compressing, compression_of, refuse_unknown, require
from .documents import Layout, lines, row_text
from .manifest import Manifest
from .storage import STANDARD, check_free, new_file, standard_output

_BUFFER_BYTES = 1 << 18


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
    with (
        _opened(destination) as file,
        compressing(file, destination.compression) as sink,
    ):
        return _write(sink, destination, manifest, rows)


@contextmanager
def _opened(destination: Destination) -> Iterator[IO[bytes]]:
    if destination.name == STANDARD:
        with standard_output() as file:
            yield file
    else:
        with new_file(Path(destination.name), overwrite=destination.overwrite) as file:
            yield file


def _write(
    sink: IO[bytes], destination: Destination, manifest: Manifest, rows: Iterable[ArchivedRow]
) -> Written:
    digest = hashlib.sha256()
    counts: Counter[str] = Counter()
    size = 0

    def counted() -> Iterator[str]:
        for row in rows:
            counts[row.model] += 1
            yield row_text(row)

    def closing() -> dict[str, JsonValue]:
        return {
            "rows": sum(counts.values()),
            "rows_by_model": dict(sorted(counts.items())),
            "sha256": digest.hexdigest(),
        }

    buffer = bytearray()
    for line, is_covered in lines(destination.layout, manifest.as_json(), counted(), closing):
        data = _encoded(line)
        if is_covered:
            digest.update(data)
        buffer += data
        size += len(data)
        if len(buffer) > _BUFFER_BYTES:
            sink.write(bytes(buffer))
            buffer.clear()
    sink.write(bytes(buffer))
    return Written(destination.name, dict(counts), digest.hexdigest(), size)


def _encoded(line: str) -> bytes:
    try:
        return line.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair has no UTF-8; JSON's own escape carries it.
        return "".join(
            f"\\u{ord(c):04x}" if 0xD800 <= ord(c) <= 0xDFFF else c for c in line
        ).encode()
