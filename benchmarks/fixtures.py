"""How does Django itself write the same rows? What `dumpdata` would do, if it could choose rows.

`python -m benchmarks.fixtures ARCHIVE FIXTURE` writes the rows of an archive, read again from the
database, as a fixture that `loaddata` reads.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import django
from django.apps import apps
from django.core import serializers

_KEYS_AT_ONCE = 1_000


def _keys(archive: Path) -> Iterator[tuple[str, Any]]:
    """Model and key of every row of a .jsonl archive: its manifest and its end have neither."""
    with archive.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if "model" in row:
                yield row["model"], row["pk"]


def _objects(archive: Path) -> Iterator[Any]:
    """The rows as model instances, read as `dumpdata` reads them: by the base manager."""
    for label, pairs in groupby(_keys(archive), key=lambda pair: pair[0]):
        model = apps.get_model(label)
        # Pairs of a many-to-many field stand in the fixture as lists.
        if model._meta.auto_created:
            continue
        while keys := [key for _, key in islice(pairs, _KEYS_AT_ONCE)]:
            yield from model._base_manager.filter(pk__in=keys).order_by("pk").iterator()


def write(archive: Path, fixture: Path) -> None:
    with fixture.open("w", encoding="utf-8") as stream:
        serializers.serialize("json", _objects(archive), stream=stream)


if __name__ == "__main__":
    django.setup()
    write(Path(sys.argv[1]), Path(sys.argv[2]))
