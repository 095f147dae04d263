"""How is an import remembered, recalled and crossed out?"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from django.db import connections

from ..errors import NotFound
from ..rows import JsonValue, batches

if TYPE_CHECKING:
    from ..models import Import

_LOT_NAMES = 10_000


@dataclass(frozen=True, slots=True)
class ImportEntry:
    """What is remembered of one import."""

    archive: str
    sha256: str
    objects: Sequence[str]
    moment: datetime
    person: str
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An inserted row: its key at the source and here, encoded as in an archive."""

    source: JsonValue
    target: JsonValue


@dataclass(frozen=True, slots=True)
class KeyLot:
    """Inserted rows of one model: their keys at the source and here, which mostly are the same."""

    sources: Sequence[JsonValue]
    targets: Sequence[JsonValue] | None = None

    def packed(self) -> bytes:
        told: object = {"same": self.sources}
        if self.targets is not None:
            told = [*zip(self.sources, self.targets, strict=True)]
        # Quickly: of keys, more effort makes little less.
        return zlib.compress(json.dumps(told, separators=(",", ":")).encode(), 1)


def _unpacked(packed: bytes) -> list[KeyPair]:
    told = json.loads(zlib.decompress(packed))
    pairs = [(key, key) for key in told["same"]] if isinstance(told, dict) else told
    return [KeyPair(source, target) for source, target in pairs]


def remember(
    database: str,
    entry: ImportEntry,
    lots_by_model: Iterable[tuple[str, Iterable[KeyLot]]],
    files: Iterable[tuple[str, str]] = (),
) -> int:
    """Write the record; its number comes back. `files` are fields and names, sorted."""
    from ..models import Import, ImportedFiles, ImportedKeys

    record = Import.objects.using(database).create(
        archive=entry.archive,
        sha256=entry.sha256,
        objects_named=list(entry.objects),
        imported_at=entry.moment,
        imported_by=entry.person,
        rows=dict(entry.rows),
    )
    for model, lots in lots_by_model:
        for lot in lots:
            ImportedKeys.objects.using(database).create(
                imported=record, model=model, packed=lot.packed()
            )
    for label, pairs in groupby(files, key=itemgetter(0)):
        for names in batches((name for _, name in pairs), _LOT_NAMES):
            ImportedFiles.objects.using(database).create(
                imported=record, field=label, packed=zlib.compress(json.dumps(names).encode(), 1)
            )
    return int(record.pk)


def recall(database: str, sha256: str) -> Iterator[tuple[str, list[KeyPair]]]:
    """The pairs of every import of this archive that was not undone, a lot at a time, by model."""
    for record in _standing(database).filter(sha256=sha256).order_by("pk"):
        yield from pairs_of(record)


def is_known(database: str) -> bool:
    """Whether any import is remembered."""
    return bool(_standing(database).exists())


def has_tables(database: str) -> bool:
    """Whether this database has the tables of the records: `migrate` makes them."""
    from ..models import Import, ImportedFiles

    wanted = {Import._meta.db_table, ImportedFiles._meta.db_table}
    return wanted <= set(connections[database].introspection.table_names())


def find(database: str, number: int) -> Import:
    """The record of an import; `NotFound` says which there are. Inside a transaction it is locked,
    so that two who undo it come one after the other."""
    from ..models import Import

    found = Import.objects.using(database).filter(pk=number)
    if connections[database].in_atomic_block:
        found = found.select_for_update()
    record = found.first()
    if record is None:
        numbers = ", ".join(str(n) for n in _standing(database).values_list("pk", flat=True)[:10])
        raise NotFound(
            f"No import {number} is remembered in {database!r}.",
            hint=f"Those that are: {numbers}." if numbers else "",
        )
    if record.undone_at is not None and not record.files.exists():
        raise NotFound(f"Import {number} was undone on {record.undone_at:%Y-%m-%d %H:%M}.")
    return record


def pairs_of(
    record: Import, models: Collection[str] | None = None
) -> Iterator[tuple[str, list[KeyPair]]]:
    """The inserted rows of one import, a lot at a time, by model; of these models, or of all."""
    lots = record.keys.order_by("pk")
    if models is not None:
        lots = lots.filter(model__in=models)
    for lot in lots.iterator(chunk_size=1):
        yield lot.model, _unpacked(bytes(lot.packed))


def pairs_since(database: str, record: Import) -> Iterator[tuple[str, list[KeyPair]]]:
    """The rows that later imports inserted, as `pairs_of`: of the models of this one's rows."""
    models = set(record.keys.values_list("model", flat=True))
    for later in _standing(database).filter(pk__gt=record.pk).order_by("pk"):
        yield from pairs_of(later, models)


def files_of(record: Import) -> Iterator[tuple[str, list[str]]]:
    """The files that an import wrote, a lot at a time: the field, and names."""
    for lot in record.files.order_by("pk").iterator(chunk_size=1):
        yield lot.field, json.loads(zlib.decompress(bytes(lot.packed)))


def forget_files(database: str, number: int) -> None:
    """The files of an import are gone, or somebody else's."""
    from ..models import ImportedFiles

    ImportedFiles.objects.using(database).filter(imported=number).delete()


def cross_out(record: Import, moment: datetime) -> None:
    """The import is undone: its keys are forgotten, the record stays, and so do its files until
    they are."""
    record.keys.all().delete()
    record.undone_at = moment
    record.save(update_fields=["undone_at"])


def _standing(database: str):  # type: ignore[no-untyped-def]
    from ..models import Import

    return Import.objects.using(database).filter(undone_at=None)
