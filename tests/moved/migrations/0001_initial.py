from django.db import migrations, models
from django.db.models import deletion

KEY = ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False))


class Migration(migrations.Migration):
    initial = True
    dependencies = [("contenttypes", "0002_remove_content_type_name")]
    operations = [
        migrations.CreateModel(
            "Keeper",
            [
                KEY,
                ("name", models.CharField(max_length=100)),
                ("mail", models.EmailField(max_length=254, unique=True)),
                ("street", models.CharField(max_length=100)),
                ("born", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            "Pet",
            [
                KEY,
                ("keeper", models.ForeignKey("moved.Keeper", deletion.CASCADE)),
                ("kind", models.CharField(max_length=20)),
                ("weight_g", models.IntegerField()),
                ("colour", models.CharField(max_length=20)),
            ],
        ),
        migrations.CreateModel(
            "Remark",
            [
                KEY,
                (
                    "content_type",
                    models.ForeignKey("contenttypes.ContentType", deletion.CASCADE),
                ),
                ("object_id", models.PositiveIntegerField()),
                ("text", models.TextField()),
            ],
        ),
    ]
