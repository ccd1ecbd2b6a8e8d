"""A product of a group that cannot be assigned: members lose the products that they have, or keep them. No page of
Microsoft says which (switch `failedGroupProduct`), so operations are right for both."""

from __future__ import annotations

from shared.domain.member_status import MemberState
from shared.domain.operation import OperationState
from tests.support.native_runs import NativeRun
from tests.support.runs import LARGE, SMALL, TEAM


async def raced(*, keeps: bool) -> NativeRun:
    """Four members with SMALL. Others take two of four licenses of LARGE in the moment of the first call."""
    run = await NativeRun.of(4)
    run.native.keeps_products = keeps
    run.stock(LARGE, 4)

    def race(_: object) -> None:
        run.native.on_group_call = None
        run.stock(LARGE, 2)

    run.native.on_group_call = race
    return run


async def test_an_addition_through_which_members_lose_their_products_is_taken_back() -> None:
    run = await raced(keeps=False)
    done = await run.change(add=[LARGE])
    assert done.state is OperationState.FAILED
    assert done.error is not None and "2 members lost" in done.error.message
    assert run.calls == [(["LARGE"], []), ([], ["LARGE"])]
    assert [run.active(each) for each in run.members] == [{"SMALL"}] * 4


async def test_an_addition_stays_if_members_keep_their_products() -> None:
    run = await raced(keeps=True)
    done = await run.change(add=[LARGE])
    assert (done.state, done.totals.applied, done.totals.failed) == (OperationState.COMPLETE, 2, 2)
    assert run.calls == [(["LARGE"], [])]
    assert sorted(map(sorted, map(run.active, run.members))) == [["LARGE", "SMALL"]] * 2 + [["SMALL"]] * 2
    assert await run.states() == {MemberState.ACTIVE: 2, MemberState.ACTIVE_WITH_ERROR: 2}
    rows, _ = await run.world.stores.members.errors(TEAM, 10, None)
    assert [len(row.problems) for row in rows] == [2, 2]
    for row in rows:
        texts = {problem.sku_id: problem.text for problem in row.problems}
        assert "Still assigned" in texts[SMALL.sku_id]
