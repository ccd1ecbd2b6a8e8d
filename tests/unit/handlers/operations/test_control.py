"""Approve, reject, pause, resume, cancel, supersede: what a person does to an operation, and dying in the middle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from shared.domain.errors import BadRequest
from shared.domain.group_status import GroupState
from shared.domain.ids import UserId
from shared.domain.operation import Operation, OperationState
from shared.handlers.operations import approvals, control
from shared.handlers.operations.watchdog import watchdog
from shared.ports.world import World
from tests.support.kills import KilledError, Killer, killable
from tests.support.operations import adds_up, group_state, slow
from tests.support.runs import EXTRA, LARGE, MIA, SMALL, TEAM, Run, user

PEOPLE = 30


async def waiting_removal() -> tuple[Run, list[UserId], Operation]:
    """A removal over the allowance that waits for a person."""
    run = Run()
    people = run.people(PEOPLE)
    await run.change([SMALL])
    operation = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    assert operation.state is OperationState.AWAITING_APPROVAL
    return run, people, operation


async def open_approval(run: Run) -> str | None:
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    return stored.assignment.open_approval


async def test_who_left_after_the_approval_was_sealed_is_no_part_of_it() -> None:
    run, people, operation = await waiting_removal()
    late = run.directory.add_user(user(90), groups=[TEAM])
    other = await run.world.stores.permits.of_users([late, people[0]])
    assert not any(other.values())
    ended = await run.finish(operation)
    assert (ended.state, ended.totals.applied) == (OperationState.COMPLETE, PEOPLE)
    permits = await run.world.stores.permits.of_users([late, people[0]])
    assert (len(permits.get(late, ())), len(permits[people[0]])) == (0, 1)


async def test_what_is_approved_today_does_not_take_what_is_given_again_tomorrow() -> None:
    run, people, operation = await waiting_removal()
    await run.finish(operation)
    assert run.licenses(people[0]) == set()
    run.later(hours=1)
    await run.change([SMALL])
    assert run.licenses(people[0]) == {"SMALL"}
    for each in people[:25]:
        run.directory.leave(TEAM, each)
        await run.look_at(each, cause=f"left-{each}")
    assert sum(not run.licenses(each) for each in people) == 20


async def test_a_cancelled_approval_removes_nothing_and_the_group_is_shown_as_it_is() -> None:
    run, people, operation = await waiting_removal()
    cancelled = await control.cancel(run.world, operation.id, MIA)
    assert cancelled.state is OperationState.CANCELLED
    assert adds_up(cancelled)
    for number in range(2):
        await run.look_at(*people[:2], cause=f"event-{number}")
        run.later(minutes=2)
    assert all(run.licenses(each) == {"SMALL"} for each in people)
    assert await open_approval(run) is None
    assert await group_state(run) is GroupState.ALL_ASSIGNED


async def test_a_newer_request_ends_an_approval_that_waits_and_it_can_be_approved_no_more() -> None:
    run, people, operation = await waiting_removal()
    newer = await run.change([SMALL, EXTRA])
    older = await run.read(operation)
    assert (older.state, older.superseded_by) == (OperationState.CANCELLED, newer.id)
    assert adds_up(older)
    with pytest.raises(BadRequest):
        await approvals.approve(run.world, older.id, older.checksum, MIA)
    assert await open_approval(run) is None
    assert all(run.licenses(each) == {"SMALL", "EXTRA"} for each in people)
    assert await group_state(run) is GroupState.ALL_ASSIGNED


async def test_a_paused_operation_does_nothing_until_resumed_and_then_finishes_with_everybody() -> None:
    run = Run()
    people = run.people(60)
    slow(run)
    operation = await run.ask([SMALL])
    await run.work_off(until=lambda: len(run.writer.log) >= 20)
    messages = list(run.fakes.queue.messages)
    await control.pause(run.world, operation.id, MIA)
    await run.work_off()
    written = len(run.writer.log)
    run.later(hours=3)
    assert await watchdog(run.world) == 0
    assert written < 60
    await control.resume(run.world, operation.id, MIA)
    await run.world.queue.send(messages)
    ended = await run.finish(operation)
    assert (ended.state, ended.totals.applied, ended.totals.wrote) == (OperationState.COMPLETE, 60, 60)
    assert all(run.writes_of(each) == 1 for each in people)


async def test_a_removal_cancelled_half_way_leaves_the_others_theirs_whatever_comes_later() -> None:
    run, people, operation = await waiting_removal()
    slow(run)
    await approvals.approve(run.world, operation.id, operation.checksum, MIA)
    written = len(run.writer.log)
    await run.work_off(until=lambda: len(run.writer.log) > written)
    await control.cancel(run.world, operation.id, MIA)
    cancelled = await run.finish(operation)
    kept = [each for each in people if run.licenses(each)]
    assert (cancelled.state, cancelled.totals.skipped) == (OperationState.CANCELLED, len(kept))
    assert adds_up(cancelled)
    for number in range(2):
        await run.look_at(*kept[:3], cause=f"event-{number}")
        run.later(minutes=2)
    assert 0 < len(kept) < PEOPLE
    assert all(run.licenses(each) == {"SMALL"} for each in kept)
    assert await group_state(run) is GroupState.ALL_ASSIGNED


async def test_a_swap_cancelled_and_reprocessed_ends_as_was_asked() -> None:
    run = Run()
    people = run.people(45)
    await run.change([SMALL])
    slow(run)
    operation = await run.finish(await run.ask([LARGE], [SMALL]), approve=False)
    await approvals.approve(run.world, operation.id, operation.checksum, MIA)
    await run.work_off(until=lambda: any(run.licenses(each) == {"LARGE"} for each in people))
    await control.cancel(run.world, operation.id, MIA)
    assert adds_up(await run.finish(operation))
    await run.change([LARGE], [SMALL])
    assert all(run.licenses(each) == {"LARGE"} for each in people)


Act = Callable[[World, Operation], Awaitable[Operation]]


async def _approve(world: World, operation: Operation) -> Operation:
    return await approvals.approve(world, operation.id, operation.checksum, MIA)


async def _reject(world: World, operation: Operation) -> Operation:
    return await approvals.reject(world, operation.id, MIA)


async def _cancel(world: World, operation: Operation) -> Operation:
    return await control.cancel(world, operation.id, MIA)


@pytest.mark.parametrize(("act", "left"), [(_approve, 0), (_reject, PEOPLE), (_cancel, PEOPLE)])
async def test_an_act_during_which_the_process_dies_is_done_whole_when_repeated(act: Act, left: int) -> None:
    for at in range(1, 6):
        run, people, operation = await waiting_removal()
        killer = Killer(at)
        try:
            await act(killable(run.world, killer), operation)
        except KilledError:
            with suppress(BadRequest):
                await act(run.world, operation)
        run.later(minutes=6)
        await watchdog(run.world)
        await run.work_off()
        ended = await run.read(operation)
        assert ended.state.is_ended, killer.died_in
        for number in range(2):
            await run.look_at(*people[:2], cause=f"event-{number}")
            run.later(minutes=2)
        assert sum(bool(run.licenses(each)) for each in people) == left, killer.died_in
        assert await open_approval(run) is None, killer.died_in
