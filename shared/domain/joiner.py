"""Joiners and movers: the groups of an event, the memberships to write, and the next steps after writing them.

A membership just written counts as a grant until the directory shows it (`JOINED_COUNTS`), so no user waits for a
notification. A mover keeps the groups of the old job if a group of the new one cannot be assigned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain import onboarding_ends as ends
from shared.domain.assignment import Enforcement, GroupLicenseAssignment
from shared.domain.desired_licenses import exclusion_of
from shared.domain.directory import DirectoryUser
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.hr_state import Employment, HrState
from shared.domain.ids import GroupId
from shared.domain.onboarding import (
    Account,
    GroupOutcome,
    GroupResult,
    HrEvent,
    HrEventType,
    Next,
    OnboardingRecord,
    OnboardingState,
    Rejection,
    waiting,
)
from shared.domain.onboarding_ends import End
from shared.domain.profiles import Entitlement, Profile, entitlement

JOINED_COUNTS = timedelta(minutes=10)
"""How long a membership we wrote is a grant although the directory may not show it; Graph states no figure."""

NOT_ALLOWED = GroupResult(
    GroupId(""),
    GroupOutcome.REJECTED,
    "No profile that matches the person, or that events may name, has the group.",
    "Add the group to such a profile, or correct the event. Then replay the event.",
)
PUT_IN_BY_HAND = GroupResult(
    GroupId(""),
    GroupOutcome.KEPT,
    "Of the old job, but the person was in it before HR said so.",
    "Take the person out of the group where only the old job gave a reason for it.",
)
KEPT_BACK = GroupResult(
    GroupId(""),
    GroupOutcome.KEPT,
    "Kept, because a group of the new job could not be given.",
    "Repair what the other group says, then replay the event.",
)

SUGGESTED_LOCATIONS = {"UK": "GB", "EL": "GR"}
"""Codes that HR systems send for a country with another ISO 3166-1 code. The European Union writes EL and UK."""

Hindrances = Mapping[GroupId, tuple[str, str]]
"""Why the membership of a group cannot be written, and what to do; empty texts where it can."""


@dataclass(frozen=True, slots=True)
class Joiner:
    """One person of a joiner or mover on the way. `employment`: the one that the event is about. `joined`: groups of
    which the directory may not show yet that the person is in."""

    record: OnboardingRecord
    account: Account
    user: DirectoryUser
    hr_state: HrState
    employment: str
    wanted: Entitlement
    old_grants: tuple[Grant, ...] = ()
    results: tuple[GroupResult, ...] = ()
    add: tuple[GroupId, ...] = ()
    remove: tuple[GroupId, ...] = ()
    joined: tuple[GroupId, ...] = ()
    left: tuple[GroupId, ...] = ()

    @property
    def before(self) -> Employment:
        """The HR state of the same employment so far."""
        return self.hr_state.of(self.employment)

    @property
    def replaces_a_job(self) -> bool:
        """Whether the groups and grants of another job end: those of a move, or of a start while a job is in force."""
        is_move = self.record.event.type is HrEventType.MOVER
        return is_move or self.before.had_a_job_before(self.record.key)

    @property
    def lacks_a_group(self) -> bool:
        return any(result.outcome is GroupOutcome.REJECTED for result in self.results)

    @property
    def location(self) -> str:
        """The location to set: what the event says, and what a profile says for a person without one."""
        said = self.record.event.usage_location
        if said:
            return said if said != self.account.usage_location else ""
        return "" if self.account.usage_location else self.wanted.usage_location


def wanted_for(event: HrEvent, profiles: tuple[Profile, ...]) -> Entitlement:
    """The groups and options that the event's person must have."""
    return entitlement(profiles, event.attributes, event.profiles, event.groups, event.usage_location)


def invalid(event: HrEvent, wanted: Entitlement) -> End | None:
    """Why the event cannot be worked on as it is; nothing is half-done."""
    if wanted.unknown:
        return ends.no_such_profile(wanted.unknown)
    if wanted.not_selectable:
        return ends.not_selectable(wanted.not_selectable)
    return None if wanted.groups or wanted.grants else ends.nothing_to_give(event.attributes)


def unchecked(wanted: Entitlement, inside: Collection[GroupId]) -> list[GroupId]:
    """Groups to join, if their memberships can be written."""
    return [group_id for group_id in wanted.groups if group_id in wanted.nameable and group_id not in inside]


def memberships(wanted: Entitlement, inside: Collection[GroupId], hindrances: Hindrances) -> list[GroupResult]:
    """The result for each group that the person must be in, if every write succeeds."""
    results = []
    for group_id in wanted.groups:
        text, remedy = hindrances.get(group_id, ("", ""))
        if group_id not in wanted.nameable:
            results.append(replace(NOT_ALLOWED, group_id=group_id))
        elif group_id in inside:
            results.append(GroupResult(group_id, GroupOutcome.ALREADY_MEMBER))
        else:
            results.append(GroupResult(group_id, GroupOutcome.REJECTED if text else GroupOutcome.ADDED, text, remedy))
    return results


def planned(joiner: Joiner, profiles: tuple[Profile, ...], hindrances: Hindrances) -> Joiner:
    """Which memberships to write, and why not the others."""
    inside, wanted = joiner.user.group_ids, frozenset(joiner.wanted.groups)
    expected = memberships(joiner.wanted, inside, hindrances)
    add = tuple(each.group_id for each in expected if each.outcome is GroupOutcome.ADDED)
    results = [each for each in expected if each.outcome is not GroupOutcome.ADDED]
    left: frozenset[GroupId] = frozenset()
    if joiner.replaces_a_job:
        old = frozenset(entitlement(profiles, joiner.record.event.previous).groups) & inside
        stays = wanted | joiner.hr_state.groups_of_others(joiner.employment)
        left = left_behind(joiner.before, joiner.record.key, old) - stays
        by_hand = (old | joiner.before.was_in & inside) - stays - left
        results += [replace(PUT_IN_BY_HAND, group_id=group_id) for group_id in sorted(by_hand)]
    return replace(joiner, results=tuple(results), add=add, remove=tuple(sorted(left)))


def left_behind(before: Employment, key: str, old: frozenset[GroupId]) -> frozenset[GroupId]:
    """Groups that a mover leaves: those HR put the person in. If HR reported no job of the person before, also `old`,
    those of the profiles that the event's `previous` attributes fit. `key`: of the event."""
    return before.groups if before.had_a_job_before(key) else before.groups | old


def state_before(joiner: Joiner) -> HrState:
    """The HR state after this event, stored before the writes, so that a later move or leave can undo it.

    A group to which another employment added the person counts for both: either can end first.
    """
    before, record = joiner.before, joiner.record
    inside = {each.group_id for each in joiner.results if each.outcome is GroupOutcome.ALREADY_MEMBER}
    shared = inside & joiner.hr_state.groups_of_others(joiner.employment)
    is_start = record.event.type is HrEventType.JOINER
    begun = replace(
        before,
        groups=before.groups | frozenset(joiner.add) | shared,
        was_in=before.was_in | (inside - before.groups - shared),
        profiles=before.profiles | frozenset(joiner.wanted.profiles),
        start=record.statement if is_start else before.start,
        job=record.statement,
        end=None,
        continued=before.had_a_job_before(record.key),
    )
    return joiner.hr_state.having(joiner.employment, begun)


def with_additions(joiner: Joiner, written: Mapping[GroupId, GroupResult]) -> Joiner:
    """`written`: what became of the groups to join."""
    results = [written[group_id] for group_id in joiner.add]
    joined = tuple(each.group_id for each in results if each.outcome.is_in)
    return replace(joiner, results=(*joiner.results, *results), joined=joined)


def with_removals(joiner: Joiner, written: Mapping[GroupId, GroupResult]) -> Joiner:
    """`written`: what became of the groups to leave; none of those that were kept back."""
    results = [written.get(group_id, replace(KEPT_BACK, group_id=group_id)) for group_id in joiner.remove]
    gone = (GroupOutcome.REMOVED, GroupOutcome.NOT_A_MEMBER)
    left = tuple(each.group_id for each in results if each.outcome in gone)
    return replace(joiner, results=(*joiner.results, *results), left=left)


def grants_after(
    joiner: Joiner, assignments: Mapping[GroupId, GroupLicenseAssignment], now: datetime
) -> tuple[list[Grant], list[Grant]]:
    """New grants, and old grants that end with a move. With either, the user must be reconciled."""
    new = [*joiner.wanted.grants, *joined_grants(joiner.user, joiner.joined, assignments, now)]
    kept = {(grant.source, grant.sku_id) for grant in new}
    old = [g for g in joiner.old_grants if _ends_with_move(g, joiner) and (g.source, g.sku_id) not in kept]
    blocks = [grant for grant in joiner.old_grants if grant.blocks]
    return new, [*blocks, *(old if joiner.replaces_a_job else ())]


def _ends_with_move(grant: Grant, joiner: Joiner) -> bool:
    if grant.source.kind is SourceKind.HR:
        shared = grant.source.id in joiner.hr_state.profiles_of_others(joiner.employment)
        return not shared and not joiner.lacks_a_group
    return grant.source.kind is SourceKind.JOINED and grant.source.id in joiner.left


def joined_grants(
    user: DirectoryUser,
    groups: Iterable[GroupId],
    assignments: Mapping[GroupId, GroupLicenseAssignment],
    now: datetime,
) -> list[Grant]:
    """The grants of the groups, by the memberships just written."""
    found = []
    for group_id in groups:
        assignment = assignments.get(group_id)
        member = replace(user, group_ids=user.group_ids | {group_id})
        if assignment is None or exclusion_of(member, assignment) is not None:
            continue
        source = Source(SourceKind.JOINED, group_id)
        found += [
            Grant(sku.sku_id, sku.disabled_plans, source, now + JOINED_COUNTS)
            for sku in assignment.skus
            if sku.enforcement is not Enforcement.CANCELLED
        ]
    return found


def state_after(joiner: Joiner) -> HrState:
    """Without the memberships that were left; they are forgotten last."""
    now, moved = joiner.before, joiner.replaces_a_job
    profiles = frozenset(joiner.wanted.profiles) if moved and not joiner.lacks_a_group else now.profiles
    was_in = now.was_in & frozenset(joiner.wanted.groups) if moved else now.was_in
    groups = now.groups - frozenset(joiner.left)
    return joiner.hr_state.having(joiner.employment, replace(now, groups=groups, was_in=was_in, profiles=profiles))


def location_rejection(place: str, message: str, status: int) -> Rejection:
    """Why Graph did not take a usage location, and what to do. It is then as if the event had named none."""
    text = f"The usage location {place} was rejected: {message}"
    if status == 403:
        remedy = "Grant the app User.ReadWrite.All (see the permissions in the README), then replay the event."
    elif place in SUGGESTED_LOCATIONS:
        remedy = f"Send {SUGGESTED_LOCATIONS[place]} instead of {place}, in a new event."
    else:
        remedy = "Send the ISO 3166-1 code of the country, in a new event."
    return Rejection(text, remedy)


def licensing(joiner: Joiner, now: datetime, at: datetime) -> Next:
    """The memberships are written: the next step licenses the person by the new grants."""
    record = replace(
        waiting(joiner.record, OnboardingState.WORKING, now, at, "The licenses are being assigned."),
        working_since=now,
        profiles=joiner.wanted.profiles,
        groups=joiner.results,
        licenses=(),
    )
    expects = {**dict.fromkeys(joiner.joined, True), **dict.fromkeys(joiner.left, False)}
    return Next(record, users={joiner.user.id: expects})
