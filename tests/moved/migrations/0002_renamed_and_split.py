from django.db import migrations, models
from django.db.models import deletion


def split(apps, schema_editor):
    alias = schema_editor.connection.alias
    address = apps.get_model("moved", "Address")
    for keeper in apps.get_model("moved", "Keeper").objects.using(alias).order_by("pk"):
        address.objects.using(alias).create(keeper=keeper, street=keeper.street)


class Migration(migrations.Migration):
    dependencies = [("moved", "0001_initial")]
    operations = [
        migrations.RenameField("Keeper", "mail", "email"),
        migrations.CreateModel(
            "Address",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False)),
                ("keeper", models.OneToOneField("moved.Keeper", deletion.CASCADE)),
                ("street", models.CharField(max_length=100)),
            ],
        ),
        migrations.RunPython(split, migrations.RunPython.noop),
        migrations.RemoveField("Keeper", "street"),
    ]
