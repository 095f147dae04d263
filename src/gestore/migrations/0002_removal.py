from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gestore", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Removal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("archive", models.TextField()),
                ("sha256", models.CharField(db_index=True, max_length=64)),
                ("objects_named", models.JSONField(default=list)),
                ("command", models.TextField()),
                ("began_at", models.DateTimeField()),
                ("began_by", models.CharField(max_length=150)),
                ("ended_at", models.DateTimeField(null=True)),
                ("planned", models.JSONField(default=dict)),
                ("removed", models.JSONField(default=dict)),
                ("changed", models.JSONField(default=dict)),
            ],
            options={"db_table": "gestore_removal"},
        ),
    ]
