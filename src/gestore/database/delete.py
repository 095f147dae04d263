"""How are rows taken out of tables, by key and in bulk?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..rows import Key
from ..schema.table import Column, Table
from .dialect import quoted
from .dialects import dialect_of
from .select import Reader

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


class Remover:
    """Deletes from one database, inside the caller's transaction."""

    def __init__(self, connection: BaseDatabaseWrapper, reader: Reader) -> None:
        self.connection = connection
        self.dialect = dialect_of(connection)
        self._reader = reader

    def delete(self, table: Table, keys: Sequence[Key]) -> int:
        """Remove the rows; how many there were comes back."""
        where = self._reader.among(table, table.key_names, keys)
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {quoted(self.connection, table.db_table)} WHERE {where.sql}",
                where.parameters,
            )
            return int(cursor.rowcount)

    def empty(self, table: Table, columns: Sequence[Column], keys: Sequence[Key]) -> None:
        """Let pointers of the rows point at nothing, before what they point at goes."""
        where = self._reader.among(table, table.key_names, keys)
        names = ", ".join(f"{quoted(self.connection, c.db_name)} = NULL" for c in columns)
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {quoted(self.connection, table.db_table)} SET {names} WHERE {where.sql}",
                where.parameters,
            )
