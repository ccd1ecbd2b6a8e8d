"""How license properties are shown. Switches change the answer here, not the state."""

from __future__ import annotations

from typing import NamedTuple

from local.tenant import clock
from local.tenant.directory.catalog import Catalog
from local.tenant.tenant import Tenant

NEW_ERROR = "UnlistedViolation"
"""An error that no list names; our own invention, since Microsoft says that values can be added."""


class DirectoryView(NamedTuple):
    """The catalog whose plans are shown, and positions of switches; settings.py explains each."""

    catalog: Catalog
    success_null: bool = False
    error_names: str = "documented"
    id_case: str = "lower"
    plans_until: float | None = None
    """Plans of licenses that changed later are not in `assignedPlans` yet; None: no lag."""

    def error(self, name: str) -> str | None:
        """The value of `error` for an error of licenseAssignmentState."""
        if name == "None":
            return None if self.success_null else name
        if self.error_names == "new":
            return NEW_ERROR
        return self.error_names if name == "Other" and self.error_names != "documented" else name

    def id(self, guid: str) -> str:
        """An id as subscribedSkus and licenseAssignmentStates show it."""
        return guid.upper() if self.id_case == "mixed" else guid


def view_of(tenant: Tenant) -> DirectoryView:
    """The look under the switches of this moment."""
    settings = tenant.settings
    lag = settings.assigned_plans_lag_seconds
    return DirectoryView(
        tenant.directory.catalog,
        settings.success_error_null,
        settings.error_names,
        settings.id_case,
        clock.time() - lag if lag else None,
    )
