"""What does every test share?

The databases answer, or nothing runs; and hypothesis knows whether it runs in CI.
"""

import os

import pytest
from django.db import DatabaseError, connections
from hypothesis import settings as hypothesis_settings

# A slow machine is no bug, so no deadline anywhere; in CI the same examples every time.
hypothesis_settings.register_profile("dev", deadline=None)
hypothesis_settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Ends the run when a chosen database does not answer: a skip would look like success."""
    if hasattr(session.config, "workerinput"):
        return  # the process that started this one has asked already
    for alias in connections:
        silence = why_silent(alias)
        if silence:
            pytest.exit(silence, returncode=1)


def why_silent(alias: str) -> str | None:
    probe = connections[alias].copy()
    if probe.vendor == "sqlite":
        return None
    # Without a name it is the server's own database: the tests' are made later.
    probe.settings_dict["NAME"] = None
    try:
        # The driver's connection, not Django's: pytest-django keeps that closed outside of tests.
        with probe.wrap_database_errors:
            probe.get_new_connection(probe.get_connection_params()).close()
    except DatabaseError as error:
        where = f"{probe.vendor} at {probe.settings_dict['HOST']}:{probe.settings_dict['PORT']}"
        reason = " ".join(str(error).split())
        return f"The database {alias!r} ({where}) does not answer: {reason}"
    return None


@pytest.fixture
def vendor() -> str:
    """The vendor of `default`, in Django's words: sqlite, postgresql, or mysql for MariaDB."""
    return connections["default"].vendor
