"""Where do keys go that are too many for memory? Into sorted runs in temporary files.

A run is written once, in blocks, and read a block at a time; of each block the first key is kept.
Runs are merged as they grow, so that a look-up asks few of them. The files have no name: they are
gone when nobody needs them, and when the process dies.
"""

from __future__ import annotations

import os
import pickle
import weakref
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple, Protocol

from ..errors import NoRoom

# A run of ten million keys has so few blocks that their first keys take no room.
_BLOCK_KEYS = 4_096
# Where a batch has more than one key for so many of a block, sets are compared; else one by one.
_SEARCHED = 8


class Codec(Protocol):
    """A block of sorted keys as bytes, and back."""

    def encode(self, keys: Sequence[Any]) -> bytes: ...

    def decode(self, data: bytes) -> Sequence[Any]: ...


class IntegerCodec:
    def encode(self, keys: Sequence[Any]) -> bytes:
        return array("q", keys).tobytes()

    def decode(self, data: bytes) -> Sequence[Any]:
        return array("q", data)


class PickleCodec:
    """Keys of any type. What is unpickled is what this process wrote into a file without a name."""

    def encode(self, keys: Sequence[Any]) -> bytes:
        return pickle.dumps(list(keys), pickle.HIGHEST_PROTOCOL)

    def decode(self, data: bytes) -> Sequence[Any]:
        keys: list[Any] = pickle.loads(data)
        return keys


class _Place(NamedTuple):
    start: int
    size: int


class Spill:
    """A growing set of keys on disk. Keys come and go as sorted sequences of what compares."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._runs: list[_Run] = []

    def push(self, parts: Iterable[Sequence[Any]]) -> None:
        """Take in sorted keys that are not there yet, in parts of any length."""
        self._runs.append(_Run(self._codec, _cut(parts)))
        # Each run at least twice as long as the next.
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._merge_last()

    def absent(self, keys: Sequence[Any]) -> Sequence[Any]:
        """Those of the sorted keys that are not there."""
        for run in self._runs:
            if not keys:
                break
            keys = run.absent(keys)
        return keys

    def blocks(self) -> Iterator[Sequence[Any]]:
        """All keys in order."""
        while len(self._runs) > 1:
            self._merge_last()
        for run in self._runs:
            yield from run.blocks()

    def _merge_last(self) -> None:
        last, before = self._runs.pop(), self._runs.pop()
        self._runs.append(_Run(self._codec, _cut(_merged(before.blocks(), last.blocks()))))

    def __contains__(self, key: Any) -> bool:
        return any(run.has(key) for run in self._runs)

    def __len__(self) -> int:
        return sum(map(len, self._runs))


class BlockFile:
    """Blocks of bytes in a temporary file, each written once."""

    def __init__(self) -> None:
        self._places: list[_Place] = []
        self._end = 0
        with no_room():
            self._file: IO[bytes] = TemporaryFile(prefix="gestore-", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def append(self, data: bytes) -> None:
        left = memoryview(data)
        with no_room():
            while left:
                left = left[self._file.write(left) :]
        self._places.append(_Place(self._end, len(data)))
        self._end += len(data)

    def read(self, number: int) -> bytes:
        place = self._places[number]
        return os.pread(self._file.fileno(), place.size, place.start)

    def __len__(self) -> int:
        return len(self._places)


@contextmanager
def no_room() -> Iterator[None]:
    """What the system says of a temporary file that cannot be written, in our words."""
    try:
        yield
    except (OSError, _full()) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise NoRoom(
            f"Keys did not fit into a temporary file: {told}.",
            hint="Make room where temporary files go, or name another place in TMPDIR.",
        ) from error


def _full() -> type[Exception]:
    """What SQLite raises; asked for when something was raised, as most never need it."""
    from sqlite3 import OperationalError

    return OperationalError


class _Run:
    """Sorted keys in a file."""

    def __init__(self, codec: Codec, blocks: Iterable[Sequence[Any]]) -> None:
        self._codec = codec
        self._firsts: list[Any] = []
        self._count = 0
        self._file = BlockFile()
        for keys in blocks:
            self._file.append(codec.encode(keys))
            self._firsts.append(keys[0])
            self._count += len(keys)

    def blocks(self) -> Iterator[Sequence[Any]]:
        for number in range(len(self._file)):
            yield self._block(number)

    def _block(self, number: int) -> Sequence[Any]:
        return self._codec.decode(self._file.read(number))

    def has(self, key: Any) -> bool:
        number = bisect_right(self._firsts, key) - 1
        return number >= 0 and _has(self._block(number), key)

    def absent(self, keys: Sequence[Any]) -> Sequence[Any]:
        absent: list[Any] = []
        place = bisect_left(keys, self._firsts[0])
        absent.extend(keys[:place])
        while place < len(keys):
            number = bisect_right(self._firsts, keys[place]) - 1
            is_last = number + 1 == len(self._firsts)
            end = len(keys) if is_last else bisect_left(keys, self._firsts[number + 1], place)
            absent.extend(_absent(self._block(number), keys[place:end]))
            place = end
        return keys if len(absent) == len(keys) else absent

    def __len__(self) -> int:
        return self._count


def _has(block: Sequence[Any], key: Any) -> bool:
    place = bisect_left(block, key)
    return place < len(block) and bool(block[place] == key)


def _absent(block: Sequence[Any], keys: Sequence[Any]) -> Sequence[Any]:
    if len(keys) * _SEARCHED < len(block):
        return [key for key in keys if not _has(block, key)]
    left = set(keys).difference(block)
    return keys if len(left) == len(keys) else sorted(left)


def _merged(
    left: Iterator[Sequence[Any]], right: Iterator[Sequence[Any]]
) -> Iterator[Sequence[Any]]:
    """Two streams of sorted blocks as one: what is up to the lesser of both ends is sorted."""
    ours: Sequence[Any] = next(left, ())
    theirs: Sequence[Any] = next(right, ())
    while ours and theirs:
        bound = min(ours[-1], theirs[-1])
        our_end, their_end = bisect_right(ours, bound), bisect_right(theirs, bound)
        yield sorted([*ours[:our_end], *theirs[:their_end]])
        ours = ours[our_end:] or next(left, ())
        theirs = theirs[their_end:] or next(right, ())
    if ours or theirs:
        yield ours or theirs
    yield from left
    yield from right


def _cut(parts: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """The same keys in blocks of one length."""
    return slices(parts, _BLOCK_KEYS)


def slices(parts: Iterable[Sequence[Any]], size: int) -> Iterator[Sequence[Any]]:
    """The same keys in order, `size` at a time."""
    kept: list[Any] = []
    for part in parts:
        if not kept and len(part) == size:
            yield part
            continue
        start = size - len(kept)
        kept.extend(part[:start])
        while len(kept) == size:
            yield kept
            kept = list(part[start : start + size])
            start += size
    if kept:
        yield kept
