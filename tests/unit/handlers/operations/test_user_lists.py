"""Operations on a list of users instead of a group."""

from __future__ import annotations

from shared.domain.directory import AssignedLicense
from shared.domain.ids import UserId
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations.accept import accept
from tests.support.runs import EXTRA, MIA, SMALL, TEAM, Run, user


async def on_list(run: Run, people: list[UserId], change: LicenseChange) -> Operation:
    return await run.finish(await accept(run.world, OperationRequest(Target(None, tuple(people)), MIA, change)))


async def test_a_list_of_users_is_licensed_and_unlicensed_and_what_a_group_gives_stays() -> None:
    run = Run()
    member = run.directory.add_user(user(1), groups=[TEAM])
    alone = run.directory.add_user(user(2))
    await run.change([EXTRA])
    added = await on_list(run, [member, alone], LicenseChange(tuple(AssignedLicense(s.sku_id) for s in (SMALL, EXTRA))))
    assert (added.state, added.totals.applied) == (OperationState.COMPLETE, 2)
    assert [run.licenses(each) for each in (member, alone)] == [{"SMALL", "EXTRA"}] * 2
    removed = await on_list(run, [member, alone], LicenseChange((), (SMALL.sku_id, EXTRA.sku_id)))
    assert (removed.state, removed.totals.applied) == (OperationState.COMPLETE, 2)
    assert [run.licenses(each) for each in (member, alone)] == [{"EXTRA"}, set()]
