"""Which faults had the original, and does ours have none of them?

One test for each fault, in the order in which they were found. Each was seen in the original; each
of these tests fails on what it did.
"""

import io
import json
import socket
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command, load_command_class
from django.db import connections, models, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

import gestore
from demoapp.models import Profile as LibraryProfile
from gestore import Follow
from tests.journeys import archives
from tests.journeys.trips import count, dump, export, load
from tests.zoo import compare, receivers, rows
from tests.zoo import models as zoo
from tests.zoo.inserting import Placed, inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)


def test_fault_1_empty_pointers_do_not_end_the_export(tmp_path: Path) -> None:
    """A row with an empty foreign key crashed the export, and so did a one-to-one relation, seen
    from its other end, that no row was at."""
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        enclosure = inserter.put(zoo.Enclosure, menagerie=home, name="savannah", continent=None)
        inserter.put(zoo.Species, code="lion")
        # No passport points at this animal, and the only passport points at none.
        inserter.put(zoo.Animal, name="Elsa", enclosure=enclosure, species="lion", mother=None)
        inserter.put(zoo.Passport, menagerie=home, animal=None, number="1")
        inserter.put(zoo.Ribbon, menagerie=home, kind=None, number=None)
    archive = str(tmp_path / "home.json")
    export(home, archive, follow=Follow.CONNECTED)
    load(archive)
    assert compare.difference(dump("default"), dump("target")) == []
    assert count(dump("target")) == 6


def test_fault_2_the_closure_is_closed(tmp_path: Path) -> None:
    """It took rows that pointed at root rows it had skipped: the import failed on a foreign key."""
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        ours, theirs, others = (
            inserter.put(zoo.Team, menagerie=home, name=name)
            for name in ("ours", "theirs", "others")
        )
        match = inserter.put(zoo.Match, home=ours, away=theirs)
        inserter.put(zoo.Match, home=theirs, away=others)
    archive = str(tmp_path / "team.json")
    export(ours, archive, follow=Follow.CONNECTED, roots=["zoo.Menagerie"])
    assert archives.keys(archive) >= archives.places([ours, match, theirs])
    load(archive)
    arrived = zoo.Match.objects.using("target").get(pk=match.key)
    assert (arrived.home.name, arrived.away.name) == ("ours", "theirs")
    connections["target"].check_constraints()


@contextmanager
def without_table(using: str, model: type[models.Model]) -> Iterator[None]:
    """The table goes by another name for a while."""
    quote = connections[using].ops.quote_name
    name, elsewhere = quote(model._meta.db_table), quote(f"{model._meta.db_table}_away")

    def rename(old: str, new: str) -> None:
        with connections[using].cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    rename(name, elsewhere)
    try:
        yield
    finally:
        rename(elsewhere, name)


def test_fault_3_an_error_while_reading_ends_the_export_as_one(tmp_path: Path) -> None:
    """It dropped the relation that it could not read, and said "successfully exported"."""
    there = rows.populate("default", menageries=1, chain=1)
    archive = tmp_path / "zoo.json"
    said = io.StringIO()
    with without_table("default", zoo.Badge), pytest.raises(CommandError) as error:
        call_command(
            "exportobjects", there.root.reference, output=str(archive), stdout=said, stderr=said
        )
    assert error.value.returncode == 1
    assert "badge" in str(error.value).lower()
    assert "Exported" not in said.getvalue()
    assert list(tmp_path.iterdir()) == []
    # With its table it is exported; and so is a relation whose manager raises an error.
    call_command("exportobjects", there.root.reference, output=str(archive), stdout=said)
    found = {model for model, _ in archives.keys(str(archive))}
    assert {"zoo.badge", "zoo.scoped"} <= found


def test_fault_4_constraints_and_sequences_are_seen_to(tmp_path: Path) -> None:
    """Its check of constraints and its reset of sequences ran over an empty set of models."""
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, id=40, name="home")
        inserter.put(zoo.Team, id=41, menagerie=home, name="ours")
        loose = inserter.put(zoo.LooseLink, menagerie=home)
    archive = str(tmp_path / "home.json")
    export(home, archive)
    load(archive)
    made = zoo.Team.objects.using("target").create(menagerie_id=home.key, name="made here")
    assert made.pk > 41
    assert zoo.Menagerie.objects.using("target").create(name="made here").pk > home.key

    # Not even the database would say of this pointer that it leads nowhere.
    def mislead(found: list[archives.ArchivedRow]) -> None:
        for row in found:
            if row["model"] == "zoo.looselink":
                row["pk"], row["fields"]["animal"] = loose.key + 1, 12_345

    archives.edit(archive, mislead)
    before = dump("target")
    with pytest.raises(gestore.Refused) as refusal:
        load(archive)
    (missing,) = [f for f in refusal.value.findings if f.code == "missing"]
    assert missing.subject == f"zoo.LooseLink.{loose.key + 1}"
    assert compare.difference(before, dump("target")) == []


def test_fault_5_models_are_told_by_app_and_keys_by_name(tmp_path: Path) -> None:
    """Root models were compared by the name of their class; the key had to be called `id`; a key
    with dots in it broke the reference."""
    there = rows.populate("default", menageries=1, chain=1)
    user = there.inhabitants.user
    with inserting("default") as inserter:
        library = inserter.put(LibraryProfile, user=user, card_number="A.1")
    archive = str(tmp_path / "user.json")
    export(user, archive, roots=["zoo.Profile"])
    profiles = {place: row for row in archives.rows(archive)
                if (place := (row["model"], row["pk"]))[0].endswith(".profile")}  # fmt: skip
    assert list(profiles) == [("demoapp.profile", library.key)]
    assert "shared" not in profiles["demoapp.profile", library.key]
    for number, key in enumerate((there.inhabitants.dotted_key, there.inhabitants.uuid_key)):
        archive = str(tmp_path / f"key-{number}.json")
        export(key, archive)
        found = archives.keys(archive)
        assert (key.model._meta.label_lower, str(key.key)) in found
        assert ("zoo.menagerie", there.root.key) in found
    assert there.inhabitants.dotted_key.key.count(".") == 2
    assert not {"id", "pk"} & {f.name for f in zoo.DottedKey._meta.local_fields}


@contextmanager
def renumbered(using: str) -> Iterator[None]:
    """The content types of the zoo have other numbers for a while, as on another site."""

    def move(by: int) -> None:
        connection = connections[using]
        types = ContentType.objects.using(using).filter(app_label="zoo")
        keys = list(types.values_list("pk", flat=True))
        with connection.constraint_checks_disabled(), transaction.atomic(using):
            permissions = Permission.objects.using(using).filter(content_type__in=keys)
            permissions.update(content_type_id=F("content_type_id") + by)
            types.update(id=F("id") + by)
        ContentType.objects.clear_cache()

    move(50_000)
    try:
        yield
    finally:
        for model in (zoo.ProxyNote, zoo.NoteByInteger, zoo.NoteByChar, zoo.NoteByText,
                      zoo.NoteByUuid, zoo.NoteOnce, zoo.Ribbon, zoo.PseudoGeneric, zoo.DanglingNote,
                      zoo.ExternalPointers.permissions.through, zoo.ExternalPointers):  # fmt: skip
            model.objects.using(using).all().delete()
        move(-50_000)


def test_fault_6_generic_keys_mean_the_same_on_another_site(tmp_path: Path) -> None:
    """Generic keys went into the JSON as objects, which it cannot hold, and content types as
    numbers, which are others on every database."""
    there = rows.populate("default", menageries=1, chain=1)
    archive = str(tmp_path / "zoo.json")
    export(there.root, archive)
    json.loads(Path(archive).read_text())
    with renumbered("target"):
        load(archive)
        # The dumps show content types and permissions by name.
        assert compare.difference(dump("default"), dump("target")) == []
        note = there.inhabitants.note.key
        here, away = (zoo.NoteByInteger.objects.using(using).get(pk=note)
                      for using in ("default", "target"))  # fmt: skip
        assert here.content_type_id < 50_000 < away.content_type_id
        assert load(archive).loaded_count == 0


def _queries_of_export(customer: Placed, archive: str) -> int:
    with CaptureQueriesContext(connections["default"]) as captured:
        export(customer, archive)
    return len(captured)


def test_fault_7_neither_queries_nor_memory_grow_with_rows(tmp_path: Path) -> None:
    """It sent one query for every relation of every row, and held the graph and the document."""
    few, many = rows.bulk("default", 50), rows.bulk("default", 500)
    counts = [_queries_of_export(customer, str(tmp_path / f"{n}.jsonl"))
              for n, customer in enumerate((few, many))]  # fmt: skip
    # Four tables; the second batch of rows of each comes after the first hundred.
    assert counts[1] <= counts[0] + 4
    with inserting("default") as inserter:
        library = inserter.put(zoo.Menagerie, name="a library")
        wide = ({"menagerie": library, "long": f"{n} " * 50_000} for n in range(300))
        inserter.put_many(zoo.Texts, wide, at_once=5)
    archive = tmp_path / "wide.jsonl"
    tracemalloc.start()
    try:
        export(library, str(archive))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert archive.stat().st_size > 50_000_000
    # A hundred rows at first, then as many as two megabytes hold.
    assert peak_bytes < 35_000_000


def test_fault_8_conflicts_are_found_first_and_no_signal_is_sent(tmp_path: Path) -> None:
    """It saved first, asked for conflicts a row at a time, and woke the project's receivers: the
    demo's makes a profile for each user that collides with the archived one."""
    with inserting("default") as inserter:
        user = inserter.put(User, id=70, username="reader", password="!")
        inserter.put(LibraryProfile, user=user, card_number="of the archive")
    archive = str(tmp_path / "reader.json")
    export(user, archive)
    load(archive)
    chosen = [User, LibraryProfile]
    assert compare.difference(compare.dump("default", chosen), compare.dump("target", chosen)) == []
    assert len(compare.dump("target", chosen)["demoapp.Profile"]) == 1
    # The receiver is awake: without us it makes one.
    User.objects.db_manager("target").create_user("made here")
    assert LibraryProfile.objects.using("target").count() == 2

    customer = rows.bulk("default", 300)
    archive = str(tmp_path / "bulk.json")
    export(customer, archive)
    load(archive)
    zoo.Order.objects.using("target").update(placed=F("placed") + timedelta(days=1))
    before = dump("target")
    with (
        CaptureQueriesContext(connections["target"]) as captured,
        receivers.connected(),
        pytest.raises(gestore.Refused) as refusal,
    ):
        load(archive)
    conflicts = [f.subject for f in refusal.value.findings if f.code == "key-conflict"]
    orders = zoo.Order.objects.values_list("pk", flat=True)
    assert sorted(conflicts) == sorted(f"zoo.Order.{key}" for key in orders)
    assert len(conflicts) == 60
    words = {query["sql"].split()[0].upper() for query in captured}
    assert not words & {"INSERT", "UPDATE", "COPY"}
    assert len(captured) < 60
    assert compare.difference(before, dump("target")) == []


def test_fault_9_mistakes_are_answered_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown model ended in a traceback, the host was looked up even for --help, and -o was
    the output here and "overwrite my rows" there."""
    with pytest.raises(CommandError, match=r"^No model 'zoo\.Unicorn' in this project\.") as error:
        call_command("exportobjects", "zoo.Unicorn.1", output=str(tmp_path / "x.json"))
    assert error.value.returncode == 1

    def no_network(*args: object) -> str:
        raise AssertionError("The host was looked up.")

    for name in ("gethostname", "gethostbyname", "getfqdn"):
        monkeypatch.setattr(socket, name, no_network)
    outputs = {}
    for name in ("exportobjects", "importobjects", "planobjects", "verifyobjects"):
        parser = load_command_class("gestore", name).create_parser("manage.py", name)
        assert "usage: manage.py" in parser.format_help()
        actions = {option: a.dest for a in parser._actions for option in a.option_strings}
        outputs[name] = actions.get("-o")
    # Import has kept the original's word, and it takes no file and does nothing by surprise.
    assert outputs == {
        "exportobjects": "output",
        "importobjects": "override",
        "planobjects": None,
        "verifyobjects": None,
    }
    with pytest.raises(CommandError, match=r"x\.json cannot be read"):
        call_command("importobjects", "-o", str(tmp_path / "x.json"), database="target")
    assert list(tmp_path.iterdir()) == []


def test_fault_10_the_journeys_would_see_a_difference(tmp_path: Path) -> None:
    """Its tests made no round trip, and four of its asserts could not fail. Ours compare dumps:
    whoever changes one value, one row or one pair is seen."""
    there = rows.populate("default", menageries=1, chain=1)
    archive = str(tmp_path / "zoo.json")
    export(there.root, archive)
    load(archive)
    assert compare.difference(dump("default"), dump("target")) == []
    stamped = zoo.SelfStamped.objects.using("target").get()
    later = stamped.created + timedelta(microseconds=1)
    zoo.SelfStamped.objects.using("target").update(created=later)
    pair = zoo.Animal.tags.through.objects.using("target").get()
    pair.delete()
    zoo.Tag.objects.using("target").create(id=99, label="one too many")
    lines = compare.difference(dump("default"), dump("target"))
    assert [line.partition(":")[0] for line in lines] == [
        f"zoo.Animal_tags {pair.pk or 1}",
        f"zoo.SelfStamped {stamped.pk} created",
        "zoo.Tag 99",
    ]


@pytest.mark.parametrize("objects", ["customer", "order"])
def test_fault_11_nothing_leaks_through_a_shared_row(objects: str, tmp_path: Path) -> None:
    """One shared row, a tag or a language, led to the rows of every other customer."""
    shop = rows.customers("default", count=4, orders=1, lines=1)
    own = shop.customer
    if objects == "order":
        key = zoo.Order.objects.get(customer=own.key).pk
        root = Placed(zoo.Order, key)
    else:
        root = own
    archive = str(tmp_path / "leak.json")
    export(root, archive)
    found = archives.rows(archive)
    assert {row["pk"] for row in found if row["model"] == "zoo.customer"} == {own.key}
    owners = {row["fields"]["customer"] for row in found if "customer" in row["fields"]}
    assert owners == {own.key}
    assert {row["pk"] for row in found if row["model"] == "zoo.tag"} == {shop.tags[0].key}
    load(archive)
    assert zoo.Order.objects.using("target").count() == 1
