"""What becomes of each row of an archive, given the rows that are here?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestore.archive.manifest import ExternalRow
from gestore.errors import Finding, Severity
from gestore.load.keymap import Fresh
from gestore.load.strategies import Strategy
from gestore.rows import ArchivedRow, JsonValue
from gestore.schema.graph import Graph
from gestore.schema.relation import Relation, RelationKind
from gestore.schema.table import Kind

from .site import GRAPH, Site, Trip, archived


def menagerie(pk: int = 1, name: str = "one") -> ArchivedRow:
    return archived("zoo.Menagerie", pk, name=name, opened=None)


def tag(pk: int, label: str, /, **marks: Any) -> ArchivedRow:
    return archived("zoo.Tag", pk, label=label, **marks)


def findings(trip: Trip) -> list[Finding]:
    found = list(trip.examine().findings)
    if trip.examiner.has_missing:
        found += trip.examiner.missing_rows(trip.rows)
    return found


def only(trip: Trip) -> Finding:
    (finding,) = findings(trip)
    return finding


def test_rows_meet_nobody_in_an_empty_site() -> None:
    trip = Trip([menagerie(), tag(1, "a")])
    examination = trip.examine()
    assert list(examination.findings) == []
    assert examination.loaded_count == 2
    assert examination.is_in_order
    team = archived("zoo.Team", 1, menagerie=1, name="x")
    assert Trip([menagerie(), team]).examine().is_in_order
    assert not Trip([team, menagerie()]).examine().is_in_order


def test_row_with_the_same_values_is_here_already() -> None:
    site = Site()
    site.put("zoo.Tag", id=1, label="a")
    trip = Trip([tag(1, "a"), tag(2, "b")], site)
    examination = trip.examine()
    verdict = examination.verdicts["zoo.tag"]
    assert list(examination.findings) == []
    assert (verdict.loaded_count, verdict.here_count, len(verdict.kept)) == (1, 1, 0)
    rows = [row for archived_row in trip.rows for row in trip.decoding.rows(archived_row)]
    assert [examination.is_loaded(row) for row in rows] == [False, True]


def test_key_conflict_tells_both_versions() -> None:
    site = Site()
    site.put("zoo.Menagerie", id=1, name="other")
    finding = only(Trip([menagerie()], site))
    assert (finding.code, finding.severity) == ("key-conflict", Severity.CONFLICT)
    assert finding.subject == "zoo.Menagerie.1"
    assert finding.message == "is here with other values: name ('other' here, 'one' archived)."


def test_every_conflict_is_told() -> None:
    site = Site()
    for number in range(1, 31):
        site.put("zoo.Tag", id=number, label=f"other {number}")
    trip = Trip([tag(number, f"tag {number}") for number in range(1, 31)], site)
    assert trip.codes() == ["key-conflict"] * 30


def test_unique_conflict_names_the_row_here() -> None:
    site = Site()
    site.put("zoo.Tag", id=9, label="a")
    finding = only(Trip([tag(1, "a")], site))
    assert (finding.code, finding.severity) == ("unique-conflict", Severity.CONFLICT)
    assert finding.message == "label='a' is taken here by zoo.Tag.9 (unique: label)."


def test_empty_values_are_not_unique() -> None:
    site = Site()
    site.put("zoo.UniqueCode", id=9, menagerie=1, code="x", number=None)
    site.put("zoo.Menagerie", id=1, name="one")
    rows = [
        menagerie(),
        archived("zoo.UniqueCode", 1, menagerie=1, code="a", number=None),
        archived("zoo.UniqueCode", 2, menagerie=1, code="b", number=None),
    ]
    assert Trip(rows, site).codes() == []


def test_two_rows_of_the_archive_with_one_key() -> None:
    assert Trip([tag(1, "a"), tag(1, "b")]).codes() == ["repeated-key"]
    # Far apart, and in batches of their own.
    rows = [tag(1, "a"), *(tag(n, f"t{n}") for n in range(2, 3_000)), tag(1, "z")]
    assert Trip(rows).codes() == ["repeated-key"]


def test_two_rows_of_the_archive_with_one_unique_value() -> None:
    assert Trip([tag(1, "a"), tag(2, "a")]).codes() == ["repeated-value"]
    rows = [tag(1, "a"), *(tag(n, f"t{n}") for n in range(2, 3_000)), tag(3_001, "a")]
    assert Trip(rows).codes() == ["repeated-value"]


def test_value_that_must_not_be_empty() -> None:
    finding = only(Trip([archived("zoo.Tag", 1, label=None)]))
    assert (finding.code, finding.severity) == ("empty-value", Severity.ERROR)
    assert finding.message == "label is empty, and must not be here."


def test_value_that_this_database_never_holds() -> None:
    site = Site(refuses_value=lambda column, value: "it is odd" if value == "odd" else "")
    finding = only(Trip([tag(1, "odd"), tag(2, "even")], site))
    assert (finding.code, finding.subject) == ("refused-value", "zoo.Tag.1")
    assert finding.message == "label cannot be stored here: it is odd."


def test_row_that_the_tables_own_constraints_refuse() -> None:
    site = Site(
        refuses_row=lambda table, row: (
            "CHECK failed" if table.name == "zoo.checked" and row["low"] > row["high"] else ""
        )
    )
    rows = [
        menagerie(),
        archived("zoo.Checked", 1, menagerie=1, low=1, high=2),
        archived("zoo.Checked", 2, menagerie=1, low=3, high=2),
    ]
    finding = only(Trip(rows, site))
    assert finding.subject == "zoo.Checked.2"
    assert "CHECK failed" in finding.message


# Pointers -----------------------------------------------------------------------------------------


def animal(pk: int, **changes: Any) -> ArchivedRow:
    fields = {"name": "x", "enclosure": 1, "species": "leo", "mother": None, **changes}
    return archived("zoo.Animal", pk, **fields)


ENCLOSURE = archived("zoo.Enclosure", 1, menagerie=1, name="x", continent=None)
SPECIES = archived("zoo.Species", 1, code="leo")


def test_pointer_to_a_row_that_is_nowhere() -> None:
    finding = only(Trip([menagerie(), ENCLOSURE, SPECIES, animal(1, mother=7)]))
    assert (finding.code, finding.severity) == ("missing", Severity.ERROR)
    assert finding.subject == "zoo.Animal.1"
    assert finding.message.startswith("mother points at zoo.Animal.7, which is neither in")


def test_pointer_to_a_row_that_comes_later() -> None:
    rows = [animal(1, mother=2), animal(2, mother=2), SPECIES, ENCLOSURE, menagerie()]
    assert Trip(rows).codes() == []


def test_pointer_to_another_column_than_the_key() -> None:
    rows = [menagerie(), ENCLOSURE, SPECIES, animal(1, species="lupus")]
    assert Trip(rows).codes() == ["missing"]


def test_pointer_to_an_external_row() -> None:
    rows = [
        menagerie(),
        ENCLOSURE,
        archived("zoo.Animal", 1, name="x", enclosure=1, species="leo", mother=None),
    ]
    assert Trip(rows).codes() == ["missing"]
    kinds = [ExternalRow("contenttypes.contenttype", 11, ["zoo", "tag"])]
    note = archived("zoo.NoteByInteger", 1, text="x", content_type=11, object_id=3)
    assert Trip([note], external=kinds).codes() == ["missing"]
    assert Trip([note, tag(3, "a")], external=kinds).codes() == []
    assert Trip([note, tag(3, "a")]).codes() == ["missing"]


def test_external_row_with_a_composite_key() -> None:
    plate = archived("zoo.CagePlate", 1, menagerie=1, cage_number=7, text="x")
    assert Trip([plate]).codes() == ["missing"]
    cages = [ExternalRow("zoo.cage", [1, 7], None)]
    assert Trip([plate], external=cages).codes() == []


def test_missing_pointers_are_told_up_to_a_bound() -> None:
    rows = [
        menagerie(),
        ENCLOSURE,
        SPECIES,
        *(animal(n, mother=n + 5_000) for n in range(1, 1_501)),
    ]
    found = findings(Trip(rows))
    assert len(found) == 101
    assert found[-1].message == "1,400 more pointers lead to rows that are not in it."


def test_pointer_that_dangled_may_dangle_but_adopts_nobody() -> None:
    loose = archived("zoo.LooseLink", 1, menagerie=1, animal=7, species=None, _dangling=("animal",))
    assert Trip([menagerie(), loose]).codes() == []
    site = Site()
    site.put("zoo.Animal", id=7, name="a stranger")
    finding = only(Trip([menagerie(), loose], site))
    assert (finding.code, finding.severity) == ("dangling-adopts", Severity.CONFLICT)


@pytest.mark.parametrize("strategy", Strategy, ids=lambda strategy: strategy.value)
@pytest.mark.parametrize("is_stranger", [True, False], ids=["a stranger there", "nobody there"])
def test_pointer_that_dangled_adopts_nobody_whatever_becomes_of_its_row(
    strategy: Strategy, is_stranger: bool
) -> None:
    loose = archived("zoo.LooseLink", 1, menagerie=1, animal=7, species=None, _dangling=("animal",))
    site = Site()
    site.put("zoo.Menagerie", id=1, name="one")
    site.put("zoo.LooseLink", id=1, menagerie=70)
    if is_stranger:
        site.put("zoo.Animal", id=7, name="a stranger")
    codes = Trip([menagerie(), loose], site, strategy=strategy).codes()
    expected = {"key-conflict"} if strategy is Strategy.REFUSE else set()
    # The row that is kept points at nobody's.
    if is_stranger and strategy is not Strategy.KEEP:
        expected.add("dangling-adopts")
    assert set(codes) == expected
    site.put("zoo.LooseLink", id=1, menagerie=1, animal=7)
    assert Trip([menagerie(), loose], site, strategy=strategy).codes() == []


def test_pointer_that_dangled_cannot_where_the_database_checks() -> None:
    row = animal(1, mother=7, _dangling=("mother",))
    assert Trip([menagerie(), ENCLOSURE, SPECIES, row]).codes() == ["dangling"]


# Keep ---------------------------------------------------------------------------------------------


def test_kept_row_stands_for_the_archived_one() -> None:
    site = Site()
    site.put("zoo.Tag", id=9, label="a")
    site.put("zoo.Menagerie", id=1, name="other")
    trip = Trip(
        [tag(1, "a"), menagerie(), archived("zoo.Menagerie_tags", 1, menagerie=1, tag=1)],
        site,
        strategy=Strategy.KEEP,
    )
    loaded = trip.load()
    assert site.keys("zoo.Tag") == {9}
    assert site.row("zoo.Menagerie", 1)["name"] == "other"
    assert site.row("zoo.Menagerie_tags", 1) == {"id": 1, "menagerie": 1, "tag": 9}
    assert loaded.rows_by_table == {"zoo.menagerie_tags": 1}


def test_pointers_to_a_kept_rows_other_columns_follow() -> None:
    site = Site()
    site.put("zoo.Species", id=1, code="other")
    trip = Trip([SPECIES, menagerie(), ENCLOSURE, animal(1)], site, strategy=Strategy.KEEP)
    trip.load()
    assert site.row("zoo.Animal", 1)["species"] == "other"


def test_generic_pointers_follow_a_kept_row() -> None:
    site = Site()
    site.put("zoo.Tag", id=9, label="a")
    kinds = [ExternalRow("contenttypes.contenttype", 11, ["zoo", "tag"])]
    rows = [
        tag(1, "a"),
        archived("zoo.NoteByInteger", 1, text="x", content_type=11, object_id=1),
        archived("zoo.NoteByChar", 1, text="x", content_type=11, object_id="1"),
    ]
    Trip(rows, site, external=kinds, strategy=Strategy.KEEP).load()
    assert site.row("zoo.NoteByInteger", 1)["object_id"] == 9
    assert site.row("zoo.NoteByChar", 1)["object_id"] == "9"


def test_strategy_of_a_table_wins() -> None:
    site = Site()
    site.put("zoo.Tag", id=9, label="a")
    site.put("zoo.Menagerie", id=1, name="other")
    trip = Trip([tag(1, "a"), menagerie()], site, by_table={"zoo.tag": Strategy.KEEP})
    assert trip.codes() == ["key-conflict"]


def test_two_rows_here_are_in_the_way() -> None:
    site = Site()
    site.put("zoo.UniqueCode", id=8, menagerie=1, code="a", number=1)
    site.put("zoo.UniqueCode", id=9, menagerie=1, code="b", number=2)
    site.put("zoo.Menagerie", id=1, name="one")
    row = archived("zoo.UniqueCode", 1, menagerie=1, code="a", number=2)
    finding = only(Trip([menagerie(), row], site, strategy=Strategy.KEEP))
    assert finding.code == "unique-conflict"
    assert "zoo.UniqueCode.8 and zoo.UniqueCode.9" in finding.message


def test_half_of_an_object_is_not_grafted_onto_another() -> None:
    site = Site()
    site.put("zoo.Menagerie", id=1, name="one")
    site.put("zoo.Vehicle", id=5, menagerie=1, name="somebody's")
    rows = [
        menagerie(),
        archived("zoo.Vehicle", 5, menagerie=1, name="ours"),
        archived("zoo.Car", 5, doors=3),
    ]
    assert Trip(rows, site, strategy=Strategy.KEEP).codes() == ["grafted"]


# Pairs of automatic many-to-many tables -----------------------------------------------------------


def pair(pk: JsonValue, menagerie: int, tag: int) -> ArchivedRow:
    return archived("zoo.Menagerie_tags", pk, menagerie=menagerie, tag=tag)


def paired() -> Site:
    """The archived menagerie and tags, another menagerie, and its tags."""
    site = Site()
    site.put("zoo.Menagerie", id=1, name="one")
    site.put("zoo.Menagerie", id=70, name="other")
    for number in (5, 6):
        site.put("zoo.Tag", id=number, label=f"t{number}")
    site.put("zoo.Menagerie_tags", id=3, menagerie=70, tag=5)
    site.put("zoo.Menagerie_tags", id=4, menagerie=70, tag=6)
    site.put("zoo.Menagerie_tags", id=7, menagerie=1, tag=5)
    return site


PAIRS = [menagerie(), tag(5, "t5"), tag(6, "t6"), pair(3, 1, 5), pair(4, 1, 6)]


def in_a_circle(key_kind: Kind = Kind.INTEGER) -> Graph:
    """The graph as it were if menageries pointed at pairs: what a pair points at is then decided
    after it has been looked at once."""
    back = Relation(
        "zoo.Menagerie.opened",
        RelationKind.DECLARED,
        "zoo.menagerie",
        ("opened",),
        "zoo.menagerie_tags",
        ("id",),
        points_at_key=True,
        is_nullable=True,
        is_constrained=False,
        on_delete="CASCADE",
    )
    return Graph(GRAPH.tables.values(), [*GRAPH.relations, back])


@pytest.mark.parametrize("graph", [GRAPH, in_a_circle()], ids=["in order", "in a circle"])
@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
@pytest.mark.parametrize("strategy", Strategy, ids=lambda strategy: strategy.value)
def test_pair_is_known_by_what_it_pairs(strategy: Strategy, turned: bool, graph: Graph) -> None:
    rows = PAIRS[::-1] if turned else PAIRS
    trip = Trip(rows, paired(), strategy=strategy, graph=graph)
    examination = trip.settle()
    verdict = examination.verdicts["zoo.menagerie_tags"]
    assert 3 in verdict.here
    assert trip.keymap.target("zoo.menagerie_tags", ("id",), 3) == 7
    assert (len(verdict.kept), len(verdict.overridden)) == (0, 0)
    if strategy is Strategy.REFUSE:
        (finding,) = examination.findings
        assert (finding.code, finding.subject) == ("key-conflict", "zoo.Menagerie_tags.4")
        assert finding.details is not None
        assert finding.details["actions"] == ["refuse", "remap"]
    else:
        assert list(examination.findings) == []
        assert (verdict.loaded_count, verdict.renewed_count) == (1, 1)


@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
def test_pair_of_rows_that_get_new_keys_is_nobody_elses(turned: bool) -> None:
    """Read before the menagerie, it looks as if it were the pair of the menagerie here."""
    site = paired()
    site.put("zoo.Menagerie", id=1, name="somebody's")
    rows = PAIRS[::-1] if turned else PAIRS
    trip = Trip(rows, site, strategy=Strategy.REMAP)
    examination = trip.settle()
    assert list(examination.findings) == []
    assert examination.verdicts["zoo.menagerie_tags"].loaded_count == 2
    assert all(
        trip.keymap.target("zoo.menagerie_tags", ("id",), key) == Fresh("zoo.menagerie_tags", key)
        for key in (3, 4)
    )


@pytest.mark.parametrize("strategy", [Strategy.KEEP, Strategy.OVERRIDE, Strategy.REMAP])
def test_pair_whose_key_cannot_be_new_is_a_conflict_without_bad_advice(strategy: Strategy) -> None:
    table = GRAPH.table("zoo.Menagerie_tags")
    key, *others = table.columns
    steady = replace(table, columns=(replace(key, kind=Kind.TEXT), *others))
    graph = Graph([*(t for t in GRAPH.tables.values() if t != table), steady], GRAPH.relations)
    site = Site()
    site.put("zoo.Menagerie_tags", id="3", menagerie=70, tag=5)
    trip = Trip([*PAIRS[:3], pair("3", 1, 5)], site, strategy=strategy, graph=graph)
    (finding,) = trip.settle().findings
    assert finding.message == (
        "is here with other values: menagerie (70 here, 1 archived); "
        "its key (id) cannot be made anew."
    )
    assert finding.hint == "Give the pair that is here another key."
    assert finding.details is not None
    assert finding.details["actions"] == ["refuse"]


def test_pairs_cost_no_question_more() -> None:
    def asked(site: Site) -> list[str]:
        site.questions.clear()
        trip = Trip(PAIRS, site, strategy=Strategy.KEEP)
        trip.examine()
        return [question for question in site.questions if "_tags" in question]

    by_pair = "matching zoo.Menagerie_tags: menagerie, tag"
    by_key = "matching zoo.Menagerie_tags: id"
    assert asked(Site()) == [by_pair, by_key]
    site = paired()
    site.put("zoo.Menagerie_tags", id=8, menagerie=1, tag=6)
    assert asked(site) == [by_pair]


# Shared by policy ---------------------------------------------------------------------------------


def test_shared_model_is_matched_by_what_identifies_it() -> None:
    site = Site()
    site.put("zoo.Continent", id=9, code="AF", name="Afrika")
    rows = [
        archived("zoo.Continent", 1, code="AF", name="Africa", _shared=True),
        archived("zoo.Continent", 2, code="EU", name="Europe", _shared=True),
        menagerie(),
        archived("zoo.Enclosure", 1, menagerie=1, name="x", continent=1),
        archived("zoo.Enclosure", 2, menagerie=1, name="x", continent=2),
    ]
    Trip(rows, site, policies={"zoo.continent": "share"}).load()
    assert site.row("zoo.Continent", 9)["name"] == "Afrika"
    assert site.keys("zoo.Continent") == {9, 2}
    assert site.row("zoo.Enclosure", 1)["continent"] == 9
    assert site.row("zoo.Enclosure", 2)["continent"] == 2


# Cost ---------------------------------------------------------------------------------------------


def test_questions_are_asked_per_batch() -> None:
    site = Site()
    rows = [tag(number, f"t{number}") for number in range(2_500)]
    Trip(rows, site).examine()
    assert site.questions == ["matching zoo.Tag: id", "matching zoo.Tag: label"] * 3


@given(
    st.lists(st.tuples(st.integers(1, 6), st.sampled_from("abcdef")), max_size=6),
    st.lists(
        st.tuples(st.integers(1, 6), st.sampled_from("abcdef")),
        max_size=6,
        unique_by=(lambda pair: pair[0], lambda pair: pair[1]),
    ),
)
def test_rows_of_one_table_are_judged_like_one_by_one(
    there: list[tuple[int, str]], here: list[tuple[int, str]]
) -> None:
    """Keys and labels against the rule written once more, a row at a time."""
    site = Site()
    for key, label in here:
        site.put("zoo.Tag", id=key, label=label)
    by_key, by_label = dict(here), {label: key for key, label in here}
    expected: list[str] = []
    keys: set[int] = set()
    labels: set[str] = set()
    for key, label in there:
        if key in keys:
            expected.append("repeated-key")
            continue
        keys.add(key)
        if key in by_key:
            if by_key[key] != label:
                expected.append("key-conflict")
        elif label in by_label:
            expected.append("unique-conflict")
        elif label in labels:
            expected.append("repeated-value")
        else:
            labels.add(label)
    found = Trip([tag(key, label) for key, label in there], site).codes()
    assert sorted(found) == sorted(expected)
