"""Which kinds of pointer name the model they point at by a column?"""

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models

from .menagerie import Housed


class Note(models.Model):
    text = models.CharField(max_length=50)
    content_type = models.ForeignKey(ContentType, models.CASCADE, null=True)
    target = GenericForeignKey()

    class Meta:
        abstract = True


class NoteByInteger(Note):
    """`Animal` knows it by a GenericRelation; others do not."""

    object_id = models.PositiveIntegerField(null=True)


class NoteByChar(Note):
    object_id = models.CharField(max_length=100, null=True)


class NoteByText(Note):
    object_id = models.TextField(null=True)


class NoteByUuid(Note):
    object_id = models.UUIDField(null=True)


class NoteOnce(Note):
    """One for each object, and no more."""

    object_id = models.PositiveIntegerField()

    class Meta:
        unique_together = [("content_type", "object_id")]


class Ribbon(Housed):
    """The pair has names of its own, and belongs to a menagerie whatever it points at."""

    kind = models.ForeignKey(ContentType, models.CASCADE, related_name="+", null=True)
    number = models.BigIntegerField(null=True)
    winner = GenericForeignKey("kind", "number")


class ProxyNote(models.Model):
    """May say that it points at a proxy."""

    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveIntegerField()
    target = GenericForeignKey(for_concrete_model=False)


class DanglingNote(Housed):
    """Points at a row that is gone."""

    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveIntegerField()
    target = GenericForeignKey()


class PseudoGeneric(Housed):
    """The pair without a GenericForeignKey, as in the admin's log."""

    content_type = models.ForeignKey(ContentType, models.CASCADE, null=True, related_name="+")
    object_id = models.IntegerField(null=True)
    object_repr = models.CharField(max_length=50)


class SoftReference(Housed):
    """Keys that Django does not know to be keys."""

    user_id = models.IntegerField(null=True)
    animal_ids = models.JSONField(default=list)
