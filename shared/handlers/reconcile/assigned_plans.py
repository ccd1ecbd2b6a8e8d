"""A direct license goes in favor of a native one only when the user's `assignedPlans` show the apps as Enabled.

Microsoft's licensing can report a license as Active before the services have it. `assignedPlans` are the plans of a
user, each with a `capabilityStatus` (learn.microsoft.com/graph/api/resources/assignedplan). They include plans of every
source, so a plan that they lack is not there. A plan that they show can come from the direct license alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.catalog import Catalog
from shared.domain.ids import GroupId, Plans, UserId
from shared.domain.native_handover import plans_of_group
from shared.domain.reconciliation import Planned
from shared.handlers.reconcile.needs import PlanNeeds

log = logging.getLogger(__name__)

Kept = Mapping[GroupId, GroupLicenseAssignment]
"""Assignments that still claim the direct licenses of a user."""


async def not_shown(
    world: PlanNeeds,
    assignments: Mapping[GroupId, GroupLicenseAssignment],
    planned: Sequence[Planned],
    catalog: Catalog,
) -> dict[UserId, Kept]:
    """By user, the groups whose direct licenses are about to be removed while `assignedPlans` lack plans of the native
    ones. A user whose plans could not be read counts as one who lacks them. Raises Unavailable."""
    due = {each.read.user_id: plans for each in planned if (plans := _to_show(each, assignments, catalog))}
    if not due:
        return {}
    shown = await world.native.enabled_plans(list(due))
    found: dict[UserId, Kept] = {}
    for user_id, groups in due.items():
        enabled = shown.get(user_id, frozenset())
        if lacking := {group_id: plans - enabled for group_id, plans in groups.items() if plans - enabled}:
            found[user_id] = {group_id: replace(assignments[group_id], handover=None) for group_id in lacking}
    if found:
        log.info("direct licenses stay until assignedPlans show the apps users=%d of=%d", len(found), len(due))
    return found


def _to_show(
    planned: Planned, assignments: Mapping[GroupId, GroupLicenseAssignment], catalog: Catalog
) -> dict[GroupId, Plans]:
    """The plans that must be Enabled before the plan of a user is carried out, by group."""
    user, plan = planned.read.user, planned.plan
    if user is None or plan is None or not plan.remove:
        return {}
    going = set(plan.remove)
    return {
        group_id: plans_of_group(user, group_id, catalog)
        for group_id in sorted(user.group_ids & assignments.keys())
        if going & {each.sku_id for each in assignments[group_id].skus} and assignments[group_id].is_handed_over(user)
    }
