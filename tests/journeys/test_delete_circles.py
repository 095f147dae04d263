"""Do rows go that hang on one another: in long chains, in circles, on themselves?"""

from pathlib import Path

import pytest

import gestore
from tests.journeys import removals
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.inserting import Placed, circles_allowed, inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(tmp_path / "gone.jsonl")


def goes_and_comes_back(placed: Placed, archive: str, **also: int) -> compare.Dump:
    """What goes beside the object; nothing else does, and the archive brings all of it back.
    What is left is handed over."""
    before = removals.dump()
    report = removals.delete(placed, archive=archive)
    assert report.removed_by_model == {
        removals.label(placed.model): 1,
        **{f"zoo.{name}": count for name, count in also.items()},
    }
    left = removals.dump()
    assert removals.dangling() == []
    assert gestore.import_objects(archive).loaded_count == report.row_count
    assert compare.difference(before, removals.dump()) == []
    return left


def test_chain_of_ten_thousand(archive: str) -> None:
    first, last = rows.deep_chain("default")
    before = removals.dump()
    report = removals.delete(first, archive=archive)
    assert report.removed_by_model == {"zoo.SelfChain": 10_000}
    assert not zoo.SelfChain.objects.exists()
    gestore.import_objects(archive)
    assert compare.difference(before, removals.dump()) == []
    assert zoo.SelfChain.objects.get(pk=last.key).parent_id == last.key - 1


def test_half_of_a_chain(archive: str) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        first, _ = rows._chain(inserter, home, 40)
    before = removals.dump()
    middle = Placed(zoo.SelfChain, first.key + 20)
    assert removals.delete(middle, archive=archive).removed_by_model == {"zoo.SelfChain": 20}
    kept = zoo.SelfChain.objects.order_by("pk").values_list("pk", flat=True)
    assert list(kept) == list(range(first.key, middle.key))
    gestore.import_objects(archive)
    assert compare.difference(before, removals.dump()) == []


def test_circle_of_two_required_keys(archive: str) -> None:
    with inserting("default") as inserter:
        homes = [inserter.put(zoo.Menagerie, name=name) for name in ("home", "of others")]
        with circles_allowed(inserter):
            for key, home in enumerate(homes, start=1):
                inserter.put(zoo.CycleHead, id=key, menagerie=home, tail=key, name="head")
                inserter.put(zoo.CycleTail, id=key, head=key, name="tail")
    left = goes_and_comes_back(homes[0], archive, CycleHead=1, CycleTail=1)
    assert (left["zoo.CycleHead"].keys(), left["zoo.CycleTail"].keys()) == ({"2"}, {"2"})
    Path(archive).unlink()
    # From inside the circle.
    left = goes_and_comes_back(Placed(zoo.CycleTail, 2), archive, CycleHead=1)
    assert (left["zoo.CycleHead"].keys(), left["zoo.CycleTail"].keys()) == ({"1"}, {"1"})


def test_circle_that_one_of_others_holds(archive: str) -> None:
    """Two heads of one circle: the tail that somebody else's head needs blocks nothing of his."""
    with inserting("default") as inserter:
        homes = [inserter.put(zoo.Menagerie, name=name) for name in ("home", "of others")]
        with circles_allowed(inserter):
            inserter.put(zoo.CycleHead, id=1, menagerie=homes[0], tail=2, name="head")
            inserter.put(zoo.CycleHead, id=2, menagerie=homes[1], tail=2, name="head")
            inserter.put(zoo.CycleTail, id=1, head=1, name="tail")
            inserter.put(zoo.CycleTail, id=2, head=2, name="tail")
    left = goes_and_comes_back(homes[0], archive, CycleHead=1, CycleTail=1)
    assert (left["zoo.CycleHead"].keys(), left["zoo.CycleTail"].keys()) == ({"2"}, {"2"})


def test_rows_that_point_at_themselves_and_at_each_other(archive: str) -> None:
    with inserting("default") as inserter:
        home, other = (inserter.put(zoo.Menagerie, name=name) for name in ("home", "of others"))
        with circles_allowed(inserter):
            for menagerie, loop in ((home, 10), (other, 20)):
                inserter.put(zoo.SelfLoop, id=loop, menagerie=menagerie, other=loop)
                for key in range(1, 4):
                    # 1 points at 2, 2 at 3, 3 at 1.
                    said = {"menagerie": menagerie, "other": loop + key % 3 + 1}
                    inserter.put(zoo.SelfLoop, id=loop + key, **said)
        friends = [inserter.put(zoo.Friend, menagerie=home, name=name) for name in "abc"]
        for one, two in ((0, 1), (1, 0), (2, 2)):
            inserter.put(
                zoo.Friend.friends.through, from_friend=friends[one], to_friend=friends[two]
            )
    left = goes_and_comes_back(home, archive, SelfLoop=4, Friend=3, Friend_friends=3)
    assert left["zoo.SelfLoop"].keys() == {"20", "21", "22", "23"}


def test_tables_in_a_circle_that_can_be_opened(archive: str) -> None:
    """A land has a capital, which lies in it; MariaDB checks each statement."""
    with inserting("default") as inserter:
        home, other = (inserter.put(zoo.Menagerie, name=name) for name in ("home", "of others"))
        with circles_allowed(inserter):
            # The second land's capital lies in the third land, of somebody else's; and so on.
            for key, menagerie, capital in ((1, home, 1), (2, other, 2), (3, other, 4)):
                said = {"menagerie": menagerie, "name": f"land {key}", "capital": capital}
                inserter.put(zoo.Land, id=key, **said)
            for key, land in ((1, 1), (2, 3), (3, 1), (4, 2)):
                inserter.put(zoo.Capital, id=key, name=f"city {key}", land=land)
    left = goes_and_comes_back(home, archive, Land=1, Capital=2)
    assert (left["zoo.Land"].keys(), left["zoo.Capital"].keys()) == ({"2", "3"}, {"2", "4"})
    Path(archive).unlink()
    # The third land goes, and with it the second's capital: whose pointer is emptied.
    before = removals.dump()
    report = removals.delete(Placed(zoo.Land, 3), archive=archive)
    assert report.removed_by_model == {"zoo.Land": 1, "zoo.Capital": 1}
    assert report.changed_by_model == {"zoo.Land": 1}
    assert zoo.Land.objects.get(pk=2).capital_id is None
    gestore.import_objects(archive)
    assert compare.difference(before, removals.dump()) == []


def test_pointers_that_a_constraint_forbids_to_empty(archive: str, vendor: str) -> None:
    """Only the topmost may have nobody above: MariaDB's order of rows cannot be had by emptying."""
    with inserting("default") as inserter:
        home, other = (inserter.put(zoo.Menagerie, name=name) for name in ("home", "of others"))
        for menagerie in (home, other):
            above = None
            for name in ("top", "second", "third"):
                said = {"menagerie": menagerie, "above": above, "is_top": above is None}
                above = inserter.put(zoo.Rank, name=name, **said)
    before = removals.dump()
    second = Placed(zoo.Rank, 2)
    assert removals.delete(second, archive=archive).removed_by_model == {"zoo.Rank": 2}
    Path(archive).unlink()
    report = removals.delete(home, archive=archive)
    assert report.removed_by_model == {"zoo.Menagerie": 1, "zoo.Rank": 1}
    left = removals.dump()["zoo.Rank"]
    assert left == {key: row for key, row in before["zoo.Rank"].items() if int(key) > 3}
