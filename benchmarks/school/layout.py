"""Which row belongs to whom, and under which key? Decided before any row is made.

The rows of all organisations lie mixed in every table, as they do on a site that has lived: each
table's keys are dealt out to the organisations as if from a shuffled pack.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

TENANT = 0
TAGS = 60
TAGS_PER_COURSE = 3
_OTHERS_ROWS = 20_000
# Parts of an organisation's rows. Submissions are what is left of them.
_PARTS = {"user": 0.04, "course": 0.01, "topic": 0.02, "enrolment": 0.20, "comment": 0.15}
_LEAST = {"user": 12, "course": 4, "topic": 3, "enrolment": 8, "comment": 10}
TABLES = ("user", "topic", "course", "enrolment", "submission", "comment")


@dataclass(frozen=True, slots=True)
class Layout:
    """For each table the organisation (by number, 0 is the tenant) of each key, counted from 1,
    and the keys of each organisation, ascending."""

    organisations: int
    owners: dict[str, Sequence[int]]
    keys: dict[str, list[array[int]]]


def sizes(rows: int) -> dict[str, int]:
    """How many rows of each table an organisation of about that many rows has."""
    found = {table: max(_LEAST[table], round(rows * part)) for table, part in _PARTS.items()}
    taken = 1 + sum(found.values()) + TAGS_PER_COURSE * found["course"]
    return {**found, "submission": max(20, rows - taken)}


def layout(tenant_rows: int, other_rows: int) -> Layout:
    """The tenant, and so many others that their rows come to `other_rows`."""
    others = max(1, round(other_rows / _OTHERS_ROWS)) if other_rows else 0
    shares = [tenant_rows, *[other_rows // others] * others] if others else [tenant_rows]
    counts = [sizes(share) for share in shares]
    owners: dict[str, Sequence[int]] = {}
    keys: dict[str, list[array[int]]] = {}
    for table in TABLES:
        pack = array("H")
        for number, count in enumerate(counts):
            pack.extend([number] * count[table])
        Random(f"keys of {table}").shuffle(pack)
        owners[table] = pack
        keys[table] = [array("q") for _ in counts]
        for key, number in enumerate(pack, 1):
            keys[table][number].append(key)
    return Layout(len(counts), owners, keys)
