"""How is reading shared out over sessions that see one moment? On PostgreSQL, whose snapshots can
be lent.

A session is a connection of its own, and a thread that waits for its answers. While they are being
opened, and where none can be, the reader's own connection answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from django.db import Error, connections

from ..errors import DatabaseFailed, UsageError
from ..walk.source import Ask, KeySource, Lot
from .dialect import Condition, Lent
from .dialects import dialect_of
from .row_sql import fetch_lines

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_About = TypeVar("_About")


class Sharing(KeySource, Protocol):
    """A reader that can be asked over other connections, too."""

    connection: BaseDatabaseWrapper
    sessions: Sessions | None

    def remember(self) -> None:
        """Ask now what twins are not to ask again."""

    def twin(self, connection: BaseDatabaseWrapper) -> KeySource:
        """One that reads the same moment over another connection."""


_Lines: TypeAlias = "tuple[int, int, bytes]"
"""Rows there are, whole lines among them, and the lines."""

USUAL_COUNT = 2


def count_of(connection: BaseDatabaseWrapper, wanted: int | None) -> int:
    """Over how many sessions to read; 1 for the reader's own. None wants as many as are usual,
    where they can be had; `UsageError` where a number was wanted and cannot be."""
    if wanted is None:
        is_lending = connection.vendor == "postgresql" and not connection.in_atomic_block
        return USUAL_COUNT if is_lending and is_plain(connection) else 1
    if wanted < 1:
        raise UsageError(f"There cannot be {wanted} workers.", hint="Name 1 or more.")
    if wanted == 1:
        return 1
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
    if not is_plain(connection):
        raise UsageError(
            f"Workers read through Django's own backends, and {connection.alias!r} has another.",
            hint="Leave --workers out.",
        )
    return wanted


def is_plain(connection: BaseDatabaseWrapper) -> bool:
    """Whether a second connection is like the first: a backend that chooses a schema by what
    somebody told this one would choose another."""
    return type(connection).__module__.startswith("django.")


def copied(connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """One like it, not open yet, that keeps no log of what it is asked."""
    own: Any = connection
    other: BaseDatabaseWrapper = own.copy()
    other.execute_wrappers = connection.execute_wrappers
    if not connection.force_debug_cursor:
        other.queries_log = deque(maxlen=0)
    return other


@contextmanager
def shared_out(reader: Sharing, count: int, *, is_wanted: bool) -> Iterator[None]:
    """Inside, the reader asks over so many sessions besides its own connection, which see what its
    open snapshot sees. With `is_wanted`, one that cannot be opened is an error."""
    lent = dialect_of(reader.connection).lend_snapshot() if count > 1 else None
    if lent is None:
        yield
        return
    reader.remember()
    with ThreadPoolExecutor(count, thread_name_prefix="gestore-session") as threads:
        sessions = Sessions(reader, threads, is_wanted=is_wanted)
        sessions.begin(lent, count)
        reader.sessions = sessions
        try:
            yield
        finally:
            reader.sessions = None
            sessions.close()


@dataclass(frozen=True, slots=True)
class _Session:
    connection: BaseDatabaseWrapper
    reader: KeySource


class Sessions:
    """Sessions to be asked; each answers one question at a time."""

    def __init__(self, reader: Sharing, threads: ThreadPoolExecutor, *, is_wanted: bool) -> None:
        self._reader = reader
        self._threads = threads
        self._is_wanted = is_wanted
        self._opening: list[Future[_Session]] = []
        self._connections: list[BaseDatabaseWrapper] = []
        self._idle: SimpleQueue[_Session] = SimpleQueue()
        self._count = 0

    def begin(self, lent: Lent, count: int) -> None:
        """Begin to open them; nobody waits."""
        for _ in range(count):
            connection = copied(self._reader.connection)
            # Opened and asked in threads, one after the other; closed by whoever made it.
            connection.inc_thread_sharing()
            self._connections.append(connection)
            self._opening.append(self._threads.submit(self._opened, connection, lent))
        self._count = count

    def _opened(self, connection: BaseDatabaseWrapper, lent: Lent) -> _Session:
        connection.set_autocommit(False)
        # Whoever is told of a new connection (Django's own hstore, say) may ask by the alias, which
        # in a thread means another one.
        connections[connection.alias].close()
        dialect_of(connection).take_snapshot(lent)
        session = _Session(connection, self._reader.twin(connection))
        self._idle.put(session)
        return session

    @property
    def ahead(self) -> int:
        """How many questions to ask before the first answer is taken; 0 where there is nobody to
        ask. Waits until all are open."""
        for opening in self._opening:
            try:
                opening.result()
            except Error as error:
                self._count -= 1
                if self._is_wanted:
                    raise DatabaseFailed(
                        f"A session for a worker could not be opened: {_first_line(error)}.",
                        hint="Nothing was written. Try with fewer workers.",
                    ) from error
        self._opening = []
        return 2 * self._count

    def ask(self, statement: Condition) -> Callable[[], _Lines]:
        """Have a statement of lines run; the result waits for it."""
        return self._threads.submit(self._asked, statement).result

    def _asked(self, statement: Condition) -> _Lines:
        # There are as many threads as sessions, or more: one will be idle.
        session = self._idle.get()
        try:
            return fetch_lines(session.connection, statement)
        finally:
            self._idle.put(session)

    def in_turn(self, asks: Iterable[tuple[_About, Ask]]) -> Iterator[tuple[_About, Iterable[Lot]]]:
        """What is asked, each with its answer, in order. Whoever takes an answer takes all of it
        before the next; meanwhile the next ones are being found."""
        pending: deque[tuple[_About, Iterable[Lot]]] = deque()
        for about, ask in asks:
            pending.append((about, self._begun(ask)))
            if len(pending) >= max(1, self._count):
                yield pending.popleft()
        while pending:
            yield pending.popleft()

    def _begun(self, ask: Ask) -> Iterable[Lot]:
        try:
            session = self._idle.get_nowait()
        except Empty:
            return ask(self._reader)
        lots = iter(ask(session.reader))
        return self._answered(session, lots, self._threads.submit(next, lots, None))

    def _answered(
        self, session: _Session, lots: Iterator[Lot], first: Future[Lot | None]
    ) -> Iterator[Lot]:
        """The first lot was found meanwhile, and each other one while the one before is looked at;
        a question with more of them has its session until they have all been taken."""
        found = first
        try:
            while (lot := found.result()) is not None:
                found = self._threads.submit(next, lots, None)
                yield lot
        finally:
            # Whoever takes no more leaves it with its last question.
            found.add_done_callback(lambda _: self._idle.put(session))

    def close(self) -> None:
        """End what is still being found, and close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for connection in self._busy():
            driver: Any = connection.connection
            if driver is not None:
                # Nobody waits for its answer any more.
                with suppress(Error, OSError, _driver_error()):
                    driver.cancel()
        self._threads.shutdown(wait=True)
        for connection in self._connections:
            connection.close()

    def _busy(self) -> list[BaseDatabaseWrapper]:
        idle = []
        with suppress(Empty):
            while True:
                idle.append(self._idle.get_nowait().connection)
        return [connection for connection in self._connections if connection not in idle]


def _driver_error() -> type[Exception]:
    """What the driver itself raises, past Django."""
    from psycopg import Error as DriverError

    return DriverError


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
