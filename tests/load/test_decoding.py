"""Does a row of the archive become the row for the table here?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gestore.archive.manifest import ExternalRow
from gestore.errors import NotFound, ValueNotCarried
from gestore.load.decoding import Decoding, SourceRow
from gestore.rows import ArchivedRow

from .site import GRAPH, ZONES, archived, manifest


def decoded(row: ArchivedRow, **about: Any) -> list[SourceRow]:
    return list(Decoding(GRAPH, manifest(row, **about), ZONES).rows(row))


def only(row: ArchivedRow, **about: Any) -> SourceRow:
    (found,) = decoded(row, **about)
    return found


def test_values_are_decoded_and_keys_are_among_them() -> None:
    row = only(
        archived("zoo.Menagerie", 1, name="Zoo", opened="2001-02-03T04:05:06+00:00", _shared=True)
    )
    assert row.table.label == "zoo.Menagerie"
    assert row.values == {"id": 1, "name": "Zoo", "opened": datetime(2001, 2, 3, 4, 5, 6, 0, UTC)}
    assert (row.key, row.is_shared, row.absent, row.unknown) == (1, True, frozenset(), ())
    assert row.reference == "zoo.Menagerie.1"


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, "9223372036854775808"])
def test_keys_and_pointers_have_64_bits(number: Any) -> None:
    with pytest.raises(ValueNotCarried, match=r"id: .* is no key of 64 bits\.$"):
        only(archived("zoo.Menagerie", number, name="Zoo", opened=None))
    with pytest.raises(ValueNotCarried, match=r"^zoo\.Animal\.7: enclosure: .* is no key of 64"):
        only(archived("zoo.Animal", 7, enclosure=number))


def test_composite_keys() -> None:
    row = only(archived("zoo.Cage", [1, 7], name="cage"))
    assert (row.key, row.values) == ((1, 7), {"menagerie": 1, "number": 7, "name": "cage"})
    assert row.reference == "zoo.Cage.1,7"


@pytest.mark.parametrize("pk", [None, "x", True, [1], {"a": 1}, 1.5])
def test_key_that_is_none_is_refused(pk: Any) -> None:
    with pytest.raises(ValueNotCarried, match=r"^(zoo\.Menagerie\.|A row of zoo\.Menagerie)"):
        only(archived("zoo.Menagerie", pk, name="Zoo"))


@pytest.mark.parametrize("pk", [None, 7, [1], [1, 2, 3], [1, "x"], [1, None], "1,7"])
def test_composite_key_that_is_none_is_refused(pk: Any) -> None:
    try:
        row = only(archived("zoo.Cage", pk, name="cage"))
    except ValueNotCarried as error:
        assert str(error).startswith("zoo.Cage")
    else:
        assert None in row.key  # type: ignore[operator]


def test_value_that_is_none_names_its_row() -> None:
    with pytest.raises(ValueNotCarried, match=r"^zoo\.Animal\.7: enclosure: 'x' is no integer\.$"):
        only(archived("zoo.Animal", 7, name="x", enclosure="x", species="leo", mother=None))


def test_unknown_model_is_not_found() -> None:
    row = ArchivedRow("zoo.gone", 1, {})
    with pytest.raises(NotFound):
        list(Decoding(GRAPH, manifest(), ZONES).rows(row))


def test_columns_that_came_later_get_their_default() -> None:
    row = only(archived("zoo.Integers", 1, menagerie=1))
    assert (row.values["yes"], row.values["maybe"], row.values["big"]) == (False, None, None)
    assert row.absent == {c.name for c in row.table.value_columns} - {"menagerie"}
    document = only(archived("zoo.Documents", 1, menagerie=1)).values["required"]
    assert document == {} or document == "{}"


def test_defaults_of_the_database_are_left_to_it() -> None:
    row = only(archived("zoo.DatabaseDefaults", 1, menagerie=1))
    assert row.values == {"id": 1, "menagerie": 1}
    assert row.absent == {"code", "count", "made"}


def test_fields_that_are_not_here_are_told() -> None:
    row = only(archived("zoo.Tag", 1, label="tag", gone=1, lost=[2]))
    assert row.unknown == ("gone", "lost")
    assert row.values == {"id": 1, "label": "tag"}


# Many-to-many lists, as the original wrote them ---------------------------------------------------


def test_many_to_many_list_becomes_rows() -> None:
    animal, *pairs = decoded(
        archived("zoo.Animal", 7, name="x", enclosure=1, species="leo", mother=None, tags=[3, 4])
    )
    assert animal.unknown == ()
    assert [pair.table.label for pair in pairs] == ["zoo.Animal_tags"] * 2
    assert [pair.values for pair in pairs] == [
        {"animal": 7, "tag": 3},
        {"animal": 7, "tag": 4},
    ]
    assert [pair.key for pair in pairs] == [None, None]
    assert pairs[0].reference == "zoo.Animal_tags.(new)"
    friends = decoded(archived("zoo.Friend", 1, menagerie=1, name="x", friends=[2], follows=[]))
    assert [row.values for row in friends[1:]] == [{"from_friend": 1, "to_friend": 2}]


def test_many_to_many_list_of_what_is_no_key_is_refused() -> None:
    with pytest.raises(ValueNotCarried):
        decoded(archived("zoo.Animal", 7, name="x", enclosure=1, species="leo", tags=["three"]))


# Skipped ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["zoo.enclosure.continent", "zoo.continent"])
def test_pointer_to_what_was_skipped_is_emptied(policy: str) -> None:
    row = archived("zoo.Enclosure", 1, menagerie=1, name="x", continent=5)
    assert only(row, policies={policy: "skip"}).values["continent"] is None
    assert only(row, policies={policy: "share"}).values["continent"] == 5


def test_generic_pointer_to_what_was_skipped_is_emptied_whole() -> None:
    kinds = [
        ExternalRow("contenttypes.contenttype", 11, ["zoo", "animal"]),
        ExternalRow("contenttypes.contenttype", 12, ["zoo", "tag"]),
    ]
    for kind, expected in ((11, (None, None)), (12, (12, 5))):
        row = archived("zoo.NoteByInteger", 1, text="x", content_type=kind, object_id=5)
        found = only(row, external=kinds, policies={"zoo.animal": "skip"})
        assert (found.values["content_type"], found.values["object_id"]) == expected


def test_content_types_are_the_sources() -> None:
    kinds = [
        ExternalRow("contenttypes.contenttype", 11, ["zoo", "animal"]),
        ExternalRow("contenttypes.contenttype", 12, ["zoo", "tameanimal"]),
        ExternalRow("contenttypes.contenttype", 13, ["zoo", "gone"]),
        ExternalRow("zoo.continent", 11, ["AF"]),
    ]
    row = archived("zoo.NoteByInteger", 1, text="x", content_type=11, object_id=5)
    decoding = Decoding(GRAPH, manifest(row, external=kinds), ZONES)
    relation = GRAPH.relations_by_name["zoo.notebyinteger.target"]
    targets = [
        decoding.target_of(relation, {"content_type": kind, "object_id": 5})
        for kind in (11, 12, 13, 14, None)
    ]
    assert targets == ["zoo.animal", "zoo.animal", "", "", ""]
    plain = GRAPH.relations_by_name["zoo.animal.species"]
    assert decoding.target_of(plain, {}) == "zoo.species"


def test_columns_of_changed_pointers_are_kept() -> None:
    row = only(archived("zoo.SetNullPointer", 1, doomed=2, _changed=("doomed", "id", "nothing")))
    assert row.changed == {"doomed"}
    # A pointer of two columns; one that is not archived.
    plate = only(archived("zoo.CagePlate", 1, text="x", cage_number=7, _changed=("cage",)))
    assert plate.changed == {"cage_number"}
    assert only(archived("zoo.SetNullPointer", 1, doomed=2)).changed == frozenset()


def test_dangling_names_are_kept() -> None:
    row = only(archived("zoo.LooseLink", 1, menagerie=1, animal=99, _dangling=("animal",)))
    assert row.dangling == {"animal"}
