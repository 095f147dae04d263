"""Does every line live where the house says that it lives?

Who may import whom is held by import-linter; here is what it cannot see.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "gestore"
FILES = sorted(
    path
    for path in SOURCE.rglob("*.py")
    if path.read_text("utf-8").strip() and path.parent.name != "migrations"
)


def named(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@cache
def code_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def places(found: Iterator[tuple[Path, ast.AST]]) -> list[str]:
    return sorted({f"{named(path)}:{getattr(node, 'lineno', 0)}" for path, node in found})


@cache
def nodes() -> tuple[tuple[Path, ast.AST], ...]:
    return tuple((path, node) for path in FILES for node in ast.walk(code_of(path)))


def outside(*allowed: str) -> Iterator[tuple[Path, ast.AST]]:
    kept = {path for path in FILES if not _is_in(path, allowed)}
    return ((path, node) for path, node in nodes() if path in kept)


def _is_in(path: Path, rooms: Iterable[str]) -> bool:
    return any(named(path) == room or named(path).startswith(f"{room}/") for room in rooms)


# Where Django's own API gives no other way; each with its reason beside it in the code.
META = ("schema/introspect.py",)
KNOWN_META = {
    # The label of a field's model, for an error message.
    "archive/values.py",
    # Are Gestore's own tables there?
    "database/journal.py",
    "database/records.py",
}


def test_meta_is_read_in_one_file() -> None:
    found = places(
        (path, node)
        for path, node in outside(*META)
        if isinstance(node, ast.Attribute) and node.attr == "_meta"
    )
    assert {place.partition(":")[0] for place in found} <= KNOWN_META


def test_settings_are_read_in_one_file() -> None:
    found = places(
        (path, node)
        for path, node in outside("conf.py")
        if isinstance(node, ast.ImportFrom)
        and (node.module, node.names[0].name) in (("django.conf", "settings"), ("django", "conf"))
    )
    assert found == []


FILE_CALLS = {
    "open",
    "read_text",
    "write_text",
    "read_bytes",
    "write_bytes",
    "unlink",
    "rename",
    "mkdir",
    "NamedTemporaryFile",
    "TemporaryFile",
}
# The report that was asked for, the terminal, and the map of keys: said by the command, not by
# an archive. What is installed is read of the libraries' own metadata.
KNOWN_FILES = {
    "management/console.py",
    "exporting.py",
    # The same in storages of the project's, in a tar, and for what rows name.
    "archive/shelf.py",
    "archive/container.py",
    "archive/sheets.py",
    "uploads.py",
    "arrivals.py",
}


def test_files_are_opened_in_one_file() -> None:
    found = places(
        (path, node)
        for path, node in outside("archive/storage.py")
        if isinstance(node, ast.Call) and _called(node) in FILE_CALLS
    )
    assert {place.partition(":")[0] for place in found} <= KNOWN_FILES


def _called(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Name):
        # `write_text` alone is the archive room's own.
        return function.id if function.id == "open" else ""
    return function.attr if isinstance(function, ast.Attribute) else ""


SQL = re.compile(r"\b(SELECT\s.+\sFROM|INSERT INTO|UPDATE\s.+\sSET|DELETE FROM)\s")
QUERIES = {"cursor", "_base_manager", "_default_manager", "bulk_create"}


def test_database_is_asked_in_one_room() -> None:
    allowed = {
        # Which natural key a model has is asked of its manager; no row is.
        "schema/introspect.py",
        # A model is a declaration.
        "models.py",
        # What is known of files while they travel, and of keys that changed: in a database of its
        # own, in a temporary file.
        "uploads.py",
        "arrivals.py",
        "load/pairs.py",
    }
    found = places(
        (path, node)
        for path, node in outside("database")
        if (isinstance(node, ast.Constant) and SQL.search(str(node.value)))
        or (isinstance(node, ast.Attribute) and (node.attr in QUERIES or _is_manager(node)))
    )
    assert {place.partition(":")[0] for place in found} <= allowed


def _is_manager(node: ast.Attribute) -> bool:
    """`Model.objects.anything`"""
    return (
        isinstance(node.value, ast.Attribute)
        and node.value.attr == "objects"
        and isinstance(node.value.value, ast.Name)
        and node.value.value.id[:1].isupper()
    )


def test_rows_and_archives_know_no_database() -> None:
    """Not even through Django: a key, a byte and a decision need no connection."""
    rooms = ("walk", "archive", "load", "rows.py", "references.py", "progress.py", "errors.py")
    found = [
        f"{named(path)}:{node.lineno}"
        for path, node in nodes()
        if isinstance(node, ast.ImportFrom)
        and _is_in(path, rooms)
        and (node.module or "").startswith("django.db")
        and node.lineno not in _type_only_lines(path)
    ]
    assert found == []


@cache
def _type_only_lines(path: Path) -> frozenset[int]:
    return frozenset(
        child.lineno
        for parent in ast.walk(code_of(path))
        if isinstance(parent, ast.If) and "TYPE_CHECKING" in ast.unparse(parent.test)
        for child in parent.body
    )


@pytest.mark.parametrize("path", FILES, ids=named)
def test_file_says_what_it_answers(path: Path) -> None:
    first = (ast.get_docstring(code_of(path)) or "").partition("\n\n")[0]
    assert first[:1].isupper() or first.startswith("`")
    assert first.endswith((".", "?"))


NO_NAMES = {"utils", "helpers", "common", "base", "manager", "handler", "processor", "service"}


def test_names_say_something() -> None:
    parts = {part for path in FILES for part in Path(named(path)).with_suffix("").parts}
    assert parts.isdisjoint(NO_NAMES)
    classes = {
        node.name.lower()
        for _, node in nodes()
        if isinstance(node, ast.ClassDef) and node.name not in ("Command",)
    }
    assert [name for name in classes if name.endswith(tuple(NO_NAMES - {"base"}))] == []


def test_nothing_is_swallowed() -> None:
    """`except:` and `except Exception: pass` hide what went wrong."""
    found = places(
        (path, node)
        for path, node in nodes()
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or (
                ast.unparse(node.type) in ("Exception", "BaseException")
                and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            )
        )
    )
    assert found == []


def test_modules_keep_no_state() -> None:
    """Two runs in one process must not meet: module names are constants."""
    mutable = (ast.List, ast.Set, ast.ListComp, ast.SetComp, ast.DictComp)
    found = [
        f"{named(path)}:{statement.lineno}"
        for path in FILES
        for statement in code_of(path).body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.value, mutable)
        and not all(_is_constant(target) for target in statement.targets)
    ]
    assert found == []


def _is_constant(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and (target.id.isupper() or target.id == "__all__")


def test_signatures_have_no_any() -> None:
    """`Any` is for what Django leaves open, inside; never in what another room calls."""
    allowed = (
        "schema",
        "database",
        "conf.py",
        "checks.py",
        "management",
        "archive",
        "errors.py",
        "load/resolutions.py",
        # Keys of any type that compare with one another.
        "walk/spill.py",
    )
    found = places(
        (path, node)
        for path, node in outside(*allowed)
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and any(
            isinstance(inner, ast.Name) and inner.id == "Any"
            for part in [*node.args.args, *node.args.kwonlyargs]
            if part.annotation is not None
            for inner in ast.walk(part.annotation)
        )
    )
    assert found == []


def test_words_of_the_glossary_are_the_words() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text("utf-8").lower()
    words = (
        "reference root table relation policy closure key row batch archive manifest finding "
        "conflict strategy source target plan blocker receipt owned shared external"
    )
    assert [word for word in words.split() if f"**{word}" not in glossary] == []
