"""What does a database tell of rows that changed, and is the proof's question exact?"""

from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet

from gestore.database.delete import Remover
from gestore.database.select import Reader
from gestore.schema.introspect import build_graph
from gestore.schema.table import Kind
from tests.zoo import models as zoo
from tests.zoo.inserting import inserting

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reader() -> Reader:
    return Reader(connection, build_graph())


def test_digest_tells_every_change_of_a_row(reader: Reader, vendor: str) -> None:
    if vendor != "mysql":
        pytest.skip("the others tell without reading rows")
    remover = Remover(connection, reader)
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        row = inserter.put(zoo.Binaries, menagerie=home, data=b"")
        inserter.put(zoo.Binaries, menagerie=home, data=b"of another")
    table = reader.graph.table(zoo.Binaries._meta.label)

    def digest(*keys: Any) -> bytes:
        return remover.digests(table, table.columns, list(keys), locked=True)

    seen = set()
    with transaction.atomic():
        for data in (b"", b"-", b"0:", b"1:-", b"\x00", b"\x00\x00", b"\xff", b"3:a-b"):
            QuerySet(zoo.Binaries).filter(pk=row.key).update(data=data)
            assert digest(row.key) == digest(row.key) != b""
            seen.add(digest(row.key))
        assert len(seen) == 8
        # One that is not there has none, and neither have both.
        assert digest(row.key, row.key + 1) not in (b"", digest(row.key))
        assert digest(row.key, row.key + 2) == b""


def test_digest_of_keys_alone_tells_every_change(reader: Reader, vendor: str) -> None:
    if vendor != "mysql":
        pytest.skip("the others tell without reading rows")
    remover = Remover(connection, reader)
    with inserting("default") as inserter:
        homes = [inserter.put(zoo.Menagerie, name=name).key for name in ("one", "other")]
        row = inserter.put(zoo.Identifiers, menagerie=homes[0])
    table = reader.graph.table(zoo.Identifiers._meta.label)
    columns = [c for c in table.columns if c.kind in (Kind.INTEGER, Kind.UUID)]
    seen = set()
    with transaction.atomic():
        for home in homes:
            for token in (None, UUID(int=0), UUID(int=1)):
                QuerySet(zoo.Identifiers).filter(pk=row.key).update(menagerie=home, token=token)
                seen.add(remover.digests(table, columns, [row.key], locked=True))
    assert len(seen) == 6 and b"" not in seen


@pytest.mark.parametrize("count", [1, 3_000])
def test_any_row_that_points_is_found(reader: Reader, count: int) -> None:
    with inserting("default") as inserter:
        home = inserter.put(zoo.Menagerie, name="home")
        kind = inserter.content_type(zoo.Menagerie)
        other = inserter.content_type(zoo.Team)
        texts = [inserter.put(zoo.NoteByText, text="", content_type=other, object_id="1")]
    keys = [*range(home.key, home.key + count)]
    relations = {
        relation.name: relation
        for relation in reader.graph.pointing_at("zoo.menagerie")
        if relation.name in ("zoo.NoteByText.target", "zoo.Team.menagerie")
    }
    assert len(relations) == 2
    for relation in relations.values():
        assert not reader.is_pointed_at(relation, "zoo.menagerie", keys)
    with inserting("default") as inserter:
        texts.append(
            inserter.put(zoo.NoteByText, text="", content_type=kind, object_id=str(home.key))
        )
        inserter.put(zoo.Team, menagerie=home, name="team")
    # What it kept of content types is of the moment at which it first asked.
    again = Reader(connection, reader.graph)
    for relation in relations.values():
        assert again.is_pointed_at(relation, "zoo.menagerie", keys)
        assert not again.is_pointed_at(relation, "zoo.menagerie", [key + count for key in keys])
