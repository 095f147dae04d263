"""Does no value of a declared column leave, and does what leaves still arrive?"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import override_settings

import gestore
from gestore import anonymize
from gestore.errors import ConfigurationError, Refused
from gestore.load.strategies import Strategy
from gestore.schema.introspect import build_graph
from gestore.schema.table import Column, Kind, Table
from tests.journeys import archives
from tests.journeys.trips import count, dump, load
from tests.management.typing_in import typed
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.emptying import empty
from tests.zoo.inserting import Placed, inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)

GRAPH = build_graph((), (), "default")
SALT = "a salt that is kept for the tests"
LEAST, LONG = 4, 10


def declared(table: Table) -> Iterator[tuple[Column, Any]]:
    """Every column of text that may be, and the keys that are UUIDs."""
    pointers = {n for r in GRAPH.pointing_from(table.name) for n in (*r.columns, r.content_type)}
    for column in table.columns:
        is_unique = column.name in table.key_names or any(
            column.name in unique.columns or not unique.columns for unique in table.unique_sets
        )
        if column.name in pointers or column.type_name == "GenericIPAddressField":
            continue
        if column.kind is Kind.TEXT and column.name == "email":
            yield column, anonymize.email
        elif column.kind is Kind.TEXT:
            yield column, anonymize.shape if is_unique else anonymize.name
        elif column.kind is Kind.JSON:
            yield column, anonymize.text
        elif column.kind is Kind.UUID:
            yield column, anonymize.uuid


def everything() -> dict[str, Any]:
    return {
        f"{table.label}.{column.name}": replacement
        for table in GRAPH.tables.values()
        if table.app_label in ("zoo", "auth", "zoo_postgres") and table.label != "auth.Permission"
        for column, replacement in declared(table)
    } | {"zoo.Secrets.note": anonymize.text}


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)


def originals(plain: str, labels: set[str]) -> set[str]:
    """The texts in declared columns, and in what points at them, that are more than a few letters
    or digits."""
    found: set[str] = set()
    for row in archives.rows(plain):
        table = GRAPH.tables[row["model"]]
        parts = row["pk"] if isinstance(row["pk"], list) else [row["pk"]]
        values = row["fields"] | dict(zip(table.key_names, parts, strict=True))
        for name, value in values.items():
            if f"{table.label}.{name}" in labels:
                found.update(strings(value))
    return {text for text in found if len(re.findall(r"\w", text)) >= LEAST}


def export(placed: Placed | str, archive: str, **options: Any) -> gestore.ExportReport:
    reference = placed if isinstance(placed, str) else placed.reference
    return gestore.export_objects([reference], archive, anonymize=True, **options)


def setting(salt: str = SALT, **labels: Any) -> dict[str, Any]:
    named = {label.replace("__", "."): what for label, what in labels.items()}
    return {"ANONYMIZE": named, "ANONYMIZE_SALT": salt}


@pytest.mark.parametrize("form", ["jsonl", "json.gz"])
def test_zoo_leaves_as_nobodys_and_arrives(form: str, tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1)
    plain, archive = str(tmp_path / "plain.jsonl"), str(tmp_path / f"zoo.{form}")
    gestore.export_objects([there.root.reference], plain)
    with override_settings(GESTORE={"ANONYMIZE": everything(), "ANONYMIZE_SALT": SALT}):
        report = export(there.root, archive)
        again = str(tmp_path / "again.jsonl")
        export(there.root, again)
    # Every one of them was declared, or follows one that was.
    assert {"zoo.Species.code", "zoo.Animal.species", "zoo.KeyPointers.char"} < set(
        report.anonymized
    )
    assert report.row_count == len(archives.rows(plain)) > 300
    assert [row["fields"] for row in archives.rows(archive)] == [
        row["fields"] for row in archives.rows(again)
    ]
    # Not one value, neither as it is nor as a part of a longer one.
    wanted = originals(plain, set(report.anonymized))
    assert len(wanted) > 100
    whole = set(strings([[row["pk"], row["fields"]] for row in archives.rows(archive)]))
    assert wanted & whole == set()
    # Longer than what stands elsewhere by chance: a number, a word.
    escaped = {json.dumps(text, ensure_ascii=False)[1:-1] for text in wanted if len(text) >= LONG}
    assert len(escaped) > 50
    known = {there.root.reference, *(table.name for table in GRAPH.tables.values())}
    assert [value for value in escaped - known if value in archives.text_of(archive)] == []
    # On an empty site every row arrives and holds together; again, and nothing is left to do.
    loaded = load(archive, verify=True)
    assert loaded.loaded_count == report.row_count
    (said,) = [finding for finding in loaded.findings if finding.code == "anonymized"]
    assert "zoo.Species.code" in said.message
    assert load(archive).loaded_count == 0
    assert zoo.Animal.objects.using("target").filter(species__code__isnull=False).exists()
    # On one that is full of others, beside them.
    empty("target")
    rows.populate("target", menageries=1, site=1)
    before = count(dump("target"))
    beside = load(archive, on_conflict=Strategy.REMAP, verify=True)
    assert count(dump("target")) == before + beside.loaded_count
    assert beside.loaded_count > 300


def test_generic_keys_lead_where_they_led(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1)
    archive = str(tmp_path / "zoo.jsonl")
    keys = {"zoo.CharKey.code": anonymize.shape, "zoo.UuidKey.key": anonymize.uuid}
    with override_settings(GESTORE={"ANONYMIZE": keys}):
        export(there.root, archive)
    load(archive, verify=True)
    for model, by in ((zoo.CharKey, zoo.NoteByChar), (zoo.UuidKey, zoo.NoteByUuid)):
        content_type = ContentType.objects.get_for_model(model).pk
        before = set(by.objects.filter(content_type=content_type).values_list("object_id"))
        here = ContentType.objects.using("target").get(
            app_label="zoo", model=model.__name__.lower()
        )
        after = set(by.objects.using("target").filter(content_type=here).values_list("object_id"))
        assert before and len(before) == len(after)
        assert before.isdisjoint(after)
        assert {pk for (pk,) in after} <= set(
            model.objects.using("target").values_list("pk", flat=True)
        )


def test_salt_makes_the_values(tmp_path: Path) -> None:
    user = User.objects.create_user("ada", "ada@example.org")
    mails = []
    for number, salt in enumerate((SALT, SALT, "another salt that is kept", "", "")):
        archive = str(tmp_path / f"{number}.jsonl")
        with override_settings(GESTORE=setting(salt, auth__User__email="gestore.anonymize.email")):
            export(f"auth.User.{user.pk}", archive)
        (row,) = [row for row in archives.rows(archive) if row["model"] == "auth.user"]
        mails.append(row["fields"]["email"])
        assert salt not in archives.text_of(archive) or not salt
    assert mails[0] == mails[1]
    assert len(set(mails)) == 4
    assert all(mail.endswith("@example.com") for mail in mails)


def test_objects_are_not_named_by_what_is_replaced(tmp_path: Path) -> None:
    user = User.objects.create_user("ada", "ada@example.org")
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        inserter.put(zoo.CharKey, menagerie=home, code="by her name", name="x")
    columns = {"auth__User__email": anonymize.email, "zoo__CharKey__code": anonymize.shape}
    with override_settings(GESTORE=setting(**columns)):
        for reference, was in (
            ("auth.User:email=ada@example.org", "ada@example.org"),
            ("zoo.CharKey.by her name", "by her name"),
        ):
            archive = str(tmp_path / "one.jsonl")
            export(reference, archive, overwrite=True)
            text = archives.text_of(archive)
            assert was not in text
            (told,) = archives.document(archive)["provided_objects"]
            assert told.startswith(f"auth.User.{user.pk}" if "@" in was else "zoo.CharKey.")
            load(archive)


def external(salt: str, archive: str) -> gestore.ExportReport:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name=f"home {salt}")
        inserter.put(zoo.Enclosure, menagerie=home, name="a", continent=_africa(inserter))
    options = gestore.WalkOptions(policies={"zoo.Continent": gestore.Policy.EXTERNAL})
    with override_settings(GESTORE=setting(salt, zoo__Continent__code=anonymize.shape)):
        return gestore.export_objects([home.reference], archive, options, anonymize=True)


def _africa(inserter: Any) -> Placed:
    if zoo.Continent.objects.exists():
        zoo.Continent.objects.all().delete()
    return inserter.put(zoo.Continent, code="AF", name="Africa")


def test_external_rows_are_known_by_what_stands_in_their_place(tmp_path: Path) -> None:
    archive = str(tmp_path / "home.jsonl")
    with pytest.raises(Refused) as refused:
        external("", archive)
    (finding,) = refused.value.findings
    assert (finding.code, finding.subject) == ("external-anonymized", "zoo.Continent")
    assert "--share zoo.Continent" in finding.hint
    assert list(tmp_path.iterdir()) == []
    zoo.Enclosure.objects.all().delete()
    report = external(SALT, archive)
    assert [(f.code, f.severity) for f in report.findings] == [
        ("external-anonymized", gestore.Severity.WARNING)
    ]
    (known,) = [r for r in archives.document(archive)["external"] if r["model"] == "zoo.continent"]
    (code,) = known["natural_key"]
    assert len(code) == 2
    assert code.isupper() and code != "AF"
    with pytest.raises(Refused, match="external rows are missing"):
        load(archive)
    zoo.Continent.objects.using("target").create(code=code, name="replaced before")
    load(archive)
    assert zoo.Enclosure.objects.using("target").get().continent.name == "replaced before"


def test_strict_names_what_nobody_decided(tmp_path: Path) -> None:
    user = User.objects.create_user("ada", "ada@example.org")
    reference, archive = f"auth.User.{user.pk}", str(tmp_path / "ada.jsonl")
    with override_settings(GESTORE={}), pytest.raises(Refused) as refused:
        gestore.export_objects([reference], archive, strict_anonymize=True)
    assert refused.value.message == "Nothing was exported: not every column of text is decided."
    errors = [f for f in refused.value.findings if f.severity is gestore.Severity.ERROR]
    assert {f.code for f in errors} == {"undecided"}
    subjects = {f.subject for f in errors}
    assert {"auth.User.email", "auth.User.password", "demoapp.Profile.bio"} & subjects
    assert list(tmp_path.iterdir()) == []
    decided = {subject.replace(".", "__"): anonymize.keep for subject in subjects}
    decided |= {"auth__User__email": anonymize.email}
    with override_settings(GESTORE=setting(**decided)):
        report = gestore.export_objects([reference], archive, strict_anonymize=True)
        plan = gestore.plan_objects([reference], strict_anonymize=True)
        with pytest.raises(Refused, match="not every column"):
            del decided["auth__User__username"]
            with override_settings(GESTORE=setting(**decided)):
                gestore.tabulate_objects(
                    [reference], str(tmp_path / "t.zip"), strict_anonymize=True
                )
    assert report.anonymized == plan.anonymized == ("auth.User.email",)
    with override_settings(GESTORE={}), pytest.raises(ConfigurationError, match="names no column"):
        gestore.export_objects([reference], archive, anonymize=True, overwrite=True)


def test_shared_rows_are_replaced_and_warned_of(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1)
    archive = str(tmp_path / "zoo.jsonl")
    with override_settings(GESTORE=setting(zoo__Tag__label=anonymize.name)):
        export(there.root, archive)
        plan = gestore.plan_objects([there.root.reference], strict_anonymize=True)
    assert "shared by everything" not in archives.text_of(archive)
    severities = {f.subject: f.severity for f in plan.findings if f.code == "undecided"}
    assert severities["zoo.Continent.name"] is gestore.Severity.WARNING
    assert severities["zoo.Enclosure.name"] is gestore.Severity.ERROR
    assert "zoo.Tag.label" not in severities


def test_real_rows_are_not_overwritten_unasked(tmp_path: Path, settings: Any) -> None:
    settings.DEBUG = True
    user = User.objects.create_user("ada", "ada@example.org")
    archive = str(tmp_path / "ada.jsonl")
    with override_settings(GESTORE=setting(auth__User__email=anonymize.email)):
        export(f"auth.User.{user.pk}", archive)
    before = dump("default")
    for strategy, code in (
        (Strategy.REFUSE, "key-conflict"),
        (Strategy.OVERRIDE, "anonymized-override"),
    ):
        with pytest.raises(Refused) as refused:
            load(archive, "default", on_conflict=strategy)
        assert code in {finding.code for finding in refused.value.findings}
        assert compare.difference(before, dump("default")) == []
    (finding,) = [f for f in refused.value.findings if f.code == "anonymized-override"]
    assert "1 row here would lose what is in email" in finding.message
    assert "--on-conflict auth.User=override" in finding.hint
    kept = load(archive, "default", on_conflict=Strategy.KEEP)
    assert kept.kept_by_model == {"auth.User": 1}
    assert compare.difference(before, dump("default")) == []
    load(archive, "default", strategies={"auth.User": Strategy.OVERRIDE})
    user.refresh_from_db()
    assert user.email.endswith("@example.com")
    assert [f.code for f in gestore.verify_archive(archive, compare=True).findings] == [
        "anonymized"
    ]


def test_tables_for_people_are_replaced_too(tmp_path: Path) -> None:
    user = User.objects.create_user("ada", "ada@example.org")
    target = tmp_path / "ada.zip"
    with override_settings(GESTORE=setting(auth__User__email=anonymize.email)):
        report = gestore.tabulate_objects(
            ["auth.User:email=ada@example.org"], str(target), anonymize=True
        )
    assert report.anonymized == ("auth.User.email",)
    with zipfile.ZipFile(target) as packed:
        assert all(b"ada@example.org" not in packed.read(name) for name in packed.namelist())
        page = packed.read("index.html").decode()
        told = list(csv.reader(io.StringIO(packed.read("auth.user.csv").decode("utf-8-sig"))))
    assert f"Data of auth.User.{user.pk}" in page
    assert "Anonymized: these columns hold other values than the database does: auth.User" in page
    assert any(cell.endswith("@example.com") for cell in told[1])


def test_commands_say_it(tmp_path: Path) -> None:
    user = User.objects.create_user("ada", "ada@example.org")
    reference, archive = f"auth.User.{user.pk}", str(tmp_path / "ada.jsonl")
    with override_settings(GESTORE=setting(auth__User__email="gestore.anonymize.email")):
        seen = typed("exportobjects", reference, "-o", archive, "--anonymize")
        assert (seen.code, "Anonymized: auth.User.email" in seen.out) == (0, True)
        planned = typed("planobjects", reference, "--anonymize")
        assert "Anonymized: auth.User.email" in planned.out
        refused = typed(
            "exportobjects", reference, "-o", str(tmp_path / "no.jsonl"), "--strict-anonymize"
        )
        assert (refused.code, "auth.User.username: may hold personal data" in refused.err) == (
            1,
            True,
        )
        for words in (["--dry-run"], ["--format", "csv", "-o", str(tmp_path / "no.zip")]):
            assert typed("exportobjects", reference, "--strict-anonymize", *words).code == 1
        assert typed("planobjects", reference, "--strict-anonymize").code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ada.jsonl"]
    seen = typed("importobjects", archive, "--database", "target")
    assert "The archive is anonymized" in seen.err
    assert "The archive is anonymized" in typed("verifyobjects", archive).err
