"""Are archives sealed as was asked, opened by those who may, and their secrets never shown?"""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings

import gestore
from gestore.errors import ArchiveError, ArchiveNotTrusted, UsageError

from . import keys as key_files
from .conftest import BOOK
from .keys import Keys
from .processes import MANAGE, PATIENCE_SECONDS, environment, run
from .typing_in import Seen, typed

pytestmark = [
    pytest.mark.django_db(databases=["default", "target"]),
    pytest.mark.usefixtures("library", "here"),
]
FORMS = ("json", "jsonl", "jsonl.gz", "json.zst")
TARGET = ("--database", "target")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return key_files.made(tmp_path_factory.mktemp("keys"))


def exported(name: str, *words: str) -> Seen:
    seen = typed("exportobjects", BOOK, "-o", name, *words)
    assert seen.code == 0, seen.err
    return seen


def row_count(using: str = "target") -> int:
    """Every row there is, content types and their like included."""
    with connections[using].cursor() as cursor:
        total = 0
        for table in connections[using].introspection.table_names():
            cursor.execute(f"SELECT count(*) FROM {connections[using].ops.quote_name(table)}")
            total += cursor.fetchone()[0]
    return total


@pytest.mark.parametrize("form", FORMS)
def test_encrypted_arrives_as_the_clear_one_does(form: str, keys: Keys, target: None) -> None:
    exported(f"acme.{form}.age", "--encrypt-to", keys.recipient)
    exported("clear.jsonl")
    held = typed("verifyobjects", f"acme.{form}.age", "--identity", keys.identity, "--compare")
    assert (held.code, held.err) == (0, "")
    words = (f"acme.{form}.age", "--identity", keys.identity, *TARGET)
    assert typed("importobjects", *words, "-n").code == 0
    assert typed("importobjects", *words, "--verify").code == 0
    assert typed("verifyobjects", "clear.jsonl", "--compare", *TARGET).code == 0


def test_settings_name_who_may_open(keys: Keys) -> None:
    with override_settings(GESTORE={"RECIPIENTS": [keys.recipient]}):
        exported("acme.jsonl.age")
        exported("clear.jsonl")
        exported("made", "--format", "jsonl")
        exported("secret")
        typed_form = typed("exportobjects", BOOK, "-o", "-", "--format", "jsonl")
        told_none = typed("exportobjects", BOOK, "-o", "-")
        printed = typed("exportobjects", BOOK, "-d")
    assert typed("verifyobjects", "acme.jsonl.age", "--identity", keys.identity).code == 0
    assert Path("clear.jsonl").read_bytes().startswith(b'{"format_version"')
    assert [p.suffix for p in Path("made").iterdir()] == [".jsonl"]
    assert [p.suffixes[-2:] for p in Path("secret").iterdir()] == [[".json", ".age"]]
    assert typed_form.payload.startswith(b"{")
    assert printed.payload.startswith(b"{")
    assert told_none.payload.startswith(b"age-encryption.org/")
    seen = typed("verifyobjects", "-", "--identity", keys.identity, stdin=told_none.payload)
    assert seen.code == 0


def test_encryption_may_be_required(keys: Keys) -> None:
    exported("old.json")
    with override_settings(GESTORE={"REQUIRE_ENCRYPTION": True, "RECIPIENTS": [keys.recipient]}):
        for words in (
            ("exportobjects", BOOK, "-o", "clear.json"),
            ("exportobjects", BOOK, "-o", "clear.json", "-n"),
            ("exportobjects", BOOK, "-o", "-", "--format", "json"),
            ("exportobjects", BOOK, "-d"),
            ("exportobjects", BOOK, "-o", "clear.zip", "--format", "csv"),
            ("deleteobjects", BOOK, "--archive", "clear.json", "--no-input"),
        ):
            seen = typed(*words)
            assert (seen.code, seen.payload) == (2, b"")
            assert 'GESTORE["REQUIRE_ENCRYPTION"] asks for that.' in seen.err.replace("\n", " ")
        with pytest.raises(UsageError, match="REQUIRE_ENCRYPTION"):
            gestore.export_objects([BOOK], "clear.json")
        exported("acme")
        assert typed("verifyobjects", "old.json").code == 0
    assert sorted(p.name for p in Path().iterdir()) == ["acme", "old.json"]


@pytest.mark.skipif(not which("age"), reason="the program age is not installed")
def test_the_program_age_opens_what_is_exported_and_makes_what_is_imported(
    keys: Keys, target: None
) -> None:
    exported("acme.json.gz.age", "--encrypt-to", keys.recipient)
    subprocess.run(
        ["age", "-d", "-i", keys.identity, "-o", "back.json.gz", "acme.json.gz.age"], check=True
    )
    assert typed("verifyobjects", "back.json.gz", "--compare").code == 0
    exported("clear.jsonl")
    subprocess.run(["age", "-r", keys.recipient, "-o", "theirs.age", "clear.jsonl"], check=True)
    words = ("theirs.age", "--identity", keys.identity, *TARGET)
    assert typed("importobjects", *words).code == 0
    assert typed("verifyobjects", "clear.jsonl", "--compare", *TARGET).code == 0


def test_signature_is_asked_for_before_anything_is_read(keys: Keys, target: None) -> None:
    seen = exported("acme.jsonl", "--sign", keys.signing, "--report", "r.json")
    report = json.loads(Path("r.json").read_bytes())
    assert len(report["signer"]) == 44
    assert len(report["file_sha256"]) == 64
    exported("unsigned.jsonl")
    stranger = key_files.made(Path("stranger"))
    exported("strange.jsonl", "--sign", stranger.signing)
    with override_settings(GESTORE={"TRUSTED_SIGNERS": [keys.signer]}):
        held = typed("verifyobjects", "acme.jsonl")
        assert held.out.endswith(f"Signed by {report['signer']}\n")
        for name, said in (
            ("unsigned.jsonl", "unsigned.jsonl is not signed: there is no unsigned.jsonl.sig."),
            ("strange.jsonl", "strange.jsonl is signed by somebody who is not trusted here."),
            ("-", "Standard input brings no signature along, and one is wanted here."),
        ):
            for command in ("importobjects", "verifyobjects"):
                wrong = typed(command, name, stdin=Path("acme.jsonl").read_bytes())
                assert (wrong.code, wrong.errors[0]) == (1, f"CommandError: {said}")
        seen = typed("importobjects", "acme.jsonl", *TARGET)
        assert (seen.code, seen.err) == (0, "")
    # Where nobody is named, nobody is asked.
    assert typed("verifyobjects", "strange.jsonl").code == 0


@pytest.mark.parametrize("how", ["encrypted", "signed", "both"])
def test_any_changed_byte_is_refused_before_any_row_is_loaded(
    how: str, keys: Keys, target: None
) -> None:
    """Every 997th byte, and where the parts of the format meet."""
    name = "acme.jsonl" if how == "signed" else "acme.jsonl.age"
    options = gestore.Keeping(
        encrypt_to=() if how == "signed" else (keys.recipient,),
        sign="" if how == "encrypted" else keys.signing,
    )
    gestore.export_objects([f"demoapp.Book.{n}" for n in range(1, 21)], name, keeping=options)
    data = Path(name).read_bytes()
    places = [*range(0, len(data), 997), *range(170, 250, 7), len(data) - 1]
    assert len(places) > 30
    signers = {} if how == "encrypted" else {"TRUSTED_SIGNERS": [keys.signer]}
    opened = gestore.Keeping(identities=(keys.identity,))
    before = row_count()
    with override_settings(GESTORE=signers):
        for place in places:
            changed = bytearray(data)
            changed[place] ^= 1
            Path(name).write_bytes(changed)
            expected = ArchiveError if how == "encrypted" else ArchiveNotTrusted
            with pytest.raises(expected):
                gestore.import_objects(
                    name, gestore.ImportOptions(database="target", keeping=opened)
                )
            assert row_count() == before
        for cut in (1, 16, 1000, len(data) // 2):
            Path(name).write_bytes(data[:-cut])
            with pytest.raises(ArchiveError):
                gestore.import_objects(
                    name, gestore.ImportOptions(database="target", keeping=opened)
                )
        assert row_count() == before
        Path(name).write_bytes(data)
        gestore.import_objects(name, gestore.ImportOptions(database="target", keeping=opened))
    assert row_count() > before


# What is typed wrong ------------------------------------------------------------------------------


def test_wrong_words_are_one_sentence_and_show_no_secret(keys: Keys) -> None:
    exported("acme.json.age", "--encrypt-to", keys.recipient)
    exported("clear.json")
    stranger = key_files.made(Path("stranger"))
    export = ("exportobjects", BOOK, "-o")
    for words, code, said in [
        ((*export, "a.json.age"), 2, "is to be encrypted, and nobody is named who may open it."),
        ((*export, "a.json", "--encrypt-to", keys.recipient), 2, "does not end in .age"),
        ((*export, "a.json.age", "--encrypt-to", "age1nobody"), 2, "'age1nobody' is no recipient"),
        ((*export, "a.json.age", "--encrypt-to", keys.secret), 2, "A secret key is named"),
        ((*export, "a.json", "--sign", keys.identity), 2, "holds no private key"),
        ((*export, "a.json", "--sign", "absent.pem"), 1, "absent.pem cannot be read"),
        ((*export, "-", "--sign", keys.signing), 2, "standard output has no place for it"),
        (
            ("exportobjects", BOOK, "-d", "--sign", keys.signing),
            2,
            "With -d the document is printed",
        ),
        (("importobjects", "acme.json.age"), 1, "acme.json.age is encrypted."),
        (("verifyobjects", "acme.json.age"), 1, "acme.json.age is encrypted."),
        (("importobjects", "acme.json.age", "--identity", stranger.identity), 1, "somebody else"),
        (("importobjects", "acme.json.age", "--identity", "absent"), 1, "absent cannot be read"),
        (("importobjects", "acme.json.age", "--identity", keys.secret), 2, "where a file is to be"),
        (("importobjects", "acme.json.age", "--identity", keys.signing), 1, "holds no identity"),
        (("importobjects", "--undo", "1", "--identity", keys.identity), 2, "takes no archive"),
    ]:
        seen = typed(*words)
        assert (seen.code, seen.payload) == (code, b""), seen.err
        assert said in " ".join(seen.err.split()), seen.err
        assert len(seen.errors) <= 3
        assert keys.secret not in seen.err
    with override_settings(GESTORE={"RECIPIENTS": ["age1nobody"], "TRUSTED_SIGNERS": ["x"]}):
        seen = typed(*export, "a.json.age")
        assert (seen.code, seen.errors[0]) == (
            1,
            "CommandError: GESTORE[\"RECIPIENTS\"]: 'age1nobody' is no recipient: "
            + seen.errors[0].rpartition(": ")[2],
        )
        seen = typed("importobjects", "clear.json")
        assert seen.code == 1
        assert "GESTORE[\"TRUSTED_SIGNERS\"]: 'x' is no Ed25519 public key." in seen.err
    assert sorted(p.name for p in Path().iterdir()) == ["acme.json.age", "clear.json", "stranger"]


def test_archive_and_signature_that_are_there(keys: Keys) -> None:
    exported("acme.json", "--sign", keys.signing)
    Path("acme.json").unlink()
    seen = typed("exportobjects", BOOK, "-o", "acme.json", "--sign", keys.signing)
    assert seen.errors[0] == "CommandError: acme.json.sig exists already."
    assert not Path("acme.json").exists()
    exported("acme.json", "--sign", keys.signing, "--overwrite")
    exported("acme.json", "--overwrite")
    assert [p.name for p in Path().iterdir()] == ["acme.json"]


@pytest.mark.parametrize(
    ("library", "what", "extra", "words"),
    [
        ("pyrage", "Encrypted archives", "age", ("--encrypt-to", "age1x")),
        ("cryptography.hazmat.primitives", "Signatures", "sign", ("--sign", "KEY")),
    ],
)
def test_missing_library_is_named(
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    library: str,
    what: str,
    extra: str,
    words: tuple[str, ...],
) -> None:
    exported("old.json.age", "--encrypt-to", keys.recipient)
    named = [keys.signing if word == "KEY" else word for word in words]
    monkeypatch.setitem(sys.modules, library, None)
    opening = ("old.json.age", "--identity", keys.identity)
    for typed_in in (
        ("exportobjects", BOOK, "-o", "a.json" if extra == "sign" else "a.json.age", *named),
        *([("importobjects", *opening)] if extra == "age" else []),
    ):
        seen = typed(*typed_in)
        assert (seen.code, len(seen.errors)) == (1, 2)
        assert seen.errors[0].startswith(f"CommandError: {what} need the library ")
        assert seen.errors[1] == f"Install it with: pip install 'django-gestore[{extra}]'"


# Secrets ------------------------------------------------------------------------------------------


def secrets_of(keys: Keys) -> list[str]:
    pem = Path(keys.signing).read_text().splitlines()[1]
    return [keys.secret, keys.secret.lower(), pem, keys.passphrase]


def test_no_secret_is_logged_told_or_written(
    keys: Keys, target: None, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return keys.passphrase

    caplog.set_level(logging.DEBUG)
    opened = gestore.Keeping(identities=(keys.locked_identity,), ask=answer)
    sealed = gestore.Keeping(encrypt_to=(keys.recipient,), sign=keys.locked_signing, ask=answer)
    report = gestore.export_objects([BOOK], "acme.jsonl.age", keeping=sealed)
    loaded = gestore.import_objects(
        "acme.jsonl.age", gestore.ImportOptions(database="target", keeping=opened)
    )
    held = gestore.verify_archive("acme.jsonl.age", keeping=opened)
    assert asked == [
        f"Passphrase of {keys.locked_signing}: ",
        *[f"Passphrase of {keys.locked_identity}: "] * 2,
    ]
    wrong = gestore.Keeping(identities=(keys.locked_identity,), ask=lambda p: "open barley")
    with pytest.raises(ArchiveError) as caught:
        gestore.verify_archive("acme.jsonl.age", keeping=wrong)
    with pytest.raises(UsageError, match="there is nobody to ask"):
        gestore.verify_archive(
            "acme.jsonl.age", keeping=gestore.Keeping(identities=(keys.locked_identity,))
        )
    pyrage: Any = pytest.importorskip("pyrage")
    identity = pyrage.x25519.Identity.from_str(keys.secret)
    clear = pyrage.decrypt(Path("acme.jsonl.age").read_bytes(), [identity])
    told = "\n".join(
        [
            *(json.dumps(one.as_json()) for one in (report, loaded, held)),
            clear.decode(),
            Path("acme.jsonl.age.sig").read_text(),
            repr((opened, sealed)),
            str(caught.value),
            caplog.text,
        ]
    )
    assert [secret for secret in [*secrets_of(keys), "open barley"] if secret in told] == []
    assert keys.locked_identity in repr(opened)


@pytest.fixture
def demo(here: Path) -> Iterator[dict[str, str]]:
    """The demo's site, with a library of its own, for processes of their own."""
    env = environment(
        LIBRARY_DATABASE=str(here / "a.sqlite3"), LIBRARY_BRANCH=str(here / "b.sqlite3")
    )
    for words in (
        ("migrate", "-v0"),
        ("migrate", "-v0", "--database", "branch"),
        ("generate", "--books", "20", "-v0"),
    ):
        done = run(*words, env=env, cwd=here)
        assert done.returncode == 0, done.stderr
    yield env


def at_terminal(env: dict[str, str], answer: str, *words: str) -> tuple[int, str, str]:
    """The command at a terminal of its own, where the answer is typed when it asks: its exit code,
    what the terminal showed, and what `ps` would have shown while it asked."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(MANAGE[0], [*MANAGE, *words], env)
    shown = b""
    while b"Passphrase of" not in shown:
        shown += os.read(terminal, 1000)
    listed = (
        Path(f"/proc/{child}/cmdline").read_bytes() + Path(f"/proc/{child}/environ").read_bytes()
    )
    os.write(terminal, f"{answer}\n".encode())
    try:
        while piece := os.read(terminal, 1000):
            shown += piece
    except OSError:
        # The terminal's other end is closed: the command has ended.
        pass
    finally:
        os.close(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), shown.decode(), listed.decode(errors="replace")


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc here")
def test_passphrase_is_typed_at_the_terminal_and_shown_nowhere(
    keys: Keys, demo: dict[str, str], here: Path
) -> None:
    book = "demoapp.Book.4"
    name = str(here / "acme.json.age")
    seal = ("--encrypt-to", keys.recipient, "--sign", keys.locked_signing, "--report", "r.json")
    code, shown, listed = at_terminal(
        demo, keys.passphrase, "exportobjects", book, "-o", name, *seal
    )
    assert (code, keys.passphrase in shown, keys.passphrase in listed) == (0, False, False)
    assert f"Passphrase of {keys.locked_signing}: " in shown
    words = ("importobjects", name, "--database", "branch", "--identity", keys.locked_identity)
    code, shown, listed = at_terminal(demo, "open barley", *words)
    assert (code, "barley" in shown) == (1, False)
    assert "was not opened by this passphrase" in " ".join(shown.split())
    code, shown, listed = at_terminal(demo, keys.passphrase, *words)
    assert (code, keys.passphrase in shown, keys.secret in shown) == (0, False, False)
    written = [path for path in here.iterdir() if path.is_file()]
    assert len(written) >= 5
    for path in written:
        assert not any(secret.encode() in path.read_bytes() for secret in secrets_of(keys)), path
    # Without a terminal nothing is asked, and what stands on standard input is not read.
    done = subprocess.run(
        [*MANAGE, *words],
        env=demo,
        cwd=here,
        input=f"{keys.passphrase}\n",
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "is needed, and there is no terminal to ask at." in " ".join(done.stderr.split())
    assert len(done.stderr.splitlines()) <= 4
