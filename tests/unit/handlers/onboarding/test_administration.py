"""Cancelling and replaying HR events."""

from __future__ import annotations

import pytest

from shared.domain.errors import BadRequest, Conflict
from shared.domain.initiator import Initiator
from shared.handlers.onboarding import administration
from tests.support.hires import event, team
from tests.support.runs import TEAM, user

MIA = Initiator("mia", "Mia")


async def test_an_event_is_cancelled_until_it_is_worked_on_and_replayed_only_after_a_failure() -> None:
    run = await team()
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, on="2026-06-01", groups=[TEAM]))
    key = (await run.record("1")).key
    assert str((await administration.cancel(run.world, key, MIA)).state) == "Cancelled"
    assert str((await administration.cancel(run.world, key, MIA)).state) == "Cancelled"
    with pytest.raises(BadRequest, match="only Failed, DoneWithErrors"):
        await administration.replay(run.world, key, MIA)
    await run.notify(event("joiner", "2", ann, profiles=["late"]))
    assert await run.state("2") == "Failed"
    with pytest.raises(Conflict, match="cannot be cancelled any more"):
        await administration.cancel(run.world, (await run.record("2")).key, MIA)
    await run.profile("late", groups=(TEAM,), selectable=True)
    await administration.replay(run.world, (await run.record("2")).key, MIA)
    await run.work_off()
    assert await run.state("2") == "Done"
    assert [each["data"]["state"] for each in run.results] == ["Cancelled", "Failed", "Done"]
