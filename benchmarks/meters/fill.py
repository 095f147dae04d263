"""How are ten million readings made? `python -m benchmarks.meters.fill PATH ROWS`: by SQLite."""

from __future__ import annotations

import os
import sqlite3
import sys

_READINGS = (
    "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < ?)"
    " INSERT INTO meters_reading (id, meter_id) SELECT id, 1 FROM n"
)


def fill(path: str, rows: int) -> None:
    os.environ["METERS_DATABASE"] = path
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.meters.settings"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("INSERT INTO meters_meter (id, name) VALUES (1, 'the meter')")
    connection.execute(_READINGS, [rows])
    connection.execute("ANALYZE")
    connection.close()


if __name__ == "__main__":
    fill(sys.argv[1], int(sys.argv[2]))
