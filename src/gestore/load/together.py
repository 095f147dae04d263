"""Which rows need no decision one by one? A lot of rows, as columns, that meets nothing here.

Decides a whole lot where every row of it is simply to be loaded: under its own key or, where the
strategy is `remap` and another row here has that, under a new one. It asks what `Meeting` asks, of
all rows at once. Whatever else there is about a row of the lot, the lot is left to the careful way,
row by row, which names it.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol, cast

from ..archive.reader import Lot
from ..archive.values import DecodeMany, column_decoder, decoder, texts_decoder
from ..rows import Key, Value
from ..schema.policy import Policy
from ..schema.relation import Relation
from ..schema.table import Column, Kind, Table, UniqueSet
from .ahead import Ahead
from .decoding import SourceRow
from .keymap import Fresh
from .meeting import Ground, pair_of, repeated_value, whole_sets
from .packed import Packing
from .rewriting import Rewriting, hidden_numbers, watched_columns
from .spool import PackedLot, Spool
from .strategies import Strategy
from .translation import packed_uuids, uuids
from .verdicts import TableVerdict

# Of a lot in which keys are taken here, so many columns tell whether the rows are the same.
_TOLD_APART_BY = 3
_KEY_KINDS = frozenset({Kind.INTEGER, Kind.TEXT, Kind.UUID})
# Their values are the same if Python finds them equal.
_COMPARED = (Kind.DATETIME, Kind.TEXT, Kind.INTEGER, Kind.DATE)


class PartFinder(Protocol):
    """Answers what is here, a few columns of it."""

    def parts(
        self,
        table: Table,
        wanted: Sequence[str],
        names: Sequence[str],
        values: Sequence[Value],
    ) -> Sequence[tuple[Value, ...]]: ...


@dataclass(frozen=True, slots=True)
class _ColumnPlan:
    column: Column
    read: DecodeMany
    are_texts: bool
    is_raw: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is the same for all lots of a table."""

    table: Table
    columns: Mapping[str, _ColumnPlan]
    fields: tuple[str, ...]
    pointers: Sequence[Relation]
    skipped: Sequence[str]
    sets: Sequence[UniqueSet]
    pair: UniqueSet | None
    watched: Sequence[tuple[str, bool]]


class _Lot:
    """A lot as columns: what the archive has, and what it says."""

    def __init__(self, plan: _Plan, ground: Ground, raw: dict[str, Sequence[Any]]) -> None:
        self._plan = plan
        self._ground = ground
        self.raw = raw
        self._values: dict[str, Sequence[Value]] = {}

    def values(self, name: str) -> Sequence[Value]:
        """The column's values, pointers still the source's."""
        if name not in self._values:
            plan = self._plan.columns[name]
            raw = self.raw[name]
            if not plan.are_texts:
                self._values[name] = raw
            elif plan.column.kind is Kind.UUID:
                self._values[name] = uuids(raw)
            else:
                decode = decoder(plan.column, self._ground.decoding.zones)
                self._values[name] = [*map(decode, raw)]
        return self._values[name]

    def filled(self, name: str) -> Sequence[Value]:
        """The values that are not empty."""
        raw = self.raw[name]
        if None not in raw:
            return self.values(name)
        plan = self._plan.columns[name]
        if plan.are_texts and plan.column.kind is Kind.UUID:
            return packed_uuids([text for text in raw if text is not None])
        return [value for value in self.values(name) if value is not None]

    def keys(self) -> Sequence[Key]:
        """The rows' keys: tuples of several parts."""
        names = self._plan.table.key_names
        if len(names) == 1:
            values = self.values(names[0])
            is_number = self._plan.columns[names[0]].column.kind is Kind.INTEGER
            return cast("Sequence[Key]", array("q", values)) if is_number else values
        return [*zip(*map(self.values, names), strict=True)]


class Together:
    """Decides lots of one examination, and keeps them for the load."""

    def __init__(
        self,
        ground: Ground,
        finder: PartFinder,
        packing: Packing,
        rewriting: Rewriting,
        spool: Spool,
        ahead: Ahead | None = None,
    ) -> None:
        self._of = ground
        self._finder = finder
        self._packing = packing
        self._rewriting = rewriting
        self._spool = spool
        self._ahead = ahead
        self._plans: dict[str, _Plan | None] = {}
        self._open: set[str] = set()

    def is_final(self, table: str) -> bool:
        """Whether nothing that is decided later changes what was decided of the table's rows: none
        of it hangs on pointers at rows that come after."""
        return table not in self._open

    def take(self, lot: Lot) -> set[Key] | bool:
        """True where the lot was decided. Where it is to be decided row by row: False, or those of
        its keys that were new, if that was found out already."""
        outcome = self._take(lot)
        plan = self._plans[lot.model]
        if outcome is not True or self._has_open_sets(plan):
            self._open.add(lot.model)
        return outcome

    def _has_open_sets(self, plan: _Plan | None) -> bool:
        if plan is None:
            return True
        names = self._of.open_columns(plan.table)
        return any(not names.isdisjoint(unique.columns) for unique in plan.sets)

    def _take(self, lot: Lot) -> set[Key] | bool:
        plan = self._plan_of(lot.model)
        if plan is None or any("dangling" in m or "changed" in m for m in lot.marks.values()):
            return False
        columns = _read(plan, self._of, lot)
        if columns is None or not _are_filled(plan, columns):
            return False
        packed = self._packed(plan, columns)
        if packed is None:
            return False
        verdict = self._of.result.verdict(plan.table)
        keys = columns.keys()
        new = verdict.archived.take(keys)
        if len(new) != len(keys):
            return set(new)
        self._of.pointers.read_columns(plan.table, columns)
        ahead, table = self._ahead, plan.table
        pointed = ahead.pointed(table, columns.raw) if ahead is not None else frozenset()
        is_left = ahead is not None and ahead.leaves_to_database(table, keys, pointed)
        decided = _Decision(plan, self._of, self._finder, columns, keys, is_left=is_left)
        if not decided.is_plain():
            return set(new)
        raw = {name: columns.raw[name] for name, column in plan.columns.items() if column.is_raw}
        done = PackedLot(table.name, len(keys), raw, packed, self._hidden(plan, columns))
        is_now = ahead is not None and (is_left or ahead.is_ready(table, keys, pointed))
        is_spooled = ahead is None or not is_now or ahead.is_filled_later(table)
        if is_spooled and not self._spool.put_packed(done):
            return set(new)
        decided.note(verdict, lot)
        if ahead is not None:
            (ahead.take if is_now else ahead.put_off)(done, pointed)
        return True

    def _packed(self, plan: _Plan, columns: _Lot) -> dict[str, Sequence[Value]] | None:
        packed: dict[str, Sequence[Value]] = {}
        for name, column in plan.columns.items():
            if column.is_raw and column.column.kind is not Kind.TEXT:
                continue
            done = self._packing.pack(column.column, columns.raw[name], are_texts=column.are_texts)
            if done is None:
                return None
            if not column.is_raw:
                packed[name] = done
        return packed

    def _hidden(self, plan: _Plan, columns: _Lot) -> list[tuple[str, int]]:
        """What may turn out to be a key that changed: numbers in JSON, and under names like it."""
        return [
            found
            for name, is_json in plan.watched
            for found in hidden_numbers(plan.table, name, columns.raw[name], is_json=is_json)
        ]

    # What is the same for all lots of a table -----------------------------------------------------

    def _plan_of(self, model: str) -> _Plan | None:
        if model not in self._plans:
            table = self._of.graph.tables.get(model)
            self._plans[model] = None if table is None else self._plan(table)
        return self._plans[model]

    def _plan(self, table: Table) -> _Plan | None:
        of = self._of
        entry = of.decoding.manifest.tables.get(table.name)
        if entry is None or entry.columns.keys() != table.columns_by_name.keys():
            return None
        if table.needs_asking or of.strategies.new_keys or self._rewriting.has(table):
            return None
        pointers = of.graph.pointing_from(table.name)
        if any(len(relation.columns) > 1 for relation in pointers):
            return None
        raw = {*table.key_names}
        for relation in pointers:
            raw |= {*relation.columns, *filter(None, [relation.content_type])}
        columns = {c.name: self._column_plan(c, is_raw=c.name in raw) for c in table.columns}
        if any(c.is_raw and c.column.kind not in _KEY_KINDS for c in columns.values()):
            return None
        return _Plan(
            table,
            columns,
            tuple(column.name for column in table.value_columns),
            pointers,
            self._skipped(pointers),
            whole_sets(table),
            pair_of(table),
            watched_columns(of.graph, self._rewriting, table),
        )

    def _column_plan(self, column: Column, *, is_raw: bool) -> _ColumnPlan:
        zones = self._of.decoding.zones
        is_uuid_key = is_raw and column.kind is Kind.UUID
        if is_uuid_key or self._packing.takes_texts(column):
            read = texts_decoder(column, zones)
            if read is not None:
                return _ColumnPlan(column, read, True, is_raw)  # noqa: FBT003
        return _ColumnPlan(column, column_decoder(column, zones), False, is_raw)  # noqa: FBT003

    def _skipped(self, pointers: Sequence[Relation]) -> Sequence[str]:
        """The columns that are emptied, for the source left out what they point at."""
        return [
            name
            for relation in pointers
            if not relation.is_generic
            and relation.is_nullable
            and self._of.decoding.is_skipped(relation, {})
            for name in relation.columns
        ]


def _read(plan: _Plan, ground: Ground, lot: Lot) -> _Lot | None:
    """The lot as columns; None where a row has other fields, or a value to be looked at alone."""
    names = plan.fields
    if {*map(len, lot.fields)} != {len(names)}:
        return None
    raw: dict[str, Sequence[Any]] = {}
    try:
        for name in names:
            raw[name] = [*map(itemgetter(name), lot.fields)]
    except KeyError:
        return None
    parts = _key_columns(plan.table, lot.keys)
    if parts is None:
        return None
    raw |= parts
    for name in plan.skipped:
        raw[name] = [None] * len(lot)
    if _has_skipped(plan, ground, raw):
        return None
    read: dict[str, Sequence[Any]] = {}
    for name, column in plan.columns.items():
        values = column.read(raw[name])
        if values is None:
            return None
        read[name] = values
    return _Lot(plan, ground, read)


def _has_skipped(plan: _Plan, ground: Ground, raw: Mapping[str, Sequence[Any]]) -> bool:
    """Whether a generic key points at what the source left out."""
    return any(
        ground.decoding.is_skipped(relation, {relation.content_type: content_type})
        for relation in plan.pointers
        if relation.is_generic and relation.is_nullable
        for content_type in {*filter(_is_number, raw[relation.content_type])}
    )


def _is_number(value: object) -> bool:
    return type(value) is int


def _key_columns(table: Table, keys: Sequence[Any]) -> dict[str, Sequence[Value]] | None:
    names = table.key_names
    if len(names) == 1:
        return {names[0]: keys}
    if {*map(type, keys)} != {list} or {*map(len, keys)} != {len(names)}:
        return None
    return dict(zip(names, zip(*keys, strict=True), strict=True))


def _are_filled(plan: _Plan, columns: _Lot) -> bool:
    """Whether no row lacks a key or a value that must not be empty here."""
    return not any(
        None in columns.raw[column.name]
        for column in plan.table.columns
        if not column.is_nullable or column.name in plan.table.key_names
    )


class _Decision:
    """Whether a lot is plain: every row is to be loaded, and nothing is to be said of any."""

    def __init__(
        self,
        plan: _Plan,
        ground: Ground,
        finder: PartFinder,
        columns: _Lot,
        keys: Sequence[Key],
        *,
        is_left: bool,
    ) -> None:
        self._plan = plan
        self._table = plan.table
        self._of = ground
        self._finder = finder
        self._columns = columns
        self._keys = keys
        self._open = ground.open_columns(plan.table)
        self._here: Sequence[Value] = keys
        # Whether the database itself is going to look for keys and unique values that are taken.
        self._is_left = is_left

    def is_plain(self) -> bool:
        self._here = self._own_keys()
        asked = self._keys
        if self._here is not self._keys:
            pairs = [*zip(self._keys, self._here, strict=True)]
            asked = [key for key, here in pairs if type(here) is not Fresh]
            if any(type(here) is not Fresh and here != key for key, here in pairs):
                # An earlier import, or the row that it is a half of, says what its key is.
                return False
        if self._is_grafted():
            return False
        if self._is_left:
            return True
        taken = self._taken(asked)
        if taken and not self._renew(taken):
            return False
        return not any(map(self._is_taken, self._plan.sets))

    def _own_keys(self) -> Sequence[Value]:
        return self._of.keymap.targets(self._table.name, self._table.key_names, self._keys)

    def _is_grafted(self) -> bool:
        verdicts = self._of.result.verdicts
        return any(
            relation.is_parent
            and relation.target in verdicts
            and len(verdicts[relation.target].kept)
            for relation in self._plan.pointers
        )

    def _taken(self, keys: Sequence[Key]) -> set[Key]:
        """Those of the keys that rows here have, as the database compares them."""
        if not keys:
            return set()
        names = self._table.key_names
        rows = self._finder.parts(self._table, names, names, keys)
        return {row[0] if len(row) == 1 else tuple(row) for row in rows}

    # Values that are unique -----------------------------------------------------------------------

    def _translated(self, name: str) -> Sequence[Value]:
        """The column as it is to stand here."""
        values = self._columns.values(name)
        for relation in self._plan.pointers:
            if name in relation.columns and not relation.is_generic:
                values = self._of.keymap.targets(relation.target, relation.target_columns, values)
        if (name,) == self._table.key_names:
            return self._here
        return values

    def _values_of(self, unique: UniqueSet) -> list[Value]:
        """The rows' values of the set, in order; None where an empty part makes it none."""
        columns = [self._translated(name) for name in unique.columns]
        if len(columns) == 1:
            return [*columns[0]]
        return [None if None in parts else parts for parts in zip(*columns, strict=True)]

    def _is_taken(self, unique: UniqueSet) -> bool:
        """Whether a row here has a value of the set; also where that cannot be told so."""
        generic = {n for r in self._plan.pointers if r.is_generic for n in r.columns}
        if self._of.keymap.touched_count and not generic.isdisjoint(unique.columns):
            return True
        values = {
            value for value in self._values_of(unique) if value is not None and not _is_fresh(value)
        }
        if not values:
            return False
        return bool(self._finder.parts(self._table, unique.columns, unique.columns, list(values)))

    # New keys -------------------------------------------------------------------------------------

    def _renew(self, taken: set[Key]) -> bool:
        """Give the rows whose keys are taken new ones, if all of them are surely other rows."""
        of, table = self._of, self._table
        if (
            of.strategies.of_table(table.name) is not Strategy.REMAP
            or not of.can_renew(table)
            or table.name in of.recalled
            or any(name == table.name for name, _ in of.fates)
            or of.decoding.manifest.policies.get(table.name) == Policy.SHARE.value
        ):
            return False
        wanted = taken.intersection(self._keys)
        if len(wanted) != len(taken):
            # Equal to the database, and not to Python.
            return False
        if self._plan.pair is not None:
            # No row here has the pair, as is asked later: the one with its key is another.
            if not self._open.isdisjoint(self._plan.pair.columns):
                return False
        elif self._are_same(wanted - self._pointing_at_new(wanted)):
            return False
        of.renew(table, sorted(wanted))  # type: ignore[type-var]
        self._here = self._own_keys()
        return True

    def _pointing_at_new(self, keys: set[Key]) -> set[Key]:
        """The rows with a pointer at a row that gets a new key: nothing here can be equal to it."""
        found: set[Key] = set()
        for relation in self._plan.pointers:
            if not relation.is_generic:
                translated = self._translated(relation.columns[0])
                found |= {
                    key
                    for key, value in zip(self._keys, translated, strict=True)
                    if type(value) is Fresh
                }
        return found & keys

    def _are_same(self, keys: set[Key]) -> bool:
        """Whether any of the rows may be the one here, as far as some columns tell."""
        if not keys:
            return False
        names = self._telling()
        if not names:
            return True
        own = self._table.key_names
        here = {
            row[0]: row[1:]
            for row in self._finder.parts(self._table, [*own, *names], own, list(keys))
        }
        ours = zip(self._keys, zip(*map(self._columns.values, names), strict=True), strict=True)
        return any(key in keys and here.get(key, parts) == parts for key, parts in ours)

    def _telling(self) -> list[str]:
        """The columns that most likely tell rows apart, and are no pointers."""
        pointing = {n for r in self._plan.pointers for n in (*r.columns, r.content_type)}
        names = [
            column.name
            for kind in _COMPARED
            for column in self._table.value_columns
            if column.kind is kind and column.name not in pointing
        ]
        return names[:_TOLD_APART_BY]

    # Outcome --------------------------------------------------------------------------------------

    def note(self, verdict: TableVerdict, lot: Lot) -> None:
        """All rows are to be loaded."""
        renewed = 0
        if self._here is not self._keys:
            renewed = sum(type(key) is Fresh for key in self._here)
        verdict.loaded_count += len(self._keys)
        verdict.renewed_count += renewed
        if renewed and self._table.name not in self._of.result.samples:
            place = next(n for n, key in enumerate(self._here) if type(key) is Fresh)
            self._of.result.samples[self._table.name] = self._row(lot, place)[1]
        self._note_top(lot)
        for unique in self._plan.sets:
            self._find_repeats(unique, lot)

    def _row(self, lot: Lot, place: int) -> tuple[SourceRow, dict[str, Value]]:
        """One row, as the careful way has it."""
        (row,) = self._of.decoding.rows(lot.row(place))
        return row, self._of.translation.values(row)

    def _note_top(self, lot: Lot) -> None:
        name, *others = self._table.key_names
        if others or self._table.key_columns[0].kind is not Kind.INTEGER:
            return
        numbers: Any = self._here
        if self._here is not self._keys:
            numbers = [key for key in self._here if type(key) is int]
        if not numbers:
            return
        highest = max(numbers)
        place = self._here.index(highest)
        tops = self._of.result.tops
        known: Any = tops.get(self._table.name, {}).get(name)
        if known is None or highest > known:
            tops[self._table.name] = self._row(lot, place)[1]

    def _find_repeats(self, unique: UniqueSet, lot: Lot) -> None:
        """Unique values that another row of the archive has had already."""
        values = self._values_of(unique)
        numbers = [hash(value) for value in values if value is not None]
        seen = self._of.seen[self._table.name, unique.name]
        new = seen.add(numbers)
        if len(new) == len(numbers):
            return
        unseen = set(new)
        for place, value in enumerate(values):
            if value is None:
                continue
            if hash(value) in unseen:
                unseen.discard(hash(value))
            else:
                row, _ = self._row(lot, place)
                self._of.result.findings.append(repeated_value(unique, row))


def _is_fresh(value: Value) -> bool:
    if type(value) is tuple:
        return any(type(part) is Fresh for part in value)
    return type(value) is Fresh
