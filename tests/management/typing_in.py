"""What does someone at a terminal see of a command?

Runs it as `manage.py` does, argument parser, system checks and exit code included, but in this
process: starting Python and Django anew for each of them would take most of the time.
"""

import gc
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.core.management import load_command_class

COMMANDS = ("exportobjects", "importobjects", "planobjects", "verifyobjects")


@dataclass(frozen=True)
class Seen:
    """What a command printed, and the exit code it ended with."""

    code: int
    out: str
    err: str
    payload: bytes = b""

    @property
    def errors(self) -> list[str]:
        """The lines on standard error."""
        return self.err.splitlines()


def typed(command: str, *words: str, stdin: bytes = b"") -> Seen:
    """What `manage.py command words…` prints."""
    with _streams(stdin) as (out, err):
        code = 0
        try:
            load_command_class("gestore", command).run_from_argv(["manage.py", command, *words])
        except SystemExit as end:
            code = int(end.code or 0)
        # A process of its own would have ended.
        gc.unfreeze()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        payload, said = out.getvalue(), err.getvalue()
    return Seen(code, payload.decode(errors="replace"), said.decode(), payload)


@contextmanager
def _streams(stdin: bytes) -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    """Standard streams with a binary side, as a terminal's have; a test's own are not touched."""
    before = sys.stdin, sys.stdout, sys.stderr
    out, err = io.BytesIO(), io.BytesIO()
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(err, encoding="utf-8", write_through=True)
    try:
        yield out, err
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
