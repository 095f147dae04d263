"""Which archives do the tests of this room write and read?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gestore.archive.manifest import ColumnEntry, ExternalRow, Manifest, TableEntry
from gestore.archive.reader import Ending, open_archive
from gestore.archive.writer import Destination, Written, write_archive
from gestore.rows import ArchivedRow, JsonValue

MAX_BYTES = 1 << 30

MANIFEST = Manifest(
    format_version=2,
    version="0.1",
    date="2024-02-29T12:00:00+00:00",
    provided_objects=("zoo.Menagerie.1",),
    follow="owned",
    policies={"auth.permission": "external"},
    tables={
        "zoo.menagerie": TableEntry(
            label="zoo.Menagerie",
            rows=1,
            shared=0,
            key=("id",),
            columns={
                "id": ColumnEntry("integer", "BigAutoField", null=False),
                "name": ColumnEntry("text", "CharField", null=False),
            },
            migration="0001_initial",
        ),
        "zoo.tag": TableEntry(
            label="zoo.Tag",
            rows=2,
            shared=2,
            key=("id",),
            columns={"id": ColumnEntry("integer", "BigAutoField", null=False)},
            migration="0001_initial",
            policy="share",
        ),
    },
    external=(ExternalRow("contenttypes.contenttype", 7, ["zoo", "menagerie"]),),
    django="5.2",
    python="3.11",
    database="sqlite",
    use_tz=True,
    time_zone="Europe/Rome",
    host_name="host",
    ip_address="192.0.2.1",
    libraries={"Django": "5.2"},
)

ROWS = (
    ArchivedRow("zoo.tag", 1, {"label": 'a "tag"'}, is_shared=True),
    ArchivedRow("zoo.tag", 2, {"label": "🦁\u2028\x00\ud800"}, is_shared=True),
    ArchivedRow(
        "zoo.menagerie",
        1,
        {"name": "Zoo", "opened": None, "nested": {"a": [1, 2.5, True, {"closing": 1}]}},
        dangling=("opened",),
    ),
    ArchivedRow("zoo.cage", [1, "x"], {"text": '"closing": {"rows": 7}'}),
)


def write(path: Path, rows: Iterable[ArchivedRow] = ROWS, manifest: Manifest = MANIFEST) -> Written:
    """Write an archive, in the layout and compression that the name says."""
    return write_archive(Destination.parse(str(path), overwrite=True), manifest, rows)


def read(path: Path, max_bytes: int = MAX_BYTES) -> tuple[Manifest, list[ArchivedRow], Ending]:
    """Everything an archive holds."""
    with open_archive(str(path), max_bytes) as archive:
        rows = list(archive.rows())
        assert archive.ending is not None
        return archive.manifest, rows, archive.ending


def codes(path: Path) -> list[str]:
    """What the end of an archive finds."""
    *_, ending = read(path)
    return [finding.code for finding in ending.findings(str(path))]


def as_written(row: ArchivedRow) -> dict[str, JsonValue]:
    return {"model": row.model, "pk": row.pk, "fields": dict(row.fields)}
