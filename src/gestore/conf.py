"""What do the project's settings say? The only file that reads them, and only when asked.

Everything stands in one dictionary, `GESTORE`; the original's three bucket settings are apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.conf import settings
from django.utils.module_loading import import_string

from .errors import ConfigurationError
from .schema.policy import Policy

_GIB = 1 << 30


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
        rewriters=_rewriters(raw.get("REWRITERS", {})),
        replicas=tuple(_alias("REPLICAS", alias) for alias in _sequence(raw, "REPLICAS")),
        record_imports=_boolean(raw, "RECORD_IMPORTS", default=True),
        max_archive_bytes=_size(raw.get("MAX_ARCHIVE_BYTES", 10 * _GIB)),
    )


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


def _rewriters(value: Any) -> dict[str, Callable[..., object]]:
    if not isinstance(value, Mapping):
        raise ConfigurationError('GESTORE["REWRITERS"] must be a dictionary.')
    rewriters = {}
    for label, rewrite in value.items():
        if str(label).count(".") != 2:
            raise ConfigurationError(f'GESTORE["REWRITERS"]: {label!r} is no app.Model.field.')
        try:
            found = import_string(rewrite) if isinstance(rewrite, str) else rewrite
        except ImportError as error:
            raise ConfigurationError(f'GESTORE["REWRITERS"][{label!r}]: {error}.') from error
        if not callable(found):
            raise ConfigurationError(f'GESTORE["REWRITERS"][{label!r}] cannot be called.')
        rewriters[label] = found
    return rewriters


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or value.count(".") > 2:
        raise ConfigurationError(f'GESTORE["{name}"]: {value!r} is not a model or field label.')
    return value


def _alias(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f'GESTORE["{name}"]: {value!r} is not the alias of a database.')
    return value


def _boolean(raw: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = raw.get(name, default)
    if not isinstance(value, bool):
        raise ConfigurationError(f'GESTORE["{name}"] must be True or False.')
    return value


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ConfigurationError('GESTORE["MAX_ARCHIVE_BYTES"] must be a number of bytes.')
    return value
