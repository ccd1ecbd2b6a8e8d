"""Pause, resume, cancel: what a person does to an operation under way, and dying in the middle of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from shared.domain.errors import BadRequest
from shared.domain.group_status import GroupState
from shared.domain.operation import Operation, OperationState
from shared.domain.read_models import AuditFilter
from shared.handlers.operations import approvals, control
from shared.handlers.operations.watchdog import watchdog
from shared.ports.world import World
from tests.support.kills import KilledError, Killer, killable
from tests.support.operations import adds_up, group_state, open_approval, slow, waiting_removal
from tests.support.runs import LARGE, MIA, NOA, SMALL, Run

PEOPLE = 30


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


async def test_each_pause_is_an_entry_of_the_audit_log() -> None:
    run = Run()
    run.people(3)
    operation = await run.ask([SMALL])
    for number, person in enumerate((MIA, NOA)):
        run.later(minutes=number)
        await control.pause(run.world, operation.id, person)
        await control.resume(run.world, operation.id, person)
    await run.finish(operation)
    now = run.fakes.clock.now()
    entries, _ = await run.world.stores.audit.search(AuditFilter(activity="Pause"), now - timedelta(days=1), now, 9)
    assert [each.initiator.display_name for each in entries] == ["Noa", "Mia"]


async def test_a_removal_cancelled_half_way_leaves_the_others_theirs_whatever_comes_later() -> None:
    run, people, operation = await waiting_removal(PEOPLE)
    slow(run)
    await approvals.approve(run.world, operation.id, operation.checksum, NOA)
    written = len(run.writer.log)
    await run.work_off(until=lambda: len(run.writer.log) > written)
    await control.cancel(run.world, operation.id, MIA)
    cancelled = await run.finish(operation)
    kept = [each for each in people if run.licenses(each)]
    assert (cancelled.state, cancelled.totals.skipped) == (OperationState.CANCELLED, len(kept))
    assert adds_up(cancelled)
    for number in range(2):
        await run.reconcile(*kept[:3], cause=f"event-{number}")
        run.later(minutes=2)
    assert 0 < len(kept) < PEOPLE
    assert all(run.licenses(each) == {"SMALL"} for each in kept)
    assert await group_state(run) is GroupState.ALL_ASSIGNED


async def test_a_swap_cancelled_and_reprocessed_ends_as_was_asked() -> None:
    run = Run()
    people = run.people(45)
    await run.change([SMALL])
    slow(run)
    operation = await run.ask([LARGE], [SMALL])
    await run.work_off(until=lambda: any(run.licenses(each) == {"LARGE"} for each in people))
    await control.cancel(run.world, operation.id, MIA)
    assert adds_up(await run.finish(operation))
    await run.change([LARGE], [SMALL])
    assert all(run.licenses(each) == {"LARGE"} for each in people)


Act = Callable[[World, Operation], Awaitable[Operation]]


async def _approve(world: World, operation: Operation) -> Operation:
    return await approvals.approve(world, operation.id, operation.checksum, NOA)


async def _reject(world: World, operation: Operation) -> Operation:
    return await approvals.reject(world, operation.id, MIA)


async def _cancel(world: World, operation: Operation) -> Operation:
    return await control.cancel(world, operation.id, MIA)


@pytest.mark.parametrize(("act", "left"), [(_approve, 0), (_reject, PEOPLE), (_cancel, PEOPLE)])
async def test_an_act_during_which_the_process_dies_is_done_whole_when_repeated(act: Act, left: int) -> None:
    for at in range(1, 6):
        run, people, operation = await waiting_removal(PEOPLE)
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
            await run.reconcile(*people[:2], cause=f"event-{number}")
            run.later(minutes=2)
        assert sum(bool(run.licenses(each)) for each in people) == left, killer.died_in
        assert await open_approval(run) is None, killer.died_in
