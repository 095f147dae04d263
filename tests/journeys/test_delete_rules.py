"""What becomes of the rows that point at what goes? What each relation's `on_delete` says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import pytest
from django.contrib.auth.models import Group, User
from django.db import models
from django.test import override_settings

import gestore
from gestore.rows import Key
from tests.journeys import removals
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.inserting import Inserter, Placed, inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(tmp_path / "gone.json")


SETTING = (zoo.SetCallablePointer, zoo.SetValuePointer)


def house(inserter: Inserter, name: str = "home") -> Placed:
    return inserter.put(zoo.Menagerie, name=name)


def fallback(inserter: Inserter) -> Placed:
    """What SET_DEFAULT and SET point at afterwards. Its key is written into the models."""
    return inserter.put(zoo.Doomed, id=zoo.FALLBACK_KEY, name="fallback")


@contextmanager
def nothing_changes() -> Iterator[None]:
    before = removals.dump()
    yield
    assert compare.difference(before, removals.dump()) == []


def refused(*placed: Placed, archive: str, **options: Any) -> list[str]:
    """The blockers of a deletion that is refused, leaving everything as it was, and no archive."""
    with nothing_changes(), pytest.raises(gestore.Refused) as refusal:
        removals.delete(*placed, archive=archive, **options)
    assert refusal.value.exit_code == 3
    assert refusal.value.message == "Nothing was removed: other rows stand in the way."
    assert not Path(archive).exists()
    planned = removals.plan(*placed, **options).blockers
    assert removals.blockers(refusal.value) == [str(blocker) for blocker in planned]
    return removals.blockers(refusal.value)


def keys(model: type[models.Model]) -> list[Key]:
    return list(models.QuerySet(model).order_by("pk").values_list("pk", flat=True))


def goes_and_comes_back(*placed: Placed, archive: str, **options: Any) -> dict[str, int]:
    """What goes, by model; nothing else is touched, and the archive brings all of it back."""
    before = removals.dump()
    report = removals.delete(*placed, archive=archive, **options)
    after = removals.dump()
    lost = {name: lot.keys() - after[name].keys() for name, lot in before.items()}
    counts = {name: len(gone) for name, gone in lost.items() if gone}
    assert report.removed_by_model == counts == removals.archived(archive, owned=True)
    assert compare.difference(after, without_rows(before, lost)) == []
    assert removals.dangling() == []
    assert gestore.import_objects(archive).loaded_by_model == counts
    assert compare.difference(before, removals.dump()) == []
    return counts


def without_rows(dump: compare.Dump, lost: dict[str, set[str]]) -> compare.Dump:
    return {
        name: {key: row for key, row in lot.items() if key not in lost.get(name, ())}
        for name, lot in dump.items()
    }


# What goes too ------------------------------------------------------------------------------------


def test_cascade_goes_and_protected_inside_too(archive: str) -> None:
    with inserting("default") as inserter:
        home, other = house(inserter), house(inserter, "of others")
        for menagerie in (home, other):
            doomed = inserter.put(zoo.Doomed, menagerie=menagerie, name="doomed")
            inserter.put(zoo.CascadePointer, doomed=doomed)
            inserter.put(zoo.ProtectInside, menagerie=menagerie, doomed=doomed)
            inserter.put(zoo.RestrictInside, menagerie=menagerie, doomed=doomed)
    assert goes_and_comes_back(home, archive=archive) == {
        "zoo.Menagerie": 1,
        "zoo.Doomed": 1,
        "zoo.CascadePointer": 1,
        "zoo.ProtectInside": 1,
        "zoo.RestrictInside": 1,
    }


def test_generic_keys_go_with_and_without_a_relation_back(archive: str) -> None:
    with inserting("default") as inserter:
        kind = inserter.content_type
        species = inserter.put(zoo.Species, code="lion")
        animals = []
        for name in ("home", "of others"):
            enclosure = inserter.put(zoo.Enclosure, menagerie=house(inserter, name), name=name)
            animals.append(inserter.put(zoo.Animal, name=name, enclosure=enclosure, species="lion"))
        team = inserter.put(zoo.Team, menagerie=1, name="team")
        for target in (*animals, team, species):
            # `Animal` has a GenericRelation to the first; nothing has one to the others.
            for model in (zoo.NoteByInteger, zoo.NoteByChar, zoo.NoteByText):
                key = target.key if model is zoo.NoteByInteger else str(target.key)
                inserter.put(model, text="n", content_type=kind(target.model), object_id=key)
        inserter.put(
            zoo.ProxyNote,
            content_type=kind(zoo.TameAnimal, for_concrete_model=False),
            object_id=animals[0].key,
        )
        note = inserter.put(
            zoo.NoteByInteger, text="n", content_type=kind(zoo.NoteByInteger), object_id=1
        )
    assert note.key == 5
    assert goes_and_comes_back(animals[0], archive=archive) == {
        "zoo.Animal": 1,
        "zoo.NoteByInteger": 2,
        "zoo.NoteByChar": 1,
        "zoo.NoteByText": 1,
        "zoo.ProxyNote": 1,
    }
    Path(archive).unlink()
    assert goes_and_comes_back(team, archive=archive) == {
        "zoo.Team": 1,
        "zoo.NoteByInteger": 1,
        "zoo.NoteByChar": 1,
        "zoo.NoteByText": 1,
    }


def test_key_of_two_spellings_is_found(archive: str) -> None:
    with inserting("default") as inserter:
        home = house(inserter)
        for number, spelling in enumerate(("hex", "dashed"), start=1):
            row = inserter.put(zoo.UuidKey, menagerie=home, key=rows.uuid.UUID(int=number))
            key = row.key.hex if spelling == "hex" else str(row.key)
            kind = inserter.content_type(zoo.UuidKey)
            inserter.put(zoo.NoteByText, text=spelling, content_type=kind, object_id=key)
    assert goes_and_comes_back(home, archive=archive)["zoo.NoteByText"] == 2


def test_declared_relations_go(archive: str) -> None:
    declared = {
        "RELATIONS": [
            ("zoo.SoftReference.user_id", "auth.User"),
            ("zoo.PseudoGeneric.content_type", "zoo.PseudoGeneric.object_id"),
        ]
    }
    with inserting("default") as inserter:
        home, other = house(inserter), house(inserter, "of others")
        users = [inserter.put(User, username=f"user {n}") for n in (1, 2)]
        for user in users:
            inserter.put(zoo.SoftReference, menagerie=other, user_id=user.key, animal_ids=[])
        for target in (home, users[0], users[1]):
            inserter.put(
                zoo.PseudoGeneric,
                menagerie=other,
                content_type=inserter.content_type(target.model),
                object_id=target.key,
                object_repr="what it was",
            )
    with override_settings(GESTORE=declared):
        expected = {"auth.User": 1, "zoo.SoftReference": 1, "zoo.PseudoGeneric": 1}
        assert goes_and_comes_back(users[0], archive=archive) == expected
    Path(archive).unlink()
    # Undeclared, they are numbers like any other.
    assert removals.delete(users[0], archive=archive).removed_by_model == {"auth.User": 1}
    assert keys(zoo.SoftReference) == [1, 2]


def test_multi_table_halves_go_from_either_end(archive: str) -> None:
    with inserting("default") as inserter:
        home = house(inserter)
        for name in ("first", "second"):
            vehicle = inserter.put(zoo.Vehicle, menagerie=home, name=name)
            car = inserter.put(zoo.Car, vehicle_ptr=vehicle, doors=2)
            sports_car = inserter.put(zoo.SportsCar, car_ptr=car, horsepower=1)
            inserter.put(zoo.PitStop, car=car, vehicle=vehicle)
            inserter.put(
                zoo.NoteByInteger,
                text=name,
                content_type=inserter.content_type(zoo.Vehicle),
                object_id=vehicle.key,
            )
        swimmer = inserter.put(zoo.Swimmer, menagerie=home, depth=1)
        flyer = inserter.put(zoo.Flyer, height=1)
        duck = inserter.put(zoo.Duck, swimmer_ptr=swimmer, flyer_ptr=flyer, name="Donald")
    whole = {
        "zoo.Vehicle": 1,
        "zoo.Car": 1,
        "zoo.SportsCar": 1,
        "zoo.PitStop": 1,
        "zoo.NoteByInteger": 1,
    }
    for end in (Placed(zoo.Vehicle, 2), Placed(zoo.Car, 2), sports_car):
        assert goes_and_comes_back(end, archive=archive) == whole
        Path(archive).unlink()
    # Two parents: whichever end it is named by, three rows.
    for end in (swimmer, flyer, duck):
        expected = {"zoo.Swimmer": 1, "zoo.Flyer": 1, "zoo.Duck": 1}
        assert goes_and_comes_back(end, archive=archive) == expected
        Path(archive).unlink()


def test_many_to_many_pairs_go_and_their_other_side_stays(archive: str) -> None:
    with inserting("default") as inserter:
        homes = [house(inserter, name) for name in ("home", "of others")]
        tag = inserter.put(zoo.Tag, label="of both")
        for home in homes:
            inserter.put(zoo.Menagerie.tags.through, menagerie=home, tag=tag)
        user, group = inserter.put(User, username="u"), inserter.put(Group, name="g")
        inserter.put(User.groups.through, user=user, group=group)
    expected = {"zoo.Menagerie": 1, "zoo.Menagerie_tags": 1}
    assert goes_and_comes_back(homes[0], archive=archive) == expected
    Path(archive).unlink()
    # From the other side: what is tagged stays, and is tagged no longer.
    expected = {"zoo.Tag": 1, "zoo.Menagerie_tags": 2}
    assert goes_and_comes_back(tag, archive=archive) == expected
    Path(archive).unlink()
    expected = {"auth.Group": 1, "auth.User_groups": 1}
    assert goes_and_comes_back(group, archive=archive) == expected


# What stays and changes ---------------------------------------------------------------------------


def test_pointers_of_rows_that_stay_change(archive: str) -> None:
    with inserting("default") as inserter:
        spare = fallback(inserter)
        home = house(inserter)
        doomed = [inserter.put(zoo.Doomed, menagerie=home, name=f"doomed {n}") for n in (1, 2)]
        safe = inserter.put(zoo.Doomed, name="safe")
        pointers = (zoo.SetNullPointer, zoo.SetDefaultPointer, *SETTING)
        for model in pointers:
            for target in (*doomed, safe, spare):
                inserter.put(model, doomed=target)
        # A pointer that says nothing yet.
        inserter.put(zoo.SetNullPointer, doomed=None)
    before = removals.dump()
    report = removals.delete(home, archive=archive)

    assert report.removed_by_model == {"zoo.Menagerie": 1, "zoo.Doomed": 2}
    assert report.changed_by_model == {model._meta.label: 2 for model in pointers}
    expected = without_rows(before, {"zoo.Menagerie": {"1"}, "zoo.Doomed": {"2", "3"}})
    for model in pointers:
        value = None if model is zoo.SetNullPointer else spare.key
        for key in ("1", "2"):
            removals.with_values(expected, model._meta.label, key, doomed_id=value)
    assert compare.difference(expected, removals.dump()) == []
    # What stays and changes is archived as it was, with what it points at, and says what changes.
    changed = {
        (row["model"], row["pk"]): row["fields"]["doomed"]
        for row in removals.archives.rows(archive)
        if row.get("changed") == ["doomed"] and row["shared"]
    }
    assert changed == {
        (model._meta.label_lower, key): doomed[key - 1].key for model in pointers for key in (1, 2)
    }


def test_two_pointers_of_one_row_change(archive: str) -> None:
    with inserting("default") as inserter:
        home = house(inserter)
        enclosure = inserter.put(zoo.Enclosure, menagerie=home, name="here")
        elsewhere = inserter.put(
            zoo.Enclosure, menagerie=house(inserter, "of others"), name="elsewhere"
        )
        inserter.put(zoo.Species, code="lion")
        said = {"species": "lion"}
        mother = inserter.put(zoo.Animal, name="mother", enclosure=enclosure, **said)
        child = inserter.put(zoo.Animal, name="c", enclosure=elsewhere, mother=mother, **said)
        grown = inserter.put(zoo.Animal, name="g", enclosure=elsewhere, mother=child, **said)
    before = removals.dump()
    # `Animal.mother` is a self-relation with SET_NULL: the child is no part of what goes.
    report = removals.delete(home, archive=archive)
    assert report.changed_by_model == {"zoo.Animal": 1}
    expected = without_rows(
        before, {"zoo.Menagerie": {"1"}, "zoo.Enclosure": {"1"}, "zoo.Animal": {str(mother.key)}}
    )
    removals.with_values(expected, "zoo.Animal", str(child.key), mother_id=None)
    assert compare.difference(expected, removals.dump()) == []
    assert dict(expected["zoo.Animal"][str(grown.key)])["mother_id"] == child.key


def test_default_that_goes_itself_is_no_default(archive: str) -> None:
    """Where would the pointers go?"""
    with inserting("default") as inserter:
        spare = fallback(inserter)
        for model in (zoo.SetDefaultPointer, zoo.SetValuePointer):
            inserter.put(model, doomed=spare)
    why = "and what it says goes too"
    assert sorted(refused(spare, archive=archive)) == [
        f"zoo.SetDefaultPointer.1: points at {spare.reference} (doomed: SET_DEFAULT, {why}).",
        f"zoo.SetValuePointer.1: points at {spare.reference} (doomed: SET, {why}).",
    ]
    # What a function says is not known before it is called, and that is when the rows go.
    models.QuerySet(zoo.SetDefaultPointer).delete()
    models.QuerySet(zoo.SetValuePointer).delete()
    with inserting("default") as inserter:
        inserter.put(zoo.SetCallablePointer, doomed=spare)
    with nothing_changes(), pytest.raises(gestore.Refused) as refusal:
        removals.delete(spare, archive=archive)
    (finding,) = refusal.value.findings
    assert finding.subject == "zoo.SetCallablePointer.1"
    assert finding.message.startswith("points at ")
    assert "zoo.Doomed" in finding.message


# What blocks --------------------------------------------------------------------------------------


def test_every_blocker_is_named_at_once(archive: str) -> None:
    there = rows.populate("default", menageries=2, blockers=True, chain=1)
    models_that_block = (zoo.ProtectOutside, zoo.RestrictOutside, zoo.DoNothingPointer)
    doomed = there.inhabitants.doomed.reference
    assert sorted(refused(there.root, archive=archive)) == [
        f"zoo.DoNothingPointer.1: points at {doomed} (doomed: DO_NOTHING).",
        f"zoo.ProtectOutside.1: points at {doomed} (doomed: PROTECT).",
        f"zoo.RestrictOutside.1: points at {doomed} (doomed: RESTRICT).",
    ]
    # `--own` takes them along.
    report = removals.delete(there.root, archive=archive, own=models_that_block)
    taken = {name: count for name, count in report.removed_by_model.items() if "Outside" in name}
    assert taken == {"zoo.ProtectOutside": 1, "zoo.RestrictOutside": 1}
    assert report.removed_by_model["zoo.DoNothingPointer"] == 1
    assert [keys(model) for model in models_that_block] == [[2]] * 3


def test_own_of_one_relation_is_enough(archive: str) -> None:
    with inserting("default") as inserter:
        doomed = inserter.put(zoo.Doomed, name="doomed")
        inserter.put(zoo.ProtectOutside, doomed=doomed)
        inserter.put(zoo.RestrictOutside, doomed=doomed)
    own = ["zoo.ProtectOutside.doomed"]
    assert refused(doomed, archive=archive, own=own) == [
        f"zoo.RestrictOutside.1: points at {doomed.reference} (doomed: RESTRICT)."
    ]
    own.append("zoo.RestrictOutside")
    assert goes_and_comes_back(doomed, archive=archive, own=own) == {
        "zoo.Doomed": 1,
        "zoo.ProtectOutside": 1,
        "zoo.RestrictOutside": 1,
    }


def test_many_blockers_are_all_named(archive: str) -> None:
    with inserting("default") as inserter:
        product = inserter.put(zoo.Product, code="sold", price=1)
        customer = inserter.put(zoo.Customer, name="customer")
        order = inserter.put(zoo.Order, customer=customer, placed=rows._moment(2024, 1, 1))
        said = {"order": order, "product": product}
        lines = inserter.put_many(zoo.OrderLine, ({**said, "quantity": n} for n in range(1_200)))
    found = refused(product, archive=archive)
    assert found == [
        f"zoo.OrderLine.{key}: points at zoo.Product.1 (product: PROTECT)." for key in lines
    ]


def test_rows_of_root_models_block_where_django_would_take_them(archive: str) -> None:
    """Rule 4: a team goes, and its matches are roots of their own; Django would take them."""
    with inserting("default") as inserter:
        home = house(inserter)
        teams = [inserter.put(zoo.Team, menagerie=home, name=f"team {n}") for n in (1, 2)]
        for first, second in ((0, 1), (1, 1)):
            inserter.put(zoo.Match, home=teams[first], away=teams[second])
    assert refused(teams[0], archive=archive, roots=["zoo.Match"]) == [
        "zoo.Match.1: points at zoo.Team.1 (home: CASCADE, and such rows are roots of their own)."
    ]
    assert goes_and_comes_back(teams[0], archive=archive) == {"zoo.Team": 1, "zoo.Match": 1}
    Path(archive).unlink()
    # A loan belongs to both menageries, and goes with either; a branch of a tree with its trunk.
    with inserting("default") as inserter:
        other = house(inserter, "of others")
        inserter.put(zoo.Loan, menagerie=other, borrower=home)
        trunk = inserter.put(zoo.SelfChain, menagerie=other, name="trunk")
        branch = inserter.put(zoo.SelfChain, parent=trunk, name="branch")
        inserter.put(zoo.SelfChain, parent=branch, name="leaf")
    assert goes_and_comes_back(home, archive=archive)["zoo.Loan"] == 1
    Path(archive).unlink()
    assert goes_and_comes_back(trunk, archive=archive) == {"zoo.SelfChain": 3}


@pytest.mark.parametrize("policy", [gestore.Policy.SHARE, gestore.Policy.EXTERNAL])
def test_policies_that_keep_rows_out_make_them_block(policy: gestore.Policy, archive: str) -> None:
    with inserting("default") as inserter:
        doomed = inserter.put(zoo.Doomed, name="doomed")
        inserter.put(zoo.CascadePointer, doomed=doomed)
    found = refused(doomed, archive=archive, policies={"zoo.CascadePointer": policy})
    why = f"CASCADE, and the policy is {policy.value}"
    assert found == [f"zoo.CascadePointer.1: points at {doomed.reference} (doomed: {why})."]


def test_generic_pointer_of_a_kept_model_blocks_too(archive: str) -> None:
    with inserting("default") as inserter:
        home = house(inserter)
        kind = inserter.content_type(zoo.Menagerie)
        inserter.put(zoo.NoteByChar, text="n", content_type=kind, object_id=str(home.key))
    share = {"zoo.NoteByChar": gestore.Policy.SHARE}
    assert refused(home, archive=archive, policies=share) == [
        "zoo.NoteByChar.1: points at zoo.Menagerie.1 (target: CASCADE, and the policy is share)."
    ]
    why = "CASCADE, and such rows are roots of their own"
    assert refused(home, archive=archive, roots=["zoo.NoteByChar"]) == [
        f"zoo.NoteByChar.1: points at zoo.Menagerie.1 (target: {why})."
    ]
    skip = {"zoo.NoteByChar": gestore.Policy.SKIP}
    report = removals.delete(home, archive=archive, policies=skip)
    (told,) = removals.of_code(report.plan.findings, "left-dangling")
    assert told == (
        "zoo.NoteByChar.target: 1 row is skipped and points at what goes: left as it is, pointing "
        "at nothing."
    )
    assert keys(zoo.NoteByChar) == [1]


def test_table_that_gestore_does_not_know_stops_everything(archive: str) -> None:
    rows.create_unmanaged_table("default", constrained=True)
    try:
        with inserting("default") as inserter:
            home = house(inserter)
            inserter.put(zoo.Team, menagerie=home, name="team")
            # Where a row points at its own table, MariaDB's checks are off for that table alone.
            inserter.put(zoo.SelfLoop, id=1, menagerie=home, other=1)
        rows.unmanaged("default", home)
        with nothing_changes(), pytest.raises(gestore.GestoreError, match=r"(?i)foreign key"):
            removals.delete(home, archive=archive)
        with override_settings(GESTORE={"UNMANAGED": ["zoo.Unmanaged"]}):
            Path(archive).unlink()
            assert refused(home, archive=archive) == [
                "zoo.Unmanaged.1: points at zoo.Menagerie.1 (menagerie: DO_NOTHING)."
            ]
            report = removals.delete(home, archive=archive, own=["zoo.Unmanaged"])
            assert report.removed_by_model == dict.fromkeys(
                ("zoo.Menagerie", "zoo.SelfLoop", "zoo.Team", "zoo.Unmanaged"), 1
            )
    finally:
        rows.drop_unmanaged_table("default")


# What the database itself does (Django 6.1) -------------------------------------------------------

by_database = pytest.mark.skipif(django.VERSION < (6, 1), reason="came with Django 6.1")


@by_database
def test_rows_that_the_database_would_take_are_planned_archived_and_counted(archive: str) -> None:
    with inserting("default") as inserter:
        home = house(inserter)
        doomed = inserter.put(zoo.DatabaseDoomed, menagerie=home, name="doomed")
        other = inserter.put(
            zoo.DatabaseDoomed, menagerie=house(inserter, "of others"), name="safe"
        )
        for target in (doomed, doomed, other):
            inserter.put(zoo.DatabaseCascadePointer, doomed=target)
    counts = {"zoo.Menagerie": 1, "zoo.DatabaseDoomed": 1, "zoo.DatabaseCascadePointer": 2}
    assert removals.plan(home).removed_by_model == counts
    assert goes_and_comes_back(home, archive=archive) == counts


@by_database
def test_pointers_that_the_database_would_empty_are_changes(archive: str) -> None:
    with inserting("default") as inserter:
        home = house(inserter)
        doomed = inserter.put(zoo.DatabaseDoomed, menagerie=home, name="doomed")
        inserter.put(zoo.DatabaseSetNullPointer, doomed=doomed)
    before = removals.dump()
    report = removals.delete(home, archive=archive)
    assert report.removed_by_model == {"zoo.Menagerie": 1, "zoo.DatabaseDoomed": 1}
    assert report.changed_by_model == {"zoo.DatabaseSetNullPointer": 1}
    expected = without_rows(before, {"zoo.Menagerie": {"1"}, "zoo.DatabaseDoomed": {"1"}})
    removals.with_values(expected, "zoo.DatabaseSetNullPointer", "1", doomed_id=None)
    assert compare.difference(expected, removals.dump()) == []
    assert removals.archived(archive, owned=False) == {"zoo.DatabaseSetNullPointer": 1}
