"""What are the figures taken with? `python -m benchmarks.school.versions` prints it as JSON."""

from __future__ import annotations

import json

import django

if __name__ == "__main__":
    django.setup()
    from benchmarks.chores import versions

    print(json.dumps(versions()))
