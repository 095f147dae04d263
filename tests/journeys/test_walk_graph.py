"""Does exactly what belongs to an object come with it, and does the plan say what does not?"""

import io
import json
from pathlib import Path

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.test import override_settings

import gestore
from gestore import Follow, Policy
from tests.journeys import archives
from tests.journeys.trips import count, dump, export, load, plan
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.inserting import Placed, inserting

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)


def walked(placed: Placed, folder: Path, **options: object) -> set[tuple[str, object]]:
    """What the archive holds of an export."""
    archive = str(folder / "walked.json")
    gestore.export_objects(
        [placed.reference], archive, gestore.WalkOptions(**options), overwrite=True
    )
    return archives.keys(archive)


def of(model: str, found: set[tuple[str, object]]) -> set[object]:
    return {key for name, key in found if name == model}


def not_taken(found: gestore.Plan) -> dict[str, tuple[int, str, str]]:
    return {item.relation: (item.rows, item.label, item.advice) for item in found.not_taken}


def tables(found: gestore.Plan) -> dict[str, tuple[int, int, int]]:
    return {table.label: (table.owned, table.shared, table.external) for table in found.tables}


# The original's graph -----------------------------------------------------------------------------


def test_connected_takes_the_originals_graph_and_no_more(tmp_path: Path) -> None:
    graph = rows.walk_graph("default")
    archive = str(tmp_path / "microsite.json")
    export(graph.microsite_1, archive, follow=Follow.CONNECTED)
    assert archives.keys(archive) == archives.places(graph.reached)
    assert len(graph.reached) == 14
    load(archive)
    arrived = {
        (label.lower(), int(key)) for label, found in dump("target").items() for key in found
    }
    assert arrived == archives.places(graph.reached)


def test_owned_takes_what_it_points_at_alone(tmp_path: Path) -> None:
    graph = rows.walk_graph("default")
    found = walked(graph.microsite_1, tmp_path)
    assert found == archives.places([graph.microsite_1, graph.organization_1])
    planned = plan(graph.microsite_1)
    assert tables(planned) == {"zoo.Organization": (0, 1, 0), "zoo.Microsite": (1, 0, 0)}
    assert not_taken(planned) == {
        "zoo.Tier.organization": (1, "zoo.Organization", "--own zoo.Organization"),
        "zoo.Organization_members.organization": (2, "zoo.Organization", "--own zoo.Organization"),
    }


def test_own_takes_what_the_plan_said_it_would(tmp_path: Path) -> None:
    graph = rows.walk_graph("default")
    found = walked(graph.microsite_1, tmp_path, policies={"zoo.Organization": Policy.OWN})
    pairs = [place for place in graph.reached if place.model._meta.auto_created]
    # User_1 works for Organization_2, which comes as a row that is pointed at by a shared one.
    named = [graph.microsite_1, graph.organization_1, graph.tier_1, graph.user_1, graph.user_2]
    assert found == archives.places([*named, *pairs, graph.organization_2])


def test_roots_stop_the_walk(tmp_path: Path) -> None:
    graph = rows.walk_graph("default")
    found = walked(graph.microsite_1, tmp_path, follow=Follow.CONNECTED, roots=["zoo.Organization"])
    assert found == archives.places([graph.microsite_1, graph.organization_1])
    with override_settings(GESTORE={"ROOTS": ["zoo.Organization"]}):
        assert walked(graph.microsite_1, tmp_path, follow=Follow.CONNECTED) == found
    # From the users' side: every organization comes as shared, and the walk turns there.
    found = walked(graph.user_1, tmp_path, follow=Follow.CONNECTED, roots=["zoo.Organization"])
    assert of("zoo.organization", found) == {graph.organization_1.key, graph.organization_2.key}
    assert not of("zoo.tier", found) | of("zoo.microsite", found)
    assert of("zoo.userterms", found) == {graph.user_terms_1.key, graph.user_terms_2.key}
    assert of("zoo.authtoken", found) == {graph.auth_token_1.key}


# Customers who share their tags ---------------------------------------------------------------


def test_no_row_of_another_customer_comes_through_a_shared_tag(tmp_path: Path) -> None:
    shop = rows.customers("default", count=3, orders=2, lines=2)
    archive = str(tmp_path / "customer.json")
    report = export(shop.customer, archive)
    assert report.owned_by_model == {
        "zoo.Customer": 1,
        "zoo.Customer_tags": 1,
        "zoo.Order": 2,
        "zoo.OrderLine": 4,
        "zoo.Order_tags": 2,
    }
    assert report.shared_by_model == {"zoo.Tag": 1, "zoo.Product": 2}
    own = set(zoo.Order.objects.filter(customer=shop.customer.key).values_list("pk", flat=True))
    found = archives.keys(archive)
    assert of("zoo.order", found) == own
    assert of("zoo.customer", found) == {shop.customer.key}
    lines = zoo.OrderLine.objects.filter(order__in=own).values_list("pk", flat=True)
    assert of("zoo.orderline", found) == set(lines)
    pairs = zoo.Order.tags.through.objects.filter(order__in=own).values_list("pk", flat=True)
    assert of("zoo.order_tags", found) == set(pairs)
    load(archive)
    assert count(dump("target")) == 13


def test_plan_names_what_is_not_taken_with_counts_and_advice() -> None:
    shop = rows.customers("default", count=3, orders=2, lines=2)
    planned = plan(shop.customer)
    assert not_taken(planned) == {
        "zoo.Customer_tags.tag": (2, "zoo.Tag", "--own zoo.Tag"),
        "zoo.Order_tags.tag": (4, "zoo.Tag", "--own zoo.Tag"),
        "zoo.OrderLine.product": (8, "zoo.Product", "--own zoo.Product"),
        "zoo.Product_tags.product": (2, "zoo.Product", "--own zoo.Product"),
    }
    assert planned.row_count == 13
    assert planned.other_roots == ()
    said = io.StringIO()
    call_command("planobjects", shop.customer.reference, stdout=said, stderr=said)
    text = said.getvalue()
    for line in (
        "4 × zoo.Order_tags.tag",
        "8 × zoo.OrderLine.product",
        "--own zoo.Tag takes them",
        "13 rows to take: 10 owned, 3 shared.",
    ):
        assert line in text
    said = io.StringIO()
    call_command("planobjects", shop.customer.reference, format="json", stdout=said)
    assert json.loads(said.getvalue()) == planned.as_json()


def test_other_customers_come_as_shared_with_the_path_to_them(tmp_path: Path) -> None:
    shop = rows.customers("default", count=3, orders=1, lines=1)
    planned = plan(shop.customer, policies={"zoo.Tag": Policy.OWN})
    others = [customer.reference for customer in shop.customers[1:]]
    assert [other.reference for other in planned.other_roots] == others
    assert planned.other_root_count == 2
    tag, pair = shop.tags[0], zoo.Customer.tags.through.objects.get(customer=shop.customers[1].key)
    own_pair = zoo.Customer.tags.through.objects.get(customer=shop.customer.key)
    chain = planned.other_roots[0].chain
    assert chain[0] == f"{shop.customer.reference} is an object of the export"
    assert chain[-2:] == (
        f"zoo.Customer_tags.{pair.pk} points at it (zoo.Customer_tags.tag)",
        f"it points at {others[0]} (zoo.Customer_tags.customer)",
    )
    assert any(tag.reference in line for line in chain)
    # As shared: alone, with none of their orders but those that the tag itself brings.
    archive = str(tmp_path / "tagged.json")
    export(shop.customer, archive, policies={"zoo.Tag": Policy.OWN})
    shared = {
        row["pk"]
        for row in archives.rows(archive)
        if row["model"] == "zoo.customer" and row.get("shared")
    }
    assert shared == {customer.key for customer in shop.customers[1:]}
    assert own_pair.pk != pair.pk


def test_why_tells_the_chain_that_brings_a_row_in() -> None:
    shop = rows.customers("default", count=2, orders=1, lines=1)
    order = zoo.Order.objects.get(customer=shop.customer.key)
    line = order.lines.get()
    stranger = shop.other_customer.reference
    tag = shop.tags[1].reference
    why = (f"zoo.Product.{line.product_id}", stranger, tag)
    planned = plan(shop.customer, why=why)
    assert planned.why == {
        why[0]: (
            f"{shop.customer.reference} is an object of the export",
            f"zoo.Order.{order.pk} points at it (zoo.Order.customer)",
            f"zoo.OrderLine.{line.pk} points at it (zoo.OrderLine.order)",
            f"it points at {why[0]} (zoo.OrderLine.product)",
        ),
        stranger: (),
        tag: (),
    }
    said = io.StringIO()
    call_command("planobjects", shop.customer.reference, why=list(why), stdout=said)
    assert f"Why {why[0]}:" in said.getvalue()
    assert f"{stranger} is not taken." in said.getvalue()


# Roots, families, and rows that change their status ---------------------------------------------


def test_other_root_comes_alone(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=2, loans=True, chain=1)
    assert there.bystander is not None
    archive = str(tmp_path / "lender.json")
    export(there.root, archive)
    found = archives.rows(archive)
    menageries = {
        row["pk"]: row.get("shared", False) for row in found if "menagerie" in row["model"]
    }
    assert {there.root.key: False, there.bystander.key: True}.items() <= menageries.items()
    homes = {
        row["fields"]["menagerie"]
        for row in found
        if "menagerie" in row["fields"] and row["fields"]["menagerie"] is not None
    }
    assert homes == {there.root.key}
    (other,) = plan(there.root).other_roots
    assert other.reference == there.bystander.reference
    assert other.chain[-1] == f"it points at {there.bystander.reference} (zoo.Loan.borrower)"


def _cars(using: str) -> dict[str, Placed]:
    """A sports car, one that is its rival, one whose rival it is, and one that has none."""
    with inserting(using) as inserter:
        put = inserter.put
        home = put(zoo.Menagerie, name="garage")

        def sports_car(rival: Placed | None = None) -> Placed:
            vehicle = put(zoo.Vehicle, menagerie=home, name="fast")
            car = put(zoo.Car, vehicle_ptr=vehicle, doors=2)
            return put(zoo.SportsCar, car_ptr=car, horsepower=1, rival=rival)

        pointed = sports_car()
        root = sports_car(rival=pointed)
        return {
            "home": home,
            "pointed": pointed,
            "root": root,
            "pointing": sports_car(rival=root),
            "alone": sports_car(),
            "stop": put(zoo.PitStop, car=root),
            "other stop": put(zoo.PitStop, car=pointed),
        }


@pytest.mark.parametrize("named_as", ["zoo.SportsCar", "zoo.Car", "zoo.Vehicle"])
def test_parts_of_one_object_share_one_fate(named_as: str, tmp_path: Path) -> None:
    cars = _cars("default")
    archive = str(tmp_path / "car.json")
    gestore.export_objects([f"{named_as}.{cars['root'].key}"], archive)
    status = {(row["model"], row["pk"]): row.get("shared", False) for row in archives.rows(archive)}
    assert status == {
        ("zoo.menagerie", cars["home"].key): True,
        ("zoo.pitstop", cars["stop"].key): False,
        **{
            (model, cars[name].key): is_shared
            for model in ("zoo.vehicle", "zoo.car", "zoo.sportscar")
            # What leads up to a root by a self-relation belongs to it; its own rival does not.
            for name, is_shared in (("root", False), ("pointing", False), ("pointed", True))
        },
    }
    load(archive)
    assert count(dump("target")) == len(status)


def test_shared_row_becomes_owned_when_it_turns_out_to_be(tmp_path: Path) -> None:
    with inserting("default") as inserter:
        put = inserter.put
        home = put(zoo.Menagerie, name="home")
        enclosure = put(zoo.Enclosure, menagerie=home, name="savannah")
        put(zoo.Species, code="lion")
        animal = put(zoo.Animal, name="Elsa", enclosure=enclosure, species="lion")
        hidden = put(zoo.HiddenPointer, animal=animal)
        # Reached at the second level as pointed at; as pointing at the animal at the third.
        kind = inserter.content_type(zoo.HiddenPointer)
        put(zoo.Ribbon, menagerie=home, kind=kind, number=hidden.key)
        tag = put(zoo.Tag, label="late")
        pair = put(zoo.HiddenPointer.tags.through, hiddenpointer=hidden, tag=tag)
    archive = str(tmp_path / "upgraded.json")
    export(home, archive)
    status = {(row["model"], row["pk"]): row.get("shared", False) for row in archives.rows(archive)}
    assert len(status) == len(archives.rows(archive)) == 8
    assert status["zoo.hiddenpointer", hidden.key] is False
    # What belongs to it came after all.
    assert status["zoo.hiddenpointer_tags", pair.key] is False
    assert status["zoo.tag", tag.key] is True
    assert tables(plan(home))["zoo.HiddenPointer"] == (1, 0, 0)


def test_generic_keys_lead_both_ways(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=2, chain=1)
    animal, member = there.inhabitants.animal, there.inhabitants.staff_member
    kind = ContentType.objects.get_for_model(zoo.Animal).pk
    found = walked(animal, tmp_path)
    # The notes on it, whichever column holds its key.
    for model in (zoo.NoteByInteger, zoo.NoteByChar, zoo.NoteByText):
        wanted = model.objects.filter(content_type=kind, object_id=animal.key)
        assert of(model._meta.label_lower, found) == set(wanted.values_list("pk", flat=True))
        assert wanted.count() == 1
    # A note points at its object, and that comes alone.
    note = zoo.NoteByInteger.objects.get(
        content_type=ContentType.objects.get_for_model(zoo.StaffMember).pk, object_id=member.key
    )
    found = walked(Placed(zoo.NoteByInteger, note.pk), tmp_path)
    assert of("zoo.staffmember", found) == {member.key}
    assert not of("zoo.feeding", found)


# Policies -----------------------------------------------------------------------------------------


def _housed_with_continent(using: str, key: int = 1) -> tuple[Placed, Placed]:
    with inserting(using) as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        africa = inserter.put(zoo.Continent, id=key, code="AF", name="Africa")
        inserter.put(zoo.Enclosure, menagerie=home, name="savannah", continent=africa)
        inserter.put(zoo.Enclosure, menagerie=home, name="nowhere")
    return home, africa


@pytest.mark.parametrize("label", ["zoo.Continent", "zoo.Enclosure.continent"])
def test_skip_empties_pointers_on_import(label: str, tmp_path: Path) -> None:
    home, africa = _housed_with_continent("default")
    # At the target that key is another's: a pointer that was not emptied would adopt it.
    with inserting("target") as inserter:
        inserter.put(zoo.Continent, id=africa.key, code="XX", name="of others")
    archive = str(tmp_path / "skipped.json")
    export(home, archive, policies={label: Policy.SKIP})
    assert not of("zoo.continent", archives.keys(archive))
    load(archive)
    enclosures = zoo.Enclosure.objects.using("target").values_list("name", "continent")
    assert sorted(enclosures) == [("nowhere", None), ("savannah", None)]
    assert load(archive).loaded_count == 0


@pytest.mark.parametrize("label", ["zoo.Species", "zoo.Animal.species"])
def test_required_pointer_to_what_is_skipped_is_an_error(label: str, tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1, chain=1)
    planned = plan(there.root, policies={label: Policy.SKIP})
    errors = [f for f in planned.findings if f.severity is gestore.Severity.ERROR]
    assert ("skipped-required", "zoo.Animal.species") in [(f.code, f.subject) for f in errors]
    (of_animals,) = [f for f in errors if f.subject == "zoo.Animal.species"]
    assert of_animals.message.startswith("2 rows point at what is skipped")
    with pytest.raises(gestore.Refused) as refusal:
        export(there.root, str(tmp_path / "never.json"), policies={label: Policy.SKIP})
    assert of_animals in refusal.value.findings
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CommandError) as error:
        call_command(
            "planobjects", there.root.reference, skip=[label],
            stdout=io.StringIO(), stderr=io.StringIO(),
        )  # fmt: skip
    assert error.value.returncode == 1


@pytest.mark.parametrize("label", ["zoo.Continent", "zoo.Enclosure.continent"])
def test_external_rows_are_found_by_their_natural_key(label: str, tmp_path: Path) -> None:
    home, _ = _housed_with_continent("default")
    with inserting("target") as inserter:
        inserter.put(zoo.Continent, id=1, code="XX", name="of others")
        here = inserter.put(zoo.Continent, id=77, code="AF", name="Afrique")
    archive = str(tmp_path / "external.json")
    export(home, archive, policies={label: Policy.EXTERNAL})
    assert not of("zoo.continent", archives.keys(archive))
    before = compare.dump("target", [zoo.Continent])
    load(archive)
    assert zoo.Enclosure.objects.using("target").get(name="savannah").continent_id == here.key
    assert compare.difference(before, compare.dump("target", [zoo.Continent])) == []


def test_missing_external_row_is_named_with_what_points_at_it(tmp_path: Path) -> None:
    home, _ = _housed_with_continent("default")
    with inserting("target") as inserter:
        inserter.put(zoo.Continent, id=1, code="XX", name="of others")
    archive = str(tmp_path / "external.json")
    export(home, archive, policies={"zoo.Continent": Policy.EXTERNAL})
    before = dump("target")
    with pytest.raises(gestore.Refused) as refusal:
        load(archive)
    (finding,) = refusal.value.findings
    assert (finding.code, finding.subject) == ("external-missing", "zoo.Continent AF")
    savannah = zoo.Enclosure.objects.get(name="savannah")
    assert f"zoo.Enclosure.{savannah.pk} points at it" in finding.message
    assert refusal.value.exit_code == 1
    assert compare.difference(before, dump("target")) == []


def test_share_takes_rows_only_when_they_are_pointed_at(tmp_path: Path) -> None:
    shop = rows.customers("default", count=1, orders=2, lines=2)
    found = walked(shop.customer, tmp_path, policies={"zoo.Order": Policy.SHARE})
    assert {model for model, _ in found} == {"zoo.customer", "zoo.customer_tags", "zoo.tag"}
    planned = plan(shop.customer, policies={"zoo.Order": Policy.SHARE})
    assert not_taken(planned)["zoo.Order.customer"] == (2, "zoo.Customer", "--own zoo.Order")
    line = zoo.OrderLine.objects.order_by("pk")[0]
    found = walked(Placed(zoo.OrderLine, line.pk), tmp_path, policies={"zoo.Order": Policy.SHARE})
    assert of("zoo.order", found) == {line.order_id}


def test_policy_of_one_relation_is_about_that_one_only(tmp_path: Path) -> None:
    there = rows.populate("default", menageries=1, chain=1)
    animal = there.inhabitants.animal
    whole = walked(there.root, tmp_path)
    found = walked(there.root, tmp_path, policies={"zoo.Invitation.club": Policy.SHARE})
    # Guests and inviters still bring the invitation: it points at animals, which are owned.
    assert of("zoo.invitation", found) == of("zoo.invitation", whole)
    labels = ["zoo.Badge.animal", "zoo.Passport.animal", "zoo.Passport.menagerie"]
    found = walked(there.root, tmp_path, policies=dict.fromkeys(labels, Policy.SHARE))
    assert whole - found >= {("zoo.badge", key) for key in of("zoo.badge", whole)}
    assert not of("zoo.badge", found) | of("zoo.passport", found)
    assert ("zoo.animal", animal.key) in found
    assert of("zoo.badge", whole)
    assert of("zoo.passport", whole)


def test_own_of_one_relation_turns_round_there(tmp_path: Path) -> None:
    graph = rows.walk_graph("default")
    found = walked(graph.tier_1, tmp_path, policies={"zoo.Tier.organization": Policy.OWN})
    assert ("zoo.microsite", graph.microsite_1.key) in found
    assert of("zoo.organization", found) == {graph.organization_1.key, graph.organization_2.key}
    # The other way to an organization, from a user, stays as it was.
    assert ("zoo.microsite", graph.microsite_2.key) not in found


def test_what_is_typed_wins_over_the_setting(tmp_path: Path) -> None:
    graph = rows.walk_graph("default")
    with override_settings(GESTORE={"POLICIES": {"zoo.Organization": "own"}}):
        by_setting = walked(graph.microsite_1, tmp_path)
        archive = str(tmp_path / "typed.json")
        call_command(
            "exportobjects", graph.microsite_1.reference,
            output=archive, share=["zoo.Organization"], stdout=io.StringIO(),
        )  # fmt: skip
    assert ("zoo.tier", graph.tier_1.key) in by_setting
    assert archives.keys(archive) == archives.places([graph.microsite_1, graph.organization_1])
