"""What if others write between plan and removal, or while rows go? Nothing of theirs is lost.

At the named moment of a deletion somebody else writes, through a connection of his own. SQLite has
one writer: there he writes when no transaction is open, which is between archive and removal.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError, connections
from django.db.models import QuerySet
from django.test import override_settings

import gestore
from gestore.deleting import DeleteOptions, delete_objects
from gestore.progress import Progress
from tests.journeys import removals
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.inserting import Inserter, Placed, inserting

pytestmark = [pytest.mark.django_db(databases=["default"], transaction=True)]

IS_SQLITE = "sqlite" in settings.DATABASES["default"]["ENGINE"]
several_writers = pytest.mark.skipif(IS_SQLITE, reason="one writer")

# The archive is read again: no transaction is open, and nothing is locked.
BETWEEN = "Reading"
# The removal's transaction has begun, and has read nothing yet.
BEGUN = "Comparing"
# All rows that go are locked, and none is gone.
LOCKED = "Removing"
# All are gone, and nothing is committed.
GONE = "Proving"


def somebody_else(work: Callable[[], None]) -> None:
    """Do it through another connection."""
    if IS_SQLITE:
        assert not connections["default"].in_atomic_block
        work()
        return

    def run() -> None:
        try:
            with connections["default"].cursor() as cursor:
                # A row that is locked is not waited for: the deletion waits for us.
                if connections["default"].vendor == "mysql":
                    cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
                else:
                    cursor.execute("SET lock_timeout = '300ms'")
            work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result(60)


@dataclass
class At:
    """Listens to a deletion, and at one moment lets somebody else write."""

    moment: str
    work: Callable[[], None]
    heard: list[str] = field(default_factory=list)

    def begin(self, task: str, total: int | None = None) -> None:
        if task == self.moment and task not in self.heard:
            self.heard.append(task)
            somebody_else(self.work)

    def advance(self, count: int) -> None:
        pass

    def end(self) -> None:
        pass


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(tmp_path / "gone.json")


@dataclass(frozen=True)
class There:
    """A menagerie with a doomed row, and another one of somebody else's."""

    home: Placed
    other: Placed
    doomed: Placed
    team: Placed
    user: Placed


@pytest.fixture
def there() -> There:
    with inserting("default") as inserter:
        put = inserter.put
        put(zoo.Doomed, id=zoo.FALLBACK_KEY, name="fallback")
        home, other = (put(zoo.Menagerie, name=name) for name in ("home", "of others"))
        user = put(User, username="keeper")
        put(zoo.StaffMember, menagerie=home, name="keeper", user=user)
        doomed = put(zoo.Doomed, menagerie=home, name="doomed")
        for model in (zoo.SetNullPointer, zoo.SetDefaultPointer, zoo.SetCallablePointer):
            put(model, doomed=doomed)
        team = put(zoo.Team, menagerie=home, name="team")
        put(zoo.Team, menagerie=other, name="of others")
        return There(home, other, doomed, team, user)


def deleted(there: There, archive: str, progress: Progress | None = None, **walk: Any) -> Any:
    options = DeleteOptions(walk=removals.walk(own=[User], **walk), archive=archive)
    return delete_objects([there.home.reference], options, progress=progress)


@contextmanager
def refused(archive: str) -> Iterator[list[str]]:
    """What is done inside is refused; the findings are handed over. The archive stays: whole."""
    findings: list[str] = []
    with pytest.raises(gestore.Refused) as refusal:
        yield findings
    findings.extend(str(finding) for finding in refusal.value.findings)
    assert refusal.value.exit_code == 3
    assert not connections["default"].in_atomic_block
    verified = gestore.verify_archive(archive)
    assert verified.findings == ()


def unchanged_but_for(before: compare.Dump, *changed: str) -> None:
    """Nothing went, and nothing changed but what somebody else wrote."""
    lines = compare.difference(before, removals.dump())
    assert [line.partition(":")[0] for line in lines] == list(changed)


def update(model: Any, key: Any, **values: Any) -> Callable[[], None]:
    def work() -> None:
        assert QuerySet(model).filter(pk=key).update(**values) == 1

    return work


# Rows that go -------------------------------------------------------------------------------------

EARLY = [BETWEEN, pytest.param(BEGUN, marks=several_writers)]


@pytest.mark.parametrize("moment", EARLY)
def test_changed_row_is_not_removed(moment: str, there: There, archive: str) -> None:
    before = removals.dump()
    rename = update(zoo.Team, there.team.key, name="renamed")
    with refused(archive) as findings:
        deleted(there, archive, At(moment, rename))
    assert findings == [f"{there.team.reference}: has changed since it was archived."]
    unchanged_but_for(before, f"zoo.Team {there.team.key} name")
    # What is there now is archived anew, and goes.
    Path(archive).unlink()
    deleted(there, archive)
    (team,) = [row for row in removals.archives.rows(archive) if row["model"] == "zoo.team"]
    assert team["fields"]["name"] == "renamed"


@pytest.mark.parametrize("moment", EARLY)
def test_every_changed_row_is_named(moment: str, archive: str) -> None:
    shop = rows.customers("default", count=1, orders=30, lines=3)
    before = removals.dump()

    def work() -> None:
        zoo.OrderLine.objects.filter(pk__lte=45).update(quantity=1_000)
        zoo.Order.objects.filter(pk=30).update(placed=rows._moment(2000, 1, 1))

    with refused(archive) as findings:
        delete_objects(
            [shop.customer.reference], DeleteOptions(archive=archive), progress=At(moment, work)
        )
    assert sorted(findings) == sorted(
        [f"zoo.OrderLine.{key}: has changed since it was archived." for key in range(1, 46)]
        + ["zoo.Order.30: has changed since it was archived."]
    )
    assert compare.difference(before, removals.dump()) != []


def test_value_that_is_the_same_is_no_change(there: There, archive: str) -> None:
    same = update(zoo.Team, there.team.key, name="team")
    assert deleted(there, archive, At(BETWEEN, same)).row_count == 5


@pytest.mark.parametrize("moment", EARLY)
def test_row_that_is_gone_is_named(moment: str, there: There, archive: str) -> None:
    before = removals.dump()

    def work() -> None:
        QuerySet(zoo.Team).filter(pk=there.team.key).delete()

    with refused(archive) as findings:
        deleted(there, archive, At(moment, work))
    assert findings == [f"{there.team.reference}: is gone since it was archived."]
    unchanged_but_for(before, f"zoo.Team {there.team.key}")


def test_pointer_in_a_circle_that_leads_elsewhere_is_a_change(archive: str) -> None:
    """Such pointers are emptied first where the database checks each statement."""
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        land = inserter.put(zoo.Land, menagerie=home, name="land")
        cities = [inserter.put(zoo.Capital, name=name, land=land) for name in ("one", "two")]
    zoo.Land.objects.update(capital=cities[0].key)
    for value in (cities[1].key, None):
        before = removals.dump()
        move = update(zoo.Land, land.key, capital=value)
        with refused(archive) as findings:
            delete_objects(
                [home.reference],
                DeleteOptions(archive=archive, overwrite=True),
                progress=At(BETWEEN, move),
            )
        assert findings == [f"{land.reference}: has changed since it was archived."]
        unchanged_but_for(before, f"zoo.Land {land.key} capital_id")


@several_writers
def test_rows_are_locked_from_the_comparison_on(there: There, archive: str) -> None:
    failures: list[str] = []

    def work() -> None:
        for attempt in (
            update(zoo.Team, there.team.key, name="too late"),
            lambda: zoo.Match.objects.create(home_id=there.team.key, away_id=there.team.key),
        ):
            try:
                attempt()
            except DatabaseError as error:
                failures.append(type(error).__name__)

    deleted(there, archive, At(LOCKED, work))
    assert failures == ["OperationalError", "OperationalError"]
    assert zoo.Team.objects.filter(name="too late").count() == 0
    assert removals.dangling() == []


# Rows that point at what goes ---------------------------------------------------------------------


def _by_foreign_key(inserter: Inserter, there: There) -> Placed:
    return inserter.put(zoo.Match, home=there.team, away=there.team)


def _by_required_key_of_others(inserter: Inserter, there: There) -> Placed:
    other = inserter.put(zoo.Team, menagerie=there.other, name="new of others")
    return inserter.put(zoo.Match, home=other, away=there.team)


def _by_empty_able_key(inserter: Inserter, there: There) -> Placed:
    return inserter.put(zoo.SetNullPointer, doomed=there.doomed)


def _by_key_with_a_default(inserter: Inserter, there: There) -> Placed:
    return inserter.put(zoo.SetDefaultPointer, doomed=there.doomed)


def _by_protecting_key(inserter: Inserter, there: There) -> Placed:
    return inserter.put(zoo.ProtectOutside, doomed=there.doomed)


def _at_an_owned_user(inserter: Inserter, there: There) -> Placed:
    return inserter.put(zoo.StaffMember, menagerie=there.other, name="new", user=there.user)


def _by_generic_key(inserter: Inserter, there: There) -> Placed:
    kind = inserter.content_type(zoo.Team)
    return inserter.put(
        zoo.NoteByText, text="new", content_type=kind, object_id=str(there.team.key)
    )


def _by_many_to_many(inserter: Inserter, there: There) -> Placed:
    tag = inserter.put(zoo.Tag, label="new")
    return inserter.put(zoo.Menagerie.tags.through, menagerie=there.home, tag=tag)


def _by_declared_relation(inserter: Inserter, there: There) -> Placed:
    return inserter.put(
        zoo.SoftReference, menagerie=there.other, user_id=there.user.key, animal_ids=[]
    )


def _by_what_the_database_takes(inserter: Inserter, there: There) -> Placed:
    doomed = zoo.DatabaseDoomed.objects.get()
    return inserter.put(zoo.DatabaseCascadePointer, doomed=doomed.pk)


def _by_what_the_database_empties(inserter: Inserter, there: There) -> Placed:
    doomed = zoo.DatabaseDoomed.objects.get()
    return inserter.put(zoo.DatabaseSetNullPointer, doomed=doomed.pk)


FOREIGN = [
    _by_foreign_key,
    _by_required_key_of_others,
    _by_empty_able_key,
    _by_key_with_a_default,
    _by_protecting_key,
    _at_an_owned_user,
    _by_many_to_many,
]
UNCHECKED = [_by_generic_key, _by_declared_relation]
BY_DATABASE = [_by_what_the_database_takes, _by_what_the_database_empties]
CASES = [
    *[(BETWEEN, point) for point in (*FOREIGN, *UNCHECKED)],
    *[
        pytest.param(BEGUN, point, marks=several_writers)
        for point in (_by_foreign_key, _by_empty_able_key, _by_generic_key)
    ],
    # Nothing keeps these out but the proof.
    *[
        pytest.param(moment, point, marks=several_writers)
        for moment in (LOCKED, GONE)
        for point in UNCHECKED
    ],
]
if django.VERSION >= (6, 1):
    CASES += [(BETWEEN, point) for point in BY_DATABASE]


@pytest.mark.parametrize(("moment", "point"), CASES)
def test_new_row_that_points_at_one_that_goes_is_named(
    moment: str, point: Callable[[Inserter, There], Placed], there: There, archive: str
) -> None:
    if point in BY_DATABASE:
        with inserting("default") as inserter:
            inserter.put(zoo.DatabaseDoomed, menagerie=there.home, name="doomed")
    pointing: list[Placed] = []

    def work() -> None:
        with inserting("default") as inserter:
            pointing.append(point(inserter, there))

    declared = {"RELATIONS": [("zoo.SoftReference.user_id", "auth.User")]}
    with override_settings(GESTORE=declared):
        before = removals.dump()
        with refused(archive) as findings:
            deleted(there, archive, At(moment, work))
        (new,) = pointing
        assert {line.partition(":")[0] for line in findings} == {new.reference}
        assert all(": points at " in line for line in findings)
        after = removals.dump()
        assert [line for line in compare.difference(before, after) if "second" not in line] == []
        assert str(new.key) in after[removals.label(new.model)]
        # What came is archived too when it is tried again.
        Path(archive).unlink()
        own = [User, zoo.ProtectOutside]
        report = delete_objects(
            [there.home.reference], DeleteOptions(walk=removals.walk(own=own), archive=archive)
        )
    archived = {(row["model"], row["pk"]) for row in removals.archives.rows(archive)}
    if point in (_at_an_owned_user, _by_declared_relation):
        # Somebody else's: the user is needed, and stays with it.
        assert User.objects.filter(pk=there.user.key).exists()
    else:
        assert (removals.label(new.model).lower(), new.key) in archived
    assert report.removed_by_model["zoo.Menagerie"] == 1
    assert removals.dangling() == []


# Rows that stay and change ------------------------------------------------------------------------


@pytest.mark.parametrize("moment", EARLY)
def test_pointer_that_leads_elsewhere_meanwhile_is_let_be(
    moment: str, there: There, archive: str
) -> None:
    before = removals.dump()
    move = update(zoo.SetNullPointer, 1, doomed=zoo.FALLBACK_KEY)
    with refused(archive) as findings:
        deleted(there, archive, At(moment, move))
    assert findings == ["zoo.SetNullPointer.1: points elsewhere (doomed) since it was archived."]
    unchanged_but_for(before, "zoo.SetNullPointer 1 doomed_id")


def test_pointer_that_is_empty_already_or_gone_is_no_matter(there: There, archive: str) -> None:
    def work() -> None:
        QuerySet(zoo.SetNullPointer).filter(pk=1).update(doomed=None)
        QuerySet(zoo.SetDefaultPointer).filter(pk=1).delete()

    report = deleted(there, archive, At(BETWEEN, work))
    assert report.changed_by_model == {"zoo.SetCallablePointer": 1}
    assert removals.dangling() == []


def test_other_columns_of_a_row_that_stays_may_change(archive: str) -> None:
    """Its pointer alone is ours; when the archive comes back, it alone is given back."""
    with inserting("default") as inserter:
        home, other = (inserter.put(zoo.Menagerie, name=name) for name in ("home", "of others"))
        user = inserter.put(User, username="keeper")
        member = inserter.put(zoo.StaffMember, menagerie=other, name="keeper", user=user)
    rename = update(zoo.StaffMember, member.key, name="renamed")
    delete_objects([user.reference], DeleteOptions(archive=archive), progress=At(BETWEEN, rename))
    (row,) = zoo.StaffMember.objects.values("name", "user_id", "menagerie_id")
    assert row == {"name": "renamed", "user_id": None, "menagerie_id": other.key}
    assert home.key != other.key


# The plan was looked at for long ------------------------------------------------------------------


def test_plan_that_grew_while_it_was_looked_at(there: There, archive: str) -> None:
    before = removals.dump()

    def confirm(plan: Any) -> bool:
        assert not connections["default"].in_atomic_block
        with inserting("default") as inserter:
            inserter.put(zoo.Team, menagerie=there.home, name="new")
        return True

    with pytest.raises(gestore.GestoreError, match="the rows changed while the plan was looked at"):
        delete_objects([there.home.reference], DeleteOptions(archive=archive), confirm=confirm)
    assert not Path(archive).exists()
    unchanged_but_for(before, "zoo.Team 3")


def test_blocker_that_came_while_the_plan_was_looked_at(there: There, archive: str) -> None:
    def confirm(plan: Any) -> bool:
        assert plan.blockers == []
        with inserting("default") as inserter:
            inserter.put(zoo.ProtectOutside, doomed=there.doomed)
        return True

    with pytest.raises(gestore.Refused, match="other rows stand in the way") as refusal:
        delete_objects([there.home.reference], DeleteOptions(archive=archive), confirm=confirm)
    assert removals.blockers(refusal.value) == [
        f"zoo.ProtectOutside.1: points at {there.doomed.reference} (doomed: PROTECT)."
    ]
    assert not Path(archive).exists()


def test_archive_that_somebody_spoils_is_noticed(there: There, archive: str) -> None:
    before = removals.dump()

    def work() -> None:
        text = Path(archive).read_text()
        Path(archive).write_text(text.replace('"team"', '"meat"'))

    with pytest.raises(gestore.GestoreError, match="does not hold what was written to it") as error:
        deleted(there, archive, At(BETWEEN, work))
    assert type(error.value).__name__ == "ArchiveDamaged"
    assert compare.difference(before, removals.dump()) == []
