"""What do the commands share? Arguments in, lines out, findings shown, errors translated."""

from __future__ import annotations

import gc
import getpass
import json
import os
import sys
import textwrap
import warnings
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.db import DEFAULT_DB_ALIAS, connections

from ..archive.storage import check_free, write_text
from ..errors import ArchiveError, Finding, GestoreError, Refused, Severity, UsageError
from ..keeping import Keeping
from ..planning import WalkOptions
from ..rows import JsonValue
from ..schema.policy import Follow, Policy
from .allocator import allocator
from .progress import CLEAR_LINE, PlainProgress, TerminalProgress

# Findings of one kind that are told one by one; `--report` has them all.
_SHOWN = 10
_COLUMNS = 80
# What a shell says of a command that Ctrl-C ended: 128 and the signal's number.
_INTERRUPTED = 130


class GestoreCommand(BaseCommand):
    """From a command line, a process ends with its command: what was loaded stays until then, and
    nobody looks for circles in it, not at the end either; its memory is the command's."""

    def run_from_argv(self, argv: list[str]) -> None:
        gc.freeze()
        allocator.take_over()
        super().run_from_argv(argv)

    def get_check_kwargs(self, options: Any) -> Any:
        """From 6.1 on Django's checks ask every database, and end in a traceback where one is out
        of reach. Ours asks the one it needs."""
        return {"databases": []}


# Arguments ----------------------------------------------------------------------------------------


def add_objects(parser: ArgumentParser) -> None:
    """The objects, and a usage of one line: a list of all options would hide what is wrong."""
    parser.usage = "%(prog)s app_label.Model.key ... [options]"
    parser.add_argument(
        "objects",
        # Not "+": `named_objects` says more than that something is required.
        nargs="*",
        metavar="app_label.Model.key",
        help="the objects, or app_label.Model:field=value",
    )


def named_objects(options: Mapping[str, Any]) -> list[str]:
    """The objects that were typed; none is an error."""
    objects: list[str] = options["objects"]
    if not objects:
        raise UsageError(
            "No object is named.",
            hint="Name it first: options such as --own take every word that follows them.",
        )
    return objects


def add_archive(parser: ArgumentParser) -> None:
    """The archive, and a usage of one line. `named_archive` says that it is required."""
    parser.usage = "%(prog)s PATH [options]"
    parser.add_argument(
        "archive",
        metavar="PATH",
        nargs="?",
        type=file_name,
        help="the archive; - for standard input",
    )


def named_archive(options: Mapping[str, Any]) -> str:
    """The archive that was typed; none is an error."""
    archive: str | None = options["archive"]
    if archive is None:
        raise UsageError("No archive is named.", hint="Name a file, or - for standard input.")
    return archive


def file_name(text: str) -> str:
    """An argument's type: an unset variable in a script gives an empty name."""
    if not text:
        raise ArgumentTypeError("the name is empty")
    return text


def add_place(parser: ArgumentParser) -> None:
    """Where the archive lies."""
    parser.add_argument(
        "--storage",
        metavar="ALIAS",
        type=file_name,
        help="the archive lies in STORAGES[ALIAS]",
    )
    parser.add_argument(
        "-b",
        "--bucket",
        action="store_true",
        help='it lies in STORAGES["gestore"], else in the bucket of GESTORE_BUCKET_NAME',
    )


def add_identity(parser: ArgumentParser) -> None:
    """What opens an encrypted archive."""
    parser.add_argument(
        "--identity",
        metavar="FILE",
        type=file_name,
        action="append",
        default=[],
        help="a file with the secret key that opens an encrypted archive",
    )


def add_seals(parser: ArgumentParser) -> None:
    """Who may open what is written, and who signs it."""
    parser.add_argument(
        "--encrypt-to",
        metavar="RECIPIENT",
        type=file_name,
        action="append",
        default=[],
        help="encrypt the archive, whose name ends in .age, to this public key (age1…, ssh-…)",
    )
    parser.add_argument(
        "--sign",
        metavar="KEY",
        type=file_name,
        help="sign the archive with the Ed25519 key in this file",
    )


def keeping(options: Mapping[str, Any]) -> Keeping:
    """Where the archive lies and by which keys; a command has some of these options."""
    return Keeping(
        storage=options["storage"] or "",
        bucket=options["bucket"],
        encrypt_to=tuple(options.get("encrypt_to", ())),
        sign=options.get("sign") or "",
        identities=tuple(options.get("identity", ())),
        ask=passphrase,
    )


def passphrase(prompt: str) -> str:
    """What somebody types at the terminal, unseen; never read from a pipe."""
    try:
        with warnings.catch_warnings():
            # Where the terminal would show it, there is none.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(prompt)
    except (getpass.GetPassWarning, EOFError) as error:
        raise UsageError(
            f"{prompt.removesuffix(': ')} is needed, and there is no terminal to ask at.",
            hint="Run the command in one, or name a file without a passphrase.",
        ) from error


def add_database(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--database",
        default=DEFAULT_DB_ALIAS,
        choices=tuple(connections),
        help="the alias of the database (default: %(default)s)",
    )


def add_report(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--report",
        metavar="FILE",
        type=file_name,
        help="write findings and counts to FILE, as JSON, replacing it",
    )


def add_anonymize(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--anonymize",
        action="store_true",
        help='replace the values of the columns in GESTORE["ANONYMIZE"]',
    )
    parser.add_argument(
        "--strict-anonymize",
        action="store_true",
        help="the same, and refuse while a column of text in an owned table is not among them",
    )


def add_walk(parser: ArgumentParser, policy_help: Mapping[Policy, str] | None = None) -> None:
    """The options that say how far to go; the policies' words are an export's unless given."""
    parser.add_argument(
        "--follow",
        choices=[follow.value for follow in Follow],
        default=Follow.OWNED.value,
        help="owned: pointed-at rows come alone; connected: with all theirs (default: %(default)s)",
    )
    parser.add_argument(
        "-r",
        "--root",
        nargs="+",
        action="extend",
        default=[],
        metavar="MODEL",
        help="models whose other rows are never owned, besides those of the objects",
    )
    for policy, text in (policy_help or _POLICY_HELP).items():
        parser.add_argument(
            f"--{policy.value}",
            nargs="+",
            action="extend",
            default=[],
            metavar="MODEL",
            help=f"{text}; app.Model or app.Model.field",
        )


_POLICY_HELP = {
    Policy.OWN: "take rows with all that belongs to them",
    Policy.SHARE: "take rows only when they are pointed at",
    Policy.EXTERNAL: "take no rows: they must exist where the archive goes",
    Policy.SKIP: "take no rows, and empty the pointers to them",
}


def walk_options(options: Mapping[str, Any]) -> WalkOptions:
    """argparse's dictionary ends here. A label can have one policy only."""
    given: dict[str, Policy] = {}
    policies: dict[str, Policy] = {}
    for policy in Policy:
        for label in options[policy.value]:
            other = given.setdefault(label.lower(), policy)
            if other is not policy:
                raise UsageError(f"{label} is given both --{other.value} and --{policy.value}.")
            policies[label] = policy
    return WalkOptions(
        database=options["database"],
        follow=Follow(options["follow"]),
        roots=tuple(options["root"]),
        policies=policies,
    )


# Lines --------------------------------------------------------------------------------------------


class Console:
    """Says things: on standard output, or on standard error while that carries a payload."""

    def __init__(self, out: OutputWrapper, err: OutputWrapper, verbosity: int) -> None:
        self._out = out
        self._err = err
        self._verbosity = verbosity

    def for_payload(self) -> Console:
        """The same, with everything said on standard error."""
        return Console(self._err, self._err, self._verbosity)

    def say(self, text: str = "") -> None:
        if self._verbosity > 0:
            _write(self._out, text)

    def warn(self, text: str) -> None:
        _write(self._err, text)

    def hand_over(self, payload: str) -> None:
        """What was asked for, whatever the verbosity."""
        _write(self._out, payload)

    def show_findings(self, findings: Sequence[Finding]) -> None:
        """The findings by code: the first ones of each, and how many more there are."""
        by_code: dict[str, list[Finding]] = {}
        for finding in findings:
            by_code.setdefault(finding.code, []).append(finding)
        for lot in by_code.values():
            self._show_kind(lot)

    def _show_kind(self, lot: Sequence[Finding]) -> None:
        shown = lot[:_SHOWN]
        for finding in shown:
            self.warn(wrapped(f"{finding.severity.value}: {finding}", indent="  "))
        if lot[_SHOWN:]:
            self.warn(f"… and {len(lot) - _SHOWN:,} more of this kind (--report has them all)")
        for hint in dict.fromkeys(finding.hint for finding in shown if finding.hint):
            self.warn(wrapped(f"  → {hint}", indent="    "))

    def progress(self) -> TerminalProgress | PlainProgress:
        between = allocator.give_back
        if self._verbosity == 0:
            return PlainProgress(lambda line: None, between=between)
        if self._err.isatty():
            return TerminalProgress(self._overwrite, columns=columns, between=between)
        return PlainProgress(self.warn, between=between)

    def clear_line(self) -> None:
        """Wipe a progress bar that an error has left standing."""
        if self._err.isatty():
            self._overwrite(CLEAR_LINE)

    def _overwrite(self, text: str) -> None:
        _write(self._err, text, ending="")


def _write(stream: OutputWrapper, text: str, ending: str = "\n") -> None:
    """Write and flush: what cannot be written is told now, not when Python ends."""
    try:
        try:
            stream.write(text, style_func=_plain, ending=ending)
        except UnicodeEncodeError as error:
            # A terminal of few characters: what it lacks is shown as an escape.
            escaped = text.encode(error.encoding, "backslashreplace").decode(error.encoding)
            stream.write(escaped, style_func=_plain, ending=ending)
        stream.flush()
    except BrokenPipeError:
        # Whoever read, `head` for one, has seen enough.
        _silence_broken()
    except OSError as error:
        _silence_broken()
        raise CommandError(f"The output could not be written: {error.strerror}.") from error


def _silence_broken() -> None:
    """Lead what cannot be written nowhere, so that Python can flush the rest of it when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _plain(text: str) -> str:
    return text


def columns() -> int:
    """The terminal's width; COLUMNS in the environment wins."""
    return max(40, get_terminal_size((_COLUMNS, 24)).columns)


def wrapped(text: str, *, indent: str = "") -> str:
    """The text within the terminal's width, its second and later lines indented."""
    return textwrap.fill(
        text,
        columns(),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


# Errors -------------------------------------------------------------------------------------------


@contextmanager
def translated(
    console: Console, report: str | None = None, *, interrupted: str = ""
) -> Iterator[None]:
    """Our errors as Django's `CommandError`: a clear sentence, what to do, the right exit code.

    `interrupted` says what Ctrl-C has left behind.
    """
    # What Django and the project have loaded stays: no need to look for circles in it each time.
    # Where somebody has said so of their process already, it is theirs to say.
    is_ours = not gc.get_freeze_count()
    if is_ours:
        gc.freeze()
    try:
        if report:
            check_report(report)
        yield
    except GestoreError as error:
        console.clear_line()
        if isinstance(error, Refused):
            console.show_findings(error.findings)
        if report:
            _report_error(console, report, error)
        raise CommandError(_with_hint(error), returncode=error.exit_code) from error
    except KeyboardInterrupt as error:
        console.clear_line()
        # Who was interrupted may say more than was known before.
        message = f"Interrupted{': ' if interrupted else ''}{interrupted}."
        if str(error):
            message = f"Interrupted. {error}"
        raise CommandError(message, returncode=_INTERRUPTED) from error
    finally:
        if is_ours:
            gc.unfreeze()


def _with_hint(error: GestoreError) -> str:
    """A hint's second line is a command, to be copied as it stands."""
    hint, *commands = error.hint.split("\n")
    return "\n".join([error.message, *([wrapped(hint)] if hint else []), *commands])


def is_error(findings: Sequence[Finding]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)


# Reports ------------------------------------------------------------------------------------------


def check_report(path: str) -> None:
    """Find out before the work that the report has no place: a `CommandError`."""
    try:
        check_free(Path(path), overwrite=True)
    except ArchiveError as error:
        raise _report_not_written(error) from error


def write_report(path: str, content: Mapping[str, JsonValue]) -> None:
    """The report as JSON, whole or not at all, in place of any that was there."""
    try:
        write_text(path, [json.dumps(content, indent=2, ensure_ascii=False) + "\n"])
    except ArchiveError as error:
        raise _report_not_written(error) from error


def _report_not_written(error: ArchiveError) -> CommandError:
    return CommandError(f"The report {error.message}")


def _report_error(console: Console, path: str, error: GestoreError) -> None:
    findings = error.findings if isinstance(error, Refused) else ()
    content: dict[str, JsonValue] = {
        "refused": error.message,
        "hint": error.hint,
        "findings": [finding.as_json() for finding in findings],
    }
    try:
        write_report(path, content)
    except CommandError as not_written:
        console.warn(str(not_written))


# Counts -------------------------------------------------------------------------------------------


def count_lines(counts: Mapping[str, int]) -> list[str]:
    """Rows by model, in columns."""
    width = max((len(label) for label in counts), default=0)
    digits = max((len(f"{count:,}") for count in counts.values()), default=0)
    return [f"  {label:<{width}}  {count:>{digits},}" for label, count in counts.items()]


def show_anonymized(console: Console, labels: Sequence[str]) -> None:
    """The columns that have other values, if there are any."""
    if labels:
        console.say(wrapped(f"Anonymized: {', '.join(labels)}", indent="  "))


def rows_text(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def files_text(count: int) -> str:
    return f"{count:,} file" if count == 1 else f"{count:,} files"


def carried_text(count: int, size_bytes: int) -> str:
    """Of an archive's uploaded files."""
    return f"{files_text(count)} ({size_bytes:,} bytes)"
