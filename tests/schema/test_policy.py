"""Do the words of the command line, the setting and the defaults become the right policies?"""

from __future__ import annotations

import pytest
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.test.utils import isolate_apps

from gestore.errors import NotFound
from gestore.schema.graph import Graph
from gestore.schema.introspect import build_graph
from gestore.schema.policy import Policies, Policy, find_relation, resolve, unknown_labels


@pytest.fixture(scope="module")
def graph() -> Graph:
    return build_graph()


def test_defaults(graph: Graph) -> None:
    assert resolve(graph) == Policies(
        {
            "contenttypes.contenttype": Policy.EXTERNAL,
            "auth.permission": Policy.EXTERNAL,
            "sites.site": Policy.EXTERNAL,
            "sessions.session": Policy.SKIP,
            "admin.logentry": Policy.SKIP,
        },
        {},
    )


def test_defaults_of_what_is_not_installed_are_none() -> None:
    with isolate_apps("tests.zoo") as registry:

        class OwnSession(AbstractBaseSession):
            class Meta:
                app_label = "zoo"

        class View(models.Model):
            class Meta:
                app_label = "zoo"
                managed = False

        class Reader(models.Model):
            view = models.ForeignKey(View, models.DO_NOTHING)

            class Meta:
                app_label = "zoo"

        policies = resolve(build_graph(registry=registry))
    # Sessions of any kind are skipped; unmanaged tables are somebody else's.
    assert policies.by_table == {"zoo.ownsession": Policy.SKIP, "zoo.view": Policy.EXTERNAL}


def test_later_layers_win(graph: Graph) -> None:
    policies = resolve(
        graph,
        {"auth.User": Policy.EXTERNAL, "zoo.tag": Policy.SHARE, "auth.Permission": Policy.OWN},
        {"AUTH.user": Policy.OWN, "zoo.Animal.species": Policy.SKIP},
        {"zoo.animal.SPECIES": Policy.SHARE},
    )
    assert policies.of_table("auth.user") is Policy.OWN
    assert policies.of_table("zoo.tag") is Policy.SHARE
    assert policies.of_table("auth.permission") is Policy.OWN
    assert policies.of_table("sites.site") is Policy.EXTERNAL
    assert policies.of_table("zoo.animal") is None
    assert policies.by_relation == {"zoo.animal.species": Policy.SHARE}
    species = find_relation(graph, "zoo.Animal.species")
    assert policies.of_relation(species) is Policy.SHARE
    assert policies.of_relation(find_relation(graph, "zoo.Animal.mother")) is None


def test_policy_of_a_proxy_is_its_models(graph: Graph) -> None:
    assert resolve(graph, {"zoo.TameAnimal": Policy.SHARE}).of_table("zoo.animal") is Policy.SHARE


@pytest.mark.parametrize(
    ("label", "message", "hint"),
    [
        ("zoo.Gone", "No model 'zoo.Gone' in this project.", ""),
        ("zoo.Animals", "No model 'zoo.Animals' in this project.", "zoo.Animal"),
        ("gone", "No model 'gone' in this project.", ""),
        ("zoo.Animal.gone", "zoo.Animal has no relation 'gone'.", "enclosure, species, mother"),
        ("zoo.Animal.name", "zoo.Animal has no relation 'name'.", "enclosure, species, mother"),
        ("zoo.Tag.label", "zoo.Tag has no relation 'label'.", "Its relations: none."),
        ("zoo.Gone.field", "No model 'zoo.Gone' in this project.", ""),
    ],
)
def test_wrong_label_is_named(graph: Graph, label: str, message: str, hint: str) -> None:
    with pytest.raises(NotFound) as caught:
        resolve(graph, {label: Policy.SKIP})
    assert caught.value.message == message
    assert hint in caught.value.hint


def test_unknown_labels_are_those_of_nothing(graph: Graph) -> None:
    labels = ["zoo.Animal", "zoo.Gone", "zoo.Animal.species", "zoo.Animal.gone", "nonsense"]
    assert unknown_labels(graph, labels) == ["zoo.Gone", "zoo.Animal.gone", "nonsense"]


def test_policies_as_the_manifest_has_them(graph: Graph) -> None:
    layer = {"zoo.Tag": Policy.SHARE, "zoo.Animal.species": Policy.OWN}
    assert list(resolve(graph, layer).as_json().items()) == [
        ("admin.logentry", "skip"),
        ("auth.permission", "external"),
        ("contenttypes.contenttype", "external"),
        ("sessions.session", "skip"),
        ("sites.site", "external"),
        ("zoo.animal.species", "own"),
        ("zoo.tag", "share"),
    ]
