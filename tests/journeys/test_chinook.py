"""Does real data that nobody here wrote, in tables that Django did not make, arrive as it left?

The Chinook music shop lies beside the project, as `../shared/data/chinook.sqlite`, and is read
where it lies, by a connection that cannot write.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db import OperationalError, connections, models
from django.test import override_settings

import gestore
from tests.journeys import archives
from tests.music import models as music
from tests.music.routers import ALIAS
from tests.zoo import compare

pytestmark = pytest.mark.django_db(databases=["default"], transaction=True)

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT.parent / "shared" / "data" / "chinook.sqlite"

SETTINGS = {
    "GESTORE": {"UNMANAGED": ["music"]},
    "DATABASE_ROUTERS": ["tests.music.routers.MusicRouter"],
}


def shop_models() -> list[type[models.Model]]:
    return list(apps.get_app_config("music").get_models())


@pytest.fixture
def shop() -> Iterator[sqlite3.Connection]:
    """Django's alias `chinook`, and a connection of Python's own to ask without Django."""
    if not FILE.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{FILE.name} is not in ../shared/data, where CI has it.")
        pytest.skip(f"{FILE.name} is not in ../shared/data beside the project.")
    uri = f"{FILE.as_uri()}?mode=ro"
    plain = {"ENGINE": "django.db.backends.sqlite3", "NAME": uri}
    with override_settings(**SETTINGS):
        configured = connections.configure_settings({"default": plain})
        connections.databases[ALIAS] = configured["default"]
        own = sqlite3.connect(uri, uri=True)
        try:
            yield own
        finally:
            own.close()
            connections[ALIAS].close()
            del connections[ALIAS]
            del connections.databases[ALIAS]


@pytest.fixture
def tables() -> Iterator[None]:
    """The shop's tables in `default`, as the models say, and gone afterwards."""
    connection = connections["default"]
    with connection.schema_editor() as editor:
        for model in shop_models():
            editor.create_model(model)
    try:
        yield
    finally:
        with connection.schema_editor() as editor:
            for model in reversed(shop_models()):
                editor.delete_model(model)


def keys(shop: sqlite3.Connection, sql: str, *values: object) -> set[int]:
    return {key for (key,) in shop.execute(sql, values)}


def among(column: str, found: Iterable[int]) -> str:
    return f"{column} IN ({', '.join(map(str, sorted(found)))})"


def music_of(shop: sqlite3.Connection, tracks: set[int]) -> dict[str, set[int]]:
    """What tracks point at, and what that points at."""
    of_tracks = f"FROM Track WHERE {among('TrackId', tracks)}"
    albums = keys(shop, f"SELECT AlbumId {of_tracks} AND AlbumId IS NOT NULL")
    return {
        "music.Track": tracks,
        "music.Album": albums,
        "music.Artist": keys(shop, f"SELECT ArtistId FROM Album WHERE {among('AlbumId', albums)}"),
        "music.Genre": keys(shop, f"SELECT GenreId {of_tracks} AND GenreId IS NOT NULL"),
        "music.MediaType": keys(shop, f"SELECT MediaTypeId {of_tracks}"),
    }


def rows_of_customer(shop: sqlite3.Connection, customer: int) -> dict[str, set[int]]:
    invoices = keys(shop, "SELECT InvoiceId FROM Invoice WHERE CustomerId = ?", customer)
    of_lines = f"FROM InvoiceLine WHERE {among('InvoiceId', invoices)}"
    superiors = (
        "WITH RECURSIVE up(id) AS (SELECT SupportRepId FROM Customer WHERE CustomerId = ? "
        "UNION SELECT ReportsTo FROM Employee JOIN up ON EmployeeId = id) "
        "SELECT id FROM up WHERE id IS NOT NULL"
    )
    return {
        "music.Customer": {customer},
        "music.Invoice": invoices,
        "music.InvoiceLine": keys(shop, f"SELECT InvoiceLineId {of_lines}"),
        "music.Employee": keys(shop, superiors, customer),
        **music_of(shop, keys(shop, f"SELECT TrackId {of_lines}")),
    }


def expected(shop: sqlite3.Connection, wanted: dict[str, set[int]]) -> compare.Dump:
    """These rows as the shop's file has them, and no others."""
    everything = compare.dump(ALIAS, shop_models())
    return {
        label: {
            key: row for key, row in found.items() if key in set(map(str, wanted.get(label, ())))
        }
        for label, found in everything.items()
    }


def load(archive: str) -> gestore.ImportReport:
    return gestore.import_objects(archive)


def arrived() -> compare.Dump:
    return compare.dump("default", shop_models())


def test_customer_and_playlist_arrive(
    shop: sqlite3.Connection, tables: None, tmp_path: Path
) -> None:
    customer, playlist = str(tmp_path / "customer.json"), str(tmp_path / "playlist.jsonl.gz")
    options = gestore.WalkOptions(database=ALIAS)
    wanted = rows_of_customer(shop, 5)
    report = gestore.export_objects(["music.Customer.5"], customer, options)
    assert report.owned_by_model == {
        "music.Customer": 1,
        "music.Invoice": 7,
        "music.InvoiceLine": 38,
    }
    assert {label: len(found) for label, found in wanted.items()} == {
        **report.owned_by_model,
        **report.shared_by_model,
    }
    imported = load(customer)
    assert imported.loaded_count == sum(len(found) for found in wanted.values()) > 100
    assert compare.difference(expected(shop, wanted), arrived()) == []

    pairs = shop.execute("SELECT PlaylistId, TrackId FROM PlaylistTrack WHERE PlaylistId = 3")
    tracks = {track for _, track in pairs}
    gestore.export_objects(["music.Playlist.3"], playlist, options)
    found = archives.keys(playlist)
    assert {key for model, key in found if model == "music.playlisttrack"} == {
        (3, track) for track in tracks
    }
    assert len(tracks) == 213
    load(playlist)
    for label, more in music_of(shop, tracks).items():
        wanted[label] = wanted[label] | more
    both = expected(shop, wanted | {"music.Playlist": {3}})
    both["music.PlaylistTrack"] = {
        key: row
        for key, row in compare.dump(ALIAS, [music.PlaylistTrack])["music.PlaylistTrack"].items()
        if key.startswith("3,")
    }
    assert compare.difference(both, arrived()) == []
    # Once more each, and nothing changes; the plan knows what the shop keeps.
    assert load(customer).loaded_count == load(playlist).loaded_count == 0
    assert compare.difference(both, arrived()) == []
    planned = gestore.plan_objects(["music.Customer.5"], options)
    left = {item.relation: item.rows for item in planned.not_taken}
    (others,) = shop.execute(
        "SELECT count(*) FROM Customer WHERE SupportRepId ="
        " (SELECT SupportRepId FROM Customer WHERE CustomerId = 5)"
    ).fetchone()
    assert left["music.Customer.support_rep"] == others - 1
    # New rows are numbered above those that arrived.
    artist = music.Artist.objects.create(name="made here")
    assert artist.pk > max(wanted["music.Artist"])


def test_shop_cannot_be_written_to(shop: sqlite3.Connection) -> None:
    with pytest.raises(OperationalError, match="readonly"):
        music.Artist.objects.using(ALIAS).create(artist_id=1_000_000, name="nobody")


def test_undeclared_tables_are_refused_with_what_to_declare(
    shop: sqlite3.Connection, tmp_path: Path
) -> None:
    with override_settings(GESTORE={}), pytest.raises(gestore.GestoreError) as error:
        gestore.export_objects(
            ["music.Customer.5"], str(tmp_path / "x.json"), gestore.WalkOptions(database=ALIAS)
        )
    assert "music.Customer is unmanaged" in error.value.message
    assert 'GESTORE["UNMANAGED"]' in error.value.hint
