"""Why is a row in?

A trail keeps what each step brought in, compactly: no row remembers its own reason, the step does.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, NamedTuple, cast

from ..rows import Key, Value
from ..schema.relation import Relation
from .closure import Status
from .keys import PackedUUIDs
from .source import KeySource


class Direction(Enum):
    """Which way a relation was followed: to the rows that point here, or to the row pointed at."""

    ROOT = "root"
    BACK = "back"
    FORWARD = "forward"


class Step(NamedTuple):
    """Some rows of `name` came in, because of some of `origin_keys` of table `origin`."""

    relation: Relation | None
    direction: Direction
    name: str
    status: Status
    origin_keys: Sequence[Key]
    new_keys: Sequence[Key]
    origin: str = ""


class Link(NamedTuple):
    """One link of the chain that brought a row in: from (table, key) by a relation."""

    table: str
    key: Key
    relation: Relation | None
    direction: Direction


class Trail:
    """Records a walk's steps; afterwards tells the chain that leads to a row."""

    def __init__(self) -> None:
        self._steps: dict[str, list[Step]] = defaultdict(list)

    def __call__(self, step: Step) -> None:
        compact = Step(
            step.relation,
            step.direction,
            step.name,
            step.status,
            _compact(step.origin_keys),
            _compact(step.new_keys),
            step.origin,
        )
        self._steps[step.name].append(compact)

    def chain(self, name: str, key: Key, source: KeySource) -> list[Link]:
        """The links from a root to the row, which is the last one; empty if it was not taken."""
        links: list[Link] = []
        seen: set[tuple[str, Key]] = set()
        place: tuple[str, Key] | None = (name, key)
        while place is not None and place not in seen:
            seen.add(place)
            step = self._step_of(*place)
            if step is None:
                return []
            links.append(Link(*place, step.relation, step.direction))
            place = _origin(step, place[1], source)
        links.reverse()
        return links

    def _step_of(self, name: str, key: Key) -> Step | None:
        """The first step that brought the row in, whatever its status then."""
        return next((s for s in self._steps.get(name, ()) if _holds(s.new_keys, key)), None)


def _origin(step: Step, key: Key, source: KeySource) -> tuple[str, Key] | None:
    """One row of the step's origin that is joined to the row: halving asks few questions."""
    if step.relation is None:
        return None
    *others, candidates = (list(lot) for lot in _in_lots(step.origin_keys, source.batch_keys))
    candidates = next((lot for lot in others if _joins(step, lot, key, source)), candidates)
    while len(candidates) > 1:
        half = candidates[: len(candidates) // 2]
        candidates = half if _joins(step, half, key, source) else candidates[len(half) :]
    return step.origin, candidates[0]


def _in_lots(keys: Sequence[Key], size: int) -> Iterator[Sequence[Key]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _joins(step: Step, origin_keys: Sequence[Key], key: Key, source: KeySource) -> bool:
    relation = step.relation
    assert relation is not None
    if step.direction is Direction.BACK:
        return key in source.pointing(relation, step.origin, origin_keys)
    return any(
        target == step.name and found == key
        for target, found in _targets(relation, origin_keys, source)
    )


def _targets(
    relation: Relation, keys: Sequence[Key], source: KeySource
) -> list[tuple[str, Key | None]]:
    values = source.pointed(relation, keys)
    if relation.is_generic:
        return [
            (table, source.generic_key(table, raw))
            for content_type, raw in cast("Sequence[tuple[Key, Value]]", values)
            if (table := source.generic_target(content_type))
        ]
    if relation.points_at_key:
        return [(relation.target, value) for value in values]
    if not values:
        return []
    found = source.resolve(relation.target, relation.target_columns, values)
    return [(relation.target, key) for _, key in found]


def _compact(keys: Sequence[Key]) -> Sequence[Key]:
    """Integers in 8 bytes each, others as they are; sorted, so that they can be searched."""
    if isinstance(keys, array | PackedUUIDs):
        # Packed keys come sorted, and nobody changes them.
        return keys
    in_order: list[Any] = sorted(cast("Sequence[Any]", keys))
    try:
        return cast("Sequence[Key]", array("q", in_order))
    except (TypeError, OverflowError):
        return in_order


def _holds(keys: Sequence[Key], key: Key) -> bool:
    place = bisect_left(cast("Sequence[Any]", keys), key)
    return place < len(keys) and bool(keys[place] == key)
