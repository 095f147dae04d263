"""Where does an archive live through the project's migrations? In a database of the moment."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from django.apps.registry import Apps
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.exceptions import NodeNotFoundError
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import RenameModel
from django.db.utils import ConnectionHandler

from ..errors import GestoreError, NotFound, UsageError
from ..schema.graph import Graph
from .transactions import told

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

ALIAS = "gestore_scratch"
Node = tuple[str, str]


@contextmanager
def scratch_database(alias: str = "") -> Iterator[BaseDatabaseWrapper]:
    """An empty database: SQLite in a temporary folder, or the one that `alias` names, which must
    have no tables. Afterwards it is gone, or empty again."""
    if alias:
        yield from _named(alias)
        return
    with tempfile.TemporaryDirectory(prefix="gestore-") as folder:
        wanted = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(Path(folder) / "scratch")}
        # The handler fills in what settings leave out.
        connections.settings[ALIAS] = ConnectionHandler({DEFAULT_DB_ALIAS: wanted}).settings[
            DEFAULT_DB_ALIAS
        ]
        try:
            yield connections[ALIAS]
        finally:
            connections[ALIAS].close()
            del connections[ALIAS]
            del connections.settings[ALIAS]


def _named(alias: str) -> Iterator[BaseDatabaseWrapper]:
    if alias not in connections:
        raise NotFound(f"No database {alias!r}.", hint=f"There are: {', '.join(connections)}.")
    connection = connections[alias]
    if connection.introspection.table_names():
        raise UsageError(
            f"The scratch database {alias!r} is not empty.",
            hint="Its tables are made and dropped: name a database that has none.",
        )
    try:
        yield connection
    finally:
        _drop_all(connection)


def _drop_all(connection: BaseDatabaseWrapper) -> None:
    """Every table: there was none before."""
    quote = connection.ops.quote_name
    cascade = " CASCADE" if connection.vendor == "postgresql" else ""
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        for name in connection.introspection.table_names(cursor):
            cursor.execute(f"DROP TABLE {quote(name)}{cascade}")


@dataclass(frozen=True, slots=True)
class Journey:
    """From the archive's migrations to the project's: the nodes to be at first, the models as they
    were there, and what models are called at the end (names by names, lower case)."""

    start: tuple[Node, ...]
    models: Apps
    renamed: Mapping[str, str]


def journey(recorded: Mapping[str, str]) -> Journey | None:
    """The way from the recorded migrations, by app; None where there is nothing to go. `NotFound`
    where the project no longer has, or does not yet have, one of them."""
    loader = MigrationLoader(None)
    nodes = [_node(loader, app, name) for app, name in sorted(recorded.items())]
    graph = loader.graph
    behind = {node: set(graph.forwards_plan(node)) for node in nodes}
    start = tuple(n for n in nodes if not any(n in behind[o] for o in nodes if o != n))
    reached = set().union(*behind.values()) if behind else set()
    apps = {app for app, _ in nodes}
    ahead = [
        node
        for leaf in graph.leaf_nodes()
        for node in graph.forwards_plan(leaf)
        if node not in reached
    ]
    if not any(app in apps for app, _ in ahead):
        return None
    state = loader.project_state(list(start))
    return Journey(start, state.apps, _renamed(loader, dict.fromkeys(ahead)))


def _node(loader: MigrationLoader, app: str, name: str) -> Node:
    if app not in loader.migrated_apps:
        raise NotFound(
            f"The archive has rows of {app}, and this project has no migrations of it.",
            hint="Install the app, or import where it is.",
        )
    if (app, name) in loader.graph.nodes:
        return app, name
    for key, migration in loader.disk_migrations.items():
        if (app, name) in migration.replaces and key in loader.graph.nodes:
            if migration.replaces[-1] == (app, name):
                return key
            raise NotFound(
                f"{app}.{name}, where the archive was, is squashed into {key[1]}: the project no "
                "longer knows what its models were there.",
                hint="Upgrade the archive with a version of the project that has that migration.",
            )
    raise NotFound(
        f"This project has no migration {app}.{name}, where the archive was.",
        hint="The archive is ahead of it, or the migration was removed: use a version that has it.",
    )


def _renamed(loader: MigrationLoader, nodes: Iterable[Node]) -> dict[str, str]:
    names: dict[str, str] = {}
    for app, name in nodes:
        for operation in loader.graph.nodes[app, name].operations:
            if isinstance(operation, RenameModel):
                old = f"{app}.{operation.old_name_lower}"
                new = f"{app}.{operation.new_name_lower}"
                for first in [first for first, last in names.items() if last == old] or [old]:
                    names[first] = new
    return names


def migrate_to(connection: BaseDatabaseWrapper, nodes: Sequence[Node], graph: Graph) -> None:
    """Bring the empty database to these migrations; apps without any get their tables too. Nobody
    is told: receivers would make rows."""
    with _migrating(connection):
        executor = MigrationExecutor(connection)
        executor.migrate(list(nodes))
        unmigrated = executor.loader.unmigrated_apps
        with connection.schema_editor() as editor:
            for table in graph.load_order:
                if table.app_label in unmigrated and table.is_managed:
                    editor.create_model(table.model)


def migrate_on(connection: BaseDatabaseWrapper) -> None:
    """Bring it to the present, as the command migrate does."""
    with _migrating(connection):
        call_command("migrate", database=connection.alias, verbosity=0, interactive=False)


@contextmanager
def _migrating(connection: BaseDatabaseWrapper) -> Iterator[None]:
    try:
        yield
    except NodeNotFoundError as error:
        raise NotFound(f"The project's migrations are not whole: {error}") from error
    except Exception as error:
        raise GestoreError(
            f"The project's migrations do not run in the scratch database "
            f"({connection.display_name}): {told(error)}.",
            hint="If they need another database, name an empty one of that kind with --scratch "
            "ALIAS.",
        ) from error
