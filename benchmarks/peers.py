"""How does Django itself do the same? Its serializer, and `Model.delete()`.

`python -m benchmarks.peers serialize FIXTURE` or `delete`, on the tenant of the school platform.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django

_SLUG = "here-0"


def _tenant_rows() -> Iterator[Any]:
    """The rows of the tenant as model instances, read as `dumpdata` reads them."""
    from django.contrib.contenttypes.models import ContentType
    from django.db.models import Q

    from benchmarks.school import models

    tenant = models.Organisation.objects.get(slug=_SLUG)
    submissions = models.Submission.objects.filter(enrolment__user__organisation=tenant)
    courses = models.Course.objects.filter(organisation=tenant)
    yield from models.Tag.objects.filter(courses__organisation=tenant).distinct()
    yield tenant
    for model in (models.User, models.Topic, models.Course):
        yield from model._base_manager.filter(organisation=tenant).order_by("pk").iterator()
    yield from models.Enrolment.objects.filter(user__organisation=tenant).order_by("pk").iterator()
    yield from submissions.order_by("pk").iterator()
    # In batches: the keys of the generic pointers are text, and the others' are not.
    for model, keys in ((models.Submission, submissions), (models.Course, courses)):
        subject = Q(content_type=ContentType.objects.get_for_model(model))
        subjects = [str(key) for key in keys.values_list("pk", flat=True)]
        for start in range(0, len(subjects), 500):
            batch = Q(object_id__in=subjects[start : start + 500])
            yield from models.Comment.objects.filter(subject & batch).iterator()


def serialize(fixture: str) -> None:
    from django.core import serializers

    with Path(fixture).open("w", encoding="utf-8") as stream:
        serializers.serialize("json", _tenant_rows(), stream=stream)


def delete() -> None:
    from benchmarks.school.models import Organisation

    Organisation.objects.get(slug=_SLUG).delete()


if __name__ == "__main__":
    django.setup()
    {"serialize": serialize, "delete": delete}[sys.argv[1]](*sys.argv[2:])
