"""Is a manifest read as it was written, and refused where it is odd?"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gestore.archive.manifest import FORMAT_VERSION, Manifest, read_manifest
from gestore.errors import ArchiveDamaged, ArchiveError, ArchiveTooNew, NotAnArchive

from .archives import MANIFEST

ODD: tuple[Any, ...] = (None, True, 7, -1.5, "text", [], [7], {}, {"a": 7}, [["a"]])


def members(manifest: Manifest = MANIFEST) -> dict[str, Any]:
    return json.loads(json.dumps(manifest.as_json()))  # type: ignore[no-any-return]


def test_what_is_written_is_read() -> None:
    assert read_manifest("x", members()) == MANIFEST
    assert MANIFEST.row_count == 3


def test_provenance_may_be_left_out() -> None:
    manifest = replace(MANIFEST, host_name="", ip_address="", libraries={})
    written = members(manifest)
    assert {"host_name", "ip_address", "libraries"}.isdisjoint(written)
    assert read_manifest("x", written) == manifest


def test_later_format_is_refused_with_what_to_do() -> None:
    with pytest.raises(ArchiveTooNew, match=rf"of format {FORMAT_VERSION + 1}; .*up to") as caught:
        read_manifest("x", {**members(), "format_version": FORMAT_VERSION + 1})
    assert "pip install -U" in caught.value.hint
    # Whatever else such a manifest holds.
    with pytest.raises(ArchiveTooNew):
        read_manifest("x", {"format_version": 99, "provided_objects": {}})


@pytest.mark.parametrize("version", ["2", 2.0, None, True, [], 0, -1])
def test_odd_format_version_is_damage(version: Any) -> None:
    with pytest.raises(ArchiveDamaged, match="format_version"):
        read_manifest("x", {**members(), "format_version": version})


def test_document_without_objects_to_provide_is_another() -> None:
    with pytest.raises(NotAnArchive, match="provided_objects"):
        read_manifest("x", {"format_version": 2, "type": "FeatureCollection"})


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in members()
        if n not in ("host_name", "ip_address", "libraries", "format_version", "provided_objects")
    ],
)
def test_member_that_is_missing_is_damage(name: str) -> None:
    lacking = {n: value for n, value in members().items() if n != name}
    with pytest.raises(ArchiveDamaged, match=f"lacks '{name}'"):
        read_manifest("x", lacking)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        children = enumerate(value)
    for name, child in children:
        yield from places(child, (*path, name))


@pytest.mark.parametrize("path", [p for p in places(members()) if p], ids=str)
def test_odd_value_is_refused_or_does_no_harm(path: tuple[Any, ...]) -> None:
    for odd in ODD:
        changed = copy.deepcopy(members())
        holder = changed
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = odd
        try:
            manifest = read_manifest("x", changed)
        except ArchiveError:
            continue
        check_types(manifest)


def check_types(manifest: Manifest) -> None:
    """What the rest of the program relies on."""
    for text in (manifest.version, manifest.date, manifest.follow, manifest.time_zone):
        assert isinstance(text, str)
    assert isinstance(manifest.use_tz, bool)
    assert all(isinstance(text, str) for text in manifest.provided_objects)
    for mapping in (manifest.policies, manifest.libraries):
        assert all(isinstance(text, str) for pair in mapping.items() for text in pair)
    assert isinstance(manifest.row_count, int)
    for entry in manifest.tables.values():
        assert all(type(n) is int for n in (entry.rows, entry.shared))
        texts = (entry.label, entry.migration, entry.policy, *entry.key)
        assert all(isinstance(text, str) for text in texts)
        for column in entry.columns.values():
            assert isinstance(column.kind, str)
            assert isinstance(column.type, str)
            assert isinstance(column.null, bool)
    for row in manifest.external:
        assert isinstance(row.model, str)
        assert isinstance(row.pk, str | int | list)
        assert row.natural_key is None or isinstance(row.natural_key, list)


# The original's documents -----------------------------------------------------------------------

ORIGINAL = {
    "version": "0.9.1",
    "date": "2020-01-01 10:00:00",
    "host_name": "host",
    "ip_address": "192.0.2.1",
    "provided_objects": ["library.Book.1"],
    "libraries": ["Django==2.2", "odd line", "six==1.0"],
}


def test_document_without_a_format_version_is_the_originals() -> None:
    manifest = read_manifest("x", ORIGINAL)
    assert manifest.format_version == 1
    assert manifest.version == "0.9.1"
    assert manifest.provided_objects == ("library.Book.1",)
    assert manifest.libraries == {"Django": "2.2", "odd line": "", "six": "1.0"}
    assert manifest.tables == {}
    assert manifest.external == ()


def test_original_may_say_less_and_otherwise() -> None:
    manifest = read_manifest(
        "x", {"version": 1, "provided_objects": "library.Book.1", "libraries": {"Django": "2.2"}}
    )
    assert manifest.provided_objects == ("library.Book.1",)
    assert manifest.libraries == {"Django": "2.2"}
    assert manifest.date == ""


@pytest.mark.parametrize("libraries", [7, None])
def test_odd_libraries_are_damage(libraries: Any) -> None:
    with pytest.raises(ArchiveDamaged):
        read_manifest("x", {**ORIGINAL, "libraries": libraries})
