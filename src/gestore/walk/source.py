"""What does the walk ask of a database? The questions alone; `database.select` answers them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from ..rows import Key, Value
from ..schema.relation import Relation


class KeySource(Protocol):
    """Answers the walk's questions. Every method takes one batch, of at most `batch_keys`."""

    @property
    def batch_keys(self) -> int: ...

    def pointing(self, relation: Relation, target: str, keys: Sequence[Key]) -> Iterable[Key]:
        """The keys of the rows whose relation points at these rows of `target`; however many."""

    def pointing_pairs(self, relation: Relation, keys: Sequence[Key]) -> Sequence[tuple[Key, Key]]:
        """The same for a foreign key to the key, each with the key it points at."""

    def pointed(self, relation: Relation, keys: Sequence[Key]) -> Sequence[Value]:
        """The distinct values, never empty ones, that these rows point with; a generic relation's
        are (content type key, raw key) pairs, one of composite columns tuples."""

    def resolve(
        self, table: str, columns: Sequence[str], values: Sequence[Value]
    ) -> Sequence[tuple[Value, Key]]:
        """Those of the values that a row of the table holds, with that row's key."""

    def generic_target(self, content_type: Key) -> str:
        """The table a content type means, or "" where there is none."""

    def generic_key(self, table: str, raw: Value) -> Key | None:
        """A generic key as a key of the table; None where it cannot be one."""
