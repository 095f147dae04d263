"""Do two databases hold the same rows?

Reads tables with SQL of its own: no manager, no converter of Django's and no line of Gestore stands
between the rows and what is compared. The values of SQLite, PostgreSQL and MariaDB are brought to
one form, so that dumps of the same rows are equal whichever database they lie in.
"""

import json
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

# One row: (column, value) pairs in the order of the model's fields.
Row = tuple[tuple[str, Any], ...]
Dump = dict[str, dict[str, Row]]

VAST = Context(prec=200)


def dump(using: str, models: Iterable[type[models.Model]] | None = None) -> Dump:
    """Every row of every table of `models`, as {model label: {key: row}}.

    Without `models`: of the zoo's apps, many-to-many tables included. Content types and permissions
    have other numbers in every database, so pointers to them are shown by name.
    """
    connection = connections[using]
    names = _Names(connection)
    return {
        model._meta.label: _rows(connection, model, names)
        for model in (zoo_models(using) if models is None else models)
    }


def zoo_models(using: str) -> list[type[models.Model]]:
    """The zoo's models that have a table in this database."""
    connection = connections[using]
    return [
        model
        for label in ("zoo", "zoo_postgres")
        if apps.is_installed(f"tests.{label}")
        for model in apps.get_app_config(label).get_models(include_auto_created=True)
        if not model._meta.proxy and model._meta.can_migrate(connection)
    ]


def difference(first: Dump, second: Dump) -> list[str]:
    """What differs, a line for each row or column; nothing when the dumps are equal."""
    lines = []
    for label in sorted(first.keys() | second.keys()):
        first_rows, second_rows = first.get(label, {}), second.get(label, {})
        for key in sorted(first_rows.keys() | second_rows.keys()):
            if key not in second_rows:
                lines.append(f"{label} {key}: only in the first")
            elif key not in first_rows:
                lines.append(f"{label} {key}: only in the second")
            else:
                lines += _column_differences(f"{label} {key}", first_rows[key], second_rows[key])
    return lines


def _column_differences(row: str, first: Row, second: Row) -> list[str]:
    first_values, second_values = dict(first), dict(second)
    return [
        f"{row} {name}: {first_values.get(name)!r} != {second_values.get(name)!r}"
        for name in first_values | second_values
        if first_values.get(name, ...) != second_values.get(name, ...)
    ]


def _rows(
    connection: BaseDatabaseWrapper, model: type[models.Model], names: "_Names"
) -> dict[str, Row]:
    fields = model._meta.local_concrete_fields
    quote = connection.ops.quote_name
    columns = ", ".join(_column_sql(connection, field) for field in fields)
    readers = [_reader(connection, field, names) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {quote(model._meta.db_table)}")
        found = cursor.fetchall()
    attnames = [field.attname for field in fields]
    key_positions = [attnames.index(field.attname) for field in _key_fields(model)]
    rows: dict[str, Row] = {}
    for raw in found:
        values = [
            None if value is None else read(value) for read, value in zip(readers, raw, strict=True)
        ]
        key = ",".join(str(values[position]) for position in key_positions)
        rows[key] = tuple(zip(attnames, values, strict=True))
    return rows


def _key_fields(model: type[models.Model]) -> list[models.Field]:
    return list(getattr(model._meta, "pk_fields", [model._meta.pk]))


# What PostgreSQL shows as text, because its driver reads it in ways of its own: it refuses
# infinite moments, and reads JSON `null` and SQL NULL alike.
SHOWN_AS_TEXT = {"DateField", "JSONField", "TimeField", "GenericIPAddressField"}


def _column_sql(connection: BaseDatabaseWrapper, field: models.Field) -> str:
    column = connection.ops.quote_name(field.column)
    if connection.vendor != "postgresql":
        return column
    kind = _pointed_at(field).get_internal_type()
    if kind == "DateTimeField":
        return f"({column} AT TIME ZONE '{connection.timezone_name}')::text"
    if kind in SHOWN_AS_TEXT:
        return f"{column}::text"
    return column


def _pointed_at(field: models.Field) -> models.Field:
    """The field whose values a foreign key holds, however many keys lie between."""
    while field.remote_field is not None and hasattr(field, "target_field"):
        field = field.target_field
    if isinstance(field, models.GeneratedField):
        return field.output_field
    return field


def _reader(
    connection: BaseDatabaseWrapper, field: models.Field, names: "_Names"
) -> Callable[[Any], Any]:
    target = _pointed_at(field)
    if field.remote_field is not None and target.model is ContentType:
        return names.content_type
    if field.remote_field is not None and target.model is Permission:
        return names.permission
    kind = target.get_internal_type()
    if kind == "DecimalField":
        return partial(_decimal, places=target.decimal_places)
    if kind == "DateTimeField":
        return partial(_moment, zone=connection.timezone)
    return READERS.get(kind, _plain)


def _decimal(value: Any, places: int) -> Decimal | str:
    # SQLite holds decimals as floats of 15 digits. NaN equals nothing, its name does.
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        return str(number)
    return number.quantize(Decimal(1).scaleb(-places), context=VAST)


def _moment(value: Any, zone: ZoneInfo | None) -> datetime | str:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value  # infinity, or before the year 1
    if not settings.USE_TZ:
        return value
    return value.replace(tzinfo=value.tzinfo or zone).astimezone(UTC)


def _day(value: Any) -> date | str:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _hour(value: Any) -> time:
    if isinstance(value, timedelta):
        return (datetime.min + value).time()
    return time.fromisoformat(value) if isinstance(value, str) else value


def _lasting(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(microseconds=value)


def _document(value: Any) -> tuple[str, str]:
    # Marked, so that JSON `null` is not SQL NULL, and as text, so that 1, 1.0 and true differ.
    return ("json", json.dumps(json.loads(value), sort_keys=True, ensure_ascii=False))


def _plain(value: Any) -> Any:
    """Values of kinds that only PostgreSQL has among them: arrays, ranges, hstore."""
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if isinstance(value, list):
        return tuple(_plain(item) for item in value)
    if isinstance(value, dict):
        return ("hstore", tuple(sorted(value.items())))
    if isinstance(value, Decimal) and value.is_nan():
        return "NaN"
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if hasattr(value, "isempty"):
        ends = "empty" if value.isempty else (_plain(value.lower), _plain(value.upper))
        return ("range", ends, "" if value.isempty else value.bounds)
    return value


READERS: dict[str, Callable[[Any], Any]] = {
    "BinaryField": bytes,
    "BooleanField": bool,
    "DateField": _day,
    "DurationField": _lasting,
    # As text: NaN equals nothing, its name does.
    "FloatField": lambda value: repr(float(value)),
    # PostgreSQL shows the mask, of which Django has none.
    "GenericIPAddressField": lambda value: value.partition("/")[0],
    "JSONField": _document,
    "TimeField": _hour,
    "UUIDField": lambda value: uuid.UUID(str(value)),
}


class _Names:
    """The names of content types and permissions, by their numbers in one database."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._content_types: dict[int, str] | None = None
        self._permissions: dict[int, str] | None = None

    def content_type(self, key: int) -> str:
        if self._content_types is None:
            self._content_types = {
                key: f"{app_label}.{model}"
                for key, app_label, model in self._read(
                    "SELECT id, app_label, model FROM django_content_type"
                )
            }
        return self._content_types.get(key, f"no content type {key}")

    def permission(self, key: int) -> str:
        if self._permissions is None:
            self._permissions = {
                key: f"{self.content_type(content_type)}.{codename}"
                for key, content_type, codename in self._read(
                    "SELECT id, content_type_id, codename FROM auth_permission"
                )
            }
        return self._permissions.get(key, f"no permission {key}")

    def _read(self, sql: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()
