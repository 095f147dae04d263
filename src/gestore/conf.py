"""What do the project's settings say? The only file that reads them, and only when asked.

Everything stands in one dictionary, `GESTORE`; the original's three bucket settings are apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.utils.module_loading import import_string

from .errors import ConfigurationError, MissingExtra, NotFound
from .schema.policy import Policy

if TYPE_CHECKING:
    from django.core.files.storage import Storage

_GIB = 1 << 30
# The storage that `bucket` means.
BUCKET = "gestore"
# The original's way to name one.
_BUCKET_SETTINGS = ("GESTORE_BUCKET_NAME", "GESTORE_PROJECT_NAME", "GESTORE_CREDENTIALS")
_SALT_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that are in force, with their defaults."""

    relations: tuple[tuple[str, str], ...] = ()
    policies: Mapping[str, Policy] | None = None
    unmanaged: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    provenance: bool = True
    renames: Mapping[str, str] = field(default_factory=dict)
    rewriters: Mapping[str, Callable[..., object]] = field(default_factory=dict)
    record_imports: bool = True
    replicas: tuple[str, ...] = ()
    max_archive_bytes: int = 10 * _GIB
    recipients: tuple[str, ...] = ()
    require_encryption: bool = False
    trusted_signers: tuple[str, ...] = ()
    anonymize: Mapping[str, Callable[..., object]] = field(default_factory=dict)
    anonymize_salt: str = field(default="", repr=False)

    @property
    def policy_layer(self) -> Mapping[str, Policy]:
        return self.policies or {}


KEYS = (
    "RELATIONS",
    "POLICIES",
    "UNMANAGED",
    "ROOTS",
    "PROVENANCE",
    "MAX_ARCHIVE_BYTES",
    "ALLOW_OVERRIDE",
    "RENAMES",
    "REWRITERS",
    "RECORD_IMPORTS",
    "REPLICAS",
    "RECIPIENTS",
    "REQUIRE_ENCRYPTION",
    "TRUSTED_SIGNERS",
    "ANONYMIZE",
    "ANONYMIZE_SALT",
)


def load() -> Settings:
    """The settings now; `ConfigurationError` names the entry that is wrong."""
    raw = getattr(settings, "GESTORE", {})
    if not isinstance(raw, Mapping):
        raise ConfigurationError("GESTORE must be a dictionary.")
    unknown = sorted(set(raw) - set(KEYS))
    if unknown:
        raise ConfigurationError(
            f"GESTORE has no entry {unknown[0]!r}.", hint=f"There are: {', '.join(KEYS)}."
        )
    # Asked of when it matters (`allows_override`); that it is right is asked always.
    _boolean(raw, "ALLOW_OVERRIDE", default=False)
    return Settings(
        relations=tuple(_pair(pair) for pair in _sequence(raw, "RELATIONS")),
        policies=_policies(raw.get("POLICIES", {})),
        unmanaged=tuple(_text("UNMANAGED", label) for label in _sequence(raw, "UNMANAGED")),
        roots=tuple(_text("ROOTS", label) for label in _sequence(raw, "ROOTS")),
        provenance=_boolean(raw, "PROVENANCE", default=True),
        renames=_renames(raw.get("RENAMES", {})),
        rewriters=_callables(raw, "REWRITERS"),
        replicas=tuple(_alias("REPLICAS", alias) for alias in _sequence(raw, "REPLICAS")),
        record_imports=_boolean(raw, "RECORD_IMPORTS", default=True),
        max_archive_bytes=_size(raw.get("MAX_ARCHIVE_BYTES", 10 * _GIB)),
        recipients=_keys(raw, "RECIPIENTS"),
        require_encryption=_boolean(raw, "REQUIRE_ENCRYPTION", default=False),
        trusted_signers=_keys(raw, "TRUSTED_SIGNERS"),
        anonymize=_callables(raw, "ANONYMIZE"),
        anonymize_salt=_salt(raw.get("ANONYMIZE_SALT", "")),
    )


def storage(alias: str) -> Storage:
    """The storage that the project calls so; `NotFound` names those there are."""
    from django.core.files.storage import storages

    if alias not in storages.backends:
        raise NotFound(
            f"No storage {alias!r}.", hint=f"STORAGES has: {', '.join(storages.backends)}."
        )
    return _made(f"STORAGES[{alias!r}]", lambda: storages[alias])


def bucket() -> Storage:
    """The storage called "gestore", else the bucket that the original's three settings name."""
    from django.core.files.storage import storages

    if BUCKET in storages.backends:
        return storage(BUCKET)
    said = {name: getattr(settings, name, None) for name in _BUCKET_SETTINGS}
    missing = [name for name, value in said.items() if not value]
    if missing:
        raise ConfigurationError(
            f'There is no bucket: neither STORAGES["{BUCKET}"] nor {missing[0]} is set.',
            hint=f'Set STORAGES["{BUCKET}"], or the three of the Gestore of 2021: '
            f"{', '.join(_BUCKET_SETTINGS)}.",
        )
    return _made("GESTORE_BUCKET_NAME", lambda: _google_bucket(*said.values()))


def _google_bucket(name: Any, project: Any, credentials: Any) -> Storage:
    try:
        from google.oauth2 import service_account
        from storages.backends.gcloud import GoogleCloudStorage
    except ImportError as error:
        raise MissingExtra(
            "The settings GESTORE_BUCKET_NAME and so on need the library django-storages.",
            hint="Install it with: pip install 'django-gestore[gcs]'",
        ) from error
    kind: Any = service_account.Credentials
    if isinstance(credentials, Mapping):
        credentials = kind.from_service_account_info(credentials)
    elif isinstance(credentials, str | PathLike):
        credentials = kind.from_service_account_file(credentials)
    made: Storage = GoogleCloudStorage(
        bucket_name=name, project_id=project, credentials=credentials
    )
    return made


def _made(setting: str, make: Callable[[], Storage]) -> Storage:
    """A storage, whose library may raise anything when it is made."""
    try:
        return make()
    except MissingExtra:
        raise
    except Exception as error:
        from .archive.shelf import words_of

        raise ConfigurationError(f"{setting} cannot be used: {words_of(error)}.") from error


def allows_override() -> bool:
    """Whether rows here may be overwritten: with DEBUG on, or where the setting says so."""
    raw = getattr(settings, "GESTORE", {})
    return bool(settings.DEBUG) or _boolean(raw, "ALLOW_OVERRIDE", default=False)


def is_installed() -> bool:
    """Whether the app is in INSTALLED_APPS, and so has its tables."""
    return apps.is_installed("gestore")


def has_time_zones() -> bool:
    return bool(settings.USE_TZ)


def time_zone() -> str:
    return str(settings.TIME_ZONE)


def _sequence(raw: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = raw.get(name, ())
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigurationError(f'GESTORE["{name}"] must be a list.')
    return value


def _pair(value: Any) -> tuple[str, str]:
    if (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) == 2
        and all(isinstance(label, str) for label in value)
    ):
        return (value[0], value[1])
    raise ConfigurationError(
        f'GESTORE["RELATIONS"]: {value!r} is not a pair.',
        hint='Write ("app.Model.field", "app.Model").',
    )


def _policies(value: Any) -> dict[str, Policy]:
    if not isinstance(value, Mapping):
        raise ConfigurationError('GESTORE["POLICIES"] must be a dictionary.')
    policies = {}
    for label, word in value.items():
        try:
            policies[_text("POLICIES", label)] = Policy(word)
        except ValueError as error:
            words = ", ".join(policy.value for policy in Policy)
            raise ConfigurationError(
                f'GESTORE["POLICIES"][{label!r}]: there is no policy {word!r}.',
                hint=f"The policies: {words}.",
            ) from error
    return policies


def _renames(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ConfigurationError('GESTORE["RENAMES"] must be a dictionary.')
    for old, new in value.items():
        dots = str(old).count(".")
        if not isinstance(new, str) or (dots, new.count(".")) not in ((1, 1), (2, 0)):
            raise ConfigurationError(
                f'GESTORE["RENAMES"]: {old!r}: {new!r} is no renaming.',
                hint='Write "old.Model": "new.Model", or "old.Model.field": "field2".',
            )
    return dict(value)


def _callables(raw: Mapping[str, Any], entry: str) -> dict[str, Callable[..., object]]:
    """By the label of a field a callable, or the dotted path of one."""
    value = raw.get(entry, {})
    if not isinstance(value, Mapping):
        raise ConfigurationError(f'GESTORE["{entry}"] must be a dictionary.')
    callables = {}
    for label, named in value.items():
        if str(label).count(".") != 2:
            raise ConfigurationError(f'GESTORE["{entry}"]: {label!r} is no app.Model.field.')
        try:
            found = import_string(named) if isinstance(named, str) else named
        except ImportError as error:
            raise ConfigurationError(f'GESTORE["{entry}"][{label!r}]: {error}.') from error
        if not callable(found):
            raise ConfigurationError(f'GESTORE["{entry}"][{label!r}] cannot be called.')
        callables[label] = found
    return callables


def _salt(value: Any) -> str:
    # The value is a secret: no error shows it.
    if not isinstance(value, str) or (value and len(value) < _SALT_CHARACTERS):
        raise ConfigurationError(
            f'GESTORE["ANONYMIZE_SALT"] must be a text of at least {_SALT_CHARACTERS} characters.',
            hint="Whoever guesses it can find out who is meant: let it be random, and keep it.",
        )
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or value.count(".") > 2:
        raise ConfigurationError(f'GESTORE["{name}"]: {value!r} is not a model or field label.')
    return value


def _alias(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f'GESTORE["{name}"]: {value!r} is not the alias of a database.')
    return value


def _keys(raw: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Public keys. What is no text is not shown: it may be a secret one."""
    values = _sequence(raw, name)
    if not all(isinstance(value, str) and value.strip() for value in values):
        raise ConfigurationError(f'GESTORE["{name}"] must be a list of public keys, as text.')
    return tuple(values)


def _boolean(raw: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = raw.get(name, default)
    if not isinstance(value, bool):
        raise ConfigurationError(f'GESTORE["{name}"] must be True or False.')
    return value


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ConfigurationError('GESTORE["MAX_ARCHIVE_BYTES"] must be a number of bytes.')
    return value
