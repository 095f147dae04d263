"""Is every column found, with the kind that carries its values?"""

from __future__ import annotations

import enum
from typing import Any

import pytest
from django.contrib.postgres import fields as postgres
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from gestore.schema.graph import Graph
from gestore.schema.introspect import build_graph, kind_of, leaf_field
from gestore.schema.table import Column, Kind
from tests.zoo import fields as zoo_fields


@pytest.fixture(scope="module")
def graph() -> Graph:
    return build_graph()


class PlainText(models.CharField):
    """Another name, another look in forms: its values are text as ever."""

    description = "A plain text"

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**kwargs)


class Shout(models.CharField):
    def to_python(self, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value


class WithItsOwnType(models.TextField):
    def db_type(self, connection: Any) -> str:
        return "citext"


class PlainJson(models.JSONField):
    """`json` or `jsonb`: read and written as text, there is no difference."""

    def db_type(self, connection: Any) -> str:
        return "json"


class OddJson(models.JSONField):
    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return [super().from_db_value(value, expression, connection)]


class Point(models.Field):
    """A field from nothing, as GeoDjango's."""

    def db_type(self, connection: Any) -> str:
        return "point"


class Colour(models.IntegerField):
    """A value object over a number."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else Hue(value)


class Hue(enum.Enum):
    RED = 1


FIELDS: list[tuple[models.Field[Any, Any], Kind]] = [
    (models.AutoField(primary_key=True), Kind.INTEGER),
    (models.BigAutoField(primary_key=True), Kind.INTEGER),
    (models.SmallAutoField(primary_key=True), Kind.INTEGER),
    (models.IntegerField(), Kind.INTEGER),
    (models.BigIntegerField(), Kind.INTEGER),
    (models.SmallIntegerField(), Kind.INTEGER),
    (models.PositiveIntegerField(), Kind.INTEGER),
    (models.PositiveBigIntegerField(), Kind.INTEGER),
    (models.PositiveSmallIntegerField(), Kind.INTEGER),
    (models.CharField(max_length=5), Kind.TEXT),
    (models.TextField(), Kind.TEXT),
    (models.SlugField(), Kind.TEXT),
    (models.EmailField(), Kind.TEXT),
    (models.URLField(), Kind.TEXT),
    (models.FileField(), Kind.TEXT),
    (models.ImageField(), Kind.TEXT),
    (models.FilePathField(), Kind.TEXT),
    (models.GenericIPAddressField(), Kind.TEXT),
    (models.BooleanField(), Kind.BOOLEAN),
    (models.FloatField(), Kind.FLOAT),
    (models.DecimalField(max_digits=5, decimal_places=2), Kind.DECIMAL),
    (models.DateTimeField(), Kind.DATETIME),
    (models.DateField(), Kind.DATE),
    (models.TimeField(), Kind.TIME),
    (models.DurationField(), Kind.DURATION),
    (models.UUIDField(), Kind.UUID),
    (models.BinaryField(), Kind.BINARY),
    (models.JSONField(), Kind.JSON),
    (postgres.ArrayField(models.IntegerField()), Kind.ARRAY),
    (postgres.ArrayField(postgres.ArrayField(models.UUIDField())), Kind.ARRAY),
    (postgres.ArrayField(models.JSONField()), Kind.CUSTOM),
    (postgres.ArrayField(Colour()), Kind.CUSTOM),
    (postgres.HStoreField(), Kind.HSTORE),
    (postgres.IntegerRangeField(), Kind.RANGE),
    (postgres.BigIntegerRangeField(), Kind.RANGE),
    (postgres.DecimalRangeField(), Kind.RANGE),
    (postgres.DateTimeRangeField(), Kind.RANGE),
    (postgres.DateRangeField(), Kind.RANGE),
    (SearchVectorField(), Kind.TEXT),
    # Custom ones: only a changed conversion makes them so.
    (PlainText(max_length=5), Kind.TEXT),
    (PlainJson(), Kind.JSON),
    (zoo_fields.PictureField(), Kind.TEXT),
    (Shout(max_length=5), Kind.CUSTOM),
    (WithItsOwnType(), Kind.CUSTOM),
    (OddJson(), Kind.CUSTOM),
    (Colour(), Kind.CUSTOM),
    (Point(), Kind.CUSTOM),
    (zoo_fields.MoneyField(max_length=40), Kind.CUSTOM),
    (zoo_fields.EncryptedTextField(), Kind.CUSTOM),
    (zoo_fields.TicketNumberField(), Kind.CUSTOM),
    (zoo_fields.SealedField(max_length=40), Kind.CUSTOM),
]


@pytest.mark.parametrize(("field", "kind"), FIELDS, ids=lambda v: type(v).__name__)
def test_kind_of_a_field(field: models.Field[Any, Any], kind: Kind) -> None:
    assert kind_of(field) is kind


def test_every_kind_and_every_field_of_django_is_among_them() -> None:
    assert {kind for _, kind in FIELDS} == set(Kind)
    named = {type(field) for field, _ in FIELDS}
    of_django = {
        value
        for name in models.__all__
        if isinstance(value := getattr(models, name), type)
        and issubclass(value, models.Field)
        and not issubclass(value, models.ForeignObject | models.ManyToManyField)
    }
    # Never a column of its own, or derived.
    left_out = {
        models.Field,
        models.GeneratedField,
        models.CompositePrimaryKey,
        models.OrderWrt,
    }
    outdated = {models.CommaSeparatedIntegerField, models.IPAddressField, models.NullBooleanField}
    assert of_django - left_out - outdated - named == set()


def test_every_column_of_the_project_can_be_carried(graph: Graph) -> None:
    """What is custom in the zoo is custom on purpose."""
    custom = {
        f"{table.label}.{column.name}"
        for table in graph.tables.values()
        for column in table.columns
        if column.kind is Kind.CUSTOM and table.app_label == "zoo"
    }
    assert custom == {
        "zoo.Priced.price",
        "zoo.Secrets.note",
        "zoo.Sealed.seal",
        "zoo.CustomKey.ticket",
        "zoo.KeyPointers.ticket",
    }


def test_columns_are_those_that_hold_a_value(graph: Graph) -> None:
    names = [column.name for column in graph.table("zoo.Generated").columns]
    assert names == ["id", "menagerie", "name", "width", "height"]
    unserialized = [c.name for c in graph.table("zoo.Unserialized").columns]
    assert {"unserialized", "uneditable", "neither"} <= set(unserialized)
    # Its own half only.
    assert [c.name for c in graph.table("zoo.SportsCar").columns] == [
        "car_ptr",
        "horsepower",
        "rival",
    ]
    assert "_order" in [c.name for c in graph.table("zoo.Badge").columns]


def test_names_in_the_database_are_the_databases(graph: Graph) -> None:
    names = {c.name: c.db_name for c in graph.table("zoo.ReservedColumns").columns}
    assert names["group_name"] == "group"
    assert names["from_whom"] == "From whom, and-why?"
    assert (names["swapped_a"], names["swapped_b"]) == ("swapped_b", "swapped_a")
    assert names["link"] == "where"
    assert names["menagerie"] == "menagerie_id"


@pytest.mark.parametrize(
    ("name", "kind", "leaf"),
    [
        ("zoo.OneToOneOfOneToOneKey.first", Kind.INTEGER, "zoo.NamedKey.number"),
        ("zoo.ForeignKeyKey.uuid_key", Kind.UUID, "zoo.UuidKey.key"),
        ("zoo.KeyPointers.foreign", Kind.UUID, "zoo.UuidKey.key"),
        ("zoo.KeyPointers.day", Kind.DATE, "zoo.DateKey.day"),
        ("zoo.Animal.species", Kind.TEXT, "zoo.Species.code"),
        ("zoo.SportsCar.rival", Kind.INTEGER, "zoo.Vehicle.id"),
    ],
)
def test_pointer_is_of_the_kind_it_points_at(
    graph: Graph, name: str, kind: Kind, leaf: str
) -> None:
    label, _, field = name.rpartition(".")
    column = graph.table(label).column(field)
    assert column.kind is kind
    assert f"{column.leaf.model._meta.label}.{column.leaf.name}" == leaf
    assert leaf_field(column.field) is column.leaf


def column(graph: Graph, name: str) -> Column:
    label, _, field = name.rpartition(".")
    return graph.table(label).column(field)


@pytest.mark.parametrize(
    ("name", "is_nullable", "has_default"),
    [
        ("zoo.Menagerie.name", False, False),
        ("zoo.Menagerie.opened", True, True),
        ("zoo.Integers.yes", False, True),
        ("zoo.DatabaseDefaults.code", False, True),
        ("zoo.DatabaseDefaults.made", False, True),
        ("zoo.Documents.required", False, True),
        ("zoo.Texts.blank", False, True),
        ("auth.User.first_name", False, True),
        ("zoo.Animal.enclosure", False, False),
    ],
)
def test_column_knows_what_may_stand_in_it(
    graph: Graph, name: str, is_nullable: bool, has_default: bool
) -> None:
    found = column(graph, name)
    assert (found.is_nullable, found.has_default) == (is_nullable, has_default)


def test_column_shows_itself_in_short(graph: Graph) -> None:
    assert repr(column(graph, "zoo.UuidKey.key")) == "<Column key: uuid>"
    assert repr(graph.table("zoo.UuidKey")) == "<Table zoo.UuidKey>"
