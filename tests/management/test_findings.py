"""What is found out about an archive that does not fit, by code, and does nothing get written?"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction

import gestore
from demoapp.models import Book
from gestore.errors import DatabaseFailed, LoadFailed, SnapshotError
from gestore.load.circles import check_circles
from gestore.schema.introspect import build_graph

from .conftest import BOOK
from .test_imports import contents, first_of, imported
from .typing_in import typed

pytestmark = [
    pytest.mark.django_db(databases=["default", "target"]),
    pytest.mark.usefixtures("target"),
]

Document = dict[str, Any]


def columns(document: Document, model: str) -> dict[str, Any]:
    found: dict[str, Any] = document["tables"][model]["columns"]
    return found


def rename_model(document: Document) -> None:
    document["tables"]["shop.gone"] = {**document["tables"]["demoapp.review"], "label": "shop.Gone"}


def change_type(document: Document) -> None:
    columns(document, "demoapp.book")["title"]["type"] = "TextField"


def change_key(document: Document) -> None:
    document["tables"]["demoapp.book"]["key"] = ["isbn"]


def drop_required(document: Document) -> None:
    del columns(document, "demoapp.book")["title"]
    del first_of(document["objects"], "demoapp.book")["fields"]["title"]


def other_migration(document: Document) -> None:
    for name, table in document["tables"].items():
        if name.startswith("demoapp."):
            table["migration"] = "0099_later"


def unknown_field(document: Document) -> None:
    columns(document, "demoapp.book")["colour"] = {
        "kind": "text",
        "type": "CharField",
        "null": False,
    }
    first_of(document["objects"], "demoapp.book")["fields"]["colour"] = "red"


def empty_value(document: Document) -> None:
    first_of(document["objects"], "demoapp.book")["fields"]["title"] = None


def absent_field(document: Document) -> None:
    del first_of(document["objects"], "demoapp.book")["fields"]["title"]


def repeat(document: Document) -> None:
    document["objects"].append(first_of(document["objects"], "demoapp.book"))


def repeat_value(document: Document) -> None:
    book = first_of(document["objects"], "demoapp.book")
    document["objects"].append({**book, "pk": 4_000})


def lose_row(document: Document) -> None:
    document["objects"].remove(first_of(document["objects"], "demoapp.author"))


# What is changed in the archive: the finding's code and severity, and the exit code.
CHANGES: dict[Callable[[Document], None], tuple[str, str, int]] = {
    rename_model: ("unknown-model", "error", 1),
    change_type: ("changed-type", "warning", 0),
    change_key: ("changed-key", "error", 1),
    drop_required: ("new-required-field", "error", 1),
    other_migration: ("other-migration", "warning", 0),
    unknown_field: ("unknown-field", "error", 1),
    empty_value: ("empty-value", "error", 1),
    absent_field: ("absent-field", "error", 1),
    repeat: ("repeated-key", "error", 1),
    repeat_value: ("repeated-value", "conflict", 3),
    lose_row: ("missing", "error", 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_fit_is_found(
    change: Callable[[Document], None], here: Path, archives: dict[str, bytes]
) -> None:
    code, severity, exit_code = CHANGES[change]
    document = json.loads(archives["json"])
    change(document)
    Path("odd.json").write_text(json.dumps(document))
    before = contents()

    seen = imported("odd.json", "--report", "report.json", "--dry-run")

    assert seen.code == exit_code
    findings = json.loads(Path("report.json").read_bytes())["findings"]
    of_this = [finding for finding in findings if finding["code"] == code]
    assert len(of_this) == 1
    assert of_this[0]["severity"] == severity
    told = " ".join(f"{severity}: {of_this[0]['subject']}: {of_this[0]['message']}".split())
    assert told in " ".join(seen.err.split())
    assert "Traceback" not in seen.err
    assert contents() == before


def test_codes_of_what_the_other_tests_read(here: Path, archives: dict[str, bytes]) -> None:
    """Programs read codes, so these stay; what they look like is tested elsewhere."""
    Path("book.json").write_bytes(archives["json"])

    def codes(*words: str) -> list[str]:
        typed("importobjects", "--database", "target", "--report", "report.json", *words)
        findings = json.loads(Path("report.json").read_bytes())["findings"]
        return sorted({finding["code"] for finding in findings})

    from django.db.migrations.recorder import MigrationRecorder

    recorder = MigrationRecorder(connections["target"])
    recorder.record_unapplied("demoapp", "0001_initial")
    try:
        assert codes("book.json") == ["unapplied-migrations"]
    finally:
        recorder.record_applied("demoapp", "0001_initial")

    assert codes("book.json") == []
    number = json.loads(Path("report.json").read_bytes())["import"]
    book = Book.objects.using("target").get()
    Book.objects.using("target").create(title="Later", isbn="2", author=book.author)
    assert codes("--undo", str(number), "--no-input") == ["points-at-import"]


# Databases that say no ----------------------------------------------------------------------------


def locked(*args: Any) -> Any:
    raise OperationalError("database is locked.")


def test_failure_of_the_database_is_told_in_one_line(
    here: Path, archives: dict[str, bytes]
) -> None:
    Path("book.json").write_bytes(archives["json"])
    with connections["default"].execute_wrapper(locked):
        seen = typed("planobjects", BOOK)
        assert (seen.code, seen.out) == (1, "")
        assert seen.errors == [
            "CommandError: Database 'default' failed: database is locked.",
            "Nothing was written.",
        ]
        with pytest.raises(DatabaseFailed):
            gestore.plan_objects([BOOK])
    with connections["target"].execute_wrapper(locked):
        for command in ("importobjects", "verifyobjects"):
            compare = ["--compare"] if command == "verifyobjects" else []
            seen = typed(command, "book.json", "--database", "target", *compare)
            assert (seen.code, seen.out) == (1, "")
            assert "database is locked" in seen.errors[0]
            assert len(seen.errors) <= 2


@contextmanager
def trigger(when: str, does: str) -> Iterator[None]:
    """In the target, on books."""
    with connections["target"].cursor() as cursor:
        cursor.execute(f"CREATE TRIGGER meddle {when} ON demoapp_book BEGIN {does}; END")
        try:
            yield
        finally:
            cursor.execute("DROP TRIGGER meddle")


def test_row_that_the_database_refuses_is_named(
    here: Path, archives: dict[str, bytes], vendor: str
) -> None:
    if vendor != "sqlite":
        pytest.skip("Triggers are written otherwise on every database; one will do.")
    Path("book.json").write_bytes(archives["json"])
    before = contents()
    with trigger("BEFORE INSERT", "SELECT RAISE(ABORT, 'no more books')"):
        seen = imported("book.json")
        with pytest.raises(LoadFailed):
            gestore.import_objects("book.json", gestore.ImportOptions(database="target"))

    assert (seen.code, seen.out) == (1, "")
    assert seen.errors == [
        f"CommandError: {BOOK} was refused by the database: no more books",
        "Everything was rolled back.",
    ]
    assert contents() == before


def test_row_that_the_database_changes_is_found_by_reading_back(
    here: Path, archives: dict[str, bytes], vendor: str
) -> None:
    if vendor != "sqlite":
        pytest.skip("Triggers are written otherwise on every database; one will do.")
    Path("book.json").write_bytes(archives["json"])
    before = contents()
    with trigger("AFTER INSERT", "UPDATE demoapp_book SET title = 'Mine' WHERE id = NEW.id"):
        seen = imported("book.json", "--verify", "--report", "report.json")
        assert imported("book.json", "--dry-run").code == 0

    assert (seen.code, seen.out) == (1, "")
    (finding,) = json.loads(Path("report.json").read_bytes())["findings"]
    assert (finding["code"], finding["subject"]) == ("read-back", BOOK)
    assert seen.errors[-1] == (
        "CommandError: Everything was rolled back: what was written is not what should be there."
    )
    assert contents() == before


def test_number_in_a_document_that_equals_a_changed_key_is_warned_of(
    here: Path, archives: dict[str, bytes]
) -> None:
    document = json.loads(archives["json"])
    book = first_of(document["objects"], "demoapp.book")
    book["fields"]["metadata"] = {"book_id": book["pk"]}
    Path("book.json").write_text(json.dumps(document))
    Book.objects.using("target").create(pk=book["pk"], title="Another", isbn="1")

    seen = imported("book.json", "--on-conflict", "remap", "--report", "report.json")
    assert seen.code == 0
    findings = json.loads(Path("report.json").read_bytes())["findings"]
    assert sorted(finding["code"] for finding in findings) == ["archive-edited", "hidden-key"]


def test_resolution_of_a_conflict_that_is_gone_is_refused(
    here: Path, archives: dict[str, bytes]
) -> None:
    Path("book.json").write_bytes(archives["json"])
    key = first_of(json.loads(archives["json"])["objects"], "demoapp.book")["pk"]
    stranger = Book.objects.using("target").create(pk=key, title="Another", isbn="1")
    assert imported("book.json", "--write-resolutions", "decide.json").code == 3
    written = Path("decide.json").read_text()
    Path("decide.json").write_text(written.replace('"action": "refuse"', '"action": "keep"'))
    stranger.delete()
    before = contents()

    seen = imported("book.json", "--resolutions", "decide.json", "--report", "report.json")
    assert (seen.code, seen.out) == (1, "")
    (finding,) = json.loads(Path("report.json").read_bytes())["findings"]
    assert finding["code"] == "stale-resolution"
    assert contents() == before


def test_transaction_that_shows_no_one_moment_is_refused(library: None, vendor: str) -> None:
    """Django opens READ COMMITTED on servers; the one level of SQLite will do."""
    with transaction.atomic():
        if vendor != "sqlite":
            with pytest.raises(SnapshotError, match="does not show one moment"):
                gestore.plan_objects([BOOK])
        else:
            assert gestore.plan_objects([BOOK]).row_count > 1


# Circles ---------------------------------------------------------------------------------


def test_circle_that_can_never_be_loaded_is_found() -> None:
    """Only in tables that Django did not make: their constraints may not be deferrable."""
    graph = build_graph((), (), "target")
    required = [
        relation
        for relation in graph.relations
        if graph.is_circular(relation)
        and not relation.is_nullable
        and relation.source.startswith("zoo.")
    ]
    names = {relation.name for relation in required}
    tables = [relation.source for relation in required]
    found = list(check_circles(graph, names, tables, can_go_unchecked=False))

    assert required
    assert {finding.code for finding in found} == {"immediate-circle"}
    assert {finding.subject for finding in found} == names
    assert list(check_circles(graph, names, tables, can_go_unchecked=True)) == []
    assert list(check_circles(graph, set(), tables, can_go_unchecked=False)) == []
