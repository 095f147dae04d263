"""Where do examined rows wait until they are loaded? On disk, as they are to be loaded.

Rows that were decided one by one wait as the archive has them; lots that were decided together wait
as columns that the database takes as they are, but for those that hold keys: what a key becomes is
known when all rows have been examined.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

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


Piece: TypeAlias = "tuple[int, int]"
"""Where something lies, and its size."""


class Spool:
    """What one examination decided, in the archive's order: lots are known by their number."""

    def __init__(self) -> None:
        self._scratch = Scratch()
        # Its model, whether it is packed, where it lies, and where what looks like a key in it.
        self._lots: list[tuple[str, bool, Piece, Piece | None]] = []

    def begin(self) -> None:
        """Forget what an earlier examination said."""
        self._lots.clear()
        self._scratch.empty()

    def put(self, lot: Lot) -> None:
        """Keep rows as the archive has them."""
        piece = self._write((lot.model, lot.keys, lot.fields, lot.marks))
        self._lots.append((lot.model, False, piece, None))

    def put_packed(self, lot: PackedLot) -> bool:
        """Keep packed rows; False where a column holds what cannot be kept."""
        try:
            piece = self._write((lot.table, lot.count, dict(lot.raw), dict(lot.packed)))
        except ValueError:
            return False
        self._lots.append((lot.table, True, piece, self.keep_hidden(lot.hidden)))
        return True

    def keep_hidden(self, found: Sequence[tuple[str, int]]) -> Piece | None:
        """Keep what looks like a key, if anything does."""
        return self._write([*found]) if found else None

    def __len__(self) -> int:
        return len(self._lots)

    def table(self, number: int) -> str:
        """Whose rows a lot holds."""
        return self._lots[number][0]

    def lot(self, number: int) -> Lot | PackedLot:
        """One lot."""
        _, is_packed, piece, hidden = self._lots[number]
        told = self._read(piece)
        if not is_packed:
            return Lot(*told)
        table, count, raw, packed = told
        return PackedLot(table, count, raw, packed, self.hidden(hidden))

    def hidden_piece(self, number: int) -> Piece | None:
        """Where it lies what looks like a key in a lot."""
        return self._lots[number][3]

    def hidden(self, piece: Piece | None) -> Sequence[tuple[str, int]]:
        """What looks like a key."""
        found: Sequence[tuple[str, int]] = () if piece is None else self._read(piece)
        return found

    def _write(self, told: Any) -> Piece:
        return self._scratch.write(marshal.dumps(told, _VERSION))

    def _read(self, piece: Piece) -> Any:
        return marshal.loads(self._scratch.read(*piece))

    def close(self) -> None:
        self._scratch.close()
