"""Does the package offer what it says, and load it only when it is asked for?"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import gestore


def test_everything_that_is_offered_is_there() -> None:
    for name in gestore.__all__:
        assert getattr(gestore, name) is not None
    assert set(gestore.__all__) <= set(dir(gestore))
    assert set(gestore._PLACES) | {"__version__"} == set(gestore.__all__)


def test_what_is_not_offered_is_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'no_such_thing'"):
        gestore.no_such_thing  # noqa: B018


def test_a_site_does_not_wait_for_what_it_does_not_use() -> None:
    program = (
        "import sys, django; django.setup(); import gestore; gestore.WalkOptions;"
        "print(*(name for name in sys.modules if name.startswith('gestore.')))"
    )
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    loaded = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "gestore.planning" in loaded
    assert not {"gestore.deleting", "gestore.importing", "gestore.verifying"}.intersection(loaded)
