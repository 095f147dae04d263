"""From what is a replacement made? Digests under a secret salt, and what the column asks for."""

from __future__ import annotations

from base64 import b32encode
from dataclasses import dataclass, field
from hashlib import blake2b

from ..rows import Value

# More days than anybody remembers a date by, and fewer than let dates of today look absurd.
_LEAST_DAYS, _MOST_DAYS = 400, 1_600
_TOKEN_BYTES = 10
# Four are as good as a random permutation; twice as many are for small numbers.
_TURNS = 8


@dataclass(frozen=True, slots=True)
class Seed:
    """The salt of one archive, or of all for which it is kept, and the column's own bounds:
    `max_length` in characters (0: none), whether its values are unique, whether it may be empty."""

    salt: bytes = field(repr=False)
    max_length: int = 0
    is_unique: bool = False
    is_nullable: bool = False
    _hasher: blake2b = field(init=False, repr=False, compare=False)
    shift_seconds: int = field(init=False)
    """By how much dates move: the same for all, so that their order stays."""

    def __post_init__(self) -> None:
        # Keyed once: a copy of it costs less than another.
        object.__setattr__(self, "_hasher", blake2b(key=self.salt))
        number = int.from_bytes(self.digest("dates", 8), "big")
        days = _LEAST_DAYS + number % (_MOST_DAYS - _LEAST_DAYS)
        object.__setattr__(self, "shift_seconds", -86_400 * days)

    def digest(self, value: Value, size: int = 16) -> bytes:
        """Up to 64 bytes that tell nothing of the value to who does not have the salt."""
        text = value if type(value) is str else str(value)
        hasher = self._hasher.copy()
        hasher.update(text.encode("utf-8", "surrogatepass"))
        return hasher.digest()[:size]

    def token(self, value: Value) -> str:
        """Sixteen letters and digits that no other value has."""
        return b32encode(self.digest(value, _TOKEN_BYTES)).decode("ascii").lower()

    def number(self, value: Value, below: int) -> int:
        """A number from 0 that depends on the value."""
        return int.from_bytes(self.digest(value, 16), "big") % below

    def shuffled(self, number: int, below: int, context: str) -> int:
        """Another number from 0 below `below`; no two numbers become the same in one context.

        A Feistel network over the next power of four, walked until the number is in bounds again.
        """
        half = max(1, ((below - 1).bit_length() + 1) // 2)
        mask = (1 << half) - 1
        while True:
            left, right = number >> half, number & mask
            for turn in range(_TURNS):
                mixed = self.number(f"{turn} {right} {context}", mask + 1)
                left, right = right, left ^ mixed
            number = (left << half) | right
            if number < below:
                return number

    def fitting(self, text: str, end: str = "") -> str:
        """The text and its end, cut before the end to what the column holds."""
        if not self.max_length:
            return text + end
        return text[: max(0, self.max_length - len(end))] + end[-self.max_length :]
