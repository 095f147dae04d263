"""How many rows does the next batch take, so that each lasts about as long as it may?"""

from __future__ import annotations

_FIRST_ROWS = 100
_MOST_STUMBLES = 6


class Pace:
    """Sizes of batches: at most `most_rows`, each about `seconds` long, as the last ones went."""

    def __init__(self, most_rows: int, seconds: float) -> None:
        self._most_rows = most_rows
        self._seconds = seconds
        self.stumbles = 0
        self.rows = min(_FIRST_ROWS, most_rows)

    def went(self, rows: int, seconds: float) -> None:
        """A batch went through: the next one is at most twice as large. One that was smaller than
        it might have been, a table's last rows, says nothing unless it took too long."""
        self.stumbles = 0
        if not rows or (rows < self.rows and seconds <= self._seconds):
            return
        fitting = rows * self._seconds / max(seconds, 1e-6)
        self.rows = max(1, min(self._most_rows, 2 * self.rows, round(fitting)))

    def stumbled(self) -> bool:
        """A batch met a deadlock or a lock: a quarter of it next; False when it is enough."""
        self.stumbles += 1
        self.rows = max(1, self.rows // 4)
        return self.stumbles < _MOST_STUMBLES

    @property
    def pause_seconds(self) -> float:
        """How long to wait before the next attempt."""
        return 0.05 * float(2**self.stumbles)
