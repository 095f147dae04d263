"""What does a needle cost in a haystack? A tenant of 1,000 rows among 100,000 and among 5 million.

It goes out, goes away with an archive and comes back from it, several times; the times may hardly
differ. On PostgreSQL each statement's plan is looked at as well, those that check foreign keys
included: a large table read from end to end is named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from benchmarks.measure import Failed
from benchmarks.tenant import (
    REFERENCE,
    Proof,
    Run,
    Say,
    Site,
    differing,
    others,
    site,
)

TENANT = 1_000
OTHERS = (100_000, 5_000_000)
QUICK_OTHERS = (10_000, 100_000)
# A smaller one may be read as a whole faster than by its index.
_LARGE = 50_000
_OPERATIONS = ("export", "delete", "import")
_EXPLAIN = (
    "-c session_preload_libraries=auto_explain -c auto_explain.log_min_duration=0"
    " -c auto_explain.log_nested_statements=on -c client_min_messages=log"
)


@dataclass(frozen=True, slots=True)
class Needle:
    """One operation among so many rows of others. `scans` names the large tables that were read
    from end to end, with how often; None where no plans were asked for."""

    vendor: str
    operation: str
    others: int
    runs: Sequence[Run]
    scans: dict[str, int] | None = None
    wrong: str = ""

    @property
    def seconds(self) -> float:
        return median(run.seconds for run in self.runs)


def run(vendor: str, haystacks: Sequence[int], rounds: int, say: Say) -> list[Needle]:
    """Each operation in each haystack, in turn: what else the machine does then slows both."""
    with ExitStack() as stack:
        trials = []
        for haystack in haystacks:
            made = stack.enter_context(site(vendor, TENANT, f"_{haystack}"))
            say(f"generating {TENANT:,} rows among {haystack:,}")
            made.chore("source", "school.generate", str(TENANT), "--others", str(haystack))
            trials.append(_Trial(made, haystack, made.proof("source")))
        for turn in range(rounds):
            say(f"round {turn + 1} of {rounds}")
            for place in range(len(_OPERATIONS)):
                for trial in trials:
                    trial.turn(place)
            for trial in trials:
                trial.site.chore("source", "school.forget")
        return [needle for trial in trials for needle in trial.needles()]


@dataclass(frozen=True, slots=True)
class _Trial:
    """One haystack, and what was found in it so far."""

    site: Site
    haystack: int
    before: Proof
    runs: dict[str, list[Run]] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)

    def turn(self, place: int) -> None:
        operation, words = _OPERATIONS[place], _commands(self.site)[_OPERATIONS[place]]
        self.runs.setdefault(operation, []).append(self.site.measured("source", words))
        if operation == "delete" and len(self.runs[operation]) == 1:
            found = self.site.proof("source")["whole"]
            self.wrong[operation] = differing(found, others(self.before))

    def needles(self) -> list[Needle]:
        found = self.site.proof("source")["whole"]
        self.wrong["import"] = differing(found, self.before["whole"])
        scans = _scans(self.site) if self.site.vendor == "postgresql" else {}
        return [
            Needle(
                self.site.vendor,
                operation,
                self.haystack,
                runs,
                scans.get(operation),
                self.wrong.get(operation, ""),
            )
            for operation, runs in self.runs.items()
        ]


def _commands(made: Site) -> dict[str, list[str]]:
    archive, removed = str(made.file("ours.jsonl")), str(made.file("removed.jsonl"))
    leave = ["exportobjects", REFERENCE, "--overwrite", "-o", archive]
    remove = ["deleteobjects", REFERENCE, "--no-input", "--overwrite", "--archive", removed]
    arrive = ["importobjects", archive]
    commands = {"export": leave, "delete": remove, "import": arrive}
    return {what: ["benchmarks.school", *words] for what, words in commands.items()}


def _scans(made: Site) -> dict[str, dict[str, int]]:
    """By operation, the large tables that a plan reads from end to end, and how many plans do."""
    large = {table for table, (count, _) in made.proof("source")["whole"].items() if count > _LARGE}
    found: dict[str, dict[str, int]] = {}
    for operation, words in _commands(made).items():
        plans = made.file(f"{operation}.plans")
        made.measured("source", words, {"PGOPTIONS": _EXPLAIN, "BENCH_PLANS": str(plans)})
        if not plans.exists():
            raise Failed("PostgreSQL told no plans: is its module auto_explain installed?")
        read = plans.read_text("utf-8")
        found[operation] = {
            table: count
            for table in sorted(large)
            if (count := len(re.findall(rf"Seq Scan on {table}\b", read)))
        }
    made.chore("source", "school.forget")
    return found
