"""What does a database tell of rows that changed, and is the proof's question exact?"""

import os
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.db.models import QuerySet

from gestore.database import postgresql
from gestore.database.delete import Remover
from gestore.database.dialects import dialect_of
from gestore.database.select import Reader
from gestore.schema.introspect import build_graph
from gestore.schema.table import Kind
from gestore.walk.keys import KeySet, empty_keys
from tests.zoo import models as zoo
from tests.zoo.inserting import inserting

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reader() -> Reader:
    return Reader(connection, build_graph())


def test_digest_tells_every_change_of_a_row(reader: Reader, vendor: str) -> None:
    if vendor != "mysql":
        pytest.skip("the others tell without reading rows")
    remover = Remover(connection, reader)
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        row = inserter.put(zoo.Binaries, menagerie=home, data=b"")
        inserter.put(zoo.Binaries, menagerie=home, data=b"of another")
    table = reader.graph.table(zoo.Binaries._meta.label)

    def digest(*keys: Any) -> bytes:
        return remover.digests(table, table.columns, list(keys), locked=True)

    seen = set()
    with transaction.atomic():
        for data in (b"", b"-", b"0:", b"1:-", b"\x00", b"\x00\x00", b"\xff", b"3:a-b"):
            QuerySet(zoo.Binaries).filter(pk=row.key).update(data=data)
            assert digest(row.key) == digest(row.key) != b""
            seen.add(digest(row.key))
        assert len(seen) == 8
        # One that is not there has none, and neither have both.
        assert digest(row.key, row.key + 1) not in (b"", digest(row.key))
        assert digest(row.key, row.key + 2) == b""


def test_digest_of_keys_alone_tells_every_change(reader: Reader, vendor: str) -> None:
    if vendor != "mysql":
        pytest.skip("the others tell without reading rows")
    remover = Remover(connection, reader)
    with inserting("default") as inserter:
        homes = [inserter.put(zoo.Menagerie, name=name).key for name in ("one", "other")]
        row = inserter.put(zoo.Identifiers, menagerie=homes[0])
    table = reader.graph.table(zoo.Identifiers._meta.label)
    columns = [c for c in table.columns if c.kind in (Kind.INTEGER, Kind.UUID)]
    seen = set()
    with transaction.atomic():
        for home in homes:
            for token in (None, UUID(int=0), UUID(int=1)):
                QuerySet(zoo.Identifiers).filter(pk=row.key).update(menagerie=home, token=token)
                seen.add(remover.digests(table, columns, [row.key], locked=True))
    assert len(seen) == 6 and b"" not in seen


@pytest.mark.parametrize("count", [1, 3_000])
def test_any_row_that_points_is_found(reader: Reader, count: int) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        kind = inserter.content_type(zoo.Menagerie)
        other = inserter.content_type(zoo.Team)
        texts = [inserter.put(zoo.NoteByText, text="", content_type=other, object_id="1")]
    keys = [*range(home.key, home.key + count)]
    relations = {
        relation.name: relation
        for relation in reader.graph.pointing_at("zoo.menagerie")
        if relation.name in ("zoo.NoteByText.target", "zoo.Team.menagerie")
    }
    assert len(relations) == 2
    for relation in relations.values():
        assert not reader.is_pointed_at(relation, "zoo.menagerie", keys)
    with inserting("default") as inserter:
        texts.append(
            inserter.put(zoo.NoteByText, text="", content_type=kind, object_id=str(home.key))
        )
        inserter.put(zoo.Team, menagerie=home, name="team")
    # What it kept of content types is of the moment at which it first asked.
    again = Reader(connection, reader.graph)
    for relation in relations.values():
        assert again.is_pointed_at(relation, "zoo.menagerie", keys)
        assert not again.is_pointed_at(relation, "zoo.menagerie", [key + count for key in keys])


# Keys in a table ----------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, vendor: str) -> None:
    """Five keys are two tables of them."""
    if vendor != "postgresql":
        pytest.skip("only PostgreSQL has tables of keys")
    monkeypatch.setattr(postgresql.PostgreSQLDialect, "lot_keys", 2)
    monkeypatch.setattr(postgresql, "_TABLE_LOTS", 2)


def keys_of(reader: Reader, label: str, keys: list[Any]) -> KeySet:
    found = empty_keys(reader.graph.table(label))
    found.add(keys)
    return found


@pytest.mark.skipif(connection.vendor != "mysql", reason="the others show everybody's triggers")
def test_who_is_shown_no_triggers_takes_it_that_there_are_some(reader: Reader) -> None:
    table = reader.graph.table("zoo.Menagerie")
    assert not reader.dialect.has_triggers([table])
    host, database = "@'%'", connection.settings_dict["NAME"]
    user = f"few_{database}"[:32]
    with connection.cursor() as cursor:
        cursor.execute(f"DROP USER IF EXISTS {user}{host}")
        cursor.execute(f"CREATE USER {user}{host} IDENTIFIED BY 'few'")
        cursor.execute(f"GRANT SELECT ON `{database}`.* TO {user}{host}")
    other = connection.copy()
    other.settings_dict |= {"USER": user, "PASSWORD": "few"}
    try:
        assert dialect_of(other).has_triggers([table])
        with connection.cursor() as cursor:
            cursor.execute(f"GRANT TRIGGER ON `{database}`.* TO {user}{host}")
        assert not dialect_of(other).has_triggers([table])
    finally:
        other.close()
        with connection.cursor() as cursor:
            cursor.execute(f"DROP USER {user}{host}")


@pytest.mark.usefixtures("few")
def test_rows_go_by_tables_of_keys(reader: Reader) -> None:
    with inserting("default") as inserter:
        homes = [inserter.put(zoo.Menagerie, name=str(n)).key for n in range(7)]
    table, remover = reader.graph.table("zoo.Menagerie"), Remover(connection, reader)
    with transaction.atomic():
        going = keys_of(reader, "zoo.Menagerie", homes[1:6])
        held = [*remover.dialect.key_tables(table.key_columns[0], going)]
        assert [len(keys) for keys in held] == [4, 1]
        assert reader.count(table, table.key_names, held[0]) == 4
        assert [remover.delete(table, keys) for keys in held] == [4, 1]
        assert reader.count(table, table.key_names, held[0]) == 0
    assert sorted(zoo.Menagerie.objects.values_list("pk", flat=True)) == [homes[0], homes[6]]
    # They were the transaction's own.
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'gestore_keys_%%'", [])
        assert cursor.fetchone() == (0,)
        few_keys = keys_of(reader, "zoo.Menagerie", homes[:2])
        assert [*remover.dialect.key_tables(table.key_columns[0], few_keys)] == []


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("note", "label", "form"),
    [
        ("NoteByText", "zoo.NamedKey", str),
        ("NoteByInteger", "zoo.NamedKey", int),
        ("NoteByChar", "zoo.UuidKey", str),
        ("NoteByChar", "zoo.UuidKey", lambda key: key.hex),
        ("NoteByUuid", "zoo.UuidKey", lambda key: key),
        # A column that can hold no such key.
        ("NoteByInteger", "zoo.UuidKey", None),
    ],
)
def test_pointers_at_tables_of_keys_are_found(
    reader: Reader, note: str, label: str, form: Any
) -> None:
    of, table = apps.get_model("zoo", note), reader.graph.table(label)
    model = apps.get_model(label)
    relation = reader.graph.relations_by_name[f"zoo.{note.lower()}.target"]
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        keys = [inserter.put(model, menagerie=home, name=str(n)).key for n in range(5)]
        kinds = [inserter.content_type(each) for each in (model, zoo.Menagerie)]
        # Somebody else's, and what only looks like one of ours.
        inserter.put(of, text="", content_type=kinds[1], object_id=form and form(keys[0]))
    going = keys_of(reader, label, keys[1:])
    with transaction.atomic():
        first, *_ = reader.dialect.key_tables(table.key_columns[0], going)
        assert not Reader(connection, reader.graph).is_pointed_at(relation, table.name, first)
        if form is not None:
            with inserting("default") as inserter:
                inserter.put(of, text="", content_type=kinds[0], object_id=form(keys[0]))
                assert not reader.is_pointed_at(relation, table.name, first)
                key = sorted(keys[1:])[0]
                inserter.put(of, text="", content_type=kinds[0], object_id=form(key))
            assert Reader(connection, reader.graph).is_pointed_at(relation, table.name, first)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("own", "wanted"), [("1MB", "48MB"), ("96MB", "96MB")])
def test_all_keys_have_room_in_memory(reader: Reader, own: str, wanted: str) -> None:
    table = reader.graph.table("zoo.Menagerie")
    going = keys_of(reader, "zoo.Menagerie", [*range(5)])

    def work_mem() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW work_mem")
            (found,) = cursor.fetchone()
        return str(found)

    before = work_mem()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL maintenance_work_mem = '48MB'")
            cursor.execute(f"SET LOCAL work_mem = '{own}'")
        assert [*reader.dialect.key_tables(table.key_columns[0], going)]
        assert work_mem() == wanted
    assert work_mem() == before


@pytest.mark.usefixtures("few")
def test_who_may_make_no_tables_has_lots(reader: Reader) -> None:
    table = reader.graph.table("zoo.Menagerie")
    going = keys_of(reader, "zoo.Menagerie", [*range(5)])
    role = f"gestore_poor_{os.getpid()}"
    with transaction.atomic(), connection.cursor() as cursor:
        database = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC")
        cursor.execute(f"CREATE ROLE {role}")
        cursor.execute(f"SET LOCAL ROLE {role}")
        assert [*reader.dialect.key_tables(table.key_columns[0], going)] == []
        transaction.set_rollback(True)
