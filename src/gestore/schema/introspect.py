"""How do Django's models become tables and relations? The only file that reads `_meta`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from django.apps import apps as installed
from django.apps.registry import Apps
from django.db import connections, models, router
from django.db.models.fields.related import ForeignObject
from django.utils.text import capfirst

from ..errors import ConfigurationError
from .graph import Graph
from .relation import Relation, RelationKind
from .table import Column, Kind, Table, UniqueSet

Model: TypeAlias = type[models.Model]
DeclaredRelation: TypeAlias = tuple[str, str]

_KINDS = {
    "AutoField": Kind.INTEGER,
    "BigAutoField": Kind.INTEGER,
    "SmallAutoField": Kind.INTEGER,
    "IntegerField": Kind.INTEGER,
    "BigIntegerField": Kind.INTEGER,
    "SmallIntegerField": Kind.INTEGER,
    "PositiveIntegerField": Kind.INTEGER,
    "PositiveBigIntegerField": Kind.INTEGER,
    "PositiveSmallIntegerField": Kind.INTEGER,
    "CharField": Kind.TEXT,
    "TextField": Kind.TEXT,
    "SlugField": Kind.TEXT,
    "FileField": Kind.TEXT,
    "FilePathField": Kind.TEXT,
    "GenericIPAddressField": Kind.TEXT,
    "IPAddressField": Kind.TEXT,
    "BooleanField": Kind.BOOLEAN,
    "FloatField": Kind.FLOAT,
    "DecimalField": Kind.DECIMAL,
    "DateTimeField": Kind.DATETIME,
    "DateField": Kind.DATE,
    "TimeField": Kind.TIME,
    "DurationField": Kind.DURATION,
    "UUIDField": Kind.UUID,
    "BinaryField": Kind.BINARY,
    "JSONField": Kind.JSON,
    "ArrayField": Kind.ARRAY,
    "HStoreField": Kind.HSTORE,
    "SearchVectorField": Kind.TEXT,
    "SearchVector": Kind.TEXT,
}
_CONVERSIONS = (
    "from_db_value",
    "to_python",
    "get_prep_value",
    "get_db_prep_value",
    "get_db_prep_save",
    "value_to_string",
    "get_internal_type",
    "db_type",
)
_AUTO_KEYS = ("AutoField", "BigAutoField", "SmallAutoField")


def build_graph(
    relations: Iterable[DeclaredRelation] = (),
    unmanaged: Iterable[str] = (),
    database: str = "",
    registry: Apps = installed,
) -> Graph:
    """The graph of every concrete model with a table, auto-created through models included.

    With `database`, an alias, only of models whose table can be there: routers and
    `required_db_vendor` are heard.

    `relations` are `("app.Model.field", "app.Model")` for columns that point without saying so,
    or `("app.Model.content_type", "app.Model.key")` for a generic pair. `unmanaged` names the
    unmanaged models, or whole apps, that take part.
    """
    everything = registry.get_models(include_auto_created=True)
    concrete = [
        m
        for m in everything
        if not m._meta.proxy and not m._meta.swapped and _can_be_in(m, database)
    ]
    declared = {label.lower() for label in unmanaged} | {
        label.rpartition(".")[0].lower() if label.count(".") == 2 else label.lower()
        for pair in relations
        for label in pair
    }
    taking_part = [m for m in concrete if m._meta.managed or _is_declared(m, declared)]
    names = {m._meta.label_lower for m in taking_part}
    # A managed row may point at an unmanaged one: it takes part, as an external table.
    pointed = {
        target._meta.label_lower: target
        for model in taking_part
        for target in _pointed_models(model)
        if target._meta.label_lower not in names and _can_be_in(target, database)
    }
    tables = [_table(m, declared, everything) for m in [*taking_part, *pointed.values()]]
    graph = Graph(tables, ())
    # A pointer into another database is a value like any other.
    found = [
        r for m in taking_part for r in _relations(m) if r.is_generic or r.target in graph.tables
    ]
    elsewhere = {m._meta.label_lower for m in everything if not _can_be_in(m, database)}
    pairs = [p for p in [*_built_in(registry), *relations] if not _is_about(p, elsewhere)]
    found += [_declared(graph, pair) for pair in pairs]
    undeclared = {m._meta.label_lower: m._meta.label for m in concrete} | {
        m._meta.label_lower: m._meta.label for m in everything if m._meta.swapped
    }
    return Graph(
        tables, found, {n: label for n, label in undeclared.items() if n not in graph.tables}
    )


def _is_about(pair: DeclaredRelation, models_elsewhere: set[str]) -> bool:
    """Whether a declared relation is about tables that lie in another database."""
    labels = [label.rpartition(".")[0] if label.count(".") == 2 else label for label in pair]
    return any(label.lower() in models_elsewhere for label in labels)


def _can_be_in(model: Model, database: str) -> bool:
    if model._meta.app_label == "gestore":
        # What Gestore remembers for itself is nobody's to take.
        return False
    if not database:
        return True
    vendor = model._meta.required_db_vendor
    if vendor is not None and vendor != connections[database].vendor:
        return False
    return router.allow_migrate_model(database, model)


def _is_declared(model: Model, declared: set[str]) -> bool:
    return model._meta.label_lower in declared or model._meta.app_label.lower() in declared


def _pointed_models(model: Model) -> Iterator[Model]:
    for field in model._meta.local_fields:
        if isinstance(field, ForeignObject):
            yield _concrete(field.foreign_related_fields[0].model)


def _concrete(model: Model) -> Model:
    """The model whose table it is; Django's stubs think that there may be none."""
    return model._meta.concrete_model or model


def _built_in(registry: Apps) -> list[DeclaredRelation]:
    """What Django's own apps keep as a pair that is no GenericForeignKey."""
    if registry.is_installed("django.contrib.admin"):
        return [("admin.LogEntry.content_type", "admin.LogEntry.object_id")]
    return []


# Tables -----------------------------------------------------------------------------------------


def _table(model: Model, declared: set[str], everything: Iterable[Model]) -> Table:
    meta = model._meta
    key_fields = meta.pk_fields
    columns = tuple(_column(f) for f in meta.local_concrete_fields if not _is_generated(f))
    unique_sets = tuple(_unique_sets(model))
    return Table(
        label=meta.label,
        db_table=meta.db_table,
        model=model,
        columns=columns,
        key_names=tuple(f.name for f in key_fields),
        unique_sets=unique_sets,
        identity=_identity(model, unique_sets),
        parents=tuple(
            _concrete(parent)._meta.label_lower
            for parent, link in meta.parents.items()
            if link in meta.local_fields
        ),
        proxies=tuple(
            m._meta.label_lower
            for m in everything
            if m._meta.proxy and m._meta.concrete_model is model
        ),
        is_auto_key=len(key_fields) == 1 and key_fields[0].get_internal_type() in _AUTO_KEYS,
        is_managed=meta.managed or _is_declared(model, declared),
        needs_asking=any(_needs_asking(constraint) for constraint in meta.constraints),
        through_of=_declarer(model),
    )


def _declarer(model: Model) -> str:
    """The model whose many-to-many field made this automatic table, if one did."""
    # The stubs say True; Django sets the declaring model (seen in 5.2, 6.0 and 6.1).
    declarer: Any = model._meta.auto_created
    return _concrete(declarer)._meta.label_lower if declarer else ""


def _needs_asking(constraint: models.BaseConstraint) -> bool:
    """Whether it takes the database to say that a row breaks the constraint. Not deferrable ones:
    those are checked when all rows are in."""
    if isinstance(constraint, models.CheckConstraint):
        return True
    if getattr(constraint, "deferrable", None) is not None:
        return False
    if not isinstance(constraint, models.UniqueConstraint):
        return True
    return bool(
        constraint.condition or constraint.expressions or constraint.nulls_distinct is False
    )


def _is_generated(field: models.Field[Any, Any]) -> bool:
    return bool(getattr(field, "generated", False))


def _column(field: models.Field[Any, Any]) -> Column:
    leaf = leaf_field(field)
    return Column(
        name=field.name,
        db_name=field.column or field.attname,
        kind=kind_of(leaf),
        type_name=leaf.get_internal_type(),
        is_nullable=field.null,
        has_default=field.has_default()
        or field.has_db_default()
        or field.null
        or (field.empty_strings_allowed and field.blank),
        field=field,
        leaf=leaf,
    )


def title_of(model: Model) -> str:
    """What people call the rows of a model."""
    return capfirst(str(model._meta.verbose_name_plural))


def leaf_field(field: models.Field[Any, Any]) -> models.Field[Any, Any]:
    """The field that says what the values are: a pointer's is the one it points at."""
    while isinstance(field, ForeignObject) and field.foreign_related_fields:
        field = field.foreign_related_fields[0]
    return field


def kind_of(field: models.Field[Any, Any]) -> Kind:
    """How the field's values are carried: by Django's own kinds where the class changes no
    conversion, else as `CUSTOM`, through the field's own conversions."""
    base = next(c for c in type(field).__mro__ if c.__module__.startswith("django."))
    if base is not type(field) and _changes_conversions(type(field), base):
        is_json = base is models.JSONField
        # A JSON column is read and written as its text, so `json` or `jsonb` makes no difference.
        if not (is_json and not _changes_conversions(type(field), base, but="db_type")):
            return Kind.CUSTOM
    if _is_range(field):
        return Kind.RANGE
    inner = getattr(field, "base_field", None)
    if inner is not None and kind_of(inner) in (Kind.CUSTOM, Kind.JSON):
        # Such values are Python's own objects inside an array; the field writes and reads them.
        return Kind.CUSTOM
    return _KINDS.get(field.get_internal_type(), Kind.CUSTOM)


def _changes_conversions(custom: type, base: type, but: str = "") -> bool:
    names = (name for name in _CONVERSIONS if name != but)
    return any(getattr(custom, n, None) is not getattr(base, n, None) for n in names)


def _is_range(field: models.Field[Any, Any]) -> bool:
    return any(c.__name__ == "RangeField" for c in type(field).__mro__)


def _unique_sets(model: Model) -> Iterator[UniqueSet]:
    meta = model._meta
    local = {f.name for f in meta.local_concrete_fields}
    keys = {f.name for f in meta.pk_fields}
    for field in meta.local_concrete_fields:
        if field.unique and not (field.name in keys and len(keys) == 1):
            yield UniqueSet(field.name, (field.name,))
    for names in meta.unique_together:
        if local.issuperset(names):
            yield UniqueSet(", ".join(names), tuple(names))
    for constraint in meta.constraints:
        if not isinstance(constraint, models.UniqueConstraint):
            continue
        if local.issuperset(constraint.fields):
            yield UniqueSet(
                constraint.name,
                tuple(constraint.fields),
                is_partial=bool(
                    constraint.condition or constraint.expressions or not constraint.fields
                ),
                nulls_distinct=constraint.nulls_distinct is not False,
                constraint=constraint,
            )


def _identity(model: Model, unique_sets: Sequence[UniqueSet]) -> tuple[str, ...]:
    """The columns that tell a row across databases: a whole unique set without empty values,
    the one its natural key is made of where the model says so."""
    fields = {f.name: f for f in model._meta.local_concrete_fields}
    whole = [
        s.columns
        for s in unique_sets
        if not s.is_partial and not any(fields[name].null for name in s.columns)
    ]
    if not whole:
        return ()
    natural = getattr(model._default_manager, "get_by_natural_key", None)
    if natural is None:
        return whole[0]
    wanted = set(inspect.signature(natural).parameters)
    return max(whole, key=lambda names: len(wanted.intersection(names)))


# Relations --------------------------------------------------------------------------------------


def _relations(model: Model) -> Iterator[Relation]:
    for field in model._meta.local_fields:
        if isinstance(field, ForeignObject):
            yield _foreign(model, field)
    yield from _generic_keys(model)


def _foreign(model: Model, field: ForeignObject[Any, Any]) -> Relation:
    targets = field.foreign_related_fields
    target = _concrete(targets[0].model)
    is_parent = field in model._meta.parents.values() and field.remote_field.parent_link
    if is_parent:
        kind = RelationKind.PARENT
    elif field.unique or field.one_to_one:
        kind = RelationKind.ONE_TO_ONE
    else:
        kind = RelationKind.FOREIGN_KEY
    on_delete = field.remote_field.on_delete
    return Relation(
        name=f"{model._meta.label}.{field.name}",
        kind=kind,
        source=model._meta.label_lower,
        columns=tuple(f.name for f in field.local_related_fields),
        target=target._meta.label_lower,
        target_columns=tuple(f.name for f in targets),
        points_at_key=tuple(targets) == tuple(target._meta.pk_fields),
        is_nullable=all(f.null for f in field.local_related_fields),
        is_constrained=bool(getattr(field, "db_constraint", False)),
        on_delete=getattr(on_delete, "__name__", type(on_delete).__name__),
    )


def _generic_keys(model: Model) -> Iterator[Relation]:
    for field in model._meta.private_fields:
        # GenericForeignKey is known by its shape: contenttypes need not be installed.
        content_type = getattr(field, "ct_field", None)
        if content_type is None or not hasattr(field, "fk_field"):
            continue
        holder = model._meta.get_field(content_type)
        # Multi-table children inherit the declaration, the columns stay with the parent.
        if holder.model._meta.concrete_model is model:
            yield _generic(model, field.name, content_type, field.fk_field)


def _generic(model: Model, name: str, content_type: str, key: str) -> Relation:
    fields = [model._meta.get_field(content_type), model._meta.get_field(key)]
    return Relation(
        name=f"{model._meta.label}.{name}",
        kind=RelationKind.GENERIC,
        source=model._meta.label_lower,
        columns=(fields[1].name,),
        target="",
        target_columns=(),
        points_at_key=True,
        is_nullable=all(f.null for f in fields),
        is_constrained=False,
        on_delete="CASCADE",
        content_type=fields[0].name,
    )


def _declared(graph: Graph, pair: DeclaredRelation) -> Relation:
    source, target = pair
    table, column = _field(graph, source, pair)
    if target.count(".") == 2:
        other, key = _field(graph, target, pair)
        if other is not table:
            raise ConfigurationError(
                f'GESTORE["RELATIONS"]: {pair!r} names two fields, and they are of two models.'
            )
        return _generic(table.model, key.name, column.name, key.name)
    try:
        pointed = graph.table(target)
    except Exception as error:
        raise ConfigurationError(f'GESTORE["RELATIONS"]: {pair!r}: {error}') from error
    return Relation(
        name=f"{table.label}.{column.name}",
        kind=RelationKind.DECLARED,
        source=table.name,
        columns=(column.name,),
        target=pointed.name,
        target_columns=pointed.key_names,
        points_at_key=True,
        is_nullable=column.is_nullable,
        is_constrained=False,
        on_delete="CASCADE",
    )


def _field(graph: Graph, label: str, pair: DeclaredRelation) -> tuple[Table, Column]:
    model, _, name = label.rpartition(".")
    table = graph.tables.get(model.lower())
    for column in table.columns if table else ():
        if table and name in (column.name, column.field.attname):
            return table, column
    raise ConfigurationError(f'GESTORE["RELATIONS"]: {pair!r}: there is no field {label!r}.')


def many_to_many_of(model: Model) -> Iterator[tuple[str, str, str, str]]:
    """The model's automatic many-to-many fields: name, through table, and the names of the
    through table's two pointers, to the model and to the other one."""
    for field in model._meta.local_many_to_many:
        through = field.remote_field.through
        if through is not None and through._meta.auto_created:
            yield (
                field.name,
                through._meta.label_lower,
                field.m2m_field_name(),
                field.m2m_reverse_field_name(),
            )
