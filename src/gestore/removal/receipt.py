"""What does a removal leave in the hands of whoever asked for it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..rows import JsonValue

RECEIPT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """What went, when, by which command and whose hand; rows by model label; the archive that has
    it all. `is_proved` says that nothing was found to be left."""

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

    def as_json(self) -> dict[str, JsonValue]:
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
            "archive": self.archive,
            "sha256": self.sha256,
            "proved": self.is_proved,
            "left": self.left,
            "versions": dict(self.versions),
        }
