"""When does a removal wait, for how long, and what does it say meanwhile?"""

from pathlib import Path

import pytest

from gestore.removal.throttle import Limits, Reason, Throttle, TimeUp


class Run:
    """A clock that only sleeping moves, and what is said. `asleep` happens in the middle of it."""

    def __init__(self, limits: Limits, *reasons: Reason) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []
        self.notes: list[str] = []
        self.vanishing: list[Path] = []
        self.throttle = Throttle(
            limits, reasons, clock=lambda: self.now, sleep=self.sleep, note=self.notes.append
        )

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        if len(self.slept) == 3:
            for path in self.vanishing:
                path.unlink()


def test_no_limit_is_no_rest() -> None:
    run = Run(Limits())
    run.throttle.wait(5.0)
    assert (run.slept, run.notes) == ([], [""])


def test_rests_in_proportion_to_the_work() -> None:
    run = Run(Limits(sleep_ratio=1.5))
    for seconds in (0.2, 0.0, 2.0):
        run.throttle.wait(seconds)
    assert run.slept == [pytest.approx(0.3), pytest.approx(3.0)]


def test_waits_while_the_pause_file_exists(tmp_path: Path) -> None:
    pause = tmp_path / "pause"
    run = Run(Limits(pause_file=str(pause)))
    run.throttle.wait(0.2)
    assert run.slept == []
    pause.touch()
    run.vanishing.append(pause)
    run.throttle.wait(0.2)
    assert run.slept == [1.0, 1.0, 1.0]
    assert run.notes == ["", *[f"paused: {pause} exists"] * 3, ""]


def test_any_one_reason_is_enough_and_is_the_one_told() -> None:
    first = iter(["", "", "first", "", ""])
    second = iter(["second", "second", "", ""])
    run = Run(Limits(), lambda: next(first), lambda: next(second))
    run.throttle.wait(0.1)
    # The second is not asked while the first is reason enough.
    assert run.notes == ["second", "second", "first", ""]
    assert run.slept == [1.0, 1.0, 1.0]


def test_time_is_up_between_batches() -> None:
    run = Run(Limits(max_run_seconds=2.5))
    run.throttle.wait(1.0)
    run.now += 2.4
    run.throttle.wait(2.4)
    run.now += 0.1
    with pytest.raises(TimeUp) as error:
        run.throttle.wait(0.1)
    assert str(error.value) == "The time of the run, 2.5 seconds, is over."
    assert error.value.exit_code == 1


def test_time_is_up_while_paused(tmp_path: Path) -> None:
    pause = tmp_path / "pause"
    pause.touch()
    run = Run(Limits(pause_file=str(pause), max_run_seconds=2.0))
    with pytest.raises(TimeUp):
        run.throttle.wait(0.1)
    assert run.slept == [1.0, 1.0]
