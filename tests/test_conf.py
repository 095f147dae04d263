"""Are the settings read when asked, and is a wrong entry named?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from gestore import conf
from gestore.anonymize import email
from gestore.errors import ConfigurationError, MissingExtra, NotFound
from gestore.schema.policy import Policy


def load(setting: Any) -> conf.Settings:
    with override_settings(GESTORE=setting):
        return conf.load()


def test_defaults() -> None:
    assert load({}) == conf.Settings(policies={})
    settings = conf.Settings()
    assert settings.policy_layer == {}
    assert settings.provenance is True
    assert settings.record_imports is True
    assert settings.max_archive_bytes == 10 * 2**30


def rewrite(value: object) -> object:
    return value


def test_every_entry() -> None:
    settings = load(
        {
            "RELATIONS": [("shop.Event.user_id", "auth.User"), ["a.B.c", "a.B.d"]],
            "POLICIES": {"auth.User": "own", "shop.Order.customer": "skip"},
            "UNMANAGED": ["legacy", "shop.View"],
            "ROOTS": ("shop.Customer",),
            "PROVENANCE": False,
            "MAX_ARCHIVE_BYTES": 1,
            "ALLOW_OVERRIDE": True,
            "RENAMES": {"old.Model": "new.Model", "old.Model.field": "name"},
            "REWRITERS": {"shop.Page.body": "tests.test_conf.rewrite", "shop.Page.x": rewrite},
            "RECORD_IMPORTS": False,
            "REPLICAS": ["replica"],
            "RECIPIENTS": ["age1abc", "ssh-ed25519 AAAA"],
            "REQUIRE_ENCRYPTION": True,
            "TRUSTED_SIGNERS": ("ssh-ed25519 BBBB",),
            "ANONYMIZE": {"auth.User.email": "gestore.anonymize.email", "a.B.c": rewrite},
            "ANONYMIZE_SALT": "sixteen letters!",
        }
    )
    assert settings == conf.Settings(
        relations=(("shop.Event.user_id", "auth.User"), ("a.B.c", "a.B.d")),
        policies={"auth.User": Policy.OWN, "shop.Order.customer": Policy.SKIP},
        unmanaged=("legacy", "shop.View"),
        roots=("shop.Customer",),
        provenance=False,
        max_archive_bytes=1,
        renames={"old.Model": "new.Model", "old.Model.field": "name"},
        rewriters={"shop.Page.body": rewrite, "shop.Page.x": rewrite},
        record_imports=False,
        replicas=("replica",),
        recipients=("age1abc", "ssh-ed25519 AAAA"),
        require_encryption=True,
        trusted_signers=("ssh-ed25519 BBBB",),
        anonymize={"auth.User.email": email, "a.B.c": rewrite},
        anonymize_salt="sixteen letters!",
    )
    assert "sixteen letters!" not in repr(settings)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        (None, "GESTORE must be a dictionary."),
        ([], "GESTORE must be a dictionary."),
        ({"RELATION": []}, "GESTORE has no entry 'RELATION'."),
        ({"RELATIONS": "a.B.c"}, 'GESTORE["RELATIONS"] must be a list.'),
        ({"RELATIONS": {"a.B.c": "a.B"}}, 'GESTORE["RELATIONS"] must be a list.'),
        ({"RELATIONS": [("a.B.c",)]}, "GESTORE[\"RELATIONS\"]: ('a.B.c',) is not a pair."),
        ({"RELATIONS": [("a", "b", "c")]}, 'GESTORE["RELATIONS"]'),
        ({"RELATIONS": [("a.B.c", 7)]}, 'GESTORE["RELATIONS"]'),
        ({"RELATIONS": ["ab"]}, 'GESTORE["RELATIONS"]'),
        ({"POLICIES": ["auth.User"]}, 'GESTORE["POLICIES"] must be a dictionary.'),
        ({"POLICIES": {"auth.User": "owns"}}, "GESTORE[\"POLICIES\"]['auth.User']"),
        ({"POLICIES": {"auth.User": None}}, "GESTORE[\"POLICIES\"]['auth.User']"),
        ({"POLICIES": {"auth.User": ["own"]}}, "GESTORE[\"POLICIES\"]['auth.User']"),
        ({"POLICIES": {7: "own"}}, 'GESTORE["POLICIES"]: 7 is not'),
        ({"UNMANAGED": "legacy"}, 'GESTORE["UNMANAGED"] must be a list.'),
        ({"UNMANAGED": [7]}, 'GESTORE["UNMANAGED"]: 7 is not'),
        ({"UNMANAGED": ["a.b.c.d"]}, "GESTORE[\"UNMANAGED\"]: 'a.b.c.d' is not"),
        ({"ROOTS": 7}, 'GESTORE["ROOTS"] must be a list.'),
        ({"ROOTS": None}, 'GESTORE["ROOTS"] must be a list.'),
        ({"ROOTS": [None]}, 'GESTORE["ROOTS"]: None is not'),
        ({"PROVENANCE": "no"}, 'GESTORE["PROVENANCE"] must be True or False.'),
        ({"ALLOW_OVERRIDE": "yes"}, 'GESTORE["ALLOW_OVERRIDE"] must be True or False.'),
        ({"RECORD_IMPORTS": 0}, 'GESTORE["RECORD_IMPORTS"] must be True or False.'),
        ({"REPLICAS": "replica"}, 'GESTORE["REPLICAS"] must be a list.'),
        ({"REPLICAS": [7]}, 'GESTORE["REPLICAS"]: 7 is not the alias of a database'),
        ({"RECIPIENTS": "age1abc"}, 'GESTORE["RECIPIENTS"] must be a list.'),
        (
            {"RECIPIENTS": [b"age1"]},
            'GESTORE["RECIPIENTS"] must be a list of public keys, as text.',
        ),
        ({"RECIPIENTS": [" "]}, 'GESTORE["RECIPIENTS"] must be a list of public keys, as text.'),
        ({"REQUIRE_ENCRYPTION": 1}, 'GESTORE["REQUIRE_ENCRYPTION"] must be True or False.'),
        ({"TRUSTED_SIGNERS": "x"}, 'GESTORE["TRUSTED_SIGNERS"] must be a list.'),
        ({"TRUSTED_SIGNERS": [7]}, 'GESTORE["TRUSTED_SIGNERS"] must be a list of public keys'),
        ({"MAX_ARCHIVE_BYTES": 0}, 'GESTORE["MAX_ARCHIVE_BYTES"] must be a number of bytes.'),
        ({"MAX_ARCHIVE_BYTES": -1}, 'GESTORE["MAX_ARCHIVE_BYTES"]'),
        ({"MAX_ARCHIVE_BYTES": True}, 'GESTORE["MAX_ARCHIVE_BYTES"]'),
        ({"MAX_ARCHIVE_BYTES": 1.5}, 'GESTORE["MAX_ARCHIVE_BYTES"]'),
        ({"MAX_ARCHIVE_BYTES": "1 GB"}, 'GESTORE["MAX_ARCHIVE_BYTES"]'),
        ({"RENAMES": []}, 'GESTORE["RENAMES"] must be a dictionary.'),
        ({"RENAMES": {"a.B": "c"}}, "GESTORE[\"RENAMES\"]: 'a.B': 'c' is no renaming."),
        ({"RENAMES": {"a.B.c": "a.B.d"}}, 'GESTORE["RENAMES"]'),
        ({"RENAMES": {"a.B": 7}}, 'GESTORE["RENAMES"]'),
        ({"RENAMES": {7: "a.B"}}, 'GESTORE["RENAMES"]'),
        ({"REWRITERS": []}, 'GESTORE["REWRITERS"] must be a dictionary.'),
        ({"REWRITERS": {"a.B": rewrite}}, "GESTORE[\"REWRITERS\"]: 'a.B' is no app.Model.field."),
        ({"REWRITERS": {"a.B.c": "no.such.function"}}, "GESTORE[\"REWRITERS\"]['a.B.c']: "),
        ({"REWRITERS": {"a.B.c": 7}}, "GESTORE[\"REWRITERS\"]['a.B.c'] cannot be called."),
        ({"ANONYMIZE": []}, 'GESTORE["ANONYMIZE"] must be a dictionary.'),
        ({"ANONYMIZE": {"a.B": rewrite}}, "GESTORE[\"ANONYMIZE\"]: 'a.B' is no app.Model.field."),
        ({"ANONYMIZE": {"a.B.c": "gestore.anonymize.e"}}, "GESTORE[\"ANONYMIZE\"]['a.B.c']: "),
        ({"ANONYMIZE": {"a.B.c": None}}, "GESTORE[\"ANONYMIZE\"]['a.B.c'] cannot be called."),
        ({"ANONYMIZE_SALT": b"bytes of a salt!"}, 'GESTORE["ANONYMIZE_SALT"] must be a text of'),
        ({"ANONYMIZE_SALT": "short"}, 'GESTORE["ANONYMIZE_SALT"] must be a text of at least 16'),
    ],
)
def test_wrong_entry_is_named(setting: Any, named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(setting)
    assert caught.value.message.startswith(named)


def test_wrong_settings_name_every_entry() -> None:
    """Whoever adds an entry adds what is wrong with it above."""
    (marker,) = (
        mark for mark in test_wrong_entry_is_named.pytestmark if mark.name == "parametrize"
    )
    named = {name for setting, _ in marker.args[1] if isinstance(setting, dict) for name in setting}
    assert set(conf.KEYS) - named == set()


def test_override_is_allowed_by_debug_or_by_saying_so() -> None:
    for debug, entry, is_allowed in (
        (True, {}, True),
        (False, {}, False),
        (False, {"ALLOW_OVERRIDE": True}, True),
        (False, {"ALLOW_OVERRIDE": False}, False),
    ):
        with override_settings(DEBUG=debug, GESTORE=entry):
            assert conf.allows_override() is is_allowed
    with (
        override_settings(DEBUG=False, GESTORE={"ALLOW_OVERRIDE": "yes"}),
        pytest.raises(ConfigurationError, match="ALLOW_OVERRIDE"),
    ):
        conf.allows_override()


def test_settings_are_read_when_asked() -> None:
    with override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo"):
        assert (conf.has_time_zones(), conf.time_zone()) == (False, "Asia/Tokyo")
    assert (conf.has_time_zones(), conf.time_zone()) == (True, "Europe/Rome")
    assert conf.is_installed()


STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "odd": {"BACKEND": "no.such.Storage"},
}


def test_storage_is_named_or_those_that_are() -> None:
    with override_settings(STORAGES=STORAGES):
        assert type(conf.storage("default")).__name__ == "FileSystemStorage"
        with pytest.raises(NotFound, match="No storage 'vault'") as caught:
            conf.storage("vault")
        assert caught.value.hint == "STORAGES has: default, odd."
        with pytest.raises(ConfigurationError, match=r"STORAGES\['odd'\] cannot be used"):
            conf.storage("odd")


def test_bucket_is_a_storage_or_the_three_settings_of_2021(tmp_path: Path) -> None:
    google = pytest.importorskip("google.auth.credentials")
    entry = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    with override_settings(STORAGES={**STORAGES, "gestore": entry}):
        assert type(conf.bucket()).__name__ == "InMemoryStorage"
    three = {
        "GESTORE_BUCKET_NAME": "archives",
        "GESTORE_PROJECT_NAME": "ours",
        "GESTORE_CREDENTIALS": google.AnonymousCredentials(),
    }
    for missing in three:
        said = {name: value for name, value in three.items() if name != missing}
        with (
            override_settings(STORAGES=STORAGES, **said),
            pytest.raises(ConfigurationError, match=missing) as caught,
        ):
            conf.bucket()
        assert 'neither STORAGES["gestore"] nor' in caught.value.message
        assert 'Set STORAGES["gestore"]' in caught.value.hint
        assert all(name in caught.value.hint for name in three)
    with override_settings(STORAGES=STORAGES, **three):
        assert conf.bucket().bucket_name == "archives"  # type: ignore[attr-defined]
    key = tmp_path / "key.json"
    key.write_text('{"private_key": "never shown"}')
    for wrong in (str(key), {"private_key": "never shown"}, tmp_path / "absent.json"):
        with (
            override_settings(STORAGES=STORAGES, **{**three, "GESTORE_CREDENTIALS": wrong}),
            pytest.raises(ConfigurationError, match="GESTORE_BUCKET_NAME cannot be used") as caught,
        ):
            conf.bucket()
        assert "never shown" not in str(caught.value)


def test_bucket_of_2021_needs_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "storages.backends.gcloud", None)
    three = dict.fromkeys(
        ("GESTORE_BUCKET_NAME", "GESTORE_PROJECT_NAME", "GESTORE_CREDENTIALS"), "x"
    )
    with (
        override_settings(STORAGES=STORAGES, **three),
        pytest.raises(MissingExtra, match=r"pip install 'django-gestore\[gcs\]'"),
    ):
        conf.bucket()
