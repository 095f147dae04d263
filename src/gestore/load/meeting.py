"""What becomes of a batch of the archive's rows, given the rows here?

By key first, then by unique values, in one order for all strategies; pairs of automatic
many-to-many tables by what they pair alone, for their own keys mean nothing. Asks a `RowFinder`;
writes nothing.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Protocol, TypeAlias, cast
from uuid import uuid4

from ..errors import Finding, Severity
from ..rows import JsonValue, Key, Value, key_text
from ..schema.graph import Graph
from ..schema.policy import Policy
from ..schema.relation import Relation
from ..schema.table import Column, Kind, Table, UniqueSet
from ..walk.keys import IntegerKeys, KeySet, PlainKeys, empty_keys
from .decoding import Decoding, SourceRow
from .keymap import KeyMap, is_fresh
from .leavings import Leavings
from .pointers import PointerCheck
from .resolutions import Resolution, Resolutions
from .rewriting import Rewriting
from .strategies import Action, ConflictKind, Strategies, Strategy, allowed, decide
from .translation import Translation, pointer
from .verdicts import Examination, TableVerdict
from .versions import as_json, differing, key_as_json, loose, short, shown

Translated: TypeAlias = "tuple[SourceRow, dict[str, Value]]"
Here: TypeAlias = Mapping[str, Value]
Fates: TypeAlias = "dict[tuple[str, Key], Action]"


class RowFinder(Protocol):
    """Answers what is in the target database already. Values come in `table.columns` order."""

    def matching(
        self, table: Table, names: Sequence[str], values: Sequence[Value]
    ) -> Sequence[tuple[Value, ...]]: ...

    def resolve(
        self, table: str, columns: Sequence[str], values: Sequence[Value]
    ) -> Sequence[tuple[Value, Key]]: ...

    def refuses(self, column: Column, value: Value) -> str: ...

    def refused(
        self, table: Table, rows: Sequence[Mapping[str, Value]]
    ) -> Sequence[tuple[int, str]]:
        """The places of the rows that the table's own constraints refuse, with what the database
        says. Writes nothing that stays."""

    def clashing(self, table: Table, values: Mapping[str, Value]) -> Sequence[tuple[Value, ...]]:
        """The rows here that conditional or expression uniques set against this one."""


class Ground:
    """Where the archive's rows meet the rows here: what all meetings of one examination share.

    `recalled` are the keys, by table, for which the key map says what an earlier import of the
    same archive made of them. `fates` says, by table and key, what one examination decided for the
    next: of a row for which another key stands here, and of the upper half of a multi-table row
    because of what became of the lower. At the first of several examinations (`is_first`) keys
    ahead of a row are not decided yet: what hangs on them is left to the second. Without
    `leavings` nobody is given back what a deletion took: it is a difference like any other.
    """

    def __init__(
        self,
        graph: Graph,
        decoding: Decoding,
        finder: RowFinder,
        strategies: Strategies,
        keymap: KeyMap,
        *,
        rewriting: Rewriting | None = None,
        resolutions: Resolutions | None = None,
        recalled: Mapping[str, KeySet] | None = None,
        fates: Fates | None = None,
        leavings: Leavings | None = None,
        is_first: bool = False,
    ) -> None:
        self.graph = graph
        self.decoding = decoding
        self.finder = finder
        self.strategies = strategies
        self.keymap = keymap
        self.resolutions = resolutions or Resolutions()
        self.recalled = recalled or {}
        self.fates: Fates = {} if fates is None else fates
        self.leavings = leavings
        self.is_first = is_first
        self.is_put_off = False
        self.translation = Translation(graph, decoding, keymap, rewriting)
        self.result = Examination(keymap)
        self.pointers = PointerCheck(graph, decoding, self._archived)
        # Values that unique sets have had in this archive, as 64-bit hashes.
        self.seen: dict[tuple[str, str], IntegerKeys] = defaultdict(IntegerKeys)
        # Keys of rows here that take the values of archived ones.
        self.taking: dict[str, KeySet] = defaultdict(PlainKeys)

    def _archived(self, name: str) -> KeySet | None:
        verdict = self.result.verdicts.get(name)
        return None if verdict is None else verdict.archived

    def find(
        self,
        code: str,
        row: SourceRow,
        message: str,
        hint: str,
        severity: Severity = Severity.ERROR,
        details: Mapping[str, JsonValue] | None = None,
    ) -> None:
        self.result.findings.append(Finding(code, severity, row.reference, message, hint, details))

    def can_renew(self, table: Table) -> bool:
        """Whether a new key can be made up: a number or a UUID that is no pointer."""
        if len(table.key_names) != 1:
            return False
        is_pointer = any(
            table.key_names[0] in relation.columns
            for relation in self.graph.pointing_from(table.name)
        )
        return not is_pointer and table.key_columns[0].kind in (Kind.INTEGER, Kind.UUID)

    def open_columns(self, table: Table) -> frozenset[str]:
        """Pointers at rows that may not have been examined yet."""
        if not self.is_first:
            return frozenset()
        return frozenset(
            name
            for relation in self.graph.pointing_from(table.name)
            if relation.is_generic or self.graph.is_circular(relation)
            for name in relation.columns
        )

    def put_off(self) -> None:
        """Something is left to the next examination."""
        self.is_put_off = True

    def decide_upper(self, relation: Relation, row: SourceRow, action: Action) -> None:
        """What is to become of the upper half of a row, at the next examination."""
        place = relation.target, pointer(relation, row.values)
        self.is_put_off |= self.fates.get(place) is not action
        self.fates[place] = action

    def renew(self, table: Table, keys: Sequence[Key]) -> None:
        self.keymap.renew((table.name, table.key_names), keys, lambda: empty_keys(table))


class Meeting:
    """One batch of rows meets the rows here."""

    def __init__(self, ground: Ground, table: Table, verdict: TableVerdict) -> None:
        self._of = ground
        self._table = table
        self._verdict = verdict
        self._strategy = ground.strategies.of_table(table.name)
        self._open = ground.open_columns(table)
        self._pair = pair_of(table)
        # Rows here that only lack what a deletion took from them, with the archived ones.
        self._lacking: list[tuple[SourceRow, dict[str, Value], Here]] = []
        self._is_shared_model = (
            ground.decoding.manifest.policies.get(table.name) == Policy.SHARE.value
        )

    def meet(self, rows: list[Translated]) -> None:
        """Decide each row of the batch."""
        if self._pair is not None and self._open.isdisjoint(self._pair.columns):
            rows = self._meet_pairs(self._pair, rows)
        by_key = self._by_key(rows)
        rows = self._spread(rows, by_key)
        rest: list[Translated] = []
        overriding: dict[int, Here] = {}
        for row, values in rows:
            here = None if row.key is None else by_key.get(self._key(values))
            if here is None:
                rest.append((row, values))
                continue
            action = self._meet_by_key(row, values, here)
            if action is Action.REMAP:
                self._of.renew(self._table, [row.key])
                rest.append((row, self._of.translation.values(row)))
            elif action is Action.OVERRIDE:
                overriding[len(rest)] = here
                rest.append((row, values))
        self.restore()
        self._meet_by_unique(rest, overriding)

    def _spread(self, rows: list[Translated], by_key: Mapping[Key, Here]) -> list[Translated]:
        """A row that gets a new key changes those of its own table that point at it, and so on:
        down a chain of replies in one go, where each new examination would go one step."""
        of = self._of
        points_at_itself = any(
            relation.is_generic or relation.target == self._table.name
            for relation in of.graph.pointing_from(self._table.name)
        )
        if not (points_at_itself and self._strategy is Strategy.REMAP):
            return rows
        if not of.can_renew(self._table):
            return rows
        recalled = of.recalled.get(self._table.name, ())
        pending = {
            row.key: row for row, _ in rows if row.key is not None and row.key not in recalled
        }
        pointing: dict[Key, list[Key]] = defaultdict(list)
        for source, row in pending.items():
            for _, target, key in of.pointers.pointers(row):
                if target == self._table.name and key in pending:
                    pointing[key].append(source)
        queue = deque(pending)
        while queue:
            key = queue.popleft()
            if key in pending and self._is_spread_to(pending[key], by_key):
                del pending[key]
                queue.extend(pointing[key])
        return [(row, of.translation.values(row)) for row, _ in rows]

    def _is_spread_to(self, row: SourceRow, by_key: Mapping[Key, Here]) -> bool:
        values = self._of.translation.values(row)
        here = by_key.get(self._key(values))
        if here is None or self._of.resolutions.of(self._table.name, row.pk) is not None:
            return False
        if (self._table.name, row.key) in self._of.fates:
            return False
        names, _ = self._differing(row, values, here)
        if not names or self._hangs_on_open(names, values):
            return False
        self._of.renew(self._table, [row.key])
        return True

    def _key(self, values: Here) -> Key:
        return self._of.translation.key(self._table, values)

    def _named(self, row: Sequence[Value]) -> dict[str, Value]:
        return {column.name: v for column, v in zip(self._table.columns, row, strict=True)}

    # By pair -------------------------------------------------------------------------------------

    def _meet_pairs(self, pair: UniqueSet, rows: list[Translated]) -> list[Translated]:
        """A pair that is here is here, under whatever key and strategy; the others come back."""
        found: dict[int, Here] = {}
        for place, here in self.taken(pair, rows):
            found.setdefault(place, here)
        for place, here in found.items():
            row, values = rows[place]
            if row.key is None:
                self._verdict.pairs_here.add(frozenset(row.values.items()))
            else:
                self.match(row, values, here)
        return [self._alone(*met) for place, met in enumerate(rows) if place not in found]

    def _alone(self, row: SourceRow, values: dict[str, Value]) -> Translated:
        """An earlier examination may have taken another pair for this one, when it was not yet
        known what becomes of the rows that are paired."""
        if self._of.keymap.forget(self._table.name, self._table.key_names, row.key):
            values = self._of.translation.values(row)
        return row, values

    # By key --------------------------------------------------------------------------------------

    def _by_key(self, rows: Sequence[Translated]) -> dict[Key, Here]:
        """The rows here that have the key of one of these."""
        keys = [self._key(values) for row, values in rows if row.key is not None]
        keys = [key for key in keys if not is_fresh(key)]
        if not keys:
            return {}
        table = self._table
        found = map(self._named, self._of.finder.matching(table, table.key_names, keys))
        by_key: dict[Key, Here] = {self._key(values): values for values in found}
        # A collation may find a key equal that Python does not: it is taken all the same.
        wanted = set(keys)
        loosely = {loose(k): values for k, values in by_key.items() if k not in wanted}
        for key in keys:
            if key not in by_key and loose(key) in loosely:
                by_key[key] = loosely[loose(key)]
        return by_key

    def _meet_by_key(self, row: SourceRow, values: dict[str, Value], here: Here) -> Action | None:
        """What becomes of a row whose key is here; None when it is settled."""
        names, lacking = self._differing(row, values, here)
        fate = self._of.fates.get((self._table.name, row.key))
        if fate is not None and (entry := self._of.resolutions.of(self._table.name, row.pk)):
            self._of.resolutions.use(entry)
        if not names and lacking and fate is None:
            self._lacking.append((row, values, here))
            return None
        if not names and not lacking and fate is not Action.REMAP:
            self._verdict.note("kept" if fate is Action.KEEP else "here", row.key)
            self._map(row, self._key(values))
            return None
        action = self._action_by_key(row, here, fate)
        if self._waits(action, names, values):
            self._of.put_off()
            self._verdict.note("here", row.key)
            return None
        if action is Action.REMAP and not self._of.can_renew(self._table):
            if not self._renew_upper_half(row, self._table.key_names):
                self._find_unchangeable(row, names, values, here)
            return None
        if action is Action.KEEP:
            self.keep(row, here)
            return None
        if action is Action.REFUSE:
            self._conflict(
                ConflictKind.KEY,
                row,
                values,
                [here],
                f"is here with other values: {shown(names, values, here)}.",
            )
            return None
        return action

    def _differing(
        self, row: SourceRow, values: dict[str, Value], here: Here
    ) -> tuple[list[str], set[str]]:
        """The columns in which they differ, and apart from them those in which the row here has
        what a deletion left."""
        names = differing(self._table, row, values, here)
        if not (names and row.changed and self._of.leavings):
            return names, set()
        lacking = self._of.leavings.among(row, names, here)
        return [name for name in names if name not in lacking], lacking

    def _action_by_key(self, row: SourceRow, here: Here, fate: Action | None) -> Action:
        action = fate or self._action(ConflictKind.KEY, row, here)
        if self._pair is not None:
            # Another pair never stands for this one, nor gives way to it: one would be lost.
            return action if action is Action.REFUSE else Action.REMAP
        if action is Action.REMAP and row.key in self._of.recalled.get(self._table.name, ()):
            # It got its new key in an earlier import; what changed since is its owner's.
            return Action.KEEP
        return action

    def _renew_upper_half(self, row: SourceRow, columns: tuple[str, ...]) -> bool:
        """A multi-table row whose link to its parent is not free gets a new one when the parent
        gets a new key."""
        for relation in self._of.graph.pointing_from(self._table.name):
            if (
                relation.is_parent
                and relation.columns == columns
                and self._of.strategies.of_table(relation.target) is Strategy.REMAP
            ):
                self._of.decide_upper(relation, row, Action.REMAP)
                return True
        return False

    def _find_unchangeable(
        self, row: SourceRow, names: list[str], values: dict[str, Value], here: Here
    ) -> None:
        self._conflict(
            ConflictKind.KEY,
            row,
            values,
            [here],
            f"is here with other values: {shown(names, values, here)}; its key "
            f"({', '.join(self._table.key_names)}) cannot be made anew.",
            "Give the pair that is here another key."
            if self._pair
            else f"Say what is to be done: --on-conflict {self._table.label}=keep, or by hand with "
            "--write-resolutions FILE.",
        )

    # What a deletion took ------------------------------------------------------------------------

    def restore(self) -> None:
        """Rows that were met and only lack what a deletion took are here, and are to get it back;
        unless another row has been given a pointer since that only one may have."""
        pairs = [(row, values) for row, values, _ in self._lacking]
        taken: dict[int, list[tuple[UniqueSet, Here]]] = defaultdict(list)
        for unique in self.sets(pairs) if pairs else ():
            if any(not row.changed.isdisjoint(unique.columns) for row, _ in pairs):
                for place, here in self.taken(unique, pairs):
                    if self._key(here) != self._key(self._lacking[place][2]):
                        taken[place].append((unique, here))
        for place, (row, values, here) in enumerate(self._lacking):
            if place not in taken:
                self._verdict.note("here", row.key)
                self._verdict.note("restored", row.key)
                self._map(row, self._key(values))
            elif self._action(ConflictKind.UNIQUE, row, taken[place][0][1]) is Action.KEEP:
                self.keep(row, here)
            else:
                self._meet_taken(row, values, taken[place], is_overriding=True)
        self._lacking.clear()

    # By unique values ----------------------------------------------------------------------------

    def _meet_by_unique(self, rows: list[Translated], overriding: Mapping[int, Here]) -> None:
        """Rows whose key is free here, or whose row here is overridden: are their values free?"""
        taken: dict[int, list[tuple[UniqueSet, Here]]] = defaultdict(list)
        for unique in self.sets(rows):
            for place, here in self.taken(unique, rows):
                own = overriding.get(place)
                if own is None or self._key(own) != self._key(here):
                    taken[place].append((unique, here))
        free: list[Translated] = []
        for place, (row, values) in enumerate(rows):
            if place in taken:
                self._meet_taken(row, values, taken[place], is_overriding=place in overriding)
            elif place in overriding:
                self._override(row, values, overriding[place])
            else:
                free.append((row, values))
        self._load(free)

    def _waits(self, action: Action, names: Sequence[str], values: Here) -> bool:
        """Whether only the next examination can say what becomes of a row whose key is here: a
        pair's pointers, or all in which it differs, are not known yet."""
        if self._pair is not None:
            return not self._open.isdisjoint(self._pair.columns)
        return action is Action.REMAP and self._hangs_on_open(names, values)

    def _hangs_on_open(self, names: Sequence[str], values: Here) -> bool:
        """Whether a row differs only by pointers whose new values are not known yet."""
        return bool(names) and all(n in self._open and not is_fresh(values[n]) for n in names)

    def sets(self, rows: Sequence[Translated]) -> Iterator[UniqueSet]:
        """The unique sets whose values are known by now. One with open pointers waits if it is
        taken as they stand; if not, only a key that changes can make it so. Pairs are met before.
        """
        for unique in whole_sets(self._table):
            if self._open.isdisjoint(unique.columns):
                if unique is not self._pair:
                    yield unique
            elif any(True for _ in self.taken(unique, rows)):
                self._of.put_off()

    def taken(self, unique: UniqueSet, rows: Sequence[Translated]) -> Iterator[tuple[int, Here]]:
        """The places of the rows whose values of the set a row here has, with that row."""
        wanted: dict[Value, list[int]] = defaultdict(list)
        for place, (row, values) in enumerate(rows):
            value = unique_value(unique, row, values)
            if value is not None and not is_fresh(value):
                wanted[value].append(place)
        if not wanted:
            return
        for found in self._of.finder.matching(self._table, unique.columns, list(wanted)):
            here = self._named(found)
            parts = tuple(here[name] for name in unique.columns)
            value = parts[0] if len(parts) == 1 else parts
            places = wanted.get(value)
            if places is None:
                # Equal to the database, by its collation, and not to Python.
                places = [p for v, ps in wanted.items() if loose(v) == loose(value) for p in ps]
            for place in places:
                yield place, here

    def _meet_taken(
        self,
        row: SourceRow,
        values: dict[str, Value],
        taken: Sequence[tuple[UniqueSet, Here]],
        *,
        is_overriding: bool,
    ) -> None:
        heres = {self._key(here): here for _, here in taken}
        action = self._action(ConflictKind.UNIQUE, row, next(iter(heres.values())))
        if len(heres) == 1 and not is_overriding and action in (Action.KEEP, Action.OVERRIDE):
            ((_, here),) = heres.items()
            if action is Action.KEEP:
                self.keep(row, here)
            else:
                self._override(row, values, here)
            return
        if self._strategy is Strategy.REMAP:
            stuck = [u for u, _ in taken if not self._renew_upper_half(row, u.columns)]
            if not stuck:
                return
        names = "; ".join(unique.name for unique, _ in taken)
        keys = " and ".join(
            f"{self._table.label}.{key_text(key)}" for key in sorted(heres, key=str)
        )
        told = ", ".join(
            f"{name}={short(values.get(name))}" for unique, _ in taken for name in unique.columns
        )
        hint = ""
        if self._strategy is Strategy.REMAP:
            hint = (
                f"A new key does not free a unique value: --on-conflict {self._table.label}=keep, "
                "or give new values by hand with --write-resolutions FILE."
            )
        self._conflict(
            ConflictKind.UNIQUE,
            row,
            values,
            list(heres.values()),
            f"{told} is taken here by {keys} (unique: {names}).",
            hint,
        )

    # Outcomes ------------------------------------------------------------------------------------

    def _action(self, kind: ConflictKind, row: SourceRow, here: Here) -> Action:
        """By hand where somebody said so, and the row here is still the one they saw."""
        entry = self._of.resolutions.of(self._table.name, row.pk)
        if entry is not None and self._fits(entry, kind, here):
            self._of.resolutions.use(entry)
            return entry.action
        return decide(kind, self._strategy, is_shared_model=self._is_shared_model)

    def _fits(self, entry: Resolution, kind: ConflictKind, here: Here) -> bool:
        if entry.conflict and entry.conflict != kind.value:
            return False
        return entry.here is None or entry.here == as_json(self._table, here)

    def match(self, row: SourceRow, values: dict[str, Value], here: Here) -> None:
        """The row here is this one, under its own key: with the same values it is simply here. One
        under another key is another site's: what it lacks no deletion of this one took."""
        names, lacking = self._differing(row, values, here)
        if lacking and not names:
            self._lacking.append((row, values, here))
        elif lacking or set(names) - set(self._table.key_names) or row.key is None:
            self.keep(row, here)
        else:
            self._verdict.note("here", row.key)
            self._stand_in(row, here, Action.KEEP)

    def keep(self, row: SourceRow, here: Here) -> None:
        """The row here stands for the archived one: every pointer goes to it."""
        if row.key is not None:
            self._verdict.note("kept", row.key)
            self._stand_in(row, here, Action.KEEP)

    def _override(self, row: SourceRow, values: dict[str, Value], here: Here) -> None:
        """The row here takes the archived values; its key stays."""
        taking = self._of.taking[self._table.name]
        if not taking.add([self._key(here)]):
            taker = "which takes the values of another row of the archive."
            self._conflict(
                ConflictKind.UNIQUE,
                row,
                values,
                [here],
                f"would override {self._table.label}.{key_text(self._key(here))}, {taker}",
            )
            return
        for relation in self._pointing_at_changed(values, here):
            self._conflict(
                ConflictKind.KEY,
                row,
                values,
                [here],
                f"would change {', '.join(relation.target_columns)}, by which rows here point at "
                f"{self._table.label}.{key_text(self._key(here))} ({relation.name}).",
            )
        self._verdict.note("overridden", row.key)
        self._stand_in(row, here, Action.OVERRIDE)

    def _pointing_at_changed(self, values: Here, here: Here) -> Iterator[Relation]:
        """The relations by which rows here point at a value that is to change."""
        for relation in self._of.graph.pointing_at(self._table.name):
            if relation.points_at_key or relation.is_generic:
                continue
            old = tuple(here[name] for name in relation.target_columns)
            new = tuple(values[name] for name in relation.target_columns)
            value = old[0] if len(old) == 1 else old
            if old != new and self._of.finder.resolve(relation.source, relation.columns, [value]):
                yield relation

    def _stand_in(self, row: SourceRow, here: Here, action: Action) -> None:
        target = self._of.keymap.target(self._table.name, self._table.key_names, row.key)
        if target != self._key(here) and self._pair is None:
            self._of.fates[self._table.name, row.key] = action
        self._map(row, self._key(here))
        self._share_fate(row, here, action)
        if action is Action.OVERRIDE:
            # What is pointed at beside the key is what the archived row has.
            return
        for relation in self._of.graph.pointing_at(self._table.name):
            if relation.points_at_key or relation.is_generic:
                continue
            there = tuple(row.values.get(name) for name in relation.target_columns)
            stands = tuple(here[name] for name in relation.target_columns)
            if len(there) == 1:
                there, stands = there[0], stands[0]  # type: ignore[assignment]
            self._of.keymap.put(self._table.name, relation.target_columns, there, stands)

    def _share_fate(self, row: SourceRow, here: Here, action: Action) -> None:
        """Both halves of a multi-table row are one object: where another one's lower half stands
        for this, its upper half stands for this one's too."""
        keymap = self._of.keymap
        for relation in self._of.graph.pointing_from(self._table.name):
            if not relation.is_parent:
                continue
            upper, stands = pointer(relation, row.values), pointer(relation, here)
            if keymap.target(relation.target, relation.target_columns, upper) != stands:
                keymap.put(relation.target, relation.target_columns, upper, stands)
                self._of.decide_upper(relation, row, action)

    def _map(self, row: SourceRow, here: Key) -> None:
        """Remember the key here, unless the key map finds it by itself."""
        if row.key is None:
            return
        keymap, place = self._of.keymap, (self._table.name, self._table.key_names)
        if keymap.target(*place, row.key) != here:
            keymap.put(*place, row.key, here)

    def _load(self, rows: list[Translated]) -> None:
        """The rows are to be written, unless two of them have one unique value, one would be the
        lower half of somebody else's row, or the table's other constraints refuse it."""
        if self._table.needs_asking and rows:
            rows = self._ask(rows)
        for row, values in rows:
            for parent in self._grafted_onto(row):
                self._of.find(
                    "grafted",
                    row,
                    f"would become part of {parent}, which is another row here.",
                    "",
                    Severity.CONFLICT,
                )
            self._map(row, self._key(values) if row.key is not None else None)
            self._verdict.loaded_count += 1
            if is_fresh(values.get(self._table.key_names[0])):
                self._verdict.renewed_count += 1
                self._of.result.samples.setdefault(self._table.name, values)
        self._note_top(rows)
        self._find_repeats(rows)

    def _note_top(self, rows: list[Translated]) -> None:
        name, *others = self._table.key_names
        if others or self._table.key_columns[0].kind is not Kind.INTEGER:
            return
        tops = self._of.result.tops
        known = [tops[self._table.name]] if self._table.name in tops else []
        numbered = [values for row, values in rows if isinstance(values.get(name), int)]
        if numbered or known:
            tops[self._table.name] = max(
                [*known, *numbered], key=lambda values: cast("int", values[name])
            )

    def _ask(self, rows: list[Translated]) -> list[Translated]:
        """Conditions, expressions and exclusions: only the database can tell. The rows that are
        still to be written come back."""
        tried = made_up(self._table, [values for _, values in rows])
        refused = dict(self._of.finder.refused(self._table, tried))
        if refused and self._open:
            self._of.put_off()
            return rows
        for place, told in refused.items():
            row, values = rows[place]
            clashing = map(self._named, self._of.finder.clashing(self._table, tried[place]))
            heres = list({self._key(here): here for here in clashing}.values())
            action = self._action(ConflictKind.UNIQUE, row, heres[0]) if len(heres) == 1 else None
            if action is Action.KEEP:
                self.keep(row, heres[0])
            elif action is Action.OVERRIDE:
                self._override(row, values, heres[0])
            else:
                self._conflict(
                    ConflictKind.UNIQUE,
                    row,
                    values,
                    heres,
                    f"is refused by a constraint here: {told}.",
                )
        return [pair for place, pair in enumerate(rows) if place not in refused]

    def _find_repeats(self, rows: Sequence[Translated]) -> None:
        """Unique values that another row of the archive has had already."""
        for unique in whole_sets(self._table):
            hashed = [
                (hash(value), row)
                for row, values in rows
                if (value := unique_value(unique, row, values)) is not None
            ]
            seen = self._of.seen[self._table.name, unique.name]
            new = set(seen.add(number for number, _ in hashed))
            for number, row in hashed:
                if number in new:
                    new.discard(number)
                    continue
                self._of.result.findings.append(repeated_value(unique, row))

    def _grafted_onto(self, row: SourceRow) -> Iterator[str]:
        for relation in self._of.graph.pointing_from(row.table.name):
            if not relation.is_parent:
                continue
            parent = self._of.result.verdicts.get(relation.target)
            key = pointer(relation, row.values)
            if parent is not None and key is not None and key in parent.kept:
                yield f"{self._of.graph.tables[relation.target].label}.{key_text(key)}"

    def _conflict(
        self,
        kind: ConflictKind,
        row: SourceRow,
        values: dict[str, Value],
        heres: Sequence[Here],
        message: str,
        hint: str = "",
    ) -> None:
        """A finding with both versions, and what may be said of it by hand."""
        table = self._table
        # Nobody's pair can be kept or overridden in the place of another.
        is_one = len(heres) == 1 and self._pair is None
        actions = allowed(kind, can_renew=self._of.can_renew(table), is_one=is_one)
        details: dict[str, JsonValue] = {
            "model": table.name,
            "pk": row.pk,
            "conflict": kind.value,
            "action": Action.REFUSE.value,
            "actions": [action.value for action in actions],
            "archived": as_json(table, values),
            "here": as_json(table, heres[0]) if len(heres) == 1 else None,
            "here_pks": [key_as_json(table, self._key(here)) for here in heres],
        }
        self._of.find(kind.value, row, message, hint, Severity.CONFLICT, details)


def made_up(table: Table, rows: Sequence[Mapping[str, Value]]) -> list[dict[str, Value]]:
    """The rows with keys that nobody has where keys are not reserved yet: good for a trial.

    Numbers are below every key that a sequence gives, and never the same twice in a trial.
    """
    numbers = count(-1, -1)
    tried = []
    for values in rows:
        row = dict(values)
        for name, value in values.items():
            if is_fresh(value):
                row[name] = uuid4() if table.column(name).kind is Kind.UUID else next(numbers)
        tried.append(row)
    return tried


def whole_sets(table: Table) -> list[UniqueSet]:
    """The unique sets that values alone can tell."""
    return [unique for unique in table.unique_sets if not unique.is_partial]


def pair_of(table: Table) -> UniqueSet | None:
    """What identifies a row of an automatic many-to-many table: both its pointers."""
    return next(iter(whole_sets(table)), None) if table.through_of else None


def repeated_value(unique: UniqueSet, row: SourceRow) -> Finding:
    """Another row of the archive has had the row's value of the set."""
    told = ", ".join(f"{n}={short(row.values.get(n))}" for n in unique.columns)
    return Finding(
        "repeated-value",
        Severity.CONFLICT,
        row.reference,
        f"{told} stands in the archive twice, and is unique.",
        "Change one of them in the archive.",
    )


def unique_value(unique: UniqueSet, row: SourceRow, values: Mapping[str, Value]) -> Value:
    """The row's value of the set; None where an empty part makes it no value at all."""
    parts = tuple(values.get(name) for name in unique.columns)
    if any(name in row.absent for name in unique.columns) or any(p is None for p in parts):
        return None
    return parts[0] if len(parts) == 1 else parts
