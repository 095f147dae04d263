import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gestore", "0002_removal")]

    operations = [
        migrations.CreateModel(
            name="ImportedFiles",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("field", models.CharField(max_length=300)),
                ("packed", models.BinaryField()),
                (
                    "imported",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="files",
                        to="gestore.import",
                    ),
                ),
            ],
            options={"db_table": "gestore_import_files"},
        ),
    ]
