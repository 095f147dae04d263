"""Which dialect does a connection speak?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from .dialect import Dialect


def dialect_of(connection: BaseDatabaseWrapper) -> Dialect:
    """The dialect of the connection's vendor. Only that one is loaded: most processes need one."""
    if connection.vendor == "postgresql":
        from .postgresql import PostgreSQLDialect

        return PostgreSQLDialect(connection)
    if connection.vendor == "mysql":
        from .mysql import MySQLDialect

        return MySQLDialect(connection)
    if connection.vendor == "sqlite":
        from .sqlite import SQLiteDialect

        return SQLiteDialect(connection)
    raise ConfigurationError(
        f"Database {connection.alias!r} is {connection.display_name}; Gestore works with "
        "PostgreSQL, MariaDB/MySQL and SQLite."
    )
