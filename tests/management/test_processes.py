"""What is left when a command is killed, interrupted or no longer read?"""

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

from .processes import MANAGE, PATIENCE_SECONDS, environment, interrupted, run, start

pytestmark = pytest.mark.django_db(databases=["default"])

# With its copies, readers and reviews: enough rows to be met in the middle of.
BOOKS = "1000"
READER = ("auth.User.2", "--follow", "connected")


@dataclass(frozen=True)
class Site:
    """A library in a file, an archive of most of it, and an empty branch that is migrated."""

    folder: Path
    library: Path
    archive: Path
    empty: Path

    def environment(self, branch: str = "") -> dict[str, str]:
        return environment(
            LIBRARY_DATABASE=str(self.library), LIBRARY_BRANCH=branch or str(self.empty)
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    made = Site(folder, folder / "library.sqlite3", folder / "all.jsonl", folder / "empty.sqlite3")
    for words in (
        ("migrate", "-v0", "--database", "branch"),
        ("generate", "--books", BOOKS, "-v0"),
        ("exportobjects", *READER, "-o", str(made.archive), "-v0"),
    ):
        if words[0] == "generate":
            shutil.copy(made.empty, made.library)
        done = run(*words, env=made.environment(), cwd=folder)
        assert (done.returncode, done.stderr) == (0, "")
    return made


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def parts_in(folder: Path) -> list[Path]:
    return list(folder.glob(".*.part")) if folder.exists() else []


def has_written(folder: Path, size_bytes: int) -> Callable[[], bool]:
    """Whether a file that is being written has come so far."""

    def reached() -> bool:
        try:
            return any(part.stat().st_size >= size_bytes for part in parts_in(folder))
        except FileNotFoundError:
            return False

    return reached


# Exports -----------------------------------------------------------------------------------------


def test_kill_9_during_an_export_leaves_nothing_under_its_name(site: Site, tmp_path: Path) -> None:
    whole = site.archive.stat().st_size
    killed = 0
    for share in (0.0, 0.3, 0.8):
        process = start(
            "exportobjects", *READER, "-o", "out/all.jsonl", env=site.environment(), cwd=tmp_path
        )
        _, err, was_working = interrupted(
            process, has_written(tmp_path / "out", int(whole * share)), by=signal.SIGKILL
        )
        assert was_working, err
        assert process.returncode == -signal.SIGKILL
        assert "all.jsonl" not in files_in(tmp_path / "out")
        killed += 1
        # What it was writing stays behind, hidden, and the next one does not mind.
        assert len(parts_in(tmp_path / "out")) == killed
        for part in parts_in(tmp_path / "out"):
            refused = run("verifyobjects", str(part), env=site.environment(), cwd=tmp_path)
            assert refused.returncode == 1
            break

    done = run(
        "exportobjects", *READER, "-o", "out/all.jsonl", env=site.environment(), cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(parts_in(tmp_path / "out")) == killed
    assert (tmp_path / "out" / "all.jsonl").stat().st_size == pytest.approx(whole, rel=0.001)


def test_ctrl_c_during_an_export_leaves_nothing_at_all(site: Site, tmp_path: Path) -> None:
    process = start(
        "exportobjects", *READER, "-o", "out/all.jsonl", env=site.environment(), cwd=tmp_path
    )
    out, err, was_working = interrupted(
        process, has_written(tmp_path / "out", 100_000), by=signal.SIGINT
    )
    assert was_working
    assert (process.returncode, out, err) == (
        130,
        "",
        "CommandError: Interrupted: nothing was written.\n",
    )
    assert files_in(tmp_path / "out") == set()


# Imports -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Branch:
    """A migrated database to import into: how the demo's settings name it, all it holds, and
    whether somebody has written to it and not committed yet."""

    setting: str
    contents: Callable[[], Any]
    is_being_written: Callable[[], bool]


@pytest.fixture
def branch(site: Site, tmp_path: Path, vendor: str, worker_id: str) -> Iterator[Branch]:
    if vendor == "sqlite":
        path = tmp_path / "branch.sqlite3"
        shutil.copy(site.empty, path)
        file = _SqliteFile(path)
        yield Branch(str(path), file.contents, file.is_being_written)
        return
    with _server_database(site, tmp_path, vendor, worker_id) as made:
        yield made


class _SqliteFile:
    """The branch as a file. A journal that grows is a write; one may be left by who was killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = Path(f"{path}-journal")
        self.left: tuple[int, int] | None = None

    def contents(self) -> list[str]:
        with closing(sqlite3.connect(self.path)) as database:
            found = list(database.iterdump())
        self.left = self._journal_state()
        return found

    def is_being_written(self) -> bool:
        state = self._journal_state()
        return state is not None and state != self.left and state[0] > 10_000

    def _journal_state(self) -> tuple[int, int] | None:
        try:
            state = self.journal.stat()
        except FileNotFoundError:
            return None
        return state.st_size, state.st_mtime_ns


_POSTGRESQL_WRITERS = """
    SELECT 1 FROM pg_stat_activity WHERE datname = %s AND backend_xid IS NOT NULL
"""
_MARIADB_WRITERS = """
    SELECT 1 FROM information_schema.innodb_trx, information_schema.processlist
    WHERE trx_mysql_thread_id = id AND db = %s AND trx_rows_modified > 0
"""


class _server_database:  # noqa: N801 - a context manager
    """The branch as a database of its own on the tests' server, migrated, dropped at the end."""

    def __init__(self, site: Site, folder: Path, vendor: str, worker_id: str) -> None:
        settings = connections["default"].settings_dict
        self.name = f"{settings['NAME']}_kill_{worker_id}"
        self.kind = "postgresql" if vendor == "postgresql" else "mariadb"
        self.site, self.folder = site, folder
        self.connection = ConnectionHandler({"default": {**settings, "NAME": self.name}})["default"]

    def __enter__(self) -> Branch:
        setting = f"{self.kind}:{self.name}"
        self._drop()
        _execute(f"CREATE DATABASE {self.name}")
        done = run(
            "migrate",
            "-v0",
            "--database",
            "branch",
            env=self.site.environment(setting),
            cwd=self.folder,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return Branch(setting, self._contents, self._is_being_written)

    def __exit__(self, *error: object) -> None:
        self.connection.close()
        self._drop()

    def _drop(self) -> None:
        forced = " WITH (FORCE)" if self.kind == "postgresql" else ""
        _execute(f"DROP DATABASE IF EXISTS {self.name}{forced}")

    def _is_being_written(self) -> bool:
        if self.kind == "mariadb":
            # What it says of transactions is renewed when nobody has asked for a tenth of a second.
            time.sleep(0.15)
        return bool(_rows(connections["default"], *self._writers()))

    def _writers(self) -> tuple[str, list[str]]:
        if self.kind == "postgresql":
            return _POSTGRESQL_WRITERS, [self.name]
        return _MARIADB_WRITERS, [self.name]

    def _contents(self) -> dict[str, list[str]]:
        """Once the server has noticed that nobody is there any more, and has rolled back."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._is_being_written() and time.monotonic() < deadline:
            time.sleep(0.05)
        quote = self.connection.ops.quote_name
        found = {
            table: sorted(
                repr(row) for row in _rows(self.connection, f"SELECT * FROM {quote(table)}")
            )
            for table in self.connection.introspection.table_names()
        }
        self.connection.close()
        return found


def _rows(
    connection: BaseDatabaseWrapper, sql: str, values: list[str] | None = None
) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def _execute(sql: str) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute(sql)


def test_a_broken_off_import_leaves_the_database_as_it_was(
    site: Site, branch: Branch, tmp_path: Path
) -> None:
    env = site.environment(branch.setting)
    before = branch.contents()
    words = ("importobjects", str(site.archive), "--database", "branch")

    # At once: a moment later all of it may be there, and rightly so.
    for after_seconds in (0.0, 0.005, 0.01):
        process = start(*words, env=env, cwd=tmp_path)
        _, err, was_working = interrupted(
            process, branch.is_being_written, by=signal.SIGKILL, after_seconds=after_seconds
        )
        assert was_working, err
        assert process.returncode == -signal.SIGKILL
        assert branch.contents() == before

    process = start(*words, env=env, cwd=tmp_path)
    out, err, was_working = interrupted(process, branch.is_being_written, by=signal.SIGINT)
    assert was_working
    assert (process.returncode, out, err) == (
        130,
        "",
        "CommandError: Interrupted: nothing was changed.\n",
    )
    assert branch.contents() == before

    done = run(*words, env=env, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Imported " in done.stdout
    assert branch.contents() != before


# Pipes -------------------------------------------------------------------------------------------


def piped(line: str, site: Site, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A line of shell in which `manage` is the demo's manage.py; fails when any part of it does."""
    manage = " ".join(MANAGE)
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; manage() {{ {manage} "$@"; }}; {line}'],
        env=site.environment(str(cwd / "branch.sqlite3")),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_from_one_database_through_a_pipe_into_another(site: Site, tmp_path: Path) -> None:
    shutil.copy(site.empty, tmp_path / "branch.sqlite3")
    done = piped(
        "manage exportobjects demoapp.Book.4 -o - --format jsonl.gz"
        " | manage importobjects - --database branch",
        site,
        tmp_path,
    )
    assert done.returncode == 0
    assert "to standard output\n" in done.stderr
    assert "from standard input.\n" in done.stdout
    with closing(sqlite3.connect(tmp_path / "branch.sqlite3")) as database:
        assert database.execute("SELECT id FROM demoapp_book").fetchall() == [(4,)]


def test_archive_that_nobody_reads_to_its_end_is_an_error(site: Site, tmp_path: Path) -> None:
    done = piped(
        "manage exportobjects auth.User.2 --follow connected -o - | head -1", site, tmp_path
    )

    assert done.returncode == 1
    assert done.stdout.startswith('{"format_version":2,')
    assert done.stdout.count("\n") == 1
    assert done.stderr == "CommandError: standard output could not be written: Broken pipe.\n"


def test_plan_that_nobody_reads_to_its_end_is_no_error(site: Site, tmp_path: Path) -> None:
    done = piped("manage planobjects demoapp.Book.4 | head -1", site, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Plan for demoapp.Book.4 (follow owned, 'default')\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="There is no /dev/full here.")  # noqa: PTH110
def test_full_device_instead_of_a_terminal(site: Site, tmp_path: Path) -> None:
    for words, what in (
        ("planobjects demoapp.Book.4", "The output"),
        ("exportobjects demoapp.Book.4 -o -", "standard output"),
    ):
        done = piped(f"manage {words} > /dev/full", site, tmp_path)
        assert done.returncode == 1
        assert done.stderr == (
            f"CommandError: {what} could not be written: No space left on device.\n"
        )


# Databases that are not what they should be -------------------------------------------------------


def test_database_without_tables_or_out_of_reach_is_one_line(site: Site, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "library.sqlite3"
    for database, told in (
        (tmp_path / "void.sqlite3", "no such table: demoapp_book"),
        (nowhere, "unable to open database file"),
    ):
        env = environment(LIBRARY_DATABASE=str(database), LIBRARY_BRANCH=str(database))
        done = run("exportobjects", "demoapp.Book.4", env=env, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"CommandError: Database 'default' failed: {told}.\nNothing was written.\n"
        )
        done = run("importobjects", str(site.archive), env=env, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "exports").exists()
