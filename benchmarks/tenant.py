"""How near to hand-written SQL is Gestore, and how far from Django's own ways? Side by side.

A tenant of the school platform goes out, comes in and goes away, among as many rows of others: by
hand (the limit), by Gestore, by Django. Each is a process of its own, each several times in turn,
and every result is held against SQL. What is fast and wrong is called wrong.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Failed, measured
from benchmarks.server import Watch

SIZES = [1_000, 10_000, 100_000, 500_000]
QUICK_SIZES = [1_000, 10_000]
ROUNDS = 3
LARGE = 100_000
OPERATIONS = ("export", "import", "delete")
REFERENCE = "school.Organisation.1"
_ROOT = Path(__file__).resolve().parent.parent
_MODULUS = 1 << 64
_TAGS = "school_tag"

# The contenders, as they are called in the tables.
LIMIT = "by hand"
LIMIT_JSON = "by hand, JSON"
OURS = "Gestore"
OURS_ALONE = "Gestore, --workers 1"
OURS_REMAP = "Gestore, remap"
OURS_ARCHIVE = "Gestore, with archive"
SERIALIZER = "Django's serializer"
LOADDATA = "loaddata"
MODEL_DELETE = "Model.delete()"

Proof = Mapping[str, Mapping[str, Sequence[int]]]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Run:
    """One process, and what its server did meanwhile (None where nobody can tell)."""

    seconds: float
    client_cpu: float
    server_cpu: float | None
    peak_mb: float
    statements: int


@dataclass(frozen=True, slots=True)
class Figures:
    """All runs of one contender at one size."""

    vendor: str
    operation: str
    contender: str
    rows: int
    runs: Sequence[Run]
    wrong: str = ""

    @property
    def seconds(self) -> float:
        return median(run.seconds for run in self.runs)

    @property
    def client_cpu(self) -> float:
        return median(run.client_cpu for run in self.runs)

    @property
    def server_cpu(self) -> float | None:
        known = [run.server_cpu for run in self.runs if run.server_cpu is not None]
        return median(known) if known else None

    @property
    def cpu(self) -> float:
        return self.client_cpu + (self.server_cpu or 0.0)

    @property
    def peak_mb(self) -> float:
        return max(run.peak_mb for run in self.runs)

    @property
    def statements(self) -> int:
        return max(run.statements for run in self.runs)


@dataclass(frozen=True, slots=True)
class Contender:
    """Who takes part: the words of its program, on which database, and what has to be true then."""

    operation: str
    name: str
    words: Sequence[str]
    database: str
    check: Callable[[int], str]
    most_rounds: int = 1_000


@dataclass(slots=True)
class Site:
    """The databases of one size, and the files that go between them."""

    vendor: str
    folder: Path
    rows: int
    tag: str = ""
    source_proof: Proof = field(default_factory=dict)
    other_proof: Proof = field(default_factory=dict)

    def name(self, part: str) -> str:
        """The database as `SCHOOL_DATABASE` names it."""
        if self.vendor == "sqlite":
            return str(self.folder / f"{part}.sqlite3")
        return f"{self.vendor}:{self.bare(part)}"

    def bare(self, part: str) -> str:
        """The database as its driver names it."""
        if self.vendor == "sqlite":
            return str(self.folder / f"{part}.sqlite3")
        return f"gestore_bench_{os.getpid()}{self.tag}_{part}"

    def file(self, name: str) -> Path:
        return self.folder / name

    def environment(self, part: str) -> dict[str, str]:
        path = os.pathsep.join(str(_ROOT / each) for each in ("", "src"))
        return os.environ | {
            "SCHOOL_DATABASE": self.name(part),
            "DJANGO_SETTINGS_MODULE": "benchmarks.school.settings",
            "PYTHONPATH": path,
        }

    def chore(self, part: str, module: str, *words: str) -> str:
        """Have a program do something that is not measured; what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{module}", *words],
            env=self.environment(part),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Failed(f"{module} {' '.join(words)}:\n{done.stderr.strip()}")
        return done.stdout

    def proof(self, part: str) -> Proof:
        found: Proof = json.loads(self.chore(part, "school.proof", self.name(part)))
        return found

    def measured(
        self, part: str, words: Sequence[str], more: Mapping[str, str] | None = None
    ) -> Run:
        """The program's run on that database."""
        counted = self.file("statements")
        command = [sys.executable, "-m", "benchmarks.counted", str(counted), self.vendor, *words]
        with Watch(self.vendor, self.bare(part)) as watch:
            cost = measured(command, self.environment(part) | dict(more or {}))
        return Run(
            cost.seconds,
            cost.cpu_seconds,
            watch.cpu_seconds,
            cost.peak_mb,
            int(counted.read_text()),
        )


@contextmanager
def site(vendor: str, rows: int, tag: str = "") -> Iterator[Site]:
    """A site without databases yet; they and the files are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="gestore-bench-") as name:
        made = Site(vendor, Path(name), rows, tag)
        try:
            yield made
        finally:
            parts = ("source", "without", "other", "run")
            made.chore("source", "school.drop", *map(made.name, parts))


def run(
    vendor: str, rows: int, rounds: int, operations: Sequence[str], say: Say, *, loaddata: bool
) -> list[Figures]:
    """Every contender at that size. `Failed` says which program did not end well."""
    with site(vendor, rows) as made:
        _generate(made, operations, say)
        taking_part = contenders(made, operations, loaddata=loaddata)
        runs: dict[tuple[str, str], list[Run]] = {}
        wrong: dict[tuple[str, str], str] = {}
        for turn in range(rounds):
            for contender in taking_part:
                if turn >= contender.most_rounds:
                    continue
                who = contender.operation, contender.name
                say(f"round {turn + 1} of {rounds}: {contender.operation} {contender.name}")
                runs.setdefault(who, []).append(_turn(made, contender))
                wrong[who] = wrong.get(who) or contender.check(turn)
    return [
        Figures(vendor, operation, name, rows, found, wrong[operation, name])
        for (operation, name), found in runs.items()
        if operation in operations
    ]


def _generate(made: Site, operations: Sequence[str], say: Say) -> None:
    say("generating")
    made.chore("source", "school.generate", str(made.rows))
    made.source_proof = made.proof("source")
    if "import" in operations:
        made.chore("without", "school.generate", str(made.rows), "--without-tenant")
        made.chore("other", "school.generate", str(made.rows), "--label", "other")
        made.other_proof = made.proof("other")
        if differing(made.proof("without")["whole"], others(made.source_proof)):
            raise Failed("The others are not the same with the tenant and without.")


def _turn(made: Site, contender: Contender) -> Run:
    if contender.operation == "export":
        return made.measured("source", contender.words)
    made.chore("run", "school.clone", made.name(contender.database), made.name("run"))
    return made.measured("run", contender.words)


# Who takes part ------------------------------------------------------------------------------


def contenders(made: Site, operations: Sequence[str], *, loaddata: bool = False) -> list[Contender]:
    """In the order of their turns. Exports come always: their files are what is imported."""
    found = _exporters(made)
    if "import" in operations:
        found += _importers(made, loaddata=loaddata)
    if "delete" in operations:
        found += _deleters(made)
    return found


def _by_hand(made: Site, what: str, part: str, *words: str) -> list[str]:
    return [f"benchmarks.limit.{made.vendor}", what, made.bare(part), *words]


def _exporters(made: Site) -> list[Contender]:
    archive, alone = made.file("ours.jsonl"), made.file("alone.jsonl")
    fixture = made.file("fixture.json")
    folders = made.file("by hand"), made.file("by hand json")
    for folder in folders:
        folder.mkdir(exist_ok=True)
    leave = ["benchmarks.school", "exportobjects", REFERENCE, "--overwrite", "-o"]

    def count_lines(_: int) -> str:
        lines = sum(_lines(file) for file in folders[1].iterdir())
        owned = sum(count for count, _ in made.source_proof["own"].values())
        tags = _lines(folders[1] / _TAGS)
        return "" if lines - tags == owned else f"{lines - tags:,} of {owned:,} rows"

    def compare(file: Path) -> Callable[[int], str]:
        def check(turn: int) -> str:
            if turn == 0:
                return _told(json.loads(made.chore("source", "school.archived", str(file))))
            return _same_rows(made, file, archive)

        return check

    found = [
        # What is in these files is checked when they are imported.
        Contender("export", LIMIT, _by_hand(made, "export", "source", str(folders[0])), "", _right),
        Contender(
            "export",
            LIMIT_JSON,
            _by_hand(made, "export-json", "source", str(folders[1])),
            "",
            count_lines,
        ),
        Contender("export", OURS, [*leave, str(archive)], "", compare(archive)),
    ]
    if made.vendor == "postgresql":
        words = [*leave, str(alone), "--workers", "1"]
        check = lambda _: _same_rows(made, alone, archive)  # noqa: E731
        found.append(Contender("export", OURS_ALONE, words, "", check))
    if made.rows <= LARGE:
        words = ["benchmarks.peers", "serialize", str(fixture)]
        check_fixture = compare(fixture)
        once = lambda turn: check_fixture(0) if turn == 0 else ""  # noqa: E731
        found.append(Contender("export", SERIALIZER, words, "", once))
    return found


def _importers(made: Site, *, loaddata: bool) -> list[Contender]:
    arrive = ["benchmarks.school", "importobjects", str(made.file("ours.jsonl"))]

    def all_back(_: int) -> str:
        return differing(made.proof("run")["whole"], made.source_proof["whole"])

    def beside_others(_: int) -> str:
        found = made.proof("run")
        return differing(others(found), made.other_proof["whole"]) or differing(
            found["natural"], made.source_proof["natural"]
        )

    def in_other_words(_: int) -> str:
        return differing(made.proof("run")["natural"], made.source_proof["natural"])

    by_hand = _by_hand(made, "import", "run", str(made.file("by hand")))
    remap = [*arrive, "--on-conflict", "remap"]
    found = [
        Contender("import", LIMIT, by_hand, "without", all_back),
        Contender("import", OURS, arrive, "without", all_back),
        Contender("import", OURS_REMAP, remap, "other", beside_others),
    ]
    if loaddata and made.rows <= LARGE:
        words = ["benchmarks.school", "loaddata", str(made.file("fixture.json"))]
        found.append(Contender("import", LOADDATA, words, "without", in_other_words, 1))
    return found


def _deleters(made: Site) -> list[Contender]:
    archive = made.file("removed.jsonl")
    remove = ["benchmarks.school", "deleteobjects", REFERENCE, "--no-input"]
    archived = [*remove, "--archive", str(archive)]

    def all_gone(_: int) -> str:
        return differing(made.proof("run")["whole"], others(made.source_proof))

    def gone_and_kept(turn: int) -> str:
        words = ["school.archived", str(archive), "removed"]
        told = "" if turn else _told(json.loads(made.chore("source", *words)))
        archive.unlink()
        return told or all_gone(turn)

    found = [
        Contender("delete", LIMIT, _by_hand(made, "delete", "run"), "source", all_gone),
        Contender("delete", OURS, [*remove, "--no-archive"], "source", all_gone),
        Contender("delete", OURS_ARCHIVE, archived, "source", gone_and_kept),
    ]
    if made.rows <= LARGE:
        words = ["benchmarks.peers", "delete"]
        found.append(Contender("delete", MODEL_DELETE, words, "source", all_gone))
    return found


# Is it right? --------------------------------------------------------------------------------


def _right(_: int) -> str:
    return ""


def _told(differences: Mapping[str, str]) -> str:
    return "; ".join(f"{model}: {told}" for model, told in sorted(differences.items()))


def others(proof: Proof) -> dict[str, list[int]]:
    """The fingerprints of all rows but the tenant's."""
    return {
        table: [
            whole - own for whole, own in zip(found, proof["own"].get(table, (0, 0)), strict=True)
        ]
        for table, found in proof["whole"].items()
    }


def differing(found: Mapping[str, Sequence[int]], expected: Mapping[str, Sequence[int]]) -> str:
    """What is not as it has to be, by table: rows too many or too few, or other values."""
    told = {}
    for table, (count, total) in expected.items():
        found_count, found_total = found[table]
        if found_count != count:
            told[table] = f"{found_count - count:+,} rows"
        elif (found_total - total) % _MODULUS:
            told[table] = "values"
    return _told(told)


def _same_rows(made: Site, one: Path, other: Path) -> str:
    digests = [made.chore("source", "school.archived", str(file), "rows") for file in (one, other)]
    return "" if digests[0] == digests[1] else "other rows than Gestore's first archive"


def _lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines)


def versions(vendor: str) -> dict[str, str]:
    """What the figures are taken with."""
    with site(vendor, 0) as made:
        made.chore("source", "school.generate", "200")
        found: dict[str, Any] = json.loads(made.chore("source", "school.versions"))
    return found
