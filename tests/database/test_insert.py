"""Do rows get in as they are, are refused ones named, and are keys never given twice?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, IntegrityError, connections, transaction

from gestore.database.insert import Writer
from gestore.database.select import Reader
from gestore.errors import LoadFailed
from gestore.rows import Value
from gestore.schema.graph import Graph
from gestore.schema.introspect import build_graph
from gestore.schema.table import Table
from tests.zoo import models as zoo
from tests.zoo.fields import Money
from tests.zoo.inserting import Inserter, inserting

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def graph() -> Graph:
    return build_graph(database="default")


@pytest.fixture
def reader(graph: Graph) -> Reader:
    return Reader(connections["default"], graph)


@pytest.fixture
def writer(graph: Graph, inserter: Inserter) -> Writer:
    return Writer(connections["default"], graph)


@pytest.fixture
def inserter() -> Iterator[Inserter]:
    with inserting("default") as inserter:
        inserter.put(zoo.Menagerie, id=1, name="one")
        yield inserter


def insert(writer: Writer, label: str, *rows: dict[str, Any]) -> Table:
    """Rows of the same columns."""
    table = writer.graph.table(label)
    columns = [column for column in table.columns if column.name in rows[0]]
    writer.insert(table, columns, [[row[column.name] for column in columns] for row in rows])
    return table


def read(reader: Reader, table: Table, keys: Sequence[Any]) -> list[dict[str, Value]]:
    return [
        dict(zip((column.name for column in table.columns), row, strict=True))
        for row in reader.rows_of(table, keys)
    ]


ROWS: list[tuple[str, dict[str, Any]]] = [
    (
        "zoo.Moments",
        {
            "id": 5,
            "menagerie": 1,
            "moment": datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
            "day": date(1, 1, 1),
            "hour": datetime(2000, 1, 1, 0, 0, 0, 1).time(),
            "lasting": timedelta(microseconds=-1),
        },
    ),
    (
        "zoo.SelfStamped",
        {
            "id": 5,
            "menagerie": 1,
            "name": "stamped",
            "created": datetime(1999, 1, 1, tzinfo=UTC),
            "updated": datetime(1999, 1, 1, tzinfo=UTC),
            "created_day": date(1999, 1, 1),
            "updated_hour": datetime(1999, 1, 1, 1).time(),
        },
    ),
    ("zoo.Decimals", {"id": 5, "menagerie": 1, "price": Decimal("0.10"), "fine": None}),
    ("zoo.Floats", {"id": 5, "menagerie": 1, "value": -0.0}),
    ("zoo.Integers", {"id": 5, "menagerie": 1, "big": -(2**63), "yes": True, "maybe": None}),
    ("zoo.Texts", {"id": 5, "menagerie": 1, "long": "🦁 % %s {} \\ '", "blank": ""}),
    ("zoo.Binaries", {"id": 5, "menagerie": 1, "data": bytes(range(256))}),
    ("zoo.Identifiers", {"id": 5, "menagerie": 1, "token": UUID(int=5), "address": "::1"}),
    ("zoo.Documents", {"id": 5, "menagerie": 1, "document": "null", "required": "[1]"}),
    ("zoo.Priced", {"id": 5, "menagerie": 1, "price": Money(Decimal("1.20"), "EUR")}),
    ("zoo.Secrets", {"id": 5, "menagerie": 1, "note": "plain here"}),
    ("zoo.CustomKey", {"ticket": "T-000005", "menagerie": 1, "name": "ticket"}),
    ("zoo.Cage", {"menagerie": 1, "number": 5, "name": "cage"}),
    ("zoo.OddlyNamedTable", {"id": 5, "menagerie": 1, "name": "odd"}),
    ("zoo.Untouchable", {"id": 5, "menagerie": 1, "name": "untouched"}),
]


@pytest.mark.parametrize(("label", "row"), ROWS, ids=[label for label, _ in ROWS])
def test_row_that_went_in_comes_out(
    writer: Writer, reader: Reader, label: str, row: dict[str, Any]
) -> None:
    table = insert(writer, label, row)
    parts = tuple(row[name] for name in table.key_names)
    (found,) = read(reader, table, [parts[0] if len(parts) == 1 else parts])
    assert {name: found[name] for name in row} == row


def test_defaults_of_the_database_are_the_databases(writer: Writer, reader: Reader) -> None:
    table = insert(writer, "zoo.DatabaseDefaults", {"id": 5, "menagerie": 1})
    (found,) = read(reader, table, [5])
    assert (found["code"], found["count"]) == ("plain", 7)


# Refused rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "rows", "named"),
    [
        (
            "zoo.UniqueCode",
            [{"id": n, "menagerie": 1, "code": f"c{n % 9}", "number": n} for n in range(1, 11)],
            "zoo.UniqueCode.10",
        ),
        (
            "zoo.UniqueCode",
            [{"id": n or 1, "menagerie": 1, "code": f"c{n}", "number": n} for n in (1, 2, 0, 4)],
            "zoo.UniqueCode.1",
        ),
        (
            "zoo.Checked",
            [{"id": n, "menagerie": 1, "low": 5, "high": 9 - n} for n in range(1, 9)],
            "zoo.Checked.5",
        ),
        (
            "zoo.Menagerie",
            [{"id": n, "name": "x" if n == 7 else f"{n}", "opened": None} for n in (5, 6, 7, 8)]
            + [{"id": 9, "name": None, "opened": None}],
            "zoo.Menagerie.9",
        ),
        ("zoo.CharKey", [{"code": "k", "menagerie": 1, "name": None}], "zoo.CharKey.k"),
        (
            "zoo.Cage",
            [{"menagerie": 1, "number": n, "name": "c" if n < 3 else None} for n in range(5)],
            "zoo.Cage.1,3",
        ),
        # Values that Python has and no column holds.
        (
            "zoo.Decimals",
            [{"id": n, "menagerie": 1, "price": Decimal(f"1e{n * 999}")} for n in range(3)],
            "zoo.Decimals.1",
        ),
    ],
)
def test_refused_row_is_named(
    writer: Writer, vendor: str, label: str, rows: list[dict[str, Any]], named: str
) -> None:
    if label == "zoo.Decimals" and vendor == "sqlite":
        pytest.skip("SQLite takes any number; what it would not hold is refused before")
    with pytest.raises(LoadFailed) as caught, transaction.atomic():
        insert(writer, label, *rows)
    assert caught.value.message.startswith(f"{named} was refused by the database: ")
    assert "\n" not in caught.value.message
    assert caught.value.hint.startswith("Everything was rolled back")
    # And the transaction can go on.
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1")


def test_refused_rows_are_all_found_and_none_stays(writer: Writer, reader: Reader) -> None:
    table = writer.graph.table("zoo.Checked")
    rows = [{"id": n, "menagerie": 1, "low": n % 3, "high": 1} for n in range(1, 31)]
    found = writer.refused(table, rows)
    assert [place for place, _ in found] == [n - 1 for n in range(1, 31) if n % 3 == 2]
    assert all(reason for _, reason in found)
    assert reader.count(table, ["menagerie"], [1]) == 0
    assert writer.refused(table, []) == []


def test_row_is_not_refused_for_where_it_points(writer: Writer) -> None:
    table = writer.graph.table("zoo.Checked")
    assert writer.refused(table, [{"id": 1, "menagerie": 99, "low": 1, "high": 1}]) == []


# Filling ------------------------------------------------------------------------------------------


def test_values_are_filled_in_by_key(writer: Writer, reader: Reader) -> None:
    rows = [{"id": n, "menagerie": 1, "parent": None, "name": f"{n}"} for n in range(1, 1_001)]
    table = insert(writer, "zoo.SelfChain", *rows)
    columns = [table.column("parent"), table.column("name")]
    writer.fill(table, columns, [(n, [n - 1, f"new {n}"]) for n in range(2, 700)])
    found = {row["id"]: row for row in read(reader, table, range(1, 1_001))}
    assert found[1]["parent"] is None
    assert (found[699]["parent"], found[699]["name"]) == (698, "new 699")
    assert (found[700]["parent"], found[700]["name"]) == (None, "700")


def test_pointers_are_filled_in_many_at_once(writer: Writer, reader: Reader) -> None:
    """Numbers and UUIDs go packed where the database takes them so; and empty ones beside them."""
    rows = [{"id": n, "menagerie": 1, "parent": None, "name": f"{n}"} for n in range(1, 3_001)]
    table = insert(writer, "zoo.SelfChain", *rows)
    wanted = {n: n - 1 if n % 3 else None for n in range(2, 2_900)}
    writer.fill(table, [table.column("parent")], [(n, [up]) for n, up in wanted.items()])
    found = {row["id"]: row["parent"] for row in read(reader, table, range(1, 3_001))}
    assert found == dict.fromkeys(range(1, 3_001)) | wanted
    token = UUID(int=2**127 + 5)
    table = insert(writer, "zoo.Identifiers", *({"id": n, "menagerie": 1} for n in (5, 6)))
    writer.fill(table, [table.column("token")], [(5, [token]), (6, [None])])
    assert [row["token"] for row in read(reader, table, [5, 6])] == [token, None]


def test_pointers_are_filled_in_under_safe_updates(
    writer: Writer, reader: Reader, vendor: str
) -> None:
    if vendor != "mysql":
        pytest.skip("only MySQL and MariaDB have them")
    rows = [{"id": n, "menagerie": 1, "parent": None, "name": ""} for n in range(1, 501)]
    table = insert(writer, "zoo.SelfChain", *rows)
    with connections["default"].cursor() as cursor:
        cursor.execute("SET SESSION sql_safe_updates = 1")
        try:
            writer.fill(table, [table.column("parent")], [(n, [n - 1]) for n in range(2, 400)])
        finally:
            cursor.execute("SET SESSION sql_safe_updates = 0")
    assert [row["parent"] for row in read(reader, table, [1, 2, 399, 400])] == [None, 1, 398, None]


def test_refused_pointer_is_said(writer: Writer, vendor: str) -> None:
    if vendor != "mysql":
        pytest.skip("the others check at COMMIT")
    row = {"id": 1, "menagerie": 1, "parent": None, "name": ""}
    table = insert(writer, "zoo.SelfChain", row)
    with pytest.raises(LoadFailed, match=r"^zoo\.SelfChain: pointers"), transaction.atomic():
        writer.fill(table, [table.column("parent")], [(1, [10**9])])


def test_packed_rows_are_as_they_were(
    writer: Writer, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many statements of a few rows, one longer than a statement is to be; quotes, and nothing."""
    monkeypatch.setitem(vars(writer.dialect), "_statement_bytes", 160)
    table = writer.graph.table("zoo.SelfChain")
    names = ["x", "it's", 'a \\ and "b"', "%s \x1f \x1e \n", "long " * 9, "", "(1,2),(3)"] * 30
    rows = [(n, 1, None, name) for n, name in enumerate(names, 1)]
    columns = [table.column(name) for name in ("id", "menagerie", "parent", "name")]
    packed = [
        writer.pack(column, values, are_texts=False) or []
        for column, values in zip(columns, zip(*rows, strict=True), strict=True)
    ]
    writer.insert_packed(table, columns, packed, lambda: [row[0] for row in rows])
    found = read(reader, table, range(1, len(rows) + 1))
    assert [(row["id"], row["menagerie"], row["parent"], row["name"]) for row in found] == rows
    assert writer.pack(table.column("name"), [], are_texts=False) == []
    assert writer.pack(table.column("name"), [None], are_texts=False) is not None


def test_rows_that_the_database_took_are_counted(writer: Writer, vendor: str) -> None:
    table = insert(writer, "zoo.Cage", *({"menagerie": 1, "number": n, "name": ""} for n in (5, 6)))
    taken = writer.taken([table])
    assert taken == ({table.name: 2} if vendor == "mysql" else None)


def test_fewer_rows_taken_than_given_are_an_error() -> None:
    from gestore.database.mysql import _took_all

    _took_all(2, 2)
    with pytest.raises(DatabaseError, match=r"^Of 2 rows the database took 1\.$"):
        _took_all(1, 2)


@pytest.mark.parametrize(
    ("label", "row", "changes"),
    [
        ("zoo.Cage", {"menagerie": 1, "number": 5, "name": "a"}, {"name": "b"}),
        (
            "zoo.Documents",
            {"id": 5, "menagerie": 1, "document": None, "required": "{}"},
            {"document": '{"a": null}', "required": "null"},
        ),
        ("zoo.Binaries", {"id": 5, "menagerie": 1, "data": None}, {"data": b"\x00\xff"}),
        (
            "zoo.Moments",
            {"id": 5, "menagerie": 1, "day": date(2000, 1, 1)},
            {
                "day": None,
                "moment": datetime(2000, 1, 1, 0, 0, 0, 1, UTC),
                "lasting": timedelta(days=-1),
            },
        ),
        (
            "zoo.Identifiers",
            {"id": 5, "menagerie": 1, "token": None, "address": None},
            {"token": UUID(int=5), "address": "10.0.0.1"},
        ),
        ("zoo.Secrets", {"id": 5, "menagerie": 1, "note": None}, {"note": "secret"}),
        (
            "zoo.Decimals",
            {"id": 5, "menagerie": 1, "price": None},
            {"price": Decimal("-1.50"), "fine": Decimal("0.000000000001")},
        ),
        (
            "zoo.ReservedColumns",
            {
                "id": 5,
                "menagerie": 1,
                "order": 1,
                "select": "",
                "group_name": "",
                "from_whom": "",
                "swapped_a": 1,
                "swapped_b": 2,
                "link": None,
            },
            {"swapped_a": 2, "swapped_b": 1, "from_whom": "w", "link": 5, "order": 9},
        ),
    ],
)
def test_values_of_every_kind_are_filled_in(
    writer: Writer, reader: Reader, label: str, row: dict[str, Any], changes: dict[str, Any]
) -> None:
    table = insert(writer, label, row)
    parts = tuple(row[name] for name in table.key_names)
    key = parts[0] if len(parts) == 1 else parts
    columns = [table.column(name) for name in changes]
    writer.fill(table, columns, [(key, list(changes.values()))])
    (found,) = read(reader, table, [key])
    assert {name: found[name] for name in (row | changes)} == row | changes


def test_refused_filling_is_said(writer: Writer) -> None:
    table = insert(writer, "zoo.Checked", {"id": 5, "menagerie": 1, "low": 1, "high": 2})
    with pytest.raises(LoadFailed, match=r"^zoo\.Checked: "), transaction.atomic():
        writer.fill(table, [table.column("low")], [(5, [3])])


# Keys that the database gives ---------------------------------------------------------------------


def next_key(label: str) -> int:
    """The key that the database gives to whoever inserts the next row."""
    table = build_graph().table(label)
    quote = connections["default"].ops.quote_name
    with connections["default"].cursor() as cursor:
        statement = f"INSERT INTO {quote(table.db_table)} (menagerie_id, name) VALUES (1, 'next')"
        if connections["default"].vendor == "postgresql":
            cursor.execute(f"{statement} RETURNING {quote(table.key_columns[0].db_name)}")
            return int(cursor.fetchone()[0])
        cursor.execute(statement)
        return int(cursor.lastrowid)


@pytest.mark.parametrize("label", ["zoo.NamedKey", "zoo.Team", "zoo.OddlyNamedTable"])
def test_next_key_is_above_every_loaded_one(writer: Writer, label: str) -> None:
    start = next_key(label)
    (name,) = writer.graph.table(label).key_names
    table = insert(writer, label, {name: start + 1_000, "menagerie": 1, "name": "loaded"})
    writer.settle([table])
    assert next_key(label) > start + 1_000


def test_keys_never_go_back(writer: Writer) -> None:
    first = next_key("zoo.Team")
    table = insert(writer, "zoo.Team", {"id": first + 500, "menagerie": 1, "name": "loaded"})
    writer.settle([table])
    given = next_key("zoo.Team")
    with connections["default"].cursor() as cursor:
        cursor.execute("DELETE FROM zoo_team")
    insert(writer, "zoo.Team", {"id": first + 2, "menagerie": 1, "name": "low"})
    writer.settle([table])
    later = next_key("zoo.Team")
    if connections["default"].vendor != "sqlite":
        assert later > given
    assert later > first + 2
    # Nothing loaded, nothing moved.
    writer.settle([table])
    assert next_key("zoo.Team") == later + 1


def test_keys_far_ahead_are_jumped_over(writer: Writer) -> None:
    far = 3_000_000_000
    table = insert(writer, "zoo.Team", {"id": far, "menagerie": 1, "name": "far"})
    writer.settle([table])
    assert next_key("zoo.Team") == far + 1


def test_negative_keys_move_nothing(writer: Writer) -> None:
    before = next_key("zoo.Team")
    table = insert(writer, "zoo.Team", {"id": -5, "menagerie": 1, "name": "below"})
    writer.settle([table])
    assert next_key("zoo.Team") == before + 1


def test_table_without_rows_is_left_alone(writer: Writer) -> None:
    writer.settle([writer.graph.table("zoo.Team"), writer.graph.table("zoo.CharKey")])
    assert next_key("zoo.Team") > 0


def test_reserved_keys_are_nobody_elses(writer: Writer) -> None:
    table = writer.graph.table("zoo.Team")
    highest = next_key("zoo.Team")
    sample = {"id": 1, "menagerie": 1, "name": "sample"}
    reserved = list(writer.reserve(table, 50, highest + 10, sample))
    assert reserved == sorted(set(reserved))
    assert len(reserved) == 50
    assert min(reserved) > highest + 10
    insert(writer, "zoo.Team", *({"id": key, "menagerie": 1, "name": "new"} for key in reserved))
    writer.settle([table])
    assert next_key("zoo.Team") not in reserved
    assert writer.room(writer.graph.table("zoo.SmallKey"), 100) <= 2**15 - 100 or (
        connections["default"].vendor == "sqlite"
    )


# Constraints --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_pointers_into_the_void_are_refused_at_the_end(writer: Writer) -> None:
    if connections["default"].vendor != "postgresql":
        pytest.skip("the others check at COMMIT or row by row")
    with pytest.raises(LoadFailed, match="refused the rows together"), transaction.atomic():
        table = insert(writer, "zoo.Team", {"id": 5, "menagerie": 99, "name": "lost"})
        writer.settle([table])


def test_constraints_that_are_checked_row_by_row_are_known(writer: Writer, vendor: str) -> None:
    relations = writer.graph.relations
    found = writer.cannot_defer(relations)
    if vendor == "mysql":
        assert found == {r.name for r in relations if r.is_constrained}
    else:
        assert not any(name.startswith("zoo.") for name in found)


def test_unchecked_rows_may_point_ahead(writer: Writer, vendor: str) -> None:
    head = {"id": 5, "menagerie": 1, "tail": 6, "name": "head"}
    with writer.unchecked():
        insert(writer, "zoo.CycleHead", head)
        insert(writer, "zoo.CycleTail", {"id": 6, "head": 5, "name": "tail"})
    if vendor == "mysql":
        # Checked again afterwards.
        with pytest.raises(IntegrityError), connections["default"].cursor() as cursor:
            cursor.execute("INSERT INTO zoo_team (menagerie_id, name) VALUES (99, 'x')")


# What a database can never hold -------------------------------------------------------------------

REFUSALS: list[tuple[str, Any, dict[str, str]]] = [
    ("zoo.Texts.long", "nul \x00", {"postgresql": "PostgreSQL holds no NUL in text"}),
    ("zoo.Texts.long", "plain", {}),
    ("zoo.Documents.document", '"\\u0000"', {"postgresql": "PostgreSQL holds no NUL in JSON text"}),
    ("zoo.Documents.document", '"\\\\u0000"', {}),
    (
        "zoo.Floats.value",
        float("nan"),
        {
            "sqlite": "SQLite stores NaN as NULL",
            "mysql": "MariaDB and MySQL hold no NaN or infinity",
        },
    ),
    ("zoo.Floats.value", float("inf"), {"mysql": "MariaDB and MySQL hold no NaN or infinity"}),
    ("zoo.Floats.value", 1e308, {}),
    ("zoo.Integers.big", 2**63 - 1, {}),
    ("zoo.Integers.big", -(2**63), {}),
    ("zoo.Integers.big", 2**63, {"sqlite": "SQLite's integers have 64 bits"}),
    ("zoo.Decimals.vast", Decimal("123456789012345"), {}),
    ("zoo.Decimals.vast", Decimal("-0.123456789012345000"), {}),
    ("zoo.Decimals.vast", Decimal("100000000000000000000"), {}),
    ("zoo.Decimals.vast", Decimal(0), {}),
    (
        "zoo.Decimals.vast",
        Decimal("1234567890123456"),
        {"sqlite": "SQLite holds decimals of 15 digits"},
    ),
    ("zoo.Decimals.vast", Decimal("1e400"), {"sqlite": "SQLite holds decimals of 15 digits"}),
    ("zoo.Decimals.vast", Decimal("NaN"), {"sqlite": "SQLite holds decimals of 15 digits"}),
]


@pytest.mark.parametrize(("name", "value", "reasons"), REFUSALS)
def test_value_that_can_never_be_held_is_known(
    reader: Reader, vendor: str, name: str, value: Any, reasons: dict[str, str]
) -> None:
    label, _, column = name.rpartition(".")
    found = reader.refuses(reader.graph.table(label).column(column), value)
    assert found == reasons.get(vendor, "")
