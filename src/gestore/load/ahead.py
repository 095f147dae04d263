"""Which rows can be loaded while others are still being examined?

A lot that was decided, and of which everything is known that its columns are to hold: what its own
keys, and those that it points at, become here. It goes to a `Carrier`, which loads it meanwhile.

Where rows that meet others are refused anyway, and the database itself lets no two rows have a key
or a unique value, nobody asks it beforehand either: nearly always there is nothing to be found.
What turns out not to be so (`GuessedWrong`) ends the transaction: all is asked then, and loaded
when all was examined.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from ..errors import LoadFailed, Severity
from ..rows import Key, Value
from ..schema.policy import Policy
from ..schema.relation import Relation
from ..schema.table import Column, Kind, Table
from ..walk.keys import KeySet, empty_keys
from .circles import Circles
from .keymap import Place
from .meeting import Ground, whole_sets
from .packed import PackedColumns, Packing
from .spool import PackedLot, Piece, Spool
from .strategies import Strategy


class GuessedWrong(Exception):
    """What was loaded ahead is to be rolled back, and everything to be examined once more."""


class Carrier(Protocol):
    """Does what it is given, one after the other, while others go on."""

    @property
    def has_room(self) -> bool:
        """Whether it takes more without making anybody wait."""

    @property
    def has_failed(self) -> bool:
        """Whether something could not be done: nothing more will be."""

    def carry(self, job: Callable[[], None]) -> None:
        """Have it done in its turn."""

    def wait(self) -> bool:
        """Wait until all is done; whether all was."""


class AheadStore(Protocol):
    """Writes rows at the hands of a `Carrier`, where a failure leaves the transaction unusable."""

    def insert_unguarded(
        self, table: Table, columns: Sequence[Column], packed: Sequence[Sequence[Value]]
    ) -> None: ...

    def make_room_unguarded(self, table: Table, key: int) -> None: ...

    def is_far(self, table: Table, key: int) -> bool:
        """Whether a key is so high that to make room up to it is for those who are sure of it."""

    def check_at_once(self, relations: Iterable[Relation]) -> None:
        """From now on have the pointers of these checked as they come."""


class AheadPacking(Packing, Protocol):
    """Packs columns, and asks, over another session than the store's."""

    def enforced(self, table: Table) -> set[frozenset[str]]:
        """The sets of columns that the database keeps unique."""


@dataclass(slots=True)
class LoadedAhead:
    """What is loaded already: rows by table, of tables whose keys may be others here the keys, the
    numbers of lots in the spool, and what looks like keys in all of them."""

    counts: dict[str, int] = field(default_factory=dict)
    keys: dict[str, KeySet] = field(default_factory=dict)
    numbers: set[int] = field(default_factory=set)
    hidden: list[Piece] = field(default_factory=list)


@dataclass(slots=True)
class _Stage:
    """How far a table is: the lots of the spool that wait, with the places of the keys that they
    point at; whether all of it was examined; whether rows of it are left to be looked at once more;
    the relations that are checked as rows come."""

    waiting: deque[tuple[int, frozenset[Place]]] = field(default_factory=deque)
    is_passed: bool = False
    is_partial: bool = False
    at_once: set[str] = field(default_factory=set)


class Ahead:
    """Loads lots of one examination ahead. `draw` draws so many keys for a table, if there is room
    for them. At the `is_first_time` of an archive its rows are hardly here."""

    def __init__(
        self,
        ground: Ground,
        circles: Circles,
        store: AheadStore,
        packing: AheadPacking,
        carrier: Carrier,
        spool: Spool,
        draw: Callable[[Table, int], None],
        *,
        is_first_time: bool,
    ) -> None:
        self._of = ground
        self._circles = circles
        self._graph = ground.graph
        self._keymap = ground.keymap
        self._as_drawn = ground.keymap.with_drawn()
        self._store = store
        self.packing = packing
        self._carrier = carrier
        self._spool = spool
        self._draw = draw
        self._is_first_time = is_first_time
        self._order = {table.name: n for n, table in enumerate(self._graph.load_order)}
        parents = [relation for relation in self._graph.relations if relation.is_parent]
        self._halves = {name for r in parents for name in (r.source, r.target)}
        self._guarded: dict[str, bool] = {}
        self._stages: dict[str, _Stage] = {}
        self._current: Table | None = None
        self._promised: dict[Place, int] = {}
        self._made_room: dict[str, int] = {}
        self._loaded = LoadedAhead()
        self._is_off = False

    # What the examination tells -------------------------------------------------------------------

    def come_to(self, table: Table) -> None:
        """The next rows are the table's."""
        if self._goes_on() and table is not self._current:
            if self._current is not None:
                self._pass(self._current)
            self._current = table

    def pointed(self, table: Table, raw: Mapping[str, Sequence[Value]]) -> frozenset[Place]:
        """Where the keys are from that the rows point at."""
        return frozenset(self._pointed(table, raw))

    def leaves_to_database(
        self, table: Table, keys: Sequence[Key], pointed: frozenset[Place]
    ) -> bool:
        """Whether nobody needs to ask if a key or unique value of the rows is taken here: they are
        going to be loaded now, and one that is would be refused."""
        return (
            self._goes_on()
            and self._is_first_time
            and self._stays(table)
            and table.name not in self._halves
            and self._is_guarded(table)
            and self.is_ready(table, keys, pointed)
        )

    def is_ready(self, table: Table, keys: Sequence[Key], pointed: frozenset[Place]) -> bool:
        """Whether rows that are decided, or will hardly be others, can be loaded now."""
        if not self._goes_on() or self._stage(table).waiting:
            return False
        is_number = table.is_auto_key and isinstance(keys, array)
        if is_number and self._store.is_far(table, max(cast("Sequence[int]", keys))):
            return False
        return self._knows(table, pointed)

    def is_filled_later(self, table: Table) -> bool:
        """Whether lots of the table are wanted once more when all rows are in: in the spool."""
        return bool(self._circles.late_names(table))

    def take(self, lot: PackedLot, pointed: frozenset[Place]) -> None:
        """Load a lot that is ready; it is the last one in the spool if it is filled later."""
        table = self._graph.tables[lot.table]
        if self.is_filled_later(table):
            number = len(self._spool) - 1
            piece = self._spool.hidden_piece(number)
            self._loaded.numbers.add(number)
        else:
            piece = self._spool.keep_hidden(lot.hidden)
        self._load(table, lot, pointed, piece)
        self._go_on()

    def put_off(self, lot: PackedLot, pointed: frozenset[Place]) -> None:
        """The last lot in the spool is to be loaded, and not ready yet."""
        if self._goes_on():
            stage = self._stage(self._graph.tables[lot.table])
            stage.waiting.append((len(self._spool) - 1, pointed))
            self._go_on()

    def leave(self, table: Table) -> None:
        """The last lot in the spool is to be looked at once more when it is loaded."""
        self._stage(table).is_partial = True
        if self._goes_on():
            self._go_on()

    def finish(self) -> LoadedAhead:
        """What is loaded, when all was examined; `GuessedWrong` where it is not as it should be."""
        if not self._carrier.wait():
            raise GuessedWrong
        if self._is_refused():
            return LoadedAhead()
        if not self._loaded.counts:
            self._keymap.undraw()
            return self._loaded
        promised = self._promised.items()
        if not (
            self._goes_on()
            and self._of.result.is_settled
            and all(self._keymap.change_count(place) == count for place, count in promised)
        ):
            raise GuessedWrong
        return self._loaded

    def _is_refused(self) -> bool:
        """Whether nothing of the archive will be here in the end."""
        findings = self._of.result.findings
        return findings.has(Severity.CONFLICT) or findings.has(Severity.ERROR)

    def _goes_on(self) -> bool:
        if self._carrier.has_failed:
            raise GuessedWrong
        if self._is_off:
            return False
        if self._is_refused():
            self._is_off = True
        elif not self._of.result.is_in_order or self._of.is_put_off:
            if self._loaded.counts:
                # All of it would be taken back in the end.
                raise GuessedWrong
            self._is_off = True
        return not self._is_off

    def _stage(self, table: Table) -> _Stage:
        return self._stages.setdefault(table.name, _Stage())

    def _pass(self, table: Table) -> None:
        """All rows of the table were examined: its new keys can be drawn."""
        self._stage(table).is_passed = True
        place = (table.name, table.key_names)
        if not self._keymap.is_drawn(place):
            self._promise(place)
            self._draw(table, self._keymap.fresh_counts()[place])

    # Which lots are ready -------------------------------------------------------------------------

    def _is_guarded(self, table: Table) -> bool:
        """Whether the database itself refuses a row whose key or unique value is taken."""
        if table.name not in self._guarded:
            wanted = [table.key_names, *(unique.columns for unique in whole_sets(table))]
            found = self.packing.enforced(table)
            self._guarded[table.name] = {*map(frozenset, wanted)} <= found
        return self._guarded[table.name]

    def _pointed(self, table: Table, raw: Mapping[str, Sequence[Value]]) -> Iterator[Place]:
        for relation in self._graph.pointing_from(table.name):
            if relation in self._circles.late:
                # It is filled when all rows are in.
                continue
            if not relation.is_generic:
                yield relation.target, relation.target_columns
                continue
            for content_type in {*raw[relation.content_type]}:
                told = {relation.content_type: content_type}
                if target := self._of.decoding.target_of(relation, told):
                    yield target, self._graph.tables[target].key_names

    def _knows(self, table: Table, pointed: Iterable[Place]) -> bool:
        """Whether it is known what becomes of a lot's keys, and of those it points at."""
        if any(
            self._circles.waits(relation) and not self._is_whole(relation)
            for relation in self._graph.pointing_from(table.name)
        ):
            return False
        own = (table.name, table.key_names)
        return (not self._keymap.may_change(own) or self._knows_own(table)) and all(
            self._is_known(place)
            or (not self._keymap.may_change(place) and self._stays(self._graph.tables[place[0]]))
            for place in pointed
        )

    def _knows_own(self, table: Table) -> bool:
        place = (table.name, table.key_names)
        if self._of.can_renew(table) and table.key_columns[0].kind is Kind.UUID:
            # A new one is made of the old one.
            if not self._keymap.is_drawn(place):
                self._draw(table, 0)
            return self._keymap.is_drawn(place)
        return self._is_known(place)

    def _is_known(self, place: Place) -> bool:
        return all(
            self._is_passed(link[0]) and self._keymap.is_drawn(link)
            for link in self._keymap.chain(place)
        )

    def _is_passed(self, table: str) -> bool:
        stage = self._stages.get(table)
        if stage is not None:
            return stage.is_passed
        # None of its rows was met: what comes before has none in the archive.
        return self._current is None or self._order[table] < self._order[self._current.name]

    def _stays(self, table: Table) -> bool:
        """Whether rows of the table are hardly here, nor get other keys."""
        manifest = self._of.decoding.manifest
        entry = manifest.tables.get(table.name)
        is_shared = entry is not None and entry.shared > 0
        return (
            self._of.strategies.of_table(table.name) is Strategy.REFUSE
            and not is_shared
            and manifest.policies.get(table.name) != Policy.SHARE.value
        )

    def _go_on(self) -> None:
        """Load what has become ready, as far as nobody has to wait for it."""
        for name, stage in self._stages.items():
            table, waiting = self._graph.tables[name], stage.waiting
            while waiting and self._carrier.has_room and self._knows(table, waiting[0][1]):
                number, pointed = waiting.popleft()
                lot = cast("PackedLot", self._spool.lot(number))
                self._load(table, lot, pointed, self._spool.hidden_piece(number))
                self._loaded.numbers.add(number)

    # Loading --------------------------------------------------------------------------------------

    def _load(
        self, table: Table, lot: PackedLot, pointed: Iterable[Place], hidden: Piece | None
    ) -> None:
        columns = PackedColumns(
            self._graph,
            self._of.decoding,
            self._as_drawn,
            lot,
            self.packing,
            self._circles.late_names(table),
        )
        try:
            packed = columns.packed()
        except LoadFailed as error:
            # It is told of when everything was examined.
            raise GuessedWrong from error
        for place in pointed:
            self._promise(place)
        if table.name in self._halves:
            # What becomes of one half may be decided by the other.
            self._promise((table.name, table.key_names))
        self._check_at_once(table)
        self._make_room(table)
        self._carrier.carry(lambda: self._store.insert_unguarded(table, columns.written, packed))
        loaded = self._loaded
        loaded.counts[table.name] = loaded.counts.get(table.name, 0) + lot.count
        if not self._stays(table):
            loaded.keys.setdefault(table.name, empty_keys(table)).take(columns.keys())
        if hidden is not None:
            loaded.hidden.append(hidden)

    def _promise(self, place: Place) -> None:
        """Nothing else is to become of the keys there."""
        self._promised.setdefault(place, self._keymap.change_count(place))

    def _make_room(self, table: Table) -> None:
        """The database is not to give to others the keys under which rows are loaded."""
        top = self._of.result.tops.get(table.name, {}).get(table.key_names[0])
        known = self._made_room.get(table.name, 0)
        if table.is_auto_key and isinstance(top, int) and top > known:
            self._made_room[table.name] = top
            self._carrier.carry(lambda: self._store.make_room_unguarded(table, top))

    def _check_at_once(self, table: Table) -> None:
        """Pointers at rows that are all there can be checked as they come: that is done meanwhile,
        too."""
        known = self._stage(table).at_once
        found = [
            relation
            for relation in self._graph.pointing_from(table.name)
            if relation.name not in known and self._is_whole(relation)
        ]
        if found:
            known.update(relation.name for relation in found)
            self._carrier.carry(lambda: self._store.check_at_once(found))

    def _is_whole(self, relation: Relation) -> bool:
        """Whether no row that the relation leads to is still to come."""
        if relation.is_generic or relation.target == relation.source:
            return False
        stage = self._stages.get(relation.target)
        if stage is None:
            return self._is_passed(relation.target)
        return stage.is_passed and not stage.is_partial and not stage.waiting
