"""Where do the pairs of a key map go that are too many for memory? Into temporary files.

Nothing here knows what a source and a target are; pairs are looked up by the first.
"""

from __future__ import annotations

import pickle
import sqlite3
import weakref
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias, cast

from ..rows import Key, Value, batches
from ..walk.spill import BlockFile, no_room

# Pairs of integers take 16 bytes each, others ten times as much.
MOST_INTEGERS = 50_000
MOST_PAIRS = 100_000
_BLOCK_PAIRS = 2_048
_READ_BLOCKS = 64
# Where so many pairs lie among sources, each, all are taken: to look for each takes longer.
_TAKEN = 4
_Block: TypeAlias = "tuple[array[int], array[int]]"


class Pairs:
    """A dictionary of any values. Beyond `MOST_PAIRS` they go to a temporary SQLite database, where
    Python's hash finds them: what is equal in a dictionary is equal here."""

    def __init__(self) -> None:
        self._recent: dict[Value, Value] = {}
        self._database: sqlite3.Connection | None = None
        self._count = 0

    def __setitem__(self, source: Value, target: Value) -> None:
        self._recent[source] = target
        if len(self._recent) > MOST_PAIRS:
            self._flush()

    def __contains__(self, source: Value) -> bool:
        return source in self._recent or self._found(source) is not None

    def __getitem__(self, source: Value) -> Value:
        if source in self._recent:
            return self._recent[source]
        found = self._found(source)
        if found is None:
            raise KeyError(source)
        _, target = found
        return target

    def pop(self, source: Value) -> bool:
        """Forget the pair; whether there was one."""
        was_recent = self._recent.pop(source, self) is not self
        found = self._found(source)
        if found is not None and self._database is not None:
            number, _ = found
            self._database.execute("DELETE FROM pair WHERE number = ?", (number,))
            self._count -= 1
        return was_recent or found is not None

    def __bool__(self) -> bool:
        return bool(self._recent) or self._count > 0

    def __len__(self) -> int:
        self._settle()
        return len(self._recent) + self._count

    def __iter__(self) -> Iterator[Value]:
        self._settle()
        yield from list(self._recent)
        last = 0
        while self._database is not None:
            rows = self._database.execute(
                "SELECT number, source FROM pair WHERE number > ? ORDER BY number LIMIT 1000",
                (last,),
            ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            for _, source in rows:
                yield pickle.loads(source)

    def items(self) -> Iterator[tuple[Value, Value]]:
        for lot in batches(self, 1_000):
            for source in lot:
                yield source, self[source]

    def _settle(self) -> None:
        """Let a source stand in one place only."""
        if self._database is not None and self._recent:
            self._flush()

    def _flush(self) -> None:
        with no_room():
            if self._database is None:
                # Without a name it is a file that nobody sees, gone with the process.
                self._database = sqlite3.connect("", isolation_level=None)
                weakref.finalize(self, self._database.close)
                self._database.execute("PRAGMA journal_mode = OFF")
                self._database.execute(
                    "CREATE TABLE pair (number INTEGER PRIMARY KEY, hash INTEGER, source, target)"
                )
                self._database.execute("CREATE INDEX pair_hash ON pair (hash)")
            self._database.execute("BEGIN")
            for source, target in self._recent.items():
                self._put(source, target)
            self._database.execute("COMMIT")
        self._recent = {}

    def _put(self, source: Value, target: Value) -> None:
        assert self._database is not None
        packed = pickle.dumps(target)
        found = self._found(source)
        if found is not None:
            self._database.execute(
                "UPDATE pair SET target = ? WHERE number = ?", (packed, found[0])
            )
            return
        self._count += 1
        self._database.execute(
            "INSERT INTO pair (hash, source, target) VALUES (?, ?, ?)",
            (hash(source), pickle.dumps(source), packed),
        )

    def _found(self, source: Value) -> tuple[int, Value] | None:
        if self._database is None:
            return None
        rows = self._database.execute(
            "SELECT number, source, target FROM pair WHERE hash = ?", (hash(source),)
        )
        for number, packed, target in rows:
            if pickle.loads(packed) == source:
                return number, pickle.loads(target)
        return None


class IntegerPairs:
    """Integers, sorted by the first: two arrays, or in a file where there are many."""

    def __init__(self, blocks: Iterable[_Block], count: int) -> None:
        self._firsts = array("q")
        self._held: dict[int, _Block] = {}
        self._file: BlockFile | None = None
        if count <= MOST_INTEGERS:
            sources, targets = array("q"), array("q")
            for some, others in blocks:
                sources.extend(some)
                targets.extend(others)
            self._firsts.extend(sources[:1])
            self._held[0] = sources, targets
            return
        self._file = BlockFile()
        for some, others in blocks:
            for start in range(0, len(some), _BLOCK_PAIRS):
                end = start + _BLOCK_PAIRS
                self._firsts.append(some[start])
                self._file.append((some[start:end] + others[start:end]).tobytes())

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]], count: int) -> IntegerPairs:
        """Of pairs in the order of the first."""
        lots = (zip(*lot, strict=True) for lot in batches(pairs, 50_000))
        return cls(((array("q", s), array("q", t)) for s, t in lots), count)

    def __getitem__(self, source: Key) -> Key:
        sources, targets = self._block_of(cast("int", source))
        return targets[bisect_left(sources, cast("int", source))]

    def __contains__(self, source: Key) -> bool:
        if not isinstance(source, int) or not self._firsts:
            return False
        sources, _ = self._block_of(source)
        place = bisect_left(sources, source)
        return place < len(sources) and sources[place] == source

    def many(self, sources: Iterable[Key]) -> dict[Key, Key]:
        """The targets of those of the sources that are there, perhaps of others: in order, so that
        each block is read once."""
        in_order: Sequence[int] = sorted(cast("Iterable[int]", sources))
        found: dict[Key, Key] = {}
        start = bisect_left(in_order, self._firsts[0]) if self._firsts else len(in_order)
        while start < len(in_order):
            number = self._number_of(in_order[start])
            is_last = number + 1 == len(self._firsts)
            end = len(in_order) if is_last else bisect_left(in_order, self._firsts[number + 1])
            found |= _of_block(self._block(number), in_order[start:end])
            start = end
        return found

    def _block_of(self, source: int) -> _Block:
        return self._block(self._number_of(source))

    def _number_of(self, source: int) -> int:
        return max(0, bisect_right(self._firsts, source) - 1)

    def _block(self, number: int) -> _Block:
        block = self._held.get(number)
        if block is None and self._file is not None:
            both = array("q", self._file.read(number))
            half = len(both) // 2
            block = both[:half], both[half:]
            if len(self._held) >= _READ_BLOCKS:
                del self._held[next(iter(self._held))]
            self._held[number] = block
        assert block is not None
        return block


def _of_block(block: _Block, in_order: Sequence[int]) -> dict[Key, Key]:
    sources, targets = block
    start, end = bisect_left(sources, in_order[0]), bisect_right(sources, in_order[-1])
    if end - start <= _TAKEN * len(in_order):
        return dict(zip(sources[start:end], targets[start:end], strict=True))
    places = ((source, bisect_left(sources, source, start, end)) for source in in_order)
    return {s: targets[n] for s, n in places if n < end and sources[n] == s}
