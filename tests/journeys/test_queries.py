"""Do queries grow with rows? Only by batches: asked at 100, 1,000 and 10,000 rows."""

from collections import Counter
from math import ceil
from pathlib import Path

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from gestore.database.dialects import dialect_of
from tests.journeys import archives
from tests.journeys.trips import export, load, plan
from tests.zoo import rows

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)

SIZES = (100, 1_000, 10_000)
# Rows are read 2,000 at once at most, after three smaller batches that tell how wide they are, and
# written 1,000 at once. None of it depends on how many rows there are.
READ_ROWS = 2_000
WRITTEN_ROWS = 1_000
# Of each batch that is written: its rows looked for by key and by unique set, a savepoint made,
# the rows put in, the savepoint released.
QUERIES_OF_WRITTEN = 5
# Of each table, once, where its keys' counter stands below the highest that is loaded: a row is
# tried there and taken back. Which tables that is, the tests before this one decide.
QUERIES_OF_ROOM = 6
# Of each batch of keys: each relation that leads to its table or from it is asked.
QUERIES_OF_KEYS = 6


def tables_of(archive: str) -> Counter[str]:
    return Counter(row["model"] for row in archives.rows(archive))


def test_queries_grow_only_by_batches(tmp_path: Path) -> None:
    exported, planned, imported = {}, {}, {}
    counts: dict[int, Counter[str]] = {}
    # The first import into a database finds none before it, and asks a little less.
    export(rows.bulk("default", 10), str(tmp_path / "first.jsonl"))
    load(str(tmp_path / "first.jsonl"))
    # Over one session: of what is asked over others nobody keeps count.
    for size in SIZES:
        customer = rows.bulk("default", size)
        archive = str(tmp_path / f"{size}.jsonl")
        with CaptureQueriesContext(connections["default"]) as captured:
            export(customer, archive, workers=1)
        exported[size] = len(captured)
        with CaptureQueriesContext(connections["default"]) as captured:
            assert plan(customer, workers=1).row_count == sum(tables_of(archive).values())
        planned[size] = len(captured)
        with CaptureQueriesContext(connections["target"]) as captured:
            load(archive)
        imported[size] = len(captured)
        counts[size] = tables_of(archive)
        assert size * 0.9 < counts[size].total() < size * 1.1 + 10

    batch_keys = dialect_of(connections["default"]).batch_keys
    few = counts[100]
    for size in SIZES[1:]:
        found = counts[size]
        assert found.keys() == few.keys()
        more_read = sum(3 + ceil(count / READ_ROWS) for count in found.values())
        more_keys = QUERIES_OF_KEYS * sum(ceil(count / batch_keys) - 1 for count in found.values())
        assert exported[size] <= exported[100] + more_read + more_keys, size
        assert planned[size] <= planned[100] + 4 * more_keys, size
        more_written = sum(ceil(count / WRITTEN_ROWS) - 1 for count in found.values())
        more_written *= QUERIES_OF_WRITTEN
        more_room = QUERIES_OF_ROOM * len(found)
        assert imported[size] <= imported[100] + 4 + more_written + more_room, size
    # In figures: a hundred times the rows.
    assert exported[10_000] < 2 * exported[100]
    assert imported[10_000] < 2 * imported[100]
