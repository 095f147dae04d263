"""Is a signature believed for the very bytes that were signed, and by those who are trusted?"""

from __future__ import annotations

import base64
import io
import json
import subprocess
from pathlib import Path
from shutil import which

import pytest

from gestore.archive.signing import Signer, TrustedSigners, digest_of, signer_of
from gestore.errors import ArchiveNotRead, ArchiveNotTrusted, UsageError

serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")

ARCHIVE = bytes(range(256)) * 40


def nobody(prompt: str) -> str:
    raise AssertionError(f"asked: {prompt}")


@pytest.fixture(scope="module")
def key() -> object:
    return ed25519.Ed25519PrivateKey.generate()


def raw(key: object) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()  # type: ignore[attr-defined]


def checked(trusted: str, data: bytes, signature: bytes) -> str:
    return TrustedSigners([trusted]).check("acme.jsonl", io.BytesIO(data), signature)


def signature_of(key: object, data: bytes = ARCHIVE) -> bytes:
    return Signer(key).signature(digest_of(io.BytesIO(data)))


def test_signature_of_a_trusted_signer(key: object) -> None:
    assert checked(raw(key), ARCHIVE, signature_of(key)) == raw(key)


def test_any_changed_byte_is_noticed(key: object) -> None:
    signature = signature_of(key)
    for place in [*range(0, len(ARCHIVE), 997), len(ARCHIVE) - 1]:
        changed = bytearray(ARCHIVE)
        changed[place] ^= 1
        with pytest.raises(ArchiveNotTrusted, match="is not what was signed"):
            checked(raw(key), bytes(changed), signature)
    with pytest.raises(ArchiveNotTrusted):
        checked(raw(key), ARCHIVE[:-1], signature)


def test_any_changed_member_of_the_signature_is_noticed(key: object) -> None:
    told = json.loads(signature_of(key))
    other = json.loads(signature_of(ed25519.Ed25519PrivateKey.generate()))
    for name in told:
        for value in (None, 7, "", "x", other[name] + "x", other[name][:-1]):
            with pytest.raises(ArchiveNotTrusted):
                checked(raw(key), ARCHIVE, json.dumps({**told, name: value}).encode())
    for name in ("signature", "signer"):
        with pytest.raises(ArchiveNotTrusted):
            checked(raw(key), ARCHIVE, json.dumps({**told, name: other[name]}).encode())


@pytest.mark.parametrize("text", [b"", b"[]", b"7", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_signature(key: object, text: bytes) -> None:
    with pytest.raises(ArchiveNotTrusted, match="is no signature"):
        checked(raw(key), ARCHIVE, text)


def test_stranger_is_not_believed(key: object) -> None:
    stranger = ed25519.Ed25519PrivateKey.generate()
    with pytest.raises(ArchiveNotTrusted, match="not trusted here"):
        checked(raw(key), ARCHIVE, signature_of(stranger))


@pytest.mark.parametrize("form", ["raw", "ssh", "pem"])
def test_forms_of_a_public_key(key: object, form: str) -> None:
    public = key.public_key()  # type: ignore[attr-defined]
    encodings = {
        "ssh": (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH),
        "pem": (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    }
    text = raw(key) if form == "raw" else public.public_bytes(*encodings[form]).decode()
    assert checked(text, ARCHIVE, signature_of(key)) == raw(key)


def private_bytes(key: object, form: str, passphrase: bytes | None) -> bytes:
    formats = {
        "pem": serialization.PrivateFormat.PKCS8,
        "ssh": serialization.PrivateFormat.OpenSSH,
    }
    encryption = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, formats[form], encryption)  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("form", ["pem", "ssh"])
def test_private_keys_and_their_passphrases(key: object, form: str, tmp_path: Path) -> None:
    pytest.importorskip("bcrypt" if form == "ssh" else "cryptography")
    file = tmp_path / "key"
    file.write_bytes(private_bytes(key, form, None))
    signature = signer_of(str(file), nobody).signature(digest_of(io.BytesIO(ARCHIVE)))
    assert checked(raw(key), ARCHIVE, signature) == raw(key)
    file.write_bytes(private_bytes(key, form, b"open sesame"))
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "open sesame"

    signature = signer_of(str(file), answer).signature(digest_of(io.BytesIO(ARCHIVE)))
    assert checked(raw(key), ARCHIVE, signature) == raw(key)
    assert asked == [f"Passphrase of {file}: "]
    with pytest.raises(UsageError, match="not opened by this passphrase") as caught:
        signer_of(str(file), lambda prompt: "open barley")
    assert "barley" not in str(caught.value)


@pytest.mark.skipif(not which("openssl"), reason="the program openssl is not installed")
def test_key_that_openssl_makes(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(file)],
        check=True,
        capture_output=True,
    )
    assert json.loads(signer_of(str(file), nobody).signature("00"))["algorithm"] == "ed25519"


def test_wrong_keys_are_one_line(key: object, tmp_path: Path) -> None:
    file = tmp_path / "key"
    with pytest.raises(ArchiveNotRead, match="cannot be read"):
        signer_of(str(file), nobody)
    file.write_text("secret nonsense")
    with pytest.raises(UsageError, match="holds no private key") as caught:
        signer_of(str(file), nobody)
    assert "nonsense" not in str(caught.value)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    file.write_bytes(private_bytes(other, "pem", None))
    with pytest.raises(UsageError, match="a key of another kind"):
        signer_of(str(file), nobody)
    for text in ("", "x", raw(key)[:-8], "ssh-ed25519 AAAA", "-----BEGIN PUBLIC KEY-----"):
        with pytest.raises(UsageError, match="is no Ed25519 public key"):
            TrustedSigners([text])
