"""Whatever points at what: does what was planned go and come back, and is nobody harmed?"""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import gestore
from gestore import Follow, Policy, Severity
from tests.journeys import removals
from tests.journeys.test_random_graphs import POINTERS, Graph, Key, graphs, put
from tests.zoo import compare
from tests.zoo import models as zoo
from tests.zoo.emptying import empty
from tests.zoo.inserting import Placed

pytestmark = pytest.mark.django_db(databases=["default"], transaction=True)

# What does not let go of what it points at, unless it goes too; what lets go by pointing nowhere.
PROTECTING = {"zoo.Animal.species"}
EMPTIED = {"zoo.Animal.mother": "mother_id", "zoo.Land.capital": "capital_id"}


@st.composite
def removals_of_rows(draw: st.DrawFn) -> tuple[Graph, list[Key], dict[str, Any]]:
    """A graph, what is to go, and what is said of other models."""
    graph = draw(graphs())
    labels = st.sampled_from([model._meta.label for model in POINTERS])
    policy = st.sampled_from([Policy.OWN, Policy.OWN, Policy.OWN, Policy.SHARE, Policy.SKIP])
    rows = sorted(graph.rows, key=lambda key: (key[0]._meta.label, key[1]))
    roots = draw(st.lists(st.sampled_from(rows), min_size=1, max_size=2, unique=True))
    return graph, roots, {
        "follow": draw(st.sampled_from(Follow)),
        "policies": draw(st.dictionaries(labels, policy, max_size=4)),
        "roots": draw(st.lists(labels, max_size=1)),
    }  # fmt: skip


@given(removal=removals_of_rows())
@settings(
    max_examples=20 if os.environ.get("CI") else 40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_was_planned_goes_and_comes_back(
    removal: tuple[Graph, list[Key], dict[str, Any]],
) -> None:
    graph, roots, options = removal
    try:
        put(graph)
        with tempfile.TemporaryDirectory() as folder:
            _check([Placed(*root) for root in roots], options, str(Path(folder) / "gone.json"))
    finally:
        empty("default")


def _check(roots: list[Placed], options: dict[str, Any], archive: str) -> None:
    before = compare.dump("default", POINTERS)
    planned = removals.plan(*roots, **options)
    try:
        report = removals.delete(*roots, archive=archive, **options)
    except gestore.Refused as refusal:
        event("blocked")
        assert compare.difference(before, compare.dump("default", POINTERS)) == []
        assert not Path(archive).exists()
        _is_blocked_with_reason(refusal, options)
        return
    event(f"went, {options['follow'].value}, {len(report.plan.staying_by_model) > 0} stay")
    after = compare.dump("default", POINTERS)
    lost = {name: lot.keys() - after[name].keys() for name, lot in before.items()}
    counts = {name: len(keys) for name, keys in lost.items() if keys}
    assert counts == report.removed_by_model == planned.removed_by_model
    assert counts == removals.archived(archive, owned=True)
    for root in roots:
        assert str(root.key) in lost[root.model._meta.label]
    # Of what is left, only the pointers that the plan said are others, and they are empty.
    expected = removals.without(before, {n: {k: before[n][k] for k in lost[n]} for n in before})
    changed = {line.partition(": ")[0] for line in compare.difference(expected, after)}
    told = {name: column for name, column in EMPTIED.items() if name in planned.changed_by_relation}
    assert {_relation(line) for line in changed} == set(told)
    assert len(changed) == sum(planned.changed_by_relation.values())
    for line in changed:
        label, key, column = line.split(" ")
        assert dict(after[label][key])[column] is None
    skipped = {name for name, policy in options["policies"].items() if policy is Policy.SKIP}
    assert [one for one in removals.dangling() if one.partition(".target")[0] not in skipped] == []
    gestore.import_objects(archive)
    lines = compare.difference(before, compare.dump("default", POINTERS))
    # An import empties pointers to what was skipped, though that was not removed.
    assert [line for line in lines if not _is_at_skipped(line, skipped)] == []


def _relation(line: str) -> str:
    label, _, column = line.split(" ")
    return f"{label}.{column.removesuffix('_id')}"


def _is_at_skipped(line: str, skipped: set[str]) -> bool:
    label, _, column = line.partition(": ")[0].split(" ")
    (model,) = [model for model in POINTERS if model._meta.label == label]
    if model is zoo.NoteByInteger:
        return bool(skipped) and line.endswith("!= None")
    pointer = POINTERS[model].get(column.removesuffix("_id"))
    return pointer is not None and pointer.target._meta.label in skipped


def _is_blocked_with_reason(refusal: gestore.Refused, options: dict[str, Any]) -> None:
    kept = {n for n, p in options["policies"].items() if p in (Policy.SHARE, Policy.SKIP)}
    for finding in refusal.findings:
        if finding.severity is Severity.WARNING:
            continue
        if finding.code == "skipped-required":
            assert kept
            continue
        assert finding.details is not None
        relation, why = str(finding.details["relation"]), str(finding.details["why"])
        label = relation.rpartition(".")[0]
        is_root = label in options["roots"] or "roots of their own" in why
        assert relation in PROTECTING or label in kept or is_root, str(finding)
