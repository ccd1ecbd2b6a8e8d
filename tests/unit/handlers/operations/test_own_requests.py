"""A person cannot do in parts what another person must approve: own approvals of a day count together."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.errors import ApprovalDenied
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.hr_intake import open_keys
from shared.domain.ids import NO_PLANS, UserId
from shared.domain.initiator import Initiator
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.onboarding import administration, records
from shared.handlers.operations import approvals
from shared.handlers.operations.accept import accept
from shared.handlers.operations.user_decisions import remove_licenses_now
from shared.handlers.views.approvals import described, why_not
from tests.support.hires import SOURCE, event, team
from tests.support.runs import MIA, NOA, SMALL, Run, user

PART = 30
"""People of one request: few enough to approve it alone, and two requests are too many."""


async def licensed(run: Run, parts: int) -> list[list[UserId]]:
    """Named users with a license."""
    found = []
    for part in range(parts):
        people = [run.directory.add_user(user(1000 * part + number)) for number in range(1, PART + 1)]
        change = LicenseChange((AssignedLicense(SMALL.sku_id),))
        await run.finish(await accept(run.world, OperationRequest(Target(user_ids=tuple(people)), MIA, change)))
        found.append(people)
        run.later(minutes=1)
    return found


async def removal(run: Run, people: list[UserId], by: Initiator) -> Operation:
    request = OperationRequest(Target(user_ids=tuple(people)), by, LicenseChange(remove=(SMALL.sku_id,)))
    waiting = await run.finish(await accept(run.world, request), approve=False)
    assert waiting.state is OperationState.AWAITING_APPROVAL
    return waiting


async def test_own_requests_of_a_day_count_together() -> None:
    run = Run()
    first, second, third = await licensed(run, 3)
    one, two, of_noa = await removal(run, first, MIA), await removal(run, second, MIA), await removal(run, third, NOA)
    await approvals.approve(run.world, one.id, one.checksum, MIA)
    waiting = await described(run.world, two)
    assert waiting.another
    assert "after 30 whose removals you approved yourself" in await why_not(run.world, waiting, MIA)
    with pytest.raises(ApprovalDenied, match="after 30 whose removals"):
        await approvals.approve(run.world, two.id, two.checksum, MIA)
    await approvals.approve(run.world, of_noa.id, of_noa.checksum, NOA)
    await run.work_off()
    assert [any(run.licenses(each) for each in people) for people in (first, second, third)] == [False, True, False]
    run.later(hours=26)
    await approvals.approve(run.world, two.id, two.checksum, MIA)
    await run.work_off()
    assert not any(run.licenses(each) for each in second)


async def test_a_failed_approval_is_not_counted_and_another_person_still_approves() -> None:
    run = Run()
    first, second = await licensed(run, 2)
    one, two = await removal(run, first, MIA), await removal(run, second, MIA)
    for _ in range(2):
        with pytest.raises(Exception, match="has changed"):
            await approvals.approve(run.world, one.id, "another list", MIA)
    await approvals.approve(run.world, one.id, one.checksum, MIA)
    await approvals.approve(run.world, two.id, two.checksum, NOA)
    await run.work_off()
    assert not any(run.licenses(each) for each in (*first, *second))


async def test_own_previews_of_a_day_count_together() -> None:
    run = Run()
    states = []
    for people in await licensed(run, 2):
        change = LicenseChange(remove=(SMALL.sku_id,))
        request = OperationRequest(Target(user_ids=tuple(people)), MIA, change)
        preview = await run.finish(await accept(run.world, replace(request, preview=True)))
        started = await accept(run.world, replace(request, preview_id=preview.id))
        states.append((await run.finish(started, approve=False)).state)
    assert states == [OperationState.COMPLETE, OperationState.AWAITING_APPROVAL]


async def test_removals_one_by_one_count_together() -> None:
    run = Run()
    people = [each for part in await licensed(run, 2) for each in part]
    kept = Grant(SMALL.sku_id, NO_PLANS, Source(SourceKind.KEPT, "noa"))
    await run.world.stores.grants.put((each, kept) for each in people)
    for each in people[:50]:
        await remove_licenses_now(run.world, each, [SMALL.sku_id], MIA)
    with pytest.raises(ApprovalDenied, match="Request the removal for the users together"):
        await remove_licenses_now(run.world, people[50], [SMALL.sku_id], MIA)
    await remove_licenses_now(run.world, people[51], [SMALL.sku_id], NOA)


def passed(run: Run, end: datetime) -> bool:
    return run.fakes.clock.now() > end


async def test_leavers_that_a_person_sends_in_parts_count_together() -> None:
    run = await team(size=2 * PART)
    eve = Initiator("eeeeeeee-0000-4000-8000-000000000005", "Eve", channel="api")
    run.set_policy(hr_senders={SOURCE: frozenset({eve.id})}, leaver_allowance_minimum=0, leaver_allowance_percent=0.0)
    going = []
    for part in range(2):
        numbers = range(1 + PART * part, 1 + PART * (part + 1))
        leavers = [event("leaver", f"l{n}", user(n), on="2026-01-01", removal="P0D") for n in numbers]
        await records.resume(run.world, open_keys(await records.accept(run.world, leavers, eve)))
        end = run.fakes.clock.now() + timedelta(hours=2)
        await run.work_off(partial(passed, run, end))
        held = await administration.held_leavers(run.world)
        if part:
            with pytest.raises(ApprovalDenied, match="after 30 whose removals"):
                await administration.approve_held(run.world, held.checksum, eve)
        going.append(await administration.approve_held(run.world, held.checksum, NOA if part else eve))
    assert going == [PART, PART]
