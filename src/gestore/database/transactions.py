"""How is a whole export read at one moment, and a whole import written in one go?"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from django.db import Error, transaction

from ..errors import DatabaseFailed, Overtaken, SnapshotError
from .dialects import dialect_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


@contextmanager
def snapshot(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """A transaction in which every query sees the database as it was at one moment.

    Inside a caller's transaction that moment is the caller's, if its isolation level gives one;
    otherwise `SnapshotError`, before any row is read.
    """
    dialect = dialect_of(connection)
    with quiet(connection), failures(connection, "Nothing was written."), dialect.tuned():
        if connection.in_atomic_block:
            if not dialect.is_one_moment():
                raise SnapshotError(
                    f"The transaction open on {connection.alias!r} does not show one moment.",
                    hint="Call outside transaction.atomic(), or open it with REPEATABLE READ.",
                )
            yield
            return
        with transaction.atomic(using=connection.alias):
            dialect.begin_snapshot()
            yield


@contextmanager
def loading(connection: BaseDatabaseWrapper, *, keep: bool, name: str = "") -> Iterator[None]:
    """One transaction for a whole import; with `keep=False` rolled back at its end. Two of one
    name, if they have one, come one after the other."""
    dialect = dialect_of(connection)
    with (
        quiet(connection),
        failures(connection, "Everything was rolled back."),
        dialect.tuned(),
        dialect.in_turn(name) if name else nullcontext(),
        transaction.atomic(using=connection.alias),
    ):
        dialect.begin_load(name)
        yield
        if not keep:
            transaction.set_rollback(True, using=connection.alias)


def is_free(connection: BaseDatabaseWrapper) -> bool:
    """Whether no transaction is the caller's: each of ours begins and ends by itself."""
    if connection.in_atomic_block or not connection.settings_dict["AUTOCOMMIT"]:
        return False
    return connection.connection is None or connection.get_autocommit()


@contextmanager
def failures(connection: BaseDatabaseWrapper, hint: str) -> Iterator[None]:
    """What the database raises, in our words: a lock, a lost connection, a refused COMMIT."""
    try:
        yield
    except Error as error:
        if dialect_of(connection).is_deadlock(error):
            raise Overtaken(
                f"Another writer stood in the way in {connection.alias!r}: {told(error)}.",
                hint=f"{hint} Try again.",
            ) from error
        raise DatabaseFailed(
            f"Database {connection.alias!r} failed: {told(error)}.", hint=hint
        ) from error


def told(error: Exception) -> str:
    """What a driver says in its first two lines; the others point into the statement."""
    lines = " ".join(" ".join(str(error).strip().split("\n")[:2]).split())
    return lines.rstrip(".?") or type(error).__name__


@contextmanager
def quiet(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """With DEBUG on, Django keeps the text of thousands of queries: memory that grows with rows."""
    if connection.force_debug_cursor:
        yield
        return
    log = connection.queries_log
    connection.queries_log = deque(maxlen=0)
    try:
        yield
    finally:
        connection.queries_log = log
