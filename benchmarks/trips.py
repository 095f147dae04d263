"""A language of the demo library goes out and in again, and Django does the same beside it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.belongings import REFERENCE, ROWS_PER_COPY
from benchmarks.measure import Cost, Failed, chore, measured

_ROOT = Path(__file__).resolve().parent.parent
_MANAGE = str(_ROOT / "demo" / "manage.py")
BOUND_MB = 25.0
# loaddata saves row by row: more rows than this are not worth the wait.
LOADDATA_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Trip:
    """One measured command."""

    what: str
    rows: int
    cost: Cost
    statements: int | None = None
    size_bytes: int | None = None

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.cost.seconds


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much the peak grew from the smallest object to the largest."""

    what: str
    rows: int
    megabytes: float

    @property
    def holds(self) -> bool:
        return self.megabytes <= BOUND_MB


def run(
    database: str, sizes: list[int], say: Callable[[str], None]
) -> tuple[list[Trip], dict[str, str]]:
    """Every trip at every size, and the versions of what took part. `Failed` says what did not end
    well, or what did not arrive."""
    trips: list[Trip] = []
    with (
        tempfile.TemporaryDirectory(prefix="gestore-bench-") as name,
        _databases(database, folder := Path(name)) as environment,
    ):
        for size in sizes:
            trips += _round(environment, folder, size, say)
        versions: dict[str, str] = chore(environment, "versions")
    return trips, versions


@contextmanager
def _databases(database: str, folder: Path) -> Iterator[dict[str, str]]:
    """The environment that names two databases of this run's own; they are gone afterwards."""
    names = {
        variable: str(folder / f"{part}.sqlite3")
        if database == "sqlite"
        else f"{database}:gestore_bench_{os.getpid()}_{part}"
        for variable, part in (("LIBRARY_DATABASE", "library"), ("LIBRARY_BRANCH", "branch"))
    }
    path = os.pathsep.join(str(_ROOT / part) for part in ("", "demo", "src"))
    settings = {"DJANGO_SETTINGS_MODULE": "library.settings", "PYTHONPATH": path}
    environment = os.environ | names | settings
    try:
        yield environment
    finally:
        chore(environment, "drop")


def _round(
    environment: Mapping[str, str], folder: Path, size: int, say: Callable[[str], None]
) -> Iterator[Trip]:
    archive, fixture = folder / f"{size}.jsonl", folder / f"{size}.json"
    leave = ["exportobjects", REFERENCE, "--overwrite", "-o", str(archive)]
    arrive = ["importobjects", str(archive), "--database", "branch"]

    say(f"{size:,} rows: making the library")
    chore(environment, "prepare", str(round(size / ROWS_PER_COPY)))
    chore(environment, "empty")

    # With DEBUG on, as a developer has it: the log of queries must not count.
    debugging = {**environment, "LIBRARY_DEBUG": "1"}
    say(f"{size:,} rows: exportobjects")
    cost = measured([sys.executable, _MANAGE, *leave], debugging)
    sent = chore(environment, "statements", "default", *leave)
    rows = _row_count(archive)
    yield Trip("exportobjects", rows, cost, sent, archive.stat().st_size)

    say(f"{size:,} rows: importobjects")
    sent = chore(environment, "statements", "branch", *arrive, "--dry-run")
    cost = measured([sys.executable, _MANAGE, *arrive], debugging)
    _check(chore(environment, "counts"), rows)
    yield Trip("importobjects", rows, cost, sent)

    plain = {**environment, "LIBRARY_DEBUG": "0"}
    say(f"{size:,} rows: Django's serializer")
    write = [sys.executable, "-m", "benchmarks.fixtures", str(archive), str(fixture)]
    cost = measured(write, plain)
    yield Trip("Django's serializer", rows, cost, size_bytes=fixture.stat().st_size)
    if rows <= LOADDATA_ROWS:
        say(f"{size:,} rows: loaddata")
        chore(environment, "empty")
        load = [sys.executable, _MANAGE, "loaddata", str(fixture), "--database", "branch"]
        yield Trip("loaddata", rows, measured(load, plain))


def _row_count(archive: Path) -> int:
    """The lines but for the manifest and the closing one."""
    with archive.open("rb") as lines:
        return sum(1 for _ in lines) - 2


def _check(counts: Mapping[str, Mapping[str, int]], rows: int) -> None:
    """What SQL counts at both ends decides, not what the commands say of themselves."""
    expected, found = counts["expected"], counts["found"]
    if sum(expected.values()) != rows:
        raise Failed(f"{sum(expected.values()):,} rows had to be exported, and {rows:,} were.")
    for table, count in expected.items():
        if found[table] != count:
            raise Failed(f"{table}: {count:,} rows had to arrive, and {found[table]:,} did.")


def growths(trips: list[Trip]) -> list[Growth]:
    """What the bound is about: the peaks of the largest object over those of the smallest."""
    found = []
    for what in ("exportobjects", "importobjects"):
        ordered = sorted((trip for trip in trips if trip.what == what), key=lambda t: t.rows)
        if len(ordered) > 1:
            least, most = ordered[0], ordered[-1]
            found.append(Growth(what, most.rows, most.cost.peak_mb - least.cost.peak_mb))
    return found
