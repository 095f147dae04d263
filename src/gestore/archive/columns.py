"""How does a batch of rows become lines of an archive, a column at a time?

The lines are those that `encoding.RowEncoder` and `documents.row_text` make of the same rows, but
for the blanks in JSON columns: what is unusual goes through its column's codec, value by value.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from json import JSONDecoder
from json.encoder import encode_basestring
from math import isfinite
from typing import Any, TypeAlias
from uuid import UUID

from ..rows import Value
from ..schema.table import Column, Kind, Table
from .documents import to_json, utf8
from .values import Encode, encode_float, encode_json, encoder

Texts: TypeAlias = "Callable[[Sequence[Value]], Iterable[object]]"
"""The values of one column, as pieces of JSON."""

NULL = "null"
_NONE = type(None)
# A float holds every decimal of 15 digits with an exponent of two. Where there may be a longer
# number or what is no JSON, `values` looks closer. Digits are looked for as zeros, signs as minus.
_ALIKE = bytes.maketrans(b"123456789.E+", b"0000000000e-")
_LONG = (b"0" * 16, b"e000", b"e-000")
_ENDLESS = (b"NaN", b"Infinity")


@dataclass(frozen=True, slots=True)
class Lines:
    """Rows of one model as an archive has them: UTF-8, one row a line, no newline at the end."""

    model: str
    count: int
    text: bytes


class LineEncoder:
    """Encodes rows of one table, given as columns in the order of `columns_of(table)`."""

    def __init__(self, table: Table, texts: Mapping[str, Texts] | None = None) -> None:
        """`texts` are other ways for columns, by name: for values as a driver gives them."""
        self._name = table.name
        given = texts or {}
        columns = columns_of(table)
        self._texts = [given.get(c.name) or texts_of(c) for c in columns]
        self._templates = {
            shared: row_template(table, is_shared=shared) for shared in (False, True)
        }

    def __call__(self, columns: Sequence[Sequence[Value]], *, is_shared: bool) -> Lines:
        if not columns or not columns[0]:
            return Lines(self._name, 0, b"")
        texts = [encode(values) for encode, values in zip(self._texts, columns, strict=True)]
        template = self._templates[is_shared]
        lines = "\n".join(map(template.__mod__, zip(*texts, strict=True)))
        return Lines(self._name, len(columns[0]), utf8(lines))


def columns_of(table: Table) -> tuple[Column, ...]:
    """The table's columns in the order in which an archive's row has them: the key first."""
    return (*table.key_columns, *table.value_columns)


def key_pieces(table: Table, *, is_shared: bool) -> list[str]:
    """What stands in a line of the table around the parts of its key and the object of its fields:
    before each of them, and at the end."""
    key = table.key_columns
    before = f'{{"model":{to_json(table.name)},"pk":' + ("[" if len(key) > 1 else "")
    after = ("]" if len(key) > 1 else "") + ',"fields":'
    return [before, *("," for _ in key[1:]), after, ',"shared":true}' if is_shared else "}"]


def row_template(table: Table, *, is_shared: bool) -> str:
    """A line for `%`, with a place for each column."""
    *pieces, after, end = key_pieces(table, is_shared=is_shared)
    names = [to_json(column.name) for column in table.value_columns]
    fields = "%s,".join(f"{name}:".replace("%", "%%") for name in names) + "%s" if names else ""
    texts = [piece.replace("%", "%%") for piece in [*pieces, after]]
    return "%s".join(texts) + f"{{{fields}}}{end}"


def texts_of(column: Column) -> Texts:
    """How values that Python has for the column are written."""
    codec = encoder(column)
    careful = _one_by_one(codec)
    usual = _USUAL.get(column.kind)
    if usual is None:
        return careful
    wanted, write = usual

    def texts(values: Sequence[Value]) -> Iterable[object]:
        types = set(map(type, values))
        if types == {wanted}:
            return write(values)
        if types != {wanted, _NONE}:
            return careful(values) if types != {_NONE} else [NULL] * len(values)
        written = iter(write([value for value in values if value is not None]))
        return [NULL if value is None else next(written) for value in values]

    return texts


def _one_by_one(codec: Encode | None) -> Texts:
    def texts(values: Sequence[Value]) -> Iterable[object]:
        return [to_json(value if codec is None else codec(value)) for value in values]

    return texts


# The usual kinds: values of exactly one type, none of them None ----------------------------------


def _as_they_are(values: Sequence[Any]) -> Iterable[object]:
    return values


def _texts(values: Sequence[Any]) -> Iterable[object]:
    return map(encode_basestring, values)


def _booleans(values: Sequence[Any]) -> Iterable[object]:
    return ["true" if value else "false" for value in values]


def _floats(values: Sequence[Any]) -> Iterable[object]:
    if all(map(isfinite, values)):
        return map(float.__repr__, values)
    return [to_json(encode_float(value)) for value in values]


def _decimals(values: Sequence[Any]) -> Iterable[object]:
    return map('"%s"'.__mod__, map(Decimal.__str__, values))


def _moments(values: Sequence[Any]) -> Iterable[object]:
    return map('"%s"'.__mod__, map(datetime.isoformat, values))


def _days(values: Sequence[Any]) -> Iterable[object]:
    return map('"%s"'.__mod__, map(date.isoformat, values))


def _times(values: Sequence[Any]) -> Iterable[object]:
    return map('"%s"'.__mod__, map(time.isoformat, values))


def _uuids(values: Sequence[Any]) -> Iterable[object]:
    return uuid_texts([f"{value.int:032x}" for value in values])


def uuid_texts(digits: Iterable[str]) -> list[str]:
    """UUIDs as JSON, of their 32 hexadecimal digits."""
    return [f'"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}"' for d in digits]


def _bytes(values: Sequence[Any]) -> Iterable[object]:
    return [f'"{b64encode(value).decode("ascii")}"' for value in values]


def _documents(values: Sequence[Any]) -> Iterable[object]:
    if _is_usual("\n".join(values)):
        return map(_document_text, values)
    return [
        _document_text(text) if _is_usual(text) else to_json(encode_json(text)) for text in values
    ]


def _is_usual(texts: str) -> bool:
    """Whether nothing in JSON texts may be a number, or a word in place of one, that needs care."""
    data = texts.encode("utf-8", "surrogatepass")
    alike = data.translate(_ALIKE)
    return not any(long in alike for long in _LONG) and not any(word in data for word in _ENDLESS)


def _document_text(text: str) -> str:
    """A column's JSON text without such numbers: the same value as `values` makes of it, as it
    stands where that is one line and spells no letter by its number."""
    try:
        value = _quick_decode()(text)
    except (ValueError, RecursionError):
        value = None
    if value is None or (type(value) is dict and len(value) == 1):
        return to_json(encode_json(text))
    return to_json(value) if "\\u" in text or "\n" in text or "\r" in text else text


@cache
def _quick_decode() -> Callable[[str], Any]:
    """By msgspec, where it is installed: what it reads, it reads alike."""
    try:
        import msgspec
    except ImportError:
        return JSONDecoder().decode
    return msgspec.json.Decoder().decode


_USUAL: dict[Kind, tuple[type, Texts]] = {
    Kind.INTEGER: (int, _as_they_are),
    Kind.TEXT: (str, _texts),
    Kind.BOOLEAN: (bool, _booleans),
    Kind.FLOAT: (float, _floats),
    Kind.DECIMAL: (Decimal, _decimals),
    Kind.DATETIME: (datetime, _moments),
    Kind.DATE: (date, _days),
    Kind.TIME: (time, _times),
    Kind.UUID: (UUID, _uuids),
    Kind.BINARY: (bytes, _bytes),
    Kind.JSON: (str, _documents),
}
