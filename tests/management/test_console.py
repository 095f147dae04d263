"""Is what the commands share shown as someone at a terminal needs it?"""

import fcntl
import io
import os
import pty
import struct
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.core.management.base import CommandError, OutputWrapper

from gestore.errors import Finding, NotFound, Refused, Severity
from gestore.management.console import Console, count_lines, rows_text, translated
from gestore.management.progress import CLEAR_LINE, PlainProgress, TerminalProgress


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def console() -> tuple[Console, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Console(OutputWrapper(out), OutputWrapper(err), verbosity=1), out, err


# The bar ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 60, 40])
@pytest.mark.parametrize("total", [None, 1, 1_000, 1_000_000, 1_000_000_000_000])
@pytest.mark.parametrize("task", ["Walking", "Verifying", "A task of many words, and long ones"])
def test_bar_never_reaches_the_last_column(
    task: str, total: int | None, columns: int, clock: Clock
) -> None:
    written: list[str] = []
    progress = TerminalProgress(written.append, columns=lambda: columns, clock=clock)
    progress.begin(task, total)
    for share in (0, 1, 2, 5, 10, 1):
        clock.now += 7.5
        progress.advance((total or 1_000_000) * share // 10)

    lines = [text.removeprefix(CLEAR_LINE) for text in written]
    assert len(lines) == 6
    assert all(text.startswith(CLEAR_LINE) for text in written)
    assert all(len(line) < columns for line in lines)
    assert all(line.startswith(task[: columns - 1]) for line in lines)


def test_bar_says_how_far_how_fast_and_how_long(clock: Clock) -> None:
    written: list[str] = []
    progress = TerminalProgress(written.append, columns=lambda: 80, clock=clock)
    progress.begin("Exporting", 200_000)
    clock.now += 10
    progress.advance(50_000)
    clock.now += 3_600
    progress.advance(1_000)
    progress.end()
    progress.begin("Walking")
    clock.now += 2
    progress.advance(5_000)

    bar = f"{CLEAR_LINE}Exporting █████{' ' * 15} "
    assert written == [
        f"{bar} 25%  50,000 of 200,000 rows  5,000/s  0:30 left",
        f"{bar} 26%  51,000 of 200,000 rows  14/s  2:55:46 left",
        CLEAR_LINE,
        f"{CLEAR_LINE}Walking 5,000 rows  2,500/s",
    ]


def test_bar_comes_only_when_the_work_lasts(clock: Clock) -> None:
    written: list[str] = []
    progress = TerminalProgress(written.append, columns=lambda: 80, clock=clock)
    progress.begin("Loading", 100)
    for _ in range(100):
        clock.now += 0.005
        progress.advance(1)
    progress.end()
    assert written == []

    progress.begin("Loading", 10_000)
    for _ in range(1_000):
        clock.now += 0.003
        progress.advance(10)
    # Five times a second, after the first second.
    assert 8 <= len(written) <= 11


def test_bar_goes_when_the_next_task_begins(clock: Clock) -> None:
    written: list[str] = []
    progress = TerminalProgress(written.append, columns=lambda: 80, clock=clock)
    progress.begin("Checking", 10)
    clock.now += 2
    progress.advance(5)
    progress.begin("Loading", 10)
    assert written[1:] == [CLEAR_LINE]


def test_bar_survives_more_than_was_announced(clock: Clock) -> None:
    written: list[str] = []
    progress = TerminalProgress(written.append, columns=lambda: 80, clock=clock)
    progress.begin("Checking", 10)
    clock.now += 2
    progress.advance(20)
    assert "100%  20 of 10 rows" in written[0]
    assert "0:00 left" in written[0]


def test_log_has_a_line_every_quarter_of_a_minute(clock: Clock) -> None:
    written: list[str] = []
    progress = PlainProgress(written.append, clock=clock)
    for task, total in (("Checking", 4_000), ("Walking", None)):
        progress.begin(task, total)
        for _ in range(40):
            clock.now += 1
            progress.advance(100)
        progress.end()

    assert written == [
        "Checking: 1,500 of 4,000 rows",
        "Checking: 3,000 of 4,000 rows",
        "Walking: 1,500 rows",
        "Walking: 3,000 rows",
    ]


# A terminal ---------------------------------------------------------------------------------------


@contextmanager
def terminal() -> Iterator[tuple[OutputWrapper, Callable[[], str]]]:
    """A real one of 80 columns: something to write to, and what it has shown so far."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.set_blocking(master, False)

    def shown() -> str:
        try:
            return os.read(master, 1 << 16).decode()
        except BlockingIOError:
            return ""

    with os.fdopen(slave, "w", encoding="utf-8") as file:
        try:
            yield OutputWrapper(file), shown
        finally:
            os.close(master)


def test_terminal_gets_a_bar_on_standard_error_only() -> None:
    with terminal() as (screen, shown):
        out = io.StringIO()
        console = Console(OutputWrapper(out), screen, verbosity=1)
        progress = console.progress()
        assert isinstance(progress, TerminalProgress)
        progress.begin("Loading", 100)
        time.sleep(1.1)
        progress.advance(25)
        line = shown()
        progress.end()

        assert line.startswith(f"{CLEAR_LINE}Loading █████")
        assert " 25%  25 of 100 rows  " in line
        assert len(line.removeprefix(CLEAR_LINE)) < 80
        assert shown() == CLEAR_LINE
        assert out.getvalue() == ""


def test_error_wipes_the_bar_away() -> None:
    with terminal() as (screen, shown):
        console = Console(OutputWrapper(io.StringIO()), screen, verbosity=1)
        with pytest.raises(CommandError), translated(console):
            raise NotFound("No such thing.")
        assert shown() == CLEAR_LINE


def test_no_bar_where_nobody_looks(console: tuple[Console, io.StringIO, io.StringIO]) -> None:
    assert isinstance(console[0].progress(), PlainProgress)
    with terminal() as (screen, shown):
        silent = Console(screen, screen, verbosity=0)
        assert isinstance(silent.progress(), PlainProgress)
        silent.say("Nothing of this.")
        assert shown() == ""


# Findings -----------------------------------------------------------------------------------------


def findings(
    code: str, count: int, hint: str = "", severity: Severity = Severity.ERROR
) -> list[Finding]:
    return [
        Finding(code, severity, f"shop.Order.{number}", "is not as it should be.", hint)
        for number in range(count)
    ]


def test_findings_stand_by_kind_ten_of_each_and_the_hint_once(
    console: tuple[Console, io.StringIO, io.StringIO],
) -> None:
    told, out, err = console
    many = findings("first", 12, "Mend it.")
    few = findings("second", 2, severity=Severity.WARNING)
    told.show_findings([many[0], few[0], *many[1:], few[1]])

    assert out.getvalue() == ""
    assert err.getvalue().splitlines() == [
        *(f"error: shop.Order.{number}: is not as it should be." for number in range(10)),
        "… and 2 more of this kind (--report has them all)",
        "  → Mend it.",
        "warning: shop.Order.0: is not as it should be.",
        "warning: shop.Order.1: is not as it should be.",
    ]


def test_ten_of_a_kind_are_all_shown(console: tuple[Console, io.StringIO, io.StringIO]) -> None:
    told, _, err = console
    told.show_findings(findings("first", 10))
    assert len(err.getvalue().splitlines()) == 10
    assert "more of this kind" not in err.getvalue()


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_long_findings_are_wrapped_with_an_indent(
    columns: int,
    console: tuple[Console, io.StringIO, io.StringIO],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    told, _, err = console
    words = "pointed at by nothing-in-particular " * 12
    hint = "Do this and that " * 12
    told.show_findings([Finding("code", Severity.CONFLICT, "shop.Order.1", words, hint)])

    lines = err.getvalue().splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("  → "))
    assert all(len(line) <= columns for line in lines)
    assert lines[0].startswith("conflict: shop.Order.1: pointed")
    assert all(line.startswith("  ") and line[2] != " " for line in lines[1:place])
    assert all(line.startswith("    ") and line[4] != " " for line in lines[place + 1 :])
    assert " ".join(err.getvalue().split()) == (
        f"conflict: shop.Order.1: {words.strip()} → {hint.strip()}"
    )


def test_long_labels_are_never_broken(console: tuple[Console, io.StringIO, io.StringIO]) -> None:
    label = "application." + "VeryLongModelName" * 8
    told, _, err = console
    told.show_findings([Finding("code", Severity.ERROR, label, "is-not-here.")])
    assert f"{label}:\n" in err.getvalue()


# Lines --------------------------------------------------------------------------------------------


def test_counts_stand_in_columns() -> None:
    assert count_lines({"auth.User": 7, "shop.OrderLine": 1_234_567}) == [
        "  auth.User               7",
        "  shop.OrderLine  1,234,567",
    ]
    assert count_lines({}) == []
    assert [rows_text(n) for n in (0, 1, 2, 1_000)] == ["0 rows", "1 row", "2 rows", "1,000 rows"]


def test_what_a_poor_terminal_cannot_show_is_escaped() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    console = Console(OutputWrapper(out), OutputWrapper(out), verbosity=1)
    console.say("3 × shop.Order → Café")
    console.say("half a pair: \ud800")
    assert raw.getvalue().decode() == (
        "3 \\xd7 shop.Order \\u2192 Caf\\xe9\nhalf a pair: \\ud800\n"
    )


def test_what_is_said_goes_to_standard_error_beside_a_payload(
    console: tuple[Console, io.StringIO, io.StringIO],
) -> None:
    told, out, err = console
    told.for_payload().say("Said.")
    told.hand_over("Payload.")
    told.warn("Warned.")
    assert (out.getvalue(), err.getvalue()) == ("Payload.\n", "Said.\nWarned.\n")


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (NotFound("No such thing.", hint="Look elsewhere."), 1, "No such thing.\nLook elsewhere."),
        (Refused("Refused.", findings("c", 1, severity=Severity.CONFLICT)), 3, "Refused."),
        (Refused("Refused.", findings("c", 1)), 1, "Refused."),
        (KeyboardInterrupt(), 130, "Interrupted: nothing was written."),
    ],
)
def test_errors_are_translated(
    error: BaseException,
    code: int,
    text: str,
    console: tuple[Console, io.StringIO, io.StringIO],
) -> None:
    with (
        pytest.raises(CommandError) as raised,
        translated(console[0], interrupted="nothing was written"),
    ):
        raise error
    assert (raised.value.returncode, str(raised.value)) == (code, text)
    assert raised.value.__cause__ is error


def test_other_errors_are_not_hidden(console: tuple[Console, io.StringIO, io.StringIO]) -> None:
    with pytest.raises(ZeroDivisionError), translated(console[0]):
        raise ZeroDivisionError
