"""Which settings has a process of its own that works on the tests' own database?"""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

# The name that pytest-django has given it, of this worker's own; of SQLite, a file.
# The others have names of their own, too, that this process does not know.
for other in ("target", "elsewhere"):
    del DATABASES[other]
DATABASES["default"] |= {"NAME": os.environ["GESTORE_TEST_SITE"]}
if "sqlite" in str(DATABASES["default"]["ENGINE"]):
    DATABASES["default"] |= {"OPTIONS": {"timeout": 20}}
# Where files lie, in a storage in which a process may come to its end.
if "GESTORE_TEST_FILES" in os.environ:
    STORAGES = {
        "default": {
            "BACKEND": "tests.journeys.file_storages.MortalStorage",
            "OPTIONS": {"location": os.environ["GESTORE_TEST_FILES"]},
        },
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
