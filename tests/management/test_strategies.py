"""What is printed when rows are here already, and when an import is taken back?"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from demoapp.models import Book, Genre

from .test_imports import contents, first_of, imported
from .typing_in import typed

pytestmark = [
    pytest.mark.django_db(databases=["default", "target"]),
    pytest.mark.usefixtures("target"),
]


@pytest.fixture
def rows(here: Path, archives: dict[str, bytes]) -> list[dict[str, Any]]:
    """The rows of the archive `book.json`, which lies in the folder."""
    Path("book.json").write_bytes(archives["json"])
    found: list[dict[str, Any]] = json.loads(archives["json"])["objects"]
    return found


@pytest.fixture
def stranger(rows: list[dict[str, Any]]) -> Book:
    """A book of somebody else's, under the key of the archived one."""
    key = first_of(rows, "demoapp.book")["pk"]
    return Book.objects.using("target").create(pk=key, title="Another", isbn="1")


def number_of(said: str) -> str:
    found = re.search(r"This is import (\d+): importobjects --undo \1\n", said)
    assert found is not None
    return found[1]


def test_remap_gives_a_new_key_and_tells_how_many(
    rows: list[dict[str, Any]], stranger: Book
) -> None:
    seen = imported("book.json", "--on-conflict", "remap", "--keymap", "keys.jsonl", "--verify")

    assert (seen.code, seen.err) == (0, "")
    lines = seen.out.splitlines()
    place = lines.index("Gave 1 row a new key:")
    assert lines[place + 1 :] == [
        "  demoapp.Book  1",
        f"Imported {len(rows)} rows from book.json.",
        f"This is import {number_of(seen.out)}: importobjects --undo {number_of(seen.out)}",
    ]
    told = [json.loads(line) for line in Path("keys.jsonl").read_text().splitlines()]
    (book,) = [entry for entry in told if entry["model"] == "demoapp.book"]
    assert len(told) == len(rows)
    assert Book.objects.using("target").get(pk=book["target"]).isbn != "1"
    assert book["target"] != book["source"] == stranger.pk


def test_new_keys_make_a_clone(rows: list[dict[str, Any]]) -> None:
    assert imported("book.json", "-v0").code == 0
    seen = imported("book.json", "--new-keys", "--on-conflict", "keep")

    # The book's number is unique: the same book is here already, and gets the new copies.
    assert (seen.code, seen.err) == (0, "")
    assert re.search(r"^Gave \d+ rows new keys:$", seen.out, flags=re.M)
    copies = sum(row["model"] == "demoapp.bookinstance" for row in rows)
    assert copies > 0
    assert Book.objects.using("target").get().bookinstance_set.count() == 2 * copies


@pytest.mark.parametrize("words", [("--override",), ("-o",), ("--on-conflict", "override")])
def test_override_must_be_allowed(
    words: tuple[str, ...], rows: list[dict[str, Any]], stranger: Book, settings: Any
) -> None:
    before = contents()
    refused = imported("book.json", *words)
    assert (refused.code, refused.out) == (2, "")
    assert refused.errors == [
        "CommandError: The strategy override changes rows that are here, and DEBUG is off.",
        'If that is meant, set GESTORE["ALLOW_OVERRIDE"] = True.',
    ]
    assert contents() == before

    settings.GESTORE = {"ALLOW_OVERRIDE": True}
    seen = imported("book.json", *words)
    assert (seen.code, seen.err) == (0, "")
    assert "Overrode 1 row that was here:\n  demoapp.Book  1\n" in seen.out
    stranger.refresh_from_db()
    assert stranger.title == first_of(rows, "demoapp.book")["fields"]["title"]


def test_resolutions_are_written_and_applied(rows: list[dict[str, Any]], stranger: Book) -> None:
    before = contents()
    refused = imported("book.json", "--write-resolutions", "decide.json")
    assert refused.code == 3
    assert contents() == before

    written = Path("decide.json").read_text()
    assert '"refuse"' in written
    Path("decide.json").write_text(written.replace('"action": "refuse"', '"action": "keep"'))
    seen = imported("book.json", "--resolutions", "decide.json")
    assert (seen.code, seen.err) == (0, "")
    assert "Kept 1 row that is here in its place:\n  demoapp.Book  1\n" in seen.out


def test_wrong_resolutions_are_one_line(rows: list[dict[str, Any]]) -> None:
    Path("text.txt").write_text("no JSON")
    Path("image.png").write_bytes(b"\x89PNG\xff")
    before = contents()
    for name, (code, first) in {
        "nothing.json": (1, "nothing.json cannot be read: No such file or directory."),
        "image.png": (1, "image.png cannot be read: it is no UTF-8 text."),
        "text.txt": (2, "text.txt is no JSON: Expecting value: line 1 column 1 (char 0)."),
        "book.json": (2, "book.json holds no resolutions."),
    }.items():
        seen = imported("book.json", "--resolutions", name)
        assert (name, seen.code, seen.out) == (name, code, "")
        assert seen.errors[0] == f"CommandError: {first}"
        assert len(seen.errors) <= 2
    assert contents() == before


@pytest.mark.parametrize("option", ["--keymap", "--write-resolutions"])
def test_file_without_a_place_stops_the_import(option: str, rows: list[dict[str, Any]]) -> None:
    before = contents()
    seen = imported("book.json", option, "book.json/beneath")

    assert (seen.code, seen.out) == (1, "")
    first, advice = seen.errors
    assert first.startswith("CommandError: book.json/beneath could not be written: ")
    assert advice == "Nothing was written under that name."
    assert contents() == before


def test_unknown_fields_are_dropped_with_a_word(
    rows: list[dict[str, Any]], archives: dict[str, bytes]
) -> None:
    renamed = archives["json"].replace(b'"imprint"', b'"printer"')
    Path("other.json").write_bytes(renamed)
    for words in ((), ("-i",), ("--ignorenonexistent",)):
        seen = imported("other.json", *words, "--dry-run")
        severity = "warning" if words else "error"
        assert f"{severity}: demoapp.BookInstance.printer: is archived, and there is no" in seen.err
        assert "Traceback" not in seen.err


# Taking back -------------------------------------------------------------------------------------


def undone(number: str, *words: str) -> Any:
    return typed("importobjects", "--undo", number, "--database", "target", *words)


def test_undo_removes_what_the_import_inserted(rows: list[dict[str, Any]]) -> None:
    before = contents()
    number = number_of(imported("book.json").out)
    arrived = contents()

    asked = undone(number)
    assert asked.code == 2
    assert asked.errors == [
        "CommandError: Undoing asks first, and there is no terminal.",
        "Add --no-input to go ahead.",
    ]
    dry = undone(number, "--dry-run")
    assert (dry.code, dry.err) == (0, "")
    assert dry.out.splitlines()[-1] == "Dry run: everything was rolled back."
    assert contents() == arrived

    seen = undone(number, "--no-input", "--report", "undone.json")
    assert (seen.code, seen.err) == (0, "")
    first, *counts, last = seen.out.splitlines()
    assert re.fullmatch(
        rf"Import {number} of book\.json, \d{{4}}-\d\d-\d\d \d\d:\d\d: {len(rows)} rows to remove",
        first,
    )
    assert sum(int(line.split()[1]) for line in counts) == len(rows)
    assert last == f"Removed {len(rows)} rows: import {number} is undone."
    assert json.loads(Path("undone.json").read_bytes())["import"] == int(number)
    assert contents() == before

    again = undone(number, "--no-input")
    assert again.code == 1
    assert again.err.startswith("CommandError: ")


def test_undo_is_refused_while_others_need_the_rows(rows: list[dict[str, Any]]) -> None:
    number = number_of(imported("book.json").out)
    genre = Genre.objects.using("target").get()
    later = Book.objects.using("target").create(title="Later", isbn="2")
    later.genre.add(genre)
    arrived = contents()

    seen = undone(number, "--no-input")
    assert seen.code == 3
    assert seen.errors[0].startswith("conflict: demoapp.Book_genre.")
    assert seen.errors[-1] == (
        "CommandError: Nothing was removed: other rows need rows of the import."
    )
    assert contents() == arrived


def test_wrong_undo_is_one_line(rows: list[dict[str, Any]]) -> None:
    unknown = undone("77", "--no-input")
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err.startswith("CommandError: ")
    assert "77" in unknown.err

    both = undone("1", "book.json")
    assert (both.code, both.errors) == (
        2,
        ["CommandError: --undo takes no archive: it knows what the import inserted."],
    )
