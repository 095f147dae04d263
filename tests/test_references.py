"""Is what names an object read as it was meant, and refused where it says nothing?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestore.errors import UsageError
from gestore.references import Reference

identifiers = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "model", "key"),
    [
        ("shop.Order.7", "shop.order", "7"),
        ("shop.order.7", "shop.order", "7"),
        ("shop.Order.v1.2, final (draft)", "shop.order", "v1.2, final (draft)"),
        ("shop.Order.a:b=c", "shop.order", "a:b=c"),
        ("shop.Cage.1,7", "shop.cage", "1,7"),
        ("shop.Order.-1", "shop.order", "-1"),
        ("shop.Order. ", "shop.order", " "),
        ("shop.Order..", "shop.order", "."),
        ("shop.Order.🦁", "shop.order", "🦁"),
        ("Shop.Order.7", "Shop.order", "7"),
    ],
)
def test_key(text: str, model: str, key: str) -> None:
    reference = Reference.parse(text)
    assert (reference.model, reference.key, dict(reference.values)) == (model, key, {})


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("auth.User:username=anna", {"username": "anna"}),
        ("auth.User:email=a@b.c,is_active=True", {"email": "a@b.c", "is_active": "True"}),
        ("auth.User:username=", {"username": ""}),
        ("auth.User:username=a=b:c.d", {"username": "a=b:c.d"}),
        ("auth.User: username =anna", {"username": "anna"}),
    ],
)
def test_values(text: str, values: dict[str, str]) -> None:
    reference = Reference.parse(text)
    assert (reference.model, reference.key, dict(reference.values)) == ("auth.user", None, values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' has no key."),
        ("shop", "'shop' has no key."),
        ("shop.Order", "'shop.Order' has no key."),
        ("shop.Order.", "'shop.Order.' has no key."),
        (".Order.7", "'.Order.7' names no model."),
        ("shop..7", "'shop..7' names no model."),
        ("shop.Order:", "'shop.Order:': '' is not field=value."),
        ("shop.Order:7", "'shop.Order:7': '7' is not field=value."),
        ("shop.Order:=7", "'shop.Order:=7': '=7' is not field=value."),
        ("shop.Order:a=1,", "'shop.Order:a=1,': '' is not field=value."),
        ("shop:a=1", "'shop:a=1' has no key."),
    ],
)
def test_what_names_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Reference.parse(text)
    assert caught.value.message == message
    assert "app_label.Model.key" in caught.value.hint
    assert caught.value.exit_code == 2


@given(identifiers, identifiers, st.text(min_size=1))
def test_parse_and_str_are_inverse(app_label: str, model: str, key: str) -> None:
    text = f"{app_label}.{model}.{key}"
    reference = Reference.parse(text)
    assert str(reference) == text
    assert reference.label == f"{app_label}.{model}"
    assert reference.key == key
    assert reference == Reference.parse(str(reference))


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except UsageError:
        return
    assert (reference.key is None) == bool(reference.values)
