"""What does Django need to know of the app?"""

from django.apps import AppConfig


class GestoreConfig(AppConfig):
    name = "gestore"
    verbose_name = "Gestore"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks

        checks.connect()
