"""The app's configuration."""

from django.apps import AppConfig


class DemoappConfig(AppConfig):
    name = "demoapp"
    verbose_name = "Library"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from demoapp import receivers  # noqa: F401
