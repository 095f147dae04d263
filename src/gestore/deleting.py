"""How does an object leave a database for good? Plan, archive, re-read, remove, prove, receipt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import django

from . import conf
from .archive.reader import open_archive
from .archive.storage import check_free, write_text
from .archive.values import TimeZones
from .archive.writer import Destination, Written
from .database.indexes import unindexed
from .database.transactions import loading
from .errors import (
    ArchiveDamaged,
    Finding,
    Findings,
    GestoreError,
    Overtaken,
    Refused,
    Severity,
    UsageError,
)
from .exporting import Clock, now, walked_rows, write_walked
from .memory import person
from .planning import Walked, WalkOptions, opened, plan_findings
from .progress import Progress, Silence
from .removal.ledger import Ledger
from .removal.plan import Removal, plan_removal
from .removal.receipt import Receipt
from .removing import Gone, Removing, remove_at_once
from .rows import ArchivedRow, JsonValue
from .schema.table import Table
from .version import __version__
from .walk.closure import Status

_MOST_ATTEMPTS = 3
Confirm = Callable[["DeletePlan"], bool]


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How objects are deleted. `archive` names the file that is written first; without one,
    `is_unarchived` must say that it is meant. `receipt` names a file."""

    walk: WalkOptions = field(default_factory=WalkOptions)
    archive: str = ""
    is_unarchived: bool = False
    overwrite: bool = False
    receipt: str = ""
    command: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """What would go, what would change, what stays: rows by model label; and the findings, blockers
    among them."""

    references: tuple[str, ...]
    database: str
    removed_by_model: Mapping[str, int]
    changed_by_relation: Mapping[str, int]
    shared_by_model: Mapping[str, int]
    staying_by_model: Mapping[str, int]
    findings: Sequence[Finding]

    @property
    def row_count(self) -> int:
        return sum(self.removed_by_model.values())

    @property
    def changed_count(self) -> int:
        return sum(self.changed_by_relation.values())

    @property
    def blockers(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity is not Severity.WARNING]

    def as_json(self) -> dict[str, JsonValue]:
        return {
            "objects": list(self.references),
            "database": self.database,
            "rows": self.row_count,
            "removed": dict(self.removed_by_model),
            "changed": dict(self.changed_by_relation),
            "shared": dict(self.shared_by_model),
            "staying": dict(self.staying_by_model),
            "findings": [finding.as_json() for finding in self.findings],
        }


@dataclass(frozen=True, slots=True)
class DeleteReport:
    """What was deleted: the plan, rows by model label that went and that changed, the archive
    (None without one), the receipt."""

    plan: DeletePlan
    removed_by_model: Mapping[str, int]
    changed_by_model: Mapping[str, int]
    archive: Written | None
    receipt: Receipt | None

    @property
    def row_count(self) -> int:
        return sum(self.removed_by_model.values())

    def as_json(self) -> dict[str, JsonValue]:
        return {
            **self.plan.as_json(),
            "removed": dict(self.removed_by_model),
            "archive": self.archive.name if self.archive else "",
            "sha256": self.archive.sha256 if self.archive else "",
            "receipt": self.receipt.as_json() if self.receipt else None,
        }


def plan_deletion(
    references: Sequence[str],
    options: WalkOptions | None = None,
    *,
    progress: Progress | None = None,
) -> DeletePlan:
    """Plan a deletion; nothing is written. The findings may hold blockers (`plan.blockers`)."""
    with _planned(references, options or WalkOptions(), progress or Silence()) as planned:
        return planned.plan


def delete_objects(
    references: Sequence[str],
    options: DeleteOptions,
    *,
    confirm: Confirm | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> DeleteReport:
    """Archive the objects with all that belongs to them, and remove them, in one transaction.

    `confirm` is shown the plan and may say no (`GestoreError`); no transaction is open while it
    thinks, and if the rows are others afterwards nothing is done. Raises `Refused` with every
    blocker, or with every row that changed since it was archived; the database is then as it was.
    """
    deletion = _Deletion(tuple(references), options, progress or Silence(), clock or now)
    return deletion.run(confirm)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A planned removal, while its snapshot is open."""

    walked: Walked
    removal: Removal
    plan: DeletePlan


@contextmanager
def _planned(
    references: Sequence[str], options: WalkOptions, progress: Progress
) -> Iterator[_Planned]:
    with opened(references, options, skips_by_default=False) as site:
        progress.begin("Walking")
        removal = plan_removal(site.graph, site.roots, site.policies, options.follow, site.reader)
        progress.end()
        walk_done = site.walked(removal.closure)
        yield _Planned(walk_done, removal, _plan(walk_done, removal, references))


def _plan(walk_done: Walked, removal: Removal, references: Sequence[str]) -> DeletePlan:
    closure, tables = walk_done.closure, walk_done.graph.tables
    findings = Findings(removal.findings)
    findings.extend(plan_findings(walk_done))
    owned = [table.name for table in _owned(walk_done)]
    findings.extend(unindexed(walk_done.connection, walk_done.graph, owned))
    changed = {r.name: len(keys) for r, keys in removal.changed.items()}
    staying = removal.survivors.keys_by_table
    return DeletePlan(
        tuple(references),
        walk_done.connection.alias,
        {t.label: closure.count(t.name, Status.OWNED) for t in _owned(walk_done)},
        dict(sorted(changed.items())),
        {
            t.label: count
            for t in closure.tables()
            if (count := closure.count(t.name, Status.SHARED))
        },
        {tables[name].label: len(keys) for name, keys in sorted(staying.items())},
        findings,
    )


def _owned(walk_done: Walked) -> Iterator[Table]:
    for table in walk_done.closure.tables():
        if walk_done.closure.count(table.name, Status.OWNED):
            yield table


class _Deletion:
    """One deletion; each step hands its outcome to the next."""

    def __init__(
        self,
        references: tuple[str, ...],
        options: DeleteOptions,
        progress: Progress,
        clock: Clock,
    ) -> None:
        self.references = references
        self.options = options
        self.progress = progress
        self.clock = clock
        self.destination = self._destination()

    def _destination(self) -> Destination | None:
        options = self.options
        if options.is_unarchived and options.archive:
            raise UsageError("An archive is named, and none is to be written: say one of them.")
        if not options.archive:
            if not options.is_unarchived and not options.dry_run:
                raise UsageError(
                    "No archive is named: what is deleted would be gone for good.",
                    hint="Name one with --archive PATH, or say --no-archive.",
                )
            return None
        if options.archive == "-":
            raise UsageError(
                "The archive must be a file: it is read again before anything is removed."
            )
        return Destination.parse(options.archive, overwrite=options.overwrite)

    def run(self, confirm: Confirm | None) -> DeleteReport:
        if self.destination is not None:
            self.destination.check()
        if self.options.receipt:
            check_free(Path(self.options.receipt), overwrite=False)
        began = self.clock()
        shown = self._shown(confirm)
        with Ledger() as ledger:
            with self._planned() as planned:
                plan = planned.plan
                _stop_if_blocked(plan)
                _stop_if_other(plan, shown)
                if self.options.dry_run:
                    return DeleteReport(plan, {}, {}, None, None)
                removing = _removing(planned.walked, ledger)
                written = self._archived(planned, removing)
            if written is not None:
                self._read_again(written, removing)
            gone = self._remove(removing)
        receipt = self._receipt(plan, gone, written, began)
        return DeleteReport(plan, gone.removed, gone.changed, written, receipt)

    def _planned(self) -> AbstractContextManager[_Planned]:
        return _planned(self.references, self.options.walk, self.progress)

    def _shown(self, confirm: Confirm | None) -> DeletePlan | None:
        """The plan somebody said yes to; no transaction is open while they think."""
        if confirm is None or self.options.dry_run:
            return None
        with self._planned() as planned:
            plan = planned.plan
        _stop_if_blocked(plan)
        if not confirm(plan):
            raise GestoreError("Nothing was removed.")
        return plan

    def _archived(self, planned: _Planned, removing: Removing) -> Written | None:
        """Write the archive in the plan's own snapshot; without one, note the rows as they are."""
        changed = planned.removal.changed
        if self.destination is None:
            self.progress.begin("Reading", planned.walked.closure.row_count)
            removing.learn(walked_rows(planned.walked, self.progress, changed))
            self.progress.end()
            return None
        return write_walked(
            planned.walked,
            self.references,
            self.options.walk,
            self.destination,
            self.progress,
            self.clock,
            changed,
        )

    def _read_again(self, written: Written, removing: Removing) -> None:
        """What is removed is what the file says, not what was meant to be written."""
        self.progress.begin("Reading", written.row_count)
        with open_archive(written.name, conf.load().max_archive_bytes) as archive:
            removing.learn(_told(archive.rows(), self.progress))
            ending = archive.ending
        self.progress.end()
        if ending is None or ending.sha256 != written.sha256 or ending.findings(written.name):
            raise ArchiveDamaged(
                f"{written.name} does not hold what was written to it.",
                hint="Nothing was removed. Look at the disk, and write the archive elsewhere.",
            )

    def _remove(self, removing: Removing) -> Gone:
        for _ in range(_MOST_ATTEMPTS - 1):
            with suppress(Overtaken), self._transaction(removing):
                return remove_at_once(removing, self.progress)
        with self._transaction(removing):
            return remove_at_once(removing, self.progress)

    def _transaction(self, removing: Removing) -> AbstractContextManager[None]:
        return loading(removing.connection, keep=True)

    def _receipt(
        self, plan: DeletePlan, gone: Gone, written: Written | None, began: datetime
    ) -> Receipt:
        receipt = Receipt(
            objects=self.references,
            database=plan.database,
            command=self.options.command,
            person=person(),
            began=began,
            ended=self.clock(),
            removed=dict(gone.removed),
            changed=dict(gone.changed),
            archive=written.name if written else "",
            sha256=written.sha256 if written else "",
            is_proved=True,
            versions={"gestore": __version__, "django": django.get_version()},
        )
        if self.options.receipt:
            text = json.dumps(receipt.as_json(), indent=2, ensure_ascii=False) + "\n"
            write_text(self.options.receipt, [text])
        return receipt


def _removing(walk_done: Walked, ledger: Ledger) -> Removing:
    return Removing(
        walk_done.graph,
        walk_done.connection,
        walk_done.policies,
        _zones(),
        ledger,
        [table.name for table in _owned(walk_done)],
        step_by_step=False,
    )


def _zones() -> TimeZones:
    """Both sides are this site."""
    is_aware = conf.has_time_zones()
    return TimeZones(is_aware, is_aware, source_default=UTC, target_default=UTC)


def _told(rows: Iterable[ArchivedRow], progress: Progress) -> Iterator[ArchivedRow]:
    for row in rows:
        progress.advance(1)
        yield row


def _stop_if_blocked(plan: DeletePlan) -> None:
    if plan.blockers:
        raise Refused("Nothing was removed: other rows stand in the way.", plan.findings)


def _stop_if_other(plan: DeletePlan, shown: DeletePlan | None) -> None:
    if shown is not None and _counts(shown) != _counts(plan):
        raise GestoreError(
            "Nothing was removed: the rows changed while the plan was looked at.",
            hint="Look at the plan again.",
        )


def _counts(plan: DeletePlan) -> tuple[object, ...]:
    return plan.removed_by_model, plan.changed_by_relation, plan.staying_by_model
