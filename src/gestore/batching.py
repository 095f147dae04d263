"""How is a removal in batches allowed, held up, broken off and gone on with? A stage of a deletion,
above the batches themselves."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from django.db import DEFAULT_DB_ALIAS, connections

from . import conf
from .database import journal
from .database.replicas import lag_reasons
from .database.transactions import failures, loading, quiet
from .errors import (
    DatabaseFailed,
    Finding,
    GestoreError,
    NotFound,
    Overtaken,
    Refused,
    Severity,
    UsageError,
)
from .progress import Progress
from .removal.pace import Pace
from .removal.throttle import Limits, Throttle, TimeUp
from .removing import Gone, Removing
from .stepwise import Stepwise

BATCH_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Batches:
    """At most `rows` rows go in one transaction, of about `seconds`; the `limits` are looked at
    between them."""

    rows: int
    seconds: float = BATCH_SECONDS
    limits: Limits = field(default_factory=Limits)


def check_batches(database: str, batches: Batches) -> None:
    """What a removal in batches needs, asked before hours of reading."""
    if connections[database].in_atomic_block:
        raise UsageError(
            "A transaction is open, and a removal in batches commits its own.",
            hint="Call outside transaction.atomic(), or without commit_every.",
        )
    check_journal(database)
    with failures(connections[database], "Nothing was removed."):
        _reasons(database, batches.limits)


def check_journal(database: str) -> None:
    if not conf.is_installed():
        raise NotFound(
            'A removal in batches needs "gestore" in INSTALLED_APPS.',
            hint="Where it stands is noted in a table of Gestore's.",
        )
    with failures(connections[database], "Nothing was removed."):
        has_table = journal.has_table(database)
    if not has_table:
        raise NotFound(
            f"{database!r} has no table to note where a removal in batches stands.",
            hint="Run: python manage.py migrate gestore",
        )


def _reasons(database: str, limits: Limits) -> list[Callable[[], str]]:
    most = limits.max_lag_seconds
    return lag_reasons(connections[database], conf.load().replicas, most) if most else []


def remove_in_batches(
    removing: Removing,
    number: int,
    archive: Sequence[str],
    batches: Batches,
    progress: Progress,
    clock: Callable[[], datetime],
    last: Callable[[], Iterable[Finding]] = tuple,
) -> tuple[Gone, Sequence[Finding]]:
    """Remove, and bring the journal's record `number` to its end when all is proved, and `last`,
    what comes after the rows, is done. The counts of all runs come back, and what is left and
    why. `archive` are the words that lead to it."""
    connection = removing.connection
    throttle = Throttle(
        batches.limits,
        _reasons(connection.alias, batches.limits),
        clock=time.monotonic,
        sleep=time.sleep,
        note=progress.note,
    )
    pace = Pace(batches.rows, batches.seconds)
    steps = Stepwise(removing, number, pace, throttle, progress)
    with quiet(connection), _resumable(steps, resume_words(archive, connection.alias)):
        gone, left = steps.run()
        if not stands_in_the_way(left):
            left.extend(last())
        if not stands_in_the_way(left):
            with loading(connection, keep=True):
                journal.end(journal.locked(connection.alias, number), clock())
    return gone, left


def stands_in_the_way(left: Sequence[Finding]) -> bool:
    """Whether rows that were to go are there."""
    return any(finding.severity is not Severity.WARNING for finding in left)


@contextmanager
def _resumable(steps: Stepwise, words: str) -> Iterator[None]:
    """Whatever breaks a removal in batches off says how far it is, and how to go on."""
    how = f"What was committed stays. Go on with:\n{words}"
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"{_how_far(steps)} {how}") from error
    except (TimeUp, Overtaken, DatabaseFailed) as error:
        raise type(error)(f"{error.message} {_how_far(steps)}", hint=how) from error
    except Refused:
        raise
    except GestoreError as error:
        hint = f"{error.hint} {how}".lstrip()
        raise type(error)(f"{error.message} {_how_far(steps)}", hint=hint) from error


def _how_far(steps: Stepwise) -> str:
    total = steps.removing.total
    rows = "row is" if total == 1 else "rows are"
    return f"{steps.gone_count:,} of {total:,} {rows} gone."


def resume_words(archive: Sequence[str], database: str) -> str:
    """The command that goes on; `archive` are the words that lead to it (`Keeping.words`)."""
    words = ["deleteobjects", "--resume", *archive]
    return shlex.join(words if database == DEFAULT_DB_ALIAS else [*words, "--database", database])
