"""What is said to someone who names an object, a model or an option wrongly?

One clear line, a line of advice where there is one, the right exit code; and nothing is written.
"""

from pathlib import Path

import pytest

from .conftest import BOOK
from .typing_in import typed

pytestmark = pytest.mark.django_db(databases=["default", "target"])

FORM = "A reference is app_label.Model.key, or app_label.Model:field=value."

# What is typed after the command: the exit code, and the lines that are printed.
WRONG = {
    # Malformed: nothing is asked of the database.
    "demoapp.Book": (2, ["'demoapp.Book' has no key.", FORM]),
    "Book": (2, ["'Book' has no key.", FORM]),
    "": (2, ["'' has no key.", FORM]),
    "demoapp.Book.": (2, ["'demoapp.Book.' has no key.", FORM]),
    "..4": (2, ["'..4' names no model.", FORM]),
    "demoapp.Book:isbn": (2, ["'demoapp.Book:isbn': 'isbn' is not field=value.", FORM]),
    "demoapp.Book:": (2, ["'demoapp.Book:': '' is not field=value.", FORM]),
    # Models, fields and rows that are not there.
    "demoapp.Boook.4": (
        1,
        [
            "No model 'demoapp.Boook' in this project.",
            "Did you mean demoapp.Book, demoapp.Book_genre, demoapp.BookInstance?",
        ],
    ),
    "demoap.Book.4": (
        1,
        [
            "No model 'demoap.Book' in this project.",
            "Did you mean demoapp.Book, demoapp.Book_genre, demoapp.BookInstance?",
        ],
    ),
    "nowhere.Nothing.4": (1, ["No model 'nowhere.Nothing' in this project."]),
    "demoapp.Book.999999": (1, ["demoapp.Book.999999: no such demoapp.Book in 'default'."]),
    "demoapp.book:isbn=0": (1, ["demoapp.book:isbn=0: no such demoapp.Book in 'default'."]),
    "demoapp.Book:nope=3": (
        1,
        [
            "demoapp.Book:nope=3: demoapp.Book has no field 'nope'.",
            "It has id, title, author, language, isbn, summary, price, metadata,",
            "cover_digest, added_at.",
        ],
    ),
    # Keys and values of another kind.
    "demoapp.Book.abc": (1, ["demoapp.Book.abc: 'abc' is no value of id (integer)."]),
    "demoapp.Book.4,5": (1, ["demoapp.Book.4,5: '4,5' is no value of id (integer)."]),
    f"demoapp.Book.{10**30}": (1, [f"demoapp.Book.{10**30}: no such demoapp.Book in 'default'."]),
    "demoapp.BookInstance.abc": (
        1,
        ["demoapp.BookInstance.abc: 'abc' is no value of id (uuid)."],
    ),
    "demoapp.Book:added_at=yesterday": (
        1,
        ["demoapp.Book:added_at=yesterday: 'yesterday' is no value of added_at (datetime)."],
    ),
    "zoo.Cage.1": (
        1,
        [
            "zoo.Cage.1: the key of zoo.Cage has 2 parts.",
            "Join them by commas: zoo.Cage.menagerie,number",
        ],
    ),
    "zoo.Cage.1,x": (1, ["zoo.Cage.1,x: 'x' is no value of number (integer)."]),
    "zoo.Cage.1,2": (1, ["zoo.Cage.1,2: no such zoo.Cage in 'default'."]),
}


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("command", ["planobjects", "exportobjects"])
def test_wrong_reference_is_one_line(command: str, here: Path) -> None:
    for reference, (code, lines) in WRONG.items():
        seen = typed(command, reference)

        assert (reference, seen.code, seen.out) == (reference, code, "")
        assert seen.errors == [f"CommandError: {lines[0]}", *lines[1:]]
    assert list(here.iterdir()) == []


@pytest.mark.usefixtures("library")
def test_reference_to_several_rows_names_one() -> None:
    seen = typed("planobjects", "demoapp.BookInstance:status=a")

    assert seen.code == 1
    first, *rest = seen.errors
    second = " ".join(rest)
    assert first == (
        "CommandError: demoapp.BookInstance:status=a: "
        "more than one demoapp.BookInstance has these values."
    )
    assert second.startswith("Name the one you mean: demoapp.BookInstance.")
    named = second.removeprefix("Name the one you mean: ").removesuffix(", for instance.")
    assert typed("planobjects", named).code == 0


@pytest.mark.usefixtures("library")
def test_why_is_a_reference_too() -> None:
    assert typed("planobjects", BOOK, "--why", "demoapp.Genre").errors == [
        "CommandError: 'demoapp.Genre' has no key.",
        FORM,
    ]
    assert typed("planobjects", BOOK, "--why", "demoapp.Book.999").errors == [
        "CommandError: demoapp.Book.999: no such demoapp.Book in 'default'."
    ]


# Labels after --own and the like, and what is said of them.
WRONG_LABELS = {
    ("--own", "demoapp.Nope"): (
        1,
        [
            "No model 'demoapp.Nope' in this project.",
            "Did you mean demoapp.Note, demoapp.Book, demoapp.Profile?",
        ],
    ),
    ("--share", "nope"): (1, ["No model 'nope' in this project."]),
    ("--external", "a.b.c.d"): (1, ["No model 'a.b.c.d' in this project."]),
    ("--skip", "demoapp.Book.nope"): (
        1,
        ["demoapp.Book has no relation 'nope'.", "Its relations: author, language."],
    ),
    ("--root", "nope.Nope"): (1, ["No model 'nope.Nope' in this project."]),
    ("--own", "auth.User", "--skip", "auth.user"): (
        2,
        ["auth.user is given both --own and --skip."],
    ),
}


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("command", ["planobjects", "exportobjects"])
def test_wrong_label_is_one_line(command: str, here: Path) -> None:
    for words, (code, lines) in WRONG_LABELS.items():
        seen = typed(command, BOOK, *words)

        assert (words, seen.code, seen.out) == (words, code, "")
        assert seen.errors == [f"CommandError: {lines[0]}", *lines[1:]]
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("command", ["planobjects", "exportobjects"])
def test_no_object_at_all(command: str) -> None:
    """Options of several words take the object along when it comes after them."""
    for words in [(), ("--own", "auth.User", BOOK)]:
        seen = typed(command, *words)

        assert seen.code == 2
        assert seen.errors == [
            "CommandError: No object is named.",
            "Name it first: options such as --own take every word that follows them.",
        ]


# Words that the argument parser itself refuses: the usage in one line, and what is wrong.
UNPARSABLE = [
    ("planobjects", (BOOK, "--format", "xml"), "argument --format: invalid choice: 'xml'"),
    ("planobjects", (BOOK, "--follow", "all"), "argument --follow: invalid choice: 'all'"),
    ("planobjects", (BOOK, "--database", "x"), "argument --database: invalid choice: 'x'"),
    ("exportobjects", (BOOK, "--database", "x"), "argument --database: invalid choice: 'x'"),
    ("exportobjects", (BOOK, "--format", "zip"), "argument --format: invalid choice: 'zip'"),
    ("exportobjects", (BOOK, "--report", ""), "argument --report: the name is empty"),
    ("importobjects", ("a.json", "--database", "x"), "argument --database: invalid choice: 'x'"),
    ("importobjects", ("a.json", "--keymap", ""), "argument --keymap: the name is empty"),
    ("importobjects", ("--undo", "x"), "argument --undo: invalid int value: 'x'"),
    ("importobjects", ("",), "argument PATH: the name is empty"),
    ("verifyobjects", ("",), "argument PATH: the name is empty"),
    ("verifyobjects", ("a.json", "--database", "x"), "argument --database: invalid choice: 'x'"),
    ("verifyobjects", ("a.json", "--nope"), "unrecognized arguments: --nope"),
]


def test_unparsable_words_are_two_lines(here: Path) -> None:
    for command, words, problem in UNPARSABLE:
        seen = typed(command, *words)

        usage, error = seen.errors
        assert (words, seen.code, seen.out) == (words, 2, "")
        assert usage.startswith(f"usage: manage.py {command} ")
        assert len(usage) <= 80
        assert error.startswith(f"manage.py {command}: error: {problem}")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("command", ["importobjects", "verifyobjects"])
def test_no_archive_at_all(command: str) -> None:
    seen = typed(command)
    assert (seen.code, seen.out) == (2, "")
    assert seen.errors == [
        "CommandError: No archive is named.",
        "Name a file, or - for standard input.",
    ]
