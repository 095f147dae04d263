"""What if others write while rows go a batch at a time, or stand in the way?

Whatever they changed stays, with what it points at, and is named; the rest goes; and what was
committed stays, so that it can be gone on with.
"""

import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

import gestore
from gestore.errors import DatabaseFailed
from gestore.models import Removal
from tests.journeys import stepwise_sites as sites
from tests.management.typing_in import typed
from tests.zoo import models as zoo
from tests.zoo.inserting import Placed, inserting

pytestmark = [
    pytest.mark.django_db(databases=["default", "target"], transaction=True),
    pytest.mark.timeout(300),
]


on_servers = pytest.mark.skipif(
    "sqlite" in connections["default"].settings_dict["ENGINE"], reason="one writer"
)


class Meddler:
    """A listener that does something once: when the rows begin to go, or when the first went."""

    def __init__(self, work: Callable[[], object], *, after_first: bool = False) -> None:
        self.work: Callable[[], object] | None = work
        self.after_first = after_first
        self.notes: list[str] = []
        self.is_removing = False

    def begin(self, task: str, total: int | None = None) -> None:
        self.is_removing = task == "Removing"
        if self.is_removing and not self.after_first:
            self._meddle()

    def advance(self, count: int) -> None:
        if self.is_removing:
            self._meddle()

    def _meddle(self) -> None:
        if self.work is not None:
            work, self.work = self.work, None
            work()

    def end(self) -> None:
        pass

    def note(self, text: str) -> None:
        if text and text not in self.notes:
            self.notes.append(text)


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(tmp_path / "zoo.jsonl")


def options(archive: str, **more: Any) -> gestore.DeleteOptions:
    return gestore.DeleteOptions(archive=archive, **{"commit_every": 6, **more})


def delete(archive: str, meddler: Meddler, **more: Any) -> gestore.DeleteReport:
    """The first menagerie, beside whoever meddles."""
    root = sites.two_menageries("default")
    return delete_beside(root, archive, meddler, **more)


def delete_beside(
    root: Placed, archive: str, meddler: Meddler, **more: Any
) -> gestore.DeleteReport:
    return gestore.delete_objects([root.reference], options(archive, **more), progress=meddler)


def stayed() -> dict[str, set[str]]:
    """What is here and would not be if nobody had meddled."""
    expected = _undisturbed()
    return {
        label: rest
        for label, lot in sites.everything().items()
        if (rest := set(lot) - expected.get(label, set()))
    }


def _undisturbed() -> dict[str, set[str]]:
    """What is left of the same rows in the second database, where nobody meddles."""
    if not zoo.Menagerie.objects.using("target").exists():
        root = sites.two_menageries("target")
        walk = gestore.WalkOptions(database="target")
        at_once = gestore.DeleteOptions(walk=walk, is_unarchived=True)
        gestore.delete_objects([root.reference], at_once)
    return {label: set(lot) for label, lot in sites.everything("target").items()}


def told(report: gestore.DeleteReport) -> list[str]:
    return sorted(str(finding) for finding in report.left)


def check_counts(report: gestore.DeleteReport) -> None:
    """The journal, the report and the receipt say what SQL says."""
    record = Removal.objects.get()
    assert record.removed == dict(report.removed_by_model)
    assert report.receipt is not None
    assert report.receipt.removed == record.removed
    assert report.receipt.is_proved is (record.ended_at is not None)
    assert sites.dangling() == []


def resumed(archive: str) -> gestore.DeleteReport:
    report = gestore.resume_deletion(archive)
    assert report.is_finished
    check_counts(report)
    return report


# Changed, inserted, removed by others -------------------------------------------------------------


def test_changed_row_stays_with_what_it_points_at(archive: str) -> None:
    report = delete(archive, Meddler(lambda: rename(zoo.Animal, 8, "changed")))

    assert told(report) == [
        "zoo.Animal.7: points at zoo.Enclosure.1 (enclosure).",
        "zoo.Animal.8: has changed since it was archived.",
        "zoo.Animal.8: points at zoo.Animal.7 (mother).",
        "zoo.Animal.8: points at zoo.Enclosure.1 (enclosure).",
        "zoo.Enclosure.1: points at zoo.Menagerie.1 (menagerie).",
    ]
    assert stayed() == {"zoo.Animal": {"7", "8"}, "zoo.Enclosure": {"1"}, "zoo.Menagerie": {"1"}}
    assert not report.is_finished
    check_counts(report)

    seen = typed("deleteobjects", "--resume", archive, "--receipt", f"{archive}.receipt")
    assert seen.code == 3
    assert "blocker: zoo.Animal.8: has changed since it was archived." in seen.err
    assert f"deleteobjects --resume {archive}" in seen.err
    assert '"proved": false' in Path(f"{archive}.receipt").read_text()
    assert stayed() == {"zoo.Animal": {"7", "8"}, "zoo.Enclosure": {"1"}, "zoo.Menagerie": {"1"}}

    # As it was archived, but for the pointer in a circle, which is read as it is.
    rename(zoo.Animal, 8, "7")
    again = resumed(archive)
    assert again.removed_by_model == report.plan.removed_by_model
    assert stayed() == {}


def rename(model: type[models.Model], key: int, name: str) -> None:
    assert model._default_manager.filter(pk=key).update(name=name) == 1


def test_pointer_in_a_circle_that_leads_elsewhere_is_a_change(archive: str) -> None:
    """It is emptied before its row goes: what somebody has just put there is not to be lost."""

    def point() -> None:
        zoo.Animal.objects.filter(pk=12).update(mother=1)

    report = delete(archive, Meddler(point))

    assert "zoo.Animal.12: has changed since it was archived." in told(report)
    assert zoo.Animal.objects.get(pk=12).mother_id == 1
    assert stayed()["zoo.Animal"] == {"1", "12"}
    check_counts(report)
    zoo.Animal.objects.filter(pk=12).update(mother=None)
    resumed(archive)


def test_pointer_in_a_circle_that_is_filled_again_holds(archive: str) -> None:
    def fill() -> None:
        assert zoo.Land.objects.filter(pk=103).update(capital=103) == 1

    report = delete(archive, Meddler(fill, after_first=True))

    # The capital stays for the land, and the land, as it is pointed at in turn, for the capital.
    assert told(report) == [
        "zoo.Capital.103: points at zoo.Land.103 (land).",
        "zoo.Land.103: points at zoo.Capital.103 (capital).",
        "zoo.Land.103: points at zoo.Menagerie.1 (menagerie).",
    ]
    assert stayed() == {"zoo.Capital": {"103"}, "zoo.Land": {"103"}, "zoo.Menagerie": {"1"}}
    check_counts(report)
    # Emptied again, they are in nobody's way.
    resumed(archive)
    assert stayed() == {}


def test_changed_half_of_a_circle_that_cannot_be_opened_stays_with_the_other(archive: str) -> None:
    report = delete(archive, Meddler(lambda: rename(zoo.CycleHead, 103, "changed")))

    assert told(report) == [
        "zoo.CycleHead.103: has changed since it was archived.",
        "zoo.CycleHead.103: points at zoo.CycleTail.103 (tail).",
        "zoo.CycleHead.103: points at zoo.Menagerie.1 (menagerie).",
    ]
    assert stayed() == {
        "zoo.CycleHead": {"103"},
        "zoo.CycleTail": {"103"},
        "zoo.Menagerie": {"1"},
    }
    check_counts(report)
    rename(zoo.CycleHead, 103, "head")
    resumed(archive)
    assert stayed() == {}


def test_inserted_rows_stay_with_what_they_point_at(archive: str) -> None:
    def insert() -> None:
        with inserting("default") as inserter:
            kind = inserter.content_type(zoo.Animal)
            inserter.put(zoo.NoteByChar, text="new", content_type=kind, object_id="5")
            inserter.put(zoo.Passport, animal=4, menagerie=2, number="new")
            inserter.put(zoo.CycleHead, id=999, tail=105, menagerie=2, name="new")

    report = delete(archive, Meddler(insert))

    assert told(report) == [
        "zoo.Animal.4: points at zoo.Enclosure.1 (enclosure).",
        "zoo.Animal.5: points at zoo.Enclosure.1 (enclosure).",
        "zoo.CycleHead.105: points at zoo.Menagerie.1 (menagerie).",
        "zoo.CycleHead.999: points at zoo.CycleTail.105 (tail).",
        "zoo.CycleTail.105: points at zoo.CycleHead.105 (head).",
        "zoo.Enclosure.1: points at zoo.Menagerie.1 (menagerie).",
        "zoo.NoteByChar.1: points at zoo.Animal.5 (target).",
        "zoo.Passport.1: points at zoo.Animal.4 (animal).",
    ]
    assert stayed() == {
        "zoo.Animal": {"4", "5"},
        "zoo.CycleHead": {"105", "999"},
        "zoo.CycleTail": {"105"},
        "zoo.Enclosure": {"1"},
        "zoo.Menagerie": {"1"},
        "zoo.NoteByChar": {"1"},
        "zoo.Passport": {"1"},
    }
    check_counts(report)

    zoo.CycleHead.objects.filter(pk=999).update(tail=201)
    zoo.Passport.objects.update(animal=None)
    zoo.NoteByChar.objects.all().delete()
    resumed(archive)
    assert stayed() == {"zoo.CycleHead": {"999"}, "zoo.Passport": {"1"}}


def test_survivor_that_points_elsewhere_by_now_is_let_be(archive: str) -> None:
    def point() -> None:
        zoo.SetDefaultPointer.objects.filter(pk=1).update(doomed=3)

    report = delete(archive, Meddler(point))

    assert told(report) == [
        "zoo.SetDefaultPointer.1: points elsewhere (doomed) since it was archived."
    ]
    assert report.is_finished
    assert zoo.SetDefaultPointer.objects.get(pk=1).doomed_id == 3
    assert report.changed_by_model == {"zoo.SetNullPointer": 1, "zoo.SetCallablePointer": 1}
    check_counts(report)


def test_rows_that_others_removed_are_told_and_not_counted(archive: str) -> None:
    def remove() -> None:
        zoo.NoteByInteger.objects.filter(pk__in=[1, 2]).delete()
        zoo.SelfChain.objects.filter(pk=13).delete()

    report = delete(archive, Meddler(remove))

    assert told(report) == [
        "zoo.NoteByInteger: 2 rows were removed by somebody else meanwhile.",
        "zoo.SelfChain: 1 row was removed by somebody else meanwhile.",
    ]
    assert report.is_finished
    planned = Counter(report.plan.removed_by_model)
    planned.subtract({"zoo.NoteByInteger": 2, "zoo.SelfChain": 1})
    assert report.removed_by_model == planned
    assert stayed() == {}
    check_counts(report)


# Counts -------------------------------------------------------------------------------------------


class Auditor(Meddler):
    """Holds the journal against the tables after each commit."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.pairs: list[tuple[int, int]] = []

    def advance(self, count: int) -> None:
        if self.is_removing:
            removed = sum(Removal.objects.get().removed.values())
            self.pairs.append((removed, sum(map(len, sites.everything().values()))))


def test_journal_counts_what_is_gone_after_each_commit(archive: str) -> None:
    auditor = Auditor()
    report = delete(archive, auditor)
    assert len(auditor.pairs) > 20
    assert {gone + left for gone, left in auditor.pairs} == {sum(auditor.pairs[-1])}
    assert auditor.pairs[-1][0] == report.row_count == 149
    assert (
        max(
            after - before
            for (before, _), (after, _) in zip(auditor.pairs, auditor.pairs[1:], strict=False)
        )
        == 24
    )  # the heads and tails of circles that cannot be opened
    assert Removal.objects.get().changed == {
        "zoo.SetNullPointer": 1,
        "zoo.SetDefaultPointer": 1,
        "zoo.SetCallablePointer": 1,
    }


# Time, pauses, Ctrl-C -----------------------------------------------------------------------------


def test_time_that_is_up_says_how_far_it_is_and_how_to_go_on(archive: str) -> None:
    root = sites.two_menageries("default")
    words = ("--commit-every", "6", "--sleep", "1", "--max-run-time", "0.1")
    seen = typed("deleteobjects", root.reference, "--no-input", "--archive", archive, *words)

    assert seen.code == 1
    gone = sum(Removal.objects.get().removed.values())
    assert gone < 149
    assert seen.err == (
        f"CommandError: The time of the run, 0.1 seconds, is over. {gone} of 149 rows are gone.\n"
        "What was committed stays. Go on with:\n"
        f"deleteobjects --resume {archive}\n"
    )
    seen = typed("deleteobjects", "--resume", archive)
    assert (seen.code, seen.err) == (0, "")
    assert "Removed 149 rows; nothing is left that points at them.\n" in seen.out
    record = Removal.objects.get()
    assert record.removed == record.planned
    # Once each, although every run looks at them.
    assert set(record.changed.values()) == {1}
    seen = typed("deleteobjects", "--resume", archive)
    assert seen.code == 1
    assert "The deletion of this archive came to its end on " in seen.err


def test_pause_file_that_appears_holds_it_up_until_it_vanishes(archive: str) -> None:
    pause = Path(f"{archive}.pause")
    counts = []

    class Watcher(Meddler):
        def note(self, text: str) -> None:
            super().note(text)
            if text:
                counts.append(sum(Removal.objects.get().removed.values()))
                pause.unlink()

    watcher = Watcher(pause.touch, after_first=True)
    report = delete(archive, watcher, limits=gestore.Limits(pause_file=str(pause)))
    assert watcher.notes == [f"paused: {pause} exists"]
    assert len(counts) == 1
    assert 0 < counts[0] < 149
    assert report.is_finished


def test_pause_file_that_is_there_before_holds_the_first_batch_up(archive: str) -> None:
    pause = Path(f"{archive}.pause")
    pause.touch()
    limits = gestore.Limits(pause_file=str(pause), max_run_seconds=0.5)
    meddler = Meddler(lambda: None)
    with pytest.raises(gestore.GestoreError) as error:
        delete(archive, meddler, limits=limits)
    assert error.value.message.endswith("is over. 0 of 149 rows are gone.")
    assert meddler.notes == [f"paused: {pause} exists"]


def test_replica_is_asked_before_the_first_batch(archive: str, vendor: str, settings: Any) -> None:
    settings.GESTORE = {"REPLICAS": ["target"]}
    limits = gestore.Limits(max_lag_seconds=5, max_run_seconds=0.5)
    meddler = Meddler(lambda: None)
    with pytest.raises(gestore.GestoreError) as error:
        delete(archive, meddler, limits=limits)
    if vendor == "sqlite":
        assert error.value.message == "GESTORE[\"REPLICAS\"]: 'target' is no replica."
        assert not Path(archive).exists()
    else:
        assert error.value.message.endswith("is over. 0 of 149 rows are gone.")
        assert meddler.notes == ["waiting: replica target does not replicate"]
        settings.GESTORE = {}
        if vendor == "postgresql":
            # It knows its replicas itself: there are none behind.
            words = ("--resume", archive, "--max-lag", "5")
            assert typed("deleteobjects", *words).code == 0
            assert stayed() == {}


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    root = sites.two_menageries("default")
    with sites.site(tmp_path) as site:
        words = ("--no-input", "--archive", "zoo.jsonl", "--commit-every", "6", "--sleep", "20")
        process = site.start(root.reference, *words)
        assert process.waits_until(lambda: (site.removed() or 0) > 0), process.err
        process.popen.send_signal(signal.SIGINT)
        assert process.ends() == 130
    found = re.fullmatch(
        r"CommandError: Interrupted\. (\d+) of 149 rows are gone\. What was committed stays\."
        r" Go on with:\ndeleteobjects --resume zoo\.jsonl\n",
        process.err,
    )
    assert found, process.err
    assert int(found[1]) == sum(Removal.objects.get().removed.values())
    assert sites.dangling() == []
    resumed(str(tmp_path / "zoo.jsonl"))
    assert stayed() == {}


# Two at once, and locks ---------------------------------------------------------------------------


@on_servers
def test_two_that_go_on_at_once_lose_nothing(archive: str, tmp_path: Path) -> None:
    root = sites.two_menageries("default")
    limits = gestore.Limits(max_run_seconds=1e-9)
    with pytest.raises(gestore.GestoreError):
        gestore.delete_objects([root.reference], options(archive, limits=limits))
    with sites.site(tmp_path) as site:
        words = ("--resume", archive, "--commit-every", "3", "--sleep", "0.3")
        both = [site.start(*words), site.start(*words)]
        both[0].popen.wait(sites.PATIENCE_SECONDS)
        both[1].ends()
        both[0].ends_at_once()
    for process in both:
        # Who comes when the other is done already is told so.
        assert process.code == 0 or "came to its end on" in process.err, process.err
    assert 0 in {process.code for process in both}
    record = Removal.objects.get()
    assert record.removed == record.planned
    assert record.ended_at is not None
    assert (stayed(), sites.dangling()) == ({}, [])


@contextmanager
def another_connection() -> Iterator[BaseDatabaseWrapper]:
    settings = connections["default"].settings_dict
    other = ConnectionHandler({"default": dict(settings)})["default"]
    try:
        yield other
    finally:
        other.close()


def short_patience(vendor: str) -> None:
    """Set for this session only: nobody waits long for a lock."""
    with connections["default"].cursor() as cursor:
        if vendor == "postgresql":
            cursor.execute("SET lock_timeout = '50ms'")
        else:
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")


@contextmanager
def locked(key: int) -> Iterator[Callable[[], None]]:
    """Another connection holds the row; what comes back lets it go."""
    with another_connection() as other:
        # Another thread lets it go.
        other.inc_thread_sharing()
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT * FROM zoo_notebyinteger WHERE id = %s FOR UPDATE", [key])
        try:
            yield other.rollback
        finally:
            other.rollback()
            connections["default"].close()


@on_servers
def test_row_that_stays_locked_ends_it_and_what_was_committed_stays(
    archive: str, vendor: str
) -> None:
    root = sites.two_menageries("default")
    short_patience(vendor)
    with locked(9), pytest.raises(DatabaseFailed) as error:
        delete_beside(root, archive, Meddler(lambda: None))
    record = Removal.objects.get()
    gone = sum(record.removed.values())
    assert 0 < gone < 149
    assert re.fullmatch(
        r"Rows are locked by others in 'default', and were at each of 6 attempts: .+\."
        rf" {gone} of 149 rows are gone\.",
        error.value.message,
    )
    assert error.value.hint == (
        f"What was committed stays. Go on with:\ndeleteobjects --resume {archive}"
    )
    # The last batches were of one row: those before the locked one went.
    assert 9 in zoo.NoteByInteger.objects.values_list("pk", flat=True)
    assert sites.dangling() == []
    resumed(archive)
    assert stayed() == {}


@on_servers
def test_row_that_is_let_go_in_time_goes_too(archive: str, vendor: str) -> None:
    root = sites.two_menageries("default")
    short_patience(vendor)
    with locked(9) as let_go:
        timer = threading.Timer(1.5, let_go)
        meddler = Meddler(timer.start)
        report = delete_beside(root, archive, meddler)
        timer.join()
    assert report.is_finished
    assert told(report) == []
    check_counts(report)


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--archive", "a.jsonl", "--sleep", "2"),
            "All is removed in one transaction: there are no batches and no pauses.",
        ),
        (
            ("--archive", "a.jsonl", "--batch-seconds", "2"),
            "All is removed in one transaction: there are no batches and no pauses.",
        ),
        (
            ("--no-archive", "--commit-every", "6"),
            "A removal in batches needs an archive: it is resumed from that.",
        ),
        (
            ("--resume", "a.jsonl"),
            "--resume takes the objects from the archive.",
        ),
    ],
)
def test_options_that_do_not_go_together(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = sites.two_menageries("default")
    seen = typed("deleteobjects", root.reference, "--no-input", *words)
    assert seen.code == 2
    assert seen.errors[0] == f"CommandError: {message}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("--commit-every", "6"), ("--resume",)])
def test_database_without_the_tables_is_refused_before_anything_is_archived(
    words: tuple[str, ...], archive: str
) -> None:
    root = sites.two_menageries("default")
    before = sites.everything()
    rename_table("gestore_removal", "gestore_removal_away")
    try:
        if words == ("--resume",):
            seen = typed("deleteobjects", "--resume", archive)
        else:
            seen = typed(
                "deleteobjects", root.reference, "--no-input", "--archive", archive, *words
            )
    finally:
        rename_table("gestore_removal_away", "gestore_removal")
    assert seen.code == 1
    assert seen.err == (
        "CommandError: 'default' has no table to note where a removal in batches stands.\n"
        "Run: python manage.py migrate gestore\n"
    )
    assert not Path(archive).exists()
    assert sites.everything() == before


def rename_table(before: str, after: str) -> None:
    # With a cursor of its own each time: a command closes the connection when it is done.
    with connections["default"].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {before} RENAME TO {after}")
