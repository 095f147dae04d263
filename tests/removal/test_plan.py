"""What goes, what changes, what stays, and what blocks: is it what the rules say, row by row?"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from gestore.rows import Key
from gestore.walk.keys import KeySet
from tests.walk.small_world import owned
from tests.walk.test_rules import Place, Trip

from .site import Project, Rules, removals


def keys_of(keys: KeySet) -> set[Key]:
    return {key for batch in keys.batches(100) for key in batch}


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(trip=removals())
def test_plan_keeps_the_rules(trip: Trip) -> None:
    assert isinstance(trip.world, Project)
    rules = Rules(trip.world, trip.roots, set(trip.models), trip.follow, trip.policies)
    removal = trip.world.plan(
        *trip.roots, follow=trip.follow, policies=trip.policies, models=sorted(trip.models)
    )
    assert owned(removal.closure) == rules.going
    changed = {relation.name: keys_of(keys) for relation, keys in removal.changed.items()}
    assert changed == rules.changed()
    found: dict[str, set[object]] = {"blocker": set(), "left-dangling": set(), "stays": set()}
    for finding in removal.findings:
        told: object = finding.subject
        if finding.code == "blocker":
            assert finding.details is not None
            told = (finding.details["relation"], finding.subject, finding.details["points_at"])
        found[finding.code].add(told)
    assert found["blocker"] == {
        (name, text(source), text(place)) for name, source, place in rules.blocked()
    }
    assert found["left-dangling"] == rules.left_dangling()
    # Who needs what stays is somebody who stays.
    for reason in removal.survivors.reasons:
        assert place_of(reason.table, reason.key) not in rules.going
        assert place_of(reason.other_table, reason.other_key) not in rules.going
    # Nothing of anyone else's is harmed: what goes without belonging to a root, nobody points at.
    for relation, _, place in rules.pointers():
        assert place in rules.sure or relation.name in rules.left_dangling()


def place_of(name: str, key: Key) -> Place:
    return name.removeprefix("w."), key


def text(place: Place) -> str:
    return f"w.{place[0].capitalize()}.{place[1]}"
