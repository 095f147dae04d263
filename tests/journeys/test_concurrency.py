"""What if others write at the same time, or import, or import the same?

SQLite lets one write at a time: there is nothing to see there.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from django.conf import settings
from django.db import connections, models, transaction

import gestore
from gestore import Strategy
from tests.journeys.trips import count, dump, export, load
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.inserting import Placed, inserting

pytestmark = [
    pytest.mark.django_db(databases=["default", "target"], transaction=True),
    pytest.mark.skipif("sqlite" in settings.DATABASES["target"]["ENGINE"], reason="one writer"),
    pytest.mark.timeout(120),
]

WRITERS = 16
T = TypeVar("T")


def target(model: type[models.Model]) -> models.QuerySet[Any]:
    return model._default_manager.using("target")


def at_once(*works: Callable[[], T]) -> list[T]:
    """Each in a thread, with a connection of its own; the first error is raised."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], T]) -> T:
        try:
            start.wait(30)
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result(60) for future in [pool.submit(run, work) for work in works]]


@dataclass
class Writers:
    """What the others wrote, and what went wrong for them."""

    orders: dict[int, int] = field(default_factory=dict)
    lines: dict[int, int] = field(default_factory=dict)
    tags: dict[int, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def write(self, number: int, stop: threading.Event) -> None:
        """An order after the other, as a site does, until told to stop."""
        moment = datetime(2030, 1, 1, tzinfo=UTC)
        customer = number % 2 + 1
        count = 0
        try:
            while not stop.is_set():
                count += 1
                tag = zoo.Tag.objects.using("target").create(label=f"writer {number}, {count}")
                with transaction.atomic("target"):
                    order = zoo.Order.objects.using("target").create(
                        customer_id=customer, placed=moment
                    )
                    order.tags.add(tag)
                    made = zoo.OrderLine.objects.using("target").create(
                        order=order, product_id=1, quantity=1_000_000 + number
                    )
                self.tags[tag.pk] = tag.label
                self.orders[order.pk] = customer
                self.lines[made.pk] = order.pk
        except Exception as error:  # noqa: BLE001 -- whatever it is, the test is to show it
            self.errors.append(f"writer {number}: {error!r}")
        finally:
            connections.close_all()

    def check(self) -> None:
        """Nothing of it was lost, changed, or mixed up with what was imported."""
        assert self.errors == []
        assert len(self.orders) > WRITERS
        mine = target(zoo.OrderLine).filter(quantity__gte=1_000_000)
        assert dict(mine.values_list("pk", "order_id")) == self.lines
        orders = target(zoo.Order).filter(pk__in=self.orders)
        assert dict(orders.values_list("pk", "customer_id")) == self.orders
        tags = target(zoo.Tag).filter(label__startswith="writer ")
        assert dict(tags.values_list("pk", "label")) == self.tags
        through = zoo.Order.tags.through.objects.using("target")
        assert through.filter(tag_id__in=self.tags).count() == len(self.orders)


@contextmanager
def writing() -> Iterator[Writers]:
    """Sixteen of them, from before until after what is done inside."""
    writers, stop = Writers(), threading.Event()
    threads = [threading.Thread(target=writers.write, args=(n, stop)) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        while len(writers.orders) < WRITERS and not writers.errors:
            stop.wait(0.01)
        yield writers
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def lines_of(using: str, customer: int) -> Counter[tuple[datetime, int, str]]:
    """A customer's order lines by what they say, not by their keys."""
    found = zoo.OrderLine.objects.using(using).filter(order__customer=customer)
    return Counter(found.values_list("order__placed", "quantity", "product__code"))


def strangers() -> None:
    """Two customers here, whose rows have the first keys of the archive's."""
    rows.customers("target", count=2, orders=200, lines=2)
    target(zoo.Product).filter(pk=3).update(code="of others")


@pytest.mark.parametrize("strategy", [Strategy.REMAP, Strategy.KEEP])
def test_sixteen_writers_beside_an_import(strategy: Strategy, tmp_path: Path) -> None:
    customer = rows.bulk("default", 5_000)
    archive = str(tmp_path / "customer.jsonl")
    exported = export(customer, archive)
    assert exported.row_count > 4_900
    strangers()
    before = dump("target")
    with writing() as writers:
        report = load(
            archive, on_conflict=strategy, strategies={"zoo.Tag": Strategy.KEEP}, verify=True
        )
    writers.check()
    after = dump("target")
    # Nobody's row has changed.
    assert {
        label: {key: after[label][key] for key in found} for label, found in before.items()
    } == before
    written = sum(map(len, (writers.orders, writers.lines, writers.tags, writers.orders)))
    assert count(after) == count(before) + report.loaded_count + written
    if strategy is Strategy.KEEP:
        # Orders that met rows here are theirs now: those that did not are all there.
        assert report.loaded_count + report.kept_count + report.here_count == exported.row_count
        return
    (arrived,) = target(zoo.Customer).filter(name="Customer of 5000 rows")
    assert arrived.pk != customer.key
    assert lines_of("target", arrived.pk) == lines_of("default", customer.key)
    assert arrived.orders.using("target").count() == 1_000
    # Once more, now that it is quiet; and then it goes, and they stay.
    again = load(archive, on_conflict=strategy, strategies={"zoo.Tag": Strategy.KEEP})
    assert again.loaded_count == 0
    gestore.undo_import(report.number, database="target")
    writers.check()
    assert count(dump("target")) == count(before) + written


def test_two_archives_at_once(tmp_path: Path) -> None:
    shop = rows.customers("default", count=2, orders=300, lines=3)
    archives = [str(tmp_path / f"{n}.json") for n in (1, 2)]
    for placed, archive in zip(shop.customers, archives, strict=True):
        export(placed, archive)
    with inserting("target") as inserter:
        other = inserter.put(zoo.Customer, id=1, name="somebody")
        many = ({"customer": other, "placed": datetime(2000, 1, 1, tzinfo=UTC)} for _ in range(700))
        inserter.put_many(zoo.Order, many)
    before = dump("target")
    reports = at_once(
        *(lambda archive=archive: load(archive, on_conflict=Strategy.REMAP) for archive in archives)
    )
    after = dump("target")
    assert count(after) == count(before) + sum(report.loaded_count for report in reports)
    for number, placed in enumerate(shop.customers, start=1):
        arrived = target(zoo.Customer).get(name=f"Customer {number}")
        assert lines_of("target", arrived.pk) == lines_of("default", placed.key)
        assert lines_of("target", arrived.pk).total() == 900
    # What both brought, the products and the tags, is there once.
    assert target(zoo.Product).count() == 3
    assert sum(report.loaded_by_model.get("zoo.Product", 0) for report in reports) == 3
    # And each goes alone, the later one first.
    for report in sorted(reports, key=lambda report: "zoo.Product" in report.loaded_by_model):
        gestore.undo_import(report.number, database="target")
    assert compare.difference(before, dump("target")) == []


@pytest.mark.parametrize("strategy", [Strategy.REFUSE, Strategy.REMAP])
def test_one_archive_many_times_at_once(strategy: Strategy, tmp_path: Path) -> None:
    customer = rows.bulk("default", 1_500)
    archive = str(tmp_path / "customer.json")
    exported = export(customer, archive)
    if strategy is Strategy.REMAP:
        with inserting("target") as inserter:
            other = inserter.put(zoo.Customer, id=customer.key, name="somebody")
            inserter.put(zoo.Order, id=1, customer=other, placed=datetime(2000, 1, 1, tzinfo=UTC))
    before = dump("target")
    reports = at_once(*[lambda: load(archive, on_conflict=strategy)] * 4)
    assert sorted(report.loaded_count for report in reports) == [0, 0, 0, exported.row_count]
    assert sum(report.here_count for report in reports) == 3 * exported.row_count
    assert count(dump("target")) == count(before) + exported.row_count
    arrived = target(zoo.Customer).get(name="Customer of 1500 rows")
    assert lines_of("target", arrived.pk) == lines_of("default", customer.key)


# Between the check and the load ---------------------------------------------------------------


class Faster:
    """A progress listener that writes a row, by a connection of its own, whenever a load begins."""

    def __init__(self, write: Callable[[int], object]) -> None:
        self._write = write
        self.loads = 0

    def begin(self, task: str, total: int | None = None) -> None:
        if task == "Loading":
            self.loads += 1
            at_once(lambda: self._write(self.loads))

    def advance(self, count: int) -> None:
        pass

    def end(self) -> None:
        pass


def tagged(tmp_path: Path) -> tuple[Placed, str, Sequence[str]]:
    """A customer with five tags, which are unique; its archive, and their labels."""
    labels = [f"tag {n}" for n in range(5)]
    with inserting("default") as inserter:
        customer = inserter.put(zoo.Customer, name="of many tags")
        for key, label in enumerate(labels, start=40):
            tag = inserter.put(zoo.Tag, id=key, label=label)
            inserter.put(zoo.Customer.tags.through, customer=customer, tag=tag)
    archive = str(tmp_path / "customer.json")
    export(customer, archive)
    return customer, archive, labels


def load_beside(archive: str, faster: Faster, strategy: Strategy) -> gestore.ImportReport:
    options = gestore.ImportOptions(database="target", on_conflict=strategy)
    return gestore.import_objects(archive, options, progress=faster)


@pytest.mark.usefixtures("in_two_steps")
def test_row_that_came_after_the_check_is_seen_by_the_next(tmp_path: Path) -> None:
    _, archive, _ = tagged(tmp_path)
    faster = Faster(lambda n: zoo.Tag.objects.using("target").create(id=800 + n, label="tag 1"))
    with pytest.raises(gestore.Refused) as refusal:
        load_beside(archive, faster, Strategy.REFUSE)
    assert (faster.loads, refusal.value.exit_code) == (1, 3)
    (finding,) = refusal.value.findings
    assert str(finding) == (
        "zoo.Tag.41: label='tag 1' is taken here by zoo.Tag.801 (unique: label)."
    )
    assert count(dump("target")) == 1
    # Where it may stand, it stands.
    target(zoo.Tag).all().delete()
    report = load_beside(archive, Faster(
        lambda n: zoo.Tag.objects.using("target").create(id=900 + n, label="tag 1")
        if n == 1 else None), Strategy.KEEP)  # fmt: skip
    assert report.kept_by_model == {"zoo.Tag": 1}
    pairs = zoo.Customer.tags.through.objects.using("target").values_list("tag", flat=True)
    assert sorted(pairs) == [40, 42, 43, 44, 901]


@pytest.mark.usefixtures("in_two_steps")
def test_key_that_was_taken_after_the_check_is_given_anew(tmp_path: Path) -> None:
    customer, archive, _ = tagged(tmp_path)

    def take(number: int) -> None:
        if number == 1:
            zoo.Customer.objects.using("target").create(id=customer.key, name="faster")

    report = load_beside(archive, Faster(take), Strategy.REMAP)
    assert report.renewed_by_model == {"zoo.Customer": 1}
    assert set(target(zoo.Customer).values_list("name", flat=True)) == {"of many tags", "faster"}
    assert target(zoo.Customer).get(name="of many tags").tags.count() == 5


@pytest.mark.usefixtures("in_two_steps")
def test_who_is_overtaken_again_and_again_gives_up_clearly(tmp_path: Path) -> None:
    _, archive, labels = tagged(tmp_path)
    faster = Faster(lambda n: zoo.Tag.objects.using("target").create(id=800 + n, label=labels[n]))
    with pytest.raises(gestore.GestoreError) as error:
        load_beside(archive, faster, Strategy.KEEP)
    assert type(error.value).__name__ == "Overtaken"
    assert faster.loads == 3
    assert error.value.message.startswith("zoo.Tag.43 was refused by the database: ")
    assert error.value.hint == (
        "Everything was rolled back: another writer was faster. Import again."
    )
    assert sorted(target(zoo.Tag).values_list("pk", flat=True)) == [801, 802, 803]
    assert count(dump("target")) == 3
