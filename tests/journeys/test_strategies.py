"""What does each strategy make of each conflict, for every key, and does nobody else notice?"""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import models
from django.test import override_settings

import gestore
from gestore import Finding, Policy, Severity, Strategy
from tests.journeys import archives
from tests.journeys.key_maps import KeyMap, joined, replaced, text, translated
from tests.journeys.trips import dump, export, load
from tests.zoo import compare
from tests.zoo import models as zoo
from tests.zoo.inserting import Inserter, Placed, inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)


@pytest.fixture(autouse=True)
def _allowed() -> Iterator[None]:
    with override_settings(GESTORE={"ALLOW_OVERRIDE": True}):
        yield


Put = Callable[[Inserter, Placed, int, dict[str, str]], Placed]


@dataclass(frozen=True)
class Kind:
    """A kind of key: the model, how a row of that number is put, the column of `LabelPointer` that
    points at it, and the model of the row that it cannot be without."""

    model: type[models.Model]
    put: Put
    pointer: str
    upper: type[models.Model] | None = None
    can_be_new: bool = True


def _one_to_one(inserter: Inserter, home: Placed, number: int, said: dict[str, str]) -> Placed:
    named = inserter.put(zoo.NamedKey, number=number, menagerie=home, name=said["text"])
    return inserter.put(zoo.LabelledOneToOne, named=named, **said)


def _child(inserter: Inserter, home: Placed, number: int, said: dict[str, str]) -> Placed:
    vehicle = inserter.put(zoo.Vehicle, id=number, menagerie=home, name=said["text"])
    return inserter.put(zoo.LabelledChild, vehicle_ptr=vehicle, **said)


KINDS = {
    "integer": Kind(
        zoo.LabelledInteger,
        lambda inserter, home, number, said: inserter.put(
            zoo.LabelledInteger, id=number, menagerie=home, **said
        ),
        "integer",
    ),
    "uuid": Kind(
        zoo.LabelledUuid,
        lambda inserter, home, number, said: inserter.put(
            zoo.LabelledUuid, key=uuid.UUID(int=number), menagerie=home, **said
        ),
        "uuid",
    ),
    "char": Kind(
        zoo.LabelledChar,
        lambda inserter, home, number, said: inserter.put(
            zoo.LabelledChar, code=f"code {number}", menagerie=home, **said
        ),
        "char",
        can_be_new=False,
    ),
    "one-to-one": Kind(zoo.LabelledOneToOne, _one_to_one, "one_to_one", zoo.NamedKey),
    "composite": Kind(
        zoo.LabelledPair,
        lambda inserter, home, number, said: inserter.put(
            zoo.LabelledPair, menagerie=home, number=number, **said
        ),
        "pair",
        can_be_new=False,
    ),
    "multi-table": Kind(zoo.LabelledChild, _child, "child", zoo.Vehicle),
}


@dataclass(frozen=True)
class Meeting:
    """An archive of one labelled row, and a target where somebody's row stands in its way."""

    kind: Kind
    archive: str
    ours: Placed
    theirs: Placed
    home: Placed
    before: compare.Dump

    @property
    def upper(self) -> set[Placed]:
        """What the archived row cannot be without."""
        return {Placed(self.kind.upper, self.ours.key)} if self.kind.upper else set()

    def load(self, strategy: Strategy) -> KeyMap:
        written = f"{self.archive}.keys"
        load(self.archive, on_conflict=strategy, keymap=written, verify=True)
        return KeyMap.read(written)

    def refused(self, strategy: Strategy) -> Sequence[Finding]:
        with pytest.raises(gestore.Refused) as refusal:
            load(self.archive, on_conflict=strategy)
        assert compare.difference(self.before, dump("target")) == []
        assert all(f.severity is Severity.CONFLICT for f in refusal.value.findings)
        return refusal.value.findings

    def check(self, keymap: KeyMap, outcomes: dict[Placed, str]) -> None:
        """These rows became that, all others of the archive were loaded; the target holds what it
        held and what was loaded, with every pointer where it belongs, and nothing else."""
        told = {_place(row): outcome for row, outcome in outcomes.items()}
        assert keymap.outcomes == dict.fromkeys(keymap.outcomes, "loaded") | told
        there = dump("default")
        expected = joined(self.before, translated(there, keymap, outcome="loaded"))
        expected = replaced(expected, translated(there, keymap, outcome="overridden"))
        assert compare.difference(expected, dump("target")) == []


def _place(row: Placed) -> tuple[str, str]:
    return row.model._meta.label_lower, text(row.key)


def _home(using: str, inserter: Inserter, kind: Kind) -> Placed:
    # Half of the composite key: were it another's, there would be no conflict.
    if using == "default" or kind.model is zoo.LabelledPair:
        return inserter.put(zoo.Menagerie, id=1, name="home")
    return inserter.put(zoo.Menagerie, id=70, name="somebody's")


def _meeting(kind: Kind, by: str, folder: Path, share: bool = False) -> Meeting:
    """`by` key: theirs has the same number and another label; by label: the other way round."""
    placed = {}
    for using, number, label, words in (
        ("default", 5, "ours", "archived"),
        ("target", 5 if by == "key" else 70, "theirs" if by == "key" else "ours", "here"),
    ):
        with inserting(using) as inserter:
            home = _home(using, inserter, kind)
            row = kind.put(inserter, home, number, {"label": label, "text": words})
            pointers = {kind.pointer: row}
            if kind.pointer == "pair":
                pointers = {"pair_menagerie": row.key[0], "pair_number": row.key[1]}
            key = 1 if using == "default" else 70
            inserter.put(zoo.LabelPointer, id=key, menagerie=home, **pointers)
            placed[using] = home, row
    archive = str(folder / "row.json")
    shared = [kind.model, *([kind.upper] if kind.upper else [])] if share else []
    export(placed["default"][0], archive, policies={m._meta.label: Policy.SHARE for m in shared})
    (home, ours), (_, theirs) = placed["default"], placed["target"]
    return Meeting(kind, archive, ours, theirs, home, dump("target"))


def _same_home(meeting: Meeting) -> dict[Placed, str]:
    is_same = meeting.kind.model is zoo.LabelledPair
    return {meeting.home: "here"} if is_same else {}


@pytest.mark.parametrize("share", [False, True], ids=["owned", "shared"])
@pytest.mark.parametrize("name", KINDS)
def test_key_conflict(name: str, share: bool, tmp_path: Path) -> None:
    meeting = _meeting(KINDS[name], "key", tmp_path, share)
    conflicts = {("key-conflict", row.reference) for row in (meeting.ours, *meeting.upper)}
    assert {(f.code, f.subject) for f in meeting.refused(Strategy.REFUSE)} == conflicts
    if share:
        # They are never changed.
        assert {(f.code, f.subject) for f in meeting.refused(Strategy.OVERRIDE)} == conflicts


@pytest.mark.parametrize("share", [False, True], ids=["owned", "shared"])
@pytest.mark.parametrize("name", KINDS)
def test_key_conflict_kept(name: str, share: bool, tmp_path: Path) -> None:
    meeting = _meeting(KINDS[name], "key", tmp_path, share)
    keymap = meeting.load(Strategy.KEEP)
    assert keymap.changed == set()
    meeting.check(
        keymap, _same_home(meeting) | dict.fromkeys((meeting.ours, *meeting.upper), "kept")
    )
    again = meeting.load(Strategy.KEEP)
    assert "loaded" not in again.outcomes.values()


@pytest.mark.parametrize("name", KINDS)
def test_key_conflict_overridden(name: str, tmp_path: Path) -> None:
    meeting = _meeting(KINDS[name], "key", tmp_path)
    keymap = meeting.load(Strategy.OVERRIDE)
    assert keymap.changed == set()
    changed = (meeting.ours, *meeting.upper)
    meeting.check(keymap, _same_home(meeting) | dict.fromkeys(changed, "overridden"))
    again = meeting.load(Strategy.OVERRIDE)
    assert set(again.outcomes.values()) == {"here"}


@pytest.mark.parametrize("share", [False, True], ids=["owned", "shared"])
@pytest.mark.parametrize("name", KINDS)
def test_key_conflict_remapped(name: str, share: bool, tmp_path: Path) -> None:
    kind = KINDS[name]
    meeting = _meeting(kind, "key", tmp_path, share)
    if not kind.can_be_new:
        (finding,) = meeting.refused(Strategy.REMAP)
        assert (finding.code, finding.subject) == ("key-conflict", meeting.ours.reference)
        assert "cannot be made anew" in finding.message
        assert f"--on-conflict {kind.model._meta.label}=keep" in finding.hint
        return
    keymap = meeting.load(Strategy.REMAP)
    renewed = {row.model._meta.label_lower for row in (meeting.ours, *meeting.upper)}
    assert keymap.changed == renewed
    meeting.check(keymap, {})
    # Those who make rows here next get other keys.
    again = meeting.load(Strategy.REMAP)
    assert again.targets == keymap.targets
    assert set(again.outcomes.values()) == {"here"}


@pytest.mark.parametrize("name", KINDS)
def test_unique_conflict(name: str, tmp_path: Path) -> None:
    meeting = _meeting(KINDS[name], "label", tmp_path)
    for strategy in (Strategy.REFUSE, Strategy.REMAP):
        (finding,) = meeting.refused(strategy)
        assert (finding.code, finding.subject) == ("unique-conflict", meeting.ours.reference)
        assert f"'ours' is taken here by {meeting.theirs.reference}" in finding.message
    assert f"--on-conflict {meeting.kind.model._meta.label}=keep" in finding.hint


@pytest.mark.parametrize("strategy", [Strategy.KEEP, Strategy.OVERRIDE], ids=["keep", "override"])
@pytest.mark.parametrize("name", KINDS)
def test_unique_conflict_settled_on_the_row_here(
    name: str, strategy: Strategy, tmp_path: Path
) -> None:
    meeting = _meeting(KINDS[name], "label", tmp_path)
    keymap = meeting.load(strategy)
    outcome = "kept" if strategy is Strategy.KEEP else "overridden"
    _check_label(meeting, keymap, outcome)
    again = meeting.load(strategy)
    assert again.targets == keymap.targets
    assert "loaded" not in again.outcomes.values()


@pytest.mark.parametrize("strategy", Strategy, ids=lambda strategy: strategy.value)
@pytest.mark.parametrize("name", KINDS)
def test_shared_row_is_known_by_its_label(name: str, strategy: Strategy, tmp_path: Path) -> None:
    meeting = _meeting(KINDS[name], "label", tmp_path, share=True)
    _check_label(meeting, meeting.load(strategy), "kept")


def _check_label(meeting: Meeting, keymap: KeyMap, outcome: str) -> None:
    here = keymap.targets[_place(meeting.ours)]
    assert text(here) == text(meeting.theirs.key)
    outcomes = {meeting.ours: outcome} | _same_home(meeting)
    if meeting.kind.model is zoo.LabelledChild:
        # Both halves of one object share one fate.
        outcomes |= dict.fromkeys(meeting.upper, outcome)
    meeting.check(keymap, outcomes)


# Pairs of automatic many-to-many tables -----------------------------------------------------------

PAIR = zoo.Menagerie.tags.through
# The archived pairs: of the first the target says the same under another key, of the second not.
# Both keys are those of pairs that are somebody else's there.
KNOWN, UNKNOWN, KNOWN_AS = Placed(PAIR, 3), Placed(PAIR, 4), 7


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    """An archive of a menagerie with two tags; the target has all three rows, and others."""
    for using in ("default", "target"):
        with inserting(using) as inserter:
            home = inserter.put(zoo.Menagerie, id=1, name="home")
            tags = [inserter.put(zoo.Tag, id=n, label=f"tag {n}") for n in (5, 6)]
            whose = home
            if using == "target":
                whose = inserter.put(zoo.Menagerie, id=70, name="somebody's")
                inserter.put(PAIR, id=KNOWN_AS, menagerie=home, tag=tags[0])
            for placed, tag in zip((KNOWN, UNKNOWN), tags, strict=True):
                inserter.put(PAIR, id=placed.key, menagerie=whose, tag=tag)
    archive = str(tmp_path / "pairs.json")
    export(home, archive)
    return archive


def _pairs_loaded(archive: str, **options: Any) -> None:
    """The pair that is here is here, the other one is new, and nobody's pair was lost."""
    before, written = dump("target"), f"{archive}.keys"
    report = load(archive, keymap=written, verify=True, **options)
    assert report.loaded_by_model == report.renewed_by_model == {PAIR._meta.label: 1}
    assert (report.kept_count, report.overridden_count) == (0, 0)
    keymap = KeyMap.read(written)
    assert keymap.outcomes[_place(KNOWN)] == "here"
    assert keymap.targets[_place(KNOWN)] == KNOWN_AS
    after = dump("target")
    expected = joined(before, translated(dump("default"), keymap, outcome="loaded"))
    assert compare.difference(expected, after) == []
    again = load(archive, keymap=written, **{**options, "resolutions": ""})
    assert again.loaded_count == 0
    assert KeyMap.read(written).targets == keymap.targets
    assert compare.difference(after, dump("target")) == []
    gestore.undo_import(report.number, database="target")
    assert compare.difference(before, dump("target")) == []


def _pairs_refused(archive: str, **options: Any) -> Finding:
    before = dump("target")
    with pytest.raises(gestore.Refused) as refusal:
        load(archive, **options)
    assert compare.difference(before, dump("target")) == []
    (finding,) = refusal.value.findings
    return finding


@pytest.mark.parametrize("how", ["run", "model"])
@pytest.mark.parametrize(
    "strategy",
    [Strategy.KEEP, Strategy.OVERRIDE, Strategy.REMAP],
    ids=lambda strategy: strategy.value,
)
def test_pair_is_known_by_what_it_pairs(strategy: Strategy, how: str, pairs: str) -> None:
    by_model = {"strategies": {PAIR._meta.label: strategy}}
    _pairs_loaded(pairs, **({"on_conflict": strategy} if how == "run" else by_model))


def test_pair_under_a_key_of_another_is_refused_with_the_advice_that_saves_both(pairs: str) -> None:
    written = f"{pairs}.resolutions"
    finding = _pairs_refused(pairs, write_resolutions=written)
    assert (finding.code, finding.subject) == ("key-conflict", UNKNOWN.reference)
    assert finding.hint == ""
    (entry,) = json.loads(Path(written).read_text())["resolutions"]
    assert entry["actions"] == ["refuse", "remap"]
    # Even of a file that was made up by hand nobody's pair is taken or overwritten.
    for action in ("keep", "override", "remap"):
        made_up = {"version": 1, "resolutions": [entry | {"action": action, "actions": None}]}
        Path(written).write_text(json.dumps(made_up))
        _pairs_loaded(pairs, resolutions=written)


def test_pair_that_is_here_is_no_conflict_whatever_is_done_with_others(pairs: str) -> None:
    with inserting("target") as inserter:
        inserter.put(PAIR, id=8, menagerie=1, tag=6)
    before = dump("target")
    for strategy in Strategy:
        report = load(pairs, on_conflict=strategy)
        assert (report.loaded_count, report.here_count) == (0, 5)
    assert compare.difference(before, dump("target")) == []
    seen = gestore.verify_archive(pairs, compare=True, database="target")
    assert seen.same_by_model is not None
    assert seen.same_by_model[PAIR._meta.label] == 2


@pytest.mark.parametrize("strategy", Strategy, ids=lambda strategy: strategy.value)
def test_pair_is_known_in_an_archive_in_any_order(strategy: Strategy, pairs: str) -> None:
    """Read first, the archived pairs look like those of whoever has the menagerie's key here."""
    zoo.Menagerie.objects.using("target").filter(pk=1).update(name="another's")
    archives.edit(pairs, lambda found: found.reverse())
    before = dump("target")
    if strategy is Strategy.REFUSE:
        finding = _conflict_of(pairs, "zoo.Menagerie.1")
        assert finding.code == "key-conflict"
        assert compare.difference(before, dump("target")) == []
        return
    report = load(pairs, on_conflict=strategy, keymap=f"{pairs}.keys", verify=True)
    keymap = KeyMap.read(f"{pairs}.keys")
    became = {keymap.outcomes[_place(placed)] for placed in (KNOWN, UNKNOWN)}
    # A menagerie that moves takes both along; one that stays has one of them.
    assert became == ({"loaded"} if strategy is Strategy.REMAP else {"here", "loaded"})
    assert report.loaded_by_model[PAIR._meta.label] == (2 if strategy is Strategy.REMAP else 1)
    ours = translated(dump("default"), keymap, outcome="loaded")
    expected = joined(before, ours)
    expected = replaced(expected, translated(dump("default"), keymap, outcome="overridden"))
    assert compare.difference(expected, dump("target")) == []
    assert load(pairs, on_conflict=strategy).loaded_count == 0


def _conflict_of(archive: str, subject: str) -> Finding:
    with pytest.raises(gestore.Refused) as refusal:
        load(archive)
    (finding,) = [f for f in refusal.value.findings if f.subject == subject]
    return finding
