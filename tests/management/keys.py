"""Which keys do the tests encrypt, open and sign with? Files of them, made anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Keys:
    """A pair to encrypt and open, a pair to sign; both secrets under a passphrase too."""

    recipient: str
    secret: str
    identity: str
    locked_identity: str
    signer: str
    signing: str
    locked_signing: str
    passphrase: str = "open sesame, it is me"


def made(folder: Path) -> Keys:
    pyrage = pytest.importorskip("pyrage")
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    folder.mkdir(exist_ok=True)
    identity, signing = pyrage.x25519.Identity.generate(), ed25519.Ed25519PrivateKey.generate()
    passphrase = Keys.passphrase

    def signing_pem(encryption: object) -> bytes:
        return bytes(
            signing.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
            )
        )

    contents = {
        "key.txt": f"# mine\n{identity}\n".encode(),
        "key.age": pyrage.passphrase.encrypt(str(identity).encode(), passphrase),
        "sign.pem": signing_pem(serialization.NoEncryption()),
        "locked.pem": signing_pem(serialization.BestAvailableEncryption(passphrase.encode())),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    public = signing.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return Keys(
        str(identity.to_public()),
        str(identity),
        *(str(folder / name) for name in ("key.txt", "key.age")),
        public.decode(),
        *(str(folder / name) for name in ("sign.pem", "locked.pem")),
    )
