"""Which rows here are the archive's external ones? A stage of an import.

They are found by what they are known by; which rows point at a missing one is told as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .archive.manifest import ExternalRow
from .database.identity import keys_by_natural, natural_text
from .database.select import Reader
from .errors import Finding, Findings, Severity
from .load.decoding import Decoding
from .load.keymap import KeyMap
from .rows import ArchivedRow, JsonValue, Key, key_text
from .schema.table import Table


class ExternalRows:
    """The external rows of one archive; `rows` reads its rows from the beginning."""

    def __init__(
        self, decoding: Decoding, reader: Reader, rows: Callable[[], Iterable[ArchivedRow]]
    ) -> None:
        self.graph = decoding.graph
        self.decoding = decoding
        self.reader = reader
        self.findings = Findings()
        self._rows = rows

    def resolve(self, keymap: KeyMap) -> Findings:
        """Put the keys here of the external rows into the key map; what is missing is found."""
        by_model: dict[str, list[ExternalRow]] = {}
        for row in self.decoding.manifest.external:
            by_model.setdefault(row.model, []).append(row)
        for name, rows in by_model.items():
            if name not in self.graph.tables:
                self._missing(name, rows)
                continue
            self._resolve_table(self.graph.tables[name], rows, keymap)
        return self.findings

    def _resolve_table(self, table: Table, rows: list[ExternalRow], keymap: KeyMap) -> None:
        naturals = [row.natural_key for row in rows if row.natural_key is not None]
        known = (
            keys_by_natural(self.reader, table, naturals, self.decoding.zones) if naturals else {}
        )
        by_key = [self.decoding.key_of(table, row.pk) for row in rows]
        there = {key for _, key in self.reader.resolve(table.name, table.key_names, by_key)}
        missing = []
        for row, source_key in zip(rows, by_key, strict=True):
            here: Key | None
            if row.natural_key is None:
                here = source_key if source_key in there else None
            else:
                here = known.get(natural_text(row.natural_key))
            if here is None:
                missing.append(row)
            else:
                keymap.put(table.name, table.key_names, source_key, here)
        self._missing(table.label, missing)

    def _missing(self, label: str, rows: list[ExternalRow]) -> None:
        pointing = self._pointing_at(label, rows) if rows else {}
        for row in rows:
            known_as = row.natural_key if row.natural_key is not None else row.pk
            pointer = pointing.get(str(row.pk))
            self.findings.append(
                Finding(
                    "external-missing",
                    Severity.ERROR,
                    f"{label} {_plain(known_as)}",
                    "is external and not here" + (f"; {pointer} points at it." if pointer else "."),
                    f"Create it here first, or export with --share {label}.",
                )
            )

    def _pointing_at(self, label: str, rows: list[ExternalRow]) -> dict[str, str]:
        """For each missing external row, the first archived row that points at it."""
        wanted = {str(row.pk) for row in rows}
        found: dict[str, str] = {}
        if label.lower() not in self.graph.tables:
            return found
        relations = [r for r in self.graph.pointing_at(label.lower()) if not r.is_generic]
        for archived in self._rows():
            for source in self.decoding.rows(archived):
                for relation in relations:
                    if relation.source == source.table.name:
                        key = key_text(source.values.get(relation.columns[0]))
                        if key in wanted:
                            found.setdefault(key, source.reference)
            if len(found) == len(wanted):
                break
        return found


def _plain(natural: JsonValue) -> str:
    if isinstance(natural, list | tuple):
        return ".".join(_plain(part) for part in natural)
    return str(natural)
