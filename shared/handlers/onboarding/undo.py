"""A leaver that is cancelled after it began: what it took is given back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain import onboarding_ends as ends
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.directory import DirectoryUser, UserGone
from shared.domain.grant import Grant
from shared.domain.hr_state import Taken
from shared.domain.ids import GroupId, UserId
from shared.domain.joiner import joined_grants
from shared.domain.leaver import LEAVERS
from shared.domain.leaver_events import revived
from shared.domain.onboarding import (
    GroupOutcome,
    GroupResult,
    Next,
    OnboardingRecord,
    OnboardingState,
    PersonRef,
    waiting,
)
from shared.domain.onboarding_ends import ended
from shared.domain.onboarding_order import READ_RETRY
from shared.domain.permit import Permit
from shared.handlers.onboarding import records
from shared.handlers.onboarding.membership_writes import Writer
from shared.handlers.onboarding.needs import Needs
from shared.handlers.reconcile.grant_expiry import note_ends
from shared.ports.graph_writes import MembershipChange


@dataclass(frozen=True, slots=True)
class Returner:
    """A person who does not leave after all. `results`: of the groups joined again."""

    record: OnboardingRecord
    taken: Taken
    user: DirectoryUser
    results: Mapping[GroupId, GroupResult]

    @property
    def inside(self) -> list[GroupId]:
        """Groups the person is in again."""
        return [group_id for group_id, each in self.results.items() if each.outcome.is_in]


async def restore_leavers(
    world: Needs,
    writer: Writer,
    cancelled: Sequence[OnboardingRecord],
    assignments: Mapping[GroupId, GroupLicenseAssignment],
) -> list[Next]:
    """Memberships, grants, the HR state, and the removal permits. Whatever is cut off is done again from the
    beginning."""
    returners, steps = await _read(world, cancelled)
    changes = [MembershipChange(group, each.user.id, add=True) for each in returners for group in _lost(each)]
    written = await writer.write(changes, {each.user.id: each.record for each in returners})
    steps += written.postponed([each.record for each in returners], OnboardingState.WORKING, world.clock.now())
    done = [
        replace(each, results={group: written.results[each.user.id][group] for group in _lost(each)})
        for each in returners
        if written.is_done(each.user.id)
    ]
    await _restore(world, done, assignments)
    for each in done:
        steps += [*await _revived(world, each), _stayed(each, world.clock.now())]
    return steps


async def _revived(world: Needs, returner: Returner) -> list[Next]:
    """Statements that the leaver superseded count again."""
    person = PersonRef(returner.user.id, user_principal_name=returner.user.user_principal_name)
    names = {*returner.record.event.person.identities, *person.identities}
    others = await world.stores.onboarding.of_person(sorted(names))
    return revived(returner.record, others, world.clock.now())


async def _read(world: Needs, cancelled: Sequence[OnboardingRecord]) -> tuple[list[Returner], list[Next]]:
    reads = await world.directory.users([each.user_id for each in cancelled if each.user_id is not None])
    now = world.clock.now()
    returners, steps = [], []
    for record in cancelled:
        read = reads.get(record.user_id) if record.user_id is not None else None
        if isinstance(read, DirectoryUser) and record.taken is not None:
            returners.append(Returner(record, record.taken, read, {}))
        elif isinstance(read, UserGone):
            steps.append(Next(ended(record, ends.cancelled(record.cancelled_by, "the account is gone"), now)))
        else:
            note = "Cancelled; waits for the account to be read."
            steps.append(Next(waiting(record, OnboardingState.WORKING, now, now + READ_RETRY, note)))
    return returners, steps


def _lost(returner: Returner) -> list[GroupId]:
    """Groups to join: those the leaver was taken out of, also where an earlier try did it and could not say so."""
    put_in = returner.taken.employment.groups
    return sorted(
        each.group_id
        for each in returner.record.groups
        if each.outcome in (GroupOutcome.REMOVED, GroupOutcome.REJECTED)
        or (each.outcome is GroupOutcome.NOT_A_MEMBER and each.group_id in put_in)
    )


def _stayed(returner: Returner, now: datetime) -> Next:
    groups = {each.group_id: each for each in returner.record.groups} | dict(returner.results)
    record = replace(returner.record, groups=tuple(groups.values()), licenses=())
    missing = len(returner.results) - len(returner.inside)
    end = ends.given_back(record.cancelled_by, missing)
    return Next(ended(record, end, now), users={returner.user.id: dict.fromkeys(returner.inside, True)})


async def _restore(
    world: Needs, returners: Sequence[Returner], assignments: Mapping[GroupId, GroupLicenseAssignment]
) -> None:
    user_ids, now = [each.user.id for each in returners], world.clock.now()
    grants: list[tuple[UserId, Grant]] = []
    for each in returners:
        mine = (*each.taken.grants, *joined_grants(each.user, each.inside, assignments, now))
        grants += [(each.user.id, grant) for grant in mine]
    await note_ends(world, grants)
    await world.stores.grants.put(grants)
    had = await world.stores.grants.of_users(user_ids)
    await world.stores.grants.remove((user, grant) for user in user_ids for grant in had[user] if grant.blocks)
    states = await world.stores.hr_states.of_users(user_ids)
    for each in returners:
        state = states[each.user.id]
        for name, employment in state.employments.items():
            if employment.end is not None and employment.end.key == each.record.key:
                await records.note_state(world, state.having(name, each.taken.employment))
    rows = await world.stores.ledger.rows(user_ids)
    await world.stores.permits.put(
        Permit.void(user_id, sku_id, LEAVERS, "cancelled") for user_id in user_ids for sku_id in rows[user_id].managed
    )
