"""Is an archive whole, and does a database hold what it says?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from django.db import DEFAULT_DB_ALIAS, connections

from . import conf
from .archive.manifest import Manifest
from .archive.reader import ArchiveReader
from .database.transactions import snapshot
from .errors import Finding, Findings, NotFound, Refused, Severity
from .importing import ImportOptions, anonymized_findings, compare_archive
from .keeping import Keeper, Keeping
from .progress import Progress, Silence
from .removal.ledger import Ledger
from .removing import removing_again
from .rows import ArchivedRow, JsonValue
from .schema.introspect import build_graph
from .uploads import Clearing, Named


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What an archive holds, rows by model; with a comparison, how many of them are in the
    database with the same values, with others, or not at all; asked whether they are absent, what
    is left of those that a deletion removed. `file_count` are the uploaded files in it. `signer` is
    the public key of who signed it, where `GESTORE["TRUSTED_SIGNERS"]` asks for that."""

    archive: str
    manifest: Manifest
    rows_by_model: dict[str, int]
    sha256: str
    findings: tuple[Finding, ...]
    same_by_model: dict[str, int] | None = None
    absent_by_model: dict[str, int] | None = None
    left: Findings | None = None
    is_encrypted: bool = False
    signer: str = ""
    file_count: int = 0
    file_bytes: int = 0

    @property
    def row_count(self) -> int:
        return sum(self.rows_by_model.values())

    def as_json(self) -> dict[str, JsonValue]:
        return {
            "archive": self.archive,
            "objects": list(self.manifest.provided_objects),
            "rows": self.row_count,
            "rows_by_model": self.rows_by_model,
            "sha256": self.sha256,
            "encrypted": self.is_encrypted,
            "signer": self.signer,
            "files": {"carried": self.file_count, "bytes": self.file_bytes},
            "same": self.same_by_model,
            "absent": self.absent_by_model,
            "left": None if self.left is None else [f.as_json() for f in self.left],
            "findings": [finding.as_json() for finding in self.findings],
        }


def verify_archive(
    archive: str,
    *,
    compare: bool = False,
    absent: bool = False,
    database: str = DEFAULT_DB_ALIAS,
    strict: bool = False,
    progress: Progress | None = None,
    keeping: Keeping | None = None,
) -> VerifyReport:
    """Read the archive from its first byte to its last; with `compare`, hold every row against
    the database; with `absent`, look for owned rows of it that are in the database, and for rows
    that point at them. `keeping` says where it lies, and what opens it. `Refused` when something is
    wrong with the archive itself, or when it does not fit the database."""
    listener = progress or Silence()
    with Keeper(keeping or Keeping()).opened(archive) as opened:
        report = _verify(opened, listener, strict=strict)
        said = anonymized_findings(opened.manifest)
        report = replace(report, findings=(*report.findings, *said))
        _stop_if_wrong(report, "is not as it should be")
        if compare:
            report = _compared(report, opened, database, listener)
            _stop_if_wrong(report, f"does not fit the database {database!r}")
        if absent:
            report = replace(report, left=_left(opened, database, listener))
    return report


def _left(archive: ArchiveReader, database: str, progress: Progress) -> Findings:
    """What is there of the rows that a deletion with this archive removed."""
    if database not in connections:
        raise NotFound(f"No database {database!r}.", hint=f"There are: {', '.join(connections)}.")
    settings, manifest = conf.load(), archive.manifest
    graph = build_graph(settings.relations, settings.unmanaged, database)
    connection = connections[database]
    with snapshot(connection), Ledger() as ledger:
        removing = removing_again(
            graph, connection, manifest, ledger, is_aware=conf.has_time_zones()
        )
        progress.begin("Reading", manifest.row_count)
        removing.learn(archive.rows(), progress.advance)
        progress.end()
        progress.begin("Looking", removing.total)
        left = removing.left_behind(progress.advance)
        progress.end()
        if archive.files is not None:
            with closing(Named()) as named:
                for file in archive.files.files():
                    named.carry(file)
                left.extend(Clearing(removing.reader).there(named))
    return left


def _stop_if_wrong(report: VerifyReport, what: str) -> None:
    if any(finding.severity is Severity.ERROR for finding in report.findings):
        raise Refused(f"{report.archive} {what}.", report.findings)


def _verify(archive: ArchiveReader, progress: Progress, *, strict: bool) -> VerifyReport:
    counts: Counter[str] = Counter()
    progress.begin("Reading", archive.manifest.row_count or None)

    def rows() -> Iterator[ArchivedRow]:
        for row in archive.rows():
            progress.advance(1)
            yield row

    for row in rows():
        counts[row.model] += 1
    progress.end()
    ending = archive.ending
    assert ending is not None
    findings = ending.findings(archive.name)
    if strict:
        findings = [replace(f, severity=Severity.ERROR, hint="") for f in findings]
    if not findings:
        findings = list(_announced(archive.manifest, counts))
    with closing(Named()) as named:
        count = size = 0
        for file in archive.files.files() if archive.files is not None else ():
            named.carry(file)
            count += bool(file.sha256)
            size += file.size_bytes
        findings += named.missing()
    tables = archive.manifest.tables
    labelled = {tables[n].label if n in tables else n: count for n, count in counts.items()}
    return VerifyReport(
        archive.name,
        archive.manifest,
        labelled,
        ending.sha256,
        tuple(findings),
        is_encrypted=archive.is_encrypted,
        signer=archive.signer,
        file_count=count,
        file_bytes=size,
    )


def _announced(manifest: Manifest, counts: Counter[str]) -> Iterator[Finding]:
    """The manifest's counts against the rows; the digest says nobody edited them."""
    for name, entry in manifest.tables.items():
        if counts[name] != entry.rows:
            yield Finding(
                "count",
                Severity.ERROR,
                entry.label,
                f"rows announced: {entry.rows:,}, rows there: {counts[name]:,}.",
            )


def _compared(
    report: VerifyReport, archive: ArchiveReader, database: str, progress: Progress
) -> VerifyReport:
    comparison = compare_archive(archive, ImportOptions(database=database), progress)
    return replace(
        report,
        same_by_model=comparison.here_by_model,
        absent_by_model=comparison.loaded_by_model,
        findings=(*report.findings, *comparison.findings),
    )
