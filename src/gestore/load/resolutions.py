"""What did somebody decide by hand, row by row?

`--write-resolutions` writes one entry per conflict, with both versions and a proposed action; the
developer edits actions or values; `--resolutions` applies them. One that no longer fits is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import Finding, Severity, UsageError
from ..rows import JsonValue
from .strategies import Action

VERSION = 1


@dataclass(frozen=True, slots=True)
class Resolution:
    """What is to become of one row: an action, and values to take instead of the archived ones.

    `here` is the row that stood in the way when it was written; None if it is not to be compared.
    """

    model: str
    pk: JsonValue
    conflict: str
    action: Action
    values: Mapping[str, JsonValue]
    here: JsonValue


class Resolutions:
    """The entries by row. Remembers which of them were asked for."""

    def __init__(self, entries: Iterable[Resolution] = ()) -> None:
        self._entries = {(entry.model, _text(entry.pk)): entry for entry in entries}
        self._used: set[tuple[str, str]] = set()

    def of(self, model: str, pk: JsonValue) -> Resolution | None:
        """The entry of a row, if there is one."""
        return self._entries.get((model, _text(pk)))

    def values_of(self, model: str, pk: JsonValue) -> Mapping[str, JsonValue]:
        """The values decided by hand for a row; nothing for most."""
        entry = self.of(model, pk) if self._entries else None
        if entry is None or not entry.values:
            return {}
        self.use(entry)
        return entry.values

    def use(self, entry: Resolution) -> None:
        """The entry's row was met as it says."""
        self._used.add((entry.model, _text(entry.pk)))

    @property
    def overrides(self) -> bool:
        """Whether any row here is to take archived values."""
        return any(entry.action is Action.OVERRIDE for entry in self._entries.values())

    def unused(self) -> Iterator[Finding]:
        """The entries that fit nothing any more."""
        for place, entry in self._entries.items():
            if place not in self._used:
                yield Finding(
                    "stale-resolution",
                    Severity.ERROR,
                    f"{entry.model}.{place[1]}",
                    "is resolved by hand, and has no such conflict now.",
                    "Write the resolutions anew with --write-resolutions.",
                )

    def __len__(self) -> int:
        return len(self._entries)


def document(archive: str, sha256: str, findings: Iterable[Finding]) -> dict[str, JsonValue]:
    """The file of `--write-resolutions`: one entry for each conflict that can be resolved."""
    entries = [
        {**finding.details, "says": finding.message, "values": {}}
        for finding in findings
        if finding.details is not None and "actions" in finding.details
    ]
    return {
        "version": VERSION,
        "archive": archive,
        "sha256": sha256,
        "help": "Set each action to one of its actions, or give values (field: value) to take "
        "instead of the archived ones. Then: importobjects --resolutions FILE",
        "resolutions": entries,
    }


def read(name: str, value: Any) -> Resolutions:
    """The resolutions in a parsed file; a `UsageError` names the entry that is wrong."""
    if not isinstance(value, Mapping) or not isinstance(value.get("resolutions"), list):
        raise UsageError(
            f"{name} holds no resolutions.", hint="Write such a file with --write-resolutions."
        )
    if value.get("version") != VERSION:
        raise UsageError(f"{name} is of version {value.get('version')!r}, not {VERSION}.")
    return Resolutions(
        _entry(name, place, entry) for place, entry in enumerate(value["resolutions"], start=1)
    )


def _entry(name: str, place: int, entry: Any) -> Resolution:
    if not isinstance(entry, Mapping) or "pk" not in entry or "model" not in entry:
        raise UsageError(f"{name}: resolution {place} names no row (model and pk).")
    word, told = entry.get("action"), entry.get("actions")
    allowed = [
        action.value for action in Action if not isinstance(told, list) or action.value in told
    ]
    if word not in allowed:
        raise UsageError(
            f"{name}: resolution {place} says {word!r}.", hint=f"Choose: {', '.join(allowed)}."
        )
    values = entry.get("values", {})
    if not isinstance(values, Mapping):
        raise UsageError(f"{name}: resolution {place} has values that are no object.")
    return Resolution(
        str(entry["model"]).lower(),
        entry["pk"],
        str(entry.get("conflict", "")),
        Action(word),
        dict(values),
        entry.get("here"),
    )


def _text(pk: JsonValue) -> str:
    return ",".join(map(str, pk)) if isinstance(pk, list | tuple) else str(pk)
