"""Whatever meets whatever, under whatever strategy: is each archived row represented, is nobody
else's row touched, and does no pointer lead to a stranger?"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import gestore
from gestore import Policy, Severity, Strategy
from tests.journeys.key_maps import KeyMap, joined, replaced, text, translated
from tests.journeys.test_random_graphs import (
    ANIMAL_TAGS,
    MENAGERIE_TAGS,
    POINTERS,
    Graph,
    Key,
    graphs,
    put,
)
from tests.journeys.trips import load
from tests.zoo import compare
from tests.zoo.emptying import empty

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)

LABELS = [model._meta.label for model in POINTERS]
PAIRS = {model._meta.label_lower for model in (MENAGERIE_TAGS, ANIMAL_TAGS)}


@dataclass(frozen=True)
class Encounter:
    """What is archived, what is there already, and what is to be done."""

    there: Graph
    here: Graph
    # The number in the text of a row here: with that of another row there, its value is taken.
    numbers: dict[Key, int]
    policies: dict[str, Policy]
    options: dict[str, Any]


@st.composite
def encounters(draw: st.DrawFn) -> Encounter:
    there, here = draw(graphs()), draw(graphs())
    numbers: dict[Key, int] = {}
    for model in POINTERS:
        keys = [key for key in here.rows if key[0] is model]
        drawn = draw(st.permutations(range(1, 2 * len(keys) + 1)))
        numbers |= dict(zip(keys, drawn, strict=False))
    strategy, labels = st.sampled_from(Strategy), st.sampled_from(LABELS)
    shared = draw(st.lists(labels, max_size=2))
    return Encounter(
        there,
        here,
        numbers if draw(st.booleans()) else {},
        dict.fromkeys(shared, Policy.SHARE),
        {
            "on_conflict": draw(strategy),
            "strategies": draw(st.dictionaries(labels, strategy, max_size=4)),
        },
    )


@given(encounter=encounters())
@settings(
    max_examples=25 if os.environ.get("CI") else 40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@override_settings(GESTORE={"ALLOW_OVERRIDE": True})
def test_nobody_is_harmed(encounter: Encounter) -> None:
    with encountered(encounter, "walk.json") as archive:
        _check(encounter, archive)


@contextmanager
def encountered(encounter: Encounter, name: str = "walk.jsonl") -> Iterator[str]:
    """Inside, both sites have their rows, and the archive is written; afterwards they are empty."""
    try:
        put(encounter.there)
        put(encounter.here, "target", encounter.numbers)
        with tempfile.TemporaryDirectory() as folder:
            archive = str(Path(folder) / name)
            options = gestore.WalkOptions(policies=encounter.policies)
            gestore.export_objects(["zoo.Menagerie.1"], archive, options)
            yield archive
    finally:
        empty("default")
        empty("target")


def _check(encounter: Encounter, archive: str) -> None:
    there, before = _dump("default"), _dump("target")
    written = f"{archive}.keys"
    try:
        load(archive, keymap=written, verify=True, **encounter.options)
    except gestore.Refused as refusal:
        event("refused")
        assert {f.severity for f in refusal.findings} == {Severity.CONFLICT}
        assert compare.difference(before, _dump("target")) == []
        return
    keymap, after = KeyMap.read(written), _dump("target")
    event("arrived, " + " ".join(sorted(set(keymap.outcomes.values()))))

    def became(outcome: str) -> compare.Dump:
        return translated(there, keymap, outcome=outcome, after=after)

    expected = replaced(joined(before, became("loaded")), became("overridden"))
    assert compare.difference(expected, after) == []
    for (model, key), outcome in keymap.outcomes.items():
        if outcome in ("kept", "here", "overridden"):
            rows = {label.lower(): rows for label, rows in before.items()}[model]
            assert text(keymap.targets[model, key]) in rows, (model, key, outcome)
        if model in PAIRS:
            # Nobody's pair stands for another, or gives way to it.
            assert outcome in ("loaded", "here")
    here = became("here")
    assert compare.difference(here, _only(after, here)) == []
    if Strategy.KEEP not in (encounter.options["on_conflict"], *encounter.options[
        "strategies"
    ].values()):  # fmt: skip
        assert "kept" not in keymap.outcomes.values() or encounter.policies
    again = load(archive, **encounter.options)
    assert again.loaded_count == 0
    assert compare.difference(after, _dump("target")) == []


def _dump(using: str) -> compare.Dump:
    return compare.dump(using, POINTERS)


def _only(dump: compare.Dump, other: compare.Dump) -> compare.Dump:
    """Of the dump the rows that the other has too."""
    return {
        label: {key: row for key, row in dump[label].items() if key in rows}
        for label, rows in other.items()
    }
