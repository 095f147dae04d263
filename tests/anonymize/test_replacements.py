"""Do formats, uniqueness, order and sameness survive, and no value?"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from uuid import UUID

import pytest
from django.contrib.auth.hashers import is_password_usable
from django.core.validators import validate_email
from hypothesis import given
from hypothesis import strategies as st

from gestore import anonymize
from gestore.anonymize import Seed
from gestore.rows import Value

SEED = Seed(b"salt")
TEXTS = [
    anonymize.email,
    anonymize.username,
    anonymize.name,
    anonymize.phone,
    anonymize.shape,
    anonymize.text,
    anonymize.token,
    anonymize.password,
    anonymize.uuid,
]
Replacement = Callable[[Value, Seed], Value]


@pytest.mark.parametrize("replacement", TEXTS)
@given(value=st.text(), length=st.integers(1, 40))
def test_any_text_is_replaced_within_the_column(
    replacement: Replacement, value: str, length: int
) -> None:
    for is_unique in (False, True):
        seed = Seed(b"salt", max_length=length, is_unique=is_unique)
        made = replacement(value[:length], seed)
        assert isinstance(made, str)
        assert len(made) <= length
        assert made == replacement(value[:length], seed)


@pytest.mark.parametrize(
    "replacement", [anonymize.email, anonymize.username, anonymize.name, anonymize.token]
)
def test_unique_values_stay_unique(replacement: Replacement) -> None:
    seed = Seed(b"salt", max_length=60, is_unique=True)
    values = [f"person {n}" for n in range(20_000)]
    assert len({replacement(value, seed) for value in values}) == len(values)


@pytest.mark.parametrize("replacement", [anonymize.shape, anonymize.phone])
def test_short_codes_change_places_with_one_another(replacement: Replacement) -> None:
    """All codes there are: each becomes one of them, and no two the same."""
    seed = Seed(b"salt", max_length=4, is_unique=True)
    values = [f"{letter}-{n:02}" for letter in "abcXYZ" for n in range(100)]
    made = [str(replacement(value, seed)) for value in values]
    assert len({code.casefold() for code in made}) == len(values)
    assert all(re.fullmatch("[a-z]-[0-9]{2}|[A-Z]-[0-9]{2}", code) for code in made)
    assert all(
        value[0].isupper() == code[0].isupper() for value, code in zip(values, made, strict=True)
    )
    numbers = [f"{n:03}" for n in range(1_000)]
    assert sorted(str(replacement(number, seed)) for number in numbers) == numbers
    assert [replacement(number, seed) for number in numbers] != numbers


@given(st.sets(st.text(max_size=12), min_size=2, max_size=50))
def test_any_short_texts_stay_unlike(values: set[str]) -> None:
    seed = Seed(b"salt", is_unique=True)
    assert len({anonymize.shape(value, seed) for value in values}) == len(values)


@given(st.integers(2, 10**6), st.data())
def test_shuffled_numbers_stay_in_bounds(below: int, data: st.DataObject) -> None:
    some = data.draw(st.sets(st.integers(0, below - 1), min_size=2, max_size=20))
    made = {SEED.shuffled(number, below, "") for number in some}
    assert len(made) == len(some)
    assert all(0 <= number < below for number in made)


@pytest.mark.parametrize("replacement", [*TEXTS, anonymize.date])
def test_another_salt_makes_other_values(replacement: Replacement) -> None:
    if replacement is anonymize.token:
        pytest.skip("it is empty")
    value = dt.date(2020, 5, 17) if replacement is anonymize.date else "Ada Lovelace 1815"
    made = {replacement(value, Seed(bytes([n]))) for n in range(1, 6)}
    assert value not in made
    assert len(made) > 1


def test_formats() -> None:
    validate_email(str(anonymize.email("ada@example.org", SEED)))
    assert anonymize.email("", SEED) == ""
    assert re.fullmatch(r"\+\d\d \(\d\d\d\) \d-\d", str(anonymize.phone("+49 (030) 1-2", SEED)))
    assert re.fullmatch(r"[A-Z]{2}\d [a-z]{2}", str(anonymize.shape("SW1 ab", SEED)))
    assert len(str(anonymize.name("Ada Byron Lovelace", SEED)).split()) == 3
    assert len(str(anonymize.text("x" * 5_000, SEED))) == 5_000
    assert not is_password_usable(str(anonymize.password("pbkdf2_sha256$1$x$y", SEED)))
    assert isinstance(anonymize.uuid(UUID(int=7), SEED), UUID)
    as_text = str(anonymize.uuid("00000000-0000-0000-0000-000000000007", SEED))
    assert UUID(as_text) == anonymize.uuid(UUID(int=7), SEED)
    assert anonymize.uuid(UUID(int=7).hex, SEED) == UUID(as_text).hex
    assert anonymize.keep("Ada", SEED) == "Ada"


def test_tokens_are_emptied() -> None:
    assert anonymize.token("secret", SEED) == ""
    assert anonymize.token("secret", Seed(b"salt", is_nullable=True)) is None
    unique = Seed(b"salt", is_unique=True)
    assert anonymize.token("one", unique) != anonymize.token("two", unique)


def test_the_same_word_is_the_same_name() -> None:
    assert str(anonymize.name("ADA Byron", SEED)).split()[0] == anonymize.name("ada", SEED)


@given(st.lists(st.dates() | st.dates(), min_size=2), st.binary(min_size=1, max_size=8))
def test_order_of_dates_stays(dates: list[dt.date], salt: bytes) -> None:
    seed = Seed(salt)
    made = [anonymize.date(value, seed) for value in sorted(dates)]
    assert made == sorted(made)  # type: ignore[type-var]


def test_dates_and_moments_move_together() -> None:
    day, zone = dt.date(2024, 2, 29), dt.timezone(dt.timedelta(hours=2))
    moment = dt.datetime(2024, 2, 29, 23, 59, 59, 999_999, zone)
    moved_day, moved = anonymize.date(day, SEED), anonymize.date(moment, SEED)
    assert isinstance(moved, dt.datetime)
    assert moved.date() == moved_day != day
    assert (moved.timetz(), moved.tzinfo) == (moment.timetz(), zone)
    earliest = dt.datetime.min.replace(tzinfo=dt.UTC)
    assert anonymize.date(earliest, SEED) == earliest
    assert anonymize.date(dt.date.min, SEED) == dt.date.min
    with pytest.raises(TypeError, match="is no date"):
        anonymize.date("2024", SEED)
