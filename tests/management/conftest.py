"""What do the commands' tests work with? A small library, archives of it, and an empty database."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.zoo.emptying import emptied

from .typing_in import typed

BOOK = "demoapp.Book.4"
FORMS = ("json", "jsonl", "json.gz", "jsonl.gz", "json.zst", "jsonl.zst")


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed does not depend on the window in which the tests run."""
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def _django_db_helper(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Stands in for pytest-django's own, which would flush the library after every test."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="module")
def library(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """A library in the default database. No test of the module may change it."""
    with django_db_blocker.unblock(), emptied("default"):
        call_command("generate", books=20, verbosity=0)
        yield


@pytest.fixture(scope="module")
def archives(library: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A book's archive in every form, by ending."""
    folder = tmp_path_factory.mktemp("archives")
    found = {}
    for form in FORMS:
        path = folder / f"book.{form}"
        assert typed("exportobjects", BOOK, "-o", str(path), "-v0").code == 0
        found[form] = path.read_bytes()
    return found


@pytest.fixture
def target(library: None) -> Iterator[None]:
    """Afterwards the second database is empty again."""
    with emptied("target"):
        yield


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the commands are typed."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
