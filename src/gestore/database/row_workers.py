"""How is reading shared out over processes that see one moment? On PostgreSQL, whose snapshots can
be lent.

The processes start before the walk, and load what they need while it lasts; they know statements
and bytes only (`row_worker`). What a process does not answer ends the whole.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any, TypeAlias, cast

from ..errors import DatabaseFailed, UsageError
from .dialect import Condition
from .row_worker import FAILED, HEADER

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_Lines: TypeAlias = "tuple[int, int, bytes]"
"""Rows there are, whole lines among them, and the lines."""

# What a process that is told to go may take for it.
_PATIENCE_SECONDS = 5
_HINT = "Nothing was written. Try again, or without workers."


@contextmanager
def started(connection: BaseDatabaseWrapper, count: int) -> Iterator[Workers]:
    """So many processes, until the block ends. `Workers.join` lets them see what `connection` sees.

    `UsageError` where a snapshot cannot be lent.
    """
    _check(connection, count)
    processes = [_process() for _ in range(count)]
    try:
        with ThreadPoolExecutor(count, thread_name_prefix="gestore-worker") as threads:
            try:
                yield Workers([Worker(process) for process in processes], threads)
            finally:
                threads.shutdown(wait=False, cancel_futures=True)
                # Whoever waits for an answer waits no longer.
                for process in processes:
                    process.kill()
    finally:
        for process in processes:
            _end(process)


def _check(connection: BaseDatabaseWrapper, count: int) -> None:
    if count < 1:
        raise UsageError(f"There cannot be {count} workers.", hint="Name 1 or more.")
    if connection.vendor != "postgresql":
        raise UsageError(
            f"Workers read PostgreSQL only, and {connection.alias!r} is {connection.display_name}.",
            hint="Leave --workers out.",
        )
    if connection.in_atomic_block:
        raise UsageError(
            "Inside a transaction of yours workers would not see what it wrote.",
            hint="Export outside transaction.atomic(), or without workers.",
        )


def _process() -> subprocess.Popen[bytes]:
    path = os.pathsep.join(place for place in sys.path if place)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.row_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )
    except OSError as error:
        raise DatabaseFailed(f"A worker did not start: {error.strerror}.", hint=_HINT) from error


def _end(process: subprocess.Popen[bytes]) -> None:
    process.wait(_PATIENCE_SECONDS)
    for pipe in (process.stdin, process.stdout):
        # What was still to be sent has nobody to go to.
        with suppress(BrokenPipeError):
            cast("IO[bytes]", pipe).close()


class Workers:
    """Processes to be asked; each answers one question at a time."""

    def __init__(self, workers: Sequence[Worker], threads: ThreadPoolExecutor) -> None:
        self._workers = workers
        self._threads = threads
        self._idle: SimpleQueue[Worker] = SimpleQueue()

    @property
    def ahead(self) -> int:
        """How many questions to ask before the first answer is taken."""
        return 2 * len(self._workers)

    def join(self, connection: BaseDatabaseWrapper) -> None:
        """Let all of them see what the connection's transaction, which is read only, sees."""
        first = _first_message(connection)
        for answer in [self._threads.submit(worker.told, first) for worker in self._workers]:
            answer.result()
        for worker in self._workers:
            self._idle.put(worker)

    def ask(self, statement: Condition) -> Callable[[], _Lines]:
        """Have a statement of lines run; the result waits for it."""
        message = json.dumps([statement.sql, statement.parameters]).encode()
        return self._threads.submit(self._asked, message).result

    def _asked(self, message: bytes) -> _Lines:
        # There are as many threads as workers: one is idle.
        worker = self._idle.get()
        try:
            return worker.told(message)
        finally:
            self._idle.put(worker)


class Worker:
    """One process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def told(self, message: bytes) -> _Lines:
        """Send a message, and wait for the answer."""
        requests = cast("IO[bytes]", self._process.stdin)
        answers = cast("IO[bytes]", self._process.stdout)
        try:
            requests.write(message + b"\n")
            requests.flush()
            header = answers.read(HEADER.size)
            found, whole, size = HEADER.unpack(header) if len(header) == HEADER.size else (0, 0, -1)
            text = answers.read(size) if size > 0 else b""
        except (OSError, ValueError) as error:
            raise DatabaseFailed("A worker has died.", hint=_HINT) from error
        if size < 0 or len(text) != size:
            raise DatabaseFailed("A worker has died.", hint=_HINT)
        if found == FAILED:
            said = " ".join(text.decode(errors="replace").split())
            raise DatabaseFailed(f"A worker failed: {said}.", hint=_HINT)
        return found, whole, text


def _first_message(connection: Any) -> bytes:
    """How to reach the database as the connection does, and its snapshot and settings. The password
    goes through the pipe only."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_export_snapshot(), current_setting('search_path'),"
            " current_user::text, session_user::text"
        )
        snapshot, search_path, role, user = cursor.fetchone()
    info = connection.connection.info
    settings = {
        "search_path": search_path,
        "TimeZone": info.parameter_status("TimeZone"),
        "jit": "off",
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
    }
    if role != user:
        settings["role"] = role
    first = {
        "connect": {**info.get_parameters(), "password": info.password or None},
        "statements": [f"SET TRANSACTION SNAPSHOT '{snapshot}'"],
        "settings": settings,
    }
    return json.dumps(first).encode()
