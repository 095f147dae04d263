"""How much processor time does the database's server spend on a program? Read from /proc.

On PostgreSQL it is that of the processes that serve one database, looked at many times a second:
the last hundredth of each is missed. On MariaDB it is that of the whole server, other people's work
included. Zero on SQLite, which has none, and None where there is no such /proc.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_PROC = Path("/proc")
_PAUSE_SECONDS = 0.02
_SERVERS = {"postgresql": {"postgres"}, "mariadb": {"mariadbd", "mysqld"}}


class Watch:
    """Used around the program: `with Watch(…) as watch: …`, then `watch.cpu_seconds`."""

    def __init__(self, vendor: str, name: str) -> None:
        self._vendor = vendor
        self._name = name
        self._ended = threading.Event()
        self._ticks: dict[int, int] = {}
        self._ours: dict[int, bool] = {}
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._began = 0
        self.cpu_seconds: float | None = None if vendor in _SERVERS else 0.0

    def __enter__(self) -> Watch:
        self._servers = _processes(_SERVERS.get(self._vendor, set()))
        self._began = self._whole()
        if self._vendor == "postgresql" and self._servers:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if not self._servers:
            return
        if self._vendor == "postgresql":
            self._ended.set()
            self._thread.join()
            ticks = sum(self._ticks.values())
        else:
            ticks = self._whole() - self._began
        self.cpu_seconds = ticks / os.sysconf("SC_CLK_TCK")

    def _whole(self) -> int:
        return sum(_ticks(process) for process in self._servers)

    def _look(self) -> None:
        while not self._ended.wait(_PAUSE_SECONDS):
            for process in _children(self._servers):
                if process not in self._ours or not self._ours[process]:
                    self._ours[process] = self._serves(process)
                if self._ours[process] and (ticks := _ticks(process)):
                    self._ticks[process] = ticks

    def _serves(self, process: int) -> bool:
        """A backend of this database, or a worker of such a one."""
        with suppress(OSError):
            words = (_PROC / str(process) / "cmdline").read_bytes().decode(errors="replace").split()
            leader = words[-1].rstrip("\0") if "worker" in words else ""
            return self._name in words or (leader.isdigit() and int(leader) in self._ticks)
        return False


def _processes(names: set[str]) -> list[int]:
    found = []
    with suppress(OSError):
        for entry in _PROC.iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and (entry / "comm").read_text().strip() in names:
                    found.append(int(entry.name))
    return found


def _children(servers: list[int]) -> list[int]:
    found: list[int] = []
    for server in servers:
        with suppress(OSError):
            listed = _PROC / str(server) / "task" / str(server) / "children"
            found.extend(int(word) for word in listed.read_text().split())
    return found


def _ticks(process: int) -> int:
    """User and system time; 0 of a process that is gone."""
    with suppress(OSError):
        words = (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
        return int(words[11]) + int(words[12])
    return 0
