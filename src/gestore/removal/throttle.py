"""When does a removal on a live site wait, and for how long?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import GestoreError

Reason = Callable[[], str]
"""Says why to wait, "" when there is no reason (any more)."""

_LOOK_EVERY_SECONDS = 1.0


class TimeUp(GestoreError):
    """The time that a run may take is over; what was committed stays."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What may hold a run up: seconds that a replica may be behind, a file whose presence is a
    pause, seconds of rest for each second of work, seconds that the run may take. 0 and "" are no
    limit."""

    max_lag_seconds: float = 0.0
    pause_file: str = ""
    sleep_ratio: float = 0.0
    max_run_seconds: float = 0.0


class Throttle:
    """Asked after each batch. Clock, sleep and listener are handed in."""

    def __init__(
        self,
        limits: Limits,
        reasons: Sequence[Reason],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        note: Callable[[str], None],
    ) -> None:
        self._limits = limits
        self._reasons = [*reasons]
        if limits.pause_file:
            self._reasons.append(_paused_by(Path(limits.pause_file)))
        self._clock = clock
        self._sleep = sleep
        self._note = note
        self._began = clock()

    def wait(self, batch_seconds: float) -> None:
        """Rest after a batch that took so long, and until no reason to wait is left. `TimeUp` when
        the run's time is over."""
        self._stop_in_time()
        if self._limits.sleep_ratio and batch_seconds:
            self._sleep(self._limits.sleep_ratio * batch_seconds)
        while reason := next(filter(None, (ask() for ask in self._reasons)), ""):
            self._note(reason)
            self._sleep(_LOOK_EVERY_SECONDS)
            self._stop_in_time()
        self._note("")

    def _stop_in_time(self) -> None:
        most = self._limits.max_run_seconds
        if most and self._clock() - self._began >= most:
            raise TimeUp(f"The time of the run, {most:g} seconds, is over.")


def _paused_by(path: Path) -> Reason:
    def reason() -> str:
        return f"paused: {path} exists" if path.exists() else ""

    return reason
