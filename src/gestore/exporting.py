"""How does an object leave a database? Walk, then write; one snapshot, one file."""

from __future__ import annotations

import platform
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from itertools import chain

import django

from . import conf
from .anonymize.declared import Anonymizing
from .anonymizing import Anonymize, Anonymized
from .archive.columns import Lines
from .archive.encoding import Changed, RowEncoder, key_encoder
from .archive.manifest import (
    FORMAT_VERSION,
    ColumnEntry,
    ExternalRow,
    Manifest,
    TableEntry,
)
from .archive.writer import Destination, Written, write_aside, write_lines
from .database.identity import natural_keys
from .database.migrations import last_migrations
from .database.row_lines import RowLines, ahead_of, in_flow
from .errors import Finding, GestoreError, Refused, Severity, UsageError
from .keeping import Keeper, Keeping
from .planning import Walked, WalkOptions, plan_findings, walked
from .progress import Progress, Silence
from .rows import ArchivedRow, JsonValue
from .schema.relation import Relation
from .schema.table import Table
from .uploads import Named, Packing
from .version import __version__
from .walk.closure import Status
from .walk.keys import KeySet

_BATCH_KEYS = 10_000
_NAME = re.compile(r"^Name:(.*)$", re.MULTILINE)
_VERSION = re.compile(r"^Version:(.*)$", re.MULTILINE)

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was exported: the archive, rows per model label (owned, shared), findings, and the
    columns that have other values."""

    archive: Written
    owned_by_model: dict[str, int]
    shared_by_model: dict[str, int]
    findings: tuple[Finding, ...]
    anonymized: tuple[str, ...] = ()

    @property
    def row_count(self) -> int:
        return self.archive.row_count

    def as_json(self) -> dict[str, JsonValue]:
        return {
            "archive": self.archive.name,
            "sha256": self.archive.sha256,
            "size_bytes": self.archive.size_bytes,
            "file_sha256": self.archive.file_sha256,
            "signer": self.archive.signer,
            "rows": self.row_count,
            "files": {"carried": self.archive.file_count, "bytes": self.archive.file_bytes},
            "owned": self.owned_by_model,
            "shared": self.shared_by_model,
            "anonymized": list(self.anonymized),
            "findings": [finding.as_json() for finding in self.findings],
        }


def export_objects(
    references: Sequence[str],
    output: str,
    options: WalkOptions | None = None,
    *,
    form: str = "",
    overwrite: bool = False,
    with_files: bool = False,
    progress: Progress | None = None,
    clock: Clock | None = None,
    workers: int | None = None,
    keeping: Keeping | None = None,
    anonymize: bool = False,
    strict_anonymize: bool = False,
) -> ExportReport:
    """Write the objects and all that belongs to them into the archive `output`.

    `output` ends in `.json` or `.jsonl`, then `.gz` or `.zst`, then `.age` to be encrypted; `-` is
    standard output, in the form that `form` says in the same way. It lies where `keeping` says, and
    appears whole or not at all. On PostgreSQL reading is shared out over so many sessions as
    `workers` says, usually two; the archive is the same. With `with_files` it ends in `.tar`, then
    as above, and has the uploaded files that owned rows name. With `anonymize` other values stand
    in the place of those of the columns in `GESTORE["ANONYMIZE"]`, and files cannot go along; with
    `strict_anonymize`, nothing is written, either, while a column of text is undecided.
    Raises any `GestoreError`; `Refused` carries its findings.
    """
    if with_files and (anonymize or strict_anonymize):
        raise UsageError(
            "The content of uploaded files cannot be anonymized.",
            hint="Leave out --with-files or --anonymize.",
        )
    keeper = Keeper(keeping or Keeping())
    destination = keeper.destination(output, form=form, overwrite=overwrite, with_files=with_files)
    destination.check()
    listener = progress or Silence()
    walk_options = options or WalkOptions()
    if workers is not None:
        walk_options = replace(walk_options, workers=workers)
    with ExitStack() as stack:
        packing = None
        if with_files:
            named = stack.enter_context(closing(Named()))
            packing = stack.enter_context(closing(Packing(destination, named)))
        with walked(references, walk_options, progress=listener) as walk_done:
            replaced = walk_done.anonymized(Anonymize(anonymize, strict_anonymize))
            findings = [*plan_findings(walk_done), *replaced.findings]
            if any(finding.severity is Severity.ERROR for finding in findings):
                raise Refused(why_refused(findings), findings)
            written = write_walked(
                walk_done,
                references,
                walk_options,
                destination,
                listener,
                clock or now,
                replaced=replaced,
                packing=packing,
            )
            owned = _counts(walk_done, Status.OWNED)
            shared = _counts(walk_done, Status.SHARED)
        if packing is not None:
            # Files have no snapshot: none need be open while they are read.
            written = packing.pack(walk_done.graph, written, listener)
            findings += packing.named.missing()
        return ExportReport(written, owned, shared, tuple(findings), replaced.labels)


def why_refused(findings: Sequence[Finding]) -> str:
    errors = {f.code for f in findings if f.severity is Severity.ERROR}
    if errors == {"undecided"}:
        return "Nothing was exported: not every column of text is decided."
    return "Nothing was exported: the archive could not be imported."


def write_walked(
    walk_done: Walked,
    references: Sequence[str],
    options: WalkOptions,
    destination: Destination,
    progress: Progress,
    clock: Clock,
    changed: Changed | None = None,
    replaced: Anonymized | None = None,
    packing: Packing | None = None,
) -> Written:
    """Write the archive of a walk. `changed` are the keys of the rows that a removal changes, by
    relation: such a row says which of its pointers they are. With `packing` the rows wait there,
    with the names of the files that owned rows name, until it packs them."""
    replaced = replaced or Anonymized()
    lines = walked_lines(walk_done, progress, changed, replaced.replacements)
    # The database makes the first ones meanwhile.
    first = next(lines, None)
    objects = replaced.references(references, walk_done.root_keys)
    manifest = _manifest(walk_done, objects, options, clock, replaced.replacements)
    progress.begin("Exporting", manifest.row_count)
    lines = chain([first] if first else [], lines)
    if packing is None:
        written = write_lines(destination, manifest, lines)
    else:
        written = write_aside(packing.rows, destination, manifest, lines)
        packing.named.read(walk_done.reader, owned_keys(walk_done))
    progress.end()
    if written.row_count != manifest.row_count:
        raise GestoreError("Rows vanished while they were read: the snapshot did not hold.")
    return written


def now() -> datetime:
    return datetime.now(UTC)


def owned_keys(walk_done: Walked) -> dict[str, KeySet]:
    """The keys of the owned rows, by table."""
    closure = walk_done.closure
    return {
        table.name: closure.taken_of(table.name).owned
        for table in closure.tables()
        if closure.count(table.name, Status.OWNED)
    }


def _counts(walk_done: Walked, status: Status) -> dict[str, int]:
    closure = walk_done.closure
    counts = {table.label: closure.count(table.name, status) for table in closure.tables()}
    return {label: count for label, count in counts.items() if count}


# The manifest -------------------------------------------------------------------------------------


def _manifest(
    walk_done: Walked,
    references: Sequence[str],
    options: WalkOptions,
    clock: Clock,
    anonymizing: Anonymizing | None,
) -> Manifest:
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        version=__version__,
        date=clock().isoformat(),
        provided_objects=tuple(references),
        follow=options.follow.value,
        policies=walk_done.policies.as_json(),
        tables=_table_entries(walk_done, anonymizing),
        external=tuple(_external_rows(walk_done, anonymizing)),
        django=django.get_version(),
        python=platform.python_version(),
        database=walk_done.connection.vendor,
        use_tz=conf.has_time_zones(),
        time_zone=conf.time_zone(),
    )
    return _with_provenance(manifest) if conf.load().provenance else manifest


def _with_provenance(manifest: Manifest) -> Manifest:
    host = socket.gethostname()
    try:
        address = socket.gethostbyname(host)
    except OSError:
        # A machine without a name in any directory still exports.
        address = ""
    return replace(manifest, host_name=host, ip_address=address, libraries=installed_libraries())


def installed_libraries() -> dict[str, str]:
    """The installed distributions and their versions."""
    return dict(_distributions())


@cache
def _distributions() -> tuple[tuple[str, str], ...]:
    # A process has the libraries it began with, and to read of them all takes a while.
    found = (_named(distribution) for distribution in metadata.distributions())
    return tuple(sorted({name: version for name, version in found if name}.items()))


def _named(distribution: metadata.Distribution) -> tuple[str, str]:
    """Its name and version: two lines of a long text, which the library would parse whole."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    header = text.partition("\n\n")[0]
    name, version = _NAME.search(header), _VERSION.search(header)
    if name is None or version is None:
        return str(distribution.metadata["Name"] or ""), str(distribution.version or "")
    return name[1].strip(), version[1].strip()


def _table_entries(walk_done: Walked, anonymizing: Anonymizing | None) -> dict[str, TableEntry]:
    migrations = last_migrations(walk_done.connection)
    closure = walk_done.closure
    entries = {}
    for table in closure.tables():
        policy = walk_done.policies.of_table(table.name)
        entries[table.name] = TableEntry(
            label=table.label,
            rows=closure.count(table.name),
            shared=closure.count(table.name, Status.SHARED),
            key=table.key_names,
            columns={
                c.name: ColumnEntry(
                    c.kind.value,
                    c.type_name,
                    c.is_nullable,
                    anonymizing is not None and anonymizing.is_replaced(table, c),
                )
                for c in table.columns
            },
            migration=migrations.get(table.app_label, ""),
            policy=policy.value if policy else "",
        )
    return entries


def _external_rows(walk_done: Walked, anonymizing: Anonymizing | None) -> Iterator[ExternalRow]:
    for name, keys in sorted(walk_done.closure.external.items()):
        table = walk_done.graph.tables[name]
        encode = key_encoder(table)
        for batch in keys.batches(walk_done.reader.batch_keys):
            known = natural_keys(walk_done.reader, table, batch, anonymizing)
            for key, natural in known.items():
                told = key if anonymizing is None else anonymizing.key(table, key)
                yield ExternalRow(name, encode(told), natural)


# The rows -----------------------------------------------------------------------------------------


def walked_rows(
    walk_done: Walked, progress: Progress, changed: Changed | None = None
) -> Iterator[ArchivedRow]:
    """Pointed-at tables first where that exists; in a table owned rows, then shared ones, each in
    the order of their keys."""
    for table in walk_done.closure.tables():
        encode = RowEncoder(table, _dangling_of(walk_done, table), changed or {})
        taken = walk_done.closure.taken[table.name]
        for status in Status:
            keys = (key for batch in taken.batches(status, 10_000) for key in batch)
            for rows in walk_done.reader.rows(table, keys):
                for row in rows:
                    yield encode(row, is_shared=status is Status.SHARED)
                progress.advance(len(rows))


def walked_lines(
    walk_done: Walked,
    progress: Progress,
    changed: Changed | None = None,
    anonymizing: Anonymizing | None = None,
) -> Iterator[Lines]:
    """The same rows as they stand in an archive, many at a time."""
    asked = _asked(walk_done, changed, anonymizing)
    for lines in in_flow(asked, ahead_of(walk_done.reader)):
        yield lines
        progress.advance(lines.count)


def _asked(
    walk_done: Walked, changed: Changed | None, anonymizing: Anonymizing | None
) -> Iterator[Iterable[Lines]]:
    """What is asked for all of them: nobody waits between tables."""
    for table in walk_done.closure.tables():
        dangling = list(_dangling_of(walk_done, table))
        replacing = (anonymizing.of_table(table) if anonymizing else None) or None
        rows = RowLines(
            walk_done.reader,
            table,
            RowEncoder(table, dangling, changed or {}, replacing.row if replacing else None),
            is_noted=bool(dangling),
            replacing=replacing,
            noted_keys=[k for r, k in (changed or {}).items() if r.source == table.name],
        )
        taken = walk_done.closure.taken[table.name]
        for status in Status:
            keys = taken.of(status).packed(_BATCH_KEYS)
            yield from rows.asked(keys, is_shared=status is Status.SHARED)


def _dangling_of(walk_done: Walked, table: Table) -> Iterator[tuple[Relation, KeySet]]:
    for relation in walk_done.graph.pointing_from(table.name):
        dangling = walk_done.closure.dangling.get(relation.name)
        if dangling is not None and len(dangling):
            yield relation, dangling
