"""How much memory does a closure of ten million integer keys take? A meter with that many readings.

What is measured is the whole process of `planobjects`: the walk that an export and a deletion run
too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Cost, Failed, measured
from benchmarks.tenant import Say

ROWS = 10_000_000
QUICK_ROWS = 200_000
BOUND_MB = 300.0
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Narrow:
    rows: int
    cost: Cost
    wrong: str

    @property
    def holds(self) -> bool:
        return not self.wrong and self.cost.peak_mb <= BOUND_MB


def run(rows: int, say: Say) -> Narrow:
    with tempfile.TemporaryDirectory(prefix="gestore-bench-") as name:
        path = Path(name) / "meters.sqlite3"
        environment = os.environ | {
            "METERS_DATABASE": str(path),
            "DJANGO_SETTINGS_MODULE": "benchmarks.meters.settings",
            "PYTHONPATH": os.pathsep.join(str(_ROOT / part) for part in ("", "src")),
        }
        say(f"making {rows:,} readings")
        fill = [sys.executable, "-m", "benchmarks.meters.fill", str(path), str(rows)]
        subprocess.run(fill, env=environment, check=True)
        say(f"planobjects of {rows:,} readings")
        report = Path(name) / "plan.json"
        plan = [sys.executable, "-m", "benchmarks.meters", "planobjects", "meters.Meter.1"]
        cost = measured([*plan, "--report", str(report)], environment)
        if not report.exists():
            raise Failed("planobjects wrote no report.")
        told = report.read_text("utf-8")
        wrong = "" if str(rows) in told else f"the plan does not speak of {rows} rows"
    return Narrow(rows, cost, wrong)
