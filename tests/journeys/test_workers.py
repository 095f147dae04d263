"""Is an archive the same, however many sessions read, and is nothing left when one is cut off?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.db.backends.signals import connection_created
from django.test import override_settings

import gestore
from gestore.database.dialect import Condition
from gestore.database.select import Reader
from gestore.database.sessions import shared_out
from gestore.database.transactions import snapshot
from gestore.errors import DatabaseFailed, UsageError
from gestore.schema.introspect import build_graph
from gestore.walk.source import KeySource, Lot
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


def export(home: Placed, archive: Path, workers: int | None) -> bytes:
    gestore.export_objects([home.reference], str(archive), clock=lambda: MOMENT, workers=workers)
    return archive.read_bytes()


@on_postgresql
def test_archive_is_the_same_byte_for_byte(home: Placed, tmp_path: Path) -> None:
    for form in ("jsonl", "json", "jsonl.gz"):
        one = export(home, tmp_path / f"one.{form}", 1)
        for workers in (2, 3):
            assert export(home, tmp_path / f"{workers}.{form}", workers) == one
        assert export(home, tmp_path / f"usual.{form}", None) == one


@on_postgresql
def test_anonymized_archive_is_the_same(home: Placed, tmp_path: Path) -> None:
    """Long rows, documents and all: the values are replaced here, whoever read them."""
    columns = ("Texts.long", "Documents.document", "Documents.required", "Menagerie.name")
    setting = {
        "ANONYMIZE": {f"zoo.{column}": "gestore.anonymize.shape" for column in columns},
        "ANONYMIZE_SALT": "a salt that is kept",
    }
    found = []
    with override_settings(GESTORE=setting):
        for workers in (1, 2):
            name = str(tmp_path / f"{workers}.jsonl")
            gestore.export_objects(
                [home.reference], name, clock=lambda: MOMENT, workers=workers, anonymize=True
            )
            found.append(Path(name).read_bytes())
    assert found[0] == found[1]
    assert b"x" * 300 not in found[0]


@on_postgresql
def test_workers_are_named_on_the_command_line(home: Placed, tmp_path: Path) -> None:
    for count in (1, 2):
        call_command(
            "exportobjects", home.reference, output=str(tmp_path / f"{count}.jsonl"), workers=count
        )
    one, two = ((tmp_path / f"{n}.jsonl").read_bytes().splitlines()[1:-1] for n in (1, 2))
    assert one == two
    assert len(one) > 10_000


@contextmanager
def shared(count: int) -> Iterator[Reader]:
    reader = Reader(connections["default"], build_graph(), is_still=True)
    with shared_out(reader, count, is_wanted=True):
        yield reader


@on_postgresql
def test_walk_is_shared_out_too(home: Placed, tmp_path: Path) -> None:
    asked: dict[int, int] = {}

    def count(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        session = id(context["connection"])
        asked[session] = asked.get(session, 0) + 1
        return execute(sql, params, many, context)

    with connections["default"].execute_wrapper(count):
        gestore.plan_objects([home.reference])
    own = asked.pop(id(connections["default"]))
    others = sum(asked.values())
    # What it takes to open both is far less.
    assert len(asked) == 2
    assert others > max(50, own)


@on_postgresql
def test_workers_see_the_moment_of_the_walk(home: Placed) -> None:
    connection = connections["default"]
    everyone = Condition("SELECT count(*), 0, ''::text FROM zoo_floats")
    with snapshot(connection), shared(2) as reader:
        assert reader.sessions is not None
        assert reader.sessions.ahead == 3
        ask = reader.sessions.ask
        before = [ask(everyone)()[0] for _ in range(4)]
        other = connection.copy()
        try:
            with other.cursor() as cursor:
                cursor.execute("DELETE FROM zoo_floats")
        finally:
            other.close()
        assert [ask(everyone)()[0] for _ in range(4)] == before
        assert before[0] >= 7_000
    assert not zoo.Floats.objects.exists()


def eventually(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)
    return is_so()


@on_postgresql
@pytest.mark.usefixtures("home")
def test_next_part_of_an_answer_is_found_while_one_is_looked_at() -> None:
    taken: list[int] = []

    def parts(source: KeySource) -> Iterator[Lot]:
        for number in range(4):
            taken.append(number)
            yield Lot([number])

    with snapshot(connections["default"]), shared(2) as reader:
        sessions = reader.sessions
        assert sessions is not None
        assert sessions.ahead == 3
        for _, lots in sessions.in_turn([("one", parts)]):
            for number, _ in enumerate(lots, 1):
                assert eventually(lambda n=number: n == 4 or len(taken) > n)  # type: ignore[misc]
        # Whoever takes no more gives both sessions back all the same.
        for _, lots in sessions.in_turn([("one", parts), ("other", parts)]):
            taking = iter(lots)
            next(taking)
            taking.close()  # type: ignore[attr-defined]
        assert eventually(lambda: sessions._idle.qsize() == 2)


@on_postgresql
@pytest.mark.usefixtures("home")
def test_more_is_asked_while_an_answer_waits_to_be_taken() -> None:
    begun: list[int] = []

    def ask_of(number: int, *, is_empty: bool = False) -> Callable[[KeySource], Iterator[Lot]]:
        def parts(source: KeySource) -> Iterator[Lot]:
            begun.append(number)
            if number == 0:
                # The other session has all the others meanwhile: none holds it until it is taken.
                assert eventually(lambda: len(begun) == 8)
            if not is_empty:
                yield Lot([number])

        return parts

    with snapshot(connections["default"]), shared(2) as reader:
        sessions = reader.sessions
        assert sessions is not None
        assert sessions.ahead == 3
        asks = ((n, ask_of(n, is_empty=n in (1, 2))) for n in range(20))
        answers = sessions.in_turn(asks)
        number, lots = next(answers)
        # As many as may wait.
        assert eventually(lambda: len(begun) == 8)
        assert (number, [lot.keys for lot in lots]) == (0, [[0]])
        rest = [(n, [lot.keys for lot in lots]) for n, lots in answers]
        assert rest == [(n, [] if n in (1, 2) else [[n]]) for n in range(1, 20)]
        assert sorted(begun) == [*range(20)]
        assert eventually(lambda: sessions._idle.qsize() == 2)


@on_postgresql
@pytest.mark.usefixtures("home")
def test_what_went_wrong_is_told_where_the_answer_is_taken() -> None:
    def fails(source: KeySource) -> Iterator[Lot]:
        yield Lot([1])
        raise RuntimeError("no more")

    def works(source: KeySource) -> Iterator[Lot]:
        yield Lot([2])

    with snapshot(connections["default"]), shared(2) as reader:
        sessions = reader.sessions
        assert sessions is not None
        assert sessions.ahead == 3
        (_, first), (_, second) = sessions.in_turn([("one", fails), ("other", works)])
        taken = iter(first)
        assert next(taken).keys == [1]
        with pytest.raises(RuntimeError, match="no more"):
            next(taken)
        assert [lot.keys for lot in second] == [[2]]
        assert eventually(lambda: sessions._idle.qsize() == 2)


@on_postgresql
@pytest.mark.usefixtures("home")
def test_answers_that_nobody_took_end_with_the_sessions() -> None:
    begun: list[int] = []
    ended: list[int] = []

    def endless(source: KeySource) -> Iterator[Lot]:
        begun.append(1)
        try:
            while True:
                yield Lot([1])
        finally:
            ended.append(1)

    with snapshot(connections["default"]), shared(2) as reader:
        sessions = reader.sessions
        assert sessions is not None
        assert sessions.ahead == 3
        answers = sessions.in_turn([("one", endless), ("other", endless), ("third", endless)])
        _, lots = next(answers)
        assert next(iter(lots)).keys == [1]
        assert eventually(lambda: len(begun) == 2)
    assert eventually(lambda: len(ended) == 2)


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


@on_postgresql
def test_usual_sessions_are_not_opened_where_they_would_see_something_else(
    home: Placed, tmp_path: Path
) -> None:
    connection = connections["default"]
    with counted_openings() as opened:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            export(home, tmp_path / "inside.jsonl", None)
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE guarded (id int)")
            cursor.execute("ALTER TABLE guarded ENABLE ROW LEVEL SECURITY")
        try:
            export(home, tmp_path / "guarded.jsonl", None)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE guarded")
        assert opened == []
        export(home, tmp_path / "plain.jsonl", None)
        assert len(opened) == 2


@contextmanager
def counted_openings() -> Iterator[list[str]]:
    opened: list[str] = []

    def note(sender, connection, **kwargs):  # type: ignore[no-untyped-def]
        opened.append(connection.alias)

    connection_created.connect(note)
    try:
        yield opened
    finally:
        connection_created.disconnect(note)


@on_postgresql
def test_sessions_read_as_the_one_that_lends(home: Placed) -> None:
    connection = connections["default"]
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE gestore_reader")
        cursor.execute("CREATE SCHEMA elsewhere")
        try:
            with snapshot(connection):
                with connection.cursor() as inner:
                    inner.execute("SET LOCAL search_path = elsewhere, public")
                    inner.execute("SET LOCAL ROLE gestore_reader")
                told = Condition(
                    "SELECT 0, 0, current_setting('search_path') || ' ' || current_user"
                )
                sight = Sight(connection)
                with shared_out(sight, 2, is_wanted=True):
                    assert sight.sessions is not None
                    assert sight.sessions.ask(told)()[2] == b"elsewhere, public gestore_reader"
        finally:
            cursor.execute("DROP SCHEMA elsewhere")
            cursor.execute("DROP ROLE gestore_reader")


class Sight(Reader):
    """A reader that has nothing to remember: its role may read nothing."""

    def __init__(self, connection) -> None:  # type: ignore[no-untyped-def]
        super().__init__(connection, build_graph(), is_still=True)

    def _told(self) -> Mapping[str, object]:
        return {}


# What goes wrong ----------------------------------------------------------------------------------


@on_postgresql
def test_sessions_that_cannot_be_opened(home: Placed, tmp_path: Path) -> None:
    def refuse(sender, connection, **kwargs):  # type: ignore[no-untyped-def]
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM no_such_table")

    connection_created.connect(refuse)
    try:
        # Wanted by name: told. Usual: done without.
        with pytest.raises(DatabaseFailed, match=r"could not be opened.*no_such_table") as caught:
            export(home, tmp_path / "wanted.jsonl", 2)
        assert "Nothing was written" in caught.value.hint
        assert list(tmp_path.iterdir()) == []
        assert b"closing" in export(home, tmp_path / "usual.jsonl", None)
    finally:
        connection_created.disconnect(refuse)


class Cutting:
    """Progress that has the server cut every other session off once rows are read."""

    def begin(self, task: str, total: int | None = None) -> None:
        self.is_reading = task == "Exporting"

    def advance(self, count: int) -> None:
        if self.is_reading:
            other = connections["default"].copy()
            try:
                with other.cursor() as cursor:
                    cursor.execute(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE"
                        " datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)",
                        (connections["default"].connection.info.backend_pid,),
                    )
            finally:
                other.close()

    def end(self) -> None:
        pass

    def note(self, text: str) -> None:
        pass


@on_postgresql
def test_session_that_is_cut_off_ends_the_export_and_leaves_nothing(
    home: Placed, tmp_path: Path
) -> None:
    with pytest.raises(DatabaseFailed, match=r"^Database 'default' failed: ") as caught:
        gestore.export_objects([home.reference], str(tmp_path / "zoo.jsonl"), progress=Cutting())
    assert "Nothing was written" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
    assert open_sessions() == 0


@on_postgresql
def test_statement_that_fails_is_told(home: Placed) -> None:
    with (
        pytest.raises(DatabaseFailed, match=r"^Database 'default' failed: .*no_such_table"),
        snapshot(connections["default"]),
        shared(2) as reader,
    ):
        assert reader.sessions is not None
        reader.sessions.ask(Condition("SELECT 1, 1, '' FROM no_such_table"))()


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
