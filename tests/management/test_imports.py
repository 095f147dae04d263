"""What does `importobjects` print, right and wrong, and what does it leave in the database?"""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from demoapp.models import Author, Book, Genre, Note
from tests.zoo import compare

from .conftest import BOOK, FORMS
from .typing_in import Seen, typed

pytestmark = [
    pytest.mark.django_db(databases=["default", "target"]),
    pytest.mark.usefixtures("target"),
]


def contents() -> compare.Dump:
    """Everything in the tables of the target that an import of a book could touch."""
    models = [
        model
        for label in ("demoapp", "auth", "contenttypes")
        for model in apps.get_app_config(label).get_models(include_auto_created=True)
        if not model._meta.proxy
    ]
    return compare.dump("target", models)


def imported(path: str, *words: str, stdin: bytes = b"") -> Seen:
    return typed("importobjects", path, "--database", "target", *words, stdin=stdin)


def edited(document: bytes, change: Callable[[list[dict[str, Any]]], None]) -> bytes:
    """A `.json` archive, its rows changed by hand."""
    whole = json.loads(document)
    change(whole["objects"])
    return json.dumps(whole).encode()


def first_of(rows: list[dict[str, Any]], model: str) -> dict[str, Any]:
    return next(row for row in rows if row["model"] == model)


# Right --------------------------------------------------------------------------------------------


def test_import_tells_rows_by_model_and_the_second_one_that_all_are_here(
    here: Path, archives: dict[str, bytes]
) -> None:
    Path("book.json").write_bytes(archives["json"])
    count = len(json.loads(archives["json"])["objects"])
    empty = contents()

    dry = imported("book.json", "--dry-run")
    assert (dry.code, dry.err) == (0, "")
    assert dry.out.splitlines()[-2:] == [
        f"Would import {count} rows from book.json.",
        "Dry run: everything was rolled back.",
    ]
    assert contents() == empty

    first = imported("book.json")
    assert (first.code, first.err) == (0, "")
    *counts, last, undoing = first.out.splitlines()
    assert last == f"Imported {count} rows from book.json."
    assert re.fullmatch(r"This is import (\d+): importobjects --undo \1", undoing)
    assert counts == dry.out.splitlines()[:-2]
    assert sum(int(line.split()[1]) for line in counts) == count
    arrived = contents()
    assert len(arrived["demoapp.Book"]) == 1

    for words in ((), ("--dry-run",), ("-d",)):
        again = imported("book.json", *words)
        assert again == Seen(
            0,
            again.out,
            "",
            f"Nothing to import: all {count} rows are here already.\n".encode(),
        )
    assert contents() == arrived


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_imported_from_a_file_and_from_a_pipe(
    form: str, here: Path, archives: dict[str, bytes]
) -> None:
    Path(f"book.{form}").write_bytes(archives[form])
    assert imported(f"book.{form}").code == 0

    piped = imported("-", stdin=archives[form])
    assert (piped.code, piped.err) == (0, "")
    assert piped.out.startswith("Nothing to import: all ")


def test_report_of_an_import(here: Path, archives: dict[str, bytes]) -> None:
    Path("book.json").write_bytes(archives["json"])
    rows = json.loads(archives["json"])["objects"]

    assert imported("book.json", "--report", "report.json").code == 0
    report = json.loads(Path("report.json").read_bytes())
    assert report == {
        "archive": "book.json",
        "objects": [BOOK],
        "loaded": report["loaded"],
        "here": {},
        "kept": {},
        "overridden": {},
        "renewed": {},
        "restored": {},
        "import": report["import"],
        "files": {"written": 0, "here": 0, "renamed": 0},
        "dry_run": False,
        "findings": [],
    }
    assert sum(report["loaded"].values()) == len(rows)


# Files that are no archive, or not a whole one ----------------------------------------------------


NO_ARCHIVES = {
    "empty.json": (b"", "it is empty"),
    "blank.json": (b"\n \n", "it is empty"),
    "page.html": (b"<!doctype html><title>404</title>", "it is no JSON object"),
    "list.json": (b"[1, 2, 3]", "it is no JSON object"),
    "fixture.json": (b'[{"model": "auth.user", "pk": 1, "fields": {}}]', "it is no JSON object"),
    "text.json": (b'"words"', "it is no JSON object"),
    "object.json": (b"{}", "it has no objects"),
    "package.json": (b'{"name": "left-pad", "version": "1.0.0"}', "it has no objects"),
    "other.json": (b'{"objects": []}', "it names no provided_objects"),
    "image.png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "it is no UTF-8 text"),
    "nonsense": (bytes(range(128, 256)), "it is no UTF-8 text"),
    "packed.gz": (gzip.compress(b"<html>"), "it is no JSON object"),
    "packed.zst": (zstandard.compress(b"[]"), "it is no JSON object"),
}


@pytest.mark.parametrize("command", ["importobjects", "verifyobjects"])
def test_what_is_no_archive_is_one_line(command: str, here: Path) -> None:
    before = contents()
    for name, (data, reason) in NO_ARCHIVES.items():
        Path(name).write_bytes(data)
        for path, stdin, shown in [(name, b"", name), ("-", data, "standard input")]:
            seen = typed(command, path, "--database", "target", stdin=stdin)

            assert (name, seen.code, seen.out) == (name, 1, "")
            assert seen.err == f"CommandError: {shown} is not an archive of Gestore: {reason}.\n"
    assert contents() == before


@pytest.mark.parametrize("command", ["importobjects", "verifyobjects"])
def test_what_cannot_be_opened_is_one_line(command: str, here: Path) -> None:
    for path, reason in [
        ("nothing.json", "No such file or directory"),
        (".", "Is a directory"),
        ("missing/a.json", "No such file or directory"),
    ]:
        seen = typed(command, path)
        assert (seen.code, seen.out) == (1, "")
        assert seen.err == f"CommandError: {path} cannot be read: {reason}.\n"


@pytest.mark.parametrize("form", FORMS)
def test_cut_off_archive_is_refused_wherever_it_was_cut(
    form: str, here: Path, archives: dict[str, bytes]
) -> None:
    whole = archives[form]
    before = contents()
    ends = ("end", "closing line", "compressed end")
    # Each tenth, and all but the last bytes. Without its last line break a text is still whole.
    sizes = [len(whole) * tenth // 10 for tenth in range(1, 10)] + [len(whole) - 2]
    for size in sizes:
        Path(f"cut.{form}").write_bytes(whole[:size])
        seen = imported(f"cut.{form}")

        assert (size, seen.code, seen.out) == (size, 1, "")
        first, advice = seen.errors
        assert first in [
            f"CommandError: cut.{form} is cut off: its {end} is missing." for end in ends
        ]
        assert advice == "Fetch it again from where it was whole."
    assert contents() == before


def test_later_format_is_refused(here: Path, archives: dict[str, bytes]) -> None:
    before = contents()
    for form, member in [("json", b'"format_version": 2'), ("jsonl", b'"format_version":2')]:
        later = archives[form].replace(member, member.replace(b"2", b"99"))
        assert later != archives[form]
        Path(f"later.{form}").write_bytes(later)
        seen = imported(f"later.{form}")

        assert (seen.code, seen.out) == (1, "")
        assert seen.errors == [
            f"CommandError: later.{form} is of format 99; this Gestore reads up to 2.",
            "Update with: pip install -U django-gestore",
        ]
    assert contents() == before


def test_archive_beyond_the_bound_is_refused(
    here: Path, archives: dict[str, bytes], settings: Any
) -> None:
    settings.GESTORE = {"MAX_ARCHIVE_BYTES": 1000}
    Path("book.json.gz").write_bytes(archives["json.gz"])

    seen = imported("book.json.gz")
    assert (seen.code, seen.out) == (1, "")
    assert seen.errors == [
        "CommandError: book.json.gz is larger than 1,000 bytes when expanded.",
        'If it is to be trusted, raise GESTORE["MAX_ARCHIVE_BYTES"].',
    ]


def test_edited_archive_is_warned_of_and_with_strict_refused(
    here: Path, archives: dict[str, bytes]
) -> None:
    def rename(rows: list[dict[str, Any]]) -> None:
        first_of(rows, "demoapp.author")["fields"]["last_name"] = "Renamed"

    Path("book.json").write_bytes(edited(archives["json"], rename))
    before = contents()
    told = "book.json: was changed after it was written: its digest does not match."

    refused = imported("book.json", "--strict")
    assert (refused.code, refused.out) == (1, "")
    assert refused.errors == [
        f"error: {told}",
        "CommandError: Nothing was imported: the archive has errors.",
    ]
    verified = typed("verifyobjects", "book.json", "--strict")
    assert (verified.code, verified.out) == (1, "")
    assert verified.errors == [
        f"error: {told}",
        "CommandError: book.json is not as it should be.",
    ]
    assert contents() == before

    warned = [f"warning: {told}", "  → Refuse such archives with --strict."]
    seen = typed("verifyobjects", "book.json")
    assert (seen.code, seen.errors) == (0, warned)
    assert "book.json has " in seen.out
    assert "whole" not in seen.out
    seen = imported("book.json")
    assert (seen.code, seen.errors) == (0, warned)
    assert Author.objects.using("target").get().last_name == "Renamed"


# A site that it does not fit ----------------------------------------------------------------------


def test_unapplied_migrations_are_an_error(here: Path, archives: dict[str, bytes]) -> None:
    Path("book.json").write_bytes(archives["json"])
    recorder = MigrationRecorder(connections["target"])
    before = contents()
    recorder.record_unapplied("demoapp", "0001_initial")
    try:
        seen = imported("book.json")
        compared = typed("verifyobjects", "book.json", "--compare", "--database", "target")
    finally:
        recorder.record_applied("demoapp", "0001_initial")

    findings = [
        "error: this database: has unapplied migrations: demoapp.0001_initial.",
        "  → Run: python manage.py migrate --database target",
    ]
    assert (seen.code, seen.out) == (1, "")
    assert seen.errors == [
        *findings,
        "CommandError: Nothing was imported: the archive does not fit this site.",
    ]
    assert (compared.code, compared.errors) == (
        1,
        [
            *findings,
            "CommandError: The archive does not fit this site: it cannot be compared.",
        ],
    )
    assert contents() == before


def test_missing_external_row_is_named_with_what_points_at_it(
    here: Path, archives: dict[str, bytes]
) -> None:
    notes = [
        row["pk"]
        for row in json.loads(archives["json"])["objects"]
        if row["model"] == "demoapp.note"
    ]
    kind = ContentType.objects.using("target").get(app_label="demoapp", model="book")
    assert notes
    Path("book.json").write_bytes(archives["json"])
    with _without(kind):
        before = contents()
        seen = imported("book.json", "--report", "report.json")
        assert contents() == before

    assert (seen.code, seen.out) == (1, "")
    first, second, advice, last = seen.errors
    assert first == "error: contenttypes.ContentType demoapp.book: is external and not here;"
    assert second in [f"  demoapp.Note.{key} points at it." for key in notes]
    assert advice.startswith("  → Create it here first")
    assert last == "CommandError: Nothing was imported: external rows are missing here."
    assert json.loads(Path("report.json").read_bytes())["findings"][0]["code"] == "external-missing"


class _without:  # noqa: N801 - reads as a sentence
    """The content type is away, and afterwards back under its number with its permissions."""

    def __init__(self, kind: ContentType) -> None:
        self.kind = kind
        self.permissions = list(Permission.objects.using("target").filter(content_type=kind))

    def __enter__(self) -> None:
        Permission.objects.using("target").filter(content_type=self.kind)._raw_delete("target")
        ContentType.objects.using("target").filter(pk=self.kind.pk)._raw_delete("target")
        ContentType.objects.clear_cache()

    def __exit__(self, *error: object) -> None:
        self.kind.save(using="target", force_insert=True)
        Permission.objects.using("target").bulk_create(self.permissions)


# Conflicts ----------------------------------------------------------------------------------------


def test_conflicts_are_listed_and_nothing_is_written(
    here: Path, archives: dict[str, bytes]
) -> None:
    rows = json.loads(archives["json"])["objects"]
    archived = first_of(rows, "demoapp.book")
    genre = first_of(rows, "demoapp.genre")
    Path("book.json").write_bytes(archives["json"])
    Book.objects.using("target").create(pk=archived["pk"], title="Another", isbn="1")
    Genre.objects.using("target").create(pk=999, name=genre["fields"]["name"])
    Author.objects.using("target").create(pk=first_of(rows, "demoapp.author")["pk"])
    before = contents()

    seen = imported("book.json", "--report", "report.json")
    assert (seen.code, seen.out) == (3, "")
    assert contents() == before
    text = seen.err.replace("\n  ", " ")
    assert (
        f"conflict: {BOOK}: is here with other values: title ('Another' here, "
        f"{archived['fields']['title']!r} archived), " in text
    )
    assert (
        f"conflict: demoapp.Genre.{genre['pk']}: name={genre['fields']['name']!r} is taken here "
        "by demoapp.Genre.999 (unique: name).\n" in text
    )
    assert "CommandError: Nothing was imported: rows of the archive meet other rows here.\n" in text
    assert "--on-conflict keep" in text
    report = json.loads(Path("report.json").read_bytes())
    assert [finding["code"] for finding in report["findings"]] == [
        "key-conflict",
        "key-conflict",
        "unique-conflict",
    ]
    assert report["refused"] == "Nothing was imported: rows of the archive meet other rows here."
    assert all(len(line) <= 80 for line in seen.errors[:-1])

    differs = typed("verifyobjects", "book.json", "--compare", "--database", "target")
    assert differs.code == 3
    assert differs.errors[-1] == (
        f"CommandError: The database differs: 0 rows are the same, {len(rows) - 3} absent, "
        "3 different."
    )
    assert contents() == before

    kept = imported("book.json", "--on-conflict", "keep")
    assert (kept.code, kept.err) == (0, "")
    assert kept.out.splitlines()[-6:-1] == [
        "Kept 3 rows that are here in their place:",
        "  demoapp.Author  1",
        "  demoapp.Book    1",
        "  demoapp.Genre   1",
        f"Imported {len(rows) - 3} rows from book.json.",
    ]
    assert Book.objects.using("target").get().title == "Another"
    assert Book.genre.through.objects.using("target").filter(genre=999).count() == 1


def test_strategy_of_one_model(here: Path, archives: dict[str, bytes]) -> None:
    Path("book.json").write_bytes(archives["json"])
    key = first_of(json.loads(archives["json"])["objects"], "demoapp.book")["pk"]
    Book.objects.using("target").create(pk=key, title="Another", isbn="1")

    assert imported("book.json", "--on-conflict", "demoapp.Genre=keep").code == 3
    assert imported("book.json", "--on-conflict", "demoapp.book=keep").code == 0


def test_wrong_strategy_is_one_line(here: Path, archives: dict[str, bytes]) -> None:
    Path("book.json").write_bytes(archives["json"])
    before = contents()
    choose = "Choose: refuse, keep, override, remap."
    for word, (code, lines) in {
        "nope": (2, ["There is no strategy 'nope'.", choose]),
        "demoapp.Book=nope": (2, ["There is no strategy 'nope'.", choose]),
        "override": (
            2,
            [
                "The strategy override changes rows that are here, and DEBUG is off.",
                'If that is meant, set GESTORE["ALLOW_OVERRIDE"] = True.',
            ],
        ),
        "=keep": (2, ["'=keep' names no model.", "Write app_label.Model=STRATEGY."]),
        "demoapp.Nope=keep": (
            1,
            [
                "No model 'demoapp.Nope' in this project.",
                "Did you mean demoapp.Note, demoapp.Book, demoapp.Profile?",
            ],
        ),
    }.items():
        seen = imported("book.json", "--on-conflict", word)
        assert (word, seen.code, seen.out) == (word, code, "")
        assert seen.errors == [f"CommandError: {lines[0]}", *lines[1:]]
    assert contents() == before


def test_at_most_ten_of_a_kind_are_told_one_by_one(here: Path, archives: dict[str, bytes]) -> None:
    """A dozen notes are written by a user who is not in the archive."""

    def lose_writers(rows: list[dict[str, Any]]) -> None:
        note = first_of(rows, "demoapp.note")
        for number in range(12):
            fields = {**note["fields"], "written_by": 77_000 + number}
            rows.append({"model": "demoapp.note", "pk": 9_000 + number, "fields": fields})

    Path("book.json").write_bytes(edited(archives["json"], lose_writers))
    seen = imported("book.json", "--report", "report.json")

    assert (seen.code, seen.out) == (1, "")
    assert sum(line.startswith("error: demoapp.Note.") for line in seen.errors) == 10
    assert "… and 2 more of this kind (--report has them all)" in seen.errors
    assert sum(line.startswith("  → ") for line in seen.errors) == len(
        {line for line in seen.errors if line.startswith("  → ")}
    )
    codes = [f["code"] for f in json.loads(Path("report.json").read_bytes())["findings"]]
    assert codes.count("missing") == 12
    assert Note.objects.using("target").count() == 0


# Verifying ----------------------------------------------------------------------------------------


def test_verify_tells_what_is_in_the_archive(here: Path, archives: dict[str, bytes]) -> None:
    Path("book.json").write_bytes(archives["json"])
    whole = json.loads(archives["json"])
    count = len(whole["objects"])
    facts = [
        f"book.json is whole: {count} rows of {BOOK}.",
        f"sha256 {whole['closing']['sha256']}",
    ]

    seen = typed("verifyobjects", "book.json", "--report", "report.json")
    assert (seen.code, seen.err) == (0, "")
    *counts, whole_line, digest_line = seen.out.splitlines()
    assert [whole_line, digest_line] == facts
    assert sum(int(line.split()[1]) for line in counts) == count
    report = json.loads(Path("report.json").read_bytes())
    assert report["rows"] == count
    assert report["rows_by_model"]["demoapp.Book"] == 1
    assert (report["same"], report["absent"]) == (None, None)

    compared = typed("verifyobjects", "book.json", "--compare")
    assert (compared.code, compared.err) == (0, "")
    assert compared.out.splitlines()[-3:] == [
        *facts,
        "The database holds all of them, with the same values.",
    ]

    absent = typed("verifyobjects", "book.json", "--compare", "--database", "target")
    assert absent.code == 3
    assert absent.errors == [
        f"CommandError: The database differs: 0 rows are the same, {count} absent, 0 different."
    ]


def test_verify_reads_a_pipe(archives: dict[str, bytes]) -> None:
    seen = typed("verifyobjects", "-", "--compare", stdin=archives["jsonl.gz"])
    assert (seen.code, seen.err) == (0, "")
    assert "standard input is whole: " in seen.out


def test_verify_counts_what_the_manifest_announced(here: Path, archives: dict[str, bytes]) -> None:
    """The digest is right and the counts are not: written by someone else's program."""
    import hashlib

    lines = archives["jsonl"].splitlines(keepends=True)
    manifest = json.loads(lines[0])
    manifest["tables"]["demoapp.book"]["rows"] = 2
    lines[0] = json.dumps(manifest).encode() + b"\n"
    closing = json.loads(lines[-1])
    closing["closing"]["sha256"] = hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    lines[-1] = json.dumps(closing).encode() + b"\n"
    Path("book.jsonl").write_bytes(b"".join(lines))

    seen = typed("verifyobjects", "book.jsonl")
    assert (seen.code, seen.out) == (1, "")
    assert seen.errors == [
        "error: demoapp.Book: rows announced: 2, rows there: 1.",
        "CommandError: book.jsonl is not as it should be.",
    ]
