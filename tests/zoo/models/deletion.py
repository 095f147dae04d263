"""What may happen to a row when the row it points at goes?"""

import django
from django.db import models

from .menagerie import Housed, Menagerie

# The key of the row that SET_DEFAULT and SET(...) point at afterwards. It is in no menagerie.
FALLBACK_KEY = 1


def fallback_key() -> int:
    return FALLBACK_KEY


class Doomed(models.Model):
    """What the others point at."""

    menagerie = models.ForeignKey(Menagerie, models.CASCADE, null=True)
    name = models.CharField(max_length=50)


class FallbackChoice(Housed):
    """Brings the fallback along."""

    fallback = models.ForeignKey(Doomed, models.PROTECT)


class CascadePointer(models.Model):
    doomed = models.ForeignKey(Doomed, models.CASCADE)


class ProtectInside(Housed):
    """Protects, but goes itself."""

    doomed = models.ForeignKey(Doomed, models.PROTECT)


class ProtectOutside(models.Model):
    """Protects, and stays: a blocker."""

    doomed = models.ForeignKey(Doomed, models.PROTECT)


class RestrictInside(Housed):
    doomed = models.ForeignKey(Doomed, models.RESTRICT)


class RestrictOutside(models.Model):
    doomed = models.ForeignKey(Doomed, models.RESTRICT)


class SetNullPointer(models.Model):
    doomed = models.ForeignKey(Doomed, models.SET_NULL, null=True)


class SetDefaultPointer(models.Model):
    doomed = models.ForeignKey(Doomed, models.SET_DEFAULT, default=FALLBACK_KEY)


class SetCallablePointer(models.Model):
    doomed = models.ForeignKey(Doomed, models.SET(fallback_key))


class SetValuePointer(models.Model):
    doomed = models.ForeignKey(Doomed, models.SET(FALLBACK_KEY))


class DoNothingPointer(models.Model):
    """Does nothing, and the database checks: a blocker."""

    doomed = models.ForeignKey(Doomed, models.DO_NOTHING)


if django.VERSION >= (6, 1):

    class DatabaseDoomed(models.Model):
        """What goes when the database itself cascades: Django's collector never hears of it."""

        menagerie = models.ForeignKey(Menagerie, models.DB_CASCADE)
        name = models.CharField(max_length=50)

    class DatabaseCascadePointer(models.Model):
        doomed = models.ForeignKey(DatabaseDoomed, models.DB_CASCADE)

    class DatabaseSetNullPointer(models.Model):
        doomed = models.ForeignKey(DatabaseDoomed, models.DB_SET_NULL, null=True)
