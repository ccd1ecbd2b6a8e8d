"""Users who are licensed by name: their status is kept like that of the members of a group."""

from __future__ import annotations

from collections.abc import Iterable

from shared.domain.assignment import GroupLicenseAssignment, SkuAssignment
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import GroupId

NAMED = GroupId("named")
"""In place of a group id, for all users who are licensed by name."""


def source_of_scope(group_id: GroupId) -> Source:
    """The source of what a group, or a request that names users, assigns."""
    return Source(SourceKind.LIST) if group_id == NAMED else Source(SourceKind.GROUP, group_id)


def assignment_by_name(grants: Iterable[Grant]) -> GroupLicenseAssignment:
    """What requests that name a user assign to that user."""
    mine = [grant for grant in grants if grant.source.kind is SourceKind.LIST]
    return GroupLicenseAssignment(NAMED, tuple(SkuAssignment(grant.sku_id, grant.disabled_plans) for grant in mine))
