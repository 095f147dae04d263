"""`python -m benchmarks`: measure, print, write RESULTS.md; exit 1 when a bound does not hold.

Without a word it is `tenant`: Gestore beside hand-written SQL and Django's own ways.
"""

from __future__ import annotations

import argparse
import signal
import sys

from benchmarks import (
    acceptance,
    anonymized,
    concurrency,
    conflicts,
    keys,
    narrow,
    removal,
    report,
    sparse,
    storages,
    tenant,
    tenant_report,
    trips,
)
from benchmarks.measure import Failed

_ROWS = [20_000, 200_000]
_QUICK_ROWS = [2_000, 20_000]
_TENANT = ("tenant", "needle", "narrow")
_KEYS = 1_000_000
# Fewer, and the one batch that is in hand weighs more than the keys.
_QUICK_KEYS = 300_000


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=[
            *(*_TENANT, "all", "trips", "keys", "conflicts", "concurrency", "removal"),
            *("anonymized", "storages"),
        ],
        default="tenant",
        help="tenant: out, in and away, beside hand-written SQL and Django (default), with needle: "
        "1,000 rows among 5 million, and narrow: ten million keys; each alone by its name, tenant "
        "alone with --only; trips: out and in again; keys: bytes a key in memory; all: these two; "
        "conflicts: the check of an import into a library that is full of other people's "
        "rows; concurrency: an import beside sixteen writers, on a server; removal: "
        "deleteobjects at once and in batches; anonymized: an export with --anonymize beside one "
        "without, searched and imported; storages: an archive of 300 MB into S3, Google's and "
        "Azure's, and back, by their emulators",
    )
    parser.add_argument(
        "--database",
        nargs="+",
        choices=list(report.TITLES),
        metavar="VENDOR",
        help="sqlite, postgresql, mariadb: all of them for the tenant, else sqlite",
    )
    parser.add_argument(
        "--operation",
        nargs="+",
        choices=tenant.OPERATIONS,
        default=tenant.OPERATIONS,
        help="the tenant's: all of them",
    )
    parser.add_argument("--repeat", type=int, metavar="N", help="the tenant's turns: 3")
    parser.add_argument(
        "--only", action="store_true", help="the tenant without the needle and the ten million"
    )
    parser.add_argument(
        "--rows", nargs="+", type=int, metavar="N", help="about how many rows the object has"
    )
    parser.add_argument(
        "--quick", action="store_true", help="few rows, and RESULTS.md stays as it is"
    )
    options = parser.parse_args()
    if options.database is None:
        options.database = list(report.TITLES) if options.what == "tenant" else ["sqlite"]
        if options.what == "needle":
            options.database = ["postgresql"]
    return options


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


def _tenant(options: argparse.Namespace, sections: dict[str, str]) -> bool:
    sizes = sorted(options.rows or (tenant.QUICK_SIZES if options.quick else tenant.SIZES))
    rounds = options.repeat or tenant.ROUNDS
    holds = True
    for database in options.database:
        title, figures = report.TENANT_TITLES[database], []
        for rows in sizes:
            figures += tenant.run(
                database,
                rows,
                rounds,
                options.operation,
                lambda text, t=title, n=rows: _say(f"{t}, {n:,} rows: {text}"),
                loaddata=not options.quick and database == "postgresql",
            )
        sections[title] = tenant_report.section(figures, tenant.versions(database))
        print(f"\n{title}\n\n{sections[title]}", flush=True)
        holds = holds and all(bound.holds for bound in acceptance.bounds(figures))
    return holds


def _needle(options: argparse.Namespace, sections: dict[str, str]) -> bool:
    haystacks = sparse.QUICK_OTHERS if options.quick else sparse.OTHERS
    holds = True
    for database in options.database:
        if options.what == "tenant" and database != "postgresql":
            continue
        title = report.SPARSE_TITLES[database]
        needles = sparse.run(
            database,
            options.rows if options.rows and options.what == "needle" else haystacks,
            options.repeat or tenant.ROUNDS,
            lambda text, t=title: _say(f"{t}, {text}"),
        )
        sections[title] = tenant_report.needles_section(needles, tenant.versions(database))
        print(f"\n{title}\n\n{sections[title]}", flush=True)
        holds = holds and all(bound.holds for bound in acceptance.needle_bounds(needles))
    return holds


def _narrow(options: argparse.Namespace, sections: dict[str, str]) -> bool:
    found = narrow.run(narrow.QUICK_ROWS if options.quick else narrow.ROWS, _say)
    sections[report.NARROW_TITLE] = tenant_report.narrow_section(found)
    print(f"\n{report.NARROW_TITLE}\n\n{sections[report.NARROW_TITLE]}", flush=True)
    return found.holds


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


def _anonymized(options: argparse.Namespace, sections: dict[str, str]) -> bool:
    sizes = options.rows or [anonymized.QUICK_ROWS if options.quick else anonymized.ROWS]
    holds = True
    for database in options.database:
        title = report.ANONYMIZED_TITLES[database]
        found = [
            anonymized.run(
                database,
                rows,
                options.repeat or tenant.ROUNDS,
                lambda text, t=title: _say(f"{t}, {text}"),
            )
            for rows in sizes
        ]
        sections[title] = tenant_report.anonymized_section(found, tenant.versions(database))
        print(f"\n{title}\n\n{sections[title]}", flush=True)
        holds = holds and all(b.holds for each in found for b in acceptance.anonymized_bounds(each))
    return holds


def _keys(options: argparse.Namespace, sections: dict[str, str]) -> bool:
    costs = keys.measure(_QUICK_KEYS if options.quick else _KEYS)
    sections[report.KEYS_TITLE] = report.keys_section(costs)
    print(f"\n{report.KEYS_TITLE}\n\n{sections[report.KEYS_TITLE]}", flush=True)
    return all(cost.holds for cost in costs)


def _storages(options: argparse.Namespace, sections: dict[str, str]) -> bool:
    size = storages.QUICK_MEGABYTES if options.quick else storages.MEGABYTES
    made = storages.run(storages.KINDS, size, _say)
    sections[report.STORAGES_TITLE] = report.storages_section(made)
    print(f"\n{report.STORAGES_TITLE}\n\n{sections[report.STORAGES_TITLE]}", flush=True)
    return all(stored.holds for stored in made)


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


def _tenant_parts(options: argparse.Namespace, sections: dict[str, str]) -> bool:
    alone = options.only or options.what != "tenant"
    holds = True
    for what, part in zip(_TENANT, (_tenant, _needle, _narrow), strict=True):
        if options.what == what or (options.what == "tenant" and not alone):
            holds = part(options, sections) and holds
    return holds


_ALONE = {
    "conflicts": _conflicts,
    "removal": _removal,
    "anonymized": _anonymized,
    "storages": _storages,
}


def main() -> int:
    options = _arguments()
    # Ended from outside: the databases go all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.what == "concurrency":
        try:
            return 0 if _concurrency(options) else 1
        except Failed as failure:
            print(f"Failed: {failure}", file=sys.stderr)
            return 1
    sections: dict[str, str] = {}
    holds = True
    try:
        holds = _tenant_parts(options, sections)
        if options.what in _ALONE:
            holds = _ALONE[options.what](options, sections)
        if options.what in ("all", "trips"):
            holds = _trips(options, sections)
        if options.what in ("all", "keys"):
            # Last: what the children take is not to start from what this takes.
            holds = _keys(options, sections) and holds
    except Failed as failure:
        print(f"Failed: {failure}", file=sys.stderr)
        return 1
    parts = options.repeat or tuple(options.operation) != tenant.OPERATIONS
    if not options.quick and not options.rows and not parts:
        report.save(sections)
    if not holds:
        print("A bound does not hold.", file=sys.stderr)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
