"""How are the two versions of a row told apart, and told to people?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..archive.values import encoder, is_same
from ..rows import JsonValue, Key, Value
from ..schema.table import Table
from .decoding import SourceRow
from .keymap import is_fresh

_SHOWN_COLUMNS = 3
_SHOWN_CHARACTERS = 40


def differing(
    table: Table, row: SourceRow, values: Mapping[str, Value], here: Mapping[str, Value]
) -> list[str]:
    """The columns in which the archived row and the row here differ."""
    return [
        column.name
        for column in table.columns
        if column.name not in row.absent
        and (
            is_fresh(values[column.name])
            or not is_same(column, values[column.name], here[column.name])
        )
    ]


def shown(names: Sequence[str], values: Mapping[str, Value], here: Mapping[str, Value]) -> str:
    """The first differing columns, with both values."""
    told = [
        n if _is_secret(n) else f"{n} ({short(here[n])} here, {short(values[n])} archived)"
        for n in names
    ]
    rest = len(names) - _SHOWN_COLUMNS
    return ", ".join(told[:_SHOWN_COLUMNS]) + (f" and {rest} more" if rest > 0 else "")


def _is_secret(name: str) -> bool:
    """What should not stand on a screen or in a log, even if it is only a hash."""
    return any(word in name for word in ("password", "secret", "token"))


def short(value: Value) -> str:
    if is_fresh(value):
        return "a new key"
    text = "empty" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def as_json(table: Table, values: Mapping[str, Value]) -> dict[str, JsonValue]:
    """One version, encoded as in an archive; a key that is not reserved yet reads "(new)"."""
    told: dict[str, JsonValue] = {}
    for column in table.columns:
        if column.name in values:
            value = values[column.name]
            encode = encoder(column)
            if is_fresh(value):
                told[column.name] = "(new)"
            else:
                told[column.name] = encode(value) if encode else value  # type: ignore[assignment]
    return told


def key_as_json(table: Table, key: Key) -> JsonValue:
    parts = key if isinstance(key, tuple) else (key,)
    named = dict(zip(table.key_names, parts, strict=True))
    told = [as_json(table, named)[name] for name in table.key_names]
    return told[0] if len(told) == 1 else told


def loose(value: Value) -> Value:
    """What a collation may find equal: letter case and trailing blanks aside."""
    if isinstance(value, tuple):
        return tuple(loose(part) for part in value)
    return value.rstrip(" ").casefold() if isinstance(value, str) else value
