"""Does a command's process give back what lies free, and only its own?"""

import os
import subprocess
import sys
from typing import Any

import pytest

from gestore.management import allocator as module
from gestore.management.allocator import Allocator
from gestore.management.progress import PlainProgress, TerminalProgress


class Library:
    """Takes note of what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def mallopt(self, number: int, value: int) -> None:
        self.asked.append((number, value))

    def malloc_trim(self, kept: int) -> None:
        self.asked.append(("trim", kept))


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setattr(module, "_glibc", lambda: made)
    for name in [name for name in os.environ if name.startswith("MALLOC_")]:
        monkeypatch.delenv(name)
    return made


def test_process_of_somebody_else_is_let_be(library: Library) -> None:
    Allocator().give_back()
    assert library.asked == []


def test_environment_has_the_last_word(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "4000000")
    ours = Allocator()
    ours.take_over()
    ours.give_back()
    assert library.asked == [(-8, 1), (-1, module._KEPT_BYTES), ("trim", 0)]


def test_other_libraries_are_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_glibc", lambda: None)
    ours = Allocator()
    ours.take_over()
    ours.give_back()


def test_memory_is_given_back_before_each_task() -> None:
    told: list[str] = []
    for progress in (
        PlainProgress(told.append, between=lambda: told.append("between")),
        TerminalProgress(told.append, columns=lambda: 80, between=lambda: told.append("between")),
    ):
        for task in ("Walking", "Exporting"):
            progress.begin(task)
            progress.end()
    assert told == ["between"] * 4


_FREED = """
import threading
from gestore.management.allocator import allocator

def held():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

allocator.take_over()
pieces = []
thread = threading.Thread(target=lambda: pieces.extend(bytearray(60_000) for _ in range(1_000)))
thread.start()
thread.join()
last = pieces[-1]
before = held()
pieces.clear()
allocator.give_back()
print(before - held())
"""


@pytest.mark.skipif(module._glibc() is None, reason="of glibc")
def test_what_lies_free_goes_back_to_the_system() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FREED], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 50_000_000
