"""What has to be done around the measured commands, in a process that has Django in it.

`python -m benchmarks.chores CHORE …` prints its answer as JSON.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import metadata
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connections

from benchmarks import belongings

# Databases -----------------------------------------------------------------------------------


def prepare(copies: str) -> None:
    """Make the library, with that many copies of its books."""
    _create("default")
    call_command("generate", instances=int(copies), stdout=StringIO())


def empty() -> None:
    """Make the branch anew, with tables and nothing in them."""
    _create("branch")


def drop() -> None:
    """Remove both databases."""
    for alias in settings.DATABASES:
        _drop(alias)


def _create(alias: str) -> None:
    _drop(alias)
    _administer(alias, "CREATE DATABASE {}")
    call_command("migrate", database=alias, verbosity=0)


def _drop(alias: str) -> None:
    connection = connections[alias]
    connection.close()
    if connection.vendor == "sqlite":
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{connection.settings_dict['NAME']}{suffix}").unlink(missing_ok=True)
    else:
        _administer(alias, "DROP DATABASE IF EXISTS {}")


def _administer(alias: str, statement: str) -> None:
    connection = connections[alias]
    if connection.vendor != "sqlite":
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        with connection._nodb_cursor() as cursor:
            cursor.execute(statement.format(name))


# Looking ----------------------------------------------------------------------------------------


def counts() -> dict[str, dict[str, int]]:
    """Rows by table: those that have to be at the branch, and those that are."""
    with connections["default"].cursor() as cursor:
        expected = belongings.expected(cursor)
    with connections["branch"].cursor() as cursor:
        return {"expected": expected, "found": belongings.found(cursor)}


def library() -> dict[str, dict[str, int]]:
    """Rows of the library by table: those that go when the language is deleted, and all."""
    with connections["default"].cursor() as cursor:
        return {"going": belongings.going(cursor), "found": belongings.found(cursor)}


def statements(alias: str, command: str, *words: str) -> int:
    """How many statements a command sends to the database; an executemany is one."""
    sent = 0

    def count(execute: Callable[..., Any], *call: Any) -> Any:
        nonlocal sent
        sent += 1
        return execute(*call)

    connection = connections[alias]
    copies = _counted_copies if connection.vendor == "postgresql" else nullcontext
    with connection.execute_wrapper(count), copies() as copied:
        call_command(command, *words, stdout=StringIO(), stderr=StringIO())
    return sent + sum(copied or ())


@contextmanager
def _counted_copies() -> Iterator[list[int]]:
    """A list with a 1 for each COPY of PostgreSQL's, which goes past Django's wrappers."""
    from psycopg import Cursor

    copied: list[int] = []
    copy = Cursor.copy

    def counted(*call: Any, **named: Any) -> Any:
        copied.append(1)
        return copy(*call, **named)

    with mock.patch.object(Cursor, "copy", counted):
        yield copied


def versions() -> dict[str, str]:
    """What the figures were taken with."""
    connection = connections["default"]
    numbers = ".".join(map(str, connection.get_database_version()))
    drivers = {"postgresql": "psycopg", "mysql": "mysqlclient"}
    driver = drivers.get(connection.vendor)
    return {
        "Python": platform.python_version(),
        "Django": django.get_version(),
        connection.display_name: numbers,
        **({driver: metadata.version(driver)} if driver else {}),
    }


CHORES: dict[str, Callable[..., Any]] = {
    chore.__name__: chore for chore in (prepare, empty, drop, counts, library, statements, versions)
}


if __name__ == "__main__":
    django.setup()
    print(json.dumps(CHORES[sys.argv[1]](*sys.argv[2:])))
