"""Do the examined rows get in, in an order that every database takes?"""

from __future__ import annotations

import pytest

from gestore.load.circles import check_circles
from gestore.load.keymap import KeyMap
from gestore.load.loader import Loaded, Loader
from gestore.load.strategies import Strategy
from gestore.load.verify import verify
from gestore.rows import ArchivedRow
from gestore.walk.keys import empty_keys

from .site import GRAPH, Refusal, Site, Trip, archived

EVERYTHING = frozenset(relation.name for relation in GRAPH.relations if relation.is_constrained)
MENAGERIE = archived("zoo.Menagerie", 1, name="one", opened=None)


def land(pk: int, capital: int | None) -> ArchivedRow:
    return archived("zoo.Land", pk, menagerie=1, name="land", capital=capital)


def capital(pk: int, land: int) -> ArchivedRow:
    return archived("zoo.Capital", pk, name="capital", land=land)


def chain(*links: tuple[int, int | None]) -> list[ArchivedRow]:
    return [
        archived("zoo.SelfChain", key, menagerie=1, parent=parent, name=f"{key}")
        for key, parent in links
    ]


def test_rows_go_in_by_table_and_in_batches() -> None:
    tags = [archived("zoo.Tag", number, label=f"{number}") for number in range(1, 2_501)]
    trip = Trip([*tags, MENAGERIE])
    advanced: list[int] = []
    examination = trip.examine()
    loaded = Loader(GRAPH, trip.decoding, examination, trip.site, trip.site.circles(GRAPH)).load(
        lambda: iter(trip.rows), advanced.append
    )
    assert trip.site.inserted == [
        ("zoo.Tag", 1_000),
        ("zoo.Tag", 1_000),
        ("zoo.Tag", 500),
        ("zoo.Menagerie", 1),
    ]
    assert advanced == [1_000, 1_000, 500, 1]
    assert loaded.rows_by_table == {"zoo.tag": 2_500, "zoo.menagerie": 1}
    assert len(loaded.keys_by_table["zoo.tag"]) == 2_500


def test_what_is_here_is_not_written_again() -> None:
    site = Site()
    site.put("zoo.Tag", id=1, label="a")
    loaded = Trip([archived("zoo.Tag", 1, label="a")], site).load()
    assert loaded.rows_by_table == {}
    assert site.inserted == []


def test_defaults_of_the_database_are_not_written() -> None:
    row = archived("zoo.DatabaseDefaults", 1, menagerie=1)
    other = archived("zoo.DatabaseDefaults", 2, menagerie=1, code="x", count=1, made=None)
    trip = Trip([MENAGERIE, row])
    decoded = [next(iter(trip.decoding.rows(one))).values for one in (row, other)]
    assert [sorted(values) for values in decoded] == [
        ["id", "menagerie"],
        ["code", "count", "id", "made", "menagerie"],
    ]


def test_pointers_in_a_circle_wait_where_nothing_is_deferred() -> None:
    site = Site(immediate=EVERYTHING)
    rows = [MENAGERIE, *chain((1, 2), (2, 3), (3, None)), land(1, 1), capital(1, 1)]
    rows.sort(key=lambda row: [t.name for t in GRAPH.load_order].index(row.model))
    loaded = Trip(rows, site).load()
    assert [site.row("zoo.SelfChain", key)["parent"] for key in (1, 2, 3)] == [2, 3, None]
    assert site.row("zoo.Land", 1)["capital"] == 1
    assert list(verify(GRAPH, loaded, site)) == []


def test_what_the_database_took_is_there_and_no_less() -> None:
    site = Site()
    loaded = Trip([MENAGERIE, *chain((1, None), (2, 1))], site).load()
    site.rows["zoo.selfchain"].clear()
    first = next(verify(GRAPH, loaded, site, proved=EVERYTHING))
    assert first.message == "2 rows were written and 0 are there."
    # Nobody looks for rows of which the database said that it took them.
    taken = {"zoo.menagerie": 1, "zoo.selfchain": 2}
    assert list(verify(GRAPH, loaded, site, proved=EVERYTHING, taken=taken)) == []
    found = list(verify(GRAPH, loaded, site, proved=EVERYTHING, taken=taken | {"zoo.selfchain": 1}))
    assert [(f.code, f.message) for f in found] == [
        ("count", "2 rows were written and 1 are there.")
    ]


def test_circle_of_required_pointers_goes_in_unchecked() -> None:
    site = Site(immediate=EVERYTHING)
    rows = [
        MENAGERIE,
        archived("zoo.CycleHead", 1, menagerie=1, tail=1, name="head"),
        archived("zoo.CycleTail", 1, head=1, name="tail"),
    ]
    loaded = Trip(rows, site).load()
    assert site.was_unchecked
    assert not site.is_unchecked
    assert list(verify(GRAPH, loaded, site)) == []


def test_rows_out_of_order_go_in_unchecked() -> None:
    site = Site(immediate=EVERYTHING)
    rows = [archived("zoo.Team", 1, menagerie=1, name="x"), MENAGERIE]
    Trip(rows, site).load()
    assert site.was_unchecked
    in_order = Site(immediate=EVERYTHING)
    Trip(rows[::-1], in_order).load()
    assert not in_order.was_unchecked
    deferring = Site()
    Trip(rows, deferring).load()
    assert not deferring.was_unchecked


def test_site_refuses_what_points_at_nothing() -> None:
    """The fake is a true one: without the second pass the rows would be refused."""
    site = Site(immediate=EVERYTHING)
    table = GRAPH.table("zoo.SelfChain")
    with pytest.raises(Refusal):
        site.insert(table, table.columns, [[1, None, 2, "x"]])


def test_pairs_of_a_many_to_many_list_are_numbered_by_the_database() -> None:
    site = Site()
    site.put("zoo.Menagerie_tags", id=5, menagerie=9, tag=9)
    rows = [
        archived("zoo.Tag", 3, label="a"),
        archived("zoo.Menagerie", 1, name="one", opened=None, tags=[3]),
    ]
    loaded = Trip(rows, site).load()
    assert site.row("zoo.Menagerie_tags", 6) == {"id": 6, "menagerie": 1, "tag": 3}
    assert loaded.rows_by_table["zoo.menagerie_tags"] == 1


def test_pair_that_is_here_is_not_written_again() -> None:
    site = Site()
    site.put("zoo.Tag", id=3, label="a")
    site.put("zoo.Menagerie", id=1, name="one")
    site.put("zoo.Menagerie_tags", id=5, menagerie=1, tag=3)
    rows = [
        archived("zoo.Tag", 3, label="a"),
        archived("zoo.Menagerie", 1, name="one", opened=None, tags=[3]),
    ]
    Trip(rows, site).load()
    assert site.inserted == []


# Circles ------------------------------------------------------------------------------------------


def test_circle_that_cannot_be_loaded_is_found() -> None:
    tables = ["zoo.cyclehead", "zoo.cycletail", "zoo.land", "zoo.capital"]
    found = list(check_circles(GRAPH, set(EVERYTHING), tables, can_go_unchecked=False))
    # The open circle waits for its pointer; one of its two relations may be empty.
    assert {finding.subject for finding in found} >= {
        "zoo.CycleHead.tail",
        "zoo.CycleTail.head",
    }
    assert {finding.code for finding in found} == {"immediate-circle"}
    assert list(check_circles(GRAPH, set(EVERYTHING), tables, can_go_unchecked=True)) == []
    assert list(check_circles(GRAPH, set(), tables, can_go_unchecked=False)) == []
    assert list(check_circles(GRAPH, set(EVERYTHING), ["zoo.tag"], can_go_unchecked=False)) == []


# Verify -------------------------------------------------------------------------------------------


def loaded_trip(site: Site) -> Loaded:
    rows = [
        MENAGERIE,
        *(archived("zoo.Team", number, menagerie=1, name="x") for number in range(1, 4)),
        archived("zoo.LooseLink", 1, menagerie=1, animal=7, species=None, _dangling=("animal",)),
    ]
    return Trip(rows, site).load()


def test_right_load_is_silent() -> None:
    site = Site()
    assert list(verify(GRAPH, loaded_trip(site), site)) == []


def test_row_that_vanished_is_counted() -> None:
    site = Site()
    loaded = loaded_trip(site)
    del site.rows["zoo.team"][2]
    loaded.keys_by_table["zoo.team"] = empty_keys(GRAPH.table("zoo.Team"))
    loaded.keys_by_table["zoo.team"].add([1, 3, 4])
    site.rows["zoo.team"].setdefault(4, {"id": 5, "menagerie": 1, "name": "x"})
    found = list(verify(GRAPH, loaded, site))
    assert [(f.code, f.subject, f.message) for f in found] == [
        ("count", "zoo.Team", "3 rows were written and 2 are there.")
    ]


def test_pointer_that_leads_nowhere_names_its_row() -> None:
    site = Site()
    loaded = loaded_trip(site)
    site.row("zoo.Team", 2)["menagerie"] = 99
    found = list(verify(GRAPH, loaded, site))
    assert [(f.code, f.subject, f.message) for f in found] == [
        ("dangling", "zoo.Team.2", "menagerie would point at nothing.")
    ]


def test_only_what_dangled_may_dangle() -> None:
    site = Site()
    loaded = loaded_trip(site)
    loaded.dangling.clear()
    assert [f.subject for f in verify(GRAPH, loaded, site)] == ["zoo.LooseLink.1"]


def test_what_dangled_may_dangle_in_a_row_that_was_overridden() -> None:
    site = Site()
    site.put("zoo.LooseLink", id=1, menagerie=1)
    row = archived("zoo.LooseLink", 1, menagerie=1, animal=7, species=None, _dangling=("animal",))
    loaded = Trip([MENAGERIE, row], site, strategy=Strategy.OVERRIDE).load()
    assert site.row("zoo.LooseLink", 1)["animal"] == 7
    assert list(verify(GRAPH, loaded, site)) == []


# Key map ------------------------------------------------------------------------------------------


def test_key_map_keeps_only_what_differs() -> None:
    keymap = KeyMap()
    keymap.put("zoo.tag", ("id",), 1, 1)
    assert len(keymap) == 0
    keymap.put("zoo.tag", ("id",), 1, 9)
    assert keymap.target("zoo.tag", ("id",), 1) == 9
    assert keymap.target("zoo.tag", ("id",), 2) == 2
    assert keymap.target("zoo.tag", ("label",), 1) == 1
    assert keymap.is_changed("zoo.tag", ("id",), 1)
    assert not keymap.is_changed("zoo.tag", ("id",), 2)
    assert len(keymap) == 1
