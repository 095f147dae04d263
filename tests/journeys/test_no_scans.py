"""Is a small object in a large database found through indexes alone, whatever is done with it?

Every statement of a plan, an export, an import and a deletion is explained by the database before
it runs; none may read the whole of a table with many rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import connections, models

from tests.journeys import removals
from tests.journeys.trips import export, load, plan
from tests.zoo import models as zoo
from tests.zoo import rows

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)

OTHERS = 100_000
CUSTOMERS = 1_000
FILLED = (zoo.Order, zoo.OrderLine, zoo.Order.tags.through, zoo.NoteByChar)

_NUMBERS = {
    "postgresql": "SELECT n FROM generate_series(1, {0}) n",
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {0})"
    " SELECT n FROM s",
    "mysql": "SELECT seq AS n FROM seq_1_to_{0}",
}


def _fill(using: str) -> None:
    """Other customers' orders with lines and tags, and notes on what nobody exports."""
    tag = zoo.Tag.objects.using(using).create(id=1_000_000, label="others")
    product = zoo.Product.objects.using(using).create(id=1_000_000, code="others", price=1)
    start = 1_000_000
    zoo.Customer.objects.using(using).bulk_create(
        zoo.Customer(id=start + n, name=f"other {n}") for n in range(CUSTOMERS)
    )
    kinds = [
        ContentType.objects.db_manager(using).get_for_model(model).pk
        for model in apps.get_app_config("zoo").get_models()
        if model not in (*FILLED, zoo.Customer, zoo.Tag, zoo.Product)
    ]
    kind = (
        "CASE n % 20 " + " ".join(f"WHEN {n} THEN {k}" for n, k in enumerate(kinds[:20])) + " END"
    )
    _insert(using, zoo.Order, id=f"{start} + n", customer=f"{start} + n % {CUSTOMERS}")
    _insert(using, zoo.OrderLine, id=f"{start} + n", order=f"{start} + n", product=product.pk)
    _insert(using, zoo.Order.tags.through, id=f"{start} + n", order=f"{start} + n", tag=tag.pk)
    _insert(using, zoo.NoteByChar, id=f"{start} + n", content_type=kind, object_id="n")
    with connections[using].cursor() as cursor:
        for model in (*FILLED, zoo.Customer, zoo.Tag, zoo.Product):
            table = connections[using].ops.quote_name(model._meta.db_table)
            if connections[using].vendor == "postgresql":
                cursor.execute(f"ANALYZE {table}")
            elif connections[using].vendor == "mysql":
                cursor.execute(f"ANALYZE TABLE {table}")
                cursor.fetchall()
        if connections[using].vendor == "sqlite":
            cursor.execute("ANALYZE")


def _insert(using: str, model: type[models.Model], **values: object) -> None:
    connection = connections[using]
    text = "CAST(n AS char)" if connection.vendor == "mysql" else "CAST(n AS text)"
    names, expressions = [], []
    for column in model._meta.concrete_fields:
        names.append(connection.ops.quote_name(column.column))
        value = values.get(column.name)
        if value is None:
            value = {"DateTimeField": "'2024-01-01 00:00:00'", "CharField": "'x'"}.get(
                column.get_internal_type(), "1"
            )
        expressions.append(text if column.name == "object_id" else str(value))
    numbers = _NUMBERS[connection.vendor].format(OTHERS)
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(names)})"
            f" SELECT {', '.join(expressions)} FROM ({numbers}) numbers"
        )


# What the databases say of a statement ------------------------------------------------------------


def _scanned_on_postgresql(cursor: Any, sql: str, parameters: Any) -> Iterator[str]:
    cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", parameters)
    (found,) = cursor.fetchone()
    nodes = [entry["Plan"] for entry in (json.loads(found) if isinstance(found, str) else found)]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node["Node Type"] == "Seq Scan":
            yield node["Relation Name"]


def _scanned_on_sqlite(cursor: Any, sql: str, parameters: Any) -> Iterator[str]:
    cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
    for *_, detail in cursor.fetchall():
        if detail.startswith("SCAN "):
            yield detail.split()[1]


def _scanned_on_mariadb(cursor: Any, sql: str, parameters: Any) -> Iterator[str]:
    cursor.execute(f"EXPLAIN {sql}", parameters)
    for row in cursor.fetchall():
        named = dict(zip([column[0] for column in cursor.description], row, strict=True))
        if named["type"] in ("ALL", "index"):
            yield str(named["table"])


_SCANNED = {
    "postgresql": _scanned_on_postgresql,
    "sqlite": _scanned_on_sqlite,
    "mysql": _scanned_on_mariadb,
}

# A look that ends after a thousand rows, and Django's at a table's columns.
_FEW_ROWS = re.compile(
    r"^SELECT count\(\*\) FROM \(SELECT 1 .* LIMIT 1001\)|^SELECT \* .* LIMIT 1$"
)


@dataclass
class Explainer:
    """Looks at every statement, and notes those that read a large table from end to end."""

    statements: int = 0
    scans: list[str] = field(default_factory=list)
    # Several sessions may read at once.
    asking: set[int] = field(default_factory=set)

    def __call__(
        self, execute: Callable[..., Any], sql: Any, parameters: Any, many: bool, context: Any
    ) -> Any:
        # MariaDB's driver takes bytes as well, and rows are put in so.
        told = sql if isinstance(sql, str) else sql[:20].decode(errors="replace")
        words = told.lstrip("( ").split(None, 1)
        session = id(context["connection"])
        asks = words and words[0] in ("SELECT", "WITH", "DELETE", "UPDATE")
        if asks and session not in self.asking:
            self.asking.add(session)
            try:
                self._look(context["connection"], sql, parameters[0] if many else parameters)
            finally:
                self.asking.remove(session)
        return execute(sql, parameters, many, context)

    def _look(self, connection: Any, sql: str, parameters: Any) -> None:
        large = {model._meta.db_table for model in FILLED}
        self.statements += 1
        if _FEW_ROWS.search(sql):
            return
        with connection.cursor() as cursor:
            for table in _SCANNED[connection.vendor](cursor, sql, parameters):
                if table in large:
                    self.scans.append(f"{table}: {sql[:300]}")


@contextmanager
def explained() -> Iterator[dict[str, Explainer]]:
    with ExitStack() as stack:
        explainers = {name: Explainer() for name in ("default", "target")}
        for name, explainer in explainers.items():
            stack.enter_context(connections[name].execute_wrapper(explainer))
        yield explainers


# A table of few content types may be read as a whole where no index knows the object as well: the
# filler's notes are on many.
def test_no_large_table_is_read_from_end_to_end(tmp_path: Path) -> None:
    customer = rows.bulk("default", 1_000)
    _fill("default")
    _fill("target")
    archive = str(tmp_path / "customer.jsonl")
    with explained() as found:
        assert plan(customer).row_count > 900
        export(customer, archive)
        load(archive, new_keys=True)
        load(archive)
        gone = str(tmp_path / "gone.jsonl")
        removals.delete(customer, archive=gone)
        load(gone, database="default")
    assert found["default"].statements > 50
    assert found["target"].statements > 20
    assert [*found["default"].scans, *found["target"].scans] == []
