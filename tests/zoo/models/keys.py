"""Which kinds of primary key are there, and who points at them?"""

import uuid

from django.db import models

from tests.zoo.fields import TicketNumberField

from .menagerie import Housed, Menagerie


class NamedKey(Housed):
    number = models.AutoField(primary_key=True)
    name = models.CharField(max_length=50)


class UuidKey(Housed):
    key = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=50)


class CharKey(Housed):
    code = models.CharField(max_length=50, primary_key=True)
    name = models.CharField(max_length=50)


class DottedKey(Housed):
    """Keys such as `v1.2, final (draft)`."""

    slug = models.CharField(max_length=100, primary_key=True)
    name = models.CharField(max_length=50)


class BigKey(Housed):
    """Keys that a float cannot hold."""

    name = models.CharField(max_length=50)


class HugeKey(Housed):
    """The ends of 64 bits."""

    number = models.BigIntegerField(primary_key=True)


class SmallKey(Housed):
    """Overflows when new keys are given near its end."""

    id = models.SmallAutoField(primary_key=True)
    name = models.CharField(max_length=50)


class FalsyKey(Housed):
    """0 is a key."""

    number = models.IntegerField(primary_key=True)
    name = models.CharField(max_length=50)


class DateKey(Housed):
    day = models.DateField(primary_key=True)
    name = models.CharField(max_length=50)


class CustomKey(Housed):
    ticket = TicketNumberField(primary_key=True)
    name = models.CharField(max_length=50)


class OneToOneKey(models.Model):
    named = models.OneToOneField(NamedKey, models.CASCADE, primary_key=True)
    name = models.CharField(max_length=50)


class OneToOneOfOneToOneKey(models.Model):
    first = models.OneToOneField(OneToOneKey, models.CASCADE, primary_key=True)
    name = models.CharField(max_length=50)


class ForeignKeyKey(models.Model):
    uuid_key = models.ForeignKey(UuidKey, models.CASCADE, primary_key=True)
    name = models.CharField(max_length=50)


class KeyPointers(Housed):
    """Points at a row of every kind of key."""

    named = models.ForeignKey(NamedKey, models.CASCADE, null=True)
    uuid_key = models.ForeignKey(UuidKey, models.CASCADE, null=True)
    char = models.ForeignKey(CharKey, models.CASCADE, null=True)
    dotted = models.ForeignKey(DottedKey, models.CASCADE, null=True)
    big = models.ForeignKey(BigKey, models.CASCADE, null=True)
    huge = models.ForeignKey(HugeKey, models.CASCADE, null=True)
    small = models.ForeignKey(SmallKey, models.CASCADE, null=True)
    falsy = models.ForeignKey(FalsyKey, models.CASCADE, null=True)
    day = models.ForeignKey(DateKey, models.CASCADE, null=True)
    ticket = models.ForeignKey(CustomKey, models.CASCADE, null=True)
    one_to_one = models.ForeignKey(OneToOneKey, models.CASCADE, null=True)
    nested = models.ForeignKey(OneToOneOfOneToOneKey, models.CASCADE, null=True)
    foreign = models.ForeignKey(ForeignKeyKey, models.CASCADE, null=True)
    dotted_many = models.ManyToManyField(DottedKey, related_name="+")
    uuid_many = models.ManyToManyField(UuidKey, related_name="+")


class Cage(models.Model):
    """A key of two parts, one of them the foreign key to the root."""

    pk = models.CompositePrimaryKey("menagerie_id", "number")
    menagerie = models.ForeignKey(Menagerie, models.CASCADE)
    number = models.IntegerField()
    name = models.CharField(max_length=50)


class CagePlate(models.Model):
    """Points at both parts at once, with no constraint in the database."""

    menagerie = models.IntegerField()
    cage_number = models.IntegerField()
    cage = models.ForeignObject(
        Cage,
        models.CASCADE,
        from_fields=["menagerie", "cage_number"],
        to_fields=["menagerie", "number"],
    )
    text = models.CharField(max_length=50)
