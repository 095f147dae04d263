"""Settings of the school platform: no more in it than what the figures are about.

`SCHOOL_DATABASE` and `SCHOOL_BRANCH` name the databases: the path of an SQLite file,
`postgresql:NAME` or `mariadb:NAME`.
"""

import os
from pathlib import Path
from typing import Any


def postgresql(name: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "HOST": os.environ.get("PGHOST", "127.0.0.1"),
        "PORT": os.environ.get("PGPORT", "5432"),
        "USER": os.environ.get("PGUSER", "postgres"),
        "PASSWORD": os.environ.get("PGPASSWORD", ""),
    }


def mariadb(name: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.mysql",
        "NAME": name,
        "HOST": os.environ.get("MYSQL_HOST", "127.0.0.1"),
        "PORT": os.environ.get("MYSQL_TCP_PORT", "3306"),
        "USER": os.environ.get("MYSQL_USER", "root"),
        "PASSWORD": os.environ.get("MYSQL_PWD", ""),
        "OPTIONS": {"charset": "utf8mb4"},
    }


def sqlite(path: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(path).absolute(),
        "OPTIONS": {"timeout": 20},
    }


def database(value: str) -> dict[str, Any]:
    """The database that is named like that, as in `SCHOOL_DATABASE`."""
    kind, colon, name = value.partition(":")
    if colon and kind == "postgresql":
        return postgresql(name)
    if colon and kind == "mariadb":
        return mariadb(name)
    return sqlite(value)


DATABASES = {
    "default": database(os.environ.get("SCHOOL_DATABASE") or "school.sqlite3"),
    "branch": database(os.environ.get("SCHOOL_BRANCH") or "school-branch.sqlite3"),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

SECRET_KEY = "only-for-figures-on-your-own-machine"
DEBUG = os.environ.get("SCHOOL_DEBUG", "0") == "1"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "gestore",
    "benchmarks.school",
]

# What is one's own in a school's data: with --anonymize.
GESTORE = {
    "ANONYMIZE": {
        "school.Organisation.name": "gestore.anonymize.name",
        "school.Organisation.slug": "gestore.anonymize.username",
        "school.User.email": "gestore.anonymize.email",
        "school.User.name": "gestore.anonymize.name",
        "school.Submission.title": "gestore.anonymize.text",
        "school.Submission.body": "gestore.anonymize.text",
        "school.Comment.text": "gestore.anonymize.text",
    }
}

USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
