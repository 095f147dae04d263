"""Does the archive of a deletion bring back exactly what was there, pointers of rows that stayed
included?"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

import django
import pytest
from django.contrib.auth.models import User
from django.db import connections, models
from django.test import override_settings
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import gestore
from gestore import Finding, Policy, Strategy
from gestore.deleting import DeleteOptions, delete_objects
from tests.journeys import archives
from tests.journeys.key_maps import KeyMap
from tests.journeys.test_random_graphs import POINTERS, Graph, Key, graphs, put
from tests.journeys.trips import dump, export, load
from tests.management.typing_in import Seen, typed
from tests.zoo import compare
from tests.zoo import models as zoo
from tests.zoo.emptying import empty
from tests.zoo.inserting import Inserter, Placed, circles_allowed, inserting
from tests.zoo.models import deletion

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)

DOOMED, BYSTANDER = 2, 3
# What points at the doomed, and at what it points when that is gone.
LEFT: dict[type[models.Model], int | None] = {
    zoo.SetNullPointer: None,
    zoo.SetDefaultPointer: zoo.FALLBACK_KEY,
    zoo.SetCallablePointer: zoo.FALLBACK_KEY,
    zoo.SetValuePointer: zoo.FALLBACK_KEY,
}
STAYED = {model._meta.label: 1 for model in LEFT}


@pytest.fixture(autouse=True)
def _site(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "80")
    with override_settings(GESTORE={"ALLOW_OVERRIDE": True}):
        yield


def rows_of(model: type[models.Model], using: str = "default") -> models.QuerySet[Any]:
    return model._default_manager.using(using)


def delete(placed: Placed, archive: str, **options: Any) -> None:
    walk = gestore.WalkOptions(**options)
    delete_objects([placed.reference], DeleteOptions(walk=walk, archive=archive))


def restore(archive: str, **options: Any) -> gestore.ImportReport:
    return load(archive, "default", verify=True, **options)


def refused(archive: str, **options: Any) -> Sequence[Finding]:
    before = dump("default")
    with pytest.raises(gestore.Refused) as refusal:
        restore(archive, **options)
    assert compare.difference(before, dump("default")) == []
    return refusal.value.findings


def imported(archive: str, *words: str) -> Seen:
    return typed("importobjects", archive, "--database", "default", *words)


@pytest.fixture
def start() -> compare.Dump:
    """What is there before anything goes: rows that point at the doomed, and some that do not."""
    with inserting("default") as inserter:
        for key, name in ((zoo.FALLBACK_KEY, "fallback"), (DOOMED, "doomed"), (BYSTANDER, "other")):
            inserter.put(zoo.Doomed, id=key, menagerie=None, name=name)
        for model in LEFT:
            inserter.put(model, id=1, doomed=DOOMED)
            inserter.put(model, id=2, doomed=BYSTANDER)
        inserter.put(zoo.CascadePointer, id=1, doomed=DOOMED)
    return dump("default")


@pytest.fixture
def archive(start: compare.Dump, tmp_path: Path) -> str:
    """The doomed is gone, and what points at it or hangs on it changed or went."""
    path = str(tmp_path / "doomed.json")
    delete(Placed(zoo.Doomed, DOOMED), path)
    for model, left in LEFT.items():
        assert list(rows_of(model).order_by("pk").values_list("doomed", flat=True)) == [
            left,
            BYSTANDER,
        ]
    assert not rows_of(zoo.CascadePointer).exists()
    return path


# Exactly what was there ---------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", Strategy, ids=lambda strategy: strategy.value)
def test_emptied_pointers_come_back(strategy: Strategy, archive: str, start: compare.Dump) -> None:
    dry = restore(archive, on_conflict=strategy, dry_run=True)
    assert dry.restored_by_model == STAYED
    assert not rows_of(zoo.Doomed).filter(pk=DOOMED).exists()
    assert rows_of(zoo.SetNullPointer).get(pk=1).doomed_id is None

    report = restore(archive, on_conflict=strategy)
    assert compare.difference(start, dump("default")) == []
    assert report.loaded_by_model == {"zoo.Doomed": 1, "zoo.CascadePointer": 1}
    assert report.restored_by_model == STAYED
    assert report.as_json()["restored"] == STAYED
    # They are here; of them it is told apart what they got back.
    assert report.here_by_model == STAYED
    assert (report.kept_count, report.overridden_count, report.renewed_count) == (0, 0, 0)

    again = restore(archive, on_conflict=strategy)
    assert (again.loaded_count, again.restored_count, again.number) == (0, 0, 0)
    assert compare.difference(start, dump("default")) == []


def test_pointers_that_the_database_itself_emptied_come_back(tmp_path: Path) -> None:
    if django.VERSION < (6, 1):
        pytest.skip("Django 6.1 brings them")
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        doomed = inserter.put(zoo.DatabaseDoomed, menagerie=home, name="doomed")
        inserter.put(zoo.DatabaseSetNullPointer, doomed=doomed)
        inserter.put(zoo.DatabaseCascadePointer, doomed=doomed)
    start, archive = dump("default"), str(tmp_path / "doomed.jsonl")
    delete(doomed, archive)
    assert rows_of(zoo.DatabaseSetNullPointer).get().doomed_id is None
    assert restore(archive).restored_by_model == {"zoo.DatabaseSetNullPointer": 1}
    assert compare.difference(start, dump("default")) == []


def _capital(inserter: Inserter) -> Placed:
    """A circle, and a pointer that only one land may have."""
    home = inserter.put(zoo.Menagerie, id=1, name="home")
    for number in (1, 2):
        inserter.put(zoo.Land, id=number, menagerie=home, name="land", capital=number + 4)
        inserter.put(zoo.Capital, id=number + 4, land=number, name="capital")
    return Placed(zoo.Capital, 5)


def _mother(inserter: Inserter) -> Placed:
    """A pointer at the own table, of rows of which some go and some stay."""
    homes = [inserter.put(zoo.Menagerie, id=number, name=f"home {number}") for number in (1, 2)]
    inserter.put(zoo.Species, id=1, code="lion")
    for number, home in enumerate(homes, start=1):
        inserter.put(zoo.Enclosure, id=number, menagerie=home, name="savannah")
    for key, enclosure, mother in ((1, 1, None), (2, 1, 1), (3, 2, 1), (4, 2, 3), (5, 2, 2)):
        inserter.put(
            zoo.Animal, id=key, name=f"{key}", enclosure=enclosure, species="lion", mother=mother
        )
    return homes[0]


def _rival(inserter: Inserter) -> Placed:
    """A pointer in the lower half of a multi-table row."""
    home = inserter.put(zoo.Menagerie, id=1, name="home")
    for key, rival in ((5, None), (6, 5)):
        vehicle = inserter.put(zoo.Vehicle, id=key, menagerie=home, name=f"vehicle {key}")
        car = inserter.put(zoo.Car, vehicle_ptr=vehicle, doors=2)
        inserter.put(zoo.SportsCar, car_ptr=car, horsepower=1, rival=rival)
    return Placed(zoo.SportsCar, 5)


def _employer(inserter: Inserter) -> Placed:
    employer = inserter.put(zoo.Organization, id=1, name="employer")
    for name, organization in (("one", employer), ("two", employer), ("three", None)):
        inserter.put(zoo.Member, name=name, organization=organization)
    return employer


def _user(inserter: Inserter) -> Placed:
    """A pointer at a table of another app."""
    home = inserter.put(zoo.Menagerie, id=1, name="home")
    user = inserter.put(User, id=7_000, username="keeper")
    inserter.put(zoo.StaffMember, menagerie=home, name="keeper", user=user)
    return user


KINDS: dict[str, tuple[Callable[[Inserter], Placed], dict[str, int]]] = {
    "circle": (_capital, {"zoo.Land": 1}),
    "own table": (_mother, {"zoo.Animal": 2}),
    "multi-table": (_rival, {"zoo.SportsCar": 1}),
    "story": (_employer, {"zoo.Member": 2}),
    "other app": (_user, {"zoo.StaffMember": 1}),
}


@pytest.mark.parametrize("order", ["as written", "turned"])
@pytest.mark.parametrize("kind", KINDS)
def test_pointers_of_every_kind_come_back(kind: str, order: str, tmp_path: Path) -> None:
    begin, restored = KINDS[kind]
    with inserting("default") as inserter, circles_allowed(inserter):
        placed = begin(inserter)
    start, archive = dump("default"), str(tmp_path / "gone.json")
    delete(placed, archive)
    changed = dump("default")
    if order == "turned":
        archives.edit(archive, lambda found: found.reverse())
    assert restore(archive).restored_by_model == restored
    assert compare.difference(start, dump("default")) == []
    assert restore(archive).restored_by_model == {}

    # At a site that has none of it all is loaded, and nothing needs to be given back.
    report = load(archive, "target", verify=True)
    assert (report.here_count, report.restored_by_model) == (0, {})
    expected = {
        label: {key: row for key, row in start[label].items() if (label, key) in _places(archive)}
        for label in changed
    }
    assert compare.difference(expected, dump("target")) == []


def _places(archive: str) -> set[tuple[str, str]]:
    labels = {label.lower(): label for label in dump("default")}
    return {(labels[model], str(key)) for model, key in archives.keys(archive) if model in labels}


def test_rows_known_by_a_unique_value_get_their_pointers_back_too(tmp_path: Path) -> None:
    with inserting("default") as inserter:
        employer = _employer(inserter)
    start, archive = dump("default"), str(tmp_path / "gone.json")
    delete(employer, archive, policies={"zoo.Member": Policy.SHARE})
    assert restore(archive).restored_by_model == {"zoo.Member": 2}
    assert compare.difference(start, dump("default")) == []
    # A member of that name under another key is another site's: it stays as it is.
    with inserting("target") as inserter:
        inserter.put(zoo.Member, id=70, name="one", organization=None)
    report = load(archive, "target", verify=True)
    assert (report.kept_by_model, report.restored_by_model) == ({"zoo.Member": 1}, {})
    assert rows_of(zoo.Member, "target").get(pk=70).organization_id is None


@pytest.mark.parametrize("kind", ["circle", "own table", "story"])
@pytest.mark.parametrize("how", ["remap", "new keys"])
def test_pointers_follow_new_keys(how: str, kind: str, tmp_path: Path) -> None:
    begin, restored = KINDS[kind]
    with inserting("default") as inserter, circles_allowed(inserter):
        placed = begin(inserter)
    start, archive = dump("default"), str(tmp_path / "gone.json")
    delete(placed, archive)
    options: dict[str, Any] = {"new_keys": True}
    if how == "remap":
        # Somebody has the key by now.
        values = {"land_id": 2} if placed.model is zoo.Capital else {}
        row = placed.model(pk=placed.key, name="somebody's", **values)
        row.save_base(raw=True, using="default", force_insert=True)
        options = {"on_conflict": Strategy.REMAP}
    written = f"{archive}.keys"
    report = restore(archive, keymap=written, **options)
    assert report.restored_by_model == restored
    keymap = KeyMap.read(written)
    (key,) = keymap.of(placed.model, (placed.key,))
    assert key != placed.key
    after = dump("default")
    for label in restored:
        for number, row in start[label].items():
            outcome = keymap.outcomes.get((label.lower(), number))
            if outcome != "here":
                continue
            now = dict(after[label][number])
            for name, value in row:
                target = {"capital_id": zoo.Capital, "mother_id": zoo.Animal}.get(name)
                target = target or {"organization_id": zoo.Organization}.get(name)
                if target is not None and value is not None:
                    (value,) = keymap.of(target, (value,))
                assert now[name] == value, (label, number, name)
    if how == "remap":
        again = restore(archive, **options)
        assert (again.loaded_count, again.restored_count) == (0, 0)
        assert compare.difference(after, dump("default")) == []


# What changed since -------------------------------------------------------------------------------


def test_pointer_that_was_given_elsewhere_since_is_a_conflict(
    archive: str, start: compare.Dump
) -> None:
    rows_of(zoo.SetNullPointer).filter(pk=1).update(doomed=BYSTANDER)
    (finding,) = refused(archive)
    assert (finding.code, finding.subject) == ("key-conflict", "zoo.SetNullPointer.1")
    assert finding.message == "is here with other values: doomed (3 here, 2 archived)."
    others = {label: 1 for label in STAYED if label != "zoo.SetNullPointer"}

    report = restore(archive, on_conflict=Strategy.KEEP, dry_run=True)
    assert report.kept_by_model == {"zoo.SetNullPointer": 1}
    assert report.restored_by_model == others
    report = restore(archive, on_conflict=Strategy.KEEP)
    assert rows_of(zoo.SetNullPointer).get(pk=1).doomed_id == BYSTANDER
    assert rows_of(zoo.SetDefaultPointer).get(pk=1).doomed_id == DOOMED

    report = restore(archive, on_conflict=Strategy.OVERRIDE)
    assert report.overridden_by_model == {"zoo.SetNullPointer": 1}
    assert report.restored_by_model == {}
    assert compare.difference(start, dump("default")) == []


def test_row_that_changed_otherwise_since_is_a_conflict(tmp_path: Path) -> None:
    with inserting("default") as inserter, circles_allowed(inserter):
        capital = _capital(inserter)
    start, archive = dump("default"), str(tmp_path / "gone.json")
    delete(capital, archive)
    rows_of(zoo.Land).filter(pk=1).update(name="renamed")
    (finding,) = refused(archive)
    assert (finding.code, finding.subject) == ("key-conflict", "zoo.Land.1")
    # What the deletion left is no difference of its own.
    assert finding.message == "is here with other values: name ('renamed' here, 'land' archived)."
    report = restore(archive, on_conflict=Strategy.KEEP)
    assert (report.kept_by_model, report.restored_by_model) == ({"zoo.Land": 1}, {})
    land = rows_of(zoo.Land).get(pk=1)
    assert (land.name, land.capital_id) == ("renamed", None)
    assert restore(archive, on_conflict=Strategy.OVERRIDE).overridden_by_model == {"zoo.Land": 1}
    assert compare.difference(start, dump("default")) == []


def test_pointer_that_another_row_has_been_given_since_is_a_conflict(tmp_path: Path) -> None:
    with inserting("default") as inserter, circles_allowed(inserter):
        capital = _capital(inserter)
    archive = str(tmp_path / "gone.json")
    delete(capital, archive)
    restore(archive)
    rows_of(zoo.Land).filter(pk=1).update(capital=None)
    rows_of(zoo.Land).filter(pk=2).update(capital=5)
    before = dump("default")
    for strategy in (Strategy.REFUSE, Strategy.OVERRIDE, Strategy.REMAP):
        (finding,) = refused(archive, on_conflict=strategy)
        assert (finding.code, finding.subject) == ("unique-conflict", "zoo.Land.1")
        assert finding.message == "capital=5 is taken here by zoo.Land.2 (unique: capital)."
    report = restore(archive, on_conflict=Strategy.KEEP)
    assert (report.kept_by_model, report.restored_by_model) == ({"zoo.Land": 1}, {})
    assert compare.difference(before, dump("default")) == []


def test_row_that_is_gone_since_is_loaded(archive: str, start: compare.Dump) -> None:
    rows_of(zoo.SetNullPointer).filter(pk=1).delete()
    report = restore(archive)
    assert report.loaded_by_model["zoo.SetNullPointer"] == 1
    assert "zoo.SetNullPointer" not in report.restored_by_model
    assert compare.difference(start, dump("default")) == []


def test_pointer_back_at_the_row_already_is_left_alone(archive: str, start: compare.Dump) -> None:
    restore(archive)
    rows_of(zoo.SetNullPointer).filter(pk=1).update(doomed=None)
    report = restore(archive)
    assert report.restored_by_model == {"zoo.SetNullPointer": 1}
    assert (report.loaded_count, report.number) == (0, 0)
    assert compare.difference(start, dump("default")) == []


def test_only_what_the_archive_says_was_changed_is_given_back(
    archive: str, start: compare.Dump
) -> None:
    def forget(found: list[archives.ArchivedRow]) -> None:
        for row in found:
            if row["model"] == "zoo.setnullpointer":
                assert row.pop("changed") == ["doomed"]
            if row["model"] == "zoo.setdefaultpointer":
                # Names that mean nothing here, or no pointer, or one that a deletion never changes.
                row["changed"] = ["doomed", "id", "nothing", "pk"]

    archives.edit(archive, forget)
    findings = [f for f in refused(archive) if f.code != "archive-edited"]
    assert [(f.code, f.subject) for f in findings] == [("key-conflict", "zoo.SetNullPointer.1")]


def test_pointers_that_no_deletion_changes_are_not_given_back(
    archive: str, start: compare.Dump
) -> None:
    restore(archive)
    rows_of(zoo.CascadePointer).update(doomed=BYSTANDER)

    def make_up(found: list[archives.ArchivedRow]) -> None:
        for row in found:
            row["changed"] = ["doomed"]

    archives.edit(archive, make_up)
    findings = [f for f in refused(archive) if f.code != "archive-edited"]
    assert [(f.code, f.subject) for f in findings] == [("key-conflict", "zoo.CascadePointer.1")]


def test_pointers_come_back_under_new_names(archive: str, start: compare.Dump) -> None:
    def rename(found: list[archives.ArchivedRow]) -> None:
        for row in found:
            if row["model"] == "zoo.setnullpointer":
                row["model"] = "zoo.oldpointer"
                row["fields"] = {"victim": row["fields"]["doomed"]}
                row["changed"] = ["victim"]

    archives.edit(archive, rename)
    renames = {"zoo.OldPointer": "zoo.SetNullPointer", "zoo.OldPointer.victim": "doomed"}
    with override_settings(GESTORE={"RENAMES": renames}):
        assert restore(archive).restored_by_model == STAYED
    assert compare.difference(start, dump("default")) == []


# What it says -------------------------------------------------------------------------------------


def test_command_says_whose_pointers_came_back(archive: str) -> None:
    given_back = [
        "Gave 4 rows that stayed their pointers back:",
        "  zoo.SetCallablePointer  1",
        "  zoo.SetDefaultPointer   1",
        "  zoo.SetNullPointer      1",
        "  zoo.SetValuePointer     1",
    ]
    seen = imported(archive, "--dry-run")
    assert (seen.code, seen.err) == (0, "")
    lines = seen.out.splitlines()
    place = lines.index(given_back[0])
    assert lines[place:] == [
        *given_back,
        f"Would import 2 rows from {archive}, 4 were here already.",
        "Dry run: everything was rolled back.",
    ]
    seen = imported(archive)
    lines = seen.out.splitlines()
    place = lines.index(given_back[0])
    assert lines[place : place + 6] == [
        *given_back,
        f"Imported 2 rows from {archive}, 4 were here already.",
    ]
    rows_of(zoo.SetNullPointer).filter(pk=1).update(doomed=None)
    assert imported(archive).out.splitlines() == [
        "Gave 1 row that stayed its pointers back:",
        "  zoo.SetNullPointer  1",
        f"Imported 0 rows from {archive}, 6 were here already.",
    ]
    assert imported(archive).out.splitlines() == ["Nothing to import: all 6 rows are here already."]


def test_comparison_says_that_what_was_left_is_not_what_was_archived(archive: str) -> None:
    seen = gestore.verify_archive(archive, compare=True)
    differing = {f.subject for f in seen.findings if f.code == "key-conflict"}
    assert differing == {f"{model._meta.label}.1" for model in LEFT}
    assert seen.absent_by_model == {"zoo.Doomed": 1, "zoo.CascadePointer": 1}
    restore(archive)
    seen = gestore.verify_archive(archive, compare=True)
    assert (seen.findings, seen.absent_by_model) == ((), {})
    assert seen.same_by_model == STAYED | {"zoo.Doomed": 1, "zoo.CascadePointer": 1}


def test_undo_names_the_rows_that_were_given_their_pointers_back(
    archive: str, start: compare.Dump
) -> None:
    changed = dump("default")
    number = restore(archive).number
    seen = typed("importobjects", "--undo", str(number), "--no-input")
    assert seen.code == 3
    assert compare.difference(start, dump("default")) == []
    told = " ".join(seen.err.split())
    for label in STAYED:
        assert f"{label}.1: points at a zoo.Doomed of the import (doomed)." in told
    assert "Remove these rows, or point them elsewhere, and undo again." in told
    for model, left in LEFT.items():
        rows_of(model).filter(pk=1).update(doomed=left)
    seen = typed("importobjects", "--undo", str(number), "--no-input")
    assert seen.code == 0, seen.err
    assert compare.difference(changed, dump("default")) == []


# The project's functions --------------------------------------------------------------------------


@contextmanager
def _fallback(monkeypatch: pytest.MonkeyPatch, code: FunctionType, **names: Any) -> Iterator[None]:
    """Inside, the function of `SET(...)` does something else."""
    with monkeypatch.context() as patched:
        for name, value in names.items():
            patched.setattr(deletion, name, value, raising=False)
        patched.setattr(deletion.fallback_key, "__code__", code.__code__)
        yield


def _noted() -> int:
    IN_TRANSACTION.append(CONNECTION.in_atomic_block)  # type: ignore[name-defined]  # noqa: F821
    return 1


def _failing() -> int:
    raise LookupError("there is no fallback")


# Rows out of order are examined once more when others were loaded ahead.
@pytest.mark.usefixtures("in_two_steps")
def test_function_of_the_project_is_called_once_and_inside_the_transaction(
    archive: str, start: compare.Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    with inserting("default") as inserter:
        for key in range(10, 60):
            inserter.put(zoo.SetCallablePointer, id=key, doomed=zoo.FALLBACK_KEY)

    def many(found: list[archives.ArchivedRow]) -> None:
        (row,) = [row for row in found if row["model"] == "zoo.setcallablepointer"]
        found.extend({**row, "pk": key} for key in range(10, 60))

    archives.edit(archive, many)
    called: list[bool] = []
    names = {"IN_TRANSACTION": called, "CONNECTION": connections["default"]}
    with _fallback(monkeypatch, _noted, **names):
        report = restore(archive)
        assert called == [True]
        assert report.restored_by_model["zoo.SetCallablePointer"] == 51
        # Where nothing differs nobody needs to be asked.
        restore(archive)
        assert called == [True]


def test_function_of_the_project_that_fails_is_named(
    archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dump("default")
    with _fallback(monkeypatch, _failing):
        seen = imported(archive)
    assert seen.code == 1
    told = " ".join(seen.err.split())
    assert "The on_delete of zoo.SetCallablePointer.doomed failed: LookupError: there is" in told
    assert "Traceback" not in seen.err
    assert compare.difference(before, dump("default")) == []


# What is verified ---------------------------------------------------------------------------------

SPOILING = {
    "sqlite": (
        """CREATE TRIGGER spoils AFTER UPDATE ON zoo_setdefaultpointer
        BEGIN UPDATE zoo_setdefaultpointer SET doomed_id = 3 WHERE id = NEW.id; END""",
        "DROP TRIGGER spoils",
    ),
    "postgresql": (
        """CREATE FUNCTION spoils() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN NEW.doomed_id = 3; RETURN NEW; END';
        CREATE TRIGGER spoils BEFORE UPDATE ON zoo_setdefaultpointer
        FOR EACH ROW EXECUTE FUNCTION spoils()""",
        "DROP TRIGGER spoils ON zoo_setdefaultpointer; DROP FUNCTION spoils()",
    ),
    "mysql": (
        """CREATE TRIGGER spoils BEFORE UPDATE ON zoo_setdefaultpointer
        FOR EACH ROW SET NEW.doomed_id = 3""",
        "DROP TRIGGER spoils",
    ),
}


def test_pointers_given_back_are_read_back(archive: str) -> None:
    before = dump("default")
    begin, end = SPOILING[connections["default"].vendor]
    with connections["default"].cursor() as cursor:
        cursor.execute(begin)
    try:
        with pytest.raises(gestore.Refused) as refusal:
            restore(archive)
    finally:
        with connections["default"].cursor() as cursor:
            cursor.execute(end)
    (finding,) = refusal.value.findings
    assert (finding.code, finding.subject) == ("read-back", "zoo.SetDefaultPointer.1")
    assert compare.difference(before, dump("default")) == []


# Whatever points at what --------------------------------------------------------------------------


@st.composite
def doomed_graphs(draw: st.DrawFn) -> tuple[Graph, Key]:
    """Often one goes at which others point that may stay."""
    graph = draw(graphs())
    missed = [
        (POINTERS[model][name].target, pointers[name])
        for (model, _), pointers in graph.rows.items()
        for name in ("mother", "capital")
        if pointers.get(name) is not None
    ]
    wanted = missed if missed and draw(st.booleans()) else [*graph.rows]
    return graph, draw(st.sampled_from(sorted(wanted, key=lambda key: (key[0].__name__, key[1]))))


@given(doomed=doomed_graphs(), strategy=st.sampled_from(Strategy))
@settings(
    max_examples=25 if os.environ.get("CI") else 40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_goes_comes_back(doomed: tuple[Graph, Key], strategy: Strategy) -> None:
    graph, (model, key) = doomed
    try:
        put(graph)
        with tempfile.TemporaryDirectory() as folder:
            _check(Placed(model, key), str(Path(folder) / "gone.jsonl"), strategy)
    finally:
        empty("default")


def _check(placed: Placed, archive: str, strategy: Strategy) -> None:
    start = compare.dump("default", POINTERS)
    try:
        delete(placed, archive)
    except gestore.Refused:
        event("blocked")
        return
    report = restore(archive, on_conflict=strategy)
    event("restored" if report.restored_count else "nothing stayed changed")
    assert compare.difference(start, compare.dump("default", POINTERS)) == []
    again = restore(archive, on_conflict=strategy)
    assert (again.loaded_count, again.restored_count) == (0, 0)


def test_export_after_coming_back_is_what_was_exported_before(
    start: compare.Dump, tmp_path: Path
) -> None:
    first, second = str(tmp_path / "first.json"), str(tmp_path / "second.json")
    export(Placed(zoo.Doomed, DOOMED), first)
    gone = str(tmp_path / "gone.json")
    delete(Placed(zoo.Doomed, DOOMED), gone)
    restore(gone)
    export(Placed(zoo.Doomed, DOOMED), second)
    assert archives.rows(first) == archives.rows(second)
