"""Calls of a move: members are processed again within the license writes that the tenant takes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from shared.domain.ids import UserId
from shared.domain.move import Direction
from shared.domain.write_results import Accepted, Contended, Throttled, WriteResult
from shared.handlers.operations.move_calls import BUSY_STEP, READ_AGAIN, REPROCESS_FOR, reprocess
from shared.handlers.reconcile.write_limiter import Pacer
from tests.support.moving import MovingRun
from tests.support.narrow import leases, narrow


async def a_move(count: int = 12) -> tuple[MovingRun, list[UserId]]:
    """A move that has begun, and the group's members."""
    run = MovingRun()
    people = run.native_group(count)
    await run.begin(Direction.TO_DIRECT)
    return run, people


async def test_no_more_members_are_in_flight_than_the_tenant_takes() -> None:
    run, people = await a_move()
    await narrow(run.fakes, 5)
    in_flight: list[tuple[int, int]] = []

    async def counted(user_ids: Sequence[UserId], *, urgent: bool) -> Mapping[UserId, WriteResult]:
        in_flight.append((len(user_ids), await leases(run.fakes)))
        return await run.fakes.native.reprocess(user_ids, urgent=urgent)

    native: Any = SimpleNamespace(reprocess=counted)
    move, wait = await reprocess(replace(run.world, native=native), await run.move(), people)
    assert in_flight == [(5, 5), (5, 5), (2, 2)]
    assert await leases(run.fakes) == 0
    assert run.fakes.native.reprocessed == people
    assert (move.reprocessed_at, wait) == (run.world.clock.now(), READ_AGAIN)


async def test_while_another_license_write_is_in_flight_the_move_comes_back_later() -> None:
    run, people = await a_move()
    await narrow(run.fakes, 1)
    other = Pacer(run.world)
    grant, _ = await other.take([1], urgent=False)
    assert grant.lease is not None
    move, wait = await reprocess(run.world, await run.move(), people)
    assert (move.reprocessed_at, run.fakes.native.reprocessed) == (None, [])
    assert wait > timedelta(seconds=1)
    await other.report(grant.lease, {})
    move, _ = await reprocess(run.world, await run.move(), people)
    assert move.reprocessed_at is not None
    assert run.fakes.native.reprocessed == people


@pytest.mark.parametrize("answer", [Throttled(40.0), Contended("busy")])
async def test_members_whom_graph_had_no_room_for_are_processed_again(answer: WriteResult) -> None:
    run, people = await a_move()
    run.fakes.native.answer = lambda user_id: answer if user_id == people[3] else Accepted()
    move, wait = await reprocess(run.world, await run.move(), people)
    assert (move.reprocessed_at, wait) == (None, BUSY_STEP)
    assert await leases(run.fakes) == 0


async def test_a_member_who_is_rejected_beside_other_writes_for_a_day_does_not_hold_up_the_move() -> None:
    run, people = await a_move()
    run.fakes.native.answer = lambda user_id: Contended("busy")
    run.later(hours=25)
    move, wait = await reprocess(run.world, await run.move(), people)
    assert (move.reprocessed_at, wait) == (run.world.clock.now(), READ_AGAIN)


async def test_all_members_in_error_are_processed_again_in_as_many_steps_as_it_takes() -> None:
    """Microsoft's licensing fails for every member at first. No person has to resume the move for that."""
    run = MovingRun(fails=1.0)
    people = await run.direct_group(450)
    await run.begin(Direction.TO_NATIVE)
    began: list[datetime] = []
    run.engine.reprocessing = lambda: began.append(run.world.clock.now())
    await run.work_off(lambda: len(began) >= len(people))
    move = await run.move()
    assert not move.paused, move.paused
    assert sorted(run.fakes.native.reprocessed) == sorted(people)
    assert began[-1] - began[0] > 2 * REPROCESS_FOR
    assert not run.gaps


async def test_a_step_goes_on_after_the_last_member_who_was_processed() -> None:
    run, people = await a_move(250)
    busy = people[130]
    run.fakes.native.answer = lambda user_id: Throttled(40.0) if user_id == busy else Accepted()
    move, wait = await reprocess(run.world, await run.move(), people[::-1])
    assert (move.reprocessed_to, move.reprocessed_at, wait) == (people[129], None, BUSY_STEP)
    run.fakes.native.answer = None
    calls = len(run.fakes.native.reprocessed)
    for _ in range(30):
        run.later(seconds=40)
        move, wait = await reprocess(run.world, move, people)
        if move.reprocessed_at is not None:
            break
    assert run.fakes.native.reprocessed[calls:] == people[130:]
    assert (move.reprocessed_to, wait) == (None, READ_AGAIN)
