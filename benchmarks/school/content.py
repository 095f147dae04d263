"""What do the rows of the school platform say? The same for the same label, whatever the database.

Rows are tuples in the order of `COLUMNS`. How a database writes a UUID, a moment, a duration or a
truth is its `Notation`; everything else is text and numbers alike everywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random

from benchmarks.school.layout import TAGS, TAGS_PER_COURSE, TENANT, Layout

Value = str | int | None
Row = tuple[Value, ...]

COLUMNS = {
    "school_tag": "id name",
    "school_organisation": "id name slug owner_id settings created_at",
    "school_user": "id organisation_id email name is_active joined_at",
    "school_topic": "id organisation_id parent_id title position",
    "school_course": "id organisation_id lead_id title description price starts_on",
    "school_course_tags": "id course_id tag_id",
    "school_enrolment": "id user_id course_id latest_submission_id status grade enrolled_at",
    "school_submission": (
        "id enrolment_id topic_id reviewer_id title body answers score weight attempt state is_late"
        " time_spent due_on submitted_at reviewed_at"
    ),
    "school_comment": "id content_type_id object_id author_id text created_at",
}
# Split at blanks alone: a tab and a line break stay in their words.
_TEXT = (
    "the river under glass every seventh answer she wrote «perché» was über 'quoted' and "
    '"double" path\\to\\file naïve café 学校 данные emoji🙂 a,b;c tab\there line\nbreak percent% '
    "under_score photosynthesis hypothesis therefore maybe reading mathematics history of small "
    "machines"
)
_WORDS = _TEXT.split(" ")
_STATES = ("draft", "submitted", "graded", "returned")
_POOL = 997


@dataclass(frozen=True, slots=True)
class Notation:
    """How one database writes what the three write differently."""

    uuid: Callable[[str], str]
    moment: Callable[[datetime], str]
    duration: Callable[[int], Value]
    false: Value
    true: Value


@dataclass(frozen=True, slots=True)
class Pools:
    """Values made once and used again and again."""

    bodies: Sequence[str]
    comments: Sequence[str]
    answers: Sequence[str]
    moments: Sequence[str]
    days: Sequence[str]
    durations: Sequence[Value]


def pools(label: str, notation: Notation) -> Pools:
    random = Random(f"content of {label}")

    def text(least: int, most: int) -> str:
        length, said = random.randint(least, most), ""
        while len(said.encode()) < length:
            said += random.choice(_WORDS) + " "
        return said

    def answers(number: int) -> str:
        marks = [random.randint(0, 100) / 4 for _ in range(3)]
        said = {"q1": text(5, 30), "marks": marks, "ok": number % 2 == 0, "note": None}
        return json.dumps(said)

    began = datetime(2021, 9, 1, 8, tzinfo=UTC)
    moments = [
        began + timedelta(seconds=random.randint(0, 10**8), microseconds=random.randint(0, 999_999))
        for _ in range(_POOL)
    ]
    return Pools(
        [text(150, 290) for _ in range(_POOL)],
        [text(30, 120) for _ in range(_POOL)],
        [answers(number) for number in range(_POOL)],
        [notation.moment(moment) for moment in moments],
        [str(date(2022, 1, 1) + timedelta(days=number % 900)) for number in range(_POOL)],
        [notation.duration(random.randint(1, 10**11)) for _ in range(_POOL)],
    )


@dataclass(frozen=True, slots=True)
class School:
    """All rows, table by table, in an order that has nothing to do with whose they are."""

    layout: Layout
    label: str
    notation: Notation
    pools: Pools
    content_types: dict[str, int]
    with_tenant: bool

    def tables(self) -> Iterator[tuple[str, Iterator[Row]]]:
        rows = {
            "school_tag": self._tags,
            "school_organisation": self._organisations,
            "school_user": self._users,
            "school_topic": self._topics,
            "school_course": self._courses,
            "school_course_tags": self._course_tags,
            "school_enrolment": self._enrolments,
            "school_submission": self._submissions,
            "school_comment": self._comments,
        }
        for table, made in rows.items():
            yield table, made()

    def _of(self, table: str) -> Iterator[tuple[int, int, int]]:
        """Key, organisation and number within it, of each row of the table."""
        numbers = [0] * self.layout.organisations
        for key, owner in enumerate(self.layout.owners[table], 1):
            number = numbers[owner]
            numbers[owner] += 1
            if self.with_tenant or owner != TENANT:
                yield key, owner, number

    def _uuid(self, key: int) -> str:
        made = hashlib.md5(f"{self.label} {key}".encode(), usedforsecurity=False).hexdigest()
        # Of version 4: MariaDB takes no others apart from those that exist.
        return self.notation.uuid(f"{made[:12]}4{made[13:16]}a{made[17:]}")

    def _tags(self) -> Iterator[Row]:
        return ((key, f"tag {key}") for key in range(1, TAGS + 1))

    def _organisations(self) -> Iterator[Row]:
        users = self.layout.keys["user"]
        for owner in range(0 if self.with_tenant else 1, self.layout.organisations):
            settings = json.dumps({"of": self.label, "number": owner, "colours": ["red", None]})
            moment = self.pools.moments[owner % _POOL]
            name = f"Schule «{self.label}» {owner}"
            yield (
                owner + 1,
                name,
                f"{self.label}-{owner}",
                users[owner][owner % 12],
                settings,
                moment,
            )

    def _users(self) -> Iterator[Row]:
        moments, notation = self.pools.moments, self.notation
        for key, owner, number in self._of("user"):
            yield (
                key,
                owner + 1,
                f"{number}@{self.label}-{owner}.example",
                f"O'Neill {number} ü",
                notation.false if number % 9 == 0 else notation.true,
                moments[key % _POOL],
            )

    def _topics(self) -> Iterator[Row]:
        for key, owner, number in self._of("topic"):
            keys = self.layout.keys["topic"][owner]
            later = number % 17 == 5 and number + 1 < len(keys)
            parent = keys[number + 1] if later else keys[(number - 1) // 3] if number else None
            yield key, owner + 1, parent, f"Topic {number} of {self.label}", number % 40

    def _courses(self) -> Iterator[Row]:
        users, bodies, days = self.layout.keys["user"], self.pools.bodies, self.pools.days
        for key, owner, number in self._of("course"):
            lead = users[owner][number * 5 % len(users[owner])] if number % 8 else None
            price = f"{key * 37 % 99_999}.{key % 100:02}"
            title = f"Course {number} of {self.label}"
            yield key, owner + 1, lead, title, bodies[key % _POOL], price, days[key % _POOL]

    def _course_tags(self) -> Iterator[Row]:
        for key, _, _ in self._of("course"):
            first = (key - 1) * TAGS_PER_COURSE
            for place in range(TAGS_PER_COURSE):
                yield first + place + 1, key, 1 + (key * 7 + place * 19) % TAGS

    def _enrolments(self) -> Iterator[Row]:
        keys, moments = self.layout.keys, self.pools.moments
        for key, owner, number in self._of("enrolment"):
            users, courses = keys["user"][owner], keys["course"][owner]
            submissions, enrolments = keys["submission"][owner], len(keys["enrolment"][owner])
            rounds = (len(submissions) - 1 - number) // enrolments
            latest = number + rounds * enrolments
            yield (
                key,
                users[number % len(users)],
                courses[(number // len(users) + number) % len(courses)],
                self._uuid(submissions[latest]) if rounds >= 0 and number % 10 else None,
                _STATES[number % 4],
                f"{number % 100}.{key % 100:02}" if number % 3 else None,
                moments[key * 3 % _POOL],
            )

    def _submissions(self) -> Iterator[Row]:
        keys, pools, notation = self.layout.keys, self.pools, self.notation
        for key, owner, number in self._of("submission"):
            users, topics, enrolments = (keys[t][owner] for t in ("user", "topic", "enrolment"))
            graded = number % 4 > 1
            yield (
                self._uuid(key),
                enrolments[number % len(enrolments)],
                topics[number * 11 % len(topics)] if number % 5 else None,
                users[number * 13 % len(users)] if graded else None,
                f"Essay {number} — {self.label}",
                f"{pools.bodies[key % _POOL]}{key}",
                pools.answers[key % _POOL],
                f"{number % 1000}.{key % 100:02}" if graded else None,
                f"{key % 1000}.{key % 999_983:06}",
                1 + number % 3,
                _STATES[number % 4],
                notation.true if number % 7 == 0 else notation.false,
                pools.durations[key % _POOL],
                pools.days[key % _POOL] if number % 2 else None,
                pools.moments[key % _POOL],
                pools.moments[(key + 5) % _POOL] if graded else None,
            )

    def _comments(self) -> Iterator[Row]:
        keys, pools = self.layout.keys, self.pools
        on_submission, on_course = self.content_types["submission"], self.content_types["course"]
        for key, owner, number in self._of("comment"):
            users, courses = keys["user"][owner], keys["course"][owner]
            if number % 10 < 7:
                submissions = keys["submission"][owner]
                place = number * 3 % len(submissions)
                made = self._uuid(submissions[place]).replace("-", "")
                parts = (made[:8], made[8:12], made[12:16], made[16:20], made[20:])
                kind, subject = on_submission, "-".join(parts)
            else:
                kind, subject = on_course, str(courses[number % len(courses)])
            yield (
                key,
                kind,
                subject,
                users[number * 7 % len(users)] if number % 10 not in (0, 4, 8) else None,
                pools.comments[key % _POOL],
                pools.moments[key * 5 % _POOL],
            )
