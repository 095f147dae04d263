"""Are keys and rows read as they are, whatever their type and number?"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from django.db import connections

from gestore.database.dialect import Condition
from gestore.database.select import Reader
from gestore.errors import NotFound, RowUnreadable
from gestore.references import Reference
from gestore.rows import Key, Value
from gestore.schema.graph import Graph
from gestore.schema.introspect import build_graph
from gestore.schema.table import Table
from gestore.walk.keys import empty_keys
from tests.walk.small_world import DictSource
from tests.zoo import models as zoo
from tests.zoo import rows
from tests.zoo.inserting import Inserter, inserting

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def graph() -> Graph:
    return build_graph(database="default")


@pytest.fixture
def reader(graph: Graph) -> Reader:
    return Reader(connections["default"], graph)


@pytest.fixture
def inserter() -> Iterator[Inserter]:
    with inserting("default") as inserter:
        inserter.put(zoo.Menagerie, id=1, name="one")
        yield inserter


def keys_there(reader: Reader, label: str, wanted: Sequence[Key]) -> set[Key]:
    table = reader.graph.table(label)
    found = reader.resolve(table.name, table.key_names, wanted)
    assert all(value == key for value, key in found)
    return {key for _, key in found}


def key_of(table: Table, row: Sequence[Value]) -> Key:
    named = dict(zip((column.name for column in table.columns), row, strict=True))
    key = tuple(named[name] for name in table.key_names)
    return key[0] if len(key) == 1 else key


# Keys of every kind -------------------------------------------------------------------------------

TEXTS = ["a", "A1", "it's", '"q"', "%s", "\\", "🦁", "a,b", " lead", "null", "1", "é", "{x}", "[1]"]

KEYS: dict[str, tuple[list[Any], list[Any]]] = {
    "zoo.FalsyKey": ([0, -1, 7, 2**31 - 1, -(2**31)], [1, 2]),
    "zoo.HugeKey": ([2**63 - 1, -(2**63), 2**53 + 1], [2**53, 0]),
    "zoo.UuidKey": ([UUID(int=0), UUID(int=2**128 - 1), UUID(int=7)], [UUID(int=8)]),
    "zoo.CharKey": (TEXTS, ["zz", "%", "a,b,c"]),
    "zoo.DateKey": ([date(1, 1, 1), date(9999, 12, 31)], [date(2000, 1, 1)]),
    "zoo.CustomKey": (["T-000001", "T-123456"], ["T-000002"]),
    "zoo.Cage": ([(1, 0), (1, 7)], [(1, 1), (7, 1), (0, 1)]),
}
NAMES = {
    "zoo.FalsyKey": "number",
    "zoo.HugeKey": "number",
    "zoo.UuidKey": "key",
    "zoo.CharKey": "code",
    "zoo.DateKey": "day",
    "zoo.CustomKey": "ticket",
}


def put_keys(inserter: Inserter, label: str, keys: Sequence[Any]) -> None:
    model = getattr(zoo, label.partition(".")[2])
    for key in keys:
        if label == "zoo.Cage":
            inserter.put(model, menagerie=key[0], number=key[1], name="cage")
        else:
            values = {} if model is zoo.HugeKey else {"name": "x"}
            inserter.put(model, menagerie=1, **{NAMES[label]: key}, **values)


@pytest.mark.parametrize("label", KEYS)
def test_keys_of_every_kind_are_found(reader: Reader, inserter: Inserter, label: str) -> None:
    there, absent = KEYS[label]
    put_keys(inserter, label, there)
    assert keys_there(reader, label, [*there, *absent]) == set(there)
    assert keys_there(reader, label, absent) == set()
    assert keys_there(reader, label, there[:1]) == set(there[:1])
    assert keys_there(reader, label, []) == set()
    table = reader.graph.table(label)
    assert reader.count(table, table.key_names, [*there, *absent]) == len(there)
    found = [key_of(table, row) for row in reader.rows_of(table, [*absent, *there])]
    assert set(found) == set(there)
    assert len(found) == len(there)


def test_keys_with_nul_are_found(reader: Reader, inserter: Inserter, vendor: str) -> None:
    there = ["nul \x00 one", "\x00", "nul \x00 two"]
    if vendor == "postgresql":
        column = reader.graph.table("zoo.CharKey").column("code")
        assert reader.refuses(column, "\x00") == "PostgreSQL holds no NUL in text"
        return
    put_keys(inserter, "zoo.CharKey", there)
    assert keys_there(reader, "zoo.CharKey", [*there, "nul ", "nul", ""]) == set(there)
    assert keys_there(reader, "zoo.CharKey", there[:1]) == set(there[:1])
    many = [f"{n}\x00" for n in range(reader.batch_keys - 3)]
    assert keys_there(reader, "zoo.CharKey", [*many, *there]) == set(there)


# More than SQLite's 999 and 32,766 variables, and than PostgreSQL's 65,535.
@pytest.mark.parametrize("count", [1_001, 32_767, 70_000])
@pytest.mark.parametrize("label", ["zoo.FalsyKey", "zoo.CharKey", "zoo.UuidKey", "zoo.Cage"])
def test_any_number_of_keys_can_be_asked_for(
    reader: Reader, inserter: Inserter, label: str, count: int
) -> None:
    if reader.connection.vendor == "mysql" and count > reader.batch_keys:
        count = reader.batch_keys
    there, _ = KEYS[label]
    put_keys(inserter, label, there)
    asked: dict[str, Any] = {
        "zoo.FalsyKey": lambda n: n + 10,
        "zoo.CharKey": lambda n: f"absent {n}",
        "zoo.UuidKey": lambda n: UUID(int=n + 10),
        "zoo.Cage": lambda n: (n + 10, n),
    }
    wanted = [*there, *(asked[label](n) for n in range(count - len(there)))]
    assert keys_there(reader, label, wanted) == set(there)


def test_values_of_other_columns_are_found(reader: Reader, inserter: Inserter) -> None:
    inserter.put(zoo.Identifiers, menagerie=1, token=UUID(int=5), address="::1")
    inserter.put(zoo.Identifiers, menagerie=1, token=UUID(int=6), address="10.0.0.1")
    table = reader.graph.table("zoo.Identifiers")
    for name, values in (("token", [UUID(int=5)]), ("address", ["::1", "::2"])):
        assert reader.count(table, [name], values) == 1
    both = [(UUID(int=5), "::1"), (UUID(int=6), "::1")]
    assert len(reader.matching(table, ["token", "address"], both)) == 1


def test_odd_names_are_quoted(reader: Reader, inserter: Inserter) -> None:
    inserter.put(
        zoo.ReservedColumns,
        id=5,
        menagerie=1,
        order=1,
        select="s",
        group_name="g",
        from_whom="w",
        swapped_a=10,
        swapped_b=20,
        link=5,
    )
    table = reader.graph.table("zoo.ReservedColumns")
    (row,) = reader.rows_of(table, [5])
    named = dict(zip((c.name for c in table.columns), row, strict=True))
    assert (named["swapped_a"], named["swapped_b"], named["from_whom"]) == (10, 20, "w")
    assert reader.count(table, ["from_whom", "group_name"], [("w", "g")]) == 1
    assert reader.unresolved(reader.graph.relations_by_name["zoo.reservedcolumns.link"], [5]) == []
    inserter.put(zoo.OddlyNamedTable, id=3, menagerie=1, name="found")
    assert keys_there(reader, "zoo.OddlyNamedTable", [3, 4]) == {3}


# The walk's questions -----------------------------------------------------------------------------


class ZooSource(DictSource):
    """The zoo's rows in dictionaries: content types are the database's numbers."""

    names: dict[Key, str]

    def generic_target(self, content_type: Key) -> str:
        name = self.names.get(content_type, "")
        table = self.graph.tables.get(name) or self.graph.tables_by_proxy.get(name)
        return table.name if table and len(table.key_names) == 1 else ""


@pytest.mark.django_db(transaction=True)
def test_database_answers_like_dictionaries_would(reader: Reader, graph: Graph) -> None:
    rows.populate("default", menageries=2, dangling=True, blockers=True, loans=True, chain=5)
    held = {table.name: _rows_by_key(reader, table) for table in graph.tables.values()}
    source = ZooSource(graph, held, batch_keys=100_000)
    source.names = reader.content_types
    asked = 0
    for relation in graph.relations:
        keys = list(held[relation.source])
        if keys:
            asked += 1
            assert set(reader.pointed(relation, keys)) == set(source.pointed(relation, keys))
            assert sorted(map(str, reader.pointers(relation, keys))) == sorted(
                str(value)
                for row in held[relation.source].values()
                if (value := _pointer(relation, row)) is not None
            )
        targets = [relation.target] if not relation.is_generic else graph.tables
        for target in targets:
            if not held[target] or (relation.is_generic and len(_keys(graph, target)) > 1):
                continue
            wanted = list(held[target])
            ours = list(reader.pointing(relation, target, wanted))
            assert set(ours) == set(source.pointing(relation, target, wanted)), relation.name
            assert len(ours) == len(set(ours))
            assert reader.count_pointing(relation, graph.tables[target], wanted) == len(ours)
        if not relation.is_generic and relation.points_at_key and held[relation.target]:
            wanted = list(held[relation.target])
            assert set(reader.pointing_pairs(relation, wanted)) == set(
                source.pointing_pairs(relation, wanted)
            )
        if keys:
            _check_unresolved(reader, source, relation, keys)
    assert asked > 150


def _rows_by_key(reader: Reader, table: Table) -> dict[Key, dict[str, Value]]:
    found = {}
    for row in reader.select(table, table.columns, Condition("1 = 1")):
        named = dict(zip((column.name for column in table.columns), row, strict=True))
        found[key_of(table, row)] = named
    return found


def _keys(graph: Graph, name: str) -> tuple[str, ...]:
    return graph.tables[name].key_names


def _pointer(relation: Any, row: Any) -> Value:
    names = [relation.content_type, *relation.columns] if relation.is_generic else relation.columns
    parts = tuple(row[name] for name in names)
    if None in parts:
        return None
    return parts[0] if len(parts) == 1 else parts


def _check_unresolved(
    reader: Reader, source: ZooSource, relation: Any, keys: Sequence[Key]
) -> None:
    lost = []
    for key in keys:
        value = _pointer(relation, source.rows[relation.source][key])
        if value is None:
            continue
        target, columns = relation.target, relation.target_columns
        if relation.is_generic:
            target = source.generic_target(value[0])
            value = source.generic_key(target, value[1]) if target else None
            columns = source.graph.tables[target].key_names if target else ()
        if value is None or not source.resolve(target, columns, [value]):
            lost.append(key)
    assert set(reader.unresolved(relation, keys)) == set(lost), relation.name
    known = {}
    for name in source.rows:
        known[name] = empty_keys(reader.graph.tables[name])
        known[name].add(source.rows[name])
    assert set(reader.unresolved(relation, keys, known)) == set(lost), relation.name


# References ---------------------------------------------------------------------------------------


@pytest.fixture
def named(inserter: Inserter) -> Inserter:
    inserter.put(zoo.Menagerie, id=2, name="two, of two")
    for label, (there, _) in KEYS.items():
        put_keys(inserter, label, there)
    for number in (1, 2):
        inserter.put(zoo.UniqueCode, id=number, menagerie=1, code=f"c{number}", number=number)
    return inserter


@pytest.mark.parametrize(
    ("text", "label", "key"),
    [
        ("zoo.Menagerie.1", "zoo.Menagerie", 1),
        ("zoo.menagerie.2", "zoo.Menagerie", 2),
        ("zoo.FalsyKey.0", "zoo.FalsyKey", 0),
        ("zoo.FalsyKey.-1", "zoo.FalsyKey", -1),
        ("zoo.CharKey.a,b", "zoo.CharKey", "a,b"),
        ("zoo.CharKey.🦁", "zoo.CharKey", "🦁"),
        ("zoo.UuidKey.00000000-0000-0000-0000-000000000007", "zoo.UuidKey", UUID(int=7)),
        ("zoo.UuidKey.00000000000000000000000000000007", "zoo.UuidKey", UUID(int=7)),
        ("zoo.DateKey.9999-12-31", "zoo.DateKey", date(9999, 12, 31)),
        ("zoo.CustomKey.T-123456", "zoo.CustomKey", "T-123456"),
        ("zoo.Cage.1,7", "zoo.Cage", (1, 7)),
        ("zoo.Menagerie:name=one", "zoo.Menagerie", 1),
        ("zoo.UniqueCode:menagerie=1,number=2", "zoo.UniqueCode", 2),
        ("zoo.UniqueCode:menagerie_id=1,code=c1", "zoo.UniqueCode", 1),
    ],
)
def test_reference_finds_its_row(
    reader: Reader, named: Inserter, text: str, label: str, key: Key
) -> None:
    table, found = reader.find(Reference.parse(text))
    assert (table.label, found) == (label, key)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("zoo.Menagerie.9", "zoo.Menagerie.9: no such zoo.Menagerie in 'default'.", ""),
        (
            "zoo.Menageries.1",
            "No model 'zoo.Menageries' in this project.",
            "Did you mean zoo.Menagerie",
        ),
        ("zoo.Menagerie.one", "zoo.Menagerie.one: 'one' is no value of id (integer).", ""),
        ("zoo.UuidKey.7", "zoo.UuidKey.7: '7' is no value of key (uuid).", ""),
        ("zoo.DateKey.2001-02-29", "zoo.DateKey.2001-02-29: '2001-02-29' is no value of day", ""),
        ("zoo.Cage.7", "zoo.Cage.7: the key of zoo.Cage has 2 parts.", "zoo.Cage.menagerie,number"),
        ("zoo.Menagerie:nam=x", "zoo.Menagerie:nam=x: zoo.Menagerie has no field 'nam'.", "name"),
        (
            "zoo.UniqueCode:menagerie=1",
            "zoo.UniqueCode:menagerie=1: more than one",
            "zoo.UniqueCode.",
        ),
        ("zoo.Unmanaged.1", "zoo.Unmanaged is unmanaged", "UNMANAGED"),
        (f"zoo.Menagerie.{2**70}", f"zoo.Menagerie.{2**70}: ", ""),
        ("zoo.CustomKey.odd", "zoo.CustomKey.odd: ", ""),
        (f"zoo.FalsyKey.{2**40}", f"zoo.FalsyKey.{2**40}: ", ""),
        ("zoo.CharKey.\udcff", "zoo.CharKey.\udcff: ", ""),
        ("zoo.CharKey.a\x00b", "zoo.CharKey.a\x00b: ", ""),
    ],
)
def test_reference_to_nothing_says_what_is_missing(
    reader: Reader, named: Inserter, text: str, message: str, hint: str
) -> None:
    with pytest.raises(NotFound) as caught:
        reader.find(Reference.parse(text))
    assert caught.value.message.startswith(message)
    assert hint in caught.value.hint
    # The transaction is as good as before.
    assert reader.find(Reference.parse("zoo.Menagerie.1"))[1] == 1


# Rows ---------------------------------------------------------------------------------------------


def test_rows_come_in_batches_ordered_by_key(reader: Reader, inserter: Inserter) -> None:
    lots = ({"id": n, "menagerie": 1, "value": float(n)} for n in range(1, 5_001))
    inserter.put_many(zoo.Floats, lots, at_once=400)
    table = reader.graph.table("zoo.Floats")
    batches = list(reader.rows(table, range(1, 5_001)))
    assert [row[0] for batch in batches for row in batch] == list(range(1, 5_001))
    assert max(map(len, batches)) <= 2_000
    assert len(batches) < 12
    assert list(reader.rows(table, [])) == []
    assert [row[0] for batch in reader.rows(table, [7, 9_999]) for row in batch] == [7]


def test_wide_rows_come_few_at_a_time(reader: Reader, inserter: Inserter) -> None:
    width, count = 500_000, 60
    for number in range(1, count + 1):
        inserter.put(zoo.Texts, id=number, menagerie=1, long=f"{number}" + "x" * width)
    table = reader.graph.table("zoo.Texts")
    tracemalloc.start()
    try:
        sizes = [len(batch) for batch in reader.rows(table, range(1, count + 1))]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(sizes) == count
    assert max(sizes[1:]) <= 2_000_000 // width
    # Some rows before their width is known, then about 2 MB at a time.
    assert peak < 15_000_000


def test_more_keys_than_one_batch_are_held_compactly(reader: Reader, inserter: Inserter) -> None:
    count = 2 * reader.batch_keys + 5
    lots = ({"id": n, "menagerie": 1, "value": 0.5} for n in range(1, count + 1))
    inserter.put_many(zoo.Floats, lots, at_once=300)
    relation = reader.graph.relations_by_name["zoo.floats.menagerie"]
    found = reader.pointing(relation, "zoo.menagerie", [1])
    assert sorted(found) == list(range(1, count + 1))  # type: ignore[type-var]


@pytest.mark.skipif(
    connections["default"].vendor != "sqlite", reason="only SQLite holds any value in any column"
)
def test_row_that_cannot_be_read_is_named(reader: Reader, inserter: Inserter) -> None:
    for number in range(1, 20):
        inserter.put(zoo.Moments, id=number, menagerie=1, day=date(2000, 1, number))
    with reader.connection.cursor() as cursor:
        cursor.execute("UPDATE zoo_moments SET day = '2000-02-31' WHERE id = 13")
    with pytest.raises(RowUnreadable, match=r"^zoo\.Moments\.13 cannot be read: "):
        list(reader.rows(reader.graph.table("zoo.Moments"), range(1, 20)))
    with reader.connection.cursor() as cursor:
        cursor.execute("UPDATE zoo_moments SET day = 'infinity' WHERE id = 13")
    with pytest.raises(RowUnreadable, match=r"zoo\.Moments\.13"):
        list(reader.rows(reader.graph.table("zoo.Moments"), range(1, 20)))


def test_json_is_read_as_its_text(reader: Reader, inserter: Inserter) -> None:
    inserter.put(zoo.Documents, id=1, menagerie=1, document=rows.JSON_NULL, exact=None)
    table = reader.graph.table("zoo.Documents")
    (row,) = reader.rows_of(table, [1])
    named = dict(zip((c.name for c in table.columns), row, strict=True))
    assert (named["document"], named["required"], named["exact"]) == ("null", "{}", None)


def test_nothing_is_asked_of_managers_and_instances(reader: Reader, inserter: Inserter) -> None:
    inserter.put(zoo.Scoped, id=1, menagerie=1, name="out of scope")
    inserter.put(zoo.Untouchable, id=1, menagerie=1, name="never an instance")
    inserter.put(zoo.Pictures, id=1, menagerie=1, picture="no such file")
    for label in ("zoo.Scoped", "zoo.Untouchable", "zoo.Pictures"):
        assert keys_there(reader, label, [1]) == {1}
        assert len(reader.rows_of(reader.graph.table(label), [1])) == 1
