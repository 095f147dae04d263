"""How are the figures told: as Markdown, on the terminal and in RESULTS.md alike."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.conflicts import Pace, Search, paces
from benchmarks.conflicts import growths as search_growths
from benchmarks.keys import BOUND_BYTES, KeyCost
from benchmarks.measure import MEGABYTE
from benchmarks.removal import growths as removal_growths
from benchmarks.storages import BOUND_MB as BOUND_MB_STORED
from benchmarks.storages import Stored
from benchmarks.trips import BOUND_MB, LOADDATA_ROWS, Growth, Trip, growths

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB"}
CONFLICTS_TITLES = {name: f"Conflict search: {title}" for name, title in TITLES.items()}
REMOVAL_TITLES = {name: f"Removal: {title}" for name, title in TITLES.items()}
KEYS_TITLE = "Keys in memory"
STORAGES_TITLE = "Archives in storages"
TENANT_TITLES = {name: f"A tenant: {title}" for name, title in TITLES.items()}
SPARSE_TITLES = {name: f"A needle: {title}" for name, title in TITLES.items()}
NARROW_TITLE = "Ten million keys"
ANONYMIZED_TITLES = {name: f"Anonymized: {title}" for name, title in TITLES.items()}
_ORDER = [
    *TENANT_TITLES.values(),
    *SPARSE_TITLES.values(),
    NARROW_TITLE,
    *ANONYMIZED_TITLES.values(),
    *TITLES.values(),
    *CONFLICTS_TITLES.values(),
    *REMOVAL_TITLES.values(),
    KEYS_TITLE,
    STORAGES_TITLE,
]
_HEAD = """\
# Benchmarks

Made by `make bench` (`python -m benchmarks --help`) on one machine, with other work beside it: the
ratios are the message.

*A tenant* (`python -m benchmarks`) is one organisation of a school platform, among as many rows of
others: it goes out, comes in where the others are, and goes away; by hand (the limit: COPY, `LOAD
DATA`, `executemany` and DELETEs of somebody who knows the schema), by Gestore, and by Django. All
take turns, the start of each process is part of its time, and the figures are medians. "× by hand"
is the time in that of the limit, "× JSON" in that of rows written as JSON by hand, "× its CPU" the
same of processor time, client and server together; "server" is what the database's server took (on
MariaDB for all its clients). Every result is held against SQL: the archive value by value, the rows
that came by a digest of each table, those of the others likewise. Django's serializer is WRONG as
it cuts microseconds, `Model.delete()` as it leaves what only generic keys lead to.

Where a figure is missed, its line says by how much. Where the time goes: *an export on PostgreSQL*
starts Django (half of what the export by hand takes in all), walks, and has the database guard and
write every value as JSON, three times the work of COPY's text; both cores are busy five sixths of
the time. Its figure swings with the machine's day: 1.87 to 2.45 times in eight runs, 2.0 to 2.2
in most, on a slow day as on a quick one. *Growth*: half of a deletion of 500,000
rows is the database's check of constraints, which takes 6.5 times as long as of 100,000, by hand as
well: random keys lead all over its indexes and its cache. *Memory* grows by longer answers, by keys
up to the bound at which they spill, and by what lies between what is given back. *On MariaDB* an
import with `remap` waits for the INSERTs of its largest table, and fills pointers that by hand are
not checked; a deletion reads whose its rows are, and compares that as it removes them. What was
tried: `docs/speed.md`.

*A needle* is such a tenant of 1,000 rows among ever more of others.
*Anonymized* (`python -m benchmarks anonymized`) is the tenant once more: it leaves plainly and with
`--anonymize` in turn; "×" is the median of the rounds' own ratios. The whole file is searched for
every value of a declared column, and arrives on a site without the tenant and beside another one
under the same keys.

The other sections are about a language of the demo library, with all its books, their copies,
reviews and notes, and what those point at. Every command is a process of its own. Its
processor time and its peak of memory are the operating system's figures, without those of the
database server. Exports and imports ran with `DEBUG` on; what arrived was counted with SQL.

*Conflict search* (`python -m benchmarks conflicts`) is the check of an import into a library that
is full of other people's rows. Nearly all keys of the archive are taken there, so that its rows get
new ones (`--on-conflict remap`); imported once more, all of them are there, known by the record of
the first import, and there is little to do but to check. "Here" are the rows of the largest table,
"readings" says how often the check read the archive, and the statements are those of the check.

*Removal* (`python -m benchmarks removal`) takes the language out with its books, their copies,
reviews and notes, among those of other languages: it plans, archives, reads the archive again,
removes and proves. Once all is one transaction, once a commit follows every 5,000 rows at most.
Nothing else went, as SQL counted.

*Archives in storages* (`python -m benchmarks storages`) are encrypted and signed on their way
there; on their way back the signature is checked, and all rows are parsed. The servers are
emulators that speak the real protocols, beside it on this machine: the memory is the message.
"""


def trips_section(trips: Sequence[Trip], versions: Mapping[str, str]) -> str:
    """The table of the trips, and whether memory keeps to its bound."""
    rows = [
        [
            trip.what,
            f"{trip.rows:,}",
            f"{trip.cost.seconds:.1f}",
            f"{trip.rows_per_second:,.0f}",
            f"{trip.cost.cpu_seconds:.1f}",
            f"{trip.cost.peak_mb:.1f}",
            "" if trip.statements is None else f"{trip.statements:,}",
            "" if trip.size_bytes is None else f"{trip.size_bytes / MEGABYTE:.1f}",
        ]
        for trip in trips
    ]
    head = ["", "rows", "s", "rows/s", "CPU s", "peak MB", "statements", "file MB"]
    lines = [_made_with(versions), "", *table(head, rows)]
    if any(trip.rows > LOADDATA_ROWS for trip in trips):
        lines += ["", f"`loaddata` saves row by row: left out above {LOADDATA_ROWS:,} rows."]
    lines += ["", *(_growth_line(growth) for growth in growths(list(trips)))]
    return "\n".join(lines).rstrip()


def _growth_line(growth: Growth) -> str:
    return (
        f"- {growth.what}: {growth.megabytes:+.1f} MB from the smallest object to the largest; "
        f"at most {BOUND_MB:g} MB: {_verdict(growth.holds)}."
    )


def removal_section(removals: Sequence[Trip], versions: Mapping[str, str]) -> str:
    """The table of the removals, and whether memory keeps to its bound."""
    rows = [
        [
            removal.what,
            f"{removal.rows:,}",
            f"{removal.cost.seconds:.1f}",
            f"{removal.rows_per_second:,.0f}",
            f"{removal.cost.cpu_seconds:.1f}",
            f"{removal.cost.peak_mb:.1f}",
            f"{removal.statements or 0:,}",
        ]
        for removal in removals
    ]
    head = ["", "rows", "s", "rows/s", "CPU s", "peak MB", "statements"]
    lines = [_made_with(versions), "", *table(head, rows), ""]
    lines += [_growth_line(growth) for growth in removal_growths(list(removals))]
    return "\n".join(lines).rstrip()


def conflicts_section(searches: Sequence[Search], versions: Mapping[str, str]) -> str:
    """The table of the conflict searches, and whether memory and statements keep their bounds."""
    rows = [
        [
            search.what,
            f"{search.rows:,}",
            f"{search.here:,}",
            f"{search.cost.seconds:.1f}",
            f"{search.check.seconds:.1f}",
            f"{search.share:.0%}",
            f"{search.cost.cpu_seconds:.1f}",
            f"{search.readings:.0f}",
            f"{search.check.statements:,}",
            f"{search.statements_per_thousand:.1f}",
            f"{search.cost.peak_mb:.1f}",
        ]
        for search in searches
    ]
    head = ["", "rows", "here", "s", "check s", "share", "CPU s", "readings", "statements"]
    lines = [_made_with(versions), "", *table([*head, "per 1,000 rows", "peak MB"], rows), ""]
    lines += [_growth_line(growth) for growth in search_growths(list(searches))]
    lines += [_pace_line(pace) for pace in paces(list(searches))]
    return "\n".join(lines).rstrip()


def _pace_line(pace: Pace) -> str:
    return (
        f"- {pace.what}: {pace.least:.1f} statements for 1,000 rows of the smallest archive, "
        f"{pace.most:.1f} of the largest; no more: {_verdict(pace.holds)}."
    )


def _made_with(versions: Mapping[str, str]) -> str:
    return f"{machine()}; {', '.join(f'{name} {number}' for name, number in versions.items())}."


def keys_section(costs: Sequence[KeyCost]) -> str:
    rows = [
        [cost.name, f"{cost.count:,}", f"{cost.kept:.1f}", f"{cost.peak:.1f}", _verdict(cost.holds)]
        for cost in costs
    ]
    head = ["", "keys", "bytes a key", "at the peak", f"at most {BOUND_BYTES}"]
    return "\n".join(table(head, rows))


def storages_section(made: Sequence[Stored]) -> str:
    rows = [
        [
            f"{stored.kind}: {stored.what}",
            f"{stored.megabytes:,}",
            f"{stored.cost.seconds:.1f}",
            f"{stored.megabytes_per_second:.0f}",
            f"{stored.cost.cpu_seconds:.1f}",
            f"{stored.cost.peak_mb:.1f}",
            _verdict(stored.holds),
        ]
        for stored in made
    ]
    head = ["", "MB", "s", "MB/s", "CPU s", "peak MB", f"at most {BOUND_MB_STORED:.0f}"]
    return "\n".join(table(head, rows))


def _verdict(holds: bool) -> str:
    return "holds" if holds else "DOES NOT HOLD"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table that reads well as it is: words to the left, figures right."""
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(padded)} |"

    rule = [f":{'-' * (widths[0] - 1)}", *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    return [line(head), f"| {' | '.join(rule)} |", *map(line, rows)]


def machine() -> str:
    """The machine in the words that matter."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{os.cpu_count()} cores, {memory:.0f} GiB"


def save(sections: Mapping[str, str]) -> None:
    """Put the sections into RESULTS.md; those of other runs stay."""
    kept = _sections(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    kept |= sections
    parts = [f"## {title}\n\n{kept[title]}\n" for title in _ORDER if title in kept]
    RESULTS.write_text("\n".join([_HEAD, *parts]), "utf-8")


def _sections(text: str) -> dict[str, str]:
    parts = text.split("\n## ")[1:]
    return {title: body.strip() for title, _, body in (part.partition("\n") for part in parts)}
