"""How do many rows get into a database at once? Made anew, filled, with statistics up to date.

Past Django, and with the checks of foreign keys off: the generator points at what it makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from benchmarks.school.content import COLUMNS, Notation, Row

_BATCH = 5_000


def _hyphened(made: str) -> str:
    return f"{made[:8]}-{made[8:12]}-{made[12:16]}-{made[16:20]}-{made[20:]}"


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def _days_and_microseconds(microseconds: int) -> str:
    # As Django writes it: PostgreSQL tells 24 hours from a day.
    days, rest = divmod(microseconds, 86_400 * 10**6)
    return f"{days} days {rest} microseconds"


class Store(Protocol):
    """One database by its name."""

    notation: Notation

    def create(self) -> None:
        """An empty database of that name, in place of one that may be there."""

    def drop(self) -> None: ...

    def clone(self, name: str) -> None:
        """A database of that name that is as this one."""

    def content_types(self) -> dict[str, int]:
        """The school's content types: name of the model to number."""

    def fill(self, tables: Iterable[tuple[str, Iterable[Row]]]) -> dict[str, int]:
        """Rows written, by table."""


def store(value: str) -> Store:
    """The store of that name: `postgresql:NAME`, `mariadb:NAME` or the path of an SQLite file."""
    kind, colon, name = value.partition(":")
    if colon and kind == "postgresql":
        return PostgreSQL(name)
    if colon and kind == "mariadb":
        return MariaDB(name)
    return SQLite(value)


_CONTENT_TYPES = "SELECT model, id FROM django_content_type WHERE app_label = 'school'"


class PostgreSQL:
    notation = Notation(
        uuid=_hyphened,
        moment=lambda moment: f"{_stamp(moment)}+00",
        duration=_days_and_microseconds,
        false="f",
        true="t",
    )

    def __init__(self, name: str) -> None:
        self._name = name

    def connect(self, name: str | None = None) -> Any:
        import psycopg

        from benchmarks.school.settings import postgresql

        known = postgresql(name or self._name)
        return psycopg.connect(
            host=known["HOST"],
            port=known["PORT"],
            user=known["USER"],
            password=known["PASSWORD"],
            dbname=known["NAME"],
            autocommit=True,
        )

    def create(self) -> None:
        self.drop()
        with self.connect("postgres") as connection:
            connection.execute(f'CREATE DATABASE "{self._name}"')

    def drop(self) -> None:
        with self.connect("postgres") as connection:
            # A run that broke off may have left a program behind.
            connection.execute(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)')

    def clone(self, name: str) -> None:
        with self.connect("postgres") as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}"')
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{self._name}"')

    def content_types(self) -> dict[str, int]:
        with self.connect() as connection:
            return dict(connection.execute(_CONTENT_TYPES).fetchall())

    def fill(self, tables: Iterable[tuple[str, Iterable[Row]]]) -> dict[str, int]:
        counts = {}
        with self.connect() as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("SET synchronous_commit = off")
            for table, rows in tables:
                counts[table] = self._copy(connection, table, rows)
                if table != "school_submission":
                    connection.execute(
                        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), MAX(id))"
                        f" FROM {table}"
                    )
            connection.execute("VACUUM ANALYZE")
        return counts

    def _copy(self, connection: Any, table: str, rows: Iterable[Row]) -> int:
        columns, count = ", ".join(COLUMNS[table].split()), 0
        with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
                count += 1
        return count


class MariaDB:
    notation = Notation(
        uuid=_hyphened,
        moment=_stamp,
        duration=lambda microseconds: microseconds,
        false=0,
        true=1,
    )

    def __init__(self, name: str) -> None:
        self._name = name

    @contextmanager
    def connect(self, name: str | None = None) -> Iterator[Any]:
        import MySQLdb

        from benchmarks.school.settings import mariadb

        known = mariadb(self._name)
        connection = MySQLdb.connect(
            host=known["HOST"],
            port=int(known["PORT"]),
            user=known["USER"],
            password=known["PASSWORD"],
            database=self._name if name is None else name,
            charset="utf8mb4",
        )
        try:
            yield connection
        finally:
            connection.close()

    def create(self) -> None:
        self.drop()
        with self.connect("") as connection:
            connection.cursor().execute(f"CREATE DATABASE `{self._name}` CHARACTER SET utf8mb4")

    def drop(self) -> None:
        with self.connect("") as connection:
            connection.cursor().execute(f"DROP DATABASE IF EXISTS `{self._name}`")

    def clone(self, name: str) -> None:
        MariaDB(name).create()
        with self.connect() as connection:
            cursor = connection.cursor()
            cursor.execute("SET foreign_key_checks = 0, unique_checks = 0")
            cursor.execute("SHOW TABLES")
            tables = [table for (table,) in cursor.fetchall()]
            makings = []
            for table in tables:
                cursor.execute(f"SHOW CREATE TABLE `{table}`")
                makings.append(cursor.fetchone()[1])
            cursor.execute(f"USE `{name}`")
            # CREATE TABLE … LIKE would lose the foreign keys.
            for making in makings:
                cursor.execute(making)
            for table in tables:
                cursor.execute(f"INSERT INTO `{table}` SELECT * FROM `{self._name}`.`{table}`")
                connection.commit()
            _analyze(cursor, tables)

    def content_types(self) -> dict[str, int]:
        with self.connect() as connection:
            cursor = connection.cursor()
            cursor.execute(_CONTENT_TYPES)
            return dict(cursor.fetchall())

    def fill(self, tables: Iterable[tuple[str, Iterable[Row]]]) -> dict[str, int]:
        counts = {}
        with self.connect() as connection:
            cursor = connection.cursor()
            cursor.execute("SET foreign_key_checks = 0, unique_checks = 0")
            for table, rows in tables:
                # A clustered table is filled in the order of its key, or its pages are torn.
                ordered = sorted(rows) if table == "school_submission" else rows
                counts[table] = _insert(cursor, table, "%s", ordered)
                connection.commit()
            _analyze(cursor, list(counts))
        return counts


def _analyze(cursor: Any, tables: Iterable[str]) -> None:
    for table in tables:
        cursor.execute(f"ANALYZE TABLE `{table}`")
        cursor.fetchall()


class SQLite:
    notation = Notation(
        uuid=lambda made: made,
        moment=_stamp,
        duration=lambda microseconds: microseconds,
        false=0,
        true=1,
    )

    def __init__(self, name: str) -> None:
        self._name = name

    @contextmanager
    def connect(self) -> Iterator[Any]:
        import sqlite3

        connection = sqlite3.connect(self._name, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()

    def create(self) -> None:
        self.drop()

    def drop(self) -> None:
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{self._name}{suffix}").unlink(missing_ok=True)

    def clone(self, name: str) -> None:
        import shutil

        SQLite(name).drop()
        shutil.copyfile(self._name, name)

    def content_types(self) -> dict[str, int]:
        with self.connect() as connection:
            return dict(connection.execute(_CONTENT_TYPES).fetchall())

    def fill(self, tables: Iterable[tuple[str, Iterable[Row]]]) -> dict[str, int]:
        with self.connect() as connection:
            cursor = connection.cursor()
            for setting in ("foreign_keys = OFF", "synchronous = OFF", "journal_mode = MEMORY"):
                cursor.execute(f"PRAGMA {setting}")
            cursor.execute("BEGIN")
            counts = {table: _insert(cursor, table, "?", rows) for table, rows in tables}
            cursor.execute("COMMIT")
            cursor.execute("PRAGMA journal_mode = DELETE")
            cursor.execute("ANALYZE")
        return counts


def _insert(cursor: Any, table: str, place: str, rows: Iterable[Row]) -> int:
    columns = COLUMNS[table].split()
    places = ", ".join([place] * len(columns))
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"
    left, count = iter(rows), 0
    while batch := list(islice(left, _BATCH)):
        cursor.executemany(statement, batch)
        count += len(batch)
    return count
