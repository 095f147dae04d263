"""`manage.py importobjects`: an archive's rows, into a database."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from ...arrivals import FileCounts
from ...errors import Severity, UsageError
from ...importing import ImportOptions, ImportReport, import_objects
from ...keeping import Keeping
from ...load.strategies import Strategy
from ...undoing import UndoPlan, undo_import
from ..console import (
    Console,
    GestoreCommand,
    add_archive,
    add_database,
    add_identity,
    add_place,
    add_report,
    count_lines,
    file_name,
    files_text,
    keeping,
    named_archive,
    rows_text,
    translated,
    write_report,
)

_KEPT = "Kept {} that are here in their place:"
_OVERRODE = "Overrode {} that were here:"
_RENEWED = "Gave {} new keys:"
_RESTORED = "Gave {} that stayed their pointers back:"


class Command(GestoreCommand):
    help = "Imports an archive written by exportobjects: all of it, or nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_archive(parser)
        parser.add_argument(
            "--on-conflict",
            action="append",
            default=[],
            metavar="STRATEGY",
            help="what to do when a row is here already: refuse (default), keep, override or "
            "remap; app.Model=STRATEGY for one model",
        )
        parser.add_argument(
            "--new-keys", action="store_true", help="give every owned row a new key: a clone"
        )
        parser.add_argument(
            "--keymap",
            metavar="FILE",
            type=file_name,
            help="write each row's key there and here",
        )
        parser.add_argument(
            "--write-resolutions",
            metavar="FILE",
            type=file_name,
            help="write an entry for each conflict, to be decided by hand",
        )
        parser.add_argument(
            "--resolutions",
            metavar="FILE",
            type=file_name,
            help="decide conflicts as FILE says",
        )
        parser.add_argument(
            "--verify", action="store_true", help="read every row back and compare its values"
        )
        parser.add_argument(
            "--undo", metavar="ID", type=int, help="take import number ID back, if nothing needs it"
        )
        parser.add_argument(
            "--no-input", action="store_true", help="ask nothing: undo after showing the plan"
        )
        parser.add_argument(
            "-i",
            "--ignorenonexistent",
            action="store_true",
            help="drop archived fields that the model does not have",
        )
        parser.add_argument(
            "--strict", action="store_true", help="refuse an archive that was edited"
        )
        parser.add_argument(
            "--upgrade",
            action="store_true",
            help="have the rows of an older archive live through the project's migrations first",
        )
        parser.add_argument(
            "--scratch",
            metavar="ALIAS",
            default="",
            help="the empty database in which they do (default: SQLite in a temporary folder)",
        )
        parser.add_argument(
            "-n",
            "--dry-run",
            "-d",
            "--debug",
            action="store_true",
            help="do everything and roll back",
        )
        parser.add_argument(
            "-o", "--override", action="store_true", help="the same as --on-conflict override"
        )
        add_place(parser)
        add_identity(parser)
        add_database(parser)
        add_report(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(self.stdout, self.stderr, options["verbosity"])
        with translated(console, options["report"], interrupted="nothing was changed"):
            if options["undo"] is not None:
                self._undo(console, options)
                return
            report = import_objects(
                named_archive(options), _import_options(options), progress=console.progress()
            )
        self._tell(console, report)
        if options["report"]:
            write_report(options["report"], report.as_json())

    def _undo(self, console: Console, options: dict[str, Any]) -> None:
        if options["archive"] is not None or keeping(options) != Keeping():
            raise UsageError("--undo takes no archive: it knows what the import inserted.")

        def confirm(plan: UndoPlan) -> bool:
            console.say(
                f"Import {plan.number} of {plan.archive}, {plan.imported_at:%Y-%m-%d %H:%M}: "
                f"{rows_text(plan.row_count)} to remove"
            )
            for line in count_lines(plan.rows_by_model):
                console.say(line)
            if plan.file_count:
                console.say(f"And {files_text(plan.file_count)} that it wrote.")
            return options["no_input"] or options["dry_run"] or _agrees(plan.number)

        plan = undo_import(
            options["undo"],
            database=options["database"],
            dry_run=options["dry_run"],
            confirm=confirm,
            progress=console.progress(),
        )
        if options["dry_run"]:
            console.say(f"Would remove {rows_text(plan.row_count)}.")
            console.say("Dry run: everything was rolled back.")
        else:
            console.say(f"Removed {rows_text(plan.row_count)}: import {plan.number} is undone.")
        if plan.files is not None:
            console.show_findings(plan.left)
            console.say(f"Removed {files_text(plan.files.removed)}.")
        if options["report"]:
            write_report(options["report"], plan.as_json())
        if any(finding.severity is Severity.BLOCKER for finding in plan.left):
            raise CommandError(
                "Not all of the import's files are gone. Try again with:\n"
                f"importobjects --undo {plan.number}",
                returncode=1,
            )

    def _tell(self, console: Console, report: ImportReport) -> None:
        for line in count_lines(report.loaded_by_model):
            console.say(line)
        console.show_findings(report.findings)
        for counts, of_one, of_many in (
            (report.kept_by_model, "Kept 1 row that is here in its place:", _KEPT),
            (report.overridden_by_model, "Overrode 1 row that was here:", _OVERRODE),
            (report.renewed_by_model, "Gave 1 row a new key:", _RENEWED),
            (report.restored_by_model, "Gave 1 row that stayed its pointers back:", _RESTORED),
        ):
            if counts:
                count = sum(counts.values())
                console.say(of_one if count == 1 else of_many.format(rows_text(count)))
                for line in count_lines(counts):
                    console.say(line)
        done_to_others = report.kept_count + report.overridden_count + report.restored_count
        if not report.loaded_count and not done_to_others:
            console.say(f"Nothing to import: all {rows_text(report.here_count)} are here already.")
            return
        done = "Would import" if report.is_dry_run else "Imported"
        were = "was" if report.here_count == 1 else "were"
        here = f", {report.here_count:,} {were} here already" if report.here_count else ""
        console.say(f"{done} {rows_text(report.loaded_count)} from {report.archive}{here}.")
        if report.files != FileCounts():
            console.say(_files_line(report.files, is_dry_run=report.is_dry_run))
        if report.number:
            console.say(f"This is import {report.number}: importobjects --undo {report.number}")
        if report.is_dry_run:
            console.say("Dry run: everything was rolled back.")


def _files_line(files: FileCounts, *, is_dry_run: bool) -> str:
    """What became of the uploaded files that the written rows name."""
    done = "Would write" if is_dry_run else "Wrote"
    were = "was" if files.here == 1 else "were"
    here = f", {files.here:,} {were} here already" if files.here else ""
    renamed = f" ({files.renamed:,} under other names than in the archive)" if files.renamed else ""
    return f"{done} {files_text(files.written)}{here}{renamed}."


def _import_options(options: dict[str, Any]) -> ImportOptions:
    of_run = Strategy.OVERRIDE if options["override"] else Strategy.REFUSE
    by_model: dict[str, Strategy] = {}
    for text in options["on_conflict"]:
        label, equals, word = text.rpartition("=")
        strategy = _strategy(word)
        if equals and not label:
            raise UsageError(f"{text!r} names no model.", hint="Write app_label.Model=STRATEGY.")
        if equals:
            by_model[label] = strategy
        else:
            of_run = strategy
    return ImportOptions(
        database=options["database"],
        on_conflict=of_run,
        strategies=by_model,
        ignore_unknown=options["ignorenonexistent"],
        strict=options["strict"],
        dry_run=options["dry_run"],
        new_keys=options["new_keys"],
        verify=options["verify"],
        keymap=options["keymap"] or "",
        resolutions=options["resolutions"] or "",
        write_resolutions=options["write_resolutions"] or "",
        upgrade=options["upgrade"],
        scratch=options["scratch"],
        keeping=keeping(options),
    )


def _agrees(number: int) -> bool:
    """Ask for the number; without a terminal there is nobody to ask."""
    if not _is_terminal():
        raise UsageError(
            "Undoing asks first, and there is no terminal.", hint="Add --no-input to go ahead."
        )
    try:
        return input(f"Type {number} to remove these rows: ").strip() == str(number)
    except EOFError:
        return False


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _strategy(word: str) -> Strategy:
    try:
        return Strategy(word)
    except ValueError as error:
        words = ", ".join(strategy.value for strategy in Strategy)
        raise UsageError(f"There is no strategy {word!r}.", hint=f"Choose: {words}.") from error
