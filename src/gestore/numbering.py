"""Where do new keys come from, and is there room for them? A stage of an import."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from uuid import uuid4

from .database.insert import Writer
from .errors import Finding, Severity
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
        table = graph.tables[place[0]]
        if table.key_columns[0].kind is Kind.UUID:
            examination.keymap.assign_uuids(place, uuid4())
            continue
        if not count or table.name not in examination.samples:
            # None is left that is written: rows here stand for all of them.
            continue
        (sample,) = made_up(table, [examination.samples[table.name]])
        examination.keymap.assign_integers(
            place,
            partial(writer.reserve, table, above=_top(table, examination), sample=sample),
        )


def _top(table: Table, examination: Examination) -> int:
    """The highest key under which a row of the table is loaded as it is."""
    top = examination.tops.get(table.name, {}).get(table.key_names[0], 0)
    return top if isinstance(top, int) else 0
