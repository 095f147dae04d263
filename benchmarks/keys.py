"""How many bytes does a key take in memory?"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

if TYPE_CHECKING:
    from gestore.walk.keys import KeySet

Batches: TypeAlias = "Iterator[list[Any]]"

BOUND_BYTES = 64
_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class KeyCost:
    """Bytes a key: when all are in, and at the worst moment on the way."""

    name: str
    count: int
    kept: float
    peak: float

    @property
    def holds(self) -> bool:
        return self.peak <= BOUND_BYTES


def _in_order(count: int) -> Batches:
    for start in range(0, count, _BATCH):
        yield list(range(start, min(start + _BATCH, count)))


def _shuffled(count: int) -> Batches:
    """Every batch holds keys of the whole range, as rows that come in any order do."""
    step = max(1, -(-count // _BATCH))
    for start in range(step):
        yield list(range(start, count, step))


def _uuids(count: int) -> Batches:
    random = Random(1)
    for batch in _in_order(count):
        yield [UUID(int=random.getrandbits(128)) for _ in batch]


def measure(count: int) -> list[KeyCost]:
    """Take in that many keys of each kind, and read them all again; each batch is let go."""
    # Here, because it brings Django along: see `measure.py`.
    from gestore.walk.keys import IntegerKeys, UUIDKeys

    return [
        _measured("integers, in order", count, IntegerKeys, _in_order),
        _measured("integers, in any order", count, IntegerKeys, _shuffled),
        _measured("UUIDs", count, UUIDKeys, _uuids),
    ]


def _measured(
    name: str, count: int, make: Callable[[], KeySet], batches: Callable[[int], Batches]
) -> KeyCost:
    tracemalloc.start()
    try:
        keys = make()
        for batch in batches(count):
            keys.add(batch)
        read = sum(len(batch) for batch in keys.batches(_BATCH))
        if not read == len(keys) == count:
            raise AssertionError(f"{name}: {count} keys went in, and {read} came out.")
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return KeyCost(name, count, kept / count, peak / count)
