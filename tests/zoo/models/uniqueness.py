"""Which columns may not repeat, and when?"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from .inheritance import Vehicle
from .keys import NamedKey
from .menagerie import Housed, Menagerie


class UniqueCode(Housed):
    code = models.CharField(max_length=50, unique=True)
    number = models.IntegerField(unique=True, null=True)


class UniqueTogether(Housed):
    """Two pairs: one said by `unique_together`, one by a constraint."""

    row = models.IntegerField()
    seat = models.IntegerField(null=True)
    guest = models.CharField(max_length=50)
    evening = models.DateField()

    class Meta:
        unique_together = [("menagerie", "row", "seat")]
        constraints = [
            models.UniqueConstraint(fields=["guest", "evening"], name="zoo_unique_guest_evening")
        ]


class UniqueWhenActive(Housed):
    name = models.CharField(max_length=50)
    active = models.BooleanField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=Q(active=True), name="zoo_unique_when_active"
            )
        ]


class UniqueIgnoringCase(Housed):
    name = models.CharField(max_length=50)

    class Meta:
        constraints = [models.UniqueConstraint(Lower("name"), name="zoo_unique_ignoring_case")]


class UniqueWithNulls(Housed):
    """Two NULLs are two values."""

    name = models.CharField(max_length=50)
    floor = models.IntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "floor"], name="zoo_unique_with_nulls")
        ]


class UniqueWithoutNulls(Housed):
    """Two NULLs are one value, where the database can say so."""

    name = models.CharField(max_length=50)
    floor = models.IntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name", "floor"],
                nulls_distinct=False,
                name="zoo_unique_without_nulls",
            )
        ]


class CaseTrap(Housed):
    """`Ape`, `ape` and `ape ` are three values for Python, and one for MariaDB."""

    word = models.CharField(max_length=50, unique=True)


class Checked(Housed):
    low = models.IntegerField()
    high = models.IntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(low__lte=models.F("high")), name="zoo_low_to_high")
        ]


class Labelled(models.Model):
    """A value that may not repeat, beside a key of any kind."""

    label = models.CharField(max_length=50, unique=True)
    text = models.CharField(max_length=50)

    class Meta:
        abstract = True


class LabelledInteger(Housed, Labelled):
    pass


class LabelledUuid(Housed, Labelled):
    key = models.UUIDField(primary_key=True)


class LabelledChar(Housed, Labelled):
    code = models.CharField(max_length=50, primary_key=True)


class LabelledOneToOne(Labelled):
    named = models.OneToOneField(NamedKey, models.CASCADE, primary_key=True)


class LabelledPair(Labelled):
    pk = models.CompositePrimaryKey("menagerie_id", "number")
    menagerie = models.ForeignKey(Menagerie, models.CASCADE)
    number = models.IntegerField()


class LabelledChild(Vehicle):
    label = models.CharField(max_length=50, unique=True)
    text = models.CharField(max_length=50)


class LabelPointer(Housed):
    """Points at each of them."""

    integer = models.ForeignKey(LabelledInteger, models.CASCADE, null=True)
    uuid = models.ForeignKey(LabelledUuid, models.CASCADE, null=True)
    char = models.ForeignKey(LabelledChar, models.CASCADE, null=True)
    one_to_one = models.ForeignKey(LabelledOneToOne, models.CASCADE, null=True)
    child = models.ForeignKey(LabelledChild, models.CASCADE, null=True)
    pair_menagerie = models.IntegerField(null=True)
    pair_number = models.IntegerField(null=True)
    pair = models.ForeignObject(
        LabelledPair,
        models.CASCADE,
        from_fields=["pair_menagerie", "pair_number"],
        to_fields=["menagerie", "number"],
        null=True,
    )
