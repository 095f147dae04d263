"""How does the walk get its keys in lots, and with them what the rows point at?

Keys are packed as soon as they come out of the database. Where the database packs them itself, one
row of bytes is the answer; elsewhere rows of keys and pointers are turned into columns.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias, cast
from uuid import UUID

from django.db.models import IntegerField, UUIDField

from ..rows import Key, Value
from ..schema.relation import Relation
from ..schema.table import Column, Kind, Table
from ..walk.keys import UUID_DASHES, PackedUUIDs, empty_keys
from ..walk.source import Lot
from .dialect import Condition, Dialect

_Where: TypeAlias = "Callable[[Sequence[Key]], Condition | None]"
_Name: TypeAlias = "Callable[[Table, str], str]"
_Converter: TypeAlias = "Callable[[Value], Value]"

# Rows of one answer that the database packs, at most; where there are more, fewer keys are asked.
PACKED_ROWS = 60_000
# What an answer is to have, and the keys of a first question: how many rows they have is not known.
_WANTED_ROWS = 15_000
_FIRST_KEYS = 4_000
# Rows that are held while no other question may be asked.
_HELD_ROWS = 100_000
_FETCHED_ROWS = 20_000


class Gathering:
    """Reads keys and pointers through one dialect. Remembers by subject how many keys at once got
    an answer that could be held."""

    def __init__(
        self,
        dialect: Dialect,
        table_sql: Callable[[Table], str],
        column_sql: _Name,
        converter: Callable[[Table, Column], _Converter | None],
    ) -> None:
        self._dialect = dialect
        self._table_sql = table_sql
        self._column_sql = column_sql
        self._converter = converter
        self._answerable: dict[str, int] = {}

    def learn_with(self, other: Gathering) -> None:
        """Remember together; either may be asked in a thread of its own."""
        self._answerable = other._answerable

    def arriving(
        self,
        table: Table,
        subject: str,
        keys: Sequence[Key],
        where: _Where,
        along: Sequence[Relation],
    ) -> Iterator[Lot]:
        """The rows of the table for which `where` holds of the keys."""
        columns = list(table.key_columns)
        for relation in along:
            columns += [table.column(name) for name in relation.columns]
        columns = list(dict.fromkeys(columns))
        if self._can_be_packed(table, columns, along):
            yield from self._packed(table, subject, keys, where, columns, along)
        elif (condition := where(keys)) is not None:
            yield from self._by_rows(table, condition, columns, along)

    # Packed by the database ------------------------------------------------------------------

    def _can_be_packed(
        self, table: Table, columns: Sequence[Column], along: Sequence[Relation]
    ) -> bool:
        return (
            len(table.key_names) == 1
            and all(len(relation.columns) == 1 for relation in along)
            and all(self._dialect.packs(table, column) for column in columns)
            and all(self._converter(table, column) is None for column in columns)
        )

    def _packed(
        self,
        table: Table,
        subject: str,
        keys: Sequence[Key],
        where: _Where,
        columns: Sequence[Column],
        along: Sequence[Relation],
    ) -> Iterator[Lot]:
        names = [self._column_sql(table, column.name) for column in columns]
        start = 0
        while start < len(keys):
            size = self._answerable.get(subject, _FIRST_KEYS)
            some = keys if size >= len(keys) else keys[start : start + size]
            condition = where(some)
            if condition is not None:
                found = self._dialect.packed(
                    columns, names, self._table_sql(table), condition, PACKED_ROWS
                )
                if found is None and len(some) > 1:
                    self._answerable[subject] = max(1, len(some) // 8)
                    continue
                if found is not None:
                    self._answerable[subject] = _next_size(len(some), len(found[0]))
                if found is None:
                    yield from self._by_rows(table, condition, columns, along)
                elif len(found[0]):
                    by_column = dict(zip(columns, found, strict=True))
                    yield Lot(
                        found[0],
                        {r.name: by_column[table.column(r.columns[0])] for r in along},
                    )
            start += len(some)

    # Row by row ------------------------------------------------------------------------------

    def _by_rows(
        self,
        table: Table,
        condition: Condition,
        columns: Sequence[Column],
        along: Sequence[Relation],
    ) -> Iterator[Lot]:
        names = ", ".join(self._column_sql(table, column.name) for column in columns)
        statement = f"SELECT {names} FROM {self._table_sql(table)} {condition.clause}"
        lots = self._fetched(table, statement, condition, columns, along)
        if self._dialect.can_interleave:
            yield from lots
            return
        held: list[Lot] = []
        count = 0
        for lot in lots:
            held.append(lot)
            count += len(lot.keys)
            if count > _HELD_ROWS:
                break
        else:
            yield from held
            return
        # More than may be held with all that they point at: the keys alone then, compactly.
        keys = empty_keys(table)
        for lot in held:
            keys.take(lot.keys)
        held.clear()
        for lot in lots:
            keys.take(lot.keys)
        for packed in keys.packed(_FETCHED_ROWS):
            yield Lot(packed)

    def _fetched(
        self,
        table: Table,
        statement: str,
        condition: Condition,
        columns: Sequence[Column],
        along: Sequence[Relation],
    ) -> Iterator[Lot]:
        with self._dialect.streaming() as cursor:
            cursor.execute(statement, condition.parameters)
            while rows := cursor.fetchmany(_FETCHED_ROWS):
                yield self._lot(table, rows, columns, along)

    def _lot(
        self,
        table: Table,
        rows: Sequence[Sequence[Value]],
        columns: Sequence[Column],
        along: Sequence[Relation],
    ) -> Lot:
        by_column = dict(zip(columns, zip(*rows, strict=True), strict=True))
        place = {column: n for n, column in enumerate(columns)}
        parts = [self._values(table, c, by_column[c]) for c in columns[: len(table.key_names)]]
        keys = parts[0] if len(parts) == 1 else list(zip(*parts, strict=True))
        pointers: dict[str, Sequence[Value]] = {}
        for relation in along:
            pointing = [table.column(name) for name in relation.columns]
            if len(pointing) == 1:
                values = by_column[pointing[0]]
                if pointing[0].is_nullable:
                    values = tuple(value for value in values if value is not None)
                pointers[relation.name] = self._values(table, pointing[0], values)
            else:
                places = [place[column] for column in pointing]
                filled = [row for row in rows if all(row[n] is not None for n in places)]
                pointers[relation.name] = list(
                    zip(
                        *(
                            self._values(table, c, tuple(r[place[c]] for r in filled))
                            for c in pointing
                        ),
                        strict=True,
                    )
                )
        return Lot(keys, pointers)

    def _values(self, table: Table, column: Column, raw: Sequence[Value]) -> Sequence[Value]:
        """The values of a column as Python has them; packed where that can be."""
        converter = self._converter(table, column)
        if converter is None:
            if column.kind is Kind.INTEGER:
                return _integers(raw)
            return PackedUUIDs.of(cast("Any", raw)) if column.kind is Kind.UUID else raw
        packed = _uuids(raw) if type(column.leaf) is UUIDField else None
        return [converter(value) for value in raw] if packed is None else packed


def _integers(values: Sequence[Value]) -> Sequence[Value]:
    try:
        return cast("Sequence[Value]", array("q", cast("Any", values)))
    except (TypeError, OverflowError):
        # A table without types may hold anything.
        return values


def _uuids(texts: Sequence[Value]) -> PackedUUIDs | None:
    """Texts of 32 digits, or of 36 signs with dashes where they belong; None if any is not such."""
    if set(map(type, texts)) != {str}:
        return None
    lengths = set(map(len, cast("Sequence[str]", texts)))
    if lengths == {32}:
        digits = "".join(cast("Sequence[str]", texts))
    elif lengths == {36}:
        signs = "".join(cast("Sequence[str]", texts))
        digits = signs.replace("-", "")
        dashes = "-" * len(texts)
        # As many dashes as there are to be, each where it belongs.
        if len(digits) != 32 * len(texts) or any(signs[n::36] != dashes for n in UUID_DASHES):
            return None
    else:
        return None
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        return None
    # White space is no digit, and is passed over.
    return PackedUUIDs(data) if len(data) == 16 * len(texts) else None


def packed_texts(column: Column, raws: Sequence[Value]) -> Sequence[Key] | None:
    """What a generic key column holds as keys of a key column, packed; None where one of them has
    to be looked at by itself."""
    if column.kind is Kind.UUID and type(column.leaf) is UUIDField:
        if all(type(raw) is UUID for raw in raws):
            return cast("Sequence[Key]", PackedUUIDs.of(cast("Iterable[Any]", raws)))
        return cast("Sequence[Key] | None", _uuids(raws))
    if column.kind is not Kind.INTEGER or not _is_plain_integer(column):
        return None
    if not all(type(raw) is int or (type(raw) is str and raw.isdecimal()) for raw in raws):
        return None
    try:
        return cast("Sequence[Key]", array("q", map(int, cast("Sequence[str]", raws))))
    except (OverflowError, ValueError):
        return None


def _next_size(keys: int, rows: int) -> int:
    """Keys of the next question, after so many had so many rows."""
    return max(1, keys * _WANTED_ROWS // max(1, rows))


def _is_plain_integer(column: Column) -> bool:
    return type(column.leaf).to_python is IntegerField.to_python
