"""What can go wrong, drawn as one tree; and `Finding`, what a check says.

    GestoreError                 one clear sentence, and what to do
    ├── UsageError               typed wrong: a malformed reference, an unknown option value
    ├── NotFound                 a model, field or row that does not exist here
    ├── ConfigurationError       the setting GESTORE says something that cannot be
    ├── MissingExtra             an optional library is not installed
    ├── SnapshotError            the database cannot show one moment
    ├── ValueNotCarried          a value that cannot be written, or read back, without loss
    ├── RowUnreadable            the database holds a row its driver cannot read
    ├── LoadFailed               the database refused a row; everything was rolled back
    │   └── Overtaken            another writer took its key or unique value since the check
    ├── DatabaseFailed           the database did not answer, was locked, or broke off
    ├── NoRoom                   a temporary file could not be written
    ├── ArchiveError             anything about the file
    │   ├── ArchiveExists        it is there already
    │   ├── ArchiveNotWritten    it could not be written
    │   ├── ArchiveNotRead       it could not be opened
    │   ├── NotAnArchive         it is something else
    │   ├── ArchiveCutOff        its end is missing
    │   ├── ArchiveTooNew        a later format
    │   ├── ArchiveNotTrusted    not signed by anybody who is trusted here, or changed since
    │   ├── ArchiveTooLarge      more than `GESTORE["MAX_ARCHIVE_BYTES"]`
    │   └── ArchiveDamaged       a line that is no row, or a digest that does not match
    └── Refused                  checks found something; carries every finding

Exit codes belong to the errors, so that commands and callers agree on them.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, overload

from .rows import JsonValue


class Severity(Enum):
    """How bad a finding is: what each stops is `Refused`'s business."""

    WARNING = "warning"
    ERROR = "error"
    CONFLICT = "conflict"
    BLOCKER = "blocker"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check says of one subject: a value, never raised, never printed where it is made.

    `code` is stable text for machines (`key-conflict`); `subject` names the model, field or row;
    `message` says what is; `hint` says what to do, or is empty. `details` is JSON: of a conflict,
    both versions of the row.
    """

    code: str
    severity: Severity
    subject: str
    message: str
    hint: str = ""
    details: Mapping[str, JsonValue] | None = None

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}" if self.subject else self.message

    def as_json(self) -> dict[str, JsonValue]:
        told: dict[str, JsonValue] = {
            "code": self.code,
            "severity": self.severity.value,
            "subject": self.subject,
            "message": self.message,
            "hint": self.hint,
        }
        return told if self.details is None else {**told, "details": dict(self.details)}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Finding:
        details = told.get("details")
        return cls(
            str(told["code"]),
            Severity(told["severity"]),
            str(told["subject"]),
            str(told["message"]),
            str(told["hint"]),
            details if isinstance(details, Mapping) else None,
        )


class Findings(Sequence[Finding]):
    """Findings in order, as many as there may be: all but the last ones are kept packed, so that
    a hundred thousand conflicts with both versions of each row take a few megabytes."""

    _LOT = 500

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        self._packed: list[bytes] = []
        self._last: list[Finding] = []
        self._counts: Counter[Severity] = Counter()
        self.extend(findings)

    def append(self, finding: Finding) -> None:
        self._counts[finding.severity] += 1
        self._last.append(finding)
        if len(self._last) == self._LOT:
            text = json.dumps([told.as_json() for told in self._last])
            self._packed.append(zlib.compress(text.encode(), 1))
            self._last = []

    def extend(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.append(finding)

    def has(self, severity: Severity) -> bool:
        return self._counts[severity] > 0

    def count(self, severity: object) -> int:
        """How many findings are of a severity."""
        return self._counts[severity] if isinstance(severity, Severity) else 0

    def __iter__(self) -> Iterator[Finding]:
        for packed in self._packed:
            yield from map(Finding.from_json, json.loads(zlib.decompress(packed)))
        yield from list(self._last)

    def __len__(self) -> int:
        return len(self._packed) * self._LOT + len(self._last)

    @overload
    def __getitem__(self, place: int) -> Finding: ...
    @overload
    def __getitem__(self, place: slice) -> list[Finding]: ...
    def __getitem__(self, place: int | slice) -> Finding | list[Finding]:
        return list(self)[place]


class GestoreError(Exception):
    """The root of the tree. `hint` says what to do; `exit_code` is the command's."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class UsageError(GestoreError):
    """What was typed cannot be understood; no database was asked."""

    exit_code = 2


class NotFound(GestoreError):
    """A model, a field or a row that was named does not exist."""


class ConfigurationError(GestoreError):
    """The setting GESTORE is wrong; the message names the entry."""


class MissingExtra(GestoreError):
    """An optional library is needed; the hint is the line that installs it."""


class SnapshotError(GestoreError):
    """The connection cannot show one moment of the database."""


class ValueNotCarried(GestoreError):
    """A value or a kind of field that cannot go through an archive without loss."""


class RowUnreadable(GestoreError):
    """The driver could not read a row; the message names it."""


class LoadFailed(GestoreError):
    """The database refused a row; the transaction was rolled back."""


class Overtaken(LoadFailed):
    """Between the check and the load another writer took a row's key or unique value."""


class DatabaseFailed(GestoreError):
    """The database did not answer, was locked, or broke off; the transaction is rolled back."""


class NoRoom(GestoreError):
    """What is too much for memory did not fit into a temporary file."""


class ArchiveError(GestoreError):
    """Anything about the file."""


class ArchiveExists(ArchiveError):
    """The name is taken, and overwriting was not asked for."""


class ArchiveNotWritten(ArchiveError):
    """The archive could not be written; nothing is left under its name."""


class ArchiveNotRead(ArchiveError):
    """The archive could not be opened."""


class NotAnArchive(ArchiveError):
    """The file is something else."""


class ArchiveCutOff(ArchiveError):
    """The closing line is missing: the file is not whole."""


class ArchiveTooNew(ArchiveError):
    """The archive was written in a later format than this Gestore reads."""


class ArchiveNotTrusted(ArchiveError):
    """Nobody who is trusted signed the archive as it is."""


class ArchiveTooLarge(ArchiveError):
    """The archive expands beyond the bound."""


class ArchiveDamaged(ArchiveError):
    """A line that is no row, or a digest that does not match."""


class Refused(GestoreError):
    """Checks found errors or conflicts: nothing was done. Carries every finding.

    `exit_code` is 3 when all that stands in the way are conflicts or blockers, else 1.
    """

    def __init__(self, message: str, findings: Sequence[Finding], *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.findings = findings if isinstance(findings, Findings) else Findings(findings)
        self.exit_code = 1 if self.findings.has(Severity.ERROR) else 3
