"""What becomes of a row that points at a deleted one? What its relation's `on_delete` says.

Deletion and the import of what was deleted ask it alike.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from django.db.models import Model

from ..errors import GestoreError
from ..rows import Value
from .relation import Relation
from .table import Table

_GOING = frozenset({"CASCADE", "DB_CASCADE"})
_EMPTYING = frozenset({"SET_NULL", "DB_SET_NULL"})
# What Django calls the function that `SET(…)` makes (seen in 5.2 to 6.1).
_SET = "set_on_delete"
_CHANGING = _EMPTYING | {"SET_DEFAULT", "DB_SET_DEFAULT", _SET}


class Effect(Enum):
    """It goes too; it stays and its pointer changes; or it blocks the deletion."""

    GOES = "goes"
    CHANGES = "changes"
    BLOCKS = "blocks"


def effect_of(relation: Relation) -> Effect:
    """Generic and declared keys, multi-table halves and `CASCADE` take the row along. `PROTECT`,
    `RESTRICT`, `DO_NOTHING` and functions of the project's own block."""
    if relation.is_parent or relation.on_delete in _GOING:
        return Effect.GOES
    return Effect.CHANGES if relation.on_delete in _CHANGING else Effect.BLOCKS


def word_of(relation: Relation) -> str:
    """The relation's `on_delete` as the project writes it."""
    return "SET" if relation.on_delete == _SET else relation.on_delete


def values_left(relation: Relation, table: Table) -> tuple[Value, ...]:
    """What the relation's columns hold when the row they pointed at is gone. A `SET(function)` is
    called: it may write to the database, as it does under Django."""
    if relation.on_delete in _EMPTYING:
        return tuple(None for _ in relation.columns)
    (name,) = relation.columns
    field: Any = table.column(name).field
    if relation.on_delete == _SET:
        # What migrations read of it: ("django.db.models.SET", (value or function,), {}).
        _, (given,), _ = field.remote_field.on_delete.deconstruct()
        value = given() if callable(given) else given
    elif relation.on_delete == "DB_SET_DEFAULT":
        value = field.db_default
        if hasattr(value, "resolve_expression"):
            raise GestoreError(
                f"{relation.name} has an expression as its database default, which only the "
                "database can evaluate.",
                hint="Point its rows elsewhere first, or take them along with --own.",
            )
    else:
        value = field.get_default()
    if isinstance(value, Model):
        value = getattr(value, field.target_field.attname)
    return (value,)


def calls_function(relation: Relation, table: Table) -> bool:
    """Whether a function of the project's says what `values_left` gives: it may write."""
    if effect_of(relation) is not Effect.CHANGES or relation.on_delete in _EMPTYING:
        return False
    (name,) = relation.columns
    field: Any = table.column(name).field
    if relation.on_delete == _SET:
        _, (given,), _ = field.remote_field.on_delete.deconstruct()
        return callable(given)
    if relation.on_delete == "DB_SET_DEFAULT":
        return hasattr(field.db_default, "resolve_expression")
    return callable(field.default)
