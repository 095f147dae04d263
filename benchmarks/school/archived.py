"""Does an archive hold the tenant's rows, each value as SQL says it? Asked past Gestore.

`python -m benchmarks.school.archived ARCHIVE` compares a `.jsonl` archive with the database of
`SCHOOL_DATABASE`, row by row and value by value, and prints what differs, by model, as JSON; one
that ends in `.json` is a fixture of Django's. With `removed` after it the archive is that of a
deletion, which does not take what is shared. With `rows` after it, the digest of the rows instead:
archives of the same rows have the same.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import django


def _lines(archive: Path) -> Iterator[bytes]:
    """The rows: all lines but the manifest and the closing one."""
    with archive.open("rb") as lines:
        next(lines)
        held = next(lines)
        for line in lines:
            yield held
            held = line


def digest(archive: Path) -> str:
    hashed = hashlib.sha256()
    for line in _lines(archive):
        hashed.update(line)
    return hashed.hexdigest()


def _moment(value: Any) -> Any:
    read = datetime.fromisoformat(value) if isinstance(value, str) else value
    return read.astimezone(UTC).isoformat()


def _duration(value: Any) -> str:
    from django.utils.dateparse import parse_duration

    return repr(parse_duration(value) if isinstance(value, str) else value)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _words(field: Any) -> Callable[[Any], Any]:
    """How a value of the field is said, so that the archive's and the database's are comparable."""
    kinds: dict[str, Callable[[Any], Any]] = {
        "DateTimeField": _moment,
        "DurationField": _duration,
        "JSONField": _json,
        "DecimalField": lambda value: Decimal(value).normalize(),
        "IntegerField": int,
        "BooleanField": bool,
    }
    target = field
    while target.remote_field is not None:
        target = target.target_field
    kind = target.get_internal_type()
    return kinds.get("IntegerField" if "Auto" in kind else kind, str)


def _rows(archive: Path) -> Iterator[dict[str, Any]]:
    if archive.suffix != ".json":
        yield from map(json.loads, _lines(archive))
        return
    for row in json.loads(archive.read_text("utf-8")):
        yield row
        # Pairs of a many-to-many field have no rows of their own in a fixture.
        for tag in row["fields"].get("tags", ()):
            yield {
                "model": "school.course_tags",
                "pk": None,
                "fields": {"course": row["pk"], "tag": tag},
            }


def compare(archive: Path, *, removed: bool = False) -> dict[str, str]:
    """What differs by model; nothing when all is well."""
    from django.apps import apps
    from django.db import connection

    from benchmarks.limit import rows as limit_rows

    uuid_text = {"sqlite": _SQLITE_UUID, "postgresql": "CAST(id AS text)"}
    text = {"sqlite": "CAST(id AS TEXT)", "postgresql": "CAST(id AS text)"}
    char = "CAST(id AS CHAR)"
    ids = limit_rows.ids(uuid_text.get(connection.vendor, char), text.get(connection.vendor, char))
    models = {
        model._meta.label_lower: model for model in apps.get_models(include_auto_created=True)
    }
    archived: dict[str, int] = Counter()
    counts: dict[str, int] = Counter()
    for row in _rows(archive):
        model = row["model"].lower()
        counts[model] += 1
        archived[model] += _hashed(models[model], row["pk"], row["fields"])
    found = {}
    for label, model in models.items():
        table = model._meta.db_table
        if table not in ids or (removed and table == "school_tag"):
            continue
        count, total = _expected(model, ids[table])
        if (counts[label], archived[label]) != (count, total):
            told = f"{counts[label]:,} of {count:,} rows" if counts[label] != count else "values"
            found[label] = told
    strange = set(counts) - {model._meta.label_lower for model in models.values()}
    return found | dict.fromkeys(strange, "no such model")


_SQLITE_UUID = (
    "substr(id, 1, 8) || '-' || substr(id, 9, 4) || '-' || substr(id, 13, 4)"
    " || '-' || substr(id, 17, 4) || '-' || substr(id, 21)"
)


def _hashed(model: Any, key: Any, fields: dict[str, Any]) -> int:
    said = []
    for field in _said_fields(model):
        value = key if field.primary_key else fields.get(field.name, "nothing at all")
        said.append(None if value is None else _words_of(field)(value))
    return _hash(said)


def _said_fields(model: Any) -> list[Any]:
    """All columns; of pairs of a many-to-many field what they say, not their number."""
    fields = model._meta.concrete_fields
    return [f for f in fields if not (model._meta.auto_created and f.primary_key)]


_known: dict[Any, Callable[[Any], Any]] = {}


def _words_of(field: Any) -> Callable[[Any], Any]:
    if field not in _known:
        _known[field] = _words(field)
    return _known[field]


def _hash(said: list[Any]) -> int:
    return int.from_bytes(hashlib.md5(repr(said).encode(), usedforsecurity=False).digest()[:8])


def _expected(model: Any, keys: str) -> tuple[int, int]:
    from django.db.models.expressions import RawSQL

    fields = _said_fields(model)
    words = [_words_of(field) for field in fields]
    # Wrapped: MariaDB would ask the inner select anew for every row.
    rows = model._base_manager.filter(pk__in=RawSQL(f"SELECT * FROM ({keys}) w", []))
    count = total = 0
    for row in rows.values_list(*[field.attname for field in fields]).iterator():
        said = [
            None if value is None else word(value) for value, word in zip(row, words, strict=True)
        ]
        count, total = count + 1, total + _hash(said)
    return count, total


if __name__ == "__main__":
    if sys.argv[2:] == ["rows"]:
        print(json.dumps(digest(Path(sys.argv[1]))))
    else:
        django.setup()
        print(json.dumps(compare(Path(sys.argv[1]), removed=sys.argv[2:] == ["removed"])))
