"""What a member and a group are shown as, with a remedy wherever a person has to do something."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.errors import NotFound
from shared.domain.ids import NO_PLANS, UserId
from shared.domain.member_status import MemberState
from shared.domain.messages import OPERATIONS
from shared.domain.operation import LicenseChange, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.read_models import AuditFilter, GroupState, MemberRow
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.operations import snapshot
from shared.handlers.operations.accept import accept
from tests.support.runs import EXTRA, LARGE, MAIL, MIA, OTHER_TEAM, SMALL, TEAM, Run, user

EXCLUDES = "License assignment failed because service plans are mutually exclusive: {}"


async def row_of(run: Run, user_id: UserId) -> MemberRow:
    (row,) = await run.world.stores.members.of_user(user_id, [TEAM])
    return row


async def test_who_waits_for_a_seat_is_shown_why_and_what_to_do_and_who_has_one_is_not() -> None:
    run = Run()
    people = run.people(3)
    run.directory.add_sku(replace(SMALL, enabled=2))
    await run.change([SMALL])
    rows = [await row_of(run, each) for each in people]
    (waiting,) = [row for row in rows if row.state is MemberState.WAITING]
    assert [(p.error, p.sku_id, bool(p.remedy)) for p in waiting.problems] == [
        (LicenseError.COUNT_VIOLATION, SMALL.sku_id, True)
    ]
    assert [row.problems for row in rows if row.state is MemberState.ACTIVE] == [(), ()]


async def test_a_known_conflict_stays_an_error_while_the_product_is_sold_out() -> None:
    run = Run()
    refused, fine = run.people(2)
    run.writer.refuse(refused, EXCLUDES.format(SMALL.service_plans[0].service_plan_id))
    await run.change([SMALL])
    assert (await row_of(run, refused)).state is MemberState.ERROR
    run.directory.add_sku(replace(SMALL, enabled=1))
    await run.look_at(refused, fine)
    row = await row_of(run, refused)
    assert (row.state, row.problems[0].error) == (MemberState.ERROR, LicenseError.MUTUALLY_EXCLUSIVE)
    assert (await row_of(run, fine)).state is MemberState.ACTIVE


async def test_an_error_does_not_hide_that_the_user_also_waits_for_another_product() -> None:
    run = Run()
    (member,) = run.people(1)
    run.directory.add_sku(replace(EXTRA, enabled=0))
    run.writer.refuse(member, EXCLUDES.format(LARGE.service_plans[3].service_plan_id))
    await run.change([LARGE, EXTRA])
    row = await row_of(run, member)
    errors = {problem.error: problem.sku_id for problem in row.problems}
    assert errors == {
        LicenseError.MUTUALLY_EXCLUSIVE: LARGE.sku_id,
        LicenseError.COUNT_VIOLATION: EXTRA.sku_id,
    }


async def test_a_user_who_stays_unknown_is_shown_as_not_found() -> None:
    run = Run()
    deleted, member = run.people(2)
    operation = await run.ask([SMALL])
    run.before = lambda message: run.directory.delete_user(deleted) if message.queue != OPERATIONS else None
    await run.finish(operation)
    assert [p.error for p in (await row_of(run, deleted)).problems] == [LicenseError.NOT_FOUND]
    assert (await row_of(run, member)).problems == ()


async def test_a_group_that_vanished_before_it_was_read_is_shown_with_errors() -> None:
    run = Run()
    run.people(2)
    await run.change([SMALL])
    operation = await run.ask([EXTRA])
    run.directory.remove_group(TEAM)
    ended = await run.finish(operation)
    assert (ended.state, ended.error and ended.error.code) == (OperationState.FAILED, NotFound.__name__)
    finish = AuditFilter(activity="Finish applying")
    now = run.world.clock.now()
    entries, _ = await run.world.stores.audit.search(finish, now - timedelta(hours=1), now, 9)
    (told,) = [entry for entry in entries if entry.operation_id == ended.id]
    assert (told.result, told.detail) == ("failure", ended.error and ended.error.message)
    status = await run.world.stores.group_status.get(TEAM)
    assert status is not None
    assert status.state is GroupState.ERRORS


async def test_a_problem_goes_with_the_product_that_it_was_with() -> None:
    run = Run()
    scarce = replace(EXTRA, enabled=1)
    run.directory.add_sku(scarce)
    people = run.people(3)
    await run.change([SMALL, scarce])
    waiting, _ = await run.world.stores.members.errors(TEAM, 10)
    assert len(waiting) == 2
    run.directory.add_sku(replace(SMALL, enabled=3))
    await run.change(remove=[scarce])
    left, _ = await run.world.stores.members.errors(TEAM, 10)
    assert left == ()
    rows, _ = await run.world.stores.members.page(TEAM, 10)
    assert {row.user_id: (row.state, row.problems) for row in rows} == {
        each: (MemberState.ACTIVE, ()) for each in people
    }


async def test_of_two_problems_the_one_with_the_product_that_was_removed_goes() -> None:
    run = Run()
    large, extra = replace(LARGE, enabled=0), replace(EXTRA, enabled=0)
    for sku in (large, extra):
        run.directory.add_sku(sku)
    run.people(2)
    await run.change([large, extra])
    before, _ = await run.world.stores.members.errors(TEAM, 10)
    assert [{problem.sku_id for problem in row.problems} for row in before] == [{large.sku_id, extra.sku_id}] * 2
    await run.change(remove=[extra])
    after, _ = await run.world.stores.members.errors(TEAM, 10)
    assert [{problem.sku_id for problem in row.problems} for row in after] == [{large.sku_id}] * 2


async def in_error() -> Run:
    """Two people whom a completed request has left without their product."""
    run = Run()
    run.directory.add_sku(replace(LARGE, enabled=0))
    run.people(2)
    await run.change([LARGE])
    return run


@pytest.mark.parametrize("preview", [True, False])
async def test_who_is_in_error_is_not_looked_at_again_by_the_same_request_made_twice(*, preview: bool) -> None:
    run = await in_error()
    run.directory.reads.clear()
    again = await run.change([LARGE], preview=preview)
    assert (again.totals.due, again.totals.waiting, run.directory.reads) == (0, 2, [])
    errors, _ = await run.world.stores.members.errors(TEAM, 10)
    assert len(errors) == 2


async def test_who_is_in_error_is_looked_at_again_by_a_request_that_gives_a_problem_more() -> None:
    run = await in_error()
    run.directory.add_sku(replace(EXTRA, enabled=0))
    again = await run.change([EXTRA])
    errors, _ = await run.world.stores.members.errors(TEAM, 10)
    assert again.totals.due == 2
    assert [{problem.sku_id for problem in row.problems} for row in errors] == [{LARGE.sku_id, EXTRA.sku_id}] * 2


async def test_who_was_refused_by_graph_is_not_looked_at_again_before_something_is_different() -> None:
    run = Run()
    people = run.people(3)
    for person in people[:2]:
        run.writer.refuse(person, EXCLUDES.format("PLAN1, PLAN2"))
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
    adopts = OperationRequest(Target(TEAM), MIA, LicenseChange(adopt=(SMALL.sku_id,)))
    await run.finish(await accept(run.world, adopts))
    assert (await run.read(unfinished)).state is OperationState.CANCELLED
    await run.change([LARGE])
    errors, _ = await run.world.stores.members.errors(TEAM, 10)
    assert [{problem.sku_id for problem in row.problems} for row in errors] == [{LARGE.sku_id}] * 2


@pytest.mark.parametrize("by", ["the same request", "the nightly sync"])
async def test_of_two_foreign_licenses_that_lack_plans_the_one_put_right_is_not_shown_any_more(by: str) -> None:
    run = Run()
    (extra_plan,) = EXTRA.plan_ids
    has = [AssignedLicense(LARGE.sku_id, frozenset({MAIL})), AssignedLicense(EXTRA.sku_id, frozenset({extra_plan}))]
    ann = run.directory.add_user(user(1), groups=[TEAM], has=has)
    await run.change([LARGE, EXTRA])
    assert {problem.sku_id for problem in (await row_of(run, ann)).problems} == {LARGE.sku_id, EXTRA.sku_id}
    person = run.directory.truth(ann)
    repaired = tuple(
        replace(row, disabled_plans=NO_PLANS) if row.sku_id == EXTRA.sku_id else row
        for row in person.license_assignment_states
    )
    run.directory.change_user(replace(person, license_assignment_states=repaired))
    if by == "the same request":
        await run.change([LARGE, EXTRA])
    else:
        run.later(hours=24)
        await sync_all(run.world)
        await run.work_off()
    assert {problem.sku_id for problem in (await row_of(run, ann)).problems} == {LARGE.sku_id}


async def test_who_waits_here_and_is_refused_elsewhere_is_shown_waiting_and_not_looked_at_again() -> None:
    run = Run()
    run.directory.add_sku(replace(SMALL, enabled=0))
    ann = run.directory.add_user(user(1), groups=[TEAM, OTHER_TEAM])
    await run.change([SMALL])
    run.writer.refuse(ann, EXCLUDES.format("PLAN1, PLAN2"), times=5)
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
