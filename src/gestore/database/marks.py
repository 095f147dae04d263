"""How are values of the database's own lines replaced? It puts marks around them.

What stands between the marks is a JSON string without its quotes. The marks are random: no value
holds them, not even on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from secrets import token_hex

from ..anonymize.declared import Replace
from ..archive.columns import Texts, texts_of
from ..archive.documents import utf8
from ..schema.table import Table
from .dialect import Mark


class Marked:
    """The columns of one table whose values are replaced, by name."""

    def __init__(self, table: Table, replaced: Mapping[str, Replace]) -> None:
        secret = token_hex(12)
        self.marks = {
            name: Mark(f"({secret}-{number}-", f"-{secret})")
            for number, name in enumerate(replaced)
        }
        self._columns: list[tuple[Mark, Replace, Texts]] = [
            (self.marks[name], replace, texts_of(table.column(name)))
            for name, replace in replaced.items()
        ]

    def __bool__(self) -> bool:
        return bool(self.marks)

    def replaced(self, lines: bytes) -> bytes:
        """The lines with other values and no marks."""
        # In bytes: as text, one wide character makes all of it four times as large.
        for mark, replace, texts in self._columns:
            first, *parts = lines.split(utf8(f'"{mark.before}'))
            if not parts:
                continue
            after = utf8(f'{mark.after}"')
            pairs = [part.split(after, 1) for part in parts]
            values = json.loads(b'["' + b'","'.join([value for value, _ in pairs]) + b'"]')
            # A piece of JSON has no newline of its own.
            made = utf8("\n".join(map(str, texts(replace(values))))).split(b"\n")
            rests = (rest for _, rest in pairs)
            lines = first + b"".join(chain.from_iterable(zip(made, rests, strict=True)))
        return lines
