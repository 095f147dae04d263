"""What happens when sixteen writers go on inserting while an archive arrives under new keys?

The branch is full of other people's rows, so that nearly all keys collide. The writers are threads
of one process, the import is a command of its own; SQLite, which lets one write at a time, is left
out. `python -m benchmarks concurrency --database postgresql mariadb` prints what happened.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.belongings import REFERENCE, ROWS_PER_COPY
from benchmarks.measure import Failed, chore
from benchmarks.trips import _MANAGE, _databases

WRITERS = 16
ROWS = 100_000
QUICK_ROWS = 5_000
# A library of another seed in another town: as many copies as leave few keys free.
_ANOTHER = "--seed", "2", "--town", "2"
_MARK = "made while an archive arrived"


@dataclass
class Beside:
    """What the writers did while the import ran."""

    rows: int = 0
    imported: int = 0
    renewed: int = 0
    seconds: float = 0.0
    slowest_seconds: float = 0.0
    errors: list[str] = field(default_factory=list)
    lost: int = 0

    @property
    def holds(self) -> bool:
        return not self.errors and not self.lost and self.imported > 0

    def __str__(self) -> str:
        rate = self.rows / max(self.seconds, 0.001)
        told = (
            f"imported    {self.imported:,} rows in {self.seconds:.1f} s, with --verify; "
            f"{self.renewed:,} of them under new keys\n"
            f"written     {self.rows:,} rows meanwhile by {WRITERS} writers, {rate:,.0f} a second; "
            f"the slowest took {self.slowest_seconds:.2f} s\n"
            f"went wrong  {len(self.errors)} errors, {self.lost} writes lost"
        )
        return "\n".join([told, *self.errors[:5]])


def run(database: str, rows: int, say: Callable[[str], None]) -> Beside:
    """One import beside the writers; `Failed` says which command did not end well."""
    with (
        tempfile.TemporaryDirectory(prefix="gestore-bench-") as name,
        _databases(database, folder := Path(name)) as environment,
    ):
        archive = folder / "language.jsonl"
        copies = str(round(rows / ROWS_PER_COPY))
        say(f"{rows:,} rows: making two libraries")
        chore(environment, "prepare", copies)
        chore(environment, "empty")
        fill = ["generate", "--database", "branch", *_ANOTHER, "--instances", copies]
        _command(environment, *fill)
        _command(environment, "exportobjects", REFERENCE, "-o", str(archive))
        say(f"{rows:,} rows: importing beside {WRITERS} writers")
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.concurrency", str(archive)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Failed(f"The writers ended with {done.returncode}:\n{done.stderr.strip()}")
        return Beside(**json.loads(done.stdout))


def _command(environment: dict[str, str], *words: str) -> None:
    done = subprocess.run(
        [sys.executable, _MANAGE, *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr.strip()}")


# In a process with Django ---------------------------------------------------------------------


def _write(beside: Beside, written: dict[int, str], number: int, stop: threading.Event) -> None:
    from django.db import connections

    from demoapp.models import Review

    try:
        while not stop.is_set():
            began = time.perf_counter()
            text = f"{_MARK}, {number}"
            review = Review.objects.using("branch").create(
                book_id=1 + number, user_id=1 + number, rating=number % 5, text=text
            )
            written[review.pk] = text
            beside.slowest_seconds = max(beside.slowest_seconds, time.perf_counter() - began)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is told
        beside.errors.append(f"writer {number}: {error!r}")
    finally:
        connections.close_all()


def _import_beside(archive: str) -> Beside:
    from demoapp.models import Review

    beside, written, stop = Beside(), {}, threading.Event()
    threads = [
        threading.Thread(target=_write, args=(beside, written, number, stop))
        for number in range(WRITERS)
    ]
    report = f"{archive}.report"
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    words = ["--database", "branch", "--on-conflict", "remap", "--verify", "--report", report]
    done = subprocess.run(
        [sys.executable, _MANAGE, "importobjects", archive, *words],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    beside.seconds = time.perf_counter() - began
    stop.set()
    for thread in threads:
        thread.join()
    if done.returncode:
        beside.errors.append(f"the import: {done.stderr.strip()}")
    else:
        told: dict[str, Any] = json.loads(Path(report).read_text())
        beside.imported = sum(told["loaded"].values())
        beside.renewed = sum(told["renewed"].values())
    beside.rows = len(written)
    found = Review.objects.using("branch").filter(text__startswith=_MARK)
    there = dict(found.values_list("pk", "text"))
    beside.lost = sum(there.get(key) != text for key, text in written.items())
    return beside


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(asdict(_import_beside(sys.argv[1]))))
