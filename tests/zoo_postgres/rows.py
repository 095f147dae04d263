"""Which rows live in the wing that only PostgreSQL can hold?"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connections, models
from django.db.backends.postgresql.psycopg_any import (
    DateRange,
    DateTimeTZRange,
    NumericRange,
)

from tests.zoo.inserting import JSON_NULL, Inserter, Placed, Stored, inserting

from . import models as zoo


@dataclass(frozen=True)
class PostgresZoo:
    root: Placed
    bystander: Placed | None = None


def populate(using: str, aviaries: int = 2) -> PostgresZoo:
    """Fills an empty wing. All rows of the first aviary are what `zoo_postgres.Aviary.1` takes."""
    with inserting(using) as inserter:
        roots = []
        for number in range(1, aviaries + 1):
            roots.append(inserter.put(zoo.Aviary, name=f"Aviary {number}"))
            _fill(inserter, roots[-1], number)
    return PostgresZoo(*roots[:2])


def infinite(using: str, aviary: Placed) -> list[Placed]:
    """Rows that the driver cannot read: before the year 1, after 9999, and without end."""
    moments = ("infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "10000-01-01 00:00:00+00")
    days = ("infinity", "-infinity", "0044-03-15 BC", "10000-01-01")
    with inserting(using) as inserter:
        return [
            inserter.put(zoo.Infinite, aviary=aviary, moment=Stored(moment), day=Stored(day))
            for moment, day in zip(moments, days, strict=True)
        ]


def _fill(inserter: Inserter, aviary: Placed, number: int) -> None:
    def house(model: type[models.Model], **values: Any) -> Placed:
        return inserter.put(model, aviary=aviary, **values)

    for model, rows in (
        (zoo.Arrays, _arrays()),
        (zoo.Ranges, _ranges()),
        (zoo.Hstores, _hstores()),
        (zoo.NotANumber, _not_numbers()),
        (zoo.Documents, _documents()),
    ):
        for values in rows:
            house(model, **values)
    house(zoo.Searchable, body="The lions were roaring", written=Stored("'a':1A 'lion':2,5B"))
    house(zoo.Searchable, body="", written=None)
    house(zoo.CaseInsensitive, name=f"Parrot {number}", word=f"Parrot {number}")
    _always_identity(inserter, aviary, number)
    for perch, hour in ((1, 8), (1, 9), (2, 8)):
        during = DateTimeTZRange(_moment(2024, 1, number, hour), _moment(2024, 1, number, hour + 1))
        house(zoo.Booking, perch=perch, during=during)
    for position in (1, 2):
        house(zoo.DeferredUnique, position=position)
    house(zoo.OtherSchema, name="elsewhere")
    # One points at a row with a higher key: the order of keys is not the order to load in.
    first, second, third = (3 * number + place for place in (1, 2, 3))
    house(zoo.ImmediateLink, id=first)
    house(zoo.ImmediateLink, id=third, parent=first)
    house(zoo.ImmediateLink, id=second, parent=third)
    house(zoo.Infinite, moment=_moment(2024, 1, 1), day=date(2024, 1, 1))


def _moment(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC if settings.USE_TZ else None)


def _arrays() -> Iterator[dict[str, Any]]:
    yield {}
    yield {name: [] for name in ("numbers", "words", "nested", "moments", "days", "prices")}
    yield {
        "numbers": [1, None, -(2**31), 2**31 - 1],
        "words": ["", None, "null", 'a,"b"', "{x}", "back\\slash", "🦁", " "],
        "nested": [["a", None], ["", "{b,c}"]],
        "moments": [_moment(2024, 2, 29, 23, 59, 59, 999_999), None, _moment(1, 1, 1)],
        "days": [date.min, date.max],
        "prices": [Decimal("0.1000000000"), None, Decimal("99999999999999999999.9999999999")],
        "tokens": [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)],
        "pair": [0.1, float("inf")],
    }


def _ranges() -> Iterator[dict[str, Any]]:
    yield {}
    yield {
        "integers": NumericRange(empty=True),
        "big_integers": NumericRange(empty=True),
        "decimals": NumericRange(empty=True),
        "moments": DateTimeTZRange(empty=True),
        "days": DateRange(empty=True),
    }
    yield {
        "integers": NumericRange(None, None),
        "big_integers": NumericRange(None, 2**62),
        "decimals": NumericRange(Decimal("0.10"), None, "()"),
        "moments": DateTimeTZRange(None, _moment(2024, 1, 1), "(]"),
        "days": DateRange(date(2024, 1, 1), None),
    }
    yield {
        "integers": NumericRange(1, 10),
        "big_integers": NumericRange(-(2**62), 2**62),
        "decimals": NumericRange(Decimal("-1.5"), Decimal("1.50"), "[]"),
        "moments": DateTimeTZRange(
            _moment(2024, 1, 1, 0, 0, 0, 1), _moment(2024, 12, 31, 23, 59, 59, 999_999), "[]"
        ),
        "days": DateRange(date(2024, 2, 28), date(2024, 3, 1)),
    }


def _hstores() -> Iterator[dict[str, Any]]:
    yield {}
    yield {"data": {}, "many": []}
    yield {
        "data": {"": "", "nothing": None, "null": "null", 'a "=>" b': "🦁", "comma,": "\\"},
        "many": [{"a": "1"}, {}, {"b": None}],
    }


def _not_numbers() -> Iterator[dict[str, Any]]:
    yield {}
    yield {"exact": Stored("NaN"), "rough": float("nan")}
    yield {"exact": Decimal("1E-10"), "rough": float("inf")}
    yield {"exact": Decimal("123456789012345678901234567890.0123456789"), "rough": -0.1}


def _documents() -> Iterator[dict[str, Any]]:
    yield {}
    yield {"binary": JSON_NULL, "plain": JSON_NULL}
    # Two keys of one name, an order and spaces: `jsonb` keeps none of them.
    text = Stored('{"b": 1,   "a": 1e2, "b": 2.50}')
    yield {"binary": text, "plain": text}


def _always_identity(inserter: Inserter, aviary: Placed, number: int) -> None:
    with connections[inserter.using].cursor() as cursor:
        cursor.execute(
            "INSERT INTO zoo_postgres_alwaysidentity (id, aviary_id, name) "
            "OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s)",
            [number, aviary.key, f"always {number}"],
        )
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('zoo_postgres_alwaysidentity', 'id'), %s)",
            [number],
        )
    inserter.put(zoo.AlwaysIdentityPointer, row=number)
