"""Do uploaded files go where their rows go: out, in, away, and back?"""

from __future__ import annotations

import gc
import hashlib
import io
import json
import random
import signal
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage, storages
from django.db import transaction
from django.db.models.signals import post_delete
from django.test import override_settings

import gestore
from gestore.errors import ArchiveDamaged, UsageError
from gestore.models import Import, Removal
from tests.archive.shelves import SHELVES, settings_with
from tests.journeys import file_storages, removals, trips
from tests.journeys import stepwise_sites as sites
from tests.management import keys as key_files
from tests.management.typing_in import typed
from tests.zoo import compare, rows
from tests.zoo import models as zoo
from tests.zoo.emptying import empty
from tests.zoo.inserting import Placed, inserting

pytestmark = [
    pytest.mark.django_db(databases=["default", "target", "elsewhere"], transaction=True),
    # The storages' libraries' own.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
LION = "zoo/photo of a lion.jpg"
# More than a piece, and than what is held in memory.
PHOTO = random.Random(1).randbytes(5_000_000)
MAP, PLAN = b"the map", b"the plan"


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(params=SHELVES, scope="module")
def entry(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    with SHELVES[request.param]() as made:
        yield made


@pytest.fixture
def storage(entry: dict[str, Any]) -> Iterator[None]:
    """An empty storage of that kind, in which the project keeps its files."""
    with override_settings(STORAGES=settings_with(entry, "default")):
        wipe()
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Files in a folder."""
    with storing("django.core.files.storage.FileSystemStorage", tmp_path / "files"):
        yield tmp_path / "files"


def storing(backend: str, location: Path, **options: Any) -> override_settings:
    entry = {"BACKEND": backend, "OPTIONS": {"location": str(location), **options}}
    return override_settings(STORAGES=settings_with(entry, "default"))


def put(name: str, content: bytes) -> None:
    if default_storage.exists(name):
        default_storage.delete(name)
    assert default_storage.save(name, ContentFile(content)) == name


def held() -> dict[str, bytes]:
    """Every file there is."""
    found = {}
    for name in names():
        with default_storage.open(f"zoo/{name}") as file:
            found[f"zoo/{name}"] = bytes(file.read())
    return found


def names() -> list[str]:
    try:
        # Azure's lists them with their folder.
        return [name.rpartition("/")[2] for name in default_storage.listdir("zoo")[1]]
    except FileNotFoundError:
        return []


def wipe() -> None:
    for name in names():
        default_storage.delete(f"zoo/{name}")


def menagerie(
    *attachments: str, using: str = "default", beside: str = "", called: str = "with files"
) -> Placed:
    """One with rows that name these files, and maybe another beside it."""
    with inserting(using) as inserter:
        root = inserter.put(zoo.Menagerie, name=called)
        for name in attachments:
            inserter.put(zoo.Files, menagerie=root, attachment=name)
        if beside:
            other = inserter.put(zoo.Menagerie, name="beside")
            inserter.put(zoo.Pictures, menagerie=other, picture=beside)
    return root


def export(root: Placed, archive: Path) -> gestore.ExportReport:
    return gestore.export_objects([root.reference], str(archive), with_files=True)


def delete(root: Placed, archive: Path, **options: Any) -> gestore.DeleteReport:
    options = gestore.DeleteOptions(archive=str(archive), with_files=True, **options)
    return gestore.delete_objects([root.reference], options)


def codes(findings: Any) -> list[str]:
    return [finding.code for finding in findings]


def attachments(using: str) -> list[str | None]:
    return [*zoo.Files.objects.using(using).order_by("pk").values_list("attachment", flat=True)]


# The zoo's way there and back ---------------------------------------------------------------------


@pytest.mark.usefixtures("storage")
def test_zoo_arrives_with_its_files(tmp_path: Path) -> None:
    placed = rows.populate("default", menageries=1)
    with inserting("default") as inserter:
        inserter.put(zoo.Files, menagerie=placed.root, attachment=LION)
        inserter.put(zoo.Files, menagerie=placed.root, attachment="zoo/map.txt")
    put(LION, PHOTO)
    put("zoo/map.txt", MAP)
    archive = tmp_path / "zoo.tar.zst"

    report = export(placed.root, archive)
    assert (report.archive.file_count, report.archive.file_bytes) == (2, len(PHOTO) + len(MAP))
    assert codes(report.findings) == ["file-missing"]
    before = trips.dump("default")
    # Another site has rows of its own, and a storage.
    empty("default")

    # Nothing there: they arrive as they left.
    wipe()
    loaded = trips.load(str(archive), verify=True)
    assert held() == {LION: PHOTO, "zoo/map.txt": MAP}
    assert compare.difference(before, trips.dump("target")) == []
    assert loaded.files.as_json() == {"written": 2, "here": 0, "renamed": 0}
    assert codes(loaded.findings) == ["file-missing"]

    # Taken back: exactly these files go.
    put("zoo/ours.txt", PLAN)
    undone = gestore.undo_import(loaded.number, database="target")
    assert undone.files is not None
    assert (undone.file_count, undone.files.removed) == (2, 2)
    assert held() == {"zoo/ours.txt": PLAN}

    # Taken by other content: a name of its own, and the rows follow; twice it is the same.
    put(LION, b"another lion")
    renamed = f"zoo/photo of a lion_{hashlib.sha256(PHOTO).hexdigest()[:16]}.jpg"
    for counts in (
        {"written": 2, "here": 0, "renamed": 1},
        {"written": 0, "here": 0, "renamed": 0},
    ):
        loaded = trips.load(str(archive), verify=True)
        assert loaded.files.as_json() == counts
        assert [name for name in attachments("target") if name] == [renamed, renamed, "zoo/map.txt"]
        assert held() == {
            LION: b"another lion",
            renamed: PHOTO,
            "zoo/map.txt": MAP,
            "zoo/ours.txt": PLAN,
        }


@pytest.mark.usefixtures("storage")
def test_files_go_with_their_rows_and_come_back(tmp_path: Path) -> None:
    root = menagerie(LION, LION, "zoo/map.txt", "zoo/gone.txt", beside="zoo/map.txt")
    put(LION, PHOTO)
    put("zoo/map.txt", MAP)
    before, archive = removals.dump(), tmp_path / "zoo.tar.gz"

    report = delete(root, archive, receipt=str(tmp_path / "receipt.json"))

    assert report.is_finished
    assert report.plan.files_by_field == {"zoo.Files.attachment": 3}
    assert report.files is not None
    assert (report.files.removed, report.files.staying) == (1, 1)
    assert codes(report.left) == ["file-missing", "file-needed"]
    assert held() == {"zoo/map.txt": MAP}
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    assert receipt["files"] == {"removed": 1, "staying": 1}
    assert Removal.objects.get().ended_at is not None
    seen = gestore.verify_archive(str(archive), absent=True)
    assert (seen.file_count, seen.file_bytes) == (2, len(PHOTO) + len(MAP))
    assert codes(seen.findings) == ["file-missing"]
    assert seen.left is not None
    assert len(seen.left) == 0

    put(LION, PHOTO)
    left = gestore.verify_archive(str(archive), absent=True).left
    assert left is not None
    assert codes(left) == ["file-still-there"]
    default_storage.delete(LION)

    compared = gestore.verify_archive(str(archive), compare=True)
    assert "file-absent" in codes(compared.findings)
    gestore.import_objects(str(archive))
    assert compare.difference(before, removals.dump()) == []
    assert held() == {LION: PHOTO, "zoo/map.txt": MAP}
    compared = gestore.verify_archive(str(archive), compare=True)
    assert codes(compared.findings) == ["file-missing"]


@pytest.mark.parametrize("opens", [True, False])
def test_sealed_in_a_storage_with_files(tmp_path: Path, settings: Any, opens: bool) -> None:
    """Encrypted, signed, in a storage of its own; the file that is archived lies in another. Of
    every changed byte it is told, before anything is written."""
    keys = key_files.made(tmp_path)
    identity = ("--identity", keys.identity)
    with SHELVES["s3"]() as vault, SHELVES["folder"]("files") as files:
        settings.STORAGES = settings_with(vault) | {"default": files}
        settings.GESTORE = {"TRUSTED_SIGNERS": [keys.signer]}
        root = menagerie(LION)
        put(LION, PHOTO)
        before = removals.dump()
        words = ("--storage", "vault", "--encrypt-to", keys.recipient, "--sign", keys.signing)
        seen = typed(
            "deleteobjects",
            *(root.reference, "--no-input", "--with-files", "--archive", "zoo.tar.zst.age"),
            *(*words, *(identity if opens else ())),
        )
        assert (seen.code, seen.err) == (0, "")
        assert "Removed 1 file." in seen.out
        assert held() == {}
        vaulted = storages["vault"]
        with vaulted.open("zoo.tar.zst.age") as file:
            data = bytes(file.read())
        assert len(data) > len(PHOTO)
        assert b"rows.jsonl" not in data
        where = ("zoo.tar.zst.age", "--storage", "vault")
        for place in (5, len(data) // 2, len(data) - 1):
            changed = bytearray(data)
            changed[place] ^= 1
            vaulted.delete("zoo.tar.zst.age")
            vaulted.save("zoo.tar.zst.age", ContentFile(bytes(changed)))
            assert typed("importobjects", *where, *identity).code == 1
            assert zoo.Menagerie.objects.count() == 0
            assert held() == {}
        vaulted.delete("zoo.tar.zst.age")
        vaulted.save("zoo.tar.zst.age", ContentFile(data))
        assert typed("verifyobjects", *where, *identity, "--absent").code == 0
        told = gestore.verify_archive(
            "zoo.tar.zst.age",
            keeping=gestore.Keeping(storage="vault", identities=(keys.identity,)),
        )
        assert told.is_encrypted
        seen = typed("importobjects", *where, *identity)
        assert (seen.code, seen.err) == (0, "")
        assert compare.difference(before, removals.dump()) == []
        assert held() == {LION: PHOTO}


# What stays ---------------------------------------------------------------------------------------


def test_without_files_they_are_left_alone(folder: Path, tmp_path: Path) -> None:
    root = menagerie(LION)
    put(LION, MAP)
    plan = removals.plan(root)
    assert codes(plan.findings) == ["files-stay"]
    report = removals.delete(root, archive=str(tmp_path / "zoo.json"))
    assert report.files is None
    assert held() == {LION: MAP}


@pytest.mark.parametrize("steps", [{}, {"commit_every": 1}])
def test_what_changed_and_what_cannot_go_is_told(tmp_path: Path, steps: dict[str, Any]) -> None:
    root = menagerie("zoo/kept.txt", "zoo/map.txt", "zoo/changed.txt", "zoo/late.txt")
    with storing("tests.journeys.file_storages.KeepingStorage", tmp_path / "files"):
        for name in ("zoo/kept.txt", "zoo/map.txt", "zoo/changed.txt"):
            put(name, MAP)
        archive = tmp_path / "zoo.tar"

        def replaced(**kwargs: Any) -> None:
            """When the archive is written, and the rows go."""
            put("zoo/changed.txt", PLAN)
            put("zoo/late.txt", PLAN)

        post_delete.connect(replaced, sender=zoo.Menagerie)
        try:
            report = delete(root, archive, **steps)
        finally:
            post_delete.disconnect(replaced, sender=zoo.Menagerie)
        assert not report.is_finished
        assert codes(report.left) == ["file-missing", "file-left", "file-left"]
        # What came late is archived nowhere.
        there = {"zoo/kept.txt": MAP, "zoo/changed.txt": PLAN, "zoo/late.txt": PLAN}
        assert held() == there
        assert zoo.Menagerie.objects.count() == 0
        assert Removal.objects.get().ended_at is None
    with storing("django.core.files.storage.FileSystemStorage", tmp_path / "files"):
        default_storage.delete("zoo/changed.txt")
        seen = typed("deleteobjects", "--resume", str(archive))
        assert (seen.code, seen.err) == (0, "")
        assert "Removed 1 file." in seen.out
        assert held() == {"zoo/late.txt": PLAN}
        assert Removal.objects.get().ended_at is not None


def test_undo_leaves_what_it_did_not_write(folder: Path, tmp_path: Path) -> None:
    root = menagerie("zoo/map.txt", "zoo/plan.txt", "zoo/both.txt")
    for name in ("map", "plan", "both"):
        put(f"zoo/{name}.txt", name.encode())
    archive = tmp_path / "zoo.tar"
    export(root, archive)
    for name in ("zoo/plan.txt", "zoo/both.txt"):
        default_storage.delete(name)
    loaded = trips.load(str(archive))
    assert loaded.files.as_json() == {"written": 2, "here": 1, "renamed": 0}
    empty("default")
    menagerie("zoo/both.txt", called="another")
    shown = typed("importobjects", "--undo", str(loaded.number), "--database", "target", "-n")
    assert "And 2 files that it wrote." in shown.out
    with transaction.atomic("target"), pytest.raises(UsageError, match="transaction is open"):
        gestore.undo_import(loaded.number, database="target")
    undone = gestore.undo_import(loaded.number, database="target")
    assert undone.files is not None
    assert codes(undone.left) == ["file-needed"]
    assert held() == {"zoo/map.txt": b"map", "zoo/both.txt": b"both"}
    assert Import.objects.using("target").get().files.count() == 0


# What breaks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ["full", "ctrl-c"])
def test_import_that_fails_leaves_no_file(tmp_path: Path, folder: Path, error: str) -> None:
    root = menagerie("zoo/map.txt", "zoo/plan.txt")
    put("zoo/map.txt", MAP)
    put("zoo/plan.txt", PLAN)
    archive = tmp_path / "zoo.tar"
    export(root, archive)
    broken = "tests.journeys.file_storages.FullStorage"
    with storing(broken, tmp_path / "other", room=1, error=error):
        seen = typed("importobjects", str(archive), "--database", "target")
        assert seen.code == {"full": 1, "ctrl-c": 130}[error]
        assert ("No space left" in seen.err) is (error == "full")
        assert held() == {}
    assert zoo.Menagerie.objects.using("target").count() == 0
    assert Import.objects.using("target").count() == 0


def test_damaged_file_is_noticed(folder: Path, tmp_path: Path) -> None:
    root = menagerie("zoo/map.txt")
    put("zoo/map.txt", MAP)
    archive = tmp_path / "zoo.tar"
    export(root, archive)
    data = archive.read_bytes()
    archive.write_bytes(data.replace(MAP, b"another"))
    with pytest.raises(ArchiveDamaged):
        gestore.verify_archive(str(archive))
    with pytest.raises(ArchiveDamaged):
        trips.load(str(archive))
    assert zoo.Menagerie.objects.using("target").count() == 0


def test_transactions_of_others_are_refused(folder: Path, tmp_path: Path) -> None:
    root = menagerie("zoo/map.txt")
    put("zoo/map.txt", MAP)
    archive = tmp_path / "zoo.tar"
    export(root, archive)
    with transaction.atomic("target"), pytest.raises(UsageError, match="transaction is open"):
        trips.load(str(archive))
    with transaction.atomic(), pytest.raises(UsageError, match="transaction is open"):
        delete(root, tmp_path / "other.tar")
    assert not (tmp_path / "other.tar").exists()
    loaded = trips.load(str(archive), dry_run=True)
    assert loaded.files.as_json() == {"written": 0, "here": 1, "renamed": 0}


# Killed -------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Iterator[sites.Site]:
    with sites.site(tmp_path) as made:
        yield made


def test_killed_while_files_arrive(
    site: sites.Site, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"zoo/{number}.txt" for number in range(4)]
    root = menagerie(*names)
    for name in names:
        put(name, name.encode())
    before, files, archive = removals.dump(), held(), tmp_path / "zoo.tar"
    assert delete(root, archive).is_finished
    gone = removals.dump()
    assert held() == {}
    monkeypatch.setenv("GESTORE_TEST_FILES", str(folder))
    monkeypatch.setenv(file_storages.SAVES, "2")
    killed = site.run(str(archive), command="importobjects")
    assert killed.code == -signal.SIGKILL
    assert compare.difference(gone, removals.dump()) == []
    assert len(held()) == 2
    monkeypatch.delenv(file_storages.SAVES)
    done = site.run(str(archive), command="importobjects")
    assert (done.code, done.err) == (0, "")
    assert "Wrote 2 files, 2 were here already." in done.out
    assert compare.difference(before, removals.dump()) == []
    assert held() == files


@pytest.mark.parametrize("steps", [(), ("--commit-every", "2")])
def test_killed_while_files_go(
    site: sites.Site,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: tuple[str, ...],
) -> None:
    names = [f"zoo/{number}.txt" for number in range(4)]
    root = menagerie(*names, beside="zoo/ours.txt")
    for name in (*names, "zoo/ours.txt"):
        put(name, name.encode())
    before, files = removals.dump(), held()
    monkeypatch.setenv("GESTORE_TEST_FILES", str(folder))
    monkeypatch.setenv(file_storages.DELETES, "2")
    words = (root.reference, "--no-input", "--with-files", "--archive", "zoo.tar", *steps)
    killed = site.run(*words)
    assert killed.code == -signal.SIGKILL
    assert zoo.Menagerie.objects.count() == 1
    assert len(held()) == 3
    again = site.run(*words, "--overwrite")
    assert again.code == 1
    monkeypatch.delenv(file_storages.DELETES)
    done = site.run("--resume", "zoo.tar")
    assert (done.code, done.err) == (0, "")
    assert held() == {"zoo/ours.txt": b"zoo/ours.txt"}
    assert Removal.objects.get().ended_at is not None
    gestore.import_objects(str(tmp_path / "zoo.tar"))
    assert compare.difference(before, removals.dump()) == []
    assert held() == files


# What is typed ------------------------------------------------------------------------------------


def test_what_is_typed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = menagerie("zoo/map.txt")
    put("zoo/map.txt", MAP)

    def says(*words: str) -> str:
        seen = typed(*words)
        assert seen.code == 2, seen
        return " ".join(seen.err.split())

    reference = root.reference
    assert "Add --with-files" in says("exportobjects", reference, "-o", "zoo.tar.gz")
    assert "no room" in says("exportobjects", reference, "-o", "zoo.json", "--with-files")
    assert "no room" in says(
        "exportobjects", reference, "-o", "-", "--with-files", "--format", "jsonl"
    )
    assert "Tables carry no" in says("exportobjects", reference, "--with-files", "--format", "csv")
    assert "files are none" in says("exportobjects", reference, "--with-files", "-d")
    assert "Add --with-files" in says("exportobjects", reference, "-o", "-", "--format", "tar")
    archiving = ("deleteobjects", reference, "--no-input", "--archive")
    assert "Add --with-files" in says(*archiving, "zoo.tar")
    assert "no room" in says(*archiving, "zoo.jsonl", "--with-files")
    assert "Leave out" in says("deleteobjects", "--resume", "zoo.tar", "--with-files")

    seen = typed("exportobjects", reference, "--with-files", "-o", "-")
    assert seen.code == 0
    seen_payload = seen.payload
    Path("piped.tar").write_bytes(seen_payload)
    with tarfile.open("piped.tar") as tar:
        names = tar.getnames()
    assert names == ["rows.jsonl", f"files/{hashlib.sha256(MAP).hexdigest()}", "files.jsonl"]
    # Nothing has happened since: it goes straight in.
    words = ("importobjects", "piped.tar", "--upgrade", "-n", "--database", "target")
    assert "Would write 0 files, 1 was here already." in typed(*words).out
    seen = typed("exportobjects", reference, "--with-files")
    assert [path.suffix for path in Path("exports").iterdir()] == [".tar"]
    assert "With 1 file (7 bytes)." in seen.out
    piped = typed(
        "importobjects", "-", "--database", "target", stdin=Path("piped.tar").read_bytes()
    )
    assert "Wrote 0 files, 1 was here already." in piped.out

    empty("target")
    seen = typed(*archiving, "zoo.tar", "--with-files")
    assert seen.code == 0
    assert "To remove, unless other rows name them: 1 file" in seen.out
    assert "With 1 file (7 bytes)." in seen.out
    assert "Removed 1 file." in seen.out
    seen = typed("verifyobjects", "zoo.tar", "--absent")
    assert "Its files are whole, too: 1 file (7 bytes)." in seen.out
    assert "None of its files is there" in seen.out
    put("zoo/map.txt", MAP)
    seen = typed("verifyobjects", "zoo.tar", "--absent")
    assert seen.code == 3
    assert "Not absent: 0 rows are there, or point at removed ones; 1 file is there" in seen.err


def test_without_an_archive(folder: Path, tmp_path: Path) -> None:
    root = menagerie("zoo/map.txt")
    put("zoo/map.txt", MAP)
    options = gestore.DeleteOptions(is_unarchived=True, with_files=True)
    report = gestore.delete_objects([root.reference], options)
    assert report.is_finished
    assert held() == {}
    assert Removal.objects.get().ended_at is not None


def test_other_storage_with_the_same_name_holds_nothing(folder: Path, tmp_path: Path) -> None:
    """The row beside it names a file of that name in another folder."""
    root = menagerie("zoo/map.txt", beside="zoo/map.txt")
    put("zoo/map.txt", MAP)
    field: Any = zoo.Pictures._meta.get_field("picture")
    before = field.storage
    field.storage = FileSystemStorage(tmp_path / "elsewhere")
    try:
        report = delete(root, tmp_path / "zoo.tar")
    finally:
        field.storage = before
    assert report.files is not None
    assert (report.files.removed, report.files.staying) == (1, 0)
    assert held() == {}


def test_field_that_is_called_otherwise_here(folder: Path, tmp_path: Path, settings: Any) -> None:
    root = menagerie("zoo/map.txt")
    put("zoo/map.txt", MAP)
    archive = tmp_path / "zoo.tar"
    export(root, archive)
    data = archive.read_bytes()
    # As an archive of an earlier name would be.
    old = tmp_path / "old.tar"
    _renamed(data, old)
    default_storage.delete("zoo/map.txt")
    settings.GESTORE = {"RENAMES": {"zoo.Papers": "zoo.Files", "zoo.Papers.enclosed": "attachment"}}
    loaded = trips.load(str(old))
    assert loaded.files.written == 1
    assert attachments("target") == ["zoo/map.txt"]
    assert held() == {"zoo/map.txt": MAP}


def _renamed(data: bytes, target: Path) -> None:
    """The same tar, its model and field called otherwise, digests and all."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]
    changes = ((b"zoo.files", b"zoo.papers"), (b"zoo.Files", b"zoo.Papers"))
    for name in ("rows.jsonl", "files.jsonl"):
        text = members[name]
        for old, new in (*changes, (b"attachment", b"enclosed")):
            text = text.replace(old, new)
        *body, closing = text.splitlines(keepends=True)
        told = json.loads(closing)
        told["closing"]["sha256"] = hashlib.sha256(b"".join(body)).hexdigest()
        members[name] = b"".join(body) + json.dumps(told).encode() + b"\n"
    with tarfile.open(target, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_memory_is_bounded(folder: Path, tmp_path: Path) -> None:
    root = menagerie("zoo/large.bin")
    (folder / "zoo").mkdir(parents=True)
    with (folder / "zoo" / "large.bin").open("wb") as file:
        for number in range(64):
            file.write(random.Random(number).randbytes(1 << 20))
    archive = tmp_path / "zoo.tar.zst"
    tracemalloc.start()
    try:
        export(root, archive)
        (folder / "zoo" / "large.bin").replace(tmp_path / "large.bin")
        trips.load(str(archive))
        gestore.verify_archive(str(archive))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 << 20
    assert (folder / "zoo" / "large.bin").read_bytes() == (tmp_path / "large.bin").read_bytes()


def test_names_are_refused_that_leave_the_storage(folder: Path, tmp_path: Path) -> None:
    root = menagerie("../../outside.txt", "zoo", "zoo/map.txt")
    put("zoo/map.txt", MAP)
    report = export(root, tmp_path / "zoo.tar")
    assert codes(report.findings) == ["file-missing"] * 2
    assert report.archive.file_count == 1
    loaded = trips.load(str(tmp_path / "zoo.tar"))
    assert codes(loaded.findings) == ["file-missing"] * 2
