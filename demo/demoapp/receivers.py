"""What happens by itself when a user is saved."""

from typing import Any

from django.conf import settings
from django.db.models.signals import post_save
from django.dispatch import receiver

from demoapp.models import Profile


@receiver(post_save, sender=settings.AUTH_USER_MODEL, dispatch_uid="demoapp.create_profile")
def create_profile(*, instance: Any, created: bool, using: str, **kwargs: Any) -> None:
    """Give every new user a profile.

    Many projects have a receiver like this one, and like this one it does not look at `raw`. So
    whoever loads users with signals finds a profile here that nobody archived, in the way of
    the one that somebody did.
    """
    if created:
        Profile.objects.using(using).create(user=instance)
