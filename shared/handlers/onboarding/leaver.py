"""Leavers: out of the groups, no more grants, and leave to remove every license of ours.

Their number in a day is limited by an allowance of HR's own; what is over it is held until a person has seen how many
there are. Licenses that somebody else gave, or that a group still gives, stay and are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.domain.allowance import limit
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.directory import DirectoryUser
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.ledger_row import LedgerRow
from shared.domain.messages import ProcessUsers
from shared.domain.onboarding import (
    GroupOutcome,
    GroupResult,
    LicenseOutcome,
    LicenseResult,
    OnboardingRecord,
    OnboardingState,
    Standing,
    Taken,
)
from shared.domain.permit import Permit
from shared.handlers.onboarding.accounts import Found
from shared.handlers.onboarding.group_rules import GroupsKnown, allowed_groups
from shared.handlers.onboarding.membership_writes import Writer
from shared.handlers.onboarding.record_updates import Saver, waiting
from shared.handlers.reconcile.permits import take_up_to
from shared.ports.graph_writes import MembershipChange
from shared.ports.messaging import Outgoing
from shared.ports.world import World

LEAVERS = Source(SourceKind.HR, "leavers")
"""Whose allowance leavers are counted against, and the source of their permits."""

BY_ALLOWANCE = "allowance"
HELD_LOOK = timedelta(hours=6)
"""A held leaver is tried again now and then: the allowance of a day grows back."""

FIRST_LOOK = timedelta(seconds=5)


@dataclass(slots=True)
class Leaver:
    """One person who leaves."""

    record: OnboardingRecord
    user: DirectoryUser
    row: LedgerRow
    grants: tuple[Grant, ...]
    results: list[GroupResult] = field(default_factory=list)
    remove: list[GroupId] = field(default_factory=list)
    left: list[GroupId] = field(default_factory=list)


async def leavers_allowed(world: World) -> int:
    """Leavers of 24 hours that need no person: a minimum, or a share of the largest managed group if that is more."""
    sizes = [status.members for status in await world.stores.group_status.all()]
    return limit(max(sizes, default=0), world.policy.leaver_allowance_minimum, world.policy.leaver_allowance_percent)


class Leaving:
    """Works on leavers whose time has come."""

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
        """Take the permitted ones out; hold the others. Whatever is cut off is done again from the beginning."""
        if not people:
            return
        maximum = await leavers_allowed(self._world)
        permitted = [(let, user) for found, user in people if (let := await self._permit(saver, found, maximum))]
        if not permitted:
            return
        user_ids = [user.id for _, user in permitted]
        rows = await self._world.stores.ledger.rows(user_ids)
        grants = await self._world.stores.grants.of_users(user_ids)
        profiles = await self._world.stores.profiles.all()
        standings = await self._world.stores.standings.of_users(user_ids)
        leavers = []
        for found, user in permitted:
            taken = _taken(found.record, standings[user.id], grants.get(user.id, ()))
            record = await saver.claim(replace(found.record, user_id=user.id, taken=taken))
            if record is None:
                continue
            leaver = Leaver(record, user, rows[user.id], grants.get(user.id, ()))
            put_in = standings[user.id].groups | taken.standing.groups
            shown = user.group_ids & (allowed_groups(assignments, profiles) | put_in)
            # Groups that HR put the person in also where this read does not show it: it may be older than that.
            await self._plan(leaver, sorted(shown | put_in))
            leavers.append(leaver)
            await self._world.stores.standings.save(
                replace(
                    standings[user.id],
                    groups=frozenset(),
                    was_in=frozenset(),
                    last_key=record.key,
                    last_type=record.event.type,
                    last_order=record.order,
                )
            )
        await self._take_out(saver, writer, leavers)

    async def _permit(self, saver: Saver, found: Found, maximum: int) -> Found | None:
        """The leaver with leave to go, kept with the record, so that a retry counts once; None for one that is held."""
        record = found.record
        if record.permitted_by:
            return found
        now = self._world.clock.now()
        if await take_up_to(self._world, LEAVERS, 1, maximum, whole=True):
            permitted = replace(record, permitted_by=BY_ALLOWANCE, updated_at=now)
            return replace(found, record=await self._world.stores.onboarding.save(permitted))
        note = f"More than {maximum} leavers within 24 hours: a person has to see their number first."
        held = waiting(record, OnboardingState.HELD, now, now + HELD_LOOK, note)
        await saver.save(replace(held, remedy="Look at the held leavers, then approve or reject them."))
        return None

    async def _plan(self, leaver: Leaver, group_ids: Sequence[GroupId]) -> None:
        for group_id in group_ids:
            text, remedy = await self._groups.why_not(group_id)
            if text and group_id not in leaver.user.group_ids:
                continue
            if text:
                leaver.results.append(GroupResult(group_id, GroupOutcome.KEPT, text, remedy))
            else:
                leaver.remove.append(group_id)

    async def _take_out(self, saver: Saver, writer: Writer, leavers: Sequence[Leaver]) -> None:
        records = {leaver.user.id: leaver.record for leaver in leavers}
        changes = [MembershipChange(g, leaver.user.id, add=False) for leaver in leavers for g in leaver.remove]
        written = await writer.write(changes, {}, records)
        done = []
        for leaver in leavers:
            for group_id in leaver.remove:
                result = written.results.get(MembershipChange(group_id, leaver.user.id, add=False))
                if result is not None:
                    leaver.results.append(_seen(result, leaver.user))
            results = _with_former(leaver.record.groups, leaver.results)
            at = written.again.get(leaver.user.id)
            if at is not None:
                why = written.why.get(leaver.user.id, "")
                now = self._world.clock.now()
                record = waiting(leaver.record, OnboardingState.RECEIVED, now, at, why)
                await saver.save(replace(record, groups=results))
                continue
            leaver.record = replace(leaver.record, groups=results)
            leaver.left = [each.group_id for each in results if each.outcome is GroupOutcome.REMOVED]
            done.append(leaver)
        await self._let_go(done)
        await self._look(done)
        now = self._world.clock.now()
        for leaver in done:
            note = "The licenses are being removed, after a second read."
            await saver.save(
                replace(
                    waiting(leaver.record, OnboardingState.WORKING, now, now + FIRST_LOOK, note),
                    working_since=now,
                    licenses=tuple(LicenseResult(sku_id, LicenseOutcome.PENDING) for sku_id in _going(leaver)),
                )
            )

    async def _let_go(self, leavers: Sequence[Leaver]) -> None:
        """Permits first, then what ends a grace that would begin, then the grants of HR go. What a person decided to
        keep is kept."""
        now = self._world.clock.now()
        permits = [
            Permit(leaver.user.id, sku_id, LEAVERS, now, leaver.record.permitted_by)
            for leaver in leavers
            for sku_id in leaver.row.owned
        ]
        await self._world.stores.permits.put(permits)
        over = [
            (leaver.user.id, Grant(sku_id, license.disabled_plans, Source(SourceKind.GRACE), now))
            for leaver in leavers
            for sku_id, license in leaver.row.owned.items()
        ]
        await self._world.stores.grants.put(over)
        gone = (SourceKind.HR, SourceKind.JOINED)
        await self._world.stores.grants.remove(
            (leaver.user.id, grant) for leaver in leavers for grant in leaver.grants if grant.source.kind in gone
        )

    async def _look(self, leavers: Sequence[Leaver]) -> None:
        if not leavers:
            return
        now = self._world.clock.now()
        expects: dict[UserId, Mapping[GroupId, bool]] = {
            leaver.user.id: dict.fromkeys(leaver.left, False) for leaver in leavers
        }
        cause = f"hr:{leavers[0].record.key}:{now.isoformat()}"
        users = tuple(leaver.user.id for leaver in leavers)
        message = ProcessUsers(users, cause, bulk=False, expects=expects, changed_at=now)
        await self._world.queue.send([Outgoing(message.queue, message.encode())])


def _taken(record: OnboardingRecord, standing: Standing, grants: Sequence[Grant]) -> Taken:
    """What the leaver has, as it was when the work began the first time."""
    if record.taken is not None and standing.last_key == record.key:
        return record.taken
    return Taken(standing, tuple(grant for grant in grants if grant.source.kind is SourceKind.HR))


def _with_former(former: Sequence[GroupResult], results: Sequence[GroupResult]) -> tuple[GroupResult, ...]:
    """What became of the memberships, with those that an earlier try removed."""
    removed = {each.group_id: each for each in former if each.outcome is GroupOutcome.REMOVED}
    news = {
        each.group_id: each
        for each in results
        if each.outcome is not GroupOutcome.NOT_A_MEMBER or each.group_id not in removed
    }
    return tuple((removed | news).values())


def _going(leaver: Leaver) -> list[SkuId]:
    """Licenses that go: those that are ours, and those that native licensing gives by groups that are left."""
    left = set(leaver.left)
    inherited = {
        sku_id
        for sku_id, rows in leaver.user.inherited.items()
        if {row.assigned_by_group for row in rows} <= left and sku_id not in leaver.user.direct
    }
    return sorted(leaver.row.owned.keys() | inherited)


def _seen(result: GroupResult, user: DirectoryUser) -> GroupResult:
    """The directory shows the person in the group, and yet there is no membership to remove: it lies deeper."""
    if result.outcome is not GroupOutcome.NOT_A_MEMBER or result.group_id not in user.group_ids:
        return result
    text = "The person is in the group through another group, or was taken out a moment ago."
    return replace(result, text=text, remedy="If the license stays, take the person out of the nested group.")
