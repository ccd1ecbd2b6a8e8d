"""Leavers: out of the groups, no more grants, and leave to remove every license of ours.

Their number in a day is limited by an allowance of HR's own; what is over it is held until a person has seen how many
there are. Licenses that somebody else gave, or that a group still gives, stay and are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.domain.allowance import limit
from shared.domain.messages import ProcessUsers
from shared.domain.model import (
    DirectoryUser,
    Grant,
    GroupId,
    GroupLicenseAssignment,
    LedgerRow,
    Permit,
    Source,
    SourceKind,
    UserId,
)
from shared.domain.onboarding import (
    GroupOutcome,
    GroupResult,
    LicenseOutcome,
    LicenseResult,
    OnboardingRecord,
    OnboardingState,
)
from shared.handlers.onboarding.groups import GroupsKnown, allowed_groups
from shared.handlers.onboarding.persons import Found
from shared.handlers.onboarding.saving import Saver, waiting
from shared.handlers.onboarding.writing import Writer
from shared.handlers.permits import take_up_to
from shared.ports import MembershipChange, Outgoing, World

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
        permitted = [pair for pair in people if await self._permit(saver, pair[0])]
        if not permitted:
            return
        user_ids = [user.id for _, user in permitted]
        rows = await self._world.stores.ledger.rows(user_ids)
        grants = await self._world.stores.grants.of_users(user_ids)
        profiles = await self._world.stores.profiles.all()
        standings = await self._world.stores.standings.of_users(user_ids)
        leavers = []
        for found, user in permitted:
            record = await self._world.stores.onboarding.get(found.record.key)
            if record is None or record.state.is_ended:
                continue
            leaver = Leaver(replace(record, user_id=user.id), user, rows[user.id], grants.get(user.id, ()))
            mine = allowed_groups(assignments, profiles) | standings[user.id].groups
            await self._plan(leaver, sorted(user.group_ids & mine))
            leavers.append(leaver)
            await self._world.stores.standings.save(
                replace(
                    standings[user.id],
                    groups=frozenset(),
                    last_key=record.key,
                    last_type=record.event.type,
                    last_order=record.order,
                )
            )
        await self._take_out(saver, writer, leavers)

    async def _permit(self, saver: Saver, found: Found) -> bool:
        """Whether the licenses may go: kept with the record, so that a retry counts once."""
        record = found.record
        if record.permitted_by:
            return True
        maximum = await leavers_allowed(self._world)
        now = self._world.clock.now()
        if await take_up_to(self._world, LEAVERS, 1, maximum, whole=True):
            await self._world.stores.onboarding.save(replace(record, permitted_by=BY_ALLOWANCE, updated_at=now))
            return True
        note = f"More than {maximum} leavers within 24 hours: a person has to see their number first."
        held = waiting(record, OnboardingState.HELD, now, now + HELD_LOOK, note)
        await saver.save(replace(held, remedy="Look at the held leavers, then approve or reject them."))
        return False

    async def _plan(self, leaver: Leaver, group_ids: Sequence[GroupId]) -> None:
        for group_id in group_ids:
            text, remedy = await self._groups.why_not(group_id)
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
            at = written.again.get(leaver.user.id)
            if at is not None:
                why = written.why.get(leaver.user.id, "")
                now = self._world.clock.now()
                await saver.save(waiting(leaver.record, OnboardingState.RECEIVED, now, at, why))
                continue
            for group_id in leaver.remove:
                result = written.results[MembershipChange(group_id, leaver.user.id, add=False)]
                leaver.results.append(_seen(result))
                if result.outcome is GroupOutcome.REMOVED:
                    leaver.left.append(group_id)
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
                    groups=tuple(leaver.results),
                    licenses=tuple(
                        LicenseResult(sku_id, LicenseOutcome.PENDING) for sku_id in sorted(leaver.row.owned)
                    ),
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


def _seen(result: GroupResult) -> GroupResult:
    """The directory shows the person in the group, and yet there is no membership to remove: it lies deeper."""
    if result.outcome is not GroupOutcome.NOT_A_MEMBER:
        return result
    text = "The person is in the group through another group, or was taken out a moment ago."
    return replace(result, text=text, remedy="If the license stays, take the person out of the nested group.")
