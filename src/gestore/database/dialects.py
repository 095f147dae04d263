"""Which dialect does a connection speak?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .dialect import Dialect
from .mysql import MySQLDialect
from .postgresql import PostgreSQLDialect
from .sqlite import SQLiteDialect

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_DIALECTS = {
    "postgresql": PostgreSQLDialect,
    "mysql": MySQLDialect,
    "sqlite": SQLiteDialect,
}


def dialect_of(connection: BaseDatabaseWrapper) -> Dialect:
    """The dialect of the connection's vendor."""
    dialect = _DIALECTS.get(connection.vendor)
    if dialect is None:
        raise ConfigurationError(
            f"Database {connection.alias!r} is {connection.display_name}; Gestore works with "
            "PostgreSQL, MariaDB/MySQL and SQLite."
        )
    return dialect(connection)
