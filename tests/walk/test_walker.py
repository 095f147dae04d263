"""Which rows does the walk take, rule by rule and policy by policy?"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gestore.rows import Key, Value
from gestore.schema.policy import Follow, Policy
from gestore.schema.relation import Relation
from gestore.walk.closure import Status

from .small_world import (
    DictSource,
    World,
    dangling,
    external,
    generic,
    owned,
    parent,
    relation,
    shared,
    table,
)


def shop(batch_keys: int = 1_000) -> World:
    """Two customers with orders, lines, and products that both of them bought."""
    return World(
        [
            table("customer", "country"),
            table("order", "customer"),
            table("line", "order", "product"),
            table("product", "maker"),
            table("maker"),
            table("country"),
            table("review", "product"),
        ],
        [
            relation("customer", "country", "country"),
            relation("order", "customer", "customer"),
            relation("line", "order", "order"),
            relation("line", "product", "product"),
            relation("product", "maker", "maker"),
            relation("review", "product", "product"),
        ],
        {
            "country": {1: {}, 2: {}},
            "customer": {1: {"country": 1}, 2: {"country": 1}},
            "order": {1: {"customer": 1}, 2: {"customer": 1}, 3: {"customer": 2}},
            "line": {
                1: {"order": 1, "product": 1},
                2: {"order": 2, "product": 2},
                3: {"order": 3, "product": 1},
            },
            "maker": {1: {}, 2: {}},
            "product": {1: {"maker": 1}, 2: {"maker": 1}, 3: {"maker": 2}},
            "review": {1: {"product": 1}, 2: {"product": 3}},
        },
        batch_keys,
    )


CUSTOMERS_OWN = {("customer", 1), ("order", 1), ("order", 2), ("line", 1), ("line", 2)}
CUSTOMERS_SHARED = {("product", 1), ("product", 2), ("maker", 1), ("country", 1)}


def test_what_belongs_comes_with_its_own_and_what_is_pointed_at_alone() -> None:
    closure = shop().walk(("customer", 1))
    assert owned(closure) == CUSTOMERS_OWN
    assert shared(closure) == CUSTOMERS_SHARED
    assert external(closure) == set()
    assert dangling(closure) == {}
    assert closure.row_count == 9
    assert closure.count("w.line") == 2
    assert closure.count("w.line", Status.SHARED) == 0
    assert closure.count("w.product", Status.SHARED) == 2
    assert closure.count("w.review") == 0
    assert [t.name for t in closure.tables()][:2] == ["w.country", "w.customer"]
    # IntegerKeys: 8 bytes a row.
    assert closure.size_bytes == 8 * 9


def test_batches_of_keys_change_nothing() -> None:
    world = shop(batch_keys=1)
    closure = world.walk(("customer", 1))
    assert owned(closure) == CUSTOMERS_OWN
    assert shared(closure) == CUSTOMERS_SHARED
    assert max(world.source.sizes) == 1


def test_connected_takes_the_pointed_at_rows_with_all_theirs() -> None:
    closure = shop().walk(("customer", 1), follow=Follow.CONNECTED)
    # Line 3 points at product 1, order 3 is pointed at by it; customer 2 is another root.
    others = {("review", 1), ("line", 3), ("order", 3), ("country", 1)}
    assert owned(closure) == (CUSTOMERS_OWN | CUSTOMERS_SHARED | others | {("order", 3)})
    assert shared(closure) == {("customer", 2)}


def test_own_takes_what_hangs_on_a_pointed_at_row() -> None:
    closure = shop().walk(("customer", 1), policies={"w.product": Policy.OWN})
    # Not only the line that led to the product: all that point at it.
    assert owned(closure) == CUSTOMERS_OWN | {
        ("product", 1),
        ("product", 2),
        ("review", 1),
        ("line", 3),
    }
    assert ("order", 3) in shared(closure)
    assert ("customer", 2) in shared(closure)


def test_share_is_taken_only_when_pointed_at() -> None:
    closure = shop().walk(("customer", 1), policies={"w.order": Policy.SHARE})
    assert owned(closure) == {("customer", 1)}
    assert shared(closure) == {("country", 1)}
    closure = shop().walk(("line", 1), policies={"w.order": Policy.SHARE})
    assert shared(closure) == {
        ("order", 1),
        ("customer", 1),
        ("country", 1),
        ("product", 1),
        ("maker", 1),
    }


def test_external_is_known_by_its_key_alone() -> None:
    closure = shop().walk(("customer", 1), policies={"w.product": Policy.EXTERNAL})
    assert external(closure) == {("product", 1), ("product", 2)}
    assert shared(closure) == {("country", 1)}


def test_external_rows_do_not_come_because_they_point() -> None:
    closure = shop().walk(("customer", 1), policies={"w.order": Policy.EXTERNAL})
    assert owned(closure) == {("customer", 1)}
    assert external(closure) == set()


def test_taken_row_is_not_external_too() -> None:
    world = World(
        [table("a", "b"), table("b", "a")],
        [relation("a", "b", "b"), relation("b", "a", "a")],
        {"a": {1: {"b": 1}, 2: {"b": 1}}, "b": {1: {"a": 2}}},
    )
    closure = world.walk(("b", 1), ("a", 2), policies={"w.a": Policy.EXTERNAL})
    assert owned(closure) == {("a", 2), ("b", 1)}
    assert external(closure) == set()


def test_skip_takes_nothing_either_way() -> None:
    closure = shop().walk(
        ("customer", 1), policies={"w.product": Policy.SKIP, "w.country": Policy.SKIP}
    )
    assert owned(closure) == CUSTOMERS_OWN
    assert shared(closure) == set()
    closure = shop().walk(("customer", 1), policies={"w.order": Policy.SKIP})
    assert owned(closure) == {("customer", 1)}


@pytest.mark.parametrize(
    ("policy", "owned_lines", "products"),
    [
        (Policy.OWN, {1, 2, 3}, "owned"),
        (Policy.SHARE, {1, 2}, "shared"),
        (Policy.EXTERNAL, {1, 2}, "external"),
        (Policy.SKIP, {1, 2}, "not taken"),
    ],
)
def test_policy_of_a_relation_is_about_that_relation(
    policy: Policy, owned_lines: set[int], products: str
) -> None:
    closure = shop().walk(("customer", 1), policies={"w.line.product": policy})
    places = {
        "owned": owned(closure),
        "shared": shared(closure),
        "external": external(closure),
    }
    both = {("product", 1), ("product", 2)}
    if policy is Policy.EXTERNAL:
        # Followed back it would bring rows in; forward it names what must be there.
        assert owned(closure) == CUSTOMERS_OWN
    assert {key for name, key in owned(closure) if name == "line"} == owned_lines
    assert [name for name, rows in places.items() if both <= rows] == (
        [] if policy is Policy.SKIP else [products]
    )


def test_policy_of_a_relation_wins_over_its_tables() -> None:
    closure = shop().walk(
        ("customer", 1), policies={"w.line": Policy.SKIP, "w.line.order": Policy.OWN}
    )
    assert {("line", 1), ("line", 2)} <= owned(closure)


def test_shared_row_becomes_owned_when_the_walk_finds_that_it_belongs() -> None:
    # The note is pointed at first, and found to belong two levels later.
    world = World(
        [
            table("root", "note"),
            table("step", "root"),
            table("note", "step"),
            table("mark", "note"),
        ],
        [
            relation("root", "note", "note"),
            relation("step", "root", "root"),
            relation("note", "step", "step"),
            relation("mark", "note", "note"),
        ],
        {
            "root": {1: {"note": 1}},
            "step": {1: {"root": 1}},
            "note": {1: {"step": 1}},
            "mark": {1: {"note": 1}},
        },
    )
    closure = world.walk(("root", 1))
    assert owned(closure) == {("root", 1), ("step", 1), ("note", 1), ("mark", 1)}
    assert shared(closure) == set()
    assert closure.count("w.note") == 1


# Rule 4 -----------------------------------------------------------------------------------------


def test_other_rows_of_a_roots_model_come_only_when_pointed_at() -> None:
    world = World(
        [table("user", "boss", "friend"), table("team", "owner"), table("member", "team", "user")],
        [
            relation("team", "owner", "user"),
            relation("member", "team", "team"),
            relation("member", "user", "user"),
        ],
        {
            "user": {1: {}, 2: {}, 3: {}},
            "team": {1: {"owner": 1}, 2: {"owner": 2}},
            "member": {1: {"team": 1, "user": 2}, 2: {"team": 2, "user": 2}},
        },
    )
    for policies in ({}, {"w.user": Policy.OWN}):
        for follow in Follow:
            closure = world.walk(("user", 1), policies=policies, follow=follow)
            assert owned(closure) == {("user", 1), ("team", 1), ("member", 1)}
            assert shared(closure) == {("user", 2)}


def test_root_models_are_kept_out_like_the_roots_own() -> None:
    world = World(
        [table("user", "employer"), table("firm", "founder")],
        [relation("user", "employer", "firm"), relation("firm", "founder", "user")],
        {"firm": {1: {"founder": 3}}, "user": {2: {"employer": 1}, 3: {"employer": None}}},
    )
    assert owned(world.walk(("firm", 1))) == {("firm", 1), ("user", 2)}
    closure = world.walk(("firm", 1), models=["user"])
    assert owned(closure) == {("firm", 1)}
    assert shared(closure) == {("user", 3)}


def test_row_that_leads_up_to_a_root_by_a_self_relation_belongs_to_it() -> None:
    world = World(
        [table("category", "parent", "see"), table("book", "category")],
        [
            relation("category", "parent", "category"),
            relation("category", "see", "category"),
            relation("book", "category", "category"),
        ],
        {
            "category": {
                1: {"parent": 9, "see": 8},
                2: {"parent": 1},
                3: {"parent": 2},
                8: {"parent": 9},
                9: {},
            },
            "book": {1: {"category": 3}, 2: {"category": 8}},
        },
    )
    closure = world.walk(("category", 1))
    assert owned(closure) == {("category", 1), ("category", 2), ("category", 3), ("book", 1)}
    assert shared(closure) == {("category", 8), ("category", 9)}


def test_other_root_by_a_generic_key_is_kept_out() -> None:
    world = World(
        [table("note", "kind", "number", text=["kind"])],
        [generic("note")],
        {"note": {1: {}, 2: {"kind": "note", "number": 1}}},
    )
    assert owned(world.walk(("note", 1))) == {("note", 1)}


# Multi-table inheritance --------------------------------------------------------------------------


def vehicles(**rows: dict[int, dict[str, object]]) -> World:
    return World(
        [
            table("garage"),
            table("vehicle", "garage", "rival"),
            table("car", parents=["vehicle"]),
            table("sportscar", parents=["car"]),
            table("boat", parents=["vehicle"]),
            table("stop", "car", "garage"),
        ],
        [
            relation("vehicle", "garage", "garage"),
            relation("vehicle", "rival", "vehicle"),
            parent("car", "vehicle"),
            parent("sportscar", "car"),
            parent("boat", "vehicle"),
            relation("stop", "car", "car"),
            relation("stop", "garage", "garage"),
        ],
        {
            "garage": {1: {}, 2: {}},
            "vehicle": {
                1: {"garage": 1},
                2: {"garage": 1},
                3: {"garage": 2},
                4: {"garage": 2, "rival": 3},
            },
            "car": {1: {}, 3: {}},
            "sportscar": {1: {}},
            "boat": {2: {}, 4: {}},
            "stop": {1: {"car": 1, "garage": 2}, 2: {"car": 3, "garage": 1}},
            **rows,
        },
    )


def test_parts_of_one_object_share_one_fate() -> None:
    closure = vehicles().walk(("garage", 1))
    assert owned(closure) == {
        ("garage", 1),
        ("vehicle", 1),
        ("car", 1),
        ("sportscar", 1),
        ("vehicle", 2),
        ("boat", 2),
        ("stop", 1),
        ("stop", 2),
    }
    # Pointed at by a stop: the whole object, but nothing that hangs on it.
    assert shared(closure) == {("car", 3), ("vehicle", 3), ("garage", 2)}


@pytest.mark.parametrize("part", ["vehicle", "car", "sportscar"])
def test_any_part_may_be_the_root(part: str) -> None:
    closure = vehicles().walk((part, 1))
    assert owned(closure) == {("vehicle", 1), ("car", 1), ("sportscar", 1), ("stop", 1)}
    assert shared(closure) == {("garage", 1), ("garage", 2)}


def test_child_of_a_root_model_is_another_root() -> None:
    # Stop 2 points at car 3, whose upper part is a vehicle: no root of this walk.
    closure = vehicles().walk(("vehicle", 2), ("garage", 1))
    assert {("vehicle", 1), ("car", 1), ("sportscar", 1)}.isdisjoint(owned(closure))


def test_upper_part_of_another_root_is_kept_out() -> None:
    closure = vehicles().walk(("garage", 1), models=["car"])
    assert owned(closure) == {
        ("garage", 1),
        ("vehicle", 2),
        ("boat", 2),
        ("stop", 2),
    }
    assert shared(closure) == {("car", 3), ("vehicle", 3), ("garage", 2)}


def test_upper_part_of_another_root_is_not_owned_when_pointed_at() -> None:
    closure = vehicles().walk(("boat", 4), policies={"w.vehicle": Policy.OWN}, models=["car"])
    assert owned(closure) == {("boat", 4), ("vehicle", 4)}
    assert shared(closure) == {("vehicle", 3), ("car", 3), ("garage", 2)}


# Relations of every kind ------------------------------------------------------------------------


def test_relation_to_other_columns_than_the_key() -> None:
    world = World(
        [table("species", "code", text=["code"]), table("animal", "species", text=["species"])],
        [relation("animal", "species", "species", to=["code"])],
        {
            "species": {1: {"code": "leo"}, 2: {"code": "lupus"}},
            "animal": {5: {"species": "leo"}, 6: {"species": "leo"}, 7: {"species": "gone"}},
        },
    )
    assert owned(world.walk(("species", 1))) == {("species", 1), ("animal", 5), ("animal", 6)}
    closure = world.walk(("animal", 5), ("animal", 7))
    assert shared(closure) == {("species", 1)}
    assert dangling(closure) == {"w.Animal.species": {"gone"}}


def test_composite_keys() -> None:
    world = World(
        [
            table("cage", key=["house", "number"]),
            table("plate", "house", "number"),
            table("house"),
        ],
        [
            relation("cage", "house", "house"),
            relation(
                "plate",
                "cage",
                "cage",
                columns=["house", "number"],
                to=["house", "number"],
            ),
        ],
        {
            "house": {1: {}},
            "cage": {(1, 1): {}, (1, 2): {}, (2, 1): {}},
            "plate": {
                1: {"house": 1, "number": 2},
                2: {"house": 2, "number": None},
                3: {"house": 7, "number": 7},
            },
        },
    )
    closure = world.walk(("cage", (1, 2)))
    assert owned(closure) == {("cage", (1, 2)), ("plate", 1)}
    closure = world.walk(("plate", 1), ("plate", 2), ("plate", 3))
    assert shared(closure) == {("cage", (1, 2)), ("house", 1)}
    assert dangling(closure) == {"w.Plate.cage": {(7, 7)}}


def notes() -> World:
    return World(
        [
            table("animal"),
            table("plant"),
            table("note", "kind", "number", text=["kind"]),
            table("wordy", "kind", "number", text=["kind", "number"]),
        ],
        [generic("note"), generic("wordy")],
        {
            "animal": {1: {}, 2: {}},
            "plant": {1: {}},
            "note": {
                1: {"kind": "animal", "number": 1},
                2: {"kind": "plant", "number": 1},
                3: {"kind": "note", "number": 1},
                4: {"kind": "animal", "number": 99},
                5: {"kind": "vanished", "number": 1},
                6: {"kind": "animal", "number": None},
                7: {"kind": None, "number": 1},
            },
            "wordy": {
                1: {"kind": "animal", "number": "1"},
                2: {"kind": "animal", "number": "no number"},
            },
        },
    )


def test_generic_keys_are_followed_back() -> None:
    closure = notes().walk(("animal", 1))
    assert owned(closure) == {("animal", 1), ("note", 1), ("note", 3), ("wordy", 1)}


def test_generic_keys_are_followed_forward() -> None:
    closure = notes().walk(*[("note", n) for n in range(1, 8)], ("wordy", 1), ("wordy", 2))
    assert shared(closure) == {("animal", 1), ("plant", 1)}
    assert dangling(closure) == {
        "w.Note.target": {("animal", 99), ("vanished", 1)},
        "w.Wordy.target": {("animal", "no number")},
    }


def test_generic_key_heeds_the_policy_of_what_it_points_at() -> None:
    closure = notes().walk(
        ("note", 1), ("note", 2), policies={"w.animal": Policy.EXTERNAL, "w.plant": Policy.SKIP}
    )
    assert external(closure) == {("animal", 1)}
    assert shared(closure) == set()


def test_pointer_to_nothing_is_remembered_once() -> None:
    world = World(
        [table("a", "b"), table("b")],
        [relation("a", "b", "b")],
        {"a": {n: {"b": 7} for n in range(1, 5)}, "b": {1: {}}},
        batch_keys=2,
    )
    closure = world.walk(*[("a", n) for n in range(1, 5)])
    assert dangling(closure) == {"w.A.b": {7}}
    assert len(closure.dangling["w.A.b"]) == 1


# Cost -------------------------------------------------------------------------------------------


def chain(length: int) -> World:
    return World(
        [table("link", "before")],
        [relation("link", "before", "link")],
        {"link": {n: {"before": n - 1 or None} for n in range(1, length + 1)}},
    )


class ChainSource(DictSource):
    """Finds rows of a chain without looking at every one."""

    def pointing(self, relation: Relation, target: str, keys: Sequence[Key]) -> list[Key]:
        rows = self.rows["w.link"]
        return [key + 1 for key in keys if isinstance(key, int) and key + 1 in rows]

    def resolve(
        self, table: str, columns: Sequence[str], values: Sequence[Value]
    ) -> list[tuple[Value, Key]]:
        return [(value, value) for value in values if value in self.rows["w.link"]]


def test_chain_is_walked_without_recursion() -> None:
    world = chain(10_000)
    world.source = ChainSource(world.graph, world.source.rows)
    closure = world.walk(("link", 1))
    assert closure.count("w.link", Status.OWNED) == 10_000
    closure = world.walk(("link", 10_000))
    assert closure.count("w.link", Status.OWNED) == 1
    assert closure.count("w.link", Status.SHARED) == 9_999


def test_questions_are_asked_per_relation_level_and_batch_not_per_row() -> None:
    def world(rows: int, batch_keys: int) -> World:
        return World(
            [table("root"), table("item", "root", "thing"), table("thing")],
            [relation("item", "root", "root"), relation("item", "thing", "thing")],
            {
                "root": {1: {}},
                "item": {n: {"root": 1, "thing": n} for n in range(1, rows + 1)},
                "thing": {n: {} for n in range(1, rows + 1)},
            },
            batch_keys,
        )

    few, many = world(10, 1_000), world(900, 1_000)
    few.walk(("root", 1))
    many.walk(("root", 1))
    # Who points at the root, and at what else; which of that is there; who points at the items:
    # nobody can.
    assert few.source.asked == {("pointing", "w.Item.root"): 1, ("standing", "w.thing"): 1}
    assert many.source.asked == few.source.asked

    batched = world(900, 300)
    batched.walk(("root", 1))
    assert batched.source.asked == {
        ("pointing", "w.Item.root"): 1,
        ("standing", "w.thing"): 3,
    }


def test_rows_that_are_taken_are_not_looked_for_again() -> None:
    world = World(
        [table("root"), table("item", "root", "other_root")],
        [relation("item", "root", "root"), relation("item", "other_root", "root")],
        {"root": {1: {}}, "item": {n: {"root": 1, "other_root": 1} for n in range(1, 50)}},
    )
    world.walk(("root", 1))
    # But for the root itself, to see where it points.
    assert {question for question, _ in world.source.asked} == {"pointing"}


@pytest.mark.parametrize(("known", "is_asked"), [(15, False), (16, True)])
def test_where_few_of_an_answer_are_new_is_asked_anew(known: int, is_asked: bool) -> None:
    # All items point at the one part; all but one at the root, too.
    items = {n: {"part": 1, "root": 1, "thing": n} for n in range(1, known + 1)}
    world = World(
        [
            table("root"),
            table("part", "root"),
            table("item", "root", "part", "thing"),
            table("thing"),
        ],
        [
            relation("part", "root", "root"),
            relation("item", "root", "root"),
            relation("item", "part", "part"),
            relation("item", "thing", "thing"),
        ],
        {
            "root": {1: {}},
            "part": {1: {"root": 1}},
            "item": {**items, 100: {"part": 1, "thing": 100}},
            "thing": {n: {} for n in [*items, 100]},
        },
    )
    closure = world.walk(("root", 1))
    every = [*items, 100]
    assert owned(closure) == {("root", 1), ("part", 1), *(("item", n) for n in every)}
    assert shared(closure) == {("thing", n) for n in every}
    assert world.source.asked["standing", "w.item"] == is_asked


def test_walk_from_nothing_takes_nothing() -> None:
    closure = shop().walk()
    assert closure.row_count == 0
    assert closure.tables() == []
    assert closure.size_bytes == 0
