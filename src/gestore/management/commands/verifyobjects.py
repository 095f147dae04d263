"""`manage.py verifyobjects`: is an archive whole, and does a database hold what it says?"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from ...errors import Findings, Severity
from ...verifying import VerifyReport, verify_archive
from ..console import (
    Console,
    GestoreCommand,
    add_archive,
    add_database,
    add_identity,
    add_place,
    add_report,
    carried_text,
    count_lines,
    files_text,
    keeping,
    named_archive,
    rows_text,
    translated,
    write_report,
)


class Command(GestoreCommand):
    help = "Reads an archive from end to end; with --compare, holds it against the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_archive(parser)
        parser.add_argument(
            "--compare", action="store_true", help="compare every row with the database's"
        )
        parser.add_argument(
            "--absent",
            action="store_true",
            help="look whether anything is left, or is back, of what a deletion removed",
        )
        parser.add_argument(
            "--strict", action="store_true", help="refuse an archive that was edited"
        )
        add_place(parser)
        add_identity(parser)
        add_database(parser)
        add_report(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(self.stdout, self.stderr, options["verbosity"])
        with translated(console, options["report"]):
            report = verify_archive(
                named_archive(options),
                compare=options["compare"],
                absent=options["absent"],
                database=options["database"],
                strict=options["strict"],
                progress=console.progress(),
                keeping=keeping(options),
            )
        if options["report"]:
            write_report(options["report"], report.as_json())
        self._tell(console, report)

    def _tell(self, console: Console, report: VerifyReport) -> None:
        for line in count_lines(report.rows_by_model):
            console.say(line)
        console.show_findings(report.findings)
        is_edited = any(finding.code == "archive-edited" for finding in report.findings)
        console.say(
            f"{report.archive} {'has' if is_edited else 'is whole:'} "
            f"{rows_text(report.row_count)} of {', '.join(report.manifest.provided_objects)}."
        )
        if report.file_count:
            files = carried_text(report.file_count, report.file_bytes)
            console.say(f"Its files are whole, too: {files}.")
        console.say(f"sha256 {report.sha256}")
        if report.signer:
            console.say(f"Signed by {report.signer}")
        if report.same_by_model is not None and report.absent_by_model is not None:
            _tell_comparison(console, report, report.same_by_model, report.absent_by_model)
        if report.left is not None:
            _tell_absence(console, report, report.left)


def _tell_comparison(
    console: Console, report: VerifyReport, same: dict[str, int], absent: dict[str, int]
) -> None:
    absent_count = sum(absent.values())
    differing = sum(finding.severity is Severity.CONFLICT for finding in report.findings)
    if absent_count or differing:
        raise CommandError(
            f"The database differs: {sum(same.values()):,} rows are the same, "
            f"{absent_count:,} absent, {differing:,} different.",
            returncode=3,
        )
    console.say("The database holds all of them, with the same values.")


def _tell_absence(console: Console, report: VerifyReport, left: Findings) -> None:
    if left:
        console.show_findings(left)
        files = sum(finding.code == "file-still-there" for finding in left)
        rows = len(left) - files
        told = f"{rows:,} {'row is' if rows == 1 else 'rows are'} there, or point at removed ones"
        if files:
            told = f"{told}; {files_text(files)} {'is' if files == 1 else 'are'} there"
        raise CommandError(f"Not absent: {told}.", returncode=3)
    if report.file_count:
        console.say("None of its files is there, but for those that other rows name.")
    console.say("None of the rows it owns is in the database, and nothing points at them.")
