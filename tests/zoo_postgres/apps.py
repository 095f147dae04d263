"""What is this wing of the zoo to Django?"""

from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate


class ZooPostgresConfig(AppConfig):
    name = "tests.zoo_postgres"
    label = "zoo_postgres"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(empty_other_schema, sender=self)


def empty_other_schema(using: str, **kwargs: Any) -> None:
    """Finishes what `flush` does between two tests: it sees only the tables on the search path."""
    from .models import OtherSchema

    if connections[using].vendor == "postgresql":
        OtherSchema.objects.using(using).all()._raw_delete(using)
