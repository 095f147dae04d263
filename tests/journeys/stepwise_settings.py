"""Which settings has a process of its own that works on the tests' own database?"""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

# The name that pytest-django has given it, of this worker's own; of SQLite, a file.
DATABASES["default"] |= {"NAME": os.environ["GESTORE_TEST_SITE"]}
if "sqlite" in str(DATABASES["default"]["ENGINE"]):
    DATABASES["default"] |= {"OPTIONS": {"timeout": 20}}
