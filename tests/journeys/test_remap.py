"""Does every pointer follow when rows get new keys, and does none lead to a stranger?"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings

import gestore
from gestore import Strategy
from tests.journeys import archives
from tests.journeys.key_maps import KeyMap, joined, stored, text, translated
from tests.journeys.trips import count, dump, export, load
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.inserting import Placed, circles_allowed, inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)

# What Django does not know to be pointers.
RELATIONS = [
    ("zoo.SoftReference.user_id", "auth.User"),
    ("zoo.PseudoGeneric.content_type", "zoo.PseudoGeneric.object_id"),
]
# The same on every site, under keys of its own: known by a unique value.
KNOWN = ("zoo.Tag", "zoo.Species", "zoo.Continent")
KEEP_KNOWN = dict.fromkeys(KNOWN, Strategy.KEEP)
# Keys that cannot be made anew, or need not be: nobody else has them.
STEADY = {"zoo.hugekey", "zoo.charkey", "zoo.dottedkey", "zoo.datekey", "zoo.customkey"}


@pytest.fixture(autouse=True)
def _declared() -> Iterator[None]:
    with override_settings(GESTORE={"RELATIONS": RELATIONS, "ALLOW_OVERRIDE": True}):
        yield


def remapped(archive: str, using: str = "target", **options: Any) -> KeyMap:
    written = f"{archive}.keys"
    given: dict[str, Any] = {"on_conflict": Strategy.REMAP, "strategies": KEEP_KNOWN} | options
    load(archive, using, keymap=written, verify=True, **given)
    return KeyMap.read(written)


def check(keymap: KeyMap, before: compare.Dump, there: compare.Dump, using: str) -> None:
    """The target holds its own rows as they were, and the archived ones under their new keys, with
    every pointer of theirs where it belongs."""
    expected = joined(before, translated(there, keymap, RELATIONS, outcome="loaded"))
    assert compare.difference(expected, dump(using)) == []


def test_whole_zoo_moves_in_beside_another_with_the_same_keys(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1)
    archive, back = str(tmp_path / "zoo.jsonl"), str(tmp_path / "back.jsonl")
    export(there.root, archive)
    rows.populate("target", menageries=2, site=1)
    before = dump("target")
    keymap = remapped(archive)
    check(keymap, before, dump("default"), "target")
    settled = {place: outcome for place, outcome in keymap.outcomes.items() if outcome != "loaded"}
    known = {there.tag, there.species, there.continent}
    assert {place for place, outcome in settled.items() if outcome == "kept"} == _places(known)
    assert {p for p, outcome in settled.items() if outcome == "here"} == _places({there.fallback})
    # Not by chance: nearly every key was somebody's.
    unchanged = {model for model, _ in keymap.targets} - keymap.changed
    assert unchanged - {"zoo.doomed"} <= STEADY | {"zoo.labelledchar"}
    _check_export_from(there.root, keymap, archive, back)


def _places(placed: set[Placed]) -> set[tuple[str, str]]:
    return {(row.model._meta.label_lower, text(row.key)) for row in placed}


def _check_export_from(root: Placed, keymap: KeyMap, archive: str, back: str) -> None:
    """Exported again it is the same, under other keys."""
    (key,) = keymap.of(root.model, (root.key,))
    options = gestore.WalkOptions(database="target")
    gestore.export_objects([Placed(root.model, key).reference], back, options)
    first = {_key(row["model"], row["pk"]): row for row in archives.rows(archive)}
    second = {_key(row["model"], row["pk"]): row for row in archives.rows(back)}
    assert {(m, text(keymap.targets[m, k])) for m, k in first} == second.keys()
    for (model, source), row in first.items():
        again = second[model, text(keymap.targets[model, source])]
        assert row["fields"].keys() == again["fields"].keys()
        assert row.get("shared") == again.get("shared")


def _key(model: str, key: object) -> tuple[str, str]:
    return model, text(stored(key))


def test_hidden_keys_are_told_of(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1, chain=1)
    archive = str(tmp_path / "zoo.json")
    export(there.root, archive)
    rows.populate("target", menageries=1, site=1, chain=1)
    by_hand: dict[str, Any] = {"on_conflict": Strategy.REMAP, "strategies": KEEP_KNOWN}
    report = load(archive, dry_run=True, **by_hand)
    hidden = {f.subject for f in report.findings if f.code == "hidden-key"}
    # The number of a tree is no key, and may look like one.
    assert hidden == {"zoo.SoftReference.animal_ids[]", "zoo.NestedSetNode.tree_id"}
    with override_settings(GESTORE={"RELATIONS": RELATIONS, "REWRITERS": {
        "zoo.SoftReference.animal_ids": _with_new_animals
    }}):  # fmt: skip
        report = load(archive, keymap=f"{archive}.keys", **by_hand)
    hidden = {f.subject for f in report.findings if f.code == "hidden-key"}
    assert hidden == {"zoo.NestedSetNode.tree_id"}
    animal = there.inhabitants.animal
    key = KeyMap.read(f"{archive}.keys").targets["zoo.animal", text(animal.key)]
    references = zoo.SoftReference.objects.using("target").exclude(animal_ids=[])
    assert sorted(references.values_list("animal_ids", flat=True)) == [[animal.key], [key]]


def _with_new_animals(keys: list[int], new: Any) -> list[int]:
    return [new.new("zoo.Animal", key) for key in keys]


@pytest.mark.parametrize("length", [30, 1_200])
def test_chain_whose_rows_point_at_later_ones(length: int, tmp_path: Path) -> None:
    for using, words in (("default", "archived"), ("target", "here")):
        with inserting(using) as inserter, circles_allowed(inserter):
            home = inserter.put(zoo.Menagerie, id=1, name="home")
            links: list[dict[str, Any]] = [
                {"id": n, "parent": n + 1, "menagerie": None, "name": "link"}
                for n in range(1, length)
            ]
            # Only the last one differs: all others follow because of it.
            links.append({"id": length, "parent": None, "menagerie": home, "name": words})
            inserter.put_many(zoo.SelfChain, links)
    archive = str(tmp_path / "chain.jsonl")
    export(home, archive)
    before = dump("target")
    keymap = remapped(archive)
    check(keymap, before, dump("default"), "target")
    assert len(set(map(str, keymap.targets.values()))) == length + 1
    assert zoo.SelfChain.objects.using("target").count() == 2 * length
    assert remapped(archive).targets == keymap.targets


def test_circle_of_one_different_row_moves_as_a_whole(tmp_path: Path) -> None:
    for using, words in (("default", "archived"), ("target", "here")):
        with inserting(using) as inserter, circles_allowed(inserter):
            home = inserter.put(zoo.Menagerie, id=1, name="home")
            for number in (1, 2):
                head = inserter.put(
                    zoo.CycleHead, id=number, menagerie=home, tail=number, name="head"
                )
                name = words if number == 1 else "the same"
                inserter.put(zoo.CycleTail, id=number, head=head, name=name)
    archive = str(tmp_path / "circles.json")
    export(home, archive)
    before = dump("target")
    keymap = remapped(archive)
    check(keymap, before, dump("default"), "target")
    here = {place for place, outcome in keymap.outcomes.items() if outcome == "here"}
    assert here == {
        ("zoo.menagerie", "1"), ("zoo.cyclehead", "2"), ("zoo.cycletail", "2"),
    }  # fmt: skip


@pytest.mark.parametrize("strategy", Strategy, ids=lambda strategy: strategy.value)
def test_value_that_is_a_pointer_is_compared_when_it_is_known(
    strategy: Strategy, tmp_path: Path
) -> None:
    for using, home_key, note_key in (("default", 1, 1), ("target", 70, 71)):
        with inserting(using) as inserter:
            home = inserter.put(zoo.Menagerie, id=home_key, name=using)
            # A table that comes after the note's: nothing else points at it.
            page = inserter.put(zoo.Texts, id=5, menagerie=home, short=using)
            kind = inserter.content_type(zoo.Texts)
            inserter.put(
                zoo.NoteOnce, id=note_key, text=using, content_type=kind, object_id=page.key
            )
            if using == "default":
                placed = home
    archive = str(tmp_path / "note.json")
    export(placed, archive)
    before = dump("target")
    # The note here is on somebody else's page: that is no conflict, whatever the strategy.
    keymap = remapped(archive, strategies={"zoo.NoteOnce": strategy})
    check(keymap, before, dump("default"), "target")
    assert keymap.changed == {"zoo.texts"}
    assert set(keymap.outcomes.values()) == {"loaded"}


def test_parts_of_a_composite_key_are_followed(tmp_path: Path) -> None:
    for using, name in (("default", "home"), ("target", "somebody's")):
        with inserting(using) as inserter:
            home = inserter.put(zoo.Menagerie, id=1, name=name)
            inserter.put(zoo.Cage, menagerie=home, number=7, name=name)
            inserter.put(zoo.CagePlate, menagerie=1, cage_number=7, text=name)
            enclosure = inserter.put(zoo.Enclosure, menagerie=home, name=name)
            inserter.put(zoo.Species, code="lion")
            animal = inserter.put(zoo.Animal, name=name, enclosure=enclosure, species="lion")
            inserter.put(zoo.Residency, animal=animal, enclosure=enclosure, since=date(2001, 1, 1))
    archive = str(tmp_path / "cages.json")
    export(home, archive)
    before = dump("target")
    keymap = remapped(archive)
    check(keymap, before, dump("default"), "target")
    new = {model: key for (model, _), key in keymap.targets.items()}
    assert new["zoo.cage"] == [new["zoo.menagerie"], 7]
    assert new["zoo.residency"] == [new["zoo.animal"], new["zoo.enclosure"]]


# Once more ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", Strategy, ids=lambda strategy: strategy.value)
def test_third_import_changes_as_little_as_the_second(strategy: Strategy, tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1, chain=3)
    archive = str(tmp_path / "zoo.jsonl")
    exported = export(there.root, archive)
    if strategy is not Strategy.REFUSE:
        # Of `keep` and `override` on everything only circles and unique values are no use here.
        rows.populate("target", menageries=1, site=1, chain=3)
    strategies = KEEP_KNOWN if strategy is Strategy.REMAP else {}
    report = load(archive, on_conflict=strategy, strategies=strategies)
    assert (
        report.loaded_count + report.here_count + report.kept_count + (report.overridden_count)
        == exported.row_count
    )
    before = dump("target")
    for _ in range(2):
        again = load(archive, on_conflict=strategy, strategies=strategies)
        assert again.loaded_count == 0
        assert compare.difference(before, dump("target")) == []
    # What was recorded says so too, and is not said twice.
    assert again.number == 0


def test_import_that_failed_in_the_middle_left_nothing_and_can_be_mended(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1, chain=3)
    archive = str(tmp_path / "zoo.jsonl")
    export(there.root, archive)
    rows.populate("target", menageries=1, site=1, chain=3)
    before = dump("target")
    with _no_room_for_animals("target"), pytest.raises(gestore.GestoreError, match=r"zoo\.Animal"):
        remapped(archive)
    assert compare.difference(before, dump("target")) == []
    keymap = remapped(archive)
    check(keymap, before, dump("default"), "target")
    assert remapped(archive).targets == keymap.targets


@contextmanager
def _no_room_for_animals(using: str) -> Iterator[None]:
    """Inside, something that Django does not know of refuses an animal of that name."""
    connection = connections[using]
    begin, end = REFUSALS[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(begin)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(end)


REFUSALS = {
    "sqlite": (
        """CREATE TRIGGER no_room BEFORE INSERT ON zoo_animal WHEN NEW.name = 'Little Elsa 1'
        BEGIN SELECT RAISE(ABORT, 'no room'); END""",
        "DROP TRIGGER no_room",
    ),
    "postgresql": (
        "ALTER TABLE zoo_animal ADD CONSTRAINT no_room CHECK (name <> 'Little Elsa 1')",
        "ALTER TABLE zoo_animal DROP CONSTRAINT no_room",
    ),
    "mysql": (
        "ALTER TABLE zoo_animal ADD CONSTRAINT no_room CHECK (name <> 'Little Elsa 1')",
        "ALTER TABLE zoo_animal DROP CONSTRAINT no_room",
    ),
}


# New keys for all ---------------------------------------------------------------------------------


def _office(using: str) -> Placed:
    """A menagerie whose rows hold no unique value of their own but its name."""
    with inserting(using) as inserter:
        home = inserter.put(zoo.Menagerie, id=1, name="home")
        tag = inserter.put(zoo.Tag, id=1, label="shared")
        inserter.put(zoo.Menagerie.tags.through, menagerie=home, tag=tag)
        team = inserter.put(zoo.Team, id=3, menagerie=home, name="home")
        inserter.put(zoo.Match, home=team, away=team)
        inserter.put(zoo.SmallKey, id=300, menagerie=home, name="small")
        inserter.put(zoo.UuidKey, key=uuid.UUID(int=1), menagerie=home, name="a number")
        inserter.put(zoo.Cage, menagerie=home, number=7, name="two parts")
        kind = inserter.content_type(zoo.Team)
        inserter.put(zoo.NoteByChar, text="on it", content_type=kind, object_id="3")
    return home


def test_clone_within_one_database(tmp_path: Path) -> None:
    home = _office("default")
    archive = str(tmp_path / "office.json")
    export(home, archive)
    before = dump("default")
    # Its name may not repeat: someone has to say what the clone is called.
    wanted = str(tmp_path / "wanted.json")
    with pytest.raises(gestore.Refused) as refusal:
        load(archive, "default", new_keys=True, write_resolutions=wanted)
    assert [(f.code, f.subject) for f in refusal.value.findings] == [
        ("unique-conflict", home.reference)
    ]
    assert compare.difference(before, dump("default")) == []
    given = Path(wanted).read_text().replace('"values": {}', '"values": {"name": "clone"}')
    Path(wanted).write_text(given)
    keymap = remapped(archive, "default", new_keys=True, resolutions=wanted)
    after = dump("default")
    assert len(after["zoo.Menagerie"]) == 2
    assert after["zoo.Tag"] == before["zoo.Tag"]
    assert keymap.outcomes == dict.fromkeys(keymap.outcomes, "loaded") | {("zoo.tag", "1"): "here"}
    (clone,) = after["zoo.Menagerie"].keys() - before["zoo.Menagerie"].keys()
    assert dict(after["zoo.Menagerie"][clone])["name"] == "clone"
    expected = joined(before, translated(before, keymap, outcome="loaded"))
    named = compare.difference(expected, after)
    assert named == [f"zoo.Menagerie {clone} name: 'home' != 'clone'"]
    assert keymap.changed == {model for model, _ in keymap.targets} - {"zoo.tag"}
    # And another clone: nothing recalls the first.
    Path(wanted).write_text(given.replace('"clone"', '"second clone"'))
    remapped(archive, "default", new_keys=True, resolutions=wanted)
    assert count(dump("default")) == count(after) + count(after) - count(before)


def test_small_key_without_room_is_found_before_the_load(vendor: str, tmp_path: Path) -> None:
    home = _office("default")
    archive = str(tmp_path / "office.json")
    export(home, archive)
    with inserting("target") as inserter:
        other = inserter.put(zoo.Menagerie, id=70, name="other")
        inserter.put(zoo.SmallKey, id=300, menagerie=other, name="somebody's")
    rows.exhausted_small_keys("target", other)
    before = dump("target")
    if vendor == "sqlite":
        # All integers there have 64 bits.
        assert remapped(archive).targets["zoo.smallkey", "300"] >= 2**15
        return
    with pytest.raises(gestore.Refused) as refusal:
        load(archive, on_conflict=Strategy.REMAP)
    assert [(f.code, f.subject) for f in refusal.value.findings] == [
        ("key-overflow", "zoo.SmallKey")
    ]
    (finding,) = refusal.value.findings
    assert "1 new keys are wanted" in finding.message
    assert "has room for 0" in finding.message
    assert compare.difference(before, dump("target")) == []
    assert load(archive, on_conflict=Strategy.REMAP, strategies={"zoo.SmallKey": Strategy.KEEP})


def test_key_map_has_a_line_for_every_row(tmp_path: Path) -> None:
    home = _office("default")
    archive = str(tmp_path / "office.json")
    exported = export(home, archive)
    keymap = remapped(archive)
    assert len(keymap.targets) == exported.row_count
    assert {(m, text(k)) for m, k in archives.keys(archive)} == keymap.targets.keys()
    assert keymap.changed == set()
    assert set(keymap.outcomes.values()) == {"loaded"}
    # A dry run says what would be, and writes no line that is not true.
    again = remapped(archive, dry_run=True)
    assert set(again.outcomes.values()) == {"here"}
