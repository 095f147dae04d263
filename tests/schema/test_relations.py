"""Is every relation of a project found, and described as it is?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import django
import pytest
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models.fields.related import ForeignObjectRel
from django.test.utils import isolate_apps

from gestore.errors import ConfigurationError
from gestore.schema.graph import Graph
from gestore.schema.introspect import build_graph, many_to_many_of
from gestore.schema.relation import Relation, RelationKind
from tests.zoo import models as zoo

FOREIGN_KEY = RelationKind.FOREIGN_KEY
ONE_TO_ONE = RelationKind.ONE_TO_ONE
PARENT = RelationKind.PARENT
GENERIC = RelationKind.GENERIC
DECLARED = RelationKind.DECLARED


@pytest.fixture(scope="module")
def graph() -> Graph:
    return build_graph()


@dataclass(frozen=True)
class Expected:
    """What is to be known of a relation; the defaults are an ordinary foreign key's."""

    name: str
    columns: str
    target: str
    target_columns: str = "id"
    kind: RelationKind = FOREIGN_KEY
    points_at_key: bool = True
    is_nullable: bool = False
    is_constrained: bool = True
    on_delete: str = "CASCADE"
    content_type: str = ""

    @classmethod
    def of(cls, relation: Relation) -> Expected:
        return cls(
            relation.name,
            ", ".join(relation.columns),
            relation.target,
            ", ".join(relation.target_columns),
            relation.kind,
            relation.points_at_key,
            relation.is_nullable,
            relation.is_constrained,
            relation.on_delete,
            relation.content_type,
        )


def generic(name: str, column: str, content_type: str, *, is_nullable: bool) -> Expected:
    return Expected(
        name,
        column,
        "",
        "",
        GENERIC,
        is_nullable=is_nullable,
        is_constrained=False,
        content_type=content_type,
    )


# One of each kind that there is. Keep it complete: the last test counts the kinds.
RELATIONS = [
    # Foreign keys.
    Expected("zoo.Animal.enclosure", "enclosure", "zoo.enclosure"),
    Expected("zoo.Enclosure.menagerie", "menagerie", "zoo.menagerie"),  # related_name="+"
    Expected("zoo.HiddenPointer.animal", "animal", "zoo.animal"),
    Expected(
        "zoo.Animal.species",
        "species",
        "zoo.species",
        "code",
        points_at_key=False,
        on_delete="PROTECT",
    ),
    Expected(
        "zoo.LooseLink.animal",
        "animal",
        "zoo.animal",
        is_nullable=True,
        is_constrained=False,
        on_delete="DO_NOTHING",
    ),
    Expected("zoo.Animal.mother", "mother", "zoo.animal", is_nullable=True, on_delete="SET_NULL"),
    Expected("zoo.SelfLoop.other", "other", "zoo.selfloop"),
    Expected("zoo.Match.home", "home", "zoo.team"),
    Expected("zoo.Match.away", "away", "zoo.team"),
    Expected("zoo.StaffMember.user", "user", "auth.user", is_nullable=True, on_delete="SET_NULL"),
    Expected("zoo.SwappableLink.keeper", "keeper", "zoo.modernkeeper"),
    Expected(
        "zoo.ReservedColumns.link",
        "link",
        "zoo.reservedcolumns",
        is_nullable=True,
        on_delete="SET_NULL",
    ),
    # One-to-one, also as a key.
    Expected("zoo.Passport.animal", "animal", "zoo.animal", kind=ONE_TO_ONE, is_nullable=True),
    Expected("zoo.OneToOneOfOneToOneKey.first", "first", "zoo.onetoonekey", "named", ONE_TO_ONE),
    Expected("zoo.ForeignKeyKey.uuid_key", "uuid_key", "zoo.uuidkey", "key", ONE_TO_ONE),
    # Many-to-many: tables made by Django, and others.
    Expected("zoo.Animal_tags.animal", "animal", "zoo.animal"),
    Expected("zoo.Animal_tags.tag", "tag", "zoo.tag"),
    Expected("zoo.HiddenPointer_tags.tag", "tag", "zoo.tag"),
    Expected("zoo.LooseLink_tags.tag", "tag", "zoo.tag", is_constrained=False),
    Expected("zoo.Friend_friends.from_friend", "from_friend", "zoo.friend"),
    Expected("zoo.Friend_follows.to_friend", "to_friend", "zoo.friend"),
    Expected("zoo.Residency.enclosure", "enclosure", "zoo.enclosure"),
    Expected("zoo.Invitation.guest", "guest", "zoo.animal"),
    Expected("zoo.Leash_others.tameanimal", "tameanimal", "zoo.animal"),
    # Multi-table inheritance: two deep, named, not the key, two parents.
    Expected("zoo.Car.vehicle_ptr", "vehicle_ptr", "zoo.vehicle", kind=PARENT),
    Expected("zoo.SportsCar.car_ptr", "car_ptr", "zoo.car", "vehicle_ptr", PARENT),
    Expected("zoo.Boat.hull", "hull", "zoo.vehicle", kind=PARENT),
    Expected("zoo.Tram.vehicle_ptr", "vehicle_ptr", "zoo.vehicle", kind=PARENT),
    Expected("zoo.Duck.swimmer_ptr", "swimmer_ptr", "zoo.swimmer", "swimmer_id", PARENT),
    Expected("zoo.Duck.flyer_ptr", "flyer_ptr", "zoo.flyer", "flyer_id", PARENT),
    Expected("zoo.PitStop.car", "car", "zoo.car", "vehicle_ptr"),
    # Proxies are their concrete models.
    Expected("zoo.Leash.animal", "animal", "zoo.animal"),
    Expected("zoo.PitStop.racing_car", "racing_car", "zoo.sportscar", "car_ptr", is_nullable=True),
    # Composite.
    Expected("zoo.Cage.menagerie", "menagerie", "zoo.menagerie"),
    Expected(
        "zoo.CagePlate.cage",
        "menagerie, cage_number",
        "zoo.cage",
        "menagerie, number",
        is_constrained=False,
    ),
    # Generic keys, of each type of key, and their content types.
    generic("zoo.NoteByInteger.target", "object_id", "content_type", is_nullable=True),
    generic("zoo.NoteByChar.target", "object_id", "content_type", is_nullable=True),
    generic("zoo.NoteByText.target", "object_id", "content_type", is_nullable=True),
    generic("zoo.NoteByUuid.target", "object_id", "content_type", is_nullable=True),
    generic("zoo.Ribbon.winner", "number", "kind", is_nullable=True),
    generic("zoo.ProxyNote.target", "object_id", "content_type", is_nullable=False),
    Expected(
        "zoo.NoteByChar.content_type",
        "content_type",
        "contenttypes.contenttype",
        is_nullable=True,
    ),
    # The admin's log is known.
    generic("admin.LogEntry.object_id", "object_id", "content_type", is_nullable=True),
    # Declared by the tests below.
    Expected(
        "zoo.SoftReference.user_id",
        "user_id",
        "auth.user",
        kind=DECLARED,
        is_nullable=True,
        is_constrained=False,
    ),
]


@pytest.mark.parametrize("expected", RELATIONS, ids=lambda expected: expected.name)
def test_relation_is_found(expected: Expected) -> None:
    graph = build_graph([("zoo.SoftReference.user_id", "auth.User")])
    assert Expected.of(graph.relations_by_name[expected.name.lower()]) == expected


def test_every_kind_of_relation_is_among_them() -> None:
    assert {expected.kind for expected in RELATIONS} == set(RelationKind)


def test_every_pointer_of_the_models_is_a_relation(graph: Graph) -> None:
    """Django's own list of them, hidden ones included, against ours."""
    assert set(graph.relations_by_name) >= {name.lower() for name in _pointers_of_django(graph)}


def _pointers_of_django(graph: Graph) -> Iterator[str]:
    for table in graph.tables.values():
        for pointer in table.model._meta.get_fields(include_hidden=True):
            if not isinstance(pointer, ForeignObjectRel) or pointer.many_to_many:
                continue
            source, field = pointer.related_model, pointer.field
            # A child's inherited pointer, and a proxy's, is its parent's.
            is_own = isinstance(source, type) and field in source._meta.local_fields
            if is_own and source._meta.managed and not source._meta.proxy:
                yield f"{source._meta.label}.{field.name}"


@pytest.mark.parametrize(
    ("model", "on_delete"),
    [
        (zoo.CascadePointer, "CASCADE"),
        (zoo.ProtectInside, "PROTECT"),
        (zoo.RestrictInside, "RESTRICT"),
        (zoo.SetNullPointer, "SET_NULL"),
        (zoo.SetDefaultPointer, "SET_DEFAULT"),
        # What Django calls the function that SET(...) makes.
        (zoo.SetCallablePointer, "set_on_delete"),
        (zoo.SetValuePointer, "set_on_delete"),
        (zoo.DoNothingPointer, "DO_NOTHING"),
    ],
)
def test_every_on_delete_is_recorded(
    graph: Graph, model: type[models.Model], on_delete: str
) -> None:
    assert graph.relations_by_name[f"{model._meta.label_lower}.doomed"].on_delete == on_delete


@pytest.mark.skipif(django.VERSION < (6, 1), reason="since Django 6.1")
@pytest.mark.parametrize(
    ("name", "on_delete"),
    [("databasecascadepointer", "DB_CASCADE"), ("databasesetnullpointer", "DB_SET_NULL")],
)
def test_every_on_delete_of_the_database_is_recorded(
    graph: Graph, name: str, on_delete: str
) -> None:
    assert graph.relations_by_name[f"zoo.{name}.doomed"].on_delete == on_delete


def test_relation_says_what_it_is(graph: Graph) -> None:
    by_name = graph.relations_by_name
    assert by_name["zoo.notebychar.target"].is_generic
    assert not by_name["zoo.notebychar.content_type"].is_generic
    assert by_name["zoo.car.vehicle_ptr"].is_parent
    assert not by_name["zoo.pitstop.car"].is_parent
    assert by_name["zoo.car.vehicle_ptr"].field_name == "vehicle_ptr"


def test_relations_by_table(graph: Graph) -> None:
    from_animal = {r.field_name for r in graph.pointing_from("zoo.animal")}
    assert from_animal == {"enclosure", "species", "mother"}
    at_animal = {r.name for r in graph.pointing_at("zoo.animal")}
    assert {"zoo.Animal.mother", "zoo.Leash.animal", "zoo.NoteByChar.target"} <= at_animal
    # No one column holds a key of two parts.
    assert {r.name for r in graph.pointing_at("zoo.cage")} == {"zoo.CagePlate.cage"}


# Generic keys and inheritance ---------------------------------------------------------------------


def test_inherited_generic_key_is_the_parents() -> None:
    with isolate_apps("tests.zoo") as registry:

        class Remark(models.Model):
            content_type = models.ForeignKey(ContentType, models.CASCADE)
            object_id = models.IntegerField()
            about = GenericForeignKey()

            class Meta:
                app_label = "zoo"

        class LongRemark(Remark):
            text = models.TextField()

            class Meta:
                app_label = "zoo"

        class ProxyRemark(Remark):
            class Meta:
                app_label = "zoo"
                proxy = True

        graph = build_graph(registry=registry)
    generics = [r.name for r in graph.relations if r.is_generic]
    assert generics == ["zoo.Remark.about"]
    assert graph.table("zoo.Remark").proxies == ("zoo.proxyremark",)
    assert [r.name for r in graph.pointing_from("zoo.longremark")] == ["zoo.LongRemark.remark_ptr"]


def test_abstract_pointers_are_each_childs_own(graph: Graph) -> None:
    assert "zoo.weighing.animal" in graph.relations_by_name
    assert "zoo.weighed" not in graph.tables


# Declared relations -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("zoo.SoftReference.user_id", "auth.User"),
        ("ZOO.softreference.user_id", "AUTH.user"),
        ("zoo.SoftReference.user_id", "zoo.TameAnimal"),
    ],
)
def test_declared_relation(source: str, target: str) -> None:
    graph = build_graph([(source, target)])
    relation = graph.relations_by_name["zoo.softreference.user_id"]
    assert relation.kind is DECLARED
    assert relation.target == graph.table(target).name
    assert relation in graph.pointing_at(relation.target)
    assert relation in graph.pointing_from("zoo.softreference")


def test_declared_pair_is_a_generic_key() -> None:
    graph = build_graph([("zoo.PseudoGeneric.content_type", "zoo.PseudoGeneric.object_id")])
    relation = graph.relations_by_name["zoo.pseudogeneric.object_id"]
    assert Expected.of(relation) == generic(
        "zoo.PseudoGeneric.object_id", "object_id", "content_type", is_nullable=True
    )
    assert relation in graph.pointing_at("zoo.animal")
    # The column's own name does as well.
    other = build_graph([("zoo.PseudoGeneric.content_type_id", "zoo.PseudoGeneric.object_id")])
    assert other.relations_by_name["zoo.pseudogeneric.object_id"] == relation


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("zoo.SoftReference.gone", "auth.User"), "there is no field 'zoo.SoftReference.gone'"),
        (("zoo.Gone.user_id", "auth.User"), "there is no field 'zoo.Gone.user_id'"),
        (("user_id", "auth.User"), "there is no field 'user_id'"),
        (("zoo.SoftReference.user_id", "auth.Gone"), "No model 'auth.Gone'"),
        (
            ("zoo.PseudoGeneric.content_type", "zoo.SoftReference.user_id"),
            "names two fields, and they are of two models",
        ),
        (("zoo.PseudoGeneric.content_type", "zoo.PseudoGeneric.gone"), "there is no field"),
    ],
)
def test_wrong_declaration_is_named(pair: tuple[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_graph([pair])
    assert str(caught.value).startswith('GESTORE["RELATIONS"]: ')
    assert message in str(caught.value)
    assert repr(pair) in str(caught.value)


# Which models take part ---------------------------------------------------------------------------


def test_tables_are_the_concrete_models_with_a_table(graph: Graph) -> None:
    names = set(graph.tables)
    assert {"zoo.animal", "zoo.animal_tags", "zoo.car", "auth.user"} <= names
    # Proxies, swapped-out, abstract and undeclared unmanaged models.
    for label in ("tameanimal", "classickeeper", "housed", "unmanaged"):
        assert f"zoo.{label}" not in names
    assert not any(name.startswith("gestore.") for name in names)


def test_proxy_is_its_concrete_model(graph: Graph) -> None:
    assert graph.table("zoo.TameAnimal") is graph.table("zoo.Animal")
    assert graph.table("zoo.racingcar").label == "zoo.SportsCar"


@pytest.mark.parametrize("declared", ["zoo.Unmanaged", "ZOO.unmanaged", "zoo"])
def test_unmanaged_model_takes_part_when_declared(declared: str) -> None:
    graph = build_graph(unmanaged=[declared])
    assert graph.table("zoo.Unmanaged").db_table == "zoo_unmanaged"
    assert graph.table("zoo.Unmanaged").is_managed
    assert "zoo.unmanaged.menagerie" in graph.relations_by_name


def test_unmanaged_model_takes_part_when_a_relation_of_it_is_declared() -> None:
    graph = build_graph([("zoo.Unmanaged.name", "zoo.CharKey")])
    assert graph.relations_by_name["zoo.unmanaged.name"].kind is DECLARED


def test_unmanaged_model_that_is_pointed_at_takes_part_as_it_is() -> None:
    with isolate_apps("tests.zoo") as registry:

        class View(models.Model):
            class Meta:
                app_label = "zoo"
                managed = False

        class Reader(models.Model):
            view = models.ForeignKey(View, models.DO_NOTHING, db_constraint=False)

            class Meta:
                app_label = "zoo"

        graph = build_graph(registry=registry)
    assert not graph.table("zoo.View").is_managed
    assert graph.relations_by_name["zoo.reader.view"].target == "zoo.view"


def test_models_of_another_vendor_are_left_out_of_a_database(vendor: str) -> None:
    with isolate_apps("tests.zoo") as registry:

        class Elsewhere(models.Model):
            class Meta:
                app_label = "zoo"
                required_db_vendor = "oracle"

        class Here(models.Model):
            elsewhere = models.ForeignKey(Elsewhere, models.CASCADE)

            class Meta:
                app_label = "zoo"

        everywhere = build_graph(registry=registry)
        here = build_graph(database="default", registry=registry)
    assert set(everywhere.tables) == {"zoo.elsewhere", "zoo.here"}
    assert set(here.tables) == {"zoo.here"}
    assert here.relations == ()


# Many-to-many lists -------------------------------------------------------------------------------


def test_automatic_many_to_many_fields_of_a_model() -> None:
    assert list(many_to_many_of(zoo.Club)) == [
        ("members", "zoo.club_members", "club", "animal"),
        ("hidden_members", "zoo.club_hidden_members", "club", "animal"),
    ]
    assert list(many_to_many_of(zoo.Friend)) == [
        ("friends", "zoo.friend_friends", "from_friend", "to_friend"),
        ("follows", "zoo.friend_follows", "from_friend", "to_friend"),
    ]
    assert list(many_to_many_of(zoo.Enclosure)) == []
