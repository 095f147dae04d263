"""What does the text that names an object say?

`app_label.Model.key` (everything after the second dot is the key), or
`app_label.Model:field=value[,field=value]`. Whether such a model or row exists is not asked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import UsageError

_FORM = "A reference is app_label.Model.key, or app_label.Model:field=value."


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed reference. Either `key` is set, or `values` is not empty.

    `model` is `app_label.model` in lower case, as Django looks models up.
    """

    text: str
    model: str
    key: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference; a `UsageError` says what is wrong with it."""
        label, colon, assignments = text.partition(":")
        if colon and label.count(".") == 1:
            return cls(text, _model(text, *label.split(".")), values=_values(text, assignments))
        parts = text.split(".", 2)
        if len(parts) < 3 or not parts[2]:
            raise UsageError(f"{text!r} has no key.", hint=_FORM)
        return cls(text, _model(text, parts[0], parts[1]), key=parts[2])

    @property
    def label(self) -> str:
        """The model as it was typed."""
        return self.text[: len(self.model)]

    def __str__(self) -> str:
        return self.text


def _model(text: str, app_label: str, model_name: str) -> str:
    if not app_label or not model_name:
        raise UsageError(f"{text!r} names no model.", hint=_FORM)
    return f"{app_label}.{model_name.lower()}"


def _values(text: str, assignments: str) -> dict[str, str]:
    values = {}
    for assignment in assignments.split(","):
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{text!r}: {assignment!r} is not field=value.", hint=_FORM)
        values[name.strip()] = value
    return values
