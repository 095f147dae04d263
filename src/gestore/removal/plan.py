"""What goes, what changes, what stays and why, and what blocks?

Decides by the walk's closure and each relation's own `on_delete`; asks a `PointerSource` which rows
point at what goes. Removes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import Finding, Findings, Severity
from ..rows import Key, batches, key_text
from ..schema.graph import Graph
from ..schema.on_delete import Effect, calls_function, effect_of, values_left, word_of
from ..schema.policy import Follow, Policies, Policy
from ..schema.relation import Relation
from ..walk.closure import Closure, Status
from ..walk.keys import KeySet, empty_keys
from ..walk.source import arriving
from ..walk.walker import Bounds, Roots, owning, walk
from .survivors import PointerSource, Reason, Survivors, SurvivorSearch, pointed_rows

_TAKES_ALONG = "Take them along with --own {label}, or remove or change them first."


@dataclass(frozen=True, slots=True)
class Removal:
    """What is decided: the closure, whose owned rows go and whose shared rows stay; the rows whose
    pointer changes, by relation; what stays though it was owned; findings, blockers among them."""

    closure: Closure
    changed: Mapping[Relation, KeySet] = field(default_factory=dict)
    survivors: Survivors = field(default_factory=Survivors)
    findings: Findings = field(default_factory=Findings)

    @property
    def is_blocked(self) -> bool:
        return self.findings.has(Severity.BLOCKER)


def plan_removal(
    graph: Graph,
    roots: Roots,
    policies: Policies,
    follow: Follow,
    source: PointerSource,
    told: Callable[[Closure], None] = lambda closure: None,
) -> Removal:
    """Walk, find out what others still need, and what points at the rest. `told` hears of each
    closure on the way."""
    return _Planner(graph, roots, policies, follow, source, told).plan()


def ignored(relation: Relation, policies: Policies) -> bool:
    """Whether rows that point by the relation are left alone, come what may: their model or the
    relation is skipped by name, and no constraint of the database's holds them."""
    if relation.is_constrained or relation.is_parent:
        return False
    policy = policies.of_relation(relation) or policies.of_table(relation.source)
    return policy is Policy.SKIP


@dataclass(frozen=True, slots=True)
class _Terms:
    """Whose a row is, by its relations and the policies."""

    policies: Policies

    def ignores(self, relation: Relation) -> bool:
        return ignored(relation, self.policies)

    def belongs(self, relation: Relation) -> bool:
        """As `CASCADE` says, and what would block where a policy says that it belongs."""
        effect = effect_of(relation)
        if effect is Effect.BLOCKS:
            policy = self.policies.of_relation(relation) or self.policies.of_table(relation.source)
            return policy is Policy.OWN
        return effect is Effect.GOES

    def is_lookup(self, relation: Relation, target: str) -> bool:
        policies = (self.policies.of_relation(relation), self.policies.of_table(target))
        return any(p in (Policy.SHARE, Policy.EXTERNAL, Policy.SKIP) for p in policies)


class _Planner:
    def __init__(
        self,
        graph: Graph,
        roots: Roots,
        policies: Policies,
        follow: Follow,
        source: PointerSource,
        told: Callable[[Closure], None],
    ) -> None:
        self.graph = graph
        self.roots = roots
        self.policies = policies
        self.follow = follow
        self.source = source
        self.told = told

    def plan(self) -> Removal:
        staying, closure = self._without_survivors()
        findings = Findings(self._stay_findings(staying))
        changed: dict[Relation, KeySet] = {}
        owns_all = self._owning(staying)
        self._meet_outsiders(closure, owns_all, changed, findings)
        if changed:
            # What stays and changes is archived too, with what it points at.
            closure = self._walk(staying=staying.keys_by_table, shared=self._together(changed))
        return Removal(closure, changed, staying, findings)

    def _walk(self, **bounds: Any) -> Closure:
        closure = walk(
            self.graph,
            self.roots,
            self.policies,
            self.follow,
            self.source,
            bounds=Bounds(_brings, **bounds),
        )
        self.told(closure)
        return closure

    def _without_survivors(self) -> tuple[Survivors, Closure]:
        """What others need, and all the rest."""
        reached = self._walk()
        # Only a policy or `connected` makes pointed-at rows owned: without, there are none.
        owns = Policy.OWN in {*self.policies.by_table.values(), *self.policies.by_relation.values()}
        if self.follow is Follow.OWNED and not owns:
            return Survivors(), reached
        sure = self._walk(owns_forward=False)
        if _owned_count(sure) == _owned_count(reached):
            return Survivors(), reached
        search = SurvivorSearch(self.graph, reached, sure, self.source, _Terms(self.policies))
        staying = search.run()
        while staying.count:
            closure = self._walk(staying=staying.keys_by_table)
            if _owned_count(closure) + staying.count == _owned_count(reached):
                return staying, closure
            staying = search.run_again(closure)
        return staying, reached

    def _together(self, changed: Mapping[Relation, KeySet]) -> dict[str, KeySet]:
        together: dict[str, KeySet] = {}
        for relation, keys in changed.items():
            name = relation.source
            if name not in together:
                together[name] = empty_keys(self.graph.tables[name])
            for batch in keys.batches(self.source.batch_keys):
                together[name].add(batch)
        return together

    # Rows that point at what goes, and do not go -------------------------------------------------

    def _owning(self, staying: Survivors) -> Callable[[Relation, str], bool]:
        """Where the last walk has asked already."""
        bounds = Bounds(_brings, staying=staying.keys_by_table)
        return owning(self.graph, self.roots, self.policies, self.follow, self.source, bounds)

    def _meet_outsiders(
        self,
        closure: Closure,
        owns_all: Callable[[Relation, str], bool],
        changed: dict[Relation, KeySet],
        findings: Findings,
    ) -> None:
        left = Counter[Relation]()
        why_not: dict[Relation, str] = {}
        for relation, name, others in outsiders(self.graph, closure, self.source, owns_all):
            if relation not in why_not:
                why_not[relation] = self._why_it_blocks(relation, closure)
            if ignored(relation, self.policies):
                left[relation] += len(others)
            elif why_not[relation]:
                findings.extend(self._blockers(relation, name, others, why_not[relation]))
            else:
                if relation not in changed:
                    changed[relation] = empty_keys(self.graph.tables[relation.source])
                changed[relation].add(others)
        findings.extend(_left_dangling(relation, count) for relation, count in left.items())
        for relation, policy in self._split_links():
            findings.extend(self._split(relation, policy, closure))

    def _split_links(self) -> Iterator[tuple[Relation, Policy]]:
        """The multi-table links whose upper half a policy leaves out."""
        for relation in self.graph.relations:
            policies = (
                self.policies.of_relation(relation),
                self.policies.of_table(relation.target),
            )
            for policy in (Policy.SKIP, Policy.EXTERNAL):
                if relation.is_parent and policy in policies:
                    yield relation, policy
                    break

    def _split(self, relation: Relation, policy: Policy, closure: Closure) -> Iterator[Finding]:
        """Halves of what goes that would stay: they are one object, and share one fate."""
        source, target = self.graph.tables[relation.source], self.graph.tables[relation.target]
        owned = closure.taken_of(target.name).owned
        for keys in closure.taken_of(source.name).owned.batches(self.source.batch_keys):
            pairs = self.source.pointer_pairs(relation, keys)
            for key, _, other in pointed_rows(self.graph, self.source, relation, pairs):
                if other not in owned:
                    yield Finding(
                        "blocker",
                        Severity.BLOCKER,
                        f"{target.label}.{key_text(other)}",
                        f"is the upper half of {source.label}.{key_text(key)}, and the policy is "
                        f"{policy.value}.",
                        f"Let it go too: leave out the policy of {target.label}.",
                        {
                            "model": target.name,
                            "pk": key_text(other),
                            "relation": relation.name,
                            "points_at": f"{source.label}.{key_text(key)}",
                            "why": policy.value,
                        },
                    )

    def _blockers(
        self, relation: Relation, name: str, others: list[Key], why: str
    ) -> Iterator[Finding]:
        source = self.graph.tables[relation.source]
        pairs = self.source.pointer_pairs(relation, others)
        for key, target, pointed in pointed_rows(self.graph, self.source, relation, pairs):
            if target != name:
                continue
            row = f"{self.graph.tables[target].label}.{key_text(pointed)}"
            yield Finding(
                "blocker",
                Severity.BLOCKER,
                f"{source.label}.{key_text(key)}",
                f"points at {row} ({relation.field_name}: {why}).",
                _TAKES_ALONG.format(label=source.label),
                {
                    "model": source.name,
                    "pk": key_text(key),
                    "relation": relation.name,
                    "points_at": row,
                    "why": why,
                },
            )

    def _why_it_blocks(self, relation: Relation, closure: Closure) -> str:
        """Why rows that point by the relation, and stay, block; "" when their pointer changes."""
        if effect_of(relation) is Effect.BLOCKS:
            return word_of(relation)
        if effect_of(relation) is Effect.CHANGES:
            return self._why_it_cannot_change(relation, closure)
        policy = self.policies.of_relation(relation) or self.policies.of_table(relation.source)
        if policy is not None and policy is not Policy.OWN:
            return f"{word_of(relation)}, and the policy is {policy.value}"
        return f"{word_of(relation)}, and such rows are roots of their own"

    def _why_it_cannot_change(self, relation: Relation, closure: Closure) -> str:
        table = self.graph.tables[relation.source]
        if not set(relation.columns).isdisjoint(table.key_names):
            return f"{word_of(relation)}, and the pointer is part of the row's key"
        if calls_function(relation, table):
            # What it says is known when it is asked, and that is when the rows go.
            return ""
        values = values_left(relation, table)
        if None in values:
            return ""
        value = values[0] if len(values) == 1 else values
        found = self.source.resolve(relation.target, relation.target_columns, [value])
        owned = closure.taken_of(relation.target).owned
        if any(key in owned for _, key in found):
            return f"{word_of(relation)}, and what it says goes too"
        return ""

    def _stay_findings(self, staying: Survivors) -> Iterator[Finding]:
        """Who needs what stays: the first reasons of each table, pointed-at rows first."""
        for reason in sorted(staying.reasons, key=self._weight):
            yield self._stay_finding(reason)

    def _weight(self, reason: Reason) -> tuple[bool, bool]:
        return bool(self.graph.tables[reason.table].through_of), reason.belongs

    def _stay_finding(self, reason: Reason) -> Finding:
        other = f"{self.graph.tables[reason.other_table].label}.{key_text(reason.other_key)}"
        told = f"belongs to {other} too" if reason.belongs else f"{other} points at it"
        return Finding(
            "stays",
            Severity.WARNING,
            f"{self.graph.tables[reason.table].label}.{key_text(reason.key)}",
            f"stays: {told} ({reason.relation.name}).",
        )


def _brings(relation: Relation) -> bool:
    return effect_of(relation) is Effect.GOES


def _owned_count(closure: Closure) -> int:
    return sum(closure.count(name, Status.OWNED) for name in closure.taken)


def _left_dangling(relation: Relation, count: int) -> Finding:
    rows = "row is skipped and points" if count == 1 else "rows are skipped and point"
    left = "it is" if count == 1 else "they are"
    return Finding(
        "left-dangling",
        Severity.WARNING,
        relation.name,
        f"{count:,} {rows} at what goes: left as {left}, pointing at nothing.",
    )


def outsiders(
    graph: Graph,
    closure: Closure,
    source: PointerSource,
    has_none: Callable[[Relation, str], bool] = lambda relation, name: False,
) -> Iterator[tuple[Relation, str, list[Key]]]:
    """The rows that point at rows that go and do not go themselves: by relation and table pointed
    at, in batches. Of relations and tables that `has_none` is sure of, nobody is asked."""
    asks = (
        ((relation, table.name), arriving(relation, table.name, keys, ()))
        for table in closure.tables()
        for relation in graph.pointing_at(table.name)
        if not has_none(relation, table.name)
        for keys in closure.taken_of(table.name).owned.packed(source.lot_keys)
    )
    for (relation, name), lots in source.in_turn(asks):
        going = closure.taken_of(relation.source).owned
        for lot in lots:
            for others in batches(going.lacking(lot.keys), source.batch_keys):
                yield relation, name, others
