"""How do rows go a batch at a time, on a site that lives meanwhile? A stage of a deletion.

Each batch is a transaction of its own: its rows are locked and held against the archive, go, and
are proved gone; the journal counts them. After each commit every pointer leads somewhere, and the
rest can be taken up by `--resume`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from django.db import IntegrityError, transaction

from .database import journal
from .database.transactions import loading, told
from .errors import DatabaseFailed, Finding, Findings, Overtaken, Severity
from .progress import Progress
from .removal.ledger import ChangedEntry, Entry
from .removal.order import self_stuck
from .removal.pace import Pace
from .removal.survivors import pointed_rows
from .removal.throttle import Throttle
from .removing import BATCH_ROWS, Gone, Removing
from .rows import Key, batches
from .walk.keys import KeySet, empty_keys

_Item = TypeVar("_Item")


@dataclass(slots=True)
class _Left:
    """Rows that were to go and stay: changed since, or pointed at by others; and why. What is left
    once is left to the end of the run."""

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
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.removing = removing
        self.number = number
        self.pace = pace
        self.throttle = throttle
        self.progress = progress
        self.clock = clock
        self.sleep = sleep
        self.connection = removing.connection
        self.left = _Left()
        self._counted = self._gone = 0

    @property
    def gone_count(self) -> int:
        """Rows that this removal took so far, in all its runs; those not committed not among
        them."""
        return self._gone

    def run(self) -> tuple[Gone, Findings]:
        """Remove what can be removed. The counts of all runs come back, and the rows that stay."""
        removing = self.removing
        self.progress.begin("Removing", removing.total)
        # Nothing of this run yet, but maybe of runs before; and maybe there is a reason to wait.
        self._attempt(lambda: self._record(removed=Counter(), changed=Counter()))
        for name in removing.ledger.changing_counts():
            self._each(removing.ledger.changing(name), lambda lot, n=name: self._change(n, lot))  # type: ignore[misc]
        for name in removing.keys:
            if removing.order.emptied_of(name):
                self._each(removing.ledger.going(name), lambda lot, n=name: self._empty(n, lot))  # type: ignore[misc]
        stuck = {relation.source for relation in self_stuck(removing.graph, removing.keys)}
        for group in removing.order.groups:
            if len(group) > 1 or group[0] in stuck:
                self._attempt(lambda names=group: self._together(names))  # type: ignore[misc]
                self.progress.advance(sum(len(removing.keys[name]) for name in group))
            else:
                (name,) = group
                self._each(
                    removing.ledger.going(name),
                    lambda lot, n=name: self._remove(n, lot),  # type: ignore[misc]
                    advance=self.progress.advance,
                )
        self.progress.end()
        return self._proved()

    # Batches --------------------------------------------------------------------------------------

    def _each(
        self,
        items: Iterable[_Item],
        work: Callable[[list[_Item]], None],
        advance: Callable[[int], None] = lambda count: None,
    ) -> None:
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
                advance(len(lot))

    def _attempt(self, work: Callable[[], None], rows: int = 0) -> bool:
        """One transaction; False when it met a lock and is to be tried again."""
        began = self.clock()
        try:
            with loading(self.connection, keep=True):
                work()
        except (Overtaken, DatabaseFailed) as error:
            if not self._is_about_locks(error):
                raise
            if not self.pace.stumbled():
                raise DatabaseFailed(
                    f"Rows are locked by others in {self.connection.alias!r}, and were at each of "
                    f"{self.pace.stumbles} attempts: {told(_cause(error))}."
                ) from error
            self.sleep(self.pace.pause_seconds)
            return False if rows else self._attempt(work)
        self._gone = self._counted
        seconds = self.clock() - began
        self.pace.went(rows, seconds)
        self.throttle.wait(seconds)
        return True

    def _is_about_locks(self, error: Exception) -> bool:
        if isinstance(error, Overtaken):
            return True
        return self.removing.dialect.is_lock_timeout(_cause(error))

    def _record(self, *, removed: Counter[str], changed: Counter[str]) -> None:
        record = journal.locked(self.connection.alias, self.number)
        journal.add(record, removed=removed, changed=changed)
        self._counted = sum(record.removed.values())

    # Steps ----------------------------------------------------------------------------------------

    def _change(self, name: str, entries: Sequence[ChangedEntry]) -> None:
        changed: Counter[str] = Counter()
        # A pointer that leads elsewhere by now holds nothing that goes.
        self.left.findings.extend(
            replace(finding, severity=Severity.WARNING, hint="")
            for finding in self.removing.change(name, entries, changed)
        )
        self._record(removed=Counter(), changed=changed)

    def _empty(self, name: str, entries: Sequence[Entry]) -> None:
        if going := self._still_the_same(name, entries):
            self.removing.empty(name, [self.removing.key(name, entry.pk) for entry in going])

    def _remove(self, name: str, entries: Sequence[Entry]) -> None:
        going = self._still_the_same(name, entries)
        keys = [self.removing.key(name, entry.pk) for entry in going]
        if not keys:
            return
        count = self._delete(name, self._unneeded(name, keys))
        label = self.removing.graph.tables[name].label
        self._record(removed=Counter({label: count}), changed=Counter())

    def _together(self, names: Sequence[str]) -> None:
        """Tables whose rows point at each other in circles that cannot be opened: of each circle
        all rows go, or none."""
        removing = self.removing
        removed: Counter[str] = Counter()
        for name in names:
            for entries in batches(removing.ledger.going(name), BATCH_ROWS):
                self._still_the_same(name, entries)
        while any(self._leaves_some(name) for name in names):
            pass
        with removing.unchecked(names):
            for name in names:
                for keys in self._going(name):
                    removed[removing.graph.tables[name].label] += removing.delete(name, keys)
        removing.dialect.settle_constraints()
        self._record(removed=removed, changed=Counter())

    def _leaves_some(self, name: str) -> bool:
        """Leave the rows that must stay because of what others, or those left already, point at;
        whether there were any."""
        before = len(self.left.keys.get(name, ()))
        for keys in self._going(name):
            self._unneeded(name, keys)
        return len(self.left.keys.get(name, ())) > before

    def _going(self, name: str) -> Iterator[list[Key]]:
        """The keys that go, but for those that were left."""
        for keys in self.removing.keys[name].batches(BATCH_ROWS):
            left = self.left.keys.get(name)
            if going := keys if left is None else left.missing(keys):
                yield going

    # What stays after all -------------------------------------------------------------------------

    def _still_the_same(self, name: str, entries: Sequence[Entry]) -> list[Entry]:
        """The entries whose rows are still here, but for those that changed since they were
        archived: they stay. A row that is gone was taken by an earlier run, or by others: it is
        counted at the end."""
        key, left = self.removing.key, self.left.keys.get(name)
        if left is not None:
            entries = [entry for entry in entries if key(name, entry.pk) not in left]
        changed = dict[str, Finding]()
        gone = set[str]()
        for entry, finding in self.removing.differing(name, entries):
            if finding is None:
                gone.add(str(entry.pk))
            else:
                changed[str(entry.pk)] = finding
        if changed:
            keys = [key(name, e.pk) for e in entries if str(e.pk) in changed]
            self._leave(name, keys, changed.values())
        return [e for e in entries if str(e.pk) not in changed and str(e.pk) not in gone]

    def _leave(self, name: str, keys: Sequence[Key], findings: Iterable[Finding]) -> None:
        if name not in self.left.keys:
            self.left.keys[name] = empty_keys(self.removing.graph.tables[name])
        if self.left.keys[name].add(keys):
            self.left.findings.extend(findings)

    def _unneeded(self, name: str, keys: list[Key]) -> list[Key]:
        """The keys but for those that rows point at which were left, or which came, or were
        pointed there, since the plan: these stay too. Asked before anything goes, while their rows
        are locked: a constraint of the database's own might take along what nobody archived."""
        for find in (self._held_by_left, self._held_by_others):
            held = list(find(name, keys))
            if held:
                stays = {key for key, _ in held}
                self._leave(name, list(stays), [finding for _, finding in held])
                keys = [key for key in keys if key not in stays]
        return keys

    def _held_by_others(self, name: str, keys: list[Key]) -> Iterator[tuple[Key, Finding]]:
        return self.removing.pointing(name, keys, emptied=True)

    def _held_by_left(self, name: str, keys: Sequence[Key]) -> Iterator[tuple[Key, Finding]]:
        removing, wanted = self.removing, set(keys)
        for relation in removing.graph.pointing_at(name):
            left = self.left.keys.get(relation.source)
            for lot in left.batches(BATCH_ROWS) if left is not None else ():
                pairs = removing.reader.pointer_pairs(relation, lot)
                rows = pointed_rows(removing.graph, removing.reader, relation, pairs)
                for other, target, key in rows:
                    if target == name and key in wanted and (relation.source, other) != (name, key):
                        yield key, removing.pointer_finding(relation, other, name, key)

    def _delete(self, name: str, keys: list[Key]) -> int:
        if not keys:
            return 0
        count = self.removing.delete(name, keys)
        try:
            with transaction.atomic(using=self.connection.alias):
                self.removing.dialect.settle_constraints()
        except IntegrityError as error:
            raise self.removing.held(name, keys, error) from error
        return count

    # Proof ----------------------------------------------------------------------------------------

    def _proved(self) -> tuple[Gone, Findings]:
        findings = self.left.findings
        if not self.left.keys:
            self.progress.begin("Proving", self.removing.total)
            findings.extend(self.removing.left_behind(self.progress.advance))
            self.progress.end()
        with loading(self.connection, keep=True):
            record = journal.locked(self.connection.alias, self.number)
            gone = Gone(Counter(record.removed), Counter(record.changed))
        if not findings.has(Severity.BLOCKER) or self.left.keys:
            findings.extend(self._vanished(gone))
        return gone, findings

    def _vanished(self, gone: Gone) -> Iterator[Finding]:
        """Rows that are gone, and that no run of this removal took."""
        graph = self.removing.graph
        left = Counter({graph.tables[n].label: len(keys) for n, keys in self.left.keys.items()})
        others = "somebody else" + (" or a receiver" if self.removing.has_receivers() else "")
        for label, count in self.removing.rows_by_model().items():
            missing = count - gone.removed[label] - left[label]
            if missing > 0:
                rows = "row was" if missing == 1 else "rows were"
                yield Finding(
                    "gone-otherwise",
                    Severity.WARNING,
                    label,
                    f"{missing:,} {rows} removed by {others} meanwhile.",
                )


def _cause(error: Exception) -> Exception:
    """What the database said."""
    return error.__cause__ if isinstance(error.__cause__, Exception) else error
