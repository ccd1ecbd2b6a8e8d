"""The watchdog hands out users whose messages were lost again, once, and leaves waiting operations alone."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.directory import AssignedLicense
from shared.domain.messages import MEMBERS, MEMBERS_BULK, STEPS
from shared.domain.operation import LicenseChange, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations import control
from shared.handlers.operations.accept import accept
from shared.handlers.operations.watchdog import watchdog
from shared.ports.messaging import Outgoing
from tests.support.runs import MIA, OTHER_TEAM, SMALL, Run


async def test_users_whose_chunk_was_lost_are_handed_out_again_and_nobody_twice() -> None:
    run = Run()
    people = run.people(45)
    lost: list[Outgoing] = []

    def lose_one(message: Outgoing) -> None:
        for each in list(run.fakes.queue.messages):
            if each.queue in (MEMBERS, MEMBERS_BULK) and not lost:
                lost.append(each)
                run.fakes.queue.messages.remove(each)

    run.before = lose_one
    began = run.world.clock.now()
    ended = await run.change([SMALL])
    assert (len(lost), ended.state, ended.totals.applied) == (1, OperationState.COMPLETE, 45)
    assert all(run.writes_of(each) == 1 for each in people)
    assert timedelta(minutes=5) < run.world.clock.now() - began < timedelta(minutes=7)


async def test_after_the_loss_of_all_messages_what_was_reported_meanwhile_puts_off_nothing() -> None:
    run = Run()
    people = run.people(45)
    asked = await run.ask([SMALL])
    await run.work_off(lambda: len(_chunks(run)) == 3)
    messages = run.fakes.queue.messages
    reports, *lost = _chunks(run)
    for message in [*lost, *(each for each in messages if each.queue in STEPS)]:
        messages.remove(message)
    await run.deliver(reports)
    messages.clear()
    run.later(minutes=5, seconds=30)
    assert await watchdog(run.world) == 1
    again = run.world.clock.now()
    ended = await run.finish(asked)
    assert (ended.state, ended.totals.applied) == (OperationState.COMPLETE, 45)
    assert run.world.clock.now() - again < timedelta(minutes=1)
    assert all(run.writes_of(each) == 1 for each in people)


def _chunks(run: Run) -> list[Outgoing]:
    return [message for message in run.fakes.queue.messages if message.queue in (MEMBERS, MEMBERS_BULK)]


async def test_users_whose_second_look_was_lost_are_handed_out_again_when_it_is_minutes_late() -> None:
    run = Run()
    people = run.people(45)
    run.directory.fail_read(people[7])
    lost: list[Outgoing] = []

    def lose_the_second_check(message: Outgoing) -> None:
        for each in list(run.fakes.queue.messages):
            if each.queue in (MEMBERS, MEMBERS_BULK) and each.at is not None and not lost:
                lost.append(each)
                run.fakes.queue.messages.remove(each)

    run.before = lose_the_second_check
    began = run.world.clock.now()
    ended = await run.change([SMALL])
    assert (len(lost), ended.state, ended.totals.applied) == (1, OperationState.COMPLETE, 45)
    assert timedelta(minutes=5) < run.world.clock.now() - began < timedelta(minutes=8)


async def test_the_watchdog_leaves_alone_what_waits_for_a_person_moves_or_has_ended() -> None:
    run = Run()
    run.people(30)
    await run.change([SMALL])
    paused = await accept(
        run.world, OperationRequest(Target(OTHER_TEAM), MIA, LicenseChange((AssignedLicense(SMALL.sku_id),)))
    )
    await control.pause(run.world, paused.id, MIA)
    waiting = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    assert waiting.state is OperationState.AWAITING_APPROVAL
    run.later(minutes=30)
    assert await watchdog(run.world) == 0
    assert run.fakes.sent() == []
    resumed = await control.resume(run.world, paused.id, MIA)
    assert await watchdog(run.world) == 0
    assert (await run.finish(resumed)).state is OperationState.COMPLETE
