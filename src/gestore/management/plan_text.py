"""How is a plan shown: as text, as a picture's source, as JSON?"""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..planning import NotTaken, Plan
from .console import rows_text, wrapped


def plan_lines(plan: Plan) -> Iterator[str]:
    """The plan for people, within 80 columns where labels allow it."""
    yield f"Plan for {', '.join(plan.references)} (follow {plan.follow}, {plan.database!r})"
    yield ""
    width = max((len(table.label) for table in plan.tables), default=0)
    for table in plan.tables:
        parts = [
            f"{count:,} {word}"
            for count, word in (
                (table.owned, "owned"),
                (table.shared, "shared"),
                (table.external, "external"),
            )
            if count
        ]
        yield f"  {table.label:<{width}}  {', '.join(parts)}"
    yield ""
    owned = sum(table.owned for table in plan.tables)
    shared = sum(table.shared for table in plan.tables)
    yield f"{rows_text(plan.row_count)} to take: {owned:,} owned, {shared:,} shared."
    if plan.anonymized:
        yield wrapped(f"Anonymized: {', '.join(plan.anonymized)}", indent="  ")
    yield from _not_taken_lines(plan)
    yield from _other_root_lines(plan)
    for reference, chain in plan.why.items():
        yield ""
        yield from _why_lines(reference, chain)


def _not_taken_lines(plan: Plan) -> Iterator[str]:
    if not plan.not_taken:
        return
    yield ""
    yield "Not taken with them:"
    groups: dict[tuple[str, str, str], list[NotTaken]] = {}
    for item in plan.not_taken:
        groups.setdefault((item.label, item.reason, item.advice), []).append(item)
    for (label, reason, advice), items in groups.items():
        yield f"  at {label} ({reason}):"
        for item in items:
            yield f"    {item.rows:,} × {item.relation}"
        if advice:
            yield f"    {advice} takes them"


def _other_root_lines(plan: Plan) -> Iterator[str]:
    if not plan.other_roots:
        return
    yield ""
    yield f"Other roots that come along, as shared ({plan.other_root_count:,}):"
    for other in plan.other_roots:
        yield f"  {other.reference}"
        for line in other.chain:
            yield f"    {line}"
    if plan.other_root_count > len(plan.other_roots):
        yield f"  … and {plan.other_root_count - len(plan.other_roots):,} more"


def _why_lines(reference: str, chain: tuple[str, ...]) -> Iterator[str]:
    if not chain:
        yield f"{reference} is not taken."
        return
    yield f"Why {reference}:"
    for line in chain:
        yield f"  {line}"


def plan_json(plan: Plan) -> str:
    return json.dumps(plan.as_json(), indent=2, ensure_ascii=False)


def plan_dot(plan: Plan) -> str:
    """Graphviz source: tables with their counts, relations between them."""
    lines = ["digraph gestore {", '  rankdir="LR"; node [shape=box];']
    lines += [
        f'  "{t.label}" [label="{t.label}\\n{_counts(t.owned, t.shared, t.external)}"];'
        for t in plan.tables
    ]
    lines += [f'  "{s}" -> "{t}" [label="{name}"];' for s, t, name in plan.edges]
    return "\n".join([*lines, "}"])


def plan_mermaid(plan: Plan) -> str:
    """Mermaid source of the same picture."""
    ids = {table.label: f"t{place}" for place, table in enumerate(plan.tables)}
    lines = ["flowchart LR"]
    lines += [
        f'  {ids[t.label]}["{t.label}<br/>{_counts(t.owned, t.shared, t.external)}"]'
        for t in plan.tables
    ]
    lines += [f"  {ids[s]} -->|{name}| {ids[t]}" for s, t, name in plan.edges]
    return "\n".join(lines)


def _counts(owned: int, shared: int, external: int) -> str:
    words = ((owned, "owned"), (shared, "shared"), (external, "external"))
    return ", ".join(f"{count:,} {word}" for count, word in words if count)
