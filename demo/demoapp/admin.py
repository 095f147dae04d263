"""The library in Django's admin."""

from django.contrib import admin
from django.contrib.contenttypes.admin import GenericTabularInline

from demoapp.models import Author, Book, BookInstance, Genre, Language, Note, Profile, Review


class BookInstanceInline(admin.TabularInline):
    model = BookInstance
    extra = 0
    raw_id_fields = ["borrower"]


class NoteInline(GenericTabularInline):
    model = Note
    extra = 0
    raw_id_fields = ["written_by"]


@admin.register(Author)
class AuthorAdmin(admin.ModelAdmin):
    list_display = ["last_name", "first_name", "born", "died"]
    search_fields = ["last_name", "first_name"]
    inlines = [NoteInline]


@admin.register(Genre)
class GenreAdmin(admin.ModelAdmin):
    search_fields = ["name"]


@admin.register(Language)
class LanguageAdmin(admin.ModelAdmin):
    list_display = ["name", "code"]
    search_fields = ["name"]


@admin.register(Book)
class BookAdmin(admin.ModelAdmin):
    list_display = ["title", "author", "language", "isbn", "price"]
    list_filter = ["language", "genre"]
    list_select_related = ["author", "language"]
    search_fields = ["title", "isbn", "author__last_name"]
    autocomplete_fields = ["author", "language", "genre"]
    inlines = [BookInstanceInline, NoteInline]


@admin.register(BookInstance)
class BookInstanceAdmin(admin.ModelAdmin):
    list_display = ["id", "book", "status", "borrower", "due_back"]
    list_filter = ["status", "due_back"]
    list_select_related = ["book", "borrower"]
    raw_id_fields = ["book", "borrower"]
    inlines = [NoteInline]


@admin.register(Profile)
class ProfileAdmin(admin.ModelAdmin):
    list_display = ["user", "card_number", "newsletter"]
    list_select_related = ["user"]
    search_fields = ["user__username", "card_number"]
    raw_id_fields = ["user"]


@admin.register(Review)
class ReviewAdmin(admin.ModelAdmin):
    list_display = ["book", "user", "rating", "created_at"]
    list_select_related = ["book", "user"]
    raw_id_fields = ["book", "user", "parent"]


@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):
    list_display = ["text", "content_type", "object_id", "written_by", "created_at"]
    list_select_related = ["content_type", "written_by"]
    raw_id_fields = ["written_by"]
