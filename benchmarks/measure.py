"""What does a command cost? Time, processor time and the peak of its memory.

Each command is a process of its own, and this one stays small: on Linux a process starts with the
peak of the one that started it, so nothing here imports Django.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

# What `resource` counts in, and the MB of this report: a million bytes.
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What one command took: of the database server, where there is one, nothing but its time."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int

    @property
    def peak_mb(self) -> float:
        return self.peak_bytes / MEGABYTE


class Failed(Exception):
    """A command that was measured did not end well."""


@cache
def _compile() -> None:
    """As pip does when it installs a package, whatever the environment says of bytecode: else each
    process would compile Gestore and what is written by hand, and Django not."""
    root = Path(__file__).resolve().parent.parent
    folders = [str(root / name) for name in ("src/gestore", "benchmarks", "demo")]
    subprocess.run([sys.executable, "-m", "compileall", "-qq", *folders], check=True)


def measured(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Run the command to its end; what it says is shown only if it fails."""
    _compile()
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        # Not Popen.wait: it would keep the usage of this one child to itself.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            words = said.read().decode(errors="replace").strip()
            raise Failed(f"{' '.join(command[1:])} ended with {process.returncode}:\n{words}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _RSS_UNIT)


def chore(environment: Mapping[str, str], *words: str) -> Any:
    """Have a process with Django in it do something that is not measured; what it answers."""
    import json

    command = [sys.executable, "-m", "benchmarks.chores", *words]
    done = subprocess.run(
        command, env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failed(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr.strip()}")
    return json.loads(done.stdout)
