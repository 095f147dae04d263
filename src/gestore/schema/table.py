"""What is a table, as far as rows going in and out of it are concerned?

Built by `introspect`; knows nothing of which rows are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from django.core.exceptions import ValidationError

if TYPE_CHECKING:
    from django.db.models import Field, Model, UniqueConstraint


class Kind(Enum):
    """How the values of a column are carried. The names are the archive's column types."""

    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"
    FLOAT = "float"
    DECIMAL = "decimal"
    DATETIME = "datetime"
    DATE = "date"
    TIME = "time"
    DURATION = "duration"
    UUID = "uuid"
    BINARY = "binary"
    JSON = "json"
    ARRAY = "array"
    RANGE = "range"
    HSTORE = "hstore"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Column:
    """One column that holds a value of its own (generated ones are no columns to us).

    `name` is the field's name, `leaf` the field that says what its values are: itself, or for a
    pointer the field it points at, to the end of the chain.
    """

    name: str
    db_name: str
    kind: Kind
    type_name: str
    is_nullable: bool
    has_default: bool
    field: Field[object, object]
    leaf: Field[object, object]

    def __repr__(self) -> str:
        return f"<Column {self.name}: {self.kind.value}>"


class UniqueSet(NamedTuple):
    """Columns whose values together occur once. With `is_partial`, only under a condition or an
    expression that the database alone can judge; `constraint` is Django's then."""

    name: str
    columns: tuple[str, ...]
    is_partial: bool = False
    nulls_distinct: bool = True
    constraint: UniqueConstraint | None = None


@dataclass(frozen=True)
class Table:
    """A concrete model's table: its columns (MTI children: their own half only) and its key.

    `label` is for people (`auth.User`), `name` for look-ups and archives (`auth.user`).
    `identity` names the columns that tell a row across databases, empty when only its key does.
    `needs_asking` says that it has constraints that values alone do not tell: conditions,
    expressions, exclusions. `parents` are the names of the multi-table parents; `proxies` those of
    proxy models. `through_of` names the model whose many-to-many field made the table, if one did:
    its rows belong to that model's.
    """

    label: str
    db_table: str
    model: type[Model]
    columns: tuple[Column, ...]
    key_names: tuple[str, ...]
    unique_sets: tuple[UniqueSet, ...]
    identity: tuple[str, ...]
    parents: tuple[str, ...]
    proxies: tuple[str, ...]
    is_auto_key: bool
    is_managed: bool
    needs_asking: bool = False
    through_of: str = ""

    @cached_property
    def name(self) -> str:
        return self.label.lower()

    @cached_property
    def columns_by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @cached_property
    def key_columns(self) -> tuple[Column, ...]:
        return tuple(self.columns_by_name[name] for name in self.key_names)

    @cached_property
    def value_columns(self) -> tuple[Column, ...]:
        """The columns that are not part of the key, in the model's order."""
        return tuple(column for column in self.columns if column.name not in self.key_names)

    @cached_property
    def app_label(self) -> str:
        return self.label.partition(".")[0]

    def key_from(self, raw: object) -> object | None:
        """What a generic key column holds, as a key of this table; None where it can be none."""
        if len(self.key_names) != 1:
            return None
        (column,) = self.key_columns
        if isinstance(raw, UUID) and column.kind is not Kind.UUID:
            return None
        try:
            key: object = column.leaf.to_python(raw)
        except (ValidationError, ValueError, TypeError, OverflowError):
            return None
        return key

    def column(self, name: str) -> Column:
        return self.columns_by_name[name]

    def __repr__(self) -> str:
        return f"<Table {self.label}>"

    def __hash__(self) -> int:
        return hash(self.label)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and other.label == self.label
