"""Can a person read what is handed out, and is it all there?"""

from __future__ import annotations

import csv
import html
import io
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from gestore import tabulating
from gestore.errors import ArchiveExists, NotFound, UsageError
from gestore.tabulating import tabulate_objects
from tests.zoo import rows

pytestmark = pytest.mark.django_db(transaction=True)


def clock() -> datetime:
    return datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


@pytest.fixture
def ada() -> User:
    return User.objects.create_user(
        "ada", "=cmd@example.org", first_name='A"d, a', last_name="@Łove\nlace", is_staff=True
    )


def read(data: bytes) -> list[list[str]]:
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_a_zip_of_tables_with_a_page(ada: User, tmp_path: Path) -> None:
    target = tmp_path / "ada.zip"
    report = tabulate_objects([f"auth.User.{ada.pk}"], str(target), clock=clock)
    assert report.rows_by_model == {"auth.User": 1, "demoapp.Profile": 1}
    with zipfile.ZipFile(target) as packed:
        assert packed.testzip() is None
        assert sorted(packed.namelist()) == ["auth.user.csv", "demoapp.profile.csv", "index.html"]
        heading, row = read(packed.read("auth.user.csv"))
        page = packed.read("index.html").decode()
    told = dict(zip(heading, row, strict=True))
    assert told["Username"] == "ada"
    assert told["First name"] == 'A"d, a'
    assert told["Last name"] == "'@Łove\nlace"
    assert told["Email address"] == "'=cmd@example.org"
    assert (told["Staff status"], told["Superuser status"]) == ("yes", "no")
    assert told["Last login"] == ""
    assert f"Data of auth.User.{ada.pk}" in page
    assert "2026-03-01 12:30 UTC" in page
    assert "cannot be imported" in page
    links = re.findall(r'href="([^"]+)">([^<]+)<', page)
    assert links == [("auth.user.csv", "Users"), ("demoapp.profile.csv", "Profiles")]


def test_a_folder_for_the_whole_zoo(tmp_path: Path) -> None:
    """Every kind of column is shown, and every row is there."""
    there = rows.populate("default", menageries=1)
    report = tabulate_objects([there.root.reference], str(tmp_path / "zoo"))
    assert report.row_count > 300
    for label, count in report.rows_by_model.items():
        data = (tmp_path / "zoo" / f"{label.lower()}.csv").read_bytes()
        assert len(read(data)) == count + 1


def test_nothing_is_left_of_what_failed(
    ada: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*call: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tabulating, "write_page", full)
    for name in ("ada.zip", "ada"):
        with pytest.raises(Exception, match="No space left"):
            tabulate_objects([f"auth.User.{ada.pk}"], str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_replaced_unasked(ada: User, tmp_path: Path) -> None:
    reference = f"auth.User.{ada.pk}"
    for name in ("ada.zip", "ada"):
        tabulate_objects([reference], str(tmp_path / name), clock=clock)
        with pytest.raises(ArchiveExists):
            tabulate_objects([reference], str(tmp_path / name))
    tabulate_objects([reference], str(tmp_path / "ada.zip"), overwrite=True)
    with pytest.raises(UsageError, match="A folder is never replaced"):
        tabulate_objects([reference], str(tmp_path / "ada"), overwrite=True)
    with pytest.raises(NotFound):
        tabulate_objects(["auth.User.0"], str(tmp_path / "nobody.zip"))
    assert not (tmp_path / "nobody.zip").exists()


def test_page_escapes_what_it_shows(ada: User, tmp_path: Path) -> None:
    reference = "auth.User:username=ada"
    tabulate_objects([reference], str(tmp_path / "ada"))
    page = (tmp_path / "ada" / "index.html").read_text()
    assert html.escape(reference) in page
    assert "<script" not in page


def typed(*words: str) -> str:
    out = io.StringIO()
    call_command("exportobjects", *words, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_command_writes_tables(ada: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reference = f"auth.User.{ada.pk}"
    said = typed(reference, "--format", "csv", "-o", "ada.zip")
    assert "Wrote 2 rows as tables to ada.zip" in said
    assert "cannot be imported" in said
    typed(reference, "--format", "csv", "-o", "ada")
    assert (tmp_path / "ada" / "index.html").exists()
    typed(reference, "--format", "csv")
    (made,) = (tmp_path / "exports").iterdir()
    assert (made / "auth.user.csv").exists()
    assert "would" not in typed(reference, "--format", "csv", "--dry-run")
    for words in (["-o", "-"], ["-o", "ada.jsonl"], ["--debug"]):
        with pytest.raises(CommandError, match="Tables are several files"):
            typed(reference, "--format", "csv", *words)
    with pytest.raises(CommandError, match="is not an archive of Gestore"):
        call_command("importobjects", "ada.zip", stderr=io.StringIO())
