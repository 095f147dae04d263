"""What does an archive say of itself, before its rows?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from ..errors import ArchiveDamaged, ArchiveTooNew, NotAnArchive
from ..rows import JsonValue

Kind = TypeVar("Kind")

FORMAT_VERSION = 2
"""Ours. The original's documents, which do not say, are version 1."""


class ColumnEntry(NamedTuple):
    """A column as it was: the archive's kind, Django's field type, whether it may be empty; and
    whether other values stand here in the place of its own."""

    kind: str
    type: str
    null: bool
    is_anonymized: bool = False


class TableEntry(NamedTuple):
    """A table as it was. `relations` maps a field to the model it pointed at ("" for generic)."""

    label: str
    rows: int
    shared: int
    key: tuple[str, ...]
    columns: Mapping[str, ColumnEntry]
    migration: str
    policy: str = ""


class ExternalRow(NamedTuple):
    """A row that was pointed at and not taken: its key at the source and what it is known by."""

    model: str
    pk: JsonValue
    natural_key: JsonValue


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything an archive says of itself.

    `policies` are those in force at the source, by lower-case label. `tables` is empty for the
    original's documents, whose `format_version` is 1.
    """

    format_version: int
    version: str
    date: str
    provided_objects: tuple[str, ...]
    follow: str = ""
    policies: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, TableEntry] = field(default_factory=dict)
    external: tuple[ExternalRow, ...] = ()
    django: str = ""
    python: str = ""
    database: str = ""
    use_tz: bool = True
    time_zone: str = "UTC"
    host_name: str = ""
    ip_address: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)

    @property
    def row_count(self) -> int:
        return sum(table.rows for table in self.tables.values())

    @property
    def anonymized(self) -> list[str]:
        """The columns, as labels, that have other values than at the source."""
        return [
            f"{table.label}.{name}"
            for table in self.tables.values()
            for name, column in table.columns.items()
            if column.is_anonymized
        ]

    def as_json(self) -> dict[str, JsonValue]:
        """The members of the document, in the order they are written."""
        provenance: dict[str, JsonValue] = {}
        if self.host_name:
            provenance = {
                "host_name": self.host_name,
                "ip_address": self.ip_address,
                "libraries": dict(self.libraries),
            }
        return {
            "format_version": self.format_version,
            "version": self.version,
            "date": self.date,
            "django": self.django,
            "python": self.python,
            "database": self.database,
            "use_tz": self.use_tz,
            "time_zone": self.time_zone,
            **provenance,
            "provided_objects": list(self.provided_objects),
            "follow": self.follow,
            "policies": dict(self.policies),
            "tables": {name: _table_as_json(entry) for name, entry in self.tables.items()},
            "external": [
                {"model": row.model, "pk": row.pk, "natural_key": row.natural_key}
                for row in self.external
            ],
        }


def _table_as_json(entry: TableEntry) -> dict[str, JsonValue]:
    return {
        "label": entry.label,
        "rows": entry.rows,
        "shared": entry.shared,
        "key": list(entry.key),
        "migration": entry.migration,
        "policy": entry.policy,
        "columns": {name: _column_as_json(column) for name, column in entry.columns.items()},
    }


def _column_as_json(column: ColumnEntry) -> dict[str, JsonValue]:
    told: dict[str, JsonValue] = {"kind": column.kind, "type": column.type, "null": column.null}
    return {**told, "anonymized": True} if column.is_anonymized else told


def read_manifest(name: str, members: Mapping[str, Any]) -> Manifest:
    """The manifest from the members that came before the rows; `name` is the file's, for errors."""
    if "provided_objects" not in members:
        raise NotAnArchive(f"{name} is not an archive of Gestore: it names no provided_objects.")
    version = members.get("format_version", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ArchiveDamaged(f"{name} is damaged: its format_version is {version!r}.")
    if version > FORMAT_VERSION:
        raise ArchiveTooNew(
            f"{name} is of format {version}; this Gestore reads up to {FORMAT_VERSION}.",
            hint="Update with: pip install -U django-gestore",
        )
    try:
        return _original(members) if version == 1 else _ours(members)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ArchiveDamaged(f"{name} is damaged: its manifest lacks {error}.") from error


def _original(members: Mapping[str, Any]) -> Manifest:
    return Manifest(
        format_version=1,
        version=str(members["version"]),
        date=str(members.get("date", "")),
        provided_objects=tuple(_texts(members["provided_objects"])),
        host_name=str(members.get("host_name", "")),
        ip_address=str(members.get("ip_address", "")),
        libraries=_libraries(members["libraries"]),
    )


def _libraries(libraries: Mapping[str, Any] | Sequence[Any]) -> dict[str, str]:
    if isinstance(libraries, Mapping):
        return {str(name): str(version) for name, version in libraries.items()}
    # A list of "name==version", as `pip freeze` prints them.
    pairs = (str(line).partition("==") for line in libraries)
    return {name: version for name, _, version in pairs}


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value]


def _ours(members: Mapping[str, Any]) -> Manifest:
    return Manifest(
        format_version=members["format_version"],
        version=_of(str, members, "version"),
        date=_of(str, members, "date"),
        provided_objects=tuple(_texts(members["provided_objects"])),
        follow=_of(str, members, "follow"),
        policies={name: _of(str, members["policies"], name) for name in dict(members["policies"])},
        tables={name: _table_entry(entry) for name, entry in members["tables"].items()},
        external=tuple(_external_row(row) for row in members["external"]),
        django=_of(str, members, "django"),
        python=_of(str, members, "python"),
        database=_of(str, members, "database"),
        use_tz=_of(bool, members, "use_tz"),
        time_zone=_of(str, members, "time_zone"),
        host_name=str(members.get("host_name", "")),
        ip_address=str(members.get("ip_address", "")),
        libraries=_libraries(members.get("libraries", {})),
    )


def _of(kind: type[Kind], members: Mapping[str, Any], name: str) -> Kind:
    """A member of a type; an archive is not to be trusted in that either."""
    value = members[name]
    if type(value) is not kind:
        raise TypeError(f"a proper {name!r}")
    return value


def _table_entry(entry: Mapping[str, Any]) -> TableEntry:
    return TableEntry(
        label=_of(str, entry, "label"),
        rows=_of(int, entry, "rows"),
        shared=_of(int, entry, "shared"),
        key=tuple(_texts(entry["key"])),
        migration=_of(str, entry, "migration"),
        policy=_of(str, entry, "policy"),
        columns={name: _column_entry(column) for name, column in entry["columns"].items()},
    )


def _column_entry(column: Mapping[str, Any]) -> ColumnEntry:
    return ColumnEntry(
        _of(str, column, "kind"),
        _of(str, column, "type"),
        _of(bool, column, "null"),
        "anonymized" in column and _of(bool, column, "anonymized"),
    )


def _external_row(row: Mapping[str, Any]) -> ExternalRow:
    key, natural_key = row["pk"], row["natural_key"]
    parts = key if isinstance(key, list) else [key]
    if not all(type(part) in (int, str) for part in parts):
        raise TypeError("a proper 'pk'")
    if natural_key is not None and not isinstance(natural_key, list):
        raise TypeError("a proper 'natural_key'")
    return ExternalRow(_of(str, row, "model"), key, natural_key)
