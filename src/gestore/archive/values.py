"""How does a value become JSON, and come back without loss?

One codec per column kind. `encode` takes what Python has for a column, `decode` what stands in an
archive; either may be None for "as it is". What cannot be carried is an error, never a guess.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils.dateparse import parse_duration
from django.utils.duration import duration_iso_string

from ..errors import ValueNotCarried
from ..rows import JsonValue, Value
from ..schema.introspect import kind_of
from ..schema.table import Column, Kind

Encode: TypeAlias = "Callable[[Value], JsonValue]"
Decode: TypeAlias = "Callable[[JsonValue], Value]"
DecodeMany: TypeAlias = "Callable[[Sequence[JsonValue]], list[Value] | None]"
"""A column of many rows: its values, or None where one of them has to be looked at alone."""

_JSON = "$json"
_JSON_TEXT = "$json_text"
_INTEGER_DIGITS = 4_000


class TimeZones(NamedTuple):
    """How moments are kept on both sides: None is a site without time zones (`USE_TZ` off).

    `source_default` and `target_default` are the sites' own zones.
    """

    source_is_aware: bool
    target_is_aware: bool
    source_default: tzinfo
    target_default: tzinfo

    def translate(self, moment: datetime) -> datetime:
        """The same instant, as the target keeps it."""
        if self.target_is_aware and moment.tzinfo is None:
            return moment.replace(tzinfo=self.source_default)
        if not self.target_is_aware and moment.tzinfo is not None:
            return moment.astimezone(self.target_default).replace(tzinfo=None)
        return moment


def encoder(column: Column) -> Encode | None:
    """How the column's values are written; None: as they are."""
    if column.kind is Kind.CUSTOM:
        return _custom_encoder(column)
    return _field_encoder(column.kind, column.leaf)


def decoder(column: Column, zones: TimeZones) -> Decode:
    """How the column's values are read; `ValueNotCarried` names a value that is none."""
    decode = _field_decoder(column.kind, column.leaf, zones)
    if column.kind is Kind.INTEGER and (column.field.primary_key or column.field.is_relation):
        return _key_decoder(column, decode)
    plain = _PLAIN.get(column.kind)

    def decoded(value: JsonValue) -> Value:
        if value is None or type(value) is plain:
            return value
        try:
            return decode(value)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise _no_value(column, value) from error
        except (ValidationError, RecursionError) as error:
            raise _no_value(column, value) from error

    return decoded


def _key_decoder(column: Column, decode: Callable[[Any], Any]) -> Decode:
    """Keys, and what points at them, have 64 bits."""

    def decoded(value: JsonValue) -> Value:
        if value is None:
            return None
        try:
            number = decode(value)
        except (ValueError, TypeError) as error:
            raise _no_value(column, value) from error
        if not _LEAST <= number <= _MOST:
            raise _no_value(column, value, "key of 64 bits")
        return number

    return decoded


def _no_value(column: Column, value: JsonValue, what: str = "") -> ValueNotCarried:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return ValueNotCarried(f"{column.name}: {shown} is no {what or column.kind.value}.")


# Writing ------------------------------------------------------------------------------------------


def _field_encoder(kind: Kind, leaf: Any) -> Encode | None:
    if kind is Kind.ARRAY:
        return _array_encoder(leaf)
    if kind is Kind.RANGE:
        return _range_encoder(leaf)
    return _ENCODERS.get(kind)


def _nullable(encode: Callable[[Any], JsonValue]) -> Encode:
    def encoded(value: Value) -> JsonValue:
        return None if value is None else encode(value)

    return encoded


def encode_float(value: float) -> JsonValue:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def encode_json(text: str) -> JsonValue:
    """JSON text as JSON: a JSON null is told from an empty column by `{"$json": null}`."""
    try:
        value: JsonValue = json.loads(
            text, parse_float=_exact, parse_int=_exact_integer, parse_constant=_no_constant
        )
    except _Inexact:
        return {_JSON_TEXT: text}
    is_marker = (
        isinstance(value, dict)
        and len(value) == 1
        and not value.keys().isdisjoint((_JSON, _JSON_TEXT))
    )
    return {_JSON: value} if value is None or is_marker else value


class _Inexact(Exception):
    """A number that a float cannot hold or Python would not read, or a constant that is no JSON."""


def _exact(text: str) -> float:
    number = float(text)
    if not math.isfinite(number) or Decimal(repr(number)) != Decimal(text):
        raise _Inexact
    return number


def _exact_integer(text: str) -> int:
    # Python refuses integers of more than 4,300 digits.
    if len(text) > _INTEGER_DIGITS:
        raise _Inexact
    return int(text)


def _no_constant(text: str) -> float:
    raise _Inexact


def _encode_bytes(value: bytes | memoryview) -> JsonValue:
    return base64.b64encode(value).decode("ascii")


_ENCODERS: dict[Kind, Encode] = {
    Kind.FLOAT: _nullable(encode_float),
    Kind.DECIMAL: _nullable(str),
    Kind.DATETIME: _nullable(lambda value: value.isoformat()),
    Kind.DATE: _nullable(lambda value: value.isoformat()),
    Kind.TIME: _nullable(lambda value: value.isoformat()),
    Kind.DURATION: _nullable(duration_iso_string),
    Kind.UUID: _nullable(str),
    Kind.BINARY: _nullable(_encode_bytes),
    Kind.JSON: _nullable(encode_json),
}


def _array_encoder(leaf: Any) -> Encode:
    inner = leaf.base_field
    encode = _field_encoder(kind_of(inner), inner)

    def encoded(value: Any) -> JsonValue:
        if value is None or encode is None:
            return None if value is None else list(value)
        return [encode(item) for item in value]

    return encoded


def _range_encoder(leaf: Any) -> Encode:
    inner = leaf.base_field
    encode: Callable[[Any], JsonValue] = _field_encoder(kind_of(inner), inner) or _as_it_is

    def encoded(value: Any) -> JsonValue:
        if value is None:
            return None
        if value.isempty:
            return {"empty": True}
        bounds = {"lower": value.lower, "upper": value.upper}
        return {n: encode(v) for n, v in bounds.items()} | {"bounds": value.bounds}

    return encoded


def _as_it_is(value: Any) -> Any:
    return value


def _custom_encoder(column: Column) -> Encode:
    """A custom field's values, as the field's own text; each is read back on the spot."""
    leaf: Any = column.leaf

    def encoded(value: Value) -> JsonValue:
        if value is None:
            return None
        try:
            text = leaf.value_to_string(SimpleNamespace(**{leaf.attname: value}))
            is_faithful = isinstance(text, str) and leaf.get_prep_value(
                leaf.to_python(text)
            ) == leaf.get_prep_value(value)
        except Exception as error:
            raise _not_carried(column) from error
        if not is_faithful:
            raise _not_carried(column)
        return text  # type: ignore[no-any-return]

    return encoded


def _not_carried(column: Column) -> ValueNotCarried:
    field = column.field
    return ValueNotCarried(
        f"{field.model._meta.label}.{column.name} ({type(column.leaf).__name__}) cannot be "
        f"carried: what its value_to_string() writes, its to_python() does not read back.",
        hint="Give the field a value_to_string() and a to_python() that undo each other.",
    )


# Reading ------------------------------------------------------------------------------------------


def _field_decoder(kind: Kind, leaf: Any, zones: TimeZones) -> Callable[[Any], Value]:
    if kind is Kind.ARRAY:
        return _array_decoder(leaf, zones)
    if kind is Kind.RANGE:
        return _range_decoder(leaf, zones)
    if kind is Kind.DATETIME:
        return lambda text: zones.translate(datetime.fromisoformat(text))
    if kind is Kind.CUSTOM:
        return lambda text: leaf.to_python(text)
    return _DECODERS[kind]


def _decode_integer(value: Any) -> int:
    if type(value) is int:
        return value
    # Hand-written keys may be quoted; a fraction or a boolean is no integer.
    if isinstance(value, str):
        return int(value)
    raise TypeError


def _decode_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError


def _decode_boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise TypeError


def _decode_float(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _decode_decimal(value: Any) -> Decimal:
    if isinstance(value, bool | float):
        # The original's files hold floats: their shortest text is what was meant.
        return Decimal(repr(value))
    try:
        return Decimal(value)
    except InvalidOperation as error:
        raise ValueError(value) from error


def _decode_duration(value: Any) -> timedelta:
    duration = parse_duration(value)
    if duration is None:
        raise ValueError(value)
    return duration


def _decode_bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(value) from error


def _decode_json(value: Any) -> str:
    if isinstance(value, Mapping) and len(value) == 1:
        if _JSON_TEXT in value:
            json.loads(value[_JSON_TEXT], parse_int=str)
            return str(value[_JSON_TEXT])
        if _JSON in value:
            return json.dumps(value[_JSON], allow_nan=False)
    return json.dumps(value, allow_nan=False)


def _decode_hstore(value: Any) -> dict[str, str | None]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


_DECODERS: dict[Kind, Callable[[Any], Value]] = {
    Kind.INTEGER: _decode_integer,
    Kind.TEXT: _decode_text,
    Kind.BOOLEAN: _decode_boolean,
    Kind.FLOAT: _decode_float,
    Kind.DECIMAL: _decode_decimal,
    Kind.DATE: date.fromisoformat,
    Kind.TIME: time.fromisoformat,
    Kind.DURATION: _decode_duration,
    Kind.UUID: UUID,
    Kind.BINARY: _decode_bytes,
    Kind.JSON: _decode_json,
    Kind.HSTORE: _decode_hstore,
}


# The kinds whose values stand in an archive as they are, and the type they have there.
_PLAIN: dict[Kind, type] = {Kind.INTEGER: int, Kind.TEXT: str, Kind.BOOLEAN: bool}


def _array_decoder(leaf: Any, zones: TimeZones) -> Callable[[Any], Value]:
    inner = leaf.base_field
    decode = _field_decoder(kind_of(inner), inner, zones)

    def decoded(value: Sequence[Any]) -> Value:
        if not isinstance(value, list):
            raise TypeError
        return [None if item is None else decode(item) for item in value]

    return decoded


def _range_decoder(leaf: Any, zones: TimeZones) -> Callable[[Any], Value]:
    inner = leaf.base_field
    decode = _field_decoder(kind_of(inner), inner, zones)

    def decoded(value: Mapping[str, Any]) -> Value:
        if value.get("empty"):
            return leaf.range_type(empty=True)
        lower, upper = (
            None if value[end] is None else decode(value[end]) for end in ("lower", "upper")
        )
        return leaf.range_type(lower, upper, value["bounds"])

    return decoded


# Reading a column of many rows --------------------------------------------------------------------


def column_decoder(column: Column, zones: TimeZones) -> DecodeMany:
    """How the column's values of many rows are read at once. None comes back where one of them is
    not as an exporter writes it; `decoder` then says what it is, or what is wrong with it."""
    plain = _PLAIN.get(column.kind)
    if plain is not None:
        return _all_of_type(plain)
    if column.kind is Kind.JSON:
        return _documents
    if column.kind is Kind.FLOAT:
        return _all_of_type(float)
    decode = decoder(column, zones)

    def decoded(values: Sequence[JsonValue]) -> list[Value] | None:
        try:
            return [*map(decode, values)]
        except ValueNotCarried:
            return None

    return decoded


def texts_decoder(column: Column, zones: TimeZones) -> DecodeMany | None:
    """The same for kinds whose values have one usual text, which stands for the value: the texts
    come back as they are, each looked at. None for a column of another kind."""
    if column.kind is Kind.DATETIME:
        if zones.source_is_aware is not zones.target_is_aware:
            return None
        shape = _MOMENT + (r"\+00:00" if zones.source_is_aware else "")
        return _all_in_shape(shape, datetime.fromisoformat)
    if column.kind not in _SHAPES:
        return None
    shape, read = _SHAPES[column.kind]
    return _all_in_shape(shape, read)


_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_HOUR = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{6})?"
_MOMENT = f"{_DAY}T{_HOUR}"
# What is in shape is a value but for days that no month has: those are read.
_SHAPES: dict[Kind, tuple[str, Callable[[str], object] | None]] = {
    Kind.DATE: (_DAY, date.fromisoformat),
    Kind.TIME: (_HOUR, None),
    Kind.UUID: ("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", None),
    Kind.DECIMAL: (r"-?[0-9]{1,200}(?:\.[0-9]{1,200})?", None),
    Kind.DURATION: (
        r"P[0-9]{1,9}DT(?:[01][0-9]|2[0-3])H[0-5][0-9]M[0-5][0-9](?:\.[0-9]{6})?S",
        None,
    ),
}


def _all_in_shape(shape: str, read: Callable[[str], object] | None) -> DecodeMany:
    # All of them in one text: a line each, and no more lines than texts.
    every = re.compile(f"(?:{shape}\n)*+")

    def checked(values: Sequence[JsonValue]) -> list[Value] | None:
        texts: Any = [value for value in values if value is not None]
        try:
            joined = "\n".join(texts)
        except TypeError:
            return None
        if texts and (joined.count("\n") != len(texts) - 1 or not every.fullmatch(joined + "\n")):
            return None
        if read is not None:
            try:
                for _ in map(read, texts):
                    pass
            except ValueError:
                return None
        return [*values]

    return checked


def _all_of_type(plain: type) -> DecodeMany:
    allowed = {plain, type(None)}

    def checked(values: Sequence[JsonValue]) -> list[Value] | None:
        if not allowed.issuperset(map(type, values)):
            return None
        if plain is int:
            numbers: Any = [value for value in values if value is not None]
            if numbers and not _LEAST <= min(numbers) <= max(numbers) <= _MOST:
                return None
        return [*values]

    return checked


_LEAST, _MOST = -(2**63), 2**63 - 1
_document = json.JSONEncoder(allow_nan=False).encode
_BETWEEN = "\x00between documents\x00"


def _documents(values: Sequence[JsonValue]) -> list[Value] | None:
    try:
        texts = iter(_texts([value for value in values if not _needs_care(value)]))
        return [_carefully(value) if _needs_care(value) else next(texts) for value in values]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None


def _needs_care(value: JsonValue) -> bool:
    return value is None or (type(value) is dict and len(value) == 1)


def _carefully(value: JsonValue) -> str | None:
    return None if value is None else _decode_json(value)


def _texts(documents: Sequence[JsonValue]) -> Sequence[str]:
    """Each as JSON: all in one list, with a text between them, which costs half of one by one."""
    if not documents:
        return ()
    apart = [one for document in documents for one in (_BETWEEN, document)][1:]
    texts = _document(apart)[1:-1].split(f", {_document(_BETWEEN)}, ")
    # Unless one of them holds that text.
    return texts if len(texts) == len(documents) else [*map(_document, documents)]


# Comparing ----------------------------------------------------------------------------------------


def is_same(column: Column, one: Value, other: Value) -> bool:
    """Whether two values of the column are the same to its reader."""
    if one is None or other is None:
        return one is other
    if column.kind is Kind.JSON:
        return one == other or _canonical(one) == _canonical(other)
    if column.kind is Kind.CUSTOM:
        leaf: Any = column.leaf
        return bool(leaf.get_prep_value(one) == leaf.get_prep_value(other))
    if one == other:
        return True
    # NaN equals nothing, not even itself; its name does, alone and inside an array or a range.
    return column.kind in _KINDS_WITH_NAN and repr(one) == repr(other)


_KINDS_WITH_NAN = (Kind.FLOAT, Kind.DECIMAL, Kind.ARRAY, Kind.RANGE)


def _canonical(text: Value) -> str:
    """Equal for documents of one meaning, however a database writes members and numbers."""
    document = json.loads(str(text), parse_float=Decimal, parse_int=Decimal)
    return json.dumps(document, sort_keys=True, default=_number)


def _number(value: Decimal) -> list[object]:
    # As digits and exponent: written out, 1e999999999 would fill the memory.
    sign, digits, exponent = value.as_tuple()
    written = "".join(map(str, digits)).lstrip("0")
    plain = written.rstrip("0")
    if not plain:
        return ["$number", 0, "0"]
    return ["$number", sign, plain, int(exponent) + len(written) - len(plain)]
