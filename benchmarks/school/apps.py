"""What is this Django app called?"""

from django.apps import AppConfig


class SchoolConfig(AppConfig):
    name = "benchmarks.school"
    label = "school"
