"""While writing is turned off nothing is written or counted; when it is turned on, work begins with fresh reads."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.bootstrap import App, SignIn
from shared.domain.errors import BadRequest
from shared.domain.messages import MEMBERS, ProcessUsers, decode_process_users
from shared.domain.operation import OperationState
from shared.domain.read_models import AuditFilter
from shared.domain.writing import RETRY_S, WritingSetting
from shared.handlers.operations.approvals import reject
from shared.handlers.operations.control import cancel, pause
from shared.handlers.operations.writing import follow_setting, turn_off, turn_on
from shared.handlers.reconcile.write_limiter import writing
from shared.ports.messaging import Outgoing
from shared.ports.world import World
from tests.support.runs import EXTRA, MIA, NOA, SMALL, TEAM, Run, user
from tests.support.worlds import Fakes, fake_world


def world_with(setting: WritingSetting) -> Fakes:
    fakes = fake_world()
    return replace(fakes, world=replace(fakes.world, policy=replace(fakes.world.policy, writing=setting)))


def with_setting(run: Run, setting: WritingSetting) -> World:
    """The world of another deployment of the same app."""
    return replace(run.world, policy=replace(run.world.policy, writing=setting))


async def test_a_new_deployment_previews_and_reads_and_writes_only_after_an_administrator_turned_it_on() -> None:
    run = Run(world_with(WritingSetting.INITIALLY_OFF))
    people = run.people(3)
    preview = await run.finish(await run.ask([SMALL], preview=True))
    assert preview.state is OperationState.COMPLETE
    assert preview.totals.members == 3
    operation = await run.finish(await run.ask([SMALL]))
    assert operation.state is OperationState.QUEUED
    assert run.writer.log == []
    rows = await run.world.stores.ledger.rows(people)
    assert all(row.intent is None for row in rows.values())

    run.later(days=3)
    await turn_on(run.world, MIA)
    done = await run.finish(operation)
    assert (done.state, done.totals.applied, done.totals.failed) == (OperationState.COMPLETE, 3, 0)
    assert [run.licenses(each) for each in people] == [{"SMALL"}] * 3
    now = run.world.clock.now()
    found, _ = await run.world.stores.audit.search(AuditFilter(activity="writing"), now - timedelta(days=9), now, 9)
    (entry,) = found
    assert (entry.activity, entry.initiator) == ("Turn on writing", MIA)


async def test_an_event_waits_without_an_attempt_and_its_user_is_licensed_after_it_is_turned_on() -> None:
    run = Run()
    run.people(2)
    await run.change([SMALL])
    await turn_off(run.world, MIA)
    newcomer = run.directory.add_user(user(7), groups=[TEAM])
    before = len(run.writer.log)
    message = ProcessUsers(
        (newcomer,), "event", bulk=False, attempts={newcomer: 7}, first_sent_at=run.world.clock.now()
    )
    run.later(days=2)
    await run.deliver(Outgoing(MEMBERS, message.encode()))
    (parked,) = run.fakes.queue.messages
    fresh = decode_process_users(parked.body)
    assert (fresh.attempts, fresh.first_sent_at) == ({}, None)
    assert parked.at == run.world.clock.now() + timedelta(seconds=RETRY_S)
    assert len(run.writer.log) == before
    await turn_on(run.world, MIA)
    await run.work_off()
    assert run.licenses(newcomer) == {"SMALL"}


async def test_a_removal_that_waited_when_it_was_turned_off_waits_anew() -> None:
    run = Run()
    people = run.people(3)
    await run.change([SMALL])
    run.directory.leave(TEAM, people[0])
    message = Outgoing(MEMBERS, ProcessUsers((people[0],), "event", bulk=False).encode())
    await run.deliver(message)
    run.fakes.queue.messages.clear()
    await turn_off(run.world, MIA)
    run.later(days=1)
    await turn_on(run.world, MIA)
    run.later(seconds=10)
    await run.deliver(message)
    assert run.licenses(people[0]) == {"SMALL"}
    (again,) = run.fakes.queue.messages
    assert again.at is not None
    window = timedelta(seconds=run.world.policy.removal_window_s)
    assert again.at >= run.world.clock.now() + window
    await run.work_off()
    assert run.licenses(people[0]) == set()


async def test_what_was_handed_out_when_it_was_turned_off_is_handed_out_again_with_fresh_reads() -> None:
    run = Run()
    people = run.people(60)
    operation = await run.ask([SMALL])
    await run.work_off(until=lambda: len(run.writer.log) >= 20)
    await turn_off(run.world, MIA)
    await run.work_off()
    written = len(run.writer.log)
    assert written < 60
    assert (await run.read(operation)).state is OperationState.IN_PROGRESS
    run.later(days=2)
    await turn_on(run.world, MIA)
    done = await run.finish(operation)
    assert (done.state, done.totals.applied, done.totals.failed) == (OperationState.COMPLETE, 60, 0)
    assert all(run.writes_of(each) == 1 for each in people)


@pytest.mark.parametrize("paused", [False, True])
async def test_an_operation_that_is_cancelled_while_writing_is_off_ends_without_writing(paused: bool) -> None:
    run = Run()
    people = run.people(60)
    operation = await run.ask([SMALL])
    await run.work_off(until=lambda: len(run.writer.log) >= 20)
    if paused:
        await pause(run.world, operation.id, MIA)
    await turn_off(run.world, MIA)
    await run.work_off()
    written = len(run.writer.log)
    await cancel(run.world, operation.id, MIA)
    await run.work_off()
    ended = await run.read(operation)
    assert ended.state is OperationState.CANCELLED
    assert (ended.totals.applied, ended.totals.skipped) == (written, 60 - written)
    assert len(run.writer.log) == written < 60

    await turn_on(run.world, MIA)
    await run.work_off()
    assert (await run.read(operation)).totals == ended.totals
    assert len(run.writer.log) == written
    assert sum(bool(run.licenses(each)) for each in people) == written


async def test_a_list_that_is_rejected_while_writing_is_off_ends_too() -> None:
    run = Run()
    people = run.people(30)
    await run.change([SMALL, EXTRA])
    operation = await run.ask(remove=[SMALL])
    await run.work_off()
    assert (await run.read(operation)).state is OperationState.AWAITING_APPROVAL
    await turn_off(run.world, MIA)
    await reject(run.world, operation.id, NOA)
    await run.work_off()
    assert (await run.read(operation)).state is OperationState.CANCELLED
    assert [run.licenses(each) for each in people] == [{"SMALL", "EXTRA"}] * 30


async def test_a_charge_made_by_a_worker_that_has_not_seen_it_turned_off_is_rejected() -> None:
    run = Run()
    run.people(2)
    await run.change([SMALL])
    newcomer = run.directory.add_user(user(7), groups=[TEAM])
    for worker in run.workers:
        assert (await worker._pacer.writing()).is_on
    await turn_off(run.world, MIA)
    before = len(run.writer.log)
    await run.deliver(Outgoing(MEMBERS, ProcessUsers((newcomer,), "event", bulk=False).encode()))
    assert len(run.writer.log) == before
    row = (await run.world.stores.ledger.rows([newcomer]))[newcomer]
    assert row.intent is None
    (back,) = run.fakes.queue.messages
    assert decode_process_users(back.body).attempts == {}


async def test_the_setting_forces_it_off_and_when_it_is_gone_open_work_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = Run()
    run.people(3)
    off = with_setting(run, WritingSetting.OFF)
    with pytest.raises(BadRequest, match="The setting WRITING is off"):
        await turn_on(off, MIA)
    await follow_setting(off)
    operation = await run.ask([SMALL])
    await run.work_off()
    assert run.writer.log == []
    with caplog.at_level(logging.WARNING):
        await follow_setting(run.world)
    assert "turn on writing initiator=setting" in caplog.text
    assert (await run.finish(operation)).totals.applied == 3


async def test_timers_that_lead_to_writes_wait() -> None:
    run = Run()
    people = run.people(2)
    await run.change([SMALL])
    app = App(run.world, SignIn(True, "tenant"))
    await turn_off(run.world, MIA)
    operation = await run.ask([SMALL])
    run.fakes.queue.messages.clear()
    run.later(hours=3)
    for timer in (
        app.sync_all,
        app.assign_freed_licenses,
        app.reconcile_due_users,
        app.resume_due_events,
        app.watchdog,
    ):
        await timer()
    assert run.fakes.queue.messages == []
    await turn_on(run.world, MIA)
    assert (await run.finish(operation)).totals.unchanged == len(people)
    assert (await writing(run.world)).is_on
