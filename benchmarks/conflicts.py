"""What does it cost to find out what stands in the way, where a million rows are there already?

An archive arrives in a library full of other people's rows, under keys that are nearly all taken:
once under new keys, and once more, when all its rows are there. `python -m benchmarks conflicts
--database sqlite postgresql mariadb` prints what the check of each import took.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.belongings import REFERENCE, ROWS_PER_COPY
from benchmarks.measure import Cost, Failed, chore, measured
from benchmarks.trips import _MANAGE, Growth, _databases, _row_count

ROWS = [10_000, 100_000]
QUICK_ROWS = [1_000, 5_000]
HERE = 1_000_000
QUICK_HERE = 20_000
BIG_TABLE = "demoapp_bookinstance"
# The strategies of the first import and of the second, and what they are called.
_RUNS = {"remap": "under new keys", "refuse": "once more"}
# Nearly all: languages and genres are the same everywhere.
_TAKEN = 0.95
# The check, as `gestore.importing` calls it.
_CHECKING = "Checking"


@dataclass
class Check:
    """What an import tells of its check, and what came of it."""

    seconds: float = 0.0
    statements: int = 0
    rows_read: int = 0
    loaded: int = 0
    found: int = 0
    renewed: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class Search:
    """One measured import: of `rows` rows, into a table of `here`."""

    what: str
    rows: int
    here: int
    cost: Cost
    check: Check

    @property
    def share(self) -> float:
        """The check's part of the import's time."""
        return self.check.seconds / self.cost.seconds

    @property
    def readings(self) -> float:
        """How often the check read the archive."""
        return self.check.rows_read / self.rows

    @property
    def statements_per_thousand(self) -> float:
        return 1_000 * self.check.statements / self.rows


@dataclass(frozen=True, slots=True)
class Pace:
    """The statements for a thousand rows, of the smallest archive and of the largest: with a
    number of them for every batch, those of the largest are no more."""

    what: str
    least: float
    most: float

    @property
    def holds(self) -> bool:
        return self.most <= self.least


def run(
    database: str, sizes: list[int], here: int, say: Callable[[str], None]
) -> tuple[list[Search], dict[str, str]]:
    """Both imports at every size, into one and the same library, and the versions of what took
    part. `Failed` says what did not end well, or did not arrive."""
    searches: list[Search] = []
    with (
        tempfile.TemporaryDirectory(prefix="gestore-bench-") as name,
        _databases(database, folder := Path(name)) as environment,
    ):
        say(f"making a library of {here:,} copies")
        # `generate` asks the first database for content types, wherever it writes.
        chore(environment, "prepare", "1")
        chore(environment, "empty")
        _python(environment, "-m", "benchmarks.crowd", _copies(sizes[-1]), str(here))
        for size in sizes:
            searches += _round(environment, folder, size, say)
            if size != sizes[-1]:
                _undo(environment, searches[-2].check.number)
        versions: dict[str, str] = chore(environment, "versions")
    return searches, versions


def _copies(size: int) -> str:
    return str(round(size / ROWS_PER_COPY))


def _python(environment: Mapping[str, str], *words: str) -> Cost:
    return measured([sys.executable, *words], environment)


def _undo(environment: Mapping[str, str], number: int) -> None:
    """The same rows are there for the next archive, which has the same unique values."""
    words = ["--undo", str(number), "--no-input", "--database", "branch"]
    _python(environment, _MANAGE, "importobjects", *words)


def _round(
    environment: Mapping[str, str], folder: Path, size: int, say: Callable[[str], None]
) -> Iterator[Search]:
    archive = folder / f"{size}.jsonl"
    say(f"{size:,} rows: making the archive")
    chore(environment, "prepare", _copies(size))
    _python(environment, _MANAGE, "exportobjects", REFERENCE, "-o", str(archive))
    for strategy, what in _RUNS.items():
        say(f"{size:,} rows: importing {what}")
        yield _search(environment, archive, strategy)


def _search(environment: Mapping[str, str], archive: Path, strategy: str) -> Search:
    """One import; with DEBUG on, as a developer has it."""
    told = archive.with_suffix(".told")
    before = chore(environment, "counts")["found"]
    debugging = {**environment, "LIBRARY_DEBUG": "1"}
    cost = _python(debugging, "-m", "benchmarks.conflicts", str(archive), strategy, str(told))
    grown = sum(chore(environment, "counts")["found"].values()) - sum(before.values())
    check = Check(**json.loads(told.read_text("utf-8")))
    rows = _row_count(archive)
    _confirm(check, strategy, rows, grown)
    return Search(f"{_RUNS[strategy]} ({strategy})", rows, before[BIG_TABLE], cost, check)


def _confirm(check: Check, strategy: str, rows: int, grown: int) -> None:
    """What SQL counts decides whether the rows arrived; they met others, or all were there."""
    if check.loaded + check.found != rows or grown != check.loaded:
        raise Failed(
            f"Of {rows:,} rows {check.found:,} were there and {check.loaded:,} are said to have "
            f"arrived; {grown:,} did."
        )
    if strategy == "remap" and check.renewed < _TAKEN * rows:
        raise Failed(f"Of {rows:,} keys {check.renewed:,} were taken: not nearly all.")
    if strategy == "refuse" and check.loaded:
        raise Failed(f"{check.loaded:,} rows arrived once more.")


def growths(searches: list[Search]) -> list[Growth]:
    """By how much the peaks of the largest archive are over those of the smallest."""
    return [
        Growth(least.what, most.rows, most.cost.peak_mb - least.cost.peak_mb)
        for least, most in _extremes(searches)
    ]


def paces(searches: list[Search]) -> list[Pace]:
    """Do statements grow with the batches only?"""
    return [
        Pace(least.what, least.statements_per_thousand, most.statements_per_thousand)
        for least, most in _extremes(searches)
    ]


def _extremes(searches: list[Search]) -> Iterator[tuple[Search, Search]]:
    """The searches of the smallest archive and of the largest, by what they are."""
    for what in dict.fromkeys(search.what for search in searches):
        ordered = sorted((s for s in searches if s.what == what), key=lambda s: s.rows)
        if len(ordered) > 1:
            yield ordered[0], ordered[-1]


# In a process with Django ---------------------------------------------------------------------


@dataclass
class _Watch:
    """Listens to an import, and counts time, rows and statements while it checks."""

    check: Check = field(default_factory=Check)
    _began: float | None = None

    def begin(self, task: str, total: int | None = None) -> None:
        if task == _CHECKING:
            self._began = time.perf_counter()

    def advance(self, count: int) -> None:
        if self._began is not None:
            self.check.rows_read += count

    def end(self) -> None:
        if self._began is not None:
            self.check.seconds += time.perf_counter() - self._began
            self._began = None

    def count(self, execute: Callable[..., Any], *call: Any) -> Any:
        """Stands around every statement, as Django's `execute_wrapper` has it."""
        if self._began is not None:
            self.check.statements += 1
        return execute(*call)


def _import(archive: str, strategy: str) -> Check:
    from django.db import connections

    import gestore
    from gestore.load.strategies import Strategy

    watch = _Watch()
    options = gestore.ImportOptions(database="branch", on_conflict=Strategy(strategy))
    with connections["branch"].execute_wrapper(watch.count):
        report = gestore.import_objects(archive, options, progress=watch)
    if not watch.check.rows_read:
        raise Failed(f"The import told nothing of {_CHECKING!r}.")
    watch.check.loaded = report.loaded_count
    watch.check.found = report.here_count
    watch.check.renewed = report.renewed_count
    watch.check.number = report.number
    return watch.check


if __name__ == "__main__":
    import django

    django.setup()
    Path(sys.argv[3]).write_text(json.dumps(asdict(_import(*sys.argv[1:3]))), "utf-8")
