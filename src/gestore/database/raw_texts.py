"""How are values written that a driver gives, where making Python's own of them is a detour?

Each takes the values of one column and writes what Django's conversion and `archive.values` make of
them, or raises ValueError where it cannot be sure: then the detour is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import TypeAlias

from ..archive.columns import NULL, uuid_texts
from ..archive.documents import to_json
from ..archive.values import encode_json
from ..rows import Value

_Write: TypeAlias = "Callable[[list[str]], Sequence[str]]"

# Those of Python's durations, but for the last one of them.
_MOST_DAYS = 999_999_998
_DIGITS = re.compile("[0-9a-f]*")
_LONG = re.compile("[0-9.]{17}")
_MOMENTS = re.compile(
    r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.][0-9]{6})?\n)*"
)
_POINT = re.compile("[0-9][.][0-9]")
_ENDLESS = re.compile("[0-9]{255}")
_UUIDS = re.compile("(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})*")


def of_texts(write: _Write) -> Callable[[Sequence[Value]], Iterable[object]]:
    """A way for columns of texts, and of NULLs among them."""

    def written(values: Sequence[Value]) -> Iterable[object]:
        filled = [value for value in values if value is not None]
        if set(map(type, filled)) - {str}:
            raise ValueError
        texts = write(filled)  # type: ignore[arg-type]
        if len(filled) == len(values):
            return texts
        rest = iter(texts)
        return [NULL if value is None else next(rest) for value in values]

    return written


def moments_in_utc(texts: list[str]) -> Sequence[str]:
    """Moments without an offset, which are in UTC."""
    moments = [*map(datetime.fromisoformat, texts)]
    joined = "\n".join(texts)
    if ".000000" not in joined and _MOMENTS.fullmatch(f"{joined}\n") is not None:
        # As Python writes them, but for the blank.
        return ('"' + joined.replace(" ", "T").replace("\n", '+00:00"\n"') + '+00:00"').split("\n")
    if any(moment.tzinfo is not None for moment in moments):
        raise ValueError
    return [f'"{moment.isoformat()}+00:00"' for moment in moments]


def days(texts: list[str]) -> Sequence[str]:
    return [f'"{day.isoformat()}"' for day in map(date.fromisoformat, texts)]


def uuids_of_digits(texts: list[str]) -> Sequence[str]:
    """UUIDs written as 32 digits."""
    if set(map(len, texts)) - {32} or _DIGITS.fullmatch("".join(texts)) is None:
        raise ValueError
    return uuid_texts(texts)


def uuids_with_hyphens(texts: list[str]) -> Sequence[str]:
    if set(map(len, texts)) - {36} or _UUIDS.fullmatch("".join(texts)) is None:
        raise ValueError
    return [f'"{text}"' for text in texts]


def documents(values: Sequence[Value]) -> Iterable[object]:
    """Texts of `jsonb`, as `row_sql` writes them: as they are, unless something is to be looked at
    more closely."""
    written = []
    for value in values:
        if value is None:
            written.append(NULL)
        elif type(value) is not str:
            raise TypeError
        elif value == "null":
            written.append('{"$json": null}')
        else:
            written.append(value if _is_plain(value) else to_json(encode_json(value)))
    return written


def _is_plain(document: str) -> bool:
    if '"$json' in document:
        return False
    if _LONG.search(document) and (_POINT.search(document) or _ENDLESS.search(document)):
        return False
    is_short = len(document) <= 400 and len(document.encode()) <= 400
    return is_short or document.count("[") + document.count("{") <= 100


def booleans(values: Sequence[Value]) -> Iterable[object]:
    """Booleans, or the integers 0 and 1 that stand for them."""
    if set(map(type, values)) - {bool, int, type(None)}:
        raise ValueError
    try:
        return [_BOOLEANS[value] for value in values]
    except KeyError as error:
        raise ValueError from error


_BOOLEANS: dict[Value, str] = {True: "true", False: "false", None: NULL}


def naive_moments_in_utc(values: Sequence[Value]) -> Iterable[object]:
    """Python's moments without an offset, which are in UTC."""
    written = []
    for value in values:
        if value is None:
            written.append(NULL)
        elif type(value) is datetime and value.tzinfo is None:
            written.append(f'"{value.isoformat()}+00:00"')
        else:
            raise ValueError
    return written


def durations(values: Sequence[Value]) -> Iterable[object]:
    """Durations that are kept as microseconds."""
    if set(map(type, values)) - {int, type(None)}:
        raise ValueError
    return [NULL if value is None else _duration(value) for value in values]  # type: ignore[arg-type]


def _duration(microseconds: int) -> str:
    """As Django's `duration_iso_string` has it, seen from 5.2 to 6.1."""
    sign = "-" if microseconds < 0 else ""
    seconds, rest = divmod(abs(microseconds), 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days > _MOST_DAYS:
        raise ValueError
    fraction = f".{rest:06d}" if rest else ""
    return f'"{sign}P{days}DT{hours:02d}H{minutes:02d}M{seconds:02d}{fraction}S"'


def decimals_of_floats(digits: int, places: int) -> Callable[[Sequence[Value]], Iterable[object]]:
    """Decimals of so many digits and places that are kept as floats: those that are written in at
    most 15 digits and no more places are the number that was meant."""

    def one(value: Value) -> str:
        if type(value) is float:
            text = repr(value)
            whole, _, fraction = text.partition(".")
            if len(text) > 16 or not fraction.isdigit():
                raise ValueError
            if fraction == "0":
                fraction = ""
        elif type(value) is int:
            # So SQLite keeps whole numbers.
            whole, fraction = str(value), ""
            if len(whole) > 15:
                raise ValueError
        else:
            raise ValueError
        if len(fraction) > places or len(whole.lstrip("-0")) + places > digits:
            raise ValueError
        return f'"{whole}.{fraction:0<{places}}"' if places else f'"{whole}"'

    def written(values: Sequence[Value]) -> Iterable[object]:
        return [NULL if value is None else one(value) for value in values]

    return written
