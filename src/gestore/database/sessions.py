"""How is reading shared out over sessions that see one moment? On PostgreSQL, whose snapshots can
be lent.

A session is a connection of its own, and a thread that waits for its answers. While they are being
opened, and where none can be, the reader's own connection answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from threading import Condition as News
from threading import Semaphore
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from django.db import Error, connections

from ..errors import DatabaseFailed, UsageError
from ..walk.source import Ask, KeySource
from .dialect import Condition, Lent
from .dialects import dialect_of
from .row_sql import Fetched, fetch_lines

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_About = TypeVar("_About")
_Part = TypeVar("_Part")


class Sharing(KeySource, Protocol):
    """A reader that can be asked over other connections, too."""

    connection: BaseDatabaseWrapper
    sessions: Sessions | None

    def remember(self) -> None:
        """Ask now what twins are not to ask again."""

    def twin(self, connection: BaseDatabaseWrapper) -> KeySource:
        """One that reads the same moment over another connection."""


"""Rows there are, whole lines among them, and the lines."""

USUAL_COUNT = 2
# For each session, questions whose answers may wait to be taken.
_AHEAD = 4


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


class _Session(NamedTuple):
    connection: BaseDatabaseWrapper
    reader: KeySource


class _Answer(Generic[_Part]):
    """An answer, being found in a thread: at most one part of it waits to be taken, and one more
    for room. The thread, and its session, are free when all has been found."""

    def __init__(self, ask: Ask[_Part], news: News) -> None:
        self._ask = ask
        self._news = news
        self._found: SimpleQueue[_Part | None] = SimpleQueue()
        self._room = Semaphore()
        self._is_left = False
        self.finding: Future[None] | None = None
        """Told by whoever has it found: what went wrong, too."""

    @property
    def is_there(self) -> bool:
        """Whether something can be taken without waiting."""
        return not self._found.empty()

    def find(self, source: KeySource) -> None:
        try:
            for part in self._ask(source):
                self._room.acquire()
                if self._is_left:
                    break
                self._put(part)
        finally:
            self._put(None)

    def _put(self, part: _Part | None) -> None:
        with self._news:
            self._found.put(part)
            self._news.notify_all()

    def leave(self) -> None:
        """No more of it is wanted."""
        self._is_left = True
        self._room.release()

    def __iter__(self) -> Iterator[_Part]:
        try:
            while (part := self._found.get()) is not None:
                self._room.release()
                yield part
            if self.finding is not None:
                self.finding.result()
        finally:
            self.leave()


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
        # Told when a session is idle, and when a part of an answer is there.
        self._news = News()
        self._answers: set[_Answer[Any]] = set()

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
        self._rest(session)
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
        # One waits: so nobody else does, and few answers are in memory at once.
        return self._count + 1 if self._count else 0

    def ask(self, statement: Condition) -> Callable[[], Fetched]:
        """Have a statement of lines run; the result waits for it."""
        return self._threads.submit(self._asked, statement).result

    def _asked(self, statement: Condition) -> Fetched:
        # There are as many threads as sessions, or more: one will be idle.
        session = self._idle.get()
        try:
            return fetch_lines(session.connection, statement)
        finally:
            self._rest(session)

    def in_turn(
        self, asks: Iterable[tuple[_About, Ask[_Part]]]
    ) -> Iterator[tuple[_About, Iterable[_Part]]]:
        """What is asked, each with its answer, in order. Whoever takes an answer takes all of it
        before the next; meanwhile the next ones are being found."""
        pending: deque[tuple[_About, Iterable[_Part]]] = deque()
        for about, ask in asks:
            while pending and not self._can_begin(pending):
                yield pending.popleft()
            pending.append((about, self._begun(ask)))
        while pending:
            yield pending.popleft()

    def _can_begin(self, pending: Sequence[tuple[object, object]]) -> bool:
        """Whether one more may be asked, now or before the next answer is there to be taken."""
        if len(pending) >= _AHEAD * self._count:
            return False
        _, answer = pending[0]
        with self._news:
            self._news.wait_for(
                lambda: self._idle.qsize() or not isinstance(answer, _Answer) or answer.is_there
            )
        return bool(self._idle.qsize())

    def _begun(self, ask: Ask[_Part]) -> Iterable[_Part]:
        try:
            session = self._idle.get_nowait()
        except Empty:
            return ask(self._reader)
        answer = _Answer(ask, self._news)
        self._answers.add(answer)
        answer.finding = self._threads.submit(self._find, answer, session)
        return answer

    def _find(self, answer: _Answer[Any], session: _Session) -> None:
        try:
            answer.find(session.reader)
        finally:
            self._answers.discard(answer)
            self._rest(session)

    def _rest(self, session: _Session) -> None:
        with self._news:
            self._idle.put(session)
            self._news.notify_all()

    def close(self) -> None:
        """End what is still being found, and close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for answer in tuple(self._answers):
            answer.leave()
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
