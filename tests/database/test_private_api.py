"""Does what we use of Django, and Django does not promise, still do what we rely on?

A failing test here says which of our lines a new Django breaks, before anything else does.
"""

from __future__ import annotations

import inspect
from collections import deque

import pytest
from django.db import connections, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.expressions import Col
from django.db.models.fields.related import ForeignObject

from gestore.database.migrations import last_migrations, migration_state
from tests.zoo import models as zoo

pytestmark = pytest.mark.django_db


def test_columns_have_converters_of_the_backend_and_of_the_field() -> None:
    """`select.Reader` makes values of what comes out of the database as the compiler does."""
    connection = connections["default"]
    for field in (
        zoo.Moments._meta.get_field("moment"),
        zoo.Identifiers._meta.get_field("token"),
        zoo.Priced._meta.get_field("price"),
        zoo.Decimals._meta.get_field("price"),
    ):
        expression = field.get_col("some_table")
        assert isinstance(expression, Col)
        converters = [
            *connection.ops.get_db_converters(expression),
            *expression.get_db_converters(connection),
        ]
        for converter in converters:
            assert len(inspect.signature(converter).parameters) == 3
            assert converter(None, expression, connection) is None
    price = zoo.Priced._meta.get_field("price")
    assert price.from_db_value in price.get_col("t").get_db_converters(connection)


def test_fields_prepare_values_for_the_database() -> None:
    connection = connections["default"]
    token = zoo.Identifiers._meta.get_field("token")
    for field in (token, zoo.Moments._meta.get_field("day"), zoo.Secrets._meta.get_field("note")):
        assert field.get_db_prep_save(None, connection) is None
        assert field.rel_db_type(connection)


def test_names_are_quoted_once() -> None:
    ops = connections["default"].ops
    quoted = ops.quote_name('a "name')
    assert ops.quote_name(ops.quote_name("plain")) == ops.quote_name("plain")
    assert quoted != 'a "name'


def test_models_say_what_the_graph_asks() -> None:
    meta = zoo.Duck._meta
    assert set(meta.parents) == {zoo.Swimmer, zoo.Flyer}
    assert all(link.remote_field.parent_link for link in meta.parents.values())
    assert zoo.ClassicKeeper._meta.swapped == "zoo.ModernKeeper"
    assert [field.name for field in zoo.Cage._meta.pk_fields] == ["menagerie", "number"]
    assert zoo.NoteByChar._meta.private_fields[0].ct_field == "content_type"
    assert zoo.NoteByChar._meta.private_fields[0].fk_field == "object_id"
    assert zoo.Generated._meta.get_field("area").generated
    assert zoo.DatabaseDefaults._meta.get_field("code").has_db_default()
    pointer = zoo.CagePlate._meta.get_field("cage")
    assert isinstance(pointer, ForeignObject)
    assert [f.name for f in pointer.local_related_fields] == ["menagerie", "cage_number"]
    assert [f.name for f in pointer.foreign_related_fields] == ["menagerie", "number"]
    club = zoo.Club._meta.get_field("members")
    assert (club.m2m_field_name(), club.m2m_reverse_field_name()) == ("club", "animal")
    assert zoo.Tag._meta.label_lower == "zoo.tag"
    assert models.CASCADE.__name__ == "CASCADE"


def test_query_log_can_be_replaced() -> None:
    connection = connections["default"]
    log = connection.queries_log
    try:
        connection.queries_log = deque(maxlen=0)
        connection.force_debug_cursor = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert len(connection.queries_log) == 0
    finally:
        connection.force_debug_cursor = False
        connection.queries_log = log


def test_migrations_are_recorded_as_we_read_them() -> None:
    connection = connections["default"]
    recorder = MigrationRecorder(connection)
    assert recorder.has_table()
    recorded = recorder.migration_qs.filter(app="zoo").values_list("app", "name")
    assert list(recorded) == [("zoo", "0001_initial")]
    last = last_migrations(connection)
    assert last["zoo"] == "0001_initial"
    assert last["auth"].startswith("0012")
    executor = MigrationExecutor(connection)
    assert executor.migration_plan(executor.loader.graph.leaf_nodes()) == []


def test_state_of_the_migrations() -> None:
    connection = connections["default"]
    state = migration_state(connection)
    assert state.unapplied == ()
    assert ("zoo", "0001_initial") in state.known
    assert state.last == last_migrations(connection)
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("auth", "0012_alter_user_first_name_max_length")
    state = migration_state(connection)
    assert "auth.0012_alter_user_first_name_max_length" in state.unapplied
    assert state.last["auth"].startswith("0011")


def test_integer_fields_know_their_range() -> None:
    ops = connections["default"].ops
    for field in ("AutoField", "BigAutoField", "SmallAutoField", "IntegerField"):
        low, high = ops.integer_field_range(field)
        # SQLite says that it has none.
        assert (low is None) == (high is None) or low is not None
