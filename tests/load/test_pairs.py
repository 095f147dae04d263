"""Do pairs on disk do what a dictionary does, in memory that does not grow?"""

from __future__ import annotations

import tracemalloc
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestore.load import pairs as pairs_module
from gestore.load.keymap import Fresh, KeyMap
from gestore.load.pairs import IntegerPairs, Pairs
from gestore.walk.keys import IntegerKeys

values = (
    st.integers(-3, 3)
    | st.text("ab", max_size=2)
    | st.tuples(st.text("ab", max_size=1), st.text("ab", max_size=1))
    | st.sampled_from([Decimal("1.0"), Decimal("1.00"), 1.0, UUID(int=1), None, Fresh("t", 1)])
)


@pytest.mark.parametrize("most", [0, 1, 3, 1_000])
@given(steps=st.lists(st.tuples(st.sampled_from(["put", "pop", "look"]), values, values)))
def test_pairs_are_a_dictionary(most: int, steps: list[tuple[str, Any, Any]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs_module, "MOST_PAIRS", most)
        ours, reference = Pairs(), dict[Any, Any]()
        for step, source, target in steps:
            if step == "put":
                ours[source] = target
                reference[source] = target
            elif step == "pop":
                assert ours.pop(source) == (reference.pop(source, ours) is not ours)
            assert (source in ours) == (source in reference)
            assert bool(ours) == bool(reference)
            if source in reference:
                assert ours[source] == reference[source]
            else:
                with pytest.raises(KeyError):
                    ours[source]
        assert len(ours) == len(reference)
        assert dict(ours.items()) == reference
        assert sorted(map(repr, ours)) == sorted(map(repr, set(reference))) or set(ours) == set(
            reference
        )


@pytest.mark.parametrize("most", [0, 2, 1_000])
@given(known=st.dictionaries(st.integers(-9, 9), st.integers(-(2**63), 2**63 - 1), max_size=12))
def test_pairs_of_integers(most: int, known: dict[int, int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs_module, "MOST_INTEGERS", most)
        patch.setattr(pairs_module, "_BLOCK_PAIRS", 3)
        patch.setattr(pairs_module, "_READ_BLOCKS", 2)
        ours = IntegerPairs.of(sorted(known.items()), len(known))
        assert {source for source in range(-10, 10) if source in ours} == set(known)
        assert {source: ours[source] for source in known} == known
        assert ours.many(known) == known
        some = ours.many(range(-10, 10, 7))
        assert some.items() <= known.items()
        assert {source for source in range(-10, 10, 7) if source in some} == {
            source for source in range(-10, 10, 7) if source in known
        }
        assert "1" not in ours


@pytest.mark.parametrize("most", [1_000, 10])
def test_key_map_says_the_same_on_disk(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_module, "MOST_INTEGERS", most)
    monkeypatch.setattr(pairs_module, "MOST_PAIRS", most)
    place = ("shop.order", ("id",))
    keymap = KeyMap()
    keymap.renew(place, range(100, 200), IntegerKeys)
    assert keymap.target(*place, 100) == Fresh("shop.order", 100)
    for n in range(50):
        keymap.put(*place, n, n + 1_000)
    assert keymap.forget(*place, 7)
    assert not keymap.forget(*place, 7)
    keymap.draw_integers(place, lambda count: range(5_000, 5_000 + count))
    keymap.use_drawn()
    known = {n: n + 1_000 for n in range(50) if n != 7} | {n: n + 4_900 for n in range(100, 200)}
    assert dict(keymap.changed(place)) == known
    assert len(keymap) == len(known)
    wanted = [7, 1, None, 150, 300]
    assert keymap.targets(*place, wanted) == [7, 1_001, None, 5_050, 300]
    assert [keymap.target(*place, n) for n in (7, 1, 150, 300)] == [7, 1_001, 5_050, 300]


@pytest.mark.parametrize("most", [1_000, 10])
def test_what_is_recalled_may_be_of_any_type(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_module, "MOST_PAIRS", most)
    keymap = KeyMap()
    place, other = ("shop.tag", ("code",)), ("shop.order", ("id",))
    texts, numbers = Pairs(), Pairs()
    for n in range(100):
        texts[f"old {n}"] = f"new {n}"
        numbers[n] = n + 1
    keymap.recall(place, texts)
    keymap.recall(other, numbers)
    assert keymap.targets(*place, ["old 7", "older"]) == ["new 7", "older"]
    assert keymap.targets(*other, [7, 100]) == [8, 100]


def test_memory_does_not_grow_with_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_module, "MOST_INTEGERS", 1_000)
    monkeypatch.setattr(pairs_module, "MOST_PAIRS", 1_000)
    peaks = []
    for count in (5_000, 20_000):
        tracemalloc.start()
        try:
            anything = Pairs()
            for n in range(count):
                anything[f"source {n}"] = f"target {n}"
            integers = IntegerPairs.of(((n, n + 1) for n in range(count)), count)
            assert len(anything) == count
            assert integers[count - 1] == count
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        peaks.append(peak)
    assert peaks[1] < 1.2 * peaks[0] + 5_000_000
