"""How do rows go a batch at a time, on a site that lives meanwhile? A stage of a deletion.

Each batch is a transaction of its own: its rows are locked and held against the archive, go, and
are proved gone; the journal counts them. After each commit every pointer leads somewhere, and the
rest can be taken up by `--resume`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from .database import journal
from .database.transactions import loading
from .errors import DatabaseFailed, Finding, Findings, Overtaken, Severity
from .progress import Progress
from .removal.ledger import ChangedEntry, Entry
from .removal.order import self_stuck
from .removal.pace import Pace
from .removal.survivors import pointed_rows
from .removal.throttle import Throttle
from .removing import BATCH_ROWS, Gone, Held, Removing
from .rows import Key, batches
from .walk.keys import KeySet, empty_keys

_Item = TypeVar("_Item")


@dataclass(slots=True)
class _Left:
    """Rows that were to go and stay: changed since, or pointed at by others; and why."""

    keys: dict[str, KeySet] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)


class Stepwise:
    """One removal in batches; `number` is its record in the journal."""

    def __init__(
        self,
        removing: Removing,
        number: int,
        pace: Pace,
        throttle: Throttle,
        progress: Progress,
        *,
        is_resumed: bool,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.removing = removing
        self.number = number
        self.pace = pace
        self.throttle = throttle
        self.progress = progress
        self.is_resumed = is_resumed
        self.clock = clock
        self.sleep = sleep
        self.connection = removing.connection
        self.left = _Left()

    def run(self) -> tuple[Gone, Findings]:
        """Remove what can be removed. The counts of all runs come back, and the rows that stay."""
        removing = self.removing
        for name in removing.ledger.changing_counts():
            self._each(removing.ledger.changing(name), lambda lot, n=name: self._change(n, lot))  # type: ignore[misc]
        self.progress.begin("Removing", removing.total)
        for name in removing.keys:
            if removing.order.emptied_of(name):
                self._each(removing.ledger.going(name), lambda lot, n=name: self._empty(n, lot))  # type: ignore[misc]
        stuck = {relation.source for relation in self_stuck(removing.graph, removing.keys)}
        for group in removing.order.groups:
            if len(group) > 1 or group[0] in stuck:
                self._attempt(lambda names=group: self._together(names))  # type: ignore[misc]
            else:
                (name,) = group
                self._each(removing.ledger.going(name), lambda lot, n=name: self._remove(n, lot))  # type: ignore[misc]
        self.progress.end()
        return self._proved()

    # Batches --------------------------------------------------------------------------------------

    def _each(self, items: Iterable[_Item], work: Callable[[list[_Item]], None]) -> None:
        """Do the work for all items, as many at a time as the pace says; a batch that meets a
        deadlock or a lock is tried again with fewer."""
        rest = iter(items)
        pending: list[_Item] = []
        while True:
            pending += islice(rest, max(0, self.pace.rows - len(pending)))
            if not pending:
                return
            lot = pending[: self.pace.rows]
            if self._attempt(lambda lot=lot: work(lot), len(lot)):  # type: ignore[misc]
                del pending[: len(lot)]

    def _attempt(self, work: Callable[[], None], rows: int = 0) -> bool:
        """One transaction; False when it met a lock and is to be tried again."""
        began = self.clock()
        try:
            with loading(self.connection, keep=True):
                work()
        except (Overtaken, DatabaseFailed) as error:
            if not self._is_about_locks(error) or not self.pace.stumbled():
                raise
            self.sleep(self.pace.pause_seconds)
            return False if rows else self._attempt(work)
        seconds = self.clock() - began
        if rows:
            self.pace.went(rows, seconds)
        self.throttle.wait(seconds)
        return True

    def _is_about_locks(self, error: Exception) -> bool:
        if isinstance(error, Overtaken):
            return True
        cause = error.__cause__
        return isinstance(cause, Exception) and self.removing.dialect.is_lock_timeout(cause)

    def _record(self, *, removed: Counter[str], changed: Counter[str]) -> None:
        record = journal.locked(self.connection.alias, self.number)
        journal.add(record, removed=removed, changed=changed)

    # Steps ----------------------------------------------------------------------------------------

    def _change(self, name: str, entries: Sequence[ChangedEntry]) -> None:
        changed: Counter[str] = Counter()
        self.left.findings.extend(self.removing.change(name, entries, changed))
        self._record(removed=Counter(), changed=changed)

    def _empty(self, name: str, entries: Sequence[Entry]) -> None:
        going = self._still_the_same(name, entries)
        self.removing.empty(name, [self.removing.key(name, entry.pk) for entry in going])

    def _remove(self, name: str, entries: Sequence[Entry]) -> None:
        going = self._still_the_same(name, entries)
        keys = [self.removing.key(name, entry.pk) for entry in going]
        count = self._delete(name, self._free(name, keys))
        label = self.removing.graph.tables[name].label
        self._record(removed=Counter({label: count}), changed=Counter())
        self.progress.advance(len(entries))

    def _together(self, names: Sequence[str]) -> None:
        """Tables whose rows point at each other in circles that cannot be opened."""
        removing = self.removing
        removed: Counter[str] = Counter()
        for name in names:
            for keys in removing.keys[name].batches(BATCH_ROWS):
                self._stop_if_pointed_at(name, keys)
        with removing.unchecked():
            for name in names:
                for entries in batches(removing.ledger.going(name), BATCH_ROWS):
                    going = self._still_the_same(name, entries)
                    keys = [removing.key(name, entry.pk) for entry in going]
                    removed[removing.graph.tables[name].label] += removing.delete(name, keys)
                    self.progress.advance(len(entries))
        removing.dialect.settle_constraints()
        self._record(removed=removed, changed=Counter())

    # What stays after all -------------------------------------------------------------------------

    def _still_the_same(self, name: str, entries: Sequence[Entry]) -> list[Entry]:
        """The entries but for those whose rows changed since they were archived: they stay."""
        changed = dict[str, Finding]()
        differing = self.removing.differing(name, entries, may_be_gone=self.is_resumed)
        for entry, finding in differing:
            changed[str(entry.pk)] = finding
        if changed:
            keys = [self.removing.key(name, e.pk) for e in entries if str(e.pk) in changed]
            self._leave(name, keys, changed.values())
        return [entry for entry in entries if str(entry.pk) not in changed]

    def _leave(self, name: str, keys: Sequence[Key], findings: Iterable[Finding]) -> None:
        if name not in self.left.keys:
            self.left.keys[name] = empty_keys(self.removing.graph.tables[name])
        if self.left.keys[name].add(keys):
            self.left.findings.extend(findings)

    def _free(self, name: str, keys: list[Key]) -> list[Key]:
        """The keys but for those that rows which were left point at: these stay too."""
        held = dict(self._held_by_left(name, keys))
        if held:
            self._leave(name, list(held), held.values())
        return [key for key in keys if key not in held]

    def _held_by_left(self, name: str, keys: Sequence[Key]) -> Iterator[tuple[Key, Finding]]:
        removing, wanted = self.removing, set(keys)
        for relation in removing.graph.pointing_at(name):
            left = self.left.keys.get(relation.source)
            for lot in left.batches(BATCH_ROWS) if left is not None else ():
                pairs = removing.reader.pointer_pairs(relation, lot)
                rows = pointed_rows(removing.graph, removing.reader, relation, pairs)
                for other, target, key in rows:
                    if target == name and key in wanted and other != key:
                        yield key, removing.pointer_finding(relation, other, name, key)

    def _delete(self, name: str, keys: list[Key]) -> int:
        """Rows that others point at since the plan are left, with a finding for each of those."""
        if not keys:
            return 0
        from django.db import transaction

        try:
            with transaction.atomic(using=self.connection.alias):
                # Before: a constraint of the database's own might take along what nobody archived.
                self._stop_if_pointed_at(name, keys)
                count = self.removing.delete(name, keys)
                self.removing.dialect.settle_constraints()
                return count
        except Held as held:
            self._leave(name, held.keys, held.findings)
            stays = set(held.keys)
            return self._delete(name, [key for key in keys if key not in stays])

    def _stop_if_pointed_at(self, name: str, keys: Sequence[Key]) -> None:
        pointers = list(self.removing.pointing(name, keys))
        if pointers:
            raise Held(pointers)

    # Proof ----------------------------------------------------------------------------------------

    def _proved(self) -> tuple[Gone, Findings]:
        findings = self.left.findings
        if not findings:
            self.progress.begin("Proving", self.removing.total)
            findings = self.removing.left_behind(self.progress.advance)
            self.progress.end()
        with loading(self.connection, keep=True):
            record = journal.locked(self.connection.alias, self.number)
            gone = Gone(Counter(record.removed), Counter(record.changed))
            if not findings:
                findings.extend(_vanished(gone, self.removing.rows_by_model()))
        return gone, findings


def _vanished(gone: Gone, planned: dict[str, int]) -> Iterator[Finding]:
    """Rows that are gone, and that no run of this removal took."""
    for label, count in planned.items():
        if missing := count - gone.removed[label]:
            rows = "row was" if missing == 1 else "rows were"
            yield Finding(
                "gone-otherwise",
                Severity.WARNING,
                label,
                f"{missing:,} {rows} removed by somebody else meanwhile.",
            )
