"""Do the benchmarks still measure, and do they know a wrong result? A tiny tenant, on SQLite."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import acceptance, anonymized, tenant
from benchmarks.tenant import LIMIT, MODEL_DELETE, OURS, OURS_REMAP, SERIALIZER, Figures, Run, Site

ROWS = 200


@pytest.fixture(scope="module")
def figures() -> dict[tuple[str, str], Figures]:
    made = tenant.run("sqlite", ROWS, 1, tenant.OPERATIONS, lambda _: None, loaddata=False)
    return {(each.operation, each.contender): each for each in made}


@pytest.fixture
def site() -> Iterator[Site]:
    with tenant.site("sqlite", ROWS) as made:
        made.chore("source", "school.generate", str(ROWS))
        made.source_proof = made.proof("source")
        yield made


def test_everybody_takes_part_and_is_measured(figures: dict[tuple[str, str], Figures]) -> None:
    assert {who for operation, who in figures if operation == "import"} == {LIMIT, OURS, OURS_REMAP}
    assert all(each.seconds > 0 and each.statements > 0 for each in figures.values())


def test_by_hand_and_gestore_are_right(figures: dict[tuple[str, str], Figures]) -> None:
    ours = {who: f.wrong for who, f in figures.items() if who[1].startswith((OURS, LIMIT))}
    assert len(ours) == 9
    assert set(ours.values()) == {""}


def test_what_django_loses_is_called_wrong(figures: dict[tuple[str, str], Figures]) -> None:
    # Microseconds, and comments that only a generic key leads to.
    assert "school.submission: values" in figures["export", SERIALIZER].wrong
    assert figures["delete", MODEL_DELETE].wrong.startswith("school_comment: +")


def test_what_anonymizing_left_is_found(tmp_path: Path) -> None:
    found = anonymized.run("sqlite", ROWS, 1, lambda _: None)
    assert (found.wrong, found.searched > 100, len(found.plain)) == ("", True, 1)
    assert [bound.holds for bound in acceptance.anonymized_bounds(found)][1]
    columns = {"mail": {"anonymized": True}, "note": {}}
    manifest = json.dumps({"tables": {"school.user": {"columns": columns}}})

    def searched(mail: str, note: str) -> str:
        files = []
        for name, (one, other) in {"a": ("ada@example.org", "none"), "b": (mail, note)}.items():
            row = {"model": "school.user", "pk": 1, "fields": {"mail": one, "note": other}}
            files.append(tmp_path / name)
            files[-1].write_text(f"{manifest}\n{json.dumps(row)}\n")
        return anonymized._searched(files[0], files[1])[1]

    assert searched("k3@example.com", "none") == ""
    assert "has mail of another row" in searched("ada@example.org", "none")
    assert "is not as it was" in searched("k3@example.com", "some")
    assert "line 2 has a value" in searched("was ada@example.org", "none")


def _contender(site: Site, operation: str, name: str) -> tenant.Contender:
    known = tenant.contenders(site, tenant.OPERATIONS)
    return next(each for each in known if (each.operation, each.name) == (operation, name))


def test_a_value_altered_in_an_archive_is_wrong(site: Site) -> None:
    export = _contender(site, "export", OURS)
    site.measured("source", export.words)
    assert export.check(0) == ""
    archive = site.file("ours.jsonl")
    archive.write_text(archive.read_text("utf-8").replace("O'Neill 3 ü", "O'Neill 4 ü"), "utf-8")
    assert export.check(0) == "school.user: values"


def test_a_bystander_that_goes_too_is_wrong(site: Site) -> None:
    delete = _contender(site, "delete", LIMIT)
    site.chore("run", "school.clone", site.name("source"), site.name("run"))
    site.measured("run", delete.words)
    assert delete.check(0) == ""
    with _connected(site.name("run")) as connection:
        connection.execute(
            "DELETE FROM school_comment WHERE id = (SELECT MIN(id) FROM school_comment)"
        )
        connection.execute(
            "UPDATE school_user SET name = 'somebody else' WHERE organisation_id = 2"
        )
        connection.commit()
    assert delete.check(0) == "school_comment: -1 rows; school_user: values"


def _connected(path: str) -> Any:
    import sqlite3
    from contextlib import closing

    return closing(sqlite3.connect(path))


def test_bounds_say_whether_they_hold_and_by_how_much_not() -> None:
    def figure(contender: str, seconds: float, wrong: str = "") -> Figures:
        runs = [Run(seconds, seconds, 0.0, 50.0, 10)]
        return Figures("sqlite", "export", contender, tenant.LARGE, runs, wrong)

    told = [b.told for b in acceptance.bounds([figure(LIMIT, 1.0), figure(OURS, 2.0)])]
    assert told == [
        "export, of the time by hand: 2 ×, at most 2.5 ×: holds.",
        "wrong results, by hand and of Gestore: 0, at most 0: holds.",
    ]
    told = [b.told for b in acceptance.bounds([figure(LIMIT, 1.0), figure(OURS, 5.0, "lost")])]
    assert told == [
        "export, of the time by hand: 5 ×, at most 2.5 ×: DOES NOT HOLD, 2.00 times off.",
        "wrong results, by hand and of Gestore: 1, at most 0: DOES NOT HOLD.",
    ]
