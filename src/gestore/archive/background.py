"""How are an archive's bytes digested, made smaller and written while the next rows are read?

In a thread of their own: hashing, compressing and writing let other threads run.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO

# Blocks under way; each is about as large as a batch of rows.
_BLOCKS = 3
# Small pieces are written together.
_BUFFER_BYTES = 1 << 18


@contextmanager
def written_meanwhile(sink: IO[bytes]) -> Iterator[Background]:
    """What is put arrives in `sink` in order, all of it when the block ends well. An error of the
    sink is raised by a later call, or at the end."""
    # One thread: pieces follow one another.
    with ThreadPoolExecutor(1, thread_name_prefix="gestore-archive") as executor:
        try:
            background = Background(sink, executor)
            yield background
            background.digest()
        finally:
            executor.shutdown(cancel_futures=True)


class Background:
    """Takes pieces of a document; `written_meanwhile` starts and ends it."""

    def __init__(self, sink: IO[bytes], executor: Executor) -> None:
        self._sink = sink
        self._executor = executor
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._under_way: deque[Future[None]] = deque()

    def put(self, piece: bytes, *, is_covered: bool) -> None:
        """Have it written; the digest covers it or not."""
        if is_covered and len(piece) + len(self._buffer) <= _BUFFER_BYTES:
            self._buffer += piece
            return
        self._flush()
        self._send(piece, is_covered=is_covered)

    def digest(self) -> str:
        """The SHA-256 of the covered pieces; waits until all are written."""
        self._flush()
        self._wait(0)
        return self._digest.hexdigest()

    def _flush(self) -> None:
        if self._buffer:
            piece, self._buffer = bytes(self._buffer), bytearray()
            self._send(piece, is_covered=True)

    def _send(self, piece: bytes, *, is_covered: bool) -> None:
        self._wait(_BLOCKS - 1)
        self._under_way.append(self._executor.submit(self._write, piece, is_covered=is_covered))

    def _wait(self, count: int) -> None:
        """Until so many pieces are under way."""
        while len(self._under_way) > count:
            self._under_way.popleft().result()

    def _write(self, piece: bytes, *, is_covered: bool) -> None:
        if is_covered:
            self._digest.update(piece)
        self._sink.write(piece)
