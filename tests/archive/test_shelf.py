"""Do archives lie whole in every kind of storage, and nothing half, and come back?"""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.files.storage import InMemoryStorage, storages
from django.test import override_settings

from gestore.archive.shelf import Shelf, words_of
from gestore.errors import ArchiveExists, ArchiveNotRead, ArchiveNotWritten, ArchiveTooLarge
from tests.management.test_wrong_outputs import no_file_above

from .shelves import SHELVES, free_port, settings_with, wrong_azure

# The libraries' own: what they open, and that a version of theirs is old.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
MOST = 10**9


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """What the storages' libraries left open is found here, not when Python ends."""
    yield
    gc.collect()


@pytest.fixture(params=[*SHELVES, "memory"], scope="module")
def entry(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    with {**SHELVES, "memory": memory}[request.param]() as made:
        yield made


@contextmanager
def memory() -> Iterator[dict[str, Any]]:
    """Django's own for tests: it has paths, and no files."""
    yield {"BACKEND": "django.core.files.storage.InMemoryStorage"}


@pytest.fixture
def shelf(entry: dict[str, Any]) -> Iterator[Shelf]:
    with override_settings(STORAGES=settings_with(entry)):
        shelf = Shelf("vault", storages["vault"])
        for name in names(shelf):
            shelf.remove(name)
        yield shelf


def names(shelf: Shelf) -> list[str]:
    return sorted(shelf.storage.listdir("")[1])


def put(shelf: Shelf, name: str, data: bytes, *, overwrite: bool = False) -> None:
    with shelf.new_blob(name, overwrite=overwrite) as file:
        file.write(data)


def got(shelf: Shelf, name: str) -> bytes:
    with shelf.readable(name, MOST) as file:
        data = file.read()
        file.seek(0)
        assert file.read() == data
    return data


def test_written_listed_and_read(shelf: Shelf) -> None:
    data = bytes(range(256)) * 50_000
    put(shelf, "acme.jsonl", data)
    put(shelf, "empty.jsonl", b"")
    assert names(shelf) == ["acme.jsonl", "empty.jsonl"]
    assert got(shelf, "acme.jsonl") == data
    assert got(shelf, "empty.jsonl") == b""
    assert shelf.read("acme.jsonl", 300) == data[:300]
    assert shelf.read("absent.sig", 300) is None


def test_what_is_there_is_not_replaced_unasked(shelf: Shelf) -> None:
    put(shelf, "acme.jsonl", b"first")
    with pytest.raises(ArchiveExists, match=r"vault:acme\.jsonl exists already"):
        put(shelf, "acme.jsonl", b"second")
    assert got(shelf, "acme.jsonl") == b"first"
    if isinstance(shelf.storage, InMemoryStorage):
        with pytest.raises(ArchiveNotWritten, match="this storage cannot replace a file"):
            put(shelf, "acme.jsonl", b"third", overwrite=True)
        assert got(shelf, "acme.jsonl") == b"first"
        return
    put(shelf, "acme.jsonl", b"third", overwrite=True)
    assert got(shelf, "acme.jsonl") == b"third"
    assert names(shelf) == ["acme.jsonl"]


def test_name_that_is_taken_meanwhile(shelf: Shelf) -> None:
    with (
        pytest.raises(ArchiveExists),
        shelf.new_blob("acme.jsonl", overwrite=False) as file,
    ):
        file.write(b"ours")
        put(shelf, "acme.jsonl", b"theirs")
    assert got(shelf, "acme.jsonl") == b"theirs"
    assert names(shelf) == ["acme.jsonl"]


def test_nothing_is_left_of_what_broke_off(shelf: Shelf) -> None:
    with pytest.raises(KeyError), shelf.new_blob("acme.jsonl", overwrite=False) as file:
        file.write(b"x" * 100_000)
        raise KeyError
    assert names(shelf) == []


def breaking(shelf: Shelf, error: BaseException) -> Shelf:
    """The same, where every upload ends so."""

    class Breaking(type(shelf.storage)):  # type: ignore[misc]
        def _save(self, name: str, content: Any) -> str:
            super()._save(name, content)
            raise error

    broken = copy.copy(shelf.storage)
    broken.__class__ = Breaking
    if shelf._folder_path("acme.jsonl") is not None:
        pytest.skip("plain files are written as anywhere else")
    return Shelf("vault", broken)


def test_upload_that_breaks_off(shelf: Shelf) -> None:
    """Storages with a name of their own for half a file would keep it: ours takes it away."""
    broken = breaking(shelf, ConnectionError("the line went dead\nand more"))
    with pytest.raises(ArchiveNotWritten, match="the line went dead") as caught:
        put(broken, "acme.jsonl", b"x" * 100_000)
    assert "and more" not in str(caught.value)
    assert names(shelf) == []
    with pytest.raises(KeyboardInterrupt):
        put(breaking(shelf, KeyboardInterrupt()), "acme.jsonl", b"x")
    assert names(shelf) == []


def test_no_room_for_what_is_to_be_sent() -> None:
    shelf = Shelf("vault", InMemoryStorage())
    with (
        pytest.raises(ArchiveNotWritten, match="vault:acme could not be kept on disk") as caught,
        no_file_above(4096),
    ):
        put(shelf, "acme", b"x" * 100_000)
    assert "TMPDIR" in caught.value.hint
    assert names(shelf) == []


def test_absent_and_too_large(shelf: Shelf) -> None:
    with pytest.raises(ArchiveNotRead, match=r"vault:absent\.jsonl cannot be read"):
        got(shelf, "absent.jsonl")
    put(shelf, "acme.jsonl", b"x" * 10_000)
    if shelf._folder_path("acme.jsonl") is None:
        with pytest.raises(ArchiveTooLarge), shelf.readable("acme.jsonl", 100):
            pass


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure"])
def test_wrong_bucket_credentials_and_network_are_one_line(kind: str) -> None:
    with SHELVES[kind]("elsewhere") as entry:
        for options in _wrong(kind, entry["OPTIONS"]):
            with override_settings(STORAGES=settings_with({**entry, "OPTIONS": options})):
                shelf = Shelf("vault", storages["vault"])
                for act in (lambda s=shelf: put(s, "a.jsonl", b"x"), lambda s=shelf: got(s, "a")):
                    with pytest.raises((ArchiveNotWritten, ArchiveNotRead)) as caught:
                        act()
                    assert "vault:a" in caught.value.message
                    assert "\n" not in caught.value.message
                    assert "a-secret-that-never-shows" not in str(caught.value)


def _wrong(kind: str, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    nowhere = f"http://127.0.0.1:{free_port()}"
    if kind == "s3":
        from botocore.config import Config

        once = Config(retries={"max_attempts": 0}, connect_timeout=2)
        yield {**options, "bucket_name": "absent", "client_config": once}
        yield {**options, "endpoint_url": nowhere, "client_config": once}
    elif kind == "azure":
        yield from wrong_azure(options)
    else:
        yield {**options, "bucket_name": "absent"}


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "Max retries exceeded with url: /c/a.json?sv=2024&sig=s3cret%3D (Caused by X)",
            "Max retries exceeded with url: /c/a.json?… (Caused by X)",
        ),
        ("proxy http://me:s3cret@host:80 is away", "proxy http://…@host:80 is away"),
        ("odd: AccountName=a;AccountKey=s3cret==;x", "odd: AccountName=a;AccountKey=…;x"),
        ("The bucket does not exist.", "The bucket does not exist"),
        ("", "KeyError"),
    ],
)
def test_words_of_a_library_hold_no_secret(said: str, shown: str) -> None:
    error = KeyError() if not said else OSError(said)
    assert words_of(error) == shown
