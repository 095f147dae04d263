"""How do the rows of a table become lines of an archive, as fast as the database gives them?

Three ways, the quickest first; each leaves what it cannot carry to the next, so that every row
comes out as the last would write it, and one that cannot be carried is named by it:

1. the database makes the lines (`row_sql`, on PostgreSQL);
2. the driver's values are encoded a column at a time, past Python's own where that is exact;
3. Django's values are encoded row by row (`archive.encoding.RowEncoder`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeAlias

from django.db import DatabaseError

from ..anonymize.declared import Replace, Replacing
from ..archive.columns import LineEncoder, Lines, Texts, columns_of, texts_of
from ..archive.documents import row_text, utf8
from ..archive.encoding import Keys, RowEncoder
from ..errors import GestoreError
from ..rows import Key, Value
from ..schema.table import Column, Kind, Table
from .dialect import Condition, RowStatements
from .marks import Marked
from .raw_texts import documents
from .row_sql import Fetched, fetch_lines, keys_condition
from .select import NARROW, Reader
from .sessions import Sessions

_BATCH_BYTES = 500_000
# Before the width of a table's rows is known; most, where no column is of any length.
_FIRST_ROWS = 3
_GROWTH = 64
# After so many rows it is known whether a way fits the table.
_TRIED_ROWS = 500
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


Answer: TypeAlias = "Callable[[], Iterable[Lines] | None]"
"""Waits for what was asked. None says that it could not be done: the next way is to be tried."""


class Lane(Protocol):
    """One way."""

    rows: int
    """How many rows to ask for at most."""

    @property
    def is_worth_it(self) -> bool:
        """False once it left so many rows that the next way is to be taken at once."""

    def ask(self, keys: Sequence[Key], *, is_shared: bool) -> Answer:
        """For the rows of these keys, in their order."""


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
        replacing: Replacing | None = None,
    ) -> None:
        self._noted_keys = noted_keys
        # A generic key's replacement depends on another column.
        is_noted = is_noted or bool(replacing and replacing.generic)
        replaced = {} if replacing is None else replacing.columns
        self._is_wide = any(column.kind not in NARROW for column in table.columns)
        self._ahead = ahead_of(reader)
        sessions = reader.sessions if self._ahead else None
        self._by_hand = ByHand(reader, table, encode)
        self._lanes: list[Lane] = (
            [] if is_noted else quick_lanes(reader, table, self._by_hand, sessions, replaced)
        )

    def of(self, batches: Iterable[Sequence[Key]], *, is_shared: bool) -> Iterator[Lines]:
        """The rows of these keys in their order, about half a megabyte at a time."""
        return in_flow(self.asked(batches, is_shared=is_shared), self._ahead)

    def asked(
        self, batches: Iterable[Sequence[Key]], *, is_shared: bool
    ) -> Iterator[Iterable[Lines]]:
        """The same as answers to what was asked, to be taken in order."""
        most = min((lane.rows for lane in self._lanes), default=self._by_hand.rows)
        lots = Lots(batches, _FIRST_ROWS if self._is_wide else most, most)
        for keys in lots:
            yield lots.measured(len(keys), self._asked(keys, is_shared=is_shared))

    def _asked(self, keys: Sequence[Key], *, is_shared: bool) -> Iterable[Lines]:
        """The first way is asked now; the others, where it cannot, when the answer is wanted."""
        is_noted = any(key in noted for noted in self._noted_keys for key in keys)
        lanes = [] if is_noted else [lane for lane in self._lanes if lane.is_worth_it]
        answer = lanes[0].ask(keys, is_shared=is_shared) if lanes else None
        return self._answered(keys, answer, lanes[1:], is_shared=is_shared)

    def _answered(
        self, keys: Sequence[Key], answer: Answer | None, lanes: Sequence[Lane], *, is_shared: bool
    ) -> Iterator[Lines]:
        lines = answer() if answer is not None else None
        for lane in lanes:
            if lines is None:
                lines = lane.ask(keys, is_shared=is_shared)()
        yield from self._by_hand.lines(keys, is_shared=is_shared) if lines is None else lines


def ahead_of(reader: Reader) -> int:
    """So many answers to have asked for before the first is taken; waits until whoever is asked is
    there."""
    return reader.sessions.ahead if reader.sessions is not None else 0


def in_flow(asked: Iterable[Iterable[Lines]], ahead: int) -> Iterator[Lines]:
    """The lines of answers in their order, of which so many more have been asked for when one is
    taken."""
    pending: deque[Iterable[Lines]] = deque()
    for answer in asked:
        pending.append(answer)
        if len(pending) > ahead:
            yield from pending.popleft()
    for answer in pending:
        yield from answer


class Lots:
    """Batches of keys cut into lots, each of as many as gave about half a megabyte."""

    def __init__(self, batches: Iterable[Sequence[Key]], first: int, most: int) -> None:
        self._batches = batches
        self._size = first
        self._most = most

    def __iter__(self) -> Iterator[Sequence[Key]]:
        for batch in self._batches:
            start = 0
            while start < len(batch):
                lot = batch[start : start + self._size]
                start += len(lot)
                yield lot

    def measured(self, count: int, answer: Iterable[Lines]) -> Iterator[Lines]:
        """The lines of a lot, which say how large later ones may be."""
        width = 0
        for lines in answer:
            width += len(lines.text)
            yield lines
        fitting = _BATCH_BYTES * count // max(1, width)
        self._size = max(1, min(self._most, self._size * _GROWTH, fitting))


def quick_lanes(
    reader: Reader,
    table: Table,
    by_hand: ByHand,
    sessions: Sessions | None = None,
    replaced: Mapping[str, Replace] | None = None,
) -> list[Lane]:
    """The ways that fit all of the table's columns, the quickest first. `replaced` are what the
    values of columns are replaced by, by name."""
    marked = Marked(table, replaced or {})
    statements = reader.row_statements(table, marked.marks)
    if statements is None:
        return [ByColumns(reader, table, {}, replaced)]
    by_columns = ByColumns(reader, table, {Kind.JSON: documents}, replaced)
    by_database = ByDatabase(reader, table, statements, by_columns, by_hand, sessions, marked)
    return [by_database, by_columns]


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
    """Lines of one model together, about half a megabyte at a time."""
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
    """By the database; the next ways write the rows that it leaves out, in their places."""

    rows = 5_000

    def __init__(
        self,
        reader: Reader,
        table: Table,
        statements: RowStatements,
        by_columns: ByColumns,
        by_hand: ByHand,
        sessions: Sessions | None = None,
        marked: Marked | None = None,
    ) -> None:
        self._found = self._whole = 0
        self._is_closer = False
        self._marked = marked
        self._reader = reader
        self._table = table
        self._statements = statements
        self._by_columns = by_columns
        self._by_hand = by_hand
        kinds = [column.kind for column in table.key_columns]
        self._has_places = len(kinds) == 1 and kinds[0] in _POSITIONAL
        self._sessions = sessions if self._has_places else None

    @property
    def is_worth_it(self) -> bool:
        return self._found < _TRIED_ROWS or 4 * self._whole >= 3 * self._found

    def ask(self, keys: Sequence[Key], *, is_shared: bool) -> Answer:
        answer = self._asked(keys, is_shared=is_shared)
        return lambda: self._lines(keys, answer(), is_shared=is_shared)

    def _asked(self, keys: Sequence[Key], *, is_shared: bool) -> Callable[[], Fetched]:
        statement = self._statements.of(
            self._where(keys), len(keys), is_shared=is_shared, is_closer=self._is_closer
        )
        if self._sessions is not None:
            return self._sessions.ask(statement)
        return partial(fetch_lines, self._reader.connection, statement)

    def _lines(
        self, keys: Sequence[Key], fetched: Fetched, *, is_shared: bool
    ) -> Iterable[Lines] | None:
        if fetched.is_doubted:
            # Where some are, more will be: later lots have the closer look at once.
            self._is_closer = True
            fetched = self._asked(keys, is_shared=is_shared)()
        found, whole, text, _ = fetched
        self._found += found
        self._whole += whole
        if self._marked:
            text = self._marked.replaced(text)
        if found == whole:
            return [Lines(self._table.name, found, text)]
        if found != len(keys) or not self._has_places:
            return None
        return joined(self._table.name, self._mended(keys, text.split(b"\n"), is_shared=is_shared))

    def _mended(
        self, keys: Sequence[Key], texts: Sequence[bytes], *, is_shared: bool
    ) -> Iterator[bytes]:
        left = [key for key, text in zip(keys, texts, strict=True) if not text]
        written = self._written(left, is_shared=is_shared)
        for text in texts:
            yield text or next(written)

    def _written(self, keys: Sequence[Key], *, is_shared: bool) -> Iterator[bytes]:
        lots = Lots([keys], _FIRST_ROWS, self._by_columns.rows)
        for lot in lots:
            lines = self._by_columns.ask(lot, is_shared=is_shared)()
            if lines is None:
                lines = self._by_hand.lines(lot, is_shared=is_shared)
            for some in lots.measured(len(lot), lines):
                yield from some.text.split(b"\n") if some.count else ()

    def _where(self, keys: Sequence[Key]) -> Condition:
        if self._has_places:
            (column,) = self._table.key_columns
            return keys_condition(self._reader.sql(self._table, column.name), column.kind, keys)
        return self._reader.among(self._table, self._table.key_names, keys)


class ByColumns:
    """A batch's columns one after the other, as the driver gives their values. `texts` are ways
    for kinds of columns that win over those of the database's driver; the values of the columns
    in `replaced` are written as that makes them."""

    rows = 2_000
    is_worth_it = True  # its next way is a last resort

    def __init__(
        self,
        reader: Reader,
        table: Table,
        texts: Mapping[Kind, Texts] | None = None,
        replaced: Mapping[str, Replace] | None = None,
    ) -> None:
        self._reader = reader
        self._table = table
        self._columns = columns_of(table)
        given, others = texts or {}, replaced or {}
        self._encode = LineEncoder(
            table,
            {
                c.name: _replaced(reader, table, c, others[c.name])
                if c.name in others
                else given.get(c.kind) or _texts(reader, table, c)
                for c in self._columns
            },
        )

    def ask(self, keys: Sequence[Key], *, is_shared: bool) -> Answer:
        return partial(self._lines, keys, is_shared=is_shared)

    def _lines(self, keys: Sequence[Key], *, is_shared: bool) -> Iterable[Lines] | None:
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


def _replaced(reader: Reader, table: Table, column: Column, replace: Replace) -> Texts:
    """Python's values for a column, replaced."""
    texts = texts_of(column)
    return _converted(lambda values: texts(replace(values)), reader.converter(table, column))


def _converted(texts: Texts, convert: Callable[[Value], Value] | None) -> Texts:
    if convert is None:
        return texts
    return lambda values: texts([convert(value) for value in values])
