"""Who wrote an archive, and is it still what they wrote? Told by a signature beside it.

The signature covers every byte of the file as it lies there, compressed and encrypted as it may be,
so that it is checked before anything of it is read. It lies in a file of the archive's name and
`.sig`: a line of JSON. Ed25519, by the library cryptography.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import IO, Any

from ..errors import ArchiveNotTrusted, MissingExtra, UsageError
from .encryption import Ask
from .storage import read_bytes, sha256_of

SIG = ".sig"
_ALGORITHM = "ed25519"
_CONTEXT = b"gestore archive sha256\n"
# Far more than a signature's file has.
MOST_BYTES = 4_096


class Signer:
    """Signs by one private key."""

    def __init__(self, key: Any) -> None:
        self._key = key
        self.public_key = _raw(key.public_key())

    def signature(self, sha256: str) -> bytes:
        """The content of the signature's file, for a file with this digest."""
        told = {
            "algorithm": _ALGORITHM,
            "sha256": sha256,
            "signer": self.public_key,
            "signature": _text(self._key.sign(_CONTEXT + sha256.encode())),
        }
        return json.dumps(told).encode() + b"\n"


def signer_of(name: str, ask: Ask) -> Signer:
    """The signer of a file with an Ed25519 private key, PEM or OpenSSH; its passphrase, if it has
    one, is asked for."""
    data = read_bytes(name)
    key = _private_key(name, data, None)
    if key is None:
        key = _private_key(name, data, ask(f"Passphrase of {name}: ").encode())
    return Signer(key)


def _private_key(name: str, data: bytes, passphrase: bytes | None) -> Any:
    """None where there is a passphrase and none was given. What the library says of a key is not
    passed on."""
    serialization, ed25519 = _cryptography()
    is_ssh = b"OPENSSH PRIVATE KEY" in data
    load = serialization.load_ssh_private_key if is_ssh else serialization.load_pem_private_key
    try:
        key = load(data, passphrase)
    except TypeError:
        if passphrase is None:
            return None
        raise
    except ValueError as error:
        # Of an OpenSSH key: that there is a passphrase is a ValueError, and only words tell.
        if passphrase is None and "assword" in str(error):
            return None
        what = "holds no private key" if passphrase is None else "was not opened by this passphrase"
        raise UsageError(f"{name} {what}.") from None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UsageError(
            f"{name} holds a key of another kind: archives are signed by Ed25519.",
            hint="Make one with: openssl genpkey -algorithm ed25519 -out FILE",
        )
    return key


class TrustedSigners:
    """The public keys whose signature is believed."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = {_raw(key): key for key in map(_public_key, keys)}

    def trusts(self, public_key: str) -> bool:
        """Whether a signer (`Signer.public_key`) is one of them."""
        return public_key in self._keys

    def check(self, name: str, file: IO[bytes], signature: bytes) -> str:
        """Who of them signed exactly these bytes; else `ArchiveNotTrusted`. The file is read from
        its beginning."""
        _cryptography()
        from cryptography.exceptions import InvalidSignature

        told = _told(name, signature)
        key = self._keys.get(told["signer"])
        if key is None:
            raise ArchiveNotTrusted(
                f"{name} is signed by somebody who is not trusted here.",
                hint='Whom to trust is said in GESTORE["TRUSTED_SIGNERS"].',
            )
        digest = digest_of(file)
        try:
            if told["sha256"] != digest:
                raise InvalidSignature
            key.verify(base64.b64decode(told["signature"]), _CONTEXT + digest.encode())
        except (InvalidSignature, binascii.Error) as error:
            raise ArchiveNotTrusted(
                f"{name} is not what was signed: it, or its signature, was changed.",
                hint="Fetch both again from where they were whole.",
            ) from error
        return told["signer"]


def unsigned(name: str) -> ArchiveNotTrusted:
    """What is said of an archive without a signature where one is wanted."""
    return ArchiveNotTrusted(
        f"{name} is not signed: there is no {name}{SIG}.",
        hint='GESTORE["TRUSTED_SIGNERS"] asks for a signature: export with --sign KEY.',
    )


def digest_of(file: IO[bytes]) -> str:
    """The SHA-256 of all bytes of a file, which is left at its beginning."""
    file.seek(0)
    digest = sha256_of(file)
    file.seek(0)
    return digest


def _told(name: str, signature: bytes) -> dict[str, str]:
    try:
        told = json.loads(signature) if len(signature) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or told.get("algorithm") != _ALGORITHM:
        told = {}
    parts = {name: told.get(name) for name in ("signer", "signature", "sha256")}
    if not all(isinstance(part, str) for part in parts.values()):
        raise ArchiveNotTrusted(f"{name}{SIG} is no signature of Gestore's.")
    return parts  # type: ignore[return-value]


def _public_key(text: str) -> Any:
    serialization, ed25519 = _cryptography()
    is_ssh = text.startswith("ssh-")
    load = serialization.load_ssh_public_key if is_ssh else serialization.load_pem_public_key
    try:
        key = load(text.encode()) if is_ssh or "BEGIN" in text else _from_raw(ed25519, text)
    except ValueError:
        key = None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise UsageError(
            f'GESTORE["TRUSTED_SIGNERS"]: {text!r} is no Ed25519 public key.',
            hint="Write a line of ssh-ed25519, a PEM block, or the key's 32 bytes in base64.",
        )
    return key


def _from_raw(ed25519: Any, text: str) -> Any:
    return ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))


def _raw(public_key: Any) -> str:
    serialization, _ = _cryptography()
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    return _text(public_key.public_bytes(*raw))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise MissingExtra(
            "Signatures need the library cryptography.",
            hint="Install it with: pip install 'django-gestore[sign]'",
        ) from error
    return serialization, ed25519
