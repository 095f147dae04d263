"""How does an object leave a database for good? Plan, archive, re-read, remove, prove, receipt."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import django
from django.db import DEFAULT_DB_ALIAS, connections

from . import conf
from .archive.reader import ArchiveReader, open_archive
from .archive.storage import check_free, write_text
from .archive.writer import Destination, Written
from .database import journal
from .database.cascades import Cascades
from .database.indexes import unindexed
from .database.replicas import lag_reasons
from .database.transactions import failures, loading, quiet, snapshot
from .errors import (
    ArchiveDamaged,
    ArchiveExists,
    ArchiveNotWritten,
    DatabaseFailed,
    Finding,
    Findings,
    GestoreError,
    NotFound,
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
from .removal.pace import Pace
from .removal.plan import Removal, plan_removal
from .removal.receipt import Receipt
from .removal.throttle import Limits, Throttle, TimeUp
from .removing import (
    Gone,
    Removing,
    check_unchanged,
    remove_at_once,
    removing_again,
    site_zones,
)
from .rows import JsonValue
from .schema.introspect import build_graph
from .schema.table import Table
from .stepwise import Stepwise
from .version import __version__
from .walk.closure import Status

_MOST_ATTEMPTS = 3
_RESUMED_ROWS = 10_000
BATCH_SECONDS = 0.2
if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

Confirm = Callable[["DeletePlan"], bool]


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How objects are deleted. `archive` names the file that is written first; without one,
    `is_unarchived` must say that it is meant. `receipt` names a file.

    `commit_every` rows at most are removed in one transaction, each of about `batch_seconds`, and
    the `limits` are looked at between them; 0: all in one.
    """

    walk: WalkOptions = field(default_factory=WalkOptions)
    archive: str = ""
    is_unarchived: bool = False
    overwrite: bool = False
    receipt: str = ""
    command: str = ""
    dry_run: bool = False
    commit_every: int = 0
    batch_seconds: float = BATCH_SECONDS
    limits: Limits = field(default_factory=Limits)


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
    left: Sequence[Finding] = ()

    @property
    def row_count(self) -> int:
        return sum(self.removed_by_model.values())

    @property
    def is_finished(self) -> bool:
        """Whether everything that was planned is gone, and proved so."""
        return self.receipt is not None and self.receipt.is_proved

    def as_json(self) -> dict[str, JsonValue]:
        return {
            **self.plan.as_json(),
            "planned": dict(self.plan.removed_by_model),
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
    A dry run returns the plan, blockers and all.
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
    going = {t.name: closure.taken_of(t.name).owned for t in _owned(walk_done)}
    findings.extend(Cascades(walk_done.reader).unknown(going))
    findings.extend(unindexed(walk_done.connection, walk_done.graph, going))
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
            raise UsageError("The archive must be a file: it is read again before anything goes.")
        return Destination.parse(options.archive, overwrite=options.overwrite)

    def run(self, confirm: Confirm | None) -> DeleteReport:
        if self.destination is not None:
            self.destination.check()
        if self.options.receipt:
            _check_receipt(self.options.receipt)
        self._check_steps()
        began = self.clock()
        shown = self._shown(confirm)
        with Ledger() as ledger:
            plan, removing, written = self._prepared(ledger, shown)
            if removing is None:
                return DeleteReport(plan, {}, {}, None, None)
            if written is not None:
                self._read_again(written, removing)
            entry = self._entry(removing, written, began)
            gone, left = self._remove(removing, entry)
        receipt = self._receipt(entry, gone, left)
        return DeleteReport(plan, gone.removed, gone.changed, written, receipt, left)

    def _prepared(
        self, ledger: Ledger, shown: DeletePlan | None
    ) -> tuple[DeletePlan, Removing | None, Written | None]:
        """Plan and archive in one snapshot. The walk's keys are let go with it: the removal reads
        its own from the archive."""
        with self._planned() as planned:
            plan = planned.plan
            if self.options.dry_run:
                return plan, None, None
            _stop_if_blocked(plan)
            _stop_if_other(plan, shown)
            removing = _removing(planned.walked, ledger, self.options)
            return plan, removing, self._archived(planned, removing)

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
            removing.learn(archive.rows(), self.progress.advance)
            ending = archive.ending
        self.progress.end()
        if ending is None or ending.sha256 != written.sha256 or ending.findings(written.name):
            raise ArchiveDamaged(
                f"{written.name} does not hold what was written to it.",
                hint="Nothing was removed. Look at the disk, and write the archive elsewhere.",
            )

    def _check_steps(self) -> None:
        """What a removal in batches needs, asked before hours of reading."""
        options, database = self.options, self.options.walk.database
        if not options.commit_every:
            if options.limits != Limits() or options.batch_seconds != BATCH_SECONDS:
                raise UsageError(
                    "All is removed in one transaction: there are no batches and no pauses.",
                    hint="Add --commit-every N.",
                )
            return
        if options.is_unarchived:
            raise UsageError(
                "A removal in batches needs an archive: it is resumed from that.",
                hint="Name one with --archive PATH.",
            )
        if database in connections:
            _check_journal(database)
            with failures(connections[database], "Nothing was removed."):
                _reasons(options, connections[database])

    def _entry(
        self, removing: Removing, written: Written | None, began: datetime
    ) -> journal.RemovalEntry:
        return journal.RemovalEntry(
            archive=written.name if written else "",
            sha256=written.sha256 if written else "",
            objects=self.references,
            command=self.options.command,
            moment=began,
            person=person(),
            planned=removing.rows_by_model(),
        )

    def _remove(
        self, removing: Removing, entry: journal.RemovalEntry
    ) -> tuple[Gone, Sequence[Finding]]:
        if self.options.commit_every:
            alias = removing.connection.alias
            # No lock while all is compared: each batch compares its own rows again, locked.
            with snapshot(removing.connection):
                check_unchanged(removing, self.progress, locked=False)
            with loading(removing.connection, keep=True):
                number = journal.begin(alias, entry)
            return _stepwise(
                removing, number, entry.archive, self.options, self.progress, self.clock
            )
        for _ in range(_MOST_ATTEMPTS - 1):
            with suppress(Overtaken):
                return self._remove_at_once(removing, entry), ()
        return self._remove_at_once(removing, entry), ()

    def _remove_at_once(self, removing: Removing, entry: journal.RemovalEntry) -> Gone:
        alias = removing.connection.alias
        with loading(removing.connection, keep=True):
            gone = remove_at_once(removing, self.progress)
            if conf.is_installed() and journal.has_table(alias):
                record = journal.locked(alias, journal.begin(alias, entry))
                journal.add(record, removed=gone.removed, changed=gone.changed)
                journal.end(record, self.clock())
        return gone

    def _receipt(self, entry: journal.RemovalEntry, gone: Gone, left: Sequence[Finding]) -> Receipt:
        return _receipt(entry, gone, left, self.options, self.clock())


def resume_deletion(
    archive: str,
    options: DeleteOptions | None = None,
    *,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> DeleteReport:
    """Bring a deletion with `commit_every` to its end that was interrupted: from its archive, in
    the database where it was begun. Rows that changed since they were archived stay, and are among
    `left`."""
    options = options or DeleteOptions()
    options = options if options.commit_every else replace(options, commit_every=_RESUMED_ROWS)
    return _Resumption(archive, options, progress or Silence(), clock or now).run()


class _Resumption:
    """One deletion taken up again."""

    def __init__(
        self, archive: str, options: DeleteOptions, progress: Progress, clock: Clock
    ) -> None:
        self.archive = archive
        self.options = options
        self.progress = progress
        self.clock = clock

    def run(self) -> DeleteReport:
        database = self.options.walk.database
        if database not in connections:
            raise NotFound(
                f"No database {database!r}.", hint=f"There are: {', '.join(connections)}."
            )
        if self.options.dry_run:
            raise UsageError("A deletion that is resumed was agreed to: there is no dry run of it.")
        if self.options.receipt:
            _check_receipt(self.options.receipt)
        _check_journal(database)
        settings = conf.load()
        connection = connections[database]
        graph = build_graph(settings.relations, settings.unmanaged, database)
        with (
            quiet(connection),
            Ledger() as ledger,
            open_archive(self.archive, settings.max_archive_bytes) as opened_archive,
        ):
            manifest = opened_archive.manifest
            with failures(connection, "Nothing more was removed."):
                record = journal.unended(database, opened_archive.digest())
            removing = removing_again(
                graph, connection, manifest, ledger, is_aware=conf.has_time_zones()
            )
            self._learn(opened_archive, removing)
            gone, left = _stepwise(
                removing, record.pk, self.archive, self.options, self.progress, self.clock
            )
        entry = journal.RemovalEntry(
            self.archive,
            record.sha256,
            record.objects_named,
            record.command,
            record.began_at,
            record.began_by,
            record.planned,
        )
        receipt = _receipt(entry, gone, left, self.options, self.clock())
        plan = DeletePlan(tuple(entry.objects), database, entry.planned, {}, {}, {}, ())
        return DeleteReport(plan, gone.removed, gone.changed, None, receipt, left)

    def _learn(self, archive: ArchiveReader, removing: Removing) -> None:
        self.progress.begin("Reading", archive.manifest.row_count)
        removing.learn(archive.rows(), self.progress.advance)
        self.progress.end()
        if archive.ending is None or archive.ending.findings(archive.name):
            raise ArchiveDamaged(
                f"{archive.name} was changed after it was written: nothing more was removed."
            )


def _stepwise(
    removing: Removing,
    number: int,
    archive: str,
    options: DeleteOptions,
    progress: Progress,
    clock: Clock,
) -> tuple[Gone, Sequence[Finding]]:
    """Remove in batches, and bring the journal's record to its end when all is proved."""
    connection = removing.connection
    throttle = Throttle(
        options.limits,
        _reasons(options, connection),
        clock=time.monotonic,
        sleep=time.sleep,
        note=progress.note,
    )
    pace = Pace(options.commit_every, options.batch_seconds)
    steps = Stepwise(removing, number, pace, throttle, progress)
    with quiet(connection), _resumable(steps, resume_words(archive, connection.alias)):
        gone, left = steps.run()
        if not any(finding.severity is not Severity.WARNING for finding in left):
            with loading(connection, keep=True):
                journal.end(journal.locked(connection.alias, number), clock())
    return gone, left


@contextmanager
def _resumable(steps: Stepwise, words: str) -> Iterator[None]:
    """Whatever breaks a removal in batches off says how far it is, and how to go on."""
    how = f"What was committed stays. Go on with:\n{words}"
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"{_how_far(steps)} {how}") from error
    except (TimeUp, Overtaken, DatabaseFailed) as error:
        raise type(error)(f"{error.message} {_how_far(steps)}", hint=how) from error
    except Refused:
        raise
    except GestoreError as error:
        hint = f"{error.hint} {how}".lstrip()
        raise type(error)(f"{error.message} {_how_far(steps)}", hint=hint) from error


def _how_far(steps: Stepwise) -> str:
    total = steps.removing.total
    rows = "row is" if total == 1 else "rows are"
    return f"{steps.gone_count:,} of {total:,} {rows} gone."


def resume_words(archive: str, database: str) -> str:
    """The command that goes on."""
    words = ["deleteobjects", "--resume", archive]
    return shlex.join(words if database == DEFAULT_DB_ALIAS else [*words, "--database", database])


def _reasons(options: DeleteOptions, connection: BaseDatabaseWrapper) -> list[Callable[[], str]]:
    most = options.limits.max_lag_seconds
    return lag_reasons(connection, conf.load().replicas, most) if most else []


def _check_journal(database: str) -> None:
    if not conf.is_installed():
        raise NotFound(
            'A removal in batches needs "gestore" in INSTALLED_APPS.',
            hint="Where it stands is noted in a table of Gestore's.",
        )
    with failures(connections[database], "Nothing was removed."):
        has_table = journal.has_table(database)
    if not has_table:
        raise NotFound(
            f"{database!r} has no table to note where a removal in batches stands.",
            hint="Run: python manage.py migrate gestore",
        )


def _check_receipt(name: str) -> None:
    """Found out before any work; `--overwrite` is about the archive."""
    try:
        check_free(Path(name), overwrite=False)
    except ArchiveExists as error:
        raise ArchiveExists(
            error.message, hint="Choose another name for the receipt: none is replaced."
        ) from error


def _receipt(
    entry: journal.RemovalEntry,
    gone: Gone,
    left: Sequence[Finding],
    options: DeleteOptions,
    ended: datetime,
) -> Receipt:
    """The receipt, written if a file is named for it."""
    receipt = Receipt(
        objects=entry.objects,
        database=options.walk.database,
        command=entry.command,
        person=entry.person,
        began=entry.moment,
        ended=ended,
        removed=dict(gone.removed),
        changed=dict(gone.changed),
        archive=entry.archive,
        sha256=entry.sha256,
        is_proved=not any(finding.severity is not Severity.WARNING for finding in left),
        left=len(left),
        versions={"gestore": __version__, "django": django.get_version()},
    )
    if options.receipt:
        text = json.dumps(receipt.as_json(), indent=2, ensure_ascii=False) + "\n"
        try:
            write_text(options.receipt, [text])
        except ArchiveNotWritten as error:
            raise ArchiveNotWritten(
                f"The rows are removed, but the receipt {error.message}",
                hint="The archive holds the rows, the table gestore_removal what was done.",
            ) from error
    return receipt


def _removing(walk_done: Walked, ledger: Ledger, options: DeleteOptions) -> Removing:
    return Removing(
        walk_done.graph,
        walk_done.connection,
        walk_done.policies,
        site_zones(is_aware=conf.has_time_zones()),
        ledger,
        [table.name for table in _owned(walk_done)],
        step_by_step=bool(options.commit_every),
    )


def _stop_if_blocked(plan: DeletePlan) -> None:
    if plan.blockers:
        raise Refused(
            "Nothing was removed: other rows stand in the way.",
            plan.findings,
            hint="See all that would go with -n/--dry-run.",
        )


def _stop_if_other(plan: DeletePlan, shown: DeletePlan | None) -> None:
    if shown is not None and _counts(shown) != _counts(plan):
        raise GestoreError(
            "Nothing was removed: the rows changed while the plan was looked at.",
            hint="Look at the plan again.",
        )


def _counts(plan: DeletePlan) -> tuple[object, ...]:
    return plan.removed_by_model, plan.changed_by_relation, plan.staying_by_model
