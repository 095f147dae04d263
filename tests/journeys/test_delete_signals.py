"""Who hears of a deletion? Models with receivers get instances, the others never make one."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.db import models
from django.db.models.signals import m2m_changed, post_delete, pre_delete

import gestore
from tests.journeys import removals
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.inserting import inserting

pytestmark = pytest.mark.django_db(databases=["default"], transaction=True)


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(tmp_path / "gone.jsonl")


@dataclass
class Heard:
    """What came: (signal, label, key) in order; and how many rows were there at each moment."""

    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    there: list[int] = field(default_factory=list)
    instances: Counter[str] = field(default_factory=Counter)

    def keys(self, signal: str, model: type[models.Model]) -> list[Any]:
        wanted = (signal, model._meta.label)
        return [key for name, label, key in self.calls if (name, label) == wanted]


@contextmanager
def hearing(*senders: type[models.Model] | None) -> Iterator[Heard]:
    """Receivers of both signals, for each of the models, or for all (None)."""
    heard = Heard()

    def before(sender: Any, instance: models.Model, using: str, **kwargs: Any) -> None:
        assert sender is type(instance)
        assert using == "default"
        assert kwargs["origin"] is instance
        heard.calls.append(("pre", sender._meta.label, instance.pk))
        instance.__dict__["noted"] = instance.pk
        if len(heard.calls) % 500 == 1:
            heard.there.append(rows_there())
        # What the row points at can be read: nothing is gone yet.
        if isinstance(instance, zoo.OrderLine) and instance.pk <= 3:
            assert instance.order.customer.name.startswith("Customer of")

    def after(sender: Any, instance: models.Model, using: str, **kwargs: Any) -> None:
        heard.calls.append(("post", sender._meta.label, instance.pk))
        # It is the very instance that was announced, with what was noted on it.
        assert instance.__dict__["noted"] == instance.pk
        assert not models.QuerySet(sender, using=using).filter(pk=instance.pk).exists()

    def changed(**kwargs: Any) -> None:
        heard.calls.append(("m2m", "", None))

    for sender in senders:
        pre_delete.connect(before, sender=sender, weak=False)
        post_delete.connect(after, sender=sender, weak=False)
    m2m_changed.connect(changed, weak=False)
    try:
        yield heard
    finally:
        for sender in senders:
            pre_delete.disconnect(before, sender=sender)
            post_delete.disconnect(after, sender=sender)
        m2m_changed.disconnect(changed)


@contextmanager
def counting_instances() -> Iterator[Counter[str]]:
    """How many instances of each of the zoo's models are made."""
    made: Counter[str] = Counter()

    def count(sender: type[models.Model], **kwargs: Any) -> None:
        if sender._meta.app_label in ("zoo", "auth", "demoapp", "admin"):
            made[sender._meta.label] += 1

    models.signals.post_init.connect(count, weak=False)
    try:
        yield made
    finally:
        models.signals.post_init.disconnect(count)


def rows_there() -> int:
    return sum(model.objects.count() for model in (zoo.Customer, zoo.Order))


def test_rows_are_told_of_in_batches_each_once_before_and_after(archive: str) -> None:
    customer = rows.bulk("default", 6_000)
    lines = list(zoo.OrderLine.objects.order_by("pk").values_list("pk", flat=True))
    orders = list(zoo.Order.objects.order_by("pk").values_list("pk", flat=True))
    assert len(lines) == 3_600
    before = removals.dump()
    with hearing(zoo.OrderLine, zoo.Customer) as heard, counting_instances() as made:
        heard.there.clear()
        report = removals.delete(customer, archive=archive)
    assert report.removed_by_model["zoo.OrderLine"] == len(lines)
    assert sorted(heard.keys("pre", zoo.OrderLine)) == lines
    assert sorted(heard.keys("post", zoo.OrderLine)) == lines
    assert heard.keys("pre", zoo.Customer) == heard.keys("post", zoo.Customer) == [customer.key]
    assert {label for _, label, _ in heard.calls} == {"zoo.OrderLine", "zoo.Customer"}
    # All that is told before is told while everything is there.
    signals = [signal for signal, _, _ in heard.calls]
    assert signals == ["pre"] * (len(lines) + 1) + ["post"] * (len(lines) + 1)
    assert set(heard.there) == {1 + len(orders)}
    # Children are told of before what they hang on.
    assert heard.calls[-1] == ("post", "zoo.Customer", customer.key)
    # One for both signals; the orders of three lines were read above.
    assert made["zoo.OrderLine"] == len(lines)
    assert made["zoo.Order"] == 3
    gestore.import_objects(archive)
    assert compare.difference(before, removals.dump()) == []


def test_many_rows_are_not_all_held(archive: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond ten thousand the two signals get instances of their own: memory stays flat."""
    customer = rows.bulk("default", 6_000)
    monkeypatch.setattr("gestore.removing._KEPT_BYTES", 3_000_000)
    heard: Counter[str] = Counter()

    def hear(signal: Any, **kwargs: Any) -> None:
        heard["pre" if signal is pre_delete else "post"] += 1

    for signal in (pre_delete, post_delete):
        signal.connect(hear, sender=zoo.OrderLine)
    try:
        with counting_instances() as made:
            removals.delete(customer, archive=archive)
    finally:
        for signal in (pre_delete, post_delete):
            signal.disconnect(hear, sender=zoo.OrderLine)
    assert heard == {"pre": 3_600, "post": 3_600}
    # A batch of 2,000 was held, and that of 1,600 made anew.
    assert made["zoo.OrderLine"] == 3_600 + 1_600


def test_nobody_listens_and_no_instance_is_made(archive: str) -> None:
    there = rows.populate("default", menageries=2, chain=2)
    with counting_instances() as made:
        report = removals.delete(there.root, archive=archive)
    assert report.row_count > 250
    assert made == Counter()


def test_automatic_many_to_many_tables_are_silent(archive: str) -> None:
    """As under Django; and so are `m2m_changed` and every table of others."""
    with inserting("default") as inserter:
        home, other = (inserter.put(zoo.Menagerie, name=name) for name in ("home", "of others"))
        for menagerie in (home, other):
            tag = inserter.put(zoo.Tag, label=f"tag {menagerie.key}")
            inserter.put(zoo.Menagerie.tags.through, menagerie=menagerie, tag=tag)
            inserter.put(zoo.Team, menagerie=menagerie, name="team")
    with hearing(None) as heard:
        report = removals.delete(home, archive=archive)
    assert report.removed_by_model["zoo.Menagerie_tags"] == 1
    assert heard.calls == [
        ("pre", "zoo.Team", 1),
        ("pre", "zoo.Menagerie", 1),
        ("post", "zoo.Team", 1),
        ("post", "zoo.Menagerie", 1),
    ]


def test_each_half_of_a_multi_table_object_is_told_of(archive: str) -> None:
    """As under Django: the child's model hears of the child, the parent's of the parent."""
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        vehicle = inserter.put(zoo.Vehicle, menagerie=home, name="car")
        car = inserter.put(zoo.Car, vehicle_ptr=vehicle, doors=2)
    with hearing(zoo.Car, zoo.Vehicle) as heard:
        removals.delete(car, archive=archive)
    assert heard.calls == [
        ("pre", "zoo.Car", car.key),
        ("pre", "zoo.Vehicle", vehicle.key),
        ("post", "zoo.Car", car.key),
        ("post", "zoo.Vehicle", vehicle.key),
    ]


def test_rows_that_managers_hide_are_told_of(archive: str) -> None:
    there = rows.populate("default", menageries=1, chain=1)
    hidden = (zoo.HiddenByManager, zoo.HiddenByBaseManager, zoo.Scoped)
    with hearing(*hidden) as heard:
        removals.delete(there.root, archive=archive)
    for model, count in zip(hidden, (2, 2, 1), strict=True):
        assert len(heard.keys("pre", model)) == len(heard.keys("post", model)) == count


def test_receiver_that_removes_what_was_to_go_anyway(archive: str) -> None:
    """Files, caches, search indexes, and now and then rows: that they are gone is proved."""
    shop = rows.customers("default", count=2, orders=2, lines=2)

    def sweep(instance: models.Model, **kwargs: Any) -> None:
        zoo.OrderLine.objects.filter(order=instance.pk).delete()

    pre_delete.connect(sweep, sender=zoo.Order)
    try:
        report = removals.delete(shop.customer, archive=archive)
    finally:
        pre_delete.disconnect(sweep, sender=zoo.Order)
    assert report.removed_by_model["zoo.OrderLine"] == 4
    assert removals.archived(archive, owned=True)["zoo.OrderLine"] == 4
    assert zoo.OrderLine.objects.count() == 4
    assert removals.dangling() == []


def test_receiver_that_makes_rows_which_point_at_what_goes(archive: str) -> None:
    """An audit log of the project's own, for one: it would point at nothing."""
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        inserter.put(zoo.Team, menagerie=home, name="team")
        kind = inserter.content_type(zoo.Team)

    def note(instance: models.Model, **kwargs: Any) -> None:
        zoo.NoteByInteger.objects.create(content_type_id=kind, object_id=instance.pk, text="gone")

    before = removals.dump()
    post_delete.connect(note, sender=zoo.Team)
    try:
        with pytest.raises(gestore.Refused, match="rolled back") as refusal:
            removals.delete(home, archive=archive)
    finally:
        post_delete.disconnect(note, sender=zoo.Team)
    (finding,) = refusal.value.findings
    assert finding.subject.startswith("zoo.NoteByInteger.")
    assert compare.difference(before, removals.dump()) == []


@pytest.mark.parametrize("signal", [pre_delete, post_delete])
def test_receiver_that_fails_stops_everything(signal: Any, archive: str) -> None:
    shop = rows.customers("default", count=1, orders=2, lines=2)
    before = removals.dump()

    def fail(**kwargs: Any) -> None:
        raise RuntimeError("the file server does not answer")

    signal.connect(fail, sender=zoo.Order)
    try:
        with pytest.raises(RuntimeError, match="the file server does not answer"):
            removals.delete(shop.customer, archive=archive)
    finally:
        signal.disconnect(fail, sender=zoo.Order)
    assert compare.difference(before, removals.dump()) == []
