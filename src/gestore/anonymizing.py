"""What does an export write in the place of personal data, and may it be written like that?"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from . import conf
from .anonymize.declared import Anonymizing, Replacement
from .database.select import Reader
from .errors import ConfigurationError, Finding, Severity
from .rows import Key, key_text
from .schema.graph import Graph
from .schema.introspect import build_graph
from .walk.closure import Closure, Status

_SALT_BYTES = 32


class Anonymize(NamedTuple):
    """Whether other values are to stand in the place of those of the columns in
    `GESTORE["ANONYMIZE"]`, and whether every column of text must be decided."""

    is_on: bool = False
    is_strict: bool = False

    def __bool__(self) -> bool:
        return self.is_on or self.is_strict


class Anonymized(NamedTuple):
    """The outcome: the replacements, if there are any; the columns that they change, as labels;
    and what is to be said of it."""

    replacements: Anonymizing | None = None
    labels: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def references(
        self, given: Sequence[str], root_keys: Mapping[str, Sequence[Key]]
    ) -> tuple[str, ...]:
        """The objects as they were given; anonymized, by the keys that they have in the archive:
        `auth.User:email=…` would name what is not to be known."""
        if self.replacements is None:
            return tuple(given)
        graph = self.replacements.graph
        return tuple(
            f"{graph.tables[name].label}.{key_text(self.replacements.key(graph.tables[name], key))}"
            for name, keys in root_keys.items()
            for key in keys
        )


def anonymized(wanted: Anonymize, graph: Graph, reader: Reader, closure: Closure) -> Anonymized:
    """What is asked for, for the rows of a walk. `ConfigurationError` says what is wrong with the
    setting."""
    if not wanted:
        return Anonymized()
    settings = conf.load()
    if not settings.anonymize and not wanted.is_strict:
        raise ConfigurationError(
            'GESTORE["ANONYMIZE"] names no column: nothing would be anonymized.',
            hint="See which columns of text there are with --strict-anonymize.",
        )
    replacements = Anonymizing.of(
        graph,
        _here(graph, settings),
        _salt(settings.anonymize_salt),
        reader.generic_target,
        is_loose=reader.connection.vendor == "mysql",
    )
    findings = list(_external(replacements, closure, is_kept=bool(settings.anonymize_salt)))
    if wanted.is_strict:
        findings += _undecided(replacements, closure)
    labels = replacements.labels(closure.tables())
    return Anonymized(replacements, tuple(labels), tuple(findings))


def _here(graph: Graph, settings: conf.Settings) -> dict[str, Replacement]:
    """The declared columns, but for those of tables that lie in another database."""
    declared = dict(settings.anonymize)
    elsewhere = [label for label in declared if _model(label) not in graph.tables]
    if elsewhere:
        everything = build_graph(settings.relations, settings.unmanaged).tables
        for label in elsewhere:
            if _model(label) in everything:
                del declared[label]
    return declared


def _model(label: str) -> str:
    return label.rpartition(".")[0].lower()


def _salt(kept: str) -> bytes:
    """Without one that is kept, nobody will ever know it."""
    if not kept:
        return secrets.token_bytes(_SALT_BYTES)
    return hashlib.blake2b(kept.encode("utf-8", "surrogatepass"), digest_size=_SALT_BYTES).digest()


def _undecided(replacements: Anonymizing, closure: Closure) -> Iterator[Finding]:
    for table in closure.tables():
        is_owned = closure.count(table.name, Status.OWNED) > 0
        for name in replacements.undecided(table):
            yield Finding(
                "undecided",
                Severity.ERROR if is_owned else Severity.WARNING,
                f"{table.label}.{name}",
                "may hold personal data, and nobody decided what becomes of it.",
                'Name it in GESTORE["ANONYMIZE"]: "gestore.anonymize.keep" leaves it.',
            )


def _external(replacements: Anonymizing, closure: Closure, *, is_kept: bool) -> Iterator[Finding]:
    """External rows are looked for by what they are known by."""
    for name, keys in closure.external.items():
        table = replacements.graph.tables[name]
        if len(keys) and replacements.identity_is_replaced(table):
            only = "only where they came with the same salt" if is_kept else "nowhere"
            yield Finding(
                "external-anonymized",
                Severity.WARNING if is_kept else Severity.ERROR,
                table.label,
                f"{len(keys):,} of its rows are external, and what they are known by is replaced: "
                f"they will be found {only}.",
                f"Take them along with --share {table.label}.",
            )
