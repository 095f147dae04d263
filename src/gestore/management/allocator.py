"""How does a process keep no more memory than its command needs?

glibc has threads allocate each from an arena of its own, and keeps what is freed for later. With
one arena, and what lies free given back where a task ends, the same command takes a tenth less and
no longer. Other C libraries are let be, and so is a process that does not end with its command.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

# What is longer comes from the system and goes back to it at once. To ask for shorter pieces each
# time costs an export a tenth.
_MAPPED_BYTES = 1024 * 1024
# What may lie free at the end of the heap.
_KEPT_BYTES = 8 * _MAPPED_BYTES


@cache
def _glibc() -> Any:
    """The library; None where it is another one."""
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        return None
    if not version:
        return None
    from ctypes import CDLL

    return CDLL(None)


class Allocator:
    """The process's own."""

    def __init__(self) -> None:
        self._is_ours = False

    def take_over(self) -> None:
        """From here on the process is the command's. What the environment says stays."""
        self._is_ours = True
        library = _glibc()
        if library is None:
            return
        # The numbers are <malloc.h>'s. Either of the last two, said once, no longer grows.
        for number, name, value in (
            (-8, "MALLOC_ARENA_MAX", 1),
            (-3, "MALLOC_MMAP_THRESHOLD_", _MAPPED_BYTES),
            (-1, "MALLOC_TRIM_THRESHOLD_", _KEPT_BYTES),
        ):
            if name not in os.environ:
                library.mallopt(number, value)

    def give_back(self) -> None:
        """Let the system have what lies free: a few milliseconds."""
        if self._is_ours and (library := _glibc()) is not None:
            library.malloc_trim(0)


allocator = Allocator()
