"""Is a table's key, what is unique in it, and what identifies its rows known?"""

from __future__ import annotations

from datetime import date
from uuid import UUID

import pytest
from django.db import models
from django.test.utils import isolate_apps

from gestore.schema.graph import Graph
from gestore.schema.introspect import build_graph
from gestore.schema.table import UniqueSet


@pytest.fixture(scope="module")
def graph() -> Graph:
    return build_graph()


@pytest.mark.parametrize(
    ("label", "key", "is_auto"),
    [
        ("zoo.Animal", ("id",), True),
        ("zoo.NamedKey", ("number",), True),
        ("zoo.SmallKey", ("id",), True),
        ("zoo.Tram", ("tram_number",), True),
        ("zoo.FalsyKey", ("number",), False),
        ("zoo.UuidKey", ("key",), False),
        ("zoo.Car", ("vehicle_ptr",), False),
        ("zoo.Duck", ("swimmer_ptr",), False),
        ("zoo.OneToOneKey", ("named",), False),
        ("zoo.Cage", ("menagerie", "number"), False),
        ("zoo.Residency", ("animal", "enclosure"), False),
    ],
)
def test_key(graph: Graph, label: str, key: tuple[str, ...], is_auto: bool) -> None:
    table = graph.table(label)
    assert table.key_names == key
    assert [column.name for column in table.key_columns] == list(key)
    assert table.is_auto_key is is_auto
    assert set(key).isdisjoint(column.name for column in table.value_columns)
    assert len(table.value_columns) + len(key) == len(table.columns)


@pytest.mark.parametrize(
    ("label", "sets"),
    [
        ("zoo.Animal", []),
        ("zoo.Menagerie", [UniqueSet("name", ("name",))]),
        ("zoo.Passport", [UniqueSet("animal", ("animal",)), UniqueSet("number", ("number",))]),
        ("zoo.Animal_tags", [UniqueSet("animal, tag", ("animal", "tag"))]),
        (
            "zoo.UniqueTogether",
            [
                UniqueSet("menagerie, row, seat", ("menagerie", "row", "seat")),
                UniqueSet("zoo_unique_guest_evening", ("guest", "evening")),
            ],
        ),
        (
            "zoo.UniqueWhenActive",
            [UniqueSet("zoo_unique_when_active", ("name",), is_partial=True)],
        ),
        (
            "zoo.UniqueIgnoringCase",
            [UniqueSet("zoo_unique_ignoring_case", (), is_partial=True)],
        ),
        ("zoo.UniqueWithNulls", [UniqueSet("zoo_unique_with_nulls", ("name", "floor"))]),
        (
            "zoo.UniqueWithoutNulls",
            [UniqueSet("zoo_unique_without_nulls", ("name", "floor"), nulls_distinct=False)],
        ),
        # A key is unique, and no unique set of its own.
        ("zoo.OneToOneKey", []),
        ("zoo.Boat", []),
        ("zoo.Tram", [UniqueSet("vehicle_ptr", ("vehicle_ptr",))]),
        ("zoo.Duck", [UniqueSet("flyer_ptr", ("flyer_ptr",))]),
    ],
)
def test_unique_sets(graph: Graph, label: str, sets: list[UniqueSet]) -> None:
    assert list(map(_told, graph.table(label).unique_sets)) == list(map(_told, sets))


def _told(unique: UniqueSet) -> tuple[str, tuple[str, ...], bool, bool]:
    return unique.name, unique.columns, unique.is_partial, unique.nulls_distinct


@pytest.mark.parametrize(
    ("label", "identity"),
    [
        ("contenttypes.ContentType", ("app_label", "model")),
        ("auth.Permission", ("content_type", "codename")),
        ("auth.User", ("username",)),
        ("sites.Site", ("domain",)),
        ("zoo.Continent", ("code",)),
        ("zoo.Tag", ("label",)),
        # Not `animal`, which may be empty; not the partial ones.
        ("zoo.Passport", ("number",)),
        ("zoo.UniqueWhenActive", ()),
        ("zoo.UniqueWithNulls", ()),
        ("zoo.Animal", ()),
    ],
)
def test_identity_is_a_whole_unique_set(
    graph: Graph, label: str, identity: tuple[str, ...]
) -> None:
    assert graph.table(label).identity == identity


def test_identity_is_what_the_natural_key_is_made_of() -> None:
    with isolate_apps("tests.zoo") as registry:

        class ByName(models.Manager):
            def get_by_natural_key(self, name: str) -> models.Model:
                raise AssertionError("Nobody asks for a row.")

        class Person(models.Model):
            number = models.IntegerField(unique=True)
            name = models.CharField(max_length=9, unique=True)
            objects = ByName()

            class Meta:
                app_label = "zoo"

        graph = build_graph(registry=registry)
    assert graph.table("zoo.Person").identity == ("name",)


def test_unique_sets_of_a_parent_are_the_parents() -> None:
    with isolate_apps("tests.zoo") as registry:

        class Upper(models.Model):
            code = models.CharField(max_length=9, unique=True)
            part = models.IntegerField()

            class Meta:
                app_label = "zoo"
                unique_together = [("code", "part")]

        class Lower(Upper):
            own = models.IntegerField(unique=True)

            class Meta:
                app_label = "zoo"

        graph = build_graph(registry=registry)
    assert [s.columns for s in graph.table("zoo.Upper").unique_sets] == [
        ("code",),
        ("code", "part"),
    ]
    assert [s.columns for s in graph.table("zoo.Lower").unique_sets] == [("own",)]
    assert graph.table("zoo.Lower").parents == ("zoo.upper",)


@pytest.mark.parametrize(
    ("label", "raw", "key"),
    [
        ("zoo.Animal", 7, 7),
        ("zoo.Animal", "7", 7),
        ("zoo.Animal", "seven", None),
        ("zoo.Animal", "", None),
        ("zoo.Animal", UUID(int=7), None),
        ("zoo.UuidKey", UUID(int=7), UUID(int=7)),
        ("zoo.UuidKey", str(UUID(int=7)), UUID(int=7)),
        ("zoo.UuidKey", UUID(int=7).hex, UUID(int=7)),
        ("zoo.UuidKey", "no", None),
        ("zoo.CharKey", "ABC", "ABC"),
        ("zoo.CharKey", 7, "7"),
        ("zoo.DateKey", "2000-02-29", date(2000, 2, 29)),
        ("zoo.DateKey", "2001-02-29", None),
        ("zoo.Cage", "1,2", None),
        ("zoo.Car", "5", 5),
    ],
)
def test_generic_key_as_a_key_of_the_table(
    graph: Graph, label: str, raw: object, key: object
) -> None:
    assert graph.table(label).key_from(raw) == key


def test_names(graph: Graph) -> None:
    table = graph.table("zoo.NoteByChar")
    assert (table.label, table.name, table.app_label) == ("zoo.NoteByChar", "zoo.notebychar", "zoo")
    assert table == build_graph().table("zoo.NoteByChar")
    assert hash(table) == hash(build_graph().table("zoo.NoteByChar"))
    assert table != graph.table("zoo.NoteByText")
