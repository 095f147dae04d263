"""What the migrations have made of a keeper's pets."""

from __future__ import annotations

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Keeper(models.Model):
    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True)
    initials = models.CharField(max_length=10)
    born = models.DateTimeField(null=True)


class Address(models.Model):
    keeper = models.OneToOneField(Keeper, models.CASCADE)
    street = models.CharField(max_length=100)


class Animal(models.Model):
    keeper = models.ForeignKey(Keeper, models.CASCADE)
    kind = models.CharField(max_length=20)
    weight_kg = models.DecimalField(max_digits=8, decimal_places=3)


class Remark(models.Model):
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveIntegerField()
    about = GenericForeignKey()
    text = models.TextField()
