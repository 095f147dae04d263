"""What is a relation: columns of this table point at a row of that."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class RelationKind(Enum):
    """How the project says that columns point. Many-to-many is nothing special: its through
    table has two foreign keys."""

    FOREIGN_KEY = "foreign key"
    ONE_TO_ONE = "one-to-one"
    PARENT = "multi-table parent"
    GENERIC = "generic key"
    DECLARED = "declared"


@dataclass(frozen=True, slots=True)
class Relation:
    """`columns` of `source` hold the values of `target_columns` of a row of `target`.

    A generic relation has no one target: `target` is empty, `content_type` names the column that
    says which table is meant, and `columns` holds that table's key. `name` is
    `app_label.Model.field`; `label_of_target` is for people.
    """

    name: str
    kind: RelationKind
    source: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    points_at_key: bool
    is_nullable: bool
    is_constrained: bool
    on_delete: str
    content_type: str = ""

    @property
    def is_generic(self) -> bool:
        return bool(self.content_type)

    @property
    def is_parent(self) -> bool:
        return self.kind is RelationKind.PARENT

    @property
    def field_name(self) -> str:
        return self.name.rpartition(".")[2]
