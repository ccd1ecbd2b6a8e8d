"""Read and plan: from the ids of a chunk to one plan per user. The same look serves chunks, events and previews."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain import ledger
from shared.domain.audit import adoption, license_change
from shared.domain.directory import DirectoryUser, LicenseError
from shared.domain.errors import NotFound
from shared.domain.grant import Grant, SourceKind
from shared.domain.grants import desired_licenses, group_grants
from shared.domain.graph_errors import remedy_for
from shared.domain.ids import SkuId, UserId
from shared.domain.ledger import giving_groups
from shared.domain.ledger_row import LedgerRow
from shared.domain.operation import LicenseChange
from shared.domain.outcomes import Applied, Failed, Problem, Result, RetryAt, Skipped, SkipReason
from shared.domain.permit import Permit
from shared.domain.plan import UserPlan, plan_user
from shared.domain.removals import standing
from shared.handlers.reconcile import permits
from shared.handlers.reconcile.planning_inputs import TenantFacts, context_for
from shared.handlers.reconcile.state import Case, Work
from shared.ports.directory import NotAUser, ReadFailed, UserGone, UserRead
from shared.ports.world import World

EVENTS_SETTLE_WITHIN = timedelta(minutes=10)
"""How long a read that contradicts an event is doubted; after that the directory wins."""

READ_RETRY = timedelta(seconds=30)


SOONEST_LOOK, LATEST_LOOK = timedelta(seconds=3), timedelta(seconds=30)
"""Bounds of the pause before something is looked at again that mostly lasts for seconds, seldom for minutes."""


def pause(since: datetime, now: datetime) -> timedelta:
    """Until the next look at something that has lasted since a time: as long again, within bounds."""
    return min(max(SOONEST_LOOK, now - since), LATEST_LOOK)


async def look(world: World, work: Work, user_ids: Sequence[UserId], facts: TenantFacts) -> list[Case]:
    """One case per user: read, ledger resolved and refreshed against the read, planned, permits drawn."""
    reads = await world.directory.users(user_ids)
    # The ledger after the directory: a license that the directory shows is then never one whose intent was not seen.
    rows, grants = await asyncio.gather(world.stores.ledger.rows(user_ids), world.stores.grants.of_users(user_ids))
    cases = [_case(world, work, reads[user_id], rows[user_id], grants.get(user_id, ())) for user_id in user_ids]
    _note_told(world, work, cases)
    open_cases = [case for case in cases if case.user is not None and case.result is None]
    for case in open_cases:
        user = _present(case)
        case.grants = (*group_grants(user, work.assignments), *case.grants)
        asked = work.operation.change if work.operation else LicenseChange()
        case.context = context_for(
            user,
            work.assignments,
            facts,
            world,
            ignore_refusals=work.operation is not None and work.operation.reprocess,
            enable=frozenset(asked.enable),
            location=case.row.usage_location,
        )
        await _adopt(world, work, case, user, asked.adopt)
        case.plan = plan_user(user, case.grants, case.row, case.context)
    await _draw_permits(world, work, open_cases)
    return cases


def _note_told(world: World, work: Work, cases: Sequence[Case]) -> None:
    """Keep what the event said, so that an older event, delivered or repeated later, is not waited for."""
    now = world.clock.now()
    for case in cases if work.told_at is not None else ():
        row = ledger.heard(case.row, work.told.get(case.user_id, {}), work.told_at or now, now - EVENTS_SETTLE_WITHIN)
        case.unsaved = case.unsaved or row != case.row
        case.row = row


async def _adopt(world: World, work: Work, case: Case, user: DirectoryUser, sku_ids: Sequence[SkuId]) -> None:
    """Make foreign licenses ours. What keeps their extra plans on is written first: the row that says ours is not
    written before, and without it those plans would be turned off."""
    if not sku_ids:
        return
    desired = desired_licenses(case.grants, world.clock.now())
    row, kept = ledger.adopted(case.row, user, sku_ids, desired, world.clock.now())
    await world.stores.grants.put((case.user_id, grant) for grant in kept)
    ours = {sku_id: row.owned[sku_id].disabled_plans for sku_id in row.owned.keys() - case.row.owned.keys()}
    if ours:
        case.audit.append(adoption(work.operation, work.cause, case.user_id, ours, world.clock.now()))
        case.unsaved = True
    case.row, case.grants = row, (*case.grants, *kept)


def _present(case: Case) -> DirectoryUser:
    if case.user is None:
        raise NotFound(f"user {case.user_id} was not read")
    return case.user


def _case(world: World, work: Work, read: UserRead, row: LedgerRow, grants: tuple[Grant, ...]) -> Case:
    now = world.clock.now()
    case = Case(row.user_id, row, grants=grants, stored=row)
    match read:
        case DirectoryUser():
            case.user = read
            _settle_ledger(world, work, case, read)
        case ReadFailed():
            wait = timedelta(seconds=read.retry_after_s) if read.retry_after_s else READ_RETRY
            case.result = RetryAt(now + wait, read.why, refused=read.refused, unread=True)
        case UserGone():
            why = "the directory does not know the user"
            case.result = RetryAt(now + READ_RETRY, why, refused=True, error=LicenseError.NOT_FOUND)
        case NotAUser():
            case.result = Skipped(SkipReason.NOT_A_USER)
    return case


def _settle_ledger(world: World, work: Work, case: Case, user: DirectoryUser) -> None:
    """Judge what an earlier attempt left. A write of this cause that was done before a crash is reported as applied."""
    now = world.clock.now()
    resolution = ledger.resolve(case.row, user, work.cause, now)
    if resolution.wait_until is not None:
        # Mostly another look that is about to end; the whole lock is waited for only where that one died.
        since = case.row.intent.at if case.row.intent else now
        at = min(now + pause(since, now), resolution.wait_until)
        case.result = RetryAt(at, "another write to this user has not been resolved")
        return
    if resolution.applied is not None:
        case.audit.append(license_change(work.operation, case.user_id, resolution.applied, "success"))
    refreshed = ledger.refresh(resolution.row, user, now)
    case.unsaved = refreshed != case.row
    case.came_from = giving_groups(case.row) | giving_groups(refreshed)
    case.row = refreshed
    last = case.row.last_result
    case.wrote = last is not None and last.cause == work.cause


async def _draw_permits(world: World, work: Work, cases: Sequence[Case]) -> None:
    """Plan again with permits where a removal is due: first those already given, then from the allowance."""
    concerned = [case for case in cases if case.plan is not None and (case.plan.wants_permit or _holds(case))]
    if not concerned:
        return
    stored = await world.stores.permits.of_users([case.user_id for case in concerned])
    known = {user_id: standing(given, work.assignments) for user_id, given in stored.items()}
    for case in concerned:
        _replan(case, permits=known.get(case.user_id, ()))
    wants = [request for case in concerned if case.plan for request in case.plan.wants_permit]
    if not wants:
        return
    drawn = await permits.draw(world, wants, work.assignments)
    for case in concerned:
        if case.plan is None or not case.plan.wants_permit:
            continue
        mine = tuple(permit for permit in drawn if permit.user_id == case.user_id)
        granted = {permit.sku_id for permit in mine}
        denied = frozenset(r.sku_id for r in case.plan.wants_permit if r.sku_id not in granted)
        _replan(case, permits=(*known.get(case.user_id, ()), *mine), denied=denied)


def _holds(case: Case) -> bool:
    return any(grant.source.kind in (SourceKind.HELD, SourceKind.KEPT) for grant in case.grants)


def _replan(case: Case, permits: tuple[Permit, ...], denied: frozenset[SkuId] = frozenset()) -> None:
    if case.context is None or case.user is None:
        return
    case.context = replace(case.context, permits=permits, denied=denied)
    case.plan = plan_user(case.user, case.grants, case.row, case.context)


def as_failed(error: LicenseError, text: str) -> Failed:
    """A failure of the user as a whole."""
    return Failed((Problem(error, text, remedy_for(error)),))


def finished(case: Case) -> Result:
    """How a case without a write to make ends: `Applied` where an earlier attempt of the same cause had written."""
    if case.result is not None:
        return case.result
    if case.plan is None:
        return as_failed(LicenseError.OTHER, "The user was not planned.")
    return result_of(case.plan, Applied() if case.wrote else None)


def result_of(plan: UserPlan, written: Result | None) -> Result:
    """How a user's part ends; what is decided by a second look comes before errors, which would end it too early."""
    again = replace(plan, problems=(), waiting=()) if plan.look_again is not None else plan
    return again.result(written)


def is_open(case: Case) -> bool:
    """Whether a write is to be made for the user."""
    plan: UserPlan | None = case.plan
    return case.result is None and plan is not None and plan.writes
