"""How does an object's data reach the person it is about? Walk, then one table a model; not
importable, and it says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import conf
from .anonymize.declared import Anonymizing
from .anonymizing import Anonymize
from .archive.sheets import Sheet, binder, check_place, write_page, write_sheet
from .errors import Finding, GestoreError, Refused, Severity, UsageError
from .exporting import Clock, now, why_refused
from .planning import Walked, WalkOptions, plan_findings, walked
from .progress import Progress, Silence
from .rows import JsonValue, Value
from .schema.table import Table
from .walk.closure import Status

_BATCH_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class TabulateReport:
    """What was written: where, rows by model label, findings of the walk, and the columns that
    have other values."""

    name: str
    rows_by_model: dict[str, int]
    findings: tuple[Finding, ...]
    anonymized: tuple[str, ...] = ()

    @property
    def row_count(self) -> int:
        return sum(self.rows_by_model.values())

    def as_json(self) -> dict[str, JsonValue]:
        return {
            "tables": self.name,
            "rows": self.row_count,
            "rows_by_model": self.rows_by_model,
            "anonymized": list(self.anonymized),
            "findings": [finding.as_json() for finding in self.findings],
        }


def tabulate_objects(
    references: Sequence[str],
    output: str,
    options: WalkOptions | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    clock: Clock | None = None,
    anonymize: bool = False,
    strict_anonymize: bool = False,
) -> TabulateReport:
    """Write the objects and all that belongs to them as tables for people: `output` is a `.zip`,
    or a folder that is not there yet. It appears whole or not at all, and cannot be imported.
    `anonymize` and `strict_anonymize` are those of `export_objects`. Raises any `GestoreError`.
    """
    if conf.load().require_encryption:
        raise UsageError(
            'Tables for people are not encrypted, and GESTORE["REQUIRE_ENCRYPTION"] asks for that.',
        )
    check_place(output, overwrite=overwrite)
    listener = progress or Silence()
    with walked(references, options or WalkOptions(), progress=listener) as walk_done:
        replaced = walk_done.anonymized(Anonymize(anonymize, strict_anonymize))
        # Nobody will look for external rows: tables are not imported.
        undecided = [f for f in replaced.findings if f.code == "undecided"]
        if any(finding.severity is Severity.ERROR for finding in undecided):
            raise Refused(why_refused(undecided), undecided)
        findings = (*plan_findings(walk_done), *undecided)
        listener.begin("Writing", walk_done.closure.row_count)
        counts: dict[str, int] = {}
        with binder(output, overwrite=overwrite) as folder:
            sheets = []
            for table in walk_done.closure.tables():
                sheet = write_sheet(
                    folder, table, _rows(walk_done, table, replaced.replacements, listener)
                )
                counts[table.label] = sheet.row_count
                sheets.append(sheet)
            _check_whole(walk_done, sheets)
            moment = f"{(clock or now)():%Y-%m-%d %H:%M} UTC"
            objects = replaced.references(references, walk_done.root_keys)
            write_page(folder, objects, sheets, moment, replaced.labels)
        listener.end()
        return TabulateReport(output, counts, findings, replaced.labels)


def _rows(
    walk_done: Walked, table: Table, anonymizing: Anonymizing | None, progress: Progress
) -> Iterator[tuple[Value, ...]]:
    """Owned rows, then those that are merely pointed at, each in the order of their keys."""
    replacing = anonymizing.of_table(table) if anonymizing else None
    taken = walk_done.closure.taken[table.name]
    for status in Status:
        keys = (key for batch in taken.batches(status, _BATCH_KEYS) for key in batch)
        for rows in walk_done.reader.rows(table, keys):
            yield from map(replacing.row, rows) if replacing else rows
            progress.advance(len(rows))


def _check_whole(walk_done: Walked, sheets: Sequence[Sheet]) -> None:
    if sum(sheet.row_count for sheet in sheets) != walk_done.closure.row_count:
        raise GestoreError("Rows vanished while they were read: the snapshot did not hold.")
