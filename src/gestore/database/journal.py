"""How is a deletion remembered, and where did one stop that goes a batch at a time?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import connections

from ..errors import NotFound

if TYPE_CHECKING:
    from ..models import Removal


@dataclass(frozen=True, slots=True)
class RemovalEntry:
    """What is remembered of one deletion; rows by model label."""

    archive: str
    sha256: str
    objects: Sequence[str]
    command: str
    moment: datetime
    person: str
    planned: Mapping[str, int]


def has_table(database: str) -> bool:
    """Whether this database has the table: `migrate` makes it."""
    from ..models import Removal

    return Removal._meta.db_table in connections[database].introspection.table_names()


def begin(database: str, entry: RemovalEntry) -> int:
    """Write the record; its number comes back."""
    from ..models import Removal

    record = Removal.objects.using(database).create(
        archive=entry.archive,
        sha256=entry.sha256,
        objects_named=list(entry.objects),
        command=entry.command,
        began_at=entry.moment,
        began_by=entry.person,
        planned=dict(entry.planned),
    )
    return int(record.pk)


def has_unended(database: str, sha256: str = "") -> bool:
    """Whether a deletion, or that of this archive, was begun and not brought to its end."""
    from ..models import Removal

    found = Removal.objects.using(database).filter(ended_at=None)
    return bool((found.filter(sha256=sha256) if sha256 else found).exists())


def unended(database: str, sha256: str) -> Removal:
    """The deletion of this archive that was begun and not brought to its end; else `NotFound`."""
    from ..models import Removal

    found = Removal.objects.using(database).filter(sha256=sha256).order_by("-pk")
    record = found.filter(ended_at=None).first()
    if record is not None:
        return record
    ended = found.first()
    if ended is not None and ended.ended_at is not None:
        raise NotFound(
            f"The deletion of this archive came to its end on {ended.ended_at:%Y-%m-%d %H:%M}.",
            hint="Prove it again with: verifyobjects ARCHIVE --absent",
        )
    raise NotFound(
        f"No deletion of this archive was begun in {database!r}.",
        hint="Only one with --commit-every can be resumed, where it was begun.",
    )


def locked(database: str, number: int) -> Removal:
    """The record, locked to the end of the transaction: two that resume take turns."""
    from ..models import Removal

    return Removal.objects.using(database).select_for_update().get(pk=number)


def add(record: Removal, *, removed: Mapping[str, int], changed: Mapping[str, int]) -> None:
    """Count what a batch did, in the batch's own transaction."""
    record.removed = dict(Counter(record.removed) + Counter(removed))
    record.changed = dict(Counter(record.changed) + Counter(changed))
    record.save(update_fields=["removed", "changed"])


def end(record: Removal, moment: datetime) -> None:
    """The deletion is proved."""
    record.ended_at = moment
    record.save(update_fields=["ended_at"])
