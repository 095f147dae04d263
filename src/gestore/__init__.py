"""Gestore: one object, with everything that belongs to it, out of a live database and back.

import gestore

gestore.plan_objects(["shop.Customer.7"])
gestore.export_objects(["shop.Customer.7"], "customer-7.json")
gestore.import_objects("customer-7.json", gestore.ImportOptions(database="other"))
gestore.verify_archive("customer-7.json")
gestore.delete_objects(["shop.Customer.7"], gestore.DeleteOptions(archive="gone-7.json"))
"""

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
from .version import __version__

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
