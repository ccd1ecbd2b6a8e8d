"""A natively licensed group whose members the app cannot see: nothing is removed while nobody is known to be safe."""

from __future__ import annotations

import pytest

from shared.domain.errors import PermissionDenied
from shared.domain.move import Direction, MovePhase
from shared.domain.operation import OperationState
from shared.handlers.operations.direct_members import direct_member_pages
from tests.support.moving import MovingRun
from tests.support.native_runs import NativeRun
from tests.support.runs import LARGE, SMALL, TEAM


async def test_a_hidden_group_is_not_read_as_empty_and_an_empty_one_is() -> None:
    run = MovingRun()
    run.native_group(3)
    seen = [len(page.users) async for page in direct_member_pages(run.world, TEAM)]
    run.fakes.native.hide(TEAM)
    with pytest.raises(PermissionDenied, match=r"Member\.Read\.Hidden"):
        assert [page.users async for page in direct_member_pages(run.world, TEAM)] == [[]]
    run = MovingRun()
    run.native_group(0)
    for each in list(run.directory.direct_members(TEAM)):
        run.directory.leave(TEAM, each)
    assert (seen, [len(page.users) async for page in direct_member_pages(run.world, TEAM)]) == ([3], [0])


async def test_a_group_that_hides_members_whom_the_app_can_see_is_read() -> None:
    run = MovingRun()
    run.native_group(3)
    run.fakes.native.hide(TEAM)
    run.fakes.native.hidden.clear()
    assert [len(page.users) async for page in direct_member_pages(run.world, TEAM)] == [3]


async def test_a_preview_of_a_move_fails_and_a_move_pauses_with_the_reason() -> None:
    run = MovingRun()
    people = run.native_group(12)
    run.fakes.native.hide(TEAM)
    await run.begin(Direction.TO_DIRECT, preview=True)
    await run.work_off()
    preview = await run.move()
    await run.begin(Direction.TO_DIRECT)
    await run.work_off()
    move = await run.move()
    assert preview.phase is MovePhase.FAILED
    assert "Member.Read.Hidden" in preview.problem
    assert "Member.Read.Hidden" in move.paused
    assert run.still_native() == set(people)


async def test_a_move_whose_members_are_hidden_before_the_last_step_ends_nothing() -> None:
    run = MovingRun()
    people = run.native_group(12)
    await run.begin(Direction.TO_DIRECT)
    await run.work_off()
    move = await run.move()
    assert move.phase is MovePhase.APPROVE
    run.fakes.native.hide(TEAM)
    await run.act("approve", move.checksum)
    await run.work_off()
    assert "Member.Read.Hidden" in (await run.move()).paused
    assert (run.fakes.native.group_calls, run.still_native(), run.gaps) == ([], set(people), [])


@pytest.mark.parametrize("swap", [True, False])
async def test_a_removal_from_a_native_group_waits_for_the_permission(swap: bool) -> None:
    run = await NativeRun.of(4)
    run.stock(LARGE, 9)
    operation = await run.ask([LARGE] if swap else [], [SMALL])
    run.native.hide(TEAM)
    waits = None
    for _ in range(20):
        await run.step()
        waits = await run.read(operation)
    assert waits is not None
    assert waits.error is not None
    assert "Member.Read.Hidden" in waits.error.message
    assert run.native.group_calls == []
    run.native.hidden.clear()
    done = await run.finish(operation)
    assert (done.state, len(run.native.group_calls)) == (OperationState.COMPLETE, 1)
