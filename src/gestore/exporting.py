"""How does an object leave a database? Walk, then write; one snapshot, one file."""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import django

from . import conf
from .archive.manifest import (
    FORMAT_VERSION,
    ColumnEntry,
    ExternalRow,
    Manifest,
    TableEntry,
)
from .archive.values import Encode, encoder
from .archive.writer import Destination, Written, write_archive
from .database.identity import natural_keys
from .database.migrations import last_migrations
from .errors import Finding, GestoreError, Refused, Severity
from .planning import Walked, WalkOptions, plan_findings, walked
from .progress import Progress, Silence
from .rows import ArchivedRow, JsonValue, Key, Value
from .schema.relation import Relation
from .schema.table import Table
from .version import __version__
from .walk.closure import Status
from .walk.keys import KeySet

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was exported: the archive, rows per model label (owned, shared), findings."""

    archive: Written
    owned_by_model: dict[str, int]
    shared_by_model: dict[str, int]
    findings: tuple[Finding, ...]

    @property
    def row_count(self) -> int:
        return self.archive.row_count

    def as_json(self) -> dict[str, JsonValue]:
        return {
            "archive": self.archive.name,
            "sha256": self.archive.sha256,
            "size_bytes": self.archive.size_bytes,
            "rows": self.row_count,
            "owned": self.owned_by_model,
            "shared": self.shared_by_model,
            "findings": [finding.as_json() for finding in self.findings],
        }


def export_objects(
    references: Sequence[str],
    output: str,
    options: WalkOptions | None = None,
    *,
    form: str = "jsonl",
    overwrite: bool = False,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> ExportReport:
    """Write the objects and all that belongs to them into the archive `output`.

    `output` ends in `.json` or `.jsonl`, then `.gz` or `.zst`; `-` is standard output, in the form
    that `form` says in the same way. The file appears whole or not at all.
    Raises any `GestoreError`; `Refused` carries its findings.
    """
    destination = Destination.parse(output, form=form, overwrite=overwrite)
    destination.check()
    listener = progress or Silence()
    with walked(references, options or WalkOptions(), progress=listener) as walk_done:
        findings = tuple(plan_findings(walk_done))
        if any(finding.severity is Severity.ERROR for finding in findings):
            raise Refused("Nothing was exported: the archive could not be imported.", findings)
        manifest = _manifest(walk_done, references, options or WalkOptions(), clock or _now)
        listener.begin("Exporting", manifest.row_count)
        written = write_archive(destination, manifest, _rows(walk_done, listener))
        listener.end()
        if written.row_count != manifest.row_count:
            raise GestoreError("Rows vanished while they were read: the snapshot did not hold.")
        return ExportReport(
            written,
            _counts(walk_done, Status.OWNED),
            _counts(walk_done, Status.SHARED),
            findings,
        )


def _now() -> datetime:
    return datetime.now(UTC)


def _counts(walk_done: Walked, status: Status) -> dict[str, int]:
    closure = walk_done.closure
    counts = {table.label: closure.count(table.name, status) for table in closure.tables()}
    return {label: count for label, count in counts.items() if count}


# The manifest -------------------------------------------------------------------------------------


def _manifest(
    walk_done: Walked, references: Sequence[str], options: WalkOptions, clock: Clock
) -> Manifest:
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        version=__version__,
        date=clock().isoformat(),
        provided_objects=tuple(references),
        follow=options.follow.value,
        policies=walk_done.policies.as_json(),
        tables=_table_entries(walk_done),
        external=tuple(_external_rows(walk_done)),
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
    found = {
        str(name): distribution.version
        for distribution in metadata.distributions()
        if (name := distribution.metadata["Name"])
    }
    return dict(sorted(found.items()))


def _table_entries(walk_done: Walked) -> dict[str, TableEntry]:
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
                c.name: ColumnEntry(c.kind.value, c.type_name, c.is_nullable) for c in table.columns
            },
            migration=migrations.get(table.app_label, ""),
            policy=policy.value if policy else "",
        )
    return entries


def _external_rows(walk_done: Walked) -> Iterator[ExternalRow]:
    for name, keys in sorted(walk_done.closure.external.items()):
        table = walk_done.graph.tables[name]
        encode = _key_encoder(table)
        for batch in keys.batches(walk_done.reader.batch_keys):
            for key, natural in natural_keys(walk_done.reader, table, batch).items():
                yield ExternalRow(name, encode(key), natural)


# The rows -----------------------------------------------------------------------------------------


def _rows(walk_done: Walked, progress: Progress) -> Iterator[ArchivedRow]:
    """Pointed-at tables first where that exists; in a table owned rows, then shared ones, each in
    the order of their keys."""
    for table in walk_done.closure.tables():
        encode = _RowEncoder(walk_done, table)
        taken = walk_done.closure.taken[table.name]
        for status in Status:
            keys = (key for batch in taken.batches(status, 10_000) for key in batch)
            for rows in walk_done.reader.rows(table, keys):
                for row in rows:
                    yield encode(row, is_shared=status is Status.SHARED)
                progress.advance(len(rows))


class _RowEncoder:
    """Encodes the rows of one table: which codec goes where is found out once."""

    def __init__(self, walk_done: Walked, table: Table) -> None:
        self._name = table.name
        places = {column.name: place for place, column in enumerate(table.columns)}
        self._key = [(places[c.name], encoder(c)) for c in table.key_columns]
        self._fields = [(c.name, places[c.name], encoder(c)) for c in table.value_columns]
        self._dangling: list[tuple[Relation, list[int], KeySet]] = [
            (relation, _places(relation, places), dangling)
            for relation in walk_done.graph.pointing_from(table.name)
            if (dangling := walk_done.closure.dangling.get(relation.name)) and len(dangling)
        ]

    def __call__(self, row: tuple[Value, ...], *, is_shared: bool) -> ArchivedRow:
        key = [_encoded(row[place], encode) for place, encode in self._key]
        fields: dict[str, Any] = {
            name: row[place] if encode is None else encode(row[place])
            for name, place, encode in self._fields
        }
        return ArchivedRow(
            self._name,
            key[0] if len(key) == 1 else key,
            fields,
            is_shared,
            self._dangling_of(row) if self._dangling else (),
        )

    def _dangling_of(self, row: tuple[Value, ...]) -> tuple[str, ...]:
        names = []
        for relation, places, values in self._dangling:
            parts = tuple(row[place] for place in places)
            value = parts[0] if len(parts) == 1 else parts
            if None not in parts and value in values:
                names.append(relation.field_name)
        return tuple(names)


def _places(relation: Relation, places: dict[str, int]) -> list[int]:
    names = [relation.content_type] if relation.is_generic else []
    return [places[name] for name in [*names, *relation.columns]]


def _encoded(value: Value, encode: Encode | None) -> JsonValue:
    return encode(value) if encode is not None else value  # type: ignore[return-value]


def _key_encoder(table: Table) -> Callable[[Key], JsonValue]:
    encoders = [encoder(column) for column in table.key_columns]

    def encoded(key: Key) -> JsonValue:
        parts = key if isinstance(key, tuple) else (key,)
        texts = [_encoded(part, e) for part, e in zip(parts, encoders, strict=True)]
        return texts[0] if len(texts) == 1 else texts

    return encoded
