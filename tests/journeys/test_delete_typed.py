"""What does someone see who types a deletion, wrongly or rightly?

One clear sentence; and nothing goes before the reference was typed once more.
"""

import fcntl
import gc
import io
import json
import os
import pty
import select
import signal
import stat
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.management import load_command_class
from django.db import connections

import gestore
from tests.journeys import removals
from tests.management.processes import MANAGE, PATIENCE_SECONDS, environment, run
from tests.management.typing_in import Seen, typed
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.inserting import inserting

pytestmark = pytest.mark.django_db(databases=["default"], transaction=True)

CUSTOMER = "zoo.Customer.1"
NOBODY = 65534


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the command is typed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def shop(here: Path) -> rows.Customers:
    return rows.customers("default", count=2, orders=2, lines=2)


def delete(*words: str) -> Seen:
    return typed("deleteobjects", *words)


@contextmanager
def nothing_happens(folder: Path) -> Iterator[None]:
    """No row is touched, and no file is made or changed."""
    before, files = removals.dump(), left_in(folder)
    yield
    assert compare.difference(before, removals.dump()) == []
    assert left_in(folder) == files
    assert not connections["default"].in_atomic_block


def left_in(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def fits(seen: Seen) -> None:
    """80 columns; a path that is longer stands alone."""
    for line in (*seen.out.splitlines(), *seen.err.splitlines()):
        assert len(line) <= 80 or "/" in line, line
    assert "Traceback" not in seen.err


# Words that do not go together --------------------------------------------------------------------

GO = ("--no-input",)
WRONG_WORDS: dict[tuple[str, ...], tuple[int, list[str]]] = {
    (CUSTOMER, "--archive", "a.json"): (
        2,
        ["Deleting asks first, and there is no terminal.", "Add --no-input to go ahead."],
    ),
    (CUSTOMER, *GO): (
        2,
        [
            "No archive is named: what is deleted would be gone for good.",
            "Name one with --archive PATH, or say --no-archive.",
        ],
    ),
    (CUSTOMER, "--archive", "a.json", "--no-archive", *GO): (
        2,
        ["An archive is named, and none is to be written: say one of them."],
    ),
    (CUSTOMER, "--archive", "-", *GO): (
        2,
        ["The archive must be a file: it is read again before anything goes."],
    ),
    (CUSTOMER, "--archive", "a.zip", *GO): (
        2,
        [
            "a.zip: the name does not say what to write.",
            "End it in .json, .jsonl or .tar, .gz or .zst after that to compress, and .age to",
            "encrypt.",
        ],
    ),
    (CUSTOMER, "--archive", "", *GO): (
        2,
        ["manage.py deleteobjects: error: argument --archive: the name is empty"],
    ),
    (CUSTOMER, "--archive", "folder.json", *GO): (1, ["folder.json is a folder.", "Name a file."]),
    (CUSTOMER, "--archive", "mine.json", *GO): (
        1,
        [
            "mine.json exists already.",
            "Choose another name, or add --overwrite to replace it.",
        ],
    ),
    (CUSTOMER, "--archive", "mine.json/a.json", *GO): (
        1,
        [
            "mine.json/a.json could not be written: {here}/mine.json is no folder.",
            "Nothing was written under that name.",
        ],
    ),
    ("--archive", "a.json", *GO): (
        2,
        [
            "No object is named.",
            "Name it first: options such as --own take every word that follows them.",
        ],
    ),
    ("zoo.Customer", "--archive", "a.json", *GO): (
        2,
        [
            "'zoo.Customer' has no key.",
            "A reference is app_label.Model.key, or app_label.Model:field=value.",
        ],
    ),
    ("zoo.Custmer.1", "--archive", "a.json", *GO): (
        1,
        [
            "No model 'zoo.Custmer' in this project.",
            "Did you mean zoo.Customer, zoo.CustomKey, zoo.Customer_tags?",
        ],
    ),
    ("zoo.Customer.77", "--archive", "a.json", *GO): (
        1,
        ["zoo.Customer.77: no such zoo.Customer in 'default'."],
    ),
    ("zoo.Customer.seven", "--archive", "a.json", *GO): (
        1,
        ["zoo.Customer.seven: 'seven' is no value of id (integer)."],
    ),
    (CUSTOMER, "--archive", "a.json", *GO, "--own", "zoo.Tga"): (
        1,
        ["No model 'zoo.Tga' in this project.", "Did you mean zoo.Tag, zoo.Tram, zoo.Team?"],
    ),
}


@pytest.mark.parametrize("words", WRONG_WORDS, ids=" ".join)
def test_wrong_words_are_one_sentence(
    words: tuple[str, ...], here: Path, shop: rows.Customers
) -> None:
    (here / "mine.json").write_text("mine")
    (here / "folder.json").mkdir()
    code, lines = WRONG_WORDS[words]
    with nothing_happens(here):
        seen = delete(*words)
    fits(seen)
    assert (seen.code, seen.out) == (code, "")
    first, *advice = (line.format(here=here) for line in lines)
    said = first if first.startswith("manage.py") else f"CommandError: {first}"
    assert seen.errors[-len(lines) :] == [said, *advice]


# Rows that stand in the way -----------------------------------------------------------------------


def test_blockers_are_listed_each_with_its_key(here: Path) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        doomed = inserter.put(zoo.Doomed, menagerie=home, name="doomed")
        inserter.put(zoo.RestrictOutside, doomed=doomed)
        for _ in range(15):
            inserter.put(zoo.ProtectOutside, doomed=doomed)
    with nothing_happens(here):
        seen = delete(home.reference, "--archive", "a.json", *GO)
    fits(seen)
    assert (seen.code, seen.out) == (3, "")
    shown = [line for line in seen.errors if line.startswith("blocker: ")]
    assert shown == [
        f"blocker: zoo.ProtectOutside.{key}: points at zoo.Doomed.1 (doomed: PROTECT)."
        for key in range(1, 11)
    ]
    assert "… and 6 more of this kind (--report has them all)" in seen.err
    assert "--own zoo.ProtectOutside" in seen.err
    assert seen.errors[-2:] == [
        "CommandError: Nothing was removed: other rows stand in the way.",
        "See all that would go with -n/--dry-run.",
    ]
    # The report has every one of them.
    assert delete(home.reference, "--archive", "a.json", "--report", "r.json", *GO).code == 3
    told = json.loads((here / "r.json").read_text())
    subjects = [finding["subject"] for finding in told["findings"]]
    assert sorted(subjects) == sorted(
        ["zoo.RestrictOutside.1", *(f"zoo.ProtectOutside.{key}" for key in range(1, 16))]
    )
    assert {f["severity"] for f in told["findings"]} == {"blocker"}
    assert left_in(here).keys() == {"r.json"}


# Places where nothing can be written --------------------------------------------------------------


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write anywhere: for a moment we are nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_folder_in_which_nothing_can_be_written(here: Path, shop: rows.Customers) -> None:
    with tempfile.TemporaryDirectory() as name, nothing_happens(here):
        closed = Path(name)
        closed.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH)
        path = closed / "a.json"
        reasons = ("Permission denied", f"nothing can be written in {closed}")
        for words in (("--archive", str(path)), ("--no-archive", "--receipt", str(path))):
            with as_nobody():
                seen = delete(CUSTOMER, *words, *GO)
            fits(seen)
            assert (seen.code, seen.out) == (1, "")
            assert any(f"{path} could not be written: {r}." in seen.errors[0] for r in reasons)
        assert left_in(closed) == {}
        closed.chmod(stat.S_IRWXU)


@pytest.fixture
def full_disk(here: Path) -> Iterator[Path]:
    """A disk of 8 kB: one page, and one for its folder. Only root can make one."""
    folder = here / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)]
    mounted = subprocess.run(mounting, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"No disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.json.gz"])
def test_disk_that_is_full_while_archiving(name: str, full_disk: Path, here: Path) -> None:
    rows.customers("default", count=2, orders=200, lines=20)
    with nothing_happens(here):
        seen = delete(CUSTOMER, "--archive", f"disk/{name}", "-v0", *GO)
        fits(seen)
        assert (seen.code, seen.out) == (1, "")
        assert seen.errors == [
            f"CommandError: disk/{name} could not be written: No space left on device.",
            "Nothing was written under that name.",
        ]


def test_disk_that_is_full_leaves_the_archive_that_was_to_be_replaced(
    full_disk: Path, here: Path
) -> None:
    rows.customers("default", count=2, orders=200, lines=20)
    (full_disk / "a.json").write_text("mine")
    with nothing_happens(here):
        assert delete(CUSTOMER, "--archive", "disk/a.json", "--overwrite", "-v0", *GO).code == 1


# Asking -------------------------------------------------------------------------------------------


QUESTION = " to remove these rows: "


def at_terminal(answer: bytes, *words: str) -> Seen:
    """The command, typed at a terminal where the answer is typed, too."""
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    said, err = io.StringIO(), io.StringIO()
    before = sys.stdin, sys.stdout, sys.stderr
    with os.fdopen(theirs, "r") as terminal:
        sys.stdin, sys.stdout, sys.stderr = terminal, said, err
        code = 0
        try:
            argv = ["manage.py", "deleteobjects", *words]
            load_command_class("gestore", "deleteobjects").run_from_argv(argv)
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.stdin, sys.stdout, sys.stderr = before
            gc.unfreeze()
    os.close(ours)
    # What is typed is shown by the terminal, and ends the question's line.
    out = said.getvalue().replace(QUESTION, f"{QUESTION}\n")
    return Seen(code, out, err.getvalue())


# What is typed instead of the reference. Ctrl-D is the end of what is typed.
WRONG_ANSWERS = [b"\n", b"yes\n", b"y\n", b"zoo.Customer.2\n", b"zoo.Customer\n", b"\x04"]


@pytest.mark.parametrize("answer", WRONG_ANSWERS)
def test_wrong_answer_removes_nothing(answer: bytes, here: Path, shop: rows.Customers) -> None:
    with nothing_happens(here):
        seen = at_terminal(answer, CUSTOMER, "--archive", "a.json")
    fits(seen)
    assert seen.code == 1
    assert seen.out.splitlines()[0] == "To remove: 10 rows"
    assert seen.out.splitlines()[-1] == f"Type {CUSTOMER}{QUESTION}"
    assert seen.errors[-1] == "CommandError: Nothing was removed."


def test_right_answer_removes_what_was_shown(here: Path, shop: rows.Customers) -> None:
    before = removals.dump()
    words = (CUSTOMER, "--archive", "a.json", "--receipt", "r.json", "-v1")
    seen = at_terminal(f" {CUSTOMER} \n".encode(), *words)
    fits(seen)
    assert seen.code == 0
    lines = seen.out.splitlines()
    assert lines[0] == "To remove: 10 rows"
    assert "  zoo.OrderLine      4" in lines
    receipt = json.loads((here / "r.json").read_text())
    assert lines[-5:] == [
        f"Type {CUSTOMER}{QUESTION}",
        f"Archived 13 rows in a.json (sha256 {receipt['sha256'][:12]}…).",
        "Receipt: r.json",
        "Removed 10 rows; nothing is left that points at them.",
        "To bring them back: importobjects a.json",
    ]
    assert receipt["archive"] == "a.json"
    assert receipt["removed"] == {
        "zoo.Customer": 1,
        "zoo.Customer_tags": 1,
        "zoo.Order": 2,
        "zoo.OrderLine": 4,
        "zoo.Order_tags": 2,
    }
    assert (receipt["objects"], receipt["proved"], receipt["rows"]) == ([CUSTOMER], True, 10)
    assert zoo.Customer.objects.count() == 1
    back = typed("importobjects", "a.json")
    assert (back.code, back.err.count("error")) == (0, 0)
    assert compare.difference(before, removals.dump()) == []


def test_two_objects_are_typed_as_they_were_named(here: Path, shop: rows.Customers) -> None:
    words = (CUSTOMER, "zoo.Customer:name=Customer 2", "--no-archive")
    with nothing_happens(here):
        assert at_terminal(f"{CUSTOMER}\n".encode(), *words).code == 1
    seen = at_terminal(f"{CUSTOMER} zoo.Customer:name=Customer 2\n".encode(), *words)
    assert (seen.code, zoo.Customer.objects.count()) == (0, 0)
    # Without an archive, nothing is told of bringing back, and no file is made.
    assert seen.out.splitlines()[-1].endswith(
        "Removed 20 rows; nothing is left that points at them."
    )
    assert left_in(here) == {}


def test_quiet_and_without_asking(here: Path, shop: rows.Customers) -> None:
    seen = delete(CUSTOMER, "--archive", "a.jsonl.gz", "-v0", *GO)
    assert (seen.code, seen.out, seen.err) == (0, "", "")
    assert gestore.verify_archive("a.jsonl.gz").findings == ()
    again = delete(CUSTOMER, "--archive", "a.jsonl.gz", "-v0", *GO)
    assert again.errors[0] == "CommandError: a.jsonl.gz exists already."
    gone = delete(CUSTOMER, "--archive", "b.jsonl.gz", *GO)
    assert gone.errors == ["CommandError: zoo.Customer.1: no such zoo.Customer in 'default'."]


# Ctrl-C, in a process of its own, as a shell starts one -------------------------------------------


def test_ctrl_c_at_the_question(here: Path) -> None:
    library = here / "library.sqlite3"
    env = environment(LIBRARY_DATABASE=str(library), LIBRARY_BRANCH=str(here / "b.sqlite3"))
    env["DJANGO_COLORS"] = "nocolor"
    assert run("migrate", "-v0", env=env, cwd=here).returncode == 0
    assert run("generate", "--books", "3", "-v0", env=env, cwd=here).returncode == 0
    held = library.read_bytes()
    words = ("deleteobjects", "demoapp.Book.1", "--own", "demoapp.BookInstance")
    code, said = _interrupted_at(QUESTION, [*MANAGE, *words, "--archive", "a.json"], env, here)
    assert code == 130
    assert said.rstrip().endswith("CommandError: Interrupted: nothing was removed.")
    assert said.startswith("To remove: ")
    assert "Traceback" not in said
    assert library.read_bytes() == held
    assert left_in(here).keys() == {"library.sqlite3"}


def _interrupted_at(
    words: str, command: list[str], env: dict[str, str], cwd: Path
) -> tuple[int, str]:
    """Type Ctrl-C when the words are on the terminal; the exit code, and all that was on it."""
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        # What runs in the background of a script has been told to ignore it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    said, typed = "", -10.0
    with subprocess.Popen(
        command, env=env, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs,
        preexec_fn=take_terminal,
    ) as process:  # fmt: skip
        os.close(theirs)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            piece = _read(ours)
            if piece is None:
                break
            said += piece
            # Again and again: what is typed while a terminal is made ready may be thrown away.
            if words in said and not piece and time.monotonic() - typed > 5:
                os.write(ours, b"\x03")
                typed = time.monotonic()
        if process.poll() is None and time.monotonic() >= deadline:
            process.send_signal(signal.SIGKILL)
        code = process.wait(PATIENCE_SECONDS)
    os.close(ours)
    return code, said.replace("\r\n", "\n")


def _read(terminal: int) -> str | None:
    """What is on the terminal by now; None at its end."""
    if not select.select([terminal], [], [], 0.2)[0]:
        return ""
    try:
        return os.read(terminal, 4096).decode() or None
    except OSError:
        # Linux says so when nobody has the other side any more.
        return None
