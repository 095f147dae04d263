"""Does a removal hear how far the replicas are behind? A real standby that stands still says so."""

import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

from gestore.database.replicas import lag_reasons
from gestore.errors import ConfigurationError, NotFound, UsageError

pytestmark = pytest.mark.django_db

PATIENCE_SECONDS = 60


def only(vendor: str) -> pytest.MarkDecorator:
    engine = str(connections["default"].settings_dict["ENGINE"])
    return pytest.mark.skipif(vendor not in engine, reason=f"asked of {vendor} only")


def told(reasons: list[Callable[[], str]]) -> list[str]:
    return [reason() for reason in reasons]


def eventually(ask: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    """What is told as soon as it is what is wanted; else what was told last."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not wanted(found := ask()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


# What needs no replica ----------------------------------------------------------------------------


def test_unknown_alias_is_named() -> None:
    with pytest.raises(NotFound) as error:
        lag_reasons(connections["default"], ["nowhere"], 1.0)
    assert error.value.message == "GESTORE[\"REPLICAS\"]: no database 'nowhere'."
    assert error.value.hint == f"There are: {', '.join(connections)}."


@only("sqlite")
def test_sqlite_has_none() -> None:
    with pytest.raises(UsageError) as error:
        lag_reasons(connections["default"], [], 1.0)
    assert error.value.message == "sqlite has no replicas: leave out --max-lag."
    with pytest.raises(ConfigurationError) as wrong:
        lag_reasons(connections["default"], ["target"], 1.0)
    assert wrong.value.message == "GESTORE[\"REPLICAS\"]: 'target' is no replica."


@only("mysql")
def test_mariadb_is_asked_of_the_replicas_alone() -> None:
    with pytest.raises(ConfigurationError) as error:
        lag_reasons(connections["default"], [], 1.0)
    assert error.value.message == "Only the replicas themselves know how far they are behind."


@only("mysql")
@pytest.mark.django_db(databases=["default", "target"])
def test_mariadb_that_replicates_nothing_says_so() -> None:
    reasons = lag_reasons(connections["default"], ["target"], 1.0)
    assert told(reasons) == ["waiting: replica target does not replicate"]


@only("postgresql")
@pytest.mark.django_db(databases=["default", "target"])
def test_postgresql_that_is_no_standby_says_so() -> None:
    reasons = lag_reasons(connections["default"], ["target"], 1.0)
    assert told(reasons) == ["waiting: replica target does not replicate"]


# PostgreSQL, with a standby -----------------------------------------------------------------------


def _tools() -> Path | None:
    """The folder of PostgreSQL's own programs: Debian's are not on the path."""
    found = [Path(shutil.which("initdb") or "nowhere").resolve()]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    folders = [path.parent for path in found if path.with_name("pg_basebackup").exists()]
    return folders[0] if folders else None


def _run(*words: str) -> None:
    """PostgreSQL's programs refuse to be root's."""
    line = shlex.join(words)
    command = ["su", "postgres", "-c", line] if os.geteuid() == 0 else ["sh", "-c", line]
    # Into nothing: a server that is started keeps a pipe open.
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=120, check=False
    )
    assert done.returncode == 0, line


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Pair:
    """A primary and its standby, each as a connection of Django's, and how to end the first."""

    primary: BaseDatabaseWrapper
    standby: BaseDatabaseWrapper
    plain: BaseDatabaseWrapper
    stop_primary: Callable[[], None]

    def write(self) -> None:
        execute(self.primary, "INSERT INTO written VALUES (1)")

    def replayed(self) -> int:
        """How many standbys have replayed everything: it takes a while until one streams."""
        with self.primary.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()"
            )
            return int(cursor.fetchone()[0])


def execute(connection: BaseDatabaseWrapper, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture(scope="module")
def pair(django_db_blocker: Any) -> Iterator[Pair]:
    tools = _tools()
    if tools is None:
        pytest.skip("PostgreSQL's own programs are not here.")
    # Short: a socket's name may have about a hundred characters.
    folder = Path(mkdtemp(prefix="gestore-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    ports = {"primary": _free_port(), "standby": _free_port()}
    control = str(tools / "pg_ctl")

    def start(name: str) -> None:
        settings = f"-p {ports[name]} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        data, log = str(folder / name), str(folder / f"{name}.log")
        _run(control, "start", "-w", "-D", data, "-l", log, "-o", settings)

    def stop(name: str) -> None:
        _run(control, "stop", "-w", "-m", "immediate", "-D", str(folder / name))

    started = []
    try:
        primary, standby = str(folder / "primary"), str(folder / "standby")
        _run(str(tools / "initdb"), "-D", primary, "-U", "postgres", "-A", "trust", "-N")
        start("primary")
        started.append("primary")
        copy = ["-h", "127.0.0.1", "-p", str(ports["primary"]), "-U", "postgres", "-c", "fast"]
        _run(str(tools / "pg_basebackup"), *copy, "-N", "-R", "-D", standby)
        start("standby")
        started.append("standby")

        def stop_primary() -> None:
            started.remove("primary")
            stop("primary")

        with django_db_blocker.unblock():
            made = _pair(ports, stop_primary)
            execute(made.primary, "CREATE TABLE written (number int)")
            execute(made.primary, "CREATE ROLE plain LOGIN")
            yield made
            for connection in (made.primary, made.standby, made.plain):
                connection.close()
    finally:
        for name in reversed(started):
            stop(name)
        shutil.rmtree(folder)


def _pair(ports: dict[str, int], stop_primary: Callable[[], None]) -> Pair:
    common = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "NAME": "postgres",
        "USER": "postgres",
    }
    # The tests' own aliases: of others Django lets no test make connections.
    here = {**common, "PORT": str(ports["primary"])}
    made = ConnectionHandler({"default": here, "target": {**common, "PORT": str(ports["standby"])}})
    plain = ConnectionHandler({"default": {**here, "USER": "plain"}})
    return Pair(made["default"], made["target"], plain["default"], stop_primary)


@only("postgresql")
@pytest.mark.django_db(databases=["default", "target"])
def test_standby_that_stands_still_is_waited_for(pair: Pair) -> None:
    target = connections["target"]
    connections["target"] = pair.standby
    try:
        _waited_for(pair)
    finally:
        connections["target"] = target


def _waited_for(pair: Pair) -> None:
    by_primary = lag_reasons(pair.primary, [], 0.3)
    by_standby = lag_reasons(pair.primary, ["target"], 0.3)
    pair.write()
    assert eventually(pair.replayed, lambda count: count == 1) == 1
    assert eventually(lambda: told(by_primary), lambda found: found == [""]) == [""]
    assert eventually(lambda: told(by_standby), lambda found: found == [""]) == [""]

    execute(pair.standby, "SELECT pg_wal_replay_pause()")
    pair.write()
    time.sleep(0.4)
    pair.write()
    (late,) = eventually(lambda: told(by_standby), lambda found: found != [""])
    assert late.startswith("waiting: replica target is ")
    assert late.endswith(" s behind")
    (late,) = eventually(lambda: told(by_primary), lambda found: found != [""])
    assert late.startswith("waiting: a replica is ")
    assert float(late.split()[4]) > 0.3

    execute(pair.standby, "SELECT pg_wal_replay_resume()")
    assert eventually(lambda: told(by_standby), lambda found: found == [""]) == [""]
    assert eventually(lambda: told(by_primary), lambda found: found == [""]) == [""]

    # Who may not see it is told so, and does not take silence for speed.
    with pytest.raises(ConfigurationError) as error:
        lag_reasons(pair.plain, [], 0.3)
    assert error.value.message == (
        "This database user may not see how far the replicas are behind."
    )

    for connection in (pair.primary, pair.plain):
        connection.close()
    pair.stop_primary()
    wanted = ["waiting: replica target does not replicate"]
    assert eventually(lambda: told(by_standby), lambda found: found == wanted) == wanted


# MariaDB, with a replica --------------------------------------------------------------------------


@dataclass(frozen=True)
class Copies:
    """A MariaDB server that is replicated, and its replica, each as a connection of Django's."""

    primary: BaseDatabaseWrapper
    replica: BaseDatabaseWrapper


@pytest.fixture(scope="module")
def copies(django_db_blocker: Any) -> Iterator[Copies]:
    found = [shutil.which(name) for name in ("mariadb-install-db", "mariadbd")]
    install, server = [name for name in found if name] if all(found) else ("", "")
    if not install:
        pytest.skip("MariaDB's own programs are not here.")
    folder = Path(mkdtemp(prefix="gestore-my-"))
    owner = ["--user=mysql"] if os.geteuid() == 0 else []
    if owner:
        shutil.chown(folder, "mysql")
    ports = {"primary": _free_port(), "replica": _free_port()}
    servers: list[subprocess.Popen[bytes]] = []
    try:
        made = [install, "--no-defaults", "--auth-root-authentication-method=normal"]
        subprocess.run(
            [*made, "--skip-test-db", f"--datadir={folder / 'primary'}", *owner],
            check=True,
            capture_output=True,
            timeout=120,
        )
        # The same users and the same time zones: no log of how they came to be is needed.
        copy = ["cp", "-a", str(folder / "primary"), str(folder / "replica")]
        subprocess.run(copy, check=True, timeout=60)
        for number, (name, port) in enumerate(ports.items(), start=1):
            servers.append(
                subprocess.Popen(
                    [
                        *(server, "--no-defaults", *owner, f"--datadir={folder / name}"),
                        *(f"--port={port}", "--bind-address=127.0.0.1", f"--server-id={number}"),
                        *(f"--socket={folder / name}.sock", f"--pid-file={folder / name}.pid"),
                        *("--log-bin", "--innodb-buffer-pool-size=16M", "--skip-slave-start"),
                        *("--innodb-flush-log-at-trx-commit=0", f"--log-error={folder / name}.log"),
                    ],
                    stdin=subprocess.DEVNULL,
                )
            )
        with django_db_blocker.unblock():
            pair = _copies(ports)
            yield pair
            for connection in (pair.primary, pair.replica):
                connection.close()
    finally:
        for process in servers:
            process.kill()
            process.wait()
        shutil.rmtree(folder)


def _copies(ports: dict[str, int]) -> Copies:
    common = {
        "ENGINE": "django.db.backends.mysql",
        "HOST": "127.0.0.1",
        "NAME": "mysql",
        "USER": "root",
    }
    made = ConnectionHandler(
        {
            "default": {**common, "PORT": str(ports["primary"])},
            "target": {**common, "PORT": str(ports["replica"])},
        }
    )
    pair = Copies(made["default"], made["target"])
    for connection in (pair.primary, pair.replica):
        assert eventually(lambda c=connection: _answers(c), bool)
    execute(
        pair.replica,
        f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={ports['primary']},"
        " MASTER_USER='root', MASTER_PASSWORD=''",
    )
    return pair


def _answers(connection: BaseDatabaseWrapper) -> bool:
    try:
        connection.ensure_connection()
    except OperationalError:
        return False
    return True


@only("mysql")
@pytest.mark.django_db(databases=["default", "target"])
def test_replica_that_is_held_up_is_waited_for(copies: Copies) -> None:
    target = connections["target"]
    connections["target"] = copies.replica
    try:
        _held_up(copies)
    finally:
        connections["target"] = target


def _held_up(copies: Copies) -> None:
    reasons = lag_reasons(copies.primary, ["target"], 0.5)
    still = ["waiting: replica target does not replicate"]
    assert told(reasons) == still
    execute(copies.replica, "START SLAVE")
    assert eventually(lambda: told(reasons), lambda found: found == [""]) == [""]

    execute(copies.replica, "FLUSH TABLES WITH READ LOCK")
    execute(copies.primary, "CREATE DATABASE written")
    (late,) = eventually(lambda: told(reasons), lambda found: found != [""])
    assert late.startswith("waiting: replica target is ")
    assert late.endswith(".0 s behind")
    execute(copies.replica, "UNLOCK TABLES")
    assert eventually(lambda: told(reasons), lambda found: found == [""]) == [""]

    execute(copies.replica, "STOP SLAVE SQL_THREAD")
    assert told(reasons) == still
