"""What does it cost to take a language out of a library, at once and in batches?

Its books go with it, with their copies, reviews and notes, among those of other languages; then it
comes back, and goes once more, a commit every few thousand rows. `python -m benchmarks removal
--database sqlite postgresql mariadb` prints what each removal took: planning, archiving, reading
again, removing and proving.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.belongings import REFERENCE, ROWS_PER_COPY
from benchmarks.measure import Failed, chore, measured
from benchmarks.trips import _MANAGE, Growth, Trip, _databases

ROWS = [50_000, 500_000]
QUICK_ROWS = [2_000, 20_000]
COMMIT_EVERY = 5_000
AT_ONCE = "at once"
IN_BATCHES = f"--commit-every {COMMIT_EVERY}"
_OWN = ["--own", "demoapp.Book", "demoapp.BookInstance"]


def run(
    database: str, sizes: list[int], say: Callable[[str], None]
) -> tuple[list[Trip], dict[str, str]]:
    """Both removals at every size, and the versions of what took part. `Failed` says what did not
    end well, or what went that should not have, or stayed."""
    removals: list[Trip] = []
    with (
        tempfile.TemporaryDirectory(prefix="gestore-bench-") as name,
        _databases(database, folder := Path(name)) as environment,
    ):
        for size in sizes:
            removals += _removals(environment, folder, size, say)
        versions: dict[str, str] = chore(environment, "versions")
    return removals, versions


def _removals(
    environment: Mapping[str, str], folder: Path, size: int, say: Callable[[str], None]
) -> Iterator[Trip]:
    say(f"{size:,} rows: making the library")
    chore(environment, "prepare", str(round(size / ROWS_PER_COPY)))
    # With DEBUG on, as a developer has it: the log of queries must not count.
    debugging = {**environment, "LIBRARY_DEBUG": "1"}

    archive = folder / f"{size} at once.jsonl"
    say(f"{size:,} rows: deleteobjects {AT_ONCE}")
    yield _removal(AT_ONCE, [], archive, debugging)

    say(f"{size:,} rows: importobjects, to have them back")
    _command(environment, "importobjects", str(archive))
    archive.unlink()

    say(f"{size:,} rows: deleteobjects {IN_BATCHES}")
    yield _removal(IN_BATCHES, IN_BATCHES.split(), folder / f"{size} in batches.jsonl", debugging)


def _removal(what: str, words: list[str], archive: Path, environment: Mapping[str, str]) -> Trip:
    before = chore(environment, "library")
    counted = archive.with_suffix(".statements")
    command = ["deleteobjects", REFERENCE, *_OWN, "--no-input", "--archive", str(archive), *words]
    run_it = [sys.executable, "-m", "benchmarks.removal", str(counted), *command]
    cost = measured(run_it, environment)
    after = chore(environment, "library")
    rows = _check(before, after)
    return Trip(what, rows, cost, json.loads(counted.read_text()), archive.stat().st_size)


def _check(before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]]) -> int:
    """What SQL counts decides: what belonged to the language went, and nothing else."""
    for table, going in before["going"].items():
        gone = before["found"][table] - after["found"][table]
        if gone != going:
            raise Failed(f"{table}: {going:,} rows had to go, and {gone:,} did.")
    return sum(before["going"].values())


def _command(environment: Mapping[str, str], *words: str) -> None:
    done = subprocess.run(
        [sys.executable, _MANAGE, *words],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr.strip()}")


def growths(removals: list[Trip]) -> list[Growth]:
    """What the bound is about: the peaks of the largest object over those of the smallest."""
    found = []
    for what in (AT_ONCE, IN_BATCHES):
        ordered = sorted((trip for trip in removals if trip.what == what), key=lambda t: t.rows)
        if len(ordered) > 1:
            least, most = ordered[0], ordered[-1]
            found.append(Growth(what, most.rows, most.cost.peak_mb - least.cost.peak_mb))
    return found


if __name__ == "__main__":
    # In a process with Django: the measured command, its statements counted on the way.
    import django

    from benchmarks.chores import statements

    django.setup()
    counted, command, *words = sys.argv[1:]
    Path(counted).write_text(json.dumps(statements("default", command, *words)))
