"""Which project do the tests run in?

Two environment variables choose its databases:

- `GESTORE_TEST_DATABASE`: `sqlite` (the default), `postgresql` or `mariadb`, for `default` (the
  source) and `target` (a second, separate database of the same vendor).
- `GESTORE_TEST_ELSEWHERE=postgresql`: with `sqlite`, makes the third database, `elsewhere`, one of
  another vendor. On PostgreSQL and MariaDB `elsewhere` is always SQLite, so that trips across
  vendors run there too.

Servers are found by the variables their own tools read (`PGHOST`, `MYSQL_HOST`, …). Databases are
called `test_<GESTORE_TEST_NAME>_<vendor>_<alias>`: two runs at once on one server each need a name
of their own.
"""

import os
import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

# pytest has this path from its own settings; mypy's Django plugin, which loads this file, has not.
sys.path.append(str(Path(__file__).resolve().parent.parent / "demo"))

NAME = os.environ.get("GESTORE_TEST_NAME", "gestore")
VENDOR = os.environ.get("GESTORE_TEST_DATABASE", "sqlite")
ELSEWHERE = os.environ.get("GESTORE_TEST_ELSEWHERE", "sqlite") if VENDOR == "sqlite" else "sqlite"


def sqlite(alias: str) -> dict[str, object]:
    # An in-memory database of its own for each alias, and for each process of a parallel run.
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}


def postgresql(alias: str) -> dict[str, object]:
    name = f"{NAME}_postgresql_{alias}"
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "HOST": os.environ.get("PGHOST", "127.0.0.1"),
        "PORT": os.environ.get("PGPORT", "5432"),
        "USER": os.environ.get("PGUSER", "postgres"),
        "PASSWORD": os.environ.get("PGPASSWORD", ""),
        "TEST": {"NAME": f"test_{name}"},
    }


def mariadb(alias: str) -> dict[str, object]:
    name = f"{NAME}_mariadb_{alias}"
    return {
        "ENGINE": "django.db.backends.mysql",
        "NAME": name,
        "HOST": os.environ.get("MYSQL_HOST", "127.0.0.1"),
        "PORT": os.environ.get("MYSQL_TCP_PORT", "3306"),
        "USER": os.environ.get("MYSQL_USER", "root"),
        "PASSWORD": os.environ.get("MYSQL_PWD", ""),
        "OPTIONS": {"charset": "utf8mb4"},
        "TEST": {"NAME": f"test_{name}", "CHARSET": "utf8mb4"},
    }


DATABASE_OF_VENDOR = {"sqlite": sqlite, "postgresql": postgresql, "mariadb": mariadb}
for variable, vendor, allowed in [
    ("GESTORE_TEST_DATABASE", VENDOR, DATABASE_OF_VENDOR),
    ("GESTORE_TEST_ELSEWHERE", ELSEWHERE, ("sqlite", "postgresql")),
]:
    if vendor not in allowed:
        raise ImproperlyConfigured(f"{variable} is {vendor!r}: choose {', '.join(allowed)}.")

DATABASES = {
    "default": DATABASE_OF_VENDOR[VENDOR]("default"),
    "target": DATABASE_OF_VENDOR[VENDOR]("target"),
    "elsewhere": DATABASE_OF_VENDOR[ELSEWHERE]("elsewhere"),
}

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.sites",
    "django.contrib.messages",
    "django.contrib.admin",
    "gestore",
    "demoapp",
    "tests.zoo",
    "tests.moved",
    "tests.music",
]
if VENDOR == "postgresql":
    INSTALLED_APPS += ["django.contrib.postgres", "tests.zoo_postgres"]

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

ROOT_URLCONF = "tests.urls"
SITE_ID = 1
SECRET_KEY = "for the tests only"
ALLOWED_HOSTS = ["*"]
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Real work: one password hash costs more than most tests.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Not UTC, so that a value that lost its offset differs from the one that was written.
USE_TZ = True
TIME_ZONE = "Europe/Rome"

# Silent on purpose: the zoo has what not every database can do (a foreign key as primary key,
# conditional and expression uniques, nulls_distinct).
SILENCED_SYSTEM_CHECKS = ["fields.W342", "models.W036", "models.W044", "models.W047"]
ZOO_KEEPER_MODEL = "zoo.ModernKeeper"
