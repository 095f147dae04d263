"""`manage.py generate`: fill an empty library with made-up rows."""

import hashlib
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from shutil import get_terminal_size
from textwrap import fill
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.core.management.color import no_style
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction
from django.db.models import Max, Model

from demoapp import sample
from demoapp.models import Author, Book, BookInstance, Genre, Language, Note, Profile, Review

ADMIN = "admin"
CHUNK = 2_000
COPIES_PER_BOOK = 5

Row = TypeVar("Row")


@dataclass(frozen=True)
class Table:
    """A table to fill: what its rows are called, its model, and what makes them."""

    name: str
    model: type[Model]
    rows: Callable[[sample.Size], Iterable[Model]]


def tables() -> list[Table]:
    """In an order in which every row finds those that it points at."""
    return [
        Table("genres", Genre, sample.genres),
        Table("languages", Language, sample.languages),
        Table("authors", Author, sample.authors),
        Table("users", get_user_model(), sample.users),
        Table("profiles", Profile, sample.profiles),
        Table("books", Book, sample.books),
        Table("genres of books", Book.genre.through, sample.book_genres),
        Table("instances", BookInstance, sample.instances),
        Table("reviews", Review, sample.reviews),
        Table("notes", Note, sample.notes),
    ]


class Command(BaseCommand):
    help = "Fill an empty library with made-up books, copies, readers and what they say."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--books", type=int, help="how many books (default: a fifth of N)")
        parser.add_argument(
            "--instances", type=int, metavar="N", help="how many copies of them (default: 1000)"
        )
        parser.add_argument(
            "--seed", type=int, default=1, help="another number makes another library (default: 1)"
        )
        parser.add_argument(
            "--town",
            type=int,
            default=1,
            help="another number makes other readers, whatever the seed (default: 1)",
        )
        parser.add_argument(
            "--database", default=DEFAULT_DB_ALIAS, choices=list(connections), metavar="ALIAS"
        )
        parser.add_argument(
            "--flush", action="store_true", help="empty the whole database first, without asking"
        )

    def handle(self, **options: Any) -> None:
        started = time.perf_counter()
        size = wanted_size(
            **{name: options[name] for name in ("books", "instances", "seed", "town")}
        )
        with without_query_log():
            counts = make_library(options["database"], size, flush=options["flush"])
        seconds = time.perf_counter() - started
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        told = f"Made {told} in {seconds:.1f} s."
        self.stdout.write(fill(told, get_terminal_size().columns))


def wanted_size(books: int | None, instances: int | None, seed: int, town: int) -> sample.Size:
    if instances is None:
        instances = 1_000 if books is None else books * COPIES_PER_BOOK
    if books is None:
        books = max(1, instances // COPIES_PER_BOOK)
    if books < 1 or instances < 0:
        raise CommandError("A library needs at least one book, and no fewer than 0 instances.")
    return sample.Size(books=books, instances=instances, seed=seed, town=town)


@contextmanager
def without_query_log() -> Iterator[None]:
    """With DEBUG on, Django would keep the text of every INSERT in memory."""
    debug, settings.DEBUG = settings.DEBUG, False
    try:
        yield
    finally:
        settings.DEBUG = debug


def make_library(alias: str, size: sample.Size, *, flush: bool) -> dict[str, int]:
    """Make all rows in one transaction; how many there are now of each kind."""
    if flush:
        call_command("flush", database=alias, interactive=False, verbosity=0)
    ContentType.objects.clear_cache()
    refuse_unless_empty(alias)
    with transaction.atomic(using=alias):
        make_admin(alias, size.seed)
        size = replace(
            size,
            first_user=next_key(get_user_model(), alias),
            first_profile=next_key(Profile, alias),
        )
        counts = {table.name: insert(alias, table, size) for table in tables()}
        set_sequences(alias)
    return counts


def refuse_unless_empty(alias: str) -> None:
    user_model = get_user_model()
    try:
        full = [
            model._meta.verbose_name_plural
            for model in (Author, Genre, Language, Book, BookInstance, Review, Note)
            if model._base_manager.using(alias).exists()
        ]
        if user_model._base_manager.using(alias).exclude(username=ADMIN).exists():
            full.append(user_model._meta.verbose_name_plural)
    except DatabaseError as error:
        raise CommandError(
            f"The tables of the database {alias!r} cannot be read ({error}): run `migrate` first."
        ) from error
    if full:
        raise CommandError(
            f"The database {alias!r} has {', '.join(map(str, full))} already:"
            " use a fresh database, or empty this one with --flush."
        )


def make_admin(alias: str, seed: int) -> None:
    """The user `admin` with the password `admin`, unless there is one of that name."""
    users = get_user_model()._base_manager.using(alias)
    if not users.filter(username=ADMIN).exists():
        salt = hashlib.sha256(f"{seed} {ADMIN}".encode()).hexdigest()[:32]
        admin = users.model(
            username=ADMIN,
            email="admin@example.org",
            password=make_password(ADMIN, salt=salt),
            is_staff=True,
            is_superuser=True,
            date_joined=sample.TODAY,
        )
        users.bulk_create([admin])
    Profile.objects.using(alias).get_or_create(user_id=users.get(username=ADMIN).pk)


def next_key(model: type[Model], alias: str) -> int:
    highest: int | None = model._base_manager.using(alias).aggregate(key=Max("pk"))["key"]
    return (highest or 0) + 1


def insert(alias: str, table: Table, size: sample.Size) -> int:
    """Insert the table's rows in chunks, and count the table."""
    manager = table.model._base_manager.using(alias)
    for chunk in chunks(table.rows(size), CHUNK):
        manager.bulk_create(chunk)
    return manager.count()


def chunks(rows: Iterable[Row], length: int) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, length)):
        yield chunk


def set_sequences(alias: str) -> None:
    """The rows brought their keys: let the database number on from there."""
    connection = connections[alias]
    statements = connection.ops.sequence_reset_sql(no_style(), [t.model for t in tables()])
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
