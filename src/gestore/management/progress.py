"""How is a run's progress shown: a bar that is written over, or a line now and then?

Implements `gestore.progress.Progress`. Where the text goes is the console's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

CLEAR_LINE = "\r\x1b[K"

_BAR_AFTER_SECONDS = 1.0
_BAR_EVERY_SECONDS = 0.2
_LINE_EVERY_SECONDS = 15.0
_BAR_COLUMNS = 20

Write = Callable[[str], None]
Clock = Callable[[], float]


class PlainProgress:
    """A line now and then, for logs. `between` is called before each task."""

    def __init__(
        self,
        write: Write,
        *,
        between: Callable[[], None] = lambda: None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._write = write
        self._between = between
        self._clock = clock
        self._state = _State("", None, clock())

    def begin(self, task: str, total: int | None = None) -> None:
        self._between()
        self._state = _State(task, total, self._clock())

    def advance(self, count: int) -> None:
        state = self._state
        state.count += count
        now = self._clock()
        if now - state.told >= _LINE_EVERY_SECONDS:
            state.told = now
            self._write(f"{state.task}: {state.rows_text()}")

    def end(self) -> None:
        pass

    def note(self, text: str) -> None:
        """Told once for each reason, not each second."""
        if text and text != self._state.note:
            self._write(f"{self._state.task}: {self._state.rows_text()}, {text}")
        self._state.note = text


class TerminalProgress:
    """One line that is written over, with rate and time left, when the work lasts.

    `columns` is asked for each line: a terminal's width may change. `between` is called before each
    task.
    """

    def __init__(
        self,
        write: Write,
        *,
        columns: Callable[[], int],
        between: Callable[[], None] = lambda: None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._between = between
        self._write = write
        self._columns = columns
        self._clock = clock
        self._state = _State("", None, clock())

    def begin(self, task: str, total: int | None = None) -> None:
        self.end()
        self._between()
        self._state = _State(task, total, self._clock())

    def advance(self, count: int) -> None:
        state = self._state
        state.count += count
        now = self._clock()
        lasted = now - state.began
        if lasted > _BAR_AFTER_SECONDS and now - state.told > _BAR_EVERY_SECONDS:
            state.told = now
            # Some terminals wrap as soon as the last column is written.
            self._write(f"{CLEAR_LINE}{state.bar_line(lasted, self._columns() - 1)}")

    def end(self) -> None:
        if self._state.told > self._state.began:
            self._write(CLEAR_LINE)
            self._state.told = self._state.began

    def note(self, text: str) -> None:
        state = self._state
        state.note = text
        if text:
            state.told = self._clock()
            line = f"{state.task} {state.rows_text()}  {text}"
            self._write(f"{CLEAR_LINE}{line[: self._columns() - 1]}")


@dataclass(slots=True)
class _State:
    """How far one task has come, and when that was last told; moments in seconds of the clock."""

    task: str
    total: int | None
    began: float
    count: int = 0
    told: float = 0.0
    note: str = ""

    def __post_init__(self) -> None:
        self.told = self.began

    def rows_text(self) -> str:
        of_total = f" of {self.total:,}" if self.total else ""
        return f"{self.count:,}{of_total} rows"

    def bar_line(self, seconds: float, columns: int) -> str:
        """The line, within the columns: the bar takes what the figures leave."""
        rate = self.count / seconds
        figures = f"{self.rows_text()}  {rate:,.0f}/s"
        if self.total:
            share = min(1.0, self.count / self.total)
            left = max(0.0, self.total - self.count) / max(rate, 1)
            figures = f"{share:4.0%}  {figures}  {_duration(left)} left"
            bar = min(_BAR_COLUMNS, columns - len(self.task) - len(figures) - 2)
            if bar > 2:
                figures = f"{'█' * int(share * bar):<{bar}} {figures}"
        return f"{self.task} {figures}"[:columns]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
