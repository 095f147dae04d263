"""How are millions of keys kept in little memory, and asked quickly?

Integer keys take 8 bytes, UUIDs 16, in sorted runs that are merged as they grow (a log-structured
merge tree in memory); keys of any other type stand in a set. Nothing here knows what a key is for.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Protocol, cast
from uuid import UUID

from ..rows import Key, batches
from ..schema.table import Kind, Table

_CHUNK = 16_384
_NUMBER = attrgetter("int")
_LOW_64 = (1 << 64) - 1


class KeySet(Protocol):
    """A growing set of keys of one type."""

    def add(self, keys: Iterable[Key]) -> list[Key]:
        """Take the keys in; the ones that were not known come back, sorted."""

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        """Those of the keys that are not in the set, sorted, each once."""

    def batches(self, size: int) -> Iterator[list[Key]]:
        """All keys in order, `size` at a time."""

    def __contains__(self, key: Key) -> bool: ...

    def __len__(self) -> int: ...

    @property
    def size_bytes(self) -> int: ...


class PlainKeys:
    """Keys of any hashable, mutually comparable type: text, dates, tuples."""

    def __init__(self) -> None:
        self._keys: set[Key] = set()

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        missing: list[Any] = list(set(keys) - self._keys)
        return sorted(missing)

    def add(self, keys: Iterable[Key]) -> list[Key]:
        fresh = self.missing(keys)
        self._keys.update(fresh)
        return fresh

    def batches(self, size: int) -> Iterator[list[Key]]:
        keys: set[Any] = self._keys
        return batches(sorted(keys), size)

    def __contains__(self, key: Key) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def size_bytes(self) -> int:
        from sys import getsizeof

        return getsizeof(self._keys) + sum(getsizeof(key) for key in self._keys)


class IntegerKeys:
    """Integers of 64 bits."""

    def __init__(self) -> None:
        self._runs: list[array[int]] = []

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        fresh: list[int] = sorted(set(keys))  # type: ignore[arg-type]
        for run in self._runs:
            if not fresh:
                break
            if fresh[0] <= run[-1] and fresh[-1] >= run[0]:
                fresh = _absent(run, fresh)
        return fresh  # type: ignore[return-value]

    def add(self, keys: Iterable[Key]) -> list[Key]:
        fresh = self.missing(keys)
        if fresh:
            self._runs.append(array("q", fresh))  # type: ignore[arg-type]
            self._merge()
        return fresh

    def _merge(self) -> None:
        """Each run at least twice as long as the next: a look-up asks few of them."""
        runs = self._runs
        while len(runs) > 1 and len(runs[-2]) < 2 * len(runs[-1]):
            last, before = runs.pop(), runs.pop()
            runs.append(_merged(before, last))

    def batches(self, size: int) -> Iterator[list[Key]]:
        while len(self._runs) > 1:
            last, before = self._runs.pop(), self._runs.pop()
            self._runs.append(_merged(before, last))
        for run in self._runs:
            for start in range(0, len(run), size):
                keys: list[Key] = [*run[start : start + size]]
                yield keys

    def __contains__(self, key: Key) -> bool:
        return any(_has(run, key) for run in self._runs)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    @property
    def size_bytes(self) -> int:
        return sum(run.itemsize * len(run) for run in self._runs)


def _has(run: array[int], key: int) -> bool:
    place = bisect_left(run, key)
    return place < len(run) and run[place] == key


def _absent(run: array[int], keys: list[int]) -> list[int]:
    absent = []
    place, end = 0, len(run)
    for key in keys:
        place = bisect_left(run, key, place)
        if place == end or run[place] != key:
            absent.append(key)
    return absent


def _merged(left: array[int], right: array[int]) -> array[int]:
    """Both runs in one, a chunk at a time so that no list of all keys is ever made."""
    if left[-1] < right[0]:
        return left + right
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


class UUIDKeys:
    """UUIDs as two halves of 64 bits; the runs are sorted by both."""

    def __init__(self) -> None:
        self._runs: list[_HalvesRun] = []

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        # UUIDs compare and hash in Python, their numbers do not.
        fresh = sorted(cast("Iterable[UUID]", keys), key=_NUMBER)
        numbers = [None, *map(_NUMBER, fresh)]
        fresh = [key for key, before in zip(fresh, numbers, strict=False) if key.int != before]
        for run in self._runs:
            fresh = run.absent(fresh)
        return cast("list[Key]", fresh)

    def add(self, keys: Iterable[Key]) -> list[Key]:
        fresh = self.missing(keys)
        if fresh:
            self._runs.append(_HalvesRun.of([*map(_NUMBER, fresh)]))
            while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
                self._merge_last()
        return fresh

    def _merge_last(self) -> None:
        last, before = self._runs.pop(), self._runs.pop()
        self._runs.append(before.merged(last))

    def batches(self, size: int) -> Iterator[list[Key]]:
        while len(self._runs) > 1:
            self._merge_last()
        for run in self._runs:
            for start in range(0, len(run), size):
                yield [UUID(int=number) for number in run.numbers(start, start + size)]

    def __contains__(self, key: Key) -> bool:
        return any(run.has(key.int) for run in self._runs)  # type: ignore[attr-defined]

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    @property
    def size_bytes(self) -> int:
        return sum(16 * len(run) for run in self._runs)


class _HalvesRun:
    """Sorted 128-bit numbers in two arrays."""

    __slots__ = ("high", "low")

    def __init__(self, high: array[int], low: array[int]) -> None:
        self.high = high
        self.low = low

    @classmethod
    def of(cls, numbers: Sequence[int]) -> _HalvesRun:
        run = cls(array("Q"), array("Q"))
        run.extend(numbers)
        return run

    def extend(self, numbers: Sequence[int]) -> None:
        self.high.extend([number >> 64 for number in numbers])
        self.low.extend([number & _LOW_64 for number in numbers])

    def __len__(self) -> int:
        return len(self.high)

    def has(self, number: int) -> bool:
        high, low = number >> 64, number & _LOW_64
        start = bisect_left(self.high, high)
        if start == len(self.high) or self.high[start] != high:
            return False
        end = bisect_right(self.high, high, start)
        place = bisect_left(self.low, low, start, end)
        return place < end and self.low[place] == low

    def absent(self, keys: Sequence[UUID]) -> list[UUID]:
        """Those of the sorted keys that are not in the run."""
        absent = []
        high, low = self.high, self.low
        start, size = 0, len(high)
        for key in keys:
            number = key.int
            upper = number >> 64
            start = bisect_left(high, upper, start)
            if start < size and high[start] == upper:
                end = bisect_right(high, upper, start)
                lower = number & _LOW_64
                place = bisect_left(low, lower, start, end)
                if place < end and low[place] == lower:
                    continue
            absent.append(key)
        return absent

    def numbers(self, start: int, end: int) -> list[int]:
        halves = zip(self.high[start:end], self.low[start:end], strict=True)
        return [high << 64 | low for high, low in halves]

    def merged(self, other: _HalvesRun) -> _HalvesRun:
        result = _HalvesRun(array("Q"), array("Q"))
        i = j = 0
        while i < len(self) or j < len(other):
            i_end, j_end = self._chunk_end(i, other, j), other._chunk_end(j, self, i)
            result.extend(sorted(self.numbers(i, i_end) + other.numbers(j, j_end)))
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
