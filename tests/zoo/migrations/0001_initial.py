"""Makes the zoo's tables.

Not by `run_syncdb`: that makes the apps without migrations first, and the zoo points at apps that
have them.
"""

from django.db import migrations

from tests.zoo.operations import CreateEveryModel


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [CreateEveryModel()]
