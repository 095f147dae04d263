"""Whatever points at what: is the archive closed, and does exactly that arrive?"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from django.db import models
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import gestore
from gestore import Follow, Policy
from tests.journeys import archives
from tests.journeys.trips import load
from tests.zoo import compare
from tests.zoo import models as zoo
from tests.zoo.emptying import empty
from tests.zoo.inserting import circles_allowed, inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)

Model = type[models.Model]
MENAGERIE_TAGS = zoo.Menagerie.tags.through
ANIMAL_TAGS = zoo.Animal.tags.through


@dataclass(frozen=True)
class Pointer:
    """A foreign key, as the models say it; written down here so that nothing asks Gestore."""

    target: Model
    empty: bool = False
    unique: bool = False


# Who points at whom: alone, in circles, at its own table, twice, by one-to-one and many-to-many.
POINTERS: dict[Model, dict[str, Pointer]] = {
    zoo.Menagerie: {},
    zoo.Tag: {},
    zoo.Species: {},
    zoo.Team: {"menagerie": Pointer(zoo.Menagerie)},
    zoo.Match: {"home": Pointer(zoo.Team), "away": Pointer(zoo.Team)},
    zoo.SelfChain: {
        "menagerie": Pointer(zoo.Menagerie, empty=True),
        "parent": Pointer(zoo.SelfChain, empty=True),
    },
    zoo.Loan: {"menagerie": Pointer(zoo.Menagerie), "borrower": Pointer(zoo.Menagerie)},
    zoo.Enclosure: {"menagerie": Pointer(zoo.Menagerie)},
    zoo.Animal: {
        "enclosure": Pointer(zoo.Enclosure),
        "species": Pointer(zoo.Species),
        "mother": Pointer(zoo.Animal, empty=True),
    },
    zoo.Passport: {
        "animal": Pointer(zoo.Animal, empty=True, unique=True),
        "menagerie": Pointer(zoo.Menagerie),
    },
    zoo.Land: {
        "menagerie": Pointer(zoo.Menagerie),
        "capital": Pointer(zoo.Capital, empty=True, unique=True),
    },
    zoo.Capital: {"land": Pointer(zoo.Land)},
    MENAGERIE_TAGS: {"menagerie": Pointer(zoo.Menagerie), "tag": Pointer(zoo.Tag, unique=True)},
    ANIMAL_TAGS: {"animal": Pointer(zoo.Animal), "tag": Pointer(zoo.Tag, unique=True)},
    zoo.NoteByInteger: {},
}
ANNOTATED = (zoo.Menagerie, zoo.Team, zoo.SelfChain, zoo.Animal, zoo.NoteByInteger, zoo.Tag)
SELF_POINTING = (zoo.SelfChain, zoo.Animal)
MODELS = {model._meta.label_lower: model for model in POINTERS}

Key = tuple[Model, int]


@dataclass(frozen=True)
class Graph:
    """Rows with their pointers as keys; of a note, the row that it is on."""

    rows: dict[Key, dict[str, int | None]]
    notes: dict[int, Key | None]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    counts = {model: draw(st.integers(0, 3), label=model._meta.label) for model in POINTERS}
    counts[zoo.Menagerie] += 1
    for _ in POINTERS:  # who has nobody to point at is not there, nor who points at them
        for model, pointers in POINTERS.items():
            if any(not counts[p.target] and not p.empty for p in pointers.values()):
                counts[model] = 0
    rows: dict[Key, dict[str, int | None]] = {}
    for model, pointers in POINTERS.items():
        taken: dict[str, set[int]] = {name: set() for name in pointers}
        for key in range(1, counts[model] + 1):
            values = {
                name: draw(_keys(pointer, counts, taken[name]))
                for name, pointer in pointers.items()
            }
            if any(values[name] is None and not p.empty for name, p in pointers.items()):
                continue
            for name, value in values.items():
                if value is not None:
                    taken[name].add(value)
            rows[model, key] = values
    notable = [key for key in rows if key[0] in ANNOTATED]
    notes = {
        key: draw(st.none() | st.sampled_from(notable))
        for model, key in rows
        if model is zoo.NoteByInteger
    }
    return Graph(_without_lost(rows), notes)


def _keys(pointer: Pointer, counts: dict[Model, int], taken: set[int]) -> st.SearchStrategy[Any]:
    free = [
        key for key in range(1, counts[pointer.target] + 1) if not (pointer.unique and key in taken)
    ]
    if not free:
        return st.none()
    return st.none() | st.sampled_from(free) if pointer.empty else st.sampled_from(free)


def _without_lost(rows: dict[Key, dict[str, int | None]]) -> dict[Key, dict[str, int | None]]:
    """Some rows were not drawn after all: empty the pointers at them, or leave those out too."""
    while True:
        kept: dict[Key, dict[str, int | None]] = {}
        for (model, key), values in rows.items():
            mended = {
                name: value if (POINTERS[model][name].target, value) in rows else None
                for name, value in values.items()
            }
            if all(mended[n] is not None or p.empty for n, p in POINTERS[model].items()):
                kept[model, key] = mended
        if kept == rows:
            return rows
        rows = kept


def put(
    graph: Graph, using: str = "default", numbers: Mapping[Key, int] = MappingProxyType({})
) -> None:
    """Puts the rows in; `numbers` are those in a row's text where they are not its key."""

    def words(model: Model, key: int | None) -> str:
        return f"{model.__name__} {key if key is None else numbers.get((model, key), key)}"

    texts = {zoo.Tag: "label", zoo.Passport: "number", zoo.Species: "code"}
    with inserting(using) as inserter, circles_allowed(inserter):
        for (model, key), pointers in graph.rows.items():
            values: dict[str, Any] = dict(pointers)
            names = {field.name for field in model._meta.local_concrete_fields}
            name = texts.get(model, "name")
            if name in names:
                values[name] = words(model, key)
            if model is zoo.Animal:
                values["species"] = words(zoo.Species, pointers["species"])
            if model is zoo.Menagerie:
                values["opened"] = datetime(2024, 1, 1, 0, 0, 0, key, tzinfo=UTC)
            on = graph.notes.get(key) if model is zoo.NoteByInteger else None
            if on is not None and on in graph.rows:
                values |= {"content_type": inserter.content_type(on[0]), "object_id": on[1]}
            inserter.put(model, id=key, **values)


def pointed_at(graph: Graph, row: Key) -> Iterator[tuple[str, Key]]:
    """(field, row) for every pointer of the row that is not empty."""
    model, key = row
    for name, value in graph.rows[row].items():
        if value is not None:
            yield name, (POINTERS[model][name].target, value)
    on = graph.notes.get(key) if model is zoo.NoteByInteger else None
    if on is not None and on in graph.rows:
        yield "target", on


@st.composite
def walks(draw: st.DrawFn) -> tuple[Graph, Key, dict[str, Any]]:
    """A graph, a root in it, and how to walk from there."""
    graph = draw(graphs())
    labels = st.sampled_from([model._meta.label for model in POINTERS])
    policy = st.sampled_from([Policy.OWN, Policy.SHARE, Policy.SKIP])
    root = draw(st.sampled_from(sorted(graph.rows, key=lambda key: (key[0]._meta.label, key[1]))))
    return graph, root, {
        "follow": draw(st.sampled_from(Follow)),
        "policies": draw(st.dictionaries(labels, policy, max_size=3)),
        "roots": draw(st.lists(labels, max_size=1)),
    }  # fmt: skip


@given(walk=walks())
@settings(
    max_examples=25 if os.environ.get("CI") else 40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_archive_is_closed_and_arrives(walk: tuple[Graph, Key, dict[str, Any]]) -> None:
    graph, root, options = walk
    try:
        put(graph)
        with tempfile.TemporaryDirectory() as folder:
            _check(graph, root, options, str(Path(folder) / "walk.json"))
    finally:
        empty("default")
        empty("target")


def _check(graph: Graph, root: Key, options: dict[str, Any], archive: str) -> None:
    skipped = {label for label, policy in options["policies"].items() if policy is Policy.SKIP}
    reference = f"{root[0]._meta.label}.{root[1]}"
    try:
        gestore.export_objects([reference], archive, gestore.WalkOptions(**options))
    except gestore.Refused as refusal:
        event("refused")
        errors = [f for f in refusal.findings if f.severity is gestore.Severity.ERROR]
        assert {finding.code for finding in errors} == {"skipped-required"}
        assert skipped
        return
    event(f"arrived, {options['follow'].value}")
    found = archives.rows(archive)
    taken = {(MODELS[row["model"]], row["pk"]): row.get("shared", False) for row in found}
    assert len(taken) == len(found)
    assert taken[root] is False
    for row in taken:
        for name, target in pointed_at(graph, row):
            assert target in taken or target[0]._meta.label in skipped, (row, name, target)
    # Other rows of the root's model are nobody's here, but for those that hang on it.
    if root[0] not in SELF_POINTING:
        assert all(shared for row, shared in taken.items() if row[0] is root[0] and row != root)

    imported = load(archive)
    assert imported.loaded_count == len(taken)
    here, there = compare.dump("default", POINTERS), compare.dump("target", POINTERS)
    arrived = {(MODELS[label.lower()], int(key)) for label, lot in there.items() for key in lot}
    assert arrived == taken.keys()
    for model, key in taken:
        label = model._meta.label
        expected = dict(here[label][str(key)])
        for name, target in pointed_at(graph, (model, key)):
            if target[0]._meta.label in skipped:
                names = ["content_type_id", "object_id"] if name == "target" else [f"{name}_id"]
                expected |= dict.fromkeys(names)
        assert dict(there[label][str(key)]) == expected
    assert load(archive).loaded_count == 0
