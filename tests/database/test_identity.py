"""Is a row known in another database by what it is known by in this one?"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connections

from gestore.archive.values import TimeZones
from gestore.database.identity import keys_by_natural, natural_keys, natural_text
from gestore.database.select import Reader
from gestore.rows import JsonValue, Key
from gestore.schema.introspect import build_graph
from tests.zoo import models as zoo
from tests.zoo.inserting import inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"])

ROME = ZoneInfo("Europe/Rome")
ZONES = TimeZones(True, True, ROME, ROME)


def reader(alias: str) -> Reader:
    return Reader(connections[alias], build_graph(database=alias))


def naturals(alias: str, label: str, keys: list[Key]) -> dict[Key, JsonValue]:
    source = reader(alias)
    return natural_keys(source, source.graph.table(label), keys)


def found(alias: str, label: str, wanted: list[JsonValue]) -> dict[str, Key]:
    target = reader(alias)
    return keys_by_natural(target, target.graph.table(label), wanted, ZONES)


def test_content_types_and_permissions_are_known_by_name() -> None:
    kind = ContentType.objects.get(app_label="zoo", model="animal")
    permission = Permission.objects.get(codename="add_user")
    assert naturals("default", "contenttypes.ContentType", [kind.pk]) == {
        kind.pk: ["zoo", "animal"]
    }
    assert naturals("default", "auth.Permission", [permission.pk]) == {
        permission.pk: [["auth", "user"], "add_user"]
    }


@pytest.mark.parametrize("label", ["contenttypes.ContentType", "auth.Permission"])
def test_every_row_is_found_again_in_another_database(label: str) -> None:
    model = build_graph().table(label).model
    keys = list(model._default_manager.using("default").values_list("pk", flat=True))
    names = naturals("default", label, keys)
    assert len(names) == len(keys)
    there = found("target", label, list(names.values()))
    back = naturals("target", label, list(there.values()))
    assert {natural_text(name) for name in names.values()} == set(there)
    assert {natural_text(name) for name in back.values()} == set(there)


def test_what_is_not_there_is_not_found() -> None:
    absent: list[JsonValue] = [["zoo", "gone"], ["zoo"], [], ["a", "b", "c"]]
    assert found("target", "contenttypes.ContentType", absent) == {}
    nested: list[JsonValue] = [[["zoo", "gone"], "add_gone"], [["auth", "user"], "fly_user"]]
    assert found("target", "auth.Permission", nested) == {}
    assert found("target", "contenttypes.ContentType", []) == {}


def test_row_without_an_identity_is_known_by_its_key_alone() -> None:
    assert naturals("default", "zoo.Animal", [7, 8]) == {7: None, 8: None}


def test_identity_may_be_a_pair_and_odd_text() -> None:
    with inserting("default") as inserter:
        for number, code in enumerate(("it", "I'T", 'a"b', "🦁"), start=1):
            inserter.put(zoo.Species, id=number, code=code)
    names = naturals("default", "zoo.Species", [1, 2, 3, 4])
    assert names == {1: ["it"], 2: ["I'T"], 3: ['a"b'], 4: ["🦁"]}
    again = found("default", "zoo.Species", list(names.values()))
    assert again == {natural_text(name): key for key, name in names.items()}
