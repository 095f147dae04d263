"""What is left when a removal in batches is killed, again and again?

Twenty times on a server, a few times on SQLite: after each kill every pointer leads somewhere and
nobody's row is touched, and in the end all is as if nobody had been killed.
"""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import gestore
from gestore.models import Removal
from tests.journeys import stepwise_sites as sites
from tests.zoo import compare

pytestmark = [
    pytest.mark.django_db(databases=["default", "target"], transaction=True),
    pytest.mark.timeout(400),
]

# Twenty on a server, unless somebody is in a hurry: each takes a process of its own.
_ON_A_SERVER = int(os.environ.get("GESTORE_TEST_KILLS", "20"))
KILLS = {"sqlite": 2, "postgresql": _ON_A_SERVER, "mysql": _ON_A_SERVER}
STEPS = ("--commit-every", "3", "--sleep", "12")
ARCHIVE = "zoo.jsonl"


def undisturbed(folder: Path) -> compare.Dump:
    """What is left of the same rows when nobody is killed."""
    there = sites.two_menageries("target")
    options = gestore.DeleteOptions(
        walk=gestore.WalkOptions(database="target"),
        archive=str(folder / "undisturbed.jsonl"),
        commit_every=6,
    )
    report = gestore.delete_objects([there.reference], options)
    assert report.is_finished
    return sites.everything("target")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[sites.Site]:
    with sites.site(tmp_path) as made:
        yield made


def test_killed_again_and_again(site: sites.Site, vendor: str, tmp_path: Path) -> None:
    expected = undisturbed(tmp_path)
    root = sites.two_menageries("default").reference
    before = sites.everything()
    assert sites.dangling() == []
    chance = random.Random(20)
    words: tuple[str, ...] = (root, "--no-input", "--archive", ARCHIVE)
    told = []
    counted = 0
    for number in range(KILLS[vendor]):
        # Some while it starts, reads or compares; most once rows go.
        is_early = number > 0 and chance.random() < 0.2
        seconds = chance.uniform(0.2, 1.0) if is_early else chance.expovariate(10)
        process = site.start(*words, *STEPS)
        if not is_early:
            reached = process.waits_until(lambda seen=counted: (site.removed() or -1) > seen)
            assert reached, (told, process.popen.returncode, process.out, process.err)
        time.sleep(seconds)
        if not process.is_working:
            process.ends()
            break
        process.popen.send_signal(signal.SIGKILL)
        assert process.ends() == -signal.SIGKILL
        now = sites.everything()
        assert sites.dangling() == []
        assert sites.meddled(before, expected, now) == []
        gone = sum(map(len, before.values())) - sum(map(len, now.values()))
        counted = sum(Removal.objects.get().removed.values())
        assert counted == gone
        told.append(f"{'started' if is_early else 'at work'} {seconds:.2f} s: {gone} gone")
        words = ("--resume", ARCHIVE)
    print(f"{len(told)} kills", *told, sep="\n")

    done = site.run("--resume", ARCHIVE, "--commit-every", "500")

    assert (done.code, done.err) == (0, "")
    assert len(told) == KILLS[vendor]
    assert compare.difference(expected, sites.everything()) == []
    record = Removal.objects.get()
    assert record.removed == record.planned
    assert record.changed == {
        "zoo.SetNullPointer": 1,
        "zoo.SetDefaultPointer": 1,
        "zoo.SetCallablePointer": 1,
    }
    assert f"Removed {sum(record.planned.values())} rows" in done.out
