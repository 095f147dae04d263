"""Does an archive of an earlier schema arrive as if its rows had lived through the migrations?"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from gestore import ImportOptions, import_objects
from gestore.archive.writer import Destination
from gestore.database import scratch
from gestore.database.scratch import ALIAS, scratch_database
from gestore.database.select import Reader
from gestore.database.transactions import snapshot
from gestore.errors import GestoreError, NotFound, Refused, UsageError
from gestore.exporting import now, write_walked
from gestore.load.strategies import Strategy
from gestore.planning import Site, WalkOptions
from gestore.progress import Silence
from gestore.references import Reference
from gestore.schema.introspect import build_graph
from gestore.schema.policy import Follow, resolve
from gestore.walk.walker import walk
from tests.moved.models import Address, Animal, Keeper, Remark

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)

FIRST = [("moved", "0001_initial")]
BORN = datetime(1815, 12, 10, 11, 12, 13, 141_516, tzinfo=UTC)
MODELS = (Keeper, Address, Animal, Remark)


def exported(models: Any, references: list[str], name: str) -> None:
    """What `exportobjects` of that time wrote."""
    connection = connections[ALIAS]
    graph = build_graph((), (), ALIAS, models)
    reader = Reader(connection, graph)
    keys: dict[str, list[Any]] = {}
    for text in references:
        table, key = reader.find(Reference.parse(text))
        keys.setdefault(table.name, []).append(key)
    with snapshot(connection):
        policies = resolve(graph)
        site = Site(connection, graph, policies, reader, keys, frozenset())
        closure = walk(graph, site.roots, policies, Follow.OWNED, reader)
        # Generic keys are not part of what migrations remember: the remarks come by name.
        write_walked(
            site.walked(closure), references, WalkOptions(ALIAS), Destination.parse(name),
            Silence(), now,
        )  # fmt: skip


@contextmanager
def site_of_then() -> Iterator[Any]:
    """A database at the first migration, with two keepers and what is theirs; and its models."""
    with scratch_database() as connection:
        executor = MigrationExecutor(connection)
        executor.migrate(FIRST)
        models = executor.loader.project_state(FIRST).apps
        keeper, pet = models.get_model("moved", "Keeper"), models.get_model("moved", "Pet")
        remark = models.get_model("moved", "Remark")
        types = models.get_model("contenttypes", "ContentType").objects.using(ALIAS)
        of_pets = types.create(pk=4_711, app_label="moved", model="pet")
        for number, name in ((7, "Ada Byron Lovelace"), (8, "Charles Babbage")):
            owner = keeper.objects.using(ALIAS).create(
                pk=number, name=name, mail=f"{number}@example.org", street=f"{name} 1", born=BORN
            )
            for place in range(3):
                one = pet.objects.using(ALIAS).create(
                    pk=10 * number + place,
                    keeper=owner,
                    kind="cat",
                    weight_g=1_001 * (place + 1),
                    colour="grey",
                )
                remark.objects.using(ALIAS).create(
                    pk=100 * number + place,
                    content_type=of_pets,
                    object_id=one.pk,
                    text=f"{name}'s",
                )
        yield models


def rows_of(alias: str) -> dict[str, list[dict[str, Any]]]:
    """Every row, what generic keys mean told by name."""
    found = {}
    for model in MODELS:
        rows = [dict(row) for row in model.objects.using(alias).order_by("pk").values()]
        for row in rows:
            if "content_type_id" in row:
                meant = ContentType.objects.using(alias).get(pk=row.pop("content_type_id"))
                row["about"] = f"{meant.app_label}.{meant.model}"
        found[model.__name__] = rows
    return found


@pytest.fixture(scope="module")
def then(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> tuple[str, dict[str, list[dict[str, Any]]]]:
    """An archive of the first schema, and what a database holds that really lived on."""
    name = str(tmp_path_factory.mktemp("then") / "then.jsonl")
    with django_db_blocker.unblock(), site_of_then() as models:
        references = ["moved.Keeper.7", *(f"moved.Remark.{700 + n}" for n in range(3))]
        exported(models, references, name)
        models.get_model("moved", "Keeper").objects.using(ALIAS).filter(pk=8).delete()
        models.get_model("moved", "Remark").objects.using(ALIAS).filter(pk__gte=800).delete()
        call_command("migrate", database=ALIAS, verbosity=0)
        lived = rows_of(ALIAS)
    return name, lived


def test_rows_arrive_as_if_they_had_lived_through_it(
    then: tuple[str, dict[str, list[dict[str, Any]]]],
) -> None:
    archive, lived = then
    with pytest.raises(Refused):
        import_objects(archive)
    report = import_objects(archive, ImportOptions(upgrade=True, verify=True))
    assert rows_of("default") == lived
    assert [row["initials"] for row in lived["Keeper"]] == ["ABL"]
    assert {row["about"] for row in lived["Remark"]} == {"moved.animal"}
    assert report.archive == archive
    assert report.loaded_count == 1 + 1 + 3 + 3
    again = import_objects(archive, ImportOptions(upgrade=True))
    assert (again.loaded_count, again.here_count) == (0, 8)


def test_upgraded_archive_meets_other_rows(
    then: tuple[str, dict[str, list[dict[str, Any]]]],
) -> None:
    archive, lived = then
    stranger = Keeper.objects.create(pk=7, name="Stranger", email="s@example.org", initials="S")
    with pytest.raises(Refused, match="meet other rows"):
        import_objects(archive, ImportOptions(upgrade=True))
    import_objects(archive, ImportOptions(upgrade=True, on_conflict=Strategy.REMAP))
    stranger.refresh_from_db()
    assert stranger.name == "Stranger"
    ada = Keeper.objects.get(email="7@example.org")
    assert ada.pk != 7
    assert Animal.objects.filter(keeper=ada).count() == 3
    assert Address.objects.get(keeper=ada).street == "Ada Byron Lovelace 1"
    assert len(lived["Animal"]) == 3


def test_archive_of_today_goes_straight_in(tmp_path: Path) -> None:
    from gestore import export_objects

    keeper = Keeper.objects.create(name="Ada", email="a@example.org", initials="A")
    archive = str(tmp_path / "now.jsonl")
    export_objects([f"moved.Keeper.{keeper.pk}"], archive)
    report = import_objects(archive, ImportOptions(database="target", upgrade=True))
    assert report.loaded_count == 1
    assert ALIAS not in connections


def edited(archive: str, change: Callable[[dict[str, Any]], None]) -> str:
    lines = Path(archive).read_text().splitlines(keepends=True)
    manifest = json.loads(lines[0])
    change(manifest)
    other = Path(archive).with_name("edited.jsonl")
    other.write_text(json.dumps(manifest) + "\n" + "".join(lines[1:]))
    return str(other)


def test_refusals_say_what_is_missing(
    then: tuple[str, dict[str, list[dict[str, Any]]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, _ = then

    def at(name: str) -> Callable[[dict[str, Any]], None]:
        def change(manifest: dict[str, Any]) -> None:
            for entry in manifest["tables"].values():
                entry["migration"] = name

        return change

    def of_app(manifest: dict[str, Any]) -> None:
        tables = manifest["tables"]
        tables["gone.thing"] = {**tables["moved.keeper"], "label": "gone.Thing"}

    for change, told in (
        (at("0009_future"), "has no migration moved.0009_future"),
        (of_app, "rows of gone, and this project has no migrations of it"),
    ):
        with pytest.raises(NotFound, match=told):
            import_objects(edited(archive, change), ImportOptions(upgrade=True))
    with pytest.raises(UsageError, match="nothing is upgraded"):
        import_objects(archive, ImportOptions(scratch="target"))
    with pytest.raises(UsageError, match="'target' is not empty"):
        import_objects(archive, ImportOptions(upgrade=True, scratch="target"))
    with pytest.raises(NotFound, match="No database 'nowhere'"):
        import_objects(archive, ImportOptions(upgrade=True, scratch="nowhere"))

    def broken(*words: object, **named: object) -> None:
        raise ValueError("no such extension\nline two\nline three")

    monkeypatch.setattr(scratch, "call_command", broken)
    with pytest.raises(GestoreError, match="do not run in the scratch database") as caught:
        import_objects(archive, ImportOptions(upgrade=True))
    assert "--scratch" in caught.value.hint
    assert Keeper.objects.count() == 0
    assert ALIAS not in connections


def test_upgraded_archive_is_as_anonymized_as_before(
    then: tuple[str, dict[str, list[dict[str, Any]]]],
) -> None:
    """What came since may be made of what was replaced: it counts as replaced."""
    archive, _ = then

    def anonymized(manifest: dict[str, Any]) -> None:
        manifest["tables"]["moved.keeper"]["columns"]["name"]["anonymized"] = True

    other = edited(archive, anonymized)
    (said,) = [
        finding
        for finding in import_objects(other, ImportOptions(upgrade=True, dry_run=True)).findings
        if finding.code == "anonymized"
    ]
    assert {"moved.Keeper.name", "moved.Keeper.initials", "moved.Address.street"} <= set(
        said.message.rstrip(".").rpartition(" of ")[2].split(", ")
    )
    assert "moved.Keeper.id" not in said.message


def test_command_upgrades(then: tuple[str, dict[str, list[dict[str, Any]]]]) -> None:
    archive, lived = then
    call_command("importobjects", archive, "--upgrade", "--dry-run", stdout=io.StringIO())
    assert Keeper.objects.count() == 0
    with pytest.raises(CommandError, match="'target' is not empty"):
        call_command("importobjects", archive, "--upgrade", "--scratch", "target")
    call_command("importobjects", archive, "--upgrade", stdout=io.StringIO())
    assert rows_of("default") == lived
