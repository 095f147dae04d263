"""What does the walk ask of a database? The questions alone; `database.select` answers them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias, TypeVar, cast

from ..rows import Key, Value
from ..schema.relation import Relation


class Lot(NamedTuple):
    """Rows that were found, each once: their keys; and by relation's name the values that they
    point with, in any order, empty ones left out, for the relations that were to be read along.
    None where nothing was read but the keys."""

    keys: Sequence[Key]
    pointers: Mapping[str, Sequence[Value]] | None = None


_About = TypeVar("_About")
_Answer = TypeVar("_Answer")
Ask: TypeAlias = "Callable[[KeySource], Iterable[_Answer]]"
"""A question that is answered in parts, most in lots, to be put to whoever can answer it."""


class KeySource(Protocol):
    """Answers the walk's questions. Every method takes one batch, of at most `batch_keys`; the
    methods that answer in lots take at most `lot_keys`."""

    @property
    def batch_keys(self) -> int: ...

    @property
    def lot_keys(self) -> int: ...

    def arriving(
        self, relation: Relation, target: str, keys: Sequence[Key], along: Sequence[Relation]
    ) -> Iterable[Lot]:
        """The rows whose relation points at these rows of `target`, however many; `along` are
        relations of theirs to be read with them, none of them generic."""

    def standing(self, table: str, keys: Sequence[Key], along: Sequence[Relation]) -> Iterable[Lot]:
        """Those of these keys that a row of the table has, in the same way. Where a database may
        find keys equal that differ (texts), it is `resolve` that tells."""

    def in_turn(
        self, asks: Iterable[tuple[_About, Ask[_Answer]]]
    ) -> Iterator[tuple[_About, Iterable[_Answer]]]:
        """What is asked, each with its answer, in order. Later ones may be answered before an
        earlier answer is taken: none depends on another."""

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

    def generic_keys(self, table: str, raws: Sequence[Value]) -> Sequence[Key | None]:
        """The same for many, in their order."""


def arriving(
    relation: Relation, target: str, keys: Sequence[Key], along: Sequence[Relation]
) -> Ask[Lot]:
    """A question of `KeySource.arriving`."""
    return lambda source: source.arriving(relation, target, keys, along)


def standing(name: str, keys: Sequence[Key], along: Sequence[Relation]) -> Ask[Lot]:
    """A question of `KeySource.standing`."""
    return lambda source: source.standing(name, keys, along)


def pointed(relation: Relation, keys: Sequence[Key]) -> Ask[Sequence[tuple[Key, Value]]]:
    """A question of `KeySource.pointed`, of a generic relation; answered in one part."""
    return lambda source: [cast("Sequence[tuple[Key, Value]]", source.pointed(relation, keys))]
