"""How are an archive's bytes made smaller, and large again?"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from ..errors import ArchiveCutOff, ArchiveDamaged, MissingExtra

GZIP = ".gz"
ZSTD = ".zst"
SUFFIXES = (GZIP, ZSTD)
_MAGIC = {b"\x1f\x8b": GZIP, b"\x28\xb5\x2f\xfd": ZSTD}


def compression_of(name: str) -> str:
    """The compression a file name asks for: a suffix, or "" for none."""
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def sniff(start: bytes) -> str:
    """The compression that the first bytes of a file show."""
    return next((s for magic, s in _MAGIC.items() if start.startswith(magic)), "")


@contextmanager
def compressing(sink: IO[bytes], suffix: str) -> Iterator[IO[bytes]]:
    """A file whose writes arrive in `sink` compressed; the sink stays open."""
    if suffix == GZIP:
        # Without the time of writing, equal rows make equal files.
        with gzip.GzipFile(filename="", fileobj=sink, mode="wb", compresslevel=6, mtime=0) as file:
            yield file  # type: ignore[misc]
    elif suffix == ZSTD:
        with _zstd().ZstdCompressor(level=3).stream_writer(sink, closefd=False) as file:
            yield file
    else:
        yield sink


def expanding(file: IO[bytes], suffix: str) -> IO[bytes]:
    """A file that reads what was compressed into `file`."""
    if suffix == GZIP:
        return gzip.GzipFile(fileobj=file, mode="rb")  # type: ignore[return-value]
    if suffix == ZSTD:
        reader: IO[bytes] = _zstd().ZstdDecompressor().stream_reader(file, read_across_frames=True)
        return reader
    return file


@contextmanager
def expansion_errors(name: str) -> Iterator[None]:
    """What the libraries raise for broken input, in our words."""
    try:
        yield
    except EOFError as error:
        raise cut_off(name) from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise ArchiveDamaged(f"{name} is damaged: {error}.") from error
    except Exception as error:
        if type(error).__name__ != "ZstdError":
            raise
        raise ArchiveDamaged(f"{name} is damaged: {error}.") from error


def cut_off(name: str) -> ArchiveCutOff:
    """What is said of a compressed file that breaks off."""
    return ArchiveCutOff(
        f"{name} is cut off: its compressed end is missing.",
        hint="Fetch it again from where it was whole.",
    )


def _zstd() -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise MissingExtra(
            "Archives ending in .zst need the library zstandard.",
            hint="Install it with: pip install 'django-gestore[zstd]'",
        ) from error
    return zstandard


def require(suffix: str) -> None:
    """`MissingExtra` if the compression's library is not installed."""
    if suffix == ZSTD:
        _zstd()
