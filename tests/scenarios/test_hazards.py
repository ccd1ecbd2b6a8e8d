"""Ways such a system takes what it should not, loses work or lies: each scenario on whole operations, with fakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.directory import AssignedLicense, LicenseAssignmentState, LicenseState, ReadFailed
from shared.domain.errors import Unavailable
from shared.domain.ids import UserId
from shared.domain.member_status import MemberState
from shared.domain.messages import STEPS
from shared.domain.operation import Operation, OperationState
from shared.handlers.operations import approvals, control
from shared.handlers.operations.watchdog import watchdog
from tests.support.builders import audited
from tests.support.runs import EXTRA, LARGE, MAIL, MIA, OTHER_TEAM, SMALL, TEAM, Run, user


def add_up(operation: Operation) -> bool:
    totals = operation.totals
    return totals.done == totals.members


async def test_while_an_approval_waits_an_event_on_the_same_user_removes_nothing() -> None:
    run = Run()
    people = run.people(30)
    await run.change([SMALL])
    waiting = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    assert waiting.state is OperationState.AWAITING_APPROVAL
    for _ in range(2):
        await run.reconcile(*people[:2])
        run.later(minutes=2)
    assert [run.licenses(each) for each in people[:2]] == [{"SMALL"}, {"SMALL"}]
    await approvals.reject(run.world, waiting.id, MIA)
    await run.work_off()
    await run.reconcile(*people[:2], cause="event-2")
    assert all(run.licenses(each) == {"SMALL"} for each in people)


async def test_removals_that_come_one_by_one_stop_at_the_allowance_of_the_day_and_additions_go_on() -> None:
    run = Run()
    people = run.people(40)
    await run.change([SMALL])
    for each in people[:25]:
        run.directory.leave(TEAM, each)
        await run.reconcile(each, cause=f"left-{each}")
    gone = [each for each in people if not run.licenses(each)]
    assert len(gone) == 20
    newcomer = run.directory.add_user(user(99), groups=[TEAM])
    await run.reconcile(newcomer, cause="joined")
    assert run.licenses(newcomer) == {"SMALL"}


async def test_who_cannot_get_the_new_license_keeps_the_old_one() -> None:
    run = Run()
    people = run.people(6)
    await run.change([SMALL])
    run.directory.add_sku(replace(LARGE, enabled=2))
    ended = await run.change([LARGE], [SMALL])
    assert sorted(map(sorted, map(run.licenses, people))) == [["LARGE"]] * 2 + [["SMALL"]] * 4
    assert (ended.totals.waiting, ended.totals.applied) == (4, 2)
    assert add_up(ended)


async def test_a_rejection_that_names_nothing_leaves_out_only_what_is_rejected_and_what_it_replaces() -> None:
    run = Run()
    first, second = run.people(2)
    await run.change([SMALL])
    run.writer.reject(first, "Some text that nobody has seen before.", times=3)
    ended = await run.change([LARGE, EXTRA], [SMALL])
    assert "SMALL" in run.licenses(first) or "LARGE" in run.licenses(first)
    assert run.licenses(second) == {"LARGE", "EXTRA"}
    assert (ended.totals.failed, ended.totals.applied) == (1, 1)
    (row,), _ = await run.world.stores.members.errors(TEAM, 10)
    assert row.user_id == first
    assert row.problems[0].text == "Some text that nobody has seen before."


async def test_one_read_that_does_not_show_the_membership_removes_nothing() -> None:
    run = Run()
    mover, stayer = run.people(2)
    await run.change([SMALL])
    run.directory.leave(TEAM, mover)
    run.directory.make_stale(mover)
    run.directory.join(TEAM, mover)
    run.before = lambda message: run.directory.make_fresh(mover) if message.at else None
    await run.reconcile(mover, stayer)
    assert run.licenses(mover) == {"SMALL"}
    assert run.directory.reads.count((mover,)) == 1


async def test_a_leaver_loses_the_license_after_two_reads_a_minute_apart() -> None:
    run = Run()
    leaver, stayer = run.people(2)
    await run.change([SMALL])
    run.directory.leave(TEAM, leaver)
    began = run.world.clock.now()
    await run.reconcile(leaver, stayer)
    assert (run.licenses(leaver), run.licenses(stayer)) == (set(), {"SMALL"})
    assert (run.world.clock.now() - began).total_seconds() >= 60


async def test_what_an_administrator_gave_after_our_rejection_is_not_managed_and_is_not_removed() -> None:
    run = Run()
    run.directory.add_sku(replace(SMALL, enabled=1))
    lucky, rejected = run.people(2)
    await run.change([SMALL])
    without = next(each for each in (lucky, rejected) if not run.licenses(each))
    truth = run.directory.truth(without)
    by_hand = LicenseAssignmentState(SMALL.sku_id, last_updated=run.world.clock.now())
    run.directory.change_user(replace(truth, license_assignment_states=(by_hand,)))
    run.directory.leave(TEAM, without)
    for cause in ("left-1", "left-2"):
        await run.reconcile(without, cause=cause)
        run.later(minutes=10)
    assert run.licenses(without) == {"SMALL"}


@pytest.mark.parametrize("observed", ["lose_answer", "drop"])
async def test_a_write_without_an_answer_is_done_once_and_counted_as_applied(observed: str) -> None:
    run = Run()
    unlucky, other = run.people(2)
    forget: Callable[[UserId], None] = getattr(run.writer, observed)
    forget(unlucky)
    ended = await run.change([SMALL])
    assert (ended.state, ended.totals.applied, ended.totals.wrote) == (OperationState.COMPLETE, 2, 2)
    assert (run.writes_of(unlucky), run.writes_of(other)) == (1, 1)
    audit = [entry for entry in await audited(run.world.stores, "202601") if entry.user_id == unlucky]
    assert [entry.result for entry in audit] == ["success"]


async def test_assigning_removing_and_assigning_at_once_ends_as_the_last_request_said() -> None:
    run = Run()
    people = run.people(3)
    for add, remove in (([SMALL], []), ([], [SMALL]), ([SMALL, EXTRA], [])):
        last = await run.ask(add, remove)
    ended = await run.finish(last)
    assert ended.state is OperationState.COMPLETE
    assert all(run.licenses(each) == {"SMALL", "EXTRA"} for each in people)


async def test_an_inherited_license_is_given_directly_too_and_an_unmanaged_one_is_left_as_it_is() -> None:
    run = Run()
    native = LicenseAssignmentState(SMALL.sku_id, assigned_by_group=OTHER_TEAM)
    in_error = replace(native, state=LicenseState.ERROR)
    run.directory.add_user(user(1), rows=[native], groups=[TEAM])
    run.directory.add_user(user(2), rows=[in_error], groups=[TEAM])
    run.directory.add_user(user(3), has=[AssignedLicense(SMALL.sku_id)], groups=[TEAM])
    run.directory.add_user(user(4), has=[AssignedLicense(SMALL.sku_id, frozenset({MAIL}))], groups=[TEAM])
    ended = await run.change([SMALL])
    assert {entry.user_id for entry in run.writer.log} == {user(1), user(2)}
    assert (ended.totals.applied, ended.totals.unchanged, ended.totals.failed) == (2, 1, 1)
    await run.change(remove=[SMALL])
    assert run.licenses(user(3)) == run.licenses(user(4)) == {"SMALL"}
    assert run.licenses(user(1)) == set()


async def test_every_message_delivered_twice_changes_nothing() -> None:
    run = Run()
    people = run.people(45)
    operation = await run.ask([SMALL])
    for _ in range(400):
        if not run.fakes.queue.messages:
            break
        message = min(run.fakes.queue.messages, key=lambda each: each.at or run.world.clock.now())
        run.fakes.queue.messages.remove(message)
        if message.at is not None and message.at > run.world.clock.now():
            run.fakes.clock.move(message.at - run.world.clock.now())
        await run.deliver(message)
        if message.queue not in STEPS:
            await run.deliver(message)
    ended = await run.read(operation)
    assert (ended.state, ended.totals.applied, ended.totals.wrote) == (OperationState.COMPLETE, 45, 45)
    assert all(run.writes_of(each) == 1 for each in people)


async def test_a_step_that_dies_after_its_sends_is_taken_again_and_nobody_is_left_out() -> None:
    run = Run()
    run.people(45)
    operation = await run.ask([SMALL])
    saves = 0
    real = run.world.stores.operations.save

    async def dies_sometimes(changed: Operation) -> Operation:
        nonlocal saves
        saves += 1
        if saves in (2, 4):
            raise Unavailable(1.0, "told to die before the save")
        return await real(changed)

    dying: Any = _With(run.world.stores.operations, save=dies_sometimes)
    run.world = replace(run.world, stores=replace(run.world.stores, operations=dying))
    ended = await run.finish(operation)
    assert (ended.state, ended.totals.applied) == (OperationState.COMPLETE, 45)


class _With:
    """A store with one method replaced."""

    def __init__(self, store: object, **methods: object) -> None:
        self._store = store
        self._methods = methods

    def __getattr__(self, name: str) -> object:
        return self._methods.get(name) or getattr(self._store, name)


async def test_a_directory_that_is_away_for_a_while_loses_nothing() -> None:
    run = Run()
    people = run.people(25)
    operation = await run.ask([SMALL])
    run.directory.go_away(5.0, times=9)
    ended = await run.finish(operation)
    assert (ended.state, ended.totals.applied) == (OperationState.COMPLETE, len(people))
    assert (await run.world.stores.dead_letters.page(5))[0] == ()


async def test_an_operation_whose_message_was_lost_is_set_going_by_the_watchdog() -> None:
    run = Run()
    (only,) = run.people(1)
    operation = await run.ask([SMALL])
    run.fakes.queue.messages.clear()
    assert await watchdog(run.world) == 0
    run.later(minutes=6)
    assert await watchdog(run.world) == 1
    assert (await run.finish(operation)).state is OperationState.COMPLETE
    assert run.licenses(only) == {"SMALL"}


async def test_a_user_who_cannot_be_read_whole_is_never_taken_for_one_without_licenses() -> None:
    run = Run()
    broken, fine = run.people(2)
    run.directory.fail_read(broken, ReadFailed("licenseAssignmentStates is null", rejected=True), times=20)
    ended = await run.change([SMALL])
    assert (run.writes_of(broken), run.writes_of(fine)) == (0, 1)
    assert (ended.state, ended.totals.failed, ended.totals.applied) == (OperationState.COMPLETE, 1, 1)


async def test_a_group_that_was_not_read_to_its_end_plans_nothing() -> None:
    run = Run()
    people = run.people(5)
    await run.change([SMALL])
    run.directory.page_size = 2
    run.directory.cut_members(TEAM, 1)
    operation = await run.ask([EXTRA])
    await run.work_off(until=lambda: run.done > 40)
    assert (await run.read(operation)).state is not OperationState.COMPLETE
    assert all("EXTRA" not in run.licenses(each) for each in people)
    assert all("SMALL" in run.licenses(each) for each in people)


async def test_the_same_rejection_is_not_asked_for_again_until_a_person_reprocesses() -> None:
    run = Run()
    rejected, fine = run.people(2)
    text = "Another object with the same value for property proxyAddresses already exists."
    run.writer.reject(rejected, text, times=9)
    await run.change([SMALL])
    calls = run.writer.calls_made
    await run.reconcile(rejected, fine)
    assert run.writer.calls_made == calls
    await run.change(reprocess=True)
    assert run.writer.calls_made == calls + 1


async def test_a_missing_location_is_the_organizations_and_without_leave_to_set_it_the_user_fails() -> None:
    run = Run()
    lost, denied = run.people(2, location=None)
    run.writer.reject_location(denied, "Insufficient privileges to complete the operation.")
    ended = await run.change([SMALL])
    assert run.directory.truth(lost).usage_location == "DE"
    assert (run.licenses(lost), run.licenses(denied)) == ({"SMALL"}, set())
    assert (ended.totals.applied, ended.totals.failed) == (1, 1)


async def test_who_is_throttled_comes_back_after_the_time_graph_asks_for() -> None:
    run = Run()
    throttled, fine = run.people(2)
    run.writer.throttle(throttled, 40.0)
    began = run.world.clock.now()
    ended = await run.change([SMALL])
    assert (ended.totals.applied, run.writes_of(throttled), run.writes_of(fine)) == (2, 1, 1)
    assert (run.world.clock.now() - began).total_seconds() >= 40


async def test_a_cancelled_operation_is_not_completed_by_an_event_and_reprocessing_enforces_again() -> None:
    run = Run()
    people = run.people(60)
    operation = await run.ask([SMALL])
    run.world = replace(run.world, policy=replace(run.world.policy, outstanding_chunks=1))
    await run.work_off(until=lambda: len(run.writer.log) >= 20)
    await control.cancel(run.world, operation.id, MIA)
    cancelled = await run.finish(operation)
    assert cancelled.state is OperationState.CANCELLED
    assert add_up(cancelled)
    without = next(each for each in people if not run.licenses(each))
    await run.reconcile(without)
    assert run.licenses(without) == set()
    await run.change(reprocess=True)
    assert run.licenses(without) == {"SMALL"}


async def test_rows_and_status_of_the_group_agree_with_what_members_have() -> None:
    run = Run()
    people = run.people(4)
    run.directory.add_user(user(50), guest=True, groups=[TEAM])
    run.writer.reject(people[0], "License assignment failed because service plans x, y are mutually exclusive", times=3)
    ended = await run.change([SMALL])
    states = await run.world.stores.members.states(TEAM)
    assert states[people[0]] is MemberState.ERROR
    assert [states[each] for each in people[1:]] == [MemberState.ACTIVE] * 3
    status = await run.world.stores.group_status.get(TEAM)
    assert status is not None
    assert (dict(status.counts), status.members) == ({"Active": 4, "Error": 1}, 5)
    assert add_up(ended)
