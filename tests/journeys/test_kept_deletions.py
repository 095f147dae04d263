"""Does nothing go before an archive that lies in a storage, encrypted and signed, is what was sent
there; and does it come back?"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages
from django.test import override_settings

import gestore
from gestore.errors import ArchiveDamaged, ArchiveNotRead, ArchiveNotTrusted, Refused
from gestore.models import Removal
from tests.archive.shelves import SHELVES, settings_with
from tests.journeys import removals
from tests.management import keys as key_files
from tests.management.keys import Keys
from tests.management.typing_in import Seen, typed
from tests.zoo import compare, rows
from tests.zoo import models as zoo

pytestmark = [
    pytest.mark.django_db(databases=["default"], transaction=True),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
CUSTOMER = "zoo.Customer.1"
NAME = "acme.jsonl.gz.age"
VAULT = ("--storage", "vault")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return key_files.made(tmp_path_factory.mktemp("keys"))


@pytest.fixture(params=["folder", "s3"])
def vault(request: pytest.FixtureRequest) -> Iterator[str]:
    with SHELVES[request.param]() as entry, override_settings(STORAGES=settings_with(entry)):
        yield request.param


@pytest.fixture
def shop() -> rows.Customers:
    return rows.customers("default", count=2, orders=10, lines=2)


def delete(*words: str) -> Seen:
    return typed("deleteobjects", CUSTOMER, "--archive", NAME, "--no-input", *words)


def options(keys: Keys, *, readable: bool = False, **others: Any) -> gestore.DeleteOptions:
    keeping = gestore.Keeping(
        encrypt_to=(keys.recipient,), identities=(keys.identity,) if readable else ()
    )
    return gestore.DeleteOptions(archive=NAME, keeping=keeping, **others)


@pytest.mark.parametrize("readable", [False, True])
@pytest.mark.parametrize("steps", [(), ("--commit-every", "7")])
def test_gone_and_back_again(
    vault: str, keys: Keys, shop: rows.Customers, readable: bool, steps: tuple[str, ...]
) -> None:
    before = removals.dump()
    opens = ("--identity", keys.identity)
    seen = delete(
        *VAULT,
        *("--encrypt-to", keys.recipient, "--sign", keys.signing, "--receipt", "r.json"),
        *(opens if readable else ()),
        *steps,
    )
    assert (seen.code, seen.err) == (0, "")
    assert f" in vault:{NAME} (sha256 " in seen.out
    how = shlex.join([NAME, *VAULT, "--identity", keys.identity if readable else "FILE"])
    assert seen.out.endswith(f"To bring them back: importobjects {how}\n")
    assert zoo.Customer.objects.count() == 1
    receipt = json.loads(Path("r.json").read_bytes())
    assert (receipt["archive"], receipt["proved"]) == (f"vault:{NAME}", True)
    assert Removal.objects.get().archive == f"vault:{NAME}"
    with override_settings(GESTORE={"TRUSTED_SIGNERS": [keys.signer]}):
        gone = typed("verifyobjects", NAME, *VAULT, *opens, "--absent")
        assert (gone.code, gone.err) == (0, "")
        back = typed("importobjects", NAME, *VAULT, *opens)
    assert (back.code, back.err) == (0, "")
    assert compare.difference(before, removals.dump()) == []


def test_interrupted_one_is_gone_on_with(vault: str, keys: Keys, shop: rows.Customers) -> None:
    seen = delete(
        *(*VAULT, "--encrypt-to", keys.recipient),
        *("--commit-every", "3", "--max-run-time", "0.000001"),
    )
    assert seen.code == 1
    words = " ".join(["deleteobjects --resume", NAME, *VAULT, "--identity FILE"])
    assert seen.errors[-1] == words
    left = zoo.OrderLine.objects.count()

    resume = ("--resume", NAME, *VAULT)
    closed = typed("deleteobjects", *resume)
    assert closed.errors == [
        f"CommandError: vault:{NAME} is encrypted.",
        "Name what opens it with --identity FILE.",
    ]
    for wrong in (("--sign", keys.signing), ("--encrypt-to", keys.recipient)):
        refused = typed("deleteobjects", *resume, "--identity", keys.identity, *wrong)
        assert refused.code == 2
        assert "was written when the deletion was begun" in refused.err
    planned = typed("deleteobjects", *resume, "-n")
    assert f"verifyobjects {NAME} --storage vault --identity FILE --absent" in (
        planned.err.replace("\n", " ")
    )
    assert zoo.OrderLine.objects.count() == left

    # Its archive is not replaced, whether it can be looked into or not.
    for opens, why in (
        ((), "may be the archive of a deletion that is not at its end"),
        (("--identity", keys.identity), "is the archive of a deletion that is not at its end"),
    ):
        again = delete(*VAULT, "--encrypt-to", keys.recipient, "--overwrite", *opens)
        assert again.code == 1
        assert why in " ".join(again.err.split())
    done = typed("deleteobjects", *resume, "--identity", keys.identity)
    assert done.code == 0, done.err
    assert zoo.Customer.objects.count() == 1
    assert zoo.OrderLine.objects.count() == 20


class Meddler:
    """A listener that does something when the archive, written, is read again."""

    def __init__(self, work: Callable[[], object], reading: int = 2) -> None:
        self.work, self.reading = work, reading

    def begin(self, task: str, total: int | None = None) -> None:
        if task == "Reading":
            self.reading -= 1
            if not self.reading:
                self.work()

    def advance(self, count: int) -> None:
        """Nothing to do."""

    def end(self) -> None:
        """Nothing to do."""

    def note(self, text: str) -> None:
        """Nothing to do."""


@pytest.mark.parametrize("readable", [False, True])
@pytest.mark.parametrize("commit_every", [0, 7])
def test_archive_that_is_not_what_was_written_keeps_everything(
    keys: Keys, shop: rows.Customers, readable: bool, commit_every: int
) -> None:
    before = removals.dump()

    def meddle() -> None:
        data = bytearray(Path(NAME).read_bytes())
        data[len(data) // 2] ^= 1
        Path(NAME).write_bytes(data)

    meddler = Meddler(meddle, reading=1 if readable else 2)
    with pytest.raises((ArchiveDamaged, ArchiveNotRead)):
        gestore.delete_objects(
            [CUSTOMER],
            options(keys, readable=readable, commit_every=commit_every),
            progress=meddler,
        )
    assert meddler.reading == 0
    assert compare.difference(before, removals.dump()) == []


@pytest.mark.parametrize("readable", [False, True])
def test_row_that_changed_since_is_not_removed(
    keys: Keys, shop: rows.Customers, readable: bool
) -> None:
    """What nobody here can read again was noted as it was archived."""
    meddler = Meddler(
        lambda: zoo.Customer.objects.filter(pk=1).update(name="other"),
        reading=1 if readable else 2,
    )
    with pytest.raises(Refused) as caught:
        gestore.delete_objects([CUSTOMER], options(keys, readable=readable), progress=meddler)
    assert [finding.code for finding in caught.value.findings] == ["changed-since"]
    assert zoo.Customer.objects.get(pk=1).name == "other"


def test_storage_that_takes_nothing_keeps_everything(keys: Keys, shop: rows.Customers) -> None:
    with SHELVES["s3"]() as entry:
        wrong = {**entry, "OPTIONS": {**entry["OPTIONS"], "bucket_name": "absent"}}
        before = removals.dump()
        with override_settings(STORAGES=settings_with(wrong)):
            seen = delete(*VAULT, "--encrypt-to", keys.recipient)
        assert seen.code == 1
        assert f"CommandError: vault:{NAME} could not be written: " in seen.err
        assert compare.difference(before, removals.dump()) == []
        with override_settings(STORAGES=settings_with(entry)):
            assert storages["vault"].listdir("") == ([], [])


def test_what_could_not_come_back_is_not_deleted(keys: Keys, shop: rows.Customers) -> None:
    stranger = key_files.made(Path("stranger"))
    before = removals.dump()
    with override_settings(GESTORE={"TRUSTED_SIGNERS": [keys.signer]}):
        for words in ((), ("--sign", stranger.signing)):
            seen = delete("--encrypt-to", keys.recipient, *words)
            assert seen.code == 2
            assert "The archive could not be imported here" in seen.err
            assert not Path(NAME).exists()
        assert compare.difference(before, removals.dump()) == []
        signed = ("--encrypt-to", keys.recipient, "--sign", keys.signing)
        assert delete(*signed, "--identity", keys.identity).code == 0
        Path(f"{NAME}.sig").unlink()
        with pytest.raises(ArchiveNotTrusted):
            gestore.import_objects(
                NAME,
                gestore.ImportOptions(keeping=gestore.Keeping(identities=(keys.identity,))),
            )
