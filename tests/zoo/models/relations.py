"""Which kinds of relation are there?"""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.fields import GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models

from .menagerie import Continent, Housed, Menagerie, Tag

# The model that stands in for `ClassicKeeper` where the settings swap it out.
KEEPER_MODEL = getattr(settings, "ZOO_KEEPER_MODEL", "zoo.ModernKeeper")


class Species(models.Model):
    """Pointed at by its code, not by its key."""

    code = models.CharField(max_length=50, unique=True)


class Enclosure(Housed):
    name = models.CharField(max_length=50)
    continent = models.ForeignKey(Continent, models.PROTECT, null=True)
    residents = models.ManyToManyField("Animal", through="Residency", related_name="homes")


class Animal(models.Model):
    """Belongs to the menagerie through its enclosure."""

    name = models.CharField(max_length=50)
    enclosure = models.ForeignKey(Enclosure, models.CASCADE)
    species = models.ForeignKey(Species, models.PROTECT, to_field="code")
    mother = models.ForeignKey("self", models.SET_NULL, null=True, related_name="children")
    tags = models.ManyToManyField(Tag)
    notes = GenericRelation("NoteByInteger")


class Residency(models.Model):
    """A many-to-many table whose key is its two foreign keys."""

    pk = models.CompositePrimaryKey("animal_id", "enclosure_id")
    animal = models.ForeignKey(Animal, models.CASCADE)
    enclosure = models.ForeignKey(Enclosure, models.CASCADE)
    since = models.DateField()


class Passport(models.Model):
    animal = models.OneToOneField(Animal, models.CASCADE, null=True)
    menagerie = models.ForeignKey(Menagerie, models.CASCADE)
    number = models.CharField(max_length=20, unique=True)


class LooseLink(Housed):
    """Keys that the database does not check."""

    animal = models.ForeignKey(
        Animal, models.DO_NOTHING, null=True, db_constraint=False, related_name="loose"
    )
    species = models.ForeignKey(
        Species, models.DO_NOTHING, to_field="code", null=True, db_constraint=False
    )
    tags = models.ManyToManyField(Tag, db_constraint=False)


class HiddenPointer(models.Model):
    """Reached only backwards over a relation without a name."""

    animal = models.ForeignKey(Animal, models.CASCADE, related_name="+")
    tags = models.ManyToManyField(Tag, related_name="+")


class SelfChain(models.Model):
    """Each link hangs on the one before it, and only the first on the menagerie."""

    menagerie = models.ForeignKey(Menagerie, models.CASCADE, null=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
    name = models.CharField(max_length=50)


class SelfLoop(Housed):
    """Must point at a row of its own table, and may point at itself."""

    other = models.ForeignKey("self", models.CASCADE)


class Rank(Housed):
    """May point at nothing, and only the topmost does: emptied, the others are refused."""

    above = models.ForeignKey("self", models.CASCADE, null=True, related_name="below")
    is_top = models.BooleanField()
    name = models.CharField(max_length=50)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(above=None, is_top=True)
                | models.Q(above__isnull=False, is_top=False),
                name="zoo_rank_only_the_top_has_none_above",
            )
        ]


class CycleHead(Housed):
    tail = models.ForeignKey("CycleTail", models.CASCADE)
    name = models.CharField(max_length=50)


class CycleTail(models.Model):
    head = models.ForeignKey(CycleHead, models.CASCADE)
    name = models.CharField(max_length=50)


class Land(Housed):
    name = models.CharField(max_length=50)
    capital = models.OneToOneField("Capital", models.SET_NULL, null=True, related_name="+")


class Capital(models.Model):
    """The other half of a circle that may be open."""

    name = models.CharField(max_length=50)
    land = models.ForeignKey(Land, models.CASCADE, related_name="cities")


class Team(Housed):
    name = models.CharField(max_length=50)


class Match(models.Model):
    """Two foreign keys to one model."""

    home = models.ForeignKey(Team, models.CASCADE, related_name="home_matches")
    away = models.ForeignKey(Team, models.CASCADE, related_name="away_matches")


class Feeding(models.Model):
    """A many-to-many table with columns of its own, where one pair may come twice."""

    animal = models.ForeignKey(Animal, models.CASCADE)
    staff_member = models.ForeignKey("StaffMember", models.CASCADE)
    at = models.DateTimeField()
    food = models.CharField(max_length=50)
    grams = models.IntegerField(null=True)


class StaffMember(Housed):
    """Points at a user, who is shared."""

    name = models.CharField(max_length=50)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    fed = models.ManyToManyField(Animal, through=Feeding)


class Profile(Housed):
    """Another app has a model of the same name."""

    nickname = models.CharField(max_length=50)


class Club(Housed):
    """Three ways to many animals: by name, hidden, and with two keys to one model between."""

    name = models.CharField(max_length=50)
    members = models.ManyToManyField(Animal)
    hidden_members = models.ManyToManyField(Animal, related_name="+")
    invited = models.ManyToManyField(
        Animal,
        through="Invitation",
        through_fields=("club", "guest"),
        related_name="invitations_received",
    )


class Invitation(models.Model):
    club = models.ForeignKey(Club, models.CASCADE)
    guest = models.ForeignKey(Animal, models.CASCADE, related_name="+")
    inviter = models.ForeignKey(Animal, models.SET_NULL, null=True, related_name="+")
    reason = models.CharField(max_length=50)


class Friend(Housed):
    """Many-to-many to itself, in both ways and in one."""

    name = models.CharField(max_length=50)
    friends = models.ManyToManyField("self")
    follows = models.ManyToManyField("self", symmetrical=False, related_name="followers")


class AliveManager(models.Manager):
    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(deleted=None)


class HiddenByManager(Housed):
    """Soft deletion: the default manager does not show the deleted rows."""

    name = models.CharField(max_length=50)
    deleted = models.DateTimeField(null=True)

    objects = AliveManager()


class HiddenByBaseManager(Housed):
    """Not even the base manager shows them."""

    name = models.CharField(max_length=50)
    deleted = models.DateTimeField(null=True)

    alive = AliveManager()

    class Meta:
        base_manager_name = "alive"
        default_manager_name = "alive"


class PointerAtHidden(models.Model):
    """Belongs to a menagerie only through rows that managers hide."""

    by_manager = models.ForeignKey(HiddenByManager, models.CASCADE)
    by_base_manager = models.ForeignKey(HiddenByBaseManager, models.CASCADE)


class ScopedManager(models.Manager):
    def get_queryset(self) -> models.QuerySet[Any]:
        raise AssertionError("zoo.Scoped was read without a scope.")


class Scoped(Housed):
    """Its manager serves nobody who has not said for which customer."""

    name = models.CharField(max_length=50)

    objects = ScopedManager()


class ExternalPointers(Housed):
    """Points at what every site has of its own: content types and permissions."""

    content_type = models.ForeignKey(ContentType, models.CASCADE, related_name="+")
    permission = models.ForeignKey(Permission, models.SET_NULL, null=True, related_name="+")
    permissions = models.ManyToManyField(Permission, related_name="+")


class Loan(Housed):
    """Brings another root along."""

    borrower = models.ForeignKey(Menagerie, models.CASCADE, related_name="borrowed")


class ClassicKeeper(models.Model):
    """Swapped out where the settings say `ZOO_KEEPER_MODEL = "zoo.ModernKeeper"`."""

    name = models.CharField(max_length=50)

    class Meta:
        swappable = "ZOO_KEEPER_MODEL"


class ModernKeeper(Housed):
    name = models.CharField(max_length=50)


class SwappableLink(models.Model):
    keeper = models.ForeignKey(KEEPER_MODEL, models.CASCADE)


class Badge(models.Model):
    """The children of one parent in an order that Django keeps (a column `_order`)."""

    animal = models.ForeignKey(Animal, models.CASCADE)
    text = models.CharField(max_length=50)

    class Meta:
        order_with_respect_to = "animal"


class Unmanaged(models.Model):
    """Its table is not Django's: `rows.create_unmanaged_table` makes it."""

    menagerie = models.ForeignKey(Menagerie, models.DO_NOTHING, related_name="+")
    name = models.CharField(max_length=50)

    class Meta:
        managed = False
        db_table = "zoo_unmanaged"


class SignalTrace(models.Model):
    """What a receiver would write if a signal came. No row of it is ever wanted."""

    sender = models.CharField(max_length=100)
    signal = models.CharField(max_length=50)
