"""One person of a joiner or mover: what the event wants for the person, and what a membership just written gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.grants import exclusion_of
from shared.domain.model import (
    DirectoryUser,
    Enforcement,
    Grant,
    GroupId,
    GroupLicenseAssignment,
    Source,
    SourceKind,
)
from shared.domain.onboarding import GroupOutcome, GroupResult, HrEvent, HrEventType, OnboardingRecord, Standing
from shared.domain.profiles import Entitlement, Profile, entitlement
from shared.ports import Account, World

JOINED_COUNTS = timedelta(minutes=10)
"""How long a membership we wrote is a grant although the directory may not show it; Graph states no figure."""


@dataclass(slots=True)
class Hire:
    """One person of a joiner or mover on the way."""

    record: OnboardingRecord
    account: Account
    user: DirectoryUser
    standing: Standing
    wanted: Entitlement
    old_grants: tuple[Grant, ...] = ()
    results: list[GroupResult] = field(default_factory=list)
    add: list[GroupId] = field(default_factory=list)
    remove: list[GroupId] = field(default_factory=list)
    wrote: list[GroupId] = field(default_factory=list)
    """Groups of which the directory may not show yet that the person is in."""
    left: list[GroupId] = field(default_factory=list)

    @property
    def is_mover(self) -> bool:
        return self.record.event.type is HrEventType.MOVER

    @property
    def found_in(self) -> frozenset[GroupId]:
        """Groups of the job in which the person was before HR said so."""
        there = (each.group_id for each in self.results if each.outcome is GroupOutcome.ALREADY_MEMBER)
        return frozenset(there) - self.standing.groups

    @property
    def location(self) -> str:
        """The location to set: what the event says, and what a profile says for a person without one."""
        said = self.record.event.usage_location
        if said:
            return said if said != self.account.usage_location else ""
        return "" if self.account.usage_location else self.wanted.usage_location


PUT_IN_BY_HAND = GroupResult(
    GroupId(""),
    GroupOutcome.KEPT,
    "Of the old job, but the person was in it before HR said so.",
    "Take the person out of the group where only the old job gave a reason for it.",
)


def left_behind(standing: Standing, old: frozenset[GroupId]) -> frozenset[GroupId]:
    """Groups that a mover leaves: those HR put the person in; of a person HR never told of, `old`, those of the
    profiles that the event's `previous` attributes fit."""
    return standing.groups if standing.version is not None else old


def wanted_for(event: HrEvent, profiles: tuple[Profile, ...]) -> Entitlement:
    """What the event's person is to have."""
    return entitlement(profiles, event.attributes, event.profiles, event.groups, event.usage_location)


def joined_until(world: World) -> datetime:
    """Until when a membership written now is a grant."""
    return world.clock.now() + JOINED_COUNTS


def joined_grants(
    user: DirectoryUser,
    groups: Iterable[GroupId],
    assignments: Mapping[GroupId, GroupLicenseAssignment],
    until: datetime,
) -> list[Grant]:
    """What the groups give, by the memberships just written."""
    found = []
    for group_id in groups:
        assignment = assignments.get(group_id)
        member = replace(user, group_ids=user.group_ids | {group_id})
        if assignment is None or exclusion_of(member, assignment) is not None:
            continue
        source = Source(SourceKind.JOINED, group_id)
        found += [
            Grant(sku.sku_id, sku.disabled_plans, source, until)
            for sku in assignment.skus
            if sku.enforcement is not Enforcement.CANCELLED
        ]
    return found
