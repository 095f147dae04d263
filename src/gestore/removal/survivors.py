"""Which rows that are owned only because they are pointed at do others still need?

A row that a removal's own belongings do not hold (an author, a user of two customers) goes only
if nobody else points at it. What stays keeps what it points at and what belongs to it. Asks a
`PointerSource`; removes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from ..rows import Key, Value, batches
from ..schema.graph import Graph
from ..schema.relation import Relation, RelationKind
from ..schema.table import Kind
from ..walk.closure import Closure
from ..walk.keys import KeySet, empty_keys
from ..walk.source import KeySource

# Reasons kept for each table: one shows what is the matter, a million would fill the memory.
_REASONS = 20


class PointerSource(KeySource, Protocol):
    """Answers which row points where."""

    def pointer_pairs(self, relation: Relation, keys: Sequence[Key]) -> Sequence[tuple[Key, Value]]:
        """The keys of those of these rows whose pointer is filled, each with its value as
        `pointed` gives it."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a row stays: a row that stays points at it by the relation, or it belongs to that row."""

    table: str
    key: Key
    relation: Relation
    other_table: str
    other_key: Key
    belongs: bool


@dataclass(frozen=True, slots=True)
class Survivors:
    """The rows that stay, by table, and the first reasons of each table."""

    keys_by_table: Mapping[str, KeySet] = field(default_factory=dict)
    reasons: Sequence[Reason] = ()

    @property
    def count(self) -> int:
        return sum(map(len, self.keys_by_table.values()))


class Terms(Protocol):
    """What a relation says of whose a row is."""

    def ignores(self, relation: Relation) -> bool:
        """Whether rows that point by it are left alone, come what may."""

    def belongs(self, relation: Relation) -> bool:
        """Whether a row that points by it belongs to the row it points at."""

    def is_lookup(self, relation: Relation, target: str) -> bool:
        """Whether rows of the table pointed at own nothing by it."""


class SurvivorSearch:
    """Finds, of the rows owned in `reached`, those that must stay; rows owned in `sure`, what
    belongs to the roots, go whatever points at them."""

    def __init__(
        self, graph: Graph, reached: Closure, sure: Closure, source: PointerSource, terms: Terms
    ) -> None:
        self.graph = graph
        self.reached = reached
        self.sure = sure
        self.source = source
        self.terms = terms
        self.staying: dict[str, KeySet] = {}
        self.pending: dict[str, KeySet] = {}
        self.reasons: list[Reason] = []
        self.told: dict[str, int] = defaultdict(int)

    def run(self) -> Survivors:
        """The rows that somebody needs, with all that these need."""
        for table in self.reached.tables():
            for keys in self._candidates(table.name):
                self._needed_by_outsiders(table.name, keys)
                self._belonging_to_others(table.name, keys)
        return self._spread()

    def run_again(self, closure: Closure) -> Survivors:
        """A walk that leaves out what stays may reach less: what it no longer owns stays too."""
        for table in self.reached.tables():
            owned = closure.taken_of(table.name).owned
            for keys in self._candidates(table.name):
                self._keep(table.name, owned.missing(keys))
        return self._spread()

    def _spread(self) -> Survivors:
        while self.pending:
            name, new = self.pending.popitem()
            for lot in new.batches(self.source.batch_keys):
                self._keep_what_it_points_at(name, lot)
                self._keep_what_belongs_to_it(name, lot)
        return Survivors(self.staying, tuple(self.reasons))

    def _candidates(self, name: str) -> Iterator[list[Key]]:
        sure = self.sure.taken_of(name).owned
        for keys in self.reached.taken_of(name).owned.batches(self.source.batch_keys):
            if candidates := sure.missing(keys):
                yield candidates

    def _among_candidates(self, name: str, keys: Iterable[Key]) -> list[Key]:
        sure = self.sure.taken_of(name).owned.missing(keys)
        owned = self.reached.taken_of(name).owned
        return [key for key in sure if key in owned]

    # What holds a row ----------------------------------------------------------------------------

    def _needed_by_outsiders(self, name: str, keys: list[Key]) -> None:
        """A row that goes nowhere points at it."""
        for relation in self.graph.pointing_at(name):
            if self.terms.ignores(relation):
                continue
            going = self.reached.taken_of(relation.source).owned
            pointing = self.source.pointing(relation, name, keys)
            for lot in batches(pointing, self.source.batch_keys):
                self._stay(
                    Reason(target, key, relation, relation.source, other, belongs=False)
                    for other, target, key in self._pointed(relation, going.missing(lot))
                    if target == name
                )

    def _belonging_to_others(self, name: str, keys: list[Key]) -> None:
        """It belongs to a row that goes nowhere, as well as to one that may go."""
        for relation in self._owners(name):
            self._stay(
                Reason(name, key, relation, target, other, belongs=True)
                for key, target, other in self._pointed(relation, keys)
                if self._stays_anyway(relation, target, other)
            )

    def _stays_anyway(self, relation: Relation, target: str, key: Key) -> bool:
        taken = self.reached.taken_of(target)
        if relation.is_parent:
            # The halves of one object share one fate, whatever a policy says of one of them.
            return key not in taken.owned
        if self.terms.is_lookup(relation, target):
            return False
        return key in taken.shared and key not in taken.owned

    def _keep_what_it_points_at(self, name: str, keys: list[Key]) -> None:
        for relation in self.graph.pointing_from(name):
            if not self.terms.ignores(relation):
                self._stay(
                    Reason(target, key, relation, name, other, belongs=False)
                    for other, target, key in self._pointed(relation, keys)
                )

    def _keep_what_belongs_to_it(self, name: str, keys: list[Key]) -> None:
        for relation in self.graph.pointing_at(name):
            if relation not in self._owners(relation.source) and not relation.is_parent:
                continue
            pointing = self.source.pointing(relation, name, keys)
            for lot in batches(pointing, self.source.batch_keys):
                mine = self._among_candidates(relation.source, lot)
                # Of what stays with its owner, the owner's own reason says enough.
                self._stay(
                    (
                        Reason(relation.source, key, relation, name, other, belongs=True)
                        for key, target, other in self._pointed(relation, mine)
                        if target == name
                    ),
                    is_told=False,
                )

    def _owners(self, name: str) -> list[Relation]:
        """The relations by which rows of the table belong to others. Rows of an automatic
        many-to-many table belong to the side that declares the field, a one-to-one row to the one
        row it completes: other relations of theirs merely point."""
        table = self.graph.tables[name]
        belonging = [
            relation
            for relation in self.graph.pointing_from(name)
            if self.terms.belongs(relation) and not self.terms.ignores(relation)
        ]
        if table.through_of:
            return [r for r in belonging if r.target == table.through_of][:1]
        only = [
            r
            for r in belonging
            if r.is_parent or (r.kind is RelationKind.ONE_TO_ONE and not r.is_nullable)
        ]
        return only or belonging

    def _stay(self, reasons: Iterable[Reason], *, is_told: bool = True) -> None:
        """The rows of these reasons stay, where they are candidates at all."""
        for lot in batches(reasons, self.source.batch_keys):
            by_table: dict[str, dict[Key, Reason]] = defaultdict(dict)
            for reason in lot:
                by_table[reason.table].setdefault(reason.key, reason)
            for name, by_key in by_table.items():
                new = self._keep(name, self._among_candidates(name, by_key))
                for key in new[: _REASONS - self.told[name]] if is_told else ():
                    self.told[name] += 1
                    self.reasons.append(by_key[key])

    def _keep(self, name: str, keys: list[Key]) -> list[Key]:
        """Let rows stay; those that were to go until now come back."""
        new = self._keys(self.staying, name).add(keys) if keys else []
        if new:
            self._keys(self.pending, name).add(new)
        return new

    def _keys(self, sets: dict[str, KeySet], name: str) -> KeySet:
        if name not in sets:
            sets[name] = empty_keys(self.graph.tables[name])
        return sets[name]

    def _pointed(self, relation: Relation, keys: Sequence[Key]) -> Iterator[tuple[Key, str, Key]]:
        """Each of the rows that points, with the table and the key of the row it points at."""
        for lot in batches(keys, self.source.batch_keys):
            pairs = self.source.pointer_pairs(relation, lot)
            yield from pointed_rows(self.graph, self.source, relation, pairs)


def pointed_rows(
    graph: Graph, source: KeySource, relation: Relation, pairs: Sequence[tuple[Key, Value]]
) -> Iterator[tuple[Key, str, Key]]:
    """Pairs of a row's key and its pointer's value, as rows: (key, table pointed at, key there)."""
    if not pairs:
        return
    if relation.is_generic:
        for key, value in pairs:
            content_type, raw = cast("tuple[Key, Value]", value)
            target = source.generic_target(content_type)
            pointed = source.generic_key(target, raw) if target else None
            if pointed is not None:
                yield key, target, pointed
        return
    columns = graph.tables[relation.target].key_columns
    if relation.points_at_key and all(column.kind is not Kind.TEXT for column in columns):
        for key, value in pairs:
            yield key, relation.target, value
        return
    # Values that are no keys, and texts that a collation may find equal: the database tells.
    values = list({value for _, value in pairs})
    keys = dict(source.resolve(relation.target, relation.target_columns, values))
    for key, value in pairs:
        if value in keys:
            yield key, relation.target, keys[value]
