"""From group license assignments and user grants to the licenses a user should have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.domain.assignment import AssignmentState, Enforcement, GroupLicenseAssignment
from shared.domain.directory import DirectoryUser
from shared.domain.grant import Grant, Source, SourceKind, is_blocked
from shared.domain.ids import NO_PLANS, GroupId, Plans, SkuId
from shared.domain.outcomes import SkipReason

_BLOCKABLE = frozenset({SourceKind.GROUP, SourceKind.HR, SourceKind.JOINED, SourceKind.BRIDGE})
"""Sources that do not count for a user with *Do not license*. A person's decision for this user still counts."""


@dataclass(frozen=True, slots=True)
class DesiredLicense:
    """A SKU the user should have. `disabled_plans`: off, as every grant disables them. `adds`: give it where missing.

    `given_disabled`: what is off when it is given, by the grants that give alone; the others only keep what is on.
    `sources`: as claims, so that what is recorded of a license names the group also if HR wrote the membership.
    """

    sku_id: SkuId
    disabled_plans: Plans
    sources: tuple[Source, ...]
    adds: bool
    given_disabled: Plans


def exclusion_of(
    user: DirectoryUser, assignment: GroupLicenseAssignment, *, blocked: bool = False
) -> SkipReason | None:
    """Why a member of the group is not licensed through it, by the assignment's options; None: is licensed.

    `blocked`: the person is not to be licensed, whatever the group.
    """
    if blocked:
        return SkipReason.DO_NOT_LICENSE
    options = assignment.options
    if user.is_guest and not options.include_guests:
        return SkipReason.GUEST
    if not user.account_enabled and not options.include_disabled_accounts:
        return SkipReason.ACCOUNT_DISABLED
    if options.excluded_groups & user.group_ids:
        return SkipReason.EXCLUDED
    return None


def group_grants(user: DirectoryUser, assignments: Mapping[GroupId, GroupLicenseAssignment]) -> tuple[Grant, ...]:
    """Grants of every managed group the user is in and not excluded from. A group that has handed the user over to
    native licensing grants nothing."""
    found: list[Grant] = []
    for group_id in sorted(user.group_ids & assignments.keys()):
        assignment = assignments[group_id]
        if assignment.state is not AssignmentState.ACTIVE or exclusion_of(user, assignment) is not None:
            continue
        if assignment.is_handed_over(user):
            continue
        source = Source(SourceKind.GROUP, group_id)
        found.extend(
            Grant(sku.sku_id, sku.disabled_plans, source, adds=sku.enforcement is not Enforcement.CANCELLED)
            for sku in assignment.skus
        )
    return tuple(found)


def desired_licenses(grants: Iterable[Grant], now: datetime) -> dict[SkuId, DesiredLicense]:
    """The union of the grants that hold now, by SKU. One more grant never takes a SKU or a plan away.

    Of a grant with `adds` False, every plan that is on stays on, also where other grants say less. A block leaves out
    what groups and HR grant, and licenses kept of a group that is not managed any more.
    """
    grants = tuple(grants)
    blocked = is_blocked(grants, now)
    desired: dict[SkuId, DesiredLicense] = {}
    for grant in grants:
        is_blockable = grant.source.kind in _BLOCKABLE or grant.source.is_kept_of_group
        if not grant.holds_at(now) or grant.blocks or (blocked and is_blockable):
            continue
        adds = grant.adds and not grant.source.keeps
        off = grant.disabled_plans if grant.adds else NO_PLANS
        known = desired.get(grant.sku_id)
        if known is None:
            desired[grant.sku_id] = DesiredLicense(
                grant.sku_id, off, (grant.source.claimed,), adds, grant.disabled_plans
            )
        else:
            desired[grant.sku_id] = DesiredLicense(
                grant.sku_id,
                known.disabled_plans & off,
                tuple(sorted({*known.sources, grant.source.claimed})),
                known.adds or adds,
                _given(known, grant, adds),
            )
    return desired


def _given(known: DesiredLicense, grant: Grant, adds: bool) -> Plans:
    if known.adds is adds:
        return known.given_disabled & grant.disabled_plans
    return known.given_disabled if known.adds else grant.disabled_plans
