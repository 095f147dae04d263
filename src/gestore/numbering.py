"""Where do new keys come from, and is there room for them? A stage of an import."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import uuid4

from django.db import Error

from .database.beside import Beside
from .database.insert import Writer
from .errors import Finding, LoadFailed, Severity
from .load.meeting import made_up
from .load.verdicts import Examination
from .schema.graph import Graph
from .schema.table import Kind, Table


def key_overflows(graph: Graph, writer: Writer, examination: Examination) -> Iterator[Finding]:
    """Keys too small for the new ones, before anything is written."""
    for (name, _), wanted in examination.keymap.fresh_counts().items():
        table = graph.tables[name]
        if table.key_columns[0].kind is Kind.INTEGER:
            room = writer.room(table, _top(table, examination))
            if wanted > room:
                yield Finding(
                    "key-overflow",
                    Severity.ERROR,
                    table.label,
                    f"{wanted:,} new keys are wanted, and its {table.key_columns[0].type_name} "
                    f"has room for {max(0, room):,}.",
                    # Pairs of an automatic table get new keys under every strategy but refuse.
                    "Widen the key."
                    if table.through_of
                    else "Widen the key, or choose another strategy for this model.",
                )


def draw_keys(graph: Graph, writer: Writer, examination: Examination) -> None:
    """Draw the new keys: after every check, before the first row is written. Before that the
    database is kept from giving to others the keys under which rows are loaded as they are."""
    for name, top in examination.tops.items():
        table = graph.tables[name]
        (sample,) = made_up(table, [top])
        writer.make_room(table, _top(table, examination), sample)
    for place, count in examination.keymap.fresh_counts().items():
        if not examination.keymap.is_drawn(place):
            _draw(graph.tables[place[0]], count, writer.reserve, examination)
    examination.keymap.use_drawn()


def draw_beside(
    writer: Writer, examination: Examination, beside: Beside, table: Table, count: int
) -> None:
    """Draw a table's new keys while others are being examined; none where there is no room, or the
    database fails."""

    def reserve(*asked: Any, **more: Any) -> Sequence[int]:
        return beside.run(partial(writer.reserve, *asked, **more))

    with suppress(Error, LoadFailed):
        top = _top(table, examination)
        is_number = table.key_columns[0].kind is Kind.INTEGER
        if not is_number or beside.run(partial(writer.room, table, top)) >= count:
            _draw(table, count, reserve, examination)


def _draw(
    table: Table, count: int, reserve: Callable[..., Sequence[int]], examination: Examination
) -> None:
    place = (table.name, table.key_names)
    if table.key_columns[0].kind is Kind.UUID:
        examination.keymap.draw_uuids(place, uuid4())
        return
    if not count or table.name not in examination.samples:
        # None is left that is written: rows here stand for all of them.
        return
    (sample,) = made_up(table, [examination.samples[table.name]])
    examination.keymap.draw_integers(
        place, partial(reserve, table, above=_top(table, examination), sample=sample)
    )


def _top(table: Table, examination: Examination) -> int:
    """The highest key under which a row of the table is loaded as it is."""
    top = examination.tops.get(table.name, {}).get(table.key_names[0], 0)
    return top if isinstance(top, int) else 0
