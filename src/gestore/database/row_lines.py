"""How do the rows of a table become lines of an archive, as fast as the database gives them?

Three ways, the quickest first; each leaves what it cannot carry to the next, so that every row
comes out as the last would write it, and one that cannot be carried is named by it:

1. the database makes the lines (`row_sql`, on PostgreSQL);
2. the driver's values are encoded a column at a time, past Python's own where that is exact;
3. Django's values are encoded row by row (`archive.encoding.RowEncoder`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from django.db import DatabaseError

from ..archive.columns import LineEncoder, Lines, Texts, columns_of, texts_of
from ..archive.documents import row_text, utf8
from ..archive.encoding import Keys, RowEncoder
from ..errors import GestoreError
from ..rows import Key, Value
from ..schema.table import Column, Kind, Table
from .dialect import Condition, RowStatements
from .row_sql import fetch_lines, keys_condition
from .select import NARROW, Reader

_BATCH_BYTES = 2_000_000
# Before the width of a table's rows is known; most, where no column is of any length.
_FIRST_ROWS = 3
_GROWTH = 64
_POSITIONAL = (Kind.INTEGER, Kind.UUID)
# What goes wrong with a value that is not what its column says.
_UNUSUAL = (
    DatabaseError,
    GestoreError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    LookupError,
    RecursionError,
)


class Lane(Protocol):
    """One way."""

    rows: int
    """How many rows to ask for at most."""

    def lines(self, keys: Sequence[Key], *, is_shared: bool) -> Iterable[Lines] | None:
        """The rows of these keys in their order; None where it cannot."""


class RowLines:
    """The rows of one table as lines.

    `encode` is the careful way. It alone says of a row what no column does: with `is_noted` it
    writes them all, otherwise those batches in which one of `noted_keys` occurs.
    """

    def __init__(
        self,
        reader: Reader,
        table: Table,
        encode: RowEncoder,
        *,
        is_noted: bool = False,
        noted_keys: Sequence[Keys] = (),
    ) -> None:
        self._noted_keys = noted_keys
        self._is_wide = any(column.kind not in NARROW for column in table.columns)
        self._by_hand = ByHand(reader, table, encode)
        self._lanes: list[Lane] = [] if is_noted else quick_lanes(reader, table, self._by_hand)

    def of(self, batches: Iterable[Sequence[Key]], *, is_shared: bool) -> Iterator[Lines]:
        """The rows of these keys in their order, about 2 MB at a time."""
        most = min((lane.rows for lane in self._lanes), default=self._by_hand.rows)
        size = _FIRST_ROWS if self._is_wide else most
        for batch in batches:
            start = 0
            while start < len(batch):
                keys = batch[start : start + size]
                start += len(keys)
                width = 0
                for lines in self._batch(keys, is_shared=is_shared):
                    width += len(lines.text)
                    yield lines
                fitting = _BATCH_BYTES * len(keys) // max(1, width)
                size = max(1, min(most, size * _GROWTH, fitting))

    def _batch(self, keys: Sequence[Key], *, is_shared: bool) -> Iterable[Lines]:
        if not any(key in noted for noted in self._noted_keys for key in keys):
            for lane in self._lanes:
                lines = lane.lines(keys, is_shared=is_shared)
                if lines is not None:
                    return lines
        return self._by_hand.lines(keys, is_shared=is_shared)


def quick_lanes(reader: Reader, table: Table, by_hand: ByHand) -> list[Lane]:
    """The ways that fit all of the table's columns, the quickest first."""
    statements = reader.row_statements(table)
    lanes: list[Lane] = [ByColumns(reader, table)]
    if statements is not None:
        lanes.insert(0, ByDatabase(reader, table, statements, by_hand))
    return lanes


class ByHand:
    """Row by row, from Python's values; what cannot be carried is named."""

    rows = 2_000

    def __init__(self, reader: Reader, table: Table, encode: RowEncoder) -> None:
        self._reader = reader
        self._table = table
        self._encode = encode

    def texts(self, keys: Iterable[Key], *, is_shared: bool) -> Iterator[bytes]:
        for rows in self._reader.rows(self._table, keys):
            for row in rows:
                yield utf8(row_text(self._encode(row, is_shared=is_shared)))

    def lines(self, keys: Sequence[Key], *, is_shared: bool) -> Iterator[Lines]:
        return joined(self._table.name, self.texts(keys, is_shared=is_shared))


def joined(model: str, texts: Iterable[bytes]) -> Iterator[Lines]:
    """Lines of one model together, about 2 MB at a time."""
    pending: list[bytes] = []
    size = 0
    for text in texts:
        pending.append(text)
        size += len(text)
        if size > _BATCH_BYTES:
            yield Lines(model, len(pending), b"\n".join(pending))
            pending, size = [], 0
    if pending:
        yield Lines(model, len(pending), b"\n".join(pending))


class ByDatabase:
    """By the database; the rows that it leaves out are written by hand in their places."""

    rows = 5_000

    def __init__(
        self, reader: Reader, table: Table, statements: RowStatements, by_hand: ByHand
    ) -> None:
        self._reader = reader
        self._table = table
        self._statements = statements
        self._by_hand = by_hand

    def lines(self, keys: Sequence[Key], *, is_shared: bool) -> Iterable[Lines] | None:
        statement = self._statements.of(self._where(keys), len(keys), is_shared=is_shared)
        found, whole, text = fetch_lines(self._reader.connection, statement)
        if found == whole:
            return [Lines(self._table.name, found, text)]
        if found != len(keys) or self._single_kind() not in _POSITIONAL:
            return None
        return joined(self._table.name, self._mended(keys, text.split(b"\n"), is_shared=is_shared))

    def _mended(
        self, keys: Sequence[Key], texts: Sequence[bytes], *, is_shared: bool
    ) -> Iterator[bytes]:
        left = (key for key, text in zip(keys, texts, strict=True) if not text)
        written = self._by_hand.texts(left, is_shared=is_shared)
        for text in texts:
            yield text or next(written)

    def _where(self, keys: Sequence[Key]) -> Condition:
        kind = self._single_kind()
        if kind in _POSITIONAL:
            return keys_condition(
                self._reader.sql(self._table, self._table.key_names[0]), kind, keys
            )
        return self._reader.among(self._table, self._table.key_names, keys)

    def _single_kind(self) -> Kind | None:
        columns = self._table.key_columns
        return columns[0].kind if len(columns) == 1 else None


class ByColumns:
    """A batch's columns one after the other, as the driver gives their values."""

    rows = 2_000

    def __init__(self, reader: Reader, table: Table) -> None:
        self._reader = reader
        self._table = table
        self._columns = columns_of(table)
        self._encode = LineEncoder(table, {c.name: _texts(reader, table, c) for c in self._columns})

    def lines(self, keys: Sequence[Key], *, is_shared: bool) -> Iterable[Lines] | None:
        connection = self._reader.connection
        try:
            rows = self._reader.raw_rows(self._table, self._columns, keys)
            columns: list[Sequence[Value]] = [*zip(*rows, strict=True)]
            return [self._encode(columns, is_shared=is_shared)]
        except _UNUSUAL as error:
            if isinstance(error, DatabaseError) and (
                connection.needs_rollback or not self._reader.is_about_values(error)
            ):
                raise
            return None


def _texts(reader: Reader, table: Table, column: Column) -> Texts:
    """How what the driver gives for a column is written: by a short way round, or by way of what
    Python has for it."""
    convert = reader.converter(table, column)
    usual = _converted(texts_of(column), convert)
    raw = reader.dialect.raw_texts(column)
    if raw is None:
        return usual
    quick = raw

    def texts(values: Sequence[Value]) -> Iterable[object]:
        try:
            return quick(values)
        except ValueError:
            return usual(values)

    return texts


def _converted(texts: Texts, convert: Callable[[Value], Value] | None) -> Texts:
    if convert is None:
        return texts
    return lambda values: texts([convert(value) for value in values])
