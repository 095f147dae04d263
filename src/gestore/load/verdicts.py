"""What was decided of each row of an archive?"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from ..errors import Findings
from ..rows import Key, Value
from ..schema.table import Table
from ..walk.keys import KeySet, empty_keys
from .decoding import SourceRow
from .keymap import KeyMap

_BATCH_KEYS = 10_000


@dataclass(slots=True)
class TableVerdict:
    """What was decided for one table: keys are the source's. `restored` are those of the rows here
    that get back the pointers that a deletion took from them. `pairs_here` are the values of rows
    without a key of their own (the original's many-to-many pairs) that are here already."""

    archived: KeySet
    here: KeySet
    kept: KeySet
    overridden: KeySet
    restored: KeySet
    loaded_count: int = 0
    renewed_count: int = 0
    pairs_here: set[frozenset[tuple[str, Value]]] = field(default_factory=set)
    _noted: dict[str, list[Key]] = field(default_factory=lambda: defaultdict(list))

    def note(self, what: str, key: Key) -> None:
        self._noted[what].append(key)

    def settle(self) -> None:
        """Take in what a batch noted: sets grow a batch at a time, not a key at a time."""
        for what, keys in self._noted.items():
            getattr(self, what).add(keys)
        self._noted.clear()

    @property
    def here_count(self) -> int:
        return len(self.here) + len(self.pairs_here)


@dataclass(slots=True)
class Examination:
    """The outcome: verdicts by table, the key map, findings; whether rows stood in load order; of
    each table with new keys one row, for trials; of each table with integer keys the row with the
    highest that is loaded as it is.

    It is not settled when rows of a circle were compared before it was known what becomes of the
    rows they point at: examine again, with the same key map.
    """

    keymap: KeyMap
    verdicts: dict[str, TableVerdict] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    is_in_order: bool = True
    is_settled: bool = True
    samples: dict[str, dict[str, Value]] = field(default_factory=dict)
    tops: dict[str, dict[str, Value]] = field(default_factory=dict)

    def verdict(self, table: Table) -> TableVerdict:
        if table.name not in self.verdicts:
            archived, here, kept, overridden, restored = (empty_keys(table) for _ in range(5))
            self.verdicts[table.name] = TableVerdict(archived, here, kept, overridden, restored)
        return self.verdicts[table.name]

    def is_loaded(self, row: SourceRow) -> bool:
        """Whether a row is to be written: it is not there, and no row here stands for it."""
        verdict = self.verdicts[row.table.name]
        if row.key is None:
            return frozenset(row.values.items()) not in verdict.pairs_here
        return not (
            row.key in verdict.here or row.key in verdict.kept or row.key in verdict.overridden
        )

    def loaded_keys(self, table: Table) -> KeySet:
        """The source's keys of all rows of the table that are to be written."""
        verdict, found = self.verdicts[table.name], empty_keys(table)
        for keys in verdict.archived.packed(_BATCH_KEYS):
            for others in (verdict.here, verdict.kept, verdict.overridden):
                keys = others.lacking(keys) if len(others) else keys
            found.add(keys)
        return found

    def is_override(self, row: SourceRow) -> bool:
        """Whether the row here is to take this row's values."""
        return row.key is not None and row.key in self.verdicts[row.table.name].overridden

    def is_restored(self, row: SourceRow) -> bool:
        """Whether the row here is to get back what a deletion took from it."""
        return bool(row.changed) and row.key in self.verdicts[row.table.name].restored

    def outcome(self, row: SourceRow) -> str:
        """What became of a row, in one word."""
        verdict = self.verdicts[row.table.name]
        words = {"here": verdict.here, "kept": verdict.kept, "overridden": verdict.overridden}
        return next((word for word, keys in words.items() if row.key in keys), "loaded")

    @property
    def loaded_count(self) -> int:
        return sum(verdict.loaded_count for verdict in self.verdicts.values())

    @property
    def has_overrides(self) -> bool:
        return any(len(verdict.overridden) for verdict in self.verdicts.values())

    @property
    def has_restored(self) -> bool:
        return any(len(verdict.restored) for verdict in self.verdicts.values())
