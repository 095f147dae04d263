"""What stands in an archive, read with nothing of Gestore's own?"""

import gzip
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import zstandard

from tests.zoo.inserting import Placed

Document = dict[str, Any]
ArchivedRow = dict[str, Any]


def text_of(path: str) -> str:
    """The archive's text, whatever it is packed in."""
    data = Path(path).read_bytes()
    if path.endswith(".gz"):
        data = gzip.decompress(data)
    if path.endswith(".zst"):
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as stream:
            data = stream.read()
    return data.decode()


def document(path: str) -> Document:
    """The archive as one document: of a `.jsonl` too, its rows under `objects`."""
    text = text_of(path)
    if ".jsonl" not in path:
        return json.loads(text)
    first, *rows, closing = [json.loads(line) for line in text.split("\n") if line]
    return {**first, "objects": rows, **closing}


def rows(path: str) -> list[ArchivedRow]:
    return document(path)["objects"]


def keys(path: str) -> set[tuple[str, Any]]:
    """(model, key) of every row in the archive."""
    return {_place(row["model"], row["pk"]) for row in rows(path)}


def places(placed: Iterable[Placed]) -> set[tuple[str, Any]]:
    """The same of rows that were put into a database."""
    return {_place(row.model._meta.label_lower, row.key) for row in placed}


def edit(path: str, change: Callable[[list[ArchivedRow]], object]) -> None:
    """Changes the rows of a `.json` archive by hand, as someone with an editor would."""
    whole = document(path)
    change(whole["objects"])
    Path(path).write_text(json.dumps(whole))


def _place(model: str, key: Any) -> tuple[str, Any]:
    return model, tuple(key) if isinstance(key, list) else key
