"""`python -m benchmarks`: measure, print, write RESULTS.md; exit 1 when a bound does not hold."""

from __future__ import annotations

import argparse
import sys

from benchmarks import concurrency, conflicts, keys, removal, report, trips
from benchmarks.measure import Failed

_ROWS = [20_000, 200_000]
_QUICK_ROWS = [2_000, 20_000]
_KEYS = 1_000_000
# Fewer, and the one batch that is in hand weighs more than the keys.
_QUICK_KEYS = 300_000


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=["all", "trips", "keys", "conflicts", "concurrency", "removal"],
        default="all",
        help="trips: out and in again; keys: bytes a key in memory (default: %(default)s: these "
        "two); conflicts: the check of an import into a library that is full of other people's "
        "rows; concurrency: an import beside sixteen writers, on a server; removal: "
        "deleteobjects at once and in batches",
    )
    parser.add_argument(
        "--database", nargs="+", choices=list(report.TITLES), default=["sqlite"], metavar="VENDOR"
    )
    parser.add_argument(
        "--rows", nargs="+", type=int, metavar="N", help="about how many rows the object has"
    )
    parser.add_argument(
        "--quick", action="store_true", help="few rows, and RESULTS.md stays as it is"
    )
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"... {text}", file=sys.stderr, flush=True)


def _trips(options: argparse.Namespace, sections: dict[str, str]) -> bool:
    sizes = sorted(options.rows or (_QUICK_ROWS if options.quick else _ROWS))
    holds = True
    for database in options.database:
        title = report.TITLES[database]
        made, versions = trips.run(database, sizes, lambda text, t=title: _say(f"{t}, {text}"))
        sections[title] = report.trips_section(made, versions)
        print(f"\n{title}\n\n{sections[title]}", flush=True)
        holds = holds and all(growth.holds for growth in trips.growths(made))
    return holds


def _conflicts(options: argparse.Namespace, sections: dict[str, str]) -> bool:
    sizes = sorted(options.rows or (conflicts.QUICK_ROWS if options.quick else conflicts.ROWS))
    here = conflicts.QUICK_HERE if options.quick else conflicts.HERE
    holds = True
    for database in options.database:
        title = report.CONFLICTS_TITLES[database]
        made, versions = conflicts.run(
            database, sizes, here, lambda text, t=title: _say(f"{t}, {text}")
        )
        sections[title] = report.conflicts_section(made, versions)
        print(f"\n{title}\n\n{sections[title]}", flush=True)
        bounds = [*conflicts.growths(made), *conflicts.paces(made)]
        holds = holds and all(bound.holds for bound in bounds)
    return holds


def _removal(options: argparse.Namespace, sections: dict[str, str]) -> bool:
    sizes = sorted(options.rows or (removal.QUICK_ROWS if options.quick else removal.ROWS))
    holds = True
    for database in options.database:
        title = report.REMOVAL_TITLES[database]
        made, versions = removal.run(database, sizes, lambda text, t=title: _say(f"{t}, {text}"))
        sections[title] = report.removal_section(made, versions)
        print(f"\n{title}\n\n{sections[title]}", flush=True)
        holds = holds and all(growth.holds for growth in removal.growths(made))
    return holds


def _keys(options: argparse.Namespace, sections: dict[str, str]) -> bool:
    costs = keys.measure(_QUICK_KEYS if options.quick else _KEYS)
    sections[report.KEYS_TITLE] = report.keys_section(costs)
    print(f"\n{report.KEYS_TITLE}\n\n{sections[report.KEYS_TITLE]}", flush=True)
    return all(cost.holds for cost in costs)


def _concurrency(options: argparse.Namespace) -> bool:
    """Printed only: what is measured is that nothing goes wrong."""
    sizes = options.rows or [concurrency.QUICK_ROWS if options.quick else concurrency.ROWS]
    holds = True
    for database in options.database:
        title = report.TITLES[database]
        for rows in sizes:
            if database == "sqlite":
                print(f"\n{title}\n\nOne writer at a time: nothing to see.", flush=True)
                continue
            beside = concurrency.run(database, rows, lambda text, t=title: _say(f"{t}, {text}"))
            print(f"\n{title}\n\n{beside}", flush=True)
            holds = holds and beside.holds
    return holds


def main() -> int:
    options = _arguments()
    if options.what == "concurrency":
        try:
            return 0 if _concurrency(options) else 1
        except Failed as failure:
            print(f"Failed: {failure}", file=sys.stderr)
            return 1
    sections: dict[str, str] = {}
    holds = True
    try:
        if options.what == "conflicts":
            holds = _conflicts(options, sections)
        if options.what == "removal":
            holds = _removal(options, sections)
        if options.what in ("all", "trips"):
            holds = _trips(options, sections)
        if options.what in ("all", "keys"):
            # Last: what the children take is not to start from what this takes.
            holds = _keys(options, sections) and holds
    except Failed as failure:
        print(f"Failed: {failure}", file=sys.stderr)
        return 1
    if not options.quick and not options.rows:
        report.save(sections)
    if not holds:
        print("A bound does not hold.", file=sys.stderr)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
