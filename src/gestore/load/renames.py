"""What were the archive's models and fields called, and what are they called here?

`GESTORE["RENAMES"]` = {"old.Model": "new.Model", "old.Model.field": "field2"}.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ..archive.manifest import ExternalRow, Manifest, TableEntry
from ..rows import ArchivedRow, JsonValue

_CONTENT_TYPE = "contenttypes.contenttype"


@dataclass(frozen=True, slots=True)
class Renames:
    """New names by old ones: labels in lower case; fields by (old label, old name)."""

    models: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, setting: Mapping[str, str]) -> Renames:
        models: dict[str, str] = {}
        fields: dict[str, dict[str, str]] = {}
        for old, new in setting.items():
            if old.count(".") == 2:
                label, _, name = old.rpartition(".")
                fields.setdefault(label.lower(), {})[name] = new
            else:
                models[old.lower()] = new
        return cls(models, fields)

    def __bool__(self) -> bool:
        return bool(self.models or self.fields)

    def model(self, name: str) -> str:
        return self.models.get(name, name).lower()

    def rows(self, rows: Iterable[ArchivedRow]) -> Iterator[ArchivedRow]:
        """The rows under their names here."""
        for row in rows:
            names = self.fields.get(row.model, {})
            yield row._replace(
                model=self.model(row.model),
                fields={names.get(n, n): v for n, v in row.fields.items()} if names else row.fields,
                dangling=tuple(names.get(n, n) for n in row.dangling),
                changed=tuple(names.get(n, n) for n in row.changed),
            )

    def manifest(self, manifest: Manifest) -> Manifest:
        """The manifest under the names here."""
        return replace(
            manifest,
            tables={self.model(n): self._table(n, entry) for n, entry in manifest.tables.items()},
            policies={self.label(label): word for label, word in manifest.policies.items()},
            external=tuple(map(self._external, manifest.external)),
        )

    def _table(self, name: str, entry: TableEntry) -> TableEntry:
        names = self.fields.get(name, {})
        return entry._replace(
            label=self.models.get(name, entry.label),
            key=tuple(names.get(n, n) for n in entry.key),
            columns={names.get(n, n): column for n, column in entry.columns.items()},
        )

    def label(self, label: str) -> str:
        """A model's or field's label under its name here; the model's in lower case."""
        if label.count(".") < 2:
            return self.model(label)
        model, _, name = label.rpartition(".")
        model = model.lower()
        return f"{self.model(model)}.{self.fields.get(model, {}).get(name, name)}"

    def _external(self, row: ExternalRow) -> ExternalRow:
        natural = row.natural_key
        if row.model == _CONTENT_TYPE:
            natural = self._content_type(natural)
        elif isinstance(natural, list):
            natural = [self._content_type(part) for part in natural]
        return row._replace(model=self.model(row.model), natural_key=natural)

    def _content_type(self, natural: JsonValue) -> JsonValue:
        """["app", "model"] of a renamed model; anything else as it is."""
        if isinstance(natural, list) and len(natural) == 2:
            renamed = self.models.get(".".join(map(str, natural)))
            if renamed is not None:
                app_label, _, name = renamed.partition(".")
                return [app_label, name.lower()]
        return natural
