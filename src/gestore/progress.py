"""What does a pipeline tell while it runs? It does not know who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Listens to a run. `total` is None where nobody can know it."""

    def begin(self, task: str, total: int | None = None) -> None: ...

    def advance(self, count: int) -> None: ...

    def end(self) -> None: ...

    def note(self, text: str) -> None:
        """Why the run waits; "" when it goes on."""


class Silence:
    """The listener that says nothing."""

    def begin(self, task: str, total: int | None = None) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def end(self) -> None:
        pass

    def note(self, text: str) -> None:
        pass
