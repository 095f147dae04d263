"""Is all that the package promises there, and nothing read that is not asked for?"""

from __future__ import annotations

import subprocess
import sys

import pytest

import gestore


@pytest.mark.parametrize("name", gestore.__all__)
def test_name_is_there(name: str) -> None:
    assert getattr(gestore, name) is not None
    assert name in dir(gestore)


def test_unknown_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'undo_everything'"):
        getattr(gestore, "undo_everything")  # noqa: B009 - mypy knows that it is not there


def test_the_package_alone_reads_no_pipeline() -> None:
    code = "import sys, gestore; print(*sorted(m for m in sys.modules if 'gestore' in m))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["gestore", "gestore.version"]
