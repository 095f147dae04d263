"""Which tables does the school platform have? One of each shape that real sites are made of.

A tree that points at itself (`Topic`), a circle of required and nullable keys (`Enrolment` and
`Submission`, `Organisation` and `User`), UUID keys, generic comments that nothing else leads to,
and tags that all organisations share.
"""

from __future__ import annotations

import uuid

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Organisation(models.Model):
    name = models.CharField(max_length=200)
    slug = models.SlugField(unique=True)
    owner = models.ForeignKey("User", models.SET_NULL, null=True, related_name="+")
    settings = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class User(models.Model):
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="users")
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200)
    is_active = models.BooleanField(default=True)
    joined_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.email


class Tag(models.Model):
    name = models.CharField(max_length=100, unique=True)

    def __str__(self) -> str:
        return self.name


class Topic(models.Model):
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="topics")
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
    title = models.CharField(max_length=200)
    position = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.title


class Course(models.Model):
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="courses")
    lead = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    tags = models.ManyToManyField(Tag, related_name="courses")
    title = models.CharField(max_length=200)
    description = models.TextField()
    price = models.DecimalField(max_digits=9, decimal_places=2)
    starts_on = models.DateField()

    def __str__(self) -> str:
        return self.title


class Enrolment(models.Model):
    user = models.ForeignKey(User, models.CASCADE, related_name="enrolments")
    course = models.ForeignKey(Course, models.CASCADE, related_name="enrolments")
    latest_submission = models.ForeignKey(
        "Submission", models.SET_NULL, null=True, related_name="+"
    )
    status = models.CharField(max_length=20)
    grade = models.DecimalField(max_digits=5, decimal_places=2, null=True)
    enrolled_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "course"], name="school_enrolled_once")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.course_id}"


class Submission(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    enrolment = models.ForeignKey(Enrolment, models.CASCADE, related_name="submissions")
    topic = models.ForeignKey(Topic, models.SET_NULL, null=True, related_name="submissions")
    reviewer = models.ForeignKey(User, models.SET_NULL, null=True, related_name="reviews")
    title = models.CharField(max_length=200)
    body = models.TextField()
    answers = models.JSONField(default=dict)
    score = models.DecimalField(max_digits=7, decimal_places=2, null=True)
    weight = models.DecimalField(max_digits=12, decimal_places=6)
    attempt = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=20)
    is_late = models.BooleanField(default=False)
    time_spent = models.DurationField()
    due_on = models.DateField(null=True)
    submitted_at = models.DateTimeField()
    reviewed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.title


class Comment(models.Model):
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.CharField(max_length=64)
    subject = GenericForeignKey("content_type", "object_id")
    # Three in ten have no author: nothing but the generic key leads to them.
    author = models.ForeignKey(User, models.CASCADE, null=True, related_name="comments")
    text = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["content_type", "object_id"], name="school_comment_subject")
        ]

    def __str__(self) -> str:
        return self.text[:40]
