"""How do rows get into the zoo?

As rows: one INSERT each, through the field's own preparation for the database. No instance is made,
no signal is sent, no `auto_now` overwrites a value.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.core.management.color import no_style
from django.db import connections, models, transaction
from django.db.models.fields import NOT_PROVIDED, AutoFieldMixin


@dataclass(frozen=True)
class Placed:
    """A row that is in the database."""

    model: type[models.Model]
    key: Any

    @property
    def reference(self) -> str:
        """What one would type to name it."""
        key = ",".join(map(str, self.key)) if isinstance(self.key, tuple) else self.key
        return f"{self.model._meta.label}.{key}"


@dataclass(frozen=True)
class Stored:
    """What to hand to the database as it stands, past the field."""

    value: Any


# The JSON document `null`, which is not an empty column.
JSON_NULL = Stored("null")


class Inserter:
    """Puts rows into one database. Integer keys are counted up from those that are there."""

    def __init__(self, using: str) -> None:
        self.using = using
        self.connection = connections[using]
        self._last_keys: dict[type[models.Model], int] = {}
        self._touched: set[type[models.Model]] = set()

    def put(self, model: type[models.Model], **values: Any) -> Placed:
        """Inserts one row. Columns without a value take the field's default."""
        complete = self._complete(model, values)
        with self.connection.cursor() as cursor:
            cursor.execute(*self._insert(model, [complete]))
        return Placed(model, _key(model, complete))

    def put_many(
        self, model: type[models.Model], rows: Iterable[Mapping[str, Any]], at_once: int = 100
    ) -> list[Any]:
        """Inserts rows of the same columns, many with one statement; returns their keys."""
        keys, waiting = [], []
        for values in rows:
            waiting.append(self._complete(model, values))
            keys.append(_key(model, waiting[-1]))
            if len(waiting) == at_once:
                self._send(model, waiting)
                waiting = []
        self._send(model, waiting)
        return keys

    def content_type(self, model: type[models.Model], for_concrete_model: bool = True) -> int:
        """Read from the database each time: the numbers that Django remembers may be outdated."""
        options = (model._meta.concrete_model if for_concrete_model else model)._meta
        found, _ = ContentType.objects.using(self.using).get_or_create(
            app_label=options.app_label, model=options.model_name
        )
        return found.pk

    def reset_sequences(self) -> None:
        """Lets the database's own keys begin above those that were put in."""
        statements = self.connection.ops.sequence_reset_sql(no_style(), list(self._touched))
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def _complete(self, model: type[models.Model], values: Mapping[str, Any]) -> dict[str, Any]:
        """The values by attname, and every column that is to be written among them."""
        complete = {}
        known = set()
        for field in model._meta.local_concrete_fields:
            known |= {field.name, field.attname}
            if field.attname in values:
                value = values[field.attname]
            elif field.name in values:
                value = values[field.name]
            elif field.primary_key and isinstance(field, AutoFieldMixin):
                value = self._next_key(model)
            elif field.generated or field.db_default is not NOT_PROVIDED:
                continue
            else:
                value = field.get_default()
            complete[field.attname] = value.key if isinstance(value, Placed) else value
        if unknown := values.keys() - known:
            raise ValueError(f"{model._meta.label} has no column {', '.join(sorted(unknown))}.")
        return complete

    def _next_key(self, model: type[models.Model]) -> int:
        if model not in self._last_keys:
            quote = self.connection.ops.quote_name
            column, table = quote(model._meta.pk.column), quote(model._meta.db_table)
            with self.connection.cursor() as cursor:
                cursor.execute(f"SELECT MAX({column}) FROM {table}")
                self._last_keys[model] = cursor.fetchone()[0] or 0
        self._last_keys[model] += 1
        return self._last_keys[model]

    def _send(self, model: type[models.Model], rows: list[dict[str, Any]]) -> None:
        if rows:
            with self.connection.cursor() as cursor:
                cursor.execute(*self._insert(model, rows))

    def _insert(
        self, model: type[models.Model], rows: list[dict[str, Any]]
    ) -> tuple[str, list[Any]]:
        self._touched.add(model)
        quote = self.connection.ops.quote_name
        fields = [field for field in model._meta.local_concrete_fields if field.attname in rows[0]]
        columns = ", ".join(quote(field.column) for field in fields)
        # Arrays and ranges are not recognised unless they say what they are.
        places = ", ".join(
            f"%s::{field.db_type(self.connection)}" if hasattr(field, "base_field") else "%s"
            for field in fields
        )
        statement = (
            f"INSERT INTO {quote(model._meta.db_table)} ({columns}) "
            f"VALUES {', '.join([f'({places})'] * len(rows))}"
        )
        return statement, [
            self._prepared(field, row[field.attname]) for row in rows for field in fields
        ]

    def _prepared(self, field: models.Field, value: Any) -> Any:
        if isinstance(value, Stored):
            return value.value
        return field.get_db_prep_save(value, self.connection)


def _key(model: type[models.Model], values: Mapping[str, Any]) -> Any:
    parts = tuple(values[field.attname] for field in model._meta.pk_fields)
    return parts if len(parts) > 1 else parts[0]


@contextmanager
def inserting(using: str) -> Iterator[Inserter]:
    """All rows or none. Circles may be open until the end, except on MariaDB."""
    inserter = Inserter(using)
    with transaction.atomic(using):
        yield inserter
        inserter.reset_sequences()


@contextmanager
def circles_allowed(inserter: Inserter) -> Iterator[None]:
    """MariaDB never defers its checks: there they are switched off for a moment."""
    if inserter.connection.vendor != "mysql":
        yield
        return
    with inserter.connection.constraint_checks_disabled():
        yield
