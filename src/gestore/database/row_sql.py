"""How does PostgreSQL make the archive's lines of a table's rows by itself?

Only for columns whose text PostgreSQL and `archive.values` make alike, of exactly these types. A
row with a value that needs more care, or is wide, comes as an empty line, to be written by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ..archive.columns import columns_of, row_pieces
from ..schema.introspect import kind_of
from ..schema.table import Column, Kind, Table
from ..walk.keys import PackedUUIDs
from .dialect import WHERE, WIDEST, Condition, RowStatements, quoted

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_Piece: TypeAlias = "tuple[Sequence[str], str]"
"""What the inner SELECT reads of a column (`{0}`), and the JSON made of that (`{0}`, `{1}`), which
is NULL where the value needs care. Where a NULL stands in the column is seen to elsewhere."""

# All of a statement's lines together stay below this, however wide some rows are.
_STATEMENT_BYTES = 32_000_000
_KEYS = frozenset({Kind.INTEGER, Kind.UUID, Kind.TEXT})
_INTEGERS = frozenset({"smallint", "integer", "bigint"})
_TEXTS = frozenset({"text", "character varying"})
# What PostgreSQL calls an array of a column's arrays is the same type.
_ARRAYS = frozenset(f"{name}[]" for name in _INTEGERS | _TEXTS)


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column's type as the database has it: its name without and with modifiers."""

    name: str
    full_name: str
    is_required: bool


def row_statements(
    connection: BaseDatabaseWrapper,
    table: Table,
    types: Mapping[str, ColumnType],
    plain: Container[str],
) -> RowStatements | None:
    """The table's statements; None if one of its columns cannot be read so. `types` are by the
    column's name in the database; `plain` names the columns that Django does not convert."""
    columns = columns_of(table)
    pieces = []
    for column in columns:
        actual = types.get(column.db_name)
        if actual is None or column.name not in plain:
            return None
        piece = _piece(column, actual)
        if piece is None or (column.name in table.key_names and column.kind not in _KEYS):
            return None
        pieces.append(piece if actual.is_required else _nullable(piece))
    order = ", ".join(
        in_order(column, quoted(connection, column.db_name)) for column in table.key_columns
    )
    inner = ", ".join(
        f"{sql.format(quoted(connection, column.db_name))} AS c{place}_{part}"
        for place, (column, (sources, _)) in enumerate(zip(columns, pieces, strict=True))
        for part, sql in enumerate(sources)
    )
    made = [text.format(f"c{place}_0", f"c{place}_1") for place, (_, text) in enumerate(pieces)]

    def statement(*, is_shared: bool) -> str:
        constants = [_literal(piece) for piece in row_pieces(table, is_shared=is_shared)]
        parts = [constants[0]]
        for text, constant in zip(made, constants[1:], strict=True):
            parts += [text, constant]
        # OFFSET 0 keeps the planner from computing a line, or a column's text, twice.
        return (
            "SELECT count(*), count(line), string_agg(coalesce(line, ''), E'\\n') FROM"
            f" (SELECT {' || '.join(parts)} AS line FROM"
            f" (SELECT {inner} FROM {quoted(connection, table.db_table)}"
            f" WHERE {WHERE} ORDER BY {order} OFFSET 0) fields OFFSET 0) lines"
        ).replace("%", "%%")

    return RowStatements(statement(is_shared=False), statement(is_shared=True), _STATEMENT_BYTES)


def in_order(column: Column, sql: str) -> str:
    """The SQL of a key column to be ordered by: text as Python orders it."""
    return f'({sql})::text COLLATE "C"' if column.kind is Kind.TEXT else sql


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _nullable(piece: _Piece) -> _Piece:
    sources, text = piece
    return sources, "CASE WHEN {0} IS NULL THEN 'null' ELSE " + text + " END"


def _piece(column: Column, actual: ColumnType) -> _Piece | None:
    make = _PIECES.get(column.kind)
    return make(column, actual) if make is not None else None


# The kinds ----------------------------------------------------------------------------------------

_WIDE = "octet_length({0}) > " + WIDEST


def _integer(column: Column, actual: ColumnType) -> _Piece | None:
    return (("{0}::text",), "{0}") if actual.name in _INTEGERS else None


def _boolean(column: Column, actual: ColumnType) -> _Piece | None:
    return (("{0}::text",), "{0}") if actual.name == "boolean" else None


def _text(column: Column, actual: ColumnType) -> _Piece | None:
    if actual.name == "inet":
        return ("to_json({0})::text",), "{0}"
    if actual.name not in _TEXTS:
        return None
    return ("{0}",), f"CASE WHEN {_WIDE} THEN NULL ELSE to_json({{0}})::text END"


def _float(column: Column, actual: ColumnType) -> _Piece | None:
    # Without a point, JSON's number would be read as an integer; exponents Python writes elsewhere.
    made = (
        "CASE WHEN strpos({0}, 'e') > 0 THEN NULL WHEN strpos({0}, '.') > 0 THEN {0}"
        " WHEN {0} IN ('NaN', 'Infinity', '-Infinity') THEN '\"' || {0} || '\"'"
        " ELSE {0} || '.0' END"
    )
    return (("{0}::text",), made) if actual.name == "double precision" else None


def _decimal(column: Column, actual: ColumnType) -> _Piece | None:
    if actual.name != "numeric":
        return None
    if _places(actual.full_name) <= 6:
        return ("{0}",), "'\"' || {0} || '\"'"
    # Python writes decimals of more than six zeros after the point with an exponent.
    made = (
        "CASE WHEN {0} = 0 AND scale({0}) > 6 THEN '\"0E-' || scale({0}) || '\"'"
        " WHEN abs({0}) < 0.000001 AND {0} <> 0 THEN NULL ELSE '\"' || {0} || '\"' END"
    )
    return ("{0}",), made


def _places(full_name: str) -> int:
    """The digits after the point that a numeric type says; many where it does not."""
    _, _, modifiers = full_name.partition("(")
    _, comma, places = modifiers.rstrip(")").partition(",")
    return int(places) if comma and places.isdigit() else 1_000


def _moment(column: Column, actual: ColumnType) -> _Piece | None:
    # The session is in UTC. Python writes all six digits of a fraction, or none.
    if actual.name not in _OFFSETS:
        return None
    offset = _OFFSETS[actual.name]
    shape = '"____-__-__T__:__:__'
    made = (
        f"CASE WHEN {{1}} LIKE '{shape}.______{offset}\"' THEN {{1}}"
        f" WHEN {{1}} LIKE '{shape}{offset}\"' THEN {{1}}"
        " WHEN {0} >= '0001-01-01 00:00:00+00' AND {0} < '10000-01-01 00:00:00+00'"
        f" THEN '\"' || to_char({{0}}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US') || '{offset}\"' END"
    )
    return ("{0}", "to_json({0})::text"), made


_OFFSETS = {"timestamp with time zone": "+00:00", "timestamp without time zone": ""}


def _day(column: Column, actual: ColumnType) -> _Piece | None:
    made = "CASE WHEN {0} >= '0001-01-01' AND {0} <= '9999-12-31' THEN to_json({0})::text END"
    return (("{0}",), made) if actual.name == "date" else None


def _time(column: Column, actual: ColumnType) -> _Piece | None:
    made = (
        "CASE WHEN {0} >= '24:00:00' THEN NULL"
        " WHEN strpos({1}, '.') = 0 THEN '\"' || {1} || '\"'"
        " ELSE '\"' || rpad({1}, 15, '0') || '\"' END"
    )
    return (("{0}", "{0}::text"), made) if actual.name == "time without time zone" else None


def _duration(column: Column, actual: ColumnType) -> _Piece | None:
    # Months have no length that Python knows; negative ones it writes from the other end.
    made = (
        "CASE WHEN date_part('year', {0}) <> 0 OR date_part('month', {0}) <> 0"
        " OR {0} < '0' OR {0} >= '999999999 days' THEN NULL"
        " ELSE '\"' || replace("
        'to_char(justify_hours({0}), \'"P"FMDD"DT"HH24"H"MI"M"SS.US"S"\'), \'.000000S\', \'S\''
        ") || '\"' END"
    )
    return (("{0}",), made) if actual.name == "interval" else None


def _uuid(column: Column, actual: ColumnType) -> _Piece | None:
    return (("{0}",), "'\"' || {0} || '\"'") if actual.name == "uuid" else None


def _binary(column: Column, actual: ColumnType) -> _Piece | None:
    made = (
        f"CASE WHEN {_WIDE} THEN NULL"
        " ELSE '\"' || translate(encode({0}, 'base64'), E'\\n', '') || '\"' END"
    )
    return (("{0}",), made) if actual.name == "bytea" else None


def _document(column: Column, actual: ColumnType) -> _Piece | None:
    # By hand goes what a float may not hold exactly, what Python would not read, what looks like a
    # marker of the archive, and what may be nested deeply.
    made = (
        "CASE WHEN {0} = 'null' THEN '{{\"$json\":null}}'"
        f" WHEN {_WIDE} OR strpos({{0}}, '\"$json') > 0"
        " OR ({0} ~ '[0-9.]{{17}}' AND ({0} ~ '[0-9]\\.[0-9]' OR {0} ~ '[0-9]{{255}}'))"
        " OR (octet_length({0}) > 400 AND length({0}) - length(translate({0}, '[{{', '')) > 100)"
        " THEN NULL ELSE {0} END"
    )
    return (("{0}::text",), made) if actual.name == "jsonb" else None


def _array(column: Column, actual: ColumnType) -> _Piece | None:
    if actual.name not in _ARRAYS or not _holds_plain(column.leaf):
        return None
    return ("to_json({0})::text",), f"CASE WHEN {_WIDE} THEN NULL ELSE {{0}} END"


def _holds_plain(leaf: object) -> bool:
    inner = getattr(leaf, "base_field", None)
    if inner is None:
        return False
    kind = kind_of(inner)
    return _holds_plain(inner) if kind is Kind.ARRAY else kind in (Kind.INTEGER, Kind.TEXT)


_PIECES: dict[Kind, Callable[[Column, ColumnType], _Piece | None]] = {
    Kind.INTEGER: _integer,
    Kind.BOOLEAN: _boolean,
    Kind.TEXT: _text,
    Kind.FLOAT: _float,
    Kind.DECIMAL: _decimal,
    Kind.DATETIME: _moment,
    Kind.DATE: _day,
    Kind.TIME: _time,
    Kind.DURATION: _duration,
    Kind.UUID: _uuid,
    Kind.BINARY: _binary,
    Kind.JSON: _document,
    Kind.ARRAY: _array,
}


def keys_condition(column: str, kind: Kind, keys: Sequence[object]) -> Condition:
    """`column` (quoted SQL) is one of the integers or UUIDs. They come as one text, and the planner
    does not look into it: it would weigh each of thousands of keys."""
    texts = keys.hexes() if isinstance(keys, PackedUUIDs) else map(str, keys)
    array = {Kind.INTEGER: "bigint[]", Kind.UUID: "uuid[]"}[kind]
    return Condition(f"{column} = ANY ((SELECT %s::{array})::{array})", (f"{{{','.join(texts)}}}",))


def fetch_lines(connection: Any, statement: Condition) -> tuple[int, int, bytes]:
    """What a statement of lines gives: the rows there are, those that are whole, and the lines."""
    with connection.cursor() as cursor:
        cursor.execute(statement.sql, statement.parameters)
        result = cursor.pgresult
        # As bytes, past the driver's making a string of them.
        found, whole, text = (result.get_value(0, place) for place in range(3))
    return int(found), int(whole), text or b""
