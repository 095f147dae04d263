"""What is a key, a row, a batch of rows: no database, no file, no Django."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias, TypeVar

Value: TypeAlias = object
"""A value of one column as Python has it: `datetime`, `Decimal`, `UUID`, `bytes`, … or `None`.
JSON columns are the one exception: their value is the JSON text (see `schema.table.Kind.JSON`)."""

Key: TypeAlias = object
"""What identifies a row in its table: one scalar, or a tuple of scalars for a composite key."""

JsonValue: TypeAlias = (
    "None | bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue]"
)
"""What stands in an archive."""

Item = TypeVar("Item")


class ArchivedRow(NamedTuple):
    """One row as it stands in an archive: values encoded, keys the source's.

    `pk` is None for a row the target numbers itself (many-to-many pairs of the original's files).
    `dangling` names the fields that pointed at nothing at the source, `changed` the pointers that a
    removal took from a row that stayed: the archive has what they were.
    """

    model: str
    pk: JsonValue
    fields: Mapping[str, JsonValue]
    is_shared: bool = False
    dangling: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in order, `size` at a time; the last list may be shorter, none is empty."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def key_text(key: Key) -> str:
    """A key as it is typed in a reference: the parts of a composite one joined by commas."""
    if isinstance(key, tuple):
        return ",".join(str(part) for part in key)
    return str(key)
