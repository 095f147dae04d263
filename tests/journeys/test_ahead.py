"""Do rows that are loaded while others are being examined end as they would one after the other?

Not on SQLite, which has one writer: there nothing is loaded before everything was examined.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.db import OperationalError, connections
from django.test import override_settings
from hypothesis import HealthCheck, given, settings

import gestore
import gestore.models
from gestore import Strategy
from gestore.database.beside import Beside
from gestore.load.ahead import Ahead
from gestore.progress import Silence
from tests.journeys.test_random_conflicts import Encounter, encountered, encounters
from tests.journeys.trips import count, dump, export, load, one_after_the_other, outcome
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.emptying import empty
from tests.zoo.inserting import inserting

pytestmark = [
    pytest.mark.django_db(databases=["default", "target"], transaction=True),
    pytest.mark.skipif(
        connections["target"].vendor == "sqlite", reason="reading waits for its one writer"
    ),
]

MANY = 3_000


@contextmanager
def watched() -> Iterator[dict[str, int]]:
    """The rows that were loaded ahead, by table, in the last examination."""
    loaded: dict[str, int] = {}
    finish = Ahead.finish

    def finishing(self: Ahead) -> Any:
        found = finish(self)
        loaded.clear()
        loaded.update(found.counts)
        return found

    with mock.patch.object(Ahead, "finish", finishing):
        yield loaded


@contextmanager
def failing() -> Iterator[list[str]]:
    """What could not be done while others were being examined."""
    errors: list[str] = []
    done = Beside._done

    def doing(self: Beside, job: Any) -> Any:
        try:
            return done(self, job)
        except BaseException as error:
            errors.append(str(error))
            raise

    with mock.patch.object(Beside, "_done", doing):
        yield errors


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """A customer with orders, lines, tags and products."""
    name = str(tmp_path / "customer.jsonl")
    export(rows.bulk("default", MANY), name)
    return name


def target(model: Any) -> Any:
    return model._default_manager.using("target")


def somebody() -> None:
    """A customer here, who has an order and a line under the first keys of the archive's."""
    rows.customers("target", count=1, orders=2, lines=2)


# To the same end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [Strategy.REFUSE, Strategy.REMAP, Strategy.KEEP])
def test_rows_arrive_as_one_after_the_other(strategy: Strategy, archive: str) -> None:
    def arrive() -> tuple[Any, Any, Any]:
        if strategy is Strategy.REMAP:
            somebody()
        options: dict[str, Any] = {"on_conflict": strategy, "verify": True}
        if strategy is Strategy.REMAP:
            options["strategies"] = {
                "zoo.Tag": Strategy.KEEP,
                "zoo.Product": Strategy.KEEP,
                "zoo.Customer": strategy,
            }
        first = outcome(archive, **options) | {"import": 0}
        lines = sorted(
            target(zoo.OrderLine).values_list("order__placed", "quantity", "product__code")
        )
        number = target_records()
        again = outcome(archive, **options) | {"import": 0}
        gestore.undo_import(number, database="target")
        left = count(dump("target"))
        empty("target")
        return (first, again), lines, left

    with one_after_the_other():
        expected = arrive()
    with watched() as loaded, failing() as errors:
        found = arrive()
    assert found == expected
    assert errors == []
    assert expected[0][0]["loaded"]["zoo.OrderLine"] > 1_000
    assert loaded == {}, "the second time nothing is to be loaded"


def target_records() -> int:
    return int(gestore.models.Import.objects.using("target").latest("pk").pk)


def test_most_is_loaded_ahead(archive: str) -> None:
    with watched() as loaded:
        report = load(archive)
    assert sum(loaded.values()) > 0.9 * report.loaded_count
    empty("target")
    somebody()
    with watched() as loaded:
        report = load(
            archive,
            on_conflict=Strategy.REMAP,
            strategies={"zoo.Tag": Strategy.KEEP, "zoo.Product": Strategy.KEEP},
        )
    assert report.renewed_count > 0
    assert loaded


@given(encounter=encounters())
@settings(
    max_examples=15 if os.environ.get("CI") else 40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@override_settings(GESTORE={"ALLOW_OVERRIDE": True})
def test_whatever_meets_whatever_ends_alike(encounter: Encounter) -> None:
    with encountered(encounter) as archive:
        with one_after_the_other():
            expected = outcome(archive, dry_run=True, **encounter.options)
        assert outcome(archive, dry_run=True, **encounter.options) == expected
        before = dump("target")
        found = outcome(archive, **encounter.options)
        if not isinstance(expected, dict):
            assert found == expected
            assert compare.difference(before, dump("target")) == []
            return
        assert {**found, "import": 0, "dry_run": True} == expected
        assert count(dump("target")) - count(before) == sum(expected["loaded"].values())


# What was taken for granted, and is not so --------------------------------------------------------


def test_taken_value_is_found_by_the_database_and_named(archive: str) -> None:
    """The last product's code is somebody's: much is loaded by then."""
    with inserting("target") as inserter:
        inserter.put(zoo.OrderLine, id=MANY // 2, order=_order(inserter), product=7, quantity=1)
    before = dump("target")
    with one_after_the_other():
        expected = outcome(archive)
    with failing() as errors:
        found = outcome(archive)
    assert found == expected
    assert "key-conflict" in str(expected)
    assert any("duplicate" in error.lower() for error in errors)
    assert compare.difference(before, dump("target")) == []


def _order(inserter: Any) -> Any:
    customer = inserter.put(zoo.Customer, id=900_001, name="somebody")
    inserter.put(zoo.Product, id=7, code="somebody's", price=1)
    return inserter.put(
        zoo.Order, id=900_001, customer=customer, placed=datetime(2000, 1, 1, tzinfo=UTC)
    )


def test_row_that_somebody_is_writing(archive: str) -> None:
    """It waits for whoever was first, and then it is a conflict like any other."""
    other = connections["target"].copy()
    other.inc_thread_sharing()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute("INSERT INTO zoo_customer (id, name) VALUES (1, 'somebody')")
        timer = threading.Timer(1, other.commit)
        timer.start()
        with pytest.raises(gestore.Refused) as refusal:
            load(archive)
        timer.join()
    finally:
        other.close()
    assert [finding.subject for finding in refusal.value.findings] == ["zoo.Customer.1"]
    assert target(zoo.Order).count() == 0


def test_no_other_session_is_to_be_had(archive: str) -> None:
    wrapper = type(connections["target"])
    with (
        mock.patch.object(wrapper, "copy", lambda self: _Unreachable(self)),
        watched() as loaded,
    ):
        report = load(archive)
    assert report.loaded_count > 1_000
    assert loaded == {}


class _Unreachable:
    def __init__(self, connection: Any) -> None:
        self.force_debug_cursor = False

    def set_autocommit(self, autocommit: bool) -> None:
        raise OperationalError("too many clients already")

    def close(self) -> None:
        pass


# Nothing half done --------------------------------------------------------------------------------


class _Impatient(Silence):
    """A listener that gives up when half of the archive was examined."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error
        self._count = 0

    def advance(self, count: int) -> None:
        self._count += count
        if self._count > MANY / 2:
            raise self._error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_whoever_gives_up_leaves_nothing(error: type[BaseException], archive: str) -> None:
    connection = connections["target"]
    carried = []
    carry = Beside.carry

    def carrying(self: Beside, job: Any) -> None:
        carried.append(job)
        carry(self, job)

    options = gestore.ImportOptions(database="target")
    with mock.patch.object(Beside, "carry", carrying), pytest.raises(error):
        gestore.import_objects(archive, options, progress=_Impatient(error))
    assert carried
    assert connections["target"] is connection
    assert count(dump("target")) == 0
    assert not [thread for thread in threading.enumerate() if "gestore" in thread.name]
    assert load(archive).loaded_count > 1_000


def test_dry_run_leaves_nothing(archive: str) -> None:
    with watched() as loaded:
        report = load(archive, dry_run=True)
    assert loaded
    assert report.loaded_count > 1_000
    assert count(dump("target")) == 0


@pytest.mark.skipif(
    connections["target"].vendor != "postgresql", reason="whose keys come from sequences"
)
def test_keys_are_nobody_elses_before_they_are_written(archive: str) -> None:
    """A writer who asks the sequence while rows are being loaded is given none of their keys."""
    given: list[int] = []
    carry = Beside.carry

    def carrying(self: Beside, job: Any) -> None:
        carry(self, job)
        self.wait()
        with self.other.cursor() as cursor:
            cursor.execute("SELECT nextval(pg_get_serial_sequence('zoo_order', 'id'))")
            given.append(cursor.fetchone()[0])

    with mock.patch.object(Beside, "carry", carrying):
        load(archive)
    assert not {*given[-2:]} & {*target(zoo.Order).values_list("pk", flat=True)}
    assert max(given) > target(zoo.Order).latest("pk").pk
