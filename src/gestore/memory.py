"""What did earlier imports of this archive make of it, and what does this one leave behind?
A stage of an import."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterable, Iterator

from django.utils import timezone

from . import conf
from .archive.encoding import keys_encoder
from .database import records
from .load.decoding import Decoding
from .load.keymap import KeyMap
from .load.loader import Loaded
from .load.pairs import Pairs
from .load.verdicts import Examination
from .rows import batches
from .walk.keys import KeySet, PackedUUIDs, empty_keys

_LOT_KEYS = 10_000


def remembers(database: str) -> bool:
    """Whether imports are recorded: where the setting says so and the table is there."""
    return conf.load().record_imports and conf.is_installed() and records.has_tables(database)


class Memory:
    """The records of one archive, known by its digest; `is_kept` off: none are read or made. To
    tell the digest may take a reading of the archive: it is asked where there are records."""

    def __init__(
        self, decoding: Decoding, database: str, digest: Callable[[], str], *, is_kept: bool
    ) -> None:
        self.graph = decoding.graph
        self.decoding = decoding
        self.database = database
        self.digest = digest
        self.is_kept = is_kept

    def recall(self, keymap: KeyMap) -> dict[str, KeySet]:
        """An archive that was imported before meets the rows that it became then: the key map
        learns their keys; by table, the source's keys of all of them come back."""
        recalled: dict[str, KeySet] = {}
        if not self.is_kept or not records.is_known(self.database):
            return recalled
        changed: dict[str, Pairs] = {}
        for model, pairs in records.recall(self.database, self.digest()):
            table = self.graph.tables.get(model)
            if table is None:
                continue
            if model not in recalled:
                recalled[model], changed[model] = empty_keys(table), Pairs()
            key_of, keys = self.decoding.key_of, changed[model]
            sources = [key_of(table, pair.source) for pair in pairs]
            recalled[model].add(sources)
            for source, pair in zip(sources, pairs, strict=True):
                target = key_of(table, pair.target)
                if target != source:
                    keys[source] = target
                else:
                    # A later import of the archive left it as it was.
                    keys.pop(source)
        for model, keys in changed.items():
            if keys:
                keymap.recall((model, self.graph.tables[model].key_names), keys)
        return recalled

    def remember(
        self,
        archive: str,
        examination: Examination,
        loaded: Loaded,
        files: Iterable[tuple[str, str]] = (),
    ) -> int:
        """Record what was inserted, and the files that were written, by field and name; the
        record's number, or 0 when there is nothing to record."""
        if not loaded.keys_by_table or not self.is_kept:
            return 0
        entry = records.ImportEntry(
            archive=archive,
            sha256=self.digest(),
            objects=self.decoding.manifest.provided_objects,
            moment=timezone.now(),
            person=person(),
            rows={self.graph.tables[n].label: c for n, c in loaded.rows_by_table.items()},
        )
        lots = ((n, self._lots(n, examination, loaded)) for n in loaded.keys_by_table)
        return records.remember(self.database, entry, lots, files)

    def _lots(
        self, name: str, examination: Examination, loaded: Loaded
    ) -> Iterator[records.KeyLot]:
        """The inserted rows of a table: those with a changed key first, then the others."""
        table = self.graph.tables[name]
        encode = keys_encoder(table)
        inserted = loaded.keys_by_table[name]
        changed = empty_keys(table)
        for lot in batches(examination.keymap.changed((name, table.key_names)), _LOT_KEYS):
            mine = {target: source for source, target in lot}
            for target in inserted.missing(mine):
                del mine[target]
            if mine:
                changed.add(mine)
                yield records.KeyLot(encode([*mine.values()]), encode([*mine]))
        for keys in inserted.packed(_LOT_KEYS):
            same = changed.lacking(keys) if len(changed) else keys
            if same:
                texts = same.texts() if isinstance(same, PackedUUIDs) else encode(same)
                yield records.KeyLot(texts)


def person() -> str:
    """Whose hand it was, as the system calls them; "" where it does not say."""
    try:
        return getpass.getuser()[:150]
    except (OSError, KeyError, ImportError):
        # A process without a name, as in some containers.
        return ""
