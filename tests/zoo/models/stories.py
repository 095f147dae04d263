"""Which models tell a whole story?

The sites of the original's walk, and a shop with its customers. Neither is in a menagerie.
"""

from django.db import models

from .menagerie import Tag


class Organization(models.Model):
    name = models.CharField(max_length=50, unique=True)
    members = models.ManyToManyField("Member", related_name="member_of")


class Member(models.Model):
    """The user of the story."""

    name = models.CharField(max_length=50, unique=True)
    organization = models.ForeignKey(
        Organization, models.SET_NULL, null=True, related_name="employees"
    )


class Tier(models.Model):
    name = models.CharField(max_length=50, unique=True)
    organization = models.ForeignKey(Organization, models.CASCADE)


class Microsite(models.Model):
    name = models.CharField(max_length=50, unique=True)
    organization = models.ForeignKey(Organization, models.CASCADE)


class AuthToken(models.Model):
    name = models.CharField(max_length=50, unique=True)
    member = models.ForeignKey(Member, models.CASCADE)


class Terms(models.Model):
    name = models.CharField(max_length=50, unique=True)


class UserTerms(models.Model):
    name = models.CharField(max_length=50, unique=True)
    member = models.ForeignKey(Member, models.CASCADE)
    terms = models.ForeignKey(Terms, models.CASCADE)


class Customer(models.Model):
    name = models.CharField(max_length=50, unique=True)
    tags = models.ManyToManyField(Tag, related_name="customers")


class Product(models.Model):
    code = models.CharField(max_length=50, unique=True)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    tags = models.ManyToManyField(Tag, related_name="products")


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="orders")
    placed = models.DateTimeField()
    tags = models.ManyToManyField(Tag, related_name="orders")


class OrderLine(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.PROTECT)
    quantity = models.IntegerField()
