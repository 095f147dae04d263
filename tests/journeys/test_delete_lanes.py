"""Do the fast and the careful way of a deletion end alike, and when is the fast one left?

Where the database vouches that rows are what was archived they go by their keys; any doubt is
rolled back, and the careful way tells what it is.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django
import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.db.models import QuerySet
from django.db.models.signals import post_delete
from hypothesis import HealthCheck, given, settings

import gestore
from gestore import deleting, sweeping
from gestore.database import postgresql
from gestore.deleting import DeleteOptions, delete_objects
from gestore.removal import plan
from tests.journeys import removals
from tests.journeys.test_delete_overtaken import At, several_writers, somebody_else
from tests.journeys.test_delete_random import removals_of_rows
from tests.journeys.test_random_graphs import POINTERS, Graph, Key, put
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.emptying import empty
from tests.zoo.inserting import Placed, inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)


@dataclass
class Lanes:
    """What became of each attempt: "fast", or why it was given up."""

    ends: list[str] = field(default_factory=list)


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> Lanes:
    seen = Lanes()

    def spied(sweep: Any, progress: Any) -> Any:
        try:
            gone = sweeping.swept(sweep, progress)
        except sweeping.Doubt as doubt:
            seen.ends.append(str(doubt))
            raise
        seen.ends.append("fast")
        return gone

    monkeypatch.setattr(deleting, "swept", spied)
    return seen


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(tmp_path / "gone.jsonl")


def no_sweep(*args: Any, kept: bool) -> None:
    """In place of `sweep_of`: the careful way."""


def settled() -> None:
    """On PostgreSQL a row is known to be unchanged when all transactions of its time are over,
    those of others on the server among them."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::numeric")
        (wanted,) = cursor.fetchone()
        for _ in range(600):
            cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::numeric")
            if cursor.fetchone()[0] >= wanted:
                return
            time.sleep(0.1)
    raise AssertionError("somebody's transaction does not end")


# Both end alike -----------------------------------------------------------------------------------


def many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one key is many: where the database has them in tables, it does so now."""
    monkeypatch.setattr(postgresql.PostgreSQLDialect, "lot_keys", 1)
    monkeypatch.setattr(postgresql, "_TABLE_LOTS", 3)


@pytest.mark.parametrize("is_many", [False, True], ids=["lots", "tables of keys"])
@pytest.mark.parametrize("own", [[], [User]])
def test_zoo_goes_the_fast_way_as_the_careful_one(
    own: list[Any], is_many: bool, lanes: Lanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_many:
        if connection.vendor != "postgresql":
            pytest.skip("only PostgreSQL has tables of keys")
        many_keys(monkeypatch)
    there = rows.populate("default", menageries=2, dangling=True, loans=True)
    before = removals.dump()
    settled()
    fast = removals.delete(there.root, archive=str(tmp_path / "fast.jsonl"), own=own)
    by_database = django.VERSION >= (6, 1)
    assert lanes.ends == ([] if by_database else ["fast"])
    after = removals.dump()
    gestore.import_objects(str(tmp_path / "fast.jsonl"))
    assert compare.difference(before, removals.dump()) == []

    monkeypatch.setattr(deleting, "sweep_of", no_sweep)
    careful = removals.delete(there.root, archive=str(tmp_path / "careful.jsonl"), own=own)
    assert compare.difference(after, removals.dump()) == []
    assert list(fast.removed_by_model.items()) == list(careful.removed_by_model.items())
    assert fast.changed_by_model == careful.changed_by_model
    assert _told(fast.plan) == _told(careful.plan)
    assert fast.row_count > 300
    assert _rows(tmp_path / "fast.jsonl") == _rows(tmp_path / "careful.jsonl")
    first, second = gestore.models.Removal.objects.order_by("pk")
    assert (first.removed, first.changed, first.planned) == (
        second.removed,
        second.changed,
        second.planned,
    )
    assert None not in (first.ended_at, second.ended_at)


def _told(plan: gestore.DeletePlan) -> tuple[object, str]:
    return plan.as_json(), plan.fingerprint


def _rows(archive: Path) -> list[str]:
    return archive.read_text("utf-8").splitlines()[1:-1]


@given(removal=removals_of_rows())
@settings(
    max_examples=10 if os.environ.get("CI") else 30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_graph_goes_the_fast_way_as_the_careful_one(
    removal: tuple[Graph, list[Key], dict[str, Any]],
) -> None:
    graph, roots, options = removal
    placed = [Placed(*root) for root in roots]
    ends = []
    for careful in (False, True):
        try:
            put(graph)
            with pytest.MonkeyPatch.context() as patch:
                many_keys(patch)
                if careful:
                    patch.setattr(deleting, "sweep_of", no_sweep)
                    # Every relation is asked, also by which the walk took all rows there are.
                    patch.setattr(plan, "owning", lambda *args: lambda relation, name: False)
                ends.append(_end(placed, options))
        finally:
            empty("default")
    assert ends[0] == ends[1]


def _end(roots: Sequence[Placed], options: dict[str, Any]) -> tuple[Any, ...]:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "gone.jsonl"
        try:
            report = removals.delete(*roots, archive=str(archive), **options)
        except gestore.Refused as refusal:
            return sorted(map(str, refusal.findings)), compare.dump("default", POINTERS)
        counts = dict(report.removed_by_model), dict(report.changed_by_model)
        dump = compare.dump("default", POINTERS)
        return counts, _told(report.plan), _rows(archive), dump


def test_without_an_archive_no_row_is_read(lanes: Lanes, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = rows.bulk("default", 100)
    settled()
    monkeypatch.setattr(deleting.Ledger, "take", None)
    monkeypatch.setattr(deleting, "walked_rows", None)
    report = delete_objects([customer.reference], DeleteOptions(is_unarchived=True))
    assert lanes.ends == ["fast"]
    assert report.is_finished
    assert not zoo.Customer.objects.exists()
    assert removals.dangling() == []


# Why every row is looked at -----------------------------------------------------------------------


def test_receivers_hear_of_rows(lanes: Lanes, archive: str) -> None:
    customer = rows.bulk("default", 10)
    heard = []

    def hear(instance: Any, **kwargs: Any) -> None:
        heard.append(instance.pk)

    post_delete.connect(hear, sender=zoo.Customer)
    try:
        removals.delete(customer, archive=archive)
    finally:
        post_delete.disconnect(hear, sender=zoo.Customer)
    assert (lanes.ends, heard) == ([], [customer.key])


@pytest.mark.skipif(django.VERSION < (6, 1), reason="came with Django 6.1")
def test_database_would_take_rows_along(lanes: Lanes, archive: str) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        inserter.put(zoo.DatabaseDoomed, menagerie=home, name="doomed")
    removals.delete(home, archive=archive)
    assert lanes.ends == []


def test_transaction_is_the_callers(lanes: Lanes, archive: str, vendor: str) -> None:
    if vendor != "sqlite":
        pytest.skip("a caller's transaction must show one moment")
    customer = rows.bulk("default", 10)
    with transaction.atomic():
        removals.delete(customer, archive=archive)
        assert not zoo.Customer.objects.exists()
        transaction.set_rollback(True)
    assert lanes.ends == []
    assert zoo.Customer.objects.exists()


def test_batches_are_looked_at(lanes: Lanes, archive: str) -> None:
    customer = rows.bulk("default", 10)
    delete_objects([customer.reference], DeleteOptions(archive=archive, commit_every=5))
    assert lanes.ends == []


# What is noticed ----------------------------------------------------------------------------------


def _reference(model: Any) -> str:
    return f"{model._meta.label}.{model.objects.order_by('pk')[0].pk}"


def _touch() -> None:
    order = zoo.Order.objects.order_by("pk")[0]
    assert QuerySet(zoo.Order).filter(pk=order.pk).update(customer=order.customer_id) == 1


def _write_elsewhere() -> None:
    zoo.Tag.objects.create(label="of nobody")


def test_write_that_changes_nothing_is_only_a_doubt(
    lanes: Lanes, archive: str, vendor: str
) -> None:
    customer = rows.bulk("default", 10)
    settled()
    report = delete_objects(
        [customer.reference], DeleteOptions(archive=archive), progress=At("Reading", _touch)
    )
    assert report.is_finished
    # MariaDB finds the row as it was.
    doubts = {
        "mysql": "fast",
        "postgresql": "rows of zoo.Order changed or are gone",
        "sqlite": "the moment is of no use",
    }
    assert lanes.ends == [doubts[vendor]]


def test_write_elsewhere_is_a_doubt_on_sqlite_only(lanes: Lanes, archive: str, vendor: str) -> None:
    customer = rows.bulk("default", 10)
    settled()
    at = At("Reading", _write_elsewhere)
    delete_objects([customer.reference], DeleteOptions(archive=archive), progress=at)
    assert lanes.ends == ["the moment is of no use" if vendor == "sqlite" else "fast"]


def test_file_that_another_process_wrote_to_is_noticed(tmp_path: Path, vendor: str) -> None:
    """By the connection itself: SQLite alone counts what others commit."""
    if vendor != "sqlite":
        pytest.skip("of SQLite's files")
    import sqlite3

    from gestore.database.sqlite import SQLiteDialect

    path = str(tmp_path / "shop.sqlite3")
    for mode in ("DELETE", "WAL"):
        with sqlite3.connect(path) as other:
            other.execute(f"PRAGMA journal_mode = {mode}")
            other.execute("CREATE TABLE IF NOT EXISTS django_migrations (id INTEGER)")
        probe = connection.copy()
        probe.settings_dict["NAME"] = path
        try:
            dialect = SQLiteDialect(probe)
            with probe.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("SELECT * FROM django_migrations")
                cursor.fetchall()
                moment = dialect.moment()
                cursor.execute("COMMIT")
                for is_written in (False, True):
                    if is_written:
                        with sqlite3.connect(path) as other:
                            other.execute("INSERT INTO django_migrations VALUES (1)")
                        other.close()
                    cursor.execute("BEGIN")
                    dialect.begin_load("")
                    assert dialect.is_reliable(moment, []) is not is_written
                    cursor.execute("COMMIT")
            with probe.cursor() as cursor:
                moment = dialect.moment()
                cursor.execute("INSERT INTO django_migrations VALUES (2)")
            assert not dialect.is_reliable(moment, [])
            moment = dialect.moment()
            probe.close()
            # Another connection counts anew.
            assert not dialect.is_reliable(moment, [])
        finally:
            probe.close()


@several_writers
def test_row_that_changes_while_it_is_waited_for(lanes: Lanes, archive: str) -> None:
    """The statement waits for the other writer, and sees what he leaves."""
    customer = rows.bulk("default", 10)
    order = zoo.Order.objects.order_by("pk")[0]
    settled()
    done = []

    def work() -> None:
        with transaction.atomic():
            QuerySet(zoo.Order).filter(pk=order.pk).update(placed=rows._moment(2000, 1, 1))
            done.append(True)
            time.sleep(1)

    def begin(moment: str) -> None:
        import threading

        def run() -> None:
            try:
                work()
            finally:
                connections.close_all()

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        while not done:
            time.sleep(0.01)

    threads: list[Any] = []

    @dataclass
    class Meanwhile(At):
        def begin(self, task: str, total: int | None = None) -> None:
            if task == self.moment and task not in self.heard:
                self.heard.append(task)
                begin(task)

    with pytest.raises(gestore.Refused) as refusal:
        delete_objects(
            [customer.reference],
            DeleteOptions(archive=archive),
            progress=Meanwhile("Comparing", work),
        )
    threads[0].join()
    assert len(lanes.ends) == 1
    assert lanes.ends[0].startswith("rows of zoo.Order changed")
    assert [str(finding) for finding in refusal.value.findings] == [
        f"zoo.Order.{order.pk}: has changed since it was archived."
    ]


def test_row_of_an_unended_time_is_only_a_doubt(lanes: Lanes, archive: str, vendor: str) -> None:
    """On PostgreSQL a transaction that lasts makes every row suspicious that was written since."""
    if vendor != "postgresql":
        pytest.skip("rows of PostgreSQL tell their transaction")
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT pg_current_xact_id()")
            customer = rows.bulk("default", 10)
            report = removals.delete(customer, archive=archive)
            cursor.execute("ROLLBACK")
    finally:
        other.close()
    assert report.is_finished
    assert len(lanes.ends) == 1
    assert lanes.ends[0].endswith("changed or are gone")


def test_tables_without_versions_are_a_doubt(lanes: Lanes, archive: str, vendor: str) -> None:
    if vendor != "postgresql":
        pytest.skip("of PostgreSQL's tables")
    customer = rows.bulk("default", 10)
    settled()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE line_of_others () INHERITS (zoo_orderline)")
    try:
        removals.delete(customer, archive=archive)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE line_of_others")
    assert lanes.ends == ["the moment is of no use"]


def test_row_that_a_trigger_puts_back(lanes: Lanes, archive: str, vendor: str) -> None:
    if vendor not in _TRIGGERS:
        pytest.skip("a trigger of MariaDB's may not write to its own table")
    customer = rows.bulk("default", 10)
    before = removals.dump()
    settled()
    made, dropped = _TRIGGERS[vendor]
    with connection.cursor() as cursor:
        for statement in made:
            cursor.execute(statement)
    try:
        with pytest.raises(gestore.Refused) as refusal:
            removals.delete(customer, archive=archive)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(dropped)
    assert lanes.ends == ["rows of zoo.Customer are there"]
    (finding,) = refusal.value.findings
    assert str(finding) == f"{customer.reference}: is in the database."
    assert compare.difference(before, removals.dump()) == []


_BACK = "INSERT INTO zoo_customer (id, name) VALUES (OLD.id, 'back')"
_BEGIN_BACK = f"BEGIN {_BACK.replace(chr(39), chr(39) * 2)}; RETURN OLD; END"
_TRIGGERS: dict[str, tuple[list[str], str]] = {
    "sqlite": (
        [f"CREATE TRIGGER back AFTER DELETE ON zoo_customer BEGIN {_BACK}; END"],
        "DROP TRIGGER back",
    ),
    "postgresql": (
        [
            f"CREATE FUNCTION back() RETURNS trigger AS '{_BEGIN_BACK}' LANGUAGE plpgsql",
            "CREATE TRIGGER back AFTER DELETE ON zoo_customer FOR EACH ROW EXECUTE FUNCTION back()",
        ],
        "DROP FUNCTION back CASCADE",
    ),
}


# Without an archive -------------------------------------------------------------------------------


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[], None]]]:
    """What somebody else does after the plan, before the rows are looked at again."""
    works: list[Callable[[], None]] = []
    loading = deleting.loading

    def interrupted(*args: Any, **options: Any) -> Any:
        while works:
            somebody_else(works.pop())
        return loading(*args, **options)

    monkeypatch.setattr(deleting, "loading", interrupted)
    return works


def _new_order(customer: Placed, order: zoo.Order) -> str:
    new = zoo.Order.objects.create(customer_id=customer.key, placed=order.placed)
    return f"zoo.Order.{new.pk}: points at {customer.reference} (customer)."


def _lost_order(customer: Placed, order: zoo.Order) -> str:
    for model in (zoo.OrderLine, zoo.Order.tags.through):
        QuerySet(model).filter(order=order.pk).delete()
    QuerySet(zoo.Order).filter(pk=order.pk).delete()
    return f"zoo.Order.{order.pk}: is gone since it was archived."


def _order_of_another(customer: Placed, order: zoo.Order) -> str:
    other = zoo.Customer.objects.exclude(pk=customer.key)[0]
    QuerySet(zoo.Order).filter(pk=order.pk).update(customer=other.pk)
    return f"zoo.Order.{order.pk}: has changed since it was archived."


@pytest.mark.parametrize("work", [_new_order, _lost_order, _order_of_another])
def test_what_came_in_between_is_named(
    work: Callable[[Placed, zoo.Order], str], meanwhile: list[Callable[[], None]]
) -> None:
    rows.bulk("default", 15)
    customer = rows.bulk("default", 20)
    order = zoo.Order.objects.filter(customer=customer.key).order_by("pk")[0]
    settled()
    told: list[str] = []
    left: list[compare.Dump] = []

    def do() -> None:
        told.append(work(customer, order))
        left.append(removals.dump())

    meanwhile.append(do)
    with pytest.raises(gestore.Refused) as refusal:
        delete_objects([customer.reference], DeleteOptions(is_unarchived=True))
    assert told[0] in map(str, refusal.value.findings)
    assert compare.difference(left[0], removals.dump()) == []


def test_value_that_nobody_archived_is_no_matter(
    lanes: Lanes, meanwhile: list[Callable[[], None]]
) -> None:
    """The same rows go as were planned: what they hold was never shown, nor kept."""
    customer = rows.bulk("default", 20)
    settled()

    def touch() -> None:
        zoo.Order.objects.update(placed=rows._moment(2000, 1, 1))

    meanwhile.append(touch)
    report = delete_objects([customer.reference], DeleteOptions(is_unarchived=True))
    assert (report.is_finished, len(lanes.ends)) == (True, 1)
    # Where rows tell of themselves, only what says whose they are is asked of them.
    assert (lanes.ends == ["fast"]) is (connections["default"].vendor == "mysql")
    assert not zoo.Customer.objects.exists()
