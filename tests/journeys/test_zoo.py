"""Does the whole zoo arrive as it left, on this database and across to another?"""

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import models
from django.test import override_settings

import gestore
from tests.journeys import archives
from tests.journeys.trips import count, dump, load
from tests.zoo import compare, receivers, rows
from tests.zoo import models as zoo
from tests.zoo.emptying import empty
from tests.zoo.inserting import Placed, inserting

pytestmark = pytest.mark.django_db(databases=["default", "target", "elsewhere"], transaction=True)

FORMS = ("json", "jsonl", "json.gz", "jsonl.zst")
ROME = ZoneInfo("Europe/Rome")


def alone(using: str) -> compare.Dump:
    """What a database holds that was filled with the first menagerie only; it is empty after."""
    rows.populate(using, menageries=1)
    found = dump(using)
    empty(using)
    return found


@pytest.mark.parametrize("form", FORMS)
def test_zoo_arrives_whole_and_alone(form: str, tmp_path: Path) -> None:
    expected = alone("target")
    zoo_there = rows.populate("default", menageries=2)
    archive = str(tmp_path / f"zoo.{form}")
    with receivers.connected():
        exported = gestore.export_objects([zoo_there.root.reference], archive)
        imported = load(archive)
    assert compare.difference(expected, dump("target")) == []
    assert exported.row_count == imported.loaded_count == len(archives.rows(archive))
    assert exported.row_count == count(expected) > 300
    # Not by chance: nothing of the bystander, and no row that a receiver made.
    menageries = {key for model, key in archives.keys(archive) if model == "zoo.menagerie"}
    assert menageries == {zoo_there.root.key}
    assert expected["zoo.SignalTrace"] == {}


def test_second_import_changes_nothing_and_says_so(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1)
    archive = str(tmp_path / "zoo.json")
    exported = gestore.export_objects([there.root.reference], archive)
    load(archive)
    before = dump("target")
    with receivers.connected():
        again = load(archive)
    assert (again.loaded_count, again.kept_count) == (0, 0)
    assert again.here_count == exported.row_count
    assert again.loaded_by_model == {}
    assert compare.difference(before, dump("target")) == []
    said = io.StringIO()
    call_command("importobjects", archive, database="target", stdout=said, stderr=said)
    assert f"Nothing to import: all {exported.row_count:,} rows" in said.getvalue()
    assert compare.difference(before, dump("target")) == []
    verified = gestore.verify_archive(archive, compare=True, database="target")
    assert sum(verified.same_by_model.values()) == exported.row_count
    assert verified.absent_by_model == {}


def test_zoo_crosses_to_another_database_and_back(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1, portable=True)
    away, back = str(tmp_path / "away.jsonl"), str(tmp_path / "back.json.gz")
    gestore.export_objects([there.root.reference], away)
    with receivers.connected():
        load(away, "elsewhere")
    # The wing of PostgreSQL is in one of the two only, and empty there.
    assert compare.difference(dump("default"), _with_wing("elsewhere")) == []
    options = gestore.WalkOptions(database="elsewhere")
    gestore.export_objects([there.root.reference], back, options)
    load(back)
    assert compare.difference(dump("default"), dump("target")) == []
    assert count(dump("target")) > 300


def _with_wing(using: str) -> compare.Dump:
    return {label: {} for label in dump("default")} | dump(using)


def test_dangling_pointers_arrive_dangling(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1, dangling=True)
    archive = str(tmp_path / "zoo.jsonl")
    exported = gestore.export_objects([there.root.reference], archive)
    assert {finding.subject for finding in exported.findings if finding.code == "dangling"} == {
        "zoo.LooseLink.animal",
        "zoo.LooseLink.species",
        "zoo.LooseLink_tags.tag",
        "zoo.DanglingNote.target",
    }
    load(archive)
    assert compare.difference(dump("default"), dump("target")) == []
    nowhere = zoo.LooseLink.objects.using("target").get(animal_id=999_001)
    assert nowhere.species_id == "extinct 1"
    assert load(archive).loaded_count == 0


def test_dangling_pointer_adopts_no_stranger(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1, dangling=True, chain=1)
    archive = str(tmp_path / "zoo.json")
    gestore.export_objects([there.root.reference], archive)
    with inserting("target") as inserter:
        home = inserter.put(zoo.Menagerie, id=70, name="somebody's")
        enclosure = inserter.put(zoo.Enclosure, id=70, menagerie=home, name="somebody's")
        inserter.put(zoo.Species, id=70, code="other")
        inserter.put(zoo.Animal, id=999_001, enclosure=enclosure, species="other", name="stranger")
    before = dump("target")
    with pytest.raises(gestore.Refused) as refusal:
        load(archive)
    adopting = [f for f in refusal.value.findings if f.code == "dangling-adopts"]
    assert {f.subject.rpartition(".")[0] for f in adopting} == {"zoo.LooseLink", "zoo.DanglingNote"}
    assert compare.difference(before, dump("target")) == []


def test_deep_chain_arrives(tmp_path: Path) -> None:
    first, last = rows.deep_chain("default")
    archive = str(tmp_path / "chain.jsonl.gz")
    # The first link alone names it: ten thousand levels, each found through the one before.
    exported = gestore.export_objects([first.reference], archive)
    assert exported.owned_by_model["zoo.SelfChain"] == 10_000
    load(archive)
    chosen = [zoo.Menagerie, zoo.SelfChain]
    assert compare.difference(compare.dump("default", chosen), compare.dump("target", chosen)) == []
    assert zoo.SelfChain.objects.using("target").get(pk=last.key).name == "link 9999"


def test_sealed_column_is_refused_by_name(tmp_path: Path) -> None:
    sealed = rows.sealed("default")
    archive = tmp_path / "sealed.json"
    with pytest.raises(gestore.GestoreError, match=r"^zoo\.Sealed\.seal \(SealedField\)") as error:
        gestore.export_objects([sealed.reference], str(archive))
    assert type(error.value).__name__ == "ValueNotCarried"
    # Also where the row only came along.
    label = f"zoo.SealedLabel.{zoo.SealedLabel.objects.get().pk}"
    with pytest.raises(gestore.GestoreError, match=r"^zoo\.Sealed\.seal \(SealedField\)"):
        gestore.export_objects([label], str(archive))
    assert list(tmp_path.iterdir()) == []


def test_stale_content_type_is_missing_by_name(tmp_path: Path) -> None:
    with inserting("default") as inserter:
        menagerie = inserter.put(zoo.Menagerie, name="with a dodo")
    row = rows.stale_content_type("default", menagerie)
    archive = str(tmp_path / "dodo.json")
    gestore.export_objects([menagerie.reference], archive)
    with pytest.raises(gestore.Refused) as refusal:
        load(archive)
    (finding,) = refusal.value.findings
    assert (finding.code, finding.subject) == (
        "external-missing",
        "contenttypes.ContentType zoo.dodo",
    )
    assert f"{row.reference} points at it" in finding.message
    assert count(dump("target")) == 0
    # Where the type is, whatever its number, the row arrives.
    with inserting("target") as inserter:
        inserter.content_type(zoo.Menagerie)
        rows.ContentType.objects.using("target").create(id=90_001, app_label="zoo", model="dodo")
    load(archive)
    chosen = [zoo.PseudoGeneric]
    assert compare.difference(compare.dump("default", chosen), compare.dump("target", chosen)) == []
    assert zoo.PseudoGeneric.objects.using("target").get().content_type_id == 90_001


@pytest.mark.skipif("postgres" not in str(settings.INSTALLED_APPS), reason="PostgreSQL's own wing")
def test_wing_of_postgresql_arrives_whole(tmp_path: Path) -> None:
    from tests.zoo_postgres import rows as wing

    wing.populate("target", aviaries=1)
    expected = dump("target")
    empty("target")
    there = wing.populate("default", aviaries=2)
    archive = str(tmp_path / "aviary.jsonl")
    exported = gestore.export_objects([there.root.reference], archive)
    with receivers.connected():
        imported = load(archive)
    assert compare.difference(expected, dump("target")) == []
    assert exported.row_count == imported.loaded_count == count(expected) > 30
    assert load(archive).loaded_count == 0


@pytest.mark.skipif("postgres" not in str(settings.INSTALLED_APPS), reason="PostgreSQL's own wing")
def test_moment_that_python_cannot_hold_is_named(tmp_path: Path) -> None:
    from tests.zoo_postgres import models as wing_models
    from tests.zoo_postgres import rows as wing

    with inserting("default") as inserter:
        aviary = inserter.put(wing_models.Aviary, name="without end")
    infinite = wing.infinite("default", aviary)
    for row in infinite:
        with pytest.raises(gestore.GestoreError, match=f"^{row.reference} cannot be read") as error:
            gestore.export_objects([row.reference], str(tmp_path / "infinite.json"))
        assert type(error.value).__name__ == "RowUnreadable"
    assert list(tmp_path.iterdir()) == []


def _new_rows(using: str, menagerie: Placed) -> Iterator[models.Model]:
    """One row for each way the database numbers rows, made as a project would make it."""
    home = {"menagerie_id": menagerie.key}
    yield zoo.Tag.objects.using(using).create(label="made here")
    yield zoo.Team.objects.using(using).create(name="made here", **home)
    yield zoo.NamedKey.objects.using(using).create(name="made here", **home)
    yield zoo.SmallKey.objects.using(using).create(name="made here", **home)
    yield zoo.BigKey.objects.using(using).create(name="made here", **home)
    yield zoo.SportsCar.objects.using(using).create(name="new", doors=2, horsepower=1, **home)
    yield zoo.Boat.objects.using(using).create(name="new", length=Decimal("1.50"), **home)
    yield zoo.Tram.objects.using(using).create(name="new", **home)
    yield zoo.Duck.objects.using(using).create(name="new", depth=1, height=1, **home)
    yield zoo.SelfChain.objects.using(using).create(name="new", **home)
    yield zoo.OddlyNamedTable.objects.using(using).create(name="new", **home)
    yield User.objects.using(using).create(username="new here")


def test_rows_can_be_made_after_an_import(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1)
    archive = str(tmp_path / "zoo.jsonl")
    gestore.export_objects([there.root.reference], archive)
    load(archive)
    before = dump("target")
    with receivers.connected():
        made = list(_new_rows("target", there.root))
    # The receivers that an import must not wake were awake.
    assert zoo.SignalTrace.objects.using("target").count() == len(made)
    for row in made:
        arrived = [int(key) for key in before[row._meta.label]]
        assert row.pk > max(arrived), row._meta.label
    after = dump("target")
    assert {
        label: {key: after[label][key] for key in found} for label, found in before.items()
    } == before
    # They are other rows: the archive still has nothing to bring.
    assert load(archive).loaded_count == 0


MOMENTS = (
    datetime(2024, 7, 1, 2, 30, 0, 1, tzinfo=UTC),
    datetime(2024, 1, 1, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
)


def _instants(using: str, zone: ZoneInfo | None) -> Sequence[datetime]:
    """The moments as instants, read back by Django; `zone` is that of a site without time zones."""
    found = zoo.Moments.objects.using(using).order_by("pk").values_list("moment", flat=True)
    return tuple(
        moment if zone is None else moment.replace(tzinfo=zone).astimezone(UTC) for moment in found
    )


@pytest.mark.parametrize("source_is_aware", [True, False])
def test_instants_are_kept_where_sites_differ_in_time_zones(
    source_is_aware: bool, tmp_path: Path
) -> None:
    archive = str(tmp_path / "moments.json")
    with override_settings(USE_TZ=source_is_aware):
        with inserting("default") as inserter:
            menagerie = inserter.put(zoo.Menagerie, name="in Rome")
            for moment in MOMENTS:
                local = moment if source_is_aware else moment.astimezone(ROME).replace(tzinfo=None)
                inserter.put(
                    zoo.Moments,
                    menagerie=menagerie,
                    moment=local,
                    day=date(2024, 7, 1),
                    hour=time(23, 30),
                )
        gestore.export_objects([menagerie.reference], archive)
        assert _instants("default", None if source_is_aware else ROME) == MOMENTS
    with override_settings(USE_TZ=not source_is_aware):
        load(archive)
        assert _instants("target", ROME if source_is_aware else None) == MOMENTS
        arrived = zoo.Moments.objects.using("target").values_list("day", "hour").distinct()
        assert list(arrived) == [(date(2024, 7, 1), time(23, 30))]
        assert load(archive).loaded_count == 0


def test_each_site_reads_its_own_zone(tmp_path: Path) -> None:
    """Two sites without time zones, in two cities: the clock on the wall is what they keep."""
    archive = str(tmp_path / "wall.json")
    wall = datetime(2024, 7, 1, 2, 30)
    with override_settings(USE_TZ=False):
        with inserting("default") as inserter:
            menagerie = inserter.put(zoo.Menagerie, name="by the wall's clock")
            inserter.put(zoo.Moments, menagerie=menagerie, moment=wall)
        gestore.export_objects([menagerie.reference], archive)
        load(archive)
        assert zoo.Moments.objects.using("target").get().moment == wall
