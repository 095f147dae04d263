"""What does it cost to anonymize, and is anything left of what was there? The school's tenant.

It leaves plainly and anonymized in turn (`benchmarks.school.settings` declares the columns). Then
the whole file is searched for every value of a declared column, what must differ is counted, and
the archive arrives on a site without the tenant and beside another one under the same keys.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.tenant import REFERENCE, Proof, Run, Say, Site, differing, others, site

ROWS = 100_000
QUICK_ROWS = 5_000
BOUND_TIMES = 1.5
_PLAIN, _ANONYMIZED = "plain", "anonymized"
# What is searched for is at least this long; shorter words stand in other columns by chance.
_LEAST = 4
_UNIQUE = {("school.user", "email"), ("school.organisation", "slug")}
_WINDOW = 12


@dataclass(frozen=True, slots=True)
class Anonymized:
    """All runs of both at one size, how many values were searched for, and what was wrong."""

    vendor: str
    rows: int
    plain: Sequence[Run]
    anonymized: Sequence[Run]
    searched: int
    wrong: str

    @property
    def times(self) -> float:
        """By how much it is slower: round by round, as what else the machine does then slows both;
        the median of the rounds."""
        rounds = zip(self.anonymized, self.plain, strict=True)
        return median(one.seconds / other.seconds for one, other in rounds)

    @property
    def cpu_times(self) -> float:
        """The same of processor time, the server's included where it is known."""
        rounds = zip(self.anonymized, self.plain, strict=True)
        return median(_cpu(one) / _cpu(other) for one, other in rounds)


def _cpu(run: Run) -> float:
    return run.client_cpu + (run.server_cpu or 0.0)


def run(vendor: str, rows: int, rounds: int, say: Say) -> Anonymized:
    """`Failed` says which program did not end well."""
    with site(vendor, rows, "_anonymized") as made:
        say("generating")
        made.chore("source", "school.generate", str(rows))
        made.chore("without", "school.generate", str(rows), "--without-tenant")
        made.chore("other", "school.generate", str(rows), "--label", "other")
        runs: dict[str, list[Run]] = {_PLAIN: [], _ANONYMIZED: []}
        for turn in range(rounds):
            for what, more in ((_PLAIN, []), (_ANONYMIZED, ["--anonymize"])):
                say(f"round {turn + 1} of {rounds}: {what}")
                leave = ["exportobjects", REFERENCE, "--overwrite", "-o", str(_file(made, what))]
                words = ["benchmarks.school", *leave, *more]
                runs[what].append(made.measured("source", words))
        say("searching")
        # By a process of its own: what it takes would count as the peak of the next ones.
        files = [str(_file(made, what)) for what in (_PLAIN, _ANONYMIZED)]
        searched, left = json.loads(made.chore("source", "anonymized", *files))
        say("importing")
        wrong = left or _arrives(made)
        return Anonymized(vendor, rows, runs[_PLAIN], runs[_ANONYMIZED], searched, wrong)


def _file(made: Site, what: str) -> Path:
    return made.file(f"{what}.jsonl")


# Nothing is left ----------------------------------------------------------------------------------


def _searched(plain: Path, anonymized: Path) -> tuple[int, str]:
    """How many values were searched for, and the first thing that is wrong."""
    columns = _columns(anonymized)
    if not columns:
        return 0, "no column is anonymized"
    values = {value for value in _values(plain, columns) if len(value) >= _LEAST}
    if not values:
        return 0, "no value to search for"
    unlike = _unlike(plain, anonymized, columns)
    if unlike or (unlike := _as_a_whole(anonymized, columns, values)):
        return len(values), unlike
    # What other columns say, too, is not to be replaced there.
    elsewhere: set[str] = set()
    beginnings = _beginnings(values)
    for row in _rows(plain):
        told = {n: v for n, v in row["fields"].items() if (row["model"], n) not in columns}
        elsewhere.update(_found(json.dumps(told, ensure_ascii=False), beginnings))
    return len(values), _inside(anonymized, values, elsewhere)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if "model" in row:
                yield row


def _columns(path: Path) -> set[tuple[str, str]]:
    with path.open(encoding="utf-8") as file:
        tables = json.loads(file.readline())["tables"]
    return {
        (name, column)
        for name, table in tables.items()
        for column, told in table["columns"].items()
        if told.get("anonymized")
    }


def _values(path: Path, columns: set[tuple[str, str]]) -> Iterator[str]:
    for row in _rows(path):
        for name, value in row["fields"].items():
            if (row["model"], name) in columns and isinstance(value, str):
                yield value


def _unlike(plain: Path, anonymized: Path, columns: set[tuple[str, str]]) -> str:
    """Row by row: the same rows, the other columns as they were; and where no two may be the same
    in a declared column, no two are."""
    before: dict[tuple[str, str], Counter[str]] = {column: Counter() for column in columns}
    after: dict[tuple[str, str], Counter[str]] = {column: Counter() for column in columns}
    for one, other in zip(_rows(plain), _rows(anonymized), strict=True):
        if (one["model"], one["pk"]) != (other["model"], other["pk"]):
            return f"{other['model']} {other['pk']} is in another place"
        for name, value in one["fields"].items():
            place = one["model"], name
            if place in columns:
                before[place][value] += 1
                after[place][other["fields"][name]] += 1
            elif value != other["fields"][name]:
                return f"{place} is not as it was in {one['pk']}"
    for place in _UNIQUE & columns:
        if len(after[place]) != len(before[place]) or max(after[place].values()) > 1:
            return f"{place} was unique, and is no longer"
    return ""


def _as_a_whole(path: Path, columns: set[tuple[str, str]], values: set[str]) -> str:
    for row in _rows(path):
        for name, value in row["fields"].items():
            if (row["model"], name) in columns and value in values:
                return f"{row['model']} {row['pk']} has {name} of another row"
    return ""


def _inside(path: Path, values: set[str], elsewhere: set[str]) -> str:
    """Anywhere in the file, whatever stands around it: at every place of its text."""
    beginnings = _beginnings(values)
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            for value in _found(line, beginnings):
                if value not in elsewhere:
                    return f"line {number} has a value that was to be replaced"
    return ""


def _beginnings(values: set[str]) -> dict[str, list[str]]:
    """The values as JSON has them, by their first letters."""
    found: dict[str, list[str]] = {}
    for value in values:
        escaped = json.dumps(value, ensure_ascii=False)[1:-1]
        if len(escaped) >= _WINDOW:
            found.setdefault(escaped[:_WINDOW], []).append(escaped)
    return found


def _found(text: str, beginnings: dict[str, list[str]]) -> Iterator[str]:
    for place in range(len(text) - _WINDOW + 1):
        known = beginnings.get(text[place : place + _WINDOW])
        if known is not None:
            yield from (value for value in known if text.startswith(value, place))


# It arrives ---------------------------------------------------------------------------------------


def _arrives(made: Site) -> str:
    words = ["benchmarks.school", "importobjects", str(_file(made, _ANONYMIZED)), "--verify"]
    slug = next(_rows(_file(made, _ANONYMIZED)))["fields"]["slug"]
    left = _counts(made.proof("source")["whole"])
    for database, more in (("without", []), ("other", ["--on-conflict", "remap"])):
        made.chore("run", "school.clone", made.name(database), made.name("run"))
        before = made.proof("run")["whole"]
        made.measured("run", [*words, *more])
        found: Proof = json.loads(made.chore("run", "school.proof", made.name("run"), slug))
        if database == "without" and _counts(found["whole"]) != left:
            return f"{database}: the rows are not as many as left"
        if changed := differing(others(found), before):
            return f"{database}: rows of others: {changed}"
        if sum(count for count, _ in found["own"].values()) < made.rows:
            return f"{database}: not all rows arrived"
    return ""


def _counts(fingerprints: Mapping[str, Sequence[int]]) -> dict[str, int]:
    return {table: count for table, (count, _) in fingerprints.items()}


if __name__ == "__main__":
    print(json.dumps(_searched(Path(sys.argv[1]), Path(sys.argv[2]))))
