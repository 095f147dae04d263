"""Which rows here does a conditional or expression unique set against a row?

One question for one row: only rows that the database has refused come here. Asks as Django's own
`UniqueConstraint.validate` does, which says that there is such a row and not which (5.2 to 6.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from django.db.models import F, QuerySet, UniqueConstraint
from django.db.models import Value as Literal
from django.db.models.expressions import OrderBy
from django.db.models.lookups import Exact, IsNull

from ..rows import Key, Value
from ..schema.table import Kind, Table

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


def clashing_keys(
    connection: BaseDatabaseWrapper,
    table: Table,
    constraint: UniqueConstraint,
    values: Mapping[str, Value],
) -> Iterator[Key]:
    """The keys of the rows that the constraint will not have beside these values."""
    literals = {
        name: Literal(value, table.column(name).leaf)
        for name, value in values.items()
        if table.column(name).kind is not Kind.JSON
    }
    if not _applies(constraint, values, connection.alias):
        return
    queryset: QuerySet[Any] = QuerySet(table.model, using=connection.alias)
    for condition in _equalities(constraint, literals):
        queryset = queryset.filter(condition)
    if constraint.condition is not None:
        queryset = queryset.filter(constraint.condition)
    yield from queryset.values_list("pk", flat=True)


def _applies(constraint: UniqueConstraint, values: Mapping[str, Value], alias: str) -> bool:
    """Whether the constraint has anything to say of a row with these values."""
    if constraint.nulls_distinct is not False and any(
        values.get(name) is None for name in constraint.fields
    ):
        return False
    return constraint.condition is None or constraint.condition.check(dict(values), using=alias)


def _equalities(constraint: UniqueConstraint, literals: Mapping[str, Literal]) -> Iterator[Any]:
    for name in constraint.fields:
        literal = literals[name]
        yield IsNull(F(name), True) if literal.value is None else Exact(F(name), literal)  # noqa: FBT003
    replacements: dict[Any, Any] = {F(name): literal for name, literal in literals.items()}
    for expression in constraint.expressions:
        bare: Any = expression.expression if isinstance(expression, OrderBy) else expression
        yield Exact(bare, bare.replace_expressions(replacements))
