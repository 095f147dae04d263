"""How fast can PostgreSQL give away, take in and remove a tenant? COPY, COPY and a few DELETEs.

`python -m benchmarks.limit.postgresql export|export-json|import|delete NAME [FOLDER]`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psycopg

from benchmarks.school.content import COLUMNS

_TENANT = "here-0"
_ORGANISATION = f"(SELECT id FROM school_organisation WHERE slug = '{_TENANT}')"
_OF_USER = f"JOIN school_user u ON u.id = {{}}.user_id AND u.organisation_id = {_ORGANISATION}"
_SUBMISSIONS = (
    f"school_submission t JOIN school_enrolment e ON e.id = t.enrolment_id {_OF_USER.format('e')}"
)
_COURSES = f"school_course t WHERE t.organisation_id = {_ORGANISATION}"


def _type(model: str) -> str:
    return f"(SELECT id FROM django_content_type WHERE app_label = 'school' AND model = '{model}')"


# By the author, and by either thing that is commented on: three in ten have no author.
_COMMENT_IDS = (
    "SELECT c.id FROM school_comment c JOIN school_user u ON u.id = c.author_id"
    f" AND u.organisation_id = {_ORGANISATION}"
    f" UNION SELECT c.id FROM school_comment c JOIN (SELECT t.id::text AS id FROM {_SUBMISSIONS}) s"
    f" ON c.content_type_id = {_type('submission')} AND c.object_id = s.id"
    f" UNION SELECT c.id FROM school_comment c JOIN (SELECT t.id::text AS id FROM {_COURSES}) k"
    f" ON c.content_type_id = {_type('course')} AND c.object_id = k.id"
)
_ROWS = {
    "school_tag": (
        "SELECT * FROM school_tag WHERE id IN (SELECT x.tag_id FROM school_course_tags x"
        f" JOIN {_COURSES.replace(' WHERE', ' ON t.id = x.course_id AND', 1)})"
    ),
    "school_organisation": f"SELECT * FROM school_organisation WHERE slug = '{_TENANT}'",
    "school_user": f"SELECT * FROM school_user WHERE organisation_id = {_ORGANISATION}",
    "school_topic": f"SELECT * FROM school_topic WHERE organisation_id = {_ORGANISATION}",
    "school_course": f"SELECT * FROM {_COURSES}",
    "school_course_tags": (
        "SELECT x.* FROM school_course_tags x"
        f" JOIN {_COURSES.replace(' WHERE', ' ON t.id = x.course_id AND', 1)}"
    ),
    "school_enrolment": f"SELECT t.* FROM school_enrolment t {_OF_USER.format('t')}",
    "school_submission": f"SELECT t.* FROM {_SUBMISSIONS}",
    "school_comment": f"SELECT * FROM school_comment WHERE id IN ({_COMMENT_IDS})",
}
_DELETES = (
    f"DELETE FROM school_comment WHERE id IN ({_COMMENT_IDS})",
    (
        "DELETE FROM school_submission s USING school_enrolment e, school_user u"
        f" WHERE e.id = s.enrolment_id AND u.id = e.user_id AND u.organisation_id = {_ORGANISATION}"
    ),
    (
        "DELETE FROM school_enrolment e USING school_user u"
        f" WHERE u.id = e.user_id AND u.organisation_id = {_ORGANISATION}"
    ),
    (
        "DELETE FROM school_course_tags x USING school_course k"
        f" WHERE k.id = x.course_id AND k.organisation_id = {_ORGANISATION}"
    ),
    f"DELETE FROM school_course WHERE organisation_id = {_ORGANISATION}",
    f"DELETE FROM school_topic WHERE organisation_id = {_ORGANISATION}",
    f"DELETE FROM school_user WHERE organisation_id = {_ORGANISATION}",
    f"DELETE FROM school_organisation WHERE slug = '{_TENANT}'",
)
_BLOCK = 1 << 16


def _connect(name: str) -> psycopg.Connection:
    return psycopg.connect(
        host=os.environ.get("PGHOST", "127.0.0.1"),
        port=os.environ.get("PGPORT", "5432"),
        user=os.environ.get("PGUSER", "postgres"),
        password=os.environ.get("PGPASSWORD", ""),
        dbname=name,
    )


def export(name: str, folder: Path, *, as_json: bool = False) -> None:
    with _connect(name) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        cursor = connection.cursor()
        for table, rows in _ROWS.items():
            copied = f"COPY ({rows}) TO STDOUT"
            if as_json:
                # Neither character is ever in JSON, so each row is a line as it stands.
                made = f"SELECT row_to_json(r) FROM ({rows}) r"
                copied = f"COPY ({made}) TO STDOUT (FORMAT csv, QUOTE e'\\x01', DELIMITER e'\\x02')"
            with (folder / table).open("wb") as file, cursor.copy(copied) as copy:
                for line in copy:
                    file.write(line)


def load(name: str, folder: Path) -> None:
    with _connect(name) as connection:
        cursor = connection.cursor()
        for table in COLUMNS:
            if table == "school_tag":
                continue
            copied = f"COPY {table} FROM STDIN"
            with (folder / table).open("rb") as file, cursor.copy(copied) as copy:
                while block := file.read(_BLOCK):
                    copy.write(block)
            if table != "school_submission":
                cursor.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), MAX(id)) FROM {table}"
                )


def delete(name: str) -> None:
    with _connect(name) as connection:
        for statement in _DELETES:
            connection.execute(statement)


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
