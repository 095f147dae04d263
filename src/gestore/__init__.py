"""Gestore: one object, with everything that belongs to it, out of a live database and back.

import gestore

gestore.plan_objects(["shop.Customer.7"])
gestore.export_objects(["shop.Customer.7"], "customer-7.json")
gestore.import_objects("customer-7.json", gestore.ImportOptions(database="other"))
gestore.verify_archive("customer-7.json")
gestore.delete_objects(["shop.Customer.7"], gestore.DeleteOptions(archive="gone-7.json"))
"""

import importlib
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
    from .keeping import Keeping
    from .load.strategies import Strategy
    from .planning import Plan, WalkOptions, plan_objects
    from .removal.receipt import Receipt
    from .removal.throttle import Limits
    from .resuming import resume_deletion
    from .schema.policy import Follow, Policy
    from .tabulating import TabulateReport, tabulate_objects
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
    "Keeping",
    "Limits",
    "Plan",
    "Policy",
    "Receipt",
    "Refused",
    "Severity",
    "Strategy",
    "TabulateReport",
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
    "tabulate_objects",
    "undo_import",
    "verify_archive",
]

# Taken up when first asked for: no command, and no site that merely has the app installed, waits
# for the modules of all of them.
_PLACES = {
    "DeleteOptions": "deleting",
    "DeletePlan": "deleting",
    "DeleteReport": "deleting",
    "delete_objects": "deleting",
    "plan_deletion": "deleting",
    "Finding": "errors",
    "GestoreError": "errors",
    "Refused": "errors",
    "Severity": "errors",
    "ExportReport": "exporting",
    "export_objects": "exporting",
    "ImportOptions": "importing",
    "ImportReport": "importing",
    "import_objects": "importing",
    "Keeping": "keeping",
    "Strategy": "load.strategies",
    "Plan": "planning",
    "WalkOptions": "planning",
    "plan_objects": "planning",
    "Receipt": "removal.receipt",
    "Limits": "removal.throttle",
    "resume_deletion": "resuming",
    "Follow": "schema.policy",
    "Policy": "schema.policy",
    "TabulateReport": "tabulating",
    "tabulate_objects": "tabulating",
    "UndoPlan": "undoing",
    "undo_import": "undoing",
    "VerifyReport": "verifying",
    "verify_archive": "verifying",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f".{_PLACES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
