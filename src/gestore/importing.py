"""How does an archive arrive in a database? Read once to check, once to load, then verify; one
transaction, and nothing written before every check has passed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from hashlib import sha256
from zoneinfo import ZoneInfo

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from . import conf
from .archive.manifest import Manifest
from .archive.reader import ArchiveReader, Lot
from .archive.storage import read_text, write_text
from .archive.values import TimeZones
from .arrivals import Arrivals, FileCounts
from .database.beside import InEachOthersWay, beside
from .database.insert import Writer
from .database.migrations import migration_state
from .database.select import Reader
from .database.target import Target
from .database.transactions import is_free, loading
from .errors import (
    Finding,
    Findings,
    GestoreError,
    LoadFailed,
    NotFound,
    Overtaken,
    Refused,
    Severity,
    UsageError,
)
from .exporting import installed_libraries
from .external import ExternalRows
from .keeping import Keeper, Keeping
from .load.ahead import Ahead, GuessedWrong, LoadedAhead
from .load.circles import Circles, check_circles
from .load.conflicts import Examiner
from .load.decoding import Decoding, SourceRow
from .load.keymap import KeyMap, derived_places
from .load.leavings import Leavings
from .load.loader import Loaded, Loader
from .load.meeting import Fates, Ground
from .load.renames import Renames
from .load.resolutions import Resolutions
from .load.resolutions import document as resolutions_document
from .load.resolutions import read as read_resolutions
from .load.rewriting import Rewriter, Rewriting
from .load.schema_check import SiteState, check_schema
from .load.spool import Spool
from .load.strategies import Strategies, Strategy
from .load.together import Together
from .load.translation import Translation
from .load.verdicts import Examination
from .load.verify import dangling, read_back, verify
from .load.versions import key_as_json
from .memory import Memory, remembers
from .numbering import draw_beside, draw_keys, key_overflows
from .progress import Progress, Silence
from .rows import ArchivedRow, JsonValue
from .schema.graph import Graph
from .schema.introspect import build_graph
from .schema.policy import DEFAULTS
from .upgrading import upgraded
from .uploads import file_columns
from .version import __version__
from .walk.keys import KeySet


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How an archive is loaded. `strategies` maps a model label to its own strategy.

    `keymap`, `resolutions` and `write_resolutions` are names of files. With `upgrade`, an archive
    whose migrations are behind lives through the project's in a database of the moment, or in the
    empty one whose alias is `scratch`. `keeping` says where the archive lies, and what opens it.
    """

    database: str = DEFAULT_DB_ALIAS
    on_conflict: Strategy = Strategy.REFUSE
    strategies: dict[str, Strategy] = field(default_factory=dict)
    ignore_unknown: bool = False
    strict: bool = False
    dry_run: bool = False
    new_keys: bool = False
    verify: bool = False
    keymap: str = ""
    resolutions: str = ""
    write_resolutions: str = ""
    upgrade: bool = False
    scratch: str = ""
    keeping: Keeping = field(default_factory=Keeping)


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did: rows by model label that were written, were there with the same values,
    for which a row here stands, whose row here took their values, that got a new key (of those
    written), or whose row here got back the pointers that a deletion took (of those there); and the
    findings. `number` is the record's, for `undo_import`; 0 when none was made. `files` counts
    those that came along and that rows name which were written.
    """

    archive: str
    objects: tuple[str, ...]
    loaded_by_model: dict[str, int]
    here_by_model: dict[str, int]
    kept_by_model: dict[str, int]
    overridden_by_model: dict[str, int]
    renewed_by_model: dict[str, int]
    restored_by_model: dict[str, int]
    findings: Sequence[Finding]
    is_dry_run: bool
    number: int = 0
    files: FileCounts = field(default_factory=FileCounts)

    @property
    def loaded_count(self) -> int:
        return sum(self.loaded_by_model.values())

    @property
    def here_count(self) -> int:
        return sum(self.here_by_model.values())

    @property
    def kept_count(self) -> int:
        return sum(self.kept_by_model.values())

    @property
    def overridden_count(self) -> int:
        return sum(self.overridden_by_model.values())

    @property
    def renewed_count(self) -> int:
        return sum(self.renewed_by_model.values())

    @property
    def restored_count(self) -> int:
        return sum(self.restored_by_model.values())

    def as_json(self) -> dict[str, JsonValue]:
        return {
            "archive": self.archive,
            "objects": list(self.objects),
            "loaded": self.loaded_by_model,
            "here": self.here_by_model,
            "kept": self.kept_by_model,
            "overridden": self.overridden_by_model,
            "renewed": self.renewed_by_model,
            "restored": self.restored_by_model,
            "import": self.number,
            "files": self.files.as_json(),
            "dry_run": self.is_dry_run,
            "findings": [finding.as_json() for finding in self.findings],
        }


def import_objects(
    archive: str, options: ImportOptions | None = None, *, progress: Progress | None = None
) -> ImportReport:
    """Load the archive (a file name, or `-` for standard input) into the database.

    Everything happens in one transaction. Where another writer was faster between the check and
    the load, all starts again from the check, which sees what was written. Raises `Refused` with
    every finding when a check stops it, and any other `GestoreError`; the database is then as it
    was.
    """
    options = options or ImportOptions()
    listener = progress or Silence()
    settings = conf.load()
    if options.database not in connections:
        raise NotFound(
            f"No database {options.database!r}.", hint=f"There are: {', '.join(connections)}."
        )
    graph = build_graph(settings.relations, settings.unmanaged, options.database)
    with (
        Keeper(options.keeping).opened(archive) as read,
        _of_today(read, options, listener) as opened,
    ):
        _check_commit(opened, options)
        for _ in range(_MOST_ATTEMPTS - 1):
            with suppress(Overtaken):
                return _run(graph, opened, options, listener)
        return _run(graph, opened, options, listener)


def _run(
    graph: Graph, archive: ArchiveReader, options: ImportOptions, progress: Progress
) -> ImportReport:
    try:
        return _Import(graph, archive, options, progress, loads_ahead=True).run()
    except (GuessedWrong, InEachOthersWay):
        # Something is not as it nearly always is: all is asked before anything is loaded.
        return _Import(graph, archive, options, progress).run()


def _of_today(
    archive: ArchiveReader, options: ImportOptions, progress: Progress
) -> AbstractContextManager[ArchiveReader]:
    if options.scratch and not options.upgrade:
        raise UsageError("A scratch database is named, and nothing is upgraded: add --upgrade.")
    if not options.upgrade:
        return nullcontext(archive)
    zones = _zones(archive.manifest)
    return upgraded(archive, zones, progress, scratch=options.scratch)


def _check_commit(archive: ArchiveReader, options: ImportOptions) -> None:
    """Files cannot be rolled back: only whoever commits knows whether they are to stay."""
    is_ours = is_free(connections[options.database])
    if archive.files is not None and not is_ours and not options.dry_run:
        raise UsageError(
            "A transaction is open, and uploaded files would stay if it were rolled back.",
            hint="Call outside transaction.atomic(), or import an archive without files.",
        )


def compare_archive(
    archive: ArchiveReader, options: ImportOptions, progress: Progress
) -> ImportReport:
    """Hold an archive against a database, writing nothing: `here` are the rows with the same
    values, `loaded` those that are absent; rows with other values are among the findings, those
    that only lack what a deletion took included."""
    settings = conf.load()
    graph = build_graph(settings.relations, settings.unmanaged, options.database)
    return _Import(graph, archive, options, progress).compare()


class _Import:
    """One import; each step hands its outcome to the next."""

    def __init__(
        self,
        graph: Graph,
        archive: ArchiveReader,
        options: ImportOptions,
        progress: Progress,
        *,
        loads_ahead: bool = False,
    ) -> None:
        self.graph = graph
        self.archive = archive
        self.options = options
        self.progress = progress
        self.connection = connections[options.database]
        self.settings = conf.load()
        self.renames = Renames.of(self.settings.renames)
        self.manifest = self.renames.manifest(_completed(archive.manifest))
        self.resolutions = _read_resolutions(options.resolutions)
        self.zones = _zones(self.manifest)
        self.decoding = Decoding(graph, self.manifest, self.zones, self.resolutions.values_of)
        self.reader = Reader(self.connection, graph)
        self.writer = Writer(self.connection, graph)
        self.target = Target(self.reader, self.writer)
        self.spool: Spool | None = None
        self.loaded_ahead: LoadedAhead | None = None
        self.loads_ahead = loads_ahead
        self.findings = Findings()
        self.recalled: dict[str, KeySet] = {}
        self.fates: Fates = {}
        self.leavings: Leavings | None = None
        self.arrivals: Arrivals | None = None

    def run(self) -> ImportReport:
        self._check_schema()
        self.findings.extend(anonymized_findings(self.manifest))
        self._stop_if(Severity.ERROR, "Nothing was imported: the archive does not fit this site.")
        memory = self._memory()
        self.loads_ahead &= is_free(self.connection)
        # Two imports of one archive come one after the other: the second finds everything there.
        with (
            self._spooling(),
            self._arriving(),
            loading(self.connection, keep=not self.options.dry_run, name=self._turn(memory)),
        ):
            keymap = self._resolve_external()
            self.rewriting = Rewriting(self.graph, keymap, self._rewriters())
            self.leavings = Leavings(self.graph)
            if not self.options.new_keys:
                self.recalled = memory.recall(keymap)
            examination = self._examine(keymap)
            draw_keys(self.graph, self.writer, examination)
            loaded = self._load(examination)
            self._verify(loaded, examination)
            self._write_keymap(examination)
            files = self._write_files(examination)
            number = 0
            if not self.options.dry_run:
                number = memory.remember(
                    self.archive.name, examination, loaded, self._written_files()
                )
        return self._report(examination, loaded, number, files)

    @cached_property
    def circles(self) -> Circles:
        """What the database says of circles, asked over the connection that loads."""
        return Circles.of(self.graph, self.writer.cannot_defer(self.graph.relations))

    def _turn(self, memory: Memory) -> str:
        """Whose turn it is: two imports of one archive have one name."""
        if not memory.is_kept:
            return ""
        if self.manifest.format_version == 1:
            return memory.digest()
        return sha256(json.dumps(self.manifest.as_json()).encode()).hexdigest()

    @contextmanager
    def _spooling(self) -> Iterator[None]:
        """Rows are decided many at once where each of them is as an exporter wrote it."""
        is_plain = self.manifest.format_version > 1 and not self.renames
        if not (DECIDES_TOGETHER and is_plain and not len(self.resolutions)):
            yield
            return
        with closing(Spool()) as self.spool:
            yield
        self.spool = None

    def _memory(self) -> Memory:
        database = self.connection.alias
        is_kept = remembers(database)
        return Memory(self.decoding, database, self._digest, is_kept=is_kept)

    def _digest(self) -> str:
        """The archive's, which whoever has read all of it knows."""
        ending = self.archive.ending
        return self.archive.digest() if ending is None else ending.sha256

    def compare(self) -> ImportReport:
        self._check_schema()
        self._stop_if(Severity.ERROR, "The archive does not fit this site: it cannot be compared.")
        with self._arriving(), loading(self.connection, keep=False):
            keymap = self._resolve_external()
            self.rewriting = Rewriting(self.graph, keymap, self._rewriters())
            _, examination = self._settled(keymap)
            if self.arrivals is not None:
                self.findings.extend(self.arrivals.absent())
        self.findings.extend(examination.findings)
        absent = Loaded()
        for name, verdict in examination.verdicts.items():
            if verdict.loaded_count:
                absent.rows_by_table[name] = verdict.loaded_count
        return self._report(examination, absent)

    # Checks --------------------------------------------------------------------------------------

    def _check_schema(self) -> None:
        state = migration_state(self.connection)
        site = SiteState(
            state.last,
            state.known,
            state.unapplied,
            __version__,
            self._libraries(),
            self.connection.alias,
        )
        found = check_schema(
            self.manifest, self.graph, site, ignore_unknown=self.options.ignore_unknown
        )
        self.findings.extend(found)

    def _libraries(self) -> dict[str, str]:
        # The original warned of each; ours names the versions that matter in the manifest.
        return installed_libraries() if self.manifest.format_version == 1 else {}

    def _stop_if(self, severity: Severity, message: str, hint: str = "") -> None:
        if self.findings.has(severity):
            raise Refused(message, self.findings, hint=hint)

    def _resolve_external(self) -> KeyMap:
        keymap = KeyMap(derived_places(self.graph))
        external = ExternalRows(self.decoding, self.reader, self._rows)
        self.findings.extend(external.resolve(keymap))
        return keymap

    def _examiner(self, keymap: KeyMap, *, is_first: bool) -> Examiner:
        strategies = Strategies(
            self.options.on_conflict,
            {self.graph.table(n).name: s for n, s in self.options.strategies.items()},
            self.options.new_keys,
        )
        overrides = strategies.overrides or self.resolutions.overrides
        if overrides and not conf.allows_override():
            raise UsageError(
                "The strategy override changes rows that are here, and DEBUG is off.",
                hint='If that is meant, set GESTORE["ALLOW_OVERRIDE"] = True.',
            )
        ground = Ground(
            self.graph,
            self.decoding,
            self.target,
            strategies,
            keymap,
            rewriting=self.rewriting,
            resolutions=self.resolutions,
            recalled=self.recalled,
            fates=self.fates,
            leavings=self.leavings,
            is_first=is_first,
        )
        return Examiner(ground, ignore_unknown=self.options.ignore_unknown)

    def _settled(self, keymap: KeyMap) -> tuple[Examiner, Examination]:
        """Examine until nothing changes: rows of a circle look ahead at what is not decided."""
        for number in range(_MOST_EXAMINATIONS):
            examiner = self._examiner(keymap, is_first=number == 0)
            with self._ahead(examiner) if number == 0 else nullcontext() as ahead:
                examination = self._examined(examiner, ahead)
            if examination.is_settled:
                return examiner, examination
        raise GestoreError(
            "What becomes of rows that point at each other in a circle cannot be settled.",
            hint="Name a strategy for their models, or resolve them by hand.",
        )

    def _examined(self, examiner: Examiner, ahead: Ahead | None) -> Examination:
        if self.spool is None:
            return examiner.examine(self._counted_rows())
        self.spool.begin()
        packing = self.writer if ahead is None else ahead.packing
        together = Together(
            examiner.ground, self.target, packing, self.rewriting, self.spool, ahead
        )
        return examiner.examine_lots(self._counted_lots(), together, self.spool, ahead)

    @contextmanager
    def _ahead(self, examiner: Examiner) -> Iterator[Ahead | None]:
        """Inside, rows that were decided are loaded while others are being examined."""
        self.loaded_ahead = None
        if self.spool is None or not self._may_load_ahead():
            yield None
            return
        with beside(self.connection) as carrier:
            if carrier is None:
                yield None
                return
            ground = examiner.ground
            reader, writer = Reader(carrier.other, self.graph), Writer(carrier.other, self.graph)
            ahead = Ahead(
                ground,
                self.circles,
                self.writer,
                writer,
                carrier,
                self.spool,
                partial(draw_beside, self.writer, ground.result, carrier),
                is_first_time=not self.recalled,
            )
            with self.target.asked_by(reader, writer):
                yield ahead
            self.loaded_ahead = ahead.finish()

    def _may_load_ahead(self) -> bool:
        """Whether many rows come, all of which can go in in their order, over a connection that is
        ours alone."""
        return (
            self.loads_ahead
            and self.manifest.row_count >= LOADS_AHEAD_FROM
            and not any(relation.source in self.manifest.tables for relation in self.circles.stuck)
        )

    def _examine(self, keymap: KeyMap) -> Examination:
        self._stop_if(Severity.ERROR, "Nothing was imported: external rows are missing here.")
        self.progress.begin("Checking", self.manifest.row_count or None)
        examiner, examination = self._settled(keymap)
        self.progress.end()
        self.findings.extend(examination.findings)
        if examiner.has_missing:
            self.findings.extend(examiner.missing_rows(self._rows()))
        self.findings.extend(self._ending_findings())
        self.findings.extend(
            check_circles(
                self.graph,
                {relation.name for relation in self.circles.immediate},
                examination.verdicts,
                can_go_unchecked=self.connection.vendor == "mysql",
            )
        )
        self.findings.extend(key_overflows(self.graph, self.writer, examination))
        self.findings.extend(self._anonymized_overrides(examination))
        self._write_resolutions()
        self._stop_if(Severity.ERROR, "Nothing was imported: the archive has errors.")
        self._stop_if(
            Severity.CONFLICT,
            "Nothing was imported: rows of the archive meet other rows here.",
            _advice(self.options.on_conflict),
        )
        return examination

    def _anonymized_overrides(self, examination: Examination) -> Iterator[Finding]:
        """Rows here would take values that are nobody's: only where their model is named."""
        named = {self.graph.table(label).name for label in self.options.strategies}
        if self.options.on_conflict is not Strategy.OVERRIDE:
            return
        for name, entry in self.manifest.tables.items():
            verdict = examination.verdicts.get(name)
            columns = [n for n, column in entry.columns.items() if column.is_anonymized]
            if not columns or name in named or verdict is None or not len(verdict.overridden):
                continue
            label, count = self.graph.tables[name].label, len(verdict.overridden)
            yield Finding(
                "anonymized-override",
                Severity.ERROR,
                label,
                f"{count:,} {'row' if count == 1 else 'rows'} here would lose what is in "
                f"{', '.join(columns)}: the archive is anonymized and has other values.",
                f"If that is meant, name the model: --on-conflict {label}=override",
            )

    def _rows(self) -> Iterator[ArchivedRow]:
        """The archive's rows from the beginning, under their names here."""
        rows = self.archive.rows()
        return self.renames.rows(rows) if self.renames else rows

    def _counted_rows(self) -> Iterator[ArchivedRow]:
        for row in self._rows():
            self.progress.advance(1)
            yield row

    def _counted_lots(self) -> Iterator[Lot]:
        for lot in self.archive.lots():
            self.progress.advance(len(lot))
            yield lot

    def _ending_findings(self) -> list[Finding]:
        assert self.archive.ending is not None
        findings = self.archive.ending.findings(self.archive.name)
        if self.options.strict:
            return [replace(f, severity=Severity.ERROR, hint="") for f in findings]
        return findings

    # Load and verify -----------------------------------------------------------------------------

    def _load(self, examination: Examination) -> Loaded:
        self.progress.begin("Loading", examination.loaded_count)
        loader = Loader(
            self.graph, self.decoding, examination, self.writer, self.circles, self.rewriting
        )
        loaded = loader.load(self._rows, self.progress.advance, self.spool, self.loaded_ahead)
        self.progress.end()
        self.findings.extend(loader.suspects())
        return loaded

    def _verify(self, loaded: Loaded, examination: Examination) -> None:
        self.progress.begin("Verifying")
        proved: set[str] = set()
        if not loaded.was_unchecked:
            proved = self.writer.checks_itself(self.graph.relations)
        relations = (self.graph.relations_by_name[name.lower()] for name in loaded.restored)
        names = {*loaded.keys_by_table, *loaded.overridden, *(r.source for r in relations)}
        taken = self.writer.taken([self.graph.tables[name] for name in names])
        found = list(verify(self.graph, loaded, self.reader, proved, taken))
        if self.options.verify and not found:
            found = list(self._read_back(examination))
        self._roll_back_if(found)
        try:
            self.writer.settle(self.graph.tables[name] for name in loaded.keys_by_table)
        except LoadFailed:
            # The database says that a pointer leads nowhere, and not always whose.
            self._roll_back_if(list(dangling(self.graph, loaded, self.reader)))
            raise
        self.progress.end()

    def _roll_back_if(self, found: Sequence[Finding]) -> None:
        if found:
            transaction.set_rollback(True, using=self.connection.alias)
            raise Refused(
                "Everything was rolled back: what was written is not what should be there.", found
            )

    def _read_back(self, examination: Examination) -> Iterator[Finding]:
        translation = Translation(self.graph, self.decoding, examination.keymap, self.rewriting)
        rows = (
            row
            for archived in self._rows()
            for row in self.decoding.rows(archived)
            if row.key is not None
            and (
                examination.is_loaded(row)
                or examination.is_override(row)
                or examination.is_restored(row)
            )
        )
        return read_back(rows, translation, self.reader.matching)

    # Uploaded files ------------------------------------------------------------------------------

    @contextmanager
    def _arriving(self) -> Iterator[None]:
        """Files that are written are removed again unless all ends well."""
        self.arrivals = None
        if self.archive.files is None:
            yield
            return
        self.arrivals = Arrivals(self.graph, self.archive.files, self.renames.label)
        with self.arrivals.written():
            if self.options.upgrade:
                for row in self._rows_with_files():
                    self.arrivals.adopt(row.table, row.values)
            yield

    def _rewriters(self) -> dict[str, Rewriter]:
        """The declared ones, and those of files that get another name here."""
        declared = dict(self.settings.rewriters)
        if self.arrivals is None:
            return declared
        return declared | self.arrivals.rewriters(declared)

    def _rows_with_files(self) -> Iterator[SourceRow]:
        tables = {name for name, table in self.graph.tables.items() if file_columns(table)}
        for archived in self._rows():
            if archived.model in tables:
                yield from self.decoding.rows(archived)

    def _write_files(self, examination: Examination) -> FileCounts:
        """Those that rows name which are written; in a dry run they are counted."""
        if self.arrivals is None:
            return FileCounts()
        for row in self._rows_with_files():
            if examination.is_loaded(row) or examination.is_override(row):
                self.arrivals.want(row.table, row.values)
        counts = self.arrivals.counts()
        self.findings.extend(self.arrivals.missing())
        if not self.options.dry_run:
            self.progress.begin("Writing files", counts.written)
            self.arrivals.write(self.progress.advance)
            self.progress.end()
        return counts

    def _written_files(self) -> Iterator[tuple[str, str]]:
        if self.arrivals is not None:
            yield from self.arrivals.written_names()

    # Files ---------------------------------------------------------------------------------------

    def _write_resolutions(self) -> None:
        if self.options.write_resolutions:
            digest = self.archive.digest()
            content = resolutions_document(self.archive.name, digest, self.findings)
            write_text(self.options.write_resolutions, [json.dumps(content, indent=2) + "\n"])

    def _write_keymap(self, examination: Examination) -> None:
        """A line for every row: its key at the source and here."""
        if self.options.keymap:
            write_text(self.options.keymap, self._keymap_lines(examination))

    def _keymap_lines(self, examination: Examination) -> Iterator[str]:
        for archived in self._rows():
            for row in self.decoding.rows(archived):
                if row.key is None:
                    continue
                table = row.table
                here = examination.keymap.target(table.name, table.key_names, row.key)
                told = {
                    "model": table.name,
                    "source": row.pk,
                    "target": key_as_json(table, here),
                    "outcome": examination.outcome(row),
                }
                yield json.dumps(told, ensure_ascii=False) + "\n"

    def _report(
        self,
        examination: Examination,
        loaded: Loaded,
        number: int = 0,
        files: FileCounts | None = None,
    ) -> ImportReport:
        verdicts = examination.verdicts
        labels = {name: self.graph.tables[name].label for name in verdicts}
        return ImportReport(
            archive=self.archive.name,
            objects=self.manifest.provided_objects,
            loaded_by_model={
                labels[n]: loaded.rows_by_table[n] for n in verdicts if n in loaded.rows_by_table
            },
            here_by_model={labels[n]: v.here_count for n, v in verdicts.items() if v.here_count},
            kept_by_model={labels[n]: len(v.kept) for n, v in verdicts.items() if len(v.kept)},
            overridden_by_model={
                labels[n]: len(v.overridden) for n, v in verdicts.items() if len(v.overridden)
            },
            renewed_by_model={
                labels[n]: v.renewed_count for n, v in verdicts.items() if v.renewed_count
            },
            restored_by_model={
                labels[n]: len(v.restored) for n, v in verdicts.items() if len(v.restored)
            },
            findings=self.findings,
            is_dry_run=self.options.dry_run,
            number=number,
            files=files or FileCounts(),
        )


def anonymized_findings(manifest: Manifest) -> Iterator[Finding]:
    """An archive that holds other values than its source says so."""
    labels = manifest.anonymized
    if labels:
        yield Finding(
            "anonymized",
            Severity.WARNING,
            "",
            f"The archive is anonymized: other values stand in the place of {', '.join(labels)}.",
        )


# Off in tests only: each row is then decided by itself, to the same end.
DECIDES_TOGETHER = True
# Fewer rows are not worth a second session.
LOADS_AHEAD_FROM = 2_000
_MOST_ATTEMPTS = 3
_MOST_EXAMINATIONS = 50


def _advice(tried: Strategy) -> str:
    """What else can be done about conflicts, when one way was tried."""
    ways = {
        Strategy.REMAP: "give the archived rows new keys with --on-conflict remap",
        Strategy.KEEP: "keep the rows that are here with --on-conflict keep",
    }
    told = ", ".join(way for strategy, way in ways.items() if strategy is not tried)
    return (
        f"{told[0].upper()}{told[1:]} (each for one model too: app.Model=keep), or decide row by "
        "row with --write-resolutions FILE."
    )


def _read_resolutions(name: str) -> Resolutions:
    if not name:
        return Resolutions()
    try:
        return read_resolutions(name, json.loads(read_text(name)))
    except ValueError as error:
        raise UsageError(f"{name} is no JSON: {error}.") from error


def _completed(manifest: Manifest) -> Manifest:
    """The original's documents name no policies: the defaults were never followed there."""
    if manifest.format_version > 1:
        return manifest
    return replace(manifest, policies={name: policy.value for name, policy in DEFAULTS.items()})


def _zones(manifest: Manifest) -> TimeZones:
    return TimeZones(
        source_is_aware=manifest.use_tz,
        target_is_aware=conf.has_time_zones(),
        source_default=_zone(manifest.time_zone),
        target_default=_zone(conf.time_zone()),
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError, TypeError):
        return ZoneInfo("UTC")
