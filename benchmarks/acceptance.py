"""What is asked of the figures? Each bound, and by how much it is missed where it does not hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks import anonymized, narrow
from benchmarks.sparse import Needle
from benchmarks.tenant import (
    LARGE,
    LIMIT,
    LOADDATA,
    MODEL_DELETE,
    OURS,
    OURS_ALONE,
    OURS_ARCHIVE,
    OURS_REMAP,
    SERIALIZER,
    Figures,
)

GROWN = 500_000
_GROWTH_TIMES = 5.5
_PEAK_MB = 120.0
_PEAK_TIMES = 1.10
_SPARSE_TIMES = 1.5
_WORKERS_TIMES = 1.4
# Of the hand-written equivalent: export, import with `refuse`, import with `remap`, delete.
_LIMITS = {
    "postgresql": (2.0, 2.0, 2.5, 2.0),
    "sqlite": (2.5, 3.0, 3.0, 2.5),
    "mariadb": (2.5, 3.0, 3.0, 2.5),
}


@dataclass(frozen=True, slots=True)
class Bound:
    """One sentence of what is asked: a value, and what it may be at most, or has to be at least."""

    says: str
    value: float
    bound: float
    at_least: bool = False
    unit: str = "×"

    @property
    def holds(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def _unit(self) -> str:
        return f" {self.unit}" if self.unit else ""

    @property
    def told(self) -> str:
        asked = f"{'at least' if self.at_least else 'at most'} {self.bound:.4g}{self._unit}"
        if self.holds:
            return f"{self.says}: {self.value:.4g}{self._unit}, {asked}: holds."
        less, more = sorted((self.value, self.bound))
        missed = f", {more / less:.2f} times off" if less else ""
        return f"{self.says}: {self.value:.4g}{self._unit}, {asked}: DOES NOT HOLD{missed}."


class _Found:
    """Figures by who they are of."""

    def __init__(self, figures: Sequence[Figures]) -> None:
        self._figures = {(f.rows, f.operation, f.contender): f for f in figures}

    def seconds(self, rows: int, operation: str, contender: str) -> float | None:
        found = self._figures.get((rows, operation, contender))
        return found.seconds if found else None

    def ratio(self, rows: int, operation: str, one: str, other: str) -> float | None:
        above = self.seconds(rows, operation, one)
        below = self.seconds(rows, operation, other)
        return above / below if above and below else None


def bounds(figures: Sequence[Figures]) -> list[Bound]:
    """Those that these figures, of one database, decide."""
    if not figures:
        return []
    vendor, found = figures[0].vendor, _Found(figures)
    made = [*_against_limit(vendor, found), *_with_archive(vendor, found)]
    if vendor == "postgresql":
        made += _against_peers(found)
        made += _workers(figures, found)
    return [*made, *_growth(figures), *_rightness(figures)]


def _against_limit(vendor: str, found: _Found) -> Iterator[Bound]:
    asked = (
        ("export", OURS, "export"),
        ("import", OURS, "import with refuse"),
        ("import", OURS_REMAP, "import with remap"),
        ("delete", OURS, "delete without archive"),
    )
    for (operation, contender, says), bound in zip(asked, _LIMITS[vendor], strict=True):
        ratio = found.ratio(LARGE, operation, contender, LIMIT)
        if ratio is not None:
            yield Bound(f"{says}, of the time by hand", ratio, bound)


def _with_archive(vendor: str, found: _Found) -> Iterator[Bound]:
    export, delete, both = (
        found.seconds(LARGE, operation, contender)
        for operation, contender in (("export", OURS), ("delete", OURS), ("delete", OURS_ARCHIVE))
    )
    if vendor == "postgresql" and export and delete and both:
        says = "delete with archive, of export and delete together"
        yield Bound(says, both / (export + delete), 1.0)


def _against_peers(found: _Found) -> Iterator[Bound]:
    for operation, peer, ours, bound, says in (
        ("export", SERIALIZER, OURS, 4.0, "export, as fast as Django's serializer"),
        ("import", LOADDATA, OURS, 25.0, "import, as fast as loaddata"),
        (
            "delete",
            MODEL_DELETE,
            OURS_ARCHIVE,
            2.0,
            "delete with archive, as fast as Model.delete()",
        ),
    ):
        ratio = found.ratio(LARGE, operation, peer, ours)
        if ratio is not None:
            yield Bound(says, ratio, bound, at_least=True)


def _workers(figures: Sequence[Figures], found: _Found) -> Iterator[Bound]:
    largest = max(each.rows for each in figures)
    ratio = found.ratio(largest, "export", OURS_ALONE, OURS)
    if ratio is not None:
        says = f"export of {largest:,} rows, over two sessions as fast as --workers 1"
        yield Bound(says, ratio, _WORKERS_TIMES, at_least=True)


def _growth(figures: Sequence[Figures]) -> Iterator[Bound]:
    ours = {(f.operation, f.contender, f.rows): f for f in figures if f.contender.startswith(OURS)}
    for (operation, contender, rows), grown in ours.items():
        small = ours.get((operation, contender, LARGE))
        if rows != GROWN or small is None:
            continue
        who = f"{operation}, {contender}: {GROWN:,} rows of {LARGE:,}"
        yield Bound(f"{who}: time", grown.seconds / small.seconds, _GROWTH_TIMES)
        yield Bound(f"{who}: statements", grown.statements / small.statements, _GROWTH_TIMES)
        yield Bound(f"{who}: peak", grown.peak_mb / small.peak_mb, _PEAK_TIMES)
        yield Bound(f"{operation}, {contender}: peak", grown.peak_mb, _PEAK_MB, unit="MB")


def _rightness(figures: Sequence[Figures]) -> Iterator[Bound]:
    ours = [f for f in figures if f.contender.startswith((OURS, LIMIT))]
    yield Bound(
        "wrong results, by hand and of Gestore", sum(bool(f.wrong) for f in ours), 0, unit=""
    )


def needle_bounds(needles: Sequence[Needle]) -> list[Bound]:
    """Each operation in the largest haystack against the smallest."""
    made = []
    for operation in dict.fromkeys(needle.operation for needle in needles):
        ordered = sorted(
            (needle for needle in needles if needle.operation == operation), key=lambda n: n.others
        )
        least, most = ordered[0], ordered[-1]
        says = f"{operation} among {most.others:,}, of the time among {least.others:,}"
        made.append(Bound(says, most.seconds / least.seconds, _SPARSE_TIMES))
        if most.scans is not None:
            says = f"{operation} among {most.others:,}: large tables read from end to end"
            made.append(Bound(says, len(most.scans), 0, unit=""))
        made.append(
            Bound(f"{operation}: wrong results", sum(bool(n.wrong) for n in ordered), 0, unit="")
        )
    return made


def anonymized_bounds(found: anonymized.Anonymized) -> list[Bound]:
    says = f"export with --anonymize of {found.rows:,} rows, of the time without"
    # Of few rows, the start of the process is most of both.
    return [
        Bound(says, found.times, anonymized.BOUND_TIMES),
        Bound("anonymized: wrong results", int(bool(found.wrong)), 0, unit=""),
    ]


def narrow_bound(found: narrow.Narrow) -> Bound:
    return Bound(
        f"the plan of {found.rows:,} keys: peak", found.cost.peak_mb, narrow.BOUND_MB, unit="MB"
    )
