"""Bridge licenses: a product that is about to leave a natively licensed group, assigned directly to members who do not
have its replacement.

A member in error has the former product from the group until it is removed there. A direct license of the same product
takes no further license: one is taken for each user and product, however many sources assign it
(learn.microsoft.com/entra/fundamentals/concept-group-based-licensing). The bridge ends when the group's own products
are Active for the member, or when the member has left the group. It stays if the group has no products any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.domain.assignment import AssignmentState, Engine, GroupLicenseAssignment
from shared.domain.directory import DirectoryUser, LicenseState
from shared.domain.grant import Grant, SourceKind, bridge_of
from shared.domain.ids import GroupId
from shared.domain.native_handover import covers_all
from shared.domain.native_members import from_group
from shared.domain.operation import LicenseChange


def bridges_for(user: DirectoryUser, group_id: GroupId, change: LicenseChange) -> tuple[Grant, ...]:
    """The bridge licenses of a member before a change removes products from the group: those that the member has from
    it, while a new product has an error. A member who was not processed yet gets none, because that only takes time."""
    own = {row.sku_id: row for row in from_group(user, group_id)}
    added = [own[each.sku_id] for each in change.add if each.sku_id in own]
    if not any(row.error or row.state is LicenseState.ERROR for row in added):
        return ()
    source = bridge_of(group_id)
    leaving = [own[sku_id] for sku_id in change.remove if sku_id in own]
    return tuple(Grant(row.sku_id, row.disabled_plans, source) for row in leaving if row.state.counts)


def is_bridged(user: DirectoryUser, group_id: GroupId, change: LicenseChange) -> bool:
    """Whether a direct license stays for every product that the member has from the group and that a change removes,
    with at least the same apps."""
    direct = user.direct
    leaving = [row for row in from_group(user, group_id) if row.sku_id in change.remove and row.state.counts]
    return bool(leaving) and all(
        (other := direct.get(row.sku_id)) is not None and other.disabled_plans <= row.disabled_plans for row in leaving
    )


def has_ended(grant: Grant, user: DirectoryUser, assignments: Mapping[GroupId, GroupLicenseAssignment]) -> bool:
    """Whether a bridge is no longer needed. Another grant never ends this way. A group that has lost all its products
    replaces nothing."""
    if grant.source.kind is not SourceKind.BRIDGE:
        return False
    group_id = GroupId(grant.source.id)
    assignment = assignments.get(group_id)
    if assignment is None or assignment.state is not AssignmentState.ACTIVE or assignment.engine is Engine.DIRECT:
        return True
    if group_id not in user.group_ids:
        return True
    return bool(assignment.native) and covers_all(user, group_id, assignment.native)


def groups_of_bridges(grants: Iterable[Grant]) -> frozenset[GroupId]:
    """The groups of a user's bridges."""
    return frozenset(GroupId(each.source.id) for each in grants if each.source.kind is SourceKind.BRIDGE)
