"""Does a deletion's memory depend on how wide rows are? It does not."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from django.db.models.signals import post_delete, pre_delete

import gestore
from tests.journeys import removals
from tests.zoo import models as zoo
from tests.zoo.inserting import Placed, inserting

pytestmark = pytest.mark.django_db(databases=["default"], transaction=True)

# Twenty times what is read of wide rows at once.
ROWS, BYTES = 80, 500_000
MOST = 16_000_000


@pytest.fixture
def home() -> Placed:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        for number in range(ROWS):
            inserter.put(zoo.Binaries, menagerie=home, data=bytes([number]) * BYTES)
    return home


def test_wide_rows_are_never_all_in_memory(home: Placed, tmp_path: Path) -> None:
    archive = str(tmp_path / "gone.jsonl")
    removed, peak = _measured(home, archive)
    assert removed == {"zoo.Menagerie": 1, "zoo.Binaries": ROWS}
    assert peak < MOST, f"{peak:,}"
    gestore.import_objects(archive)
    found = zoo.Binaries.objects.order_by("pk").values_list("data", flat=True)
    assert [(len(data), data[0]) for data in found] == [(BYTES, n) for n in range(ROWS)]


def test_nor_are_their_instances(home: Placed, tmp_path: Path) -> None:
    def hear(**kwargs: Any) -> None:
        pass

    for signal in (pre_delete, post_delete):
        signal.connect(hear, sender=zoo.Binaries)
    try:
        removed, peak = _measured(home, str(tmp_path / "gone.jsonl"))
    finally:
        for signal in (pre_delete, post_delete):
            signal.disconnect(hear, sender=zoo.Binaries)
    assert removed["zoo.Binaries"] == ROWS
    # Those of the first batches are kept for the second signal.
    assert peak < MOST + 10_000_000, f"{peak:,}"


def _measured(home: Placed, archive: str) -> tuple[dict[str, int], int]:
    tracemalloc.start()
    try:
        report = removals.delete(home, archive=archive)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return dict(report.removed_by_model), peak
