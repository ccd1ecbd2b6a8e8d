"""Conditions that a person should know. Each is a warning in the log, with an alert (infra/modules/alerts.bicep)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

from shared.domain.assignment import is_active, is_watched
from shared.domain.canary import CanaryState, state_of
from shared.domain.clock_difference import REMEDY, described, is_wrong
from shared.domain.errors import PermissionDenied, Unavailable
from shared.domain.open_items import WAITING_MOVES
from shared.domain.operation import waits_for_a_person
from shared.handlers.maintenance.hr_limits import hr_limits
from shared.handlers.maintenance.needs import Needs

log = logging.getLogger(__name__)

SUBSCRIPTION_LEFT = timedelta(days=10)
"""Renewed with 14 days left: with 10, four days of tries have failed."""

MADE_WITHIN = timedelta(hours=1)
"""A first subscription is made within ten minutes of the app's start."""

DELTA_WITHIN = timedelta(hours=1)
"""Asked for every five minutes; a delta of many groups takes minutes."""

DECIDED_WITHIN = timedelta(days=3)
"""An approval that waits longer was overlooked, or no person feels responsible."""

LIST_WITHIN = timedelta(hours=36)
"""The list of protected people is read every 20 hours, and a failed read is tried again every ten minutes."""

WATCHED_WITHIN = timedelta(hours=3)
"""Members in error of natively licensed groups are read every hour."""

SHOWN_FOR = timedelta(hours=1)
"""A changed assumption is reported for this long after the run that noticed it."""

FIRST_CONTACT_RUNS = 3

SEATS_MAX_AGE_S = 3600.0
SEATS_LOW_PERCENT = 2
SEATS_LOW = 5
"""Seats left of a product that groups give: this few, or this share of all, is low."""


async def check_alerts(world: Needs) -> tuple[str, ...]:
    """Check all conditions. Returns the written warnings. Conditions that cannot be read are checked next time."""
    warnings: list[str] = []
    for check in CHECKS:
        try:
            warnings += [text async for text in check(world)]
        except (Unavailable, PermissionDenied) as fault:
            log.info("condition not checked reason=%s", fault)
    for text in warnings:
        log.warning("%s", text)
    return tuple(warnings)


async def _subscription(world: Needs) -> AsyncIterator[str]:
    if not world.policy.public_url:
        return
    now, stored = world.clock.now(), await world.stores.subscriptions.all()
    ends = max((each.expires_at for each in stored if each.id), default=None)
    if ends is not None and ends - now < SUBSCRIPTION_LEFT:
        yield f"the subscription to changes is about to expire: it ends on {ends:%Y-%m-%d %H:%M}"
    managed = [each for each in await world.stores.assignments.all() if is_active(each)]
    began = min((each.changed_at for each in managed if each.changed_at), default=now)
    if ends is None and now - began > MADE_WITHIN:
        yield "the subscription to changes is about to expire: there is none"


async def _deltas(world: Needs) -> AsyncIterator[str]:
    slices = await world.stores.deltas.all()
    oldest = min((each.read_at for each in slices if each.read_at is not None), default=None)
    rejected = max((each for each in slices if each.is_shown_as_error), key=lambda each: each.rejections, default=None)
    since, why = oldest or world.clock.now(), ""
    if rejected is not None:
        why = f": Graph rejected {rejected.rejections} delta links in a row: {rejected.rejected_because}"
    if why or world.clock.now() - since > DELTA_WITHIN:
        yield f"changes of groups have not been read since {since:%Y-%m-%d %H:%M}{why}"


async def _canary(world: Needs) -> AsyncIterator[str]:
    known = (await world.stores.health.load()).canary
    if world.policy.canary_group is None or known.changed_at is None:
        return
    has_subscription = bool(world.policy.public_url)
    state = state_of(known, world.clock.now(), is_configured=True, has_subscription=has_subscription)
    if state is CanaryState.OVERDUE:
        yield f"canary group: its change did not arrive: changed at {known.changed_at:%Y-%m-%d %H:%M}"


async def _approvals(world: Needs) -> AsyncIterator[str]:
    latest = world.clock.now() - DECIDED_WITHIN
    waiting = [each for each in await world.stores.operations.open() if waits_for_a_person(each)]
    late = sorted((each.progress_at or each.created_at, each.id) for each in waiting)
    late = [each for each in late if each[0] < latest]
    if late:
        days = DECIDED_WITHIN.days
        yield f"approvals wait for a person: {len(late)} for over {days} days, the oldest is {late[0][1]}"


async def _moves(world: Needs) -> AsyncIterator[str]:
    latest = world.clock.now() - DECIDED_WITHIN
    waiting = [each for each in await world.stores.moves.open() if each.state in WAITING_MOVES]
    late = sorted((each.progress_at or each.created_at, each.group_id) for each in waiting)
    late = [each for each in late if each[0] < latest]
    if late:
        days = DECIDED_WITHIN.days
        yield f"moves wait for a person: {len(late)} for over {days} days, the oldest is of group {late[0][1]}"


async def _seats(world: Needs) -> AsyncIterator[str]:
    given = {sku.sku_id for each in await world.stores.assignments.all() if is_active(each) for sku in each.skus}
    if not given:
        return
    for sku in await world.directory.subscribed_skus(SEATS_MAX_AGE_S):
        seats = sku.enabled + sku.warning
        if sku.sku_id in given and sku.available <= max(SEATS_LOW, seats * SEATS_LOW_PERCENT // 100):
            yield f"seats are low: {sku.sku_part_number} has {sku.available} of {seats} left"


async def _watched_groups(world: Needs) -> AsyncIterator[str]:
    groups = [each.group_id for each in await world.stores.assignments.all() if is_watched(each)]
    known = {status.group_id: status for status in await world.stores.group_status.all()}
    found = [known[group_id] for group_id in groups if group_id in known]
    wrong = [status for status in found if status.with_errors]
    if wrong:
        members = sum(status.with_errors for status in wrong)
        yield f"watched groups have errors: members={members} groups={len(wrong)}"
    oldest = min((status.updated_at for status in found if status.updated_at), default=None)
    if oldest is not None and world.clock.now() - oldest > WATCHED_WITHIN:
        yield f"watched groups are not read: the oldest reading is of {oldest:%Y-%m-%d %H:%M}"


async def _hr_limits(world: Needs) -> AsyncIterator[str]:
    for text in await hr_limits(world):
        yield f"HR is limited: {text}"


async def _protected_people(world: Needs) -> AsyncIterator[str]:
    if not world.policy.protected_list_required:
        return
    listed, now = await world.stores.protected_people.load(), world.clock.now()
    if listed.read_at is None:
        why = listed.fault or "it is read for the first time within ten minutes"
        yield f"the list of protected people has not been read, so all removals wait: {why}"
    elif listed.fault or now - listed.read_at > LIST_WITHIN:
        why = listed.fault or "the timer read_protected_people did not run"
        yield f"the list of protected people is of {listed.read_at:%Y-%m-%d %H:%M} and stays in force: {why}"


async def _first_contact(world: Needs) -> AsyncIterator[str]:
    for run in await world.stores.first_contact.newest(FIRST_CONTACT_RUNS):
        if run.completed_at is None or world.clock.now() - run.completed_at > SHOWN_FOR:
            continue
        for each in run.changes:
            was, now = each.before, each.after
            yield f"an assumption about Graph no longer holds: number={each.number} was={was} is={now} run={run.id}"


async def _clock(world: Needs) -> AsyncIterator[str]:
    ahead = world.clock.ahead()
    if ahead is not None and is_wrong(ahead):
        yield f"the clock is wrong: it is {described(ahead)}. {REMEDY}"


CHECKS: tuple[Callable[[Needs], AsyncIterator[str]], ...] = (
    _subscription,
    _deltas,
    _canary,
    _approvals,
    _moves,
    _seats,
    _watched_groups,
    _hr_limits,
    _protected_people,
    _clock,
    _first_contact,
)
