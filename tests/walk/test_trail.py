"""Does a trail tell a true chain of relations for every row, and cheaply?"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import HealthCheck, given, settings

from gestore.rows import Key
from gestore.walk.closure import Status
from gestore.walk.trail import Direction, Link, Trail

from .small_world import DictSource, World, generic, owned, parent, relation, shared, table
from .test_rules import Trip, trips


def told(links: list[Link]) -> list[tuple[str, Key, str, str]]:
    return [
        (
            link.table.removeprefix("w."),
            link.key,
            link.relation.name.removeprefix("w.") if link.relation else "",
            link.direction.value,
        )
        for link in links
    ]


def library() -> World:
    return World(
        [
            table("library"),
            table("shelf", "library"),
            table("book", "shelf", "author"),
            table("author", "country", text=["country"]),
            table("country", "code", text=["code"]),
            table("note", "kind", "number", text=["kind"]),
        ],
        [
            relation("shelf", "library", "library"),
            relation("book", "shelf", "shelf"),
            relation("book", "author", "author"),
            relation("author", "country", "country", to=["code"]),
            generic("note"),
        ],
        {
            "library": {1: {}},
            "shelf": {n: {"library": 1} for n in range(1, 6)},
            "book": {n: {"shelf": n % 5 + 1, "author": n} for n in range(1, 31)},
            "author": {n: {"country": "it"} for n in range(1, 31)},
            "country": {4: {"code": "it"}},
            "note": {1: {"kind": "book", "number": 17}, 2: {"kind": "note", "number": 1}},
        },
    )


def test_chain_leads_from_the_root_to_the_row() -> None:
    world, trail = library(), Trail()
    world.walk(("library", 1), record=trail)
    assert told(trail.chain("w.author", 17, world.source)) == [
        ("library", 1, "", "root"),
        ("shelf", 3, "Shelf.library", "back"),
        ("book", 17, "Book.shelf", "back"),
        ("author", 17, "Book.author", "forward"),
    ]
    assert told(trail.chain("w.note", 2, world.source)) == [
        ("library", 1, "", "root"),
        ("shelf", 3, "Shelf.library", "back"),
        ("book", 17, "Book.shelf", "back"),
        ("note", 1, "Note.target", "back"),
        ("note", 2, "Note.target", "back"),
    ]
    *_, last = told(trail.chain("w.country", 4, world.source))
    assert last == ("country", 4, "Author.country", "forward")


def test_row_that_was_not_taken_has_no_chain() -> None:
    world, trail = library(), Trail()
    world.walk(("shelf", 1), record=trail)
    assert trail.chain("w.shelf", 2, world.source) == []
    assert trail.chain("w.book", 999, world.source) == []


def test_generic_pointer_is_followed_forward() -> None:
    world, trail = library(), Trail()
    world.walk(("note", 1), record=trail)
    assert told(trail.chain("w.book", 17, world.source)) == [
        ("note", 1, "", "root"),
        ("book", 17, "Note.target", "forward"),
    ]


def test_parts_of_one_object_are_links() -> None:
    world = World(
        [table("a"), table("b", parents=["a"])],
        [parent("b", "a")],
        {"a": {1: {}}, "b": {1: {}}},
    )
    trail = Trail()
    world.walk(("a", 1), record=trail)
    assert told(trail.chain("w.b", 1, world.source)) == [
        ("a", 1, "", "root"),
        ("b", 1, "B.id", "back"),
    ]


def test_link_is_found_among_many_by_halving() -> None:
    rows = 5_000
    world = World(
        [table("root"), table("item", "root"), table("part", "item")],
        [relation("item", "root", "root"), relation("part", "item", "item")],
        {
            "root": {1: {}},
            "item": {n: {"root": 1} for n in range(rows)},
            "part": {n: {"item": n} for n in range(rows)},
        },
        batch_keys=10_000,
    )
    trail = Trail()
    world.walk(("root", 1), record=trail)
    before = world.source.question_count
    assert len(trail.chain("w.part", 4_321, world.source)) == 3
    assert world.source.question_count - before < 20


def test_keys_of_any_kind_are_kept() -> None:
    world = World(
        [table("tag", key=["code"], text=["code"]), table("use", "tag", text=["tag"])],
        [relation("use", "tag", "tag", to=["code"])],
        {"tag": {"b": {}, "a": {}}, "use": {1: {"tag": "a"}, 2: {"tag": "b"}}},
    )
    trail = Trail()
    world.walk(("tag", "a"), ("tag", "b"), record=trail)
    assert told(trail.chain("w.use", 2, world.source)) == [
        ("tag", "b", "", "root"),
        ("use", 2, "Use.tag", "back"),
    ]


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(trip=trips())
def test_every_taken_row_has_a_chain_of_true_links(trip: Trip) -> None:
    trail = Trail()
    world = trip.world
    closure = world.walk(
        *trip.roots,
        follow=trip.follow,
        policies=trip.policies,
        models=trip.models,
        record=trail,
    )
    for name, key in owned(closure) | shared(closure):
        links = trail.chain(f"w.{name}", key, world.source)
        assert (links[-1].table, links[-1].key) == (f"w.{name}", key)
        assert links[0].direction is Direction.ROOT
        assert (links[0].table.removeprefix("w."), links[0].key) in trip.roots
        for before, link in pairwise(links):
            assert _is_joined(world.source, before, link)
    assert closure.row_count == len(owned(closure)) + len(shared(closure))
    assert closure.count("w.a") == sum(closure.count("w.a", status) for status in Status)


def _is_joined(source: DictSource, before: Link, link: Link) -> bool:
    assert link.relation is not None
    if link.direction is Direction.BACK:
        return link.key in source.pointing(link.relation, before.table, [before.key])
    return before.key in source.pointing(link.relation, link.table, [link.key])
