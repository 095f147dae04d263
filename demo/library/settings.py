"""Settings of the demo library. For a developer's own machine only.

Two databases: `default` is the library, `branch` an empty second one to import into. Each is
named by an environment variable (`LIBRARY_DATABASE`, `LIBRARY_BRANCH`) that holds the path of an
SQLite file, `postgresql:NAME` or `mariadb:NAME`.
"""

import os
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parent.parent


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


def database(variable: str, default: Path) -> dict[str, Any]:
    """The database that an environment variable names, or the SQLite file `default`."""
    value = os.environ.get(variable) or str(default)
    kind, colon, name = value.partition(":")
    if colon and kind == "postgresql":
        return postgresql(name)
    if colon and kind == "mariadb":
        return mariadb(name)
    return sqlite(value)


DATABASES = {
    "default": database("LIBRARY_DATABASE", BASE_DIR / "db.sqlite3"),
    "branch": database("LIBRARY_BRANCH", BASE_DIR / "branch.sqlite3"),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

SECRET_KEY = "only-for-the-demo-on-your-own-machine"
DEBUG = os.environ.get("LIBRARY_DEBUG", "1") == "1"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "gestore",
    "demoapp",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
            ],
        },
    },
]

ROOT_URLCONF = "library.urls"
WSGI_APPLICATION = "library.wsgi.application"
STATIC_URL = "static/"

LANGUAGE_CODE = "en-gb"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Europe/Rome"
