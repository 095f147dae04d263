"""How does a generated database go away? `python -m benchmarks.school.drop NAME …`."""

from __future__ import annotations

import sys

from benchmarks.school.stores import store

if __name__ == "__main__":
    for name in sys.argv[1:]:
        store(name).drop()
