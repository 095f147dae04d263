"""What is in a school's database, in a few numbers? Told in SQL, with nothing of Gestore's.

`python -m benchmarks.school.proof DATABASE [SLUG]` prints, as JSON, three fingerprints by table:

- `whole`: of all rows, as they are;
- `own`: of those of the organisation with that slug;
- `natural`: of the same, with every integer key said in other words (an e-mail address, a title),
  so that it is equal wherever the same rows have other keys.

A fingerprint is a number of rows and a sum of a hash of each, so that `whole` less `own` is that of
everybody else, whatever the order.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.school.content import COLUMNS
from benchmarks.school.stores import MariaDB, PostgreSQL, SQLite, store

Fingerprints = dict[str, list[int]]

_SLUG = "here-0"
_SUM_BITS = 1 << 64
_TYPES = "(SELECT id FROM django_content_type WHERE app_label = 'school' AND model = '{}')"


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How the database sums up rows of these expressions, and makes text of keys."""

    summed: Callable[[Sequence[str]], str]
    uuid_text: str
    number_text: str


_POSTGRESQL = _Dialect(
    lambda values: f"SUM(hashtextextended(ROW({', '.join(values)})::text, 0)::numeric)",
    "{}::text",
    "{}::text",
)
_MARIADB = _Dialect(
    lambda values: (
        "SUM(CAST(CONV(LEFT(MD5(CONCAT_WS(',', "
        f"{', '.join(f'QUOTE({value})' for value in values)})), 15), 16, 10) AS UNSIGNED))"
    ),
    "CAST({} AS CHAR)",
    "CAST({} AS CHAR)",
)
_SQLITE = _Dialect(
    lambda values: f"summed({', '.join(values)})",
    "substr({0}, 1, 8) || '-' || substr({0}, 9, 4) || '-' || substr({0}, 13, 4)"
    " || '-' || substr({0}, 17, 4) || '-' || substr({0}, 21)",
    "CAST({} AS TEXT)",
)


class _Sum:
    """The aggregate that SQLite does not have."""

    def __init__(self) -> None:
        self.total = 0

    def step(self, *values: Any) -> None:
        hashed = hashlib.md5(repr(values).encode(), usedforsecurity=False).digest()
        self.total = (self.total + int.from_bytes(hashed[:8], "big")) % _SUM_BITS

    def finalize(self) -> str:
        return str(self.total)


def proof(name: str, slug: str = _SLUG) -> dict[str, Fingerprints]:
    """The three fingerprints of the database of that name."""
    with _connected(name) as (ask, dialect):
        selects = _own(dialect, slug)
        return {
            "whole": _fingerprints(ask, dialect, dict.fromkeys(COLUMNS, "1 = 1")),
            "own": _fingerprints(ask, dialect, selects),
            "natural": _natural(ask, dialect, selects),
        }


@contextmanager
def _connected(name: str) -> Iterator[tuple[Callable[[str], tuple[Any, ...]], _Dialect]]:
    opened = store(name)
    assert isinstance(opened, PostgreSQL | MariaDB | SQLite)
    with opened.connect() as connection:
        cursor = connection.cursor()
        dialect = _MARIADB
        if isinstance(opened, SQLite):
            connection.create_aggregate("summed", -1, _Sum)
            dialect = _SQLITE
        if isinstance(opened, PostgreSQL):
            dialect = _POSTGRESQL

        def ask(statement: str) -> tuple[Any, ...]:
            cursor.execute(statement)
            return tuple(cursor.fetchone())

        yield ask, dialect


def _own(dialect: _Dialect, slug: str) -> dict[str, str]:
    """What is true of the organisation's own rows, by table. Tags are nobody's."""
    organisation = f"(SELECT id FROM school_organisation WHERE slug = '{slug}')"
    users = f"SELECT id FROM school_user WHERE organisation_id = {organisation}"
    courses = f"SELECT id FROM school_course WHERE organisation_id = {organisation}"
    enrolments = f"SELECT id FROM school_enrolment WHERE user_id IN ({users})"
    enrolments += f" UNION SELECT id FROM school_enrolment WHERE course_id IN ({courses})"
    submissions = f"SELECT id FROM school_submission WHERE enrolment_id IN ({enrolments})"
    on_submissions = dialect.uuid_text.format("k.id")
    on_courses = dialect.number_text.format("k.id")
    comments = (
        f"SELECT id FROM school_comment WHERE author_id IN ({users})"
        " UNION SELECT id FROM school_comment"
        f" WHERE content_type_id = {_TYPES.format('submission')}"
        f" AND object_id IN (SELECT {on_submissions} FROM ({submissions}) k)"
        f" UNION SELECT id FROM school_comment WHERE content_type_id = {_TYPES.format('course')}"
        f" AND object_id IN (SELECT {on_courses} FROM ({courses}) k)"
    )
    return {
        "school_organisation": f"t.slug = '{slug}'",
        "school_user": f"t.organisation_id = {organisation}",
        "school_topic": f"t.organisation_id = {organisation}",
        "school_course": f"t.organisation_id = {organisation}",
        "school_course_tags": f"t.course_id IN ({courses})",
        # Wrapped: MariaDB would ask the inner selects anew for every row.
        "school_enrolment": f"t.id IN (SELECT id FROM ({enrolments}) w)",
        "school_submission": f"t.id IN (SELECT id FROM ({submissions}) w)",
        "school_comment": f"t.id IN (SELECT id FROM ({comments}) w)",
    }


def _fingerprints(
    ask: Callable[[str], tuple[Any, ...]], dialect: _Dialect, conditions: Mapping[str, str]
) -> Fingerprints:
    return {
        table: _asked(
            ask,
            f"SELECT COUNT(*), {dialect.summed([f't.{name}' for name in COLUMNS[table].split()])}"
            f" FROM {table} t WHERE {condition}",
        )
        for table, condition in conditions.items()
    }


def _asked(ask: Callable[[str], tuple[Any, ...]], statement: str) -> list[int]:
    count, total = ask(statement)
    return [int(count), int(total or 0)]


# Each table's values without an integer key, and the tables that say its pointers in words.
_WORDS = {
    "school_organisation": (
        "t.name t.slug t.settings t.created_at u.email",
        "LEFT JOIN school_user u ON u.id = t.owner_id",
    ),
    "school_user": (
        "o.slug t.email t.name t.is_active t.joined_at",
        "JOIN school_organisation o ON o.id = t.organisation_id",
    ),
    "school_topic": (
        "o.slug p.title t.title t.position",
        (
            "JOIN school_organisation o ON o.id = t.organisation_id"
            " LEFT JOIN school_topic p ON p.id = t.parent_id"
        ),
    ),
    "school_course": (
        "o.slug u.email t.title t.description t.price t.starts_on",
        (
            "JOIN school_organisation o ON o.id = t.organisation_id"
            " LEFT JOIN school_user u ON u.id = t.lead_id"
        ),
    ),
    "school_course_tags": (
        "c.title g.name",
        "JOIN school_course c ON c.id = t.course_id JOIN school_tag g ON g.id = t.tag_id",
    ),
    "school_enrolment": (
        "u.email c.title t.latest_submission_id t.status t.grade t.enrolled_at",
        "JOIN school_user u ON u.id = t.user_id JOIN school_course c ON c.id = t.course_id",
    ),
    "school_submission": (
        (
            "t.id u.email c.title p.title r.email t.title t.body t.answers t.score t.weight"
            " t.attempt t.state t.is_late t.time_spent t.due_on t.submitted_at t.reviewed_at"
        ),
        (
            "JOIN school_enrolment e ON e.id = t.enrolment_id"
            " JOIN school_user u ON u.id = e.user_id JOIN school_course c ON c.id = e.course_id"
            " LEFT JOIN school_topic p ON p.id = t.topic_id"
            " LEFT JOIN school_user r ON r.id = t.reviewer_id"
        ),
    ),
}


def _natural(
    ask: Callable[[str], tuple[Any, ...]], dialect: _Dialect, conditions: Mapping[str, str]
) -> Fingerprints:
    found = {
        table: _asked(
            ask,
            f"SELECT COUNT(*), {dialect.summed(words.split())} FROM {table} t {joins}"
            f" WHERE {conditions[table]}",
        )
        for table, (words, joins) in _WORDS.items()
    }
    values = ["m.model", "t.text", "t.created_at", "a.email"]
    joins = (
        "JOIN django_content_type m ON m.id = t.content_type_id"
        " LEFT JOIN school_user a ON a.id = t.author_id"
    )
    kept = conditions["school_comment"]
    found["comments on submissions"] = _asked(
        ask,
        f"SELECT COUNT(*), {dialect.summed([*values, 't.object_id'])} FROM school_comment t {joins}"
        f" WHERE m.model = 'submission' AND {kept}",
    )
    key = dialect.number_text.format("c.id")
    found["comments on courses"] = _asked(
        ask,
        f"SELECT COUNT(*), {dialect.summed([*values, 'c.title'])} FROM school_comment t {joins}"
        f" JOIN school_course c ON t.object_id = {key} WHERE m.model = 'course' AND {kept}",
    )
    return found


if __name__ == "__main__":
    print(json.dumps(proof(*sys.argv[1:])))
