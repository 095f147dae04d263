"""What does a journey do again and again? Out of `default`, into `target`, and look."""

from typing import Any

from django.contrib.auth.models import User

import gestore
from tests.zoo import compare
from tests.zoo.inserting import Placed


def export(placed: Placed, archive: str, **options: Any) -> gestore.ExportReport:
    return gestore.export_objects([placed.reference], archive, gestore.WalkOptions(**options))


def plan(placed: Placed, *, why: tuple[str, ...] = (), **options: Any) -> gestore.Plan:
    return gestore.plan_objects([placed.reference], gestore.WalkOptions(**options), why=why)


def load(archive: str, database: str = "target", **options: Any) -> gestore.ImportReport:
    return gestore.import_objects(archive, gestore.ImportOptions(database=database, **options))


def dump(using: str) -> compare.Dump:
    """The zoo, and the users who keep it."""
    return compare.dump(using, [*compare.zoo_models(using), User])


def count(found: compare.Dump) -> int:
    return sum(len(lot) for lot in found.values())
