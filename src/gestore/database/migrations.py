"""Which migrations does a database have?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from django.db import DatabaseError
from django.db.migrations.exceptions import BadMigrationError, InconsistentMigrationHistory
from django.db.migrations.recorder import MigrationRecorder

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


class MigrationState(NamedTuple):
    """`last` is the one applied last, by app; `unapplied` are `app.name`, in order."""

    last: dict[str, str]
    known: frozenset[tuple[str, str]]
    unapplied: tuple[str, ...]


def last_migrations(connection: BaseDatabaseWrapper) -> dict[str, str]:
    """The migration of each app that this database applied last. A read, nothing more."""
    recorder = MigrationRecorder(connection)
    if not recorder.has_table():
        return {}
    rows = recorder.migration_qs.order_by("id").values_list("app", "name")
    return dict(rows)


def migration_state(connection: BaseDatabaseWrapper) -> MigrationState:
    """The state of the database against the project's migrations."""
    # Only imports need it, and it takes as long to load as a good part of ours.
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
    except (BadMigrationError, InconsistentMigrationHistory, DatabaseError) as error:
        raise ConfigurationError(
            f"The migrations of {connection.alias!r} cannot be read: {error}"
        ) from error
    targets = executor.loader.graph.leaf_nodes()
    plan = executor.migration_plan(targets)
    return MigrationState(
        last=last_migrations(connection),
        known=frozenset(executor.loader.graph.nodes),
        unapplied=tuple(f"{migration.app_label}.{migration.name}" for migration, _ in plan),
    )
