"""What would go wrong if a signal were sent?

While connected, every save of a zoo model spoils the row's values and writes one more row.
Receivers of real projects do both, and few look at `raw`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import models
from django.db.models.signals import m2m_changed, post_save, pre_save

from .models import SignalTrace

APP_LABELS = ("zoo", "zoo_postgres", "auth")


def connect() -> None:
    pre_save.connect(spoil_values, dispatch_uid="zoo")
    post_save.connect(leave_trace, dispatch_uid="zoo")
    m2m_changed.connect(leave_trace_of_pairs, dispatch_uid="zoo")


def disconnect() -> None:
    pre_save.disconnect(dispatch_uid="zoo")
    post_save.disconnect(dispatch_uid="zoo")
    m2m_changed.disconnect(dispatch_uid="zoo")


@contextmanager
def connected() -> Iterator[None]:
    connect()
    try:
        yield
    finally:
        disconnect()


def spoil_values(sender: type[models.Model], instance: models.Model, **kwargs: Any) -> None:
    if not _watched(sender):
        return
    for field in sender._meta.local_concrete_fields:
        if isinstance(field, models.CharField | models.TextField) and not field.unique:
            setattr(instance, field.attname, "spoilt")


def leave_trace(sender: type[models.Model], using: str, **kwargs: Any) -> None:
    if _watched(sender):
        SignalTrace.objects.using(using).create(sender=sender._meta.label, signal="post_save")


def leave_trace_of_pairs(
    sender: type[models.Model], action: str, using: str, **kwargs: Any
) -> None:
    if _watched(sender) and action == "post_add":
        SignalTrace.objects.using(using).create(sender=sender._meta.label, signal="m2m_changed")


def _watched(sender: type[models.Model]) -> bool:
    return sender._meta.app_label in APP_LABELS and sender is not SignalTrace
