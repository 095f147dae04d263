"""Can conflicts be decided row by row, in a file that someone edits?"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import models

import gestore
from gestore import Finding, Strategy
from tests.journeys import archives
from tests.journeys.trips import dump, export, load
from tests.management.typing_in import Seen, typed
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.inserting import inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)

Entry = dict[str, Any]
Edit = Callable[[dict[str, Entry]], object]


@pytest.fixture(autouse=True)
def site(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.GESTORE = {"ALLOW_OVERRIDE": True}
    monkeypatch.setenv("COLUMNS", "80")


def target(model: type[models.Model]) -> models.QuerySet[Any]:
    return model._default_manager.using("target")


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """A menagerie of two keepers, whose user names are taken here; other rows have their keys."""
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, id=5, name="home")
        for number in (1, 2):
            user = inserter.put(User, id=7_000 + number, username=f"keeper-{number}", password="!")
            inserter.put(zoo.StaffMember, id=number, menagerie=home, name="ours", user=user)
    with inserting("target") as inserter:
        other = inserter.put(zoo.Menagerie, id=5, name="somebody's")
        for number in (1, 2):
            user = inserter.put(User, id=90 + number, username=f"keeper-{number}", password="?")
            inserter.put(zoo.StaffMember, id=number, menagerie=other, name="theirs", user=user)
    path = str(tmp_path / "home.json")
    export(home, path)
    return path


def refused(archive: str, **options: Any) -> Sequence[Finding]:
    before = dump("target")
    with pytest.raises(gestore.Refused) as refusal:
        load(archive, **options)
    assert compare.difference(before, dump("target")) == []
    return refusal.value.findings


def written(archive: str, **options: Any) -> Path:
    """The resolutions that an import writes, refused as it is."""
    path = Path(archive).with_name("resolutions.json")
    refused(archive, write_resolutions=str(path), **options)
    return path


def edited(path: Path, edit: Edit) -> str:
    whole = json.loads(path.read_text())
    edit({f"{entry['model']}.{entry['pk']}": entry for entry in whole["resolutions"]})
    path.write_text(json.dumps(whole))
    return str(path)


def codes(findings: Sequence[Finding]) -> set[tuple[str, str]]:
    return {(finding.code, finding.subject) for finding in findings}


def test_file_has_an_entry_for_each_conflict_with_both_versions(archive: str) -> None:
    whole = json.loads(written(archive).read_text())
    assert (whole["version"], whole["archive"]) == (1, archive)
    assert len(whole["sha256"]) == 64
    entries = {f"{entry['model']}.{entry['pk']}": entry for entry in whole["resolutions"]}
    assert set(entries) == {
        "zoo.menagerie.5", "auth.user.7001", "auth.user.7002",
        "zoo.staffmember.1", "zoo.staffmember.2",
    }  # fmt: skip
    home, user = entries["zoo.menagerie.5"], entries["auth.user.7001"]
    assert (home["conflict"], home["action"]) == ("key-conflict", "refuse")
    assert home["actions"] == ["refuse", "keep", "override", "remap"]
    assert (home["archived"]["name"], home["here"]["name"]) == ("home", "somebody's")
    assert (user["conflict"], user["here_pks"]) == ("unique-conflict", [91])
    # A new key would not free the name.
    assert user["actions"] == ["refuse", "keep", "override"]
    assert (user["archived"]["username"], user["here"]["id"]) == ("keeper-1", 91)
    # Applied as it was written, it changes nothing.
    path = Path(archive).with_name("resolutions.json")
    assert codes(refused(archive, resolutions=str(path))) == codes(refused(archive))


def test_each_action_is_done(archive: str) -> None:
    def decide(entries: dict[str, Entry]) -> None:
        entries["zoo.menagerie.5"]["action"] = "remap"
        entries["auth.user.7001"]["action"] = "keep"
        entries["auth.user.7002"]["action"] = "override"
        entries["zoo.staffmember.1"]["action"] = "remap"
        entries["zoo.staffmember.2"]["action"] = "override"

    theirs = dump("target")
    report = load(archive, resolutions=edited(written(archive), decide), verify=True)
    assert report.renewed_by_model == {"zoo.Menagerie": 1, "zoo.StaffMember": 1}
    assert report.kept_by_model == {"auth.User": 1}
    assert report.overridden_by_model == {"auth.User": 1, "zoo.StaffMember": 1}
    home = target(zoo.Menagerie).get(name="home")
    assert home.pk != 5
    # The kept user is as it was, the other one has the archived values under its own key.
    after = dump("target")
    assert after["auth.User"]["91"] == theirs["auth.User"]["91"]
    assert target(User).get(pk=92).password == "!"
    members = target(zoo.StaffMember).order_by("pk")
    assert [(m.pk, m.name, m.menagerie_id, m.user_id) for m in members] == [
        (1, "theirs", 5, 91),
        (2, "ours", home.pk, 92),
        (members[2].pk, "ours", home.pk, 91),
    ]


def test_new_value_frees_the_row(archive: str) -> None:
    def rename(entries: dict[str, Entry]) -> None:
        for number in (1, 2):
            entries[f"auth.user.700{number}"]["values"] = {"username": f"new-keeper-{number}"}
        entries["zoo.menagerie.5"]["action"] = "remap"
        entries["zoo.staffmember.1"]["action"] = entries["zoo.staffmember.2"]["action"] = "remap"

    before = dump("target")
    path = edited(written(archive), rename)
    report = load(archive, resolutions=path, verify=True)
    assert report.loaded_by_model == {"zoo.Menagerie": 1, "auth.User": 2, "zoo.StaffMember": 2}
    # The name is new, all else as archived, the key free and so the same.
    assert target(User).get(pk=7_001).username == "new-keeper-1"
    assert target(User).get(pk=7_001).password == "!"
    after = dump("target")
    assert {
        label: {key: after[label][key] for key in found} for label, found in before.items()
    } == before
    gestore.undo_import(report.number, database="target")
    assert compare.difference(before, dump("target")) == []


def test_rows_without_an_entry_go_by_the_strategies(archive: str) -> None:
    path = written(archive, strategies={"zoo.Menagerie": Strategy.REMAP,
                                        "zoo.StaffMember": Strategy.REMAP})  # fmt: skip

    def keep_one(entries: dict[str, Entry]) -> None:
        assert set(entries) == {"auth.user.7001", "auth.user.7002"}
        entries["auth.user.7001"]["action"] = "keep"
        entries["auth.user.7002"]["values"] = {"username": "another"}

    report = load(
        archive, on_conflict=Strategy.REMAP, resolutions=edited(path, keep_one), verify=True
    )
    assert report.kept_by_model == {"auth.User": 1}
    assert report.renewed_by_model == {"zoo.Menagerie": 1, "zoo.StaffMember": 2}
    assert target(User).get(pk=7_002).username == "another"


def test_entry_is_stronger_than_the_strategy(archive: str) -> None:
    path = written(archive)

    def only_the_home(entries: dict[str, Entry]) -> None:
        entries["zoo.menagerie.5"]["action"] = "refuse"

    edited(path, only_the_home)
    whole = json.loads(path.read_text())
    whole["resolutions"] = [e for e in whole["resolutions"] if e["model"] == "zoo.menagerie"]
    path.write_text(json.dumps(whole))
    findings = refused(archive, on_conflict=Strategy.KEEP, resolutions=str(path))
    assert codes(findings) == {("key-conflict", "zoo.Menagerie.5")}


# What no longer fits --------------------------------------------------------------------------


def keep_all(entries: dict[str, Entry]) -> None:
    for entry in entries.values():
        entry["action"] = "keep"


def test_row_here_that_changed_since_is_found(archive: str) -> None:
    path = edited(written(archive), keep_all)
    target(User).filter(pk=91).update(password="changed since")
    findings = refused(archive, resolutions=path)
    assert codes(findings) == {
        ("stale-resolution", "auth.user.7001"), ("unique-conflict", "auth.User.7001"),
    }  # fmt: skip
    (stale,) = [f for f in findings if f.code == "stale-resolution"]
    assert stale.hint == "Write the resolutions anew with --write-resolutions."
    path = edited(written(archive), keep_all)
    assert load(archive, resolutions=path).kept_count == 5


def test_conflict_that_is_gone_is_found(archive: str) -> None:
    path = edited(written(archive), keep_all)
    target(User).filter(pk=91).update(username="renamed")
    assert codes(refused(archive, resolutions=path)) == {("stale-resolution", "auth.user.7001")}


def test_entry_of_a_row_that_is_not_in_the_archive_is_found(archive: str) -> None:
    path = Path(edited(written(archive), keep_all))
    whole = json.loads(path.read_text())
    whole["resolutions"].append({**whole["resolutions"][0], "pk": 987_654})
    path.write_text(json.dumps(whole))
    (finding,) = refused(archive, resolutions=str(path))
    assert (finding.code, finding.subject) == ("stale-resolution", "auth.user.987654")


def test_values_that_cannot_be_are_told(archive: str) -> None:
    def unknown(entries: dict[str, Entry]) -> None:
        keep_all(entries)
        entries["auth.user.7001"]["values"] = {"user_name": "misspelt"}

    findings = refused(archive, resolutions=edited(written(archive), unknown))
    assert ("unknown-field", "auth.User.7001") in codes(findings)

    def taken(entries: dict[str, Entry]) -> None:
        keep_all(entries)
        entries["auth.user.7001"]["action"] = "refuse"
        entries["auth.user.7001"]["values"] = {"username": "keeper-2"}

    findings = refused(archive, resolutions=edited(written(archive), taken))
    assert ("unique-conflict", "auth.User.7001") in codes(findings)


# The file itself ------------------------------------------------------------------------------


def one(**entry: Any) -> str:
    """A file of one entry."""
    return json.dumps(
        {"version": 1, "resolutions": [{"model": "auth.user", "pk": 1, "action": "keep"} | entry]}
    )


WRONG = {
    "no JSON": ("{", 2, "resolutions.json is no JSON"),
    "no resolutions": ("[]", 2, "resolutions.json holds no resolutions."),
    "no list": (json.dumps({"version": 1, "resolutions": 5}), 2, "holds no resolutions."),
    "version": (json.dumps({"version": 9, "resolutions": []}), 2, "is of version 9, not 1."),
    "no row": (json.dumps({"version": 1, "resolutions": [{"pk": 1}]}), 2, "1 names no row"),
    "action": (one(action="delete"), 2, "resolution 1 says 'delete'."),
    "not allowed": (one(action="remap", actions=["refuse"]), 2, "resolution 1 says 'remap'."),
    "odd actions": (one(action=[], actions=[[], 1]), 2, "resolution 1 says []."),
    "values": (one(values=["x"]), 2, "resolution 1 has values that are no object."),
    "nothing": (None, 1, "resolutions.json"),
    "bytes": ("\udcff\udcfe", 1, "resolutions.json cannot be read: it is no UTF-8 text."),
}


@pytest.mark.parametrize("kind", WRONG)
def test_file_that_is_wrong_is_told_in_a_line(
    kind: str, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, code, message = WRONG[kind]
    monkeypatch.chdir(Path(archive).parent)
    if text is not None:
        Path("resolutions.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    seen: Seen = typed(
        "importobjects", archive, "--database", "target", "--resolutions", "resolutions.json"
    )
    assert seen.code == code, seen.err
    assert message in seen.err
    assert seen.errors[0].startswith("CommandError: ")
    assert len(seen.errors) <= 3
    assert "Traceback" not in seen.err


def test_archive_itself_is_not_taken_for_resolutions(archive: str) -> None:
    seen = typed("importobjects", archive, "--database", "target", "--resolutions", archive)
    assert (seen.code, "holds no resolutions." in seen.err) == (2, True)


def test_composite_keys_and_uuids_are_found_again(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1, chain=1)
    archive = str(tmp_path / "zoo.json")
    export(there.root, archive)
    load(archive)
    target(zoo.Cage).filter(number=7).update(name="changed")
    target(zoo.UuidKey).update(name="changed")
    target(zoo.DateKey).update(name="changed")
    path = tmp_path / "resolutions.json"
    refused(archive, write_resolutions=str(path))
    report = load(archive, resolutions=edited(path, keep_all))
    assert report.kept_by_model == {"zoo.UuidKey": 1, "zoo.DateKey": 1, "zoo.Cage": 1}

    def override(entries: dict[str, Entry]) -> None:
        for entry in entries.values():
            entry["action"] = "override"

    report = load(archive, resolutions=edited(path, override), verify=True)
    assert report.overridden_count == 3
    assert compare.difference(dump("default"), dump("target")) == []


def test_resolutions_of_an_import_without_conflicts(tmp_path: Path) -> None:
    shop = rows.customers("default", count=1)
    archive = str(tmp_path / "customer.json")
    export(shop.customer, archive)
    path = tmp_path / "resolutions.json"
    load(archive, write_resolutions=str(path), dry_run=True)
    assert json.loads(path.read_text())["resolutions"] == []
    assert load(archive, resolutions=str(path)).loaded_count == len(archives.rows(archive))
