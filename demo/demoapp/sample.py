"""The rows of a made-up library: the same ones every time for the same seed.

Its readers are those of its town, whatever the seed: all libraries of a town know the same people
under the same keys, each with passwords of its own.

Nothing here touches the database. Each function yields the unsaved rows of one table, one after
the other, keys included; each has its own random numbers, so that one table's size does not
change another table's rows.
"""

import hashlib
import unicodedata
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

from demoapp import words
from demoapp.models import Author, Book, BookInstance, Genre, Language, Note, Profile, Review

TODAY = datetime(2026, 1, 1, tzinfo=UTC)  # the library's own: nothing depends on the clock
POOLS = {
    "adjective": words.ADJECTIVES,
    "noun": words.NOUNS,
    "other": words.NOUNS,
    "place": words.PLACES,
}
LANGUAGE_KEYS = range(1, len(words.LANGUAGES) + 1)
LANGUAGE_WEIGHTS = [weight for _, _, weight in words.LANGUAGES]


@dataclass(frozen=True)
class Size:
    """How large a library, of which seed, in which town, and the first keys of tables that may
    have rows."""

    books: int
    instances: int
    seed: int
    town: int = 1
    first_user: int = 1
    first_profile: int = 1

    @property
    def authors(self) -> int:
        return max(1, self.books // 2)

    @property
    def users(self) -> int:
        return max(4, self.instances // 20)

    def random(self, table: str) -> Random:
        return Random(f"{self.seed} {table}")

    def people(self, table: str) -> Random:
        """For what all libraries of the town know alike."""
        return Random(f"town {self.town} {table}")


class Filling(dict[str, str]):
    """Random words for the names in braces of a sentence."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self.rng = rng

    def __missing__(self, name: str) -> str:
        word = self.rng.choice(POOLS[name])
        return word if name == "place" else word.lower()


class TitleFilling(Filling):
    """The same, with capitals."""

    def __missing__(self, name: str) -> str:
        return self.rng.choice(POOLS[name])


def sentence(rng: Random, choices: list[str]) -> str:
    return rng.choice(choices).format_map(Filling(rng))


def moment(rng: Random, years: int) -> datetime:
    """A moment in the last so many years, to the microsecond."""
    return TODAY - timedelta(microseconds=rng.randrange(years * 365 * 86_400_000_000))


def day(rng: Random, first_year: int, last_year: int) -> date:
    return date(rng.randint(first_year, last_year), rng.randint(1, 12), rng.randint(1, 28))


def genres(size: Size) -> Iterator[Genre]:
    for pk, name in enumerate(words.GENRES, 1):
        yield Genre(pk=pk, name=name)


def languages(size: Size) -> Iterator[Language]:
    for pk, (name, code, _) in enumerate(words.LANGUAGES, 1):
        yield Language(pk=pk, name=name, code=code)


def authors(size: Size) -> Iterator[Author]:
    rng = size.random("authors")
    for pk in range(1, size.authors + 1):
        born = day(rng, 1830, 1995) if rng.random() < 0.95 else None
        died = born.replace(year=born.year + rng.randint(28, 95)) if born else None
        yield Author(
            pk=pk,
            first_name=rng.choice(words.FIRST_NAMES),
            last_name=rng.choice(words.LAST_NAMES),
            born=born,
            died=died if died and died < TODAY.date() else None,
        )


def plain(name: str) -> str:
    """A name in the letters that every keyboard has."""
    name = name.lower().translate(str.maketrans({"ł": "l", "ø": "o", "ı": "i", "'": None}))
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()


def users(size: Size) -> Iterator[Any]:
    """The people of the town, each under the same key in all its libraries."""
    people, rng = size.people("users"), size.random("users")
    user_model = get_user_model()
    for number in range(1, size.users + 1):
        first, last = people.choice(words.FIRST_NAMES), people.choice(words.LAST_NAMES)
        username = f"{plain(first)}.{plain(last)}.{number}"
        yield user_model(
            pk=size.first_user + number - 1,
            username=username,
            first_name=first,
            last_name=last,
            email=f"{username}@example.org",
            password=f"!{rng.getrandbits(160):040x}",
            date_joined=moment(rng, 12),
        )


def profiles(size: Size) -> Iterator[Profile]:
    people, rng = size.people("profiles"), size.random("profiles")
    for number in range(size.users):
        yield Profile(
            pk=size.first_profile + number,
            user_id=size.first_user + number,
            card_number=f"LL-{number + 1:08d}",
            born=day(people, 1935, 2018) if people.random() < 0.8 else None,
            newsletter=rng.random() < 0.3,
            about=sentence(rng, words.SENTENCES) if rng.random() < 0.2 else "",
        )


def isbn(seed: int, number: int) -> str:
    """A thirteen-digit ISBN with a right check digit; no two of the first 10⁹ are equal."""
    digits = f"978{(number * 387_420_489 + seed * 7_654_321) % 10**9:09d}"
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-total % 10}"


def metadata(rng: Random) -> dict[str, Any]:
    found: dict[str, Any] = {"pages": rng.randint(48, 960)}
    if rng.random() < 0.6:
        found["edition"] = {"number": rng.randint(1, 9), "year": rng.randint(1950, 2025)}
    if rng.random() < 0.4:
        found["translators"] = [rng.choice(words.LAST_NAMES) for _ in range(rng.randint(1, 2))]
    if rng.random() < 0.3:
        found["weight"] = round(rng.uniform(0.1, 2.5), 3)
    if rng.random() < 0.1:
        found["series"] = None
    return found


def books(size: Size) -> Iterator[Book]:
    rng = size.random("books")
    for pk in range(1, size.books + 1):
        yield Book(
            pk=pk,
            title=rng.choice(words.TITLES).format_map(TitleFilling(rng)),
            # Squared, so that some authors wrote many books and some none.
            author_id=int(size.authors * rng.random() ** 2) + 1 if rng.random() < 0.97 else None,
            language_id=(
                rng.choices(LANGUAGE_KEYS, LANGUAGE_WEIGHTS)[0] if rng.random() < 0.98 else None
            ),
            isbn=isbn(size.seed, pk),
            summary=" ".join(sentence(rng, words.SENTENCES) for _ in range(rng.randint(1, 3))),
            price=Decimal(rng.randint(399, 8999)).scaleb(-2),
            metadata=metadata(rng),
            cover_digest=rng.randbytes(32) if rng.random() < 0.7 else None,
            added_at=moment(rng, 20),
        )


def book_genres(size: Size) -> Iterator[Model]:
    rng = size.random("genres")
    through = Book.genre.through
    pk = 0
    for book in range(1, size.books + 1):
        for genre in sorted(rng.sample(range(1, len(words.GENRES) + 1), rng.randint(1, 3))):
            pk += 1
            yield through(pk=pk, book_id=book, genre_id=genre)


def copies(size: Size) -> Iterator[int]:
    """The key of the book of each copy: some books have more than others, the sum is right."""
    rng = size.random("copies")
    share, rest = divmod(size.instances, size.books)
    more = 0
    for book in range(1, size.books + 1):
        count = share + (book <= rest)
        if book % 2:
            more = rng.randint(0, share // 2) if book < size.books else 0
            count -= more
        else:
            count += more
        yield from [book] * count


def copy_key(size: Size, number: int) -> uuid.UUID:
    """The key of the copy of that number, counted through the whole library."""
    digest = hashlib.blake2b(f"{size.seed} {number}".encode(), digest_size=16).digest()
    return uuid.UUID(bytes=digest, version=4)


def instances(size: Size) -> Iterator[BookInstance]:
    rng = size.random("instances")
    for number, book in enumerate(copies(size)):
        status = rng.choices("aorm", [55, 30, 8, 7])[0]
        out = status in "or"
        yield BookInstance(
            pk=copy_key(size, number),
            book_id=book,
            borrower_id=size.first_user + rng.randrange(size.users) if out else None,
            status=status,
            due_back=TODAY.date() + timedelta(days=rng.randint(-30, 60)) if out else None,
            imprint=f"{rng.choice(words.PUBLISHERS)}, {rng.randint(1950, 2025)}",
        )


def reviews(size: Size) -> Iterator[Review]:
    """A few on some books, and more on every fourth."""
    rng = size.random("reviews")
    pk = 0
    for book in range(1, size.books + 1):
        first = pk + 1
        for _ in range(rng.choice((0, 0, 1, 2) if book % 4 else (3, 4, 5))):
            pk += 1
            answers = pk > first and rng.random() < 0.5
            yield Review(
                pk=pk,
                book_id=book,
                user_id=size.first_user + rng.randrange(size.users),
                parent_id=rng.randrange(first, pk) if answers else None,
                rating=None if answers else rng.choice((1, 2, 3, 3, 4, 4, 4, 5, 5)),
                text=sentence(rng, words.ANSWERS if answers else words.OPINIONS),
                created_at=moment(rng, 8),
            )


def last_copy(size: Size, book: int) -> int:
    """The number of the last copy of a book with an even key: up to there, the sum is even."""
    share, rest = divmod(size.instances, size.books)
    return max(0, book * share + min(book, rest) - 1)


def notes(size: Size) -> Iterator[Note]:
    """A note on every fourth book, one on its last copy, and as many on authors and readers."""
    rng = size.random("notes")
    models: list[type[Model]] = [Book, BookInstance, Author, get_user_model()]
    kinds = {model: ContentType.objects.get_for_model(model) for model in models}
    for pk in range(1, size.books + 1):
        model = models[pk % 4]
        if model is BookInstance and not size.instances:
            continue
        yield Note(
            pk=pk,
            content_type_id=kinds[model].pk,
            object_id=str(noted(size, rng, model, pk)),
            text=sentence(rng, words.REMARKS[model._meta.model_name or ""]),
            written_by_id=size.first_user if rng.random() < 0.7 else None,
            created_at=moment(rng, 5),
        )


def noted(size: Size, rng: Random, model: type[Model], number: int) -> object:
    """The key of the object that a note is on."""
    if model is Book:
        return number
    if model is BookInstance:
        return copy_key(size, last_copy(size, number - 1))
    if model is Author:
        return rng.randint(1, size.authors)
    return size.first_user + rng.randrange(size.users)
