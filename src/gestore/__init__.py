"""Gestore: one object, with everything that belongs to it, out of a live database and back.

import gestore

gestore.plan_objects(["shop.Customer.7"])
gestore.export_objects(["shop.Customer.7"], "customer-7.json")
gestore.import_objects("customer-7.json", gestore.ImportOptions(database="other"))
gestore.verify_archive("customer-7.json")
gestore.delete_objects(["shop.Customer.7"], gestore.DeleteOptions(archive="gone-7.json"))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from .deleting import (
        DeleteOptions,
        DeletePlan,
        DeleteReport,
        delete_objects,
        plan_deletion,
    )
    from .errors import Finding, GestoreError, Refused, Severity
    from .exporting import ExportReport, export_objects
    from .importing import ImportOptions, ImportReport, import_objects
    from .load.strategies import Strategy
    from .planning import Plan, WalkOptions, plan_objects
    from .removal.receipt import Receipt
    from .removal.throttle import Limits
    from .resuming import resume_deletion
    from .schema.policy import Follow, Policy
    from .undoing import UndoPlan, undo_import
    from .verifying import VerifyReport, verify_archive

__all__ = [
    "DeleteOptions",
    "DeletePlan",
    "DeleteReport",
    "ExportReport",
    "Finding",
    "Follow",
    "GestoreError",
    "ImportOptions",
    "ImportReport",
    "Limits",
    "Plan",
    "Policy",
    "Receipt",
    "Refused",
    "Severity",
    "Strategy",
    "UndoPlan",
    "VerifyReport",
    "WalkOptions",
    "__version__",
    "delete_objects",
    "export_objects",
    "import_objects",
    "plan_deletion",
    "plan_objects",
    "resume_deletion",
    "undo_import",
    "verify_archive",
]

# Where each stands. Imported when asked for: a command needs one pipeline, and `migrate` none.
_MODULES = {
    "DeleteOptions": "deleting",
    "DeletePlan": "deleting",
    "DeleteReport": "deleting",
    "ExportReport": "exporting",
    "Finding": "errors",
    "Follow": "schema.policy",
    "GestoreError": "errors",
    "ImportOptions": "importing",
    "ImportReport": "importing",
    "Limits": "removal.throttle",
    "Plan": "planning",
    "Policy": "schema.policy",
    "Receipt": "removal.receipt",
    "Refused": "errors",
    "Severity": "errors",
    "Strategy": "load.strategies",
    "UndoPlan": "undoing",
    "VerifyReport": "verifying",
    "WalkOptions": "planning",
    "delete_objects": "deleting",
    "export_objects": "exporting",
    "import_objects": "importing",
    "plan_deletion": "deleting",
    "plan_objects": "planning",
    "resume_deletion": "resuming",
    "undo_import": "undoing",
    "verify_archive": "verifying",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
