"""How does an archive of an earlier schema arrive? It lives through the project's migrations, in a
scratch database, and leaves that as an archive of today."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from . import conf
from .archive.manifest import ExternalRow, Manifest
from .archive.reader import ArchiveReader, open_archive
from .archive.values import TimeZones
from .archive.writer import Destination
from .database.identity import natural_text, relation_of
from .database.insert import Writer
from .database.scratch import Journey, journey, migrate_on, migrate_to, scratch_database
from .database.select import Reader
from .database.transactions import loading, snapshot
from .errors import UsageError
from .exporting import write_walked
from .load.decoding import Decoding, row_batches
from .planning import Site, Walked, WalkOptions
from .progress import Progress
from .references import Reference
from .rows import JsonValue, Key, Value, batches
from .schema.graph import Graph
from .schema.introspect import build_graph
from .schema.policy import Follow, Policies, Policy, resolve
from .schema.table import Column, Kind, Table
from .walk.closure import Closure, Status
from .walk.walker import walk

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_BATCH_KEYS = 10_000


@contextmanager
def upgraded(
    archive: ArchiveReader, zones: TimeZones, progress: Progress, *, scratch: str = ""
) -> Iterator[ArchiveReader]:
    """The archive as it would be had its rows lived here; itself where nothing has happened since.

    `scratch` is the alias of an empty database, "" for SQLite in a temporary folder. Raises
    `NotFound` where the project does not have the archive's migrations, any `GestoreError` else.
    """
    manifest = archive.manifest
    way = journey(_recorded(manifest))
    if way is None:
        yield archive
        return
    with (
        tempfile.TemporaryDirectory(prefix="gestore-") as folder,
        scratch_database(scratch) as connection,
    ):
        upgrade = _Upgrade(archive, way, connection, zones, progress)
        roots = upgrade.load()
        progress.begin("Migrating")
        migrate_on(connection)
        progress.end()
        name = str(Path(folder) / "upgraded.jsonl")
        upgrade.leave(roots, name)
        with open_archive(name, conf.load().max_archive_bytes) as opened:
            opened.name = archive.name
            opened.manifest = _with_anonymized(opened.manifest, archive.manifest, way.renamed)
            opened.files = archive.files
            yield opened


def _recorded(manifest: Manifest) -> dict[str, str]:
    if manifest.format_version < 2:
        raise UsageError(
            "The archive does not say at which migrations it was: it cannot be upgraded.",
            hint='Say what was renamed in GESTORE["RENAMES"], and import it as it is.',
        )
    return {
        name.partition(".")[0]: entry.migration
        for name, entry in manifest.tables.items()
        if entry.migration
    }


@dataclass(frozen=True, slots=True)
class _Upgrade:
    archive: ArchiveReader
    way: Journey
    connection: BaseDatabaseWrapper
    zones: TimeZones
    progress: Progress

    def load(self) -> dict[str, list[Key]]:
        """Put the rows into a database as it was then; the roots' keys, by the models' names."""
        manifest = self.archive.manifest
        graph = build_graph((), (), self.connection.alias, self.way.models)
        _check_models(manifest, graph)
        self.progress.begin("Migrating")
        migrate_to(self.connection, self.way.start, graph)
        self.progress.end()
        decoding = Decoding(graph, manifest, self.zones)
        writer = Writer(self.connection, graph)
        self.progress.begin("Loading", manifest.row_count)
        with loading(self.connection, keep=True), writer.unchecked():
            _Externals(decoding, writer).insert()
            self._insert(decoding, writer)
            writer.settle(graph.load_order)
        self.progress.end()
        reader = Reader(self.connection, graph)
        roots: dict[str, list[Key]] = {}
        for text in manifest.provided_objects:
            table, key = reader.find(Reference.parse(text))
            roots.setdefault(table.name, []).append(key)
        return roots

    def _insert(self, decoding: Decoding, writer: Writer) -> None:
        rows = (row for archived in self.archive.rows() for row in decoding.rows(archived))
        for (table, names), group in groupby(rows, key=lambda r: (r.table, frozenset(r.values))):
            columns = [column for column in table.columns if column.name in names]
            for batch in row_batches(group):
                writer.insert(table, columns, [[r.values[c.name] for c in columns] for r in batch])
                self.progress.advance(len(batch))

    def leave(self, roots: Mapping[str, list[Key]], name: str) -> None:
        """Write what became of the rows."""
        settings, manifest = conf.load(), self.archive.manifest
        graph = build_graph(settings.relations, settings.unmanaged, self.connection.alias)
        policies = self._policies(graph)
        options = WalkOptions(self.connection.alias, Follow(manifest.follow or "owned"))
        keys = {self._name(old): found for old, found in roots.items()}
        with snapshot(self.connection):
            reader = Reader(self.connection, graph)
            site = Site(self.connection, graph, policies, reader, keys, frozenset())
            self.progress.begin("Walking")
            closure = walk(graph, site.roots, policies, options.follow, reader)
            walk_done = site.walked(closure)
            self._add_unreached(walk_done)
            self.progress.end()
            write_walked(
                walk_done,
                manifest.provided_objects,
                options,
                Destination.parse(name),
                self.progress,
                # The same archive, upgraded again, is the same.
                lambda: datetime.fromisoformat(manifest.date),
            )

    def _name(self, old: str) -> str:
        return self.way.renamed.get(old, old)

    def _policies(self, graph: Graph) -> Policies:
        """The archive's own, under the names of today; of what is gone, none."""
        known: dict[str, Policy] = {}
        for label, word in self.archive.manifest.policies.items():
            model, _, field = label.rpartition(".") if label.count(".") == 2 else (label, "", "")
            name = ".".join(filter(None, (self._name(model), field)))
            if name in graph.tables or name in graph.relations_by_name:
                known[name] = Policy(word)
        return resolve(graph, known)

    def _add_unreached(self, walk_done: Walked) -> None:
        """Every row of a table that had archived rows comes along, even if no way leads to it."""
        closure: Closure = walk_done.closure
        for old, entry in self.archive.manifest.tables.items():
            table = walk_done.graph.tables.get(self._name(old))
            if table is None or not entry.rows:
                continue
            for keys in batches(walk_done.reader.all_keys(table), _BATCH_KEYS):
                closure.taken_of(table.name).add(Status.SHARED, keys)
        closure.settle()


def _with_anonymized(manifest: Manifest, old: Manifest, renamed: Mapping[str, str]) -> Manifest:
    """The manifest, with the columns named that have other values than at the source: those of the
    same name, and of what came since all but keys: it may be made of them."""
    if not old.anonymized:
        return manifest
    before = {renamed.get(name, name): entry.columns for name, entry in old.tables.items()}
    tables = {}
    for name, entry in manifest.tables.items():
        known = before.get(name, {})
        columns = {
            column: told._replace(
                is_anonymized=known[column].is_anonymized
                if column in known
                else column not in entry.key,
            )
            for column, told in entry.columns.items()
        }
        tables[name] = entry._replace(columns=columns)
    return replace(manifest, tables=tables)


def _check_models(manifest: Manifest, graph: Graph) -> None:
    for name, entry in manifest.tables.items():
        if entry.rows and name not in graph.tables:
            raise UsageError(
                f"The project's migrations do not know {entry.label}, of which the archive has "
                f"{entry.rows:,} rows.",
                hint="Models that are unmanaged, or elsewhere, cannot be upgraded.",
            )


class _Externals:
    """Stand-ins for the rows that the archive only names: under their keys there, with what they
    are known by."""

    def __init__(self, decoding: Decoding, writer: Writer) -> None:
        self._decoding = decoding
        self._graph = decoding.graph
        self._writer = writer
        self._known: dict[tuple[str, str], Key] = {}
        self._highest: dict[str, int] = {}

    def insert(self) -> None:
        external = self._decoding.manifest.external
        rows = [row for row in external if row.model in self._graph.tables]
        for row in rows:
            table = self._graph.tables[row.model]
            key = self._decoding.key_of(table, row.pk)
            self._known[table.name, natural_text(row.natural_key)] = key
            if isinstance(key, int):
                self._highest[table.name] = max(key, self._highest.get(table.name, 0))
        # Pointed-at tables first: a permission is known by its content type.
        order = {table.name: place for place, table in enumerate(self._graph.load_order)}
        for row in sorted(rows, key=lambda row: order[row.model]):
            self._put(self._graph.tables[row.model], row)

    def _put(self, table: Table, row: ExternalRow) -> None:
        key = self._decoding.key_of(table, row.pk)
        parts = key if isinstance(key, tuple) else (key,)
        values: dict[str, Value] = dict(zip(table.key_names, parts, strict=True))
        if isinstance(row.natural_key, list) and len(row.natural_key) == len(table.identity):
            for name, part in zip(table.identity, row.natural_key, strict=True):
                values[name] = self._part(table, table.column(name), part)
        for column in table.value_columns:
            if column.name not in values and not column.field.has_db_default():
                values[column.name] = _stand_in(column)
        columns = [column for column in table.columns if column.name in values]
        self._writer.insert(table, columns, [[values[c.name] for c in columns]])

    def _part(self, table: Table, column: Column, part: JsonValue) -> Value:
        relation = relation_of(self._graph, table, column.name)
        if relation is None:
            return self._decoding.value(table, column, part, part)
        target = self._graph.tables[relation.target]
        place = target.name, natural_text(part)
        if place not in self._known:
            self._highest[target.name] = self._highest.get(target.name, 0) + 1
            self._known[place] = self._highest[target.name]
            self._put(target, ExternalRow(target.name, self._highest[target.name], part))
        return self._known[place]


_STAND_INS: dict[Kind, Value] = {Kind.INTEGER: 0, Kind.BOOLEAN: False, Kind.JSON: "null"}


def _stand_in(column: Column) -> Value:
    """A value for a column that the archive does not tell: its default, or nothing."""
    value: Value = column.field.get_default()
    if value is None and not column.is_nullable:
        return _STAND_INS.get(column.kind, "")
    return value
