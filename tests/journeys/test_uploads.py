"""Do uploaded files travel with the rows that name them, arrive once, and go with the last?"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.db import models

from gestore.archive.container import Container, write_container
from gestore.arrivals import Arrivals
from gestore.errors import ArchiveDamaged, ConfigurationError, GestoreError
from gestore.schema.introspect import build_graph
from gestore.schema.table import Table
from gestore.uploads import file_columns, is_same_place, sources

pytestmark = pytest.mark.django_db(transaction=True)

GRAPH = build_graph((), (), "default")
TABLE: Table = next(table for table in GRAPH.tables.values() if file_columns(table))
COLUMN = file_columns(TABLE)[0]
LABEL = f"{TABLE.label}.{COLUMN.name}"
FIELD: Any = COLUMN.field
MODEL: type[models.Model] = TABLE.model


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = str(tmp_path / "media")
    return Path(settings.MEDIA_ROOT)


def put(name: str, content: bytes) -> None:
    assert FIELD.storage.save(name, ContentFile(content)) == name


def got(name: str) -> bytes:
    with FIELD.storage.open(name) as file:
        return bytes(file.read())


def packed(*names: str) -> Container:
    sink = io.BytesIO()
    named = [(LABEL, name) for name in names]
    carried = list(write_container(sink, io.BytesIO(b"rows"), sources(GRAPH, named)))
    assert [bool(file.sha256) for file in carried] == [FIELD.storage.exists(n) for n in names]

    @contextmanager
    def start() -> Iterator[IO[bytes]]:
        yield io.BytesIO(sink.getvalue())

    return Container("acme.tar", start, 10**9)


def arrive(container: Container, *names: str) -> dict[str, str]:
    """Every one of these rows is wanted; the names that they get."""
    arrivals = Arrivals(GRAPH, container)
    with arrivals.written():
        rewriters = arrivals.rewriters([])
        for name in names:
            arrivals.want(TABLE, {COLUMN.name: name})
        arrivals.write()
        rewrite = rewriters.get(LABEL, lambda value, keys: value)
        return {name: str(rewrite(name, None)) for name in names}


def test_files_arrive_under_their_names() -> None:
    put("a/1.txt", b"one")
    put("a/2.txt", b"two")
    container = packed("a/1.txt", "a/2.txt", "a/gone.txt")
    for name in ("a/1.txt", "a/2.txt"):
        FIELD.storage.delete(name)
    assert arrive(container, "a/1.txt", "a/gone.txt") == {
        "a/1.txt": "a/1.txt",
        "a/gone.txt": "a/gone.txt",
    }
    assert got("a/1.txt") == b"one"
    assert not FIELD.storage.exists("a/2.txt"), "nobody wanted it"


def test_name_that_is_taken_and_twice_the_same() -> None:
    put("a/1.txt", b"ours")
    container = packed("a/1.txt")
    FIELD.storage.delete("a/1.txt")
    put("a/1.txt", b"theirs")
    digest = hashlib.sha256(b"ours").hexdigest()
    for _ in range(2):
        names = arrive(container, "a/1.txt")
        assert names == {"a/1.txt": f"a/1_{digest[:16]}.txt"}
        assert got("a/1.txt") == b"theirs"
        assert got(names["a/1.txt"]) == b"ours"
    assert len(FIELD.storage.listdir("a")[1]) == 2


def test_what_was_written_goes_when_it_does_not_end_well() -> None:
    put("a/1.txt", b"one")
    put("a/2.txt", b"two")
    container = packed("a/1.txt", "a/2.txt")
    FIELD.storage.delete("a/1.txt")
    arrivals = Arrivals(GRAPH, container)
    with pytest.raises(GestoreError, match="no luck"), arrivals.written():
        arrivals.want(TABLE, {COLUMN.name: "a/1.txt"})
        arrivals.want(TABLE, {COLUMN.name: "a/2.txt"})
        arrivals.write()
        assert got("a/1.txt") == b"one"
        raise GestoreError("no luck")
    assert not FIELD.storage.exists("a/1.txt")
    assert got("a/2.txt") == b"two", "it was there before"


def test_names_that_leave_the_storage_are_refused() -> None:
    sink = io.BytesIO()
    evil = [(LABEL, "x")]
    put("x", b"evil")
    list(write_container(sink, io.BytesIO(b"rows"), sources(GRAPH, evil)))

    class Edited:
        def files(self) -> list[Any]:
            from gestore.archive.container import CarriedFile

            return [CarriedFile(LABEL, "../../etc/passwd", "0" * 64, 4)]

        def contents(self) -> list[Any]:
            return []

    with pytest.raises(ArchiveDamaged, match="no storage may have"):
        Arrivals(GRAPH, Edited())


def test_declared_rewriter_of_a_file_is_refused() -> None:
    put("a/1.txt", b"ours")
    container = packed("a/1.txt")
    FIELD.storage.delete("a/1.txt")
    put("a/1.txt", b"theirs")
    arrivals = Arrivals(GRAPH, container)
    with pytest.raises(ConfigurationError, match="REWRITERS"), arrivals.written():
        arrivals.rewriters([LABEL])


def test_every_other_name_is_taken() -> None:
    put("a/1.txt", b"ours")
    container = packed("a/1.txt")
    digest = hashlib.sha256(b"ours").hexdigest()
    names = ["a/1.txt", f"a/1_{digest[:16]}.txt", f"a/1_{digest}.txt"]
    FIELD.storage.delete("a/1.txt")
    for name in names[:2]:
        put(name, b"theirs")
    assert arrive(container, "a/1.txt") == {"a/1.txt": names[2]}
    put(names[2] + "x", b"")
    FIELD.storage.delete(names[2])
    put(names[2], b"theirs, too")
    with pytest.raises(GestoreError, match="every name that it would get"):
        arrive(container, "a/1.txt")


def test_long_names_are_made_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    long = f"a/{'n' * 60}.txt"
    put(long, b"ours")
    container = packed(long)
    FIELD.storage.delete(long)
    put(long, b"theirs")
    monkeypatch.setattr(FIELD, "max_length", 64)
    (name,) = arrive(container, long).values()
    assert len(name) == 64
    assert got(name) == b"ours"


def test_rows_that_lived_through_migrations_know_their_files() -> None:
    """The archive's field is gone; the row has the name in another one."""
    put("a/1.txt", b"one")

    class Older:
        def __init__(self) -> None:
            self.packed = packed("a/1.txt")

        def files(self) -> list[Any]:
            return [file._replace(label="old.Model.enclosed") for file in self.packed.files()]

        def contents(self) -> Any:
            return self.packed.contents()

    older = Older()
    FIELD.storage.delete("a/1.txt")
    arrivals = Arrivals(GRAPH, older)
    with arrivals.written():
        arrivals.adopt(TABLE, {COLUMN.name: "a/1.txt"})
        arrivals.want(TABLE, {COLUMN.name: "a/1.txt"})
        arrivals.write()
    assert got("a/1.txt") == b"one"


class Bucket:
    """Told apart from others as those of django-storages are."""

    def __init__(self, bucket_name: str, location: str = "") -> None:
        self.bucket_name, self.location = bucket_name, location

    def path(self, name: str) -> str:
        raise NotImplementedError


def test_storages_are_one_place_unless_it_is_certain_that_they_are_not(tmp_path: Path) -> None:
    here, same = FileSystemStorage(tmp_path), FileSystemStorage(f"{tmp_path}/../{tmp_path.name}")
    there = FileSystemStorage(tmp_path / "there")
    assert is_same_place(here, same, "x")
    assert not is_same_place(here, there, "x")
    media, again, other = Bucket("media", "a/"), Bucket("media", "a"), Bucket("other", "a")
    assert is_same_place(media, again, "x")  # type: ignore[arg-type]
    assert not is_same_place(media, other, "x")  # type: ignore[arg-type]
    assert not is_same_place(media, Bucket("media", "b"), "x")  # type: ignore[arg-type]
    assert not is_same_place(media, here, "x")  # type: ignore[arg-type]
