"""Which users a plan snapshot queues: only those for whom something is different from what is shown of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.member_status import MemberState
from shared.domain.operation import LicenseChange, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations import snapshot
from shared.handlers.operations.accept import accept
from tests.support.rows import row_of
from tests.support.runs import EXTRA, LARGE, MIA, OTHER_TEAM, SMALL, TEAM, Run, user

EXCLUDES = "License assignment failed because service plans are mutually exclusive: {}"


async def in_error() -> Run:
    """Two people whom a completed request has left without their product."""
    run = Run()
    run.directory.add_sku(replace(LARGE, enabled=0))
    run.people(2)
    await run.change([LARGE])
    return run


@pytest.mark.parametrize("preview", [True, False])
async def test_who_is_in_error_is_not_checked_again_by_the_same_request_made_twice(*, preview: bool) -> None:
    run = await in_error()
    run.directory.reads.clear()
    again = await run.change([LARGE], preview=preview)
    assert (again.totals.due, again.totals.waiting, run.directory.reads) == (0, 2, [])
    errors, _ = await run.world.stores.members.errors(TEAM, 10)
    assert len(errors) == 2


async def test_who_is_in_error_is_checked_again_by_a_request_that_gives_a_problem_more() -> None:
    run = await in_error()
    run.directory.add_sku(replace(EXTRA, enabled=0))
    again = await run.change([EXTRA])
    errors, _ = await run.world.stores.members.errors(TEAM, 10)
    assert again.totals.due == 2
    assert [{problem.sku_id for problem in row.problems} for row in errors] == [{LARGE.sku_id, EXTRA.sku_id}] * 2


async def test_who_was_rejected_by_graph_is_not_checked_again_before_something_is_different() -> None:
    run = Run()
    people = run.people(3)
    for person in people[:2]:
        run.writer.reject(person, EXCLUDES.format("PLAN1, PLAN2"))
    await run.change([SMALL])
    assert (await row_of(run, people[0])).state is MemberState.ERROR
    run.directory.reads.clear()
    again = await run.change([SMALL])
    assert (again.totals.due, again.totals.failed, run.directory.reads) == (0, 2, [])


async def test_a_problem_that_is_still_shown_of_a_request_that_did_not_end_goes_with_the_next_one() -> None:
    run = await in_error()
    run.directory.add_sku(replace(EXTRA, enabled=0))
    await run.change([EXTRA])
    unfinished = await run.ask(remove=[EXTRA])
    adopts = OperationRequest(Target(TEAM), MIA, LicenseChange(manage=(SMALL.sku_id,)))
    await run.finish(await accept(run.world, adopts))
    assert (await run.read(unfinished)).state is OperationState.CANCELLED
    await run.change([LARGE])
    errors, _ = await run.world.stores.members.errors(TEAM, 10)
    assert [{problem.sku_id for problem in row.problems} for row in errors] == [{LARGE.sku_id}] * 2


async def test_who_waits_here_and_is_rejected_elsewhere_is_shown_waiting_and_not_checked_again() -> None:
    run = Run()
    run.directory.add_sku(replace(SMALL, enabled=0))
    ann = run.directory.add_user(user(1), groups=[TEAM, OTHER_TEAM])
    await run.change([SMALL])
    run.writer.reject(ann, EXCLUDES.format("PLAN1, PLAN2"), times=5)
    other = OperationRequest(Target(OTHER_TEAM), MIA, LicenseChange((AssignedLicense(LARGE.sku_id),), ()))
    await run.finish(await accept(run.world, other))
    (row,) = await run.world.stores.members.of_user(ann, [TEAM])
    assert (row.state, row.waiting_since is not None) == (MemberState.WAITING, True)
    assert [problem.error for problem in row.problems] == [LicenseError.COUNT_VIOLATION]
    assert (await run.change([SMALL])).totals.due == 0


async def test_errors_of_more_than_one_page_are_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "ERRORS_AT_ONCE", 1)
    run = await in_error()
    assert (await run.change([LARGE])).totals.due == 0


async def test_a_row_that_lists_other_licenses_than_the_user_has_is_written_again() -> None:
    """A worker that is killed after the license was written leaves such a row, and no later work concerns the user."""
    run = Run()
    stale, right = run.people(2)
    await run.change([SMALL, LARGE])
    row = await row_of(run, stale)
    await run.world.stores.members.record([replace(row, sku_ids=(SMALL.sku_id,))])
    again = await run.change([SMALL])
    assert again.totals.due == 1
    assert [(await row_of(run, each)).sku_ids for each in (stale, right)] == [row.sku_ids] * 2
