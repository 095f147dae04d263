"""Makes the tables that only PostgreSQL can hold, and what Django has no words for."""

from typing import Any

from django.contrib.postgres.operations import (
    BtreeGistExtension,
    CITextExtension,
    CreateCollation,
    HStoreExtension,
)
from django.db import migrations

from tests.zoo.operations import CreateEveryModel

SCHEMA = "CREATE SCHEMA IF NOT EXISTS zoo_elsewhere"
IDENTITY = "ALTER TABLE zoo_postgres_alwaysidentity ALTER COLUMN id SET GENERATED ALWAYS"
IMMEDIATE = """
    ALTER TABLE zoo_postgres_immediatelink ADD CONSTRAINT zoo_postgres_immediate
    FOREIGN KEY (parent_id) REFERENCES zoo_postgres_immediatelink (id)
"""


def on_postgresql(*statements: str) -> migrations.RunPython:
    def run(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            for statement in statements:
                schema_editor.execute(statement)

    return migrations.RunPython(run, migrations.RunPython.noop)


class Migration(migrations.Migration):
    initial = True
    operations = [
        HStoreExtension(),
        BtreeGistExtension(),
        CITextExtension(),
        CreateCollation(
            "zoo_case_insensitive",
            provider="icu",
            locale="und-u-ks-level2",
            deterministic=False,
        ),
        on_postgresql(SCHEMA),
        CreateEveryModel(),
        on_postgresql(IDENTITY, IMMEDIATE),
    ]
