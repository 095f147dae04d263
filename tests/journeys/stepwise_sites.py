"""Where is a removal in batches killed, interrupted and disturbed? In a process of its own, on the
tests' own database; SQLite's, which lies in memory, goes there and back as a file.

What is left is read with Django and SQL alone.
"""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from django.contrib.contenttypes.models import ContentType
from django.db import connections, models
from django.db.models.fields.related import ForeignObject

from gestore.models import Removal
from tests.journeys.trips import dump
from tests.management.processes import hear_ctrl_c
from tests.zoo import compare
from tests.zoo import models as zoo
from tests.zoo.inserting import Inserter, Placed, circles_allowed, inserting

ROOT = Path(__file__).resolve().parent.parent.parent
# Far above what anything here takes: a test that hangs is to fail, not to wait.
PATIENCE_SECONDS = 120
# Read by tests.journeys.stepwise_settings.
NAME_VARIABLE = "GESTORE_TEST_SITE"


class Site:
    """The tests' `default` database, as a process of its own finds it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.connection = connections["default"]
        self.is_file = self.connection.vendor == "sqlite"
        self.path = folder / "site.sqlite3"
        self.processes: list[Process] = []

    def close(self) -> None:
        for process in self.processes:
            process.ends_at_once()

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
        name = str(self.path) if self.is_file else str(self.connection.settings_dict["NAME"])
        return kept | {
            "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("src", "", "demo")),
            "DJANGO_SETTINGS_MODULE": "tests.journeys.stepwise_settings",
            NAME_VARIABLE: name,
            "COLUMNS": "80",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def start(self, *words: str, command: str = "deleteobjects") -> "Process":
        self.hand_over()
        said = self.folder / f"said-{len(self.processes)}"
        self.processes.append(Process([command, *words], self, said))
        return self.processes[-1]

    def run(self, *words: str, command: str = "deleteobjects") -> "Process":
        process = self.start(*words, command=command)
        process.ends()
        return process

    # SQLite's way there and back ----------------------------------------------------------------

    def hand_over(self) -> None:
        """The rows as they are here, for a process to find."""
        if self.is_file and not self.path.exists():
            with closing(sqlite3.connect(self.path)) as file:
                self._in_memory().backup(file)

    def take_back(self) -> None:
        """What the process has left, here."""
        if self.is_file:
            with closing(sqlite3.connect(self.path)) as file:
                file.backup(self._in_memory())
            self.path.unlink()
            Path(f"{self.path}-journal").unlink(missing_ok=True)

    def _in_memory(self) -> sqlite3.Connection:
        self.connection.ensure_connection()
        return cast("sqlite3.Connection", self.connection.connection)

    # What a process does meanwhile --------------------------------------------------------------

    def removed(self) -> int | None:
        """Rows that the journal has counted, None when no deletion is on record."""
        if self.is_file:
            return _removed_in_file(self.path)
        counts = Removal.objects.order_by("-pk").values_list("removed", flat=True).first()
        return None if counts is None else sum(counts.values())

    def wait_for_silence(self) -> None:
        """Until the server has noticed that nobody is there any more, and has rolled back."""
        asked = {
            "postgresql": "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            "mysql": "SELECT count(*) FROM information_schema.processlist"
            " WHERE db = DATABASE() AND id <> CONNECTION_ID()",
        }.get(self.connection.vendor)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while asked and _one(asked) and time.monotonic() < deadline:
            time.sleep(0.02)


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Nobody is left at work afterwards, whatever a test came to."""
    made = Site(folder)
    try:
        yield made
    finally:
        made.close()


def _removed_in_file(path: Path) -> int | None:
    with closing(sqlite3.connect(path, timeout=PATIENCE_SECONDS)) as file:
        found = file.execute(
            "SELECT (SELECT coalesce(sum(value), 0) FROM json_each(removed))"
            " FROM gestore_removal ORDER BY id DESC LIMIT 1"
        ).fetchone()
    return None if found is None else int(found[0])


def _one(sql: str) -> Any:
    with connections["default"].cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


class Process:
    """`manage.py COMMAND …`, and what it says on either stream."""

    def __init__(self, words: Sequence[str], site: Site, said: Path) -> None:
        self._site = site
        self._said = said
        self._streams: list[TextIO] = [said.with_suffix(end).open("w") for end in (".out", ".err")]
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "django", *words],
            env=site.environment(),
            cwd=site.folder,
            stdin=subprocess.DEVNULL,
            stdout=self._streams[0],
            stderr=self._streams[1],
            preexec_fn=hear_ctrl_c,
        )

    def ends(self) -> int:
        """Its exit code, once its rows are here."""
        try:
            self.popen.wait(PATIENCE_SECONDS)
        finally:
            self.ends_at_once()
        self._site.wait_for_silence()
        self._site.take_back()
        return self.code

    def ends_at_once(self) -> None:
        self.popen.kill()
        self.popen.wait()
        for stream in self._streams:
            stream.close()

    @property
    def code(self) -> int:
        return int(self.popen.returncode)

    @property
    def is_working(self) -> bool:
        return self.popen.poll() is None

    @property
    def out(self) -> str:
        return self._said.with_suffix(".out").read_text()

    @property
    def err(self) -> str:
        return self._said.with_suffix(".err").read_text()

    def waits_until(self, reached: Any) -> bool:
        """Whether it came to that while it was at work."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.is_working and time.monotonic() < deadline:
            if reached():
                return True
            time.sleep(0.05)
        return bool(reached())


# Rows ---------------------------------------------------------------------------------------------


def two_menageries(using: str, size: int = 12) -> Placed:
    """One to go and one beside it: chains, circles that can be opened and some
    that cannot, objects of several rows, generic keys, and survivors that point at what goes."""
    with inserting(using) as inserter, circles_allowed(inserter):
        inserter.put(zoo.Doomed, id=zoo.FALLBACK_KEY, name="fallback")
        inserter.put(zoo.Species, code="lion")
        tag = inserter.put(zoo.Tag, label="of all")
        roots = [inserter.put(zoo.Menagerie, name=f"menagerie {n}") for n in (1, 2)]
        for root in roots:
            _chains(inserter, root, size)
            _circles(inserter, root, size)
            animals = _animals(inserter, root, size)
            for animal in animals:
                inserter.put(zoo.Animal.tags.through, animal=animal, tag=tag)
            _pointers(inserter, root)
    return roots[0]


def _chains(inserter: Inserter, root: Placed, size: int) -> None:
    link = inserter.put(zoo.SelfChain, menagerie=root, name="first")
    for number in range(size):
        link = inserter.put(zoo.SelfChain, parent=link, name=f"link {number}")


def _circles(inserter: Inserter, root: Placed, size: int) -> None:
    for number in range(size):
        key = 100 * root.key + number
        inserter.put(zoo.CycleHead, menagerie=root, id=key, tail=key, name="head")
        inserter.put(zoo.CycleTail, id=key, head=key, name="tail")
        inserter.put(zoo.SelfLoop, menagerie=root, id=key, other=key + 1 - 2 * (number % 2))
        inserter.put(zoo.Land, menagerie=root, id=key, name="land", capital=key)
        inserter.put(zoo.Capital, id=key, name="capital", land=key)


def _animals(inserter: Inserter, root: Placed, size: int) -> list[Placed]:
    enclosure = inserter.put(zoo.Enclosure, menagerie=root, name="savannah")
    kind = inserter.content_type(zoo.Animal)
    animals: list[Placed] = []
    rival: Placed | None = None
    for number in range(size):
        mother = animals[-1] if animals else None
        animal = inserter.put(
            zoo.Animal, name=f"{number}", enclosure=enclosure, species="lion", mother=mother
        )
        inserter.put(zoo.NoteByInteger, text="on it", content_type=kind, object_id=animal.key)
        vehicle = inserter.put(zoo.Vehicle, menagerie=root, name="car")
        car = inserter.put(zoo.Car, vehicle_ptr=vehicle, doors=2)
        rival = inserter.put(zoo.SportsCar, car_ptr=car, horsepower=300, rival=rival)
        animals.append(animal)
    return animals


def _pointers(inserter: Inserter, root: Placed) -> None:
    doomed = inserter.put(zoo.Doomed, menagerie=root, name="doomed")
    for model in (
        zoo.CascadePointer,
        zoo.SetNullPointer,
        zoo.SetDefaultPointer,
        zoo.SetCallablePointer,
    ):
        inserter.put(model, doomed=doomed)


def everything(using: str = "default") -> compare.Dump:
    """Every row of the zoo and its keepers."""
    return dump(using)


def meddled(before: compare.Dump, after: compare.Dump, now: compare.Dump) -> list[str]:
    """What is neither as it was nor as it is to be. A row that is to go may have its pointers in
    circles emptied already."""
    wrong = []
    for label, lot in now.items():
        for key, row in lot.items():
            was, to_be = before[label].get(key), after[label].get(key)
            if row in (was, to_be):
                continue
            if was is None or to_be is not None or not _is_emptied(was, row):
                wrong.append(f"{label} {key}: {was} is {row}")
    for label, lot in after.items():
        wrong += [f"{label} {key}: gone" for key in lot if key not in now[label]]
    return wrong


def _is_emptied(was: compare.Row, row: compare.Row) -> bool:
    return all(
        value == before or (value is None and name.endswith("_id"))
        for (name, before), (_, value) in zip(was, row, strict=True)
    )


# Pointers -----------------------------------------------------------------------------------------


def dangling(using: str = "default") -> list[str]:
    """Every foreign key and generic key of the zoo that leads to no row."""
    found = list[str]()
    for model in compare.zoo_models(using):
        for field in model._meta.local_fields:
            if isinstance(field, ForeignObject):
                found += _lost(using, model, field)
        for generic in model._meta.private_fields:
            if hasattr(generic, "fk_field"):
                found += _lost_generic(using, model, generic.ct_field, generic.fk_field)
    return sorted(found)


def _lost(using: str, model: type[models.Model], field: Any) -> Iterator[str]:
    quote = connections[using].ops.quote_name
    columns = [quote(one.column) for one in field.local_related_fields]
    targets = [quote(one.column) for one in field.foreign_related_fields]
    there = quote(field.foreign_related_fields[0].model._meta.db_table)
    filled = " AND ".join(f"here.{column} IS NOT NULL" for column in columns)
    equal = " AND ".join(
        f"there.{target} = here.{column}" for column, target in zip(columns, targets, strict=True)
    )
    with connections[using].cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(f'here.{column}' for column in columns)}"
            f" FROM {quote(model._meta.db_table)} here WHERE {filled}"
            f" AND NOT EXISTS (SELECT 1 FROM {there} there WHERE {equal})"
        )
        for row in cursor.fetchall():
            yield f"{model._meta.label}.{field.name}: {row}"


def _lost_generic(using: str, model: type[models.Model], kind: str, key: str) -> Iterator[str]:
    pairs = models.QuerySet(model, using=using).values_list(f"{kind}_id", key)
    for number, raw in pairs:
        if number is None or raw is None:
            continue
        target = ContentType.objects.using(using).get(pk=number).model_class()
        if target is None or not models.QuerySet(target, using=using).filter(pk=raw).exists():
            yield f"{model._meta.label}.{key}: {target}, {raw}"
