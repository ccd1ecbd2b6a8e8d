"""What the row of a member says, compared with the licenses that the directory shows."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from shared.domain.change_messages import GroupsChanged
from shared.domain.directory import AssignedLicense, LicenseAssignmentState, LicenseState, ReadFailed
from shared.domain.ids import GroupId, UserId
from shared.domain.member_status import MemberState
from shared.domain.membership_changes import GroupChange
from shared.domain.messages import NOTIFICATIONS
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.read_models import MemberRow
from shared.handlers.operations import approvals, control
from shared.handlers.operations.accept import accept
from shared.handlers.operations.sync import SYNC, sync_group
from shared.ports.messaging import Outgoing
from tests.support.changes_by_hand import take_by_hand
from tests.support.operations import ALLOWED, held_run, leave
from tests.support.rows import row_of
from tests.support.runs import EXTRA, LARGE, MIA, OTHER_TEAM, SMALL, TEAM, Run

INNER = GroupId(str(UUID(int=990)))
LAST_OF_SMALL = max(SMALL.plan_ids)


async def other_row(run: Run, user_id: UserId) -> MemberRow:
    (row,) = await run.world.stores.members.of_user(user_id, [OTHER_TEAM])
    return row


async def give_other(run: Run, *licenses: AssignedLicense) -> Operation:
    """The other team assigns these licenses."""
    return await run.finish(await accept(run.world, OperationRequest(Target(OTHER_TEAM), MIA, LicenseChange(licenses))))


async def left(run: Run, *users: UserId, group: GroupId = TEAM) -> None:
    """A notification reports that these users are no longer direct members."""
    change = GroupsChanged((GroupChange(group, dict.fromkeys(users, False)),), run.world.clock.now())
    await run.world.queue.send([Outgoing(NOTIFICATIONS, change.encode())])


async def until_over(run: Run, operation: Operation) -> Operation:
    """Work on one message after another until the operation has ended; others can still wait."""
    while not (found := await run.read(operation)).state.is_ended:
        done = run.done
        await run.work_off(lambda: run.done > done)  # noqa: B023
    return found


async def test_a_member_whose_swap_waits_for_an_approval_is_pending_until_the_license_is_there() -> None:
    run = Run()
    people = run.people(60)
    await run.change([LARGE])
    moved, leavers = people[:2], people[: ALLOWED + 5]
    for each in moved:
        run.directory.join(OTHER_TEAM, each)
        run.directory.leave(TEAM, each)
    await leave(run, leavers[2:])
    run.directory.remove_sku(SMALL.sku_id, licenses=True)
    run.directory.add_sku(SMALL)
    await give_other(run, AssignedLicense(SMALL.sku_id))
    for each in moved:
        row = await other_row(run, each)
        has_all = "SMALL" in run.licenses(each)
        assert (row.state is MemberState.ACTIVE) is has_all, (row, run.licenses(each))


async def test_a_removal_from_one_group_says_nothing_in_the_rows_of_another() -> None:
    run = Run()
    mover, stays = run.people(2)
    for each in (mover, stays):
        run.directory.join(OTHER_TEAM, each)
    await run.change([EXTRA])
    await give_other(run, AssignedLicense(SMALL.sku_id))
    run.directory.leave(OTHER_TEAM, mover)
    await left(run, mover, group=OTHER_TEAM)
    await run.work_off(lambda: bool(run.fakes.queue.messages) and run.fakes.queue.messages[0].at is not None)
    assert run.licenses(mover) == {"EXTRA", "SMALL"}
    assert (await other_row(run, mover)).state is MemberState.PENDING
    row = await row_of(run, mover)
    assert (row.state, row.notes, row.next_check_at) == (MemberState.ACTIVE, (), None)


async def test_who_left_a_group_and_is_still_in_it_through_a_nested_one_stays_active() -> None:
    run = Run()
    run.directory.add_group(INNER)
    run.directory.join(TEAM, INNER)
    nested, direct = run.people(2)
    run.directory.join(INNER, nested)
    await run.change([SMALL])
    run.directory.leave(TEAM, nested)
    await left(run, nested)
    shown = []
    for _ in range(60):
        await run.work_off(lambda: bool(run.fakes.queue.messages) and run.fakes.queue.messages[0].at is not None)
        shown.append((await row_of(run, nested)).state)
        if not run.fakes.queue.messages:
            break
        run.later(seconds=30)
        await run.deliver(run.fakes.queue.messages.pop(0))
    assert set(shown) == {MemberState.ACTIVE}
    assert (await row_of(run, direct)).state is MemberState.ACTIVE


async def test_a_license_that_a_person_decided_to_keep_is_not_shown_as_removed() -> None:
    run, held, waiting = await held_run()
    await approvals.review(run.world, waiting.id, MIA)
    await run.work_off()
    await approvals.reject(run.world, waiting.id, MIA)
    await run.work_off()
    await sync_group(run.world, TEAM, SYNC)
    await run.work_off()
    assert all(run.licenses(each) == {"SMALL"} for each in held)
    rows = [await row_of(run, each) for each in held]
    assert {(row.state, row.left) for row in rows} == {(MemberState.PENDING, True)}
    assert all("kept" in note for row in rows for note in row.notes)


async def test_a_license_in_a_state_that_does_not_count_is_not_shown_as_removed() -> None:
    run = Run()
    lapsed, fine, _ = run.people(3)
    await run.change([SMALL])
    held = run.directory.truth(lapsed)
    rows = tuple(replace(row, state=LicenseState.DISABLED) for row in held.license_assignment_states)
    run.directory.change_user(replace(held, license_assignment_states=rows))
    await leave(run, [lapsed, fine])
    assert (await row_of(run, lapsed)).state is MemberState.PENDING
    assert (await row_of(run, fine)).state is MemberState.REMOVED


@pytest.mark.parametrize("reads", [1, 3])
async def test_a_held_removal_keeps_its_note_at_every_later_read(reads: int) -> None:
    run, held, _ = await held_run()
    for number in range(reads):
        run.later(hours=1)
        await run.reconcile(*held, cause=f"again-{number}")
    for each in held:
        assert f"held {SMALL.sku_id}" in (await row_of(run, each)).notes


async def test_held_plans_keep_their_note_at_every_later_read() -> None:
    run = Run()
    people = run.people(60)
    part = AssignedLicense(SMALL.sku_id, frozenset({LAST_OF_SMALL}))
    for each in people:
        run.directory.join(OTHER_TEAM, each)
    await give_other(run, part)
    await run.change([SMALL])
    gone = people[: ALLOWED + 5]
    await leave(run, gone)
    held = [each for each in gone if run.directory.licenses(each)[SMALL.sku_id] == frozenset()]
    assert held
    for number in range(3):
        run.later(hours=1)
        await run.reconcile(*held, cause=f"again-{number}")
        for each in held:
            row = await row_of(run, each)
            assert row.state is MemberState.PENDING
            assert any(note.startswith("held ") for note in row.notes), row.notes


async def test_a_failed_read_keeps_what_the_row_says() -> None:
    run, held, _ = await held_run()
    before = {each: await row_of(run, each) for each in held}
    operation = await run.ask(reprocess=True)
    await run.work_off(lambda: any("members" in each.queue for each in run.fakes.queue.messages))
    for each in held:
        run.directory.fail_read(each, ReadFailed("timeout"), times=100)
    for _ in range(60):
        if (await row_of(run, held[0])).operation_id == operation.id or not run.fakes.queue.messages:
            break
        await run.deliver(run.fakes.queue.messages.pop(0))
    for each in held:
        row = await row_of(run, each)
        assert (row.state, row.display_name, row.sku_ids) == (
            before[each].state,
            before[each].display_name,
            before[each].sku_ids,
        )
        assert f"held {SMALL.sku_id}" in row.notes


async def test_an_operation_does_not_stay_open_for_a_member_whose_license_is_not_visible() -> None:
    run = Run()
    people = run.people(4)
    await run.change([SMALL])
    take_by_hand(run, people[0])
    operation = await run.ask([EXTRA])
    started = run.world.clock.now()
    ended = await until_over(run, operation)
    assert ended.state is OperationState.COMPLETE
    assert (run.world.clock.now() - started).total_seconds() < 240
    row = await row_of(run, people[0])
    assert (row.state, row.next_check_at is not None) == (MemberState.PENDING, True)
    await run.work_off()
    assert run.licenses(people[0]) == {"SMALL", "EXTRA"}
    assert (await row_of(run, people[0])).state is MemberState.ACTIVE


async def test_an_operation_does_not_wait_for_removals_of_another_group() -> None:
    run = Run()
    people = run.people(6)
    for each in people:
        run.directory.join(OTHER_TEAM, each)
    await run.change([SMALL])
    gone = people[:3]
    for each in gone:
        run.directory.leave(TEAM, each)
    started = run.world.clock.now()
    await left(run, *gone)
    operation = await accept(
        run.world, OperationRequest(Target(OTHER_TEAM), MIA, LicenseChange((AssignedLicense(EXTRA.sku_id),)))
    )
    ended = await until_over(run, operation)
    assert (ended.state, ended.totals.remaining) == (OperationState.COMPLETE, 0)
    assert (run.world.clock.now() - started).total_seconds() < 60
    await run.work_off()
    assert all(run.licenses(each) == {"EXTRA"} for each in gone)


async def test_a_sync_does_not_wait_for_the_removals_that_it_finds() -> None:
    run = Run()
    people = run.people(6)
    await run.change([SMALL])
    for each in people[:3]:
        run.directory.leave(TEAM, each)
    operation = await sync_group(run.world, TEAM, SYNC)
    assert operation is not None
    started = run.world.clock.now()
    await until_over(run, operation)
    assert (run.world.clock.now() - started).total_seconds() < 60
    await run.work_off()
    assert not any(run.licenses(each) for each in people[:3])


async def test_a_cancelled_assignment_does_not_show_members_as_active_without_a_license() -> None:
    run = Run()
    people = run.people(3)
    operation = await run.ask([SMALL])
    await run.work_off(lambda: any("members" in each.queue for each in run.fakes.queue.messages))
    await control.cancel(run.world, operation.id, MIA)
    await run.work_off()
    await run.reconcile(*people)
    for each in people:
        row = await row_of(run, each)
        assert (row.state is MemberState.ACTIVE) is ("SMALL" in run.licenses(each)), (row, run.licenses(each))


async def test_a_product_that_a_member_has_from_another_source_is_listed_once_the_group_assigns_it_too() -> None:
    run = Run()
    people = run.people(2)
    await run.change([SMALL])
    for each in people:
        held = run.directory.truth(each)
        rows = (*held.license_assignment_states, LicenseAssignmentState(EXTRA.sku_id))
        run.directory.change_user(replace(held, license_assignment_states=rows))
    await run.change([EXTRA])
    assert [(await row_of(run, each)).sku_ids for each in people] == [(SMALL.sku_id, EXTRA.sku_id)] * 2
    await run.change(remove=[EXTRA])
    assert [(await row_of(run, each)).sku_ids for each in people] == [(SMALL.sku_id,)] * 2


async def test_who_leaves_with_an_unmanaged_license_is_no_longer_shown_as_a_member() -> None:
    run = Run()
    leaver, stays = run.people(2)
    for each in (leaver, stays):
        held = LicenseAssignmentState(SMALL.sku_id)
        run.directory.change_user(replace(run.directory.truth(each), license_assignment_states=(held,)))
    await run.change([SMALL])
    assert (await row_of(run, leaver)).state is MemberState.ACTIVE
    run.directory.leave(TEAM, leaver)
    await left(run, leaver)
    await run.work_off()
    row = await row_of(run, leaver)
    assert (row.state, row.left) == (MemberState.REMOVED, True)
    assert (await row_of(run, stays)).state is MemberState.ACTIVE
