"""Where do examined rows wait until they are loaded? On disk, as they are to be loaded.

Rows that were decided one by one wait as the archive has them; lots that were decided together wait
as columns that the database takes as they are, but for those that hold keys: what a key becomes is
known when all rows have been examined.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..archive.reader import Lot
from ..archive.storage import Scratch
from ..rows import Value

# Without looking for values that come twice, which costs more than it saves.
_VERSION = 2


@dataclass(frozen=True, slots=True)
class PackedLot:
    """Rows of one table that are all to be written: the raw columns that hold keys, the packed
    other ones, and what looks like a key in them (`load.rewriting`), by path."""

    table: str
    count: int
    raw: Mapping[str, Sequence[Value]]
    packed: Mapping[str, Sequence[Value]]
    hidden: Sequence[tuple[str, int]]


class Spool:
    """What one examination decided, in the archive's order."""

    def __init__(self) -> None:
        self._scratch = Scratch()
        self._lots: list[tuple[bool, int, int]] = []

    def begin(self) -> None:
        """Forget what an earlier examination said."""
        self._lots.clear()
        self._scratch.empty()

    def put(self, lot: Lot) -> None:
        """Keep rows as the archive has them."""
        told = (lot.model, lot.keys, lot.fields, lot.marks)
        self._lots.append((False, *self._scratch.write(marshal.dumps(told, _VERSION))))

    def put_packed(self, lot: PackedLot) -> bool:
        """Keep packed rows; False where a column holds what cannot be kept."""
        told = (lot.table, lot.count, dict(lot.raw), dict(lot.packed), list(lot.hidden))
        try:
            piece = marshal.dumps(told, _VERSION)
        except ValueError:
            return False
        self._lots.append((True, *self._scratch.write(piece)))
        return True

    def lots(self) -> Iterator[Lot | PackedLot]:
        """All of it, in order."""
        for is_packed, place, size in self._lots:
            told = marshal.loads(self._scratch.read(place, size))
            yield PackedLot(*told) if is_packed else Lot(*told)

    def close(self) -> None:
        self._scratch.close()
