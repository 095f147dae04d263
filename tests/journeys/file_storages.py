"""Which storages break, or bring a process to its end, at a moment that a test chooses?"""

import errno
import os
import signal
from typing import Any

from django.core.files.storage import FileSystemStorage

# Read by MortalStorage: after so many files were saved, or deleted, the process is killed.
SAVES, DELETES = "GESTORE_TEST_SAVES", "GESTORE_TEST_DELETES"


class FullStorage(FileSystemStorage):
    """Has room for so many files; then it raises what it was told, half a file written."""

    def __init__(self, room: int = 1, error: str = "full", **options: Any) -> None:
        super().__init__(**options)
        self.room, self.error = room, error

    def _save(self, name: str, content: Any) -> str:
        saved = super()._save(name, content)
        self.room -= 1
        if self.room < 0:
            os.truncate(self.path(saved), 1)
            if self.error == "ctrl-c":
                raise KeyboardInterrupt
            raise OSError(errno.ENOSPC, "No space left on device")
        return saved


class KeepingStorage(FileSystemStorage):
    """Lets nothing go that has "kept" in its name."""

    def delete(self, name: str) -> None:
        if "kept" in name:
            raise PermissionError(errno.EACCES, "a lock is on it")
        super().delete(name)


class MortalStorage(FileSystemStorage):
    """Kills the process."""

    def _save(self, name: str, content: Any) -> str:
        saved = super()._save(name, content)
        self._count(SAVES)
        return saved

    def delete(self, name: str) -> None:
        super().delete(name)
        self._count(DELETES)

    def _count(self, variable: str) -> None:
        if left := int(os.environ.get(variable, "0")):
            os.environ[variable] = str(left - 1)
            if left == 1:
                os.kill(os.getpid(), signal.SIGKILL)
