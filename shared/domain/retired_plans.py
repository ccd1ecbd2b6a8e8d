"""A user's licenses as the ledger can be compared with them after Microsoft took service plans out of a product.

The ledger keeps such a plan, and Graph may show it in `disabledPlans` or not. The user is therefore shown with the plan
as the ledger has it, so that it proves neither an owner nor a change by hand. A comparison needs less proof than a
call: one read of the products without the plan is enough.
"""

from __future__ import annotations

from dataclasses import replace

from shared.domain.catalog import Catalog
from shared.domain.directory import DirectoryUser, LicenseAssignmentState
from shared.domain.ids import NO_PLANS, Plans
from shared.domain.ledger_row import LedgerRow


def as_stored(user: DirectoryUser, row: LedgerRow, catalog: Catalog) -> DirectoryUser:
    """The user with plans that left their product off in direct licenses exactly where the ledger row has them off."""
    states = tuple(_as_stored(state, row, catalog) for state in user.license_assignment_states)
    return user if states == user.license_assignment_states else replace(user, license_assignment_states=states)


def _as_stored(state: LicenseAssignmentState, row: LedgerRow, catalog: Catalog) -> LicenseAssignmentState:
    if state.assigned_by_group is not None:
        return state
    sku_id = state.sku_id
    license = row.managed.get(sku_id) or row.unseen.get(sku_id)
    before = license.disabled_plans if license else NO_PLANS
    after: Plans | None = before
    if row.intent is not None and sku_id in row.intent.after:
        # The read may show the license as before the open write, or as after it.
        before, after = row.intent.before[sku_id] or NO_PLANS, row.intent.after[sku_id]
    written = before | (after or NO_PLANS)
    # The plans of a product that the tenant no longer has are unknown.
    listed = catalog.plans(sku_id) if sku_id in catalog.skus else written
    gone = catalog.retired(sku_id) | (written - listed)
    if not gone:
        return state
    rest = state.disabled_plans - gone
    stored = after if after is not None and rest == after - gone else before
    return replace(state, disabled_plans=rest | (stored & gone))
