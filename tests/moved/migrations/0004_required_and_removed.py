from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("moved", "0003_computed")]
    operations = [
        migrations.AlterField("Keeper", "initials", models.CharField(max_length=10)),
        migrations.AlterField(
            "Pet", "weight_kg", models.DecimalField(max_digits=8, decimal_places=3)
        ),
        migrations.RemoveField("Pet", "weight_g"),
        migrations.RemoveField("Pet", "colour"),
        migrations.RenameModel("Pet", "Animal"),
    ]
