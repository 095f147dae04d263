"""Which tables come first, which stand in a circle, and what is near to a wrong name?"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestore.errors import NotFound
from gestore.schema.graph import Graph
from gestore.schema.introspect import build_graph
from tests.walk.small_world import generic, parent, relation, table


@pytest.fixture(scope="module")
def zoo() -> Graph:
    return build_graph()


def small_graph(edges: list[tuple[str, str]], names: str = "abcdefgh") -> Graph:
    return Graph(
        [table(name) for name in names],
        [relation(source, f"to{n}", target) for n, (source, target) in enumerate(edges)],
    )


def reachable(edges: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Every pair that is joined by a path, in the plainest way."""
    joined = set(edges)
    while True:
        more = {(a, d) for a, b in joined for c, d in joined if b == c} - joined
        if not more:
            return joined
        joined |= more


edge_lists = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")), max_size=14
)


@given(edge_lists)
def test_circles_are_the_tables_that_reach_each_other(edges: list[tuple[str, str]]) -> None:
    graph = small_graph(edges)
    joined = reachable(edges)
    for one in "abcdefgh":
        for other in "abcdefgh":
            is_circle = one == other or ((one, other) in joined and (other, one) in joined)
            together = graph.circle_of[f"w.{one}"] == graph.circle_of[f"w.{other}"]
            assert together == is_circle
    for rel in graph.relations:
        source, target = rel.source[2:], rel.target[2:]
        assert graph.is_circular(rel) == (source == target or (target, source) in joined)


@given(edge_lists)
def test_pointed_at_tables_come_first(edges: list[tuple[str, str]]) -> None:
    graph = small_graph(edges)
    order = [t.name for t in graph.load_order]
    assert sorted(order) == sorted(graph.tables)
    for rel in graph.relations:
        if not graph.is_circular(rel):
            assert order.index(rel.target) < order.index(rel.source)
    # One circle stands together.
    numbers = [graph.circle_of[name] for name in order]
    assert len([1 for a, b in pairwise(numbers) if a != b]) == len(set(numbers)) - 1


@given(edge_lists)
def test_order_is_the_same_each_time(edges: list[tuple[str, str]]) -> None:
    first = [t.name for t in small_graph(edges).load_order]
    assert first == [t.name for t in small_graph(edges[::-1], "hgfedcba").load_order]


def test_long_line_of_tables_needs_no_recursion() -> None:
    names = [f"t{n}" for n in range(3_000)]
    graph = Graph(
        [table(name) for name in names],
        [relation(a, "next", b) for a, b in pairwise(names)],
    )
    assert [t.name for t in graph.load_order] == [f"w.{name}" for name in reversed(names)]


def test_generic_keys_make_no_circle() -> None:
    graph = Graph(
        [table("a", "note"), table("note", "kind", "number", text=["kind"])],
        [relation("a", "note", "note"), generic("note")],
    )
    assert [t.name for t in graph.load_order] == ["w.note", "w.a"]
    assert not graph.is_circular(graph.relations_by_name["w.note.target"])


def test_parents_come_before_children_even_in_a_circle() -> None:
    graph = Graph(
        [table("parent", "favourite"), table("child", parents=["parent"])],
        [relation("parent", "favourite", "child"), parent("child", "parent")],
    )
    assert graph.circles == [("w.child", "w.parent")]
    assert [t.name for t in graph.load_order] == ["w.parent", "w.child"]


def test_circles_of_the_zoo(zoo: Graph) -> None:
    circles = [c for c in zoo.circles if len(c) > 1 and c[0].startswith("zoo.")]
    assert circles == [("zoo.capital", "zoo.land"), ("zoo.cyclehead", "zoo.cycletail")]
    by_name = zoo.relations_by_name
    assert zoo.is_circular(by_name["zoo.selfchain.parent"])
    assert zoo.is_circular(by_name["zoo.land.capital"])
    assert not zoo.is_circular(by_name["zoo.land.menagerie"])
    order = [t.name for t in zoo.load_order]
    assert order.index("zoo.vehicle") < order.index("zoo.car") < order.index("zoo.sportscar")


def test_multi_table_families(zoo: Graph) -> None:
    children = zoo.children("zoo.vehicle")
    assert {"zoo.boat", "zoo.car", "zoo.sportscar", "zoo.tram"} <= set(children)
    assert len(children) == len(set(children))
    assert zoo.children("zoo.duck") == []
    assert zoo.ancestors("zoo.sportscar") == ["zoo.car", "zoo.vehicle"]
    assert sorted(zoo.ancestors("zoo.duck")) == ["zoo.flyer", "zoo.swimmer"]


# Names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["zoo.Animal", "zoo.animal", "ZOO.ANIMAL"])
def test_tables_are_found_in_any_case(zoo: Graph, name: str) -> None:
    assert zoo.table(name).label == "zoo.Animal"


@pytest.mark.parametrize(
    ("name", "near"),
    [("zoo.Animals", "zoo.Animal"), ("auth.Users", "auth.User"), ("zoo.Menagery", "zoo.Menagerie")],
)
def test_wrong_name_is_told_what_is_near(zoo: Graph, name: str, near: str) -> None:
    with pytest.raises(NotFound) as caught:
        zoo.table(name)
    assert caught.value.message == f"No model {name!r} in this project."
    assert near in caught.value.hint


def test_name_far_from_all_gets_no_advice(zoo: Graph) -> None:
    with pytest.raises(NotFound) as caught:
        zoo.table("qqqq.wwww")
    assert caught.value.hint == ""


def test_undeclared_model_is_told_how_to_declare_it(zoo: Graph) -> None:
    with pytest.raises(NotFound, match="unmanaged") as caught:
        zoo.table("zoo.Unmanaged")
    assert caught.value.hint == 'Add "zoo.Unmanaged" to GESTORE["UNMANAGED"].'


def test_swapped_out_model_is_not_told_to_be_declared(zoo: Graph) -> None:
    with pytest.raises(NotFound) as caught:
        zoo.table("zoo.ClassicKeeper")
    assert "UNMANAGED" not in str(caught.value)
