"""How fast can MariaDB give away, take in and remove a tenant? With its fastest statements.

An unbuffered cursor, `LOAD DATA LOCAL` where the server allows it, else multi-VALUES, and DELETEs.

`python -m benchmarks.limit.mariadb export|export-json|import|delete NAME [FOLDER]`.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import MySQLdb
from MySQLdb.cursors import SSCursor

from benchmarks.limit import rows
from benchmarks.school.content import COLUMNS

_IDS = rows.ids("CAST(id AS CHAR)", "CAST(id AS CHAR)")
_TENANT = f"(SELECT id FROM school_organisation WHERE slug = '{rows.TENANT}')"
# Their pointers lead to rows that come later, and this database checks at once.
_CIRCULAR = {"school_organisation", "school_topic", "school_enrolment"}
_DELETES = (
    f"DELETE c FROM school_comment c JOIN ({_IDS['school_comment']}) k ON k.id = c.id",
    (
        "UPDATE school_enrolment e JOIN school_user u ON u.id = e.user_id"
        f" SET e.latest_submission_id = NULL WHERE u.organisation_id = {_TENANT}"
    ),
    (
        "DELETE s FROM school_submission s JOIN school_enrolment e ON e.id = s.enrolment_id"
        f" JOIN school_user u ON u.id = e.user_id WHERE u.organisation_id = {_TENANT}"
    ),
    (
        "DELETE e FROM school_enrolment e JOIN school_user u ON u.id = e.user_id"
        f" WHERE u.organisation_id = {_TENANT}"
    ),
    (
        "DELETE x FROM school_course_tags x JOIN school_course k ON k.id = x.course_id"
        f" WHERE k.organisation_id = {_TENANT}"
    ),
    f"DELETE FROM school_course WHERE organisation_id = {_TENANT}",
    f"UPDATE school_topic SET parent_id = NULL WHERE organisation_id = {_TENANT}",
    f"DELETE FROM school_topic WHERE organisation_id = {_TENANT}",
    f"UPDATE school_organisation SET owner_id = NULL WHERE slug = '{rows.TENANT}'",
    f"DELETE FROM school_user WHERE organisation_id = {_TENANT}",
    f"DELETE FROM school_organisation WHERE slug = '{rows.TENANT}'",
)
_BATCH = 1_000
# As text, so that nothing is made of a value that is only written.
_AS_TEXT: dict[int, Any] = {}


class _Null:
    """A NULL as LOAD DATA reads it: the bare word. For csv a number, so without quotes."""

    def __float__(self) -> float:
        return 0.0

    def __str__(self) -> str:
        return "NULL"


def _connect(name: str) -> Any:
    return MySQLdb.connect(
        host=os.environ.get("MYSQL_HOST", "127.0.0.1"),
        port=int(os.environ.get("MYSQL_TCP_PORT", "3306")),
        user=os.environ.get("MYSQL_USER", "root"),
        password=os.environ.get("MYSQL_PWD", ""),
        database=name,
        charset="utf8mb4",
        local_infile=True,
        conv=_AS_TEXT,
    )


def _rows(connection: Any, table: str) -> Iterator[tuple[Any, ...]]:
    cursor = connection.cursor(SSCursor)
    columns = ", ".join(f"t.{name}" for name in COLUMNS[table].split())
    cursor.execute(
        f"SELECT {columns} FROM {table} t JOIN ({_IDS[table]}) k"
        f" ON k.{'tag_id' if table == 'school_tag' else 'id'} = t.id"
    )
    while batch := cursor.fetchmany(_BATCH):
        yield from batch
    cursor.close()


def export(name: str, folder: Path, *, as_json: bool = False) -> None:
    with closing(_connect(name)) as connection:
        connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        for table in _IDS:
            found = _rows(connection, table)
            with (folder / table).open("w", encoding="utf-8", newline="") as file:
                if as_json:
                    encode = json.JSONEncoder(ensure_ascii=False, default=_text).encode
                    file.writelines(f"{encode(row)}\n" for row in found)
                else:
                    write = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
                    null = _Null()
                    write.writerows(
                        [null if value is None else _text(value) for value in row] for row in found
                    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value  # type: ignore[no-any-return]


def load(name: str, folder: Path) -> None:
    with closing(_connect(name)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT @@local_infile")
        read = _load_data if int(cursor.fetchone()[0]) else _insert
        cursor.execute("START TRANSACTION")
        for table in COLUMNS:
            if table == "school_tag":
                continue
            cursor.execute(f"SET foreign_key_checks = {int(table not in _CIRCULAR)}")
            read(cursor, table, folder / table)
        connection.commit()


def _load_data(cursor: Any, table: str, file: Path) -> None:
    cursor.execute(
        f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE {table} CHARACTER SET utf8mb4"
        " FIELDS TERMINATED BY ',' ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n'"
        f" ({', '.join(COLUMNS[table].split())})"
    )


def _insert(cursor: Any, table: str, file: Path) -> None:
    columns = COLUMNS[table].split()
    places = ", ".join(["NULLIF(%s, 'NULL')"] * len(columns))
    with file.open(encoding="utf-8", newline="") as lines:
        read = csv.reader(lines)
        while batch := list(islice(read, _BATCH)):
            cursor.executemany(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", batch
            )


def delete(name: str) -> None:
    with closing(_connect(name)) as connection:
        cursor = connection.cursor()
        cursor.execute("START TRANSACTION")
        for statement in _DELETES:
            cursor.execute(statement)
        connection.commit()


def main() -> int:
    what, name, *folder = sys.argv[1:]
    if what == "delete":
        delete(name)
    elif what == "import":
        load(name, Path(folder[0]))
    else:
        export(name, Path(folder[0]), as_json=what == "export-json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
