"""The removal allowance limits what membership changes remove without an approval."""

from __future__ import annotations

from shared.handlers.views import queries
from tests.support.notifications import managed, tell, went
from tests.support.runs import TEAM


async def test_many_leavers_by_events_are_held_and_collected_once() -> None:
    run, people = await managed(80)
    for each in people[:60]:
        run.directory.leave(TEAM, each)
    await tell(run, went(TEAM, *people[:60]))
    assert all(run.licenses(each) == {"SMALL"} for each in people)
    assert len(await queries.approvals(run.world)) == 1
