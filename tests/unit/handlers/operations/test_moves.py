"""Moves of a group between native and direct licensing, from the request to the last step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.approval_rules import Request
from shared.domain.assignment import Enforcement, Engine
from shared.domain.directory import LicenseAssignmentState
from shared.domain.errors import ApprovalDenied, Outdated, StateConflict
from shared.domain.ids import UserId
from shared.domain.initiator import Initiator, InitiatorKind
from shared.domain.messages import STEPS
from shared.domain.move import Direction, Move, MovePhase
from shared.domain.move_members import MoveVerdict
from shared.handlers.operations import moves
from shared.handlers.operations.move_steps import watch_moves
from shared.handlers.operations.moves import MoveRequest
from shared.handlers.operations.own_requests import count_own
from shared.ports.messaging import Outgoing
from tests.support.builders import audited
from tests.support.moving import PRODUCTS, MovingRun
from tests.support.runs import MAIL, MIA, NOA, SMALL, TEAM
from tests.support.worlds import fake_world


async def test_a_move_to_direct_leaves_everybody_with_the_same_plans() -> None:
    run = MovingRun()
    people = run.native_group(30, nested=3, broken=2)
    await run.begin(Direction.TO_DIRECT)
    move = await run.complete()
    assert (move.phase, run.gaps) == (MovePhase.DONE, [])
    assert run.still_native() == set()
    assert run.direct_users() == set(people)
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    assert stored.assignment.engine is Engine.DIRECT
    assert {each.enforcement for each in stored.assignment.skus} == {Enforcement.ENFORCED}
    assert not stored.assignment.options.allow_native_overlap
    assert (move.members, move.nested) == (33, 3)
    assert move.needed.licenses == {each.sku_id: 5 for each in PRODUCTS}
    assert move.verdicts[MoveVerdict.READY] == 28


async def test_a_move_back_to_native_leaves_nested_members_direct() -> None:
    run = MovingRun()
    people = run.native_group(30, nested=3)
    await run.begin(Direction.TO_DIRECT)
    await run.complete()
    run.gaps.clear()
    await run.begin(Direction.TO_NATIVE)
    move = await run.complete()
    assert (move.phase, run.gaps) == (MovePhase.DONE, [])
    assert run.still_native() == set(people[:30])
    assert run.direct_users() == set(people[30:])
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    assert (stored.assignment.engine, stored.assignment.skus) == (Engine.NATIVE, ())
    assert set(stored.assignment.native) == set(PRODUCTS)
    assert move.needed.licenses == {each.sku_id: 0 for each in PRODUCTS}


async def at_approval(run: MovingRun, direction: Direction) -> Move:
    """A move whose members are verified, and that waits for its approval."""
    await run.begin(direction)
    await run.work_off()
    move = await run.move()
    assert move.phase is MovePhase.APPROVE, move.paused
    return move


def take_direct(run: MovingRun, user_id: UserId) -> None:
    """An administrator removes the direct licenses of a member by hand."""
    person = run.directory.truth(user_id)
    rows = tuple(row for row in person.license_assignment_states if row.assigned_by_group is not None)
    run.directory.change_user(replace(person, license_assignment_states=rows))


async def test_the_last_step_waits_for_a_member_who_lacks_the_direct_license_since_the_approval() -> None:
    run = MovingRun()
    people = run.native_group(12)
    move = await at_approval(run, Direction.TO_DIRECT)
    run.later(minutes=20)
    take_direct(run, people[3])
    await run.act("approve", move.checksum)
    done = await run.complete()
    assert (done.phase, run.gaps) == (MovePhase.DONE, [])
    assert run.direct_users() == set(people)


async def test_a_member_with_fewer_apps_in_an_unmanaged_license_stops_the_move_and_loses_nothing() -> None:
    run = MovingRun()
    people = run.native_group(12)
    person = run.directory.truth(people[0])
    less = LicenseAssignmentState(SMALL.sku_id, SMALL.plan_ids - {MAIL})
    run.directory.change_user(replace(person, license_assignment_states=(*person.license_assignment_states, less)))
    await run.begin(Direction.TO_DIRECT)
    await run.work_off()
    move = await run.move()
    assert "lacks service plans" in move.paused
    await run.act("undo")
    undone = await run.complete()
    assert (undone.phase, run.gaps) == (MovePhase.UNDONE, [])
    assert run.still_native() == set(people)
    assert run.direct_users() == set()


async def test_a_change_of_the_native_licenses_pauses_the_move_until_it_is_made_back() -> None:
    run = MovingRun()
    run.native_group(12)
    await run.begin(Direction.TO_DIRECT)
    await run.work_off(lambda: run.moments > 4)
    group = run.directory.groups[TEAM]
    run.directory.groups[TEAM] = replace(group, native_skus=PRODUCTS[:1])
    await run.work_off()
    assert "have changed since" in (await run.move()).paused
    await run.act("resume")
    await run.work_off()
    assert "have changed since" in (await run.move()).paused
    run.directory.groups[TEAM] = group
    assert ((await run.complete()).phase, run.gaps) == (MovePhase.DONE, [])


async def test_a_duplicate_or_old_step_changes_nothing() -> None:
    run = MovingRun()
    run.native_group(12)
    await run.begin(Direction.TO_DIRECT)
    steps: list[Outgoing] = []
    moment = run.before

    def keeping(message: Outgoing) -> None:
        moment(message)
        steps.extend([message] if message.queue in STEPS else [])

    run.before = keeping
    await run.work_off()
    before = await run.move()
    for message in steps[:-1]:
        await run.deliver(message)
    assert await run.move() == before
    await run.act("pause")
    await run.deliver(steps[-1])
    assert (await run.move()).state == "paused"


async def test_an_approval_of_another_verification_is_outdated() -> None:
    run = MovingRun()
    run.native_group(12)
    await at_approval(run, Direction.TO_DIRECT)
    with pytest.raises(Outdated):
        await moves.approve(run.world, TEAM, "other", NOA)


async def test_a_removal_that_fails_for_a_member_is_an_error_until_it_succeeds() -> None:
    run = MovingRun()
    people = run.native_group(12)
    move = await at_approval(run, Direction.TO_DIRECT)
    run.engine.stuck = {people[0], people[1]}
    seen: list[int] = []
    run.engine.reprocessing = lambda: seen.append(len(run.engine.stuck))
    await run.act("approve", move.checksum)
    done = await run.complete()
    assert (done.phase, done.errors, run.still_native()) == (MovePhase.DONE, 0, set())
    assert seen == [2, 1]
    activities = [entry.activity for entry in await audited(run.world.stores, "202601")]
    for each in ("Start move of group licensing", "Approve move of group licensing", "Move group licensing: done"):
        assert each in activities


async def test_a_large_group_needs_another_person_for_the_last_step() -> None:
    run = MovingRun()
    run.native_group(60)
    move = await at_approval(run, Direction.TO_DIRECT)
    with pytest.raises(ApprovalDenied):
        await moves.approve(run.world, TEAM, move.checksum, MIA)
    assert (await moves.approve(run.world, TEAM, move.checksum, NOA)).phase is MovePhase.FINAL


async def test_a_lost_message_of_a_move_is_sent_again() -> None:
    run = MovingRun()
    run.native_group(12)
    await run.begin(Direction.TO_DIRECT)
    run.fakes.queue.messages.clear()
    assert await watch_moves(run.world) == 0
    run.later(minutes=11)
    assert await watch_moves(run.world) == 1
    assert (await run.complete()).phase is MovePhase.DONE


APP = Initiator("bot", "Bot", InitiatorKind.APP)


async def test_a_protected_member_of_a_move_that_an_application_requested_needs_two_people() -> None:
    run = MovingRun()
    people = run.native_group(12)
    run.protect(people[0])
    run.witness()
    await moves.begin(run.world, MoveRequest(TEAM, Direction.TO_DIRECT, APP))
    await run.work_off()
    move = await run.move()
    assert (move.phase, move.protected) == (MovePhase.APPROVE, 1)
    once = await moves.approve(run.world, TEAM, move.checksum, MIA)
    assert (once.phase, once.approved_by, [each.by for each in once.approvals]) == (MovePhase.APPROVE, None, [MIA])
    await run.work_off()
    assert (await run.move()).phase is MovePhase.APPROVE
    assert run.still_native() == set(people)
    with pytest.raises(ApprovalDenied, match="already approved"):
        await moves.approve(run.world, TEAM, move.checksum, MIA)
    twice = await moves.approve(run.world, TEAM, move.checksum, NOA)
    assert (twice.phase, twice.approved_by) == (MovePhase.FINAL, NOA)
    assert ((await run.complete()).phase, run.gaps, run.still_native()) == (MovePhase.DONE, [], set())


async def test_a_first_approval_ends_with_a_pause() -> None:
    run = MovingRun()
    run.protect(run.native_group(12)[0])
    await moves.begin(run.world, MoveRequest(TEAM, Direction.TO_DIRECT, APP))
    await run.work_off()
    move = await run.move()
    await moves.approve(run.world, TEAM, move.checksum, MIA)
    await run.act("pause")
    await run.act("resume")
    await run.work_off()
    again = await run.move()
    assert (again.phase, again.approvals) == (MovePhase.APPROVE, ())


async def test_a_requester_does_not_approve_for_a_member_who_is_protected_since_the_start() -> None:
    run = MovingRun()
    people = run.native_group(12)
    await run.begin(Direction.TO_DIRECT)
    await run.work_off(lambda: run.moments > 4)
    assert (await run.move()).protected == 0
    run.protect(people[0])
    await run.work_off()
    move = await run.move()
    assert (move.phase, move.protected) == (MovePhase.APPROVE, 1)
    with pytest.raises(ApprovalDenied, match="protected person"):
        await moves.approve(run.world, TEAM, move.checksum, MIA)


async def test_who_is_protected_since_the_approval_needs_another_one() -> None:
    run = MovingRun()
    people = run.native_group(12)
    move = await at_approval(run, Direction.TO_DIRECT)
    await moves.approve(run.world, TEAM, move.checksum, MIA)
    run.protect(people[0])
    await run.work_off()
    waiting = await run.move()
    assert (waiting.phase, waiting.approved_by, waiting.protected) == (MovePhase.APPROVE, None, 1)
    assert run.still_native() == set(people)


async def test_until_the_protected_people_were_read_no_move_asks_for_its_approval() -> None:
    run = MovingRun(fake_world(protected_list_read=False))
    people = run.native_group(12)
    await run.begin(Direction.TO_DIRECT)
    start = run.fakes.clock.now()
    await run.work_off(lambda: run.fakes.clock.now() - start > timedelta(hours=5))
    assert (await run.move()).phase is MovePhase.VERIFY
    body = '{"readAt": "2026-01-05T09:00:00+00:00", "fault": ""}'
    run.fakes.tables.place("protectedpeople", "list", "read", body=body)
    run.protect(people[0])
    await run.work_off()
    assert ((await run.move()).phase, (await run.move()).protected) == (MovePhase.APPROVE, 1)


async def test_own_moves_of_a_day_count_together() -> None:
    run = MovingRun()
    run.native_group(30)
    world = run.world
    move = await at_approval(run, Direction.TO_DIRECT)
    await count_own(world, Request("mia", world.clock.now(), 30, protected=False), "mia")
    with pytest.raises(ApprovalDenied, match="after 30 whose removals you approved"):
        await moves.approve(world, TEAM, move.checksum, MIA)
    assert (await moves.approve(world, TEAM, move.checksum, NOA)).phase is MovePhase.FINAL


async def test_an_approval_that_nobody_gives_ends_and_members_are_verified_again() -> None:
    run = MovingRun()
    people = run.native_group(12)
    move = await at_approval(run, Direction.TO_DIRECT)
    run.later(days=29)
    await watch_moves(run.world)
    assert (await run.move()).state == "awaitingApproval"
    run.later(days=2)
    await watch_moves(run.world)
    expired = await run.move()
    assert (expired.state, "in time" in expired.paused) == ("paused", True)
    with pytest.raises(StateConflict):
        await moves.approve(run.world, TEAM, move.checksum, NOA)
    await run.work_off()
    assert run.still_native() == set(people)
    await run.act("resume")
    assert ((await run.complete()).phase, run.gaps) == (MovePhase.DONE, [])
