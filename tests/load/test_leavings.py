"""Is what a deletion left in a row that stayed told from what somebody put there?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.db import models
from django.db.models.functions import Now

from gestore.load.leavings import Leavings
from gestore.load.loader import Loaded, Loader
from gestore.load.strategies import Strategy
from gestore.load.verify import verify
from gestore.rows import ArchivedRow
from gestore.schema.graph import Graph
from gestore.walk.keys import empty_keys
from tests.zoo import models as zoo

from .site import GRAPH, Site, Trip, archived

EVERYTHING = frozenset(relation.name for relation in GRAPH.relations if relation.is_constrained)
MENAGERIE = archived("zoo.Menagerie", 1, name="one", opened=None)
DOOMED = archived("zoo.Doomed", 2, menagerie=None, name="doomed")


def pointing(label: str = "zoo.SetNullPointer", pk: int = 1, doomed: int = 2) -> ArchivedRow:
    return archived(label, pk, doomed=doomed, _shared=True, _changed=("doomed",))


def site_with(label: str, doomed: int | None) -> Site:
    site = Site()
    site.put("zoo.Doomed", id=1, name="fallback")
    site.put(label, id=1, doomed=doomed)
    return site


def trip_of(site: Site, *rows: ArchivedRow, **options: Any) -> Trip:
    graph = options.get("graph", GRAPH)
    return Trip([DOOMED, *rows], site, leavings=Leavings(graph), **options)


@pytest.mark.parametrize(
    ("label", "left"),
    [("zoo.SetNullPointer", None), ("zoo.SetDefaultPointer", 1), ("zoo.SetCallablePointer", 1)],
)
def test_pointer_that_was_left_is_given_back(label: str, left: int | None) -> None:
    site = site_with(label, left)
    trip = trip_of(site, pointing(label))
    loaded = trip.load()
    assert site.row(label, 1)["doomed"] == 2
    assert loaded.rows_by_table == {"zoo.doomed": 1}
    assert {name: len(keys) for name, keys in loaded.restored.items()} == {f"{label}.doomed": 1}
    verdict = trip.examiner.examine([]).verdicts[label.lower()]
    assert (1 in verdict.here, 1 in verdict.restored) == (True, True)


@pytest.mark.parametrize("here", [3, None])
def test_pointer_that_was_not_left_is_a_difference(here: int | None) -> None:
    """Nobody empties what has a default: somebody did it since."""
    label = "zoo.SetNullPointer" if here else "zoo.SetDefaultPointer"
    assert trip_of(site_with(label, here), pointing(label)).codes() == ["key-conflict"]


def test_nothing_is_given_back_without_leavings_or_the_mark() -> None:
    label = "zoo.SetNullPointer"
    assert Trip([DOOMED, pointing()], site_with(label, None)).codes() == ["key-conflict"]
    plain = archived(label, 1, doomed=2, _shared=True)
    assert trip_of(site_with(label, None), plain).codes() == ["key-conflict"]


def test_rows_that_are_equal_or_unmarked_cost_no_question_more() -> None:
    label = "zoo.SetNullPointer"
    asked = []
    for row in (pointing(), archived(label, 1, doomed=2, _shared=True)):
        site = site_with(label, 2)
        site.put("zoo.Doomed", id=2, name="doomed")
        trip_of(site, row).examine()
        asked.append(site.questions)
    assert asked[0] == asked[1]


def test_pointer_follows_a_new_key() -> None:
    site = site_with("zoo.SetNullPointer", None)
    site.put("zoo.Doomed", id=2, name="somebody's")
    trip = trip_of(site, pointing(), strategy=Strategy.REMAP)
    examination = trip.examine()
    assert list(examination.findings) == []
    trip.keymap.draw_integers(("zoo.doomed", ("id",)), lambda count: range(90, 90 + count))
    trip.keymap.use_drawn()
    loader = Loader(GRAPH, trip.decoding, examination, site, site.circles(GRAPH))
    loader.load(lambda: iter(trip.rows), lambda n: None)
    assert site.row("zoo.SetNullPointer", 1)["doomed"] == 90


@pytest.mark.parametrize("immediate", [EVERYTHING, frozenset[str]()], ids=["immediate", "deferred"])
def test_pointer_in_a_circle_is_given_back_when_its_row_is_in(immediate: frozenset[str]) -> None:
    site = Site(immediate=immediate)
    site.put("zoo.Menagerie", id=1, name="one")
    site.put("zoo.Land", id=1, menagerie=1, name="land", capital=None)
    rows = [
        archived("zoo.Menagerie", 1, name="one", opened=None, _shared=True),
        archived("zoo.Land", 1, menagerie=1, name="land", capital=5, _changed=("capital",)),
        archived("zoo.Capital", 5, land=1, name="capital"),
    ]
    trip = Trip(rows, site, leavings=Leavings(GRAPH))
    trip.load()
    assert site.row("zoo.Land", 1)["capital"] == 5


def test_rows_that_lost_different_pointers_are_filled_together() -> None:
    """What was not taken from one of them is the same here, and stays so."""
    taken = {"zoo.LooseLink.animal", "zoo.LooseLink.species"}
    relations = [
        replace(r, on_delete="SET_NULL") if r.name in taken else r for r in GRAPH.relations
    ]
    site = Site()
    site.put("zoo.Menagerie", id=1, name="one")
    site.put("zoo.Enclosure", id=1, menagerie=1, name="x")
    site.put("zoo.LooseLink", id=1, menagerie=1, animal=None, species="leo")
    site.put("zoo.LooseLink", id=2, menagerie=1, animal=None, species=None)
    rows = [
        MENAGERIE,
        archived("zoo.Enclosure", 1, menagerie=1, name="x", continent=None),
        archived("zoo.Species", 1, code="leo"),
        archived("zoo.Animal", 7, name="x", enclosure=1, species="leo", mother=None),
    ]
    for key, changed in ((1, ("animal",)), (2, ("animal", "species"))):
        rows.append(
            archived("zoo.LooseLink", key, menagerie=1, animal=7, species="leo", _changed=changed)
        )
    graph = Graph(GRAPH.tables.values(), relations)
    loaded = Trip(rows, site, leavings=Leavings(graph), graph=graph).load()
    for key in (1, 2):
        link = site.row("zoo.LooseLink", key)
        assert (link["animal"], link["species"]) == (7, "leo")
    counts = {name: len(keys) for name, keys in loaded.restored.items()}
    assert counts == {"zoo.LooseLink.animal": 2, "zoo.LooseLink.species": 1}


# What the project says ----------------------------------------------------------------------------


def test_value_is_brought_to_the_columns_type(monkeypatch: pytest.MonkeyPatch) -> None:
    field = zoo.SetCallablePointer._meta.get_field("doomed")
    monkeypatch.setattr(field.remote_field, "on_delete", models.SET("1"))
    site = site_with("zoo.SetCallablePointer", 1)
    trip_of(site, pointing("zoo.SetCallablePointer")).load()
    assert site.row("zoo.SetCallablePointer", 1)["doomed"] == 2


def test_default_that_only_the_database_can_tell_is_left_to_people(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "zoo.SetDefaultPointer.doomed"
    monkeypatch.setattr(zoo.SetDefaultPointer._meta.get_field("doomed"), "db_default", Now())
    relations = [
        replace(r, on_delete="DB_SET_DEFAULT") if r.name == name else r for r in GRAPH.relations
    ]
    graph = Graph(GRAPH.tables.values(), relations)
    site = site_with("zoo.SetDefaultPointer", 1)
    trip = trip_of(site, pointing("zoo.SetDefaultPointer"), graph=graph)
    assert trip.codes() == ["key-conflict"]


# Verify -------------------------------------------------------------------------------------------


def given_back(site: Site) -> Loaded:
    return trip_of(site, pointing()).load()


def test_pointers_given_back_are_verified() -> None:
    site = site_with("zoo.SetNullPointer", None)
    loaded = given_back(site)
    assert list(verify(GRAPH, loaded, site)) == []
    site.row("zoo.SetNullPointer", 1)["doomed"] = 99
    found = list(verify(GRAPH, loaded, site))
    assert [(f.code, f.subject, f.message) for f in found] == [
        ("dangling", "zoo.SetNullPointer.1", "doomed would point at nothing.")
    ]


def test_row_that_vanished_meanwhile_is_counted() -> None:
    site = site_with("zoo.SetNullPointer", None)
    site.put("zoo.SetNullPointer", id=3, doomed=2)
    loaded = given_back(site)
    loaded.restored["zoo.SetNullPointer.doomed"] = empty_keys(GRAPH.table("zoo.SetNullPointer"))
    loaded.restored["zoo.SetNullPointer.doomed"].add([3, 1])
    del site.rows["zoo.setnullpointer"][3]
    site.rows["zoo.setnullpointer"][3] = {"id": 4, "doomed": 2}
    found = list(verify(GRAPH, loaded, site))
    assert [(f.code, f.subject, f.message) for f in found] == [
        ("count", "zoo.SetNullPointer", "2 rows were written and 1 are there.")
    ]
