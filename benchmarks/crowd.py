"""How does a database come to hold a million rows of other people, under the keys that arrive?

A library is made like the one that is exported, so that all its keys are the same. Then SQL makes
its rows other people's, and multiplies them: a statement for each table.
`python -m benchmarks.crowd COPIES HERE` does it in the branch, which is empty.
"""

from __future__ import annotations

import sys
from io import StringIO
from typing import Any

import django
from django.core.management import call_command
from django.db import connections, transaction

from benchmarks.conflicts import BIG_TABLE

# A value of its own for every row, which no made-up library has.
_OWN = "TRIM(CAST({key} AS char(13)))"
# Other values under the same keys; where one is unique, that of the row that arrives stays free.
# A book's genre needs none: it points at a book that gets a new key.
_OTHER_VALUES = {
    "auth_user": f"username = {_OWN}",
    "demoapp_author": "last_name = 'Other'",
    "demoapp_book": f"isbn = {_OWN}",
    "demoapp_bookinstance": "imprint = 'Other'",
    "demoapp_review": "text = 'Other'",
    "demoapp_note": "text = 'Other'",
}
# The columns that differ from one copy of a row to the next, beside its key.
_MULTIPLIED = {
    "auth_user": {"username": _OWN},
    "demoapp_author": {},
    "demoapp_book": {"isbn": _OWN},
    "demoapp_book_genre": {"book_id": "book_id + n * {books}"},
    "demoapp_bookinstance": {},
    "demoapp_review": {},
    "demoapp_note": {},
}
_NEW_UUID = {
    "sqlite": "LOWER(HEX(RANDOMBLOB(16)))",
    "postgresql": "GEN_RANDOM_UUID()",
    "mysql": "UUID()",
}


def gather(copies: int, here: int) -> None:
    """Fill the branch: the keys of a library of so many copies are taken, and of copies there are
    `here` or some more. The database numbers on from there."""
    # Here, because it brings the models along.
    from demoapp.management.commands.generate import set_sequences

    connection = connections["branch"]
    call_command("generate", database="branch", instances=copies, stdout=StringIO())
    times = -(-here // copies) - 1
    # What points where is right anyway; not to check it saves time where that can be told.
    unchecked = connection.constraint_checks_disabled()
    with unchecked, transaction.atomic(using="branch"), connection.cursor() as cursor:
        for table, assignment in _OTHER_VALUES.items():
            cursor.execute(f"UPDATE {table} SET {assignment.format(key='id')}")
        if times > 0:
            _multiply(cursor, connection, times)
    set_sequences("branch")
    if connection.vendor == "postgresql":
        # What autovacuum would do in a while.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def _multiply(cursor: Any, connection: Any, times: int) -> None:
    """So many more rows for each that is there."""
    tops = {table: _top(cursor, table) for table in _MULTIPLIED if table != BIG_TABLE}
    numbers = f"SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < {times}"
    for table, changed in _MULTIPLIED.items():
        key = _NEW_UUID[connection.vendor] if table == BIG_TABLE else f"id + n * {tops[table]}"
        values = {
            column.name: column.name
            for column in connection.introspection.get_table_description(cursor, table)
        }
        values |= {
            name: sql.format(key=key, books=tops["demoapp_book"]) for name, sql in changed.items()
        }
        values["id"] = key
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(values)})"
            f" WITH RECURSIVE more (n) AS ({numbers})"
            f" SELECT {', '.join(values.values())} FROM {table} CROSS JOIN more"
        )


def _top(cursor: Any, table: str) -> int:
    cursor.execute(f"SELECT MAX(id) FROM {table}")
    return int(cursor.fetchone()[0])


if __name__ == "__main__":
    django.setup()
    gather(int(sys.argv[1]), int(sys.argv[2]))
