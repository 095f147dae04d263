"""How does a database become empty again, quickly?

Django's `flush` empties every table there is and then makes content types and permissions anew:
seconds on a server. Here only the tables that hold rows are asked to let go of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sites.models import Site
from django.core.management.color import no_style
from django.db import connections, models, transaction

from tests.zoo.models import SmallKey

# What `migrate` itself puts into every database.
KEPT = (ContentType, Permission, Site)


@contextmanager
def emptied(*aliases: str) -> Iterator[None]:
    """Inside, rows may be put into these databases; afterwards they are as they were."""
    before = {alias: _content_types(alias) for alias in aliases}
    try:
        yield
    finally:
        for alias in aliases:
            empty(alias)
            _restore_content_types(alias, before[alias])


def empty(using: str) -> None:
    """Removes every row, but for those that `migrate` put there."""
    connection = connections[using]
    tables = _tables_with_rows(using)
    with (
        connection.constraint_checks_disabled(),
        transaction.atomic(using),
        connection.cursor() as cursor,
    ):
        for table in tables:
            cursor.execute(f"DELETE FROM {table}")
    _start_small_keys_again(using)


def _start_small_keys_again(using: str) -> None:
    """A test takes the last of them: the database would count on from there."""
    connection = connections[using]
    if connection.vendor == "sqlite":
        return
    place = [{"table": SmallKey._meta.db_table, "column": SmallKey._meta.pk.column}]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_by_name_sql(no_style(), place):
            cursor.execute(statement)


def _tables_with_rows(using: str) -> list[str]:
    tables = [_quoted(using, model) for model in _models(using)]
    asked = " UNION ALL ".join(
        f"SELECT {place} WHERE EXISTS (SELECT 1 FROM {table})" for place, table in enumerate(tables)
    )
    with connections[using].cursor() as cursor:
        cursor.execute(asked)
        return [tables[place] for (place,) in cursor.fetchall()]


def _models(using: str) -> list[type[models.Model]]:
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model not in KEPT
        and model._meta.managed
        and not model._meta.proxy
        and model._meta.can_migrate(connections[using])
    ]


def _quoted(using: str, model: type[models.Model]) -> str:
    return connections[using].ops.quote_name(model._meta.db_table)


def _content_types(using: str) -> dict[int, tuple[str, str]]:
    rows = ContentType.objects.using(using).values_list("pk", "app_label", "model")
    return {key: (app_label, model) for key, app_label, model in rows}


def _restore_content_types(using: str, before: dict[int, tuple[str, str]]) -> None:
    """A test may add one, or give some of them other numbers."""
    ContentType.objects.clear_cache()
    if _content_types(using) == before:
        return
    with connections[using].constraint_checks_disabled(), transaction.atomic(using):
        ContentType.objects.using(using).exclude(pk__in=before)._raw_delete(using)
    if _content_types(using) != before:
        raise AssertionError(f"A test changed the content types of {using!r}, and left them so.")
