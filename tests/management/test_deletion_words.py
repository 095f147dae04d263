"""Does a deletion say what it will do, what it did, and how to go on?"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models.signals import pre_delete

from demoapp.models import BookInstance, Note, Profile
from tests.zoo.emptying import emptied

from .conftest import BOOK
from .typing_in import typed

pytestmark = pytest.mark.django_db(transaction=True)

OWN = ("--own", "demoapp.BookInstance")


@pytest.fixture(autouse=True)
def library_of_its_own(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), emptied("default"):
        call_command("generate", books=20, verbosity=0)
        yield


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_dry_run_shows_the_plan_though_it_is_blocked(here: Path) -> None:
    copies = BookInstance.objects.filter(book=4).count()
    seen = typed("deleteobjects", BOOK, "--dry-run", "--report", "plan.json")
    assert seen.code == 3
    assert seen.out.startswith("To remove: ")
    assert "To stay, and be archived with them: " in seen.out
    assert seen.err.count("blocker: demoapp.BookInstance.") == min(copies, 10)
    assert "--own demoapp.BookInstance" in seen.err
    assert seen.errors[-1].endswith("Nothing could be removed: other rows stand in the way.")
    plan = read(here / "plan.json")
    assert plan["removed"]["demoapp.Book"] == 1
    blockers = [finding for finding in plan["findings"] if finding["code"] == "blocker"]
    assert len(blockers) == copies
    assert [path.name for path in here.iterdir()] == ["plan.json"]


def test_resuming_has_no_dry_run(here: Path) -> None:
    words = (BOOK, *OWN, "--archive", "book.json", "--no-input", "--commit-every", "3")
    stopped = typed("deleteobjects", *words, "--max-run-time", "0.0001")
    assert stopped.code == 1
    assert "deleteobjects --resume book.json" in stopped.errors
    for dry in ("-n", "--dry-run", "-d", "--debug"):
        assert typed("deleteobjects", "--resume", "book.json", dry).code == 2
    assert typed("verifyobjects", "book.json", "--absent").code == 3
    assert BookInstance.objects.filter(book=4).exists()
    assert typed("deleteobjects", "--resume", "book.json").code == 0
    absent = typed("verifyobjects", "book.json", "--absent")
    assert absent.code == 0
    assert absent.out.splitlines()[-1].startswith("None of the rows it owns is in the database")


def test_pointers_are_counted_once_however_often_it_is_resumed(here: Path) -> None:
    reader = User.objects.filter(bookinstance__isnull=False).order_by("pk")[0]
    loans = BookInstance.objects.filter(borrower=reader).count()
    notes = Note.objects.filter(written_by=reader).exclude(pk__in=notes_on(reader)).count()
    words = (f"auth.User.{reader.pk}", "--archive", "reader.json", "--no-input")

    def breaks_off(**sent: Any) -> None:
        raise RuntimeError("a receiver that fails")

    pre_delete.connect(breaks_off, sender=Profile)
    try:
        with pytest.raises(RuntimeError):
            typed("deleteobjects", *words, "--commit-every", "5")
    finally:
        pre_delete.disconnect(breaks_off, sender=Profile)
    assert not BookInstance.objects.filter(borrower=reader).exists()
    assert typed("deleteobjects", "--resume", "reader.json", "--receipt", "done.json").code == 0
    receipt = read(here / "done.json")
    assert receipt["changed"].get("demoapp.BookInstance", 0) == loans
    assert receipt["changed"].get("demoapp.Note", 0) == notes
    assert receipt["proved"] is True


def notes_on(reader: User) -> list[int]:
    """Notes about the reader, or about what goes with them, go themselves."""
    found = Note.objects.filter(content_type__model="user", object_id=str(reader.pk))
    return list(found.values_list("pk", flat=True))


def test_receipt_is_never_replaced(here: Path) -> None:
    (here / "receipt.json").write_text("mine")
    words = (BOOK, *OWN, "--archive", "book.json", "--receipt", "receipt.json", "--no-input")
    seen = typed("deleteobjects", *words, "--overwrite")
    assert seen.code == 1
    assert seen.errors[-1] == "Choose another name for the receipt: none is replaced."
    assert (here / "receipt.json").read_text() == "mine"
    assert not (here / "book.json").exists()


def test_report_tells_planned_and_removed(here: Path) -> None:
    words = (BOOK, *OWN, "--archive", "book.json", "--no-input", "--report", "done.json")
    assert typed("deleteobjects", *words).code == 0
    done = read(here / "done.json")
    assert done["planned"] == done["removed"]
    assert done["removed"]["demoapp.Book"] == 1
    assert done["receipt"]["sha256"] == done["sha256"]
