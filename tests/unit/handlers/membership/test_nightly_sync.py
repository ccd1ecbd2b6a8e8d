"""The nightly sync corrects drift of any cause, and leaves cancelled operations alone."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.assignment import Enforcement
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.operations import control
from shared.handlers.operations.sync import SYNC
from tests.support.notifications import managed, operations
from tests.support.runs import MIA, SMALL, TEAM, Run, user


async def test_the_nightly_sync_mends_drift_of_any_cause_and_is_started_once() -> None:
    run, (lost, left, fine) = await managed()
    missed = run.directory.add_user(user(50), groups=[TEAM])
    run.directory.leave(TEAM, left)
    run.later(hours=1)
    truth = run.directory.truth(lost)
    run.directory.change_user(replace(truth, license_assignment_states=()))
    for _ in range(2):
        await sync_all(run.world)
    await run.work_off()
    assert [run.licenses(each) for each in (lost, left, fine, missed)] == [{"SMALL"}, set(), {"SMALL"}, {"SMALL"}]
    (operation,) = await operations(run, SYNC)
    assert (operation.plan.additions, operation.plan.removals) == ({SMALL.sku_id: 2}, {SMALL.sku_id: 1})


async def test_a_sync_named_by_the_hour_is_newer_than_an_operation_of_the_same_hour() -> None:
    run, _ = await managed()
    run.later(minutes=5)
    await run.change(reprocess=True)
    missed = run.directory.add_user(user(50), groups=[TEAM])
    await sync_all(run.world)
    await run.work_off()
    assert run.licenses(missed) == {"SMALL"}


async def test_people_whom_no_group_accounts_for_are_found_at_night() -> None:
    run, (restored, fine, _) = await managed()
    run.directory.delete_user(restored)
    await run.finish(await run.ask(reprocess=True))
    run.directory.restore_user(restored)
    run.directory.leave(TEAM, restored)
    await sync_all(run.world)
    await run.work_off()
    assert (run.licenses(restored), run.licenses(fine)) == (set(), {"SMALL"})


async def test_a_group_whose_operation_was_cancelled_is_not_completed_at_night() -> None:
    run = Run()
    people = run.people(45)
    run.world = replace(run.world, policy=replace(run.world.policy, outstanding_chunks=1))
    operation = await run.ask([SMALL])
    await run.work_off(until=lambda: len(run.writer.log) >= 20)
    await control.cancel(run.world, operation.id, MIA)
    await run.work_off()
    had = [each for each in people if run.licenses(each)]
    await sync_all(run.world)
    await run.work_off()
    assert [each for each in people if run.licenses(each)] == had
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    assert {sku.enforcement for sku in stored.assignment.skus} == {Enforcement.CANCELLED}
