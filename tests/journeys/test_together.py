"""Are rows that are decided many at once decided as each of them would be?

The same archives, into the same databases, both ways: the same rows, reports, findings and errors.
And whatever is unusual about a row leaves its lot to the careful way.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.db import connections
from django.test import override_settings
from hypothesis import HealthCheck, given, settings

import gestore
from gestore import Policy, Strategy, importing
from gestore.archive.reader import Lot
from gestore.load.together import Together
from tests.journeys import archives
from tests.journeys.test_random_conflicts import Encounter, encountered, encounters
from tests.journeys.trips import dump, export, load, outcome
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.emptying import empty
from tests.zoo.inserting import inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)


def one_by_one() -> Any:
    return mock.patch.object(importing, "DECIDES_TOGETHER", False)


@contextmanager
def watched() -> Iterator[dict[str, bool]]:
    """By model: was each of its lots decided together?"""
    taken: dict[str, bool] = {}
    take = Together.take

    def watching(self: Together, lot: Lot) -> Any:
        outcome = take(self, lot)
        taken[lot.model] = taken.get(lot.model, True) and outcome is True
        return outcome

    with mock.patch.object(Together, "take", watching):
        yield taken


def test_zoo_arrives_alike(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1)
    archive = str(tmp_path / "zoo.jsonl")
    gestore.export_objects([there.root.reference], archive)
    with one_by_one():
        expected = outcome(archive)
    stored, columns = dump("target"), _as_stored("target")
    empty("target")
    with watched() as taken:
        found = outcome(archive, verify=True)
    assert {**found, "import": 0} == {**expected, "import": 0}
    assert compare.difference(stored, dump("target")) == []
    # Byte for byte, too: what is stored is what was stored.
    assert _as_stored("target") == columns
    assert sum(taken.values()) > len(taken) * 2 / 3, taken
    # And once more: everything is there.
    assert outcome(archive)["loaded"] == {}


def _as_stored(using: str) -> dict[str, list[Any]]:
    """The rows as the driver reads them, but for what has another number in each run."""
    found = {}
    with connections[using].cursor() as cursor:
        for model in compare.zoo_models(using):
            table = connections[using].ops.quote_name(model._meta.db_table)
            cursor.execute(f"SELECT * FROM {table}")
            found[model._meta.label] = sorted(map(repr, cursor.fetchall()))
    return found


@given(encounter=encounters())
@settings(
    max_examples=15 if os.environ.get("CI") else 40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@override_settings(GESTORE={"ALLOW_OVERRIDE": True})
def test_whatever_meets_whatever_is_decided_alike(encounter: Encounter) -> None:
    with encountered(encounter) as archive:
        with one_by_one():
            expected = outcome(archive, dry_run=True, **encounter.options)
        assert outcome(archive, dry_run=True, **encounter.options) == expected


# What leaves a lot to the careful way -------------------------------------------------------------

Edit = Callable[[list[dict[str, Any]]], object]


def _orders(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in found if row["model"] == "zoo.order"]


def _field(name: str, value: Any) -> Edit:
    def edit(found: list[dict[str, Any]]) -> None:
        _orders(found)[1]["fields"][name] = value

    return edit


def _member(name: str, value: Any) -> Edit:
    def edit(found: list[dict[str, Any]]) -> None:
        _orders(found)[1][name] = value

    return edit


def _lacking(found: list[dict[str, Any]]) -> None:
    del _orders(found)[1]["fields"]["placed"]


def _twice(found: list[dict[str, Any]]) -> None:
    found.insert(found.index(_orders(found)[1]), _orders(found)[0])


UNUSUAL: dict[str, Edit] = {
    "a field more": _field("more", 1),
    "a field less": _lacking,
    "a key twice": _twice,
    "no key": _member("pk", None),
    "a key in quotes": _member("pk", "2"),
    "a key that is none": _member("pk", "two"),
    "nothing in a required column": _field("placed", None),
    "a moment with another offset": _field("placed", "2024-01-02T03:04:05+02:00"),
    "a moment of no day": _field("placed", "2024-02-30T03:04:05+00:00"),
    "a moment of two lines": _field(
        "placed", "2024-01-02T03:04:05+00:00\n2024-01-02T03:04:05+00:00"
    ),
    "a moment at 24 hours": _field("placed", "2024-01-02T24:00:00+00:00"),
    "a moment without seconds": _field("placed", "2024-01-02T03:04+00:00"),
    "a number for a moment": _field("placed", 7),
    "a fraction for a pointer": _field("customer", 1.0),
    "a truth for a pointer": _field("customer", True),
    "a pointer that dangled": _member("dangling", ["customer"]),
    "a pointer that was changed": _member("changed", ["customer"]),
}


# Where moments are not taken as texts they are read one by one, and may have any form.
FORMS = {"a moment with another offset", "a moment without seconds", "a moment at 24 hours"}


@pytest.mark.parametrize("unusual", UNUSUAL)
def test_unusual_row_is_looked_at_alone(unusual: str, tmp_path: Path) -> None:
    edit = UNUSUAL[unusual]
    shop = rows.customers("default", count=1, orders=3, lines=1)
    archive = str(tmp_path / "customer.json")
    export(shop.customer, archive)
    archives.edit(archive, edit)
    with one_by_one():
        expected = outcome(archive, dry_run=True)
    with watched() as taken:
        assert outcome(archive, dry_run=True) == expected
    assert unusual in FORMS or not taken.get("zoo.order", False)
    assert taken.get("zoo.customer", True)


def test_pointer_at_nothing_is_named_alike(tmp_path: Path) -> None:
    shop = rows.customers("default", count=1, orders=3, lines=1)
    archive = str(tmp_path / "customer.json")
    export(shop.customer, archive)
    archives.edit(archive, _field("customer", 99))
    with one_by_one():
        expected = outcome(archive)
    with watched() as taken:
        assert outcome(archive) == expected
    assert taken["zoo.order"]
    assert "zoo.Order.2" in str(expected)


def test_unique_value_twice_in_the_archive_is_named_alike(tmp_path: Path) -> None:
    shop = rows.customers("default", count=1, orders=1, lines=3)
    archive = str(tmp_path / "customer.json")
    export(shop.customer, archive)

    def edit(found: list[dict[str, Any]]) -> None:
        products = [row for row in found if row["model"] == "zoo.product"]
        products[-1]["fields"]["code"] = products[0]["fields"]["code"]

    archives.edit(archive, edit)
    for policy in ({}, {"zoo.Product": Strategy.REMAP}):
        with one_by_one():
            expected = outcome(archive, strategies=policy)
        assert outcome(archive, strategies=policy) == expected
        assert "stands in the archive twice" in str(expected)


@pytest.mark.parametrize("strategy", Strategy)
@override_settings(GESTORE={"ALLOW_OVERRIDE": True})
def test_taken_keys_and_values_are_decided_alike(strategy: Strategy, tmp_path: Path) -> None:
    shop = rows.customers("default", count=1, orders=3, lines=2)
    archive = str(tmp_path / "customer.jsonl")
    export(shop.customer, archive)
    with inserting("target") as inserter:
        # One key of three is taken, and a name.
        stranger = inserter.put(zoo.Customer, id=77, name="Customer 1")
        inserter.put(zoo.Order, id=2, customer=stranger, placed=datetime(2000, 1, 2, tzinfo=UTC))
    for by_model in ({}, {"zoo.Customer": Strategy.KEEP}):
        with one_by_one():
            expected = outcome(archive, dry_run=True, on_conflict=strategy, strategies=by_model)
        found = outcome(archive, dry_run=True, on_conflict=strategy, strategies=by_model)
        assert found == expected


def test_other_rows_under_the_same_keys_get_new_ones_together(tmp_path: Path) -> None:
    shop = rows.customers("default", count=1, orders=3, lines=2)
    archive = str(tmp_path / "customer.jsonl")
    export(shop.customer, archive)
    with inserting("target") as inserter:
        for key in range(1, 10):
            customer = inserter.put(zoo.Customer, id=key, name=f"somebody {key}")
            placed = datetime(2000, 1, key, tzinfo=UTC)
            inserter.put(zoo.Order, id=key, customer=customer, placed=placed)
    before = dump("target")
    with one_by_one():
        expected = outcome(archive, dry_run=True, on_conflict=Strategy.REMAP)
    with watched() as taken:
        report = load(archive, on_conflict=Strategy.REMAP, verify=True)
    assert taken["zoo.customer"] and taken["zoo.order"] and taken["zoo.orderline"]
    found = {**report.as_json(), "import": 0, "dry_run": True}
    assert found == expected
    assert report.renewed_by_model == {"zoo.Customer": 1, "zoo.Order": 3}
    after = dump("target")
    for label, here in before.items():
        assert here.items() <= after[label].items()
    # Imported again, the rows are known by their new keys.
    assert load(archive, on_conflict=Strategy.REMAP).loaded_count == 0
    assert compare.difference(after, dump("target")) == []


def test_row_that_may_be_the_same_is_looked_at_alone(tmp_path: Path) -> None:
    shop = rows.customers("default", count=1, orders=3, lines=2)
    archive = str(tmp_path / "customer.jsonl")
    export(shop.customer, archive)
    load(archive)
    zoo.OrderLine.objects.using("target").filter(pk=1).delete()
    with watched() as taken:
        report = load(archive, on_conflict=Strategy.REMAP)
    assert report.loaded_count == 1
    assert not taken["zoo.order"]


def test_shared_rows_are_met_alike(tmp_path: Path) -> None:
    shop = rows.customers("default", count=1, orders=3, lines=2)
    archive = str(tmp_path / "customer.jsonl")
    export(shop.customer, archive, policies={"zoo.Product": Policy.SHARE})
    with inserting("target") as inserter:
        inserter.put(zoo.Product, id=50, code="shop 1, product 1", price="1.00")
    for strategy in (Strategy.REFUSE, Strategy.KEEP, Strategy.REMAP):
        with one_by_one():
            expected = outcome(archive, dry_run=True, on_conflict=strategy)
        assert outcome(archive, dry_run=True, on_conflict=strategy) == expected


def test_refused_row_of_many_is_named(tmp_path: Path) -> None:
    """What no check sees before: the database alone knows how long a text may be."""
    if connections["target"].vendor == "sqlite":
        pytest.skip("SQLite takes texts of any length")
    shop = rows.customers("default", count=1, orders=3, lines=2)
    archive = str(tmp_path / "customer.json")
    export(shop.customer, archive)

    def edit(found: list[dict[str, Any]]) -> None:
        products = [row for row in found if row["model"] == "zoo.product"]
        products[1]["fields"]["code"] = "x" * 200

    archives.edit(archive, edit)
    with one_by_one():
        expected = outcome(archive)
    with watched() as taken:
        assert outcome(archive) == expected
    assert taken["zoo.product"]
    assert "zoo.Product." in str(expected)
