"""Leavers: remove them from the groups, end their grants, and write a permit to remove every managed license.

An allowance of HR limits their number in a day. Leavers above it are held until a person has seen their number.
Unmanaged licenses, and licenses that a group still gives, stay and are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from shared.domain.allowance import limit
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import GroupId, SkuId
from shared.domain.leaver import (
    LEAVERS,
    Leaver,
    block_of,
    groups_to_leave,
    held,
    held_as_expired,
    held_as_protected,
    licenses_to_remove,
    planned,
    state_after,
    unlicensing,
    waits_for_list,
    with_removals,
    with_taken,
    without_expired_approval,
)
from shared.domain.onboarding import Next, OnboardingState
from shared.domain.permit import BY_ALLOWANCE, leaver_permits
from shared.domain.profiles import groups_of_jobs
from shared.handlers.onboarding import records
from shared.handlers.onboarding.membership_writes import GroupsKnown, Writer
from shared.handlers.onboarding.needs import Needs
from shared.handlers.onboarding.people import Person
from shared.handlers.reconcile.permits import take_up_to
from shared.handlers.reconcile.plan import protection_of
from shared.ports.graph_writes import MembershipChange

HEADCOUNT_MAX_AGE_S = 60.0
"""How old the number of licensed users can be: it moves by seconds' work, and the allowance is that of a day."""


async def leavers_allowed(world: Needs) -> int:
    """Leavers of 24 hours that need no approval: a minimum, or a share of the licensed headcount if that is more.

    The headcount is the number of users with the managed product that most users have. It is never too high: a user
    counts once per product.
    """
    managed = {sku.sku_id for each in await world.stores.assignments.all(HEADCOUNT_MAX_AGE_S) for sku in each.skus}
    skus = await world.directory.subscribed_skus(HEADCOUNT_MAX_AGE_S)
    headcount = max((sku.consumed_units for sku in skus if sku.sku_id in managed), default=0)
    return limit(headcount, world.policy.leaver_allowance_minimum, world.policy.leaver_allowance_percent)


async def process_leavers(
    world: Needs,
    groups: GroupsKnown,
    writer: Writer,
    people: Sequence[Person],
    assignments: Mapping[GroupId, GroupLicenseAssignment],
) -> list[Next]:
    """Take the permitted ones out; hold the others. Whatever is cut off is done again from the beginning."""
    permitted, steps = await _permitted(world, people)
    leavers = await _claimed(world, groups, permitted, assignments)
    changes = [MembershipChange(group, each.user.id, add=False) for each in leavers for group in each.remove]
    written = await writer.write(changes, {each.user.id: each.record for each in leavers})
    leavers = [with_removals(each, written.results[each.user.id]) for each in leavers]
    steps += written.postponed([each.record for each in leavers], OnboardingState.RECEIVED, world.clock.now())
    leavers = [each for each in leavers if written.is_done(each.user.id)]
    now = world.clock.now()
    going = [licenses_to_remove(each, assignments, now) for each in leavers]
    await _revoke(world, leavers, going, assignments)
    return [*steps, *(unlicensing(each, skus, now) for each, skus in zip(leavers, going, strict=True))]


async def _permitted(world: Needs, people: Sequence[Person]) -> tuple[list[Person], list[Next]]:
    """Permitted leavers, and held ones. The permission is stored with the record, so that a retry counts once."""
    maximum, protection = await leavers_allowed(world), await protection_of(world)
    permitted, steps = [], []
    lasts = timedelta(seconds=world.policy.approval_expires_s)
    for each in people:
        now = world.clock.now()
        person = replace(each, record=without_expired_approval(each.record, now, lasts))
        why = protection.reasons(person.user.id, now)
        if not protection.is_known:
            steps.append(waits_for_list(person.record, now))
        elif why and not person.record.for_protected:
            steps.append(held_as_protected(person.record, why, now))
        elif person.record.permitted_by:
            permitted.append(person)
        elif person.record.permitted_from is not None:
            steps.append(held_as_expired(person.record, now))
        elif await take_up_to(world, LEAVERS, 1, maximum, whole=True):
            record = await records.keep(world, replace(person.record, permitted_by=BY_ALLOWANCE, updated_at=now))
            permitted.append(replace(person, record=record))
        else:
            steps.append(held(person.record, maximum, now))
    return permitted, steps


async def _claimed(
    world: Needs,
    groups: GroupsKnown,
    people: Sequence[Person],
    assignments: Mapping[GroupId, GroupLicenseAssignment],
) -> list[Leaver]:
    """Leavers whose event is unchanged since it was read, with the groups to leave. Their former state is stored with
    the claim."""
    if not people:
        return []
    user_ids = [each.user.id for each in people]
    rows = await world.stores.ledger.rows(user_ids)
    grants = await world.stores.grants.of_users(user_ids)
    allowed = groups_of_jobs(assignments, await world.stores.profiles.all())
    states = await world.stores.hr_states.of_users(user_ids)
    leavers = []
    for person in people:
        user, state, had = person.user, states[person.user.id], grants.get(person.user.id, ())
        name = person.employment
        end = state.of(name).end
        earlier = await world.stores.onboarding.get(end.key) if end and end.key != person.record.key else None
        record = await records.claim(world, with_taken(person.record, state, name, had, earlier))
        if record is not None and record.taken is not None:
            leaving = groups_to_leave(record, user, record.taken, state, name, allowed)
            hindrances = await groups.hindrances(sorted(leaving))
            leavers.append(planned(Leaver(record, user, rows[user.id], state, name, had), hindrances))
            await records.note_state(world, state_after(record, state, name))
    return leavers


async def _revoke(
    world: Needs,
    leavers: Sequence[Leaver],
    going: Sequence[Sequence[SkuId]],
    assignments: Mapping[GroupId, GroupLicenseAssignment],
) -> None:
    """Write permits first, then the block on users that stay in a managed group. Then end grace periods that would
    begin, and delete the grants of HR. Licenses that a person decided to keep are kept. `going`: managed licenses of
    each leaver."""
    now = world.clock.now()
    managed = [
        (each, sku_id, each.row.managed[sku_id]) for each, skus in zip(leavers, going, strict=True) for sku_id in skus
    ]
    for each, skus in zip(leavers, going, strict=True):
        # By its key the event can be read, with who approved it; a permit has no name.
        permitted_by = each.record.permitted_by
        groups, by = (
            each.user.group_ids | set(each.left),
            permitted_by if permitted_by == BY_ALLOWANCE else each.record.key,
        )
        row = replace(each.row, managed={sku_id: each.row.managed[sku_id] for sku_id in skus})
        permits = leaver_permits(
            row, groups, each.ended_grants, assignments, LEAVERS, now, by, for_protected=each.record.for_protected
        )
        await world.stores.permits.put(permits)
    blocks = [(each.user.id, block_of(each, assignments, now)) for each in leavers]
    await world.stores.grants.put((user_id, block) for user_id, block in blocks if block is not None)
    await world.stores.grants.put(
        (each.user.id, Grant(sku_id, license.disabled_plans, Source(SourceKind.GRACE), now))
        for each, sku_id, license in managed
    )
    await world.stores.grants.remove((each.user.id, grant) for each in leavers for grant in each.ended_grants)
