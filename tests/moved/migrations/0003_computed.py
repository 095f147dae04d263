from django.db import migrations, models


def compute(apps, schema_editor):
    alias = schema_editor.connection.alias
    for keeper in apps.get_model("moved", "Keeper").objects.using(alias).all():
        keeper.initials = "".join(word[0] for word in keeper.name.split())
        keeper.save(using=alias)
    for pet in apps.get_model("moved", "Pet").objects.using(alias).all():
        pet.weight_kg = pet.weight_g / 1000
        pet.save(using=alias)


class Migration(migrations.Migration):
    dependencies = [("moved", "0002_renamed_and_split")]
    operations = [
        migrations.AddField("Keeper", "initials", models.CharField(max_length=10, null=True)),
        migrations.AddField(
            "Pet", "weight_kg", models.DecimalField(max_digits=8, decimal_places=3, null=True)
        ),
        migrations.RunPython(compute, migrations.RunPython.noop),
    ]
