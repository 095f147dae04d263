"""`manage.py deleteobjects`: an object with everything that belongs to it, out of a database, with
proof."""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from ...deleting import DeleteOptions, DeletePlan, DeleteReport, delete_objects
from ...errors import UsageError
from ..console import (
    Console,
    add_database,
    add_objects,
    add_report,
    add_walk,
    checks_without_databases,
    count_lines,
    file_name,
    named_objects,
    rows_text,
    translated,
    walk_options,
    write_report,
)


class Command(BaseCommand):
    help = "Archives objects with everything that belongs to them, removes them, and proves it."
    get_check_kwargs = checks_without_databases

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_objects(parser)
        parser.add_argument(
            "--archive",
            metavar="PATH",
            type=file_name,
            help="the archive that is written first; a name ending in .json or .jsonl, then .gz "
            "or .zst",
        )
        parser.add_argument(
            "--no-archive", action="store_true", help="remove without an archive: gone for good"
        )
        parser.add_argument(
            "--overwrite", action="store_true", help="replace the archive if it exists"
        )
        parser.add_argument(
            "--receipt", metavar="FILE", type=file_name, help="write what was done to FILE, as JSON"
        )
        parser.add_argument("--no-input", action="store_true", help="ask nothing: remove at once")
        parser.add_argument(
            "-n",
            "--dry-run",
            "-d",
            "--debug",
            action="store_true",
            help="show the plan, and neither archive nor remove anything",
        )
        add_walk(parser)
        add_database(parser)
        add_report(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(self.stdout, self.stderr, options["verbosity"])
        with translated(console, options["report"], interrupted="nothing was removed"):
            references = named_objects(options)
            _check_terminal(options)

            def confirm(plan: DeletePlan) -> bool:
                _show_plan(console, plan)
                return options["no_input"] or _agrees(references)

            report = delete_objects(
                references,
                _delete_options(options),
                confirm=None if options["dry_run"] else confirm,
                progress=console.progress(),
            )
        if options["dry_run"]:
            _show_plan(console, report.plan)
            console.say("Dry run: nothing was archived or removed.")
        else:
            _tell(console, report, options)
        if options["report"]:
            write_report(options["report"], report.as_json())


def _delete_options(options: dict[str, Any]) -> DeleteOptions:
    return DeleteOptions(
        walk=walk_options(options),
        archive=options["archive"] or "",
        is_unarchived=options["no_archive"],
        overwrite=options["overwrite"],
        receipt=options["receipt"] or "",
        command=shlex.join(["manage.py", *sys.argv[1:]]),
        dry_run=options["dry_run"],
    )


def _show_plan(console: Console, plan: DeletePlan) -> None:
    console.say(f"To remove: {rows_text(plan.row_count)}")
    for line in count_lines(plan.removed_by_model):
        console.say(line)
    if plan.changed_by_relation:
        console.say("To change: pointers of rows that stay")
        for line in count_lines(plan.changed_by_relation):
            console.say(line)
    if plan.staying_by_model:
        console.say("To stay, because others need them:")
        for line in count_lines(plan.staying_by_model):
            console.say(line)
    console.show_findings(plan.findings)


def _tell(console: Console, report: DeleteReport, options: dict[str, Any]) -> None:
    if report.archive is not None:
        console.say(
            f"Archived {rows_text(report.archive.row_count)} in {report.archive.name} "
            f"(sha256 {report.archive.sha256[:12]}…)."
        )
    console.say(f"Removed {rows_text(report.row_count)}; nothing is left that points at them.")
    if options["receipt"]:
        console.say(f"Receipt: {options['receipt']}")
    if report.archive is not None:
        console.say(f"To bring them back: importobjects {report.archive.name}")


def _check_terminal(options: dict[str, Any]) -> None:
    if not options["no_input"] and not options["dry_run"] and not sys.stdin.isatty():
        raise UsageError(
            "Deleting asks first, and there is no terminal.", hint="Add --no-input to go ahead."
        )


def _agrees(references: list[str]) -> bool:
    wanted = " ".join(references)
    try:
        return input(f"Type {wanted} to remove these rows: ").strip() == wanted
    except EOFError:
        return False
