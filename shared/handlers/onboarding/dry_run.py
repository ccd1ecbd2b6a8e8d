"""Profiles as an administrator keeps them, and what an event would bring about, with nothing written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from shared.domain import onboarding_ends as ends
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.desired_licenses import desired_licenses, group_grants
from shared.domain.directory import DirectoryUser, ReadFailed
from shared.domain.errors import BadRequest, Unavailable
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.hr_case import Judgement, Turn
from shared.domain.hr_events import BrokenEvent, accepted
from shared.domain.hr_identity import identify
from shared.domain.hr_state import HrState
from shared.domain.hr_statements import judge
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.joiner import left_behind, memberships, unchecked, wanted_for
from shared.domain.onboarding import (
    Account,
    GroupOutcome,
    GroupResult,
    HrEventType,
    OnboardingRecord,
    OnboardingState,
)
from shared.domain.onboarding_ends import End
from shared.domain.profiles import Entitlement, entitlement, groups_of_jobs
from shared.handlers.onboarding import people
from shared.handlers.onboarding.membership_writes import GroupsKnown
from shared.handlers.onboarding.needs import Needs

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trial:
    """The result that an event would have. `licenses`: SKU -> the part of the event that gives it. `lost`: managed
    licenses that nothing gives any more; for a leaver when its delay is over."""

    wanted: Entitlement
    groups: tuple[GroupResult, ...]
    licenses: dict[SkuId, tuple[Source, ...]]
    accounts: tuple[Account, ...]
    has: tuple[SkuId, ...] = ()
    lost: tuple[SkuId, ...] = ()
    verdict: End | None = None
    """How the event would end, or what it would ask; None if it would be carried out on its day."""
    note: str = ""
    """On what the match of the account rests, if that is a weak name."""


async def try_event(world: Needs, value: object) -> Trial:
    """Nothing is written or kept. Raises BadRequest for an event that would not be accepted, and for a
    release; Unavailable where the person cannot be read, which is not one without an account."""
    now = world.clock.now()
    try:
        event, body = accepted(value, now, world.policy.hr_sources)
    except BrokenEvent as broken:
        raise BadRequest("InvalidEvent", str(broken), broken.faults[0].field) from broken
    if event.type.names_a_leaver:
        raise BadRequest("InvalidEvent", "type: try the leaver event that this one is about.", "type")
    profiles = await world.stores.profiles.all()
    leaves = event.type is HrEventType.LEAVER
    wanted = Entitlement() if leaves else wanted_for(event, profiles)
    assignments = {each.group_id: each for each in await world.stores.assignments.all()}
    record = OnboardingRecord(event, body, OnboardingState.RECEIVED, now, now)
    found = _read((await world.accounts.find([event.person]))[event.person])
    identified = identify(record, found)
    user, hr_state = None, HrState(UserId(""))
    if identified.account is not None:
        read = _read((await world.directory.users([identified.account.id]))[identified.account.id])
        user = read if isinstance(read, DirectoryUser) else None
        hr_state = (await world.stores.hr_states.of_users([identified.account.id]))[identified.account.id]
    others = await people.others_of(world, record, identified.account)
    judgement = judge(record, others, hr_state if identified.account else None, now)
    verdict = identified.end or _verdict(judgement)
    if verdict is None and wanted.not_selectable:
        verdict = ends.not_selectable(wanted.not_selectable)
    if verdict is not None:
        return Trial(Entitlement(), (), {}, found, verdict=verdict)
    known = GroupsKnown(world)
    inside = user.group_ids if user else frozenset()
    hindrances = await known.hindrances(unchecked(wanted, inside))
    groups = memberships(wanted, inside, hindrances)
    if user is None:
        return Trial(wanted, tuple(groups), _given(wanted, groups, assignments, now), found)
    name, before = judgement.employment, hr_state.of(judgement.employment)
    replaces_a_job = event.type is HrEventType.MOVER or before.in_force
    stays = frozenset(wanted.groups) | hr_state.groups_of_others(name)
    left = frozenset[GroupId]()
    if leaves:
        left = (
            (before.groups - stays)
            if not judgement.alone
            else user.group_ids & groups_of_jobs(assignments, profiles) | before.groups
        )
    elif replaces_a_job:
        old = frozenset(entitlement(profiles, event.previous).groups) & user.group_ids
        left = left_behind(before, record.key, old) - stays
    kept_back = any(each.outcome is GroupOutcome.REJECTED for each in groups)
    groups += [await _leaving(known, group_id, kept_back=kept_back) for group_id in sorted(left)]
    has = tuple(sorted(user.assigned_skus))
    gone = _Gone(wanted, tuple(groups), blocked=leaves and judgement.alone, profiles=hr_state.profiles_of_others(name))
    lost = await _lost(world, user, gone, assignments) if leaves or replaces_a_job else ()
    given = _given(wanted, groups, assignments, now)
    return Trial(wanted, tuple(groups), given, found, has, lost, note=identified.note)


def _verdict(judgement: Judgement) -> End | None:
    """How a statement ends, or what it asks, by HR's other statements."""
    if judgement.turn is Turn.SUPERSEDED:
        return ends.superseded(judgement.other)
    if judgement.turn is Turn.FORMER:
        return ends.former(judgement.other)
    return judgement.question


@dataclass(frozen=True, slots=True)
class _Gone:
    """The changes of an event. `blocked`: groups and HR give the person nothing any more. `profiles`: those of other
    employments, whose grants stay."""

    wanted: Entitlement
    groups: tuple[GroupResult, ...]
    blocked: bool
    profiles: frozenset[str]


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
    world: Needs, user: DirectoryUser, gone: _Gone, assignments: Mapping[GroupId, GroupLicenseAssignment]
) -> tuple[SkuId, ...]:
    """Managed licenses that no group and no grant would give any more."""
    inside = {each.group_id for each in gone.groups if each.outcome.is_in}
    left = {each.group_id for each in gone.groups if each.outcome is GroupOutcome.REMOVED}
    after = replace(user, group_ids=(user.group_ids - left) | inside)
    grants = (await world.stores.grants.of_users([user.id])).get(user.id, ())
    others = [
        grant
        for grant in grants
        if grant.source.kind not in (SourceKind.HR, SourceKind.JOINED) or grant.source.id in gone.profiles
    ]
    by_groups = () if gone.blocked else group_grants(after, assignments)
    desired = desired_licenses((*by_groups, *gone.wanted.grants, *others), world.clock.now())
    managed = (await world.stores.ledger.rows([user.id]))[user.id].managed
    return tuple(sorted(managed.keys() - desired.keys()))


async def _leaving(known: GroupsKnown, group_id: GroupId, *, kept_back: bool) -> GroupResult:
    text, remedy = (await known.hindrances([group_id]))[group_id]
    if not text and kept_back:
        text, remedy = "Kept, because a group of the new job cannot be given.", "Repair what the other group says."
    return GroupResult(group_id, GroupOutcome.KEPT if text else GroupOutcome.REMOVED, text, remedy)
