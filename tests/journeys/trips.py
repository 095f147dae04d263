"""What does a journey do again and again? Out of `default`, into `target`, and look."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.contrib.auth.models import User

import gestore
from gestore import importing
from tests.zoo import compare
from tests.zoo.inserting import Placed


def export(placed: Placed, archive: str, **options: Any) -> gestore.ExportReport:
    return gestore.export_objects([placed.reference], archive, gestore.WalkOptions(**options))


def plan(placed: Placed, *, why: tuple[str, ...] = (), **options: Any) -> gestore.Plan:
    return gestore.plan_objects([placed.reference], gestore.WalkOptions(**options), why=why)


def load(archive: str, database: str = "target", **options: Any) -> gestore.ImportReport:
    return gestore.import_objects(archive, gestore.ImportOptions(database=database, **options))


def outcome(archive: str, **options: Any) -> Any:
    """What an import says, whether it ends well or not."""
    try:
        return load(archive, **options).as_json()
    except gestore.Refused as refusal:
        return str(refusal), [finding.as_json() for finding in refusal.findings]
    except gestore.GestoreError as error:
        return type(error), str(error), error.hint


@contextmanager
def one_after_the_other() -> Iterator[None]:
    """Inside, nothing is loaded before everything was examined."""
    with mock.patch.object(importing, "LOADS_AHEAD_FROM", 1 << 60):
        yield


def dump(using: str) -> compare.Dump:
    """The zoo, and the users who keep it."""
    return compare.dump(using, [*compare.zoo_models(using), User])


def count(found: compare.Dump) -> int:
    return sum(len(lot) for lot in found.values())
