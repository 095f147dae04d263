"""Is it noticed what the database itself would take along?"""

from collections.abc import Iterator

import pytest
from django.db import connection

from gestore import Refused
from gestore.deleting import DeleteOptions, delete_objects, plan_deletion
from tests.zoo import models as zoo
from tests.zoo import rows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stray() -> Iterator[None]:
    """A table that no model knows, whose rows the database takes along with orders."""
    key = "integer" if connection.vendor == "sqlite" else "bigint"
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE stray (id integer PRIMARY KEY, of_order {key} NOT NULL,"
            " FOREIGN KEY (of_order) REFERENCES zoo_order (id) ON DELETE CASCADE)"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE stray")


def put_stray(order: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO stray (id, of_order) VALUES (1, %s)", [order])


def strays() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM stray")
        (count,) = cursor.fetchone()
    return int(count)


@pytest.mark.usefixtures("stray")
def test_rows_of_an_unknown_table_are_never_lost_without_a_trace() -> None:
    customer, other = rows.bulk("default", 10), rows.bulk("default", 15)
    reference = f"zoo.Customer.{customer.key}"
    mine = zoo.Order.objects.filter(customer_id=customer.key).values_list("pk", flat=True)[0]
    theirs = zoo.Order.objects.filter(customer_id=other.key).values_list("pk", flat=True)[0]
    put_stray(theirs)
    assert plan_deletion([reference]).blockers == []
    with connection.cursor() as cursor:
        cursor.execute("UPDATE stray SET of_order = %s", [mine])
    (blocker,) = plan_deletion([reference]).blockers
    assert (blocker.code, blocker.subject) == ("unknown-cascade", "table stray")
    assert blocker.message.startswith("1 row points at rows of zoo.Order that go")
    with pytest.raises(Refused):
        delete_objects([reference], DeleteOptions(is_unarchived=True))
    assert strays() == 1
    assert zoo.Order.objects.filter(pk=mine).exists()
