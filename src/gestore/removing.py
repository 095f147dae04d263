"""How do the rows of a removal go? Locked, held against the archive, removed children first, and
proved gone. A stage of a deletion."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from .archive.encoding import RowEncoder, key_decoder, key_encoder
from .archive.manifest import Manifest
from .archive.values import TimeZones, decoder, encoder
from .database.cascades import Cascades
from .database.delete import Remover
from .database.dialects import dialect_of
from .database.select import Reader
from .database.transactions import told
from .errors import Finding, Findings, GestoreError, NotFound, Refused, Severity
from .progress import Progress
from .removal.ledger import ChangedEntry, Columns, Entry, Ledger, entry_of
from .removal.order import Order, removal_order, self_stuck
from .removal.plan import ignored
from .removal.survivors import pointed_rows
from .rows import ArchivedRow, JsonValue, Key, Value, batches, key_text
from .schema.graph import Graph
from .schema.on_delete import values_left
from .schema.policy import Policies, Policy, resolve
from .schema.relation import Relation
from .schema.table import Table
from .walk.keys import KeySet, empty_keys

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model

BATCH_ROWS = 2_000
BATCH_BYTES = 2_000_000
_INSTANCE_BYTES = 1_000
_KEPT_BYTES = 10_000_000


@dataclass(slots=True)
class Gone:
    """What a removal did: rows by model label that went and that changed."""

    removed: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)


class Held(Refused):
    """Rows that do not go point at rows that are to go: `keys` are the latter's."""

    def __init__(self, pointers: Sequence[tuple[Key, Finding]]) -> None:
        super().__init__(
            "Nothing was removed: rows that are to go are pointed at by others.",
            [finding for _, finding in pointers],
        )
        self.keys = [key for key, _ in pointers]


@dataclass(slots=True)
class Announced:
    """What receivers of `pre_delete` got: those of `post_delete` get the same instances, on which
    the former may have left a note. Beyond ten thousand they get others: memory stays flat."""

    instances: dict[str, dict[Key, Model]] = field(default_factory=dict)
    size_bytes: int = 0

    def keep(self, name: str, instances: Sequence[Model], row_bytes: int) -> None:
        size_bytes = len(instances) * max(_INSTANCE_BYTES, row_bytes)
        if self.size_bytes + size_bytes <= _KEPT_BYTES:
            self.size_bytes += size_bytes
            self.instances.setdefault(name, {}).update((one.pk, one) for one in instances)

    def of(self, name: str, keys: Sequence[Key]) -> list[Model]:
        """The instances of these rows; none where not all were kept."""
        kept = self.instances.get(name, {})
        return [kept[key] for key in keys] if all(key in kept for key in keys) else []


class Removing:
    """The removal of the rows of one ledger from one database; each method works inside the
    caller's transaction."""

    def __init__(
        self,
        graph: Graph,
        connection: BaseDatabaseWrapper,
        policies: Policies,
        zones: TimeZones,
        ledger: Ledger,
        going: Iterable[str],
        *,
        step_by_step: bool,
    ) -> None:
        self.graph = graph
        self.connection = connection
        self.policies = policies
        self.zones = zones
        self.ledger = ledger
        self.reader = Reader(connection, graph)
        self.remover = Remover(connection, self.reader)
        self.cascades = Cascades(self.reader)
        self.dialect = dialect_of(connection)
        self.step_by_step = step_by_step
        self.keys: dict[str, KeySet] = {n: empty_keys(graph.tables[n]) for n in going}
        self.order = self._order()
        self.columns = {name: self._columns(name) for name in graph.tables}
        self._encoders: dict[str, RowEncoder] = {}
        self._decoders: dict[str, Callable[[JsonValue], Key]] = {}

    def _order(self) -> Order:
        if self.step_by_step:
            checked = {r.name for r in self.graph.relations if r.is_constrained}
        else:
            checked = self.dialect.cannot_defer(self.graph.relations, self.graph.tables)
        return removal_order(self.graph, self.keys, checked)

    def _columns(self, name: str) -> Columns:
        table = self.graph.tables[name]
        pointed = {
            column
            for relation in self.graph.pointing_at(name)
            if not relation.points_at_key and not relation.is_generic
            for column in relation.target_columns
        }
        return Columns(
            table.key_names,
            self.order.emptied_columns(name),
            sorted(pointed),
            {r.field_name: r.columns for r in self.graph.pointing_from(name)},
        )

    # What is to go --------------------------------------------------------------------------------

    def learn(
        self, rows: Iterable[ArchivedRow], advance: Callable[[int], None] = lambda count: None
    ) -> None:
        """Take note of the rows of the archive: those owned go, those changed change. Of no more
        than one at a time are all values held."""
        by_table: dict[str, list[Key]] = {}
        pending = 0
        for row in rows:
            self.ledger.take(row, self.columns[row.model])
            if not row.is_shared:
                by_table.setdefault(row.model, []).append(self.key(row.model, row.pk))
            pending += 1
            if pending == BATCH_ROWS:
                self._learn_keys(by_table)
                advance(pending)
                by_table, pending = {}, 0
        self._learn_keys(by_table)
        advance(pending)
        self.ledger.close()

    def _learn_keys(self, by_table: Mapping[str, list[Key]]) -> None:
        for name, keys in by_table.items():
            self.keys[name].add(keys)

    def rows_at_once(self, name: str) -> int:
        """As many whole rows of the table as may be in memory together."""
        return max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, self.ledger.widest(name))))

    def rows_together(self, name: str) -> int:
        """As many rows as go together: whole ones only where receivers get them."""
        has_receivers = self.remover.has_receivers(self.graph.tables[name])
        return self.rows_at_once(name) if has_receivers else BATCH_ROWS

    def key(self, name: str, pk: JsonValue) -> Key:
        if name not in self._decoders:
            self._decoders[name] = key_decoder(self.graph.tables[name], self.zones)
        return self._decoders[name](pk)

    @property
    def total(self) -> int:
        return sum(self.ledger.going_counts().values())

    def rows_by_model(self) -> dict[str, int]:
        """Rows that are to go, by model label."""
        counts = self.ledger.going_counts()
        return {self.graph.tables[name].label: count for name, count in counts.items()}

    def changes_by_model(self) -> dict[str, int]:
        counts = self.ledger.changing_counts()
        return {self.graph.tables[name].label: count for name, count in counts.items()}

    # Are they still what was archived? ------------------------------------------------------------

    def differing(
        self, name: str, entries: Sequence[Entry], *, locked: bool = True
    ) -> Iterator[tuple[Entry, Finding | None]]:
        """The rows that are no longer what was archived, None for those that are gone. One whose
        pointers this very removal has emptied before rows go, step by step, still is."""
        found = self._entries_here(name, entries, locked=locked)
        label = self.graph.tables[name].label
        for entry in entries:
            here, is_emptied = found.get(_text(entry.pk), (None, False))
            if here is None:
                yield entry, None
            elif here.digest != entry.digest and not (is_emptied and here.bare == entry.bare):
                yield entry, changed_since(f"{label}.{_shown(entry.pk)}", "has changed")

    def _entries_here(
        self, name: str, entries: Sequence[Entry], *, locked: bool
    ) -> dict[str, tuple[Entry, bool]]:
        """The rows as they are, each with whether its pointers in circles are empty."""
        table, columns = self.graph.tables[name], self.columns[name]
        keys = [self.key(name, entry.pk) for entry in entries]
        encode = self._encoder(table)
        empties = self.step_by_step and bool(columns.emptied)
        found = {}
        for lot in batches(keys, self.rows_at_once(name)):
            for values in self.reader.rows_of(table, lot, locked=locked):
                row = encode(values)
                here = entry_of(row, columns)
                is_emptied = empties and all(row.fields[n] is None for n in columns.emptied)
                found[_text(here.pk)] = here, is_emptied
        return found

    def _encoder(self, table: Table) -> RowEncoder:
        if table.name not in self._encoders:
            self._encoders[table.name] = RowEncoder(table)
        return self._encoders[table.name]

    # Survivors' pointers --------------------------------------------------------------------------

    def change(
        self, name: str, entries: Sequence[ChangedEntry], changed: Counter[str]
    ) -> Iterator[Finding]:
        """Give survivors the pointers that their `on_delete` says, and count the rows. A row that
        points elsewhere since it was archived is let be, and told of."""
        table = self.graph.tables[name]
        here = self._pointers_here(table, entries)
        moved: set[str] = set()
        for relation in self.graph.pointing_from(name):
            wanted = [e for e in entries if relation.field_name in e.changed]
            if not wanted:
                continue
            values = values_left(relation, table)
            left = self._encoded(table, relation.columns, values)
            pointing = []
            for entry in wanted:
                fields = here.get(_text(entry.pk))
                now = None if fields is None else {n: fields[n] for n in relation.columns}
                if now == {n: entry.fields[n] for n in relation.columns}:
                    pointing.append(self.key(name, entry.pk))
                    moved.add(_text(entry.pk))
                elif now is not None and now != left:
                    yield changed_since(
                        f"{table.label}.{_shown(entry.pk)}",
                        f"points elsewhere ({relation.field_name})",
                    )
            if pointing:
                columns = [table.column(column) for column in relation.columns]
                self.remover.point(table, columns, values, pointing)
        if moved:
            changed[table.label] += len(moved)

    def _pointers_here(
        self, table: Table, entries: Sequence[ChangedEntry]
    ) -> dict[str, dict[str, JsonValue]]:
        """The pointers of these rows as they are, locked."""
        names = sorted({name for entry in entries for name in entry.fields})
        columns = [*table.key_columns, *(table.column(name) for name in names)]
        keys = [self.key(table.name, entry.pk) for entry in entries]
        where = self.reader.among(table, table.key_names, keys)
        width, encode = len(table.key_names), key_encoder(table)
        return {
            _text(encode(row[0] if width == 1 else row[:width])): self._encoded(
                table, names, row[width:]
            )
            for row in self.reader.select(table, columns, where, locked=True)
        }

    def _encoded(
        self, table: Table, names: Sequence[str], values: Sequence[Value]
    ) -> dict[str, JsonValue]:
        """Values as the archive has them."""
        encoders = [encoder(table.column(name)) for name in names]
        return {
            name: value if value is None or encode is None else encode(value)  # type: ignore[misc]
            for name, value, encode in zip(names, values, encoders, strict=True)
        }

    # Going ----------------------------------------------------------------------------------------

    def empty(self, name: str, keys: Sequence[Key]) -> None:
        """Empty the pointers in circles, so that an order is left."""
        table = self.graph.tables[name]
        columns = [table.column(column) for column in self.order.emptied_columns(name)]
        if columns:
            self.remover.empty(table, columns, keys)

    def delete(self, name: str, keys: Sequence[Key], *, announced: Announced | None = None) -> int:
        """Remove the rows; receivers are told before, unless all `announced` were, and after."""
        table = self.graph.tables[name]
        instances: list[Model] = []
        if self.remover.has_receivers(table):
            told_of = announced.of(name, keys) if announced is not None else []
            instances = told_of or self.remover.instances(table, keys)
            if announced is None:
                self.remover.announce(table, instances)
        try:
            with transaction.atomic(using=self.connection.alias):
                count = self.remover.delete(table, keys)
        except IntegrityError as error:
            raise self.held(name, keys, error) from error
        self.remover.tell(table, instances)
        return count

    def held(self, name: str, keys: Sequence[Key], error: Exception) -> GestoreError:
        """Who points at the rows that the database will not let go?"""
        pointers = list(self.pointing(name, keys))
        if pointers:
            return Held(pointers)
        label = self.graph.tables[name].label
        return GestoreError(
            f"The database does not let rows of {label} go: {told(error)}.",
            hint="A table that Gestore does not know may point at them: declare its model.",
        )

    def has_receivers(self) -> bool:
        return any(self.remover.has_receivers(self.graph.tables[name]) for name in self.keys)

    def unchecked(self, group: Sequence[str]) -> AbstractContextManager[None]:
        """Where rows of these tables must go together and the database checks each: the proof
        checks them all. Nowhere else: the database knows of tables that Gestore does not."""
        return self.dialect.unchecked() if self.is_stuck(group) else nullcontext()

    def is_stuck(self, group: Sequence[str]) -> bool:
        """Whether rows of these tables cannot go one after the other."""
        return len(group) > 1 or bool(self_stuck(self.graph, group))

    # Proof ----------------------------------------------------------------------------------------

    def taken_unasked(self) -> Iterator[Finding]:
        """Rows that came since the walk, and that the database itself would take along: nobody has
        archived them. Asked when the rows they point at are locked: no more can come."""
        if not self.cascades.relations:
            return
        for name in self.keys:
            for keys in self.keys[name].batches(BATCH_ROWS):
                for _, finding in self.pointing(name, keys, among=self.cascades.relations):
                    yield finding

    def pointing(
        self,
        name: str,
        keys: Sequence[Key],
        *,
        among: frozenset[str] | None = None,
        emptied: bool = False,
    ) -> Iterator[tuple[Key, Finding]]:
        """Rows that point at these and do not go themselves, by any relation or by those named;
        each with the key it points at. With `emptied`, pointers in circles were: one that somebody
        has filled again holds what it points at."""
        for relation in self.graph.pointing_at(name):
            if ignored(relation, self.policies):
                continue
            if among is not None and relation.name not in among:
                continue
            mine = self.keys.get(relation.source)
            for lot in batches(self.reader.pointing(relation, name, keys), BATCH_ROWS):
                if emptied and relation in self.order.emptied:
                    together = keys if relation.source == name else ()
                    others = sorted(set(lot).difference(together))  # type: ignore[type-var]
                else:
                    others = lot if mine is None else mine.missing(lot)
                pairs = self.reader.pointer_pairs(relation, others) if others else []
                for key, target, pointed in pointed_rows(self.graph, self.reader, relation, pairs):
                    if target == name:
                        yield pointed, self.pointer_finding(relation, key, name, pointed)

    def pointer_finding(self, relation: Relation, key: Key, name: str, pointed: Key) -> Finding:
        source, target = self.graph.tables[relation.source], self.graph.tables[name]
        return Finding(
            "points-at-removed",
            Severity.BLOCKER,
            f"{source.label}.{key_text(key)}",
            f"points at {target.label}.{key_text(pointed)} ({relation.field_name}).",
            "It came, or changed, after the plan: look at it, and delete again.",
        )

    def left_behind(self, advance: Callable[[int], None] = lambda count: None) -> Findings:
        """The proof: rows that are still there, and rows that point at removed ones."""
        findings = Findings()
        for name in self.keys:
            for entries in batches(self.ledger.going(name), BATCH_ROWS):
                findings.extend(self._left_of(name, entries))
                advance(len(entries))
        return findings

    def _left_of(self, name: str, entries: Sequence[Entry]) -> Iterator[Finding]:
        table = self.graph.tables[name]
        keys = [self.key(name, entry.pk) for entry in entries]
        for _, key in self.reader.resolve(name, table.key_names, keys):
            yield Finding(
                "still-there",
                Severity.BLOCKER,
                f"{table.label}.{key_text(key)}",
                "is in the database.",
            )
        for relation in self.graph.pointing_at(name):
            if not ignored(relation, self.policies):
                yield from self._pointing_at_gone(relation, table, keys, entries)

    def _pointing_at_gone(
        self, relation: Relation, table: Table, keys: Sequence[Key], entries: Sequence[Entry]
    ) -> Iterator[Finding]:
        """What held a removed row, though the row is no longer there to be asked of."""
        source = self.graph.tables[relation.source]
        found: Iterable[Key]
        if relation.is_generic or relation.points_at_key:
            found = self.reader.pointing(relation, table.name, keys)
        else:
            values = self._pointed_values(relation, table, entries)
            found = self.reader.holding(source, relation.columns, values)
        # A row that was to go itself is told of as such.
        mine = self.keys.get(relation.source)
        for key in found if mine is None else mine.missing(found):
            yield Finding(
                "points-at-removed",
                Severity.BLOCKER,
                f"{source.label}.{key_text(key)}",
                f"points at a removed row of {table.label} ({relation.field_name}).",
            )

    def _pointed_values(
        self, relation: Relation, table: Table, entries: Sequence[Entry]
    ) -> list[Value]:
        decoders = [decoder(table.column(name), self.zones) for name in relation.target_columns]
        values: list[Value] = []
        for entry in entries:
            parts = [entry.pointed[name] for name in relation.target_columns]
            if None in parts:
                continue
            decoded = tuple(d(part) for d, part in zip(decoders, parts, strict=True))
            values.append(decoded[0] if len(decoded) == 1 else decoded)
        return values


def removing_again(
    graph: Graph,
    connection: BaseDatabaseWrapper,
    manifest: Manifest,
    ledger: Ledger,
    *,
    is_aware: bool,
) -> Removing:
    """The removal that an archive says: its owned rows go, and its policies are in force."""
    gone = [name for name in manifest.tables if name not in graph.tables]
    if gone:
        raise NotFound(
            f"The archive has rows of {manifest.tables[gone[0]].label}, and there is no such model."
        )
    known = {
        label: Policy(word)
        for label, word in manifest.policies.items()
        if label in graph.tables or label in graph.relations_by_name
    }
    return Removing(
        graph,
        connection,
        resolve(graph, known, skips_by_default=False),
        site_zones(is_aware=is_aware),
        ledger,
        [name for name, entry in manifest.tables.items() if entry.rows > entry.shared],
        step_by_step=True,
    )


def site_zones(*, is_aware: bool) -> TimeZones:
    """Both sides are this site."""
    return TimeZones(is_aware, is_aware, source_default=UTC, target_default=UTC)


def remove_at_once(removing: Removing, progress: Progress) -> Gone:
    """Everything in the caller's one transaction, or nothing. Raises `Refused` with every row that
    changed since it was archived, or that points at what went."""
    gone = Gone()
    check_unchanged(removing, progress)
    changes = Findings(_change_all(removing, gone))
    _refuse(changes, "Nothing was removed: rows changed since they were archived.")
    _refuse(
        Findings(removing.taken_unasked()),
        "Nothing was removed: rows that are to go are pointed at by others.",
    )
    announced = _announce_all(removing)
    progress.begin("Removing", removing.total)
    for name in removing.keys:
        for keys in removing.keys[name].batches(BATCH_ROWS):
            removing.empty(name, keys)
    for group in removing.order.groups:
        with removing.unchecked(group):
            for name in group:
                label = removing.graph.tables[name].label
                for entries in batches(removing.ledger.going(name), removing.rows_together(name)):
                    keys = [removing.key(name, entry.pk) for entry in entries]
                    gone.removed[label] += removing.delete(name, keys, announced=announced)
                    progress.advance(len(keys))
    progress.end()
    _prove(removing, gone, progress)
    return gone


def check_unchanged(removing: Removing, progress: Progress, *, locked: bool = True) -> None:
    """Every row is what was archived, and is locked as it is; else `Refused` with those that are
    not."""
    progress.begin("Comparing", removing.total)
    _refuse(
        Findings(_all_differing(removing, progress, locked=locked)),
        "Nothing was removed: rows changed since they were archived.",
    )
    progress.end()


def _all_differing(removing: Removing, progress: Progress, *, locked: bool) -> Iterator[Finding]:
    for name in removing.keys:
        for entries in batches(removing.ledger.going(name), BATCH_ROWS):
            label = removing.graph.tables[name].label
            for entry, finding in removing.differing(name, entries, locked=locked):
                yield finding or changed_since(f"{label}.{_shown(entry.pk)}", "is gone")
            progress.advance(len(entries))


def _change_all(removing: Removing, gone: Gone) -> Iterator[Finding]:
    for name in removing.ledger.changing_counts():
        for entries in batches(removing.ledger.changing(name), BATCH_ROWS):
            yield from removing.change(name, entries, gone.changed)


def _announce_all(removing: Removing) -> Announced:
    """Receivers of `pre_delete` see everything still there, as under Django."""
    announced = Announced()
    for group in removing.order.groups:
        for name in group:
            table = removing.graph.tables[name]
            if removing.remover.has_receivers(table):
                for keys in removing.keys[name].batches(removing.rows_together(name)):
                    instances = removing.remover.instances(table, keys)
                    removing.remover.announce(table, instances)
                    announced.keep(name, instances, removing.ledger.widest(name))
    return announced


def _prove(removing: Removing, gone: Gone, progress: Progress) -> None:
    """Removed = archived, and nothing is left that points at what went."""
    progress.begin("Proving", removing.total)
    findings = removing.left_behind(progress.advance)
    _refuse(findings, "Everything was rolled back: something is left of what was removed.")
    planned = removing.rows_by_model()
    if removing.has_receivers():
        # A receiver may have removed rows that were to go anyway: that they are gone is proved.
        gone.removed.update({m: n - gone.removed[m] for m, n in planned.items()})
    if dict(gone.removed) != planned:
        told_of = ", ".join(
            f"{label} {gone.removed[label]:,} of {count:,}"
            for label, count in planned.items()
            if gone.removed[label] != count
        )
        raise GestoreError(f"Everything was rolled back: other rows went than planned: {told_of}.")
    try:
        removing.dialect.settle_constraints()
    except IntegrityError as error:
        raise GestoreError(
            f"Everything was rolled back: the database does not let the rows go: {told(error)}.",
            hint="A table that Gestore does not know may point at them: declare its model.",
        ) from error
    progress.end()


def _refuse(findings: Findings, message: str) -> None:
    if findings:
        raise Refused(message, findings)


def changed_since(subject: str, message: str) -> Finding:
    """A row that is not what it was when the removal was planned."""
    return Finding(
        "changed-since",
        Severity.BLOCKER,
        subject,
        f"{message} since it was archived.",
        "Delete again: what is there now is archived anew.",
    )


def _text(pk: JsonValue) -> str:
    return json.dumps(pk)


def _shown(pk: JsonValue) -> str:
    return ",".join(map(str, pk)) if isinstance(pk, list) else str(pk)
