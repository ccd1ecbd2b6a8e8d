"""Approvals and rejections of removals: what they permit, and when they end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.assignment import AssignmentOptions, OptionsChange
from shared.domain.directory import AssignedLicense
from shared.domain.errors import BadRequest
from shared.domain.group_status import GroupState
from shared.domain.ids import ServicePlanId, UserId
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations import approvals, control, permit_writes
from shared.handlers.operations.accept import accept
from shared.handlers.operations.assignment_changes import set_options
from shared.ports.world import World
from tests.support.operations import adds_up, group_state, open_approval, slow, waiting_removal
from tests.support.runs import EXTRA, LARGE, MAIL, MIA, NOA, SMALL, TEAM, Run, user

MANY, MORE = 30, 90


async def narrow(run: Run, *plans: ServicePlanId) -> Operation:
    change = LicenseChange((AssignedLicense(SMALL.sku_id, frozenset(plans)),))
    return await accept(run.world, OperationRequest(Target(TEAM), MIA, change))


async def reprocess(run: Run) -> Operation:
    return await run.finish(await run.ask(reprocess=True), approve=False)


def plans_off(run: Run, user_id: UserId) -> frozenset[ServicePlanId]:
    return run.directory.licenses(user_id)[SMALL.sku_id]


async def test_who_left_after_the_approval_was_prepared_is_no_part_of_it() -> None:
    run, people, operation = await waiting_removal(MANY)
    late = run.directory.add_user(user(90), groups=[TEAM])
    other = await run.world.stores.permits.of_users([late, people[0]])
    assert not any(other.values())
    ended = await run.finish(operation)
    assert (ended.state, ended.totals.applied) == (OperationState.COMPLETE, MANY)
    permits = await run.world.stores.permits.of_users([late, people[0]])
    assert (len(permits.get(late, ())), len(permits[people[0]])) == (0, 1)


async def test_what_is_approved_today_does_not_take_what_is_given_again_tomorrow() -> None:
    run, people, operation = await waiting_removal(MANY)
    await run.finish(operation)
    assert run.licenses(people[0]) == set()
    run.later(hours=1)
    await run.change([SMALL])
    assert run.licenses(people[0]) == {"SMALL"}
    for each in people[:25]:
        run.directory.leave(TEAM, each)
        await run.reconcile(each, cause=f"left-{each}")
    assert sum(not run.licenses(each) for each in people) == 20


async def test_a_cancelled_approval_removes_nothing_and_the_group_is_shown_as_it_is() -> None:
    run, people, operation = await waiting_removal(MANY)
    cancelled = await control.cancel(run.world, operation.id, MIA)
    assert cancelled.state is OperationState.CANCELLED
    assert adds_up(cancelled)
    for number in range(2):
        await run.reconcile(*people[:2], cause=f"event-{number}")
        run.later(minutes=2)
    assert all(run.licenses(each) == {"SMALL"} for each in people)
    assert await open_approval(run) is None
    assert await group_state(run) is GroupState.ALL_ASSIGNED


async def test_a_newer_request_ends_an_approval_that_waits_and_it_can_be_approved_no_more() -> None:
    run, people, operation = await waiting_removal(MANY)
    newer = await run.change([SMALL, EXTRA])
    older = await run.read(operation)
    assert (older.state, older.superseded_by) == (OperationState.CANCELLED, newer.id)
    assert adds_up(older)
    with pytest.raises(BadRequest):
        await approvals.approve(run.world, older.id, older.checksum, NOA)
    assert await open_approval(run) is None
    assert all(run.licenses(each) == {"SMALL", "EXTRA"} for each in people)
    assert await group_state(run) is GroupState.ALL_ASSIGNED


async def test_plans_whose_turning_off_was_rejected_stay_on_until_a_person_asks_for_it_again() -> None:
    run = Run()
    people = run.people(MANY)
    await run.change([SMALL])
    asked = await run.finish(await narrow(run, MAIL), approve=False)
    assert asked.state is OperationState.AWAITING_APPROVAL
    await approvals.reject(run.world, asked.id, MIA)
    await run.work_off()
    again = await reprocess(run)
    assert (again.state, again.plan.users_losing) == (OperationState.COMPLETE, 0)
    await run.reconcile(people[0])
    assert all(plans_off(run, each) == frozenset() for each in people)
    ended = await run.finish(await narrow(run, MAIL))
    assert ended.approved_by == NOA
    assert all(plans_off(run, each) == {MAIL} for each in people)


async def test_a_rejected_removal_asked_for_again_by_a_person_is_done_when_it_is_approved() -> None:
    run = Run()
    people = run.people(MANY)
    await run.change([SMALL])
    asked = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    await approvals.reject(run.world, asked.id, MIA)
    await run.work_off()
    assert (await reprocess(run)).plan.users_losing == 0
    await run.change([SMALL])
    await run.change(remove=[SMALL])
    assert not any(run.licenses(each) for each in people)


async def half_removed(run: Run, removing: Operation, people: list[UserId]) -> list[UserId]:
    """Approve a removal and stop in the middle of it; returns who still has the license."""
    waiting = await run.finish(removing, approve=False)
    assert waiting.state is OperationState.AWAITING_APPROVAL
    await approvals.approve(run.world, waiting.id, waiting.checksum, NOA)
    await run.work_off(until=lambda: any(not run.licenses(each) for each in people))
    kept = [each for each in people if run.licenses(each)]
    assert len(kept) > 2 * run.world.policy.removal_allowance_minimum
    return kept


async def removed_when_all_leave(run: Run, people: list[UserId]) -> int:
    """Removals after everybody has left the team by mistake."""
    before = len(run.writer.log)
    run.later(hours=1)
    for each in people:
        run.directory.leave(TEAM, each)
    await reconcile_all(run, people)
    return sum(bool(entry.before) and not entry.after for entry in run.writer.log[before:])


async def reconcile_all(run: Run, people: list[UserId]) -> None:
    for start in range(0, len(people), 20):
        await run.reconcile(*people[start : start + 20], cause=f"event-{start}")
    await run.work_off()


async def test_an_approval_ends_where_a_newer_request_gives_the_license_again() -> None:
    run = Run()
    people = run.people(MORE)
    await run.change([SMALL])
    slow(run)
    kept = await half_removed(run, await run.ask(remove=[SMALL]), people)
    await run.change([SMALL])
    assert await removed_when_all_leave(run, kept) == 0


async def test_an_approval_that_ended_stays_so_where_the_newer_request_is_cancelled() -> None:
    run = Run()
    people = run.people(MORE)
    await run.change([SMALL])
    slow(run)
    kept = await half_removed(run, await run.ask(remove=[SMALL]), people)
    again = await run.ask([SMALL])
    await control.cancel(run.world, again.id, MIA)
    await run.work_off()
    assert await removed_when_all_leave(run, kept) == 0


async def test_an_approval_ends_where_options_give_the_license_again() -> None:
    run = Run()
    people = run.people(MORE, enabled=False)
    await run.change([SMALL])
    slow(run)
    license, fewer = AssignedLicense(SMALL.sku_id), AssignmentOptions(include_disabled_accounts=False)
    narrower = LicenseChange((license,), options=fewer)
    removing = await accept(run.world, OperationRequest(Target(TEAM), MIA, narrower))
    kept = await half_removed(run, removing, people)
    await set_options(run.world, TEAM, OptionsChange({"include_disabled_accounts": True}), MIA, None)
    await run.finish(await run.ask(reprocess=True))
    assert await removed_when_all_leave(run, kept) == 0


async def test_an_approval_that_is_made_as_a_newer_request_comes_permits_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run()
    people = run.people(MORE)
    await run.change([SMALL])
    waiting = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    await approvals.approve(run.world, waiting.id, waiting.checksum, NOA)
    write_permits = permit_writes.write_permits

    async def late(world: World, operation: Operation) -> None:
        await run.ask([SMALL])
        run.later(seconds=1)
        await write_permits(world, operation)

    with monkeypatch.context() as slowly:
        slowly.setattr(permit_writes, "write_permits", late)
        await run.work_off()
    assert all(run.licenses(each) for each in people)
    assert await removed_when_all_leave(run, people) == 0


async def test_an_approval_for_named_users_ends_where_they_are_given_the_license_again() -> None:
    run = Run()
    people = [run.directory.add_user(user(number)) for number in range(1, MORE + 1)]
    target, giving = Target(user_ids=tuple(people)), LicenseChange((AssignedLicense(SMALL.sku_id),))
    taking = LicenseChange(remove=(SMALL.sku_id,))
    await run.finish(await accept(run.world, OperationRequest(target, MIA, giving)))
    slow(run)
    await half_removed(run, await accept(run.world, OperationRequest(target, MIA, taking)), people)
    await run.finish(await accept(run.world, OperationRequest(target, MIA, giving)))
    before = len(run.writer.log)
    run.later(hours=1)
    again = await run.finish(await accept(run.world, OperationRequest(target, MIA, taking)), approve=False)
    assert again.state is OperationState.AWAITING_APPROVAL
    await reconcile_all(run, people)
    assert run.writer.log[before:] == []


async def test_another_change_of_the_group_ends_an_approval_and_asks_for_the_rest_again() -> None:
    run = Run()
    people = run.people(90)
    await run.change([SMALL])
    slow(run)
    removing = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    await approvals.approve(run.world, removing.id, removing.checksum, NOA)
    await run.work_off(until=lambda: any(not run.licenses(each) for each in people))
    assert sum(not run.licenses(each) for each in people) == 20
    newer = await run.finish(await run.ask([EXTRA]), approve=False)
    kept = [each for each in people if "SMALL" in run.licenses(each)]
    assert len(kept) == 70
    assert (newer.state, newer.plan.users_losing) == (OperationState.AWAITING_APPROVAL, len(kept))
    await reconcile_all(run, people)
    assert [each for each in people if "SMALL" in run.licenses(each)] == kept
    await run.finish(newer)
    assert all(run.licenses(each) == {"EXTRA"} for each in people)


async def test_pausing_and_resuming_a_removal_leaves_its_approval_as_it_is() -> None:
    run = Run()
    people = run.people(MORE)
    await run.change([SMALL])
    slow(run)
    removing = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    await approvals.approve(run.world, removing.id, removing.checksum, NOA)
    await run.work_off(until=lambda: any(not run.licenses(each) for each in people))
    await control.pause(run.world, removing.id, MIA)
    await run.work_off()
    await control.resume(run.world, removing.id, MIA)
    ended = await run.finish(removing, approve=False)
    assert ended.state is OperationState.COMPLETE
    assert not any(run.licenses(each) for each in people)


async def test_a_reprocess_leaves_the_approval_of_a_completed_operation_and_ends_that_of_an_open_one() -> None:
    run = Run()
    people = run.people(MORE)
    await run.change([LARGE])
    run.directory.add_sku(replace(SMALL, enabled=30))
    swapped = await run.change([SMALL], [LARGE])
    assert (swapped.state, swapped.totals.waiting) == (OperationState.COMPLETE, MORE - 30)
    run.directory.add_sku(replace(SMALL, enabled=MORE))
    await run.finish(await run.ask(reprocess=True), approve=False)
    assert all(run.licenses(each) == {"SMALL"} for each in people)
    slow(run)
    kept = await half_removed(run, await run.ask(remove=[SMALL]), people)
    await run.finish(await run.ask(reprocess=True), approve=False)
    await reconcile_all(run, people)
    assert sum(bool(run.licenses(each)) for each in people) == len(kept)
