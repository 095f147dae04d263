"""How do rows look to a person? One CSV file a model, and a page that says what is in them.

For people who ask for their data, not for machines: nothing of it can be imported.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias

from django.utils.text import capfirst

from ..errors import UsageError
from ..rows import Value
from ..schema.introspect import title_of
from ..schema.table import Column, Kind, Table
from .storage import check_free, exists_already, new_file, new_folder

ZIP = ".zip"
PAGE = "index.html"
_MARK = "﻿"  # by it spreadsheets know that the text is UTF-8
# What a spreadsheet would take for a formula.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
Show: TypeAlias = "Callable[[Any], str]"


@dataclass(frozen=True, slots=True)
class Sheet:
    """The file of one model: what people call it, its columns, its rows."""

    file_name: str
    title: str
    columns: tuple[str, ...]
    row_count: int


class Binder(Protocol):
    """Takes files, one after the other."""

    def new(self, name: str) -> Any:
        """A context manager with a file to be written under the name."""


@contextmanager
def binder(name: str, *, overwrite: bool = False) -> Iterator[Binder]:
    """A zip file, or a folder: all of it or nothing is there in the end."""
    if name.endswith(ZIP):
        with (
            new_file(Path(name), overwrite=overwrite) as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed,
        ):
            yield _Zipped(packed)
        return
    check_place(name, overwrite=False)
    with new_folder(Path(name)) as folder:
        yield _Folder(folder)


def check_place(name: str, *, overwrite: bool) -> None:
    """Find out early that there is no place for it."""
    path = Path(name)
    if name.endswith(ZIP):
        check_free(path, overwrite=overwrite)
        return
    if overwrite:
        raise UsageError("A folder is never replaced.", hint="Name a new one, or a .zip file.")
    if path.exists():
        raise exists_already(path, "Choose another name, or end it in .zip.")
    check_free(path / PAGE, overwrite=False)


@dataclass(frozen=True, slots=True)
class _Zipped:
    packed: zipfile.ZipFile

    @contextmanager
    def new(self, name: str) -> Iterator[IO[bytes]]:
        with self.packed.open(name, "w", force_zip64=True) as file:
            yield file


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path

    @contextmanager
    def new(self, name: str) -> Iterator[IO[bytes]]:
        with new_file(self.path / name) as file:
            yield file


# Sheets -------------------------------------------------------------------------------------------


def write_sheet(binder: Binder, table: Table, rows: Iterable[Sequence[Value]]) -> Sheet:
    """The rows of one table, in the order they come; values in `table.columns` order."""
    columns = tuple(map(_heading, table.columns))
    shows = [_show(column) for column in table.columns]
    name, count = f"{table.name}.csv", 0
    with binder.new(name) as file:
        text = io.TextIOWrapper(file, "utf-8", errors="replace", newline="")
        text.write(_MARK)
        lines = csv.writer(text)
        lines.writerow(columns)
        for row in rows:
            lines.writerow([show(value) for show, value in zip(shows, row, strict=True)])
            count += 1
        text.flush()
        # Whoever opened the file closes it.
        text.detach()
    return Sheet(name, title_of(table.model), columns, count)


def _heading(column: Column) -> str:
    field: Any = column.field
    return capfirst(str(getattr(field, "verbose_name", None) or column.name.replace("_", " ")))


def _show(column: Column) -> Show:
    choices: dict[Any, Any] = dict(getattr(column.field, "flatchoices", None) or ())
    plain = _SHOWN.get(column.kind, _shown_text)

    def show(value: Any) -> str:
        if value is None:
            return ""
        if choices:
            try:
                return _no_formula(str(choices.get(value, value)))
            except TypeError:
                # A value that cannot be a choice's: a list, for one.
                return _no_formula(str(value))
        return plain(value)

    return show


def _shown_text(value: Any) -> str:
    return _no_formula(str(value))


def _no_formula(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _shown_moment(value: Any) -> str:
    return str(value.isoformat(sep=" "))


def _shown_json(value: Any) -> str:
    return _no_formula(value if isinstance(value, str) else json.dumps(value, default=str))


_SHOWN: dict[Kind, Show] = {
    Kind.INTEGER: str,
    Kind.FLOAT: str,
    Kind.DECIMAL: str,
    Kind.DURATION: str,
    Kind.BOOLEAN: lambda value: "yes" if value else "no",
    Kind.DATETIME: _shown_moment,
    Kind.JSON: _shown_json,
    Kind.BINARY: lambda value: f"({len(value):,} bytes)",
}


# The page -----------------------------------------------------------------------------------------


def write_page(
    binder: Binder,
    objects: Sequence[str],
    sheets: Sequence[Sheet],
    moment: str,
    anonymized: Sequence[str] = (),
) -> None:
    """The page that shows what is in the folder; `anonymized` are columns with other values."""
    rows = "\n".join(map(_page_row, sheets))
    page = _PAGE.format(
        objects=escape(", ".join(objects)),
        moment=escape(moment),
        rows=rows,
        anonymized=_ANONYMIZED.format(escape(", ".join(anonymized))) if anonymized else "",
    )
    with binder.new(PAGE) as file:
        file.write(page.encode())


def _page_row(sheet: Sheet) -> str:
    columns = escape(", ".join(sheet.columns))
    return (
        f'<tr><td><a href="{escape(sheet.file_name)}">{escape(sheet.title)}</a></td>'
        f'<td class="count">{sheet.row_count:,}</td><td>{columns}</td></tr>'
    )


_ANONYMIZED = "<p>Anonymized: these columns hold other values than the database does: {}.</p>\n"
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data of {objects}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border-bottom: 1px solid #ccc; padding: .4rem .6rem; text-align: left; }}
td {{ vertical-align: top; }}
.count {{ text-align: right; font-variant-numeric: tabular-nums; }}
</style>
</head>
<body>
<h1>Data of {objects}</h1>
<p>As it was on {moment}. Each file is a table in CSV, which any spreadsheet opens. A cell that
begins
with an apostrophe holds a text that a spreadsheet would take for a formula.</p>
<table>
<thead><tr><th>File</th><th class="count">Rows</th><th>Columns</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
{anonymized}<p>This is for people to read. It is no archive: it cannot be imported.</p>
</body>
</html>
"""
