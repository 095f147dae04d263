"""What happens when rows of the archive meet other people's rows?"""

import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, models

import gestore
from gestore import Finding, Policy, Severity, Strategy
from tests.journeys import archives
from tests.journeys.trips import count, dump, export, load
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.inserting import Inserter, Placed, inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)


def refused(archive: str, **options: Any) -> Sequence[Finding]:
    """The findings of an import that is refused and leaves every row as it was."""
    before = dump("target")
    with pytest.raises(gestore.Refused) as refusal:
        load(archive, **options)
    assert compare.difference(before, dump("target")) == []
    expected = 1 if any(f.severity is Severity.ERROR for f in refusal.value.findings) else 3
    assert refusal.value.exit_code == expected
    return refusal.value.findings


def told(findings: Sequence[Finding]) -> set[tuple[str, str]]:
    return {(finding.code, finding.subject) for finding in findings}


def target(model: type[models.Model]) -> models.QuerySet[Any]:
    return model._default_manager.using("target")


# Keys ---------------------------------------------------------------------------------------------


def _shop(tmp_path: Path) -> tuple[Placed, str]:
    """A customer of two orders, archived; keys from 1 on."""
    shop = rows.customers("default", count=1, orders=2, lines=1)
    archive = str(tmp_path / "customer.json")
    export(shop.customer, archive)
    return shop.customer, archive


def _stranger(inserter: Inserter, key: int) -> None:
    """Somebody whose rows have the keys of the archive's, and other values."""
    stranger = inserter.put(zoo.Customer, id=key, name="somebody")
    for number in (1, 2):
        inserter.put(
            zoo.Order, id=number, customer=stranger, placed=datetime(2000, 1, number, tzinfo=UTC)
        )


def test_every_key_conflict_is_reported_and_nothing_written(tmp_path: Path) -> None:
    customer, archive = _shop(tmp_path)
    with inserting("target") as inserter:
        _stranger(inserter, customer.key)
    findings = refused(archive)
    assert told(findings) == {
        ("key-conflict", customer.reference),
        ("key-conflict", "zoo.Order.1"),
        ("key-conflict", "zoo.Order.2"),
    }
    # Both versions of the row are told.
    (of_customer,) = [f for f in findings if f.subject == customer.reference]
    assert "name ('somebody' here, 'Customer 1' archived)" in of_customer.message


def test_keep_lets_the_rows_here_stand_for_the_archived_ones(tmp_path: Path) -> None:
    customer, archive = _shop(tmp_path)
    with inserting("target") as inserter:
        _stranger(inserter, customer.key)
    before = dump("target")
    report = load(archive, on_conflict=Strategy.KEEP)
    assert report.kept_by_model == {"zoo.Customer": 1, "zoo.Order": 2}
    after = dump("target")
    for label in ("zoo.Customer", "zoo.Order"):
        assert after[label] == before[label]
    assert report.loaded_by_model == {
        "zoo.Product": 1, "zoo.Tag": 1, "zoo.Customer_tags": 1,
        "zoo.Order_tags": 2, "zoo.OrderLine": 2,
    }  # fmt: skip
    assert report.loaded_count == count(after) - count(before)
    # Once more: the lines point where they did, and are there.
    assert load(archive, on_conflict=Strategy.KEEP).loaded_count == 0


def test_strategy_of_one_model_is_about_that_one_only(tmp_path: Path) -> None:
    customer, archive = _shop(tmp_path)
    with inserting("target") as inserter:
        _stranger(inserter, customer.key)
    findings = refused(archive, strategies={"zoo.Order": Strategy.KEEP})
    assert told(findings) == {("key-conflict", customer.reference)}
    findings = refused(
        archive, on_conflict=Strategy.KEEP, strategies={"zoo.Customer": Strategy.REFUSE}
    )
    assert told(findings) == {("key-conflict", customer.reference)}
    keep = {"zoo.Order": Strategy.KEEP, "zoo.customer": Strategy.KEEP}
    assert load(archive, strategies=keep).kept_count == 3


def test_rows_that_are_the_same_are_no_conflict(tmp_path: Path) -> None:
    customer, archive = _shop(tmp_path)
    load(archive)
    zoo.OrderLine.objects.using("target").all().delete()
    target(zoo.Order.tags.through).all().delete()
    report = load(archive)
    assert report.loaded_by_model == {"zoo.OrderLine": 2, "zoo.Order_tags": 2}
    assert report.here_by_model == {
        "zoo.Product": 1, "zoo.Tag": 1, "zoo.Customer": 1, "zoo.Customer_tags": 1, "zoo.Order": 2,
    }  # fmt: skip
    verified = gestore.verify_archive(archive, compare=True, database="target")
    assert verified.absent_by_model == {}
    assert customer.key == target(zoo.Customer).get().pk


def test_dry_run_does_it_all_and_leaves_nothing(tmp_path: Path) -> None:
    _, archive = _shop(tmp_path)
    report = load(archive, dry_run=True)
    assert (report.loaded_count, report.is_dry_run) == (10, True)
    assert count(dump("target")) == 0
    said = io.StringIO()
    call_command("importobjects", archive, "--dry-run", database="target", stdout=said, stderr=said)
    assert "Dry run: everything was rolled back." in said.getvalue()
    assert count(dump("target")) == 0
    # What it found was no promise too much.
    assert load(archive).loaded_by_model == report.loaded_by_model
    with inserting("target") as inserter:
        inserter.put(zoo.Tag, label="later")
    zoo.Customer.objects.using("target").update(name="changed")
    assert told(refused(archive, dry_run=True)) == {("key-conflict", "zoo.Customer.1")}


def test_command_reports_conflicts_with_their_own_exit_code(tmp_path: Path) -> None:
    customer, archive = _shop(tmp_path)
    with inserting("target") as inserter:
        _stranger(inserter, customer.key)
    before = dump("target")
    said, report = io.StringIO(), tmp_path / "report.json"
    with pytest.raises(CommandError) as error:
        call_command(
            "importobjects", archive, database="target", report=str(report),
            stdout=said, stderr=said,
        )  # fmt: skip
    assert error.value.returncode == 3
    assert f"conflict: {customer.reference}: is here with other values" in said.getvalue()
    findings = json.loads(report.read_text())["findings"]
    assert {(f["code"], f["severity"]) for f in findings} == {("key-conflict", "conflict")}
    assert len(findings) == 3
    assert compare.difference(before, dump("target")) == []
    call_command(
        "importobjects", archive, database="target", on_conflict=["keep"], stdout=said
    )  # fmt: skip
    assert "Kept 3 rows that are here in their place:" in said.getvalue()


# Unique values ------------------------------------------------------------------------------------


def test_pointers_go_to_the_row_that_has_the_unique_value(tmp_path: Path) -> None:
    shop = rows.customers("default", count=1, orders=2, lines=2)
    archive = str(tmp_path / "customer.json")
    export(shop.customer, archive)
    with inserting("target") as inserter:
        tag = inserter.put(zoo.Tag, id=70, label="shop 1, new")
        product = inserter.put(zoo.Product, id=71, code="shop 1, product 0", price=Decimal("1.00"))
        inserter.put(zoo.Tag, id=shop.tags[0].key + 1, label="of others")
    findings = refused(archive)
    assert told(findings) == {
        ("unique-conflict", shop.tags[0].reference),
        ("unique-conflict", shop.products[0].reference),
    }
    assert all("is taken here by zoo." in finding.message for finding in findings)
    before = dump("target")
    report = load(archive, on_conflict=Strategy.KEEP)
    assert report.kept_by_model == {"zoo.Tag": 1, "zoo.Product": 1}
    after = dump("target")
    assert after["zoo.Tag"] == before["zoo.Tag"]
    assert after["zoo.Product"]["71"] == before["zoo.Product"]["71"]
    assert set(target(zoo.Order.tags.through).values_list("tag", flat=True)) == {tag.key}
    assert set(target(zoo.Customer.tags.through).values_list("tag", flat=True)) == {tag.key}
    products = target(zoo.OrderLine).order_by("pk").values_list("product", flat=True)
    other = shop.products[1].key
    assert list(products) == [product.key, other, product.key, other]
    assert load(archive, on_conflict=Strategy.KEEP).loaded_count == 0


def test_generic_pointers_follow_too(tmp_path: Path) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        tag = inserter.put(zoo.Tag, id=5, label="shared")
        inserter.put(
            zoo.Ribbon, menagerie=home, kind=inserter.content_type(zoo.Tag), number=tag.key
        )
        inserter.put(zoo.Menagerie.tags.through, menagerie=home, tag=tag)
    archive = str(tmp_path / "home.json")
    export(home, archive)
    with inserting("target") as inserter:
        here = inserter.put(zoo.Tag, id=70, label="shared")
    load(archive, on_conflict=Strategy.KEEP)
    assert target(zoo.Ribbon).get().number == here.key
    assert target(zoo.Menagerie.tags.through).get().tag_id == here.key


UNIQUE: dict[str, Callable[[Inserter, Placed, int], Placed]] = {
    "unique_together": lambda inserter, home, key: inserter.put(
        zoo.UniqueTogether, id=key, menagerie=home, row=1, seat=1,
        guest=f"guest {key}", evening=date(2001, 1, 1),
    ),
    "constraint": lambda inserter, home, key: inserter.put(
        zoo.UniqueTogether, id=key, menagerie=home, row=key, seat=1,
        guest="guest", evening=date(2001, 1, 1),
    ),
    "two at once": lambda inserter, home, key: inserter.put(
        zoo.UniqueTogether, id=key, menagerie=home, row=1, seat=1,
        guest="guest", evening=date(2001, 1, 1),
    ),
    "nullable": lambda inserter, home, key: inserter.put(
        zoo.UniqueCode, id=key, menagerie=home, code=f"code {key}", number=1
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNIQUE)
def test_unique_values_of_every_kind_are_found(kind: str, tmp_path: Path) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        row = UNIQUE[kind](inserter, home, 5)
    archive = str(tmp_path / "home.json")
    export(home, archive)
    with inserting("target") as inserter:
        inserter.put(zoo.Menagerie, id=home.key, name="home")
        UNIQUE[kind](inserter, home, 70)
    assert told(refused(archive)) == {("unique-conflict", row.reference)}
    report = load(archive, on_conflict=Strategy.KEEP)
    assert (report.loaded_count, report.kept_count) == (0, 1)
    assert list(target(row.model).values_list("pk", flat=True)) == [70]


def test_one_to_one_that_is_taken(tmp_path: Path) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        enclosure = inserter.put(zoo.Enclosure, menagerie=home, name="savannah")
        inserter.put(zoo.Species, code="lion")
        animal = inserter.put(zoo.Animal, name="Elsa", enclosure=enclosure, species="lion")
        inserter.put(zoo.Passport, id=5, menagerie=home, animal=animal, number="A")
    archive = str(tmp_path / "home.json")
    export(home, archive)
    load(archive)
    target(zoo.Passport).update(id=70, number="B")
    assert told(refused(archive)) == {("unique-conflict", "zoo.Passport.5")}
    # It meets two rows, and can stand for neither.
    with inserting("target") as inserter:
        inserter.put(zoo.Passport, id=71, menagerie=home, animal=None, number="A")
    findings = refused(archive, on_conflict=Strategy.KEEP)
    assert told(findings) == {("unique-conflict", "zoo.Passport.5")}
    assert "zoo.Passport.70 and zoo.Passport.71" in findings[-1].message


@pytest.mark.parametrize("model", [zoo.UniqueWhenActive, zoo.UniqueIgnoringCase])
def test_uniqueness_that_the_database_alone_can_judge(
    model: type[models.Model], vendor: str, tmp_path: Path
) -> None:
    if vendor == "mysql":
        pytest.skip("MariaDB has neither conditional nor expression constraints")
    values = {"name": "Room"} | ({"active": True} if model is zoo.UniqueWhenActive else {})
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        inserter.put(zoo.Team, menagerie=home, name="before it")
        inserter.put(model, id=4, menagerie=home, **values | {"name": "Other room"})
        inserter.put(model, id=5, menagerie=home, **values)
    archive = str(tmp_path / "home.json")
    export(home, archive)
    with inserting("target") as inserter:
        other = inserter.put(zoo.Menagerie, id=70, name="other")
        inserter.put(model, id=70, menagerie=other, **values)
    assert told(refused(archive)) == {("unique-conflict", f"{model._meta.label}.5")}
    report = load(archive, on_conflict=Strategy.KEEP)
    assert report.kept_by_model == {model._meta.label: 1}
    assert set(dump("target")[model._meta.label]) == {"4", "70"}


def test_collation_finds_conflicts_that_python_does_not(vendor: str, tmp_path: Path) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        inserter.put(zoo.CaseTrap, id=5, menagerie=home, word="Ape")
    archive = str(tmp_path / "home.json")
    export(home, archive)
    with inserting("target") as inserter:
        other = inserter.put(zoo.Menagerie, id=70, name="other")
        inserter.put(zoo.CaseTrap, id=70, menagerie=other, word="ape")
    if vendor != "mysql":
        assert load(archive).loaded_count == 2
        assert sorted(target(zoo.CaseTrap).values_list("word", flat=True)) == ["Ape", "ape"]
        return
    assert told(refused(archive)) == {("unique-conflict", "zoo.CaseTrap.5")}
    report = load(archive, on_conflict=Strategy.KEEP)
    assert report.kept_by_model == {"zoo.CaseTrap": 1}
    assert list(target(zoo.CaseTrap).values_list("word", flat=True)) == ["ape"]


# Shared by policy -----------------------------------------------------------------------------


def test_shared_rows_are_matched_by_what_is_unique_and_never_changed(tmp_path: Path) -> None:
    shop = rows.customers("default", count=1, orders=1, lines=2)
    archive = str(tmp_path / "customer.json")
    export(shop.customer, archive, policies={"zoo.Product": Policy.SHARE})
    with inserting("target") as inserter:
        # The same product under another key, at another price; and another under the same key.
        here = inserter.put(zoo.Product, id=71, code="shop 1, product 0", price=Decimal("1.00"))
    before = dump("target")
    report = load(archive)
    after = dump("target")
    assert after["zoo.Product"]["71"] == before["zoo.Product"]["71"]
    assert report.loaded_by_model["zoo.Product"] == 1
    lines = target(zoo.OrderLine).order_by("pk").values_list("product", flat=True)
    assert list(lines) == [here.key, shop.products[1].key]
    assert load(archive).loaded_count == 0
    # The key of one that is not here may belong to another row: that is a conflict like any.
    target(zoo.Product).filter(pk=shop.products[1].key).update(code="of others")
    assert ("key-conflict", shop.products[1].reference) in told(refused(archive))


# Archives that someone edited ---------------------------------------------------------------------


def test_repeated_rows_and_values_in_the_archive(tmp_path: Path) -> None:
    customer, archive = _shop(tmp_path)

    def repeat_tag(found: list[archives.ArchivedRow]) -> None:
        (tag,) = [row for row in found if row["model"] == "zoo.tag"]
        found.insert(found.index(tag), tag)
        found.insert(found.index(tag), {**tag, "pk": 70})

    archives.edit(archive, repeat_tag)
    findings = refused(archive)
    assert {code for code, _ in told(findings)} == {
        "archive-edited", "repeated-key", "repeated-value",
    }  # fmt: skip
    assert ("repeated-key", "zoo.Tag.1") in told(findings)
    assert customer.key == 1


def test_repeated_values_of_two_rows_far_apart(tmp_path: Path) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        many = ({"menagerie": home, "word": f"word {n}"} for n in range(1_500))
        inserter.put_many(zoo.CaseTrap, many)
    archive = str(tmp_path / "home.json")
    export(home, archive)

    def repeat(found: list[archives.ArchivedRow]) -> None:
        words = [row for row in found if row["model"] == "zoo.casetrap"]
        words[-1]["fields"]["word"] = words[0]["fields"]["word"]

    archives.edit(archive, repeat)
    findings = [f for f in refused(archive) if f.code != "archive-edited"]
    assert told(findings) == {("repeated-value", "zoo.CaseTrap.1500")}


@pytest.mark.parametrize("without", ["zoo.order", "zoo.tag", "zoo.product", "zoo.customer"])
def test_missing_rows_are_named_by_what_points_at_them(without: str, tmp_path: Path) -> None:
    _, archive = _shop(tmp_path)
    # A row here has the key of the missing one: nobody's row may stand in for it unasked.
    with inserting("target") as inserter:
        stranger = inserter.put(zoo.Customer, id=1, name="somebody")
        inserter.put(zoo.Order, id=1, customer=stranger, placed=datetime(2000, 1, 1, tzinfo=UTC))
        inserter.put(zoo.Tag, id=1, label="somebody's")
        inserter.put(zoo.Product, id=1, code="somebody's", price=Decimal(1))
    archives.edit(archive, lambda found: found.__setitem__(
        slice(None), [row for row in found if row["model"] != without]))  # fmt: skip
    missing = [f for f in refused(archive) if f.code == "missing"]
    pointing = {
        "zoo.order": {"zoo.OrderLine", "zoo.Order_tags"},
        "zoo.tag": {"zoo.Order_tags", "zoo.Customer_tags"},
        "zoo.product": {"zoo.OrderLine"},
        "zoo.customer": {"zoo.Order", "zoo.Customer_tags"},
    }
    assert {f.subject.rpartition(".")[0] for f in missing} == pointing[without]


def test_missing_target_of_a_generic_key(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1, chain=1)
    archive = str(tmp_path / "zoo.json")
    export(there.root, archive)
    note = there.inhabitants.note

    def mislead(found: list[archives.ArchivedRow]) -> None:
        for row in found:
            if (row["model"], row["pk"]) == ("zoo.notebyinteger", note.key):
                row["fields"]["object_id"] = 123_456

    archives.edit(archive, mislead)
    findings = [f for f in refused(archive) if f.code == "missing"]
    assert told(findings) == {("missing", note.reference)}
    assert "target points at zoo.Animal.123456" in findings[0].message


def test_half_of_an_object_is_not_grafted_onto_a_stranger(tmp_path: Path) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        vehicle = inserter.put(zoo.Vehicle, id=5, menagerie=home, name="ours")
        car = inserter.put(zoo.Car, vehicle_ptr=vehicle, doors=2)
        inserter.put(zoo.SportsCar, car_ptr=car, horsepower=1)
    archive = str(tmp_path / "car.json")
    export(home, archive)
    with inserting("target") as inserter:
        other = inserter.put(zoo.Menagerie, id=70, name="other")
        inserter.put(zoo.Vehicle, id=5, menagerie=other, name="theirs")
    assert ("key-conflict", "zoo.Vehicle.5") in told(refused(archive))
    findings = refused(archive, on_conflict=Strategy.KEEP)
    assert ("grafted", "zoo.Car.5") in told(findings)
    assert "another row here" in " ".join(f.message for f in findings)


def test_value_that_this_database_cannot_hold(vendor: str, tmp_path: Path) -> None:
    text = {"postgresql": "nul \x00 inside"}.get(vendor)
    number = {"mysql": "Infinity", "sqlite": "NaN"}.get(vendor)
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        inserter.put(zoo.Texts, id=5, menagerie=home, long="text")
        inserter.put(zoo.Floats, id=6, menagerie=home, value=1.5)
    archive = str(tmp_path / "home.json")
    export(home, archive)

    def spoil(found: list[archives.ArchivedRow]) -> None:
        for row in found:
            if row["model"] == "zoo.texts" and text:
                row["fields"]["long"] = text
            if row["model"] == "zoo.floats" and number:
                row["fields"]["value"] = number

    archives.edit(archive, spoil)
    subject = "zoo.Texts.5" if text else "zoo.Floats.6"
    findings = [f for f in refused(archive) if f.code != "archive-edited"]
    assert told(findings) == {("refused-value", subject)}
    assert connections["target"].vendor == vendor
