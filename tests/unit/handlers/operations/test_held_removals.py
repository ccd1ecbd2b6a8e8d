"""Removals that no permit was left for: collected per group, looked at by a person, approved or rejected."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.directory import AssignedLicense, LicenseAssignmentState
from shared.domain.errors import BadRequest, Conflict
from shared.domain.grant import SourceKind
from shared.domain.ids import ServicePlanId, UserId
from shared.domain.member_status import MemberState
from shared.domain.operation import LicenseChange, Operation, OperationState, Phase, Target, is_collecting
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations import approvals, control
from shared.handlers.operations.accept import accept
from shared.handlers.operations.sync import SYNC, sync_group
from shared.handlers.views import queries
from tests.support.changes_by_hand import give_by_hand
from tests.support.operations import ALLOWED, held_run, leave, open_approval
from tests.support.runs import EXTRA, LARGE, MAIL, MIA, NOA, OTHER_TEAM, SMALL, TEAM, Run, user


async def open_and_wait(run: Run, waiting: Operation) -> Operation:
    await approvals.review(run.world, waiting.id, MIA)
    await run.work_off()
    return await run.read(waiting)


async def test_what_is_held_is_shown_to_a_person_with_its_list_and_goes_when_approved() -> None:
    run, held, waiting = await held_run()
    assert is_collecting(waiting)
    (row,) = await run.world.stores.members.of_user(held[0], [TEAM])
    assert row.state is MemberState.PENDING
    opened = await open_and_wait(run, waiting)
    assert (opened.state, opened.plan.users_losing) == (OperationState.AWAITING_APPROVAL, 5)
    await approvals.approve(run.world, opened.id, opened.checksum, NOA)
    await run.work_off()
    assert not any(run.licenses(each) for each in held)
    assert await queries.approvals(run.world) == ()
    (row,) = await run.world.stores.members.of_user(held[0], [TEAM])
    assert row.state is MemberState.REMOVED


async def test_what_is_held_and_rejected_is_kept_and_not_asked_again() -> None:
    run, held, waiting = await held_run()
    opened = await open_and_wait(run, waiting)
    await approvals.reject(run.world, opened.id, MIA)
    await run.work_off()
    run.later(days=2)
    await run.reconcile(*held, cause="later")
    await sync_group(run.world, TEAM, SYNC)
    await run.work_off()
    assert all(run.licenses(each) == {"SMALL"} for each in held)
    assert await queries.approvals(run.world) == ()


@pytest.mark.parametrize("off", [frozenset(), frozenset({MAIL})])
async def test_a_rejected_removal_says_nothing_about_a_user_who_returns_and_leaves_again(
    off: frozenset[ServicePlanId],
) -> None:
    run, held, waiting = await held_run(off=off)
    opened = await open_and_wait(run, waiting)
    await approvals.reject(run.world, opened.id, MIA)
    await run.work_off()
    back, away = held[:2]
    run.directory.join(TEAM, back)
    run.later(days=2)
    await run.reconcile(back, away, cause="back")
    assert await kinds_kept(run, back, away) == [False, True]
    await leave(run, [back])
    assert [run.licenses(each) for each in (back, away)] == [set(), {"SMALL"}]


async def kinds_kept(run: Run, *user_ids: UserId) -> list[bool]:
    """Whether each user has a license that a person decided to keep."""
    grants = await run.world.stores.grants.of_users(user_ids)
    return [any(each.source.kind is SourceKind.KEPT for each in grants[user_id]) for user_id in user_ids]


@pytest.mark.parametrize("is_approved", [True, False])
async def test_held_licenses_that_wait_for_their_replacement_are_decided_once(is_approved: bool) -> None:
    run = Run()
    people = run.people(60)
    await run.change([LARGE])
    held, fine = people[ALLOWED : ALLOWED + 5], people[ALLOWED + 5 :]
    for each in held:
        run.directory.join(OTHER_TEAM, each)
    change = LicenseChange((AssignedLicense(SMALL.sku_id),))
    await run.finish(await accept(run.world, OperationRequest(Target(OTHER_TEAM), MIA, change)))
    run.directory.remove_sku(SMALL.sku_id, licenses=True)
    await leave(run, people[: ALLOWED + 5])
    (waiting,) = await queries.approvals(run.world)
    opened = await open_and_wait(run, waiting)
    assert opened.plan.users_losing == 5
    if is_approved:
        await approvals.approve(run.world, opened.id, opened.checksum, NOA)
    else:
        await approvals.reject(run.world, opened.id, NOA)
    await run.work_off()
    assert await queries.approvals(run.world) == ()
    run.directory.add_sku(SMALL)
    await run.reconcile(*held, cause="later")
    expected = {"SMALL"} if is_approved else {"SMALL", "LARGE"}
    assert [run.licenses(each) for each in (*held, fine[0])] == [*[expected] * 5, {"LARGE"}]
    assert await queries.approvals(run.world) == ()


async def test_there_is_no_list_to_decide_about_before_a_person_has_opened_it() -> None:
    run, held, waiting = await held_run()
    for decide in (approvals.approve(run.world, waiting.id, "", NOA), approvals.reject(run.world, waiting.id, NOA)):
        with pytest.raises(BadRequest, match="Review"):
            await decide
    assert all(run.licenses(each) for each in held)


async def test_while_a_person_has_not_decided_the_allowance_of_the_next_day_is_not_used() -> None:
    run, _, _ = await held_run()
    run.later(days=2)
    late = [run.directory.add_user(user(each), groups=[TEAM]) for each in (91, 92)]
    await run.reconcile(*late)
    assert all(run.licenses(each) == {"SMALL"} for each in late)
    await leave(run, late)
    assert all(run.licenses(each) == {"SMALL"} for each in late)
    assert len(await queries.approvals(run.world)) == 1


async def test_what_is_held_while_a_person_decides_goes_to_the_next_approval() -> None:
    run, held, waiting = await held_run(3)
    opened = await open_and_wait(run, waiting)
    late = [run.directory.add_user(user(each), groups=[TEAM]) for each in (91, 92)]
    await run.reconcile(*late)
    await leave(run, late)
    await approvals.approve(run.world, opened.id, opened.checksum, NOA)
    await run.work_off()
    assert not any(run.licenses(each) for each in held)
    assert all(run.licenses(each) == {"SMALL"} for each in late)
    (following,) = await queries.approvals(run.world)
    again = await open_and_wait(run, following)
    assert again.plan.users_losing == len(late)


async def test_a_request_of_a_person_takes_the_place_of_what_was_collected() -> None:
    run, held, waiting = await held_run()
    asked = await run.finish(await run.ask([EXTRA]), approve=False)
    assert asked.state is OperationState.AWAITING_APPROVAL
    assert (await run.read(waiting)).superseded_by == asked.id
    assert asked.plan.users_losing == len(held)


async def test_a_sync_licenses_who_is_new_while_its_removals_are_held() -> None:
    run = Run()
    people = run.people(60)
    await run.change([SMALL])
    for each in people[:30]:
        run.directory.leave(TEAM, each)
    newcomer = run.directory.add_user(user(95), groups=[TEAM])
    operation = await sync_group(run.world, TEAM, SYNC)
    assert operation is not None
    ended = await run.finish(operation)
    assert ended.state is OperationState.COMPLETE
    assert run.licenses(newcomer) == {"SMALL"}
    assert all(run.licenses(each) == {"SMALL"} for each in people)
    assert [is_collecting(each) for each in await queries.approvals(run.world)] == [True]


async def test_a_group_with_an_open_operation_and_a_paused_one_are_left_alone() -> None:
    run = Run()
    run.people(3)
    operation = await run.ask([SMALL])
    with pytest.raises(Conflict, match=operation.id):
        await sync_group(run.world, TEAM, SYNC)
    await run.finish(operation)
    paused = await run.ask(reprocess=True)
    await control.pause(run.world, paused.id, MIA)
    assert await sync_group(run.world, TEAM, SYNC) is None
    await control.cancel(run.world, paused.id, MIA)


async def test_a_doubled_timer_starts_one_operation() -> None:
    run = Run()
    run.people(3)
    await run.change([SMALL])
    at = run.world.clock.now()
    first, second = await sync_group(run.world, TEAM, SYNC, at=at), await sync_group(run.world, TEAM, SYNC, at=at)
    assert first is not None
    assert second is not None
    assert second.id == first.id
    await run.finish(first)
    again = await sync_group(run.world, TEAM, SYNC, at=at)
    assert again is not None
    assert again.id == first.id


async def test_what_is_held_after_the_snapshot_gets_an_approval_of_its_own_when_that_one_is_decided() -> None:
    run, held, waiting = await held_run()
    opened = await open_and_wait(run, waiting)
    late = [run.directory.add_user(user(each), groups=[TEAM]) for each in (91, 92)]
    await run.reconcile(*late)
    await leave(run, late)
    assert [each.id for each in await queries.approvals(run.world)] == [opened.id]
    await run.reconcile(*late, *held, cause="again")
    await approvals.approve(run.world, opened.id, opened.checksum, NOA)
    await run.work_off()
    assert not any(run.licenses(each) for each in held)
    (follows,) = await queries.approvals(run.world)
    assert (is_collecting(follows), "earlier approval" in follows.reason) == (True, True)
    assert all(run.licenses(each) == {"SMALL"} for each in late)
    opened = await open_and_wait(run, follows)
    await approvals.approve(run.world, opened.id, opened.checksum, NOA)
    await run.work_off()
    assert not any(run.licenses(each) for each in late)
    assert await queries.approvals(run.world) == ()


async def test_checks_those_on_the_snapshot_list_open_no_further_approval() -> None:
    run, held, waiting = await held_run()
    opened = await open_and_wait(run, waiting)
    await run.reconcile(*held, cause="again")
    await approvals.reject(run.world, opened.id, MIA)
    await run.work_off()
    assert await queries.approvals(run.world) == ()


async def test_an_approval_that_is_cancelled_while_it_works_lets_nothing_more_go() -> None:
    run, held, waiting = await held_run()
    opened = await open_and_wait(run, waiting)
    await approvals.approve(run.world, opened.id, opened.checksum, NOA)
    await run.deliver(run.fakes.queue.messages.pop())
    assert (await run.read(opened)).phase is Phase.RELEASE
    await control.cancel(run.world, opened.id, MIA)
    await run.work_off()
    assert (await run.read(opened)).state is OperationState.CANCELLED
    run.later(hours=12)
    await run.reconcile(*held)
    assert all(run.licenses(each) == {"SMALL"} for each in held)
    (again,) = await queries.approvals(run.world)
    reopened = await open_and_wait(run, again)
    await approvals.approve(run.world, reopened.id, reopened.checksum, NOA)
    await run.work_off()
    assert not any(run.licenses(each) for each in held)


async def test_who_is_in_a_second_group_and_only_loses_a_plan_is_on_the_list_of_the_group_that_was_left() -> None:
    run = Run()
    ann, ben = run.people(2)
    run.directory.join(OTHER_TEAM, ann)
    last = max(SMALL.plan_ids)
    part = LicenseChange((AssignedLicense(SMALL.sku_id, frozenset({last})),))
    await run.finish(await accept(run.world, OperationRequest(Target(OTHER_TEAM), MIA, part)))
    await run.change([SMALL])
    assert run.directory.licenses(ann) == {SMALL.sku_id: frozenset()}
    for each in (ann, ben):
        run.directory.leave(TEAM, each)
    await run.reconcile(ann, ben)
    (waiting,) = await queries.approvals(run.world)
    opened = await open_and_wait(run, waiting)
    assert (opened.target.group_id, opened.plan.users_losing) == (TEAM, 2)
    await approvals.approve(run.world, opened.id, opened.checksum, NOA)
    await run.work_off()
    assert run.directory.licenses(ann) == {SMALL.sku_id: frozenset({last})}
    assert run.licenses(ben) == set()
    assert set((await run.world.stores.members.states(TEAM)).values()) == {MemberState.REMOVED}


async def test_a_license_that_was_changed_by_hand_waits_for_a_person_and_does_not_hold_its_group() -> None:
    run = Run()
    ann, ben, *_ = run.people(5)
    await run.change([SMALL])
    run.later(minutes=20)
    give_by_hand(run, ann)
    await run.reconcile(ann, cause="changed by hand")
    for each in (ann, ben):
        run.directory.leave(TEAM, each)
        await run.reconcile(each, cause=f"left-{each}")
    assert (run.licenses(ann), run.licenses(ben)) == ({"SMALL"}, set())
    assert await open_approval(run) is None
    (waiting,) = await queries.approvals(run.world)
    assert waiting.target.group_id is None
    opened = await open_and_wait(run, waiting)
    assert opened.target.user_ids == (ann,)
    await approvals.approve(run.world, opened.id, opened.checksum, NOA)
    await run.work_off()
    assert run.licenses(ann) == set()


async def test_a_held_license_whose_plans_another_one_has_by_now_goes_without_a_decision() -> None:
    run, (ann, ben), _ = await held_run(2)
    larger, held = LicenseAssignmentState(LARGE.sku_id), run.directory.truth(ann)
    run.directory.change_user(replace(held, license_assignment_states=(*held.license_assignment_states, larger)))
    await run.reconcile(ann, ben, cause="later")
    (waiting,) = await queries.approvals(run.world)
    opened = await open_and_wait(run, waiting)
    assert opened.plan.users_losing == 1
    await approvals.approve(run.world, opened.id, opened.checksum, NOA)
    await run.work_off()
    await sync_group(run.world, TEAM, SYNC)
    await run.work_off()
    assert (run.licenses(ann), run.licenses(ben)) == ({"LARGE"}, set())
    assert await queries.approvals(run.world) == ()


async def test_a_reprocess_of_a_user_whose_removal_is_held_says_that_it_waits_for_an_approval() -> None:
    run, held, waiting = await held_run()
    asked = await accept(run.world, OperationRequest(Target(user_ids=(held[0],)), MIA, LicenseChange(), reprocess=True))
    ended = await run.finish(asked, approve=False)
    assert ended.state is OperationState.COMPLETE
    (member,), _ = await queries.planned_members(run.world, ended.id, 10, None)
    assert member.action.notes == (f"held {SMALL.sku_id}",)
    assert run.licenses(held[0]) == {"SMALL"}
    opened = await open_and_wait(run, waiting)
    listed, _ = await queries.planned_members(run.world, opened.id, 50, None)
    assert not any("held" in note for each in listed for note in each.action.notes)
