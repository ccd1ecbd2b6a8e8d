"""Joiners and movers: usage location, memberships, direct grants, and licenses at once.

For a mover, additions are sent before removals, and no removal is sent if an addition failed. `domain/joiner` decides
about memberships and grants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.concurrency import together
from shared.domain.errors import Conflict
from shared.domain.grant import Grant
from shared.domain.ids import GroupId, UserId
from shared.domain.joiner import (
    Joiner,
    grants_after,
    invalid,
    licensing,
    planned,
    state_after,
    state_before,
    unchecked,
    wanted_for,
    with_additions,
    with_removals,
)
from shared.domain.onboarding import Next, OnboardingRecord, OnboardingState
from shared.domain.onboarding_ends import ended
from shared.domain.onboarding_licenses import LONGEST_BACKLOG
from shared.handlers.onboarding import records
from shared.handlers.onboarding.membership_writes import GroupsKnown, Writer, Written
from shared.handlers.onboarding.needs import Needs
from shared.handlers.onboarding.people import Person
from shared.handlers.reconcile.grant_expiry import note_ends
from shared.ports.graph_writes import MembershipChange

FIRST_CHECK = timedelta(seconds=2)
"""When to see what became of the licenses; most are there by then, where the write quota is not used up."""


async def process_joiners(
    world: Needs,
    groups: GroupsKnown,
    writer: Writer,
    people: Sequence[Person],
    assignments: Mapping[GroupId, GroupLicenseAssignment],
) -> list[Next]:
    """Bring about what the events say. Whatever is cut off is done again from the beginning: each step sees what is
    done already."""
    joiners, steps = await _planned(world, groups, people)
    joiners = await _claimed(world, joiners)
    locations = {each.user.id: each.location for each in joiners if each.location}
    located = await writer.locate(locations, _senders(joiners))
    await _note_locations(world, located.accepted_locations)
    rejected = located.rejected_locations
    joiners = [
        replace(each, record=replace(each.record, location_rejected=rejected.get(each.user.id))) for each in joiners
    ]
    steps += _put_off(world, joiners, located)
    joiners = [each for each in joiners if located.is_done(each.user.id)]
    additions = [MembershipChange(group, each.user.id, add=True) for each in joiners for group in each.add]
    added = await writer.write(additions, _senders(joiners))
    steps += _put_off(world, joiners, added)
    joiners = [with_additions(each, added.results[each.user.id]) for each in joiners if added.is_done(each.user.id)]
    removals = [
        MembershipChange(group, each.user.id, add=False)
        for each in joiners
        if not each.lacks_a_group
        for group in each.remove
    ]
    removed = await writer.write(removals, _senders(joiners))
    steps += _put_off(world, joiners, removed)
    joiners = [with_removals(each, removed.results[each.user.id]) for each in joiners if removed.is_done(each.user.id)]
    await _grant(world, joiners, assignments)
    now, backlog = world.clock.now(), await writer.backlog()
    check = now + max(FIRST_CHECK, min(backlog, LONGEST_BACKLOG))
    return [*steps, *(licensing(each, now, check) for each in joiners)]


async def _planned(world: Needs, groups: GroupsKnown, people: Sequence[Person]) -> tuple[list[Joiner], list[Next]]:
    """Which memberships to write; an event that cannot be worked on as it is ends."""
    profiles = await world.stores.profiles.all()
    user_ids = [each.user.id for each in people]
    states = await world.stores.hr_states.of_users(user_ids)
    grants = await world.stores.grants.of_users(user_ids)
    joiners, steps = [], []
    for person in people:
        record, user = person.record, person.user
        wanted = wanted_for(record.event, profiles)
        end = invalid(record.event, wanted)
        if end is not None:
            steps.append(Next(ended(record, end, world.clock.now())))
            continue
        hindrances = await groups.hindrances(unchecked(wanted, user.group_ids))
        had = grants.get(user.id, ())
        joiner = Joiner(record, person.account, user, states[user.id], person.employment, wanted, had)
        joiners.append(planned(joiner, profiles, hindrances))
    return joiners, steps


async def _claimed(world: Needs, joiners: Sequence[Joiner]) -> list[Joiner]:
    """Joiners whose event is unchanged since it was read; from now on it cannot be cancelled. The new HR state is
    stored before the writes."""
    claims = await together(records.claim(world, each.record) for each in joiners)
    claimed = [replace(each, record=mine) for each, mine in zip(joiners, claims, strict=True) if mine is not None]
    return [
        replace(each, hr_state=await records.note_state(world, state_before(each), each.hr_state)) for each in claimed
    ]


async def _note_locations(world: Needs, places: Mapping[UserId, str]) -> None:
    """A read that does not see the accepted location yet must not set a default instead. One that Graph rejected is
    not kept: it would overrule every default."""
    rows = await world.stores.ledger.rows(list(places)) if places else {}
    changed = [
        replace(row, usage_location=places[user_id])
        for user_id, row in rows.items()
        if row.usage_location != places[user_id]
    ]
    written = await world.stores.ledger.write(changed) if changed else {}
    if any(each.lost for each in written.values()):
        raise Conflict("ledger: the row was changed meanwhile")


async def _grant(
    world: Needs, joiners: Sequence[Joiner], assignments: Mapping[GroupId, GroupLicenseAssignment]
) -> None:
    """New grants before old ones go; the memberships left are forgotten last."""
    now = world.clock.now()
    new: list[tuple[UserId, Grant]] = []
    old: list[tuple[UserId, Grant]] = []
    for each in joiners:
        begun, over = grants_after(each, assignments, now)
        new += [(each.user.id, grant) for grant in begun]
        old += [(each.user.id, grant) for grant in over]
    await note_ends(world, new)
    await world.stores.grants.put(new)
    await world.stores.grants.remove(old)
    for each in joiners:
        await records.note_state(world, state_after(each), each.hr_state)


def _put_off(world: Needs, joiners: Sequence[Joiner], written: Written) -> list[Next]:
    """Events with an unanswered write start again."""
    return written.postponed([each.record for each in joiners], OnboardingState.RECEIVED, world.clock.now())


def _senders(joiners: Sequence[Joiner]) -> dict[UserId, OnboardingRecord]:
    return {each.user.id: each.record for each in joiners}
