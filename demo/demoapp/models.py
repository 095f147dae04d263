"""The library's tables."""

import uuid

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.urls import reverse
from django.utils import timezone


class Author(models.Model):
    """Someone who wrote a book."""

    first_name = models.CharField(max_length=100)
    last_name = models.CharField(max_length=100)
    born = models.DateField(null=True, blank=True)
    died = models.DateField(null=True, blank=True)

    class Meta:
        ordering = ["last_name", "first_name", "pk"]

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}"

    def get_absolute_url(self) -> str:
        return reverse("author", args=[self.pk])


class Genre(models.Model):
    """A kind of book, such as poetry."""

    name = models.CharField(max_length=100, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Language(models.Model):
    """The language that a book is written in."""

    name = models.CharField(max_length=100, unique=True)
    code = models.CharField(max_length=10)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Note(models.Model):
    """A librarian's note on anything: a book, a copy, an author, a reader."""

    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    object_id = models.CharField(max_length=64)
    content_object = GenericForeignKey("content_type", "object_id")
    text = models.TextField()
    written_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["content_type", "object_id"], name="demoapp_note_object")]

    def __str__(self) -> str:
        return self.text[:60]


class Book(models.Model):
    """A book as such, of which the library may have many copies."""

    title = models.CharField(max_length=200)
    author = models.ForeignKey(Author, on_delete=models.RESTRICT, null=True, blank=True)
    language = models.ForeignKey(Language, on_delete=models.SET_NULL, null=True, blank=True)
    genre = models.ManyToManyField(Genre, blank=True)
    isbn = models.CharField("ISBN", max_length=13, unique=True)
    summary = models.TextField(blank=True)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    metadata = models.JSONField(default=dict, blank=True)
    cover_digest = models.BinaryField(max_length=32, null=True, blank=True)
    added_at = models.DateTimeField(default=timezone.now)
    notes = GenericRelation(Note)

    class Meta:
        ordering = ["title", "pk"]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("book", args=[self.pk])


class BookInstance(models.Model):
    """One copy of a book, which a reader can take home."""

    class Status(models.TextChoices):
        AVAILABLE = "a", "Available"
        ON_LOAN = "o", "On loan"
        RESERVED = "r", "Reserved"
        MAINTENANCE = "m", "Maintenance"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    book = models.ForeignKey(Book, on_delete=models.RESTRICT)
    borrower = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    status = models.CharField(max_length=1, choices=Status.choices, default=Status.MAINTENANCE)
    due_back = models.DateField(null=True, blank=True)
    imprint = models.CharField(max_length=200)

    class Meta:
        ordering = ["due_back", "pk"]

    def __str__(self) -> str:
        return f"{self.pk} ({self.get_status_display()})"


class Profile(models.Model):
    """What the library knows of a reader. A receiver makes one for every new user."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    card_number = models.CharField(max_length=20, unique=True, null=True, blank=True)
    born = models.DateField(null=True, blank=True)
    newsletter = models.BooleanField(default=False)
    about = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"Profile of {self.user}"


class Review(models.Model):
    """What a reader thinks of a book, or answers to another reader's review."""

    book = models.ForeignKey(Book, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True)
    rating = models.PositiveSmallIntegerField(null=True, blank=True)
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["created_at", "pk"]

    def __str__(self) -> str:
        return f"{self.user} on {self.book}"
