"""Is every difference between an archive's tables and the models here found, and named?"""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from typing import Any

import pytest

from gestore.archive.manifest import ColumnEntry, Manifest, TableEntry
from gestore.errors import Finding, Severity
from gestore.load import schema_check
from gestore.load.schema_check import SiteState, check_schema

from .site import GRAPH, archived, manifest

SITE = SiteState(
    last_migrations={"zoo": "0001_initial"},
    known_migrations=frozenset({("zoo", "0001_initial"), ("zoo", "0000_before")}),
    unapplied=(),
    version="0.1",
    libraries={},
)
ANIMAL = archived("zoo.Animal", 1)
FITTING = manifest(ANIMAL)


def changed(**changes: Any) -> Manifest:
    """The manifest of one animal, its table entry changed."""
    entry = FITTING.tables["zoo.animal"]._replace(**changes)
    return replace(FITTING, tables={"zoo.animal": entry})


def columns(**changes: ColumnEntry | None) -> dict[str, ColumnEntry]:
    merged = {**FITTING.tables["zoo.animal"].columns, **changes}
    return {name: entry for name, entry in merged.items() if entry is not None}


def check(made: Manifest, site: SiteState = SITE, *, ignore_unknown: bool = False) -> list[Finding]:
    return list(check_schema(made, GRAPH, site, ignore_unknown=ignore_unknown))


def test_what_fits_is_silent() -> None:
    assert check(FITTING) == []
    assert check(manifest()) == []


UNKNOWN = TableEntry("zoo.Gone", 3, 0, ("id",), {}, "")
TEXT = ColumnEntry("text", "CharField", null=False)

FOUND: list[tuple[str, Manifest, SiteState, Severity, str, str]] = [
    (
        "unapplied-migrations",
        FITTING,
        replace(SITE, unapplied=("a.1", "a.2", "a.3", "a.4")),
        Severity.ERROR,
        "this database",
        "has unapplied migrations: a.1, a.2, a.3 and 1 more.",
    ),
    (
        "unknown-model",
        replace(FITTING, tables={"zoo.gone": UNKNOWN}),
        SITE,
        Severity.ERROR,
        "zoo.Gone",
        "There is no such model here.",
    ),
    (
        "unknown-field",
        changed(columns=columns(gone=TEXT)),
        SITE,
        Severity.ERROR,
        "zoo.Animal.gone",
        "is archived, and there is no such field here.",
    ),
    (
        "changed-type",
        changed(columns=columns(name=ColumnEntry("integer", "IntegerField", null=False))),
        SITE,
        Severity.WARNING,
        "zoo.Animal.name",
        "was a IntegerField and is a CharField here.",
    ),
    (
        "changed-key",
        changed(key=("number",)),
        SITE,
        Severity.ERROR,
        "zoo.Animal",
        "was keyed by number, here by id.",
    ),
    (
        "new-required-field",
        changed(columns=columns(name=None)),
        SITE,
        Severity.ERROR,
        "zoo.Animal.name",
        "is required here, has no default, and is not in the archive.",
    ),
    (
        "other-migration",
        changed(migration="0000_before"),
        SITE,
        Severity.WARNING,
        "zoo",
        "was at migration 0000_before; this site is ahead, at 0001_initial.",
    ),
    (
        "other-migration",
        changed(migration="0002_later"),
        SITE,
        Severity.WARNING,
        "zoo",
        "was at migration 0002_later; this site is behind or elsewhere, at 0001_initial.",
    ),
    (
        "other-version",
        replace(FITTING, format_version=1, version="0.0.9"),
        SITE,
        Severity.WARNING,
        "the archive",
        "was written by Gestore 0.0.9; this is 0.1.",
    ),
    (
        "other-libraries",
        replace(FITTING, libraries={"Django": "1.0", "six": "1", "gone": "1"}),
        replace(SITE, libraries={"Django": "5.2", "six": "1"}),
        Severity.WARNING,
        "libraries",
        "differ: Django 1.0 → 5.2.",
    ),
]


@pytest.mark.parametrize(
    ("code", "made", "site", "severity", "subject", "message"),
    FOUND,
    ids=[f"{found[0]} {place}" for place, found in enumerate(FOUND)],
)
def test_difference_is_found(
    code: str, made: Manifest, site: SiteState, severity: Severity, subject: str, message: str
) -> None:
    (finding,) = check(made, site)
    assert (finding.code, finding.severity) == (code, severity)
    assert (finding.subject, finding.message) == (subject, message)
    assert finding.hint or severity is Severity.WARNING


def test_every_code_is_among_them() -> None:
    codes = set(re.findall(r'Finding\(\s*"([a-z-]+)"', inspect.getsource(schema_check)))
    assert codes == {found[0] for found in FOUND}


def test_unknown_fields_may_be_dropped() -> None:
    (finding,) = check(changed(columns=columns(gone=TEXT)), ignore_unknown=True)
    assert (finding.severity, finding.hint) == (Severity.WARNING, "")
    assert finding.message.endswith("; its values are dropped.")


def test_unknown_model_without_rows_does_not_matter() -> None:
    assert check(replace(FITTING, tables={"zoo.gone": UNKNOWN._replace(rows=0)})) == []


def test_undeclared_model_is_told_how_to_declare_it() -> None:
    entry = UNKNOWN._replace(label="zoo.Unmanaged")
    (finding,) = check(replace(FITTING, tables={"zoo.unmanaged": entry}))
    assert finding.hint == 'zoo.Unmanaged is unmanaged here: add it to GESTORE["UNMANAGED"].'


@pytest.mark.parametrize("label", ["zoo.Integers", "zoo.DatabaseDefaults", "zoo.Texts"])
def test_new_column_with_a_default_is_silent(label: str) -> None:
    made = manifest(archived(label, 1))
    (name,) = made.tables
    kept = {
        column: entry
        for column, entry in made.tables[name].columns.items()
        if column in ("id", "menagerie")
    }
    entry = made.tables[name]._replace(columns=kept)
    assert check(replace(made, tables={name: entry})) == []


def test_command_names_the_database() -> None:
    site = replace(SITE, unapplied=("a.1",), database="archive")
    (finding,) = check(FITTING, site)
    assert finding.hint == "Run: python manage.py migrate --database archive"
