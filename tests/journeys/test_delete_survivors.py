"""Does what others still need stay, with all that belongs to it; and go when nobody needs it?"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User

import gestore
from demoapp.models import Author, Book, BookInstance, Genre, Language, Note, Profile, Review
from gestore import Follow, Policy
from tests.journeys import removals
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.inserting import Inserter, Placed, inserting

pytestmark = pytest.mark.django_db(databases=["default"], transaction=True)

THROUGH = zoo.Organization.members.through
MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(tmp_path / "gone.json")


def goes_and_comes_back(
    *placed: Placed, archive: str, also: dict[str, int] | None = None, **options: Any
) -> gestore.WalkOptions:
    """What `also` says goes with the objects themselves, and nothing else; then it comes back."""
    before = removals.dump()
    expected = dict(also or {})
    for one in placed:
        name = removals.label(one.model)
        expected[name] = expected.get(name, 0) + 1
    report = removals.delete(*placed, archive=archive, **options)
    assert report.removed_by_model == report.plan.removed_by_model == expected
    after = removals.dump()
    gone = {name: len(lot) - len(after[name]) for name, lot in before.items()}
    assert {name: count for name, count in gone.items() if count} == expected
    changed = report.changed_by_model
    kept = {
        name: {key: row for key, row in lot.items() if key in after[name]}
        for name, lot in before.items()
        if name not in changed
    }
    assert compare.difference(kept, {name: after[name] for name in kept}) == []
    assert removals.dangling() == []
    gestore.import_objects(archive)
    assert compare.difference(before, removals.dump()) == []
    Path(archive).unlink()
    return removals.walk(**options)


def stays(*placed: Placed, **options: Any) -> list[str]:
    return removals.of_code(removals.plan(*placed, **options).findings, "stays")


# A user of two customers --------------------------------------------------------------------------


class Customers:
    """Two organizations and three members: one of each, and one of both."""

    def __init__(self, inserter: Inserter) -> None:
        put = inserter.put
        self.organizations = [put(zoo.Organization, name=f"customer {n}") for n in (1, 2)]
        self.members = [put(zoo.Member, name=name) for name in ("first", "second", "both")]
        for place, member in ((0, 0), (1, 1), (0, 2), (1, 2)):
            put(THROUGH, organization=self.organizations[place], member=self.members[member])
        for member in self.members:
            put(zoo.AuthToken, name=f"token {member.key}", member=member)


@pytest.fixture
def customers() -> Customers:
    with inserting("default") as inserter:
        return Customers(inserter)


@pytest.mark.parametrize("options", [{"own": [zoo.Member]}, {"follow": Follow.CONNECTED}])
def test_user_of_two_customers_goes_with_the_second(
    options: dict[str, Any], customers: Customers, archive: str
) -> None:
    first, second = customers.organizations
    alone = {"zoo.Organization_members": 2, "zoo.Member": 1, "zoo.AuthToken": 1}
    goes_and_comes_back(first, archive=archive, also=alone, **options)
    pair = "zoo.Organization_members"
    assert stays(first, **options) == [
        f"zoo.Member.3: stays: {pair}.4 points at it ({pair}.member).",
        f"{pair}.4: stays: belongs to zoo.Organization.2 too ({pair}.organization).",
    ]
    plan = removals.plan(first, **options)
    assert plan.staying_by_model == {
        "zoo.AuthToken": 1,
        "zoo.Member": 1,
        "zoo.Organization_members": 1,
    }
    assert plan.shared_by_model["zoo.Member"] == 1
    together = {"zoo.Organization_members": 4, "zoo.Member": 3, "zoo.AuthToken": 3}
    goes_and_comes_back(first, second, archive=archive, also=together, **options)
    assert stays(first, second, **options) == []
    # One after the other comes to the same.
    removals.delete(first, archive=archive, **options)
    last = removals.delete(second, archive=f"{archive}l", **options)
    assert last.removed_by_model == {
        "zoo.Organization": 1,
        "zoo.Organization_members": 2,
        "zoo.Member": 2,
        "zoo.AuthToken": 2,
    }


def test_without_own_users_stay(customers: Customers, archive: str) -> None:
    first, _ = customers.organizations
    goes_and_comes_back(first, archive=archive, also={"zoo.Organization_members": 2})
    assert stays(first) == []


def test_employee_of_another_stays(customers: Customers) -> None:
    """Pointed at by an empty-able key, or pointing by one: the first needs it, the second not."""
    first, second = customers.organizations
    zoo.Member.objects.filter(pk=1).update(organization=second.key)
    report = removals.plan(first, own=[zoo.Member])
    assert report.removed_by_model["zoo.Member"] == 1
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        user = inserter.put(User, username="keeper")
        other = inserter.put(zoo.Menagerie, name="other")
        for menagerie in (home, other):
            inserter.put(zoo.StaffMember, menagerie=menagerie, name="k", user=user)
    assert stays(home, own=[User]) == [
        "auth.User.1: stays: zoo.StaffMember.2 points at it (zoo.StaffMember.user)."
    ]
    assert removals.plan(home, own=[User]).changed_by_relation == {}


def test_lookup_of_everybody_holds_nobody(customers: Customers, archive: str) -> None:
    first, _ = customers.organizations
    with inserting("default") as inserter:
        terms = inserter.put(zoo.Terms, name="of everybody")
        for member in customers.members:
            name = f"terms {member.key}"
            inserter.put(zoo.UserTerms, name=name, member=member, terms=terms)
    own = [zoo.Member]
    # That the terms lose a signature is for somebody to say.
    held = stays(first, own=own)
    assert "zoo.UserTerms.1: stays: belongs to zoo.Terms.1 too (zoo.UserTerms.terms)." in held
    assert "zoo.Member" not in removals.plan(first, own=own).removed_by_model
    gone = {
        "zoo.Organization_members": 2,
        "zoo.Member": 1,
        "zoo.AuthToken": 1,
        "zoo.UserTerms": 1,
    }
    for said in ("zoo.Terms", "zoo.UserTerms.terms"):
        for policy in (Policy.SHARE, Policy.EXTERNAL):
            policies = {said: policy}
            goes_and_comes_back(first, archive=archive, also=gone, own=own, policies=policies)


# An author of two books ---------------------------------------------------------------------------


class Library:
    """Two books of one author, two readers who wrote of them, and a language of all."""

    def __init__(self, inserter: Inserter) -> None:
        put = inserter.put
        self.author = put(Author, first_name="Italo", last_name="Svevo")
        self.language = put(Language, name="Italian", code="it")
        self.genre = put(Genre, name="novel")
        self.books = [
            put(
                Book,
                title=title,
                author=self.author,
                language=self.language,
                isbn=isbn,
                metadata="{}",
            )
            for title, isbn in (("La coscienza di Zeno", "1"), ("Senilità", "2"))
        ]
        for book in self.books:
            put(Book.genre.through, book=book, genre=self.genre)
        self.readers = [put(User, username=f"reader {n}") for n in (1, 2)]
        group = put(Group, name="readers")
        for reader in self.readers:
            put(Profile, user=reader)
            put(User.groups.through, user=reader, group=group)
        self.review(inserter, 0, 0)
        self.review(inserter, 0, 1)
        self.note(inserter, self.author)
        self.note(inserter, self.books[0])

    def review(self, inserter: Inserter, book: int, reader: int, **values: Any) -> Placed:
        return inserter.put(
            Review, book=self.books[book], user=self.readers[reader], text="t", **values
        )

    def note(self, inserter: Inserter, on: Placed) -> Placed:
        kind = inserter.content_type(on.model)
        return inserter.put(Note, content_type=kind, object_id=str(on.key), text="n")


@pytest.fixture
def library() -> Library:
    with inserting("default") as inserter:
        return Library(inserter)


def test_author_of_two_books_goes_with_the_second(library: Library, archive: str) -> None:
    first, second = library.books
    own = [Author]
    alone = {"demoapp.Book_genre": 1, "demoapp.Review": 2, "demoapp.Note": 1}
    goes_and_comes_back(first, archive=archive, also=alone, own=own)
    assert stays(first, own=own) == [
        "demoapp.Author.1: stays: demoapp.Book.2 points at it (demoapp.Book.author)."
    ]
    # The author's note stays with the author.
    assert removals.plan(first, own=own).staying_by_model == {
        "demoapp.Author": 1,
        "demoapp.Note": 1,
    }
    both = {
        "demoapp.Book_genre": 2,
        "demoapp.Review": 2,
        "demoapp.Note": 2,
        "demoapp.Author": 1,
    }
    goes_and_comes_back(first, second, archive=archive, also=both, own=own)


def test_reader_goes_with_profile_and_groups_unless_another_book_needs_one(
    library: Library, archive: str
) -> None:
    first, _ = library.books
    with inserting("default") as inserter:
        # The second reader wrote of the second book too, and answers the first reader there.
        library.review(inserter, 1, 1)
    own = [User]
    gone = {
        "demoapp.Book_genre": 1,
        "demoapp.Review": 2,
        "demoapp.Note": 1,
        "auth.User": 1,
        "auth.User_groups": 1,
        "demoapp.Profile": 1,
    }
    goes_and_comes_back(first, archive=archive, also=gone, own=own)
    assert sorted(stays(first, own=own)) == [
        "auth.User.2: stays: demoapp.Review.3 points at it (demoapp.Review.user).",
        "demoapp.Review.3: stays: belongs to demoapp.Book.2 too (demoapp.Review.book).",
    ]
    assert removals.plan(first, own=own).staying_by_model == {
        "auth.User": 1,
        "auth.User_groups": 1,
        "demoapp.Profile": 1,
        "demoapp.Review": 1,
    }
    with inserting("default") as inserter:
        library.review(inserter, 1, 0)
    nobody = {"demoapp.Book_genre": 1, "demoapp.Review": 2, "demoapp.Note": 1}
    goes_and_comes_back(first, archive=archive, also=nobody, own=own)


def test_connected_takes_what_only_it_leads_to(library: Library, archive: str) -> None:
    """Author, readers, genre, language: whatever the other book needs stays."""
    first, second = library.books
    gone = {
        "demoapp.Book_genre": 1,
        "demoapp.Review": 2,
        "demoapp.Note": 1,
        "auth.User": 2,
        "auth.User_groups": 2,
        "auth.Group": 1,
        "demoapp.Profile": 2,
    }
    connected = {"follow": Follow.CONNECTED}
    goes_and_comes_back(first, archive=archive, also=gone, **connected)
    assert sorted(stays(first, **connected)) == [
        "demoapp.Author.1: stays: demoapp.Book.2 points at it (demoapp.Book.author).",
        "demoapp.Book_genre.2: stays: belongs to demoapp.Book.2 too (demoapp.Book_genre.book).",
        "demoapp.Genre.1: stays: demoapp.Book_genre.2 points at it (demoapp.Book_genre.genre).",
        "demoapp.Language.1: stays: demoapp.Book.2 points at it (demoapp.Book.language).",
    ]
    # Somebody else of the readers' group, whom a menagerie needs, keeps the group.
    with inserting("default") as inserter:
        other = inserter.put(User, username="librarian")
        inserter.put(User.groups.through, user=other, group=1)
        home = inserter.put(zoo.Menagerie, name="of the librarian")
        inserter.put(zoo.StaffMember, menagerie=home, name="librarian", user=other)
    del gone["auth.Group"]
    goes_and_comes_back(first, archive=archive, also=gone, **connected)
    everything = {
        "demoapp.Book_genre": 2,
        "demoapp.Review": 2,
        "demoapp.Note": 2,
        "demoapp.Author": 1,
        "demoapp.Genre": 1,
        "demoapp.Language": 1,
        "auth.User": 2,
        "auth.User_groups": 2,
        "demoapp.Profile": 2,
    }
    goes_and_comes_back(first, second, archive=archive, also=everything, **connected)


def test_what_only_a_survivor_leads_to_holds_what_it_points_at(
    library: Library, archive: str
) -> None:
    """A reader who stays keeps the review that nobody else led to, and that review its book."""
    first, second = library.books
    with inserting("default") as inserter:
        library.review(inserter, 1, 1, parent=1)
    own = [User]
    # The answer, though it stands under the second book, hangs on a review that goes: it goes.
    plan = removals.plan(first, own=own)
    assert plan.removed_by_model["demoapp.Review"] == 3
    assert plan.removed_by_model["auth.User"] == 2
    assert removals.plan(second, own=own).removed_by_model == {
        "demoapp.Book": 1,
        "demoapp.Book_genre": 1,
        "demoapp.Review": 1,
    }
    reader = library.readers[0]
    goes_and_comes_back(
        reader,
        archive=archive,
        also={"demoapp.Profile": 1, "auth.User_groups": 1, "demoapp.Review": 2},
    )


def test_copies_that_restrict_belong_to_their_book_alone(library: Library, archive: str) -> None:
    first, second = library.books
    with inserting("default") as inserter:
        for book in library.books:
            inserter.put(BookInstance, book=book, imprint="i", borrower=library.readers[0])
    with pytest.raises(gestore.Refused) as refusal:
        removals.delete(first, archive=archive)
    assert [f.subject.rpartition(".")[0] for f in refusal.value.findings] == [
        "demoapp.BookInstance"
    ]
    own: list[Any] = [BookInstance, User]
    gone = {
        "demoapp.Book_genre": 1,
        "demoapp.Review": 2,
        "demoapp.Note": 1,
        "demoapp.BookInstance": 1,
        "auth.User": 1,
        "auth.User_groups": 1,
        "demoapp.Profile": 1,
    }
    # The second reader goes; the first has borrowed the other book too.
    goes_and_comes_back(first, archive=archive, also=gone, own=own)
    (told,) = [line for line in stays(first, own=own) if line.startswith("auth.User")]
    assert told.startswith("auth.User.1: stays: demoapp.BookInstance.")
    assert second.reference not in removals.plan(first, own=own).references


# A tag of everyone --------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"own": [zoo.Tag]}, {"follow": Follow.CONNECTED}])
def test_tag_of_everyone_goes_with_the_last(options: dict[str, Any], archive: str) -> None:
    with inserting("default") as inserter:
        homes = [inserter.put(zoo.Menagerie, name=f"home {n}") for n in (1, 2)]
        tags = [inserter.put(zoo.Tag, label=label) for label in ("of everyone", "of the first")]
        for home, tag in ((0, 0), (0, 1), (1, 0)):
            inserter.put(zoo.Menagerie.tags.through, menagerie=homes[home], tag=tags[tag])
    alone = {"zoo.Menagerie_tags": 2, "zoo.Tag": 1}
    goes_and_comes_back(homes[0], archive=archive, also=alone, **options)
    everyone, pair = stays(homes[0], **options)
    assert everyone == (
        "zoo.Tag.1: stays: zoo.Menagerie_tags.3 points at it (zoo.Menagerie_tags.tag)."
    )
    assert pair == (
        "zoo.Menagerie_tags.3: stays: belongs to zoo.Menagerie.2 too "
        "(zoo.Menagerie_tags.menagerie)."
    )
    both = {"zoo.Menagerie_tags": 3, "zoo.Tag": 2}
    goes_and_comes_back(*homes, archive=archive, also=both, **options)


def test_generic_pointer_of_somebody_else_holds_too(archive: str) -> None:
    with inserting("default") as inserter:
        home, other = (inserter.put(zoo.Menagerie, name=name) for name in ("home", "other"))
        tag = inserter.put(zoo.Tag, label="both")
        inserter.put(zoo.Menagerie.tags.through, menagerie=home, tag=tag)
        ribbon = inserter.put(
            zoo.Ribbon, menagerie=other, kind=inserter.content_type(zoo.Tag), number=tag.key
        )
    assert sorted(stays(home, own=[zoo.Tag])) == [
        "zoo.Ribbon.1: stays: belongs to zoo.Menagerie.2 too (zoo.Ribbon.menagerie).",
        "zoo.Tag.1: stays: zoo.Ribbon.1 points at it (zoo.Ribbon.winner).",
    ]
    alone = {"zoo.Menagerie_tags": 1}
    goes_and_comes_back(home, archive=archive, also=alone, own=[zoo.Tag])
    zoo.Ribbon.objects.filter(pk=ribbon.key).update(menagerie=home.key)
    alone |= {"zoo.Ribbon": 1, "zoo.Tag": 1}
    goes_and_comes_back(home, archive=archive, also=alone, own=[zoo.Tag])


# The plan names a few, and counts all -------------------------------------------------------------


def test_of_many_that_stay_a_few_are_named_and_all_are_counted() -> None:
    shop = rows.customers("default", count=2, orders=1, lines=1)
    with inserting("default") as inserter:
        for number in range(60):
            tag = inserter.put(zoo.Tag, label=f"tag {number}")
            for customer in shop.customers:
                inserter.put(zoo.Customer.tags.through, customer=customer, tag=tag)
    plan = removals.plan(shop.customer, own=[zoo.Tag])
    assert plan.staying_by_model["zoo.Tag"] == 61
    named = {line.partition(":")[0] for line in removals.of_code(plan.findings, "stays")}
    assert len([name for name in named if name.startswith("zoo.Tag.")]) == 20


# The admin's log ----------------------------------------------------------------------------------


def log(inserter: Inserter, user: Placed, about: Placed) -> Placed:
    return inserter.put(
        LogEntry,
        user=user,
        content_type=inserter.content_type(about.model),
        object_id=str(about.key),
        object_repr="what it was",
        action_flag=2,
        change_message="[]",
        action_time=MOMENT,
    )


def test_admin_log_goes_with_the_user_and_with_the_object(archive: str) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        team = inserter.put(zoo.Team, menagerie=home, name="team")
        other = inserter.put(zoo.Team, menagerie=home, name="other")
        users = [inserter.put(User, username=f"admin {n}") for n in (1, 2)]
        for user in users:
            log(inserter, user, team)
        log(inserter, users[0], other)
        log(inserter, users[1], users[0])
        log(inserter, users[1], other)
    # About the object, whoever wrote it.
    goes_and_comes_back(team, archive=archive, also={"admin.LogEntry": 2})
    # By the user, whatever it is about; and about the user.
    goes_and_comes_back(users[0], archive=archive, also={"admin.LogEntry": 3})


def test_skipped_log_of_a_user_blocks_and_of_an_object_is_left(archive: str) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        user = inserter.put(User, username="admin")
        entry = log(inserter, user, home)
    skip = {"admin.LogEntry": Policy.SKIP}
    with pytest.raises(gestore.Refused) as refusal:
        removals.delete(user, archive=archive, policies=skip)
    why = "CASCADE, and the policy is skip"
    assert removals.blockers(refusal.value) == [
        f"{entry.reference}: points at {user.reference} (user: {why})."
    ]
    before = compare.dump("default", [LogEntry])
    report = removals.delete(home, archive=archive, policies=skip)
    assert report.removed_by_model == {"zoo.Menagerie": 1}
    left = "1 row is skipped and points at what goes: left as it is, pointing at nothing."
    assert removals.of_code(report.plan.findings, "left-dangling") == [
        f"admin.LogEntry.object_id: {left}"
    ]
    assert report.plan.blockers == []
    assert compare.difference(before, compare.dump("default", [LogEntry])) == []
    gestore.import_objects(archive)
    assert removals.dangling() == []


def test_site_that_skips_the_log_in_its_settings_is_heard(archive: str, settings: Any) -> None:
    settings.GESTORE = {"POLICIES": {"admin.LogEntry": "skip"}}
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        log(inserter, inserter.put(User, username="admin"), home)
    assert removals.delete(home, archive=archive).removed_by_model == {"zoo.Menagerie": 1}
    assert LogEntry.objects.count() == 1
