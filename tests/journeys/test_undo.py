"""Does `--undo` give back the database as it was, and refuse where somebody needs the rows?"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, models
from django.test import override_settings

import gestore
from gestore import Strategy
from gestore.management.commands import importobjects
from gestore.models import Import, ImportedFiles, ImportedKeys
from tests.journeys.trips import count, dump, export, load
from tests.management.typing_in import Seen, typed
from tests.zoo import compare, receivers, rows
from tests.zoo import models as zoo
from tests.zoo.emptying import empty
from tests.zoo.inserting import Inserter, Placed, inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def undo(number: int, **options: Any) -> gestore.UndoPlan:
    return gestore.undo_import(number, database="target", **options)


def typed_undo(number: int, *words: str) -> Seen:
    return typed("importobjects", "--undo", str(number), "--database", "target", *words)


def target(model: type[models.Model]) -> models.QuerySet[Any]:
    return model._default_manager.using("target")


def gives_back(before: compare.Dump, report: gestore.ImportReport) -> None:
    """The import changed something, and undoing it leaves no trace."""
    assert compare.difference(before, dump("target")) != []
    plan = undo(report.number)
    assert plan.rows_by_model == report.loaded_by_model
    assert compare.difference(before, dump("target")) == []
    # The record stays, its keys do not.
    record = Import.objects.using("target").get(pk=report.number)
    assert record.undone_at is not None
    assert not ImportedKeys.objects.using("target").filter(imported=record).exists()


# It goes as it came ---------------------------------------------------------------------------


def test_whole_zoo_beside_nobody(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1)
    archive = str(tmp_path / "zoo.json")
    export(there.root, archive)
    before = dump("target")
    with receivers.connected():
        report = load(archive)
        assert report.loaded_count > 300
        gives_back(before, report)
    assert count(dump("target")) == 0
    # The same archive is a new one now.
    again = load(archive)
    assert again.loaded_by_model == report.loaded_by_model
    assert again.number != report.number
    gives_back(before, again)


# What every site has, under keys of its own.
COMMON = ("zoo.Tag", "zoo.Species", "zoo.Continent")


def test_whole_zoo_under_new_keys_beside_somebody_elses(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1)
    archive = str(tmp_path / "zoo.jsonl")
    export(there.root, archive)
    rows.populate("target", menageries=1, site=1)
    before = dump("target")
    strategies = dict.fromkeys(COMMON, Strategy.KEEP)
    with receivers.connected():
        report = load(archive, on_conflict=Strategy.REMAP, strategies=strategies, verify=True)
        assert report.renewed_count > 50
        assert load(archive, on_conflict=Strategy.REMAP, strategies=strategies).loaded_count == 0
        gives_back(before, report)


def test_clone_of_the_whole_zoo_in_its_own_place(tmp_path: Path) -> None:
    shop = rows.customers("target", count=2, orders=3)
    archive = str(tmp_path / "customer.json")
    gestore.export_objects(
        [shop.customer.reference], archive, gestore.WalkOptions(database="target")
    )
    target(zoo.Customer).filter(pk=shop.customer.key).update(name="renamed")
    before = dump("target")
    report = load(archive, new_keys=True)
    assert report.renewed_count >= report.loaded_count > 0
    gives_back(before, report)


def test_kept_rows_stay(tmp_path: Path) -> None:
    shop = rows.customers("default", count=1, orders=2, lines=2)
    archive = str(tmp_path / "customer.json")
    export(shop.customer, archive)
    with inserting("target") as inserter:
        other = inserter.put(zoo.Customer, id=shop.customer.key, name="somebody")
        inserter.put(zoo.Order, id=1, customer=other, placed=datetime(2000, 1, 1, tzinfo=UTC))
    before = dump("target")
    report = load(archive, on_conflict=Strategy.KEEP)
    assert report.kept_by_model == {"zoo.Customer": 1, "zoo.Order": 1}
    gives_back(before, report)


def test_rows_that_were_here_already_stay(tmp_path: Path) -> None:
    shop = rows.customers("default", count=1, orders=2, lines=2)
    archive = str(tmp_path / "customer.json")
    export(shop.customer, archive)
    first = load(archive)
    target(zoo.OrderLine).all().delete()
    before = dump("target")
    second = load(archive)
    assert second.loaded_by_model == {"zoo.OrderLine": 4}
    # The first cannot go while rows of the second point at its own.
    with pytest.raises(gestore.Refused) as refusal:
        undo(first.number)
    assert {f.subject.rpartition(".")[0] for f in refusal.value.findings} == {"zoo.OrderLine"}
    gives_back(before, second)
    plan = undo(first.number)
    # Its lines are gone already: nobody misses them.
    assert "zoo.OrderLine" not in plan.rows_by_model
    assert count(dump("target")) == 0


def test_multi_table_children_and_circles(tmp_path: Path) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        vehicle = inserter.put(zoo.Vehicle, id=5, menagerie=home, name="ours")
        car = inserter.put(zoo.Car, vehicle_ptr=vehicle, doors=2)
        inserter.put(zoo.SportsCar, car_ptr=car, horsepower=1, rival=5)
        with rows.circles_allowed(inserter):
            inserter.put(zoo.CycleHead, id=1, menagerie=home, tail=1, name="head")
            inserter.put(zoo.CycleTail, id=1, head=1, name="tail")
            inserter.put(zoo.SelfLoop, id=1, menagerie=home, other=2)
            inserter.put(zoo.SelfLoop, id=2, menagerie=home, other=1)
            inserter.put(zoo.Land, id=1, menagerie=home, name="land", capital=1)
            inserter.put(zoo.Capital, id=1, name="capital", land=1)
    archive = str(tmp_path / "home.json")
    export(home, archive)
    with inserting("target") as inserter:
        other = inserter.put(zoo.Menagerie, id=home.key, name="somebody's")
        inserter.put(zoo.Vehicle, id=5, menagerie=other, name="theirs")
        with rows.circles_allowed(inserter):
            inserter.put(zoo.CycleHead, id=1, menagerie=other, tail=1, name="their head")
            inserter.put(zoo.CycleTail, id=1, head=1, name="their tail")
            inserter.put(zoo.Land, id=1, menagerie=other, name="their land")
            inserter.put(zoo.SelfLoop, id=2, menagerie=other, other=2)
    before = dump("target")
    report = load(archive, on_conflict=Strategy.REMAP)
    sports_car = target(zoo.SportsCar).get()
    assert sports_car.rival_id == sports_car.pk != 5
    gives_back(before, report)
    # And where nobody is in the way.
    empty("target")
    before = dump("target")
    gives_back(before, load(archive))


# Somebody needs the rows ----------------------------------------------------------------------


@pytest.fixture
def imported(tmp_path: Path) -> Iterator[tuple[rows.Zoo, gestore.ImportReport]]:
    there = rows.populate("default", menageries=1, chain=2)
    archive = str(tmp_path / "zoo.json")
    export(there.root, archive)
    yield there, load(archive)


def _by_foreign_key(inserter: Inserter, there: rows.Zoo) -> Placed:
    return inserter.put(zoo.Team, menagerie=there.root, name="made here")


def _by_empty_able_key(inserter: Inserter, there: rows.Zoo) -> Placed:
    home = inserter.put(zoo.Menagerie, name="of others")
    return inserter.put(zoo.StaffMember, menagerie=home, name="theirs", user=there.inhabitants.user)


def _by_generic_key(inserter: Inserter, there: rows.Zoo) -> Placed:
    return inserter.put(
        zoo.NoteByText, text="made here", content_type=inserter.content_type(zoo.UuidKey),
        object_id=there.inhabitants.uuid_key.key.hex,
    )  # fmt: skip


def _by_many_to_many(inserter: Inserter, there: rows.Zoo) -> Placed:
    tag = inserter.put(zoo.Tag, label="of others")
    return inserter.put(zoo.Animal.tags.through, animal=there.inhabitants.animal, tag=tag)


def _by_code(inserter: Inserter, there: rows.Zoo) -> Placed:
    home = inserter.put(zoo.Menagerie, name="of others")
    return inserter.put(zoo.LooseLink, menagerie=home, species="panthera.leo, ssp. (leo)")


def _as_child(inserter: Inserter, there: rows.Zoo) -> Placed:
    vehicle = inserter.put(zoo.Vehicle, menagerie=there.root, name="made here")
    return inserter.put(zoo.Boat, hull=vehicle, length=1)


POINTERS = [
    _by_foreign_key, _by_empty_able_key, _by_generic_key, _by_many_to_many, _by_code, _as_child,
]  # fmt: skip


@pytest.mark.parametrize("point", POINTERS)
def test_new_row_that_points_at_an_imported_one_is_named(
    point: Callable[[Inserter, rows.Zoo], Placed],
    imported: tuple[rows.Zoo, gestore.ImportReport],
) -> None:
    there, report = imported
    with inserting("target") as inserter:
        pointing = point(inserter, there)
    before = dump("target")
    seen = typed_undo(report.number, "--no-input")
    assert seen.code == 3
    if point is _as_child:
        # Its upper half is what points.
        pointing = Placed(zoo.Vehicle, pointing.key)
    assert f"conflict: {pointing.reference}: points at a " in seen.err
    assert "Nothing was removed: other rows need rows of the import." in seen.err
    assert all(len(line) <= 80 for line in seen.err.splitlines())
    assert compare.difference(before, dump("target")) == []
    assert Import.objects.using("target").get(pk=report.number).undone_at is None
    # The row goes elsewhere, and so may the import.
    if point is _as_child:
        target(zoo.Boat).filter(pk=pointing.key).delete()
    else:
        target(pointing.model).filter(pk=pointing.key).delete()
    assert typed_undo(report.number, "--no-input").code == 0
    left = {label: found for label, found in dump("target").items() if found}
    assert set(left) <= {"zoo.Menagerie", "zoo.Tag"}


def test_a_thousand_pointing_rows_are_counted(
    imported: tuple[rows.Zoo, gestore.ImportReport], tmp_path: Path
) -> None:
    there, report = imported
    with inserting("target") as inserter:
        many = ({"menagerie": there.root, "name": f"team {n}"} for n in range(1_000))
        inserter.put_many(zoo.Team, many)
    path = tmp_path / "report.json"
    seen = typed_undo(report.number, "--no-input", "--report", str(path))
    assert seen.code == 3
    told = json.loads(path.read_text())
    assert len(told["findings"]) == 101
    assert "900 more rows point at rows of the import." in told["findings"][-1]["message"]


# Asking ---------------------------------------------------------------------------------------


def test_command_shows_the_plan_and_asks(
    imported: tuple[rows.Zoo, gestore.ImportReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, report = imported
    before = dump("target")
    # Without a terminal there is nobody to ask.
    seen = typed_undo(report.number)
    assert seen.code == 2
    assert "Undoing asks first, and there is no terminal." in seen.err
    assert "--no-input" in seen.err
    assert f"{report.loaded_count:,} rows to remove" in " ".join(seen.out.split())
    assert compare.difference(before, dump("target")) == []
    questions: list[str] = []

    def answering(answer: str) -> Seen:
        def asked(prompt: str = "") -> str:
            questions.append(prompt)
            # Nothing waits for the answer: other writers go on meanwhile.
            assert not connections["target"].in_atomic_block
            return answer

        monkeypatch.setattr(importobjects, "input", asked, raising=False)
        monkeypatch.setattr(importobjects, "_is_terminal", lambda: True)
        return typed_undo(report.number)

    wrong = answering("yes")
    assert wrong.code == 1
    assert "Nothing was removed." in wrong.err
    assert compare.difference(before, dump("target")) == []
    right = answering(f" {report.number} ")
    assert right.code == 0
    assert questions == [f"Type {report.number} to remove these rows: "] * 2
    assert right.out.splitlines()[-1] == (
        f"Removed {report.loaded_count:,} rows: import {report.number} is undone."
    )
    assert count(dump("target")) == 0


def test_rows_that_come_while_the_question_stands_are_seen(
    imported: tuple[rows.Zoo, gestore.ImportReport],
) -> None:
    there, report = imported

    def agree(plan: gestore.UndoPlan) -> bool:
        with inserting("target") as inserter:
            _by_foreign_key(inserter, there)
        return True

    with pytest.raises(gestore.Refused, match="other rows need rows of the import"):
        undo(report.number, confirm=agree)
    assert count(dump("target")) == report.loaded_count + 1

    def lose_one(plan: gestore.UndoPlan) -> bool:
        target(zoo.Team).filter(name="made here").delete()
        target(zoo.Badge).first().delete()
        return True

    target(zoo.Team).filter(name="made here").delete()
    with pytest.raises(gestore.GestoreError, match="changed while"):
        undo(report.number, confirm=lose_one)
    assert count(dump("target")) == report.loaded_count - 1


def test_interrupted_at_the_question(
    imported: tuple[rows.Zoo, gestore.ImportReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, report = imported

    def interrupted(prompt: str = "") -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(importobjects, "input", interrupted, raising=False)
    monkeypatch.setattr(importobjects, "_is_terminal", lambda: True)
    before = dump("target")
    assert typed_undo(report.number).code == 130

    def at_its_end(prompt: str = "") -> str:
        raise EOFError

    monkeypatch.setattr(importobjects, "input", at_its_end, raising=False)
    seen = typed_undo(report.number)
    assert (seen.code, "Nothing was removed." in seen.err) == (1, True)
    assert compare.difference(before, dump("target")) == []


def test_dry_run_removes_nothing(
    imported: tuple[rows.Zoo, gestore.ImportReport], tmp_path: Path
) -> None:
    _, report = imported
    before = dump("target")
    path = tmp_path / "report.json"
    seen = typed_undo(report.number, "--dry-run", "--report", str(path))
    assert (seen.code, seen.err) == (0, "")
    lines = seen.out.splitlines()
    assert lines[-2:] == [
        f"Would remove {report.loaded_count:,} rows.",
        "Dry run: everything was rolled back.",
    ]
    assert json.loads(path.read_text())["removed"] == report.loaded_by_model
    assert compare.difference(before, dump("target")) == []
    assert typed_undo(report.number, "--no-input", "-v0").code == 0
    assert count(dump("target")) == 0


# What is no import ------------------------------------------------------------------------------


def test_twice_and_unknown_numbers(imported: tuple[rows.Zoo, gestore.ImportReport]) -> None:
    _, report = imported
    unknown = typed_undo(987_654, "--no-input")
    assert unknown.code == 1
    assert unknown.errors == [
        "CommandError: No import 987654 is remembered in 'target'.",
        f"Those that are: {report.number}.",
    ]
    assert typed_undo(report.number, "--no-input").code == 0
    twice = typed_undo(report.number, "--no-input")
    assert twice.code == 1
    assert f"CommandError: Import {report.number} was undone on 20" in twice.err
    assert len(twice.errors) == 1
    nothing = typed_undo(987_654, "--no-input")
    assert nothing.errors == ["CommandError: No import 987654 is remembered in 'target'."]
    with_archive = typed("importobjects", "x.json", "--undo", "1", "--database", "target")
    assert with_archive.code == 2


def test_what_is_not_recorded(tmp_path: Path) -> None:
    shop = rows.customers("default", count=1)
    archive = str(tmp_path / "customer.json")
    export(shop.customer, archive)

    def recorded() -> int:
        return Import.objects.using("target").count() + ImportedKeys.objects.using("target").count()

    with override_settings(GESTORE={"RECORD_IMPORTS": False}):
        report = load(archive)
    assert (report.number, recorded()) == (0, 0)
    empty("target")
    assert (load(archive, dry_run=True).number, recorded()) == (0, 0)
    with inserting("target") as inserter:
        inserter.put(zoo.Customer, id=shop.customer.key, name="somebody")
    with pytest.raises(gestore.Refused):
        load(archive)
    assert recorded() == 0
    target(zoo.Customer).all().delete()
    assert load(archive).number > 0
    before = recorded()
    assert load(archive).number == 0
    assert recorded() == before


def test_what_a_record_says(tmp_path: Path) -> None:
    shop = rows.customers("default", count=1)
    archive = str(tmp_path / "customer.json")
    exported = export(shop.customer, archive)
    report = load(archive)
    record = Import.objects.using("target").get()
    assert record.pk == report.number
    assert (record.archive, record.objects_named) == (archive, [shop.customer.reference])
    assert record.sha256 == exported.archive.sha256
    assert record.rows == report.loaded_by_model
    assert record.undone_at is None
    packed = ImportedKeys.objects.using("target").values_list("model", flat=True)
    assert set(packed) == {label.lower() for label in report.loaded_by_model}


def test_exporting_needs_no_tables_of_its_own(tmp_path: Path) -> None:
    """The app is installed, and `migrate` has not been run since."""
    shop = rows.customers("default", count=1)
    connection = connections["default"]
    with connection.schema_editor() as editor:
        editor.delete_model(ImportedFiles)
        editor.delete_model(ImportedKeys)
        editor.delete_model(Import)
    try:
        archive = str(tmp_path / "customer.json")
        assert gestore.plan_objects([shop.customer.reference]).row_count == 13
        export(shop.customer, archive)
        assert load(archive).loaded_count == 13
        seen = typed("importobjects", "--undo", "1", "--no-input")
        assert (seen.code, len(seen.errors)) == (1, 2)
        assert "Imports are not remembered in 'default'" in seen.err
        assert "migrate" in seen.err
        # Nor does an import that records nothing.
        zoo.Customer.objects.all().delete()
        assert gestore.import_objects(archive).number == 0
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(Import)
            editor.create_model(ImportedKeys)
            editor.create_model(ImportedFiles)
