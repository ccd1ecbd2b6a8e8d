"""Profiles as an administrator keeps them, and what an event would bring about, with nothing written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.desired_licenses import desired_licenses, group_grants
from shared.domain.directory import DirectoryUser, ReadFailed
from shared.domain.errors import BadRequest, Unavailable
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.hr_events import BrokenEvent, accepted
from shared.domain.ids import GroupId, SkuId
from shared.domain.joiner import left_behind, memberships, unchecked, wanted_for
from shared.domain.onboarding import Account, GroupOutcome, GroupResult, HrEventType
from shared.domain.profiles import Entitlement, allowed_groups, entitlement
from shared.handlers.onboarding.membership_writes import GroupsKnown
from shared.handlers.onboarding.needs import Needs

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trial:
    """What an event would bring about. `licenses`: SKU -> what of the event gives it. `lost`: licenses of ours that
    nothing gives any more; of a leaver when its delay is over."""

    wanted: Entitlement
    groups: tuple[GroupResult, ...]
    licenses: dict[SkuId, tuple[Source, ...]]
    accounts: tuple[Account, ...]
    has: tuple[SkuId, ...] = ()
    lost: tuple[SkuId, ...] = ()


async def try_event(world: Needs, value: object) -> Trial:
    """Nothing is written or kept. Raises BadRequest for an event that would not be accepted, and for a
    release; Unavailable where the person cannot be read, which is not one without an account."""
    now = world.clock.now()
    try:
        event, _ = accepted(value, now)
    except BrokenEvent as broken:
        raise BadRequest("InvalidEvent", str(broken), broken.faults[0].field) from broken
    if event.type is HrEventType.RELEASE:
        raise BadRequest("InvalidEvent", "type: what a release lets go is what its leaver shows; try that.", "type")
    profiles = await world.stores.profiles.all()
    leaves = event.type is HrEventType.LEAVER
    wanted = Entitlement() if leaves else wanted_for(event, profiles)
    assignments = {each.group_id: each for each in await world.stores.assignments.all()}
    found = _read((await world.accounts.find([event.person]))[event.person])
    user = None
    if len(found) == 1:
        read = _read((await world.directory.users([found[0].id]))[found[0].id])
        user = read if isinstance(read, DirectoryUser) else None
    known = GroupsKnown(world)
    allowed = allowed_groups(assignments, profiles)
    inside = user.group_ids if user else frozenset()
    hindrances = await known.hindrances(unchecked(wanted, allowed, inside))
    groups = memberships(wanted, allowed, inside, hindrances)
    if user is None:
        return Trial(wanted, tuple(groups), _given(wanted, groups, assignments, now), found)
    standing = (await world.stores.standings.of_users([user.id]))[user.id]
    if leaves:
        left = user.group_ids & allowed | standing.groups
    elif event.type is HrEventType.MOVER:
        old = frozenset(entitlement(profiles, event.previous).groups) & user.group_ids
        left = left_behind(standing, old) - frozenset(wanted.groups)
    else:
        left = frozenset()
    kept_back = any(each.outcome is GroupOutcome.REFUSED for each in groups)
    groups += [await _leaving(known, group_id, kept_back=kept_back) for group_id in sorted(left)]
    has, lost = tuple(sorted(user.held_skus)), await _lost(world, user, event.type, wanted, groups, assignments)
    return Trial(wanted, tuple(groups), _given(wanted, groups, assignments, now), found, has, lost)


def _read(answer: T | ReadFailed) -> T:
    if isinstance(answer, ReadFailed):
        raise Unavailable(answer.retry_after_s or 5.0, f"the person: {answer.why}")
    return answer


def _given(
    wanted: Entitlement,
    groups: Iterable[GroupResult],
    assignments: Mapping[GroupId, GroupLicenseAssignment],
    now: datetime,
) -> dict[SkuId, tuple[Source, ...]]:
    grants = list(wanted.grants)
    for result in groups:
        assignment = assignments.get(result.group_id)
        if result.outcome.is_in and assignment is not None:
            source = Source(SourceKind.GROUP, result.group_id)
            grants += [Grant(sku.sku_id, sku.disabled_plans, source) for sku in assignment.skus]
    return {sku_id: each.sources for sku_id, each in sorted(desired_licenses(grants, now).items())}


async def _lost(
    world: Needs,
    user: DirectoryUser,
    kind: HrEventType,
    wanted: Entitlement,
    groups: Sequence[GroupResult],
    assignments: Mapping[GroupId, GroupLicenseAssignment],
) -> tuple[SkuId, ...]:
    """Licenses of ours that no group and no grant would give any more."""
    if kind is HrEventType.JOINER:
        return ()
    inside = {each.group_id for each in groups if each.outcome.is_in}
    left = {each.group_id for each in groups if each.outcome is GroupOutcome.REMOVED}
    after = replace(user, group_ids=(user.group_ids - left) | inside)
    grants = (await world.stores.grants.of_users([user.id])).get(user.id, ())
    others = (grant for grant in grants if grant.source.kind not in (SourceKind.HR, SourceKind.JOINED))
    desired = desired_licenses((*group_grants(after, assignments), *wanted.grants, *others), world.clock.now())
    owned = (await world.stores.ledger.rows([user.id]))[user.id].owned
    return tuple(sorted(owned.keys() - desired.keys()))


async def _leaving(known: GroupsKnown, group_id: GroupId, *, kept_back: bool) -> GroupResult:
    text, remedy = await known.why_not(group_id)
    if not text and kept_back:
        text, remedy = "Kept, because a group of the new job cannot be given.", "Repair what the other group says."
    return GroupResult(group_id, GroupOutcome.KEPT if text else GroupOutcome.REMOVED, text, remedy)
