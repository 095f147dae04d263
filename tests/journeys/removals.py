"""What does a deletion's journey do again and again? Delete, look at what is left, bring it back.

What is left is read with Django and SQL alone: no line of Gestore says whether anything dangles.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import connections, models
from django.db.models.fields.related import ForeignObject

from gestore.deleting import DeleteOptions, DeletePlan, DeleteReport, delete_objects, plan_deletion
from gestore.errors import Finding, Refused, Severity
from gestore.planning import WalkOptions
from gestore.schema.policy import Policy
from tests.journeys import archives
from tests.zoo import compare
from tests.zoo.inserting import Placed

# What no object owns, and every database has numbers of its own for.
APART = ("contenttypes", "sites", "sessions", "gestore")
PERMISSION = ("auth.Permission",)


def delete(*placed: Placed, archive: str, **options: Any) -> DeleteReport:
    return delete_objects(
        [one.reference for one in placed], DeleteOptions(walk=walk(**options), archive=archive)
    )


def plan(*placed: Placed, **options: Any) -> DeletePlan:
    return plan_deletion([one.reference for one in placed], walk(**options))


def walk(own: Sequence[Any] = (), **options: Any) -> WalkOptions:
    """`own` are models or labels; of every other policy, `policies`."""
    policies = {label(one): Policy.OWN for one in own} | options.pop("policies", {})
    return WalkOptions(policies=policies, **options)


def label(model: Any) -> str:
    return model if isinstance(model, str) else model._meta.label


def blockers(refused: Refused) -> list[str]:
    """The rows that block, each with what it says."""
    return [str(f) for f in refused.findings if f.severity is Severity.BLOCKER]


def of_code(findings: Sequence[Finding], code: str) -> list[str]:
    return [str(finding) for finding in findings if finding.code == code]


def archived(archive: str, *, owned: bool) -> dict[str, int]:
    """Rows of the archive by model, those that went or those that stay."""
    counts: dict[str, int] = {}
    for row in archives.rows(archive):
        if row.get("shared", False) is not owned:
            name = apps.get_model(row["model"])._meta.label
            counts[name] = counts.get(name, 0) + 1
    return counts


# What is left -------------------------------------------------------------------------------------


def all_models(using: str) -> list[type[models.Model]]:
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed
        and not model._meta.proxy
        and model._meta.app_label not in APART
        and model._meta.label not in PERMISSION
        and model._meta.can_migrate(connections[using])
    ]


def dump(using: str = "default") -> compare.Dump:
    """Every row of every app, as the tables hold it."""
    return compare.dump(using, all_models(using))


def with_values(before: compare.Dump, label: str, key: str, **values: Any) -> None:
    """The row of the dump holds other values."""
    row = before[label][key]
    assert values.keys() <= dict(row).keys()
    before[label][key] = tuple((name, values.get(name, value)) for name, value in row)


def without(before: compare.Dump, gone: compare.Dump) -> compare.Dump:
    """The dump without the rows of another, which must all be in it."""
    assert not [(name, key) for name, lot in gone.items() for key in lot if key not in before[name]]
    return {
        name: {key: row for key, row in lot.items() if key not in gone.get(name, {})}
        for name, lot in before.items()
    }


def dangling(using: str = "default") -> list[str]:
    """Every pointer that leads to no row: of foreign keys, of generic ones, of the admin's log."""
    return sorted(_dangling(using))


def _dangling(using: str) -> Iterator[str]:
    for model in all_models(using):
        for field in model._meta.local_fields:
            if isinstance(field, ForeignObject):
                yield from _lost(using, model, field)
        for pair in _pairs(model):
            yield from _lost_pairs(using, model, *pair)


def _lost(using: str, model: type[models.Model], field: Any) -> Iterator[str]:
    connection = connections[using]
    quote = connection.ops.quote_name
    target = field.foreign_related_fields[0].model
    if not target._meta.can_migrate(connection) or not target._meta.managed:
        return
    pointers = [f"here.{quote(local.column)}" for local in field.local_related_fields]
    equal = " AND ".join(
        f"there.{quote(remote.column)} = {pointer}"
        for pointer, remote in zip(pointers, field.foreign_related_fields, strict=True)
    )
    filled = " AND ".join(f"{pointer} IS NOT NULL" for pointer in pointers)
    table, other = quote(model._meta.db_table), quote(target._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(pointers)} FROM {table} here WHERE {filled}"
            f" AND NOT EXISTS (SELECT 1 FROM {other} there WHERE {equal})"
        )
        for row in cursor.fetchall():
            yield f"{model._meta.label}.{field.name}: {row}"


def _pairs(model: type[models.Model]) -> Iterator[tuple[str, str]]:
    for field in model._meta.private_fields:
        if hasattr(field, "fk_field"):
            yield field.ct_field, field.fk_field
    if model._meta.label == "admin.LogEntry":
        yield "content_type", "object_id"


def _lost_pairs(
    using: str, model: type[models.Model], content_type: str, key: str
) -> Iterator[str]:
    rows = models.QuerySet(model, using=using)
    for number, raw in rows.values_list(f"{content_type}_id", key).distinct():
        if number is None or raw is None:
            continue
        kind = ContentType.objects.using(using).get(pk=number).model_class()
        if kind is None or not models.QuerySet(kind, using=using).filter(pk=raw).exists():
            yield f"{model._meta.label}.{key}: {kind}, {raw}"
