"""How is a generated database had again as it was? `python -m benchmarks.school.clone FROM TO`."""

from __future__ import annotations

import sys

from benchmarks.school.stores import store


def main() -> int:
    source, target = sys.argv[1:]
    store(source).clone(target.partition(":")[2] if ":" in target else target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
