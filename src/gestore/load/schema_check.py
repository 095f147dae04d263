"""Do the archive's tables fit the models here? Compares manifest and graph, and asks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..archive.manifest import FORMAT_VERSION, Manifest, TableEntry
from ..errors import Finding, Severity
from ..schema.graph import Graph
from ..schema.table import Table


@dataclass(frozen=True, slots=True)
class SiteState:
    """What the site's migrations are: the last applied one by app, and those not applied."""

    last_migrations: Mapping[str, str]
    known_migrations: frozenset[tuple[str, str]]
    unapplied: tuple[str, ...]
    version: str
    libraries: Mapping[str, str]
    database: str = "default"


def check_schema(
    manifest: Manifest, graph: Graph, site: SiteState, *, ignore_unknown: bool
) -> Iterator[Finding]:
    """Every difference that matters; errors stop an import."""
    if site.unapplied:
        count = len(site.unapplied)
        shown = ", ".join(site.unapplied[:3]) + (f" and {count - 3} more" if count > 3 else "")
        yield Finding(
            "unapplied-migrations",
            Severity.ERROR,
            "this database",
            f"has unapplied migrations: {shown}.",
            "Run: python manage.py migrate"
            + (f" --database {site.database}" if site.database != "default" else ""),
        )
    for name, entry in manifest.tables.items():
        table = graph.tables.get(name)
        if table is None:
            if entry.rows:
                yield _unknown_model(entry.label, graph.undeclared.get(name))
            continue
        yield from _check_columns(entry, table, ignore_unknown=ignore_unknown)
    yield from _check_migrations(manifest, graph, site)
    yield from _check_versions(manifest, site)


def _unknown_model(label: str, undeclared: str | None) -> Finding:
    if undeclared:
        hint = f'{undeclared} is unmanaged here: add it to GESTORE["UNMANAGED"].'
    else:
        hint = "Install its app here, or export without it: --skip " + label
    return Finding("unknown-model", Severity.ERROR, label, "There is no such model here.", hint)


def _check_columns(entry: TableEntry, table: Table, *, ignore_unknown: bool) -> Iterator[Finding]:
    for name, column in entry.columns.items():
        here = table.columns_by_name.get(name)
        subject = f"{table.label}.{name}"
        if here is None:
            yield Finding(
                "unknown-field",
                Severity.WARNING if ignore_unknown else Severity.ERROR,
                subject,
                "is archived, and there is no such field here"
                + ("; its values are dropped." if ignore_unknown else "."),
                "" if ignore_unknown else "Drop its values with -i/--ignorenonexistent.",
            )
        elif (here.kind.value, here.type_name) != (column.kind, column.type):
            yield Finding(
                "changed-type",
                Severity.WARNING,
                subject,
                f"was a {column.type} and is a {here.type_name} here.",
            )
    if entry.key != table.key_names:
        yield Finding(
            "changed-key",
            Severity.ERROR,
            table.label,
            f"was keyed by {', '.join(entry.key)}, here by {', '.join(table.key_names)}.",
            "Bring both sites to the same migration.",
        )
    for column_here in table.value_columns:
        if column_here.name not in entry.columns and not column_here.has_default and entry.rows:
            yield Finding(
                "new-required-field",
                Severity.ERROR,
                f"{table.label}.{column_here.name}",
                "is required here, has no default, and is not in the archive.",
                "Give the field a default, or bring the source to this migration.",
            )


def _check_migrations(manifest: Manifest, graph: Graph, site: SiteState) -> Iterator[Finding]:
    there = {
        name.partition(".")[0]: entry.migration
        for name, entry in manifest.tables.items()
        if entry.migration
    }
    for app, migration in sorted(there.items()):
        here = site.last_migrations.get(app, "")
        if migration == here or not here:
            continue
        is_applied = f"{app}.{migration}" not in site.unapplied
        is_behind = is_applied and (app, migration) in site.known_migrations
        yield Finding(
            "other-migration",
            Severity.WARNING,
            app,
            f"was at migration {migration}; this site is "
            f"{'ahead' if is_behind else 'behind or elsewhere'}, at {here}.",
        )


def _check_versions(manifest: Manifest, site: SiteState) -> Iterator[Finding]:
    if manifest.version != site.version and manifest.format_version < FORMAT_VERSION:
        yield Finding(
            "other-version",
            Severity.WARNING,
            "the archive",
            f"was written by Gestore {manifest.version}; this is {site.version}.",
        )
    differing = [
        f"{name} {manifest.libraries[name]} → {site.libraries[name]}"
        for name in sorted(manifest.libraries)
        if name in site.libraries and site.libraries[name] != manifest.libraries[name]
    ]
    if differing:
        shown = ", ".join(differing[:5]) + (
            f" and {len(differing) - 5} more" if differing[5:] else ""
        )
        yield Finding("other-libraries", Severity.WARNING, "libraries", f"differ: {shown}.")
