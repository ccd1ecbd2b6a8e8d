"""Grace after leaving a group: licenses stay until it ends."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.assignment import OptionsChange
from shared.domain.member_status import MemberState
from shared.handlers.operations.assignment_changes import set_options
from shared.handlers.reconcile.grant_expiry import reconcile_due_users
from tests.support.notifications import came, managed, notify, went
from tests.support.runs import MIA, TEAM


async def test_a_leaver_in_grace_keeps_the_license_until_it_ends_and_coming_back_cancels() -> None:
    run, (leaves, returns, _) = await managed()
    await set_options(run.world, TEAM, OptionsChange({"grace": timedelta(days=30)}), MIA, None)
    for each in (leaves, returns):
        run.directory.leave(TEAM, each)
    await notify(run, went(TEAM, leaves, returns))
    assert [run.licenses(each) for each in (leaves, returns)] == [{"SMALL"}, {"SMALL"}]
    (row,) = await run.world.stores.members.of_user(leaves, [TEAM])
    assert row.state is MemberState.PENDING
    run.later(days=10)
    run.directory.join(TEAM, returns)
    await notify(run, came(TEAM, returns))
    await reconcile_due_users(run.world)
    await run.work_off()
    run.later(days=21)
    assert await reconcile_due_users(run.world) >= 1
    await run.work_off()
    assert [run.licenses(each) for each in (leaves, returns)] == [set(), {"SMALL"}]
    assert await reconcile_due_users(run.world) == 0
