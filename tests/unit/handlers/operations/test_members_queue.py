"""Reconciling users when the directory lags, users vanish, stores are away, caches are old, or the process dies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.member_status import MemberState
from shared.domain.messages import MEMBERS, STEPS, ProcessUsers
from shared.domain.operation import LicenseChange, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations.accept import accept
from shared.handlers.operations.members_queue import Members
from shared.ports.messaging import Outgoing
from tests.support.runs import EXTRA, LARGE, MIA, OTHER_TEAM, SMALL, TEAM, Run, user


async def give_other_team(run: Run) -> None:
    """The other team gives SMALL too."""
    change = LicenseChange((AssignedLicense(SMALL.sku_id),))
    await run.finish(await accept(run.world, OperationRequest(Target(OTHER_TEAM), MIA, change)))


async def test_a_mover_whom_a_lagging_read_shows_in_neither_group_keeps_the_license() -> None:
    run = Run()
    mover, leaver, _ = run.people(3)
    await run.change([SMALL])
    await give_other_team(run)
    for each in (mover, leaver):
        run.directory.leave(TEAM, each)
    run.directory.make_stale(mover)
    run.directory.join(OTHER_TEAM, mover)
    await run.world.queue.send([Outgoing(MEMBERS, ProcessUsers((mover, leaver), "event-1", bulk=False).encode())])
    await run.work_off(until=lambda: len(run.directory.reads) > 0 and bool(run.fakes.queue.messages[0].at))
    run.directory.make_fresh(mover)
    await run.work_off()
    assert (run.licenses(mover), run.licenses(leaver)) == ({"SMALL"}, set())
    assert run.writes_of(mover) == 1


async def test_a_joiner_whom_the_chunk_does_not_see_in_the_group_yet_is_licensed_when_it_does() -> None:
    run = Run()
    joiner, member = run.people(2)
    operation = await run.ask([SMALL])
    began = run.world.clock.now()

    def lag(message: Outgoing) -> None:
        if message.queue in STEPS:
            return
        run.directory.leave(TEAM, joiner)
        run.directory.make_stale(joiner)
        run.directory.join(TEAM, joiner)
        if (run.world.clock.now() - began).total_seconds() > 80:
            run.directory.make_fresh(joiner)

    run.before = lag
    ended = await run.finish(operation)
    assert (ended.state, ended.totals.applied) == (OperationState.COMPLETE, 2)
    assert (run.licenses(joiner), run.licenses(member)) == ({"SMALL"}, {"SMALL"})
    assert (run.world.clock.now() - began).total_seconds() >= 90


async def test_a_user_deleted_after_sealing_fails_after_bounded_looks_and_the_others_are_licensed() -> None:
    run = Run()
    deleted, member = run.people(2)
    operation = await run.ask([SMALL])
    run.before = lambda message: run.directory.delete_user(deleted) if message.queue not in STEPS else None
    ended = await run.finish(operation)
    assert (ended.state, ended.totals.failed, ended.totals.applied) == (OperationState.COMPLETE, 1, 1)
    assert sum(deleted in each for each in run.directory.reads) <= 9
    assert run.licenses(member) == {"SMALL"}


async def test_a_deleted_user_keeps_what_the_app_assigned_and_is_unlicensed_when_restored_outside_the_group() -> None:
    run = Run()
    deleted, member = run.people(2)
    await run.change([SMALL])
    run.directory.delete_user(deleted)
    await run.reconcile(deleted, member)
    run.later(days=20)
    run.directory.restore_user(deleted)
    run.directory.leave(TEAM, deleted)
    await run.reconcile(deleted, member, cause="event-2")
    assert (run.licenses(deleted), run.licenses(member)) == (set(), {"SMALL"})


async def test_stores_away_in_the_middle_of_many_messages_lose_nothing() -> None:
    run = Run()
    people = run.people(90)
    run.world = replace(run.world, policy=replace(run.world.policy, outstanding_chunks=3))
    operation = await run.ask([SMALL])
    met = 0

    def away(message: Outgoing) -> None:
        nonlocal met
        met += 1
        run.fakes.tables.away = 4 <= met <= 60

    run.before = away
    ended = await run.finish(operation)
    assert (ended.state, ended.totals.applied, ended.totals.wrote) == (OperationState.COMPLETE, 90, 90)
    assert met > 60
    assert all(run.writes_of(each) == 1 for each in people)
    assert (await run.world.stores.dead_letters.page(5))[0] == ()


async def test_an_event_met_by_a_worker_with_an_old_cache_takes_nothing_that_was_just_given() -> None:
    run = Run()
    people = run.people(2)
    await run.change([EXTRA])
    for worker in run.workers:
        await worker.process(ProcessUsers(tuple(people), "event-0", bulk=False).encode())
    operation = await run.ask([SMALL])
    await run.work_off(until=lambda: all("SMALL" in run.licenses(each) for each in people))
    for worker in run.workers:
        await worker.process(ProcessUsers(tuple(people), "event-1", bulk=False).encode())
    ended = await run.finish(operation)
    assert ended.totals.applied == 2
    run.later(minutes=5)
    await run.reconcile(*people, cause="event-2")
    assert all(run.licenses(each) == {"SMALL", "EXTRA"} for each in people)


async def test_a_held_removal_does_not_keep_other_additions_back() -> None:
    run = Run()
    people = run.people(25)
    await run.change([SMALL])
    change = LicenseChange((AssignedLicense(EXTRA.sku_id),))
    await run.finish(await accept(run.world, OperationRequest(Target(OTHER_TEAM), MIA, change)))
    for each in people:
        run.directory.leave(TEAM, each)
        run.directory.join(OTHER_TEAM, each)
        await run.reconcile(each, cause=f"moved-{each}")
    assert all("EXTRA" in run.licenses(each) for each in people)
    assert sum("SMALL" in run.licenses(each) for each in people) == 5


async def test_a_problem_with_one_license_does_not_keep_the_removal_of_another_from_its_second_look() -> None:
    run = Run()
    unmanaged = [AssignedLicense(EXTRA.sku_id, frozenset(plan.service_plan_id for plan in EXTRA.service_plans))]
    odd = run.directory.add_user(user(1), has=unmanaged, groups=[TEAM])
    plain = run.directory.add_user(user(2), groups=[TEAM])
    await run.change([SMALL, EXTRA])
    ended = await run.change(remove=[SMALL])
    assert (run.licenses(odd), run.licenses(plain)) == ({"EXTRA"}, {"EXTRA"})
    assert (ended.totals.failed, ended.totals.applied, ended.totals.wrote) == (1, 1, 2)
    states = await run.world.stores.members.states(TEAM)
    assert states == {odd: MemberState.ACTIVE_WITH_ERROR, plain: MemberState.ACTIVE}


async def test_two_groups_of_a_user_are_both_shown_and_leaving_one_keeps_what_the_other_gives() -> None:
    run = Run()
    both, one = run.people(2)
    run.directory.join(OTHER_TEAM, both)
    await run.change([SMALL, LARGE])
    await give_other_team(run)
    run.directory.leave(TEAM, both)
    await run.reconcile(both, one)
    assert (run.licenses(both), run.licenses(one)) == ({"SMALL"}, {"SMALL", "LARGE"})
    states = [await run.world.stores.members.states(group) for group in (TEAM, OTHER_TEAM)]
    assert [each.get(both) for each in states] == [MemberState.REMOVED, MemberState.ACTIVE]


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
