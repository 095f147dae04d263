"""Is an archive the same, however many processes read, and is nothing left when one dies?"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction

import gestore
from gestore.database.dialect import Condition
from gestore.database.row_workers import started
from gestore.database.transactions import snapshot
from gestore.errors import DatabaseFailed, UsageError
from tests.zoo import models as zoo
from tests.zoo import rows
from tests.zoo.inserting import Placed, Stored, inserting

pytestmark = pytest.mark.django_db(databases=["default"], transaction=True)

VENDOR = connections["default"].vendor
on_postgresql = pytest.mark.skipif(VENDOR != "postgresql", reason="asked of PostgreSQL only")
MOMENT = datetime(2024, 2, 29, tzinfo=UTC)


@pytest.fixture
def home() -> Placed:
    """A menagerie with rows of every kind, and some thousands more: some that the database cannot
    write, some wide ones among narrow ones."""
    root = rows.populate("default", menageries=1).root
    with inserting("default") as inserter:
        lots = ({"menagerie": root.key, "value": n / 7} for n in range(7_000))
        inserter.put_many(zoo.Floats, lots, at_once=500)
        exact = ("0.1234567890123456789" if n % 3 else f'{{"n": {n}}}' for n in range(2_000))
        inserter.put_many(
            zoo.Documents,
            (
                {"menagerie": root.key, "document": Stored(text), "exact": None, "required": {}}
                for text in exact
            ),
            at_once=500,
        )
        for number in range(1_500):
            long = "x" * (60_000 if number > 1_480 else 30)
            inserter.put(zoo.Texts, menagerie=root.key, long=long)
    return root


def export(home: Placed, archive: Path, workers: int) -> bytes:
    gestore.export_objects([home.reference], str(archive), clock=lambda: MOMENT, workers=workers)
    return archive.read_bytes()


@on_postgresql
def test_archive_is_the_same_byte_for_byte(home: Placed, tmp_path: Path) -> None:
    for form in ("jsonl", "json", "jsonl.gz"):
        one = export(home, tmp_path / f"one.{form}", 1)
        for workers in (2, 3):
            assert export(home, tmp_path / f"{workers}.{form}", workers) == one


@on_postgresql
def test_workers_are_named_on_the_command_line(home: Placed, tmp_path: Path) -> None:
    for count in (1, 2):
        call_command(
            "exportobjects", home.reference, output=str(tmp_path / f"{count}.jsonl"), workers=count
        )
    one, two = ((tmp_path / f"{n}.jsonl").read_bytes().splitlines()[1:-1] for n in (1, 2))
    assert one == two
    assert len(one) > 10_000


@on_postgresql
def test_workers_see_the_moment_of_the_walk(home: Placed) -> None:
    connection = connections["default"]
    everyone = Condition("SELECT count(*), 0, ''::text FROM zoo_floats")
    with started(connection, 2) as workers, snapshot(connection):
        workers.join(connection)
        before = [workers.ask(everyone)()[0] for _ in range(4)]
        other = connection.copy()
        try:
            with other.cursor() as cursor:
                cursor.execute("DELETE FROM zoo_floats")
        finally:
            other.close()
        assert [workers.ask(everyone)()[0] for _ in range(4)] == before
        assert before[0] >= 7_000
    assert not zoo.Floats.objects.exists()


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.skipif(VENDOR == "postgresql", reason="PostgreSQL lends its snapshots")
def test_other_databases_have_no_workers(tmp_path: Path) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, id=1, name="Zoo")
    with pytest.raises(UsageError, match=r"^Workers read PostgreSQL only"):
        export(home, tmp_path / "zoo.jsonl", 2)
    with pytest.raises(CommandError, match="Workers read PostgreSQL only") as caught:
        call_command("exportobjects", home.reference, output=str(tmp_path / "z.json"), workers=2)
    assert caught.value.returncode == 2
    assert list(tmp_path.iterdir()) == []


@on_postgresql
@pytest.mark.parametrize("count", [0, -1])
def test_there_is_at_least_one(home: Placed, tmp_path: Path, count: int) -> None:
    with pytest.raises(UsageError, match="There cannot be"):
        export(home, tmp_path / "zoo.jsonl", count)


@on_postgresql
def test_workers_would_not_see_what_an_open_transaction_wrote(tmp_path: Path) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, id=1, name="Zoo")
    with transaction.atomic(), pytest.raises(UsageError, match="Inside a transaction of yours"):
        export(home, tmp_path / "zoo.jsonl", 2)
    assert list(tmp_path.iterdir()) == []


# What goes wrong ----------------------------------------------------------------------------------


@on_postgresql
@pytest.mark.parametrize(
    ("program", "message"),
    [("/bin/false", r"^A worker has died\."), ("/no/such/python", r"^A worker did not start: ")],
)
def test_workers_that_do_not_start_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, id=1, name="Zoo")
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(DatabaseFailed, match=message):
        export(home, tmp_path / "zoo.jsonl", 2)
    assert list(tmp_path.iterdir()) == []


class Killing:
    """Progress that kills every child of this process once rows are read."""

    def begin(self, task: str, total: int | None = None) -> None:
        self.is_reading = task == "Exporting"

    def advance(self, count: int) -> None:
        for child in children() if self.is_reading else ():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def end(self) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def children() -> Iterator[int]:
    for found in Path("/proc/self/task").glob("*/children"):
        yield from map(int, found.read_text().split())


@on_postgresql
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found on Linux")
def test_worker_that_dies_ends_the_export_and_leaves_nothing(home: Placed, tmp_path: Path) -> None:
    with pytest.raises(DatabaseFailed, match=r"^A worker has died\.") as caught:
        gestore.export_objects(
            [home.reference], str(tmp_path / "zoo.jsonl"), progress=Killing(), workers=2
        )
    assert "Nothing was written" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
    assert list(children()) == []


@on_postgresql
def test_statement_that_fails_is_told(home: Placed) -> None:
    connection = connections["default"]
    with started(connection, 1) as workers, snapshot(connection):
        workers.join(connection)
        with pytest.raises(DatabaseFailed, match=r"^A worker failed: .*no_such_table"):
            workers.ask(Condition("SELECT 1, 1, '' FROM no_such_table"))()


@on_postgresql
def test_workers_end_with_the_export(home: Placed, tmp_path: Path) -> None:
    export(home, tmp_path / "zoo.jsonl", 2)
    deadline = time.monotonic() + 5
    while open_sessions() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert open_sessions() == 0


def open_sessions() -> int:
    """Sessions of this database that stand in a transaction, but for the one that asks."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
        )
        return int(cursor.fetchone()[0])
