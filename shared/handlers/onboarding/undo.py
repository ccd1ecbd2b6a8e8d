"""A leaver that is cancelled after it began: what it took is given back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.directory import DirectoryUser
from shared.domain.grant import Grant
from shared.domain.ids import GroupId, UserId
from shared.domain.messages import ProcessUsers
from shared.domain.onboarding import GroupOutcome, GroupResult, OnboardingRecord, OnboardingState, Taken
from shared.domain.permit import Permit
from shared.handlers.onboarding.accounts import READ_RETRY
from shared.handlers.onboarding.joiner import joined_grants, joined_until
from shared.handlers.onboarding.leaver import LEAVERS
from shared.handlers.onboarding.membership_writes import Writer, Written
from shared.handlers.onboarding.record_updates import Saver, ended, waiting
from shared.handlers.reconcile.grant_expiry import note_ends
from shared.ports.directory import UserGone
from shared.ports.graph_writes import MembershipChange
from shared.ports.messaging import Outgoing
from shared.ports.world import World

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Time of a permit that permits nothing: permits are worth something only for licenses given before them."""


@dataclass(slots=True)
class Return:
    """A person who does not leave after all. `results` by group, `inside`: groups the person is in again."""

    record: OnboardingRecord
    taken: Taken
    user: DirectoryUser
    results: dict[GroupId, GroupResult] = field(default_factory=dict)
    inside: list[GroupId] = field(default_factory=list)

    @property
    def lost(self) -> list[GroupId]:
        """Groups to join: those the leaver was taken out of, also where an earlier try did it and could not say so."""
        put_in = self.taken.standing.groups
        return sorted(
            each.group_id
            for each in self.record.groups
            if each.outcome is GroupOutcome.REMOVED
            or (each.outcome is GroupOutcome.NOT_A_MEMBER and each.group_id in put_in)
        )


async def give_back(
    world: World,
    saver: Saver,
    writer: Writer,
    records: Sequence[OnboardingRecord],
    assignments: Mapping[GroupId, GroupLicenseAssignment],
) -> None:
    """Memberships, grants, the standing with HR, and the leave to remove; then have the people looked at. Whatever is
    cut off is done again from the beginning."""
    returns = await _returns(world, saver, records)
    changes = [MembershipChange(group_id, each.user.id, add=True) for each in returns for group_id in each.lost]
    written = await writer.write(changes, {}, {each.user.id: each.record for each in returns})
    done = []
    for each in returns:
        at = written.again.get(each.user.id)
        if at is not None:
            now, why = world.clock.now(), written.why.get(each.user.id, "")
            await saver.save(waiting(each.record, OnboardingState.WORKING, now, at, why))
            continue
        _take(each, written)
        done.append(each)
    await _restore(world, done, assignments)
    await _look(world, done, assignments)
    for each in done:
        now, who = world.clock.now(), each.record.cancelled_by
        note = f"Cancelled by {who}; what had been taken was given back."
        record = replace(each.record, groups=tuple(each.results.values()), licenses=())
        await saver.save(ended(record, OnboardingState.CANCELLED, now, note))


async def _returns(world: World, saver: Saver, records: Sequence[OnboardingRecord]) -> list[Return]:
    if not records:
        return []
    reads = await world.directory.users([record.user_id for record in records if record.user_id is not None])
    now = world.clock.now()
    returns = []
    for record in records:
        read = reads.get(record.user_id) if record.user_id is not None else None
        if isinstance(read, DirectoryUser) and record.taken is not None:
            returns.append(Return(record, record.taken, read))
        elif isinstance(read, UserGone):
            note = f"Cancelled by {record.cancelled_by}; the account is gone."
            await saver.save(ended(record, OnboardingState.CANCELLED, now, note))
        else:
            note = "Cancelled; waits for the account to be read."
            await saver.save(waiting(record, OnboardingState.WORKING, now, now + READ_RETRY, note))
    return returns


def _take(each: Return, written: Written) -> None:
    each.results = {result.group_id: result for result in each.record.groups}
    for group_id in each.lost:
        result = written.results[MembershipChange(group_id, each.user.id, add=True)]
        each.results[group_id] = result
        if result.outcome.is_in:
            each.inside.append(group_id)


async def _restore(
    world: World, returns: Sequence[Return], assignments: Mapping[GroupId, GroupLicenseAssignment]
) -> None:
    user_ids = [each.user.id for each in returns]
    until = joined_until(world)
    grants: list[tuple[UserId, Grant]] = []
    for each in returns:
        mine = (*each.taken.grants, *joined_grants(each.user, each.inside, assignments, until))
        grants += [(each.user.id, grant) for grant in mine]
    await note_ends(world, grants)
    await world.stores.grants.put(grants)
    standings = await world.stores.standings.of_users(user_ids)
    for each in returns:
        now = standings[each.user.id]
        if now.last_key == each.record.key:
            await world.stores.standings.save(replace(each.taken.standing, version=now.version))
    rows = await world.stores.ledger.rows(user_ids)
    await world.stores.permits.put(
        Permit(user_id, sku_id, LEAVERS, NEVER, "cancelled") for user_id in user_ids for sku_id in rows[user_id].owned
    )


async def _look(world: World, returns: Sequence[Return], assignments: Mapping[GroupId, GroupLicenseAssignment]) -> None:
    if not returns:
        return
    now = world.clock.now()
    groups = {group_id for each in returns for group_id in each.inside if group_id in assignments}
    message = ProcessUsers(
        tuple(each.user.id for each in returns),
        f"hr:{returns[0].record.key}:{now.isoformat()}",
        bulk=False,
        intent_versions={group_id: assignments[group_id].version for group_id in groups},
        expects={each.user.id: dict.fromkeys(each.inside, True) for each in returns},
        changed_at=now,
    )
    await world.queue.send([Outgoing(message.queue, message.encode())])
