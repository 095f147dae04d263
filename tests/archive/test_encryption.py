"""Is what was encrypted opened by its identity alone, whole, in little memory?"""

from __future__ import annotations

import io
import subprocess
import tracemalloc
from pathlib import Path
from shutil import which

import pytest

from gestore.archive.encryption import (
    decrypting,
    encrypting,
    identities_of,
    is_encrypted,
    recipients_of,
)
from gestore.errors import ArchiveDamaged, ArchiveNotRead, UsageError

pyrage = pytest.importorskip("pyrage")


def nobody(prompt: str) -> str:
    raise AssertionError(f"asked: {prompt}")


@pytest.fixture(scope="module")
def identity() -> object:
    return pyrage.x25519.Identity.generate()


def sealed(identity: object, data: bytes) -> bytes:
    sink = io.BytesIO()
    with encrypting(sink, recipients_of([str(identity.to_public())])) as file:  # type: ignore[attr-defined]
        file.write(data)
    return sink.getvalue()


def opened(data: bytes, *identities: object) -> bytes:
    with decrypting("acme.jsonl.age", io.BytesIO(data), identities) as file:
        pieces = []
        while piece := file.read(1000):
            pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1_000_000])
def test_round_trip(identity: object, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    found = sealed(identity, data[:size])
    assert is_encrypted(found)
    assert opened(found, identity) == data[:size]


def test_every_recipient_opens_it_and_nobody_else(identity: object) -> None:
    other, stranger = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    sink = io.BytesIO()
    texts = [str(identity.to_public()), str(other.to_public())]  # type: ignore[attr-defined]
    with encrypting(sink, recipients_of(texts)) as file:
        file.write(b"acme")
    assert opened(sink.getvalue(), identity) == opened(sink.getvalue(), other) == b"acme"
    with pytest.raises(ArchiveNotRead, match="for somebody else"):
        opened(sink.getvalue(), stranger)
    with pytest.raises(ArchiveNotRead, match="is encrypted") as caught:
        opened(sink.getvalue())
    assert "--identity FILE" in caught.value.hint


def test_any_changed_byte_and_any_missing_end_is_noticed(identity: object) -> None:
    data = sealed(identity, b"x" * 200_000)
    for place in [*range(0, len(data), 997), len(data) - 1]:
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises((ArchiveDamaged, ArchiveNotRead)):
            opened(bytes(changed), identity)
    for size in (30, 150, 65_000, 130_000, len(data) - 1):
        with pytest.raises((ArchiveDamaged, ArchiveNotRead)):
            opened(data[:size], identity)
    with pytest.raises(ArchiveDamaged):
        opened(data + b"more", identity)


def test_what_goes_wrong_in_the_sink_is_raised_as_it_is(identity: object) -> None:
    class Full(io.RawIOBase):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    with (
        pytest.raises(OSError, match="No space left") as caught,
        encrypting(Full(), recipients_of([str(identity.to_public())])) as file,  # type: ignore[arg-type, attr-defined]
    ):
        for _ in range(100):
            file.write(b"x" * 100_000)
    assert caught.value.errno == 28


def test_an_error_of_the_writer_is_its_own(identity: object) -> None:
    with (
        pytest.raises(KeyError, match="mine"),
        encrypting(io.BytesIO(), recipients_of([str(identity.to_public())])),  # type: ignore[attr-defined]
    ):
        raise KeyError("mine")


def test_reading_may_stop_in_the_middle(identity: object) -> None:
    data = sealed(identity, b"x" * 5_000_000)
    for _ in range(3):
        with decrypting("acme", io.BytesIO(data), [identity]) as file:
            assert file.read(10) == b"x" * 10


def test_memory_stays_flat(identity: object) -> None:
    class Nowhere(io.RawIOBase):
        def write(self, data: object) -> int:
            return len(data)  # type: ignore[arg-type]

    tracemalloc.start()
    with encrypting(Nowhere(), recipients_of([str(identity.to_public())])) as file:  # type: ignore[arg-type, attr-defined]
        for _ in range(64):
            file.write(b"x" * (1 << 20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.skipif(not which("age"), reason="the program age is not installed")
def test_the_program_age_and_this_read_each_other(tmp_path: Path) -> None:
    key, public = tmp_path / "key.txt", ""
    made = subprocess.run(
        ["age-keygen", "-o", str(key)], capture_output=True, text=True, check=True
    )
    public = made.stderr.split()[-1]
    data = b"a customer\n" * 100_000
    ours = tmp_path / "ours.age"
    with ours.open("wb") as sink, encrypting(sink, recipients_of([public])) as file:
        file.write(data)
    theirs = subprocess.run(
        ["age", "-d", "-i", str(key), str(ours)], capture_output=True, check=True
    )
    assert theirs.stdout == data
    written = subprocess.run(
        ["age", "-r", public], input=data, capture_output=True, check=True
    ).stdout
    assert opened(written, *identities_of(str(key), nobody)) == data


def test_ssh_keys_open_and_seal(tmp_path: Path) -> None:
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    private = ed25519.Ed25519PrivateKey.generate()
    key = tmp_path / "id_ed25519"
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
    line = private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    sink = io.BytesIO()
    with encrypting(sink, recipients_of([line.decode()])) as file:
        file.write(b"acme")
    assert opened(sink.getvalue(), *identities_of(str(key), nobody)) == b"acme"


def test_identity_under_a_passphrase_is_asked_for(identity: object, tmp_path: Path) -> None:
    key = tmp_path / "key.age"
    key.write_bytes(pyrage.passphrase.encrypt(str(identity).encode(), "open sesame"))
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "open sesame"

    assert opened(sealed(identity, b"acme"), *identities_of(str(key), answer)) == b"acme"
    assert asked == [f"Passphrase of {key}: "]
    with pytest.raises(ArchiveNotRead, match="not opened by this passphrase") as caught:
        identities_of(str(key), lambda prompt: "open barley")
    assert "barley" not in str(caught.value)


def test_wrong_keys_are_one_line_without_the_key(identity: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'age1nobody' is no recipient"):
        recipients_of(["age1nobody"])
    with pytest.raises(UsageError, match="is no recipient"):
        recipients_of(["ssh-ed25519 AAAA"])
    secret = str(identity)
    with pytest.raises(UsageError, match="A secret key is named as a recipient") as caught:
        recipients_of([secret])
    assert secret not in str(caught.value)
    key = tmp_path / "key.txt"
    for content in ("", "# nothing\n", secret[:-1] + "\n", "\udcff"):
        key.write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(ArchiveNotRead, match="holds no identity") as told:
            identities_of(str(key), nobody)
        assert secret[:-1] not in str(told.value)
    with pytest.raises(ArchiveNotRead, match="cannot be read"):
        identities_of(str(tmp_path / "absent"), nobody)
