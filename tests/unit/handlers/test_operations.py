"""Steps and chunks doubled, reordered or late; lists of users; previews that approve; groups that read empty."""

from __future__ import annotations

import random

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.ids import UserId
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations.accept import accept
from shared.handlers.operations.watchdog import watchdog
from tests.support.runs import EXTRA, LARGE, MIA, SMALL, TEAM, Run, user


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


async def on_list(run: Run, people: list[UserId], change: LicenseChange) -> Operation:
    return await run.finish(await accept(run.world, OperationRequest(Target(None, tuple(people)), MIA, change)))


async def test_a_list_of_users_is_licensed_and_unlicensed_and_what_a_group_gives_stays() -> None:
    run = Run()
    member = run.directory.add_user(user(1), groups=[TEAM])
    alone = run.directory.add_user(user(2))
    await run.change([EXTRA])
    added = await on_list(run, [member, alone], LicenseChange(tuple(AssignedLicense(s.sku_id) for s in (SMALL, EXTRA))))
    assert (added.state, added.totals.applied) == (OperationState.COMPLETE, 2)
    assert [run.licenses(each) for each in (member, alone)] == [{"SMALL", "EXTRA"}] * 2
    removed = await on_list(run, [member, alone], LicenseChange((), (SMALL.sku_id, EXTRA.sku_id)))
    assert (removed.state, removed.totals.applied) == (OperationState.COMPLETE, 2)
    assert [run.licenses(each) for each in (member, alone)] == [{"EXTRA"}, set()]


async def test_a_preview_approves_what_it_showed_and_nobody_else() -> None:
    run = Run()
    people = run.people(30)
    await run.change([SMALL])
    preview = await run.finish(await run.ask(remove=[SMALL], preview=True))
    operation = await run.ask(remove=[SMALL], preview_id=preview.id)
    ended = await run.finish(operation, approve=False)
    assert (ended.state, ended.totals.applied) == (OperationState.COMPLETE, 30)
    assert all(run.licenses(each) == set() for each in people)


async def test_a_preview_older_than_an_hour_approves_nothing() -> None:
    run = Run()
    people = run.people(30)
    await run.change([SMALL])
    preview = await run.finish(await run.ask(remove=[SMALL], preview=True))
    run.later(minutes=61)
    ended = await run.finish(await run.ask(remove=[SMALL], preview_id=preview.id), approve=False)
    assert ended.state is OperationState.AWAITING_APPROVAL
    assert all(run.licenses(each) == {"SMALL"} for each in people)


async def test_a_group_that_reads_empty_takes_nothing_away_without_a_person() -> None:
    run = Run()
    people = run.people(5)
    await run.change([SMALL])
    for each in people:
        run.directory.leave(TEAM, each)
    ended = await run.finish(await run.ask(reprocess=True), approve=False)
    assert ended.state is OperationState.AWAITING_APPROVAL
    assert all(run.licenses(each) == {"SMALL"} for each in people)


async def test_a_group_that_vanished_holds_what_it_gave() -> None:
    run = Run()
    people = run.people(2)
    await run.change([SMALL])
    run.directory.remove_group(TEAM)
    for number in range(3):
        await run.look_at(*people, cause=f"event-{number}")
        run.later(minutes=5)
    assert [run.licenses(each) for each in people] == [{"SMALL"}, {"SMALL"}]


async def test_doing_it_again_writes_nothing_and_counts_everybody() -> None:
    run = Run()
    run.people(30)
    first = await run.change([SMALL, EXTRA])
    calls = run.writer.calls_made
    again = await run.change([SMALL, EXTRA])
    assert run.writer.calls_made == calls
    assert (first.totals.applied, again.totals.unchanged, again.totals.done) == (30, 30, 30)
