"""Is a deletion remembered as it was begun, counted as it goes on, and found again?"""

from datetime import UTC, datetime

import pytest
from django.db import transaction

from gestore.database import journal
from gestore.errors import NotFound
from gestore.models import Removal

pytestmark = pytest.mark.django_db(databases=["default", "target"])

BEGAN = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
ENDED = datetime(2030, 1, 2, 4, 0, 0, tzinfo=UTC)


def entry(sha256: str = "a" * 64) -> journal.RemovalEntry:
    return journal.RemovalEntry(
        archive="gone.jsonl",
        sha256=sha256,
        objects=("zoo.Menagerie.1",),
        command="manage.py deleteobjects zoo.Menagerie.1",
        moment=BEGAN,
        person="keeper",
        planned={"zoo.Menagerie": 1, "zoo.Animal": 9},
    )


def test_what_was_begun_is_there_as_it_was_said() -> None:
    number = journal.begin("default", entry())
    record = journal.unended("default", "a" * 64)
    assert record.pk == number
    assert (record.archive, record.command) == (
        "gone.jsonl",
        "manage.py deleteobjects zoo.Menagerie.1",
    )
    assert (record.objects_named, record.began_by) == (["zoo.Menagerie.1"], "keeper")
    assert (record.began_at, record.ended_at) == (BEGAN, None)
    assert record.planned == {"zoo.Menagerie": 1, "zoo.Animal": 9}
    assert (record.removed, record.changed) == ({}, {})
    assert str(record) == f"{number}: zoo.Menagerie.1"


def test_counts_add_up_and_are_written() -> None:
    number = journal.begin("default", entry())
    for removed, changed in (
        ({"zoo.Animal": 4}, {"zoo.Loan": 1}),
        ({"zoo.Animal": 5, "zoo.Menagerie": 1}, {}),
        ({}, {}),
    ):
        with transaction.atomic():
            journal.add(journal.locked("default", number), removed=removed, changed=changed)
    record = Removal.objects.get(pk=number)
    assert record.removed == {"zoo.Animal": 9, "zoo.Menagerie": 1}
    assert record.changed == {"zoo.Loan": 1}


def test_batch_that_is_rolled_back_is_not_counted() -> None:
    number = journal.begin("default", entry())
    with transaction.atomic():
        journal.add(journal.locked("default", number), removed={"zoo.Animal": 4}, changed={})
        transaction.set_rollback(True)
    assert Removal.objects.get(pk=number).removed == {}


def test_ended_one_is_not_found_again() -> None:
    number = journal.begin("default", entry())
    with transaction.atomic():
        journal.end(journal.locked("default", number), ENDED)
    with pytest.raises(NotFound) as error:
        journal.unended("default", "a" * 64)
    assert error.value.message == (
        "The deletion of this archive came to its end on 2030-01-02 04:00."
    )
    assert error.value.hint == "Prove it again with: verifyobjects ARCHIVE --absent"


def test_the_latest_unended_one_of_this_archive_is_meant() -> None:
    first = journal.begin("default", entry())
    journal.begin("default", entry("b" * 64))
    assert journal.unended("default", "a" * 64).pk == first
    second = journal.begin("default", entry())
    assert journal.unended("default", "a" * 64).pk == second
    with transaction.atomic():
        journal.end(journal.locked("default", second), ENDED)
    assert journal.unended("default", "a" * 64).pk == first


def test_one_database_knows_nothing_of_the_other() -> None:
    journal.begin("default", entry())
    with pytest.raises(NotFound) as error:
        journal.unended("target", "a" * 64)
    assert error.value.message == "No deletion of this archive was begun in 'target'."


def test_table_is_there_once_migrated() -> None:
    assert journal.has_table("default")
