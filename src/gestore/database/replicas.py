"""How far are the replicas behind? Asked while rows go from a live site."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from django.db import Error, connections

from ..errors import ConfigurationError, NotFound, UsageError

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

Lag = Callable[[], float | None]
"""Seconds; None when replication stands still or cannot be asked of."""


def lag_reasons(
    connection: BaseDatabaseWrapper, aliases: Sequence[str], most_seconds: float
) -> list[Callable[[], str]]:
    """What to ask before each batch: each says which replica is how far behind, or "".

    `aliases` are the databases in `DATABASES` that are replicas of this one. PostgreSQL knows its
    own without them.
    """
    lags = _lags(connection, aliases)
    return [_reason(name, lag, most_seconds) for name, lag in lags]


def _lags(connection: BaseDatabaseWrapper, aliases: Sequence[str]) -> list[tuple[str, Lag]]:
    unknown = [alias for alias in aliases if alias not in connections]
    if unknown:
        raise NotFound(
            f'GESTORE["REPLICAS"]: no database {unknown[0]!r}.',
            hint=f"There are: {', '.join(connections)}.",
        )
    if aliases:
        return [(f"replica {alias}", _asking(connections[alias])) for alias in aliases]
    if connection.vendor == "postgresql":
        # Asked once before any work: what may not be seen would count as no lag at all.
        _postgresql_primary(connection)
        return [("a replica", lambda: _postgresql_primary(connection))]
    if connection.vendor == "mysql":
        raise ConfigurationError(
            "Only the replicas themselves know how far they are behind.",
            hint='Name their aliases in GESTORE["REPLICAS"], or leave out --max-lag.',
        )
    raise UsageError(f"{connection.vendor} has no replicas: leave out --max-lag.")


def _reason(name: str, lag: Lag, most_seconds: float) -> Callable[[], str]:
    def reason() -> str:
        seconds = lag()
        if seconds is None:
            return f"waiting: {name} does not replicate"
        return f"waiting: {name} is {seconds:.1f} s behind" if seconds > most_seconds else ""

    return reason


def _asking(replica: BaseDatabaseWrapper) -> Lag:
    ask = {"postgresql": _postgresql_standby, "mysql": _mysql_replica}.get(replica.vendor)
    if ask is None:
        raise ConfigurationError(f'GESTORE["REPLICAS"]: {replica.alias!r} is no replica.')

    def lag() -> float | None:
        try:
            return ask(replica)
        except Error:
            # A replica that is away: to go on would leave it further behind.
            replica.close()
            return None

    return lag


def _postgresql_primary(connection: BaseDatabaseWrapper) -> float | None:
    with connection.cursor() as cursor:
        # Of one that has replayed everything, the lag is still that of the last time it had to.
        cursor.execute(
            "SELECT max(extract(epoch FROM replay_lag))"
            " FILTER (WHERE replay_lsn IS DISTINCT FROM pg_current_wal_lsn()),"
            " count(*) - count(state) FROM pg_stat_replication"
        )
        seconds, hidden = cursor.fetchone()
    if hidden:
        raise ConfigurationError(
            "This database user may not see how far the replicas are behind.",
            hint='Grant it pg_monitor, or name their aliases in GESTORE["REPLICAS"].',
        )
    # Nobody replicates, or everybody has replayed everything.
    return float(seconds or 0)


def _postgresql_standby(replica: BaseDatabaseWrapper) -> float | None:
    with replica.cursor() as cursor:
        # A standby that has streamed, and streams no more, stands still without being behind. One
        # that streams, and has replayed nothing yet, is behind since it began.
        cursor.execute(
            "SELECT pg_is_in_recovery() AND (pg_last_wal_receive_lsn() IS NULL"
            " OR EXISTS (SELECT 1 FROM pg_stat_wal_receiver)),"
            " CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0"
            " ELSE extract(epoch FROM clock_timestamp() - coalesce(pg_last_xact_replay_timestamp(),"
            " CASE WHEN pg_last_wal_receive_lsn() IS NOT NULL THEN pg_postmaster_start_time() END))"
            " END"
        )
        replicates, seconds = cursor.fetchone()
    return float(seconds or 0) if replicates else None


def _mysql_replica(replica: BaseDatabaseWrapper) -> float | None:
    connection: Any = replica
    word = "SLAVE" if getattr(connection, "mysql_is_mariadb", False) else "REPLICA"
    with replica.cursor() as cursor:
        cursor.execute(f"SHOW {word} STATUS")
        row = cursor.fetchone()
        names = [column[0] for column in cursor.description or ()]
    status = dict(zip(names, row, strict=True)) if row else {}
    seconds = status.get("Seconds_Behind_Master", status.get("Seconds_Behind_Source"))
    return None if seconds is None else float(seconds)
