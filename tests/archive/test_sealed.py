"""Is an archive that is encrypted, signed, or both read back whole, and refused when it is not what
was written?"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage

from gestore.archive.encryption import identities_of, recipients_of
from gestore.archive.reader import open_archive
from gestore.archive.shelf import Shelf
from gestore.archive.signing import Signer, TrustedSigners
from gestore.archive.writer import Destination, Written, write_archive
from gestore.errors import (
    ArchiveDamaged,
    ArchiveError,
    ArchiveExists,
    ArchiveNotRead,
    ArchiveNotTrusted,
    ArchiveNotWritten,
    UsageError,
)

from .archives import MANIFEST, MAX_BYTES, ROWS, read, write

pyrage = pytest.importorskip("pyrage")
ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")

ENDINGS = (".json", ".jsonl", ".jsonl.gz", ".jsonl.zst")


@pytest.fixture(scope="module")
def identity() -> Any:
    return pyrage.x25519.Identity.generate()


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer(ed25519.Ed25519PrivateKey.generate())


def sealed(
    path: Path, identity: Any = None, signer: Signer | None = None, **options: Any
) -> Written:
    recipients = tuple(recipients_of([str(identity.to_public())])) if identity else ()
    destination = Destination.parse(str(path), recipients=recipients, signer=signer, **options)
    destination.check()
    return write_archive(destination, MANIFEST, ROWS)


def rows_of(path: Path, *identities: Any, signers: TrustedSigners | None = None) -> list[Any]:
    with open_archive(str(path), MAX_BYTES, identities=identities, trusted=signers) as archive:
        rows = list(archive.rows())
        assert rows == list(archive.rows())
        assert archive.ending is not None
        assert archive.ending.findings("it") == []
    return rows


@pytest.mark.parametrize("ending", ENDINGS)
def test_encrypted_is_read_back_as_the_clear_one(
    ending: str, identity: Any, tmp_path: Path
) -> None:
    clear, path = tmp_path / f"clear{ending}", tmp_path / f"acme{ending}.age"
    write(clear)
    written = sealed(path, identity)
    assert written.file_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert rows_of(path, identity) == read(clear)[1]
    with open_archive(str(path), MAX_BYTES, identities=[identity]) as archive:
        assert archive.is_encrypted
        assert archive.holds(written.sha256, written.rows_by_model)
        assert archive.digest() == written.sha256
    assert b"zoo.menagerie" not in path.read_bytes()


def test_a_pass_that_is_given_up_is_no_trouble_to_the_next(identity: Any, tmp_path: Path) -> None:
    path = tmp_path / "acme.jsonl.age"
    sealed(path, identity)
    threads = threading.active_count()
    with open_archive(str(path), MAX_BYTES, identities=[identity]) as archive:
        half = archive.rows()
        first = next(half)
        assert next(archive.rows()) == first
        assert len(list(archive.rows())) == len(ROWS)
    assert threading.active_count() == threads
    stranger = pyrage.x25519.Identity.generate()
    with pytest.raises(ArchiveNotRead, match="for somebody else"):
        rows_of(path, stranger)
    with pytest.raises(ArchiveNotRead, match="is encrypted") as caught:
        rows_of(path)
    assert "--identity FILE" in caught.value.hint
    assert threading.active_count() == threads


@pytest.mark.skipif(not which("age"), reason="the program age is not installed")
def test_the_program_age_opens_and_makes_archives(tmp_path: Path) -> None:
    key = tmp_path / "key.txt"
    made = subprocess.run(["age-keygen", "-o", key], capture_output=True, text=True, check=True)
    public = made.stderr.split()[-1]
    clear, path = tmp_path / "acme.jsonl.zst", tmp_path / "ours.jsonl.zst.age"
    write(clear)
    write_archive(
        Destination.parse(str(path), recipients=tuple(recipients_of([public]))), MANIFEST, ROWS
    )
    back = tmp_path / "back.jsonl.zst"
    subprocess.run(["age", "-d", "-i", key, "-o", back, path], check=True)
    assert read(back)[1] == read(clear)[1]

    def nobody(prompt: str) -> str:
        raise AssertionError(prompt)

    for armor in ([], ["-a"]):
        theirs = tmp_path / f"theirs{len(armor)}.age"
        subprocess.run(["age", *armor, "-r", public, "-o", theirs, clear], check=True)
        assert rows_of(theirs, *identities_of(str(key), nobody)) == read(clear)[1]


@pytest.mark.parametrize("ending", ["", ".age"])
def test_signed_is_believed_and_any_changed_byte_is_not(
    ending: str, identity: Any, signer: Signer, tmp_path: Path
) -> None:
    path = tmp_path / f"acme.jsonl{ending}"
    written = sealed(path, identity, signer)
    assert written.signer == signer.public_key
    trusted = TrustedSigners([signer.public_key])
    rows = rows_of(path, identity, signers=trusted)
    assert len(rows) == len(ROWS)
    with open_archive(str(path), MAX_BYTES, identities=[identity], trusted=trusted) as archive:
        assert archive.signer == signer.public_key
    data = path.read_bytes()
    for place in [*range(0, len(data), 97), len(data) - 1]:
        changed = bytearray(data)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ArchiveNotTrusted, match="is not what was signed"):
            rows_of(path, identity, signers=trusted)
    path.write_bytes(data)
    Path(f"{path}.sig").unlink()
    with pytest.raises(ArchiveNotTrusted, match=r"is not signed: there is no .*\.sig"):
        rows_of(path, identity, signers=trusted)


@pytest.mark.parametrize("ending", ENDINGS)
def test_any_changed_byte_of_an_encrypted_one_is_noticed(
    ending: str, identity: Any, tmp_path: Path
) -> None:
    path = tmp_path / f"acme{ending}.age"
    sealed(path, identity)
    data = path.read_bytes()
    for place in [*range(0, len(data), 97), *range(len(data) - 20, len(data))]:
        changed = bytearray(data)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ArchiveError):
            rows_of(path, identity)
    for cut in (1, 10, 16, 17, 200):
        path.write_bytes(data[:-cut])
        with pytest.raises((ArchiveDamaged, ArchiveNotRead)):
            rows_of(path, identity)


def test_signature_that_cannot_be_written_takes_the_archive_along(
    signer: Signer, tmp_path: Path
) -> None:
    class NoSignatures(FileSystemStorage):
        def exists(self, name: str) -> bool:
            if name.endswith(".sig"):
                raise PermissionError("no signatures here")
            return super().exists(name)

    shelf = Shelf("vault", NoSignatures(tmp_path))
    destination = Destination.parse("acme.jsonl", shelf=shelf, signer=signer)
    with pytest.raises(ArchiveNotWritten, match=r"vault:acme\.jsonl could not be signed") as caught:
        write_archive(destination, MANIFEST, ROWS)
    assert "no signatures here" in caught.value.message
    assert "taken away again" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_signature_that_is_there_is_in_the_way_and_goes_with_what_it_signed(
    signer: Signer, tmp_path: Path
) -> None:
    path = tmp_path / "acme.jsonl"
    sealed(path, signer=signer)
    path.unlink()
    with pytest.raises(ArchiveExists, match=r"acme\.jsonl\.sig exists already"):
        sealed(path, signer=signer)
    sealed(path, signer=signer, overwrite=True)
    assert rows_of(path, signers=TrustedSigners([signer.public_key]))
    sealed(path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["acme.jsonl"]


def test_full_disk_beyond_encryption_is_told_as_such(identity: Any, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    recipients = tuple(recipients_of([str(identity.to_public())]))
    for ending in ENDINGS:
        destination = Destination.parse("-", form=f"{ending[1:]}.age", recipients=recipients)
        with pytest.raises(ArchiveNotWritten, match="No space left"), _stdout_full():
            write_archive(destination, MANIFEST, ROWS * 20_000)


@contextmanager
def _stdout_full() -> Iterator[None]:
    before = sys.stdout
    with Path("/dev/full").open("wb", buffering=0) as file:
        sys.stdout = SimpleNamespace(buffer=file)
        try:
            yield
        finally:
            sys.stdout = before


def test_what_a_name_asks_for(identity: Any, signer: Signer) -> None:
    recipients = tuple(recipients_of([str(identity.to_public())]))
    destination = Destination.parse("acme.jsonl.zst.age", recipients=recipients)
    assert (destination.compression, destination.recipients) == (".zst", recipients)
    assert Destination.parse("acme.jsonl.zst", recipients=recipients).recipients == ()
    for name, options, words in [
        ("acme.jsonl.age", {}, "nobody is named who may open it"),
        ("acme.age", {"recipients": recipients}, "does not say what to write"),
        ("-", {"signer": signer}, "standard output has no place"),
        ("-", {"shelf": Shelf("vault", FileSystemStorage())}, "is a standard stream"),
    ]:
        with pytest.raises(UsageError, match=words):
            Destination.parse(name, **options)
    with pytest.raises(ArchiveNotTrusted, match="Standard input brings no signature"):
        rows_of(Path("-"), signers=TrustedSigners([signer.public_key]))
