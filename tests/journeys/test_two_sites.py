"""Does a customer arrive whole at a site whose keys are nearly all taken, where its people have
accounts already?

Site A is `default`, site B is `target`: other rows under the same keys, and other numbers for
content types and permissions. Everything is typed: the commands are the real ones.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connections, models, transaction
from django.db.models import F, Max, Value
from django.test import override_settings

from tests.journeys import archives
from tests.journeys.key_maps import KeyMap, joined, stored, text, translated
from tests.management.typing_in import Seen, typed
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.emptying import empty
from tests.zoo.inserting import Inserter, Placed, inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)

# What Django does not know to be pointers.
RELATIONS = [
    ("zoo.SoftReference.user_id", "auth.User"),
    ("zoo.PseudoGeneric.content_type", "zoo.PseudoGeneric.object_id"),
]
# The same on both sites, under keys of their own: known by a unique value.
CATALOGUES = ("auth.Group", "zoo.Tag", "zoo.Species", "zoo.Continent")
STRATEGIES = ("--on-conflict", "remap", "--on-conflict", "auth.User=keep")

# keeper-1 has an account under the same key at B, anna under another one, of boris not a value
# differs, clara has none there. Dora and the stranger are B's own people.
KEEPER, ANNA, BORIS, CLARA = rows.FIRST_USER + 1, 7_101, 7_102, 7_103
ANNA_AT_B, DORA, STRANGER = 7_205, 7_203, 7_901
AT_A = {KEEPER: "keeper-1", ANNA: "anna", BORIS: "boris", CLARA: "clara"}
# The night shift is unknown at B, where its key is another group's.
GROUPS_AT_A = {1: "keepers", 2: "vets", 3: "night shift"}
GROUPS_AT_B = {1: "office", 2: "keepers", 3: "vets"}
# Boris is a vet at B too, and the row that says so has the same key; anna's has another one.
MEMBERS_AT_A = [(KEEPER, 1), (KEEPER, 3), (ANNA, 2), (BORIS, 2), (CLARA, 1)]
MEMBERS_AT_B = [
    (DORA, 1),
    (DORA, 2),
    (DORA, 3),
    (BORIS, 3),
    (STRANGER, 1),
    (STRANGER, 2),
    (ANNA_AT_B, 3),
]
ALLOWED_AT_A = [
    (KEEPER, "change_animal"),
    (KEEPER, "add_user"),
    (ANNA, "view_menagerie"),
    (CLARA, "delete_group"),
]
ALLOWED_AT_B = [
    (DORA, "add_tag"),
    (DORA, "add_user"),
    (STRANGER, "view_tag"),
    (STRANGER, "add_tag"),
]
RIGHTS_AT_A = {
    "keeper-1": {"keepers", "night shift", "zoo.animal.change_animal", "auth.user.add_user"},
    "anna": {"vets", "zoo.menagerie.view_menagerie"},
    "boris": {"vets"},
    "clara": {"keepers", "auth.group.delete_group"},
}


@pytest.fixture(autouse=True)
def _declared() -> Iterator[None]:
    with override_settings(GESTORE={"RELATIONS": RELATIONS}):
        yield


@pytest.fixture
def other_numbers() -> Iterator[None]:
    """Site B counts its content types and permissions from the other end: every number is another
    one's, so that a number that was carried over would be believed."""
    _mirror("target")
    try:
        yield
    finally:
        empty("target")
        _mirror("target")


def _mirror(using: str) -> None:
    """Once more, and all is as it was."""
    types, permissions = ContentType.objects.using(using), Permission.objects.using(using)
    top, top_permission = (found.aggregate(top=Max("pk"))["top"] for found in (types, permissions))
    unchecked = connections[using].constraint_checks_disabled()
    with unchecked, transaction.atomic(using):
        permissions.update(content_type_id=Value(top + 1) - F("content_type_id"))
        for found, highest in ((types, top), (permissions, top_permission)):
            # Below zero first, where nobody is in the way.
            found.update(id=-F("id"))
            found.update(id=Value(highest + 1) + F("id"))
    ContentType.objects.clear_cache()


# The two sites --------------------------------------------------------------------------------


def _site_a() -> Placed:
    """Two customers, of whom the first will travel."""
    home = rows.populate("default", menageries=2, chain=8).root
    with inserting("default") as inserter:
        for key in (ANNA, BORIS, CLARA):
            _account(inserter, key, AT_A[key], "A")
            inserter.put(zoo.StaffMember, menagerie=home, name=AT_A[key], user=key)
        _rights(inserter, GROUPS_AT_A, MEMBERS_AT_A, ALLOWED_AT_A)
        kind = inserter.content_type(User)
        inserter.put(zoo.Ribbon, menagerie=home, kind=kind, number=ANNA)
        inserter.put(zoo.SoftReference, menagerie=home, user_id=ANNA)
        inserter.put(zoo.NoteByInteger, text="on anna", content_type=kind, object_id=ANNA)
        inserter.put(zoo.NoteByChar, text="on clara", content_type=kind, object_id=str(CLARA))
    return home


def _site_b(*, busy: bool) -> None:
    """Two others under the same keys, and more people. When the accounts of A's people are busy,
    they work for B's first customer too; else there is nothing of theirs at B."""
    home = rows.populate("target", menageries=2, chain=12, site=1).root
    with inserting("target") as inserter:
        _account(inserter, STRANGER, "stranger", "B")
        _account(inserter, DORA, "dora", "B")
        _account(inserter, ANNA_AT_B, "anna", "B")
        _account(inserter, BORIS, "boris", "A")
        _rights(inserter, GROUPS_AT_B, MEMBERS_AT_B, ALLOWED_AT_B)
        if busy:
            inserter.put(zoo.StaffMember, menagerie=home, name="anna", user=ANNA_AT_B)
            inserter.put(User.groups.through, user=ANNA_AT_B, group=1)
        _take_keys(inserter, home)
    _hand_over(busy=busy)


def _take_keys(inserter: Inserter, home: Placed) -> None:
    """Rows under the keys of what A's people have beyond a menagerie's usual rows."""
    for number in range(10):
        inserter.put(zoo.StaffMember, menagerie=home, name=f"member {number}", user=DORA)
        inserter.put(zoo.NoteByInteger, text=f"note {number}", object_id=None)
        inserter.put(zoo.NoteByChar, text=f"note {number}", object_id=None)
        inserter.put(zoo.Ribbon, menagerie=home)
        inserter.put(zoo.SoftReference, menagerie=home)


def _hand_over(*, busy: bool) -> None:
    """The account that `populate` gave to somebody else is keeper-1's at B too."""
    if not busy:
        for model in (zoo.StaffMember, zoo.SoftReference):
            model.objects.using("target").filter(user_id=KEEPER).update(user_id=STRANGER)
    User.objects.using("target").filter(pk=KEEPER).update(
        username="keeper-1", email="keeper-1@B.example.org", password="B's own"
    )


def _account(inserter: Inserter, key: int, username: str, site: str) -> None:
    inserter.put(
        User,
        id=key,
        username=username,
        password=f"{site}'s own",
        email=f"{username}@{site}.example.org",
        date_joined=datetime(2011, 1, 1, 1, 1, 1, 111_111, UTC),
    )


def _rights(
    inserter: Inserter,
    groups: dict[int, str],
    members: list[tuple[int, int]],
    allowed: list[tuple[int, str]],
) -> None:
    for key, name in groups.items():
        inserter.put(Group, id=key, name=name)
        permission = _permission(inserter.using, "view_tag")
        inserter.put(Group.permissions.through, group=key, permission=permission)
    for user, group in members:
        inserter.put(User.groups.through, user=user, group=group)
    for user, codename in allowed:
        permission = _permission(inserter.using, codename)
        inserter.put(User.user_permissions.through, user=user, permission=permission)


def _permission(using: str, codename: str) -> int:
    found = Permission.objects.using(using).filter(content_type__app_label__in=("auth", "zoo"))
    return int(found.get(codename=codename).pk)


# What is there ----------------------------------------------------------------------------------


def _dump(using: str) -> compare.Dump:
    """The zoo and its people, content types and permissions by name."""
    pairs = (User.groups.through, User.user_permissions.through, Group.permissions.through)
    return compare.dump(using, [*compare.zoo_models(using), User, Group, *pairs])


def _bytes(using: str) -> dict[str, Counter[str]]:
    """Every row of every table, as the database itself has it, but for Gestore's own record."""
    connection = connections[using]
    own = {model._meta.db_table for model in apps.get_app_config("gestore").get_models()}
    whole = "t::text" if connection.vendor == "postgresql" else "t.*"
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table not in own:
                cursor.execute(f"SELECT {whole} FROM {connection.ops.quote_name(table)} t")
                found[table] = Counter(map(repr, cursor.fetchall()))
    return found


def _rights_of(using: str) -> dict[str, set[str]]:
    """Groups and permissions of everybody's own, by name."""
    found: dict[str, set[str]] = {}
    for user in User.objects.using(using).filter(username__in=AT_A.values()):
        permissions = user.user_permissions.values_list(
            "content_type__app_label", "content_type__model", "codename"
        )
        found[user.username] = set(user.groups.values_list("name", flat=True))
        found[user.username] |= {".".join(names) for names in permissions}
    return found


def _read(archive: str) -> compare.Dump:
    """An archive as such a dump, read with json alone: content types and permissions by name, and
    of each row whether it is shared."""
    document = archives.document(archive)
    external = {(e["model"], e["pk"]): _name(e["natural_key"]) for e in document["external"]}
    found: compare.Dump = {}
    for row in document["objects"]:
        model = apps.get_model(row["model"])
        parts = row["pk"] if isinstance(row["pk"], list) else [row["pk"]]
        names = [column.attname for column in model._meta.pk_fields]
        values = dict(zip(names, map(stored, parts), strict=True))
        for name, value in row["fields"].items():
            column = model._meta.get_field(name)
            values[column.attname] = _value(column, value, external)
        values |= {name: row.get(name) for name in ("shared", "dangling")}
        found.setdefault(model._meta.label, {})[text(stored(row["pk"]))] = tuple(values.items())
    return found


def _name(natural_key: list[Any]) -> str:
    return ".".join(_name(part) if isinstance(part, list) else part for part in natural_key)


def _value(column: models.Field, value: Any, external: dict[tuple[str, Any], str]) -> Any:
    if column.remote_field is not None and value is not None:
        target = column.remote_field.model._meta.label_lower
        return external.get((target, value), stored(value))
    # As text, because Python finds 1, 1.0 and true equal.
    return value if value is None or type(value) in (int, str) else json.dumps(value)


# The journey --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arrival:
    """What site B was before, the archive, and what the import told."""

    before: compare.Dump
    bytes_before: dict[str, Counter[str]]
    archive: str
    keymap: KeyMap
    loaded: dict[str, int]


def _exported(reference: str, archive: Path, using: str, words: list[str]) -> str:
    seen = typed("exportobjects", reference, "-o", str(archive), "--database", using, *words)
    assert seen.code == 0, seen.err
    return str(archive)


def _imported(archive: str, *words: str) -> Seen:
    return typed("importobjects", archive, "--database", "target", *words)


def _arrival(archive: str) -> Arrival:
    before, bytes_before = _dump("target"), _bytes("target")
    # Without strategies nothing; new keys alone do not free a username.
    for words in ((), ("--on-conflict", "remap")):
        assert _imported(archive, *words).code == 3
        assert _bytes("target") == bytes_before
    keys, report = f"{archive}.keys", f"{archive}.report"
    seen = _imported(archive, *STRATEGIES, "--keymap", keys, "--report", report, "--verify")
    assert seen.code == 0, seen.err
    loaded = json.loads(Path(report).read_text())["loaded"]
    return Arrival(before, bytes_before, archive, KeyMap.read(keys), loaded)


@pytest.mark.usefixtures("other_numbers")
@pytest.mark.parametrize("owned", [True, False], ids=["users come along", "users are pointed at"])
def test_customer_arrives_where_nearly_all_keys_are_taken(owned: bool, tmp_path: Path) -> None:
    home = _site_a()
    # An owned user takes along all that is his: at B that must be what the customer brought.
    _site_b(busy=not owned)
    words = [word for label in CATALOGUES for word in ("--share", label)]
    words += ["--own", "auth.User"] if owned else []
    left = _bytes("default")
    rights = _rights_of("target")
    arrival = _arrival(_exported(home.reference, tmp_path / "a.jsonl", "default", words))

    _check_that_keys_were_taken(arrival)
    _check_people(arrival.keymap)
    _check_rows(arrival)
    _check_bystanders(arrival)
    # Who only is pointed at brings nothing along, and loses nothing.
    brought = RIGHTS_AT_A if owned else rights | {"clara": set()}
    assert _rights_of("target") == brought
    assert _bytes("default") == left

    (key,) = arrival.keymap.of(zoo.Menagerie, (home.key,))
    assert key != home.key
    again = _exported(f"zoo.Menagerie.{key}", tmp_path / "b.jsonl", "target", words)
    assert compare.difference(_expected_again(arrival), _only_names(_read(again))) == []
    # And not a second time.
    after = _bytes("target")
    seen = _imported(arrival.archive, *STRATEGIES)
    assert seen.code == 0, seen.err
    assert _bytes("target") == after


def _check_that_keys_were_taken(arrival: Arrival) -> None:
    archived = _read(arrival.archive)
    free = [
        f"{label}.{key}"
        for label, found in archived.items()
        for key in found
        if key not in arrival.before.get(label, {})
    ]
    assert len(free) < 0.1 * sum(map(len, archived.values())), free


def _check_people(keymap: KeyMap) -> None:
    """The account here stands for the archived one, by its key or by its name."""
    became = {
        username: (keymap.targets["auth.user", str(key)], keymap.outcomes["auth.user", str(key)])
        for key, username in AT_A.items()
    }
    assert became == {
        "keeper-1": (KEEPER, "kept"),
        "anna": (ANNA_AT_B, "kept"),
        "boris": (BORIS, "here"),
        "clara": (CLARA, "loaded"),
    }
    assert sum(model == "auth.user" for model, _ in keymap.targets) == len(AT_A)


def _check_rows(arrival: Arrival) -> None:
    """B holds its rows as they were, and the archived ones with every pointer where it belongs."""
    ours = translated(_dump("default"), arrival.keymap, RELATIONS, outcome="loaded")
    assert compare.difference(joined(arrival.before, ours), _dump("target")) == []
    counts = {label: len(found) for label, found in ours.items() if found}
    assert counts == arrival.loaded
    kept = {model for (model, _), what in arrival.keymap.outcomes.items() if what == "kept"}
    assert kept == {"auth.user"}


def _check_bystanders(arrival: Arrival) -> None:
    """Every row that was there is what it was, in every table; and there are no more than told."""
    after = _bytes("target")
    lost = {table: found - after[table] for table, found in arrival.bytes_before.items()}
    assert {table: found for table, found in lost.items() if found} == {}
    sums = {table: found.total() for table, found in arrival.bytes_before.items()}
    more = {table: found.total() - sums[table] for table, found in after.items()}
    told = {apps.get_model(label)._meta.db_table: n for label, n in arrival.loaded.items()}
    assert {table: n for table, n in more.items() if n} == told


def _expected_again(arrival: Arrival) -> compare.Dump:
    """The archive as it is to leave B: the same rows, under the keys of the key map."""
    return _only_names(translated(_read(arrival.archive), arrival.keymap, RELATIONS))


def _only_names(dump: compare.Dump) -> compare.Dump:
    """Accounts by what tells that they are one person's: the rest is each site's own."""
    people = {
        key: tuple(pair for pair in row if pair[0] in ("id", "username", "shared"))
        for key, row in dump["auth.User"].items()
    }
    return dump | {"auth.User": people}
