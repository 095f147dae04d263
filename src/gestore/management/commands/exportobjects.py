"""`manage.py exportobjects`: an object with everything that belongs to it, into an archive."""

from __future__ import annotations

import socket
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from ...archive.encryption import AGE
from ...archive.writer import Destination, is_archive_name
from ...errors import UsageError
from ...exporting import ExportReport, export_objects
from ...keeping import Keeper, Keeping, seals_by_default
from ...planning import plan_objects
from ..console import (
    Console,
    GestoreCommand,
    add_anonymize,
    add_database,
    add_objects,
    add_place,
    add_report,
    add_seals,
    add_walk,
    carried_text,
    count_lines,
    is_error,
    keeping,
    named_objects,
    rows_text,
    show_anonymized,
    translated,
    walk_options,
    write_report,
)
from ..plan_text import plan_lines

_FOLDER = "exports"
_FORMS = tuple(
    layout + packing + sealing
    for layout in ("json", "jsonl", "tar")
    for packing in ("", ".gz", ".zst")
    for sealing in ("", AGE)
)
_TABLES = "csv"


class Command(GestoreCommand):
    help = "Exports objects, with everything in the database that belongs to them, into a file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_objects(parser)
        parser.add_argument(
            "-o",
            "--output",
            default=_FOLDER,
            metavar="PATH",
            help="a name ending in .json or .jsonl (.tar with files), then .gz or .zst, then .age; "
            "- for standard output; any other path is a folder, in which a name is made (default: "
            "%(default)s)",
        )
        parser.add_argument(
            "--format",
            choices=(*_FORMS, _TABLES),
            metavar="FORM",
            help="what to write where no name says it, json.gz.age for instance: to standard "
            "output (default: jsonl) or into a folder (default: json), with files tar; csv: tables "
            "for people, into a new folder or a .zip, which cannot be imported",
        )
        parser.add_argument(
            "--with-files",
            action="store_true",
            help="take the uploaded files along that the objects' rows name, into a .tar",
        )
        parser.add_argument(
            "--overwrite", action="store_true", help="replace the file if it exists"
        )
        parser.add_argument(
            "-d",
            "--debug",
            action="store_true",
            help="print the document instead of writing it",
        )
        parser.add_argument(
            "-n", "--dry-run", action="store_true", help="show the plan and write nothing"
        )
        parser.add_argument(
            "--workers",
            type=int,
            metavar="N",
            help="sessions that read at once, on PostgreSQL (default: 2 where it can be)",
        )
        add_place(parser)
        add_seals(parser)
        add_anonymize(parser)
        add_walk(parser)
        add_database(parser)
        add_report(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(self.stdout, self.stderr, options["verbosity"])
        is_payload = options["output"] == "-" or options["debug"]
        if is_payload and not options["dry_run"]:
            console = console.for_payload()
        left = "what was written is not whole" if is_payload else "nothing was written"
        with translated(console, options["report"], interrupted=left):
            if options["debug"] and options["with_files"]:
                raise UsageError(
                    "--debug prints a document, and files are none.", hint="Leave --with-files out."
                )
            kept = keeping(options)
            _check_kept(kept, options)
            if options["format"] == _TABLES and not options["dry_run"]:
                self._tabulate(console, options)
                return
            name, form = _name(options, kept), _form(options, "jsonl", kept)
            if options["dry_run"]:
                keeper = Keeper(kept)
                destination = keeper.destination(
                    name,
                    form=form,
                    overwrite=options["overwrite"],
                    with_files=options["with_files"],
                )
                self._plan(console, options, destination)
                return
            report = export_objects(
                named_objects(options),
                name,
                walk_options(options),
                form=form,
                overwrite=options["overwrite"],
                with_files=options["with_files"],
                progress=console.progress(),
                workers=options["workers"],
                keeping=kept,
                anonymize=options["anonymize"],
                strict_anonymize=options["strict_anonymize"],
            )
        self._tell(console, report, options)
        if options["report"]:
            write_report(options["report"], report.as_json())

    def _tabulate(self, console: Console, options: dict[str, Any]) -> None:
        """Tables for people: another pipeline, and no archive."""
        from ...tabulating import tabulate_objects

        report = tabulate_objects(
            named_objects(options),
            _place_of_tables(options),
            walk_options(options),
            overwrite=options["overwrite"],
            progress=console.progress(),
            anonymize=options["anonymize"],
            strict_anonymize=options["strict_anonymize"],
        )
        for line in count_lines(report.rows_by_model):
            console.say(line)
        console.show_findings(report.findings)
        show_anonymized(console, report.anonymized)
        console.say(f"Wrote {rows_text(report.row_count)} as tables to {report.name}")
        console.say("They are for people to read, and cannot be imported.")
        if options["report"]:
            write_report(options["report"], report.as_json())

    def _plan(self, console: Console, options: dict[str, Any], destination: Destination) -> None:
        destination.check()
        plan = plan_objects(
            named_objects(options),
            walk_options(options),
            progress=console.progress(),
            anonymize=options["anonymize"],
            strict_anonymize=options["strict_anonymize"],
        )
        for line in plan_lines(plan):
            console.say(line)
        console.show_findings(plan.findings)
        if options["report"]:
            write_report(options["report"], plan.as_json())
        if is_error(plan.findings):
            raise CommandError("This cannot be exported as it is.", returncode=1)
        console.say("Dry run: nothing was written.")

    def _tell(self, console: Console, report: ExportReport, options: dict[str, Any]) -> None:
        totals = {
            label: report.owned_by_model.get(label, 0) + report.shared_by_model.get(label, 0)
            for label in [*report.owned_by_model, *report.shared_by_model]
        }
        for line in count_lines(totals):
            console.say(line)
        console.show_findings(report.findings)
        show_anonymized(console, report.anonymized)
        where = "standard output" if report.archive.name == "-" else report.archive.name
        owned = sum(report.owned_by_model.values())
        shared = sum(report.shared_by_model.values())
        console.say(
            f"Exported {rows_text(report.row_count)} ({owned:,} owned, {shared:,} shared) "
            f"to {where}"
        )
        if options["with_files"]:
            files = carried_text(report.archive.file_count, report.archive.file_bytes)
            console.say(f"With {files}.")
        console.say(f"sha256 {report.archive.sha256}")


def _check_kept(kept: Keeping, options: dict[str, Any]) -> None:
    """What is no archive in a place of its own can be neither stored nor sealed."""
    if options["dry_run"] or not kept.writes_specially:
        return
    what = ""
    if options["format"] == _TABLES:
        what = "Tables for people are written to files of this machine, as they are."
    elif options["debug"]:
        what = "With -d the document is printed, to be read."
    if what:
        raise UsageError(what, hint="Leave out --storage, --bucket, --encrypt-to and --sign.")


def _form(options: dict[str, Any], default: str, kept: Keeping) -> str:
    if options["debug"]:
        default = "json"
    elif options["with_files"]:
        default = "tar"
    form: str = options["format"] or default
    if form == _TABLES:
        # Only a plan gets here with it: what is planned is the same in any form.
        form = default
    is_said = bool(options["format"]) and not kept.encrypt_to
    if is_said or options["debug"] or form.endswith(AGE) or not seals_by_default(kept):
        return form
    return form + AGE


def _place_of_tables(options: dict[str, Any]) -> str:
    """A `.zip`, a folder that is not there yet, or a new one in a folder that is."""
    output: str = options["output"]
    if options["with_files"]:
        raise UsageError(
            "Tables carry no uploaded files, only their names.", hint="Leave --with-files out."
        )
    if options["debug"] or output == "-" or is_archive_name(output):
        raise UsageError(
            "Tables are several files: they go into a folder, or into a .zip.",
            hint="Name one with -o.",
        )
    if output.endswith(".zip"):
        return output
    _check_folder_name(output)
    if output == _FOLDER or Path(output).is_dir():
        return str(Path(output) / _new_name())
    return output.rstrip("/")


def _new_name() -> str:
    return f"{socket.gethostname()}-{datetime.now(UTC).strftime('%Y%m%dT%H%M%S%fZ')}"


def _name(options: dict[str, Any], kept: Keeping) -> str:
    """Where to write: as the name says; any other path is a folder, in which a name is made."""
    output: str = "-" if options["debug"] else options["output"]
    if output == "-":
        return output
    if not is_archive_name(output):
        _check_folder_name(output, is_stored=kept.storage != "" or kept.bucket)
        return str(Path(output) / f"{_new_name()}.{_form(options, 'json', kept)}")
    form = options["format"]
    if form in _FORMS and not output.endswith(f".{form}"):
        raise UsageError(
            f"{output} does not end in .{form}.",
            hint="The name says what to write: leave --format out, or change the name.",
        )
    return output


def _check_folder_name(output: str, *, is_stored: bool = False) -> None:
    """`acme.zip` is a file that cannot be written, more likely than a folder."""
    if not output:
        raise UsageError("The name after -o is empty.", hint="Name a file or a folder.")
    is_folder = output.endswith("/") or (not is_stored and Path(output).is_dir())
    if Path(output).suffix and not is_folder:
        raise UsageError(
            f"{output}: the name does not say what to write.",
            hint="End it in .json, .jsonl or .tar, then .gz or .zst; or in / to name a folder.",
        )
