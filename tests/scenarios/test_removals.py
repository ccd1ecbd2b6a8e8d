"""Removals on a large scale, as they happened: none goes without a decision about exactly what ended.

Each test works a whole story off in memory, with two groups or two kinds of people where one of them must be spared.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.assignment import OptionsChange
from shared.domain.change_messages import GroupsChanged
from shared.domain.directory import AssignedLicense
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import UserId
from shared.domain.initiator import Initiator, InitiatorKind
from shared.domain.messages import JOBS, MEMBERS, NOTIFICATIONS, ProcessUsers
from shared.domain.operation import LicenseChange, OperationState, Target, is_collecting
from shared.domain.operation_request import OperationRequest
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.operations import approvals
from shared.handlers.operations.accept import accept
from shared.handlers.operations.assignment_changes import set_options
from shared.handlers.operations.jobs_queue import process_jobs
from shared.handlers.operations.members_queue import Members
from shared.handlers.operations.permit_writes import list_grant
from shared.handlers.views import queries
from shared.ports.messaging import Outgoing
from tests.support.kills import DyingRun, Killer
from tests.support.notifications import accept_on, notify, went
from tests.support.runs import EXTRA, LARGE, MAIL, MIA, NOA, OTHER_TEAM, SMALL, TEAM, Run, user

DAYS = 3


async def notified(run: Run, group: str, people: list[UserId]) -> None:
    """People leave a group, Graph tells of it twenty at a time, and everything that follows is worked off."""
    for each in people:
        run.directory.leave(group, each)
    for start in range(0, len(people), 20):
        await notify(run, went(group, *people[start : start + 20]))


def members(people: list[UserId], cause: str) -> Outgoing:
    """A message that has people reconciled."""
    return Outgoing(MEMBERS, ProcessUsers(tuple(people), cause, bulk=False).encode())


async def end_list_grants(run: Run, people: list[UserId]) -> None:
    """What was given to named users ends, and no request says so."""
    await run.world.stores.grants.remove((each, list_grant(SMALL.sku_id)) for each in people)
    for start in range(0, len(people), 20):
        await run.world.queue.send([members(people[start : start + 20], f"ended-{people[start]}")])
    await run.work_off()


async def join(run: Run, people: list[UserId]) -> None:
    """People come back to the team, before any work that is waiting is done."""
    for each in people:
        run.directory.join(TEAM, each)
    await run.world.queue.send([members(people[start : start + 20], f"back-{start}") for start in range(0, 30, 20)])


async def reconcile_later(run: Run, people: list[UserId]) -> None:
    """Events name the people again on the next days."""
    for day in range(DAYS):
        run.later(days=1)
        for start in range(0, len(people), 20):
            await run.reconcile(*people[start : start + 20], cause=f"event-{day}-{start}")


def licensed(run: Run, people: list[UserId]) -> int:
    return sum(run.licenses(each) == {"SMALL"} for each in people)


async def in_both_groups(count: int = 30) -> tuple[Run, list[UserId]]:
    """People whom two groups license with the same product; one more member keeps each group from reading empty."""
    run = Run()
    people = run.people(count)
    run.directory.add_user(user(500), groups=[TEAM, OTHER_TEAM])
    await run.change([SMALL])
    for each in people:
        run.directory.join(OTHER_TEAM, each)
    await run.finish(await accept_on(run, OTHER_TEAM))
    return run, people


async def test_an_approval_for_one_group_removes_nothing_when_another_group_is_emptied() -> None:
    run, people = await in_both_groups()
    removing = await run.finish(await run.ask(remove=[SMALL]))
    assert removing.state is OperationState.COMPLETE
    assert licensed(run, people) == 30
    await notified(run, OTHER_TEAM, people)
    await reconcile_later(run, people)
    assert licensed(run, people) == 30
    (waiting,) = await queries.approvals(run.world)
    assert waiting.target.group_id == OTHER_TEAM
    await approvals.review(run.world, waiting.id, MIA)
    await run.work_off()
    opened = await run.read(waiting)
    assert opened.plan.users_losing == 30
    await approvals.approve(run.world, opened.id, opened.checksum, NOA)
    await run.work_off()
    assert licensed(run, people) == 0


async def test_permits_of_a_superseded_operation_end_when_the_newer_one_is_accepted() -> None:
    run = Run()
    people = run.people(60)
    await run.change([SMALL])
    removing = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    await approvals.approve(run.world, removing.id, removing.checksum, NOA)
    await run.work_off(until=lambda: licensed(run, people) < 60)
    newer = await run.finish(await run.ask([SMALL]), approve=False)
    assert newer.state is OperationState.COMPLETE
    back = licensed(run, people)
    assert back == 60
    await notified(run, TEAM, people[:30])
    await reconcile_later(run, people[:30])
    assert licensed(run, people) == 60


@pytest.mark.parametrize("back", ["before the approval", "after the approval"])
async def test_an_approval_says_nothing_of_people_who_came_back_and_left_once_more(back: str) -> None:
    """The mistake was corrected, the approval of it was given all the same, and the mistake is made again."""
    run = Run()
    people = run.people(60)
    await run.change([SMALL])
    await notified(run, TEAM, people[:30])
    (waiting,) = await queries.approvals(run.world)
    await approvals.review(run.world, waiting.id, MIA)
    await run.work_off()
    opened = await run.read(waiting)
    if back == "before the approval":
        await join(run, people[:30])
        await approvals.approve(run.world, opened.id, opened.checksum, NOA)
    else:
        await approvals.approve(run.world, opened.id, opened.checksum, NOA)
        await join(run, people[:30])
    await run.work_off()
    run.later(days=2)
    await notified(run, TEAM, people[:30])
    assert licensed(run, people) == 60
    (again,) = await queries.approvals(run.world)
    assert again.id != waiting.id


@pytest.mark.parametrize("how", ["page", "message", "group"])
async def test_a_reprocess_of_held_people_removes_nothing(how: str) -> None:
    run = Run()
    people = run.people(20)
    await run.change([SMALL])
    await notified(run, TEAM, people)
    assert licensed(run, people) == 20
    for number in range(DAYS):
        run.later(hours=9)
        if how == "page":
            for each in people:
                request = OperationRequest(Target(user_ids=(each,)), MIA, reprocess=True)
                await accept(run.world, request)
        elif how == "group":
            await run.ask(reprocess=True)
        else:
            job = {"version": "1.0", "id": f"job-{number}", "operation": "reprocess", "userIds": people}
            await process_jobs(run.world, json.dumps(job).encode())
        await run.work_off()
    assert licensed(run, people) == 20
    assert [is_collecting(each) for each in await queries.approvals(run.world)] == [True]
    assert not [each for each in run.fakes.sent() if each.queue == JOBS]


async def test_a_reprocess_of_the_members_of_a_deleted_group_removes_nothing() -> None:
    run = Run()
    people = run.people(20)
    await run.change([SMALL])
    for each in people:
        run.directory.leave(TEAM, each)
    run.directory.remove_group(TEAM)
    for number in range(DAYS):
        run.later(hours=9)
        request = OperationRequest(Target(user_ids=tuple(people)), MIA, reprocess=True)
        await accept(run.world, request)
        await run.work_off()
        await run.reconcile(*people, cause=f"event-{number}")
    assert licensed(run, people) == 20


async def test_of_a_mass_removal_by_mistake_not_even_the_first_go() -> None:
    run = Run()
    run.directory.add_sku(replace(SMALL, enabled=3000))
    people = [run.directory.add_user(user(number), groups=[TEAM]) for number in range(1001, 3001)]
    await run.change([SMALL])
    await notified(run, TEAM, people[:1180])
    await reconcile_later(run, people[:40])
    assert licensed(run, people) == 2000
    (waiting,) = await queries.approvals(run.world)
    assert "of 2,000 members left within" in waiting.reason


async def test_a_group_that_is_read_again_within_the_window_still_says_how_many_members_it_had() -> None:
    run = Run()
    people = run.people(60)
    await run.change([SMALL])
    for each in people[:30]:
        run.directory.leave(TEAM, each)
    message = GroupsChanged((went(TEAM, *people[:30]),), run.world.clock.now())
    await run.world.queue.send([Outgoing(NOTIFICATIONS, message.encode())])
    await sync_all(run.world)
    await run.work_off()
    (waiting,) = await queries.approvals(run.world)
    assert waiting.reason == "30 of 60 members left within 1 s. 20 removals in a day need no approval."


async def test_of_removals_that_trickle_in_none_goes_before_the_late_ones_are_known() -> None:
    """Thirty left at once, and Graph tells of three of them: the others are missing from the group all the same."""
    run = Run()
    people = run.people(60)
    await run.change([SMALL])
    for each in people[:30]:
        run.directory.leave(TEAM, each)
    await notify(run, went(TEAM, *people[:3]))
    assert licensed(run, people) == 60
    (waiting,) = await queries.approvals(run.world)
    assert waiting.reason == "30 of 60 members left within 1 s. 20 removals in a day need no approval."
    for number in range(3, 30):
        run.later(minutes=10)
        await notify(run, went(TEAM, people[number]))
    assert licensed(run, people) == 60


async def test_what_waited_through_an_outage_is_decided_together() -> None:
    run = Run()
    people = run.people(60)
    await run.change([SMALL])
    for each in people[:30]:
        run.directory.leave(TEAM, each)
    await run.world.queue.send([members(people[number : number + 2], f"left-{number}") for number in range(0, 30, 2)])
    await run.work_off(until=lambda: all(each.at is not None for each in run.fakes.sent()))
    run.later(hours=25)
    await run.work_off()
    assert licensed(run, people) == 60


async def test_accounts_that_were_deleted_wait_for_no_decision() -> None:
    run = Run()
    people = run.people(60)
    await run.change([SMALL])
    for each in people[:25]:
        run.directory.leave(TEAM, each)
    await run.world.queue.send([members(people[:20], "left"), members(people[20:25], "left too")])
    await run.work_off(until=lambda: all(each.at is not None for each in run.fakes.sent()))
    for each in people[:25]:
        run.directory.delete_user(each)
    await run.work_off()
    await notified(run, TEAM, people[30:31])
    assert licensed(run, people[30:]) == 29
    assert await queries.approvals(run.world) == ()


async def test_of_two_groups_one_is_held_and_the_other_goes_on() -> None:
    run = Run()
    people = run.people(60)
    others = [run.directory.add_user(user(number), groups=[OTHER_TEAM]) for number in range(100, 140)]
    await run.change([SMALL])
    await run.finish(await accept_on(run, OTHER_TEAM))
    for each in people[:30]:
        run.directory.leave(TEAM, each)
    for each in others[:15]:
        run.directory.leave(OTHER_TEAM, each)
    await notify(run, went(TEAM, *people[:30]), went(OTHER_TEAM, *others[:15]))
    assert (licensed(run, people), licensed(run, others)) == (60, 25)
    (waiting,) = await queries.approvals(run.world)
    assert waiting.target.group_id == TEAM


async def test_a_license_of_two_groups_that_let_go_at_once_waits_for_both() -> None:
    run, people = await in_both_groups(30)
    few = people[:10]
    for each in people:
        run.directory.leave(TEAM, each)
    for each in few:
        run.directory.leave(OTHER_TEAM, each)
    await run.reconcile(*people[:20], cause="one")
    await run.reconcile(*people[20:], cause="two")
    assert licensed(run, people) == 20
    assert await queries.approvals(run.world) == ()
    run, people = await in_both_groups(30)
    for each in people:
        await run.reconcile(each, cause="both groups are in the ledger")
        run.directory.leave(TEAM, each)
        run.directory.leave(OTHER_TEAM, each)
    await run.reconcile(*people[:20], cause="one")
    await run.reconcile(*people[20:], cause="two")
    assert licensed(run, people) == 30
    assert {each.target.group_id for each in await queries.approvals(run.world)} == {TEAM, OTHER_TEAM}
    for group in (TEAM, OTHER_TEAM):
        waiting = next(each for each in await queries.approvals(run.world) if each.target.group_id == group)
        await approvals.review(run.world, waiting.id, MIA)
        await run.work_off()
        opened = await run.read(waiting)
        await approvals.approve(run.world, opened.id, opened.checksum, NOA)
        await run.work_off()
        assert licensed(run, people) == (30 if group == TEAM else 0)


async def test_somebody_who_comes_back_within_the_window_is_counted_no_more_and_waits_anew() -> None:
    run = Run()
    people = run.people(60)
    await run.change([SMALL])
    source = str(Source(SourceKind.GROUP, TEAM))
    for each in people[:25]:
        run.directory.leave(TEAM, each)
    await run.world.queue.send([members(people[:20], "left"), members(people[20:25], "left too")])
    await run.work_off(until=lambda: all(each.at is not None for each in run.fakes.sent()))
    assert len((await run.world.stores.removals.load(source)).rows) == 25
    for each in people[:10]:
        run.directory.join(TEAM, each)
    run.later(minutes=1)
    await run.world.queue.send([members(people[:10], "back")])
    await run.work_off(until=lambda: not [each for each in run.fakes.sent() if each.at is None])
    assert len((await run.world.stores.removals.load(source)).rows) == 15
    run.directory.leave(TEAM, people[0])
    again = run.world.clock.now()
    await run.world.queue.send([members(people[:1], "left again")])
    await run.work_off(until=lambda: not run.licenses(people[10]))
    assert run.licenses(people[0]) == {"SMALL"}
    await run.work_off()
    assert run.world.clock.now() - again >= timedelta(minutes=5)
    assert [bool(run.licenses(each)) for each in people[:25]] == [False, *[True] * 9, *[False] * 15]


async def test_a_process_that_dies_at_any_change_counts_each_removal_once() -> None:
    died = set()
    for at in range(1, 40):
        run = DyingRun()
        people = run.people(60)
        await run.change([SMALL])
        for each in people[:20]:
            run.directory.leave(TEAM, each)
        await run.world.queue.send([members(people[:20], "left")])
        killer = Killer(at)
        run.arm(killer)
        await run.work_off()
        run.later(minutes=1)
        run.world = run.fakes.world
        await run.reconcile(*people[:20], cause="again")
        assert licensed(run, people) == 40, killer.died_in
        view = await queries.group_status(run.world, TEAM)
        assert (view.allowance_used, view.pending_removals) == (20, 0), killer.died_in
        died.add(killer.died_in)
    assert {"removals.note", "removals.save", "ledger.write", "licenses.assign"} <= died


async def test_the_tenant_as_a_whole_has_one_approval_of_all_who_would_lose_something() -> None:
    run = Run()
    run.world = replace(run.world, policy=replace(run.world.policy, tenant_removal_allowance=25))
    run.workers = [Members(run.world), Members(run.world)]
    people = run.people(60)
    others = [run.directory.add_user(user(number), groups=[OTHER_TEAM]) for number in range(100, 160)]
    await run.change([SMALL])
    await run.finish(await accept_on(run, OTHER_TEAM))
    for each in people[:15]:
        run.directory.leave(TEAM, each)
    for each in others[:15]:
        run.directory.leave(OTHER_TEAM, each)
    await run.world.queue.send([members(people[:15], "left"), members(others[:15], "left")])
    await run.work_off()
    assert (licensed(run, people), licensed(run, others)) == (60, 60)
    (waiting,) = await queries.approvals(run.world)
    assert waiting.target == Target()
    assert waiting.reason == (
        "30 people of 2 groups would lose licenses, and 0 lost some in the last 24 hours. "
        "The tenant allows 25 in a day."
    )
    run.later(hours=1)
    run.directory.leave(TEAM, people[20])
    await run.reconcile(people[20], cause="one more while a person decides")
    assert licensed(run, people) == 60
    await approvals.review(run.world, waiting.id, MIA)
    await run.work_off()
    opened = await run.read(waiting)
    assert (opened.state, opened.plan.users_losing) == (OperationState.AWAITING_APPROVAL, 31)
    await approvals.approve(run.world, opened.id, opened.checksum, NOA)
    await run.work_off()
    assert (licensed(run, people), licensed(run, others)) == (44, 45)
    assert await queries.approvals(run.world) == ()
    run.directory.leave(TEAM, people[30])
    await run.reconcile(people[30], cause="approved removals do not count")
    assert licensed(run, people) == 43


async def test_licenses_of_no_group_that_wait_for_a_person_do_not_hold_the_groups() -> None:
    run = Run()
    people = run.people(10)
    await run.change([SMALL])
    named = [run.directory.add_user(user(number)) for number in range(100, 125)]
    give = LicenseChange((AssignedLicense(SMALL.sku_id),))
    await run.finish(await accept(run.world, OperationRequest(Target(user_ids=tuple(named)), MIA, give)))
    await end_list_grants(run, named[:23])
    assert licensed(run, named) == 25
    (waiting,) = await queries.approvals(run.world)
    assert waiting.target == Target()
    run.later(days=2)
    await notified(run, TEAM, people[:2])
    assert licensed(run, people) == 8
    await end_list_grants(run, named[23:])
    assert licensed(run, named) == 25
    await approvals.review(run.world, waiting.id, MIA)
    await run.work_off()
    assert (await run.read(waiting)).plan.users_losing == 25


async def test_what_the_tenant_does_not_let_go_uses_no_allowance_of_the_group() -> None:
    run = Run()
    run.world = replace(run.world, policy=replace(run.world.policy, tenant_removal_allowance=10))
    run.people(15)
    await run.change([SMALL])
    removing = await run.change(remove=[SMALL])
    assert removing.approved_by == NOA
    view = await queries.group_status(run.world, TEAM)
    assert (view.allowance_used, view.pending_removals) == (0, 0)


async def test_removals_rejected_for_the_tenant_are_kept_and_not_asked_for_again() -> None:
    run = Run()
    run.world = replace(run.world, policy=replace(run.world.policy, tenant_removal_allowance=3))
    run.workers = [Members(run.world), Members(run.world)]
    people = run.people(10)
    await run.change([SMALL])
    for each in people[:4]:
        run.directory.leave(TEAM, each)
    await run.reconcile(*people[:4], cause="left")
    (waiting,) = await queries.approvals(run.world)
    await approvals.review(run.world, waiting.id, MIA)
    await run.work_off()
    await approvals.reject(run.world, waiting.id, MIA)
    await run.work_off()
    await reconcile_later(run, people[:4])
    assert licensed(run, people) == 10
    assert await queries.approvals(run.world) == ()


async def test_a_group_that_lost_its_rule_is_held_at_once() -> None:
    run = Run()
    people = run.people(10)
    static = run.directory.groups[TEAM]
    run.directory.groups[TEAM] = replace(static, group_types=("DynamicMembership",))
    await run.change([SMALL])
    run.directory.groups[TEAM] = static
    run.directory.leave(TEAM, people[0])
    began = run.world.clock.now()
    await run.reconcile(people[0], cause="left")
    assert (licensed(run, people), run.world.clock.now() - began < timedelta(minutes=1)) == (10, True)
    (waiting,) = await queries.approvals(run.world)
    assert waiting.reason == "The group lost its membership rule."


async def test_a_group_may_have_an_allowance_of_its_own() -> None:
    for allowance, left in ((30, 30), (5, 60)):
        run = Run()
        people = run.people(60)
        await run.change([SMALL])
        named = {"removal_allowance": allowance, "removal_allowance_reason": "Shifts change"}
        await set_options(run.world, TEAM, OptionsChange(named), MIA, None)
        await notified(run, TEAM, people[:30])
        assert licensed(run, people) == left


async def own_allowance(run: Run, number: int = 100) -> None:
    """The team may lose many members in a day."""
    named = {"removal_allowance": number, "removal_allowance_reason": "The term ends"}
    await set_options(run.world, TEAM, OptionsChange(named), MIA, None)


async def test_an_allowance_that_a_person_has_set_permits_no_request_of_that_person() -> None:
    """Who may set options could else remove the licenses of hundreds without any other person."""
    app = Initiator("bot", "Bot", InitiatorKind.APP)
    narrower = AssignedLicense(SMALL.sku_id, frozenset({MAIL}))
    whole = (MIA, LicenseChange(remove=(SMALL.sku_id,))), (app, LicenseChange(remove=(SMALL.sku_id,)))
    for by, change in (*whole, (MIA, LicenseChange((narrower,)))):
        run = Run()
        people = run.people(60)
        await run.change([SMALL])
        await own_allowance(run)
        asked = await run.finish(await accept(run.world, OperationRequest(Target(TEAM), by, change)), approve=False)
        assert asked.state is OperationState.AWAITING_APPROVAL
        await reconcile_later(run, people)
        assert not any(MAIL in run.directory.licenses(each)[SMALL.sku_id] for each in people)
        assert licensed(run, people) == 60


async def test_an_allowance_of_the_group_does_not_permit_what_a_superseded_request_would_remove() -> None:
    run = Run()
    people = run.people(60)
    await run.change([SMALL, EXTRA])
    await own_allowance(run)
    await run.finish(await run.ask(remove=[SMALL]), approve=False)
    await run.finish(await accept(run.world, OperationRequest(Target(TEAM), MIA, reprocess=True)), approve=False)
    await reconcile_later(run, people)
    assert all(run.licenses(each) == {"SMALL", "EXTRA"} for each in people)


async def test_an_allowance_of_the_group_does_not_permit_what_its_options_leave_out() -> None:
    run = Run()
    people = run.people(60)
    await run.change([SMALL])
    for each in people[:30]:
        run.directory.change_user(replace(run.directory.truth(each), account_enabled=False))
    await own_allowance(run)
    await set_options(run.world, TEAM, OptionsChange({"include_disabled_accounts": False}), MIA, None)
    for _ in range(2):
        await sync_all(run.world)
        await run.work_off()
        (waiting,) = await queries.approvals(run.world)
        assert (waiting.target.group_id, licensed(run, people)) == (TEAM, 60)
        run.later(days=1)


async def test_moving_everybody_to_a_group_with_a_larger_product_needs_no_approval() -> None:
    run = Run()
    people = run.people(60)
    run.directory.add_user(user(500), groups=[TEAM])
    await run.change([SMALL])
    change = LicenseChange((AssignedLicense(LARGE.sku_id),))
    await run.finish(await accept(run.world, OperationRequest(Target(OTHER_TEAM), MIA, change)))
    for each in people:
        run.directory.leave(TEAM, each)
        run.directory.join(OTHER_TEAM, each)
    for start in range(0, 60, 20):
        await run.reconcile(*people[start : start + 20], cause=f"moved-{start}")
    assert all(run.licenses(each) == {"LARGE"} for each in people)
    assert await queries.approvals(run.world) == ()


async def test_what_is_rejected_counts_with_no_later_removal() -> None:
    run = Run()
    people = run.people(60)
    await run.change([SMALL])
    await notified(run, TEAM, people[:25])
    (waiting,) = await queries.approvals(run.world)
    await approvals.review(run.world, waiting.id, MIA)
    await run.work_off()
    await approvals.reject(run.world, waiting.id, MIA)
    await run.work_off()
    view = await queries.group_status(run.world, TEAM)
    assert (view.allowance_used, view.pending_removals, view.held_because) == (0, 0, "")
    await notified(run, TEAM, people[30:40])
    assert licensed(run, people) == 50


async def test_a_list_that_waits_for_approval_holds_its_people_and_no_other_request() -> None:
    run = Run()
    people = [run.directory.add_user(user(number)) for number in range(1, 41)]
    give, take = LicenseChange((AssignedLicense(SMALL.sku_id),)), LicenseChange(remove=(SMALL.sku_id,))
    await run.finish(await accept(run.world, OperationRequest(Target(user_ids=tuple(people)), MIA, give)))
    many = OperationRequest(Target(user_ids=tuple(people[:30])), MIA, take)
    waiting = await run.finish(await accept(run.world, many), approve=False)
    assert waiting.state is OperationState.AWAITING_APPROVAL
    one = OperationRequest(Target(user_ids=(people[35],)), MIA, take)
    assert (await run.finish(await accept(run.world, one), approve=False)).state is OperationState.COMPLETE
    for start in range(0, 40, 20):
        await run.reconcile(*people[start : start + 20], cause=f"event-{start}")
    assert licensed(run, people) == 39
    await run.finish(waiting)
    assert licensed(run, people) == 9
