"""Work left over by a lost message, a slow call or somebody else's hand is done all the same, and only it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from shared.domain.assignment import AssignmentOptions
from shared.domain.directory import AssignedLicense, LicenseAssignmentState
from shared.domain.ids import UserId
from shared.domain.messages import MEMBERS, MEMBERS_BULK, OPERATIONS
from shared.domain.operation import LicenseChange, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.operations import control
from shared.handlers.operations.accept import accept
from shared.handlers.operations.members_queue import Members
from shared.handlers.operations.watchdog import watchdog
from shared.ports.graph_writes import LicenseCall, LicenseWriter, WriteResult
from shared.ports.messaging import Outgoing
from tests.support.runs import EXTRA, LARGE, MAIL, MIA, OTHER_TEAM, SMALL, TEAM, Run, user


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
    for message in [*lost, *(each for each in messages if each.queue == OPERATIONS)]:
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

    def lose_the_second_look(message: Outgoing) -> None:
        for each in list(run.fakes.queue.messages):
            if each.queue in (MEMBERS, MEMBERS_BULK) and each.at is not None and not lost:
                lost.append(each)
                run.fakes.queue.messages.remove(each)

    run.before = lose_the_second_look
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


@dataclass
class SlowWriter:
    """Takes a minute and a half for every call, and refuses the first ones so that more are made."""

    run: Run
    writer: LicenseWriter
    calls: int = 0

    async def assign(self, calls: Mapping[UserId, LicenseCall], *, urgent: bool) -> Mapping[UserId, WriteResult]:
        self.calls += 1
        self.run.later(seconds=90)
        return await self.writer.assign(calls, urgent=urgent)

    async def set_usage_locations(
        self, locations: Mapping[UserId, str], *, urgent: bool
    ) -> Mapping[UserId, WriteResult]:
        return await self.writer.set_usage_locations(locations, urgent=urgent)


async def test_a_chunk_whose_calls_are_slow_gives_its_users_back_before_its_lock_ends() -> None:
    run = Run()
    slow_one, other = run.people(2)
    for each in (slow_one, other):
        run.writer.refuse(each, "a text that names nothing", times=6)
    slow = SlowWriter(run, run.world.licenses)
    run.world = replace(run.world, licenses=slow)
    spent: list[timedelta] = []
    deliver = run.deliver

    async def timed(message: Outgoing) -> None:
        began = run.world.clock.now()
        await deliver(message)
        spent.append(run.world.clock.now() - began)

    run.deliver = timed  # type: ignore[method-assign]
    run.workers = [Members(run.world), Members(run.world)]
    await run.change([SMALL, LARGE, EXTRA])
    assert slow.calls > 2
    assert max(spent) < timedelta(minutes=5)


async def test_who_only_inherited_a_license_gets_it_when_its_source_ends() -> None:
    run = Run()
    kept, lost = run.people(2)
    native = LicenseAssignmentState(SMALL.sku_id, assigned_by_group=OTHER_TEAM, last_updated=run.world.clock.now())
    for each in (kept, lost):
        run.directory.change_user(replace(run.directory.truth(each), license_assignment_states=(native,)))
    first = await run.finish(
        await accept(
            run.world,
            OperationRequest(
                Target(TEAM),
                MIA,
                LicenseChange((AssignedLicense(SMALL.sku_id),), options=AssignmentOptions(count_inherited=True)),
            ),
        )
    )
    assert (first.totals.wrote, first.totals.unchanged) == (0, 2)
    run.directory.change_user(replace(run.directory.truth(lost), license_assignment_states=()))
    await sync_all(run.world)
    await run.work_off()
    assert run.licenses(lost) == {"SMALL"}
    assert run.writes_of(kept) == 0


async def test_a_foreign_license_edited_during_a_grant_is_left_as_its_giver_last_said() -> None:
    run = Run()
    member = run.directory.add_user(user(21), groups=[TEAM], has=[AssignedLicense(SMALL.sku_id)])
    other = run.directory.add_user(user(22), groups=[TEAM])
    await run.change([SMALL])
    edited = LicenseAssignmentState(SMALL.sku_id, frozenset({MAIL}), last_updated=run.world.clock.now())
    run.directory.change_user(replace(run.directory.truth(member), license_assignment_states=(edited,)))
    await sync_all(run.world)
    await run.work_off()
    for each in (member, other):
        run.directory.leave(TEAM, each)
    await run.look_at(member, other, cause="left")
    run.later(minutes=2)
    await run.look_at(member, other, cause="left-2")
    assert run.directory.licenses(member) == {SMALL.sku_id: frozenset({MAIL})}
    assert (run.licenses(other), run.writes_of(member)) == (set(), 0)


async def test_of_two_licenses_to_remove_one_that_was_taken_by_hand_does_not_hide_the_other() -> None:
    run = Run()
    first, second, other = run.people(3)
    await run.change([SMALL, EXTRA])
    for each, taken in ((first, SMALL), (second, EXTRA)):
        run.directory.make_stale(each)
        held = run.directory.truth(each)
        rest = tuple(row for row in held.license_assignment_states if row.sku_id != taken.sku_id)
        run.directory.change_user(replace(held, license_assignment_states=rest))
    ended = await run.change(remove=[SMALL, EXTRA])
    assert ended.state is OperationState.COMPLETE
    assert [run.licenses(each) for each in (first, second, other)] == [set(), set(), set()]


async def test_an_operation_is_not_done_while_users_of_a_chunk_whose_process_died_have_no_outcome() -> None:
    """Some users went back alone; the process died before it could say anything of the whole chunk."""
    run = Run()
    throttled, *people = run.people(6)
    run.writer.throttle(throttled, 5.0)
    run.writer.drop(people[0])
    died: list[str] = []
    queue = run.world.queue
    chunks: list[Outgoing] = []

    class Dying:
        async def send(self, messages: Sequence[Outgoing]) -> None:
            await queue.send(messages)
            if not died and any(json.loads(each.body).get("send") for each in messages):
                died.append("here")
                raise Killed

    def keep(message: Outgoing) -> None:
        if message.queue == MEMBERS:
            chunks.append(message)

    run.before = keep
    run.world = replace(run.world, queue=Dying())
    run.workers = [Members(run.world), Members(run.world)]
    operation = await run.ask([SMALL])
    with pytest.raises(Killed):
        await run.work_off()
    lock = timedelta(seconds=60)
    run.fakes.queue.messages.append(replace(chunks[0], at=run.world.clock.now() + lock))
    ended = await run.finish(operation)
    assert (ended.totals.applied, ended.totals.remaining) == (6, 0)
    assert all(run.licenses(each) == {"SMALL"} for each in (throttled, *people))


class Killed(BaseException):
    """The process died."""
