"""Which rows of the demo library belong to a language? Told in SQL, with nothing of Gestore's.

An export of a language takes its books with all that belongs to them, and alone what those point
at. The same SQL is good for all three databases.
"""

from __future__ import annotations

from typing import Any

_LANGUAGE = "SELECT id FROM demoapp_language WHERE id = 1"
_BOOKS = "SELECT id FROM demoapp_book WHERE language_id = 1"
_COPIES = f"SELECT id FROM demoapp_bookinstance WHERE book_id IN ({_BOOKS})"
_REVIEWS = f"SELECT id FROM demoapp_review WHERE book_id IN ({_BOOKS})"


def _notes_on(model: str, keys: str) -> str:
    # Generic keys are text; a UUID is written with hyphens there, and without in SQLite's columns.
    return (
        "SELECT id FROM demoapp_note WHERE content_type_id ="
        f" (SELECT id FROM django_content_type WHERE app_label = 'demoapp' AND model = '{model}')"
        f" AND REPLACE(object_id, '-', '') IN"
        f" (SELECT TRIM(REPLACE(CAST(id AS char(36)), '-', '')) FROM ({keys}) k)"
    )


_NOTES = f"{_notes_on('book', _BOOKS)} UNION {_notes_on('bookinstance', _COPIES)}"

ROWS = {
    "demoapp_language": _LANGUAGE,
    "demoapp_book": _BOOKS,
    "demoapp_book_genre": f"SELECT id FROM demoapp_book_genre WHERE book_id IN ({_BOOKS})",
    "demoapp_bookinstance": _COPIES,
    "demoapp_review": _REVIEWS,
    "demoapp_note": _NOTES,
    "demoapp_genre": (
        f"SELECT DISTINCT genre_id FROM demoapp_book_genre WHERE book_id IN ({_BOOKS})"
    ),
    "demoapp_author": (
        "SELECT DISTINCT author_id FROM demoapp_book"
        " WHERE language_id = 1 AND author_id IS NOT NULL"
    ),
    "auth_user": (
        "SELECT borrower_id FROM demoapp_bookinstance"
        f" WHERE borrower_id IS NOT NULL AND book_id IN ({_BOOKS})"
        f" UNION SELECT user_id FROM demoapp_review WHERE book_id IN ({_BOOKS})"
        " UNION SELECT written_by_id FROM demoapp_note"
        # Twice wrapped: MariaDB would ask the inner one anew for every note.
        f" WHERE written_by_id IS NOT NULL AND id IN (SELECT id FROM ({_NOTES}) n)"
    ),
    # Readers come alone, and no receiver makes them profiles.
    "demoapp_profile": "SELECT id FROM demoapp_profile WHERE 1 = 0",
}
REFERENCE = "demoapp.Language.1"
# What goes with the language when its books and their copies are said to be its own.
GOING = (
    "demoapp_language",
    "demoapp_book",
    "demoapp_book_genre",
    "demoapp_bookinstance",
    "demoapp_review",
    "demoapp_note",
)
# That object's rows for each copy in the library: half of all books are in the first language.
ROWS_PER_COPY = 1.09


def expected(cursor: Any) -> dict[str, int]:
    """What there has to be at the target, by table, asked at the source."""
    return _counted(cursor, ROWS)


def going(cursor: Any) -> dict[str, int]:
    """What goes when the language is deleted with its books, by table: nothing of the others."""
    return {
        **dict.fromkeys(ROWS, 0),
        **_counted(cursor, {table: ROWS[table] for table in GOING}),
    }


def found(cursor: Any) -> dict[str, int]:
    """What there is, by table."""
    return _counted(cursor, {table: f"SELECT * FROM {table}" for table in ROWS})


def _counted(cursor: Any, selects: dict[str, str]) -> dict[str, int]:
    counts = {}
    for table, select in selects.items():
        cursor.execute(f"SELECT COUNT(*) FROM ({select}) r")
        counts[table] = int(cursor.fetchone()[0])
    return counts
