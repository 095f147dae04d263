"""How does an object leave a database for good? Plan, archive, re-read, remove, prove, receipt."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime

import django
from django.db import connections

from . import conf
from .archive.writer import Destination, Written
from .batching import (
    BATCH_SECONDS,
    Batches,
    check_batches,
    remove_in_batches,
    resume_words,
    stands_in_the_way,
)
from .database import journal
from .database.cascades import Cascades
from .database.indexes import unindexed
from .database.transactions import failures, is_free, loading, snapshot
from .errors import (
    ArchiveDamaged,
    ArchiveError,
    ArchiveExists,
    ArchiveNotRead,
    ArchiveNotTrusted,
    Finding,
    Findings,
    GestoreError,
    Overtaken,
    Refused,
    Severity,
    UsageError,
)
from .exporting import Clock, now, owned_keys, walked_rows, write_walked
from .keeping import Keeper, Keeping
from .memory import person
from .planning import Walked, WalkOptions, opened, plan_findings
from .progress import Progress, Silence
from .removal.ledger import Ledger
from .removal.plan import Removal, plan_removal
from .removal.receipt import Receipt, check_receipt, write_receipt
from .removal.throttle import Limits
from .removing import Gone, Removing, check_unchanged, remove_at_once, site_zones
from .rows import JsonValue, Key
from .schema.table import Table
from .sweeping import Doubt, Sweep, refuse_differing, sweep_of, swept
from .uploads import (
    Cleared,
    Named,
    Packing,
    check_databases,
    cleared,
    rows_are_gone,
    staying_findings,
)
from .version import __version__
from .walk.closure import Closure, Status
from .walk.keys import KeySet, PackedUUIDs

_MOST_ATTEMPTS = 3
Confirm = Callable[["DeletePlan"], bool]


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How objects are deleted. `archive` names the file that is written first; without one,
    `is_unarchived` must say that it is meant. `keeping` says where it lies and who may open it:
    with an identity that does, an encrypted archive is read again row by row, else byte by byte.
    `receipt` names a file.

    With `with_files` the archive is a `.tar` with the uploaded files that the rows name, and these
    go, after the commit, unless another row names them.

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
    keeping: Keeping = field(default_factory=Keeping)
    with_files: bool = False


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """What would go, what would change, what stays: rows by model label; uploaded files that the
    rows which go name, by field; and the findings, blockers among them. `fingerprint` is the same
    for the same rows."""

    references: tuple[str, ...]
    database: str
    removed_by_model: Mapping[str, int]
    changed_by_relation: Mapping[str, int] = field(default_factory=dict)
    shared_by_model: Mapping[str, int] = field(default_factory=dict)
    staying_by_model: Mapping[str, int] = field(default_factory=dict)
    findings: Sequence[Finding] = ()
    fingerprint: str = ""
    files_by_field: Mapping[str, int] = field(default_factory=dict)

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
            "files": dict(self.files_by_field),
            "findings": [finding.as_json() for finding in self.findings],
        }


@dataclass(frozen=True, slots=True)
class DeleteReport:
    """What was deleted: the plan, rows by model label that went and that changed, the archive
    (None without one), the receipt. `left` has what stays, rows and files, and files that were
    nowhere to be archived."""

    plan: DeletePlan
    removed_by_model: Mapping[str, int]
    changed_by_model: Mapping[str, int]
    archive: Written | None
    receipt: Receipt | None
    left: Sequence[Finding] = ()
    files: Cleared | None = None

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
            "left": [finding.as_json() for finding in self.left],
        }


def plan_deletion(
    references: Sequence[str],
    options: WalkOptions | None = None,
    *,
    with_files: bool = False,
    progress: Progress | None = None,
) -> DeletePlan:
    """Plan a deletion; nothing is written. The findings may hold blockers (`plan.blockers`)."""
    walk_options, listener = options or WalkOptions(), progress or Silence()
    with _planned(references, walk_options, listener, with_files=with_files) as planned:
        return planned.plan


def delete_objects(
    references: Sequence[str],
    options: DeleteOptions,
    *,
    confirm: Confirm | None = None,
    told: Callable[[DeletePlan], None] = lambda plan: None,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> DeleteReport:
    """Archive the objects with all that belongs to them, and remove them, in one transaction.

    `confirm` is shown the plan and may say no (`GestoreError`); no transaction is open while it
    thinks, and if the rows are others afterwards nothing is done. `told` hears of the plan that is
    carried out, and is asked nothing. Raises `Refused` with every
    blocker, or with every row that changed since it was archived; the database is then as it was.
    A dry run returns the plan, blockers and all.
    """
    deletion = _Deletion(tuple(references), options, told, progress or Silence(), clock or now)
    return deletion.run(confirm)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A planned removal, while its snapshot is open."""

    walked: Walked
    removal: Removal
    plan: DeletePlan


@contextmanager
def _planned(
    references: Sequence[str], options: WalkOptions, progress: Progress, *, with_files: bool
) -> Iterator[_Planned]:
    with opened(references, options, skips_by_default=False) as site:
        progress.begin("Walking")
        removal = plan_removal(site.graph, site.roots, site.policies, options.follow, site.reader)
        progress.end()
        walk_done = site.walked(removal.closure)
        plan = _plan(walk_done, removal, references, with_files=with_files)
        yield _Planned(walk_done, removal, plan)


def _plan(
    walk_done: Walked, removal: Removal, references: Sequence[str], *, with_files: bool
) -> DeletePlan:
    closure, tables = walk_done.closure, walk_done.graph.tables
    findings = Findings(removal.findings)
    findings.extend(plan_findings(walk_done))
    going = owned_keys(walk_done)
    findings.extend(Cascades(walk_done.reader).unknown(going))
    findings.extend(unindexed(walk_done.connection, walk_done.graph, going))
    with closing(Named()) as named:
        named.read(walk_done.reader, going)
        files = named.counts()
    if not with_files:
        findings.extend(staying_findings(files))
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
        _fingerprint([*going.values(), *removal.changed.values()]),
        files if with_files else {},
    )


def _fingerprint(sets: Iterable[KeySet]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for keys in sets:
        for batch in keys.packed(10_000):
            digest.update(_bytes(batch))
    return digest.hexdigest()


def _bytes(keys: Sequence[Key]) -> bytes:
    if isinstance(keys, array):
        return keys.tobytes()
    if isinstance(keys, PackedUUIDs):
        return keys.data
    return repr(keys).encode("utf-8", "surrogatepass")


def _owned(walk_done: Walked) -> Iterator[Table]:
    for table in walk_done.closure.tables():
        if walk_done.closure.count(table.name, Status.OWNED):
            yield table


@dataclass(frozen=True, slots=True)
class _Ready:
    """A planned removal that is archived, after its snapshot. Without a `sweep` the careful way is
    the only one."""

    plan: DeletePlan
    closure: Closure
    removing: Removing
    written: Written | None
    sweep: Sweep | None


class _Deletion:
    """One deletion; each step hands its outcome to the next."""

    def __init__(
        self,
        references: tuple[str, ...],
        options: DeleteOptions,
        told: Callable[[DeletePlan], None],
        progress: Progress,
        clock: Clock,
    ) -> None:
        self.references = references
        self.options = options
        self.told = told
        self.progress = progress
        self.clock = clock
        self.keeper = Keeper(options.keeping)
        self.destination = self._destination()
        self.named: Named
        self.cleared: Cleared | None = None
        self.number = 0

    def _destination(self) -> Destination | None:
        options = self.options
        if options.is_unarchived and (options.archive or options.keeping.writes_specially):
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
        destination = self.keeper.destination(
            options.archive, overwrite=options.overwrite, with_files=options.with_files
        )
        signer, trusted = destination.signer, self.keeper.trusted()
        if trusted is not None and not (signer and trusted.trusts(signer.public_key)):
            raise UsageError(
                "The archive could not be imported here: only those are whom "
                'GESTORE["TRUSTED_SIGNERS"] names signed.',
                hint="Sign it with --sign KEY.",
            )
        return destination

    @property
    def _is_readable(self) -> bool:
        """Whether the archive can be read here when it is written."""
        encrypted = self.destination is not None and self.destination.recipients
        return not encrypted or self.keeper.has_identities

    def run(self, confirm: Confirm | None) -> DeleteReport:
        self._check_archive()
        if self.options.receipt:
            check_receipt(self.options.receipt)
        self._check_batches()
        self._check_commit()
        if self.options.dry_run:
            with self._planned() as planned:
                return DeleteReport(planned.plan, {}, {}, None, None)
        began = self.clock()
        shown = self._shown(confirm)
        with Ledger() as ledger, closing(Named()) as self.named:
            ready = self._prepared(ledger, shown)
            entry = self._entry(ready, began)
            gone, left = self._remove(ready, entry)
            missing = [*self.named.missing()] if ready.written is not None else []
        receipt = receipt_of(entry, gone, left, self.options, self.clock(), self.cleared)
        left = [*missing, *left]
        return DeleteReport(
            ready.plan, gone.removed, gone.changed, ready.written, receipt, left, self.cleared
        )

    def _prepared(self, ledger: Ledger, shown: DeletePlan | None) -> _Ready:
        """Plan and archive in one snapshot; of the walk no more than keys is kept. Uploaded files
        are archived after it: they have none."""
        is_free = self._is_free()
        with ExitStack() as stack:
            packing = None
            if self.options.with_files and self.destination is not None:
                packing = stack.enter_context(closing(Packing(self.destination, self.named)))
            with self._planned() as planned:
                _stop_if_blocked(planned.plan)
                _stop_if_other(planned.plan, shown)
                self.told(planned.plan)
                removing = _removing(planned.walked, ledger, self.options)
                written = self._archived(planned, packing)
                if self.options.with_files and packing is None:
                    self.named.read(planned.walked.reader, owned_keys(planned.walked))
                sweep = None
                if is_free and not self.options.commit_every:
                    going, changed = owned_keys(planned.walked), planned.removal.changed
                    kept = written is not None or self.options.with_files
                    sweep = sweep_of(removing, going, changed, self.progress, kept=kept)
                if not self._is_readable or (sweep is None and written is None):
                    self._note_rows(planned, removing)
            if packing is not None and written is not None:
                written = packing.pack(removing.graph, written, self.progress)
            return _Ready(planned.plan, planned.walked.closure, removing, written, sweep)

    def _is_free(self) -> bool:
        database = self.options.walk.database
        return database in connections and is_free(connections[database])

    def _planned(self) -> AbstractContextManager[_Planned]:
        with_files = self.options.with_files
        return _planned(self.references, self.options.walk, self.progress, with_files=with_files)

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

    def _archived(self, planned: _Planned, packing: Packing | None) -> Written | None:
        """Write the archive in the plan's own snapshot."""
        if self.destination is None:
            return None
        return write_walked(
            planned.walked,
            self.references,
            self.options.walk,
            self.destination,
            self.progress,
            self.clock,
            planned.removal.changed,
            packing=packing,
        )

    def _note_rows(self, planned: _Planned, removing: Removing) -> None:
        """Without an archive, or one that only others can open: the rows as they are in the
        snapshot that it was written in."""
        self.progress.begin("Reading", planned.walked.closure.row_count)
        removing.learn(walked_rows(planned.walked, self.progress, planned.removal.changed))
        self.progress.end()

    def _read_again(self, written: Written, removing: Removing, task: str) -> None:
        """What is removed is what the file says, not what was meant to be written."""
        self.progress.begin(task, written.row_count)
        with self.keeper.opened(self.options.archive) as archive:
            removing.learn(archive.rows(), self.progress.advance)
            ending = archive.ending
        self.progress.end()
        if ending is None or ending.sha256 != written.sha256 or ending.findings(written.name):
            raise _damaged(written)

    def _check_written(self, written: Written) -> None:
        """The file holds, to the byte, what the rows of the walk were made into."""
        self.progress.begin("Reading", written.row_count)
        if self._is_readable:
            with self.keeper.opened(self.options.archive) as archive:
                is_whole = archive.holds(written.sha256, written.rows_by_model)
        else:
            is_whole = self.keeper.file_sha256(self.options.archive) == written.file_sha256
        self.progress.end()
        if not is_whole:
            raise _damaged(written)

    def _check_commit(self) -> None:
        """Files do not come back when a transaction is rolled back."""
        options, database = self.options, self.options.walk.database
        if not options.with_files or options.dry_run or database not in connections:
            return
        check_databases()
        if not self._is_free():
            raise UsageError(
                "A transaction is open, and uploaded files go only when it is committed.",
                hint="Call outside transaction.atomic(), or without files.",
            )

    def _check_batches(self) -> None:
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
            check_batches(database, self._batches)

    @property
    def _batches(self) -> Batches:
        options = self.options
        return Batches(options.commit_every, options.batch_seconds, options.limits)

    def _check_archive(self) -> None:
        """The archive has a place, and it is not another deletion's that is not at its end: that
        one holds rows that are nowhere else."""
        if self.destination is None:
            return
        self.destination.check()
        database, name = self.options.walk.database, self.options.archive
        if database not in connections or not conf.is_installed():
            return
        if not self.destination.place.exists():
            return
        with failures(connections[database], "Nothing was removed."):
            if not journal.has_table(database) or not journal.has_unended(database):
                return
            if journal.has_unended(database, self._digest_of_old(name)):
                raise ArchiveExists(
                    f"{name} is the archive of a deletion that is not at its end.",
                    hint=f"Go on with:\n{resume_words(self.options.keeping.words(name), database)}",
                )

    def _digest_of_old(self, name: str) -> str:
        """The digest of the archive that is to be replaced; "none" of what is no whole archive."""
        try:
            with self.keeper.opened(name) as old:
                return old.digest()
        except (ArchiveNotRead, ArchiveNotTrusted) as error:
            raise ArchiveExists(
                f"{name} may be the archive of a deletion that is not at its end: {error.message}",
                hint="Choose another name, or name what opens it with --identity FILE.",
            ) from error
        except ArchiveError:
            return "none"

    def _entry(self, ready: _Ready, began: datetime) -> journal.RemovalEntry:
        written = ready.written
        return journal.RemovalEntry(
            archive=written.name if written else "",
            sha256=written.sha256 if written else "",
            objects=self.references,
            command=self.options.command,
            moment=began,
            person=person(),
            planned=ready.plan.removed_by_model,
        )

    def _remove(self, ready: _Ready, entry: journal.RemovalEntry) -> tuple[Gone, Sequence[Finding]]:
        gone = self._swept(ready, entry)
        if gone is None:
            removing = self._known(ready)
            if self.options.commit_every:
                return self._remove_in_batches(removing, entry)
            gone = self._removed_at_once(removing, entry)
        return gone, self._cleared(ready.removing, entry) if self.options.with_files else ()

    def _removed_at_once(self, removing: Removing, entry: journal.RemovalEntry) -> Gone:
        for _ in range(_MOST_ATTEMPTS - 1):
            with suppress(Overtaken):
                return self._remove_at_once(removing, entry)
        return self._remove_at_once(removing, entry)

    def _cleared(self, removing: Removing, entry: journal.RemovalEntry) -> Sequence[Finding]:
        """The files go, now that the rows are gone for good; then the deletion is at its end."""
        alias = removing.connection.alias
        how = "Gestore keeps no journal here: look which files are left."
        if self.number:
            words = self.options.keeping.words(self.options.archive)
            how = f"Go on with:\n{resume_words(words, alias)}"
        with rows_are_gone(how):
            left = self._clear(removing)
            if self.number and not stands_in_the_way(left):
                with loading(removing.connection, keep=True):
                    journal.end(journal.locked(alias, self.number), self.clock())
        return left

    def _clear(self, removing: Removing) -> Sequence[Finding]:
        self.cleared, left = cleared(
            removing.reader,
            self.named,
            self.progress,
            only_archived=self.destination is not None,
        )
        return left

    def _swept(self, ready: _Ready, entry: journal.RemovalEntry) -> Gone | None:
        """The fast way; None when the careful one has to be gone, and nothing was removed."""
        if ready.sweep is None:
            return None
        if ready.written is not None:
            self._check_written(ready.written)
        connection = ready.removing.connection
        try:
            with loading(connection, keep=True):
                gone = swept(ready.sweep, self.progress)
                self._remember(connection.alias, entry, gone)
        except (Doubt, Overtaken):
            return None
        return gone

    def _known(self, ready: _Ready) -> Removing:
        """The removal, with what every row is to be."""
        if not self._is_readable:
            # The rows were noted as they were archived; a sweep has looked at the file already.
            if ready.written is not None and ready.sweep is None:
                self._check_written(ready.written)
        elif ready.written is not None:
            task = "Reading" if ready.sweep is None else "Looking closer"
            self._read_again(ready.written, ready.removing, task)
        elif ready.sweep is not None:
            # The rows were not read when they were planned: they are now, if they are the same.
            with self._planned() as planned:
                if planned.plan.fingerprint != ready.plan.fingerprint:
                    going = owned_keys(planned.walked)
                    refuse_differing(ready.sweep, ready.closure, going)
                _stop_if_blocked(planned.plan)
                _stop_if_other(planned.plan, ready.plan)
                self._note_rows(planned, ready.removing)
        return ready.removing

    def _remove_in_batches(
        self, removing: Removing, entry: journal.RemovalEntry
    ) -> tuple[Gone, Sequence[Finding]]:
        alias = removing.connection.alias
        # No lock while all is compared: each batch compares its own rows again, locked.
        with snapshot(removing.connection):
            check_unchanged(removing, self.progress, locked=False)
        with loading(removing.connection, keep=True):
            number = journal.begin(alias, entry)
        return remove_in_batches(
            removing,
            number,
            self.options.keeping.words(self.options.archive),
            self._batches,
            self.progress,
            self.clock,
            last=lambda: self._clear(removing) if self.options.with_files else (),
        )

    def _remove_at_once(self, removing: Removing, entry: journal.RemovalEntry) -> Gone:
        with loading(removing.connection, keep=True):
            gone = remove_at_once(removing, self.progress)
            self._remember(removing.connection.alias, entry, gone)
        return gone

    def _remember(self, alias: str, entry: journal.RemovalEntry, gone: Gone) -> None:
        if conf.is_installed() and journal.has_table(alias):
            record = journal.locked(alias, journal.begin(alias, entry))
            journal.add(record, removed=gone.removed, changed=gone.changed)
            if self.options.with_files and entry.archive:
                # Its end is when the files are gone, too.
                self.number = record.pk
            else:
                journal.end(record, self.clock())


def receipt_of(
    entry: journal.RemovalEntry,
    gone: Gone,
    left: Sequence[Finding],
    options: DeleteOptions,
    ended: datetime,
    files: Cleared | None = None,
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
        is_proved=not stands_in_the_way(left),
        left=len(left),
        versions={"gestore": __version__, "django": django.get_version()},
        files=None if files is None else files.as_json(),
    )
    if options.receipt:
        write_receipt(options.receipt, receipt)
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


def _damaged(written: Written) -> ArchiveDamaged:
    return ArchiveDamaged(
        f"{written.name} does not hold what was written to it.",
        hint="Nothing was removed. Look at the disk, and write the archive elsewhere.",
    )


def _stop_if_blocked(plan: DeletePlan) -> None:
    if plan.blockers:
        raise Refused(
            "Nothing was removed: other rows stand in the way.",
            plan.findings,
            hint="See all that would go with -n/--dry-run.",
        )


def _stop_if_other(plan: DeletePlan, shown: DeletePlan | None) -> None:
    if shown is not None and shown.fingerprint != plan.fingerprint:
        raise GestoreError(
            "Nothing was removed: the rows changed while the plan was looked at.",
            hint="Look at the plan again.",
        )
