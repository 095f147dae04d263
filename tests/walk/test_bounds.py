"""Does the walk keep within the bounds that a removal sets, row by row?"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gestore.rows import Key
from gestore.schema.policy import Follow
from gestore.walk.closure import Closure
from gestore.walk.keys import KeySet, empty_keys
from gestore.walk.walker import Bounds, Roots, walk
from tests.removal.site import GOING, Bounded, Project, as_policies, pointing, removals

from .small_world import owned, shared, table
from .test_rules import Place, Trip


def sets(project: Project, places: set[Place]) -> dict[str, KeySet]:
    found: dict[str, KeySet] = {}
    for name, key in places:
        label = f"w.{name}"
        found.setdefault(label, empty_keys(project.graph.tables[label])).add([key])
    return found


def bounded(
    project: Project,
    *roots: Place,
    owns_forward: bool = True,
    staying: set[Place] | None = None,
    shared_first: set[Place] | None = None,
    follow: Follow = Follow.OWNED,
    trip: Trip | None = None,
) -> Closure:
    keys: dict[str, list[Key]] = {}
    for name, key in roots:
        keys.setdefault(f"w.{name}", []).append(key)
    models = frozenset(f"w.{name}" for name in trip.models) if trip else frozenset()
    return walk(
        project.graph,
        Roots(keys, models),
        as_policies(trip.policies if trip else {}),
        follow,
        project.source,
        bounds=Bounds(
            lambda relation: relation.on_delete in GOING,
            owns_forward=owns_forward,
            staying=sets(project, staying or set()),
            shared=sets(project, shared_first or set()),
        ),
    )


@st.composite
def bounds(draw: st.DrawFn) -> tuple[Trip, bool, set[Place], set[Place]]:
    trip = draw(removals())
    places = [
        (name, key) for name, rows in trip.world.rows.items() for key in rows
        if (name, key) not in trip.roots
    ]  # fmt: skip
    some = st.sets(st.sampled_from(places), max_size=4) if places else st.just(set[Place]())
    return trip, draw(st.booleans()), draw(some), draw(some)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(given_bounds=bounds())
def test_walk_keeps_the_bounds(given_bounds: tuple[Trip, bool, set[Place], set[Place]]) -> None:
    trip, owns_forward, staying, shared_first = given_bounds
    assert isinstance(trip.world, Project)
    closure = bounded(
        trip.world,
        *trip.roots,
        owns_forward=owns_forward,
        staying=staying,
        shared_first=shared_first,
        follow=trip.follow,
        trip=trip,
    )
    expected = Bounded(
        trip.world,
        list(trip.roots),
        set(trip.models),
        trip.follow,
        trip.policies,
        owns_forward=owns_forward,
        staying=staying,
        shared_first=shared_first,
    ).run()
    assert owned(closure) == expected.owned
    assert shared(closure) == expected.shared


def library() -> Project:
    """Two books of one author, with a review and a loan each; the author has a page."""
    return Project(
        [
            table("author"),
            table("page", "author"),
            table("book", "author"),
            table("review", "book"),
            table("loan", "book"),
        ],
        [
            pointing("book", "author", "author", "PROTECT"),
            pointing("page", "author", "author"),
            pointing("review", "book", "book"),
            pointing("loan", "book", "book", "PROTECT"),
        ],
        {
            "author": {1: {}},
            "page": {1: {"author": 1}},
            "book": {1: {"author": 1}, 2: {"author": 1}},
            "review": {1: {"book": 1}, 2: {"book": 2}},
            "loan": {1: {"book": 1}},
        },
    )


def test_only_what_cascades_comes_back() -> None:
    closure = bounded(library(), ("book", 1))
    assert owned(closure) == {("book", 1), ("review", 1)}
    assert shared(closure) == {("author", 1)}


def test_what_is_pointed_at_is_owned_only_where_that_is_so() -> None:
    connected = bounded(library(), ("book", 1), follow=Follow.CONNECTED)
    assert owned(connected) == {("book", 1), ("review", 1), ("author", 1), ("page", 1)}
    sure = bounded(library(), ("book", 1), follow=Follow.CONNECTED, owns_forward=False)
    assert (owned(sure), shared(sure)) == ({("book", 1), ("review", 1)}, {("author", 1)})


def test_what_stays_is_shared_and_brings_nothing() -> None:
    closure = bounded(library(), ("book", 1), follow=Follow.CONNECTED, staying={("author", 1)})
    assert owned(closure) == {("book", 1), ("review", 1)}
    assert shared(closure) == {("author", 1)}


def test_what_is_shared_from_the_start_brings_what_it_points_at() -> None:
    closure = bounded(library(), ("book", 1), shared_first={("review", 2)})
    assert owned(closure) == {("book", 1), ("review", 1)}
    assert shared(closure) == {("author", 1), ("review", 2), ("book", 2)}
