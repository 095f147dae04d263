"""How do keys go to PostgreSQL and come from it in its own bytes, none of them looked at?

Arrays go in the binary form that the server keeps them in; answers are the values' bytes, one
behind the other.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from struct import pack
from typing import TYPE_CHECKING, Any, cast

from ..rows import Value
from ..schema.table import Column, Kind
from ..walk.keys import PackedUUIDs
from .dialect import Parameter

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_SENDERS = {Kind.INTEGER: "int8send", Kind.UUID: "uuid_send"}
_PACKED_TYPES = frozenset({"smallint", "integer", "bigint", "uuid"})
# Of the server's types, and of arrays of them.
_INT8, _UUID, _TEXT = (20, 1016), (2950, 2951), (25, 1009)
_FEW = 100


def packs(connection: BaseDatabaseWrapper, column: Column) -> bool:
    """Whether the column's values are integers or UUIDs to the server too."""
    return column.kind in _SENDERS and column.leaf.rel_db_type(connection) in _PACKED_TYPES


def aggregate(column: Column, sql: str) -> str:
    """SQL for the bytes of all values, those of NULLs left out."""
    return f"string_agg({_SENDERS[column.kind]}({sql}), ''::bytea)"


def unpacked(column: Column, answer: bytes | None) -> Sequence[Value]:
    data = answer or b""
    if column.kind is Kind.UUID:
        return PackedUUIDs(data)
    numbers = array("q", data)
    numbers.byteswap()
    return cast("Sequence[Value]", numbers)


class Integers:
    """A parameter: an array of 64-bit integers."""

    oids = _INT8

    def __init__(self, keys: array[int]) -> None:
        self.keys = keys

    def elements(self) -> tuple[int, bytes]:
        swapped = array("q", self.keys)
        swapped.byteswap()
        words = array("I", swapped.tobytes())
        # Of each: its length, and its two halves.
        elements = array("I", bytes(12 * len(self.keys)))
        elements[0::3] = array("I", pack(">I", 8)) * len(self.keys)
        elements[1::3], elements[2::3] = words[0::2], words[1::2]
        return len(self.keys), elements.tobytes()

    def literal(self) -> str:
        return f"'{{{','.join(map(str, self.keys))}}}'"


class UUIDs:
    """A parameter: an array of UUIDs."""

    oids = _UUID

    def __init__(self, keys: PackedUUIDs) -> None:
        self.keys = keys

    def elements(self) -> tuple[int, bytes]:
        length = pack(">I", 16)
        return len(self.keys), length + length.join(self.keys.parts())

    def literal(self) -> str:
        return f"'{{{','.join(self.keys.hexes())}}}'"


class Texts:
    """A parameter: an array of texts without NUL, in any order."""

    oids = _TEXT

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    def elements(self) -> tuple[int, bytes]:
        # Those of one length go together.
        by_length: dict[int, list[bytes]] = defaultdict(list)
        for text in self.texts:
            encoded = text.encode()
            by_length[len(encoded)].append(encoded)
        data = []
        for length, encodings in by_length.items():
            mark = pack(">I", length)
            data.append(mark + mark.join(encodings))
        return len(self.texts), b"".join(data)

    def literal(self) -> str:
        escaped = ",".join(
            '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in self.texts
        )
        return " E'{" + escaped.replace("\\", "\\\\").replace("'", "''") + "}'"


def parameter(connection: BaseDatabaseWrapper, value: Parameter) -> Parameter:
    """The parameter in bytes, if it is of the kind that there are many of."""
    packed: Integers | UUIDs | Texts
    if isinstance(value, PackedUUIDs):
        packed = UUIDs(value)
    elif isinstance(value, array):
        packed = Integers(value)
    elif isinstance(value, list) and len(value) > _FEW and _are_texts(value):
        packed = Texts(value)
    else:
        return value
    _register(connection)
    return packed


def _are_texts(values: list[Any]) -> bool:
    return all(type(value) is str for value in values) and "\x00" not in "".join(values)


def _register(connection: BaseDatabaseWrapper) -> None:
    """Tell the driver's connection how these parameters are sent."""
    from psycopg import ProgrammingError
    from psycopg.adapt import PyFormat

    connection.ensure_connection()
    adapters: Any = cast("Any", connection.connection).adapters
    try:
        adapters.get_dumper(Integers, PyFormat.BINARY)
    except ProgrammingError:
        for kind in (Integers, UUIDs, Texts):
            for dumper in _dumpers(*kind.oids):
                adapters.register_dumper(kind, dumper)


@cache
def _dumpers(element: int, whole: int) -> tuple[type[Any], type[Any]]:
    """As a part of a statement's text, and, what the driver takes where it may, in bytes."""
    from psycopg.adapt import Dumper
    from psycopg.pq import Format

    class Written(Dumper):
        oid = whole

        def dump(self, obj: Any) -> bytes:
            raise NotImplementedError("Goes in bytes, or as a literal.")

        def quote(self, obj: Any) -> bytes:
            literal: str = obj.literal()
            return literal.encode()

    class Packed(Dumper):
        format = Format.BINARY
        oid = whole

        def dump(self, obj: Any) -> bytes:
            found: tuple[int, bytes] = obj.elements()
            count, elements = found
            if not count:
                return pack(">iiI", 0, 0, element)
            return pack(">iiIii", 1, 0, element, count, 1) + elements

    return Written, Packed


@contextmanager
def cursor(connection: BaseDatabaseWrapper) -> Iterator[Any]:
    """A cursor whose parameters and answers travel in bytes. Django's own puts parameters into the
    statement's text."""
    from psycopg import Cursor
    from psycopg.pq import Format

    connection.ensure_connection()
    plain: Any = Cursor(cast("Any", connection.connection))
    plain.format = Format.BINARY
    with cast("Any", connection)._prepare_cursor(plain) as prepared:
        yield prepared
