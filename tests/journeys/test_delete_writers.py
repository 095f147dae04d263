"""What if somebody writes between the archive and the removal? Nothing is lost unarchived."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import override_settings

import gestore
from gestore.deleting import plan_deletion
from gestore.errors import Refused
from tests.journeys.trips import dump
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.inserting import Placed, inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)


class AfterTheArchive:
    """A listener that writes when the archive is read again, before any row is locked."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work

    def begin(self, task: str, total: int | None = None) -> None:
        if task == "Reading":
            self._work()

    def advance(self, count: int) -> None:
        pass

    def end(self) -> None:
        pass

    def note(self, text: str) -> None:
        pass


@pytest.fixture
def customer() -> Placed:
    rows.bulk("default", 15)
    return rows.bulk("default", 10)


def refused(customer: Placed, tmp_path: Path, work: Callable[[], object]) -> list[tuple[str, str]]:
    """What a deletion finds that is refused; the database is as the other writer left it."""
    archive = tmp_path / "customer.jsonl"
    left: list[compare.Dump] = []

    def write() -> None:
        work()
        left.append(dump("default"))

    with pytest.raises(Refused) as error:
        gestore.delete_objects(
            [customer.reference],
            gestore.DeleteOptions(archive=str(archive)),
            progress=AfterTheArchive(write),
        )
    assert error.value.exit_code == 3
    assert compare.difference(left[0], dump("default")) == []
    assert gestore.verify_archive(str(archive)).row_count > 0
    return [(finding.code, str(finding)) for finding in error.value.findings]


def orders(customer: Placed) -> list[int]:
    found = zoo.Order.objects.filter(customer_id=customer.key).order_by("pk")
    return list(found.values_list("pk", flat=True))


def test_row_that_changed_is_not_removed(customer: Placed, tmp_path: Path) -> None:
    changed = orders(customer)[1]
    moment = datetime(2030, 1, 1, tzinfo=UTC)

    found = refused(
        customer, tmp_path, lambda: zoo.Order.objects.filter(pk=changed).update(placed=moment)
    )

    assert found == [("changed-since", f"zoo.Order.{changed}: has changed since it was archived.")]


def test_row_that_somebody_else_removed_is_told(customer: Placed, tmp_path: Path) -> None:
    line = zoo.OrderLine.objects.filter(order__customer_id=customer.key).order_by("pk")[0]

    found = refused(customer, tmp_path, lambda: zoo.OrderLine.objects.filter(pk=line.pk).delete())

    assert found == [("changed-since", f"zoo.OrderLine.{line.pk}: is gone since it was archived.")]


def test_row_that_came_is_not_taken_along(customer: Placed, tmp_path: Path) -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)

    def order() -> None:
        zoo.Order.objects.create(customer_id=customer.key, placed=moment)

    ((code, text),) = refused(customer, tmp_path, order)

    new = orders(customer)[-1]
    assert code == "points-at-removed"
    assert text.startswith(f"zoo.Order.{new}: points at ")


def test_generic_pointer_that_came_is_found(customer: Placed, tmp_path: Path) -> None:
    kind = ContentType.objects.get_for_model(zoo.Customer)

    def note() -> None:
        with inserting("default") as inserter:
            inserter.put(zoo.NoteByChar, content_type=kind.pk, object_id=str(customer.key))

    ((code, text),) = refused(customer, tmp_path, note)

    assert code == "points-at-removed"
    assert text.startswith(f"zoo.NoteByChar.{zoo.NoteByChar.objects.get().pk}: points at ")


def test_absence_is_proved_again_on_a_later_day(customer: Placed, tmp_path: Path) -> None:
    archive = str(tmp_path / "customer.jsonl")
    gestore.delete_objects([customer.reference], gestore.DeleteOptions(archive=archive))
    assert list(gestore.verify_archive(archive, absent=True).left or ()) == []

    with inserting("default") as inserter:
        inserter.put(zoo.Customer, id=customer.key, name="as a backup had it")

    left = gestore.verify_archive(archive, absent=True).left
    assert left is not None
    assert [(finding.code, str(finding)) for finding in left] == [
        ("still-there", f"{customer.reference}: is in the database.")
    ]


def test_row_that_somebody_else_removed_between_batches_is_told(
    customer: Placed, tmp_path: Path
) -> None:
    archive = str(tmp_path / "customer.jsonl")
    limits = gestore.Limits(max_run_seconds=1e-9)
    stopped = gestore.DeleteOptions(archive=archive, commit_every=1, limits=limits)
    with pytest.raises(gestore.GestoreError):
        gestore.delete_objects([customer.reference], stopped)
    order = orders(customer)[-1]
    zoo.OrderLine.objects.filter(order_id=order).delete()
    zoo.Order.tags.through.objects.filter(order_id=order).delete()
    zoo.Order.objects.filter(pk=order).delete()

    report = gestore.resume_deletion(archive)

    assert report.is_finished
    assert ("gone-otherwise", "zoo.Order: 1 row was removed by somebody else meanwhile.") in [
        (finding.code, str(finding)) for finding in report.left
    ]


@override_settings(GESTORE={"RELATIONS": [("zoo.SoftReference.user_id", "auth.User")]})
def test_pointers_without_an_index_are_warned_of() -> None:
    with inserting("default") as inserter:
        user = inserter.put(User, username="ada")
        menagerie = inserter.put(zoo.Menagerie, name="of strangers")
        values = {"menagerie": menagerie, "user_id": user.key + 1}
        inserter.put_many(zoo.SoftReference, (dict(values) for _ in range(1_001)))

    findings = plan_deletion([user.reference]).findings

    (warning,) = [finding for finding in findings if finding.code == "unindexed"]
    assert warning.subject == "zoo.SoftReference.user_id"
    assert "about 1,001 rows" in warning.message
