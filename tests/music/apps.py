"""What is the music shop to Django?"""

from django.apps import AppConfig


class MusicConfig(AppConfig):
    name = "tests.music"
    label = "music"
