"""An archive, encrypted and signed, goes into a storage of each kind and comes back: in how much
memory? The servers speak the real protocols, on this machine, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Cost, Failed, measured

KINDS = ("folder", "s3", "gcs", "azure")
MEGABYTES = 300
QUICK_MEGABYTES = 30
BOUND_MB = 150.0
# What the line of a server begins with that leads to it.
ENTRY = "entry of STORAGES: "
_ROOT = Path(__file__).resolve().parent.parent
_CHORES = [sys.executable, "-m", "benchmarks.shelf_chores"]


@dataclass(frozen=True, slots=True)
class Stored:
    """One archive written into a storage, or read from it."""

    kind: str
    what: str
    megabytes: int
    cost: Cost

    @property
    def megabytes_per_second(self) -> float:
        return self.megabytes / self.cost.seconds

    @property
    def holds(self) -> bool:
        return self.cost.peak_mb <= BOUND_MB


def run(kinds: Sequence[str], megabytes: int, say: Callable[[str], None]) -> list[Stored]:
    """Every kind there and back. `Failed` says what did not end well; a kind whose server is not
    installed is left out."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT / "src"), str(_ROOT)])}
    made = []
    with tempfile.TemporaryDirectory(prefix="gestore-bench-") as folder:
        subprocess.run([*_CHORES, "keys", folder], env=environment, check=True)
        for kind in kinds:
            with _server(kind, environment) as entry:
                if not entry:
                    say(f"{kind}: its server is not installed")
                    continue
                for what in ("write", "read"):
                    say(f"{kind}: {what}")
                    words = [*_CHORES, what, kind, entry, folder, str(megabytes)]
                    made.append(Stored(kind, what, megabytes, measured(words, environment)))
    return made


@contextmanager
def _server(kind: str, environment: dict[str, str]) -> Iterator[str]:
    """The entry of STORAGES that leads to it, as JSON; "" where there is none."""
    process = subprocess.Popen(
        [*_CHORES, "serve", kind],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        # Servers have something to say themselves, too.
        lines = (line for line in process.stdout if line.startswith(ENTRY))
        yield next(lines, "").removeprefix(ENTRY).strip()
    finally:
        process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise Failed(f"the server of {kind} did not end") from error
        finally:
            process.stdout.close()


def _print_peaks(kind: str, megabytes: str) -> None:
    """For who is too large to measure by itself: peaks in MB, by what was done."""
    made = run([kind], int(megabytes), lambda words: None)
    print(json.dumps({stored.what: stored.cost.peak_mb for stored in made}))


if __name__ == "__main__":
    _print_peaks(*sys.argv[1:])
