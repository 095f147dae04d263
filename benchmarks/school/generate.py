"""How is a school platform made? `python -m benchmarks.school.generate ROWS`, in seconds.

The database that `SCHOOL_DATABASE` names is replaced by one with a tenant of about that many rows
among those of other organisations.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from benchmarks.school.content import School, pools
from benchmarks.school.layout import layout
from benchmarks.school.stores import Store, store


def generate(made: Store, rows: int, others: int, label: str, *, with_tenant: bool) -> int:
    """Fill the migrated store; how many rows were written."""
    school = School(
        layout(rows, others),
        label,
        made.notation,
        pools(label, made.notation),
        made.content_types(),
        with_tenant,
    )
    return sum(made.fill(school.tables()).values())


def _migrate() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.school.settings")
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    call_command("migrate", verbosity=0)
    connections.close_all()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.school.generate")
    parser.add_argument("rows", type=int, help="about how many rows the tenant has")
    parser.add_argument("--others", type=int, help="about how many the others have: as many")
    parser.add_argument("--label", default="here", help="another makes other values (%(default)s)")
    parser.add_argument("--without-tenant", action="store_true", help="all but the tenant's rows")
    options = parser.parse_args()
    name = os.environ.get("SCHOOL_DATABASE")
    if not name:
        parser.error("SCHOOL_DATABASE does not say which database is to be made.")
    began, made = time.perf_counter(), store(name)
    made.create()
    _migrate()
    others = options.rows if options.others is None else options.others
    count = generate(
        made, options.rows, others, options.label, with_tenant=not options.without_tenant
    )
    print(f"{count:,} rows in {time.perf_counter() - began:.1f} s: {name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
