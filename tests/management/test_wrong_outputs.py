"""What is said where an archive or a report cannot be written; and what is left there? Nothing."""

import os
import resource
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import BOOK
from .typing_in import typed

pytestmark = [
    pytest.mark.django_db(databases=["default", "target"]),
    pytest.mark.usefixtures("library"),
]

NOBODY = 65534
UNTOUCHED = "Nothing was written under that name."


def left_in(folder: Path) -> dict[str, bytes]:
    """Every file, hidden ones too, and what it holds."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_taken_name_is_refused_and_overwrite_replaces(here: Path) -> None:
    Path("a.json").write_text("mine")

    refused = typed("exportobjects", BOOK, "-o", "a.json")
    planned = typed("exportobjects", BOOK, "-o", "a.json", "--dry-run")
    for seen in (refused, planned):
        assert (seen.code, seen.out) == (1, "")
        assert seen.errors == [
            "CommandError: a.json exists already.",
            "Choose another name, or add --overwrite to replace it.",
        ]
    assert left_in(here) == {"a.json": b"mine"}

    assert typed("exportobjects", BOOK, "-o", "a.json", "--overwrite").code == 0
    assert typed("verifyobjects", "a.json").code == 0
    assert list(left_in(here)) == ["a.json"]


# What is typed after -o: the exit code and what is printed.
WRONG_NAMES = {
    "a.json.age": (
        2,
        [
            "a.json.age is to be encrypted, and nobody is named who may open it.",
            'Name them with --encrypt-to RECIPIENT, or in GESTORE["RECIPIENTS"].',
        ],
    ),
    "a.zip": (
        2,
        [
            "a.zip: the name does not say what to write.",
            "End it in .json, .jsonl or .tar, then .gz or .zst; or in / to name a folder.",
        ],
    ),
    "a.json.bz2": (
        2,
        [
            "a.json.bz2: the name does not say what to write.",
            "End it in .json, .jsonl or .tar, then .gz or .zst; or in / to name a folder.",
        ],
    ),
    "": (2, ["The name after -o is empty.", "Name a file or a folder."]),
    "folder.json": (1, ["folder.json is a folder.", "Name a file."]),
    "file/a.json": (
        1,
        ["file/a.json could not be written: {here}/file is no folder.", UNTOUCHED],
    ),
    "pipe.json": (1, ["pipe.json is no regular file.", "Name another."]),
}


def test_wrong_name_is_one_line(here: Path) -> None:
    Path("folder.json").mkdir()
    Path("file").write_text("mine")
    os.mkfifo("pipe.json")

    for dry in ([], ["--dry-run"]):
        for name, (code, lines) in WRONG_NAMES.items():
            seen = typed("exportobjects", BOOK, "-o", name, *dry)

            first, advice = (line.format(here=here) for line in lines)
            assert (name, seen.code, seen.out) == (name, code, "")
            assert seen.errors == [f"CommandError: {first}", advice]
    assert left_in(here) == {"file": b"mine"}


def test_form_that_is_not_the_name_s_is_refused(here: Path) -> None:
    seen = typed("exportobjects", BOOK, "-o", "a.json", "--format", "jsonl.gz")

    assert seen.code == 2
    assert seen.errors == [
        "CommandError: a.json does not end in .jsonl.gz.",
        "The name says what to write: leave --format out, or change the name.",
    ]
    assert left_in(here) == {}


# Places where the system itself says no -----------------------------------------------------------


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


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder that may be read, and not written to."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH)
        yield folder
        folder.chmod(stat.S_IRWXU)


def test_no_permission_to_write(closed_folder: Path) -> None:
    path = closed_folder / "a.json"
    with as_nobody():
        seen = typed("exportobjects", BOOK, "-o", str(path))

    assert (seen.code, seen.out) == (1, "")
    reasons = ("Permission denied", f"nothing can be written in {closed_folder}")
    assert seen.errors in [
        [f"CommandError: {path} could not be written: {reason}.", UNTOUCHED] for reason in reasons
    ]
    assert left_in(closed_folder) == {}


def test_no_permission_even_to_look(closed_folder: Path) -> None:
    closed_folder.chmod(0)
    path = closed_folder / "deep" / "a.json"
    with as_nobody():
        seen = typed("exportobjects", BOOK, "-o", str(path))
        read = typed("importobjects", str(path), "--database", "target")

    assert (seen.code, seen.errors) == (
        1,
        [f"CommandError: {path} could not be written: Permission denied.", UNTOUCHED],
    )
    assert (read.code, read.errors) == (
        1,
        [f"CommandError: {path} cannot be read: Permission denied."],
    )


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 kB: one page, and one for its folder. Only root can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)]
    mounted = subprocess.run(mounting, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"No disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(full_disk: Path) -> None:
    path = full_disk / "a.json"
    seen = typed("exportobjects", BOOK, "-o", str(path))

    assert (seen.code, seen.out) == (1, "")
    assert seen.errors == [
        f"CommandError: {path} could not be written: No space left on device.",
        UNTOUCHED,
    ]
    assert left_in(full_disk) == {}


def test_full_disk_leaves_the_file_that_was_to_be_replaced(full_disk: Path) -> None:
    path = full_disk / "a.json"
    path.write_text("mine")
    seen = typed("exportobjects", BOOK, "-o", str(path), "--overwrite")

    assert seen.code == 1
    assert left_in(full_disk) == {"a.json": b"mine"}


@contextmanager
def no_file_above(size_bytes: int) -> Iterator[None]:
    """A quota, as far as one process can have one. Python ignores the signal that comes with it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_quota_is_reached(here: Path) -> None:
    with no_file_above(4096):
        seen = typed("exportobjects", BOOK, "-o", "a.json")

    assert (seen.code, seen.errors) == (
        1,
        ["CommandError: a.json could not be written: File too large.", UNTOUCHED],
    )
    assert left_in(here) == {}


# What is not installed ----------------------------------------------------------------------------


def test_missing_library_is_named(
    here: Path, archives: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("book.json.zst").write_bytes(archives["json.zst"])
    monkeypatch.setitem(sys.modules, "zstandard", None)
    lines = [
        "CommandError: Archives ending in .zst need the library zstandard.",
        "Install it with: pip install 'django-gestore[zstd]'",
    ]

    for words in (
        ("exportobjects", BOOK, "-o", "a.json.zst"),
        ("exportobjects", BOOK, "-o", "-", "--format", "jsonl.zst"),
        ("exportobjects", BOOK, "-o", "a.json.zst", "--dry-run"),
        ("importobjects", "book.json.zst", "--database", "target"),
        ("verifyobjects", "book.json.zst"),
    ):
        seen = typed(*words)
        assert (words, seen.code, seen.out, seen.errors) == (words, 1, "", lines)
    assert list(left_in(here)) == ["book.json.zst"]


# Reports ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("exportobjects", BOOK, "-o", "a.json"),
        ("exportobjects", BOOK, "--dry-run"),
        ("planobjects", BOOK),
        ("importobjects", "book.json", "--database", "target"),
        ("verifyobjects", "book.json"),
    ],
)
def test_report_without_a_place_is_refused_before_anything_is_done(
    words: tuple[str, ...], here: Path, archives: dict[str, bytes]
) -> None:
    Path("book.json").write_bytes(archives["json"])
    Path("folder").mkdir()

    in_folder = typed(*words, "--report", "folder")
    under_file = typed(*words, "--report", "book.json/report.json")
    on_device = typed(*words, "--report", os.devnull)

    for seen in (in_folder, under_file, on_device):
        assert (seen.code, seen.out) == (1, "")
    assert in_folder.errors == ["CommandError: The report folder is a folder."]
    (said,) = under_file.errors
    assert said == (
        "CommandError: The report book.json/report.json could not be written: "
        f"{here}/book.json is no folder."
    )
    assert on_device.errors == ["CommandError: The report /dev/null is no regular file."]
    assert list(left_in(here)) == ["book.json"]
    assert Path(os.devnull).is_char_device()
