"""Does the whole zoo go, alone and without a trace, and come back as it was?"""

from pathlib import Path

import django
import pytest
from django.contrib.auth.models import User

import gestore
from tests.journeys import removals
from tests.zoo import compare, receivers, rows
from tests.zoo import models as zoo
from tests.zoo.emptying import empty

pytestmark = pytest.mark.django_db(databases=["default", "target"], transaction=True)

# Rows that are pointed at by what goes, belong to nobody, and stay.
STAYING = [zoo.Tag, zoo.Species, zoo.Continent]
# What becomes of the pointers of rows that stay.
CHANGED = {
    "zoo.SetNullPointer": None,
    "zoo.SetDefaultPointer": zoo.FALLBACK_KEY,
    "zoo.SetCallablePointer": zoo.FALLBACK_KEY,
    "zoo.SetValuePointer": zoo.FALLBACK_KEY,
}
if django.VERSION >= (6, 1):
    CHANGED["zoo.DatabaseSetNullPointer"] = None


def of_one_menagerie(using: str, *, with_user: bool) -> compare.Dump:
    """What goes with the first menagerie: all there is in a database that has only it, but for
    what stays. The database is empty after."""
    rows.populate(using, menageries=1, dangling=True)
    found = removals.dump(using)
    empty(using)
    for model in STAYING:
        del found[model._meta.label]
    for name in CHANGED:
        del found[name]
    del found["zoo.Doomed"][str(zoo.FALLBACK_KEY)]
    if not with_user:
        del found[User._meta.label]
    return found


@pytest.mark.parametrize(
    ("form", "own"), [("json", [User]), ("jsonl.zst", ["zoo.StaffMember.user"]), ("jsonl", [])]
)
def test_zoo_goes_alone_and_comes_back(form: str, own: list[object], tmp_path: Path) -> None:
    going = of_one_menagerie("target", with_user=bool(own))
    there = rows.populate("default", menageries=2, dangling=True, loans=True)
    going["zoo.Loan"] = compare.dump("default", [zoo.Loan])["zoo.Loan"]
    before, dangling = removals.dump(), removals.dangling()
    archive = str(tmp_path / f"zoo.{form}")

    with receivers.connected():
        report = removals.delete(there.root, archive=archive, own=own)

    expected = removals.without(before, going)
    for name, value in CHANGED.items():
        removals.with_values(expected, name, "1", doomed_id=value)
    assert compare.difference(expected, removals.dump()) == []
    # What dangled in the bystander dangles as before, and nothing else does.
    assert [one for one in dangling if one in removals.dangling()] == removals.dangling()
    counts = {name: len(lot) for name, lot in going.items() if lot}
    assert sum(counts.values()) > 300
    assert report.removed_by_model == report.plan.removed_by_model == counts
    assert removals.archived(archive, owned=True) == counts
    assert report.changed_by_model == dict.fromkeys(CHANGED, 1)
    assert report.plan.changed_by_relation == {f"{name}.doomed": 1 for name in CHANGED}

    with receivers.connected():
        imported = gestore.import_objects(archive)
    assert imported.loaded_by_model == counts
    assert compare.difference(before, removals.dump()) == []
    assert removals.dangling() == dangling
