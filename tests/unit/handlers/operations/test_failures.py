"""Operations that fail as a whole, or for one user, because of a missing permission or an incomplete read."""

from __future__ import annotations

from shared.domain.directory import LicenseError
from shared.domain.group_status import GroupState
from shared.domain.operation import OperationState
from tests.support.operations import adds_up, group_state
from tests.support.runs import EXTRA, SMALL, TEAM, Run


async def test_an_operation_stopped_for_a_missing_permission_is_counted_and_shown_to_its_end() -> None:
    run = Run()
    people = run.people(60)
    for each in people[:20]:
        run.writer.refuse(each, "Insufficient privileges to complete the operation.", status=403)
    ended = await run.change([SMALL])
    assert ended.state is OperationState.FAILED
    assert adds_up(ended)
    assert await group_state(run) is GroupState.ERRORS


async def test_one_user_whom_the_app_may_not_write_to_is_an_error_and_the_others_are_licensed() -> None:
    run = Run()
    protected, *others = run.people(60)
    run.writer.refuse(protected, "Insufficient privileges to complete the operation.", status=403)
    ended = await run.change([SMALL])
    assert (ended.state, ended.totals.failed, ended.totals.applied) == (OperationState.COMPLETE, 1, 59)
    (row,), _ = await run.world.stores.members.errors(TEAM, 5)
    assert (row.user_id, row.problems[0].error) == (protected, LicenseError.PERMISSION)
    assert all(run.licenses(each) == {"SMALL"} for each in others)


async def test_an_operation_that_cannot_be_sealed_is_shown_as_ended() -> None:
    run = Run()
    run.people(3)
    await run.change([SMALL])
    run.directory.thin_members(TEAM)
    ended = await run.change([EXTRA])
    assert ended.state is OperationState.FAILED
    assert adds_up(ended)
