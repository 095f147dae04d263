"""Do the commands write into storages and read from them, and what does one see who cannot?"""

from __future__ import annotations

import gc
import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages
from django.test import override_settings

from demoapp.models import Book
from tests.archive.shelves import (
    SHELVES,
    Line,
    elsewhere,
    free_port,
    led_to,
    port_of,
    refused_account,
    settings_with,
    wrong_azure,
)
from tests.zoo import compare

from .conftest import BOOK
from .typing_in import Seen, typed

pytestmark = [
    pytest.mark.django_db(databases=["default", "target"]),
    pytest.mark.usefixtures("library", "here"),
    # The libraries' own: what they open, and that a version of theirs is old.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NAME = "deep/acme.jsonl.gz"
VAULT = ("--storage", "vault")
OWNED = ("--own", "demoapp.BookInstance")
SECRETS = ("a-secret-that-never-shows", "Eby8vdM02xNOcq", "Abc8vdM02xNOcq")


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """What the storages' libraries left open is found here, not when Python ends."""
    yield
    gc.collect()


@dataclass(frozen=True)
class Kind:
    """A storage of a kind: what is in STORAGES, under the alias `vault`."""

    name: str
    entry: dict[str, Any]

    def names(self) -> list[str]:
        with override_settings(STORAGES=settings_with(self.entry)):
            folders, files = storages["vault"].listdir("")
            for folder in folders:
                files += [f"{folder}/{name}" for name in storages["vault"].listdir(folder)[1]]
        return sorted(files)


@pytest.fixture(params=SHELVES, scope="module")
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    with SHELVES[request.param]() as made:
        yield Kind(request.param, made)


@pytest.fixture
def vault(kind: Kind) -> Iterator[Kind]:
    with override_settings(STORAGES=settings_with(kind.entry)):
        for name in kind.names():
            storages["vault"].delete(name)
        yield kind


def one_line(seen: Seen, *words: str) -> None:
    """One clear error, with what to do; and no secret."""
    assert seen.code == 1
    told = [line for line in seen.errors if not line.startswith(("warning: ", "  "))]
    assert told[0].startswith("CommandError: ")
    assert len(told) <= 2, seen.err
    for word in words:
        assert word in seen.err, seen.err
    assert not any(secret in seen.err for secret in SECRETS)


@contextmanager
def nothing_changes() -> Iterator[None]:
    before = {using: compare.dump(using) for using in ("default", "target")}
    yield
    for using, rows in before.items():
        assert compare.difference(rows, compare.dump(using)) == []


def test_written_listed_read_back_and_imported(vault: Kind, target: None) -> None:
    seen = typed("exportobjects", BOOK, "-o", NAME, *VAULT)
    assert (seen.code, seen.err) == (0, "")
    assert f" to vault:{NAME}\n" in seen.out
    assert vault.names() == [NAME]
    assert not Path("deep").exists()
    assert typed("exportobjects", BOOK, "-o", "here.jsonl.gz").code == 0

    held = typed("verifyobjects", NAME, *VAULT, "--compare")
    assert (held.code, held.err) == (0, "")
    assert f"vault:{NAME} is whole" in held.out

    back = typed("importobjects", NAME, *VAULT, "--database", "target", "--report", "r.json")
    assert (back.code, back.err) == (0, "")
    assert json.loads(Path("r.json").read_bytes())["archive"] == f"vault:{NAME}"
    held = typed("verifyobjects", "here.jsonl.gz", "--compare", "--database", "target")
    assert held.code == 0
    assert Book.objects.using("target").count() == 1


def test_what_is_there_is_replaced_when_asked(vault: Kind) -> None:
    assert typed("exportobjects", BOOK, "-o", NAME, *VAULT).code == 0
    for words in ([], ["-n"]):
        seen = typed("exportobjects", BOOK, "-o", NAME, *VAULT, *words)
        one_line(seen, f"vault:{NAME} exists already.", "--overwrite")
    assert typed("exportobjects", BOOK, "-o", NAME, *VAULT, "--overwrite").code == 0
    assert vault.names() == [NAME]


def test_a_folder_there_gets_a_name_made(vault: Kind) -> None:
    seen = typed("exportobjects", BOOK, *VAULT, "-o", "made/", "--format", "jsonl")
    assert seen.code == 0
    (name,) = vault.names()
    assert name.startswith("made/")
    assert name.endswith(".jsonl")
    assert list(Path().iterdir()) == []


def acts() -> list[tuple[str, Callable[[], Seen]]]:
    """Everything that goes to a storage, and what cannot be done then."""
    out = ("-o", NAME, *VAULT)
    gone = (BOOK, "--archive", NAME, "--no-input", *OWNED, *VAULT)
    return [
        ("could not be written", lambda: typed("exportobjects", BOOK, *out)),
        ("cannot be read", lambda: typed("importobjects", NAME, *VAULT, "--database", "target")),
        ("cannot be read", lambda: typed("verifyobjects", NAME, *VAULT)),
        ("could not be written", lambda: typed("deleteobjects", *gone)),
        ("cannot be read", lambda: typed("deleteobjects", "--resume", NAME, *VAULT)),
    ]


def wrong_options(kind: Kind) -> Iterator[dict[str, Any]]:
    """Another bucket than there is, and keys that are not the right ones."""
    entry = elsewhere(kind.name, kind.entry, port_of(kind.name, kind.entry))
    options = entry["OPTIONS"]
    if kind.name == "azure":
        yield from wrong_azure(options)
    else:
        yield {**options, "bucket_name": "absent"}
    if kind.name == "gcs":
        with refused_account() as credentials:
            yield {**options, "credentials": credentials}
    if kind.name == "s3":
        # The emulator looks at no key before it is told to.
        _look_at_keys(options["endpoint_url"], "0")
        try:
            yield {**options, "access_key": "nobody"}
        finally:
            _look_at_keys(options["endpoint_url"], "inf")


def _look_at_keys(address: str, after: str) -> None:
    """After so many questions."""
    question = urllib.request.Request(
        f"{address}/moto-api/reset-auth", after.encode(), {"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(question).close()


def test_wrong_bucket_and_wrong_keys_are_one_line(vault: Kind, target: None) -> None:
    if vault.name == "folder":
        pytest.skip("a folder has neither")
    for options in wrong_options(vault):
        entry = {**elsewhere(vault.name, vault.entry, port_of(vault.name, vault.entry))}
        for done, act in acts():
            with (
                nothing_changes(),
                override_settings(STORAGES=settings_with({**entry, "OPTIONS": options})),
            ):
                one_line(act(), f"vault:{NAME} {done}: ")
    assert vault.names() == []


def test_no_network_is_one_line(vault: Kind, target: None) -> None:
    if vault.name == "folder":
        pytest.skip("a folder needs none")
    port = free_port()
    planned = (
        "could not be written",
        lambda: typed("exportobjects", BOOK, "-o", NAME, *VAULT, "-n"),
    )
    for done, act in [*acts(), planned]:
        with (
            nothing_changes(),
            led_to(vault.name, port),
            override_settings(STORAGES=settings_with(elsewhere(vault.name, vault.entry, port))),
        ):
            one_line(act(), f"vault:{NAME} {done}: ")
    assert vault.names() == []


@pytest.mark.parametrize("stays_dead", [False, True])
def test_line_that_goes_dead_leaves_nothing_half(
    vault: Kind, target: None, stays_dead: bool
) -> None:
    if vault.name == "folder":
        pytest.skip("a folder has no line")
    line = Line(port_of(vault.name, vault.entry))
    name = "acme.json"
    acts = [lambda: typed("exportobjects", BOOK, "-o", name, *VAULT)]
    if stays_dead or vault.name != "gcs":
        acts.append(
            lambda: typed("deleteobjects", BOOK, "--archive", name, "--no-input", *OWNED, *VAULT)
        )
    for act in acts:
        with (
            nothing_changes(),
            led_to(vault.name, line.port),
            override_settings(
                STORAGES=settings_with(elsewhere(vault.name, vault.entry, line.port))
            ),
        ):
            line.cut("upload", stays_dead=stays_dead)
            seen = act()
        assert line.cuts == 1
        if seen.code == 0 and not stays_dead:
            # Google's library tried once more: then all of it is there.
            assert vault.name == "gcs"
            assert typed("verifyobjects", name, *VAULT).code == 0
            storages["vault"].delete(name)
            continue
        lines = [text for text in seen.errors if not text.startswith("  ")]
        assert seen.code == 1
        assert any(f"CommandError: vault:{name} could not be written: " in text for text in lines)
        assert not any(secret in seen.err for secret in SECRETS)
        assert vault.names() == []
    line.close()


def test_archive_that_breaks_off_on_its_way_here_changes_nothing(vault: Kind, target: None) -> None:
    if vault.name in ("folder", "gcs"):
        pytest.skip("a folder has no line, and Google's emulator gives downloads an address itself")
    assert typed("exportobjects", BOOK, "-o", "acme.json", *VAULT).code == 0
    line = Line(port_of(vault.name, vault.entry))
    line.cut("download", stays_dead=True)
    with (
        nothing_changes(),
        led_to(vault.name, line.port),
        override_settings(STORAGES=settings_with(elsewhere(vault.name, vault.entry, line.port))),
    ):
        one_line(
            typed("importobjects", "acme.json", *VAULT, "--database", "target"),
            "vault:acme.json cannot be read",
        )
    assert line.cuts == 1
    line.close()


# What is typed ------------------------------------------------------------------------------------


def test_bucket_is_the_storage_gestore(target: None) -> None:
    with SHELVES["folder"]() as entry:
        settings = settings_with(entry, "gestore")
        with override_settings(STORAGES=settings):
            seen = typed("exportobjects", BOOK, "-o", "acme.json", "--bucket")
            assert seen.code == 0
            assert " to gestore:acme.json\n" in seen.out
            assert typed("verifyobjects", "acme.json", "-b").code == 0
            seen = typed("importobjects", "acme.json", "--bucket", "--database", "target")
            assert (seen.code, seen.err) == (0, "")
    for command, *words in (
        ("exportobjects", BOOK, "-o", "a.json"),
        ("importobjects", "a.json"),
        ("verifyobjects", "a.json"),
        ("deleteobjects", BOOK, "--archive", "a.json", "--no-input"),
    ):
        seen = typed(command, *words, "-b")
        first, *advice = seen.errors
        assert first == (
            'CommandError: There is no bucket: neither STORAGES["gestore"] nor '
            "GESTORE_BUCKET_NAME is set."
        )
        assert advice == [
            'Set STORAGES["gestore"], or the three of the Gestore of 2021:',
            "GESTORE_BUCKET_NAME, GESTORE_PROJECT_NAME, GESTORE_CREDENTIALS.",
        ]
        assert seen.code == 1


def test_bucket_of_the_gestore_of_2021(target: None) -> None:
    google = pytest.importorskip("google.auth.credentials")
    with SHELVES["gcs"]() as entry:
        three = {
            "GESTORE_BUCKET_NAME": entry["OPTIONS"]["bucket_name"],
            "GESTORE_PROJECT_NAME": entry["OPTIONS"]["project_id"],
            "GESTORE_CREDENTIALS": google.AnonymousCredentials(),
        }
        with override_settings(**three):
            assert typed("exportobjects", BOOK, "-o", "acme.json", "-b").code == 0
            seen = typed("importobjects", "acme.json", "-b", "--database", "target")
        assert (seen.code, seen.err) == (0, "")
        assert Kind("gcs", entry).names() == ["acme.json"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("exportobjects", BOOK, *VAULT), 1, "No storage 'vault'."),
        (("importobjects", "a.json", "--storage", "nowhere"), 1, "No storage 'nowhere'."),
        (
            ("verifyobjects", "a.json", "--storage", "x", "-b"),
            2,
            "A storage and the bucket are named.",
        ),
        (
            ("exportobjects", BOOK, "-o", "-", "--storage", "default"),
            2,
            "and - is a standard stream.",
        ),
        (("importobjects", "-", "--storage", "default"), 2, "and - is a standard stream."),
        (
            ("exportobjects", BOOK, "-d", "--storage", "default"),
            2,
            "With -d the document is printed",
        ),
        (
            ("exportobjects", BOOK, "--format", "csv", "-o", "a.zip", "--storage", "default"),
            2,
            "Tables for people are written to files of this machine",
        ),
        (("importobjects", "--undo", "1", "--storage", "default"), 2, "--undo takes no archive"),
        (
            ("deleteobjects", BOOK, "--no-archive", "--no-input", "--storage", "default"),
            2,
            "An archive is named, and none is to be written",
        ),
        (("importobjects", "../a.json", "--storage", "default"), 1, "default:../a.json"),
        (
            ("exportobjects", BOOK, "-o", "../a.json", "--storage", "default"),
            1,
            "default:../a.json",
        ),
    ],
)
def test_words_that_do_not_fit_are_one_sentence(
    words: tuple[str, ...], code: int, said: str, here: Path
) -> None:
    with override_settings(MEDIA_ROOT=here / "media"):
        seen = typed(*words)
    assert (seen.code, seen.out) == (code, "")
    assert said in seen.err
    assert len(seen.errors) <= 3
    assert list(here.iterdir()) == []
