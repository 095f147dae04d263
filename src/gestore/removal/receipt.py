"""What does a removal leave in the hands of whoever asked for it?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ..archive.storage import check_free, write_text
from ..errors import ArchiveExists, ArchiveNotWritten
from ..rows import JsonValue

RECEIPT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """What went, when, by which command and whose hand; rows by model label; the archive that has
    it all. `is_proved` says that nothing was found to be left. `files` counts those that went with
    the rows, None where they were left alone."""

    objects: Sequence[str]
    database: str
    command: str
    person: str
    began: datetime
    ended: datetime
    removed: Mapping[str, int]
    changed: Mapping[str, int]
    archive: str
    sha256: str
    is_proved: bool
    left: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, JsonValue] | None = None

    def as_json(self) -> dict[str, JsonValue]:
        files: dict[str, JsonValue] = {} if self.files is None else {"files": dict(self.files)}
        return {
            "receipt": RECEIPT_VERSION,
            "objects": list(self.objects),
            "database": self.database,
            "command": self.command,
            "person": self.person,
            "began": self.began.isoformat(),
            "ended": self.ended.isoformat(),
            "removed": dict(self.removed),
            "changed": dict(self.changed),
            "rows": sum(self.removed.values()),
            **files,
            "archive": self.archive,
            "sha256": self.sha256,
            "proved": self.is_proved,
            "left": self.left,
            "versions": dict(self.versions),
        }


def check_receipt(name: str) -> None:
    """Found out before any work; `--overwrite` is about the archive."""
    try:
        check_free(Path(name), overwrite=False)
    except ArchiveExists as error:
        raise ArchiveExists(
            error.message, hint="Choose another name for the receipt: none is replaced."
        ) from error


def write_receipt(name: str, receipt: Receipt) -> None:
    """The receipt as a file, whole or not at all."""
    text = json.dumps(receipt.as_json(), indent=2, ensure_ascii=False) + "\n"
    try:
        write_text(name, [text])
    except ArchiveNotWritten as error:
        raise ArchiveNotWritten(
            f"The rows are removed, but the receipt {error.message}",
            hint="The archive holds the rows, the table gestore_removal what was done.",
        ) from error
