"""What is wrong with the settings, before anything runs? System checks gestore.E001 and on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks

from . import conf
from .anonymize.declared import problems
from .errors import ConfigurationError, NotFound
from .schema.graph import Graph
from .schema.introspect import build_graph
from .schema.policy import unknown_labels


def connect() -> None:
    checks.register(check_settings, "gestore")


def check_settings(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """E001: the setting is wrong. E002: it names a model or field that does not exist."""
    try:
        settings = conf.load()
        graph = build_graph(settings.relations, settings.unmanaged)
    except (ConfigurationError, NotFound) as error:
        return [checks.Error(error.message, hint=error.hint or None, id="gestore.E001")]
    unknown = [
        *(("POLICIES", label) for label in unknown_labels(graph, list(settings.policy_layer))),
        *(("ROOTS", label) for label in settings.roots if not _is_model(graph, label)),
        *(
            ("UNMANAGED", label)
            for label in settings.unmanaged
            if not _is_model_or_app(graph, label)
        ),
        *(("REWRITERS", label) for label in settings.rewriters if not _is_column(graph, label)),
        *(("ANONYMIZE", label) for label in settings.anonymize if not _is_column(graph, label)),
    ]
    wrong: list[checks.CheckMessage] = [
        checks.Error(error.message, hint=error.hint or None, id="gestore.E001")
        for error in problems(graph, settings.anonymize)
    ]
    return wrong + [
        checks.Error(
            f'GESTORE["{place}"] names {label!r}, and there is no such {_WHAT[place]}.',
            hint="Labels are app_label.Model or app_label.Model.field.",
            id="gestore.E002",
        )
        for place, label in unknown
    ]


_WHAT = {
    "POLICIES": "model or relation",
    "ROOTS": "model",
    "UNMANAGED": "model or app",
    "REWRITERS": "field",
    "ANONYMIZE": "field",
}


def _is_model(graph: Graph, label: str) -> bool:
    return label.lower() in graph.tables or label.lower() in graph.tables_by_proxy


def _is_model_or_app(graph: Graph, label: str) -> bool:
    return _is_model(graph, label) or label.lower() in {
        table.app_label.lower() for table in graph.tables.values()
    }


def _is_column(graph: Graph, label: str) -> bool:
    model, _, name = label.rpartition(".")
    table = graph.tables.get(model.lower())
    return table is not None and name in table.columns_by_name
