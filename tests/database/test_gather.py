"""Do lots of packed keys say what rows read one by one say, and what leaves the fast way?"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connections

from gestore.database import gather, packing
from gestore.database.gather import packed_texts
from gestore.database.select import Reader
from gestore.rows import Key, Value
from gestore.schema.graph import Graph
from gestore.schema.introspect import build_graph
from gestore.schema.relation import Relation
from gestore.walk.keys import PackedUUIDs, empty_keys
from gestore.walk.source import Lot
from tests.zoo import models as zoo
from tests.zoo import rows
from tests.zoo.inserting import inserting

from .test_select import _rows_by_key

pytestmark = pytest.mark.django_db(transaction=True)

ON_POSTGRESQL = pytest.mark.skipif(
    connections["default"].vendor != "postgresql", reason="only PostgreSQL packs"
)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return build_graph()


def reader(graph: Graph, *, is_still: bool = True) -> Reader:
    return Reader(connections["default"], graph, is_still=is_still)


def one_by_one(asked: Reader, relation: Relation, target: str, keys: Sequence[Key]) -> set[Key]:
    return {*asked.pointing(relation, target, keys)}


def along(graph: Graph, name: str) -> list[Relation]:
    return [relation for relation in graph.pointing_from(name) if not relation.is_generic]


def told(lots: Sequence[Lot]) -> tuple[set[Key], dict[str, set[Value]]]:
    keys = [key for lot in lots for key in lot.keys]
    assert len(keys) == len(set(keys))
    pointers: dict[str, set[Value]] = {}
    for lot in lots:
        assert lot.pointers is not None
        for name, values in lot.pointers.items():
            pointers.setdefault(name, set()).update(values)
    return set(keys), pointers


def packed_or_not(graph: Graph, name: str, keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    yield keys
    together = empty_keys(graph.tables[name])
    together.take(keys)
    yield from together.packed(100_000)


def _as_it_is(patch: pytest.MonkeyPatch) -> None:
    pass


def _answers_too_long(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gather, "PACKED_ROWS", 1)
    patch.setattr(gather, "_FETCHED_ROWS", 2)


def _nothing_is_packed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gather.Gathering, "_can_be_packed", lambda *_: False)


@pytest.mark.parametrize("way", [_as_it_is, _answers_too_long, _nothing_is_packed])
@pytest.mark.parametrize("is_still", [True, False])
def test_lots_say_what_rows_say(
    graph: Graph,
    way: Callable[[pytest.MonkeyPatch], None],
    is_still: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows.populate("default", menageries=2, dangling=True, blockers=True, loans=True, chain=5)
    way(monkeypatch)
    plain, asked = reader(graph, is_still=False), reader(graph, is_still=is_still)
    held = {table.name: list(_rows_by_key(plain, table)) for table in graph.tables.values()}
    lots_seen = 0
    for relation in graph.relations:
        targets = [relation.target] if not relation.is_generic else list(graph.tables)
        for target in targets:
            is_odd = relation.is_generic and len(graph.tables[target].key_names) > 1
            if not held[target] or is_odd:
                continue
            expected = one_by_one(plain, relation, target, held[target])
            for keys in packed_or_not(graph, target, held[target]):
                wanted = along(graph, relation.source)
                lots = [*asked.arriving(relation, target, keys, wanted)]
                lots_seen += len(lots)
                found, pointers = told(lots)
                assert found == expected, relation.name
                for one in wanted if expected else ():
                    values = set(plain.pointed(one, list(expected)))
                    assert pointers.get(one.name, set()) == values, one.name
    assert lots_seen > 100
    for name, there in held.items():
        if there:
            for keys in packed_or_not(graph, name, there):
                found, pointers = told([*asked.standing(name, keys, along(graph, name))])
                assert found == set(there)
                assert pointers == {
                    one.name: set(plain.pointed(one, there)) for one in along(graph, name)
                }


def test_more_rows_than_may_be_held_come_as_keys_alone(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.populate("default", menageries=2)
    asked = reader(graph)
    monkeypatch.setattr(gather, "_HELD_ROWS", 1)
    monkeypatch.setattr(gather, "_FETCHED_ROWS", 1)
    monkeypatch.setattr(gather.Gathering, "_can_be_packed", lambda *_: False)
    monkeypatch.setattr(asked.dialect, "can_interleave", False, raising=False)
    relation = graph.relations_by_name["zoo.animal.enclosure"]
    held = list(_rows_by_key(asked, graph.table("zoo.Enclosure")))
    expected = one_by_one(asked, relation, "zoo.enclosure", held)
    assert len(expected) > 1
    lots = [*asked.arriving(relation, "zoo.enclosure", held, along(graph, "zoo.animal"))]
    assert {key for lot in lots for key in lot.keys} == expected
    assert all(lot.pointers is None for lot in lots)


# Content types ------------------------------------------------------------------------------------


def test_what_others_write_is_seen_unless_all_is_one_moment(graph: Graph) -> None:
    relation = graph.relations_by_name["zoo.notebyinteger.target"]
    keys = [*range(1, 3_000)]
    moving, still = reader(graph, is_still=False), reader(graph)
    for asked in (moving, still):
        assert [*asked.pointing(relation, "zoo.animal", keys)] == []
        assert [*asked.arriving(relation, "zoo.animal", keys, ())] == []
    kind = ContentType.objects.get_for_model(zoo.Animal).pk
    zoo.NoteByInteger.objects.create(id=7, text="new", content_type_id=kind, object_id=2_999)
    # The proof of a deletion asks again, and is to see what came meanwhile.
    assert [*moving.pointing(relation, "zoo.animal", keys)] == [7]
    assert moving.is_pointed_at(relation, "zoo.animal", keys)
    assert told([*moving.arriving(relation, "zoo.animal", keys, ())])[0] == {7}


def test_indexes_are_known(graph: Graph) -> None:
    found = reader(graph).dialect.leading_columns({"zoo_notebychar", "zoo_order"})
    assert ("zoo_notebychar", "content_type_id") in found
    assert ("zoo_order", "customer_id") in found
    assert ("zoo_notebychar", "object_id") not in found
    assert reader(graph).dialect.leading_columns(set()) == set()


# Generic keys in bulk -----------------------------------------------------------------------------


UUIDS = [UUID(int=1), UUID(int=2**127 + 5)]


@pytest.mark.parametrize(
    ("label", "raws", "is_packed"),
    [
        ("zoo.UuidKey", [str(u) for u in UUIDS], True),
        ("zoo.UuidKey", [u.hex for u in UUIDS], True),
        ("zoo.UuidKey", [u.hex.upper() for u in UUIDS], True),
        ("zoo.UuidKey", UUIDS, True),
        ("zoo.UuidKey", [str(UUIDS[0]), UUIDS[1].hex], False),
        ("zoo.UuidKey", [f"{{{UUIDS[0]}}}"], False),
        ("zoo.UuidKey", ["0" * 31 + "g"], False),
        ("zoo.UuidKey", ["0" * 31 + "\u0665"], False),
        ("zoo.UuidKey", ["-" * 4 + "0" * 32], False),
        ("zoo.UuidKey", [f"{str(UUIDS[0])[:-1]}-"], False),
        ("zoo.UuidKey", [f"{str(u)[:-2]} 1" for u in UUIDS], False),
        ("zoo.UuidKey", ["0" * 9 + str(UUIDS[0])[9:], f"{str(UUIDS[1])[:-1]}-"], False),
        ("zoo.UuidKey", [7], False),
        ("zoo.UuidKey", ["g" * 32], False),
        ("zoo.UuidKey", ["0" * 30 + "  ", "1" * 32], False),
        ("zoo.Animal", ["1", "23"], True),
        ("zoo.Animal", [1, 2], True),
        ("zoo.Animal", ["\u0661"], True),
        ("zoo.Animal", ["-1"], False),
        ("zoo.Animal", [" 1 "], False),
        ("zoo.Animal", ["1_0"], False),
        ("zoo.Animal", ["\u00b2"], False),
        ("zoo.Animal", ["9" * 30], False),
        ("zoo.Animal", [True], False),
        ("zoo.Animal", ["one"], False),
        ("zoo.CharKey", ["a", "b"], False),
    ],
)
def test_generic_keys_in_bulk_are_those_one_by_one(
    graph: Graph, label: str, raws: list[Any], is_packed: bool
) -> None:
    table = graph.table(label)
    packed = packed_texts(table.key_columns[0], raws)
    assert (packed is not None) == is_packed
    expected = [table.key_from(raw) for raw in raws]
    assert [*reader(graph).generic_keys(table.name, raws)] == expected


# PostgreSQL's bytes -------------------------------------------------------------------------------


@ON_POSTGRESQL
@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (array("q", [1, -1, 2**63 - 1, -(2**63)]), "bigint", [1, -1, 2**63 - 1, -(2**63)]),
        (array("q"), "bigint", []),
        (PackedUUIDs.of(UUIDS), "uuid", UUIDS),
        (PackedUUIDs(), "uuid", []),
        (packing.Texts(["a", "", "'", '"', "\\", "é\n", "{,}", "NULL"]), "text", None),
        (packing.Texts([]), "text", []),
    ],
)
def test_arrays_arrive_as_they_are(value: Any, kind: str, expected: list[Any] | None) -> None:
    connection = connections["default"]
    parameter = packing.parameter(connection, value)
    if isinstance(value, packing.Texts):
        packing.parameter(connection, array("q"))
        expected = expected if expected is not None else [*value.texts]
    with packing.cursor(connection) as cursor:
        cursor.execute(f"SELECT %s::{kind}[]", [parameter])
        assert sorted(cursor.fetchone()[0]) == sorted(expected or [])
    # Django's own cursor writes parameters into the statement.
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::{kind}[]", [parameter])
        assert sorted(cursor.fetchone()[0]) == sorted(expected or [])


@ON_POSTGRESQL
def test_parameters_of_other_kinds_are_left_alone() -> None:
    connection = connections["default"]
    for value in (1, "a", ["a", "b"], ["a\x00"] * 200, [1] * 200, [None, "a"] * 200):
        assert packing.parameter(connection, value) is value


@ON_POSTGRESQL
def test_packed_answers_are_logged_like_others(
    graph: Graph, django_assert_num_queries: Any
) -> None:
    with inserting("default") as inserter:
        place = inserter.put(zoo.Menagerie, name="of keys")
        inserter.put(zoo.UuidKey, key=UUIDS[0], menagerie=place)
    with django_assert_num_queries(1) as captured:
        (lot,) = reader(graph).standing("zoo.uuidkey", PackedUUIDs.of(UUIDS), [])
    assert [*lot.keys] == UUIDS[:1]
    assert "string_agg(uuid_send" in captured.captured_queries[0]["sql"]
