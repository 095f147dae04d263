"""Do a deletion's queries grow with rows? Only by batches: asked at 100, 1,000 and 10,000 rows."""

from collections import Counter
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from gestore.database.dialects import dialect_of
from gestore.removing import BATCH_ROWS
from tests.journeys import removals
from tests.zoo import models as zoo
from tests.zoo import rows

pytestmark = pytest.mark.django_db(databases=["default"], transaction=True)

SIZES = (100, 1_000, 10_000)
# Of each batch of keys, in each walk: each relation that leads to its table or from it is asked.
# Generic ones lead to every table: there are as many of them as the zoo has.
QUERIES_OF_KEYS = 16
# Whole rows are read 2,000 at once at most, after three smaller batches that say how wide they are.
READ_ROWS = 2_000
# Of each table of more than a thousand rows, once: which indexes it has.
LARGE_ROWS = 1_000
QUERIES_OF_INDEXES = 15
# Of each batch that goes: compared, removed within a savepoint, looked for once more, and every
# relation that could point at it.
QUERIES_OF_REMOVED = 5 + QUERIES_OF_KEYS


@pytest.mark.parametrize("own", [(), (zoo.Product, zoo.Tag)])
def test_queries_grow_only_by_batches(own: tuple[Any, ...], tmp_path: Path) -> None:
    queries: dict[int, int] = {}
    counts: dict[int, Counter[str]] = {}
    # What is asked once in a process.
    removals.delete(rows.bulk("default", 10), archive=str(tmp_path / "first.jsonl"), own=own)
    for size in SIZES:
        customer = rows.bulk("default", size)
        archive = str(tmp_path / f"{size}.jsonl")
        with CaptureQueriesContext(connections["default"]) as captured:
            report = removals.delete(customer, archive=archive, own=own)
        queries[size] = len(captured)
        counts[size] = Counter(report.removed_by_model)
        assert size * 0.9 < report.row_count < size * 1.1 + 10

    batch_keys = dialect_of(connections["default"]).batch_keys
    walks = 4 if own else 1
    for size in SIZES[1:]:
        found = counts[size]
        assert found.keys() == counts[100].keys()
        more_keys = sum(ceil(count / batch_keys) - 1 for count in found.values())
        more_read = sum(3 + ceil(count / READ_ROWS) for count in found.values())
        more_removed = sum(ceil(count / BATCH_ROWS) - 1 for count in found.values())
        large = sum(count > LARGE_ROWS for count in found.values())
        most = queries[100] + more_read + QUERIES_OF_INDEXES * large
        most += (walks + 1) * QUERIES_OF_KEYS * more_keys + QUERIES_OF_REMOVED * more_removed
        assert queries[size] <= most, (size, queries)
    # In figures: a hundred times the rows.
    assert queries[10_000] < 2 * queries[100]
