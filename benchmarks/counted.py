"""How many statements does a program send? `python -m benchmarks.counted FILE VENDOR MODULE …`.

The drivers count, so that nobody goes past: Django's cursors, raw ones and COPY are all theirs. An
`executemany` is one on PostgreSQL and SQLite, and as many as it sends on MariaDB. The file gets the
number. With `BENCH_PLANS` naming a file, that one gets the plans that PostgreSQL made (the caller
switches `auto_explain` on), a plan each time it ran.
"""

from __future__ import annotations

import os
import runpy
import sqlite3
import sqlite3.dbapi2
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_sent = [0]


def _counting(call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*words: Any, **named: Any) -> Any:
        _sent[0] += 1
        return call(*words, **named)

    return counted


def count_postgresql() -> None:
    import psycopg

    for cursor, calls in (
        (psycopg.Cursor, ("execute", "executemany", "copy", "stream")),
        (psycopg.ServerCursor, ("execute",)),
    ):
        for call in calls:
            setattr(cursor, call, _counting(getattr(cursor, call)))
    plans = os.environ.get("BENCH_PLANS")
    if plans:
        _keep_plans(psycopg, plans)


def _keep_plans(driver: Any, plans: str) -> None:
    connect = driver.connect

    def connected(*words: Any, **named: Any) -> Any:
        opened = connect(*words, **named)

        def keep(diagnostic: Any) -> None:
            with Path(plans).open("a", encoding="utf-8") as file:
                file.write(f"{diagnostic.message_primary}\n")

        opened.add_notice_handler(keep)
        return opened

    driver.connect = connected


def count_mariadb() -> None:
    from MySQLdb.cursors import BaseCursor

    BaseCursor._query = _counting(BaseCursor._query)


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        return super().cursor(_counted_cursor(factory))

    def execute(self, *words: Any) -> Any:
        return self.cursor().execute(*words)

    def executemany(self, *words: Any) -> Any:
        return self.cursor().executemany(*words)


_cursors: dict[Any, Any] = {}


def _counted_cursor(factory: Any) -> Any:
    if factory not in _cursors:
        calls = {name: _counting(getattr(factory, name)) for name in ("execute", "executemany")}
        _cursors[factory] = type("Counted", (factory,), calls)
    return _cursors[factory]


def count_sqlite() -> None:
    connect = sqlite3.dbapi2.connect

    def connected(*words: Any, **named: Any) -> Any:
        return connect(*words, **{"factory": _Connection, **named})

    sqlite3.dbapi2.connect = connected  # type: ignore[assignment]
    sqlite3.connect = connected  # type: ignore[assignment]


_COUNTS = {
    "postgresql": count_postgresql,
    "mariadb": count_mariadb,
    "sqlite": count_sqlite,
}


def main() -> None:
    file, vendor, module, *words = sys.argv[1:]
    _COUNTS[vendor]()
    sys.argv = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        Path(file).write_text(str(_sent[0]), "utf-8")


if __name__ == "__main__":
    main()
