"""Faults that last: whatever does not get better by waiting ends as a visible error and holds up nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from shared.domain.assignment import OptionsChange
from shared.domain.directory import AssignedLicense, ReadFailed
from shared.domain.errors import BadRequest
from shared.domain.ids import GroupId
from shared.domain.member_status import MemberState
from shared.domain.messages import JOBS, MEMBERS, NOTIFICATIONS
from shared.domain.operation import LicenseChange, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.maintenance.retention import forget_old
from shared.handlers.membership.delta import query_deltas
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.messaging.dead_letters import drain
from shared.handlers.operations.accept import accept
from shared.handlers.operations.assignment_changes import set_options
from shared.ports.messaging import Outgoing, Undelivered
from tests.support.fakes_directory import ALWAYS
from tests.support.runs import MIA, OTHER_TEAM, SMALL, TEAM, Run, user

EXCLUDED = GroupId("00000000-0000-0000-0000-000000000999")


async def work(run: Run, **time: float) -> None:
    """Work off what falls due in the next time."""
    end = run.world.clock.now() + timedelta(**time)
    await run.work_off(until=lambda: all(each.at and each.at > end for each in run.fakes.queue.messages))


async def test_an_operation_whose_group_cannot_be_read_for_a_day_fails_and_says_why() -> None:
    run = Run()
    run.people(2)
    run.directory.cut_members(TEAM, 0)
    operation = await run.ask([SMALL])
    await work(run, hours=23)
    assert (await run.read(operation)).state is OperationState.QUEUED
    await run.work_off()
    ended = await run.read(operation)
    assert ended.state is OperationState.FAILED
    assert ended.error is not None and "broke off" in ended.error.message


async def test_a_user_who_alone_cannot_be_read_for_a_day_is_an_error_and_the_others_are_licensed() -> None:
    run = Run()
    broken, member = run.people(2)
    run.directory.fail_read(broken, ReadFailed("Graph answered 500"), times=ALWAYS // 100)
    operation = await run.ask([SMALL])
    await work(run, hours=1)
    assert (await run.read(operation)).state is OperationState.IN_PROGRESS
    for _ in range(24 * 15):
        run.later(minutes=4)
        await work(run, seconds=30)
    ended = await run.read(operation)
    assert (ended.state, ended.totals.applied, ended.totals.failed) == (OperationState.COMPLETE, 1, 1)
    rows, _ = await run.world.stores.members.errors(TEAM, 5)
    assert [(row.user_id, row.problems[0].text) for row in rows] == [
        (broken, "Given up after 24 hours: Graph answered 500")
    ]
    assert run.licenses(member) == {"SMALL"}


class DeadlyRun(Run):
    """Whoever takes the chunk of a deadly user dies; the queue gives the message up at last."""

    deadly = ""

    async def deliver(self, message: Outgoing) -> None:
        if message.queue == MEMBERS and self.deadly in message.body.decode():
            dead_letters = self.fakes.dead_letters.dead_letters
            dead_letters.append(Undelivered(message.queue, message.body, "MaxDeliveryCountExceeded", message.drained))
            return
        await super().deliver(message)


async def test_a_chunk_that_kills_its_function_ends_as_an_error_and_its_operation_ends() -> None:
    run = DeadlyRun()
    deadly, member = run.people(2)
    run.deadly = deadly
    run.world = replace(run.world, policy=replace(run.world.policy, chunk_size=1))
    operation = await run.ask([SMALL])
    for _ in range(30):
        await work(run, minutes=5)
        run.later(minutes=5)
        await drain(run.world)
    ended = await run.read(operation)
    assert (ended.state, ended.totals.applied, ended.totals.failed) == (OperationState.COMPLETE, 1, 1)
    rows, _ = await run.world.stores.members.errors(TEAM, 5)
    assert [(row.user_id, row.state) for row in rows] == [(deadly, MemberState.ERROR)]
    assert run.licenses(member) == {"SMALL"}


async def test_a_dead_letter_too_large_to_send_again_is_kept_and_holds_up_no_other() -> None:
    class Narrow:
        async def send(self, messages: Sequence[Outgoing]) -> None:
            if any(len(each.body) > 9 for each in messages):
                raise BadRequest("MessageTooLarge", "A message of 10 bytes; the limit is 9.")
            await run.fakes.queue.send(messages)

    run = Run()
    run.fakes.dead_letters.dead_letters += [
        Undelivered(MEMBERS, b"0123456789", "x", 0),
        Undelivered(JOBS, b"{}", "x", 0),
    ]
    assert await drain(replace(run.world, queue=Narrow())) == 2
    (dead_letter,) = (await run.world.stores.dead_letters.page(5))[0]
    assert (dead_letter.queue, "limit is 9" in dead_letter.reason) == (MEMBERS, True)
    assert [message.queue for message in run.fakes.sent()] == [JOBS]


async def test_an_excluded_group_that_cannot_be_read_holds_up_neither_the_night_nor_delta() -> None:
    run = Run()
    people = run.people(2)
    await run.change([SMALL])
    run.directory.add_group(EXCLUDED)
    run.directory.thin_members(EXCLUDED)
    options = OptionsChange({"excluded_groups": frozenset({EXCLUDED})})
    await set_options(run.world, TEAM, options, MIA, None)
    joiner = run.directory.add_user(user(9), groups=[TEAM])
    assert await query_deltas(run.world) == 1
    assert await sync_all(run.world) == 1
    await run.work_off()
    assert all(run.licenses(each) == {"SMALL"} for each in (*people, joiner))


async def test_a_token_forgotten_while_the_groups_of_a_slice_change_starts_anew_and_all_are_read() -> None:
    run = Run()
    run.people(2)
    await run.change([SMALL])
    await query_deltas(run.world)
    await run.work_off()
    joiner = run.directory.add_user(user(9), groups=[TEAM])
    run.fakes.changes.forget_tokens()
    run.later(minutes=5)
    change = LicenseChange((AssignedLicense(SMALL.sku_id),))
    await run.finish(await accept(run.world, OperationRequest(Target(OTHER_TEAM), MIA, change)))
    await query_deltas(run.world)
    await run.work_off()
    assert run.licenses(joiner) == {"SMALL"}


async def test_groups_to_be_read_whole_are_asked_for_again_when_the_queue_was_away() -> None:
    run = Run()
    run.people(2)
    await run.change([SMALL])
    await query_deltas(run.world)
    joiner = run.directory.add_user(user(9), groups=[TEAM])
    run.fakes.queue_away(times=1)
    await run.work_off()
    assert run.licenses(joiner) == {"SMALL"}


async def test_deltas_that_cannot_be_read_for_hours_leave_no_pile_of_messages() -> None:
    run = Run()
    run.people(2)
    await run.change([SMALL])
    run.directory.go_away()
    feed = run.fakes.changes

    class Away:
        def __getattr__(self, name: str) -> object:
            raise_away = run.directory.organization
            return lambda *_: raise_away() if name.startswith("delta") else getattr(feed, name)

    run.world = replace(run.world, changes=Away())  # type: ignore[arg-type]
    for _ in range(12):
        await query_deltas(run.world)
        await work(run, minutes=5)
        run.later(minutes=5)
    waiting = [message for message in run.fakes.queue.messages if message.queue == NOTIFICATIONS]
    assert len(waiting) <= 2


async def test_a_deleted_user_is_looked_for_until_nobody_can_restore_him_and_then_forgotten() -> None:
    run = Run()
    deleted, member = run.people(2)
    await run.change([SMALL])
    run.directory.delete_user(deleted)
    queue_states = []
    for _ in range(40):
        run.later(days=1)
        before = len(run.directory.reads)
        await sync_all(run.world)
        await run.work_off()
        queue_states.append(sum(deleted in each for each in run.directory.reads[before:]))
    assert queue_states[20] > 0
    assert queue_states[-1] == 0
    row = (await run.world.stores.ledger.rows([deleted]))[deleted]
    assert not row.managed
    run.later(days=400)
    for _ in range(16):
        await forget_old(run.world)
        run.later(days=1)
    assert (await run.world.stores.ledger.rows([deleted]))[deleted].version is None
    assert run.licenses(member) == {"SMALL"}


async def test_a_user_restored_after_weeks_is_still_managed_although_the_license_shows_late() -> None:
    run = Run()
    restored, member = run.people(2)
    await run.change([SMALL])
    run.directory.delete_user(restored)
    for _ in range(20):
        run.later(days=1)
        await sync_all(run.world)
        await run.work_off()
    run.directory.restore_user(restored)
    person = run.directory.truth(restored)
    run.directory.change_user(replace(person, license_assignment_states=()))
    run.directory.leave(TEAM, restored)
    await run.reconcile(restored, cause="event-1")
    run.directory.change_user(person)
    run.later(minutes=2)
    await run.reconcile(restored, cause="event-2")
    assert (run.licenses(restored), run.licenses(member)) == (set(), {"SMALL"})
