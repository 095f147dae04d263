"""Does every value come back from an archive as it was?"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import models
from hypothesis import example, given
from hypothesis import strategies as st

from gestore.archive.values import TimeZones, column_decoder, decoder, encoder, is_same
from gestore.errors import ValueNotCarried
from gestore.rows import JsonValue, Value
from gestore.schema.introspect import build_graph, kind_of
from gestore.schema.table import Column, Kind
from tests.zoo.fields import (
    EncryptedTextField,
    Money,
    MoneyField,
    Seal,
    TicketNumberField,
)

postgres = pytest.importorskip("django.contrib.postgres.fields")
ranges = pytest.importorskip("django.db.backends.postgresql.psycopg_any")

ROME = ZoneInfo("Europe/Rome")
AWARE = TimeZones(True, True, ROME, ROME)
NAIVE = TimeZones(False, False, ROME, ROME)


def column(field: models.Field) -> Column:
    field.set_attributes_from_name("value")
    return Column(
        name="value",
        db_name="value",
        kind=kind_of(field),
        type_name=field.get_internal_type(),
        is_nullable=True,
        has_default=True,
        field=field,
        leaf=field,
    )


def encoded(field: models.Field, value: Value) -> JsonValue:
    encode = encoder(column(field))
    return value if encode is None else encode(value)  # type: ignore[return-value]


def carried(field: models.Field, value: Value, zones: TimeZones = AWARE) -> Value:
    """The value after a trip through JSON text."""
    text = json.dumps(encoded(field, value), ensure_ascii=False, allow_nan=False)
    return decoder(column(field), zones)(json.loads(text))


def decoded(field: models.Field, value: JsonValue, zones: TimeZones = AWARE) -> Value:
    return decoder(column(field), zones)(value)


# Every kind -------------------------------------------------------------------------------------

offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=st.just(UTC) | offsets)
decimals = st.decimals(allow_nan=False) | st.builds(
    lambda digits, exponent: Decimal((0, tuple(digits), exponent)),
    st.lists(st.integers(0, 9), min_size=1, max_size=60),
    st.integers(-5_000, 5_000),
)
# Text of any kind, lone surrogates included.
texts = st.text(st.characters(), max_size=30) | st.text(
    st.sampled_from("\x00\u2028\u2029\ud800\udfff🦁\ufeff\\\"'\n\r\t e\u0301"), max_size=12
)
durations = st.timedeltas(
    min_value=timedelta(days=-100_000_000), max_value=timedelta(days=100_000_000)
)

PLAIN = [
    pytest.param(models.BigIntegerField, st.integers(), id="integer"),
    pytest.param(models.TextField, texts, id="text"),
    pytest.param(models.BooleanField, st.booleans(), id="boolean"),
    pytest.param(models.FloatField, st.floats(allow_nan=False), id="float"),
    pytest.param(models.DecimalField, decimals, id="decimal"),
    pytest.param(models.DateTimeField, moments, id="datetime"),
    pytest.param(models.DateField, st.dates(), id="date"),
    pytest.param(models.TimeField, st.times(), id="time"),
    pytest.param(models.DurationField, durations, id="duration"),
    pytest.param(models.UUIDField, st.uuids(), id="uuid"),
    pytest.param(models.BinaryField, st.binary(max_size=50), id="binary"),
    pytest.param(
        postgres.HStoreField,
        st.dictionaries(texts, st.none() | texts, max_size=4),
        id="hstore",
    ),
    pytest.param(
        lambda: postgres.ArrayField(models.DateTimeField()),
        st.lists(st.none() | moments, max_size=4),
        id="array of datetimes",
    ),
    pytest.param(
        lambda: postgres.ArrayField(postgres.ArrayField(models.DecimalField())),
        st.lists(st.lists(st.none() | decimals, max_size=3), max_size=3),
        id="array of arrays of decimals",
    ),
    pytest.param(
        lambda: postgres.ArrayField(models.BinaryField()),
        st.lists(st.binary(max_size=5), max_size=3),
        id="array of bytes",
    ),
    pytest.param(
        lambda: postgres.ArrayField(postgres.HStoreField()),
        st.lists(st.dictionaries(texts, st.none() | texts, max_size=2), max_size=2),
        id="array of hstores",
    ),
]


def is_equal(one: Any, other: Any) -> bool:
    """Equal, of one type, and of one sign: -0.0 equals 0.0, and offsets hide in moments."""
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_equal, one, other))
    if isinstance(one, datetime):
        return bool(one == other and one.utcoffset() == other.utcoffset())
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and bool(one == other) and str(one) == str(other)


@pytest.mark.parametrize(("make", "values"), PLAIN)
@given(data=st.data())
def test_value_comes_back(
    make: Callable[[], models.Field], values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    value = data.draw(values)
    back = carried(make(), value)
    assert is_equal(value, back)
    assert is_same(column(make()), value, back)


@pytest.mark.parametrize(("make", "values"), PLAIN)
def test_nothing_comes_back_as_nothing(
    make: Callable[[], models.Field], values: st.SearchStrategy[Any]
) -> None:
    assert encoded(make(), None) is None
    assert carried(make(), None) is None


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        (models.DateTimeField(), datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00+00:00"),
        (
            models.DateTimeField(),
            datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
            "9999-12-31T23:59:59.999999+00:00",
        ),
        (models.DateField(), date.max, "9999-12-31"),
        (models.TimeField(), time(0, 0, 0, 1), "00:00:00.000001"),
        (models.DurationField(), timedelta(microseconds=-1), "-P0DT00H00M00.000001S"),
        (models.DecimalField(), Decimal("1.10"), "1.10"),
        (models.DecimalField(), Decimal("NaN"), "NaN"),
        (models.FloatField(), -0.0, -0.0),
        (models.FloatField(), float("nan"), "NaN"),
        (models.FloatField(), float("inf"), "Infinity"),
        (models.FloatField(), float("-inf"), "-Infinity"),
        (models.UUIDField(), UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (models.BinaryField(), b"\x00\xff", "AP8="),
        (models.BigIntegerField(), 2**70, 2**70),
        (models.BooleanField(), False, False),
    ],
)
def test_value_stands_in_the_archive_as_documented(
    field: models.Field, value: Value, text: JsonValue
) -> None:
    assert encoded(field, value) == text
    assert type(encoded(field, value)) is type(text)
    back = carried(field, value)
    assert str(back) == str(value)
    assert is_same(column(field), back, value)


def test_memory_views_are_bytes() -> None:
    assert encoded(models.BinaryField(), memoryview(b"abc")) == "YWJj"


# Ranges -------------------------------------------------------------------------------------------


def range_values(
    make: Callable[..., Any], ends: st.SearchStrategy[Any], *, bounds: str = "[) (] () []"
) -> st.SearchStrategy[Any]:
    pairs = st.tuples(st.none() | ends, st.none() | ends).map(
        lambda pair: pair if None in pair else tuple(sorted(pair))
    )
    filled = st.builds(lambda p, b: make(p[0], p[1], b), pairs, st.sampled_from(bounds.split()))
    return filled | st.just(make(empty=True))


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (
            postgres.BigIntegerRangeField,
            range_values(ranges.NumericRange, st.integers(-(2**63), 2**63 - 1)),
        ),
        (
            postgres.DecimalRangeField,
            range_values(ranges.NumericRange, st.decimals(allow_nan=False, allow_infinity=False)),
        ),
        (
            postgres.DateTimeRangeField,
            range_values(ranges.DateTimeTZRange, st.datetimes(timezones=st.just(UTC))),
        ),
        (postgres.DateRangeField, range_values(ranges.DateRange, st.dates())),
    ],
    ids=["integers", "decimals", "datetimes", "dates"],
)
@given(data=st.data())
def test_range_comes_back(
    make: Callable[[], models.Field], values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    value = data.draw(values)
    back = carried(make(), value)
    assert back == value
    assert type(back) is type(value)
    assert str(back) == str(value)
    assert is_same(column(make()), value, back)


# JSON ---------------------------------------------------------------------------------------------


def exactly(text: str) -> Any:
    """A JSON text with numbers as exact ones: 1.10 and 1.1 are one, and no digit is lost."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


numbers = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    # What a double cannot hold.
    st.decimals(allow_nan=False, allow_infinity=False).map(lambda d: f"{d:f}"),
    st.sampled_from(["1e400", "-1e-400", "0.1000000000000000055511151231257827", "1E5", "-0.0"]),
)
strings = st.text(max_size=5).map(json.dumps) | st.sampled_from(
    ['"$json"', '"\\ud800"', '"\\u0000"']
)
names = st.sampled_from(['"$json"', '"$json_text"', '"a"', '""']) | strings
documents = st.recursive(
    st.sampled_from(["null", "true", "false"]) | numbers | strings,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]")
        | st.lists(st.tuples(names, inner), max_size=3, unique_by=lambda m: json.loads(m[0])).map(
            lambda members: f"{{{', '.join(f'{n}: {v}' for n, v in members)}}}"
        )
    ),
    max_leaves=8,
)


@given(documents)
@example('{"$json": null}')
@example('{"$json": {"$json": 1}}')
@example('{"$json_text": "1"}')
@example('{"$json_text": 1.00000000000000000001}')
@example('{"$json": 1, "b": 2}')
def test_json_comes_back(text: str) -> None:
    back = carried(models.JSONField(), text)
    assert isinstance(back, str)
    assert exactly(back) == exactly(text)
    assert is_same(column(models.JSONField()), text, back)


@given(st.lists(documents, max_size=5))
@example(['["\\u0000between documents\\u0000", "\\u0000between documents\\u0000"]', "1"])
@example(['{"a": "\\u0000between documents\\u0000"}', "[]"])
def test_documents_are_told_together_as_one_by_one(texts: list[str]) -> None:
    field = models.JSONField()
    archived = [json.loads(json.dumps(encoded(field, text))) for text in texts]
    together = column_decoder(column(field), AWARE)([*archived, None])
    assert together == [*(carried(field, text) for text in texts), None]


def test_json_null_is_not_an_empty_column() -> None:
    assert encoded(models.JSONField(), None) is None
    assert encoded(models.JSONField(), "null") == {"$json": None}
    assert carried(models.JSONField(), "null") == "null"
    assert carried(models.JSONField(), None) is None
    assert not is_same(column(models.JSONField()), "null", None)


@pytest.mark.parametrize("text", ["1" * 5_000, f"[{'9' * 5_000}]", "1e999999999"])
def test_numbers_in_json_have_any_size(text: str) -> None:
    back = carried(models.JSONField(), text)
    assert back == text
    assert is_same(column(models.JSONField()), text, text)
    assert not is_same(column(models.JSONField()), text, "1")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"a": 1, "b": 2}', '{ "b":2,"a":1 }', True),
        # PostgreSQL writes numbers in a way of its own.
        ("1.10", "1.1", True),
        ("1e2", "100", True),
        ("1e22", "10000000000000000000000", True),
        ("1.5e3", "1500.0", True),
        ("-0.0", "0", True),
        ("-1", "1", False),
        ("[1, 2]", "[2, 1]", False),
        ('"1"', "1", False),
        ("true", "1", False),
        ("0", "false", False),
        ("1e400", "1e401", False),
        ("12345678901234567890123456789012345", "12345678901234567890123456789012346", False),
    ],
)
def test_json_is_compared_by_meaning(one: str, other: str, same: bool) -> None:
    assert is_same(column(models.JSONField()), one, other) is same
    assert is_same(column(models.JSONField()), other, one) is same


# Custom fields ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        (MoneyField(max_length=40), Money(Decimal("12.340"), "EUR"), "EUR 12.340"),
        (EncryptedTextField(), "the lion's share 🦁", "the lion's share 🦁"),
        (EncryptedTextField(), "", ""),
        (TicketNumberField(), "T-000012", "T-000012"),
        (models.FileField(), "zoo/a.jpg", "zoo/a.jpg"),
    ],
)
def test_custom_value_goes_as_the_fields_own_text(
    field: models.Field, value: Value, text: str
) -> None:
    assert encoded(field, value) == text
    assert carried(field, value) == value
    assert is_same(column(field), value, carried(field, value))


def test_array_of_custom_values_comes_back() -> None:
    field = postgres.ArrayField(MoneyField(max_length=40))
    value = [Money(Decimal("12.340"), "EUR"), None]
    assert column(field).kind is Kind.CUSTOM
    assert carried(field, value) == value


def test_array_of_documents_comes_back() -> None:
    field = postgres.ArrayField(models.JSONField())
    value = [{"a": [1, None]}, None, "text"]
    assert carried(field, value) == value


def test_what_cannot_come_back_is_refused_by_name() -> None:
    seal = build_graph().table("zoo.Sealed").column("seal")
    encode = encoder(seal)
    assert encode is not None
    assert encode(None) is None
    with pytest.raises(ValueNotCarried, match=r"^zoo\.Sealed\.seal \(SealedField\) cannot be"):
        encode(Seal("secret"))


# Time zones ---------------------------------------------------------------------------------------

NOON = datetime(2024, 7, 1, 12, 0, 0, 1)


@pytest.mark.parametrize(
    ("source_is_aware", "target_is_aware", "there", "here"),
    [
        (True, True, NOON.replace(tzinfo=UTC), NOON.replace(tzinfo=UTC)),
        (False, False, NOON, NOON),
        # The source's own zone says which moment it was; the target's says what is written.
        (False, True, NOON, NOON.replace(tzinfo=ROME)),
        (True, False, NOON.replace(tzinfo=UTC), NOON.replace(hour=8)),
    ],
)
def test_moment_is_the_same_on_a_site_with_other_zones(
    source_is_aware: bool, target_is_aware: bool, there: datetime, here: datetime
) -> None:
    zones = TimeZones(source_is_aware, target_is_aware, ROME, ZoneInfo("America/New_York"))
    for field, value, expected in (
        (models.DateTimeField(), there, here),
        (postgres.ArrayField(models.DateTimeField()), [there, None], [here, None]),
        (models.TimeField(), there.time(), there.time()),
    ):
        back = carried(field, value, zones)
        assert back == expected
    moment = carried(models.DateTimeField(), there, zones)
    assert isinstance(moment, datetime)
    assert moment.utcoffset() == here.utcoffset()


def test_hour_that_came_twice_stays_the_one_it_was() -> None:
    later = datetime(2024, 10, 27, 2, 30, tzinfo=ROME, fold=1)
    back = carried(models.DateTimeField(), later)
    assert isinstance(back, datetime)
    assert back.utcoffset() == timedelta(hours=1)


# What is no value ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (models.BigIntegerField(), 1.5),
        (models.BigIntegerField(), True),
        (models.BigIntegerField(), "one"),
        (models.BigIntegerField(), [1]),
        (models.TextField(), 1),
        (models.TextField(), {"a": 1}),
        (models.BooleanField(), 1),
        (models.BooleanField(), "true"),
        (models.FloatField(), "much"),
        (models.FloatField(), True),
        (models.FloatField(), 10**400),
        (models.DecimalField(), "much"),
        (models.DecimalField(), [1]),
        (models.DecimalField(), {}),
        (models.DateTimeField(), "yesterday"),
        (models.DateTimeField(), 7),
        (models.DateField(), "2024-13-01"),
        (models.TimeField(), "25:00"),
        (models.DurationField(), "long"),
        (models.DurationField(), 7),
        (models.UUIDField(), "no-uuid"),
        (models.UUIDField(), 7),
        (models.BinaryField(), "ä"),
        (models.BinaryField(), "abc"),
        (models.BinaryField(), 7),
        (models.JSONField(), {"$json_text": "{"}),
        (models.JSONField(), {"$json_text": 7}),
        (models.JSONField(), {"$json_text": []}),
        (postgres.ArrayField(models.IntegerField()), "[1]"),
        (postgres.ArrayField(models.IntegerField()), ["a"]),
        (postgres.HStoreField(), ["a"]),
        (postgres.IntegerRangeField(), [1, 2]),
        (postgres.IntegerRangeField(), {"lower": 1}),
        (postgres.IntegerRangeField(), {"lower": 1, "upper": 2, "bounds": "xx"}),
        (MoneyField(max_length=40), "12.34"),
        (MoneyField(max_length=40), 7),
    ],
)
def test_what_is_no_value_is_refused(field: models.Field, value: JsonValue) -> None:
    with pytest.raises(ValueNotCarried, match=r"^value: .* is no "):
        decoded(field, value)


@given(
    st.sampled_from(Kind),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        ),
        max_leaves=5,
    ),
)
def test_hostile_value_is_read_or_refused(kind: Kind, value: Any) -> None:
    fields: dict[Kind, models.Field] = {
        Kind.INTEGER: models.IntegerField(),
        Kind.TEXT: models.TextField(),
        Kind.BOOLEAN: models.BooleanField(),
        Kind.FLOAT: models.FloatField(),
        Kind.DECIMAL: models.DecimalField(),
        Kind.DATETIME: models.DateTimeField(),
        Kind.DATE: models.DateField(),
        Kind.TIME: models.TimeField(),
        Kind.DURATION: models.DurationField(),
        Kind.UUID: models.UUIDField(),
        Kind.BINARY: models.BinaryField(),
        Kind.JSON: models.JSONField(),
        Kind.ARRAY: postgres.ArrayField(models.UUIDField()),
        Kind.RANGE: postgres.DateTimeRangeField(),
        Kind.HSTORE: postgres.HStoreField(),
        Kind.CUSTOM: TicketNumberField(),
    }
    field = fields[kind]
    assert column(field).kind is kind
    try:
        decoded(field, value)
    except ValueNotCarried as error:
        assert str(error).startswith("value: ")


def test_long_values_are_shown_shortened() -> None:
    with pytest.raises(ValueNotCarried) as caught:
        decoded(models.BigIntegerField(), "x" * 10_000)
    assert len(str(caught.value)) < 100


# Comparing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "one", "other", "same"),
    [
        (models.FloatField(), float("nan"), float("nan"), True),
        (models.FloatField(), float("nan"), 0.0, False),
        (models.DecimalField(), Decimal("NaN"), Decimal("NaN"), True),
        (models.DecimalField(), Decimal("1.10"), Decimal("1.1"), True),
        (models.TextField(), "a", "A", False),
        (models.TextField(), "", None, False),
        (models.TextField(), None, None, True),
        (models.DateTimeField(), NOON.replace(tzinfo=UTC), NOON.replace(tzinfo=ROME), False),
        (MoneyField(max_length=9), Money(Decimal("1.0"), "A"), Money(Decimal("1.0"), "A"), True),
        (MoneyField(max_length=9), Money(Decimal("1.0"), "A"), Money(Decimal("1.0"), "B"), False),
    ],
)
def test_values_are_compared_as_their_reader_would(
    field: models.Field, one: Value, other: Value, same: bool
) -> None:
    assert is_same(column(field), one, other) is same
