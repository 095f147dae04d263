"""Are values that only the database can judge found before anything is written, each by name?"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections, models
from django.test import override_settings

import gestore
from gestore import Finding, Severity, Strategy
from tests.journeys import archives
from tests.journeys.key_maps import KeyMap
from tests.journeys.trips import dump, export, load
from tests.zoo import compare
from tests.zoo import models as zoo
from tests.zoo.inserting import inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)

HAS_WING = "django.contrib.postgres" in settings.INSTALLED_APPS


@pytest.fixture(autouse=True)
def _allowed() -> Iterator[None]:
    with override_settings(GESTORE={"ALLOW_OVERRIDE": True}):
        yield


def refused(archive: str, **options: Any) -> Sequence[Finding]:
    before = dump("target")
    with pytest.raises(gestore.Refused) as refusal:
        load(archive, **options)
    assert compare.difference(before, dump("target")) == []
    return [f for f in refusal.value.findings if f.severity is not Severity.WARNING]


def told(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    return [(finding.code, finding.subject) for finding in findings]


# By model: what is taken there, and what is free although it looks alike.
KINDS: dict[type[models.Model], tuple[dict[str, Any], dict[str, Any]]] = {
    zoo.UniqueWhenActive: ({"name": "Room", "active": True}, {"name": "Room", "active": False}),
    zoo.UniqueIgnoringCase: ({"name": "Room"}, {"name": "Another room"}),
    zoo.UniqueWithoutNulls: ({"name": "Room", "floor": None}, {"name": "Room", "floor": 1}),
}


def _is_judged(model: type[models.Model]) -> bool:
    features = connections["target"].features
    return {
        zoo.UniqueWhenActive: features.supports_partial_indexes,
        zoo.UniqueIgnoringCase: features.supports_expression_indexes,
        zoo.UniqueWithoutNulls: features.supports_nulls_distinct_unique_constraints,
    }[model]


def _rooms(model: type[models.Model], folder: Path, *, key: int = 70) -> str:
    """Two rooms are taken and one is free; at the target the taken ones have keys from `key` on."""
    taken, free = KINDS[model]
    other = {**taken, "name": "Hall"}
    archive = str(folder / "rooms.json")
    for using, home_key, places in (
        ("default", 1, {4: free, 5: taken, 6: other}),
        ("target", 70, {key: taken, key + 1: other}),
    ):
        with inserting(using) as inserter:
            home = inserter.put(zoo.Menagerie, id=home_key, name=using)
            for number, values in places.items():
                inserter.put(model, id=number, menagerie=home, **values)
            if using == "default":
                placed = home
    export(placed, archive)
    return archive


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.__name__)
def test_every_taken_value_is_found(model: type[models.Model], tmp_path: Path) -> None:
    archive = _rooms(model, tmp_path)
    if not _is_judged(model):
        # Without the constraint there is no conflict.
        assert load(archive).loaded_count == 4
        return
    label = model._meta.label
    conflicts = [("unique-conflict", f"{label}.5"), ("unique-conflict", f"{label}.6")]
    for strategy in (Strategy.REFUSE, Strategy.REMAP):
        assert told(refused(archive, on_conflict=strategy)) == conflicts
    report = load(archive, on_conflict=Strategy.KEEP)
    assert (report.loaded_count, report.kept_by_model) == (2, {label: 2})
    assert load(archive, on_conflict=Strategy.KEEP).loaded_count == 0


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.__name__)
def test_new_key_does_not_free_the_value(model: type[models.Model], tmp_path: Path) -> None:
    # Somebody's row has the key 5, and the value of 6.
    archive = _rooms(model, tmp_path, key=4)
    written = f"{archive}.keys"
    options: dict[str, Any] = {"on_conflict": Strategy.REMAP, "keymap": written}
    if not _is_judged(model):
        load(archive, **options)
        targets = KeyMap.read(written).targets
        assert len({targets[model._meta.label_lower, str(key)] for key in (4, 5, 6)} - {4, 5}) == 3
        return
    label = model._meta.label
    assert told(refused(archive, **options)) == [
        ("unique-conflict", f"{label}.5"), ("unique-conflict", f"{label}.6"),
    ]  # fmt: skip


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.__name__)
def test_override_gives_the_row_here_the_values(model: type[models.Model], tmp_path: Path) -> None:
    archive = _rooms(model, tmp_path)
    written = f"{archive}.keys"
    load(archive, on_conflict=Strategy.OVERRIDE, keymap=written, verify=True)
    rooms = {int(key): dict(row) for key, row in dump("target")[model._meta.label].items()}
    if not _is_judged(model):
        assert set(rooms) == {4, 5, 6, 70, 71}
        return
    keymap = KeyMap.read(written)
    assert keymap.targets[model._meta.label_lower, "5"] == 70
    assert keymap.targets[model._meta.label_lower, "6"] == 71
    assert {key: room["menagerie_id"] for key, room in rooms.items()} == {4: 1, 70: 1, 71: 1}


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.__name__)
def test_values_twice_in_the_archive(model: type[models.Model], tmp_path: Path) -> None:
    taken, free = KINDS[model]
    archive = str(tmp_path / "rooms.json")
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, id=1, name="home")
        for key, values in ((4, taken), (5, {**taken, "name": "Hall"}), (6, free)):
            inserter.put(model, id=key, menagerie=home, **values)
    export(home, archive)

    def repeat(found: list[archives.ArchivedRow]) -> None:
        (room,) = [
            row for row in found if (row["model"], row["pk"]) == (model._meta.label_lower, 5)
        ]
        room["fields"]["name"] = "ROOM" if model is zoo.UniqueIgnoringCase else "Room"

    archives.edit(archive, repeat)
    if not _is_judged(model):
        assert load(archive).loaded_count == 4
        return
    findings = refused(archive)
    assert told(findings) == [("unique-conflict", f"{model._meta.label}.5")]


def test_values_twice_and_far_apart_leave_nothing(vendor: str, tmp_path: Path) -> None:
    archive = str(tmp_path / "rooms.json")
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, id=1, name="home")
        many = ({"menagerie": home, "name": f"Room {n}", "active": True} for n in range(1_200))
        inserter.put_many(zoo.UniqueWhenActive, many)
    export(home, archive)

    def repeat(found: list[archives.ArchivedRow]) -> None:
        rooms = [row for row in found if row["model"] == "zoo.uniquewhenactive"]
        rooms[-1]["fields"]["name"] = rooms[0]["fields"]["name"]

    archives.edit(archive, repeat)
    if vendor == "mysql":
        assert load(archive).loaded_count == 1_201
        return
    before = dump("target")
    with pytest.raises(gestore.GestoreError, match=r"zoo\.UniqueWhenActive\.1200"):
        load(archive)
    assert compare.difference(before, dump("target")) == []


@pytest.mark.skipif(not HAS_WING, reason="PostgreSQL's own wing")
def test_overlapping_bookings_are_all_found(tmp_path: Path) -> None:
    from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

    from tests.zoo_postgres import models as wing

    def during(first: int, last: int) -> DateTimeTZRange:
        return DateTimeTZRange(*(datetime(2024, 1, 1, h, tzinfo=UTC) for h in (first, last)))

    archive = str(tmp_path / "bookings.json")
    for using, key, name, booked in (
        ("default", 1, "home", {4: (1, 8, 9), 5: (1, 9, 11), 6: (2, 8, 9), 7: (3, 8, 9)}),
        ("target", 70, "somebody's", {4: (1, 10, 12), 71: (2, 8, 20)}),
    ):
        with inserting(using) as inserter:
            aviary = inserter.put(wing.Aviary, id=key, name=name)
            for number, (perch, first, last) in booked.items():
                inserter.put(
                    wing.Booking, id=number, aviary=aviary, perch=perch, during=during(first, last)
                )
            if using == "default":
                home = aviary
    export(home, archive)
    overlapping = {("unique-conflict", f"zoo_postgres.Booking.{key}") for key in (5, 6)}
    for strategy in (Strategy.REMAP, Strategy.REFUSE):
        findings = refused(archive, on_conflict=strategy)
        same_key = {("key-conflict", "zoo_postgres.Booking.4")}
        is_remap = strategy is Strategy.REMAP
        assert set(told(findings)) == overlapping | (set() if is_remap else same_key)
    assert all(
        "zoo_postgres_booking_overlap" in f.message for f in findings if f.code != "key-conflict"
    )


# Whose rows may be changed ------------------------------------------------------------------------


def _enemy(folder: Path) -> str:
    archive = str(folder / "home.json")
    for using in ("default", "target"):
        with inserting(using) as inserter:
            home = inserter.put(zoo.Menagerie, id=1, name=using)
    export(home, archive)
    return archive


def test_override_must_be_allowed_where_debug_is_off(tmp_path: Path) -> None:
    archive = _enemy(tmp_path)
    resolutions = str(tmp_path / "resolutions.json")
    before = dump("target")
    overriding: list[dict[str, Any]] = [
        {"on_conflict": Strategy.OVERRIDE},
        {"on_conflict": Strategy.OVERRIDE, "dry_run": True},
        {"strategies": {"zoo.Menagerie": Strategy.OVERRIDE}},
        {"resolutions": resolutions},
    ]
    with pytest.raises(gestore.Refused):
        load(archive, write_resolutions=resolutions)
    given = Path(resolutions).read_text().replace('"action": "refuse"', '"action": "override"')
    Path(resolutions).write_text(given)
    with override_settings(GESTORE={}, DEBUG=False):
        for options in overriding:
            with pytest.raises(gestore.GestoreError, match="DEBUG is off") as error:
                load(archive, **options)
            assert 'GESTORE["ALLOW_OVERRIDE"] = True' in error.value.hint
            assert compare.difference(before, dump("target")) == []
        assert load(archive, on_conflict=Strategy.KEEP).kept_count == 1
    with override_settings(GESTORE={}, DEBUG=True):
        for options in overriding:
            assert load(archive, **(options | {"dry_run": True})).overridden_count == 1
    for options in overriding[:1]:
        assert load(archive, **options).overridden_count == 1
    assert zoo.Menagerie.objects.using("target").get().name == "default"


def test_row_here_takes_the_values_of_one_row_only(tmp_path: Path) -> None:
    archive = str(tmp_path / "lender.json")
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, id=1, name="home")
        inserter.put(
            zoo.Loan, menagerie=home, borrower=inserter.put(zoo.Menagerie, id=4, name="borrower")
        )
    export(home, archive)
    with inserting("target") as inserter:
        # By its key it is the one, by its name the other.
        inserter.put(zoo.Menagerie, id=1, name="borrower")
    (finding,) = refused(archive, on_conflict=Strategy.OVERRIDE)
    assert (finding.code, finding.subject) == ("unique-conflict", "zoo.Menagerie.4")
    assert "would override zoo.Menagerie.1" in finding.message


@pytest.mark.parametrize("is_pointed_at", [True, False], ids=["pointed at", "free"])
def test_override_takes_nothing_that_others_point_at(is_pointed_at: bool, tmp_path: Path) -> None:
    archive = str(tmp_path / "home.json")
    for using, key, code in (("default", 1, "lion"), ("target", 70, "tiger")):
        with inserting(using) as inserter:
            home = inserter.put(zoo.Menagerie, id=key, name=using)
            inserter.put(zoo.Species, id=5, code=code)
            enclosure = inserter.put(zoo.Enclosure, id=key, menagerie=home, name=using)
            if using == "default" or is_pointed_at:
                inserter.put(zoo.Animal, id=key, name=code, enclosure=enclosure, species=code)
            if using == "default":
                placed = home
    export(placed, archive)
    if is_pointed_at:
        (finding,) = refused(archive, on_conflict=Strategy.OVERRIDE)
        assert (finding.code, finding.subject) == ("key-conflict", "zoo.Species.5")
        assert "(zoo.Animal.species)" in finding.message
        return
    load(archive, on_conflict=Strategy.OVERRIDE, verify=True)
    assert zoo.Animal.objects.using("target").get().species.code == "lion"
