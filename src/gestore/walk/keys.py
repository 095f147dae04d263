"""How are millions of keys kept in little memory, and asked quickly?

Integer keys take 8 bytes, UUIDs 16, in sorted runs that are merged as they grow (a log-structured
merge tree in memory); keys of any other type stand in a set. Nothing here knows what a key is for.

What is more than `SPILL_BYTES` of one set goes to a temporary file.

Keys also travel packed, as they are kept: an `array` of integers, `PackedUUIDs`, a list of others.
What handles a batch of packed keys as a whole costs nanoseconds a key, what looks at each of them a
microsecond.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter, ge
from struct import Struct, iter_unpack
from typing import Any, Protocol, cast, overload
from uuid import UUID, SafeUUID

from ..rows import Key
from ..schema.table import Kind, Table
from .spill import IntegerCodec, PickleCodec, Spill, slices

_CHUNK = 8_192
# What one set holds in memory: sixty thousand integers. A table has several sets, and while runs of
# one are merged they are there twice.
SPILL_BYTES = 500_000
# What a key of another type takes in memory, at the least.
_PLAIN_BYTES = 80
_NUMBER = attrgetter("int")
# Where a batch meets a stretch of a run of so many times its keys, the stretch is gone through at
# C's speed; where the stretch is longer, each key of the batch is searched in it.
_SEARCHED = 8
# A run of so many times the keys of a batch is gone through whole, before they are sorted.
_COMPARED = 2
# So many UUIDs are taken apart at once: a tuple for each would cost thrice as much.
_MANY = 1_024
_MANY_PARTS = Struct("16s" * _MANY)
# Where dashes stand among the 36 signs that a UUID is written with, and where its 32 digits.
UUID_DASHES = (8, 13, 18, 23)
_DIGITS = [place for place in range(36) if place not in UUID_DASHES]


class KeySet(Protocol):
    """A growing set of keys of one type."""

    def add(self, keys: Iterable[Key]) -> list[Key]:
        """Take the keys in; the ones that were not known come back, sorted."""

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        """Those of the keys that are not in the set, sorted, each once."""

    def batches(self, size: int) -> Iterator[list[Key]]:
        """All keys in order, `size` at a time."""

    def take(self, keys: Iterable[Key]) -> Sequence[Key]:
        """What `add` does; packed keys come back packed."""

    def lacking(self, keys: Iterable[Key]) -> Sequence[Key]:
        """What `missing` does; packed keys come back packed."""

    def extend(self, keys: Sequence[Key]) -> None:
        """Take in keys as they came back, in order, none of which is here."""

    def packed(self, size: int) -> Iterator[Sequence[Key]]:
        """What `batches` does, packed."""

    def __contains__(self, key: Key) -> bool: ...

    def __len__(self) -> int: ...

    @property
    def size_bytes(self) -> int: ...


class PackedUUIDs(Sequence[UUID]):
    """UUIDs as their bytes, one behind the other: a UUID is made when it is looked at."""

    __slots__ = ("data",)

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    @classmethod
    def of(cls, uuids: Iterable[UUID]) -> PackedUUIDs:
        if isinstance(uuids, PackedUUIDs):
            return uuids
        return cls(b"".join([uuid.bytes for uuid in uuids]))

    def parts(self) -> list[bytes]:
        """Each in its 16 bytes: they compare as the UUIDs do."""
        parts: list[bytes] = []
        whole = len(self) // _MANY * _MANY
        for place in range(0, 16 * whole, 16 * _MANY):
            parts += _MANY_PARTS.unpack_from(self.data, place)
        # Not as one more Struct: Python keeps those, and they are longer than what they take apart.
        parts += [part for (part,) in iter_unpack("16s", self.data[16 * whole :])]
        return parts

    def hexes(self) -> list[str]:
        """Each as its 32 digits."""
        return self.data.hex(",", 16).split(",") if self.data else []

    def texts(self) -> list[str]:
        """Each as `str` writes it: all first signs are put in their places, then all second."""
        digits = self.data.hex().encode()
        signs = bytearray(b"%b," % (b"-" * 36) * len(self))
        for number, place in enumerate(_DIGITS):
            signs[place::37] = digits[number::32]
        return signs.decode().split(",")[:-1]

    def __len__(self) -> int:
        return len(self.data) >> 4

    @overload
    def __getitem__(self, place: int) -> UUID: ...

    @overload
    def __getitem__(self, place: slice) -> PackedUUIDs: ...

    def __getitem__(self, place: int | slice) -> UUID | PackedUUIDs:
        if isinstance(place, slice):
            start, stop, step = place.indices(len(self))
            if step == 1:
                return PackedUUIDs(self.data[16 * start : 16 * max(start, stop)])
            return PackedUUIDs.of([self[n] for n in range(start, stop, step)])
        place = range(len(self))[place]
        return UUID(bytes=self.data[16 * place : 16 * place + 16])

    def __iter__(self) -> Iterator[UUID]:
        # A third of what UUID() costs, which looks for what its caller gave it.
        new, put, unknown = UUID.__new__, object.__setattr__, SafeUUID.unknown
        from_bytes = int.from_bytes
        for (part,) in iter_unpack("16s", self.data):
            uuid = new(UUID)
            put(uuid, "int", from_bytes(part, "big"))
            put(uuid, "is_safe", unknown)
            yield uuid

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PackedUUIDs) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        return f"<{len(self)} UUIDs>"


class PlainKeys:
    """Keys of any hashable, mutually comparable type: text, dates, tuples."""

    def __init__(self) -> None:
        self._keys: set[Key] = set()
        self._spill = Spill(PickleCodec())

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        missing: list[Any] = list(set(keys) - self._keys)
        return list(self._spill.absent(sorted(missing)))

    def add(self, keys: Iterable[Key]) -> list[Key]:
        fresh = self.missing(keys)
        self._keys.update(fresh)
        if len(self._keys) * _PLAIN_BYTES > SPILL_BYTES:
            self._flush()
        return fresh

    def _flush(self) -> None:
        if self._keys:
            keys: set[Any] = self._keys
            self._spill.push([sorted(keys)])
            self._keys = set()

    def batches(self, size: int) -> Iterator[list[Key]]:
        if len(self._spill):
            self._flush()
            for some in slices(self._spill.blocks(), size):
                yield [*some]
            return
        keys: set[Any] = self._keys
        in_order = sorted(keys)
        for start in range(0, len(in_order), size):
            yield in_order[start : start + size]

    def take(self, keys: Iterable[Key]) -> Sequence[Key]:
        return self.add(keys)

    def extend(self, keys: Sequence[Key]) -> None:
        self.add(keys)

    def lacking(self, keys: Iterable[Key]) -> Sequence[Key]:
        return self.missing(keys)

    def packed(self, size: int) -> Iterator[Sequence[Key]]:
        return self.batches(size)

    def __contains__(self, key: Key) -> bool:
        return key in self._keys or key in self._spill

    def __len__(self) -> int:
        return len(self._keys) + len(self._spill)

    @property
    def size_bytes(self) -> int:
        from sys import getsizeof

        return getsizeof(self._keys) + sum(getsizeof(key) for key in self._keys)


class IntegerKeys:
    """Integers of 64 bits."""

    def __init__(self) -> None:
        self._runs: list[array[int]] = []
        self._spill = Spill(IntegerCodec())

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        return cast("list[Key]", self._lacking(keys).tolist())

    def add(self, keys: Iterable[Key]) -> list[Key]:
        return cast("list[Key]", self._take(keys).tolist())

    def batches(self, size: int) -> Iterator[list[Key]]:
        for keys in self.packed(size):
            yield [*keys]

    def take(self, keys: Iterable[Key]) -> Sequence[Key]:
        return cast("Sequence[Key]", self._take(keys))

    def lacking(self, keys: Iterable[Key]) -> Sequence[Key]:
        return cast("Sequence[Key]", self._lacking(keys))

    def extend(self, keys: Sequence[Key]) -> None:
        if keys:
            self._append(array("q", keys))  # type: ignore[arg-type]

    def packed(self, size: int) -> Iterator[Sequence[Key]]:
        self._merge()
        if len(self._spill):
            self._flush()
            for keys in slices(self._spill.blocks(), size):
                yield keys if isinstance(keys, array) else cast("Sequence[Key]", array("q", keys))
        for run in self._runs:
            for start in range(0, len(run), size):
                yield cast("Sequence[Key]", run[start : start + size])

    def _lacking(self, keys: Iterable[Key]) -> array[int]:
        left: set[Any] = set(keys)
        runs = []
        for run in self._runs:
            if len(run) > _COMPARED * len(left):
                runs.append(run)
            else:
                _remove_from(left, run, 0, len(run))
        # Often in order already, as the database found them: then sorting costs next to nothing.
        is_all = isinstance(keys, array) and len(left) == len(keys)
        fresh = array("q", sorted(cast("Iterable[Any]", keys) if is_all else left))
        for run in runs:
            if not fresh:
                break
            fresh = _absent(run, fresh)
        if fresh and len(self._spill):
            absent = self._spill.absent(fresh)
            fresh = fresh if absent is fresh else array("q", absent)
        return fresh

    def _take(self, keys: Iterable[Key]) -> array[int]:
        fresh = self._lacking(keys)
        if fresh:
            # A copy: `fresh` goes out, and what goes out may be changed.
            self._append(fresh[:])
        return fresh

    def _append(self, fresh: array[int]) -> None:
        self._runs.append(fresh)
        # Each run at least twice as long as the next: a look-up asks few of them.
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._merge_last()
        if self.size_bytes > SPILL_BYTES:
            self._flush()

    def _merge_last(self) -> None:
        last, before = self._runs.pop(), self._runs.pop()
        self._runs.append(_merged(before, last))

    def _merge(self) -> None:
        while len(self._runs) > 1:
            self._merge_last()

    def _flush(self) -> None:
        self._merge()
        if self._runs:
            self._spill.push([self._runs.pop()])

    def __contains__(self, key: Key) -> bool:
        return any(_has(run, key) for run in self._runs) or key in self._spill  # type: ignore[arg-type]

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs) + len(self._spill)

    @property
    def size_bytes(self) -> int:
        return sum(run.itemsize * len(run) for run in self._runs)


def _has(run: array[int], key: int) -> bool:
    place = bisect_left(run, key)
    return place < len(run) and run[place] == key


def _remove_from(left: set[int], run: array[int], start: int, end: int) -> None:
    """Take the keys in a stretch of the run out of the set."""
    for place in range(start, end, _CHUNK):
        left.difference_update(run[place : min(end, place + _CHUNK)])


def _absent(run: array[int], keys: array[int]) -> array[int]:
    """Those of the keys that are not in the run; both are sorted."""
    start, end = bisect_left(run, keys[0]), bisect_right(run, keys[-1])
    if start == end:
        return keys
    if end - start <= _SEARCHED * len(keys):
        left = set(keys)
        _remove_from(left, run, start, end)
        return keys if len(left) == len(keys) else array("q", sorted(left))
    absent = array("q")
    place = start
    for key in keys:
        place = bisect_left(run, key, place, end)
        if place == end or run[place] != key:
            absent.append(key)
    return absent


def _merged(left: array[int], right: array[int]) -> array[int]:
    """Both runs in one, a chunk at a time so that no list of all keys is ever made."""
    if left[-1] < right[0]:
        return left + right
    if right[-1] < left[0]:
        return right + left
    merged = array("q")
    i = j = 0
    while i < len(left) and j < len(right):
        bound = min(left[min(i + _CHUNK, len(left)) - 1], right[min(j + _CHUNK, len(right)) - 1])
        i_end, j_end = bisect_right(left, bound, i), bisect_right(right, bound, j)
        merged.extend(sorted(left[i:i_end].tolist() + right[j:j_end].tolist()))
        i, j = i_end, j_end
    merged.extend(left[i:])
    merged.extend(right[j:])
    return merged


class _UUIDCodec:
    def encode(self, keys: Sequence[bytes]) -> bytes:
        return b"".join(keys)

    def decode(self, data: bytes) -> Sequence[bytes]:
        return PackedUUIDs(data).parts()


class UUIDKeys:
    """UUIDs as two halves of 64 bits; the runs are sorted by both."""

    def __init__(self) -> None:
        self._runs: list[_HalvesRun] = []
        self._spill = Spill(_UUIDCodec())

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        # Those that were given come back: to make them again costs more, and takes memory.
        given = sorted(cast("Iterable[UUID]", keys), key=_NUMBER)
        numbers = [None, *map(_NUMBER, given)]
        given = [key for key, before in zip(given, numbers, strict=False) if key.int != before]
        absent = self._absent([key.bytes for key in given], self._runs)
        if len(absent) == len(given):
            return cast("list[Key]", given)
        left = set(absent)
        return [key for key in given if key.bytes in left]

    def add(self, keys: Iterable[Key]) -> list[Key]:
        fresh = self.missing(keys)
        if fresh:
            self._append(PackedUUIDs.of(cast("list[UUID]", fresh)))
        return fresh

    def batches(self, size: int) -> Iterator[list[Key]]:
        for keys in self.packed(size):
            yield [*keys]

    def take(self, keys: Iterable[Key]) -> Sequence[Key]:
        fresh = self._lacking(keys)
        if fresh:
            self._append(fresh)
        return fresh

    def lacking(self, keys: Iterable[Key]) -> Sequence[Key]:
        return self._lacking(keys)

    def extend(self, keys: Sequence[Key]) -> None:
        if keys:
            self._append(PackedUUIDs.of(cast("Sequence[UUID]", keys)))

    def packed(self, size: int) -> Iterator[Sequence[Key]]:
        self._merge()
        if len(self._spill):
            self._flush()
            for parts in slices(self._spill.blocks(), size):
                yield PackedUUIDs(b"".join(parts))
        for run in self._runs:
            for start in range(0, len(run), size):
                yield PackedUUIDs(run.data(start, start + size))

    def _lacking(self, keys: Iterable[Key]) -> PackedUUIDs:
        parts = PackedUUIDs.of(cast("Iterable[UUID]", keys)).parts()
        runs = self._runs
        if any(map(ge, parts, islice(parts, 1, None))):
            # Not in order, as most that a database found: only those that are left are sorted.
            left = set(parts)
            runs = []
            for run in self._runs:
                if len(run) > _COMPARED * len(left):
                    runs.append(run)
                else:
                    run.remove_from(left)
            parts = sorted(left)
        return PackedUUIDs(b"".join(self._absent(parts, runs)))

    def _absent(self, fresh: list[bytes], runs: Sequence[_HalvesRun]) -> Sequence[bytes]:
        for run in runs:
            if not fresh:
                break
            fresh = run.absent(fresh)
        return self._spill.absent(fresh)

    def _append(self, fresh: PackedUUIDs) -> None:
        run = _HalvesRun()
        run.extend(fresh.data)
        self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._merge_last()
        if self.size_bytes > SPILL_BYTES:
            self._flush()

    def _merge_last(self) -> None:
        last, before = self._runs.pop(), self._runs.pop()
        self._runs.append(before.merged(last))

    def _merge(self) -> None:
        while len(self._runs) > 1:
            self._merge_last()

    def _flush(self) -> None:
        self._merge()
        if self._runs:
            run = self._runs.pop()
            places = range(0, len(run), _CHUNK)
            self._spill.push(run.parts(place, place + _CHUNK) for place in places)

    def __contains__(self, key: Key) -> bool:
        part: bytes = key.bytes  # type: ignore[attr-defined]
        return any(run.has(part) for run in self._runs) or part in self._spill

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs) + len(self._spill)

    @property
    def size_bytes(self) -> int:
        return sum(16 * len(run) for run in self._runs)


class _HalvesRun:
    """Sorted UUIDs in two arrays: the upper halves, which a search goes through, and the lower."""

    __slots__ = ("high", "low")

    def __init__(self) -> None:
        self.high = array("Q")
        self.low = array("Q")

    def extend(self, data: bytes) -> None:
        halves = array("Q", data)
        if _IS_LITTLE:
            halves.byteswap()
        self.high.extend(halves[0::2])
        self.low.extend(halves[1::2])

    def data(self, start: int, end: int) -> bytes:
        high, low = self.high[start:end], self.low[start:end]
        halves = array("Q", bytes(16 * len(high)))
        halves[0::2], halves[1::2] = high, low
        if _IS_LITTLE:
            halves.byteswap()
        return halves.tobytes()

    def parts(self, start: int, end: int) -> list[bytes]:
        return PackedUUIDs(self.data(start, end)).parts()

    def __len__(self) -> int:
        return len(self.high)

    def has(self, part: bytes) -> bool:
        high, low = int.from_bytes(part[:8], "big"), int.from_bytes(part[8:], "big")
        start = bisect_left(self.high, high)
        if start == len(self.high) or self.high[start] != high:
            return False
        end = bisect_right(self.high, high, start)
        place = bisect_left(self.low, low, start, end)
        return place < end and self.low[place] == low

    def absent(self, keys: list[bytes]) -> list[bytes]:
        """Those of the sorted keys that are not in the run."""
        absent: list[bytes] = []
        for start in range(0, len(keys), _CHUNK):
            absent += self._absent(keys[start : start + _CHUNK])
        return absent

    def _absent(self, keys: list[bytes]) -> list[bytes]:
        high = self.high
        start = bisect_left(high, int.from_bytes(keys[0][:8], "big"))
        end = bisect_right(high, int.from_bytes(keys[-1][:8], "big"))
        if start == end:
            return keys
        if end - start <= _SEARCHED * len(keys):
            left = set(keys)
            self.remove_from(left, start, end)
            return keys if len(left) == len(keys) else sorted(left)
        return [key for key in keys if not self.has(key)]

    def remove_from(self, left: set[bytes], start: int = 0, end: int | None = None) -> None:
        """Take those that are in a stretch of the run out of the set."""
        end = len(self) if end is None else end
        for place in range(start, end, _CHUNK):
            left.difference_update(self.parts(place, min(end, place + _CHUNK)))

    def merged(self, other: _HalvesRun) -> _HalvesRun:
        result = _HalvesRun()
        i = j = 0
        while i < len(self) or j < len(other):
            i_end, j_end = self._chunk_end(i, other, j), other._chunk_end(j, self, i)
            result.extend(b"".join(sorted(self.parts(i, i_end) + other.parts(j, j_end))))
            i, j = i_end, j_end
        return result

    def _chunk_end(self, start: int, other: _HalvesRun, other_start: int) -> int:
        """Where this run's part of the next chunk ends: up to the lesser of both chunks' ends."""
        bounds = [
            run.high[min(place + _CHUNK, len(run)) - 1]
            for run, place in ((self, start), (other, other_start))
            if place < len(run)
        ]
        return bisect_right(self.high, min(bounds), start) if start < len(self) else start


_IS_LITTLE = array("H", b"\x01\x00")[0] == 1


def empty_keys(table: Table, columns: Sequence[str] = ()) -> KeySet:
    """An empty set for the keys of the table, or for the values of other columns of it."""
    names = tuple(columns) or table.key_names
    if len(names) == 1:
        kind = table.column(names[0]).kind
        if kind is Kind.INTEGER:
            return IntegerKeys()
        if kind is Kind.UUID:
            return UUIDKeys()
    return PlainKeys()
