"""Joiners and movers: usage location, memberships, direct grants, and licenses at once.

A membership just written counts as a grant until the directory shows it (`JOINED_COUNTS`), so nobody waits for a
notification. Of a mover, additions go out before removals, and no removal goes out where an addition could not be made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.assignment import Enforcement, GroupLicenseAssignment
from shared.domain.desired_licenses import exclusion_of
from shared.domain.directory import DirectoryUser
from shared.domain.errors import Conflict
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import GroupId, UserId
from shared.domain.messages import ProcessUsers
from shared.domain.onboarding import (
    GroupOutcome,
    GroupResult,
    HrEvent,
    HrEventType,
    OnboardingRecord,
    OnboardingState,
    Standing,
)
from shared.domain.profiles import Entitlement, Profile, entitlement
from shared.handlers.onboarding.accounts import Found
from shared.handlers.onboarding.group_rules import NOT_ALLOWED, GroupsKnown, allowed_groups
from shared.handlers.onboarding.membership_writes import Writer, Written
from shared.handlers.onboarding.progress import LONGEST_BACKLOG
from shared.handlers.onboarding.record_updates import Saver, ended, waiting
from shared.handlers.reconcile.grant_expiry import note_ends
from shared.ports.directory import Account
from shared.ports.graph_writes import MembershipChange
from shared.ports.messaging import Outgoing
from shared.ports.world import World

FIRST_LOOK = timedelta(seconds=2)
"""When to see what became of the licenses; most are there by then, where the write quota is not used up."""

REPLAY = "then replay the event."


class Working:
    """Works on joiners and movers whose turn it is."""

    def __init__(self, world: World, groups: GroupsKnown) -> None:
        self._world = world
        self._groups = groups

    async def work(
        self,
        saver: Saver,
        writer: Writer,
        people: Sequence[tuple[Found, DirectoryUser]],
        assignments: Mapping[GroupId, GroupLicenseAssignment],
    ) -> None:
        """Bring about what the events say and have the people licensed. Whatever is cut off is done again from the
        beginning: each step sees what is done already."""
        world = self._world
        profiles = await world.stores.profiles.all()
        user_ids = [user.id for _, user in people]
        standings = await world.stores.standings.of_users(user_ids)
        grants = await world.stores.grants.of_users(user_ids)
        hires = []
        for found, user in people:
            wanted = wanted_for(found.record.event, profiles)
            fault = _fault_of(found.record, wanted)
            if fault:
                await saver.save(ended(found.record, OnboardingState.FAILED, world.clock.now(), *fault))
                continue
            hire = Hire(found.record, found.account, user, standings[user.id], wanted, grants.get(user.id, ()))
            await self._plan(hire, assignments, profiles)
            hires.append(hire)
        await self._change(saver, writer, hires, assignments)

    async def _plan(
        self, hire: Hire, assignments: Mapping[GroupId, GroupLicenseAssignment], profiles: tuple[Profile, ...]
    ) -> None:
        """Which memberships to write, and why not the others."""
        allowed = allowed_groups(assignments, profiles)
        for group_id in hire.wanted.groups:
            if group_id not in allowed:
                hire.results.append(replace(NOT_ALLOWED, group_id=group_id))
            elif group_id in hire.user.group_ids:
                hire.results.append(GroupResult(group_id, GroupOutcome.ALREADY_MEMBER))
            else:
                text, remedy = await self._groups.why_not(group_id)
                if text:
                    hire.results.append(GroupResult(group_id, GroupOutcome.REFUSED, text, remedy))
                else:
                    hire.add.append(group_id)
        if hire.is_mover:
            old = frozenset(entitlement(profiles, hire.record.event.previous).groups) & hire.user.group_ids
            wanted = frozenset(hire.wanted.groups)
            left = left_behind(hire.standing, old) - wanted
            hire.remove = sorted(left)
            by_hand = (old | hire.standing.was_in & hire.user.group_ids) - wanted - left
            hire.results += [replace(PUT_IN_BY_HAND, group_id=group_id) for group_id in sorted(by_hand)]

    async def _change(
        self,
        saver: Saver,
        writer: Writer,
        hires: Sequence[Hire],
        assignments: Mapping[GroupId, GroupLicenseAssignment],
    ) -> None:
        hires = await self._claimed(saver, hires)
        await self._note_standings(hires)
        await self._note_locations(hires)
        locations = {hire.user.id: hire.location for hire in hires if hire.location}
        changes = [MembershipChange(group, hire.user.id, add=True) for hire in hires for group in hire.add]
        written = await writer.write(changes, locations, _senders(hires))
        for hire in hires:
            hire.record = replace(hire.record, location_refused=written.refused_locations.get(hire.user.id, ""))
        going_on = [hire for hire in hires if not await self._again(saver, hire, written)]
        for hire in going_on:
            self._take(hire, hire.add, written)
        leaving = [
            MembershipChange(group, hire.user.id, add=False)
            for hire in going_on
            if not any(result.outcome is GroupOutcome.REFUSED for result in hire.results)
            for group in hire.remove
        ]
        removed = await writer.write(leaving, {}, _senders(going_on))
        done = [hire for hire in going_on if not await self._again(saver, hire, removed)]
        for hire in done:
            self._take_removals(hire, removed)
        await self._grant(done, assignments)
        await self._license(done, assignments)
        now = self._world.clock.now()
        look = now + max(FIRST_LOOK, min(await writer.backlog(), LONGEST_BACKLOG))
        for hire in done:
            await saver.save(
                replace(
                    waiting(hire.record, OnboardingState.WORKING, now, look, "The licenses are being assigned."),
                    working_since=now,
                    profiles=hire.wanted.profiles,
                    groups=tuple(hire.results),
                    licenses=(),
                )
            )

    async def _claimed(self, saver: Saver, hires: Sequence[Hire]) -> list[Hire]:
        """Those whose event is still as it was read; from now on it cannot be cancelled."""
        claims = await asyncio.gather(*(saver.claim(hire.record) for hire in hires))
        mine = []
        for hire, record in zip(hires, claims, strict=True):
            if record is not None:
                hire.record = record
                mine.append(hire)
        return mine

    async def _again(self, saver: Saver, hire: Hire, written: Written) -> bool:
        """Put the event away where a write was not answered; it begins anew then."""
        at = written.again.get(hire.user.id)
        if at is None:
            return False
        why = written.why.get(hire.user.id, "")
        await saver.save(waiting(hire.record, OnboardingState.RECEIVED, self._world.clock.now(), at, why))
        return True

    def _take(self, hire: Hire, groups: Iterable[GroupId], written: Written) -> None:
        for group_id in groups:
            result = written.results[MembershipChange(group_id, hire.user.id, add=True)]
            hire.results.append(result)
            if result.outcome.is_in:
                hire.wrote.append(group_id)

    def _take_removals(self, hire: Hire, removed: Written) -> None:
        for group_id in hire.remove:
            result = removed.results.get(MembershipChange(group_id, hire.user.id, add=False))
            if result is None:
                text = "Kept, because a group of the new job could not be given."
                result = GroupResult(group_id, GroupOutcome.KEPT, text, f"Repair what the other group says, {REPLAY}")
            elif result.outcome in (GroupOutcome.REMOVED, GroupOutcome.NOT_A_MEMBER):
                hire.left.append(group_id)
            hire.results.append(result)

    async def _note_standings(self, hires: Sequence[Hire]) -> None:
        """What HR brings about is known before it is done, so that a later move or leave takes it back."""
        for hire in hires:
            standing = replace(
                hire.standing,
                groups=hire.standing.groups | frozenset(hire.add),
                was_in=hire.standing.was_in | hire.found_in,
                last_key=hire.record.key,
                last_type=hire.record.event.type,
                last_order=hire.record.order,
            )
            if standing != hire.standing:
                hire.standing = await self._world.stores.standings.save(standing)

    async def _note_locations(self, hires: Sequence[Hire]) -> None:
        """A look that does not see the new location yet must not set a default instead."""
        places = {hire.user.id: hire.location for hire in hires if hire.location}
        if not places:
            return
        rows = await self._world.stores.ledger.rows(list(places))
        changed = [
            replace(rows[u], usage_location=place) for u, place in places.items() if rows[u].usage_location != place
        ]
        written = await self._world.stores.ledger.write(changed) if changed else {}
        if any(each.lost for each in written.values()):
            raise Conflict("ledger: the row was changed by somebody else")

    async def _grant(self, hires: Sequence[Hire], assignments: Mapping[GroupId, GroupLicenseAssignment]) -> None:
        """New grants before old ones go; the memberships left are forgotten last."""
        until = joined_until(self._world)
        new: list[tuple[UserId, Grant]] = []
        old: list[tuple[UserId, Grant]] = []
        for hire in hires:
            mine = [*hire.wanted.grants, *joined_grants(hire.user, hire.wrote, assignments, until)]
            new += [(hire.user.id, grant) for grant in mine]
            if hire.is_mover:
                kept = {(grant.source, grant.sku_id) for grant in mine}
                over = [g for g in hire.old_grants if _ends_with_move(g, hire) and (g.source, g.sku_id) not in kept]
                old += [(hire.user.id, grant) for grant in over]
        await note_ends(self._world, new)
        await self._world.stores.grants.put(new)
        await self._world.stores.grants.remove(old)
        for hire in hires:
            groups = hire.standing.groups - frozenset(hire.left)
            was_in = hire.standing.was_in & frozenset(hire.wanted.groups) if hire.is_mover else hire.standing.was_in
            left = replace(hire.standing, groups=groups, was_in=was_in)
            if left != hire.standing:
                await self._world.stores.standings.save(left)

    async def _license(self, hires: Sequence[Hire], assignments: Mapping[GroupId, GroupLicenseAssignment]) -> None:
        """Have the people looked at now, with what was just brought about."""
        if not hires:
            return
        now = self._world.clock.now()
        groups = {group_id for hire in hires for group_id in (*hire.wrote, *hire.left)}
        message = ProcessUsers(
            tuple(hire.user.id for hire in hires),
            cause_of(hires, now),
            bulk=False,
            intent_versions={g: assignments[g].version for g in groups if g in assignments},
            expects={
                hire.user.id: {**dict.fromkeys(hire.wrote, True), **dict.fromkeys(hire.left, False)} for hire in hires
            },
            changed_at=now,
        )
        await self._world.queue.send([Outgoing(message.queue, message.encode())])


def cause_of(hires: Sequence[Hire], now: datetime) -> str:
    """The cause of a look: the event where it is one, else the moment."""
    return f"hr:{hires[0].record.key}" if len(hires) == 1 else f"hr:{hires[0].record.key}:{now.isoformat()}"


def _ends_with_move(grant: Grant, hire: Hire) -> bool:
    kept_back = any(result.outcome is GroupOutcome.REFUSED for result in hire.results)
    if grant.source.kind is SourceKind.HR:
        return not kept_back
    return grant.source.kind is SourceKind.JOINED and grant.source.id in hire.left


def _fault_of(record: OnboardingRecord, wanted: Entitlement) -> tuple[str, str] | None:
    """Why the event cannot be worked on as it is; nothing is half-done."""
    if wanted.unknown:
        names = ", ".join(wanted.unknown)
        return f"There is no profile {names}.", f"Create the profile or correct the event, {REPLAY}"
    if not wanted.groups and not wanted.grants:
        shown = ", ".join(f"{name} {value!r}" for name, value in sorted(record.event.attributes.items())) or "none"
        return (
            f"No profile matches, and the event names no group (attributes: {shown}).",
            f"Create a profile that matches, {REPLAY}",
        )
    return None


def _senders(hires: Sequence[Hire]) -> dict[UserId, OnboardingRecord]:
    return {hire.user.id: hire.record for hire in hires}


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
