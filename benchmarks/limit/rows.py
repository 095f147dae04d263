"""Which rows are the tenant's, for someone who knows the schema? In SQL for SQLite and MariaDB."""

from __future__ import annotations

from collections.abc import Mapping

TENANT = "here-0"
_ORGANISATION = f"(SELECT id FROM school_organisation WHERE slug = '{TENANT}')"
_COURSES = f"SELECT id FROM school_course WHERE organisation_id = {_ORGANISATION}"
_USERS = f"SELECT id FROM school_user WHERE organisation_id = {_ORGANISATION}"
ENROLMENTS = (
    "SELECT e.id FROM school_user u JOIN school_enrolment e ON e.user_id = u.id"
    f" WHERE u.organisation_id = {_ORGANISATION}"
)
SUBMISSIONS = (
    "SELECT s.id FROM school_user u JOIN school_enrolment e ON e.user_id = u.id"
    " JOIN school_submission s ON s.enrolment_id = e.id"
    f" WHERE u.organisation_id = {_ORGANISATION}"
)


def _type(model: str) -> str:
    return f"(SELECT id FROM django_content_type WHERE app_label = 'school' AND model = '{model}')"


def comments(uuid_text: str, number_text: str) -> str:
    """Keys of comments by the author, and by either thing that is commented on: three in ten have
    no author. The two are how the database makes text of `id`."""
    return (
        f"SELECT id FROM school_comment WHERE author_id IN ({_USERS})"
        f" UNION SELECT c.id FROM (SELECT {uuid_text} AS subject FROM ({SUBMISSIONS}) k) s"
        f" JOIN school_comment c ON c.content_type_id = {_type('submission')}"
        " AND c.object_id = s.subject"
        f" UNION SELECT c.id FROM (SELECT {number_text} AS subject FROM ({_COURSES}) k) s"
        f" JOIN school_comment c ON c.content_type_id = {_type('course')}"
        " AND c.object_id = s.subject"
    )


def ids(uuid_text: str, number_text: str) -> Mapping[str, str]:
    """Keys of the tenant's rows, by table, pointed-at tables first."""
    return {
        "school_tag": (
            f"SELECT DISTINCT tag_id FROM school_course_tags WHERE course_id IN ({_COURSES})"
        ),
        "school_organisation": f"SELECT id FROM school_organisation WHERE slug = '{TENANT}'",
        "school_user": _USERS,
        "school_topic": f"SELECT id FROM school_topic WHERE organisation_id = {_ORGANISATION}",
        "school_course": _COURSES,
        "school_course_tags": f"SELECT id FROM school_course_tags WHERE course_id IN ({_COURSES})",
        "school_enrolment": ENROLMENTS,
        "school_submission": SUBMISSIONS,
        "school_comment": comments(uuid_text, number_text),
    }
