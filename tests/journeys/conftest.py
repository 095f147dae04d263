"""What does every journey start from? Databases without a row of their own."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS

from gestore import importing
from tests.journeys.trips import one_after_the_other
from tests.zoo.emptying import emptied


@pytest.fixture
def _django_db_helper(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: Any
) -> Iterator[None]:
    """Stands in for pytest-django's own, which flushes every table: more work than most journeys.

    No transaction is open around a test: an export opens its own, to see one moment. Were
    pytest-django's fixture to be renamed, the tests would run as before, and slower.
    """
    marker = request.node.get_closest_marker("django_db")
    aliases = marker.kwargs.get("databases", [DEFAULT_DB_ALIAS])
    with django_db_blocker.unblock(), emptied(*aliases):
        yield


@pytest.fixture
def in_two_steps() -> Iterator[None]:
    """Between the check and the load there is a moment: nothing is loaded ahead."""
    with one_after_the_other():
        yield


@pytest.fixture(autouse=True)
def loads_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """What many rows are worth, the few of a test are worth: a session that loads meanwhile."""
    monkeypatch.setattr(importing, "LOADS_AHEAD_FROM", 0)
