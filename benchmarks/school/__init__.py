"""What does a real site look like? A school platform: many organisations in one database.

One organisation, `school.Organisation.1`, is the tenant that goes out, comes in and goes away,
among the rows of others. Nothing here is imported by the package. Used from the checkout's root;
the databases are named as the demo's are, in `SCHOOL_DATABASE` and, for the alias `branch`,
`SCHOOL_BRANCH`: the path of an SQLite file, `postgresql:NAME` or `mariadb:NAME`.

**Make one**: a tenant of 100,000 rows among 100,000 rows of others, statistics up to date. A
database of that name is replaced. It takes 3 to 10 seconds.

    export SCHOOL_DATABASE=postgresql:school_NAME    # or mariadb:school_NAME, or /tmp/s.sqlite3
    python -m benchmarks.school.generate 100000
    python -m benchmarks.school.generate 1000 --others 5000000     # a needle in a haystack
    python -m benchmarks.school.generate 100000 --without-tenant   # the others: to import into
    python -m benchmarks.school.generate 100000 --label other      # the same integer keys, other
                                                                   # rows: to import with remap

The same words make the same rows, on all three databases; another `--label` makes other values
under the same keys (the tags, which everybody shares, stay).

**Use it**: `python -m benchmarks.school` is its manage.py (settings: `benchmarks.school.settings`).

    python -m benchmarks.school exportobjects school.Organisation.1 -o /tmp/t.jsonl --overwrite
    python -m benchmarks.school deleteobjects school.Organisation.1 --no-archive --no-input
    python -m benchmarks.school importobjects /tmp/t.jsonl                        # back again
    SCHOOL_DATABASE=postgresql:school_other \\
        python -m benchmarks.school importobjects /tmp/t.jsonl --on-conflict remap

**Have it again as it was**, quicker than made anew:

    python -m benchmarks.school.clone postgresql:school_NAME postgresql:school_NAME_run

It replaces the second database by a copy of the first, to which nobody may be connected:
`CREATE DATABASE … TEMPLATE` on PostgreSQL, a copied file on SQLite (name two paths), tables made
anew and `INSERT … SELECT` on MariaDB.
"""
