"""What must be asked before a deletion begins: nothing is to be lost by a word too many."""

from pathlib import Path

import pytest
from django.db import transaction

import gestore
from gestore.errors import ArchiveExists, GestoreError, UsageError
from gestore.removal.throttle import Limits, TimeUp
from tests.journeys import stepwise_sites as sites
from tests.zoo import models as zoo
from tests.zoo import rows

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(tmp_path / "zoo.jsonl")


def test_archive_of_an_unfinished_deletion_is_never_replaced(archive: str) -> None:
    root = sites.two_menageries("default")
    options = gestore.DeleteOptions(
        archive=archive, commit_every=1, limits=Limits(max_run_seconds=1e-9)
    )
    with pytest.raises(TimeUp):
        gestore.delete_objects([root.reference], options)
    written = Path(archive).read_bytes()
    with pytest.raises(ArchiveExists) as refused:
        gestore.delete_objects(
            [root.reference], gestore.DeleteOptions(archive=archive, overwrite=True)
        )
    assert (
        refused.value.message == f"{archive} is the archive of a deletion that is not at its end."
    )
    assert refused.value.hint == f"Go on with:\ndeleteobjects --resume {archive}"
    assert Path(archive).read_bytes() == written
    assert gestore.resume_deletion(archive).is_finished
    # At its end it is a file like any other.
    other = zoo.Menagerie.objects.get()
    report = gestore.delete_objects(
        [f"zoo.Menagerie.{other.pk}"], gestore.DeleteOptions(archive=archive, overwrite=True)
    )
    assert report.is_finished


def test_batches_inside_a_transaction_are_refused(archive: str) -> None:
    customer = rows.bulk("default", 10)
    options = gestore.DeleteOptions(archive=archive, commit_every=5)
    with transaction.atomic(), pytest.raises(UsageError) as refused:
        gestore.delete_objects([customer.reference], options)
    assert refused.value.message == (
        "A transaction is open, and a removal in batches commits its own."
    )
    assert not Path(archive).exists()


def test_other_rows_of_the_same_number_are_other_rows(archive: str) -> None:
    customer = rows.bulk("default", 10)

    def swap(plan: gestore.DeletePlan) -> bool:
        """Behind the back of whoever reads the plan: one order out, one in."""
        old = zoo.Order.objects.filter(customer_id=customer.key).order_by("pk")[0]
        zoo.OrderLine.objects.filter(order=old).update(order=_copied(old))
        old.tags.clear()
        old.delete()
        return True

    with pytest.raises(GestoreError) as refused:
        gestore.delete_objects(
            [customer.reference], gestore.DeleteOptions(archive=archive), confirm=swap
        )
    assert refused.value.message == (
        "Nothing was removed: the rows changed while the plan was looked at."
    )
    assert not Path(archive).exists()


def _copied(order: zoo.Order) -> zoo.Order:
    copy = zoo.Order.objects.get(pk=order.pk)
    copy.pk = None
    copy.save(force_insert=True)
    copy.tags.set(order.tags.all())
    return copy


def test_resuming_takes_no_walk(archive: str) -> None:
    options = gestore.DeleteOptions(walk=gestore.WalkOptions(roots=["zoo.Customer"]))
    with pytest.raises(UsageError) as refused:
        gestore.resume_deletion(archive, options)
    assert refused.value.message.startswith("What goes was settled when the deletion was begun")
