"""How are rows taken out of tables, by key and in bulk, and who is told?"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from django.db.models import Model, QuerySet
from django.db.models.signals import post_delete, pre_delete

from ..rows import Key, Value
from ..schema.table import Column, Table
from .dialect import Condition, Keys, Moment, quoted
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

    def delete(self, table: Table, keys: Keys, moment: Moment | None = None) -> int:
        """Remove the rows, of those that tell it only such as are unchanged since the moment; how
        many there were comes back."""
        where = self._unchanged(table, keys, moment)
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {quoted(self.connection, table.db_table)} WHERE {where.sql}",
                where.parameters,
            )
            return int(cursor.rowcount)

    def lock(self, table: Table, keys: Sequence[Key], moment: Moment | None = None) -> int:
        """Keep others from changing the rows; how many there are, of those that tell it such as
        are unchanged since the moment."""
        where = self._unchanged(table, keys, moment)
        name = quoted(self.connection, table.db_table)
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM {name} WHERE {where.sql}"
                f"{self.dialect.locking}) locked",
                where.parameters,
            )
            return int(cursor.fetchone()[0])

    def _unchanged(self, table: Table, keys: Keys, moment: Moment | None) -> Condition:
        where = self._reader.among(table, table.key_names, keys)
        unchanged = self.dialect.unchanged(moment, table) if moment is not None else ""
        return Condition(f"{where.sql} AND {unchanged}", where.parameters) if unchanged else where

    def digests(
        self, table: Table, columns: Sequence[Column], keys: Sequence[Key], *, locked: bool
    ) -> bytes:
        """One digest of all the rows, their order and their number."""
        where = self._reader.among(table, table.key_names, keys)
        return _digest(len(keys), *self.dialect.row_digests(table, columns, where, locked=locked))

    def delete_telling(self, table: Table, columns: Sequence[Column], keys: Sequence[Key]) -> bytes:
        """Remove the rows; what `digests` was of them comes back."""
        where = self._reader.among(table, table.key_names, keys)
        return _digest(len(keys), *self.dialect.removed_digests(table, columns, where))

    def empty(self, table: Table, columns: Sequence[Column], keys: Sequence[Key]) -> None:
        """Let pointers of the rows point at nothing, before what they point at goes."""
        self.point(table, columns, [None] * len(columns), keys)

    def point(
        self,
        table: Table,
        columns: Sequence[Column],
        values: Sequence[Value],
        keys: Sequence[Key],
    ) -> None:
        """Give the columns of the rows one value each, the same for all of them."""
        where = self._reader.among(table, table.key_names, keys)
        names = ", ".join(f"{quoted(self.connection, c.db_name)} = %s" for c in columns)
        adapted: list[Any] = []
        for column, value in zip(columns, values, strict=True):
            adapt = self.dialect.adapt(column)
            adapted.append(value if adapt is None else adapt(value))
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {quoted(self.connection, table.db_table)} SET {names} WHERE {where.sql}",
                [*adapted, *where.parameters],
            )

    # Receivers ------------------------------------------------------------------------------------

    def has_receivers(self, table: Table) -> bool:
        """Whether anybody listens to `pre_delete` or `post_delete` of the model: only then are
        instances made. Django sends neither for automatic many-to-many tables."""
        if table.through_of:
            return False
        return any(s.has_listeners(table.model) for s in (pre_delete, post_delete))

    def instances(self, table: Table, keys: Sequence[Key]) -> list[Model]:
        """The rows as receivers get them, past every manager of the model's own: those may hide
        rows."""
        rows: QuerySet[Any] = QuerySet(table.model, using=self.connection.alias)
        return list(rows.filter(pk__in=list(keys)))

    def announce(self, table: Table, instances: Sequence[Model]) -> None:
        """Send `pre_delete` for each of the rows."""
        for instance in instances:
            pre_delete.send(
                table.model, instance=instance, using=self.connection.alias, origin=instance
            )

    def tell(self, table: Table, instances: Sequence[Model]) -> None:
        """Send `post_delete` for each of the rows that are gone."""
        for instance in instances:
            post_delete.send(
                table.model, instance=instance, using=self.connection.alias, origin=instance
            )


def _digest(wanted: int, count: int, told: bytes) -> bytes:
    return blake2b(told, digest_size=16).digest() if told and count == wanted else b""
