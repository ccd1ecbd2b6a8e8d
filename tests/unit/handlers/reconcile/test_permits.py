"""The removal allowance limits what membership changes remove without an approval."""

from __future__ import annotations

from shared.handlers.views import queries
from tests.support.notifications import managed, tell, went
from tests.support.runs import TEAM


async def test_a_thousand_leavers_by_events_stop_at_the_allowance_and_are_collected_once() -> None:
    run, people = await managed(80)
    for each in people[:60]:
        run.directory.leave(TEAM, each)
    await tell(run, went(TEAM, *people[:60]))
    assert sum(not run.licenses(each) for each in people) == 20
    assert len(await queries.approvals(run.world)) == 1
