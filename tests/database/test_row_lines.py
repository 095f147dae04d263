"""Do all ways to write a row write the same, and does each leave to the next what it cannot?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID

import pytest
from django.db import connections, models
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils.duration import duration_iso_string
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gestore import anonymize
from gestore.anonymize.declared import Anonymizing
from gestore.archive import columns
from gestore.archive.columns import Lines, texts_of
from gestore.archive.documents import to_json
from gestore.archive.encoding import RowEncoder
from gestore.archive.values import encode_json, encoder
from gestore.database import raw_texts, row_sql
from gestore.database.dialect import Condition
from gestore.database.row_lines import ByDatabase, ByHand, RowLines, in_flow, quick_lanes
from gestore.database.select import Reader
from gestore.errors import RowUnreadable
from gestore.rows import Key
from gestore.schema.introspect import build_graph
from gestore.schema.table import Kind, Table
from tests.zoo import models as zoo
from tests.zoo import rows
from tests.zoo.inserting import Inserter, Stored, inserting

pytestmark = pytest.mark.django_db(databases=["default"], transaction=True)

VENDOR = connections["default"].vendor
# What PostgreSQL cannot write itself in the zoo: custom kinds, among them the keys of one table
# and what points at it, and keys that are dates.
NOT_BY_DATABASE = {
    "zoo.Priced",
    "zoo.Secrets",
    "zoo.DateKey",
    "zoo.CustomKey",
    "zoo.KeyPointers",
    "zoo_postgres.Ranges",
    "zoo_postgres.Hstores",
    "zoo_postgres.Arrays",
    "zoo_postgres.Searchable",
    "zoo_postgres.CaseInsensitive",
    "zoo_postgres.Booking",
    "zoo_postgres.Documents",
}


@pytest.fixture
def reader(transactional_db: None) -> Reader:
    return Reader(connections["default"], build_graph([], [], "default"))


@pytest.fixture
def inserter(transactional_db: None) -> Iterator[Inserter]:
    with inserting("default") as inserter:
        inserter.put(zoo.Menagerie, id=1, name="Zoo")
        yield inserter


def keys_of(reader: Reader, table: Table) -> list[Key]:
    return sorted(reader._keys(table, Condition("1 = 1")))  # type: ignore[type-var]


def split(found: Iterable[Lines]) -> list[bytes]:
    blocks = list(found)
    lines = [line for block in blocks if block.count for line in block.text.split(b"\n")]
    assert len(lines) == sum(block.count for block in blocks)
    return lines


def meaning(lines: Sequence[bytes]) -> list[str]:
    """As an archive's reader has them: equal for equal values of equal types in one order."""
    return [json.dumps(json.loads(line)) for line in lines]


def by_hand(reader: Reader, table: Table, keys: Sequence[Key], is_shared: bool) -> list[bytes]:
    return list(ByHand(reader, table, RowEncoder(table)).texts(keys, is_shared=is_shared))


def by_database(reader: Reader, table: Table) -> ByDatabase:
    lane = quick_lanes(reader, table, ByHand(reader, table, RowEncoder(table)))[0]
    assert isinstance(lane, ByDatabase)
    return lane


def compare_ways(reader: Reader, table: Table, keys: Sequence[Key] = ()) -> set[str]:
    """The ways that wrote the table's rows; all of them wrote what is written by hand."""
    keys = keys or keys_of(reader, table)
    used = {"ByHand"}
    for is_shared in (False, True):
        expected = by_hand(reader, table, keys, is_shared)
        written: dict[str, list[bytes]] = {}
        for lane in quick_lanes(reader, table, ByHand(reader, table, RowEncoder(table))):
            found = lane.ask(keys, is_shared=is_shared)()
            if found is None:
                continue
            written[type(lane).__name__] = split(found)
            assert meaning(written[type(lane).__name__]) == meaning(expected), (table, lane)
        # Which way a row takes depends on its neighbours, and must not be seen.
        assert written.get("ByDatabase", written["ByColumns"]) == written["ByColumns"]
        used |= written.keys()
        # Documents may stand as they were found.
        is_exact = VENDOR != "postgresql" and not any(c.kind is Kind.JSON for c in table.columns)
        assert not is_exact or written["ByColumns"] == expected
        together = RowLines(reader, table, RowEncoder(table))
        assert meaning(split(together.of([keys], is_shared=is_shared))) == meaning(expected)
    return used


# The zoo ------------------------------------------------------------------------------------------


def test_every_way_writes_the_zoo_alike(reader: Reader) -> None:
    rows.populate("default", menageries=2)
    if VENDOR == "postgresql":
        from tests.zoo_postgres import rows as postgres_rows

        postgres_rows.populate("default")
    ways = {
        table.label: compare_ways(reader, table)
        for table in reader.graph.tables.values()
        if table.is_managed and keys_of(reader, table)
    }
    assert len(ways) > 120
    assert {label for label, used in ways.items() if "ByColumns" not in used} == set()
    if VENDOR == "postgresql":
        left = {label for label, used in ways.items() if "ByDatabase" not in used}
        assert left == NOT_BY_DATABASE


def test_wide_tables_are_put_together_in_parts(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    if VENDOR != "postgresql":
        pytest.skip("asked of PostgreSQL only")
    monkeypatch.setattr(row_sql, "_MOST_ARGUMENTS", 3)
    rows.populate("default")
    tables = [
        table
        for table in reader.graph.tables.values()
        if table.is_managed and table.label not in NOT_BY_DATABASE and keys_of(reader, table)
    ]
    widest = sorted(tables, key=lambda table: len(table.columns))[-5:]
    assert all("ByDatabase" in compare_ways(reader, table) for table in widest)


def test_every_way_replaces_alike(reader: Reader) -> None:
    """Whatever way a row takes, the same stands in the place of its values."""
    rows.populate("default", menageries=2)
    anonymizing = Anonymizing.of(
        reader.graph, _replacements(reader), b"salt", reader.generic_target
    )
    marked, changed = set(), set()
    for table in reader.graph.tables.values():
        keys = keys_of(reader, table) if table.is_managed else []
        replacing = anonymizing.of_table(table)
        if not keys or not replacing:
            continue
        hand = ByHand(reader, table, RowEncoder(table, replaced=replacing.row))
        plain = by_hand(reader, table, keys, is_shared=False)
        expected = list(hand.texts(keys, is_shared=False))
        changed.update({table.label} if expected != plain else ())
        whole = RowLines(reader, table, hand._encode, replacing=replacing)
        assert meaning(split(whole.of([keys], is_shared=False))) == meaning(expected), table
        if replacing.generic:
            continue
        for lane in quick_lanes(reader, table, hand, None, replacing.columns):
            found = lane.ask(keys, is_shared=False)()
            if found is not None:
                assert meaning(split(found)) == meaning(expected), (table, lane)
                marked |= {table.label} if isinstance(lane, ByDatabase) else set()
    assert {"zoo.Texts", "zoo.Documents", "zoo.NoteByChar", "zoo.NoteByUuid"} <= changed
    assert len(changed) > 60
    if VENDOR == "postgresql":
        assert {"zoo.Texts", "zoo.Documents", "zoo.CharKey", "zoo.Animal"} <= marked


def _replacements(reader: Reader) -> dict[str, Any]:
    pointers = {
        (r.source, name) for r in reader.graph.relations for name in (*r.columns, r.content_type)
    }
    return {
        f"{table.label}.{column.name}": anonymize.uuid
        if column.kind is Kind.UUID
        else anonymize.shape
        for table in reader.graph.tables.values()
        for column in table.columns
        if column.kind in (Kind.TEXT, Kind.JSON, Kind.UUID)
        and column.type_name != "GenericIPAddressField"
        and (table.name, column.name) not in pointers
    }


# Values of every kind -----------------------------------------------------------------------------


def put(inserter: Inserter, model: type[models.Model], column: str, values: Iterable[Any]) -> Table:
    graph = build_graph([], [], "default")
    for number, value in enumerate(values, 1):
        given = {column: value} if value is not None else {}
        inserter.put(model, id=number, menagerie=1, **given)
    return graph.table(model._meta.label)


DOCUMENTS = [
    "null",
    "{}",
    "[]",
    '"text"',
    "true",
    "0",
    "-0",
    "1.5",
    "1.10",
    "-0.0",
    "123456789012345.5",
    "0.1234567890123456789",
    "1234567890123456789012345678901234567890",
    "9" * 300,
    "12345678901234567.25",
    '{"id": 1234567890123456789}',
    '{"id": 1234567890123456789, "share": 0.5}',
    '{"$json": null}',
    '{"$json_text": "1.0"}',
    '{"$json": 1, "b": 2}',
    '{"a": {"$json": null}}',
    '{"b": 1, "a": [1, 2.5, null, {"c": "d"}]}',
    '{"text": "é 🦁 \\u2028 \\" \\\\ \\n \\t \\u0001"}',
    '{"version": "2024.10.20.12345678"}',
    "[" * 60 + "]" * 60,
    '{"deep": ' * 150 + "1" + "}" * 150,
    '{"wide": [' + ", ".join(["[]"] * 200) + "]}",
]


def depth(text: str) -> int:
    return max(text.count("[[") * 2, text.count(': {"'))


def test_documents(reader: Reader, inserter: Inserter) -> None:
    # MariaDB nests no deeper than 32.
    known = [text for text in DOCUMENTS if VENDOR != "mysql" or depth(text) < 32]
    table = put(inserter, zoo.Documents, "document", map(Stored, known))
    compare_ways(reader, table)
    for key in keys_of(reader, table):
        compare_ways(reader, table, [key])


@pytest.mark.skipif(VENDOR != "sqlite", reason="the others know only JSON, and less of it")
def test_documents_that_sqlite_keeps_as_they_were_written(
    reader: Reader, inserter: Inserter
) -> None:
    odd = ["1e400", "1E5", "-1e-7", '"\\ud800"', '{"\\u0024json": 1}', "1 "]
    table = put(inserter, zoo.Documents, "document", map(Stored, odd))
    assert "ByColumns" in compare_ways(reader, table)


FLOATS = [None, 0.0, -0.0, 1.0, -5.0, 0.1, 1e15, 1e16, 123456789012345.0, 1e22, 1e-5, 1e-7, 2.5e300]
FLOATS += [5e-324, 1.7976931348623157e308, 0.1 + 0.2, 100000.0, 1 / 3]


def test_floats(reader: Reader, inserter: Inserter) -> None:
    endless = [Stored("NaN"), Stored("Infinity"), Stored("-Infinity")]
    more = {"postgresql": endless, "sqlite": [Stored(float("inf"))]}.get(VENDOR, [])
    used = compare_ways(reader, put(inserter, zoo.Floats, "value", [*FLOATS, *more]))
    assert used == {"ByHand", "ByColumns"} | ({"ByDatabase"} if VENDOR == "postgresql" else set())


PRICES = ["0", "-0.01", "1", "12.5", "99.99", "-1234567890.12", "9999999999.99", "0.1", "0.07"]


def test_decimals(reader: Reader, inserter: Inserter) -> None:
    exact = list(map(Decimal, PRICES))
    compare_ways(reader, put(inserter, zoo.Decimals, "price", [None, *exact]))


def test_decimals_of_many_places(reader: Reader, inserter: Inserter) -> None:
    fine = ["0", "0.000000000001", "-0.000000000001", "0.000001", "0.0000009", "1.5", "123.1"]
    compare_ways(reader, put(inserter, zoo.Decimals, "fine", map(Decimal, fine)))


MOMENTS = [
    "2024-02-29 12:34:56.123456",
    "2024-02-29 12:34:56.123400",
    "2024-02-29 12:34:56.000001",
    "2024-02-29 12:34:56",
    "2024-02-29 00:00:00",
    "1999-12-31 23:59:59.100000",
]
FAR_MOMENTS = ["0001-01-01 00:00:00", "0999-05-05 05:05:05.5", "9999-12-31 23:59:59.999999"]


def test_moments(reader: Reader, inserter: Inserter) -> None:
    far = [] if VENDOR == "mysql" else FAR_MOMENTS
    used = compare_ways(
        reader, put(inserter, zoo.Moments, "moment", [None, *map(Stored, MOMENTS + far)])
    )
    assert "ByColumns" in used
    assert ("ByDatabase" in used) == (VENDOR == "postgresql")


def test_moments_of_a_site_without_time_zones(reader: Reader, inserter: Inserter) -> None:
    table = put(inserter, zoo.Moments, "moment", map(Stored, MOMENTS))
    with override_settings(USE_TZ=False):
        assert "ByDatabase" not in compare_ways(reader, table)


def test_days_and_times(reader: Reader, inserter: Inserter) -> None:
    days = [None, date(2024, 2, 29), date(9999, 12, 31), date(1970, 1, 1)]
    compare_ways(reader, put(inserter, zoo.Moments, "day", days))
    hours = [None, time(0), time(12, 34, 56), time(12, 34, 56, 100), time(23, 59, 59, 999_900)]
    for number, hour in enumerate(hours, 10):
        inserter.put(zoo.Moments, id=number, menagerie=1, hour=hour)
    assert "ByColumns" in compare_ways(reader, reader.graph.table("zoo.Moments"))


def test_durations(reader: Reader, inserter: Inserter) -> None:
    lasting = [
        None,
        timedelta(0),
        timedelta(days=100, hours=26, microseconds=1),
        timedelta(microseconds=-1),
        timedelta(days=-3, seconds=5),
        timedelta(seconds=59, microseconds=999_999),
    ]
    table = put(inserter, zoo.Moments, "lasting", lasting)
    if VENDOR == "postgresql":
        odd = ["1 year 2 mons", "3 days -01:00:00", "30:00:00", "-1 mons +5 days"]
        for number, text in enumerate(odd, 20):
            inserter.put(zoo.Moments, id=number, menagerie=1, lasting=Stored(text))
    compare_ways(reader, table)
    for key in keys_of(reader, table):
        compare_ways(reader, table, [key])


def test_texts_and_bytes(reader: Reader, inserter: Inserter) -> None:
    controls = "".join(map(chr, range(1, 32))) + "\x7f"
    texts = [None, "", controls, 'a "quoted" \\ word', "é 🦁 \u2028", "100%s", "trailing  ", "%"]
    compare_ways(reader, put(inserter, zoo.Texts, "long", texts))
    data = [None, b"", bytes(range(256)), b"x" * 100]
    assert "ByColumns" in compare_ways(reader, put(inserter, zoo.Binaries, "data", data))


def test_addresses(reader: Reader, inserter: Inserter) -> None:
    addresses = [None, "10.0.0.1", "::1", "2001:db8::1", "::ffff:10.0.0.1"]
    compare_ways(reader, put(inserter, zoo.Identifiers, "address", addresses))


@pytest.mark.skipif(VENDOR != "postgresql", reason="arrays are PostgreSQL's")
def test_arrays_of_plain_values_are_written_by_the_database(reader: Reader) -> None:
    from tests.zoo_postgres import rows as postgres_rows

    postgres_rows.populate("default")
    table = reader.graph.table("zoo_postgres.Arrays")
    statements = reader.row_statements(table)
    # Its arrays of moments and the like are not plain.
    assert statements is None


# What a way leaves --------------------------------------------------------------------------------


@pytest.mark.skipif(VENDOR != "postgresql", reason="asked of PostgreSQL only")
def test_rows_left_out_by_the_database_come_in_their_places(
    reader: Reader, inserter: Inserter
) -> None:
    documents = ["0.1234567890123456789" if n % 7 == 0 else f"[{n}]" for n in range(1, 200)]
    table = put(inserter, zoo.Documents, "document", map(Stored, documents))
    keys = keys_of(reader, table)
    lane = by_database(reader, table)
    found = split(lane.ask(keys, is_shared=False)() or [])
    assert [json.loads(line)["pk"] for line in found] == keys
    assert meaning(found) == meaning(by_hand(reader, table, keys, False))


@pytest.mark.skipif(VENDOR != "postgresql", reason="asked of PostgreSQL only")
def test_rows_in_doubt_are_asked_for_again_once(reader: Reader, inserter: Inserter) -> None:
    documents = ["[0.1234567890123456789]" if n == 7 else "[0.5]" for n in range(1, 31)]
    table = put(inserter, zoo.Documents, "document", map(Stored, documents))
    keys = keys_of(reader, table)
    lane = by_database(reader, table)
    with CaptureQueriesContext(reader.connection) as asked:
        found = [split(lane.ask(lot, is_shared=False)() or []) for lot in (keys[:5], keys[5:15])]
    # The second lot once more, and there one row by hand.
    assert [len(lines) for lines in found] == [5, 10]
    assert sum("string_agg" in query["sql"] for query in asked.captured_queries) == 3
    with CaptureQueriesContext(reader.connection) as asked:
        found.append(split(lane.ask(keys[15:], is_shared=False)() or []))
    assert len(asked.captured_queries) == 1
    assert meaning([*chain(*found)]) == meaning(by_hand(reader, table, keys, False))


@pytest.mark.skipif(VENDOR != "postgresql", reason="asked of PostgreSQL only")
def test_long_numbers_without_a_point_are_not_by_hand(reader: Reader, inserter: Inserter) -> None:
    documents = ['{"id": 123456789012345678, "of": "a.b"}' if n == 2 else "[1.5]" for n in range(4)]
    table = put(inserter, zoo.Documents, "document", map(Stored, documents))
    keys = keys_of(reader, table)
    lane = by_database(reader, table)
    with CaptureQueriesContext(reader.connection) as asked:
        found = split(lane.ask(keys, is_shared=False)() or [])
    assert len(asked.captured_queries) == 2 and len(found) == len(keys)
    assert meaning(found) == meaning(by_hand(reader, table, keys, False))


@pytest.mark.skipif(VENDOR != "postgresql", reason="asked of PostgreSQL only")
def test_of_text_keys_with_rows_left_out_the_batch_is_left(
    reader: Reader, inserter: Inserter
) -> None:
    table = reader.graph.table("zoo.CharKey")
    for key in ("b", "A", "é", "a"):
        inserter.put(zoo.CharKey, code=key, menagerie=1)
    lane = by_database(reader, table)
    keys = keys_of(reader, table)
    assert keys == ["A", "a", "b", "é"]
    # Ordered as Python orders them, whatever the database's collation.
    assert [json.loads(n)["pk"] for n in split(lane.ask(keys, is_shared=False)() or [])] == keys
    assert [json.loads(n)["pk"] for n in by_hand(reader, table, keys, False)] == keys


@pytest.mark.skipif(VENDOR != "postgresql", reason="asked of PostgreSQL only")
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("moment", "infinity"),
        ("moment", "0044-03-15 12:00:00.123+00:00 BC"),
        ("moment", "10000-01-01 00:00:00.12345+00"),
        ("day", "infinity"),
        ("day", "0044-03-15 BC"),
        ("day", "10000-01-01"),
        ("hour", "24:00:00"),
        ("lasting", "2000000000 days"),
    ],
)
def test_what_python_cannot_hold_is_named(
    reader: Reader, inserter: Inserter, column: str, value: str
) -> None:
    table = put(inserter, zoo.Moments, column, [None, None, Stored(value), None])
    lines = RowLines(reader, table, RowEncoder(table))
    with pytest.raises(RowUnreadable, match=r"^zoo\.Moments\.3 cannot be read: "):
        list(lines.of([keys_of(reader, table)], is_shared=False))


@pytest.mark.skipif(VENDOR != "sqlite", reason="only SQLite holds any value in any column")
@pytest.mark.parametrize(
    ("model", "column", "value"),
    [
        (zoo.Moments, "day", "2000-02-31"),
        (zoo.Moments, "moment", "soon"),
        (zoo.Identifiers, "token", "no uuid"),
        (zoo.Decimals, "price", 1e300),
    ],
)
def test_what_is_no_value_is_named(
    reader: Reader, inserter: Inserter, model: type[models.Model], column: str, value: object
) -> None:
    table = put(inserter, model, column, [None, None, Stored(value), None])
    lines = RowLines(reader, table, RowEncoder(table))
    with pytest.raises(RowUnreadable, match=rf"^{table.label}\.3 cannot be read: "):
        list(lines.of([keys_of(reader, table)], is_shared=False))


@pytest.mark.skipif(VENDOR != "sqlite", reason="only SQLite holds any value in any column")
def test_values_of_other_types_are_written_as_they_are(reader: Reader, inserter: Inserter) -> None:
    table = put(inserter, zoo.Integers, "normal", [1, None, Stored("many"), Stored(2.5)])
    assert "ByColumns" in compare_ways(reader, table)
    moments = ["2024-01-01", "2024-01-01T00:00:00+02:00", "2024-01-01 10:00", "20240101T101010"]
    table = put(inserter, zoo.Moments, "moment", map(Stored, moments))
    compare_ways(reader, table)
    tokens = [UUID(int=7).hex.upper(), str(UUID(int=2**127)), f"{{{UUID(int=9)}}}", UUID(int=5)]
    compare_ways(reader, put(inserter, zoo.Identifiers, "token", map(Stored, map(str, tokens))))


@pytest.mark.skipif(VENDOR != "postgresql", reason="asked of PostgreSQL only")
def test_columns_of_other_types_than_django_makes_are_not_for_the_database(
    reader: Reader,
) -> None:
    with inserting("default") as inserter:
        inserter.put(zoo.Menagerie, id=1, name="Zoo")
        table = put(inserter, zoo.Floats, "value", [0.5, 1.0])
    assert reader.row_statements(table) is not None
    with reader.connection.cursor() as cursor:
        cursor.execute("ALTER TABLE zoo_floats ALTER COLUMN value TYPE real")
        try:
            assert reader.row_statements(table) is None
            compare_ways(reader, table)
        finally:
            cursor.execute("ALTER TABLE zoo_floats ALTER COLUMN value TYPE double precision")


@pytest.mark.skipif(VENDOR != "postgresql", reason="asked of PostgreSQL only")
def test_another_time_zone_than_utc_is_not_for_the_database(
    reader: Reader, inserter: Inserter
) -> None:
    table = put(inserter, zoo.Moments, "moment", map(Stored, MOMENTS))
    with reader.connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'Asia/Kolkata'")
        try:
            assert reader.row_statements(table) is None
            assert "ByColumns" in compare_ways(reader, table)
        finally:
            cursor.execute("SET TIME ZONE 'UTC'")


@pytest.mark.skipif(VENDOR != "postgresql", reason="asked of PostgreSQL only")
def test_another_encoding_is_not_for_the_database(reader: Reader, inserter: Inserter) -> None:
    table = put(inserter, zoo.Texts, "long", ["é"])
    with reader.connection.cursor() as cursor:
        cursor.execute("SET client_encoding TO 'LATIN1'")
        try:
            assert reader.row_statements(table) is None
        finally:
            cursor.execute("SET client_encoding TO 'UTF8'")


@pytest.mark.skipif(VENDOR != "postgresql", reason="asked of PostgreSQL only")
def test_names_that_the_database_would_cut_are_not_for_it(reader: Reader) -> None:
    table = reader.graph.table("zoo.Floats")
    plain = {column.name for column in table.columns}
    assert reader.dialect.row_statements(table, plain, {}) is not None
    last = table.columns[-1]
    long = replace(last, name="é" * 32)
    renamed = replace(table, columns=(*table.columns[:-1], long))
    assert reader.dialect.row_statements(renamed, plain | {long.name}, {}) is None
    assert reader.dialect.row_statements(table, plain - {last.name}, {}) is None


@pytest.mark.skipif(VENDOR != "postgresql", reason="asked of PostgreSQL only")
def test_a_table_that_is_mostly_left_is_left_altogether(reader: Reader, inserter: Inserter) -> None:
    documents = ("0.1234567890123456789" if n % 2 else f"[{n}]" for n in range(1_000))
    lots = (
        {"menagerie": 1, "document": Stored(text), "exact": None, "required": {}}
        for text in documents
    )
    inserter.put_many(zoo.Documents, lots)
    table = reader.graph.table("zoo.Documents")
    keys = keys_of(reader, table)
    lane = by_database(reader, table)
    assert meaning(split(lane.ask(keys, is_shared=False)() or [])) == meaning(
        by_hand(reader, table, keys, False)
    )
    assert not lane.is_worth_it


def test_rows_that_are_noted_are_written_by_hand(reader: Reader, inserter: Inserter) -> None:
    table = put(inserter, zoo.Floats, "value", map(float, range(10)))
    relation = reader.graph.relations_by_name["zoo.floats.menagerie"]
    changed = {relation: {4, 5}}
    encode = RowEncoder(table, (), changed)
    lines = RowLines(reader, table, encode, noted_keys=[{4, 5}])
    found = [json.loads(line) for line in split(lines.of([range(1, 11)], is_shared=False))]
    assert [row["pk"] for row in found if row.get("changed") == ["menagerie"]] == [4, 5]
    dangling = RowLines(reader, table, RowEncoder(table, [(relation, {1})]), is_noted=True)
    found = [json.loads(line) for line in split(dangling.of([range(1, 11)], is_shared=True))]
    assert all(row["dangling"] == ["menagerie"] and row["shared"] for row in found)


def test_nobody_waits_between_tables() -> None:
    told: list[str] = []

    def asked(table: str) -> Iterator[Iterable[Lines]]:
        for number in range(3):
            told.append(f"ask {table}{number}")
            yield taken(f"{table}{number}")

    def taken(name: str) -> Iterator[Lines]:
        told.append(f"take {name}")
        yield Lines(name, 1, b"")

    flow = in_flow(chain(asked("a"), asked("b")), 2)
    assert [lines.model for lines in flow] == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert told == [
        *("ask a0", "ask a1", "ask a2", "take a0", "ask b0", "take a1", "ask b1", "take a2"),
        *("ask b2", "take b0", "take b1", "take b2"),
    ]


def test_wide_rows_come_few_at_a_time(reader: Reader, inserter: Inserter) -> None:
    width, count = 50_000, 60
    for number in range(1, count + 1):
        inserter.put(zoo.Texts, id=number, menagerie=1, long=f"{number}" + "x" * width)
    table = reader.graph.table("zoo.Texts")
    blocks = list(
        RowLines(reader, table, RowEncoder(table)).of([range(1, count + 1)], is_shared=False)
    )
    assert sum(block.count for block in blocks) == count
    assert max(len(block.text) for block in blocks) < 750_000
    assert len(blocks) < 12


@pytest.mark.skipif(VENDOR != "postgresql", reason="asked of PostgreSQL only")
def test_rows_that_are_suddenly_wide_are_not_one_answer(reader: Reader, inserter: Inserter) -> None:
    narrow, wide = 1_500, 30
    lots = ({"id": n, "menagerie": 1, "long": "x"} for n in range(1, narrow + 1))
    inserter.put_many(zoo.Texts, lots)
    for number in range(narrow + 1, narrow + wide + 1):
        inserter.put(zoo.Texts, id=number, menagerie=1, long="x" * 400_000)
    table = reader.graph.table("zoo.Texts")
    lines = RowLines(reader, table, RowEncoder(table))
    blocks = list(lines.of([range(1, narrow + wide + 1)], is_shared=False))
    assert sum(block.count for block in blocks) == narrow + wide
    assert max(len(block.text) for block in blocks) < 3_500_000


# Columns alone ------------------------------------------------------------------------------------

COLUMNS = {
    "zoo.Floats": ("value", st.floats() | st.none()),
    "zoo.Integers": ("normal", st.integers() | st.none() | st.booleans()),
    "zoo.Texts": ("long", st.text() | st.none()),
    "zoo.Binaries": ("data", st.binary() | st.none()),
    "zoo.Decimals": ("vast", st.decimals() | st.none()),
    "zoo.Identifiers": ("token", st.uuids() | st.none()),
    "zoo.Moments": ("moment", st.datetimes() | st.none()),
    "zoo.Documents": (
        "document",
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("$json"), inner),
        ).map(json.dumps),
    ),
}


@pytest.mark.parametrize("label", COLUMNS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_column_at_a_time_is_written_as_its_values_are(label: str, data: st.DataObject) -> None:
    name, values = COLUMNS[label]
    column = build_graph([], [], "default").table(label).column(name)
    drawn = data.draw(st.lists(values, min_size=1, max_size=8))
    codec = encoder(column)
    expected = [to_json(value if codec is None else codec(value)) for value in drawn]  # type: ignore[arg-type]
    written = [str(text) for text in texts_of(column)(drawn)]
    if label == "zoo.Documents":
        # They may stand as they were found.
        assert not any("\n" in text for text in written)
        written, expected = (
            [repr(json.loads(text)) for text in some] for some in (written, expected)
        )
    assert written == expected


ODD_DOCUMENTS = [
    *('"\\ud800"', '"\ud800"', "1E5", "1e05", "-0", "-0.0", "1.5E+99", "1e400", "1e-400", "1E0400"),
    *(
        "123456789012345.5",
        "0.1234567890123456",
        "1234567890123456e5",
        "9" * 400,
        "01",
        "1 ",
        "NaN",
    ),
    *(
        "[1,\n2]",
        '{"a": 1, "a": 2}',
        '{"a":\r1,"b":2}',
        '{"$json": 1}',
        '"\\u00e9t\\u00e9"',
        "null",
    ),
    *(
        " null",
        '{"\\u0024json": null}',
        '"NaN and Infinity"',
        "[1e99, 1e-99]",
        "[[[[[]]]]]",
        '"e000"',
    ),
]


@pytest.mark.parametrize("has_msgspec", [True, False])
def test_odd_documents_mean_what_they_meant(
    monkeypatch: pytest.MonkeyPatch, *, has_msgspec: bool
) -> None:
    if not has_msgspec:
        monkeypatch.setattr(columns, "_quick_decode", lambda: json.JSONDecoder().decode)
    write = texts_of(build_graph([], [], "default").table("zoo.Documents").column("document"))
    known = [text for text in ODD_DOCUMENTS if text != "01"]
    for some in [*([text] for text in known), known]:
        written = [str(text) for text in write(some)]
        assert not any("\n" in text or "\r" in text for text in written)
        found = [repr(json.loads(text)) for text in written]
        assert found == [repr(encode_json(text)) for text in some]
    with pytest.raises(ValueError, match="Extra data"):
        list(write(["01"]))


@given(
    value=st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    places=st.integers(0, 6),
)
def test_decimals_of_floats_are_those_that_django_makes(value: float, places: int) -> None:
    import decimal

    digits = 12
    try:
        (found,) = raw_texts.decimals_of_floats(digits, places)([value])
    except ValueError:
        return
    exact = decimal.Context(prec=15).create_decimal_from_float(value)
    meant = exact.quantize(Decimal(1).scaleb(-places), context=decimal.Context(prec=digits))
    assert found == f'"{meant}"'


@given(values=st.lists(st.datetimes(), min_size=1, max_size=4), separator=st.sampled_from(" T"))
def test_moments_in_utc_are_those_that_python_writes(
    values: list[datetime], separator: str
) -> None:
    texts = [value.isoformat(separator) for value in values]
    texts[0] = texts[0] if "." in texts[0] else f"{texts[0]}.000000"
    found = list(raw_texts.of_texts(raw_texts.moments_in_utc)(texts))
    assert found == [f'"{value.isoformat()}+00:00"' for value in values]


@given(value=st.timedeltas())
def test_durations_are_those_that_django_writes(value: timedelta) -> None:
    microseconds = value // timedelta(microseconds=1)
    try:
        (found,) = raw_texts.durations([microseconds])
    except ValueError:
        assert abs(value.days) >= 999_999_998
        return
    assert found == to_json(duration_iso_string(value))


@pytest.mark.parametrize(
    ("texts", "unusual"),
    [
        (raw_texts.of_texts(raw_texts.moments_in_utc), ["2024-01-01T00:00:00+02:00"]),
        (raw_texts.of_texts(raw_texts.moments_in_utc), [datetime(2024, 1, 1)]),
        (raw_texts.of_texts(raw_texts.days), ["0000-00-00"]),
        (raw_texts.of_texts(raw_texts.uuids_of_digits), ["0" * 31 + "G"]),
        (raw_texts.of_texts(raw_texts.uuids_of_digits), ["0" * 33, "0" * 31]),
        (raw_texts.of_texts(raw_texts.uuids_with_hyphens), ["0" * 36]),
        (raw_texts.booleans, [2]),
        (raw_texts.booleans, ["true"]),
        (raw_texts.naive_moments_in_utc, ["2024-01-01 00:00:00"]),
        (raw_texts.decimals_of_floats(5, 2), [1234]),
        (raw_texts.decimals_of_floats(5, 2), ["1"]),
        (raw_texts.durations, ["P0DT00H00M01S"]),
        (raw_texts.durations, [10**6 * 86_400 * 999_999_999]),
        (raw_texts.decimals_of_floats(5, 2), [1234.5]),
        (raw_texts.decimals_of_floats(5, 2), [0.125]),
        (raw_texts.decimals_of_floats(5, 2), [1e-7]),
        (raw_texts.decimals_of_floats(5, 2), [float("inf")]),
    ],
)
def test_what_is_unusual_takes_the_way_by_django(texts: Any, unusual: list[object]) -> None:
    with pytest.raises(ValueError, match=r"^(?s:.*)$"):
        list(texts(unusual))
