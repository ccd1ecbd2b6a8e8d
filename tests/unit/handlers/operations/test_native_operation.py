"""Operations on a group that is managed natively: preview, calls, approval and completion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.assignment import Engine
from shared.domain.directory import AssignedLicense, LicenseAssignmentState, SubscribedSku
from shared.domain.errors import BadRequest
from shared.domain.group_request import GroupRequest
from shared.domain.member_status import MemberState
from shared.domain.native_progress import AGREE_AFTER, MOST_CALLS, NativeStage
from shared.domain.operation import Operation, OperationState
from shared.domain.product_facts import ObservedConflict, Pair
from shared.domain.write_results import Rejected, Throttled, Unanswered, WriteResult
from shared.domain.writing import Switch
from shared.handlers.operations import approvals, control
from shared.handlers.operations.native_steps import WAITING_FOR_LICENSES, WAITING_FOR_REPLACEMENT
from shared.handlers.operations.rollback import cancel_and_restore
from shared.handlers.operations.watchdog import watchdog
from shared.handlers.reconcile.read import read_catalog
from shared.handlers.reconcile.write_limiter import Pacer
from shared.ports.messaging import Outgoing
from tests.support.native_runs import NativeRun
from tests.support.runs import EXTRA, LARGE, MAIL, MIA, NOA, SMALL, TEAM

SUITES = ("SMALL", "LARGE")


def never_without(run: NativeRun) -> None:
    """At each message, every member has one of the suites."""

    def check(_: Outgoing) -> None:
        for user_id in run.members:
            assert run.active(user_id) & set(SUITES), f"{user_id} has no suite"

    run.before = check


async def until(run: NativeRun, operation: Operation, done: Callable[[Operation], bool]) -> Operation:
    """Deliver messages until the operation is so."""
    for _ in range(500):
        found = await run.read(operation)
        if done(found):
            return found
        await run.step()
    raise AssertionError(f"never: {found}")


def waits(code: str) -> Callable[[Operation], bool]:
    return lambda operation: operation.error is not None and operation.error.code == code


async def test_a_product_is_added_by_one_call_and_followed_to_the_last_member() -> None:
    run = await NativeRun.of(4)
    operation = await run.change(add=[EXTRA])
    assert (operation.state, operation.totals.applied) == (OperationState.COMPLETE, 4)
    assert run.calls == [(["EXTRA"], [])]
    assert {frozenset(run.active(each)) for each in run.members} == {frozenset({"SMALL", "EXTRA"})}
    assert await run.states() == {MemberState.ACTIVE: 4}
    assert run.writer.calls == []
    texts = {each.activity: each.detail for each in await run.audit(operation)}
    assert "Start applying group based license to users" in texts
    assert "assigned licenses: 4," in texts["Finish applying group based license to users"]
    assert {"Request group license change", "Set group license"} <= texts.keys()


async def test_a_preview_calls_nothing_and_says_who_gains_who_loses_and_what_is_needed() -> None:
    run = await NativeRun.of(4)
    preview = await run.change(add=[EXTRA], remove=[SMALL], preview=True)
    plan = preview.plan
    assert preview.state is OperationState.COMPLETE
    assert (plan.additions, plan.removals) == ({EXTRA.sku_id: 4}, {SMALL.sku_id: 4})
    assert (plan.users_losing, plan.seats_needed) == (4, {EXTRA.sku_id: 4})
    assert run.native.group_calls == []
    run.stock(LARGE, 3)
    short = (await run.change(add=[LARGE], remove=[SMALL], preview=True)).plan
    assert (short.users_losing, short.users_waiting) == (0, 1)
    assert any("1 more licenses of LARGE" in text for text in short.warnings)


async def test_apps_are_turned_off_and_on_by_the_same_request() -> None:
    run = await NativeRun.of(3)
    off = AssignedLicense(SMALL.sku_id, frozenset({MAIL}))
    operation = await run.finish(await run.ask_for(off))
    assert operation.state is OperationState.COMPLETE
    assert operation.plan.users_losing == 3
    rows = [row for each in run.members for row in run.directory.truth(each).license_assignment_states]
    assert {row.disabled_plans for row in rows} == {frozenset({MAIL})}
    again = await run.finish(await run.ask_for(AssignedLicense(SMALL.sku_id)))
    assert (again.state, again.plan.users_losing) == (OperationState.COMPLETE, 0)


async def test_a_swap_with_enough_licenses_is_one_call_without_approval() -> None:
    run = await NativeRun.of(4)
    never_without(run)
    operation = await run.finish(await run.ask([LARGE], [SMALL]), approve=False)
    assert operation.state is OperationState.COMPLETE
    assert run.calls == [(["LARGE"], ["SMALL"])]
    assert {frozenset(run.active(each)) for each in run.members} == {frozenset({"LARGE"})}


async def test_with_too_few_licenses_nothing_is_called_until_there_are_enough() -> None:
    run = await NativeRun.of(4)
    never_without(run)
    run.stock(LARGE, 3)
    operation = await until(run, await run.ask([LARGE], [SMALL]), waits(WAITING_FOR_LICENSES))
    assert operation.error is not None
    assert "1 of LARGE" in operation.error.message
    began = run.world.clock.now()
    while run.world.clock.now() - began < timedelta(hours=2):
        await run.step()
    assert run.native.group_calls == []
    assert run.native.calls.count("members") < 20
    run.stock(LARGE, 4)
    operation = await run.finish(operation, approve=False)
    assert (operation.state, operation.error) == (OperationState.COMPLETE, None)
    assert {frozenset(run.active(each)) for each in run.members} == {frozenset({"LARGE"})}


async def test_a_wait_for_licenses_ends_as_an_approval_does() -> None:
    run = await NativeRun.of(4)
    run.stock(LARGE, 3)
    operation = await until(run, await run.ask([LARGE], [SMALL]), waits(WAITING_FOR_LICENSES))
    run.later(days=31)
    failed = await run.finish(operation)
    assert failed.error is not None
    assert (failed.state, failed.error.code) == (OperationState.FAILED, "WaitedTooLong")
    assert run.native.group_calls == []


async def test_until_the_protected_people_are_known_a_loss_waits_and_a_preview_shows_it() -> None:
    run = await NativeRun.of(2)
    table = run.fakes.tables
    for name, row in list(table.everything()):
        if name == "protectedpeople":
            await table.delete(name, row["PartitionKey"], row["RowKey"])
    run.later(hours=1)
    preview = await run.ask(remove=[SMALL], preview=True)
    preview = await until(run, preview, lambda found: found.state.is_ended)
    assert preview.plan.users_losing == 2
    operation = await run.ask(remove=[SMALL])
    for _ in range(10):
        await run.step()
    assert (await run.read(operation)).state is OperationState.QUEUED
    assert run.native.group_calls == []
    added = await NativeRun.of(2)
    assert (await added.change([EXTRA])).state is OperationState.COMPLETE


async def test_a_request_that_meets_another_engine_ends_without_a_change() -> None:
    run = await NativeRun.of(2)
    operation = await run.ask([EXTRA])
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    catalog = await read_catalog(run.world)
    group = run.directory.groups[TEAM]
    for engine, native in ((Engine.WATCHED, operation.native), (Engine.NATIVE, None)):
        found = GroupRequest(replace(stored.assignment, engine=engine), None, group, catalog)
        with pytest.raises(BadRequest) as fault:
            found.intent_after(replace(operation, native=native), run.world.clock.now())
        assert fault.value.code == "EngineChanged"


async def test_a_first_product_goes_out_with_too_few_licenses_because_nobody_can_lose_by_it() -> None:
    run = await NativeRun.of(4, [])
    run.stock(LARGE, 3)
    operation = await run.change(add=[LARGE])
    assert (operation.state, operation.totals.applied, operation.totals.failed) == (OperationState.COMPLETE, 3, 1)
    assert await run.states() == {MemberState.ACTIVE: 3, MemberState.ERROR: 1}


async def test_a_removal_without_replacement_of_many_waits_for_an_approval_that_names_them() -> None:
    run = await NativeRun.of(30)
    waiting = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    assert (waiting.state, waiting.plan.users_losing) == (OperationState.AWAITING_APPROVAL, 30)
    assert run.native.group_calls == []
    done = await run.finish(waiting)
    assert done.state is OperationState.COMPLETE
    assert run.calls == [([], ["SMALL"])]
    assert not any(run.active(each) for each in run.members)


async def test_a_rejected_removal_changes_nothing_and_neither_does_a_later_reading() -> None:
    run = await NativeRun.of(30)
    waiting = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    await approvals.reject(run.world, waiting.id, NOA)
    done = await run.finish(waiting)
    assert done.state is OperationState.CANCELLED
    assert run.native.group_calls == []
    assert await run.world.stores.grants.of_users(run.members) == dict.fromkeys(run.members, ())


async def test_a_few_may_lose_a_product_by_the_allowance_but_no_protected_person() -> None:
    run = await NativeRun.of(4)
    run.protect(run.members[0])
    waiting = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    assert (waiting.state, waiting.plan.protected) == (OperationState.AWAITING_APPROVAL, (run.members[0],))
    free = await NativeRun.of(4)
    done = await free.finish(await free.ask(remove=[SMALL]), approve=False)
    assert done.state is OperationState.COMPLETE


async def test_a_person_who_became_protected_after_the_approval_needs_a_new_one() -> None:
    run = await NativeRun.of(30)
    waiting = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    await approvals.approve(run.world, waiting.id, waiting.checksum, NOA)
    run.protect(run.members[0])
    again = await run.finish(waiting, approve=False)
    assert (again.state, again.plan.protected) == (OperationState.AWAITING_APPROVAL, (run.members[0],))
    assert run.native.group_calls == []


async def test_a_member_who_joined_after_the_approval_is_asked_about() -> None:
    run = await NativeRun.of(30)
    waiting = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    joiner = run.directory.add_user("00000000-0000-0000-0000-0000000000ff", groups=[TEAM])
    run.native.give(joiner, TEAM)
    await approvals.approve(run.world, waiting.id, waiting.checksum, NOA)
    again = await run.finish(waiting, approve=False)
    assert (again.state, again.plan.users_losing) == (OperationState.AWAITING_APPROVAL, 31)
    assert run.native.group_calls == []


async def test_a_preview_that_a_person_confirmed_approves_what_it_showed_and_no_more() -> None:
    run = await NativeRun.of(30)
    preview = await run.change(remove=[SMALL], preview=True)
    confirmed = await run.ask(remove=[SMALL], preview_id=preview.id)
    joiner = run.directory.add_user("00000000-0000-0000-0000-0000000000ff", groups=[TEAM])
    run.native.give(joiner, TEAM)
    waiting = await run.finish(confirmed, approve=False)
    assert waiting.state is OperationState.AWAITING_APPROVAL
    assert run.native.group_calls == []


async def test_a_lost_call_is_repeated_and_a_lagging_read_is_not_a_lost_call() -> None:
    run = await NativeRun.of(3)
    run.native.lost_calls = 2
    operation = await run.change(add=[EXTRA])
    assert operation.state is OperationState.COMPLETE
    assert run.calls == [(["EXTRA"], [])] * 3
    run.native.group_calls.clear()
    run.native.lagging[TEAM] = run.directory.groups[TEAM]
    began = run.world.clock.now()

    def fresh(_: Outgoing) -> None:
        if run.world.clock.now() - began > timedelta(seconds=10):
            run.native.lagging.pop(TEAM, None)

    run.before = fresh
    assert (await run.change(add=[LARGE])).state is OperationState.COMPLETE
    assert run.calls == [(["LARGE"], [])]


async def test_a_group_that_never_stays_changed_ends_the_operation() -> None:
    run = await NativeRun.of(3)
    run.native.lost_calls = 99
    operation = await run.change(add=[EXTRA])
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert operation.error.code == "GroupNotChanged"
    assert "does not stay" in operation.error.message
    assert len(run.native.group_calls) == MOST_CALLS


@pytest.mark.parametrize("answer", [Throttled(20.0), Unanswered("lost")])
async def test_what_is_not_answered_is_read_and_called_again_only_if_it_is_missing(answer: WriteResult) -> None:
    run = await NativeRun.of(3)
    run.native.group_answers = [answer]
    assert (await run.change(add=[EXTRA], remove=[])).state is OperationState.COMPLETE
    assert len(run.native.group_calls) == (2 if isinstance(answer, Throttled) else 1)


async def test_a_rejection_ends_the_operation_with_the_text_and_a_missing_permission_waits() -> None:
    run = await NativeRun.of(3)
    run.native.group_answers = [Rejected(400, "Request_BadRequest", "License is not valid.")]
    failed = await run.change(add=[EXTRA])
    assert failed.state is OperationState.FAILED
    assert failed.error is not None
    assert "License is not valid." in failed.error.message
    run.native.group_answers = [Rejected(403, "Authorization_RequestDenied", "Insufficient privileges")] * 2
    assert (await run.change(add=[EXTRA])).state is OperationState.COMPLETE


async def test_members_are_followed_while_they_are_processed_one_after_the_other() -> None:
    run = await NativeRun.of(4)
    run.native.slow = True
    never_without(run)
    operation = await until(run, await run.ask([LARGE], [SMALL]), lambda found: run.calls != [])
    run.native.process(TEAM, run.members[0], run.members[1])
    operation = await until(run, operation, lambda found: found.totals.applied == 2)
    assert operation.state is OperationState.IN_PROGRESS
    assert await run.states() == {MemberState.ACTIVE: 2, MemberState.PENDING: 2}
    run.native.process(TEAM)
    assert (await run.finish(operation)).state is OperationState.COMPLETE


async def test_members_who_are_not_processed_within_a_day_end_the_operation_with_their_number() -> None:
    run = await NativeRun.of(4)
    run.native.slow = True
    operation = await run.ask([EXTRA])
    failed = await run.finish(operation)
    assert failed.error is not None
    assert (failed.state, "4 members" in failed.error.message) == (OperationState.FAILED, True)


async def test_the_former_product_stays_until_every_member_has_the_new_one() -> None:
    """One member has nothing of the group, so the swap is made in two calls. Another one's replacement takes long."""
    run = await in_two_calls(4)
    run.native.slow = True
    operation = await until(run, await run.ask([LARGE], [SMALL]), lambda found: run.calls != [])
    assert run.calls == [(["LARGE"], [])]
    run.native.process(TEAM, *run.members[1:3])
    operation = await until(run, operation, lambda found: found.totals.applied >= 2)
    assert len(run.calls) == 1
    run.native.slow = False
    run.native.process(TEAM)
    done = await run.finish(operation)
    assert done.state is OperationState.COMPLETE
    assert run.calls == [(["LARGE"], []), ([], ["SMALL"])]
    assert [run.active(each) for each in run.members[1:]] == [{"LARGE", "EXTRA"}] * 3


async def in_two_calls(members: int) -> NativeRun:
    """The first member is in error: no license of EXTRA is left for the product that the group has beside SMALL."""
    run = await NativeRun.of(members, [SMALL, EXTRA])
    run.native.give(run.members[0], TEAM, "CountViolation", EXTRA.sku_id)
    run.stock(EXTRA, 0)
    for each in run.members[1:]:
        assert run.active(each) == {"SMALL", "EXTRA"}
    return run


async def test_a_member_who_joins_in_between_holds_up_the_removal() -> None:
    run = await in_two_calls(4)
    operation = await until(
        run,
        await run.ask([LARGE], [SMALL]),
        lambda found: found.native is not None and found.native.stage is NativeStage.APPLY,
    )
    joiner = run.directory.add_user("00000000-0000-0000-0000-0000000000ff", groups=[TEAM])
    run.native.give(joiner, TEAM)
    user = run.directory.truth(joiner)
    run.directory.change_user(
        replace(user, license_assignment_states=user.license_assignment_states[:1])
    )  # SMALL alone so far
    operation = await until(run, operation, waits(WAITING_FOR_REPLACEMENT))
    assert run.calls == [(["LARGE"], [])]
    run.native.process(TEAM)
    run.stock(EXTRA, 5)
    run.native.process(TEAM)
    assert (await run.finish(operation)).state is OperationState.COMPLETE
    assert "LARGE" in run.active(joiner)


async def test_an_addition_through_which_members_lose_their_products_is_taken_back() -> None:
    run = await NativeRun.of(4)
    run.stock(LARGE, 4)
    taken = [run.directory.add_user(f"00000000-0000-0000-0000-0000000000f{n}") for n in range(2)]

    def race(_: object) -> None:
        for each in taken:
            run.directory.change_user(
                replace(
                    run.directory.truth(each),
                    license_assignment_states=run.directory.truth(taken[0]).license_assignment_states,
                )
            )
        run.stock(LARGE, 2)

    run.native.on_group_call = race
    operation = await run.ask([LARGE])
    operation = await until(run, operation, lambda found: len(run.native.group_calls) > 0)
    run.native.on_group_call = None
    done = await run.finish(operation)
    assert done.state is OperationState.FAILED
    assert done.error is not None
    assert "2 members lost" in done.error.message
    assert run.calls == [(["LARGE"], []), ([], ["LARGE"])]
    assert [run.active(each) for each in run.members] == [{"SMALL"}] * 4


async def test_a_kill_at_any_write_and_every_message_twice_end_the_same() -> None:
    for writes in range(400):
        run = await NativeRun.of(3)
        never_without(run)
        operation = await run.ask([LARGE], [SMALL])
        run.fakes.queue.messages += list(run.fakes.queue.messages)
        run.kill_after(writes)
        done = await run.finish(operation)
        assert done.state is OperationState.COMPLETE
        assert {frozenset(run.active(each)) for each in run.members} == {frozenset({"LARGE"})}
        names = [each.activity for each in await run.audit(operation)]
        assert sorted(names) == sorted(set(names)), "an entry twice"
        if run.fakes.tables.dies_after:
            break
    assert 15 < writes < 399
    assert "Set group license" in names


async def test_a_removal_that_died_after_its_call_is_not_an_error() -> None:
    run = await NativeRun.of(3)
    died = False

    def kill(_: object) -> None:
        nonlocal died
        if not died:
            died = True
            run.fakes.tables.dies_after = 0
            run.native.lagging[TEAM] = run.directory.groups[TEAM]

    run.native.on_group_call = kill
    operation = await run.ask(remove=[SMALL])
    run.kill_after(10_000)
    operation = await until(run, operation, lambda found: len(run.native.group_calls) >= 2)
    run.native.lagging.clear()
    assert (await run.finish(operation)).state is OperationState.COMPLETE


async def test_while_writing_is_off_nothing_is_called_and_turning_it_on_goes_on() -> None:
    run = await NativeRun.of(3)
    pacer = Pacer(run.world)
    await pacer.turn(lambda _, now: Switch(is_on=False, at=now))
    operation = await run.finish(await run.ask([EXTRA]))
    assert (operation.state, run.native.group_calls) == (OperationState.QUEUED, [])
    cancelled = await control.cancel(run.world, operation.id, MIA)
    assert (await run.finish(cancelled)).state is OperationState.CANCELLED


async def test_a_running_change_is_cancelled_while_writing_is_off() -> None:
    run = await NativeRun.of(3)
    run.native.slow = True
    operation = await until(run, await run.ask([EXTRA]), lambda found: run.calls != [])
    await Pacer(run.world).turn(lambda _, now: Switch(is_on=False, at=now))
    cancelled = await control.cancel(run.world, operation.id, MIA)
    assert (await run.finish(cancelled)).state is OperationState.CANCELLED


async def test_an_approval_that_expires_leaves_the_group_and_is_not_requested_again() -> None:
    run = await NativeRun.of(30)
    waiting = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    run.later(days=31)
    await watchdog(run.world)
    ended = await run.finish(waiting, approve=False)
    assert ended.error is not None
    assert (ended.state, ended.error.code) == (OperationState.CANCELLED, "ApprovalExpired")
    assert "not changed" in ended.error.message
    run.later(days=31)
    await watchdog(run.world)
    await run.work_off()
    assert run.native.group_calls == []


async def test_a_paused_operation_goes_on_and_a_cancelled_one_keeps_what_was_added() -> None:
    run = await NativeRun.of(3)
    run.native.slow = True
    operation = await until(run, await run.ask([EXTRA]), lambda found: run.calls != [])
    await control.pause(run.world, operation.id, MIA)
    assert (await run.finish(operation)).state is OperationState.PAUSED
    await control.resume(run.world, operation.id, MIA)
    operation = await until(run, operation, lambda found: found.native is not None and found.native.seen)
    await control.cancel(run.world, operation.id, MIA)
    assert (await run.finish(operation)).state is OperationState.CANCELLED
    assert run.calls == [(["EXTRA"], [])]


async def test_a_running_removal_can_be_paused_and_cancelled() -> None:
    run = await NativeRun.of(3)
    run.native.slow = True
    operation = await until(run, await run.ask(remove=[SMALL]), lambda found: run.calls != [])
    await control.pause(run.world, operation.id, MIA)
    await control.cancel(run.world, operation.id, MIA)
    assert (await run.finish(operation)).state is OperationState.CANCELLED
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    assert (stored.assignment.engine, stored.assignment.skus) == (Engine.NATIVE, ())


async def test_two_removals_are_different_claims_so_one_approval_is_not_the_other() -> None:
    run = await NativeRun.of(3, [SMALL, EXTRA])
    claims = set()
    for product in (SMALL, EXTRA):
        operation = await run.change(remove=[product])
        page = await run.world.stores.snapshots.page(operation.id, operation.snapshot_id, 0)
        claims |= {claim for action in page.actions for _, named in action.claims for claim in named}
    assert len(claims) == 2


async def test_before_the_removal_two_reads_half_a_minute_apart_agree() -> None:
    run = await in_two_calls(4)
    at: list[datetime] = []
    operation = await until(
        run, await run.ask([LARGE], [SMALL]), lambda found: bool(found.native and found.native.verified_at)
    )
    verified_at = run.world.clock.now()
    run.native.on_group_call = lambda _: at.append(run.world.clock.now())
    assert (await run.finish(operation)).state is OperationState.COMPLETE
    assert at[0] - verified_at >= AGREE_AFTER


async def test_members_who_will_have_an_error_would_lose_everything_so_an_approval_names_them() -> None:
    """Graph has rejected EXTRA beside LARGE in this tenant, and 25 members have LARGE directly."""
    run = await NativeRun.of(30)
    plans = frozenset(plan.service_plan_id for sku in (EXTRA, LARGE) for plan in sku.service_plans)
    conflict = ObservedConflict(Pair.of(EXTRA.sku_id, LARGE.sku_id), plans, "No.", run.world.clock.now())
    await run.world.stores.product_facts.save_conflict(conflict, None)
    run.native.exclusive = frozenset({frozenset({EXTRA.sku_id, LARGE.sku_id})})
    for each in run.members[:25]:
        user = run.directory.truth(each)
        has = (*user.license_assignment_states, LicenseAssignmentState(LARGE.sku_id, frozenset({MAIL})))
        run.directory.change_user(replace(user, license_assignment_states=has))
    run.later(minutes=5)
    waiting = await run.finish(await run.ask([EXTRA]), approve=False)
    assert (waiting.state, waiting.plan.users_losing, waiting.plan.users_failing) == (
        OperationState.AWAITING_APPROVAL,
        25,
        25,
    )
    assert run.native.group_calls == []
    done = await run.finish(waiting)
    assert (done.state, done.totals.applied, done.totals.failed) == (OperationState.COMPLETE, 5, 25)


async def test_a_newer_request_takes_the_place_of_an_older_one() -> None:
    run = await NativeRun.of(3)
    run.native.slow = True
    older = await until(run, await run.ask([EXTRA]), lambda found: run.calls != [])
    newer = await run.ask([LARGE])
    run.native.slow = False
    run.native.process(TEAM)
    done = await run.finish(newer)
    assert done.state is OperationState.COMPLETE
    assert (await run.read(older)).superseded_by == newer.id


@pytest.mark.parametrize(
    ("add", "remove", "code"),
    [([], [LARGE], "SkuNotAssigned"), ([SMALL], [], "NothingToChange"), ([], [], "NoLicenseChanges")],
)
async def test_an_impossible_request_is_rejected_at_once(
    add: list[SubscribedSku], remove: list[SubscribedSku], code: str
) -> None:
    run = await NativeRun.of(2)
    with pytest.raises(BadRequest) as fault:
        await run.ask(add, remove)
    assert fault.value.code == code


async def test_reprocess_and_restoring_are_not_offered_for_a_native_group() -> None:
    run = await NativeRun.of(2)
    with pytest.raises(BadRequest) as fault:
        await run.ask(reprocess=True)
    assert fault.value.code == "NativeGroup"
    run.native.slow = True
    operation = await until(run, await run.ask([EXTRA]), lambda found: run.calls != [])
    with pytest.raises(BadRequest) as fault:
        await cancel_and_restore(run.world, operation.id, MIA)
    assert fault.value.code == "NativeGroup"
