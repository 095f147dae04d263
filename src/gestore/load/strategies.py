"""What is done when a row is already there?

Decides from the kind of conflict, the strategy and, where somebody said so by hand, the resolution
of one row. Asks nobody and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Strategy(Enum):
    """`refuse`: report all, write nothing. `keep`: the row here stands for the archived one.
    `override`: the row here takes the archived values. `remap`: the archived row gets a new key."""

    REFUSE = "refuse"
    KEEP = "keep"
    OVERRIDE = "override"
    REMAP = "remap"


class ConflictKind(Enum):
    """`key`: the key is here with other values. `unique`: another row has its unique values."""

    KEY = "key-conflict"
    UNIQUE = "unique-conflict"


class Action(Enum):
    """What becomes of one archived row."""

    REFUSE = "refuse"
    KEEP = "keep"
    OVERRIDE = "override"
    REMAP = "remap"


@dataclass(frozen=True, slots=True)
class Strategies:
    """The strategy of the run, and those of single tables by lower-case name. With `new_keys`
    every owned row gets a new key, whether its own is free or not."""

    of_run: Strategy = Strategy.REFUSE
    by_table: Mapping[str, Strategy] = field(default_factory=dict)
    new_keys: bool = False

    def of_table(self, name: str) -> Strategy:
        return self.by_table.get(name, self.of_run)

    @property
    def overrides(self) -> bool:
        return Strategy.OVERRIDE in (self.of_run, *self.by_table.values())


def decide(kind: ConflictKind, strategy: Strategy, *, is_shared_model: bool) -> Action:
    """What the strategy says of a conflict. Rows of `share` models are never changed; a new key
    does not free a unique value."""
    if strategy is Strategy.OVERRIDE and is_shared_model:
        return Action.REFUSE
    if strategy is Strategy.REMAP and kind is ConflictKind.UNIQUE:
        return Action.REFUSE
    return Action(strategy.value)


def allowed(kind: ConflictKind, *, can_renew: bool, is_one: bool) -> tuple[Action, ...]:
    """What a resolution may say of a conflict; `is_one` when one row here stands in the way."""
    actions = [Action.REFUSE]
    if is_one:
        actions += [Action.KEEP, Action.OVERRIDE]
    if can_renew and kind is ConflictKind.KEY:
        actions.append(Action.REMAP)
    return tuple(actions)
