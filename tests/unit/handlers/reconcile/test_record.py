"""Member rows: the state and the problems of each user, with a remedy for everything that needs a person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.attempt import begin
from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.ids import NO_PLANS
from shared.domain.member_status import MemberState
from shared.domain.messages import STEPS
from shared.domain.outcomes import RetryAt, Unchanged
from shared.domain.reconciliation import Attempted, Planned, Work
from shared.domain.verdict import after_apply
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.reconcile.plan import plan
from shared.handlers.reconcile.read import read
from shared.handlers.reconcile.record import record
from tests.support.rows import row_of
from tests.support.runs import EXTRA, LARGE, MAIL, SMALL, TEAM, Run, user

EXCLUDES = "License assignment failed because service plans are mutually exclusive: {}"


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
    rejected, fine = run.people(2)
    run.writer.reject(rejected, EXCLUDES.format(SMALL.service_plans[0].service_plan_id))
    await run.change([SMALL])
    assert (await row_of(run, rejected)).state is MemberState.ERROR
    run.directory.add_sku(replace(SMALL, enabled=1))
    await run.reconcile(rejected, fine)
    row = await row_of(run, rejected)
    assert (row.state, row.problems[0].error) == (MemberState.ERROR, LicenseError.MUTUALLY_EXCLUSIVE)
    assert (await row_of(run, fine)).state is MemberState.ACTIVE


async def test_an_error_does_not_hide_that_the_user_also_waits_for_another_product() -> None:
    run = Run()
    (member,) = run.people(1)
    run.directory.add_sku(replace(EXTRA, enabled=0))
    run.writer.reject(member, EXCLUDES.format(LARGE.service_plans[3].service_plan_id))
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
    run.before = lambda message: run.directory.delete_user(deleted) if message.queue not in STEPS else None
    await run.finish(operation)
    assert [p.error for p in (await row_of(run, deleted)).problems] == [LicenseError.NOT_FOUND]
    assert (await row_of(run, member)).problems == ()


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


@pytest.mark.parametrize("by", ["the same request", "the nightly sync"])
async def test_of_two_unmanaged_licenses_that_lack_plans_the_one_put_right_is_not_shown_any_more(by: str) -> None:
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


async def test_who_lost_the_race_for_a_user_does_not_show_anything_in_the_place_of_the_winner() -> None:
    """The loser's message may come back after its operation has ended, and is then dropped."""
    run = Run()
    raced, alone = run.people(2)
    await run.change([SMALL])
    run.later(minutes=1)
    assignments = {each.group_id: each for each in await run.world.stores.assignments.all()}
    work = Work("event", True, assignments, run.world.clock.now())
    late = await plan(run.world, work, await read(run.world, work, [raced, alone]))
    first = await plan(run.world, work, await read(run.world, work, [raced]))
    await record(run.world, work, [_unwritten(work, each) for each in first])
    shown = await row_of(run, raced)
    run.later(seconds=3)
    recorded = await record(run.world, work, [_unwritten(work, each) for each in late])
    assert [type(each.result) for each in recorded] == [RetryAt, Unchanged]
    assert await row_of(run, raced) == shown
    assert (await row_of(run, alone)).updated_at == run.world.clock.now()


def _unwritten(work: Work, planned: Planned) -> Attempted:
    attempted = begin(work, planned)
    return replace(attempted, result=after_apply(work, attempted, work.began))
