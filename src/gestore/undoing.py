"""How is an import taken back? Exactly the rows it inserted go, if nothing else points at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from . import conf
from .archive.encoding import key_decoder
from .archive.values import TimeZones
from .database import records
from .database.delete import Remover
from .database.dialects import dialect_of
from .database.select import Reader
from .database.transactions import failures, is_free, loading, quiet
from .errors import Finding, GestoreError, NotFound, Refused, Severity, UsageError
from .progress import Progress, Silence
from .rows import JsonValue, Key, key_text
from .schema.graph import Graph
from .schema.introspect import build_graph
from .schema.relation import Relation
from .uploads import Cleared, Named, check_databases, cleared, rows_are_gone
from .walk.keys import KeySet, empty_keys

if TYPE_CHECKING:
    from .models import Import

_BATCH_KEYS = 5_000
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """What undoing would remove: rows by model label that are still there, and how many uploaded
    files the import wrote. Once it is done, how many of these went, and in `left` those that
    stay, with why."""

    number: int
    archive: str
    imported_at: datetime
    rows_by_model: dict[str, int]
    file_count: int = 0
    files: Cleared | None = None
    left: Sequence[Finding] = ()

    @property
    def row_count(self) -> int:
        return sum(self.rows_by_model.values())

    def as_json(self) -> dict[str, JsonValue]:
        return {
            "import": self.number,
            "archive": self.archive,
            "imported_at": self.imported_at.isoformat(),
            "removed": self.rows_by_model,
            "files": self.file_count if self.files is None else self.files.as_json(),
            "findings": [finding.as_json() for finding in self.left],
        }


def undo_import(
    number: int,
    *,
    database: str = DEFAULT_DB_ALIAS,
    dry_run: bool = False,
    confirm: Callable[[UndoPlan], bool] | None = None,
    progress: Progress | None = None,
) -> UndoPlan:
    """Remove the rows that import `number` inserted, in one transaction.

    `confirm` is shown the plan and may say no (`GestoreError`); no transaction is open while it
    thinks. `Refused` lists rows of others that point at rows of the import; nothing is then
    removed.
    """
    if database not in connections:
        raise NotFound(f"No database {database!r}.", hint=f"There are: {', '.join(connections)}.")
    if not conf.is_installed():
        raise NotFound('Imports are remembered where "gestore" is in INSTALLED_APPS.')
    settings = conf.load()
    connection = connections[database]
    graph = build_graph(settings.relations, settings.unmanaged, database)
    undo = _Undo(graph, database, progress or Silence())
    shown = None
    was_free = is_free(connection)
    if confirm is not None:
        with quiet(connection), failures(connection, "Nothing was removed."):
            shown = undo.plan(number)
        if not confirm(shown):
            raise GestoreError("Nothing was removed.")
    with closing(Named()) as named:
        with loading(connection, keep=not dry_run):
            plan = undo.run(number, shown, named)
            if plan.file_count and not dry_run and not was_free:
                raise UsageError(
                    "A transaction is open, and the import wrote files, which do not come back.",
                    hint="Call outside transaction.atomic().",
                )
            if plan.file_count and not dry_run:
                check_databases()
        if not plan.file_count or dry_run:
            return plan
        with rows_are_gone(f"Go on with:\nimportobjects --undo {number}"):
            return undo.clear(plan, named)


class _Undo:
    def __init__(self, graph: Graph, database: str, progress: Progress) -> None:
        self.graph = graph
        self.database = database
        self.progress = progress
        self.connection = connections[database]
        self.reader = Reader(self.connection, graph)
        self.remover = Remover(self.connection, self.reader)

    def plan(self, number: int) -> UndoPlan:
        """What would be removed; `Refused` if others need it. Changes nothing."""
        self._check_tables()
        record, inserted = self._free(number)
        return self._plan(record, inserted)

    def _check_tables(self) -> None:
        if not records.has_tables(self.database):
            raise NotFound(
                f"Imports are not remembered in {self.database!r}: it has no table for them.",
                hint="Run: python manage.py migrate gestore",
            )

    def _free(self, number: int) -> tuple[Import, dict[str, KeySet]]:
        """The record, and its rows that are there, if nobody else needs them."""
        record = records.find(self.database, number)
        inserted = self._inserted(record)
        self._refuse(self._pointing(inserted))
        return record, inserted

    def run(self, number: int, shown: UndoPlan | None, named: Named) -> UndoPlan:
        """Remove the rows, unless they are others than those of the plan that was shown; of the
        files that the import wrote, take note."""
        self._check_tables()
        record, inserted = self._free(number)
        plan = self._plan(record, inserted)
        if shown is not None and plan != shown:
            raise GestoreError(
                "Nothing was removed: the rows changed while the plan was looked at.",
                hint="Look at the plan again.",
            )
        for label, names in records.files_of(record):
            named.add(label, names)
        self._remove(inserted)
        self._refuse(self._left_behind(inserted))
        records.cross_out(record, timezone.now())
        return plan

    def clear(self, plan: UndoPlan, named: Named) -> UndoPlan:
        """Remove the files, now that the rows are gone for good."""
        files, left = cleared(self.reader, named, self.progress, only_archived=False)
        if not left.has(Severity.BLOCKER):
            with loading(self.connection, keep=True):
                records.forget_files(self.database, plan.number)
        return replace(plan, files=files, left=left)

    def _plan(self, record: Import, inserted: Mapping[str, KeySet]) -> UndoPlan:
        rows = {self.graph.tables[name].label: len(inserted[name]) for name in [*inserted][::-1]}
        count = sum(len(names) for _, names in records.files_of(record))
        return UndoPlan(record.pk, record.archive, record.imported_at, rows, count)

    def _inserted(self, record: Import) -> dict[str, KeySet]:
        """The rows of the import that are still there, children's tables first. A row that was
        removed since and inserted again by a later import is that one's."""
        later = self._keys(records.pairs_since(self.database, record))
        found: dict[str, KeySet] = {}
        for name, keys in self._keys(records.pairs_of(record)).items():
            table = self.graph.tables[name]
            there = empty_keys(table)
            for batch in keys.batches(_BATCH_KEYS):
                mine = later[name].missing(batch) if name in later else batch
                resolved = self.reader.resolve(name, table.key_names, mine)
                there.add(key for _, key in resolved)
            found[name] = there
        order = [table.name for table in reversed(self.graph.load_order)]
        return {name: found[name] for name in order if name in found and len(found[name])}

    def _keys(self, lots: Iterable[tuple[str, list[records.KeyPair]]]) -> dict[str, KeySet]:
        """The keys here, by table."""
        found: dict[str, KeySet] = {}
        for model, pairs in lots:
            table = self.graph.table(model)
            decode = key_decoder(table, _zones())
            keys = found.setdefault(table.name, empty_keys(table))
            keys.add(decode(pair.target) for pair in pairs)
        return found

    def _pointing(self, inserted: Mapping[str, KeySet]) -> Iterator[Finding]:
        """Rows that point at rows of the import and are none of it."""
        shown = 0
        for name, keys in inserted.items():
            for relation in self.graph.pointing_at(name):
                for batch in keys.batches(_BATCH_KEYS):
                    for key in self._others(relation, name, batch, inserted):
                        shown += 1
                        if shown <= _SHOWN:
                            yield self._pointer_finding(relation, name, key)
        if shown > _SHOWN:
            yield Finding(
                "points-at-import",
                Severity.CONFLICT,
                "other rows",
                f"{shown - _SHOWN:,} more rows point at rows of the import.",
            )

    def _others(
        self, relation: Relation, name: str, batch: list[Key], inserted: Mapping[str, KeySet]
    ) -> list[Key]:
        found = self.reader.pointing(relation, name, batch)
        mine = inserted.get(relation.source)
        return list(found) if mine is None else mine.missing(found)

    def _pointer_finding(self, relation: Relation, name: str, key: Key) -> Finding:
        source, target = self.graph.tables[relation.source], self.graph.tables[name]
        return Finding(
            "points-at-import",
            Severity.CONFLICT,
            f"{source.label}.{key_text(key)}",
            f"points at a {target.label} of the import ({relation.field_name}).",
            "Remove these rows, or point them elsewhere, and undo again.",
        )

    def _refuse(self, findings: Iterator[Finding]) -> None:
        found = list(findings)
        if found:
            raise Refused("Nothing was removed: other rows need rows of the import.", found)

    def _remove(self, inserted: Mapping[str, KeySet]) -> None:
        """Children first; pointers in circles are emptied before."""
        dialect = dialect_of(self.connection)
        immediate = dialect.cannot_defer(self.graph.relations, self.graph.tables)
        circular = [
            r
            for r in self.graph.relations
            if r.name in immediate and r.source in inserted and self.graph.is_circular(r)
        ]
        is_stuck = any(not relation.is_nullable for relation in circular)
        self.progress.begin("Removing", sum(map(len, inserted.values())))
        with dialect.unchecked() if is_stuck else nullcontext():
            for relation in circular:
                if relation.is_nullable:
                    table = self.graph.tables[relation.source]
                    columns = [table.column(name) for name in relation.columns]
                    for batch in inserted[table.name].batches(_BATCH_KEYS):
                        self.remover.empty(table, columns, batch)
            for name, keys in inserted.items():
                for batch in keys.batches(_BATCH_KEYS):
                    self.progress.advance(self.remover.delete(self.graph.tables[name], batch))
        self.progress.end()

    def _left_behind(self, inserted: Mapping[str, KeySet]) -> Iterator[Finding]:
        """What the database let pass: a row still there, or one that points at a removed one."""
        for name, keys in inserted.items():
            table = self.graph.tables[name]
            for batch in keys.batches(_BATCH_KEYS):
                left = self.reader.count(table, table.key_names, batch)
                if left:
                    yield Finding("count", Severity.ERROR, table.label, f"{left:,} rows stayed.")
        yield from self._pointing(inserted)


def _zones() -> TimeZones:
    is_aware = conf.has_time_zones()
    return TimeZones(is_aware, is_aware, source_default=UTC, target_default=UTC)
