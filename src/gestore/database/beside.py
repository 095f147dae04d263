"""How does a session load while another one asks? On servers where reading waits for no writer.

Whoever asks by the database's alias asks over the other session meanwhile; the loading one is in
the hands of a thread, which does one thing after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import Error, OperationalError, connections

from .dialects import dialect_of
from .sessions import copied, is_plain

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_Answer = TypeVar("_Answer")


class InEachOthersWay(Exception):
    """What was asked waits for what is being loaded: it has to be the one after the other."""


@contextmanager
def beside(connection: BaseDatabaseWrapper) -> Iterator[Beside | None]:
    """Inside a transaction of ours: what `Beside` is given is done over its connection, and other
    questions go over a session of their own; None where none can be had. After an error the
    transaction is good for nothing but to be rolled back."""
    other = _another(connection)
    if other is None:
        yield None
        return
    found = Beside(connection, other)
    try:
        yield found
    except OperationalError as error:
        found.cancel()
        if dialect_of(other).is_lock_timeout(error):
            raise InEachOthersWay from error
        raise
    except BaseException:
        found.cancel()
        raise
    finally:
        found.close()


def _another(connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper | None:
    if not is_plain(connection):
        return None
    settings = dialect_of(connection).session_settings()
    if settings is None:
        return None
    other = copied(connection)
    try:
        other.set_autocommit(True)
        dialect_of(other).begin_beside(settings)
    except Error:
        # No connection is left, say: it goes without.
        other.close()
        return None
    return other


class Beside:
    """A connection in the hands of a thread, and another in its place."""

    def __init__(self, connection: BaseDatabaseWrapper, other: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.other = other
        self._pending: deque[Future[Any]] = deque()
        self._most_pending = dialect_of(connection).waiting_lots
        self.has_failed = False
        connection.inc_thread_sharing()
        connections[connection.alias] = other
        self._thread = ThreadPoolExecutor(
            1, thread_name_prefix="gestore-load", initializer=self._begin
        )

    def _begin(self) -> None:
        connections[self.connection.alias] = self.connection

    @property
    def has_room(self) -> bool:
        """Whether it takes more without making anybody wait."""
        while self._pending and self._pending[0].done():
            self._settle()
        return len(self._pending) < self._most_pending

    def carry(self, job: Callable[[], None]) -> None:
        """Have it done when what was given before is done; nothing is, after a failure."""
        if not self.has_room:
            self._settle()
        self._pending.append(self._thread.submit(self._do, job))

    def run(self, job: Callable[[], _Answer]) -> _Answer:
        """Have it done in its turn, and wait for what comes back."""
        self.wait()
        done = self._thread.submit(self._done, job)
        self._pending.append(done)
        answer = done.result()
        self._pending.clear()
        return answer

    def _do(self, job: Callable[[], object]) -> None:
        if not self.has_failed:
            self._done(job)

    def _done(self, job: Callable[[], _Answer]) -> _Answer:
        try:
            return job()
        except BaseException:
            self.has_failed = True
            raise

    def wait(self) -> bool:
        """Wait until all is done; whether all was."""
        while self._pending:
            self._settle()
        return not self.has_failed

    def _settle(self) -> None:
        # Why it failed is told when it is tried once more, after everything was asked.
        self._pending.popleft().exception()

    def cancel(self) -> None:
        """Have the server give up what it is doing: nobody waits for it any more."""
        if self._pending:
            # Whatever the driver says to that: the thread is waited for in any case.
            with suppress(Exception):
                dialect_of(self.connection).stop(self.other)

    def close(self) -> None:
        """Have the connection back."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        connections[self.connection.alias] = self.connection
        self.connection.dec_thread_sharing()
        self.other.close()
