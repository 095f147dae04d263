"""What does an import ask of the database it goes to, before it loads?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from ..rows import Key, Value
from ..schema.table import Column, Table
from .constraints import clashing_keys
from .insert import Writer
from .select import Reader, RowValues


class Target:
    """A database as `load.meeting.RowFinder` sees it: it reads, and tries what it takes back."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    @contextmanager
    def asked_by(self, reader: Reader, writer: Writer) -> Iterator[None]:
        """Inside, others ask and try."""
        own = self._reader, self._writer
        self._reader, self._writer = reader, writer
        try:
            yield
        finally:
            self._reader, self._writer = own

    def matching(
        self, table: Table, names: Sequence[str], values: Sequence[Value]
    ) -> list[RowValues]:
        return self._reader.matching(table, names, values)

    def parts(
        self,
        table: Table,
        wanted: Sequence[str],
        names: Sequence[str],
        values: Sequence[Value],
    ) -> list[RowValues]:
        return self._reader.parts(table, wanted, names, values)

    def resolve(
        self, table: str, columns: Sequence[str], values: Sequence[Value]
    ) -> list[tuple[Value, Key]]:
        return self._reader.resolve(table, columns, values)

    def refuses(self, column: Column, value: Value) -> str:
        return self._reader.refuses(column, value)

    def clashing(self, table: Table, values: Mapping[str, Value]) -> list[RowValues]:
        keys = {
            key
            for unique in table.unique_sets
            if unique.constraint is not None
            for key in clashing_keys(self._reader.connection, table, unique.constraint, values)
        }
        return self._reader.matching(table, table.key_names, list(keys)) if keys else []

    def refused(self, table: Table, rows: Sequence[Mapping[str, Value]]) -> list[tuple[int, str]]:
        return self._writer.refused(table, rows)
