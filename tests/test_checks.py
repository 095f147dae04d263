"""Do the system checks say what is wrong with the settings before anything runs?"""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.test import override_settings


def found(setting: Any) -> list[CheckMessage]:
    with override_settings(GESTORE=setting):
        return [message for message in run_checks(tags=["gestore"])]  # noqa: C416 - a copy


def test_right_settings_are_silent() -> None:
    assert found({}) == []
    assert (
        found(
            {
                "RELATIONS": [
                    ("zoo.SoftReference.user_id", "auth.User"),
                    ("zoo.PseudoGeneric.content_type", "zoo.PseudoGeneric.object_id"),
                ],
                "POLICIES": {
                    "AUTH.user": "own",
                    "zoo.Animal.species": "skip",
                    "zoo.TameAnimal": "share",
                },
                "UNMANAGED": ["zoo.Unmanaged", "zoo"],
                "ROOTS": ["zoo.Menagerie", "zoo.TameAnimal"],
                "REWRITERS": {"zoo.SoftReference.animal_ids": "builtins.print"},
                "ANONYMIZE": {"auth.User.email": "gestore.anonymize.email"},
            }
        )
        == []
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ([], "GESTORE must be a dictionary."),
        ({"RELATION": []}, "GESTORE has no entry 'RELATION'."),
        (
            {"RELATIONS": [("zoo.SoftReference.gone", "auth.User")]},
            "GESTORE[\"RELATIONS\"]: ('zoo.SoftReference.gone', 'auth.User'): there is no field",
        ),
        (
            {"RELATIONS": [("zoo.SoftReference.user_id", "auth.Users")]},
            "GESTORE[\"RELATIONS\"]: ('zoo.SoftReference.user_id', 'auth.Users'): No model 'auth",
        ),
        (
            {"ANONYMIZE": {"zoo.Animal.species": "gestore.anonymize.name"}},
            "GESTORE[\"ANONYMIZE\"]: 'zoo.Animal.species': is a pointer: name what it points at.",
        ),
    ],
)
def test_wrong_setting_is_e001(setting: Any, message: str) -> None:
    (error,) = found(setting)
    assert error.id == "gestore.E001"
    assert error.msg.startswith(message)
    assert error.is_serious()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"POLICIES": {"zoo.Gone": "own"}},
            "POLICIES\"] names 'zoo.Gone', and there is no such model or relation.",
        ),
        ({"POLICIES": {"zoo.Animal.name": "own"}}, "POLICIES\"] names 'zoo.Animal.name', and"),
        ({"POLICIES": {"gone": "own"}}, "POLICIES\"] names 'gone', and"),
        ({"ROOTS": ["zoo.Gone"]}, "ROOTS\"] names 'zoo.Gone', and there is no such model."),
        ({"ROOTS": ["zoo.Animal.species"]}, "ROOTS\"] names 'zoo.Animal.species', and"),
        ({"ROOTS": ["zoo"]}, "ROOTS\"] names 'zoo', and"),
        (
            {"UNMANAGED": ["zoo.Gone"]},
            "UNMANAGED\"] names 'zoo.Gone', and there is no such model or app.",
        ),
        ({"UNMANAGED": ["gone"]}, "UNMANAGED\"] names 'gone', and"),
        (
            {"REWRITERS": {"zoo.Animal.gone": print}},
            "REWRITERS\"] names 'zoo.Animal.gone', and there is no such field.",
        ),
        ({"REWRITERS": {"zoo.Gone.name": print}}, "REWRITERS\"] names 'zoo.Gone.name', and"),
        ({"ANONYMIZE": {"auth.User.mail": print}}, "ANONYMIZE\"] names 'auth.User.mail', and"),
    ],
)
def test_name_of_nothing_is_e002(setting: Any, message: str) -> None:
    (error,) = found(setting)
    assert error.id == "gestore.E002"
    assert error.msg.startswith(f'GESTORE["{message}')
    assert error.hint == "Labels are app_label.Model or app_label.Model.field."


def test_every_wrong_name_is_told_at_once() -> None:
    setting = {"POLICIES": {"a.B": "own", "c.D": "skip"}, "ROOTS": ["e.F"]}
    assert [message.id for message in found(setting)] == ["gestore.E002"] * 3
