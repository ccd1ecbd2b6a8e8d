"""Operations whose messages are duplicated, reordered or late, and operations that are repeated."""

from __future__ import annotations

import random

import pytest

from shared.domain.operation import OperationState
from shared.handlers.operations.watchdog import watchdog
from tests.support.runs import EXTRA, LARGE, SMALL, Run


async def shuffled(run: Run, seed: int) -> None:
    """Deliver messages in any order, each up to three times, minutes before or after they are due."""
    order = random.Random(seed)
    queue = run.fakes.queue
    for _ in range(1500):
        if not queue.messages:
            return
        message = queue.messages.pop(order.randrange(len(queue.messages)))
        if message.at is not None and message.at > run.world.clock.now():
            run.fakes.clock.move(message.at - run.world.clock.now())
        for _ in range(order.choice((1, 1, 2, 3))):
            await run.deliver(message)
        if order.random() < 0.02:
            run.later(minutes=6)
            await watchdog(run.world)
    raise AssertionError("the work does not end")


@pytest.mark.parametrize("seed", range(4))
async def test_messages_in_any_order_and_number_end_as_those_in_order(seed: int) -> None:
    run = Run()
    people = run.people(50)
    operation = await run.ask([SMALL])
    await shuffled(run, seed)
    ended = await run.read(operation)
    assert (ended.state, ended.totals.applied, ended.totals.wrote) == (OperationState.COMPLETE, 50, 50)
    assert all(run.writes_of(each) == 1 for each in people)
    swap = await run.ask([LARGE], [SMALL])
    await shuffled(run, seed)
    ended = await run.finish(swap)
    assert (ended.state, ended.totals.applied, ended.totals.remaining) == (OperationState.COMPLETE, 50, 0)
    assert all(run.licenses(each) == {"LARGE"} for each in people)
    assert all(run.writes_of(each) == 2 for each in people)


async def test_doing_it_again_writes_nothing_and_counts_everybody() -> None:
    run = Run()
    run.people(30)
    first = await run.change([SMALL, EXTRA])
    calls = run.writer.calls_made
    again = await run.change([SMALL, EXTRA])
    assert run.writer.calls_made == calls
    assert (first.totals.applied, again.totals.unchanged, again.totals.done) == (30, 30, 30)
