"""Which tables hold the readings?"""

from __future__ import annotations

from django.db import models


class Meter(models.Model):
    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.name


class Reading(models.Model):
    meter = models.ForeignKey(Meter, models.CASCADE, related_name="readings")

    def __str__(self) -> str:
        return str(self.pk)


class Remark(models.Model):
    reading = models.ForeignKey(Reading, models.CASCADE, related_name="remarks")
    text = models.TextField()

    def __str__(self) -> str:
        return self.text
