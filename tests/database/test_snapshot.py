"""Does a whole export see one moment, and does a whole import happen or not?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction

import gestore
from gestore.archive.reader import open_archive
from gestore.database.dialects import dialect_of
from gestore.database.transactions import loading, quiet, snapshot
from gestore.errors import ConfigurationError, DatabaseFailed, SnapshotError
from gestore.progress import Silence
from tests.zoo import models as zoo
from tests.zoo.inserting import inserting

only_servers = pytest.mark.skipif(
    connections["default"].vendor == "sqlite", reason="one in-memory database, one connection"
)


def elsewhere(work: Callable[[], None]) -> None:
    """Does the work on a connection of its own, and commits it."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=20)
    assert not thread.is_alive()


def put_floats(number: int) -> None:
    with inserting("default") as inserter:
        inserter.put(zoo.Floats, menagerie=1, value=float(number))


def count_floats() -> int:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM zoo_floats")
        return int(cursor.fetchone()[0])


@pytest.fixture
def menagerie(transactional_db: None) -> None:
    with inserting("default") as inserter:
        inserter.put(zoo.Menagerie, id=1, name="one")
        inserter.put(zoo.Floats, menagerie=1, value=1.0)


@only_servers
@pytest.mark.usefixtures("menagerie")
def test_commit_of_another_is_not_seen() -> None:
    connection = connections["default"]
    with snapshot(connection):
        # Before the first read already: the moment is the beginning's, where that can be.
        assert count_floats() == 1
        elsewhere(lambda: put_floats(2))
        assert count_floats() == 1
    assert count_floats() == 2
    assert not connection.in_atomic_block


@pytest.mark.usefixtures("menagerie")
@pytest.mark.parametrize("opened", [snapshot, lambda it: loading(it, keep=False)])
def test_session_is_tuned_inside_and_as_it_was_afterwards(opened: Any) -> None:
    connection = connections["default"]
    if not getattr(connection, "mysql_is_mariadb", False):
        pytest.skip("asked of MariaDB only")

    def threshold() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@in_predicate_conversion_threshold")
            return int(cursor.fetchone()[0])

    with connection.cursor() as cursor:
        cursor.execute("SET SESSION in_predicate_conversion_threshold = 777")
    with opened(connection):
        assert threshold() == 0
    assert threshold() == 777
    # After a failure, too, in a transaction in which Django asks nothing more.
    with transaction.atomic():
        failing = loading(connection, keep=False)
        with pytest.raises(DatabaseFailed), failing, connection.cursor() as cursor:
            cursor.execute("SELECT nothing")
        transaction.set_rollback(False)
        assert threshold() == 777
        transaction.set_rollback(True)


class Meanwhile(Silence):
    """Lets another connection write between the walk and the rows."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work

    def begin(self, task: str, total: int | None = None) -> None:
        elsewhere(self.work)


@only_servers
@pytest.mark.usefixtures("menagerie")
def test_export_does_not_see_what_is_committed_meanwhile(tmp_path: Path) -> None:
    def change() -> None:
        put_floats(2)
        with connections["default"].cursor() as cursor:
            cursor.execute("UPDATE zoo_menagerie SET name = 'changed' WHERE id = 1")

    archive = str(tmp_path / "zoo.jsonl")
    report = gestore.export_objects(["zoo.Menagerie.1"], archive, progress=Meanwhile(change))
    assert report.row_count == 2
    with open_archive(archive, 1 << 20) as opened:
        found = {row.model: row.fields for row in opened.rows()}
    assert found["zoo.menagerie"]["name"] == "one"
    assert count_floats() > 1


@pytest.mark.usefixtures("menagerie")
def test_nothing_can_be_written_inside(vendor: str) -> None:
    if vendor == "sqlite":
        pytest.skip("SQLite has no read-only transactions")
    with pytest.raises(DatabaseFailed, match=r"(?i)read.only"), snapshot(connections["default"]):
        put_floats(2)
    assert count_floats() == 1
    # Afterwards the connection writes again.
    put_floats(2)
    assert count_floats() == 2


@pytest.mark.usefixtures("menagerie")
def test_transaction_that_shows_no_moment_is_refused(vendor: str) -> None:
    # Django opens transactions of READ COMMITTED on both servers.
    connection = connections["default"]
    with transaction.atomic():
        if vendor == "sqlite":
            with snapshot(connection):
                assert count_floats() == 1
            return
        with (
            pytest.raises(SnapshotError, match="'default' does not show one moment") as caught,
            snapshot(connection),
        ):
            raise AssertionError("It began.")
        assert "REPEATABLE READ" in caught.value.hint
        assert count_floats() == 1


@only_servers
@pytest.mark.usefixtures("menagerie")
def test_transaction_that_shows_one_moment_is_taken(vendor: str) -> None:
    connection = connections["default"]
    level = "TRANSACTION ISOLATION LEVEL REPEATABLE READ"
    try:
        if vendor == "mysql":
            run(f"SET SESSION {level}")
        with transaction.atomic():
            if vendor == "postgresql":
                run(f"SET {level}")
            assert count_floats() == 1
            with snapshot(connection):
                elsewhere(lambda: put_floats(2))
                assert count_floats() == 1
            assert count_floats() == 1
        assert count_floats() == 2
    finally:
        connection.close()


def run(statement: str) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.usefixtures("menagerie")
def test_callers_isolation_level_is_as_before(vendor: str) -> None:
    if vendor != "mysql":
        pytest.skip("only there the level is a session's")
    connection = connections["default"]
    with snapshot(connection):
        assert dialect_of(connection).is_one_moment() is False
    with transaction.atomic():
        assert dialect_of(connection).is_one_moment() is False


@pytest.mark.usefixtures("menagerie")
def test_load_is_kept_or_not() -> None:
    connection = connections["default"]
    with loading(connection, keep=False):
        put_floats(2)
        assert count_floats() == 2
    assert count_floats() == 1
    with pytest.raises(ZeroDivisionError), loading(connection, keep=True):
        put_floats(2)
        raise ZeroDivisionError
    assert count_floats() == 1
    with loading(connection, keep=True):
        put_floats(2)
    assert count_floats() == 2


@pytest.mark.usefixtures("menagerie")
def test_what_the_database_raises_is_said_in_our_words() -> None:
    connection = connections["default"]
    with pytest.raises(DatabaseFailed) as caught, loading(connection, keep=True):
        run("SELECT 1 FROM nowhere")
    assert caught.value.message.startswith("Database 'default' failed: ")
    assert "nowhere" in caught.value.message
    assert isinstance(caught.value.__cause__, DatabaseError)


@pytest.mark.usefixtures("menagerie")
@pytest.mark.parametrize("is_failing", [False, True])
def test_query_log_is_left_alone(is_failing: bool) -> None:
    connection = connections["default"]
    connection.force_debug_cursor = False
    log = connection.queries_log
    try:
        with quiet(connection):
            assert connection.queries_log is not log
            count_floats()
            assert len(connection.queries_log) == 0
            if is_failing:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert connection.queries_log is log


@pytest.mark.usefixtures("menagerie")
def test_log_that_was_asked_for_is_written() -> None:
    connection = connections["default"]
    connection.force_debug_cursor = True
    try:
        before = len(connection.queries_log)
        with quiet(connection):
            count_floats()
        assert len(connection.queries_log) == before + 1
    finally:
        connection.force_debug_cursor = False


def test_other_vendor_is_refused_by_name() -> None:
    class Oracle:
        alias, vendor, display_name = "legacy", "oracle", "Oracle"

    with pytest.raises(ConfigurationError, match="'legacy' is Oracle; Gestore works with"):
        dialect_of(Oracle())  # type: ignore[arg-type]
