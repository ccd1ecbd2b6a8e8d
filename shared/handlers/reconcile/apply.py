"""Apply: reserve writes, record the intents, send usage locations and then licenses, and keep the proof.

What each answer means is in `domain.attempt`. The intent goes to the ledger before the call and the proof after it: a
crash in between leaves an intent that the next read judges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.attempt import answered, begin, ended, intended, location_answered, postponed, with_stored
from shared.domain.budget import Burst, burst_of
from shared.domain.denials import Right, concerns_everybody
from shared.domain.ids import UserId
from shared.domain.reconciliation import Attempted, Planned, Work
from shared.domain.rejected_calls import to_send
from shared.domain.verdict import LOST_RACE, RACE_RETRY, after_apply
from shared.domain.width import Lease
from shared.domain.write_results import Accepted, LicenseCall, WriteResult
from shared.domain.writing import WHY
from shared.handlers.reconcile.needs import Needs
from shared.handlers.reconcile.prepaid import Prepaid
from shared.handlers.reconcile.write_limiter import Pacer

MAX_CALLS = 12
"""Calls one user may take in one message: a rejected call, then each SKU alone; users have few managed SKUs."""

TIME_LIMIT = timedelta(minutes=2)
"""A chunk gives back what it has not reached by then: well inside the ten minutes that a function may take."""


async def apply(
    world: Needs, work: Work, pacer: Pacer, prepaid: Prepaid, planned: Sequence[Planned]
) -> list[Attempted]:
    """Every user with how the user's part ends, in order.

    Raises Unavailable when a table is away; what was sent by then is proven by its intent.
    """
    users = [begin(work, each) for each in planned]
    calls: Counter[UserId] = Counter()
    while active := [each for each in users if each.is_active and calls[each.user_id] < MAX_CALLS]:
        now = world.clock.now()
        if now > work.began + TIME_LIMIT:
            users = [_if_active(each, now, "the time of this chunk was used up") for each in users]
            break
        # Those with the fewest calls first: what Graph rejects must not hold up the others.
        active.sort(key=lambda each: calls[each.user_id])
        done = {each.user_id: each for each in await _round(world, work, pacer, prepaid, active)}
        calls.update(each.user_id for each in active if each is not done[each.user_id])
        users = [done.get(each.user_id, each) for each in users]
    now = world.clock.now()
    ends = [ended(each, now) for each in users]
    return [replace(each, result=after_apply(work, each, now)) for each in ends]


def _if_active(attempted: Attempted, at: datetime, why: str) -> Attempted:
    return postponed(attempted, at, why) if attempted.is_active else attempted


async def _round(
    world: Needs, work: Work, pacer: Pacer, prepaid: Prepaid, active: Sequence[Attempted]
) -> list[Attempted]:
    """One call for as many of the users as may be in flight now."""
    burst = burst_for(world, work) if all(is_addition(each.calls[0]) for each in active) else Burst.NEVER
    grant = await prepaid.take([_writes(each) for each in active], urgent=work.urgent, burst=burst)
    now = world.clock.now()
    if grant.lease is None:
        at = datetime.fromtimestamp(grant.slot.start, tz=now.tzinfo)
        why = WHY if grant.slot.is_off else "the write quota is used; comes back"
        return [_if_active(each, at, why) for each in active]
    try:
        await world.clock.sleep(max(0.0, grant.slot.start - now.timestamp()))
        intending = await _write_intents(world, work, active[: grant.users])
        await pacer.give_back(grant.slot, sum(_writes(each) for each in intending if not each.is_active))
        located = await _set_locations(world, work, pacer, intending)
    except BaseException:
        await pacer.report(grant.lease, {})
        raise
    called = await _assign(world, work, pacer, grant.lease, [each for each in located if each.is_active])
    done = {each.user_id: each for each in (*located, *called)}
    return [done.get(each.user_id, each) for each in active]


def is_addition(call: LicenseCall) -> bool:
    """Whether a call removes nothing."""
    return not call.remove


def burst_for(world: Needs, work: Work) -> Burst:
    """Whether additions of the work may exceed the even rate."""
    if work.operation is None:
        return Burst.NEVER
    return burst_of(work.operation.totals.wrote, world.policy.write_window_limit)


def _writes(user: Attempted) -> int:
    return 1 + (user.location is not None)


async def _write_intents(world: Needs, work: Work, users: Sequence[Attempted]) -> list[Attempted]:
    """The intents go to the ledger before the call; a user whose row another worker wrote meanwhile goes back."""
    now = world.clock.now()
    written = await world.stores.ledger.write([intended(each, work.cause, now) for each in users])
    return [
        postponed(each, now + RACE_RETRY, LOST_RACE)
        if written[each.user_id].lost
        else with_stored(each, written[each.user_id].row)
        for each in users
    ]


async def _set_locations(world: Needs, work: Work, pacer: Pacer, users: Sequence[Attempted]) -> list[Attempted]:
    """Set the missing usage locations of the users that may go on."""
    locations = {each.user_id: each.location for each in users if each.is_active and each.location is not None}
    if not locations:
        return list(users)
    answers = await world.licenses.set_usage_locations(locations, urgent=work.urgent)
    grant_until = await _grant_until(pacer, Right.LOCATIONS, answers.values())
    now = world.clock.now()
    done = {
        each.user_id: location_answered(work, each, answers[each.user_id], now, grant_until)
        for each in users
        if each.user_id in locations
    }
    await pacer.heed_throttling(answers.values())
    proven = await _record_proof(world, [each for each in done.values() if each.location is not None])
    done.update({each.user_id: each for each in proven})
    return [done.get(each.user_id, each) for each in users]


async def _assign(world: Needs, work: Work, pacer: Pacer, lease: Lease, users: Sequence[Attempted]) -> list[Attempted]:
    calls = {each.user_id: to_send(each) for each in users}
    answers: Mapping[UserId, WriteResult] = {}
    try:
        if calls:
            answers = await world.licenses.assign(calls, urgent=work.urgent)
    finally:
        # Before anything is recorded: the next write must not wait for that.
        alone = await pacer.report(lease, answers)
    grant_until = await _grant_until(pacer, Right.LICENSES, answers.values())
    now = world.clock.now()
    done = [
        answered(work, each, answers[each.user_id], now, grant_until, alone=each.user_id in alone) for each in users
    ]
    return await _record_proof(world, done)


async def _grant_until(pacer: Pacer, right: Right, answers: Collection[WriteResult]) -> datetime | None:
    """Until when rejections for a missing permission are waited for; None if they concern single users."""
    if concerns_everybody(answers):
        return await pacer.denied(right)
    if any(isinstance(each, Accepted) for each in answers):
        await pacer.allowed(right)
    return None


async def _record_proof(world: Needs, users: Sequence[Attempted]) -> list[Attempted]:
    """Audit first, then the ledger: a crash between them leaves an intent, whose resolution writes the audit again."""
    entries = [entry for each in users for entry in each.audit]
    if entries:
        await world.stores.audit.append(entries)
    kept = [replace(each, audit=()) for each in users]
    settled = [each.row for each in kept if each.row.intent is None]
    if not settled:
        return kept
    written = await world.stores.ledger.write(settled)
    at = world.clock.now() + RACE_RETRY
    return [
        each
        if each.user_id not in written
        else postponed(each, at, LOST_RACE)
        if written[each.user_id].lost
        else with_stored(each, written[each.user_id].row)
        for each in kept
    ]
