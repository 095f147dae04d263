"""How fast can SQLite give away, take in and remove a tenant? A plain cursor and `executemany`.

`python -m benchmarks.limit.sqlite export|export-json|import|delete PATH [FOLDER]`.
"""

from __future__ import annotations

import csv
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from benchmarks.limit import rows
from benchmarks.school.content import COLUMNS

_UUID_TEXT = (
    "substr(id, 1, 8) || '-' || substr(id, 9, 4) || '-' || substr(id, 13, 4)"
    " || '-' || substr(id, 17, 4) || '-' || substr(id, 21)"
)
_IDS = rows.ids(_UUID_TEXT, "CAST(id AS TEXT)")
# No value of the school's is this.
_NULL = "\\N"


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def export(path: str, folder: Path) -> None:
    with closing(_connect(path)) as connection:
        connection.execute("BEGIN")
        for table, keys in _IDS.items():
            columns = ", ".join(f"ifnull({name}, '{_NULL}')" for name in COLUMNS[table].split())
            found = connection.execute(f"SELECT {columns} FROM {table} WHERE id IN ({keys})")
            with (folder / table).open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(found)


def export_json(path: str, folder: Path) -> None:
    with closing(_connect(path)) as connection:
        connection.execute("BEGIN")
        for table, keys in _IDS.items():
            columns = ", ".join(COLUMNS[table].split())
            found = connection.execute(
                f"SELECT json_array({columns}) || char(10) FROM {table} WHERE id IN ({keys})"
            )
            with (folder / table).open("w", encoding="utf-8", newline="") as file:
                file.writelines(line for (line,) in found)


def load(path: str, folder: Path) -> None:
    with closing(_connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for table, columns in COLUMNS.items():
            if table == "school_tag":
                continue
            places = ", ".join([f"nullif(?, '{_NULL}')"] * len(columns.split()))
            with (folder / table).open(encoding="utf-8", newline="") as file:
                connection.executemany(
                    f"INSERT INTO {table} ({', '.join(columns.split())}) VALUES ({places})",
                    csv.reader(file),
                )
        connection.execute("COMMIT")


def delete(path: str) -> None:
    with closing(_connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for table in reversed(_IDS):
            if table != "school_tag":
                connection.execute(f"DELETE FROM {table} WHERE id IN ({_IDS[table]})")
        connection.execute("COMMIT")


def main() -> int:
    what, path, *folder = sys.argv[1:]
    if what == "delete":
        delete(path)
    else:
        made = {"import": load, "export": export, "export-json": export_json}[what]
        made(path, Path(folder[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
