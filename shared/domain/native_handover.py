"""Members whose direct licenses end because the native license of the same group covers them.

While a group moves to Microsoft's own group-based licensing, both sources assign the same products. A covered member
needs no direct license: the native one is Active, with at least the same service plans on. Direct and inherited
licenses can coexist, and removing one leaves the other
(learn.microsoft.com/entra/identity/users/licensing-group-advanced).
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable
from dataclasses import dataclass

from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseAssignmentState, LicenseState
from shared.domain.ids import NO_PLANS, GroupId, Plans, SkuId, UserId

EVERYBODY = 100
"""Percent of the members."""


@dataclass(frozen=True, slots=True)
class NativeHandover:
    """The members who no longer need the direct license: the pilot users, and a share of all others in percent.

    `convert`: members whose unmanaged direct licenses end too, because a person listed and another one approved them.
    """

    pilot: frozenset[UserId] = frozenset()
    percent: int = 0
    convert: frozenset[UserId] = frozenset()

    def includes(self, user_id: UserId) -> bool:
        """Whether it is the turn of a user. More percent never leaves out a user who was included."""
        return user_id in self.pilot or share_of(user_id) < self.percent


def share_of(user_id: UserId) -> int:
    """A number from 0 to 99 that is always the same for a user, and spreads users evenly."""
    return int.from_bytes(hashlib.sha256(user_id.encode()).digest()[:8], "big") % EVERYBODY


def is_covered(user: DirectoryUser, group_id: GroupId, license: AssignedLicense) -> bool:
    """Whether the group's native license is Active for a user, with no plan off that the direct license turns on. A
    license with an error does not count, although the user has it: the next processing can take it away."""
    return any(
        row.sku_id == license.sku_id
        and row.assigned_by_group == group_id
        and row.state is LicenseState.ACTIVE
        and row.disabled_plans <= license.disabled_plans
        for row in user.license_assignment_states
    )


def covers_all(user: DirectoryUser, group_id: GroupId, licenses: Iterable[AssignedLicense]) -> bool:
    """Whether the group's native licenses cover every one of these."""
    return all(is_covered(user, group_id, each) for each in licenses)


def to_convert(
    user: DirectoryUser, group_id: GroupId, sku_ids: Iterable[SkuId], managed: Container[SkuId]
) -> tuple[LicenseAssignmentState, ...]:
    """The unmanaged direct licenses of a member that the group's native licenses cover, with every app that is on.
    `managed`: licenses that the app assigned itself."""
    return tuple(
        row
        for sku_id, row in sorted(user.direct.items())
        if sku_id in sku_ids
        and sku_id not in managed
        and is_covered(user, group_id, AssignedLicense(sku_id, row.disabled_plans))
    )


def plans_of_group(user: DirectoryUser, group_id: GroupId, catalog: Catalog) -> Plans:
    """The plans that a user has on through the group's native licenses. Without plans of the company, which are not
    assigned to users."""
    rows = [row for row in user.license_assignment_states if row.assigned_by_group == group_id and row.state.counts]
    return NO_PLANS.union(*(catalog.user_plans(row.sku_id) - row.disabled_plans for row in rows))
