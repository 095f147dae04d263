"""What is said when a key has no room for a new one?"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.zoo import models as zoo
from tests.zoo.emptying import emptied
from tests.zoo.inserting import inserting

from .test_imports import imported
from .typing_in import typed

pytestmark = pytest.mark.django_db(databases=["default", "target"])

LAST = 2**15 - 1


@pytest.fixture
def full_table(django_db_setup: None) -> Iterator[None]:
    """A row at the source; at the target one that has the last key."""
    with emptied("default", "target"):
        for alias, number in (("default", 5), ("target", LAST)):
            with inserting(alias) as inserter:
                menagerie = inserter.put(zoo.Menagerie, id=1, name="full")
                inserter.put(zoo.SmallKey, id=number, menagerie=menagerie, name="last")
        yield


@pytest.mark.usefixtures("full_table")
def test_key_without_room_is_found_before_anything_is_written(here: Path, vendor: str) -> None:
    assert typed("exportobjects", "zoo.SmallKey.5", "-o", "small.json", "-v0").code == 0
    seen = imported("small.json", "--new-keys", "--report", "report.json")
    keys = sorted(zoo.SmallKey.objects.using("target").values_list("pk", flat=True))

    if vendor == "sqlite":
        # Its integers are of one size, whatever the field says.
        assert (seen.code, keys) == (0, [LAST, LAST + 1])
        return
    assert (seen.code, seen.out) == (1, "")
    (finding,) = json.loads(Path("report.json").read_bytes())["findings"]
    assert (finding["code"], finding["subject"]) == ("key-overflow", "zoo.SmallKey")
    assert keys == [LAST]
