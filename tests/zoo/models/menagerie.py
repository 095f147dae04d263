"""What is the object that everything in the zoo belongs to?"""

from django.db import models


class Continent(models.Model):
    """Shared by all, and the same one on every site: it has a natural key."""

    code = models.CharField(max_length=2, unique=True)
    name = models.CharField(max_length=50)

    def natural_key(self) -> tuple[str]:
        return (self.code,)


class Tag(models.Model):
    """Shared by everything: the row that leaks when a walk turns around at it."""

    label = models.CharField(max_length=50, unique=True)


class Menagerie(models.Model):
    """The root. It points at nothing by foreign keys, so that any `on_delete` may point at it."""

    name = models.CharField(max_length=100, unique=True)
    opened = models.DateTimeField(null=True)
    tags = models.ManyToManyField(Tag, related_name="menageries")


class Housed(models.Model):
    """Belongs to a menagerie by a foreign key whose other end is hidden."""

    menagerie = models.ForeignKey(Menagerie, models.CASCADE, related_name="+")

    class Meta:
        abstract = True
