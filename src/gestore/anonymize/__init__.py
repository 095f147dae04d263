"""What stands in an archive instead of personal data?

A replacement is a function of a value and a `Seed`, named in `GESTORE["ANONYMIZE"]`; these are the
ones that come with Gestore. It is never asked of an empty value. The same value under the same salt
is always replaced by the same one, wherever it stands.
"""

from .replacements import (
    date,
    email,
    keep,
    name,
    password,
    phone,
    shape,
    text,
    token,
    username,
    uuid,
)
from .seed import Seed

__all__ = [
    "Seed",
    "date",
    "email",
    "keep",
    "name",
    "password",
    "phone",
    "shape",
    "text",
    "token",
    "username",
    "uuid",
]
