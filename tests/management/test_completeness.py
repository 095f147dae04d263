"""Is every option, error and finding described for users, and does it occur in a test?"""

import re
from functools import cache
from pathlib import Path

import pytest
from django.core.management import load_command_class

from gestore import errors
from gestore.errors import GestoreError
from gestore.load.strategies import ConflictKind

from .typing_in import COMMANDS

ROOT = Path(__file__).resolve().parent.parent.parent
# Options that Django gives to every command are Django's to describe.
DJANGO_OPTIONS = frozenset(
    {"--help", "--version", "--settings", "--pythonpath", "--traceback", "--no-color"}
    | {"--force-color", "--skip-checks", "--verbosity"}
)
# What `Finding` is made of, or a function that makes one.
FINDING_CODE = re.compile(r'(?:Finding|[._]find)\(\s*"([a-z-]+)"')


def options_of(command: str) -> dict[str, list[str]]:
    """The options of a command itself: the long name, and every name."""
    parser = load_command_class("gestore", command).create_parser("manage.py", command)
    return {
        action.option_strings[-1]: list(action.option_strings)
        for action in parser._actions
        if action.option_strings and not DJANGO_OPTIONS & set(action.option_strings)
    }


def error_classes() -> list[str]:
    return [
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, GestoreError)
    ]


@cache
def finding_codes() -> frozenset[str]:
    sources = [path.read_text() for path in (ROOT / "src" / "gestore").rglob("*.py")]
    written = frozenset(code for text in sources for code in FINDING_CODE.findall(text))
    return written | {kind.value for kind in ConflictKind}


@cache
def text_of_tests() -> str:
    """All tests but this file, which names nothing itself."""
    return "\n".join(
        path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)
    )


def document(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def section(text: str, title: str) -> str:
    """What stands under a heading of the second level."""
    return re.split(r"^## ", text.split(f"\n## {title}\n", 1)[1], maxsplit=1, flags=re.M)[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_described(command: str) -> None:
    text = document("commands.md")
    described = section(text, command) + section(text, "What they share")
    missing = [
        name
        for names in options_of(command).values()
        for name in names
        if not re.search(rf"`{re.escape(name)}[` ]", described)
    ]
    assert missing == [], missing


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_typed_in_a_test(command: str) -> None:
    tests = text_of_tests()
    missing = [
        long
        for long, names in options_of(command).items()
        if not any(f'"{name}"' in tests or f'"{name} ' in tests for name in names)
    ]
    assert missing == [], missing


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_help_of_its_own(command: str) -> None:
    parser = load_command_class("gestore", command).create_parser("manage.py", command)
    helpless = [action.dest for action in parser._actions if not action.help]
    assert helpless == []
    assert len(parser.format_usage().strip().splitlines()) == 1
    assert all(len(line) <= 80 for line in parser.format_usage().splitlines())


def test_every_error_is_described_and_occurs_in_a_test() -> None:
    text, tests = section(document("checks.md"), "Errors"), text_of_tests()
    classes = error_classes()
    assert len(classes) > 15
    assert [name for name in classes if f"`{name}`" not in text] == []
    assert [name for name in classes if f" {name} " not in (errors.__doc__ or "") + " "] == []
    assert [name for name in classes if not re.search(rf"\b{name}\b", tests)] == []


def test_every_finding_is_described_and_occurs_in_a_test() -> None:
    text, tests = section(document("checks.md"), "Findings"), text_of_tests()
    codes = finding_codes()
    assert len(codes) > 15
    assert sorted(code for code in codes if f"`{code}`" not in text) == []
    assert sorted(code for code in codes if f'"{code}"' not in tests) == []


def test_no_finding_is_described_that_nobody_makes() -> None:
    described = set(re.findall(r"^\| `([a-z-]+)` \|", document("checks.md"), flags=re.M))
    assert sorted(described - finding_codes()) == []


def test_every_system_check_is_described_and_occurs_in_a_test() -> None:
    made = set(re.findall(r"gestore\.[EW]\d{3}", (ROOT / "src/gestore/checks.py").read_text()))
    assert made
    assert sorted(check for check in made if f"`{check}`" not in document("checks.md")) == []
    assert sorted(check for check in made if f'"{check}"' not in text_of_tests()) == []
