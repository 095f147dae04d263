"""Do the declared columns, and what points at them, get replaced; is what nobody decided named?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

import pytest

from gestore import anonymize
from gestore.anonymize.declared import Anonymizing, problems
from gestore.errors import ConfigurationError, ValueNotCarried
from gestore.rows import Value
from gestore.schema.introspect import build_graph

GRAPH = build_graph((), (), "default")
USER = GRAPH.tables["auth.user"]
DOCUMENTS = GRAPH.tables["zoo.documents"]


def anonymizing(**declared: object) -> Anonymizing:
    labels = {label.replace("__", "."): what for label, what in declared.items()}
    return Anonymizing.of(GRAPH, labels, b"salt")  # type: ignore[arg-type]


def replaced(found: Anonymizing, label: str, values: Sequence[Value]) -> list[Value]:
    model, _, name = label.rpartition(".")
    table = GRAPH.tables[model.lower()]
    return found.of_table(table).columns[name](values)


def test_declared_columns_are_replaced() -> None:
    found = anonymizing(auth__User__email=anonymize.email, auth__User__username=anonymize.username)
    assert set(found.of_table(USER).columns) == {"email", "username"}
    one, two, nothing, again = replaced(
        found, "auth.User.email", ["ada@example.org", "bob@example.org", None, "ada@example.org"]
    )
    assert str(one).endswith("@example.com")
    assert (one == again, one == two, nothing) == (True, False, None)
    assert found.labels([USER]) == ["auth.User.username", "auth.User.email"]
    assert not found.of_table(GRAPH.tables["auth.group"])


def test_a_row_is_replaced_as_its_columns_are() -> None:
    found = anonymizing(auth__User__email=anonymize.email).of_table(USER)
    values = {column.name: f"{column.name}!" for column in USER.columns}
    row = found.row(tuple(values.values()))
    (made,) = found.columns["email"](["email!"])
    assert dict(zip(values, row, strict=True)) == values | {"email": made}


def test_pointers_follow_what_they_point_at() -> None:
    """A foreign key with a `to_field`, one to a key of text, and one to a parent's."""
    found = anonymizing(
        zoo__Species__code=anonymize.shape,
        zoo__CharKey__code=anonymize.shape,
        zoo__UuidKey__key=anonymize.uuid,
    )
    for declared, pointing in (
        ("zoo.Species.code", "zoo.Animal.species"),
        ("zoo.CharKey.code", "zoo.KeyPointers.char"),
    ):
        (made,) = replaced(found, declared, ["abc 123"])
        assert made != "abc 123"
        assert replaced(found, pointing, ["abc 123", None]) == [made, None]
    key = UUID(int=7)
    (made,) = replaced(found, "zoo.UuidKey.key", [key])
    assert made != key
    # Over a key that is itself a pointer.
    assert replaced(found, "zoo.KeyPointers.foreign", [key]) == [made]
    assert found.key(GRAPH.tables["zoo.uuidkey"], key) == made


def test_generic_keys_follow_in_the_form_they_have() -> None:
    found = Anonymizing.of(
        GRAPH,
        {"zoo.CharKey.code": anonymize.shape, "zoo.UuidKey.key": anonymize.uuid},
        b"salt",
        {1: "zoo.charkey", 2: "zoo.uuidkey", 3: "zoo.animal"}.get,  # type: ignore[arg-type]
    )
    note = found.of_table(GRAPH.tables["zoo.notebychar"])
    (pair,) = note.generic
    assert pair == ("content_type", "object_id")
    (char,) = replaced(found, "zoo.CharKey.code", ["abc 123"])
    key = UUID(int=7)
    (uuid,) = replaced(found, "zoo.UuidKey.key", [key])
    assert isinstance(uuid, UUID)
    for content_type, raw, made in (
        (1, "abc 123", char),
        (2, str(key), str(uuid)),
        (2, key.hex, uuid.hex),
        (2, key, uuid),
        (2, "no uuid", "no uuid"),
        (3, "7", "7"),
        (4, "abc 123", "abc 123"),
        (None, "abc 123", "abc 123"),
        (1, None, None),
    ):
        assert note.pointed(content_type, raw) == made
    # Where no key is replaced, no row need be looked at.
    assert not anonymizing(auth__User__email=anonymize.email).of_table(note.table).generic


def test_undecided_texts_are_named() -> None:
    found = anonymizing(auth__User__email=anonymize.email, auth__User__last_name=anonymize.keep)
    assert found.undecided(USER) == ["password", "username", "first_name"]
    assert found.labels([USER]) == ["auth.User.email"]
    # A key of text is a column of text; a pointer is what it points at.
    assert found.undecided(GRAPH.tables["zoo.charkey"]) == ["code", "name"]
    assert found.undecided(GRAPH.tables["zoo.animal"]) == ["name"]
    assert found.undecided(DOCUMENTS) == ["document", "required", "exact"]


@pytest.mark.parametrize(
    ("label", "replacement", "told"),
    [
        ("auth.User.mail", anonymize.name, "there is no such model or field"),
        ("auth.Usr.email", anonymize.name, "there is no such model or field"),
        ("auth.User", anonymize.name, "there is no such model or field"),
        ("auth.User.id", anonymize.shape, "is a key, and only keys of text and UUIDs can be"),
        ("auth.Permission.content_type", anonymize.keep, "is a pointer"),
        ("zoo.NoteByChar.object_id", anonymize.shape, "is a pointer"),
        ("zoo.Identifiers.address", anonymize.shape, "holds addresses of machines"),
        ("zoo.Continent.code", anonymize.token, "holds 2 characters, and token needs 12"),
        ("zoo.Passport.number", anonymize.email, "holds 20 characters, and email needs 24"),
    ],
)
def test_wrong_label_is_named(label: str, replacement: object, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        Anonymizing.of(GRAPH, {label: replacement}, b"salt")  # type: ignore[dict-item]
    assert label in caught.value.message
    names_nothing = "no such" in told
    found = list(problems(GRAPH, {label: replacement}))  # type: ignore[dict-item]
    assert len(found) == (0 if names_nothing else 1)


def test_replacement_that_fails_names_its_column_and_no_value() -> None:
    for replacement, why in (
        (anonymize.date, "a str is no date"),
        (lambda value, seed: None, "its replacement is nothing, and it cannot be empty"),
        (lambda value, seed: 7, "its replacement is a int, not a str"),
        (lambda value, seed: "x" * 255, "its replacement has 255 characters, it holds 254"),
    ):
        found = anonymizing(auth__User__email=replacement)
        with pytest.raises(ValueNotCarried) as caught:
            replaced(found, "auth.User.email", ["ada@example.org"])
        assert caught.value.message == f"auth.User.email cannot be anonymized: {why}."
        assert "ANONYMIZE" in caught.value.hint


def test_documents_keep_their_shape() -> None:
    document = {"mail": "ada@example.org", "n": [12, -3.5, True, None, {"who": "Ada"}], "": ""}
    found = anonymizing(
        zoo__Documents__document=anonymize.shape, zoo__Documents__required=anonymize.token
    )
    made, nothing, null = replaced(
        found, "zoo.Documents.document", [json.dumps(document), None, "null"]
    )
    assert (nothing, null) == (None, "null")
    told = json.loads(str(made))
    assert list(told) == list(document)
    assert [type(part) for part in told["n"]] == [int, float, bool, type(None), dict]
    assert told["n"][2:4] == [True, None]
    assert told["mail"] != document["mail"] and told["n"][4]["who"] != "Ada"
    assert replaced(found, "zoo.Documents.required", ['{"a": 1}', "[1]"]) == ["{}", "[]"]


def test_own_callable_is_given_the_whole_document() -> None:
    found = anonymizing(zoo__Documents__document=lambda value, seed: {"was": sorted(value)})
    assert replaced(found, "zoo.Documents.document", ['{"b": 1, "a": 2}']) == ['{"was":["a","b"]}']


def test_loose_databases_find_what_a_pointer_meant() -> None:
    code = {"zoo.Species.code": anonymize.shape}
    loose = Anonymizing.of(GRAPH, code, b"salt", is_loose=True)
    (made,) = replaced(loose, "zoo.Species.code", ["Panthera Leo"])
    assert replaced(loose, "zoo.Animal.species", ["panthera leo "]) == [made]
    strict = Anonymizing.of(GRAPH, code, b"salt")
    one, two = replaced(strict, "zoo.Species.code", ["Panthera Leo", "panthera leo"])
    assert one != two
