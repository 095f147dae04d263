"""Do batches keep the order and lose nothing, and are keys written as they are typed?"""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestore.references import Reference
from gestore.rows import batches, key_text


@given(st.lists(st.integers()), st.integers(1, 7))
def test_batches_are_the_items_in_order(items: list[int], size: int) -> None:
    found = list(batches(iter(items), size))
    assert [item for batch in found for item in batch] == items
    assert all(len(batch) == size for batch in found[:-1])
    assert all(found)


def test_batches_take_no_more_than_they_give() -> None:
    taken = iter(range(100))
    first = next(batches(taken, 10))
    assert first == list(range(10))
    assert next(taken) == 10


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (7, "7"),
        ("a.b", "a.b"),
        ((1, "x"), "1,x"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_key_is_written_as_it_is_typed(key: object, text: str) -> None:
    assert key_text(key) == text
    assert Reference.parse(f"app.Model.{key_text(key)}").key == text
