"""How is a deletion in batches brought to its end that was interrupted? From its archive."""

from __future__ import annotations

from contextlib import closing

from django.db import connections

from . import conf
from .archive.reader import ArchiveReader
from .batching import Batches, check_batches, remove_in_batches
from .database import journal
from .database.transactions import failures, quiet
from .deleting import DeleteOptions, DeletePlan, DeleteReport, receipt_of
from .errors import ArchiveDamaged, Findings, NotFound, UsageError
from .exporting import Clock, now
from .keeping import Keeper
from .planning import WalkOptions
from .progress import Progress, Silence
from .removal.ledger import Ledger
from .removal.receipt import check_receipt
from .removing import Removing, removing_again
from .schema.introspect import build_graph
from .uploads import Cleared, Named, cleared

_ROWS = 10_000


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
        self.cleared: Cleared | None = None
        self.batches = Batches(options.commit_every or _ROWS, options.batch_seconds, options.limits)

    def run(self) -> DeleteReport:
        database = self.options.walk.database
        if database not in connections:
            raise NotFound(
                f"No database {database!r}.", hint=f"There are: {', '.join(connections)}."
            )
        if self.options.dry_run:
            raise UsageError("A deletion that is resumed was agreed to: there is no dry run of it.")
        said = self.options.overwrite or self.options.with_files
        if self.options.walk != WalkOptions(database=database) or said:
            raise UsageError(
                "What goes was settled when the deletion was begun, and stands in the archive.",
                hint="Leave out the options that say what is taken, --with-files and --overwrite.",
            )
        keeping = self.options.keeping
        if keeping.encrypt_to or keeping.sign:
            raise UsageError(
                "The archive was written when the deletion was begun.",
                hint="Leave out --encrypt-to and --sign.",
            )
        if self.options.receipt:
            check_receipt(self.options.receipt)
        check_batches(database, self.batches)
        settings = conf.load()
        connection = connections[database]
        graph = build_graph(settings.relations, settings.unmanaged, database)
        with (
            quiet(connection),
            Ledger() as ledger,
            closing(Named()) as named,
            Keeper(keeping).opened(self.archive) as opened_archive,
        ):
            manifest = opened_archive.manifest
            with failures(connection, "Nothing more was removed."):
                record = journal.unended(database, opened_archive.digest())
            removing = removing_again(
                graph, connection, manifest, ledger, is_aware=conf.has_time_zones()
            )
            self._learn(opened_archive, removing)
            with_files = opened_archive.files is not None
            for file in opened_archive.files.files() if opened_archive.files else ():
                named.carry(file)
            gone, left = remove_in_batches(
                removing,
                record.pk,
                keeping.words(self.archive),
                self.batches,
                self.progress,
                self.clock,
                last=lambda: self._clear(removing, named) if with_files else (),
            )
        entry = journal.RemovalEntry(
            opened_archive.name,
            record.sha256,
            record.objects_named,
            record.command,
            record.began_at,
            record.began_by,
            record.planned,
        )
        receipt = receipt_of(entry, gone, left, self.options, self.clock(), self.cleared)
        plan = DeletePlan(tuple(entry.objects), database, entry.planned)
        return DeleteReport(plan, gone.removed, gone.changed, None, receipt, left, self.cleared)

    def _clear(self, removing: Removing, named: Named) -> Findings:
        self.cleared, left = cleared(removing.reader, named, self.progress, only_archived=True)
        return left

    def _learn(self, archive: ArchiveReader, removing: Removing) -> None:
        self.progress.begin("Reading", archive.manifest.row_count)
        removing.learn(archive.rows(), self.progress.advance)
        self.progress.end()
        if archive.ending is None or archive.ending.findings(archive.name):
            raise ArchiveDamaged(
                f"{archive.name} was changed after it was written: nothing more was removed."
            )
