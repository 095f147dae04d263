"""How are the figures of the tenant told? As Markdown, like the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks import acceptance
from benchmarks.anonymized import Anonymized
from benchmarks.narrow import Narrow
from benchmarks.report import _made_with, table
from benchmarks.sparse import TENANT, Needle
from benchmarks.tenant import LIMIT, LIMIT_JSON, Figures


def section(figures: Sequence[Figures], versions: Mapping[str, str]) -> str:
    """The table of each size, then each bound with whether it holds."""
    lines = [_made_with(versions)]
    for rows in sorted({each.rows for each in figures}):
        lines += ["", f"A tenant of {rows:,} rows among {rows:,}:", "", *_table(figures, rows)]
    lines += ["", *(f"- {bound.told}" for bound in acceptance.bounds(figures))]
    return "\n".join(lines)


def _table(figures: Sequence[Figures], rows: int) -> list[str]:
    of_size = [each for each in figures if each.rows == rows]
    json = next((f for f in of_size if f.contender == LIMIT_JSON), None)
    made = []
    for each in of_size:
        limit = next(
            (f for f in of_size if (f.operation, f.contender) == (each.operation, LIMIT)), None
        )
        made.append(
            [
                f"{each.operation}: {each.contender}",
                f"{each.seconds:.2f}",
                _ratio(each.seconds, limit.seconds if limit else None),
                _ratio(each.seconds, json.seconds)
                if json and each.operation == json.operation
                else "",
                _ratio(each.cpu, limit.cpu if limit else None),
                f"{each.client_cpu:.2f}",
                "?" if each.server_cpu is None else f"{each.server_cpu:.2f}",
                f"{each.statements:,}",
                f"{each.peak_mb:.0f}",
                f"{len(each.runs)}",
                "WRONG" if each.wrong else "right",
            ]
        )
    head = ["", "s", "× by hand", "× JSON", "× its CPU", "CPU s", "server", "statements", "peak MB"]
    wrong = [
        f"WRONG: {each.operation}, {each.contender}: {each.wrong}."
        for each in of_size
        if each.wrong
    ]
    told = table([*head, "runs", "result"], made)
    return told if not wrong else [*told, "", *(f"- {line}" for line in wrong)]


def anonymized_section(found: Sequence[Anonymized], versions: Mapping[str, str]) -> str:
    """Both exports of each size, what was searched for, and whether the bounds hold."""
    made = [
        [
            f"{each.rows:,}",
            *(
                f"{median(run.seconds for run in runs):.2f}"
                for runs in (each.plain, each.anonymized)
            ),
            f"{each.times:.2f}",
            f"{each.cpu_times:.2f}",
            f"{max(run.peak_mb for run in each.anonymized):.0f}",
            f"{len(each.plain)}",
            f"{each.searched:,}",
            "WRONG" if each.wrong else "right",
        ]
        for each in found
    ]
    head = ["rows", "plain s", "anonymized s", "×", "× its CPU", "peak MB", "runs", "values sought"]
    lines = [_made_with(versions), "", *table([*head, "result"], made), ""]
    lines += [f"- WRONG: {each.wrong}." for each in found if each.wrong]
    lines += [f"- {b.told}" for each in found for b in acceptance.anonymized_bounds(each)]
    return "\n".join(lines)


def _ratio(one: float, other: float | None) -> str:
    return f"{one / other:.2f}" if other else ""


def needles_section(needles: Sequence[Needle], versions: Mapping[str, str]) -> str:
    rows = [
        [
            each.operation,
            f"{each.others:,}",
            f"{each.seconds:.2f}",
            f"{median(run.client_cpu for run in each.runs):.2f}",
            f"{median(run.server_cpu or 0.0 for run in each.runs):.2f}",
            f"{max(run.statements for run in each.runs):,}",
            f"{max(run.peak_mb for run in each.runs):.0f}",
            _scanned(each),
            "WRONG" if each.wrong else "right",
        ]
        for each in needles
    ]
    head = [
        "",
        "among",
        "s",
        "CPU s",
        "server",
        "statements",
        "peak MB",
        "read from end to end",
        "result",
    ]
    wrong = [f"- WRONG: {each.operation}: {each.wrong}." for each in needles if each.wrong]
    bounds = [f"- {bound.told}" for bound in acceptance.needle_bounds(needles)]
    told = [_made_with(versions), "", f"A tenant of {TENANT:,} rows:", "", *table(head, rows), ""]
    return "\n".join([*told, *wrong, *bounds])


def _scanned(needle: Needle) -> str:
    if needle.scans is None:
        return "not asked"
    return ", ".join(f"{name} ({count})" for name, count in needle.scans.items()) or "none"


def narrow_section(found: Narrow) -> str:
    """What ten million keys take."""
    told = (
        f"`planobjects` of one row with {found.rows:,} narrow ones in SQLite, each of which may be"
        f" pointed at: {found.cost.seconds:.1f} s, {found.cost.peak_mb:.0f} MB at the peak."
    )
    wrong = f"\n- WRONG: {found.wrong}." if found.wrong else ""
    return f"{told}\n{wrong}\n- {acceptance.narrow_bound(found).told}".replace("\n\n\n", "\n\n")
