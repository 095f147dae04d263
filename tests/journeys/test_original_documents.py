"""Are the documents of the original read, and those of every format of ours that was released?

The samples in `tests/released/format-1` were written by hand from what is known of the original's
files, not with its code. Those of later formats were exported from the demo, and stay as they are.
"""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group, User

import gestore
from demoapp.models import Author, Book, BookInstance, Genre, Language, Note, Profile, Review
from tests.journeys import archives
from tests.journeys.trips import load
from tests.zoo import compare

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)

RELEASED = Path(__file__).resolve().parents[1] / "released"
ORIGINAL = sorted(RELEASED.glob("format-1/*.json"))
LIBRARY = [
    Author, Book, Book.genre.through, BookInstance, Genre, Language, Note, Profile, Review,
    User, User.groups.through, Group,
]  # fmt: skip


def library() -> dict[str, dict[str, dict[str, Any]]]:
    """Every row of the library, read with SQL: {model: {key: {column: value}}}."""
    found = compare.dump("target", LIBRARY)
    return {
        label: {key: dict(row) for key, row in lot.items()} for label, lot in found.items() if lot
    }


def json_of(column: dict[str, Any]) -> Any:
    return json.loads(column[1]) if isinstance(column, tuple) else column


def pairs(label: str, near: str, far: str) -> set[tuple[int, int]]:
    return {(row[near], row[far]) for row in library()[label].values()}


@pytest.mark.parametrize("sample", ORIGINAL, ids=lambda path: path.stem)
def test_document_of_the_original_is_read(sample: Path) -> None:
    report = load(str(sample))
    assert report.objects == ("demoapp.Book.4",)
    assert report.loaded_count == 13
    found = library()
    book = found["demoapp.Book"].pop("4")
    assert json_of(book.pop("metadata")) == {"pages": 502, "parts": [None, 1.5]}
    assert book == {
        "id": 4,
        "title": "The Name of the Lion",
        "author_id": 2,
        "language_id": 1,
        "isbn": "9780000000042",
        "summary": 'Seven days, "seven" keepers,\nand one lion 🦁.',
        "price": Decimal("12.50"),
        "cover_digest": None,
        "added_at": datetime(2021, 5, 31, 22, 0, 0, 123_000, tzinfo=UTC),
    }
    # The lists under the fields' names became rows between, numbered here.
    assert pairs("demoapp.Book_genre", "book_id", "genre_id") == {(4, 1), (4, 3)}
    assert pairs("auth.User_groups", "user_id", "group_id") == {(7, 5)}
    keys = {label: set(lot) for label, lot in found.items()}
    assert keys["demoapp.BookInstance"] == {
        "6f1c2a9e-27a3-4c6e-9b0f-0d6f4f1f7a11",
        "6f1c2a9e-27a3-4c6e-9b0f-0d6f4f1f7a12",
    }
    copy = found["demoapp.BookInstance"]["6f1c2a9e-27a3-4c6e-9b0f-0d6f4f1f7a11"]
    assert copy == {
        "id": UUID("6f1c2a9e-27a3-4c6e-9b0f-0d6f4f1f7a11"),
        "book_id": 4,
        "borrower_id": 7,
        "status": "o",
        "due_back": date(2021, 6, 15),
        "imprint": "Bompiani, 1980",
    }
    assert found["auth.User"]["7"]["date_joined"] == datetime(2021, 1, 2, 3, 4, 5, 678_000, UTC)
    # The receiver that makes a profile for every user made none.
    assert {key: row["card_number"] for key, row in found["demoapp.Profile"].items()} == {
        "70": "A-7"
    }


def test_the_two_layouts_say_the_same() -> None:
    assert [path.stem for path in ORIGINAL] == ["book-indented", "book-one-line"]
    indented, one_line = (path.read_text() for path in ORIGINAL)
    assert json.loads(indented) == json.loads(one_line)
    assert (indented.count("\n") > 50, one_line.count("\n")) == (True, 0)
    document = json.loads(indented)
    assert not {"format_version", "closing", "tables"} & document.keys()


def test_document_that_is_here_already_changes_nothing() -> None:
    load(str(ORIGINAL[0]))
    before = library()
    again = load(str(ORIGINAL[1]))
    assert (again.loaded_count, again.here_count) == (0, 13)
    assert library() == before
    # One pair more is one row more.
    Book.genre.through.objects.using("target").filter(genre=3).delete()
    assert load(str(ORIGINAL[0])).loaded_by_model == {"demoapp.Book_genre": 1}


def test_other_versions_are_told() -> None:
    report = load(str(ORIGINAL[0]))
    told = {finding.code: finding.message for finding in report.findings}
    assert told.keys() == {"other-version", "other-libraries"}
    assert "0.1.0.dev4" in told["other-version"]
    assert "Django 3.2.3 → " in told["other-libraries"]


def changed(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> str:
    document = json.loads(ORIGINAL[0].read_text())
    change(document)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(document))
    return str(path)


def test_field_that_is_no_more_is_refused_or_dropped(tmp_path: Path) -> None:
    archive = changed(tmp_path, lambda d: d["objects"][5]["fields"].update(pen_name="Leo"))
    with pytest.raises(gestore.Refused) as refusal:
        load(archive)
    told = {(f.code, f.subject) for f in refusal.value.findings}
    assert ("unknown-field", "demoapp.Author.2") in told
    assert library() == {}
    load(archive, ignore_unknown=True)
    assert library()["demoapp.Author"]["2"]["last_name"] == "Leone"


@pytest.mark.parametrize("member", ["provided_objects", "version", "libraries"])
def test_document_without_what_it_must_say_is_refused(member: str, tmp_path: Path) -> None:
    archive = changed(tmp_path, lambda document: document.pop(member))
    with pytest.raises(gestore.GestoreError, match=member):
        load(archive)
    assert library() == {}


def test_document_that_breaks_off_is_refused(tmp_path: Path) -> None:
    whole = ORIGINAL[1].read_text()
    archive = tmp_path / "cut.json"
    for size in (len(whole) - 1, len(whole) // 2, whole.index('"objects"') + 12):
        archive.write_text(whole[:size])
        with pytest.raises(gestore.GestoreError, match=r"cut\.json is cut off") as error:
            load(str(archive))
        assert type(error.value).__name__ == "ArchiveCutOff"
    assert library() == {}


def test_pointer_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    archive = changed(tmp_path, lambda document: document["objects"].pop(6))
    with pytest.raises(gestore.Refused) as refusal:
        load(archive)
    missing = {(f.code, f.subject) for f in refusal.value.findings if f.code == "missing"}
    assert missing == {("missing", "demoapp.Book.4")}
    assert library() == {}


# Formats of ours ----------------------------------------------------------------------------------


def test_archive_of_format_2_is_read_for_ever() -> None:
    """What is expected stands in a file beside it, written when the archive was."""
    (sample,) = RELEASED.glob("format-2/*.json")
    document = archives.document(str(sample))
    assert document["format_version"] == 2
    # It was written on nobody's machine in particular.
    assert not {"host_name", "ip_address", "libraries"} & document.keys()
    report = load(str(sample), strict=True)
    assert report.loaded_count == len(document["objects"]) == 21
    assert [finding.code for finding in report.findings] == []
    expected = json.loads((RELEASED / "format-2" / "expected.txt").read_text())
    found = json.loads(json.dumps(library(), default=str))
    assert found == expected
    notes = Note.objects.using("target").order_by("pk")
    assert [type(note.content_object) for note in notes] == [Book, BookInstance]
    assert load(str(sample), strict=True).loaded_count == 0
