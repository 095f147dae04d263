"""What stands in the way of an archive's rows?

Reads them once, a batch at a time, and decides for each: load it, it is there already, the row
here stands for it, it overrides the row here, it gets a new key, or a conflict. Asks a `RowFinder`;
writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from ..archive.reader import Lot
from ..errors import Finding, Severity
from ..rows import ArchivedRow, Key
from ..schema.policy import Policy
from ..schema.relation import Relation
from ..schema.table import Table
from .ahead import Ahead
from .decoding import SourceRow, row_batches
from .meeting import Ground, Here, Meeting, Translated
from .spool import Spool
from .together import Together
from .translation import pointer
from .verdicts import Examination, TableVerdict


class Examiner:
    """Examines one archive against one database, once."""

    def __init__(self, ground: Ground, *, ignore_unknown: bool = False) -> None:
        self.ground = ground
        self._graph = ground.graph
        self._decoding = ground.decoding
        self._finder = ground.finder
        self._strategies = ground.strategies
        self._keymap = ground.keymap
        self._translation = ground.translation
        self._pointers = ground.pointers
        self._result = ground.result
        self._ignore_unknown = ignore_unknown
        # Fields told of already: once for each is enough.
        self._told: set[tuple[str, str]] = set()
        self._previous = -1
        self._is_final: Callable[[str], bool] = _never
        self._order = {table.name: place for place, table in enumerate(self._graph.load_order)}

    def examine(self, rows: Iterable[ArchivedRow]) -> Examination:
        """Read the rows once; findings tell what stands in the way."""
        known = len(self._keymap)
        self._examine_rows(rows)
        return self._settled(known)

    def examine_lots(
        self, lots: Iterable[Lot], together: Together, spool: Spool, ahead: Ahead | None = None
    ) -> Examination:
        """The same, a lot at a time where nothing has to be said of any of its rows; what is to be
        loaded is kept in the spool."""
        known = len(self._keymap)
        self._is_final = together.is_final
        for lot in lots:
            table = self._graph.table(lot.model)
            self._note_order(table)
            if ahead is not None:
                ahead.come_to(table)
            taken = together.take(lot)
            if taken is not True:
                self._examine_rows(lot.rows(), None if taken is False else taken)
                spool.put(lot)
                if ahead is not None:
                    ahead.leave(table)
        return self._settled(known)

    def _examine_rows(self, rows: Iterable[ArchivedRow], new: set[Key] | None = None) -> None:
        for table, group in groupby(self._source_rows(rows), key=lambda row: row.table):
            self._note_order(table)
            for batch in row_batches(group):
                self._examine_batch(table, batch, new)

    def _note_order(self, table: Table) -> None:
        place = self._order[table.name]
        self._result.is_in_order &= place >= self._previous
        self._previous = max(place, self._previous)

    def _settled(self, known: int) -> Examination:
        self._pointers.close()
        self._result.findings.extend(self.ground.resolutions.unused())
        is_changed = len(self._keymap) != known
        self._result.is_settled = not (
            self.ground.is_put_off or (is_changed and self._looks_ahead())
        )
        return self._result

    def _looks_ahead(self) -> bool:
        """Whether rows may have been compared before what they point at was decided."""
        present = self._result.verdicts
        return not self._result.is_in_order or any(
            r.source in present
            and not self._is_final(r.source)
            and (r.is_generic or r.target in present)
            for r in self._graph.relations
            if r.is_generic or self._graph.is_circular(r)
        )

    @property
    def has_missing(self) -> bool:
        """Whether pointers lead to rows that never came; `missing_rows` names them."""
        return self._pointers.has_missing

    def missing_rows(self, rows: Iterable[ArchivedRow]) -> Iterator[Finding]:
        """Read the rows again to name those whose pointers lead nowhere (a bounded number)."""
        return self._pointers.missing(self._source_rows(rows))

    def _source_rows(self, rows: Iterable[ArchivedRow]) -> Iterator[SourceRow]:
        for archived in rows:
            yield from self._decoding.rows(archived)

    # One batch -----------------------------------------------------------------------------------

    def _examine_batch(
        self, table: Table, rows: list[SourceRow], new: set[Key] | None = None
    ) -> None:
        verdict = self._result.verdict(table)
        if new is None:
            new = set(verdict.archived.add(row.key for row in rows if row.key is not None))
        rows = list(self._without_repeats(rows, new))
        self._pointers.read(table, rows)
        for row in rows:
            if row.unknown or row.absent:
                self._check_fields(row)
            self._check_values(row)
        translated = [(row, self._translation.values(row)) for row in rows]
        if self._decoding.manifest.policies.get(table.name) == Policy.SHARE.value:
            translated = self._match_shared(table, verdict, translated)
        if self._strategies.new_keys:
            translated = self._renewed(table, translated, lambda row: not row.is_shared)
        Meeting(self.ground, table, verdict).meet(translated)
        verdict.settle()
        for row in rows:
            if row.dangling:
                self._check_dangling(row)

    def _without_repeats(self, rows: list[SourceRow], new: set[Key]) -> Iterator[SourceRow]:
        """Each key once: a second row with it, or with one that is not new, is a finding."""
        for row in rows:
            if row.key is None:
                yield row
            elif row.key in new:
                new.discard(row.key)
                yield row
            else:
                self.ground.find("repeated-key", row, "stands in the archive twice.", "Remove one.")

    def _check_fields(self, row: SourceRow) -> None:
        """Fields that only some row has, or lacks: what a whole table has and lacks was told by
        the check of the manifest."""
        entry = self._decoding.manifest.tables.get(row.table.name)
        for name in row.unknown:
            if (entry is None or name not in entry.columns) and self._tell_once(row.table, name):
                self.ground.find(
                    "unknown-field",
                    row,
                    f"{name} is archived, and there is no such field here.",
                    "" if self._ignore_unknown else "Drop its values with -i/--ignorenonexistent.",
                    Severity.WARNING if self._ignore_unknown else Severity.ERROR,
                )
        for name in row.absent if row.key is not None else ():
            if entry is not None and name in entry.columns:
                self.ground.find(
                    "absent-field", row, f"lacks {name}.", "Put it back, or export the row again."
                )
            elif entry is None and not row.table.column(name).has_default:
                self.ground.find(
                    "new-required-field",
                    row,
                    f"{name} is required here, has no default, and is not in the archive.",
                    "Give the field a default.",
                )

    def _tell_once(self, table: Table, name: str) -> bool:
        is_new = (table.name, name) not in self._told
        self._told.add((table.name, name))
        return is_new

    def _check_values(self, row: SourceRow) -> None:
        for column in row.table.columns:
            value = row.values.get(column.name)
            if value is None:
                if not column.is_nullable and column.name in row.values and row.key is not None:
                    self.ground.find(
                        "empty-value",
                        row,
                        f"{column.name} is empty, and must not be here.",
                        "Give it a value in the archive.",
                    )
            elif reason := self._finder.refuses(column, value):
                self.ground.find(
                    "refused-value",
                    row,
                    f"{column.name} cannot be stored here: {reason}.",
                    "Change the value at the source, or in the archive.",
                )

    # Pointers that lead nowhere ------------------------------------------------------------------

    def _check_dangling(self, row: SourceRow) -> None:
        """What pointed at nothing at the source must not point at a stranger here."""
        for relation in self._graph.pointing_from(row.table.name):
            if relation.field_name not in row.dangling:
                continue
            if relation.is_constrained:
                self.ground.find(
                    "dangling",
                    row,
                    f"{relation.field_name} points at nothing, which this database refuses.",
                    f"Export with --skip {relation.name}, or mend the row at the source.",
                )
                continue
            is_written = self._result.is_loaded(row) or self._result.is_override(row)
            if is_written and self._would_adopt(relation, row):
                self.ground.find(
                    "dangling-adopts",
                    row,
                    f"{relation.field_name} pointed at nothing at the source and would point "
                    "at somebody's row here.",
                    f"Export with --skip {relation.name}.",
                    Severity.CONFLICT,
                )

    def _would_adopt(self, relation: Relation, row: SourceRow) -> bool:
        value = pointer(relation, row.values)
        target = self._decoding.target_of(relation, row.values)
        if value is None or not target:
            return False
        table = self._graph.tables[target]
        if relation.is_generic:
            value = table.key_from(value)
        if value is None:
            return False
        columns = relation.target_columns or table.key_names
        return bool(self._finder.resolve(target, columns, [value]))

    # New keys ------------------------------------------------------------------------------------

    def _renewed(
        self, table: Table, rows: list[Translated], is_wanted: Callable[[SourceRow], bool]
    ) -> list[Translated]:
        """The rows again, the wanted ones with a fresh key where the table's keys can be new."""
        if not self.ground.can_renew(table):
            return rows
        keys = [row.key for row, _ in rows if row.key is not None and is_wanted(row)]
        self.ground.renew(table, keys)
        wanted = set(keys)
        return [
            (row, self._translation.values(row) if row.key in wanted else values)
            for row, values in rows
        ]

    # Shared by policy ----------------------------------------------------------------------------

    def _match_shared(
        self, table: Table, verdict: TableVerdict, rows: list[Translated]
    ) -> list[Translated]:
        """Rows of a `share` model are matched by what identifies them, and never changed; those
        that are not here are left for the ordinary way."""
        meeting = Meeting(self.ground, table, verdict)
        rest = rows
        for unique in sorted(meeting.sets(rows), key=lambda s: s.columns != table.identity):
            matched: dict[int, Here] = {}
            for place, here in meeting.taken(unique, rest):
                matched.setdefault(place, here)
            for place, here in matched.items():
                meeting.match(*rest[place], here)
            rest = [pair for place, pair in enumerate(rest) if place not in matched]
        meeting.restore()
        return rest


def _never(table: str) -> bool:
    return False
