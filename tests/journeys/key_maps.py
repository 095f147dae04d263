"""What do rows look like under other keys? Follows every pointer of a dump, with nothing of
Gestore's own: an import under new keys is right when the target holds just these rows beside its
own."""

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.fields import GenericForeignKey
from django.db import models
from django.db.models.fields.related import ForeignObject

from tests.zoo import compare

Declared = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class KeyMap:
    """What `--keymap` wrote: by model and key at the source, the key here and what became of it."""

    targets: dict[tuple[str, str], Any] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str) -> "KeyMap":
        keymap = cls()
        for line in Path(path).read_text().splitlines():
            told = json.loads(line)
            place = told["model"], text(stored(told["source"]))
            assert place not in keymap.targets, place
            keymap.targets[place] = stored(told["target"])
            keymap.outcomes[place] = told["outcome"]
        return keymap

    def of(self, model: type[models.Model], values: tuple[Any, ...]) -> tuple[Any, ...]:
        """The key here for a key there, in parts of the same types."""
        found = self.targets.get((model._meta.concrete_model._meta.label_lower, text(values)))
        if found is None:
            return values
        parts = found if isinstance(found, list) else [found]
        return tuple(_as(value, part) for value, part in zip(values, parts, strict=True))

    @property
    def changed(self) -> set[str]:
        """The models of which a row got another key."""
        return {model for (model, key), target in self.targets.items() if text(target) != key}


def translated(
    dump: compare.Dump,
    keymap: KeyMap,
    declared: Declared = (),
    outcome: str = "",
    after: compare.Dump | None = None,
) -> compare.Dump:
    """The rows of the dump that the key map knows (with `outcome`: of which that became), under
    their keys here. `after` is a dump of the target, for pointers at other columns than keys."""
    found: compare.Dump = {}
    for label, rows in dump.items():
        model = apps.get_model(label)
        found[label] = {}
        for key, row in rows.items():
            became = keymap.outcomes.get((model._meta.label_lower, key))
            if became is not None and outcome in ("", became):
                values = _translated(model, dict(row), keymap, declared)
                if after is not None:
                    values |= _by_value(model, values, keymap, dump, after)
                here = text(tuple(values[name] for name in _key_names(model)))
                items = tuple(values.items())
                # Two pairs are one here where two rows that they hold are: both kept as the same.
                is_same = outcome == "here" and found[label].get(here) == items
                assert is_same or here not in found[label], f"{label}.{here} twice"
                found[label][here] = items
    return found


def joined(first: compare.Dump, second: compare.Dump) -> compare.Dump:
    """The rows of both; none may be in both."""
    for label, rows in second.items():
        assert not first.get(label, {}).keys() & rows.keys(), label
    return replaced(first, second)


def replaced(first: compare.Dump, second: compare.Dump) -> compare.Dump:
    """The rows of the first, those that the second has too as they are there."""
    labels = first.keys() | second.keys()
    return {label: first.get(label, {}) | second.get(label, {}) for label in labels}


def text(key: Any) -> str:
    return ",".join(map(str, key)) if isinstance(key, list | tuple) else str(key)


def _translated(
    model: type[models.Model], row: dict[str, Any], keymap: KeyMap, declared: Declared
) -> dict[str, Any]:
    values = dict(row)
    for target, columns in _pointers(model, row, declared):
        parts = tuple(row[name] for name in columns)
        if None not in parts:
            values.update(zip(columns, _pointed(target, parts, keymap), strict=True))
    names = _key_names(model)
    own = tuple(row[name] for name in names)
    told = dict(zip(names, keymap.of(model, own), strict=True))
    if keymap.outcomes[model._meta.label_lower, text(own)] == "loaded":
        # A key that is a pointer says what it points at.
        pointing = {n for _, columns in _pointers(model, row, declared) for n in columns}
        assert all(values[name] == told[name] for name in pointing & set(names)), (model, own)
    return values | told


def _by_value(
    model: type[models.Model],
    row: dict[str, Any],
    keymap: KeyMap,
    before: compare.Dump,
    after: compare.Dump,
) -> dict[str, Any]:
    """Pointers at other columns than keys: what stands there in the row that stands for theirs."""
    found = {}
    for one in model._meta.local_fields:
        if not isinstance(one, models.ForeignKey) or one.target_field.primary_key:
            continue
        label, name = one.target_field.model._meta.label, one.target_field.attname
        for key, pointed in before[label].items():
            if row[one.attname] is not None and dict(pointed)[name] == row[one.attname]:
                here = text(keymap.targets[label.lower(), key])
                found[one.attname] = dict(after[label][here])[name]
    return found


def _pointers(
    model: type[models.Model], row: dict[str, Any], declared: Declared
) -> Iterator[tuple[type[models.Model], list[str]]]:
    for one in model._meta.local_fields:
        # Of pointers to other unique columns the values stay as they are.
        if isinstance(one, ForeignObject):
            target = one.foreign_related_fields[0].model
            if tuple(one.foreign_related_fields) == tuple(target._meta.pk_fields):
                yield target, [f.attname for f in one.local_related_fields]
    pairs = [
        (model._meta.get_field(one.ct_field).attname, one.fk_field)
        for one in model._meta.private_fields
        if isinstance(one, GenericForeignKey)
    ]
    for source, target in declared:
        label, _, name = source.rpartition(".")
        if label != model._meta.label:
            continue
        if target.count(".") == 1:
            yield apps.get_model(target), [name]
        else:
            pairs.append((model._meta.get_field(name).attname, target.rpartition(".")[2]))
    for content_type, name in pairs:
        if row.get(content_type) is not None:
            yield apps.get_model(row[content_type]), [name]


def _pointed(model: type[models.Model], parts: tuple[Any, ...], keymap: KeyMap) -> tuple[Any, ...]:
    # A generic key may hold a UUID as 32 digits.
    is_hex = isinstance(model._meta.pk, models.UUIDField) and isinstance(parts[0], str)
    if is_hex and "-" not in parts[0]:
        (found,) = keymap.of(model, (uuid.UUID(parts[0]),))
        return (found.hex,)
    return keymap.of(model, parts)


def _key_names(model: type[models.Model]) -> list[str]:
    return [one.attname for one in model._meta.pk_fields]


def _as(value: Any, other: Any) -> Any:
    """The other key, of the type that the value has."""
    return value if text(value) == text(other) else type(value)(other)


def stored(key: Any) -> Any:
    """What the database holds for an archived key: of a ticket the number."""
    return int(key[2:]) if isinstance(key, str) and key.startswith("T-") else key
