"""Unmanaged direct licenses that native licensing takes over, for members whom people listed and approved.

Microsoft's recipe from user-based to group-based licensing compares the plans of both sources before direct licenses
are removed (learn.microsoft.com/entra/identity/users/licensing-groups-migrate-users).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.directory import DirectoryUser
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import GroupId
from shared.domain.ledger_row import LedgerRow, ManagedLicense
from shared.domain.native_handover import to_convert
from shared.domain.read_back import seen


def with_converted(
    row: LedgerRow, user: DirectoryUser, assignments: Mapping[GroupId, GroupLicenseAssignment], now: datetime
) -> LedgerRow:
    """The row in which unmanaged licenses become managed by a group that hands the user over to native licensing. They
    end like the group's own direct licenses, as people decided."""
    managed = dict(row.managed)
    for group_id in sorted(user.group_ids & assignments.keys()):
        assignment = assignments[group_id]
        handover = assignment.handover
        if handover is None or user.id not in handover.convert or not assignment.is_handed_over(user):
            continue
        source = Source(SourceKind.GROUP, group_id)
        for direct in to_convert(user, group_id, [each.sku_id for each in assignment.skus], managed):
            managed[direct.sku_id] = ManagedLicense(direct.disabled_plans, now, (source,), seen=seen(direct))
    return replace(row, managed=managed) if len(managed) > len(row.managed) else row
