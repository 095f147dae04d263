"""How does Gestore forget what it did here? `python -m benchmarks.school.forget`.

An archive that was imported before is known; what is measured is the first time.
"""

from __future__ import annotations

import django

if __name__ == "__main__":
    django.setup()
    from django.apps import apps
    from django.db import connection

    with connection.cursor() as cursor:
        for model in reversed(list(apps.get_app_config("gestore").get_models())):
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(model._meta.db_table)}")
