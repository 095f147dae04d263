"""Do the declared columns, and what points at them, get replaced; is what nobody decided named?"""

from __future__ import annotations

import pytest

from gestore import anonymize
from gestore.anonymize.declared import Anonymizing
from gestore.errors import ConfigurationError, ValueNotCarried
from gestore.schema.introspect import build_graph

GRAPH = build_graph((), (), "default")
USER = GRAPH.tables["auth.user"]


def anonymizing(**declared: object) -> Anonymizing:
    labels = {label.replace("__", "."): what for label, what in declared.items()}
    return Anonymizing.of(GRAPH, labels, b"salt")  # type: ignore[arg-type]


def place_of(name: str) -> int:
    return [column.name for column in USER.columns].index(name)


def test_declared_columns_are_replaced() -> None:
    found = anonymizing(auth__User__email=anonymize.email, auth__User__username=anonymize.username)
    replace = found.of_table(USER)
    assert set(replace) == {place_of("email"), place_of("username")}
    made = str(replace[place_of("email")]("ada@example.org"))
    assert made.endswith("@example.com")
    assert replace[place_of("email")]("ada@example.org") == made
    assert replace[place_of("email")](None) is None
    assert found.labels([USER]) == ["auth.User.username", "auth.User.email"]
    assert found.of_table(GRAPH.tables["auth.group"]) == {}


def test_pointers_follow_what_they_point_at() -> None:
    """A foreign key with a `to_field` holds the value itself."""
    relation = next(
        r
        for r in GRAPH.relations
        if not r.is_generic and not r.points_at_key and len(r.columns) == 1
    )
    source, target = GRAPH.tables[relation.source], GRAPH.tables[relation.target]
    label = f"{target.label}.{relation.target_columns[0]}"
    found = Anonymizing.of(GRAPH, {label: anonymize.shape}, b"salt")
    (pointed,) = (
        replace
        for place, replace in found.of_table(target).items()
        if target.columns[place].name == relation.target_columns[0]
    )
    (pointing,) = (
        replace
        for place, replace in found.of_table(source).items()
        if source.columns[place].name == relation.columns[0]
    )
    assert pointing("abc 123") == pointed("abc 123") != "abc 123"


def test_undecided_texts_are_named() -> None:
    found = anonymizing(auth__User__email=anonymize.email, auth__User__last_name=anonymize.keep)
    named = {finding.subject for finding in found.undecided([USER])}
    assert named == {"auth.User.password", "auth.User.username", "auth.User.first_name"}
    assert {finding.code for finding in found.undecided([USER])} == {"undecided"}
    assert found.labels([USER]) == ["auth.User.email"]


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("auth.User.mail", "there is no such model or field"),
        ("auth.Usr.email", "there is no such model or field"),
        ("auth.User", "there is no such model or field"),
        ("auth.User.id", "is a key, and generic keys may point at it"),
        ("auth.Permission.content_type", "is a pointer"),
    ],
)
def test_wrong_label_is_named(label: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        Anonymizing.of(GRAPH, {label: anonymize.name}, b"salt")
    assert label in caught.value.message


def test_replacement_that_fails_names_its_column() -> None:
    replace = anonymizing(auth__User__email=anonymize.date).of_table(USER)
    with pytest.raises(ValueNotCarried, match=r"auth\.User\.email cannot be anonymized") as caught:
        replace[place_of("email")]("ada@example.org")
    assert "ANONYMIZE" in caught.value.hint
