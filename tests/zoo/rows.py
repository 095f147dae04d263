"""Which rows live in the zoo?

Edge cases of every kind, the same ones every time. `populate` fills menageries, and whatever it
puts in belongs to one or is pointed at by what does: filled with one menagerie, a database holds
exactly what `zoo.Menagerie.1` takes along. The stories and the herds have functions of their own.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import django
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connections, models

from . import models as zoo
from .fields import Money, Seal
from .inserting import JSON_NULL, Inserter, Placed, Stored, circles_allowed, inserting

# Far above the users that a project makes for itself.
FIRST_USER = 7_000


@dataclass(frozen=True)
class Inhabitants:
    """The rows of one menagerie that a test may want to name."""

    animal: Placed
    offspring: Placed
    enclosure: Placed
    user: Placed
    staff_member: Placed
    uuid_key: Placed
    char_key: Placed
    dotted_key: Placed
    falsy_key: Placed
    cage: Placed
    chain_first: Placed
    chain_last: Placed
    cycle_head: Placed
    cycle_tail: Placed
    hidden: Placed
    hidden_from_base: Placed
    sports_car: Placed
    duck: Placed
    doomed: Placed
    note: Placed


@dataclass(frozen=True)
class Zoo:
    """What `populate` made. The bystander has rows in every table too, and is not to be touched."""

    root: Placed
    inhabitants: Inhabitants
    tag: Placed
    species: Placed
    continent: Placed
    fallback: Placed
    bystander: Placed | None = None
    bystander_inhabitants: Inhabitants | None = None


@dataclass(frozen=True)
class _Shared:
    """What both menageries point at."""

    tag: Placed
    species: Placed
    species_code: str
    continent: Placed
    fallback: Placed


@dataclass(frozen=True)
class _Place:
    """Where rows are being put: into the n-th menagerie, with an inserter."""

    inserter: Inserter
    number: int
    menagerie: Placed
    shared: _Shared
    portable: bool
    site: int = 0

    def put(self, model: type[models.Model], **values: Any) -> Placed:
        return self.inserter.put(model, **values)

    def house(self, model: type[models.Model], **values: Any) -> Placed:
        return self.inserter.put(model, menagerie=self.menagerie, **values)

    def own(self, text: str) -> str:
        """The text, different in every menagerie."""
        return _own(text, self.number, self.site)

    @property
    def unrepeated(self) -> int:
        """The number that no menagerie of any site has but this one."""
        return self.number + 100 * self.site

    def accepts(self, *vendors: str) -> bool:
        """Whether rows may be put in that only these databases hold."""
        return not self.portable and self.inserter.connection.vendor in vendors


def populate(
    using: str,
    menageries: int = 2,
    *,
    portable: bool = False,
    dangling: bool = False,
    blockers: bool = False,
    loans: bool = False,
    chain: int = 50,
    site: int = 0,
) -> Zoo:
    """Fills an empty zoo.

    portable: only values that SQLite, PostgreSQL and MariaDB all hold without loss.
    dangling: also rows whose keys, unchecked by the database, point nowhere.
    blockers: also rows that do not let go of what they point at (PROTECT, RESTRICT, DO_NOTHING).
    loans: also a row of the first menagerie that points at the bystander.
    chain: how many rows hang on one another.
    site: another one's rows have the same keys, where keys can be made anew, and other values.
    """
    with inserting(using) as inserter:
        shared = _shared(inserter, site)
        roots, living = [], []
        for number in range(1, menageries + 1):
            root = inserter.put(
                zoo.Menagerie,
                name=_own("Menagerie", number, site),
                opened=_moment(2001, 2, 3, 4, 5, 6, 700_000 + number),
            )
            place = _Place(inserter, number, root, shared, portable, site)
            roots.append(root)
            living.append(_fill(place, chain))
            if dangling:
                _dangling(place)
            if blockers:
                _blockers(place, living[-1])
        if loans:
            inserter.put(zoo.Loan, menagerie=roots[0], borrower=roots[-1])
    others: dict[str, Any] = (
        {"bystander": roots[1], "bystander_inhabitants": living[1]} if menageries > 1 else {}
    )
    return Zoo(
        root=roots[0],
        inhabitants=living[0],
        tag=shared.tag,
        species=shared.species,
        continent=shared.continent,
        fallback=shared.fallback,
        **others,
    )


def _own(text: str, number: int, site: int) -> str:
    return f"{text} {number} of site {site}" if site else f"{text} {number}"


def _shared(inserter: Inserter, site: int) -> _Shared:
    species_code = "panthera.leo, ssp. (leo)"
    return _Shared(
        # The key of the fallback is written into the models: it must be the first.
        fallback=inserter.put(zoo.Doomed, id=zoo.FALLBACK_KEY, name="fallback"),
        # The same ones on every site, under keys of its own.
        tag=inserter.put(zoo.Tag, id=1 + 50 * site, label="shared by everything"),
        species=inserter.put(zoo.Species, id=1 + 50 * site, code=species_code),
        species_code=species_code,
        continent=inserter.put(zoo.Continent, id=1 + 50 * site, code="AF", name="Africa"),
    )


def _fill(place: _Place, chain: int) -> Inhabitants:
    place.put(zoo.Menagerie.tags.through, menagerie=place.menagerie, tag=place.shared.tag)
    _columns(place)
    _odd_columns(place)
    keys = _keys(place)
    related = _relations(place)
    _many_to_many(place, related["animal"], related["offspring"])
    chains = _circles_and_chains(place, chain)
    _generic(place, keys, related)
    return Inhabitants(
        **keys,
        **related,
        **chains,
        **_hidden(place),
        **_inheritance(place, related["animal"]),
        **_deletion(place),
        note=_notes_of_animal(place, related["animal"]),
        **_rest(place),
    )


# --- columns ------------------------------------------------------------------------------------


def _moment(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC if settings.USE_TZ else None)


def _columns(place: _Place) -> None:
    for values in _moments():
        place.house(zoo.Moments, **values)
    for values in _decimals(place):
        place.house(zoo.Decimals, **values)
    for value in _floats(place):
        place.house(zoo.Floats, value=value)
    for values in _integers():
        place.house(zoo.Integers, **values)
    for text in _texts(place):
        place.house(zoo.Texts, short=text, long=text)
    place.house(
        zoo.Texts,
        long="long " * 20_000,
        email="keeper+zoo@example.org",
        link="https://example.org/?a=1&b=%20",
        slug="a-slug_1",
    )
    for data in (None, b"", bytes(range(256)), b"\xff\xfe\x00", b"x" * 70_000):
        place.house(zoo.Binaries, data=data)
    for values in _identifiers():
        place.house(zoo.Identifiers, **values)
    for values in _documents(place):
        place.house(zoo.Documents, **values)


def _moments() -> Iterator[dict[str, Any]]:
    yield {}
    yield {
        "moment": _moment(2024, 2, 29, 23, 59, 59, 999_999),
        "day": date(2024, 2, 29),
        "hour": time(23, 59, 59, 999_999),
        "lasting": timedelta(days=1, microseconds=1),
    }
    yield {
        "moment": _moment(1, 1, 1),
        "day": date.min,
        "hour": time.min,
        "lasting": timedelta(microseconds=-1),
    }
    yield {
        "moment": _moment(9999, 12, 31, 23, 59, 59, 999_999),
        "day": date.max,
        "hour": time(0, 0, 0, 1),
        "lasting": timedelta(days=100_000_000),
    }
    # On Rome's clocks these two are the same: the hour came twice.
    yield {"moment": _moment(2024, 10, 27, 0, 30), "lasting": timedelta()}
    yield {"moment": _moment(2024, 10, 27, 1, 30), "lasting": timedelta(days=-100_000_000)}
    # Whole milliseconds, and whole seconds.
    yield {"moment": _moment(2024, 7, 1, 2, 30, 0, 1_000)}
    yield {"moment": _moment(1969, 12, 31, 23, 59, 59)}


def _decimals(place: _Place) -> Iterator[dict[str, Any]]:
    yield {}
    yield {"price": Decimal("0.10"), "fine": Decimal("0.000000000001"), "vast": Decimal(1)}
    yield {"price": Decimal("-9999999999.99"), "fine": Decimal("999.999999999999")}
    yield {"price": Decimal("0.00"), "fine": Decimal("-0.3"), "vast": Decimal("-12345.6789")}
    if place.accepts("postgresql", "mysql"):
        # SQLite holds 15 digits.
        yield {"vast": Decimal("123456789012345678901234567890.123456789012345678901234567890")}
        yield {"vast": Decimal("-999999999999999999999999999999.999999999999999999999999999999")}


def _floats(place: _Place) -> Iterator[float | None]:
    yield None
    yield from (0.0, -0.0, 0.1, -1 / 3, 1e22, 123456789.123456789)
    yield from (1.7976931348623157e308, 2.2250738585072014e-308)
    if place.accepts("sqlite", "postgresql"):
        yield from (float("inf"), float("-inf"), 5e-324)
    if place.accepts("postgresql"):
        # SQLite stores NULL in its place, without a word.
        yield float("nan")


def _integers() -> Iterator[dict[str, Any]]:
    yield {}
    yield {
        "small": -(2**15),
        "normal": -(2**31),
        "big": -(2**63),
        "positive_small": 0,
        "positive": 0,
        "positive_big": 0,
        "yes": False,
        "maybe": False,
    }
    yield {
        "small": 2**15 - 1,
        "normal": 2**31 - 1,
        "big": 2**63 - 1,
        "positive_small": 2**15 - 1,
        "positive": 2**31 - 1,
        "positive_big": 2**63 - 1,
        "yes": True,
        "maybe": True,
    }
    # The first integer that a float cannot hold.
    yield {"big": 2**53 + 1}


def _texts(place: _Place) -> Iterator[str | None]:
    yield None
    yield from ("", " ", "  leading and trailing  ", "tab\tnewline\nreturn\r\n", "\ufeffmark")
    yield from (
        "line\u2028paragraph\u2029next\x85line",
        "control \x01\x1b\x7f",
        "half \ufffd \uffff",
    )
    yield from ("🦁 lion, 👨‍👩‍👧 family, 🏳️‍🌈 flag", "e\u0301 is not \u00e9", "عربي עברית 中文 ไทย")
    yield from ("\"quoted\" 'single' `back` \\slash", "50% of %s and %(name)s {0}", "null", "0")
    yield from ("; DROP TABLE zoo_animal; --", "a,b;c\td", "\\N", "\\u0041", "ſtraße İıIi")
    yield "x" * 255
    if place.accepts("sqlite", "mysql"):
        yield from ("nul \x00 inside", "\x00", "ends\x00")


def _identifiers() -> Iterator[dict[str, Any]]:
    yield {}
    yield {"token": uuid.UUID(int=0), "address": "0.0.0.0", "mapped": "10.0.0.1"}
    yield {"token": uuid.UUID(int=2**128 - 1), "address": "2001:db8::1", "mapped": "::1"}
    yield {"token": uuid.UUID(int=12), "address": "::ffff:10.0.0.1", "mapped": "::ffff:10.0.0.2"}


def _documents(place: _Place) -> Iterator[dict[str, Any]]:
    yield {}
    yield {"document": JSON_NULL, "required": JSON_NULL, "exact": JSON_NULL}
    for document in (True, False, 0, -1, 1.5, "", "text", "null", [], {}, [None], {"": None}):
        yield {"document": document, "required": document}
    yield {
        "document": {"b": [1, 2.5, {"deep": [[[None]]]}], "a": "🦁\u2028", "é": '\\ " / \n'},
        "required": {"integers": [2**53 + 1, 2**64, -(2**100)], "long": "x" * 70_000},
        "exact": {"price": Decimal("1.10"), "list": [Decimal("0.30")]},
    }
    yield {"exact": Decimal("12.340")}
    yield {"document": {"__decimal__": "not one"}, "required": {"model": "zoo.animal", "pk": 1}}
    if place.accepts("sqlite", "mysql"):
        # PostgreSQL's jsonb refuses NUL, writes the floats as integers, and orders the keys.
        yield {"document": Stored('["\\u0000", 1e22, -0.0, {"b": 1, "a": 2}]')}
    if place.accepts("sqlite"):
        # Half of a pair: MariaDB refuses it too.
        yield {"document": Stored('["\\ud800"]')}


def _odd_columns(place: _Place) -> None:
    place.house(
        zoo.SelfStamped,
        name="stamped long ago",
        created=_moment(1999, 12, 31, 23, 59, 59, 123_456),
        updated=_moment(2000, 1, 1, 0, 0, 0, 654_321),
        created_day=date(1999, 12, 31),
        updated_hour=time(0, 0, 0, 654_321),
    )
    place.house(zoo.Files, attachment="zoo/photo of a lion.jpg", path="/srv/zoo/map.txt")
    place.house(zoo.Files, attachment="", path=None)
    place.house(zoo.Files, attachment=None, path="")
    place.house(zoo.Pictures, picture=place.own("zoo/no such file"))
    place.house(zoo.Unserialized, unserialized="kept", uneditable="kept too", neither=3)
    place.house(zoo.Unserialized, unserialized="", uneditable="")
    place.house(zoo.DatabaseDefaults, made=_moment(2010, 1, 1, 0, 0, 0, 1))
    place.house(zoo.DatabaseDefaults, made=_moment(2011, 1, 1), code="other", count=-1)
    place.house(zoo.Generated, name="Wide AND High", width=1_000, height=2_000)
    place.house(zoo.Generated, name="no height", width=-1, height=None)
    for price in (None, Money(Decimal("12.340"), "EUR"), Money(Decimal("-0.001"), "XAU")):
        place.house(zoo.Priced, price=price)
    for note in (None, "", "the lion's share 🦁", place.own("plain here, cipher there")):
        place.house(zoo.Secrets, note=note)
    first = place.house(
        zoo.ReservedColumns,
        order=1,
        select="select",
        group_name="group",
        from_whom="from",
        swapped_a=10,
        swapped_b=20,
    )
    place.house(
        zoo.ReservedColumns,
        order=2,
        select="",
        group_name="",
        from_whom="",
        swapped_a=30,
        swapped_b=40,
        link=first,
    )
    place.house(zoo.OddlyNamedTable, name="found")
    place.house(zoo.Untouchable, name="never an instance")


# --- keys ---------------------------------------------------------------------------------------


def _keys(place: _Place) -> dict[str, Placed]:
    number, unrepeated = place.number, place.unrepeated
    named = place.house(zoo.NamedKey, name="not called id")
    uuid_key = place.house(zoo.UuidKey, key=uuid.UUID(int=number), name="small")
    char = place.house(zoo.CharKey, code=place.own("ABC"), name="text")
    dotted = place.house(
        zoo.DottedKey, slug=f"v{unrepeated}.2.3, 'final' (draft) 🦁", name="dots, spaces, commas"
    )
    place.house(zoo.DottedKey, slug=f"{unrepeated}", name="looks like a number")
    place.house(zoo.DottedKey, slug=f"zoo.Menagerie.{unrepeated}", name="looks like a reference")
    big = place.house(zoo.BigKey, id=2**53 + number, name="no float holds it")
    huge = place.house(zoo.HugeKey, number=2**63 - unrepeated)
    place.house(zoo.HugeKey, number=unrepeated - 1 - 2**63)
    small = place.house(zoo.SmallKey, id=300 + number, name="small")
    falsy = place.house(zoo.FalsyKey, number=1 - number, name="0, and below")
    day = place.house(
        zoo.DateKey, day=date(2000 + 4 * place.site, 2, 28 + number % 2), name="a day"
    )
    ticket = place.house(
        zoo.CustomKey, ticket=f"T-{unrepeated:06d}", name="a number in the database"
    )
    first = place.put(zoo.OneToOneKey, named=named, name="one to one")
    nested = place.put(zoo.OneToOneOfOneToOneKey, first=first, name="and again")
    foreign = place.put(zoo.ForeignKeyKey, uuid_key=uuid_key, name="a foreign key as key")
    pointers = place.house(
        zoo.KeyPointers,
        named=named,
        uuid_key=uuid_key,
        char=char,
        dotted=dotted,
        big=big,
        huge=huge,
        small=small,
        falsy=falsy,
        day=day,
        ticket=ticket,
        one_to_one=first,
        nested=nested,
        foreign=foreign,
    )
    place.house(zoo.KeyPointers)
    place.put(zoo.KeyPointers.dotted_many.through, keypointers=pointers, dottedkey=dotted)
    place.put(zoo.KeyPointers.uuid_many.through, keypointers=pointers, uuidkey=uuid_key)
    if unrepeated == 1:
        place.house(zoo.CharKey, code="", name="the empty key")
    cage = place.house(zoo.Cage, number=7, name="two parts")
    place.house(zoo.Cage, number=0, name="0 is a part")
    place.put(
        zoo.CagePlate, menagerie=place.menagerie.key, cage_number=7, text="points at both parts"
    )
    return {
        "uuid_key": uuid_key,
        "char_key": char,
        "dotted_key": dotted,
        "falsy_key": falsy,
        "cage": cage,
    }


# --- relations ----------------------------------------------------------------------------------


def _relations(place: _Place) -> dict[str, Placed]:
    shared = place.shared
    enclosure = place.house(zoo.Enclosure, name=place.own("savannah"), continent=shared.continent)
    place.house(zoo.Enclosure, name="nowhere")
    mother = place.put(
        zoo.Animal, name=place.own("Elsa"), enclosure=enclosure, species=shared.species_code
    )
    offspring = place.put(
        zoo.Animal,
        name=place.own("Little Elsa"),
        enclosure=enclosure,
        species=shared.species_code,
        mother=mother,
    )
    place.put(zoo.Residency, animal=mother, enclosure=enclosure, since=date(2001, 1, 1))
    place.put(zoo.Residency, animal=offspring, enclosure=enclosure, since=date(2002, 1, 1))
    for animal, number in ((mother, "A"), (None, "B"), (None, "C")):
        place.house(zoo.Passport, animal=animal, number=place.own(number))
    place.house(zoo.LooseLink)
    loose = place.house(zoo.LooseLink, animal=mother, species=shared.species_code)
    place.put(zoo.LooseLink.tags.through, looselink=loose, tag=shared.tag)
    hidden = place.put(zoo.HiddenPointer, animal=mother)
    place.put(zoo.HiddenPointer.tags.through, hiddenpointer=hidden, tag=shared.tag)
    home = place.house(zoo.Team, name="home")
    away = place.house(zoo.Team, name="away")
    place.put(zoo.Match, home=home, away=away)
    place.put(zoo.Match, home=home, away=home)
    for position, text in enumerate(("third", "first", "second")):
        place.put(zoo.Badge, animal=mother, text=text, _order=position)
    return {
        "animal": mother,
        "offspring": offspring,
        "enclosure": enclosure,
        **_staff(place, mother),
    }


def _staff(place: _Place, animal: Placed) -> dict[str, Placed]:
    user = place.put(
        User,
        id=FIRST_USER + place.number,
        username=f"keeper-{place.unrepeated}",
        password="!",
        email=f"keeper-{place.unrepeated}@example.org",
        date_joined=_moment(2005, 5, 5, 5, 5, 5, 555_555),
    )
    member = place.house(zoo.StaffMember, name="keeper", user=user)
    place.house(zoo.StaffMember, name="nobody's user")
    for minute, grams in ((0, 500), (0, 500), (1, None)):
        place.put(
            zoo.Feeding,
            animal=animal,
            staff_member=member,
            at=_moment(2020, 1, 1, 12, minute),
            food="meat",
            grams=grams,
        )
    place.house(zoo.Profile, nickname="another Profile")
    place.put(zoo.SwappableLink, keeper=place.house(zoo.ModernKeeper, name="modern"))
    return {"user": user, "staff_member": member}


def _many_to_many(place: _Place, animal: Placed, offspring: Placed) -> None:
    place.put(zoo.Animal.tags.through, animal=animal, tag=place.shared.tag)
    club = place.house(zoo.Club, name="club")
    place.put(zoo.Club.members.through, club=club, animal=animal)
    place.put(zoo.Club.members.through, club=club, animal=offspring)
    place.put(zoo.Club.hidden_members.through, club=club, animal=offspring)
    place.put(zoo.Invitation, club=club, guest=offspring, inviter=animal, reason="family")
    place.put(zoo.Invitation, club=club, guest=animal, inviter=None, reason="unknown")
    friends = [place.house(zoo.Friend, name=name) for name in ("one", "two", "three")]
    for one, other in ((0, 1), (1, 0), (2, 2)):
        place.put(zoo.Friend.friends.through, from_friend=friends[one], to_friend=friends[other])
    for one, other in ((0, 1), (1, 2), (2, 2)):
        place.put(zoo.Friend.follows.through, from_friend=friends[one], to_friend=friends[other])


def _circles_and_chains(place: _Place, length: int) -> dict[str, Placed]:
    first, last = _chain(place.inserter, place.menagerie, length)
    with circles_allowed(place.inserter):
        head = place.house(zoo.CycleHead, tail=1_000 + place.number, name="head")
        tail = place.put(zoo.CycleTail, id=1_000 + place.number, head=head, name="tail")
        loop = 1_000 * place.number
        place.house(zoo.SelfLoop, id=loop, other=loop)
        place.house(zoo.SelfLoop, id=loop + 1, other=loop + 2)
        place.house(zoo.SelfLoop, id=loop + 2, other=loop + 1)
        land = place.house(zoo.Land, name="closed", capital=1_000 + place.number)
        place.put(zoo.Capital, id=1_000 + place.number, name="capital", land=land)
    open_land = place.house(zoo.Land, name="open")
    place.put(zoo.Capital, id=2_000 + place.number, name="a town", land=open_land)
    return {"chain_first": first, "chain_last": last, "cycle_head": head, "cycle_tail": tail}


def _chain(inserter: Inserter, menagerie: Placed, length: int) -> tuple[Placed, Placed]:
    first = inserter.put(zoo.SelfChain, menagerie=menagerie, name="link 0")
    # Keys are counted up, so each link's parent is the number before its own.
    rows = (
        {"parent": first.key + depth - 1, "name": f"link {depth}"} for depth in range(1, length)
    )
    keys = inserter.put_many(zoo.SelfChain, rows)
    return first, Placed(zoo.SelfChain, keys[-1] if keys else first.key)


def _hidden(place: _Place) -> dict[str, Placed]:
    gone = _moment(2015, 5, 5)
    place.house(zoo.HiddenByManager, name="alive")
    place.house(zoo.HiddenByBaseManager, name="alive")
    by_manager = place.house(zoo.HiddenByManager, name="soft-deleted", deleted=gone)
    by_base = place.house(zoo.HiddenByBaseManager, name="soft-deleted", deleted=gone)
    place.put(zoo.PointerAtHidden, by_manager=by_manager, by_base_manager=by_base)
    place.house(zoo.Scoped, name="out of scope")
    return {"hidden": by_manager, "hidden_from_base": by_base}


# --- generic keys -------------------------------------------------------------------------------


def _notes_of_animal(place: _Place, animal: Placed) -> Placed:
    kind = place.inserter.content_type(zoo.Animal)
    place.put(zoo.NoteByChar, text="key as text", content_type=kind, object_id=f"{animal.key}")
    place.put(zoo.NoteByText, text="as long text", content_type=kind, object_id=f"{animal.key}")
    return place.put(zoo.NoteByInteger, text="known", content_type=kind, object_id=animal.key)


def _generic(place: _Place, keys: dict[str, Placed], related: dict[str, Placed]) -> None:
    kind = place.inserter.content_type
    animal, member = related["animal"], related["staff_member"]

    def note(model: type[models.Model], target: Placed, key: Any = None) -> Placed:
        return place.put(
            model,
            text=f"on {target.model.__name__}",
            content_type=kind(target.model),
            object_id=target.key if key is None else key,
        )

    note(zoo.NoteByInteger, place.menagerie)
    first = note(zoo.NoteByInteger, member)
    note(zoo.NoteByInteger, first)
    note(zoo.NoteByChar, keys["dotted_key"])
    note(zoo.NoteByChar, keys["char_key"])
    note(zoo.NoteByChar, keys["uuid_key"], key=str(keys["uuid_key"].key))
    note(zoo.NoteByText, keys["dotted_key"])
    note(zoo.NoteByText, keys["uuid_key"], key=keys["uuid_key"].key.hex)
    note(zoo.NoteByUuid, keys["uuid_key"])
    note(zoo.NoteOnce, animal)
    for concrete in (True, False):
        place.put(
            zoo.ProxyNote,
            content_type=kind(zoo.TameAnimal, for_concrete_model=concrete),
            object_id=animal.key,
        )
    place.house(zoo.Ribbon, kind=kind(zoo.Animal), number=animal.key)
    place.house(zoo.Ribbon, kind=kind(zoo.Species), number=place.shared.species.key)
    place.house(zoo.Ribbon)
    place.house(zoo.Ribbon, kind=kind(zoo.Animal))
    place.house(
        zoo.PseudoGeneric,
        content_type=kind(zoo.Animal),
        object_id=animal.key,
        object_repr="an animal",
    )
    place.house(zoo.PseudoGeneric, object_repr="nothing")
    place.house(zoo.SoftReference, user_id=related["user"].key, animal_ids=[animal.key])
    place.house(zoo.SoftReference, animal_ids=[])


# --- inheritance --------------------------------------------------------------------------------


def _inheritance(place: _Place, animal: Placed) -> dict[str, Placed]:
    def vehicle(name: str) -> Placed:
        return place.house(zoo.Vehicle, name=name)

    vehicle("only a vehicle")
    car = place.put(zoo.Car, vehicle_ptr=vehicle("only a car"), doors=5)
    middle = place.put(zoo.Car, vehicle_ptr=vehicle("a sports car"), doors=2)
    sports_car = place.put(zoo.SportsCar, car_ptr=middle, horsepower=300)
    other = place.put(zoo.Car, vehicle_ptr=vehicle("its rival"), doors=2)
    place.put(zoo.SportsCar, car_ptr=other, horsepower=301, rival=sports_car)
    place.put(zoo.Boat, hull=vehicle("a boat"), length=Decimal("12.50"))
    place.put(zoo.Tram, tram_number=100 + place.number, vehicle_ptr=vehicle("a tram"))
    place.put(zoo.PitStop, car=car)
    place.put(zoo.PitStop, car=middle, vehicle=middle, racing_car=sports_car)
    swimmer = place.house(zoo.Swimmer, depth=-3)
    place.house(zoo.Swimmer, depth=-10)
    flyer = place.put(zoo.Flyer, flyer_id=500 + place.number, height=100)
    duck = place.put(zoo.Duck, swimmer_ptr=swimmer, flyer_ptr=flyer, name=place.own("Donald"))
    place.put(zoo.Weighing, animal=animal, grams=190_000, scale="the big one")
    leash = place.put(zoo.Leash, animal=animal)
    place.put(zoo.Leash.others.through, leash=leash, tameanimal=animal)
    place.put(
        zoo.NoteByInteger,
        text="on the third part of a car",
        content_type=place.inserter.content_type(zoo.SportsCar),
        object_id=sports_car.key,
    )
    return {"sports_car": sports_car, "duck": duck}


# --- deletion -----------------------------------------------------------------------------------


def _deletion(place: _Place) -> dict[str, Placed]:
    doomed = place.house(zoo.Doomed, name="doomed")
    place.house(zoo.FallbackChoice, fallback=place.shared.fallback)
    place.put(zoo.CascadePointer, doomed=doomed)
    place.house(zoo.ProtectInside, doomed=doomed)
    place.house(zoo.RestrictInside, doomed=doomed)
    place.put(zoo.SetNullPointer, doomed=doomed)
    place.put(zoo.SetDefaultPointer, doomed=doomed)
    place.put(zoo.SetCallablePointer, doomed=doomed)
    place.put(zoo.SetValuePointer, doomed=doomed)
    if django.VERSION >= (6, 1):
        by_database = place.house(zoo.DatabaseDoomed, name="doomed by the database")
        place.put(zoo.DatabaseCascadePointer, doomed=by_database)
        place.put(zoo.DatabaseSetNullPointer, doomed=by_database)
    return {"doomed": doomed}


def _blockers(place: _Place, inhabitants: Inhabitants) -> None:
    for model in (zoo.ProtectOutside, zoo.RestrictOutside, zoo.DoNothingPointer):
        place.put(model, doomed=inhabitants.doomed)


def _dangling(place: _Place) -> None:
    nowhere = 999_000 + place.number
    place.house(zoo.LooseLink, animal=nowhere, species=place.own("extinct"))
    loose = place.house(zoo.LooseLink)
    place.put(zoo.LooseLink.tags.through, looselink=loose, tag=nowhere)
    place.house(
        zoo.DanglingNote, content_type=place.inserter.content_type(zoo.Animal), object_id=nowhere
    )
    place.house(zoo.SoftReference, user_id=nowhere, animal_ids=[nowhere])


# --- trees, unique values, and what every site has of its own -----------------------------------


def _rest(place: _Place) -> dict[str, Placed]:
    _trees(place)
    _unique_values(place)
    permissions = Permission.objects.using(place.inserter.using).filter(
        content_type__app_label="auth"
    )
    permission = permissions.get(codename="add_user")
    pointers = place.house(
        zoo.ExternalPointers,
        content_type=place.inserter.content_type(zoo.Animal),
        permission=permission.pk,
    )
    place.house(zoo.ExternalPointers, content_type=place.inserter.content_type(zoo.TameAnimal))
    place.put(
        zoo.ExternalPointers.permissions.through,
        externalpointers=pointers,
        permission=permissions.get(codename="change_user").pk,
    )
    return {}


def _trees(place: _Place) -> None:
    top = f"{place.unrepeated:04d}"
    for path, depth, children in ((top, 1, 2), (f"{top}0001", 2, 0), (f"{top}0002", 2, 0)):
        place.house(zoo.PathNode, path=path, depth=depth, numchild=children, name=path)

    def node(name: str, left: int, right: int, parent: Placed | None = None) -> Placed:
        return place.house(
            zoo.NestedSetNode,
            name=name,
            parent=parent,
            lft=left,
            rght=right,
            tree_id=place.number,
            level=0 if parent is None else 1,
        )

    root = node("root", 1, 6)
    leaves = [node("first", 2, 3, root), node("second", 4, 5, root)]
    for one in (root, *leaves):
        place.put(zoo.Ancestry, ancestor=one, descendant=one, distance=0)
    for leaf in leaves:
        place.put(zoo.Ancestry, ancestor=root, descendant=leaf, distance=1)


def _unique_values(place: _Place) -> None:
    number = place.number
    place.house(zoo.UniqueCode, code=place.own("code"), number=place.unrepeated)
    place.house(zoo.UniqueCode, code=place.own("no number"), number=None)
    place.house(zoo.UniqueCode, code=place.own("no number either"), number=None)
    for day, seat in enumerate((1, 2, None, None), start=1):
        place.house(
            zoo.UniqueTogether,
            row=1,
            seat=seat,
            guest=place.own("guest"),
            evening=date(2000 + number, 1, day),
        )
    place.house(zoo.UniqueWhenActive, name=place.own("name"), active=True)
    place.house(zoo.UniqueWhenActive, name=place.own("name"), active=False)
    place.house(zoo.UniqueWhenActive, name=place.own("name"), active=False)
    place.house(zoo.UniqueIgnoringCase, name=place.own("Name"))
    for model, floors in (
        (zoo.UniqueWithNulls, (1, None, None)),
        (zoo.UniqueWithoutNulls, (1, None)),
    ):
        for floor in floors:
            place.house(model, name=place.own("room"), floor=floor)
    place.house(zoo.CaseTrap, word=place.own("Ape"))
    if place.accepts("sqlite", "postgresql"):
        place.house(zoo.CaseTrap, word=place.own("ape"))
        place.house(zoo.CaseTrap, word=place.own("Ape") + " ")
    place.house(zoo.Checked, low=1, high=1)
    _labelled(place)


def _labelled(place: _Place) -> None:
    """One row of every kind of key, and what points at it."""
    named = place.house(zoo.NamedKey, name="of a label")
    vehicle = place.house(zoo.Vehicle, name="of a label")
    said = {"label": place.own("label"), "text": "labelled"}
    place.put(
        zoo.LabelledPair, menagerie=place.menagerie, number=1, label=said["label"], text="labelled"
    )
    place.house(
        zoo.LabelPointer,
        integer=place.house(zoo.LabelledInteger, **said),
        uuid=place.house(zoo.LabelledUuid, key=uuid.UUID(int=place.number), **said),
        char=place.house(zoo.LabelledChar, code=place.own("code"), **said),
        one_to_one=place.put(zoo.LabelledOneToOne, named=named, **said),
        child=place.put(zoo.LabelledChild, vehicle_ptr=vehicle, **said),
        pair_menagerie=place.menagerie.key,
        pair_number=1,
    )


# --- rows that are in no menagerie, or too many for every test ----------------------------------


def deep_chain(using: str, depth: int = 10_000) -> tuple[Placed, Placed]:
    """A menagerie with nothing but one chain; returns its first and last link."""
    with inserting(using) as inserter:
        menagerie = inserter.put(zoo.Menagerie, name=f"a chain of {depth}")
        return _chain(inserter, menagerie, depth)


def exhausted_small_keys(using: str, menagerie: Placed) -> Placed:
    """Takes the last key that a SmallAutoField has: no new one can be given."""
    with inserting(using) as inserter:
        return inserter.put(
            zoo.SmallKey, id=2**15 - 1, menagerie=menagerie, name="the last key there is"
        )


def sealed(using: str) -> Placed:
    """A root that cannot be exported: one of its columns cannot be carried."""
    with inserting(using) as inserter:
        root = inserter.put(zoo.Sealed, name="sealed", seal=Seal("what is inside"))
        inserter.put(zoo.SealedLabel, sealed=root, text="do not open")
        return root


def stale_content_type(using: str, menagerie: Placed) -> Placed:
    """A row that points at the content type of a model that is no more."""
    with inserting(using) as inserter:
        stale, _ = ContentType.objects.using(using).get_or_create(app_label="zoo", model="dodo")
        return inserter.put(
            zoo.PseudoGeneric,
            menagerie=menagerie,
            content_type=stale.pk,
            object_id=1,
            object_repr="a dodo",
        )


def create_unmanaged_table(using: str, *, constrained: bool = False) -> None:
    """Makes the table of `zoo.Unmanaged`, by hand: a constraint on it would be an immediate one."""
    connection = connections[using]
    quote = connection.ops.quote_name
    types = {
        field.name: field.db_type(connection).replace(" AUTO_INCREMENT", "")
        for field in zoo.Unmanaged._meta.local_fields
    }
    key, table = quote("id"), quote(zoo.Unmanaged._meta.db_table)
    constraint = (
        f", FOREIGN KEY (menagerie_id) REFERENCES {quote(zoo.Menagerie._meta.db_table)} ({key})"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {table} ({key} {types['id']} NOT NULL PRIMARY KEY, "
            f"menagerie_id {types['menagerie']} NOT NULL, name {types['name']} NOT NULL"
            f"{constraint if constrained else ''})"
        )


def drop_unmanaged_table(using: str) -> None:
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {connection.ops.quote_name(zoo.Unmanaged._meta.db_table)}")


def unmanaged(using: str, menagerie: Placed) -> Placed:
    """A row in the table that `create_unmanaged_table` made."""
    inserter = Inserter(using)
    return inserter.put(zoo.Unmanaged, menagerie=menagerie, name="nobody's table")


# --- the stories --------------------------------------------------------------------------------


@dataclass(frozen=True)
class WalkGraph:
    """The sites: `reached` is what a connected walk from `microsite_1` takes, and no more."""

    microsite_1: Placed
    microsite_2: Placed
    organization_1: Placed
    organization_2: Placed
    tier_1: Placed
    user_1: Placed
    user_2: Placed
    auth_token_1: Placed
    auth_token_2: Placed
    user_terms_1: Placed
    user_terms_2: Placed
    terms_1: Placed
    terms_2: Placed
    reached: frozenset[Placed]
    unconnected: frozenset[Placed]


def walk_graph(using: str) -> WalkGraph:
    """The graph by which the original was tested.

    Tier_1 → Organization_1 ← Microsite_1, Microsite_2 → Organization_2,
    Organization_1 → User_1 and User_2 (many-to-many), User_1 → Organization_2,
    AuthToken_n → User_n, UserTerms_n → User_1 and Terms_n; and a second graph beside it.
    """
    with inserting(using) as inserter:
        named, pairs = _connected(inserter)
        unconnected = _unconnected(inserter)
    return WalkGraph(
        **named,
        reached=frozenset(named.values()) - {named["microsite_2"]} | frozenset(pairs),
        unconnected=frozenset(unconnected),
    )


def _connected(inserter: Inserter) -> tuple[dict[str, Placed], list[Placed]]:
    put = inserter.put
    organizations = [put(zoo.Organization, name=f"Organization_{n}") for n in (1, 2)]
    users = [
        put(zoo.Member, name="User_1", organization=organizations[1]),
        put(zoo.Member, name="User_2"),
    ]
    through = zoo.Organization.members.through
    pairs = [put(through, organization=organizations[0], member=user) for user in users]
    terms = [put(zoo.Terms, name=f"Terms_{n}") for n in (1, 2)]
    named = {
        "tier_1": put(zoo.Tier, name="Tier_1", organization=organizations[0]),
    }
    for n, (organization, user) in enumerate(zip(organizations, users, strict=True), start=1):
        named |= {
            f"organization_{n}": organization,
            f"user_{n}": user,
            f"terms_{n}": terms[n - 1],
            f"microsite_{n}": put(zoo.Microsite, name=f"Microsite_{n}", organization=organization),
            f"auth_token_{n}": put(zoo.AuthToken, name=f"AuthToken_{n}", member=user),
            f"user_terms_{n}": put(
                zoo.UserTerms, name=f"UserTerms_{n}", member=users[0], terms=terms[n - 1]
            ),
        }
    return named, pairs


def _unconnected(inserter: Inserter) -> list[Placed]:
    put = inserter.put
    organization = put(zoo.Organization, name="Organization_3")
    user = put(zoo.Member, name="User_3", organization=organization)
    terms = put(zoo.Terms, name="Terms_3")
    return [
        organization,
        user,
        terms,
        put(zoo.Organization.members.through, organization=organization, member=user),
        put(zoo.Tier, name="Tier_3", organization=organization),
        put(zoo.Microsite, name="Microsite_3", organization=organization),
        put(zoo.AuthToken, name="AuthToken_3", member=user),
        put(zoo.UserTerms, name="UserTerms_3", member=user, terms=terms),
    ]


@dataclass(frozen=True)
class Customers:
    """Customers who share their products and their tags, and nothing else."""

    customers: tuple[Placed, ...]
    products: tuple[Placed, ...]
    tags: tuple[Placed, ...]

    @property
    def customer(self) -> Placed:
        return self.customers[0]

    @property
    def other_customer(self) -> Placed:
        return self.customers[1]


def customers(using: str, count: int = 3, orders: int = 2, lines: int = 2) -> Customers:
    """`count` customers of `orders` orders of `lines` lines each, all tagged alike."""
    with inserting(using) as inserter:
        products, tags = _shop(inserter)
        made = []
        for number in range(1, count + 1):
            customer = inserter.put(zoo.Customer, name=f"Customer {number}")
            inserter.put(zoo.Customer.tags.through, customer=customer, tag=tags[0])
            _orders(inserter, customer, orders, lines, products, tags)
            made.append(customer)
    return Customers(tuple(made), tuple(products), tuple(tags))


def bulk(using: str, rows: int) -> Placed:
    """One customer with about `rows` rows: orders, each with 3 lines and a tag."""
    with inserting(using) as inserter:
        products, tags = _shop(inserter)
        customer = inserter.put(zoo.Customer, name=f"Customer of {rows} rows")
        _orders(inserter, customer, max(1, rows // 5), 3, products, tags)
    return customer


def _shop(inserter: Inserter) -> tuple[list[Placed], list[Placed]]:
    """Made anew each time, beside what is there."""
    number = 1 + zoo.Product.objects.using(inserter.using).count() // 3
    products = [
        inserter.put(zoo.Product, code=f"shop {number}, product {n}", price=Decimal("9.99") + n)
        for n in range(3)
    ]
    tags = [inserter.put(zoo.Tag, label=f"shop {number}, {word}") for word in ("new", "on sale")]
    for product in products:
        inserter.put(zoo.Product.tags.through, product=product, tag=tags[1])
    return products, tags


def _orders(
    inserter: Inserter,
    customer: Placed,
    orders: int,
    lines: int,
    products: list[Placed],
    tags: list[Placed],
) -> None:
    keys = inserter.put_many(
        zoo.Order,
        (
            {"customer": customer, "placed": _moment(2024, 1, 1) + timedelta(minutes=n)}
            for n in range(orders)
        ),
    )
    inserter.put_many(
        zoo.OrderLine,
        (
            {"order": key, "product": products[n % len(products)], "quantity": n + 1}
            for key in keys
            for n in range(lines)
        ),
    )
    inserter.put_many(zoo.Order.tags.through, ({"order": key, "tag": tags[0]} for key in keys))
