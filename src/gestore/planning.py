"""What would be taken, what not, and why? Runs the very walk that an export runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections

from . import conf
from .anonymizing import Anonymize, Anonymized, anonymized
from .database.select import Reader
from .database.sessions import count_of, shared_out
from .database.transactions import snapshot
from .errors import Finding, NotFound, Severity
from .progress import Progress, Silence
from .references import Reference
from .rows import JsonValue, Key, Value, batches, key_text
from .schema.graph import Graph
from .schema.introspect import build_graph
from .schema.policy import Follow, Policies, Policy, resolve
from .schema.relation import Relation
from .schema.table import Table
from .walk.closure import Closure, Status
from .walk.keys import KeySet
from .walk.trail import Direction, Link, Trail
from .walk.walker import Roots, walk

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_SHOWN_OTHERS = 20


@dataclass(frozen=True, slots=True)
class WalkOptions:
    """How far the walk goes. `roots` are models whose other rows are never owned, besides those
    of the objects; `policies` win over the setting's. `workers` are the sessions to read over; None
    for as many as are usual on such a database."""

    database: str = DEFAULT_DB_ALIAS
    follow: Follow = Follow.OWNED
    roots: Sequence[str] = ()
    policies: Mapping[str, Policy] = field(default_factory=dict)
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """A database with its graph, and where a walk is to start, while its snapshot is open."""

    connection: BaseDatabaseWrapper
    graph: Graph
    policies: Policies
    reader: Reader
    root_keys: Mapping[str, Sequence[Key]]
    root_models: frozenset[str]

    @property
    def roots(self) -> Roots:
        return Roots(self.root_keys, self.root_models)

    def walked(self, closure: Closure) -> Walked:
        return Walked(
            self.connection,
            self.graph,
            self.policies,
            self.reader,
            self.root_keys,
            self.root_models,
            closure,
        )


@dataclass(frozen=True, slots=True)
class Walked(Site):
    """A finished walk, while its snapshot is open."""

    closure: Closure

    def anonymized(self, wanted: Anonymize) -> Anonymized:
        """What stands in the place of personal data among the rows taken."""
        return anonymized(wanted, self.graph, self.reader, self.closure)

    def is_root_family(self, name: str) -> bool:
        named = {*self.root_models, *self.root_keys}
        return name in named or any(name in self.graph.children(root) for root in named)


@contextmanager
def walked(
    references: Sequence[str],
    options: WalkOptions,
    trail: Trail | None = None,
    progress: Progress | None = None,
) -> Iterator[Walked]:
    """Resolve the references and walk from them, all in one snapshot that stays open inside."""
    listener = progress or Silence()
    with opened(references, options) as site:
        listener.begin("Walking")
        closure = walk(site.graph, site.roots, site.policies, options.follow, site.reader, trail)
        listener.end()
        yield site.walked(closure)


@contextmanager
def opened(
    references: Sequence[str], options: WalkOptions, *, skips_by_default: bool = True
) -> Iterator[Site]:
    """Resolve the references in one snapshot that stays open inside."""
    parsed = [Reference.parse(text) for text in references]
    settings = conf.load()
    if options.database not in connections:
        names = ", ".join(connections)
        raise NotFound(f"No database {options.database!r}.", hint=f"There are: {names}.")
    connection = connections[options.database]
    graph = build_graph(settings.relations, settings.unmanaged, options.database)
    policies = resolve(
        graph, settings.policy_layer, options.policies, skips_by_default=skips_by_default
    )
    models = frozenset(graph.table(label).name for label in [*settings.roots, *options.roots])
    count = count_of(connection, options.workers)
    with snapshot(connection):
        reader = Reader(connection, graph, is_still=True)
        root_keys = _root_keys(reader, parsed)
        with shared_out(reader, count, is_wanted=options.workers is not None):
            yield Site(connection, graph, policies, reader, root_keys, models)


def _root_keys(reader: Reader, references: Sequence[Reference]) -> dict[str, list[Key]]:
    keys: dict[str, list[Key]] = {}
    for reference in references:
        table, key = reader.find(reference)
        keys.setdefault(table.name, []).append(key)
    return keys


# The plan -----------------------------------------------------------------------------------------


class PlannedTable(NamedTuple):
    """Rows of one table: owned, shared, and known by identity only."""

    label: str
    owned: int
    shared: int
    external: int


class NotTaken(NamedTuple):
    """Rows that point at taken rows of `label` by `relation`, and are not taken themselves."""

    label: str
    relation: str
    rows: int
    reason: str
    advice: str


class OtherRoot(NamedTuple):
    """A row of a root model that had to come along, and the chain that leads to it."""

    reference: str
    chain: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What an export would take, in loading order; and what it would leave."""

    references: tuple[str, ...]
    database: str
    follow: str
    tables: tuple[PlannedTable, ...]
    not_taken: tuple[NotTaken, ...]
    other_roots: tuple[OtherRoot, ...]
    other_root_count: int
    why: Mapping[str, tuple[str, ...]]
    findings: tuple[Finding, ...]
    edges: tuple[tuple[str, str, str], ...] = ()
    anonymized: tuple[str, ...] = ()

    @property
    def row_count(self) -> int:
        return sum(table.owned + table.shared for table in self.tables)

    def as_json(self) -> dict[str, JsonValue]:
        return {
            "objects": list(self.references),
            "database": self.database,
            "follow": self.follow,
            "rows": self.row_count,
            "tables": [
                {"model": t.label, "owned": t.owned, "shared": t.shared, "external": t.external}
                for t in self.tables
            ],
            "not_taken": [
                {
                    "model": n.label,
                    "relation": n.relation,
                    "rows": n.rows,
                    "reason": n.reason,
                    "advice": n.advice,
                }
                for n in self.not_taken
            ],
            "other_roots": [
                {"object": o.reference, "chain": list(o.chain)} for o in self.other_roots
            ],
            "other_root_count": self.other_root_count,
            "why": {reference: list(chain) for reference, chain in self.why.items()},
            "anonymized": list(self.anonymized),
            "findings": [finding.as_json() for finding in self.findings],
        }


def plan_objects(
    references: Sequence[str],
    options: WalkOptions | None = None,
    *,
    why: Sequence[str] = (),
    progress: Progress | None = None,
    anonymize: bool = False,
    strict_anonymize: bool = False,
) -> Plan:
    """Plan an export of the objects; nothing is written.

    `why` names rows whose chain of relations is wanted. `anonymize` and `strict_anonymize` are the
    export's: which columns would have other values, and which are undecided. Raises `UsageError`,
    `NotFound`, `ConfigurationError` or `SnapshotError`.
    """
    options = options or WalkOptions()
    with walked(references, options, progress=progress) as walk_done:
        trail = _trail(walk_done, options, is_wanted=bool(why))
        other_roots, other_count = _other_roots(walk_done, trail)
        replaced = walk_done.anonymized(Anonymize(anonymize, strict_anonymize))
        return Plan(
            references=tuple(references),
            database=options.database,
            follow=options.follow.value,
            tables=tuple(_planned_tables(walk_done)),
            not_taken=tuple(_not_taken(walk_done)),
            other_roots=other_roots,
            other_root_count=other_count,
            why={reference: _why(walk_done, trail, reference) for reference in why},
            findings=(*plan_findings(walk_done), *replaced.findings),
            edges=tuple(_edges(walk_done)),
            anonymized=replaced.labels,
        )


def _planned_tables(walk_done: Walked) -> Iterator[PlannedTable]:
    closure = walk_done.closure
    for table in walk_done.graph.load_order:
        external = closure.external.get(table.name)
        owned = closure.count(table.name, Status.OWNED)
        shared = closure.count(table.name, Status.SHARED)
        if owned or shared or external:
            yield PlannedTable(table.label, owned, shared, len(external or ()))


def _edges(walk_done: Walked) -> Iterator[tuple[str, str, str]]:
    """The relations between planned tables, for pictures: source, target and field name."""
    closure, graph = walk_done.closure, walk_done.graph
    present = {n for n in graph.tables if closure.count(n) or len(closure.external.get(n, ()))}
    for relation in graph.relations:
        if relation.source in present and relation.target in present:
            source, target = graph.tables[relation.source], graph.tables[relation.target]
            yield source.label, target.label, relation.field_name


# What is not taken --------------------------------------------------------------------------------


def _not_taken(walk_done: Walked) -> Iterator[NotTaken]:
    closure, graph = walk_done.closure, walk_done.graph
    for table in closure.tables():
        for relation in graph.pointing_at(table.name):
            if relation.is_parent:
                continue
            rows = _count_not_taken(walk_done, relation, table)
            if rows:
                reason, advice = _reason(walk_done, relation, table)
                yield NotTaken(table.label, relation.name, rows, reason, advice)


def _count_not_taken(walk_done: Walked, relation: Relation, table: Table) -> int:
    """Rows that point at taken rows and are not taken: counted by the database, minus those of
    them that are taken. Where the walk took all that point, nobody is asked."""
    closure, reader = walk_done.closure, walk_done.reader
    taken = closure.taken_of(table.name)
    sources = closure.taken_of(relation.source)
    targets = [
        taken.of(status)
        for status in Status
        if (relation.name, table.name, status) not in closure.exhausted and len(taken.of(status))
    ]
    if not targets:
        return 0
    if relation.is_generic or not relation.points_at_key:
        return sum(
            len(sources.lacking(pointing))
            for keys in targets
            for batch in keys.packed(reader.batch_keys)
            for pointing in batches(reader.pointing(relation, table.name, batch), reader.batch_keys)
        )
    behind = sum(
        reader.count_pointing(relation, table, batch)
        for keys in targets
        for batch in keys.packed(reader.batch_keys)
    )
    if not behind:
        return 0
    among_taken = sum(
        _count_within(keys, reader.pointers(relation, batch))
        for status in Status
        for batch in sources.of(status).packed(reader.batch_keys)
        for keys in targets
    )
    return behind - among_taken


def _count_within(keys: KeySet, values: Sequence[Value]) -> int:
    """How many of the values, each as often as it occurs, are in the set."""
    outside = set(keys.lacking(set(values)))
    return sum(value not in outside for value in values)


_POLICY_WORDS = {
    Policy.SHARE: "taken only when pointed at",
    Policy.EXTERNAL: "external",
    Policy.SKIP: "skipped",
}


def _reason(walk_done: Walked, relation: Relation, table: Table) -> tuple[str, str]:
    """Why rows were left, and what would take them."""
    source = walk_done.graph.tables[relation.source]
    policy = walk_done.policies.of_relation(relation) or walk_done.policies.of_table(source.name)
    if policy is not None and policy is not Policy.OWN:
        return f"{source.label} is {_POLICY_WORDS[policy]}", f"--own {source.label}"
    if walk_done.is_root_family(source.name):
        return f"other {source.label} rows are roots of their own", ""
    if walk_done.is_root_family(table.name):
        return f"{table.label} came as shared, and is a root model", ""
    return f"{table.label} is shared", f"--own {table.label}"


# Rows of other roots, and why ---------------------------------------------------------------------


def _trail(walk_done: Walked, options: WalkOptions, *, is_wanted: bool) -> Trail:
    """Why rows are in. A trail takes time and memory: where somebody asks, the walk is walked
    once more, in the same snapshot."""
    trail = Trail()
    closure = walk_done.closure
    has_others = any(
        walk_done.is_root_family(name) and closure.count(name, Status.SHARED)
        for name in closure.taken
    )
    if is_wanted or has_others:
        site = walk_done
        walk(site.graph, site.roots, site.policies, options.follow, site.reader, trail)
    return trail


def _other_roots(walk_done: Walked, trail: Trail) -> tuple[tuple[OtherRoot, ...], int]:
    """Rows of root models that came along because something taken points at them."""
    shown: list[OtherRoot] = []
    count = 0
    for name, taken in walk_done.closure.taken.items():
        if not walk_done.is_root_family(name):
            continue
        table = walk_done.graph.tables[name]
        for batch in taken.batches(Status.SHARED, 1_000):
            count += len(batch)
            for key in batch[: max(0, _SHOWN_OTHERS - len(shown))]:
                chain = _chain(walk_done, trail.chain(name, key, walk_done.reader))
                shown.append(OtherRoot(f"{table.label}.{key_text(key)}", chain))
    return tuple(shown), count


def _why(walk_done: Walked, trail: Trail, text: str) -> tuple[str, ...]:
    table, key = walk_done.reader.find(Reference.parse(text))
    external = walk_done.closure.external.get(table.name, ())
    if key in external:
        return (f"{table.label}.{key_text(key)} is external: only its identity is taken",)
    return _chain(walk_done, trail.chain(table.name, key, walk_done.reader))


def _chain(walk_done: Walked, links: Sequence[Link]) -> tuple[str, ...]:
    """The links as text, from the root to the row."""
    lines = []
    for link in links:
        label = walk_done.graph.tables[link.table].label
        row = f"{label}.{key_text(link.key)}"
        if link.direction is Direction.ROOT or link.relation is None:
            lines.append(f"{row} is an object of the export")
        elif link.direction is Direction.BACK:
            lines.append(f"{row} points at it ({link.relation.name})")
        else:
            lines.append(f"it points at {row} ({link.relation.name})")
    return tuple(lines)


# Findings -----------------------------------------------------------------------------------------


def plan_findings(walk_done: Walked) -> Iterator[Finding]:
    """What the plan warns of, and what stops an export."""
    yield from _required_pointers_to_skipped(walk_done)
    for name, values in walk_done.closure.dangling.items():
        if len(values):
            yield Finding(
                "dangling",
                Severity.WARNING,
                name,
                f"{len(values):,} {'value points' if len(values) == 1 else 'values point'} at "
                "nothing: archived all the same.",
            )


def _required_pointers_to_skipped(walk_done: Walked) -> Iterator[Finding]:
    policies, graph, closure = walk_done.policies, walk_done.graph, walk_done.closure
    for relation in graph.relations:
        if relation.is_nullable or not closure.count(relation.source):
            continue
        is_skipped = policies.of_relation(relation) is Policy.SKIP
        if relation.is_generic:
            rows = _count_generic_to_skipped(walk_done, relation, is_skipped=is_skipped)
        else:
            is_skipped |= policies.of_table(relation.target) is Policy.SKIP
            rows = closure.count(relation.source) if is_skipped else 0
        if rows:
            yield Finding(
                "skipped-required",
                Severity.ERROR,
                relation.name,
                f"{rows:,} {'row points' if rows == 1 else 'rows point'} at what is skipped, and "
                "the pointer cannot be emptied.",
                f"Skip {graph.tables[relation.source].label} too, or share what it points at.",
            )


def _count_generic_to_skipped(walk_done: Walked, relation: Relation, *, is_skipped: bool) -> int:
    reader, policies = walk_done.reader, walk_done.policies
    skipped = {n for n in walk_done.graph.tables if policies.of_table(n) is Policy.SKIP}
    if not skipped and not is_skipped:
        return 0
    taken = walk_done.closure.taken_of(relation.source)
    return sum(
        is_skipped or reader.generic_target(_content_type(value)) in skipped
        for status in Status
        for batch in taken.batches(status, reader.batch_keys)
        for value in reader.pointers(relation, batch)
    )


def _content_type(value: Value) -> Key:
    assert isinstance(value, tuple)
    return value[0]
