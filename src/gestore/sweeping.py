"""How do rows go by their keys alone, where the database vouches that they are what was archived?
A stage of a deletion: the fast way, for all in one transaction.

No row is read again. Whatever is not exactly as it was planned and archived is a `Doubt`: the
caller rolls back, and `removing` looks at every row and names what it finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from django.db import DatabaseError, OperationalError

from .database.dialect import Keys, KeyTable, Moment
from .database.select import Reader
from .database.transactions import told
from .errors import Finding, Findings, Refused
from .progress import Progress, Silence
from .removal.plan import ignored, outsiders
from .removal.survivors import pointed_rows
from .removing import Gone, Removing, changed_since
from .rows import Key, key_text
from .schema.on_delete import values_left
from .schema.relation import Relation
from .schema.table import Column, Table
from .walk.closure import Closure
from .walk.keys import KeySet, empty_keys


class Doubt(Exception):
    """Something is not as it was, or cannot be told: the careful way tells."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is to go and to change, by keys, and by what it is known to be unchanged. `digests` has
    those of each batch, where only rows can tell, of all columns if rows are `kept` somewhere, else
    of those that say whose they are; `values` what relations could point at that do not point at
    keys."""

    removing: Removing
    going: Mapping[str, KeySet]
    changed: Mapping[Relation, KeySet]
    moment: Moment
    kept: bool
    digests: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    values: Mapping[Relation, KeySet] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(map(len, self.going.values()))

    def batches(self, keys: KeySet) -> Iterator[Sequence[Key]]:
        return keys.packed(self.removing.dialect.lot_keys)

    def key_tables(self) -> dict[str, list[KeyTable]]:
        """By table the keys of the rows that go, where the database may have all in one place."""
        found: dict[str, list[KeyTable]] = {}
        for name, keys in self.going.items():
            column, *others = self.removing.graph.tables[name].key_columns
            if not others:
                found[name] = [*self.removing.dialect.key_tables(column, keys)]
        return found


def sweep_of(
    removing: Removing,
    going: Mapping[str, KeySet],
    changed: Mapping[Relation, KeySet],
    progress: Progress,
    *,
    kept: bool,
) -> Sweep | None:
    """What a sweep needs to know, asked in the snapshot of the archive; None where the careful way
    is the only one."""
    if why_careful(removing, going):
        return None
    moment = removing.dialect.moment()
    if removing.order.emptied and not moment.by_rows:
        # A row whose pointer was emptied first would look changed.
        return None
    sweep = Sweep(removing, going, changed, moment, kept)
    try:
        with _task(progress if moment.by_rows else Silence(), "Noting", sweep.total):
            return replace(
                sweep,
                digests={n: _digests(sweep, n, progress) for n in _touched(sweep)},
                values=dict(_pointed_values(sweep)),
            )
    except DatabaseError:
        # It cannot put a row's values together: they are compared one by one.
        return None


def why_careful(removing: Removing, going: Mapping[str, KeySet]) -> str:
    """Why every row has to be looked at; "" when that need not be."""
    if any(removing.remover.has_receivers(removing.graph.tables[name]) for name in going):
        return "receivers hear of the rows"
    for relation in _asked(removing, going):
        if relation.name in removing.cascades.relations:
            return f"the database would take rows along by {relation.name}"
    return ""


def _asked(removing: Removing, going: Mapping[str, KeySet]) -> list[Relation]:
    """The relations by which no row may point at what is gone."""
    relations = {r: None for name in going for r in removing.graph.pointing_at(name)}
    return [relation for relation in relations if not ignored(relation, removing.policies)]


def swept(sweep: Sweep, progress: Progress) -> Gone:
    """Everything in the caller's one transaction. `Doubt` when anything is not as it was."""
    try:
        return _swept(sweep, progress)
    except OperationalError:
        # A deadlock, a lock not given, a lost connection.
        raise
    except DatabaseError as error:
        raise Doubt(told(error)) from error


def _swept(sweep: Sweep, progress: Progress) -> Gone:
    removing, gone = sweep.removing, Gone()
    tables = [removing.graph.tables[name] for name in _touched(sweep)]
    _is_so(removing.dialect.is_reliable(sweep.moment, tables), "the moment is of no use")
    is_one_step = bool(
        removing.dialect.unchanged(sweep.moment, tables[0]) or _told_as_they_go(sweep)
    )
    held: Mapping[str, Sequence[KeyTable]] = {}
    with _task(progress, "Comparing", sweep.total):
        _compare(sweep)
        _change(sweep, gone)
        if is_one_step:
            # A row is compared, locked and removed by one statement: others see it until the end.
            held = sweep.key_tables()
            _remove(sweep, held, gone, progress)
    with _task(progress, "Removing", sweep.total):
        if not is_one_step:
            _remove(sweep, held, gone, progress)
        removing.dialect.settle_constraints()
    with _task(progress, "Proving", sweep.total):
        _prove(sweep, held, progress)
    return gone


def _is_so(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Doubt(otherwise)


@contextmanager
def _task(progress: Progress, name: str, total: int) -> Iterator[None]:
    progress.begin(name, total)
    yield
    progress.end()


# Are they still what was archived? ----------------------------------------------------------------


def _touched(sweep: Sweep) -> list[str]:
    return list(dict.fromkeys([*sweep.going, *(r.source for r in sweep.changed)]))


def _rows_touched(sweep: Sweep, name: str) -> Iterator[Sequence[Key]]:
    """The keys of the rows of a table that go, and of those that change."""
    if name in sweep.going:
        yield from sweep.batches(sweep.going[name])
    yield from _rows_changed(sweep, name)


def _rows_changed(sweep: Sweep, name: str) -> Iterator[Sequence[Key]]:
    """Each once, though two of its pointers change."""
    keys = empty_keys(sweep.removing.graph.tables[name])
    for relation, lot in sweep.changed.items():
        if relation.source == name:
            for batch in sweep.batches(lot):
                keys.take(batch)
    yield from sweep.batches(keys)


def _pointed_values(sweep: Sweep) -> Iterator[tuple[Relation, KeySet]]:
    """What rows that go hold in other columns than their keys, where relations point at those."""
    removing = sweep.removing
    for relation in _asked(removing, sweep.going):
        if relation.is_generic or relation.points_at_key:
            continue
        table, names = removing.graph.tables[relation.target], relation.target_columns
        values = empty_keys(table, names)
        for keys in sweep.batches(sweep.going[relation.target]):
            values.add(removing.reader.values(table, names, keys))
        yield relation, values


def _digests(sweep: Sweep, name: str, progress: Progress) -> list[bytes]:
    if not sweep.moment.by_rows:
        return []
    table, found = sweep.removing.graph.tables[name], []
    columns = _telling(sweep, table)
    for keys in _rows_touched(sweep, name):
        found.append(sweep.removing.remover.digests(table, columns, keys, locked=False))
        progress.advance(len(keys))
    return found


def _telling(sweep: Sweep, table: Table) -> Sequence[Column]:
    """The columns whose values must be what they were: of rows that nobody keeps, those by which
    they were found, and by which others are."""
    if sweep.kept:
        return table.columns
    graph = sweep.removing.graph
    names = {*table.key_names}
    for relation in graph.pointing_from(table.name):
        names |= {*relation.columns, relation.content_type}
    for relation in graph.pointing_at(table.name):
        names |= {*relation.target_columns}
    return [column for column in table.columns if column.name in names]


def _compare(sweep: Sweep) -> None:
    """Lock the rows where only they can tell what they are, and hold them against what was noted,
    if no DELETE is to do that; and those that change: a statement that changed them would make them
    look changed."""
    removing = sweep.removing
    told_later = _told_as_they_go(sweep)
    for name in _touched(sweep):
        table = removing.graph.tables[name]
        if sweep.moment.by_rows:
            columns, digests = _telling(sweep, table), sweep.digests[name]
            rows = _rows_touched(sweep, name)
            if name in told_later:
                rows = _rows_changed(sweep, name)
                digests = digests[sum(1 for _ in sweep.batches(sweep.going[name])) :]
            for keys, noted in zip(rows, digests, strict=True):
                now = removing.remover.digests(table, columns, keys, locked=True)
                _is_so(bool(now) and now == noted, f"rows of {table.label} changed")
        else:
            for keys in _rows_changed(sweep, name):
                count = removing.remover.lock(table, keys, sweep.moment)
                _is_so(count == len(keys), f"rows of {table.label} changed")


def _told_as_they_go(sweep: Sweep) -> set[str]:
    """The tables whose rows that go are held against what was noted by the DELETE itself: as
    nothing is changed in them before."""
    if not sweep.moment.by_rows or not sweep.removing.dialect.removes_telling:
        return set()
    return {*sweep.going} - {*sweep.removing.order.emptied_sources(sweep.going)}


# Going --------------------------------------------------------------------------------------------


def _change(sweep: Sweep, gone: Gone) -> None:
    """Give survivors the pointers that their `on_delete` says."""
    removing = sweep.removing
    for relation, lot in sweep.changed.items():
        table = removing.graph.tables[relation.source]
        columns = [table.column(name) for name in relation.columns]
        values = values_left(relation, table)
        for keys in sweep.batches(lot):
            removing.remover.point(table, columns, values, keys)
    for name in dict.fromkeys(relation.source for relation in sweep.changed):
        label = removing.graph.tables[name].label
        gone.changed[label] = sum(map(len, _rows_changed(sweep, name)))


def _portions(sweep: Sweep, held: Mapping[str, Sequence[KeyTable]], name: str) -> Iterable[Keys]:
    """The keys of the rows of a table that go, as many as one statement takes."""
    return held.get(name) or sweep.batches(sweep.going[name])


def _remove(
    sweep: Sweep, held: Mapping[str, Sequence[KeyTable]], gone: Gone, progress: Progress
) -> None:
    """Children first; every row there is, as it was, or `Doubt`."""
    removing = sweep.removing
    for name in removing.order.emptied_sources(sweep.going):
        for keys in sweep.batches(sweep.going[name]):
            removing.empty(name, keys)
    told = _told_as_they_go(sweep)
    for group in removing.order.groups:
        with removing.unchecked(group):
            for name in group:
                table = removing.graph.tables[name]
                is_told = name in told
                taken = _telling_removal(sweep, table) if is_told else _removal(sweep, held, table)
                for count in taken:
                    gone.removed[table.label] += count
                    progress.advance(count)


def _removal(sweep: Sweep, held: Mapping[str, Sequence[KeyTable]], table: Table) -> Iterator[int]:
    """Remove the rows of a table; where they tell it, such as are unchanged."""
    for portion in _portions(sweep, held, table.name):
        count = sweep.removing.remover.delete(table, portion, sweep.moment)
        _is_so(count == len(portion), f"rows of {table.label} changed or are gone")
        yield count


def _telling_removal(sweep: Sweep, table: Table) -> Iterator[int]:
    """Remove them, and hold what they were against what was noted."""
    columns, noted = _telling(sweep, table), iter(sweep.digests[table.name])
    for keys in sweep.batches(sweep.going[table.name]):
        was = sweep.removing.remover.delete_telling(table, columns, keys)
        _is_so(bool(was) and was == next(noted), f"rows of {table.label} changed or are gone")
        yield len(keys)


# Proof --------------------------------------------------------------------------------------------


def _prove(sweep: Sweep, held: Mapping[str, Sequence[KeyTable]], progress: Progress) -> None:
    """No row anywhere points at what is gone. Each batch lost as many rows as it has keys; only a
    trigger could have put one back. What the database itself lets nobody point at has been proved
    by it: its constraints are settled."""
    removing = sweep.removing
    # A reader of its own: it has seen nothing yet, and what it keeps is of this moment.
    reader = Reader(removing.connection, removing.graph)
    tables = [removing.graph.tables[name] for name in sweep.going]
    is_meddled = removing.dialect.has_triggers(tables)
    proved = _proved(removing)
    for table in tables:
        for keys in _portions(sweep, held, table.name):
            if is_meddled:
                count = reader.count(table, table.key_names, keys)
                _is_so(count == 0, f"rows of {table.label} are there")
            for relation in removing.graph.pointing_at(table.name):
                if relation in sweep.values or relation.name in proved:
                    continue
                if not ignored(relation, removing.policies):
                    is_pointed_at = reader.is_pointed_at(relation, table.name, keys)
                    _is_so(not is_pointed_at, f"{relation.name} points at removed")
            progress.advance(len(keys))
    for relation, values in sweep.values.items():
        if relation.name in proved:
            continue
        source = removing.graph.tables[relation.source]
        for lot in sweep.batches(values):
            holding = reader.holding(source, relation.columns, lot)
            _is_so(not any(True for _ in holding), f"{relation.name} points at removed")


def _proved(removing: Removing) -> set[str]:
    """The relations by which the database has let no row point at what is gone."""
    graph = removing.graph
    found = removing.dialect.checks_itself(graph.relations, graph.tables)
    unchecked = {
        name for group in removing.order.groups if removing.is_stuck(group) for name in group
    }
    return {name for name in found if graph.relations_by_name[name.lower()].target not in unchecked}


# What came in between -----------------------------------------------------------------------------


def refuse_differing(sweep: Sweep, planned: Closure, now: Mapping[str, KeySet]) -> None:
    """`Refused` with the rows that are to go no longer, and those that came to point at such as
    are. Asked in a snapshot, where the rows that would go are those of `now`."""
    findings = Findings(_lost(sweep, now))
    findings.extend(_new(sweep, planned))
    if findings:
        raise Refused("Nothing was removed: rows changed since they were planned.", findings)


def _lost(sweep: Sweep, now: Mapping[str, KeySet]) -> Iterator[Finding]:
    removing = sweep.removing
    for name, going in sweep.going.items():
        table = removing.graph.tables[name]
        for keys in sweep.batches(going):
            lost = now[name].missing(keys) if name in now else keys
            found = removing.reader.resolve(name, table.key_names, lost) if lost else ()
            there = {key for _, key in found}
            for key in lost:
                what = "has changed" if key in there else "is gone"
                yield changed_since(f"{table.label}.{key_text(key)}", what)


def _new(sweep: Sweep, planned: Closure) -> Iterator[Finding]:
    removing = sweep.removing
    graph, reader = removing.graph, removing.reader
    for relation, name, others in outsiders(graph, planned, reader):
        if ignored(relation, removing.policies):
            continue
        known = sweep.changed.get(relation)
        new = others if known is None else known.missing(others)
        pairs = reader.pointer_pairs(relation, new) if new else ()
        for key, target, pointed in pointed_rows(graph, reader, relation, pairs):
            if target == name:
                yield removing.pointer_finding(relation, key, name, pointed)
