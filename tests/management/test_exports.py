"""What does `exportobjects` print and write when all goes well?"""

import gzip
import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import zstandard

from .conftest import BOOK
from .typing_in import Seen, typed

pytestmark = [
    pytest.mark.django_db(databases=["default", "target"]),
    pytest.mark.usefixtures("library"),
]

COUNT_LINE = re.compile(r"  [\w.]+ +[\d,]+")


def rows_in(document: bytes) -> list[dict[str, Any]]:
    return json.loads(document)["objects"]


def told_counts(seen: Seen) -> dict[str, int]:
    """The lines that count rows, by model."""
    found = [line.split() for line in seen.out.splitlines() if COUNT_LINE.fullmatch(line)]
    return {label: int(count.replace(",", "")) for label, count in found}


def test_tells_rows_by_model_and_where_they_went(here: Path) -> None:
    seen = typed("exportobjects", BOOK, "-o", "acme.json")
    rows = rows_in(Path("acme.json").read_bytes())
    shared = sum(row.get("shared", False) for row in rows)

    *counts, exported, digest = seen.out.splitlines()
    assert (seen.code, seen.err) == (0, "")
    assert all(COUNT_LINE.fullmatch(line) for line in counts)
    assert len({len(line) for line in counts}) == 1
    told = told_counts(seen)
    assert told["demoapp.Book"] == 1
    assert sum(told.values()) == len(rows)
    assert exported == (
        f"Exported {len(rows)} rows ({len(rows) - shared} owned, {shared} shared) to acme.json"
    )
    closing = json.loads(Path("acme.json").read_bytes())["closing"]
    assert digest == f"sha256 {closing['sha256']}"
    assert all(len(line) <= 80 for line in seen.out.splitlines())


def test_output_is_a_file_a_folder_or_the_default_folder(here: Path) -> None:
    made = rf"{re.escape(socket.gethostname())}-\d{{8}}T\d{{12}}Z"
    for words, folder, ending in [
        ((), "exports", "json"),
        (("-o", "mine"), "mine", "json"),
        (("-o", "2024.01/"), "2024.01", "json"),
        (("-o", "deep/er"), "deep/er", "json"),
        (("-o", "packed", "--format", "jsonl.gz"), "packed", "jsonl.gz"),
    ]:
        seen = typed("exportobjects", BOOK, *words)

        (file,) = Path(folder).iterdir()
        assert seen.code == 0
        assert re.fullmatch(rf"{made}\.{re.escape(ending)}", file.name)
        assert f" to {folder}/{file.name}\n" in seen.out
        assert typed("verifyobjects", str(file)).code == 0


def test_folder_with_a_dot_that_is_there_is_a_folder(here: Path) -> None:
    Path("exports.d").mkdir()
    assert typed("exportobjects", BOOK, "-o", "exports.d").code == 0
    assert len(list(Path("exports.d").iterdir())) == 1


def test_standard_output_carries_the_archive_and_nothing_else() -> None:
    expected = rows_in(typed("exportobjects", BOOK, "-o", "-", "--format", "json").payload)
    assert len(expected) > 10

    def lines_of(document: bytes) -> list[dict[str, Any]]:
        return [json.loads(line) for line in document.splitlines()][1:-1]

    for words, rows in [
        ((), lines_of),
        (("--format", "jsonl"), lines_of),
        (("--format", "jsonl.gz"), lambda data: lines_of(gzip.decompress(data))),
        (
            ("--format", "json.zst"),
            lambda data: rows_in(zstandard.ZstdDecompressor().decompressobj().decompress(data)),
        ),
    ]:
        seen = typed("exportobjects", BOOK, "-o", "-", *words)

        assert seen.code == 0
        assert rows(seen.payload) == expected
        assert f"Exported {len(expected)} rows" in seen.err
        assert "to standard output\n" in seen.err


def test_debug_prints_the_document(here: Path) -> None:
    for words in (("-d",), ("--debug", "-o", "acme.json")):
        seen = typed("exportobjects", BOOK, *words)

        assert seen.code == 0
        assert rows_in(seen.payload) == rows_in(
            typed("exportobjects", BOOK, "-o", "-", "--format", "json").payload
        )
    assert list(here.iterdir()) == []


def test_dry_run_prints_the_plan(here: Path) -> None:
    plan = typed("planobjects", BOOK)
    for words in (("-n",), ("--dry-run", "-o", "-"), ("-n", "-o", "new.json")):
        seen = typed("exportobjects", BOOK, *words)

        assert (seen.code, seen.err) == (0, "")
        assert seen.out == f"{plan.out}Dry run: nothing was written.\n"
    assert list(here.iterdir()) == []


def test_silent_with_verbosity_0(here: Path) -> None:
    seen = typed("exportobjects", BOOK, "-o", "acme.json", "-v", "0")
    assert seen == Seen(0, "", "")
    assert typed("importobjects", "acme.json", "--dry-run", "-v0") == Seen(0, "", "")
    assert typed("verifyobjects", "acme.json", "-v0") == Seen(0, "", "")
    assert typed("planobjects", BOOK, "-v0") == Seen(0, "", "")


def test_report(here: Path) -> None:
    Path("report.json").write_text("of an earlier run")
    seen = typed("exportobjects", BOOK, "-o", "acme.json", "--report", "report.json")

    report = json.loads(Path("report.json").read_bytes())
    closing = json.loads(Path("acme.json").read_bytes())["closing"]
    assert report == {
        "archive": "acme.json",
        "sha256": closing["sha256"],
        "file_sha256": "",
        "signer": "",
        "size_bytes": Path("acme.json").stat().st_size,
        "rows": closing["rows"],
        "files": {"carried": 0, "bytes": 0},
        "owned": report["owned"],
        "shared": report["shared"],
        "anonymized": [],
        "findings": [],
    }
    assert report["owned"]["demoapp.Book"] == 1
    assert report["owned"] | report["shared"] == told_counts(seen)


def test_what_cannot_be_imported_is_not_exported(here: Path) -> None:
    """A review must say whose it is: without users it cannot be."""
    words = (BOOK, "--skip", "auth.User", "--report", "report.json")
    for command, message in [
        ("exportobjects", "Nothing was exported: the archive could not be imported."),
        ("planobjects", "This cannot be exported as it is."),
    ]:
        seen = typed(command, *words)

        error, rest, hint, last = seen.errors
        assert seen.code == 1
        assert re.fullmatch(
            r"error: demoapp.Review.user: \d+ rows point at what is skipped, and the pointer",
            error,
        )
        assert rest == "  cannot be emptied."
        assert hint == "  → Skip demoapp.Review too, or share what it points at."
        assert last == f"CommandError: {message}"
        report = json.loads(Path("report.json").read_bytes())
        assert [finding["code"] for finding in report["findings"]] == ["skipped-required"]
    assert typed("exportobjects", *words, "-n").code == 1
    assert [path.name for path in here.iterdir()] == ["report.json"]


def test_error_is_in_the_report_too(here: Path) -> None:
    Path("report.json").write_text("of an earlier run")
    seen = typed("exportobjects", "demoapp.Book", "--report", "report.json")

    assert seen.code == 2
    assert json.loads(Path("report.json").read_bytes()) == {
        "refused": "'demoapp.Book' has no key.",
        "hint": "A reference is app_label.Model.key, or app_label.Model:field=value.",
        "findings": [],
    }


def test_workers_are_a_number(here: Path) -> None:
    seen = typed("exportobjects", BOOK, "-o", "acme.json", "--workers", "none")
    assert (seen.code, seen.out) == (2, "")
    assert "none" in seen.err
    assert not Path("acme.json").exists()


@pytest.mark.parametrize("option", ["--anonymize", "--strict-anonymize"])
def test_content_of_files_is_not_anonymized(here: Path, option: str) -> None:
    seen = typed("exportobjects", BOOK, "-o", "acme.tar", "--with-files", option)
    assert (seen.code, seen.out) == (2, "")
    assert "The content of uploaded files cannot be anonymized." in seen.err
    assert list(here.iterdir()) == []
