"""Which kinds of column, key and constraint has PostgreSQL alone?

Every table requires PostgreSQL: in a project with another database beside it, it is not made there.
`Aviary` is the root here.
"""

from typing import Any

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import (
    ArrayField,
    BigIntegerRangeField,
    DateRangeField,
    DateTimeRangeField,
    DecimalRangeField,
    HStoreField,
    IntegerRangeField,
    RangeOperators,
)
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models


class PlainJsonField(models.JSONField):
    """`json`, which keeps the text as it was written; `jsonb` does not."""

    def db_type(self, connection: Any) -> str:
        return "json"


class CitextField(models.TextField):
    """`citext`: ABC equals abc."""

    def db_type(self, connection: Any) -> str:
        return "citext"


class Aviary(models.Model):
    name = models.CharField(max_length=50, unique=True)

    class Meta:
        required_db_vendor = "postgresql"


class Nested(models.Model):
    aviary = models.ForeignKey(Aviary, models.CASCADE, related_name="+")

    class Meta:
        abstract = True
        required_db_vendor = "postgresql"


class Arrays(Nested):
    numbers = ArrayField(models.IntegerField(null=True), null=True)
    words = ArrayField(models.CharField(max_length=50, null=True), null=True)
    nested = ArrayField(ArrayField(models.TextField(null=True)), null=True)
    moments = ArrayField(models.DateTimeField(null=True), null=True)
    days = ArrayField(models.DateField(), null=True)
    prices = ArrayField(models.DecimalField(max_digits=30, decimal_places=10, null=True), null=True)
    tokens = ArrayField(models.UUIDField(), null=True)
    pair = ArrayField(models.FloatField(), size=2, null=True)


class Ranges(Nested):
    integers = IntegerRangeField(null=True)
    big_integers = BigIntegerRangeField(null=True)
    decimals = DecimalRangeField(null=True)
    moments = DateTimeRangeField(null=True)
    days = DateRangeField(null=True)


class Hstores(Nested):
    data = HStoreField(null=True)
    many = ArrayField(HStoreField(), null=True)


class Searchable(Nested):
    """One vector that is written, and one that the database derives."""

    body = models.TextField()
    written = SearchVectorField(null=True)
    derived = models.GeneratedField(
        expression=SearchVector("body", config="english"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    class Meta(Nested.Meta):
        indexes = [GinIndex(fields=["written"], name="zoo_postgres_searchable_gin")]


class CaseInsensitive(Nested):
    """Unique where Python sees two values: by collation, and by type."""

    name = models.CharField(max_length=50, unique=True, db_collation="zoo_case_insensitive")
    word = CitextField(unique=True)


class AlwaysIdentity(Nested):
    """Its key is GENERATED ALWAYS: an INSERT that names it must say OVERRIDING SYSTEM VALUE."""

    name = models.CharField(max_length=50)


class AlwaysIdentityPointer(models.Model):
    row = models.ForeignKey(AlwaysIdentity, models.CASCADE)

    class Meta:
        required_db_vendor = "postgresql"


class Booking(Nested):
    """Two bookings of one perch may not overlap."""

    perch = models.IntegerField()
    during = DateTimeRangeField()

    class Meta(Nested.Meta):
        constraints = [
            ExclusionConstraint(
                name="zoo_postgres_booking_overlap",
                expressions=[
                    ("during", RangeOperators.OVERLAPS),
                    ("perch", RangeOperators.EQUAL),
                ],
            )
        ]


class DeferredUnique(Nested):
    """Two rows may hold one position until the transaction ends."""

    position = models.IntegerField()

    class Meta(Nested.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["aviary", "position"],
                name="zoo_postgres_deferred_unique",
                deferrable=models.Deferrable.DEFERRED,
            )
        ]


class NotANumber(Nested):
    exact = models.DecimalField(max_digits=40, decimal_places=10, null=True)
    rough = models.FloatField(null=True)


class Documents(Nested):
    binary = models.JSONField(null=True)
    plain = PlainJsonField(null=True)


class OtherSchema(models.Model):
    """In a schema of its own, under a name that must be quoted.

    Django's `flush` does not see it. A constraint would keep `flush` from emptying the aviaries.
    """

    aviary = models.ForeignKey(Aviary, models.CASCADE, related_name="+", db_constraint=False)
    name = models.CharField(max_length=50)

    class Meta(Nested.Meta):
        db_table = '"zoo_elsewhere"."Odd Table"'


class ImmediateLink(Nested):
    """Its constraint was made by hand: it is checked at once, not at the end."""

    parent = models.ForeignKey("self", models.CASCADE, null=True, db_constraint=False)


class Infinite(Nested):
    """Moments that Python has no value for. See `rows.infinite`."""

    moment = models.DateTimeField(null=True)
    day = models.DateField(null=True)
