"""`manage.py deleteobjects`: an object with everything that belongs to it, out of a database, with
proof."""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import CommandError

from ...batching import BATCH_SECONDS, resume_words
from ...deleting import (
    DeleteOptions,
    DeletePlan,
    DeleteReport,
    delete_objects,
)
from ...errors import UsageError
from ...removal.throttle import Limits
from ...resuming import resume_deletion
from ...schema.policy import Policy
from ..console import (
    Console,
    GestoreCommand,
    add_database,
    add_identity,
    add_objects,
    add_place,
    add_report,
    add_seals,
    add_walk,
    carried_text,
    count_lines,
    file_name,
    files_text,
    is_error,
    keeping,
    named_objects,
    rows_text,
    translated,
    walk_options,
    write_report,
)


class Command(GestoreCommand):
    help = "Archives objects with everything that belongs to them, removes them, and proves it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_objects(parser)
        parser.add_argument(
            "--archive",
            metavar="PATH",
            type=file_name,
            help="the archive that is written first; a name ending in .json or .jsonl (.tar with "
            "files), then .gz or .zst, then .age",
        )
        parser.add_argument(
            "--with-files",
            action="store_true",
            help="archive and remove the uploaded files, too, that no other rows name",
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
        add_place(parser)
        add_seals(parser)
        add_identity(parser)
        _add_steps(parser)
        add_walk(parser, _POLICY_HELP)
        add_database(parser)
        add_report(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(self.stdout, self.stderr, options["verbosity"])
        if options["resume"]:
            self._resume(console, options)
            return
        with translated(console, options["report"], interrupted="nothing was removed"):
            references = named_objects(options)
            _check_terminal(options)

            def show(plan: DeletePlan) -> None:
                _show_plan(console, plan, is_archived=not options["no_archive"])

            def confirm(plan: DeletePlan) -> bool:
                show(plan)
                return _agrees(references)

            # Who is not asked needs no plan of its own: the one that is carried out is shown.
            is_asked = not options["no_input"] and not options["dry_run"]
            report = delete_objects(
                references,
                _delete_options(options),
                confirm=confirm if is_asked else None,
                told=(lambda plan: None) if is_asked else show,
                progress=console.progress(),
            )
        if options["dry_run"]:
            _tell_plan(console, report.plan, options)
            return
        _tell_all(console, report, options)

    def _resume(self, console: Console, options: dict[str, Any]) -> None:
        archive = options["resume"]
        with translated(console, options["report"], interrupted="nothing more was removed"):
            if options["objects"] or options["archive"] or options["no_archive"]:
                raise UsageError(
                    "--resume takes the objects from the archive.", hint="Name nothing else."
                )
            if options["dry_run"]:
                raise UsageError(
                    "--resume goes on with what was begun: there is no dry run of it.",
                    hint="What is left is shown by: "
                    f"verifyobjects {shlex.join(keeping(options).words(archive))} --absent",
                )
            report = resume_deletion(archive, _delete_options(options), progress=console.progress())
        _tell_all(console, report, options)


def _add_steps(parser: ArgumentParser) -> None:
    """The options of a removal in batches."""
    steps = parser.add_argument_group("on a live site")
    steps.add_argument(
        "--commit-every",
        metavar="N",
        type=_positive,
        default=0,
        help="commit after N rows at most, instead of once; can be resumed",
    )
    steps.add_argument(
        "--batch-seconds",
        metavar="S",
        type=_seconds,
        default=BATCH_SECONDS,
        help="how long a batch is to last (default: %(default)s)",
    )
    steps.add_argument(
        "--resume",
        metavar="ARCHIVE",
        type=file_name,
        help="go on with a deletion that was interrupted, from its archive",
    )
    steps.add_argument(
        "--max-lag",
        metavar="S",
        type=_seconds,
        default=0.0,
        help="wait for replicas behind by more",
    )
    steps.add_argument(
        "--pause-file", metavar="PATH", type=file_name, help="wait while this file exists"
    )
    steps.add_argument(
        "--sleep",
        metavar="RATIO",
        type=_seconds,
        default=0.0,
        help="rest RATIO seconds for each second of work",
    )
    steps.add_argument(
        "--max-run-time", metavar="S", type=_seconds, default=0.0, help="stop after S seconds"
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError("must be a whole number, 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ArgumentTypeError("must be a number, more than 0")
    return number


def _delete_options(options: dict[str, Any]) -> DeleteOptions:
    return DeleteOptions(
        walk=walk_options(options),
        archive=options["archive"] or "",
        is_unarchived=options["no_archive"],
        overwrite=options["overwrite"],
        receipt=options["receipt"] or "",
        command=shlex.join(["manage.py", *sys.argv[1:]]),
        dry_run=options["dry_run"],
        commit_every=options["commit_every"],
        batch_seconds=options["batch_seconds"],
        with_files=options["with_files"],
        limits=Limits(
            max_lag_seconds=options["max_lag"],
            pause_file=options["pause_file"] or "",
            sleep_ratio=options["sleep"],
            max_run_seconds=options["max_run_time"],
        ),
        keeping=keeping(options),
    )


def _show_plan(console: Console, plan: DeletePlan, *, is_archived: bool) -> None:
    pointers = "1 pointer" if plan.changed_count == 1 else f"{plan.changed_count:,} pointers"
    _show_counts(console, f"To remove: {rows_text(plan.row_count)}", plan.removed_by_model)
    _show_counts(
        console,
        f"To change, as on_delete says: {pointers} of rows that stay",
        plan.changed_by_relation,
    )
    _show_counts(
        console,
        f"To stay, because others need them: {_rows_in(plan.staying_by_model)}",
        plan.staying_by_model,
    )
    if is_archived:
        _show_counts(
            console,
            f"To stay, and be archived with them: {_rows_in(plan.shared_by_model)}",
            plan.shared_by_model,
        )
    _show_counts(
        console,
        f"To remove, unless other rows name them: {files_text(sum(plan.files_by_field.values()))}",
        plan.files_by_field,
    )
    console.show_findings(plan.findings)


def _show_counts(console: Console, title: str, counts: Mapping[str, int]) -> None:
    if counts:
        console.say(title)
        for line in count_lines(counts):
            console.say(line)


def _rows_in(counts: Mapping[str, int]) -> str:
    return rows_text(sum(counts.values()))


def _tell_plan(console: Console, plan: DeletePlan, options: dict[str, Any]) -> None:
    _show_plan(console, plan, is_archived=not options["no_archive"])
    if options["report"]:
        write_report(options["report"], plan.as_json())
    if plan.blockers:
        raise CommandError(
            "Nothing could be removed: other rows stand in the way.",
            returncode=1 if is_error(plan.findings) else 3,
        )
    console.say("Dry run: nothing was archived or removed.")


def _tell_all(console: Console, report: DeleteReport, options: dict[str, Any]) -> None:
    """What was done is told first: it is done, whether the report can be written or not."""
    try:
        _tell(console, report, options)
    finally:
        if options["report"]:
            write_report(options["report"], report.as_json())


def _tell(console: Console, report: DeleteReport, options: dict[str, Any]) -> None:
    archive = report.receipt.archive if report.receipt else ""
    words = keeping(options).words(options["archive"] or options["resume"] or "")
    if report.archive is not None:
        console.say(
            f"Archived {rows_text(report.archive.row_count)} in {archive} "
            f"(sha256 {report.archive.sha256[:12]}…)."
        )
        if options["with_files"]:
            files = carried_text(report.archive.file_count, report.archive.file_bytes)
            console.say(f"With {files}.")
    if options["receipt"]:
        console.say(f"Receipt: {options['receipt']}")
    if report.files is not None:
        console.say(f"Removed {files_text(report.files.removed)}.")
    if not report.is_finished and report.files is not None:
        console.show_findings(report.left)
        raise CommandError(
            f"Removed {rows_text(report.row_count)}, and not all of their files.\n"
            + _go_on_with_files(words if archive else (), options["database"]),
            returncode=3,
        )
    if not report.is_finished:
        console.show_findings(report.left)
        raise CommandError(
            f"Removed {report.row_count:,} of {rows_text(report.plan.row_count)}.\n"
            "The others stay: they changed, or others point at them, since they were\n"
            "archived. Mend these rows and go on with:\n"
            f"{resume_words(words, options['database'])}\n"
            "Or delete the objects again, into another archive; keep this one too.",
            returncode=3,
        )
    console.show_findings(report.left)
    changed = sum(report.changed_by_model.values())
    if changed:
        pointers = "a row that stays" if changed == 1 else f"{changed:,} rows that stay"
        console.say(f"Changed the pointers of {pointers}.")
    console.say(f"Removed {rows_text(report.row_count)}; nothing is left that points at them.")
    if archive:
        console.say(f"To bring them back: importobjects {shlex.join(words)}")


def _go_on_with_files(archive: Sequence[str], database: str) -> str:
    if not archive:
        return "Remove these by hand."
    return f"Look at these, and go on with:\n{resume_words(archive, database)}"


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


_POLICY_HELP = {
    Policy.OWN: "take rows along, with all that belongs to them, unless others need them",
    Policy.SHARE: "leave rows there, archived when they are pointed at",
    Policy.EXTERNAL: "leave rows there, and out of the archive",
    Policy.SKIP: "leave rows there; those that point without a constraint may point at nothing",
}
