"""What `benchmarks.storages` has done in processes of their own: a server, a writer, a reader.

`python -m benchmarks.shelf_chores serve KIND`, or `write | read KIND ENTRY FOLDER MEGABYTES`, where
ENTRY is what the server has printed.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.storages import ENTRY

NAME = "large.jsonl.age"
_ROW_BYTES = 1_000


def serve(kind: str) -> None:
    """Print an entry of STORAGES, and serve until standard input ends."""
    import os

    from tests.archive.shelves import SHELVES

    with SHELVES[kind]() as entry:
        entry["OPTIONS"].pop("credentials", None)
        entry["ADDRESS"] = os.environ.get("STORAGE_EMULATOR_HOST", "")
        print(f"{ENTRY}{json.dumps(entry)}", flush=True)
        sys.stdin.read()


def _set_up(kind: str, entry: dict[str, Any], folder: Path) -> None:
    import os

    import django
    from django.conf import settings

    if kind == "gcs":
        from google.auth.credentials import AnonymousCredentials

        os.environ["STORAGE_EMULATOR_HOST"] = entry["ADDRESS"]
        entry["OPTIONS"]["credentials"] = AnonymousCredentials()
    storage = {name: entry[name] for name in ("BACKEND", "OPTIONS")}
    settings.configure(
        INSTALLED_APPS=[],
        STORAGES={"vault": storage},
        GESTORE={"TRUSTED_SIGNERS": [(folder / "signing.pub").read_text()]},
    )
    django.setup()


def write(kind: str, entry: str, folder: str, megabytes: str) -> None:
    """An archive of about so many million bytes, encrypted and signed."""
    _set_up(kind, json.loads(entry), Path(folder))
    from gestore.archive.manifest import Manifest
    from gestore.archive.writer import write_archive
    from gestore.keeping import Keeper, Keeping

    recipient = Path(folder, "recipient").read_text()
    keeper = Keeper(
        Keeping(storage="vault", encrypt_to=(recipient,), sign=str(Path(folder, "signing")))
    )
    manifest = Manifest(
        format_version=2,
        version="",
        date="2024-02-29T12:00:00+00:00",
        provided_objects=(),
        follow="owned",
        policies={},
        tables={},
        external=(),
    )
    destination = keeper.destination(NAME)
    destination.check()
    write_archive(destination, manifest, _rows(int(megabytes)))


def _rows(megabytes: int) -> Iterator[Any]:
    from gestore.rows import ArchivedRow

    dice = random.Random(1)
    for number in range(megabytes * 1_000_000 // _ROW_BYTES):
        text = dice.randbytes(_ROW_BYTES // 2 - 30).hex()
        yield ArchivedRow("bench.row", number, {"text": text})


def read(kind: str, entry: str, folder: str, megabytes: str) -> None:
    """Read it from end to end, its signature first."""
    _set_up(kind, json.loads(entry), Path(folder))
    from gestore.keeping import Keeper, Keeping

    keeper = Keeper(Keeping(storage="vault", identities=(str(Path(folder, "identity")),)))
    with keeper.opened(NAME) as archive:
        count = sum(len(lot) for lot in archive.lots())
        assert archive.ending is not None
        assert archive.ending.findings(NAME) == []
        assert archive.signer
    assert count == int(megabytes) * 1_000_000 // _ROW_BYTES, count
    assert keeper.place(NAME).shelf is not None
    keeper.place(NAME).remove()
    keeper.place(NAME).beside(".sig").remove()


def make_keys(folder: str) -> None:
    """A recipient, an identity, a signing key and its public half, in files."""
    import pyrage
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    identity, signing = pyrage.x25519.Identity.generate(), Ed25519PrivateKey.generate()
    Path(folder, "identity").write_text(str(identity))
    Path(folder, "recipient").write_text(str(identity.to_public()))
    encoding = serialization.Encoding
    Path(folder, "signing").write_bytes(
        signing.private_bytes(
            encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    Path(folder, "signing.pub").write_bytes(
        signing.public_key().public_bytes(encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    )


if __name__ == "__main__":
    {"serve": serve, "write": write, "read": read, "keys": make_keys}[sys.argv[1]](*sys.argv[2:])
