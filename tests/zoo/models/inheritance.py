"""Which kinds of inheritance are there?"""

from django.db import models

from .menagerie import Housed
from .relations import Animal


class Vehicle(Housed):
    name = models.CharField(max_length=50)


class Car(Vehicle):
    doors = models.IntegerField()


class SportsCar(Car):
    """Two deep: one object, three rows."""

    horsepower = models.IntegerField()
    rival = models.ForeignKey("self", models.SET_NULL, null=True)


class RacingCar(SportsCar):
    class Meta:
        proxy = True


class Boat(Vehicle):
    """The link to the parent has a name of its own."""

    hull = models.OneToOneField(Vehicle, models.CASCADE, parent_link=True, primary_key=True)
    length = models.DecimalField(max_digits=6, decimal_places=2)


class Tram(Vehicle):
    """The link to the parent is not its key."""

    tram_number = models.AutoField(primary_key=True)
    vehicle_ptr = models.OneToOneField(Vehicle, models.CASCADE, parent_link=True)


class PitStop(models.Model):
    """Points at a child, at its parent, and at a proxy of the grandchild."""

    car = models.ForeignKey(Car, models.CASCADE)
    vehicle = models.ForeignKey(Vehicle, models.CASCADE, null=True, related_name="+")
    racing_car = models.ForeignKey(RacingCar, models.CASCADE, null=True, related_name="+")


class Swimmer(Housed):
    swimmer_id = models.AutoField(primary_key=True)
    depth = models.IntegerField()


class Flyer(models.Model):
    """In no menagerie but as half of a duck."""

    flyer_id = models.AutoField(primary_key=True)
    height = models.IntegerField()


class Duck(Swimmer, Flyer):
    """Two parents: one object, three rows."""

    name = models.CharField(max_length=50)


class Weighed(models.Model):
    animal = models.ForeignKey(
        Animal, models.CASCADE, related_name="%(app_label)s_%(class)s_weighings"
    )
    grams = models.IntegerField()

    class Meta:
        abstract = True


class Weighing(Weighed):
    scale = models.CharField(max_length=50)


class TameAnimal(Animal):
    class Meta:
        proxy = True


class Leash(models.Model):
    """Points at a proxy."""

    animal = models.ForeignKey(TameAnimal, models.CASCADE)
    others = models.ManyToManyField(TameAnimal, related_name="+")
