"""Operations that fail as a whole, or for one user, because of a missing permission or an incomplete read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

from shared.domain.directory import LicenseError, ReadFailed
from shared.domain.member_status import MemberState
from shared.domain.operation import OperationState
from shared.domain.read_models import MemberRow
from tests.support.operations import adds_up
from tests.support.runs import EXTRA, SMALL, TEAM, Run, user

DENIED = "Insufficient privileges to complete the operation."


async def members_of(run: Run) -> AsyncIterator[MemberRow]:
    rows, _ = await run.world.stores.members.page(TEAM, 100)
    for row in rows:
        yield row


async def test_a_permission_that_counts_a_day_late_ends_nobody_in_error() -> None:
    """Everything is granted, and the token is older than the grant."""
    run = Run(most_messages=10_000)
    people = run.people(60)
    began = run.world.clock.now()
    run.writer.denied_until = began + timedelta(hours=24)
    operation = await run.ask([SMALL])
    await run.work_off(until=lambda: run.world.clock.now() > began + timedelta(hours=2))
    rows = [row async for row in members_of(run)]
    assert {row.state for row in rows} == {MemberState.PENDING}
    assert all("within a day" in row.notes[0] for row in rows)
    ended = await run.finish(operation)
    assert (ended.state, ended.totals.applied, ended.totals.failed) == (OperationState.COMPLETE, 60, 0)
    assert all(run.writes_of(each) == 1 for each in people)


async def test_usage_locations_wait_for_their_permission_and_licenses_do_not() -> None:
    run = Run()
    located = run.people(3)
    lost = run.directory.add_user(user(9), groups=[TEAM], location=None)
    run.writer.locations_denied_until = run.world.clock.now() + timedelta(hours=24)
    ended = await run.change([SMALL])
    assert (ended.totals.applied, ended.totals.failed) == (4, 0)
    assert [run.writes_of(each) for each in (*located, lost)] == [1, 1, 1, 2]


async def test_a_permission_that_is_never_granted_is_an_error_after_two_days_and_then_at_once() -> None:
    run = Run(most_messages=10_000)
    people = run.people(3)
    began = run.world.clock.now()
    run.writer.denied_until = began + timedelta(days=90)
    ended = await run.change([SMALL])
    assert (ended.totals.applied, ended.totals.failed) == (0, 3)
    assert timedelta(days=2) <= run.world.clock.now() - began < timedelta(days=2, hours=1)
    asked_again = run.world.clock.now()
    ended = await run.change(reprocess=True)
    assert ended.totals.failed == 3
    assert run.world.clock.now() - asked_again < timedelta(minutes=1)
    run.later(days=90)
    await run.change(reprocess=True)
    assert [run.licenses(each) for each in people] == [{"SMALL"}] * 3


async def test_reads_that_are_denied_for_a_day_end_nobody_in_error() -> None:
    run = Run()
    people = run.people(3)
    await run.change([SMALL])
    late = run.directory.add_user(user(9), groups=[TEAM])
    run.directory.fail_read(late, ReadFailed(DENIED, denied=True), times=60)
    await run.reconcile(late, *people)
    assert run.licenses(late) == {"SMALL"}


async def test_an_operation_whose_members_are_denied_for_a_day_waits_and_says_so() -> None:
    run = Run()
    run.people(3)
    began = run.world.clock.now()
    run.directory.thin_members(TEAM)
    operation = await run.ask([SMALL])
    await run.work_off(until=lambda: run.world.clock.now() > began + timedelta(hours=24))
    waiting = await run.read(operation)
    assert not waiting.state.is_ended
    assert waiting.error is not None
    assert "within a day" in waiting.error.message
    run.directory.thin_members(TEAM, thin=False)
    ended = await run.finish(operation)
    assert (ended.state, ended.totals.applied, ended.error) == (OperationState.COMPLETE, 3, None)


async def test_one_user_whom_the_app_may_not_write_to_is_an_error_and_the_others_are_licensed() -> None:
    run = Run()
    protected, *others = run.people(60)
    run.writer.reject(protected, DENIED, status=403)
    ended = await run.change([SMALL])
    assert (ended.state, ended.totals.failed, ended.totals.applied) == (OperationState.COMPLETE, 1, 59)
    (row,), _ = await run.world.stores.members.errors(TEAM, 5)
    assert (row.user_id, row.problems[0].error) == (protected, LicenseError.PERMISSION)
    assert all(run.licenses(each) == {"SMALL"} for each in others)


async def test_an_operation_without_a_snapshot_is_shown_as_ended() -> None:
    run = Run()
    run.people(3)
    await run.change([SMALL])
    run.directory.thin_members(TEAM)
    ended = await run.change([EXTRA])
    assert ended.state is OperationState.FAILED
    assert adds_up(ended)
