"""Settings of the meters: `METERS_DATABASE` is the path of an SQLite file."""

import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("METERS_DATABASE", "meters.sqlite3"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "only-for-figures-on-your-own-machine"
INSTALLED_APPS = ["django.contrib.contenttypes", "gestore", "benchmarks.meters"]
USE_TZ = True
