"""Does memory stay where it is when an archive in a storage grows?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import storages

ROOT = Path(__file__).resolve().parents[2]


def peaks(kind: str, megabytes: int) -> dict[str, float]:
    """Measured by a small process: on Linux one starts with the peak of what started it."""
    words = [sys.executable, "-m", "benchmarks.storages", kind, str(megabytes)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kind", storages.KINDS)
def test_eighty_megabytes_more_are_not_in_memory(kind: str) -> None:
    pytest.importorskip("pyrage")
    small, large = peaks(kind, 4), peaks(kind, 84)
    if not small:
        pytest.skip(f"the server of {kind} is not installed")
    assert set(small) == set(large) == {"write", "read"}
    for what, peak in large.items():
        assert peak <= storages.BOUND_MB
        # Azure's library holds 32 MB of a download, and what it makes of them.
        assert peak - small[what] < 64, (small, large)
