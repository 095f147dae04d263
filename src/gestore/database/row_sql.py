"""How does PostgreSQL make the archive's lines of a table's rows by itself?

Only for columns whose text PostgreSQL and `archive.values` make alike, of exactly these types. A
row with a value that needs more care, or is wide, comes as an empty line, to be written by hand.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Container, Mapping, Sequence
from operator import is_not
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import UUID

from ..archive.columns import columns_of, key_pieces
from ..schema.introspect import kind_of
from ..schema.table import Column, Kind, Table
from ..walk.keys import PackedUUIDs
from . import packing
from .dialect import CLOSER, DOUBT, WHERE, WIDEST, Condition, Mark, RowStatements, quoted

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# All of a statement's lines together stay below this, however wide some rows are.
_STATEMENT_BYTES = 32_000_000
# Of one function.
_MOST_ARGUMENTS = 100
_KEYS = frozenset({Kind.INTEGER, Kind.UUID, Kind.TEXT})
_INTEGERS = frozenset({"smallint", "integer", "bigint"})
_TEXTS = frozenset({"text", "character varying"})
# What PostgreSQL calls an array of a column's arrays is the same type.
_ARRAYS = frozenset(f"{name}[]" for name in _INTEGERS | _TEXTS)


class ColumnType(NamedTuple):
    """A column's type as the database has it: its name without and with modifiers."""

    name: str
    full_name: str


def row_statements(
    connection: BaseDatabaseWrapper,
    table: Table,
    types: Mapping[str, ColumnType],
    plain: Container[str],
    marks: Mapping[str, Mark],
) -> RowStatements | None:
    """The table's statements; None if one of its columns cannot be read so. `types` are by the
    column's name in the database; `plain` names the columns that Django does not convert, `marks`
    those whose values get marks around them."""
    columns = columns_of(table)
    parts = []
    for place, column in enumerate(columns):
        actual = types.get(column.db_name)
        part = None if actual is None else _part(column, actual)
        if part is not None and actual is not None and column.name in marks:
            part = _marked(part, actual, marks[column.name])
        if part is None or column.name not in plain or not _is_label(column.name):
            return None
        parts.append(part.of(f"c{place}", quoted(connection, column.db_name)))
    if not _KEYS.issuperset(column.kind for column in table.key_columns):
        return None
    order = ", ".join(
        in_order(column, quoted(connection, column.db_name)) for column in table.key_columns
    )
    inner = ", ".join(source for part in parts for source in part.sources)
    width = len(table.key_columns)
    care = " OR ".join([*(part.care for part in parts if part.care), CLOSER])
    looked_at = [part.doubt for part in parts if part.doubt]
    doubtful = f"concat_ws(' ', {', '.join(looked_at)})" if looked_at else "NULL::text"

    def statement(*, is_shared: bool) -> str:
        before, *between, after, end = key_pieces(table, is_shared=is_shared)
        pieces: list[tuple[str, _Part]] = []
        constant = before
        for part, following in zip(parts[:width], [*between, after], strict=True):
            pieces.append((constant, part))
            constant = following
        constant += "{"
        for place, (part, column) in enumerate(zip(parts[width:], columns[width:], strict=True)):
            name = json.dumps(column.name, ensure_ascii=False)
            pieces.append((f"{constant}{',' if place else ''}{name}:", part))
            constant = ""
        line = _joined(pieces, f"{constant}}}{end}")
        # OFFSET 0 keeps the planner from computing anything twice.
        return (
            "SELECT count(*)::text, count(line)::text, string_agg(coalesce(line, ''), E'\\n'),"
            f" ({DOUBT})::text FROM (SELECT {doubtful} AS doubtful,"
            f" CASE WHEN {care} THEN NULL ELSE {line} END AS line FROM"
            f" (SELECT {inner} FROM {quoted(connection, table.db_table)}"
            f" WHERE {WHERE} ORDER BY {order} OFFSET 0) found OFFSET 0) lines"
        ).replace("%", "%%")

    return RowStatements(
        statement(is_shared=False),
        statement(is_shared=True),
        _STATEMENT_BYTES,
        doubt=_IN_DOUBT if looked_at else "false",
        closer=" OR ".join(part.closer for part in parts if part.closer) or "false",
    )


def _joined(pieces: Sequence[tuple[str, _Part]], end: str) -> str:
    """SQL of values, each behind a text, and of an end. All at once they are copied once;
    `row_to_json` takes a tenth longer."""
    arguments = []
    for text, part in pieces:
        arguments += [_literal(text), f"coalesce({part.json}, 'null')"]
    arguments.append(_literal(end))
    return " || ".join(
        f"concat({', '.join(arguments[start : start + _MOST_ARGUMENTS])})"
        for start in range(0, len(arguments), _MOST_ARGUMENTS)
    )


def _is_label(name: str) -> bool:
    # PostgreSQL cuts longer ones.
    return len(name.encode()) < 64


def in_order(column: Column, sql: str) -> str:
    """The SQL of a key column to be ordered by: text as Python orders it."""
    return f'({sql})::text COLLATE "C"' if column.kind is Kind.TEXT else sql


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class _Part(NamedTuple):
    """What is read of a column (`{0}`, its quoted name), the value as JSON that the archive has, a
    text or a `json`, and when its row needs care; both of what was read (`{0}`, `{1}`). What only
    a `closer` look tells is asked of all rows' `doubt` together first: a text, or NULL."""

    sources: tuple[str, ...] = ("{0}",)
    json: str = "to_json({0})"
    care: str = ""
    doubt: str = ""
    closer: str = ""

    def of(self, name: str, sql: str) -> _Part:
        names = [f"{name}_{place}" for place in range(2)]
        return _Part(
            tuple(
                f"{source.format(sql)} AS {alias}"
                for source, alias in zip(self.sources, names, strict=False)
            ),
            *(text.format(*names) for text in (self.json, self.care, self.doubt, self.closer)),
        )


def _part(column: Column, actual: ColumnType) -> _Part | None:
    make = _PARTS.get(column.kind)
    return make(column, actual) if make is not None else None


def _marked(part: _Part, actual: ColumnType, mark: Mark) -> _Part | None:
    """The text of a text, or of a document: nothing, where it is NULL."""
    if actual.name not in _TEXTS | {"jsonb"}:
        return None
    text = f"{_literal(mark.before)} || {{0}}::text || {_literal(mark.after)}"
    return part._replace(json=f"to_json({text})")


# The kinds ----------------------------------------------------------------------------------------

_WIDE = "octet_length({0}) > " + WIDEST
_PLAIN = _Part()
# What is written as it stands, and what only needs the quotation marks.
_BARE = _Part(json="{0}::text")
_QUOTED = "'\"' || {} || '\"'"


def _integer(column: Column, actual: ColumnType) -> _Part | None:
    return _BARE if actual.name in _INTEGERS else None


def _boolean(column: Column, actual: ColumnType) -> _Part | None:
    return _BARE if actual.name == "boolean" else None


def _uuid(column: Column, actual: ColumnType) -> _Part | None:
    return _Part(json=_QUOTED.format("{0}::text")) if actual.name == "uuid" else None


def _text(column: Column, actual: ColumnType) -> _Part | None:
    if actual.name not in _TEXTS:
        return _PLAIN if actual.name == "inet" else None
    return _PLAIN if _modifiers(actual, 1_000)[0] < 1_000 else _Part(care=_WIDE)


def _modifiers(actual: ColumnType, most: int) -> list[int]:
    """The numbers in the brackets of a type's name, or what they are at most."""
    _, bracket, numbers = actual.full_name.partition("(")
    return [int(number) for number in numbers.rstrip(")").split(",")] if bracket else [most, most]


def _float(column: Column, actual: ColumnType) -> _Part | None:
    # Without a point, JSON's number would be read as an integer; exponents Python writes elsewhere.
    text = (
        "CASE WHEN strpos({0}, '.') > 0 THEN {0}"
        f" WHEN {{0}} IN ('NaN', 'Infinity', '-Infinity') THEN {_QUOTED.format('{0}')}"
        " ELSE {0} || '.0' END"
    )
    is_double = actual.name == "double precision"
    return _Part(("{0}::text",), text, "strpos({0}, 'e') > 0") if is_double else None


def _decimal(column: Column, actual: ColumnType) -> _Part | None:
    if actual.name != "numeric":
        return None
    if _modifiers(actual, 1_000)[1] <= 6:
        return _Part(json=_QUOTED.format("{0}::text"))
    # Python writes decimals of more than six zeros after the point with an exponent.
    text = "CASE WHEN {0} = 0 AND scale({0}) > 6 THEN '0E-' || scale({0}) ELSE {0}::text END"
    return _Part(
        json=_QUOTED.format(text),
        care="(abs({0}) < 0.000001 AND {0} <> 0)",
    )


def _moment(column: Column, actual: ColumnType) -> _Part | None:
    # The session is in UTC. Python writes all six digits of a fraction, or none.
    if actual.name not in _OFFSETS:
        return None
    offset = _OFFSETS[actual.name]
    whole = len('"2024-02-29T12:34:56"') + len(offset)
    fraction = len(".123456")
    return _Part(
        # JSON's own form leaves zeros at the end away; most moments have none, and it is quicker.
        ("{0}", "to_json({0})"),
        json=f"CASE WHEN octet_length({{1}}::text) IN ({whole}, {whole + fraction}) THEN {{1}}"
        f" ELSE to_json(to_char({{0}}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US') || '{offset}') END",
        care="{0} < '0001-01-01 00:00:00+00' OR {0} >= '10000-01-01 00:00:00+00'",
    )


_OFFSETS = {"timestamp with time zone": "+00:00", "timestamp without time zone": ""}


def _day(column: Column, actual: ColumnType) -> _Part | None:
    care = "{0} < '0001-01-01' OR {0} > '9999-12-31'"
    return _Part(care=care) if actual.name == "date" else None


def _time(column: Column, actual: ColumnType) -> _Part | None:
    text = _QUOTED.format("CASE WHEN strpos({1}, '.') = 0 THEN {1} ELSE rpad({1}, 15, '0') END")
    is_time = actual.name == "time without time zone"
    return _Part(("{0}", "{0}::text"), text, "{0} >= '24:00:00'") if is_time else None


def _duration(column: Column, actual: ColumnType) -> _Part | None:
    # Months have no length that Python knows; negative ones it writes from the other end.
    text = (
        "replace(to_char(justify_hours({0}),"
        ' \'"P"FMDD"DT"HH24"H"MI"M"SS.US"S"\'), \'.000000S\', \'S\')'
    )
    return (
        _Part(
            json=_QUOTED.format(text),
            care="date_part('year', {0}) <> 0 OR date_part('month', {0}) <> 0"
            " OR {0} < '0' OR {0} >= '999999999 days'",
        )
        if actual.name == "interval"
        else None
    )


def _binary(column: Column, actual: ColumnType) -> _Part | None:
    text = _QUOTED.format("translate(encode({0}, 'base64'), E'\\n', '')")
    return _Part(json=text, care=_WIDE) if actual.name == "bytea" else None


def _document(column: Column, actual: ColumnType) -> _Part | None:
    if actual.name != "jsonb":
        return None
    # Care needs what looks like a marker of the archive, what may be nested deeply, and what a
    # float may not hold exactly or Python would not read.
    care = (
        f"{_WIDE} OR strpos({{0}}, '\"$json') > 0"
        " OR (octet_length({0}) > 400 AND length({0}) - length(translate({0}, '[{{', '')) > 100)"
    )
    # Few have a point, and to look for one costs next to nothing.
    may_be_long = "(strpos({0}, '.') > 0 OR octet_length({0}) >= 255)"
    return _Part(
        ("{0}::text",),
        "CASE WHEN {0} = 'null' THEN '{{\"$json\": null}}' ELSE {0} END",
        care,
        doubt=f"CASE WHEN {may_be_long} AND octet_length({{0}}) <= {WIDEST} THEN {{0}} END",
        closer=f"({may_be_long} AND {{0}} ~ '{_LONG}'"
        " AND ({0} ~ '[0-9]\\.[0-9]' OR {0} ~ '[0-9]{{255}}'))",
    )


# A number that may be too long: to begin looking takes longer than to look through a document.
_LONG = "[0-9.]{{17}}"
_IN_DOUBT = f"coalesce(string_agg(doubtful, ' ') ~ '{_LONG.format()}', false)"


def _array(column: Column, actual: ColumnType) -> _Part | None:
    if actual.name not in _ARRAYS or not _holds_plain(column.leaf):
        return None
    return _Part(care="pg_column_size({0}) > " + WIDEST)


def _holds_plain(leaf: object) -> bool:
    inner = getattr(leaf, "base_field", None)
    if inner is None:
        return False
    kind = kind_of(inner)
    return _holds_plain(inner) if kind is Kind.ARRAY else kind in (Kind.INTEGER, Kind.TEXT)


_PARTS: dict[Kind, Callable[[Column, ColumnType], _Part | None]] = {
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
    """`column` (quoted SQL) is one of the integers or UUIDs. They come as one array, and the
    planner does not look into it: it would weigh each of thousands of keys."""
    if kind is Kind.UUID:
        packed: object = PackedUUIDs.of(cast("Sequence[UUID]", keys))
    else:
        packed = keys if isinstance(keys, array) else array("q", cast("Sequence[int]", keys))
    name = {Kind.INTEGER: "bigint[]", Kind.UUID: "uuid[]"}[kind]
    return Condition(f"{column} = ANY ((SELECT %s::{name})::{name})", (packed,))


class Fetched(NamedTuple):
    """The rows there are, those that are whole, their lines, and whether those are in doubt."""

    found: int
    whole: int
    text: bytes
    is_doubted: bool


def fetch_lines(connection: Any, statement: Condition) -> Fetched:
    """What a statement of lines gives."""
    parameters = [packing.parameter(connection, value) for value in statement.parameters]
    is_packed = any(map(is_not, parameters, statement.parameters))
    with packing.cursor(connection) if is_packed else connection.cursor() as cursor:
        cursor.execute(statement.sql, parameters)
        result = cursor.pgresult
        # As bytes, past the driver's making a string of them.
        found, whole, text, doubted = (result.get_value(0, place) for place in range(4))
    return Fetched(int(found), int(whole), text or b"", doubted == b"true")
