"""`manage.py planobjects`: what an export would take, what not, and why."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from ...planning import plan_objects
from ..console import (
    Console,
    GestoreCommand,
    add_anonymize,
    add_database,
    add_objects,
    add_report,
    add_walk,
    is_error,
    named_objects,
    translated,
    walk_options,
    write_report,
)
from ..plan_text import plan_dot, plan_json, plan_lines, plan_mermaid

_FORMATS = {"json": plan_json, "dot": plan_dot, "mermaid": plan_mermaid}


class Command(GestoreCommand):
    help = "Shows what exporting objects would take, what it would leave, and why."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_objects(parser)
        parser.add_argument(
            "--why",
            nargs="+",
            action="extend",
            default=[],
            metavar="app_label.Model.key",
            help="print the chain of relations that brings this row in",
        )
        parser.add_argument(
            "--format",
            choices=["text", *_FORMATS],
            default="text",
            help="how to show the plan (default: %(default)s)",
        )
        add_anonymize(parser)
        add_walk(parser)
        add_database(parser)
        add_report(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(self.stdout, self.stderr, options["verbosity"])
        with translated(console, options["report"]):
            plan = plan_objects(
                named_objects(options),
                walk_options(options),
                why=options["why"],
                progress=console.progress(),
                anonymize=options["anonymize"],
                strict_anonymize=options["strict_anonymize"],
            )
        if options["format"] == "text":
            for line in plan_lines(plan):
                console.say(line)
        else:
            console.hand_over(_FORMATS[options["format"]](plan))
        console.show_findings(plan.findings)
        if options["report"]:
            write_report(options["report"], plan.as_json())
        if is_error(plan.findings):
            raise CommandError("This cannot be exported as it is.", returncode=1)
