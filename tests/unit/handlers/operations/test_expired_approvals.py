"""An approval that nobody gives ends as rejected, and what is still due is requested again after the same time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.errors import Outdated
from shared.domain.ids import UserId
from shared.domain.operation import EXPIRED, LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations import approvals
from shared.handlers.operations.accept import accept
from shared.handlers.operations.watchdog import watchdog
from shared.handlers.operations.writing import turn_off, turn_on
from shared.handlers.reconcile.grant_expiry import reconcile_due_users
from shared.handlers.views import queries
from tests.support.operations import held_run, waiting_removal
from tests.support.runs import MIA, NOA, SMALL, TEAM, Run

MONTH = timedelta(days=30)


async def after_a_month(run: Run) -> None:
    run.fakes.clock.move(MONTH)
    await watchdog(run.world)
    await run.work_off()


async def requested_again(run: Run) -> Operation:
    """What waits after the licenses were kept for a month."""
    run.fakes.clock.move(MONTH - timedelta(days=1))
    assert await reconcile_due_users(run.world) == 0
    run.fakes.clock.move(timedelta(days=2))
    assert await reconcile_due_users(run.world) > 0
    await run.work_off()
    (waiting,) = await queries.approvals(run.world)
    return waiting


def licensed(run: Run, people: list[UserId]) -> int:
    return sum(run.licenses(each) == {"SMALL"} for each in people)


async def test_an_approval_waits_for_thirty_days_and_ends_as_rejected() -> None:
    run, people, operation = await waiting_removal(30)
    run.fakes.clock.move(MONTH - timedelta(minutes=1))
    assert await watchdog(run.world) == 0
    assert (await run.read(operation)).state is OperationState.AWAITING_APPROVAL
    run.fakes.clock.move(timedelta(minutes=2))
    await watchdog(run.world)
    await run.work_off()
    ended = await run.read(operation)
    assert ended.state is OperationState.CANCELLED
    assert ended.error is not None
    assert (ended.error.code, ended.error.message[:45]) == (EXPIRED, "Nobody approved the removals in time. The lic")
    assert licensed(run, people) == 30
    assert await queries.approvals(run.world) == ()


async def test_a_removal_that_is_still_due_requests_approval_again_after_the_same_time() -> None:
    run, people, _ = await waiting_removal(30)
    await after_a_month(run)
    again = await requested_again(run)
    assert licensed(run, people) == 30
    await approvals.review(run.world, again.id, NOA)
    await run.work_off()
    (snapshot,) = await queries.approvals(run.world)
    assert snapshot.plan.users_losing == 30
    await approvals.approve(run.world, snapshot.id, snapshot.checksum, NOA)
    await run.work_off()
    assert licensed(run, people) == 0


async def test_a_list_that_was_only_collected_is_completed_and_kept_too() -> None:
    run, held, waiting = await held_run()
    await after_a_month(run)
    ended = await run.read(waiting)
    assert (ended.state, ended.plan.users_losing) == (OperationState.CANCELLED, len(held))
    assert licensed(run, held) == len(held)
    grants = await run.world.stores.grants.of_users(held)
    assert {grant.source.id for each in grants.values() for grant in each if str(grant.source.kind) == "kept"} == {
        "expired"
    }


async def test_who_comes_back_to_the_group_while_the_license_is_kept_is_not_asked_about_again() -> None:
    run, held, _ = await held_run()
    await after_a_month(run)
    for each in held:
        run.directory.join(TEAM, each)
    await run.reconcile(*held, cause="back")
    run.fakes.clock.move(MONTH + timedelta(days=1))
    await reconcile_due_users(run.world)
    await run.work_off()
    assert await queries.approvals(run.world) == ()
    assert licensed(run, held) == len(held)


@pytest.mark.parametrize(("days", "asked_again"), [(29, False), (31, True)])
async def test_an_approval_that_waited_too_long_for_writing_is_requested_again(days: int, asked_again: bool) -> None:
    run, people, operation = await waiting_removal(30)
    await turn_off(run.world, MIA)
    await approvals.approve(run.world, operation.id, operation.checksum, NOA)
    await run.work_off()
    run.later(days=days)
    await turn_on(run.world, MIA)
    await run.work_off()
    found = await run.read(operation)
    assert (found.state is OperationState.AWAITING_APPROVAL) is asked_again
    assert licensed(run, people) == (30 if asked_again else 0)
    if asked_again:
        assert (found.approvals, found.approved_by) == ((), None)
        await approvals.approve(run.world, found.id, found.checksum, NOA)
        await run.work_off()
        assert licensed(run, people) == 0


@pytest.mark.parametrize(("days", "asked_again"), [(29, False), (31, True)])
async def test_an_approval_by_preview_that_waited_too_long_for_writing_is_requested_again(
    days: int, asked_again: bool
) -> None:
    run = Run()
    people = run.people(30)
    await run.change([SMALL])
    request = OperationRequest(Target(TEAM), MIA, LicenseChange(remove=(SMALL.sku_id,)))
    preview = await run.finish(await accept(run.world, replace(request, preview=True)))
    await turn_off(run.world, NOA)
    operation = await run.finish(await accept(run.world, replace(request, preview_id=preview.id)), approve=False)
    run.later(days=days)
    await turn_on(run.world, NOA)
    await run.work_off()
    found = await run.read(operation)
    assert (found.state is OperationState.AWAITING_APPROVAL) is asked_again
    assert licensed(run, people) == (30 if asked_again else 0)


async def test_an_expired_list_is_not_approved_while_writing_is_off() -> None:
    run, people, operation = await waiting_removal(30)
    await turn_off(run.world, MIA)
    run.later(days=31)
    with pytest.raises(Outdated, match="expired"):
        await approvals.approve(run.world, operation.id, operation.checksum, NOA)
    await turn_on(run.world, MIA)
    await watchdog(run.world)
    await run.work_off()
    assert (await run.read(operation)).error is not None
    assert licensed(run, people) == 30
