"""Which rows can be loaded while others are still being examined?

A lot that was decided, and of which everything is known that its columns are to hold: what its own
keys, and those that it points at, become here. It goes to a `Carrier`, which loads it meanwhile.
Should anything become of a key after a lot was loaded that points at it, or the examination have to
be repeated or to stop, all that was loaded ahead is taken back; the spool has it still.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from ..errors import LoadFailed, Severity
from ..rows import Value
from ..schema.graph import Graph
from ..schema.policy import Policy
from ..schema.relation import Relation
from ..schema.table import Column, Table
from ..walk.keys import KeySet, empty_keys
from .decoding import Decoding
from .keymap import Place
from .packed import PackedColumns, Packing
from .spool import PackedLot, Spool
from .strategies import Strategies, Strategy
from .verdicts import Examination


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


class AheadStore(Packing, Protocol):
    """Writes rows at the hands of a `Carrier`, where a failure leaves the transaction unusable."""

    def insert_unguarded(
        self, table: Table, columns: Sequence[Column], packed: Sequence[Sequence[Value]]
    ) -> None: ...

    def make_room_unguarded(self, table: Table, key: int) -> None: ...

    def is_far(self, table: Table, key: int) -> bool:
        """Whether a key is so high that to make room up to it is for those who are sure of it."""

    def check_at_once(self, relations: Iterable[Relation]) -> None:
        """From now on have the pointers of these checked as they come."""


@dataclass(frozen=True, slots=True)
class LoadedLot:
    """A lot in the spool that is loaded, its number, and whether its keys may have changed."""

    number: int
    table: Table
    count: int
    is_renewed: bool


@dataclass(slots=True)
class LoadedAhead:
    """What is loaded already; the keys of lots whose keys may have changed."""

    lots: list[LoadedLot] = field(default_factory=list)
    new_keys: dict[str, KeySet] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A lot in the spool, and the places of the keys that it points at."""

    number: int
    pointed: frozenset[Place]


@dataclass(slots=True)
class _Stage:
    """How far a table is: the lots that wait; whether all of it was examined, rows of it are left
    to be looked at once more, and rows of it were loaded."""

    waiting: deque[_Waiting] = field(default_factory=deque)
    is_passed: bool = False
    is_partial: bool = False
    is_begun: bool = False


class Ahead:
    """Loads lots of one examination ahead; `draw` draws so many keys for a table, if there is room
    for them."""

    def __init__(
        self,
        graph: Graph,
        decoding: Decoding,
        strategies: Strategies,
        examination: Examination,
        store: AheadStore,
        carrier: Carrier,
        spool: Spool,
        draw: Callable[[Table, int], None],
    ) -> None:
        self._graph = graph
        self._decoding = decoding
        self._strategies = strategies
        self._examination = examination
        self._keymap = examination.keymap
        self._as_drawn = self._keymap.with_drawn()
        self._store = store
        self._carrier = carrier
        self._spool = spool
        self._draw = draw
        self._order = {table.name: place for place, table in enumerate(graph.load_order)}
        parents = [relation for relation in graph.relations if relation.is_parent]
        self._halves = {name for r in parents for name in (r.source, r.target)}
        self._stages: dict[str, _Stage] = {}
        self._current: Table | None = None
        self._promised: dict[Place, int] = {}
        self._made_room: dict[str, int] = {}
        self._loaded = LoadedAhead()
        self._is_off = False

    # What the examination tells -------------------------------------------------------------------

    def come_to(self, table: Table) -> None:
        """The next rows are the table's."""
        if table is self._current or not self._goes_on():
            return
        if self._current is not None:
            self._pass(self._current)
        self._current = table

    def take(self, lot: PackedLot) -> None:
        """The last lot in the spool was decided: all of it is to be loaded."""
        if not self._goes_on():
            return
        table = self._graph.tables[lot.table]
        waiting = _Waiting(len(self._spool) - 1, frozenset(self._pointed(table, lot)))
        stage = self._stage(table)
        if not stage.waiting and self._is_ready(table, waiting):
            self._load(waiting, lot)
        else:
            stage.waiting.append(waiting)
        self._go_on()

    def leave(self, table: Table) -> None:
        """The last lot in the spool is to be looked at once more when it is loaded."""
        self._stage(table).is_partial = True
        if self._goes_on():
            self._go_on()

    def finish(self) -> LoadedAhead | None:
        """What is loaded, when all was examined. None where it is to be taken back."""
        is_sound = (
            self._carrier.wait()
            and self._goes_on()
            and self._examination.is_settled
            and all(self._keymap.change_count(p) == n for p, n in self._promised.items())
        )
        if not is_sound:
            self._keymap.undraw()
        return self._loaded if is_sound else None

    def _goes_on(self) -> bool:
        findings = self._examination.findings
        self._is_off = (
            self._is_off
            or self._carrier.has_failed
            or not self._examination.is_in_order
            or findings.has(Severity.CONFLICT)
            or findings.has(Severity.ERROR)
        )
        return not self._is_off

    def _stage(self, table: Table) -> _Stage:
        return self._stages.setdefault(table.name, _Stage())

    def _pass(self, table: Table) -> None:
        """All rows of the table were examined: its new keys can be drawn."""
        self._stage(table).is_passed = True
        place = (table.name, table.key_names)
        if not self._keymap.is_drawn(place) and self._carrier.wait():
            self._promise(place)
            self._draw(table, self._keymap.fresh_counts()[place])

    # Which lots are ready -------------------------------------------------------------------------

    def _pointed(self, table: Table, lot: PackedLot) -> Iterator[Place]:
        """Where the keys are from that the lot points at."""
        for relation in self._graph.pointing_from(table.name):
            if not relation.is_generic:
                yield relation.target, relation.target_columns
                continue
            for content_type in {*lot.raw[relation.content_type]}:
                told = {relation.content_type: content_type}
                if target := self._decoding.target_of(relation, told):
                    yield target, self._graph.tables[target].key_names

    def _is_ready(self, table: Table, waiting: _Waiting) -> bool:
        """Whether it is known what becomes of the lot's keys, and of those it points at."""
        own = (table.name, table.key_names)
        is_same = not self._keymap.may_change(own)
        return (is_same or self._is_known(own)) and all(
            self._is_known(place)
            or (not self._keymap.may_change(place) and self._stays(self._graph.tables[place[0]]))
            for place in waiting.pointed
        )

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
        """Whether rows of the table, not met yet, will hardly stand under other keys."""
        return (
            self._strategies.of_table(table.name) is Strategy.REFUSE
            and self._decoding.manifest.policies.get(table.name) != Policy.SHARE.value
        )

    def _go_on(self) -> None:
        """Load what has become ready, as far as nobody has to wait for it."""
        for name, stage in self._stages.items():
            table, waiting = self._graph.tables[name], stage.waiting
            while waiting and self._carrier.has_room and self._is_ready(table, waiting[0]):
                self._load(waiting[0], cast("PackedLot", self._spool.lot(waiting[0].number)))
                waiting.popleft()

    # Loading --------------------------------------------------------------------------------------

    def _load(self, waiting: _Waiting, lot: PackedLot) -> None:
        columns = PackedColumns(self._graph, self._decoding, self._as_drawn, lot, self._store)
        table, top = columns.table, self._top(columns.table)
        try:
            packed = columns.packed()
        except LoadFailed:
            # It is told of when all was examined.
            self._is_off = True
        if self._is_off or (top and self._store.is_far(table, top)):
            self._is_off = True
            return
        self._begin(table)
        for place in waiting.pointed:
            self._promise(place)
        if table.name in self._halves:
            # What becomes of one half may be decided by the other.
            self._promise((table.name, table.key_names))
        if top > self._made_room.get(table.name, 0):
            self._made_room[table.name] = top
            self._carrier.carry(lambda: self._store.make_room_unguarded(table, top))
        self._carrier.carry(lambda: self._store.insert_unguarded(table, columns.written, packed))
        is_renewed = not columns.keys_stay()
        if is_renewed:
            self._loaded.new_keys.setdefault(table.name, empty_keys(table)).add(columns.keys())
        self._loaded.lots.append(LoadedLot(waiting.number, table, lot.count, is_renewed))

    def _top(self, table: Table) -> int:
        """The highest key that nobody else is to be given by the database any more; 0 for none."""
        top = self._examination.tops.get(table.name, {}).get(table.key_names[0])
        return top if table.is_auto_key and isinstance(top, int) else 0

    def _promise(self, place: Place) -> None:
        """Nothing else is to become of the keys there."""
        self._promised.setdefault(place, self._keymap.change_count(place))

    def _begin(self, table: Table) -> None:
        """Pointers at rows that are all there can be checked as they come: that is done meanwhile,
        too."""
        stage = self._stage(table)
        if stage.is_begun:
            return
        stage.is_begun = True
        whole = [r for r in self._graph.pointing_from(table.name) if self._is_whole(r)]
        if whole:
            self._carrier.carry(lambda: self._store.check_at_once(whole))

    def _is_whole(self, relation: Relation) -> bool:
        if relation.is_generic or relation.target == relation.source:
            return False
        stage = self._stages.get(relation.target)
        if stage is None:
            return self._is_passed(relation.target)
        return stage.is_passed and not stage.is_partial and not stage.waiting
