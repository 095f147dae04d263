"""Where do examined rows wait until they are loaded? On disk, as they are to be loaded.

Rows that were decided one by one wait as the archive has them; lots that were decided together wait
as columns that the database takes as they are, but for those that hold keys: what a key becomes is
known when all rows have been examined.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class _Piece:
    """Where a lot lies, and what looks like a key in it: size 0 where there is nothing."""

    is_packed: bool
    place: int
    size: int
    hidden_place: int = 0
    hidden_size: int = 0


class Spool:
    """What one examination decided, in the archive's order: lots are known by their number."""

    def __init__(self) -> None:
        self._scratch = Scratch()
        self._pieces: list[_Piece] = []

    def begin(self) -> None:
        """Forget what an earlier examination said."""
        self._pieces.clear()
        self._scratch.empty()

    def put(self, lot: Lot) -> None:
        """Keep rows as the archive has them."""
        told = (lot.model, lot.keys, lot.fields, lot.marks)
        self._pieces.append(_Piece(False, *self._write(told)))  # noqa: FBT003

    def put_packed(self, lot: PackedLot) -> bool:
        """Keep packed rows; False where a column holds what cannot be kept."""
        try:
            written = self._write((lot.table, lot.count, dict(lot.raw), dict(lot.packed)))
            hidden = self._write([*lot.hidden]) if lot.hidden else (0, 0)
        except ValueError:
            return False
        self._pieces.append(_Piece(True, *written, *hidden))  # noqa: FBT003
        return True

    def __len__(self) -> int:
        return len(self._pieces)

    def lot(self, number: int) -> Lot | PackedLot:
        """One lot."""
        piece = self._pieces[number]
        told: Any = marshal.loads(self._scratch.read(piece.place, piece.size))
        if not piece.is_packed:
            return Lot(*told)
        table, count, raw, packed = told
        return PackedLot(table, count, raw, packed, self.hidden(number))

    def hidden(self, number: int) -> Sequence[tuple[str, int]]:
        """What looks like a key in a packed lot."""
        piece = self._pieces[number]
        if not piece.hidden_size:
            return ()
        found: list[tuple[str, int]] = marshal.loads(
            self._scratch.read(piece.hidden_place, piece.hidden_size)
        )
        return found

    def _write(self, told: Any) -> tuple[int, int]:
        return self._scratch.write(marshal.dumps(told, _VERSION))

    def close(self) -> None:
        self._scratch.close()
