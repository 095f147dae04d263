"""How are an archive's bytes digested, made smaller and written while the next rows are read?

In a thread of their own: hashing, compressing and writing let other threads run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import BoundedSemaphore, Thread
from typing import IO

# Blocks under way; each is about as large as a batch of rows.
_BLOCKS = 3
# Small pieces are written together.
_BUFFER_BYTES = 1 << 18


@contextmanager
def written_meanwhile(sink: IO[bytes]) -> Iterator[Background]:
    """What is put arrives in `sink` in order, all of it when the block ends well. An error of the
    sink is raised here, by the next call or at the end."""
    background = Background(sink)
    try:
        yield background
        background.digest()
    finally:
        background.stop()


class Background:
    """Takes pieces of a document; `written_meanwhile` starts and ends it."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._pieces: SimpleQueue[tuple[bytes, bool] | None] = SimpleQueue()
        self._places = BoundedSemaphore(_BLOCKS)
        self._error: BaseException | None = None
        self._thread: Thread | None = None

    def put(self, piece: bytes, *, is_covered: bool) -> None:
        """Have it written; the digest covers it or not."""
        if len(piece) + len(self._buffer) <= _BUFFER_BYTES and is_covered:
            self._buffer += piece
            return
        self._flush()
        self._send(piece, is_covered=is_covered)

    def digest(self) -> str:
        """The SHA-256 of the covered pieces; waits until all are written."""
        self._flush()
        self._join()
        if self._error is not None:
            raise self._error
        return self._digest.hexdigest()

    def stop(self) -> None:
        """End the thread, whatever is still to be written."""
        self._join()

    def _flush(self) -> None:
        if self._buffer:
            piece, self._buffer = bytes(self._buffer), bytearray()
            self._send(piece, is_covered=True)

    def _send(self, piece: bytes, *, is_covered: bool) -> None:
        if self._error is not None:
            raise self._error
        if self._thread is None:
            self._thread = Thread(target=self._run, name="gestore-archive", daemon=True)
            self._thread.start()
        self._places.acquire()
        self._pieces.put((piece, is_covered))

    def _join(self) -> None:
        if self._thread is not None:
            self._pieces.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (item := self._pieces.get()) is not None:
            piece, is_covered = item
            try:
                if self._error is None:
                    if is_covered:
                        self._digest.update(piece)
                    self._sink.write(piece)
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                self._error = error
            finally:
                self._places.release()
