"""What is this Django app called?"""

from django.apps import AppConfig


class MetersConfig(AppConfig):
    name = "benchmarks.meters"
    label = "meters"
