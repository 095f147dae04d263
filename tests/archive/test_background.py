"""Does what is written meanwhile arrive in order, and is what goes wrong told?"""

from __future__ import annotations

import hashlib
import io
import threading

import pytest

from gestore.archive.background import written_meanwhile


class Failing(io.BytesIO):
    def write(self, data: object) -> int:
        raise OSError(28, "No space left on device")


def test_everything_arrives_in_order_and_is_digested() -> None:
    sink = io.BytesIO()
    pieces = [bytes([n % 256]) * (n * 977 % 400_000) for n in range(40)]
    with written_meanwhile(sink) as background:
        for piece in pieces:
            background.put(piece, is_covered=True)
        digest = background.digest()
        assert digest == hashlib.sha256(b"".join(pieces)).hexdigest()
        assert sink.getvalue() == b"".join(pieces)
        background.put(b"the end", is_covered=False)
        assert background.digest() == digest
    assert sink.getvalue() == b"".join([*pieces, b"the end"])


def test_it_is_written_by_another_thread_which_ends() -> None:
    seen: list[str] = []

    class Watched(io.BytesIO):
        def write(self, data: object) -> int:
            seen.append(threading.current_thread().name)
            return 0

    with written_meanwhile(Watched()) as background:
        background.put(b"x" * 1_000_000, is_covered=True)
    assert seen
    assert all(name.startswith("gestore-archive") for name in seen)
    assert not any(t.name.startswith("gestore-archive") for t in threading.enumerate())


def test_error_is_raised_by_a_later_call() -> None:
    with pytest.raises(OSError, match="No space left"), written_meanwhile(Failing()) as background:
        for _ in range(10):
            background.put(b"x" * 1_000_000, is_covered=True)
        raise AssertionError("it was not raised in time")


def test_error_is_raised_at_the_end_at_last() -> None:
    with pytest.raises(OSError, match="No space left"), written_meanwhile(Failing()) as background:
        background.put(b"x", is_covered=True)


def test_what_goes_wrong_here_is_what_is_raised() -> None:
    with pytest.raises(KeyboardInterrupt), written_meanwhile(Failing()) as background:
        background.put(b"x" * 1_000_000, is_covered=True)
        raise KeyboardInterrupt
    assert not any(t.name.startswith("gestore-archive") for t in threading.enumerate())
