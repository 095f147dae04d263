"""What is said when the setting GESTORE is wrong?"""

from typing import Any

import pytest
from django.core.checks import run_checks

from gestore.conf import KEYS

from .typing_in import typed

pytestmark = pytest.mark.django_db(databases=["default", "target"])

POLICIES = "The policies: own, share, external, skip."
LABELS = "Labels are app_label.Model or app_label.Model.field."

# The setting: the check's id, what it says and what it advises.
WRONG: list[tuple[Any, str, str, str | None]] = [
    (["POLICIES"], "gestore.E001", "GESTORE must be a dictionary.", None),
    (
        {"POLICY": {}},
        "gestore.E001",
        "GESTORE has no entry 'POLICY'.",
        f"There are: {', '.join(KEYS)}.",
    ),
    ({"ROOTS": "auth.User"}, "gestore.E001", 'GESTORE["ROOTS"] must be a list.', None),
    (
        {"POLICIES": {"auth.User": "owned"}},
        "gestore.E001",
        "GESTORE[\"POLICIES\"]['auth.User']: there is no policy 'owned'.",
        POLICIES,
    ),
    (
        {"RELATIONS": ["demoapp.Note.object_id"]},
        "gestore.E001",
        "GESTORE[\"RELATIONS\"]: 'demoapp.Note.object_id' is not a pair.",
        'Write ("app.Model.field", "app.Model").',
    ),
    (
        {"UNMANAGED": ["a.b.c.d"]},
        "gestore.E001",
        "GESTORE[\"UNMANAGED\"]: 'a.b.c.d' is not a model or field label.",
        None,
    ),
    ({"PROVENANCE": 1}, "gestore.E001", 'GESTORE["PROVENANCE"] must be True or False.', None),
    (
        {"MAX_ARCHIVE_BYTES": "1 GB"},
        "gestore.E001",
        'GESTORE["MAX_ARCHIVE_BYTES"] must be a number of bytes.',
        None,
    ),
    (
        {"POLICIES": {"demoapp.Nope": "own"}},
        "gestore.E002",
        "GESTORE[\"POLICIES\"] names 'demoapp.Nope', and there is no such model or relation.",
        LABELS,
    ),
    (
        {"POLICIES": {"demoapp.Book.nope": "skip"}},
        "gestore.E002",
        "GESTORE[\"POLICIES\"] names 'demoapp.Book.nope', and there is no such model or relation.",
        LABELS,
    ),
    (
        {"ROOTS": ["demoapp.Nope"]},
        "gestore.E002",
        "GESTORE[\"ROOTS\"] names 'demoapp.Nope', and there is no such model.",
        LABELS,
    ),
]


@pytest.mark.parametrize(("value", "check", "message", "hint"), WRONG)
def test_wrong_setting_is_found_by_its_check_and_stops_every_command(
    value: Any, check: str, message: str, hint: str | None, settings: Any
) -> None:
    settings.GESTORE = value

    (found,) = run_checks(tags=["gestore"])
    assert (found.id, found.msg, found.hint) == (check, message, hint)

    seen = typed("planobjects", "demoapp.Book.4")
    assert (seen.code, seen.out) == (1, "")
    assert f"?: ({check}) {message}\n" in seen.err
    assert "Traceback" not in seen.err

    if check == "gestore.E001":
        unchecked = typed("planobjects", "demoapp.Book.4", "--skip-checks")
        assert (unchecked.code, unchecked.out) == (1, "")
        first, *advice = unchecked.errors
        assert (first, " ".join(advice)) == (f"CommandError: {message}", hint or "")


def test_right_setting_says_nothing(settings: Any) -> None:
    settings.GESTORE = {
        "RELATIONS": [],
        "POLICIES": {"auth.User": "own", "demoapp.Review.parent": "share"},
        "UNMANAGED": [],
        "ROOTS": ["demoapp.Book"],
        "PROVENANCE": False,
        "MAX_ARCHIVE_BYTES": 1_000_000,
    }
    assert run_checks(tags=["gestore"]) == []
    del settings.GESTORE
    assert run_checks(tags=["gestore"]) == []
