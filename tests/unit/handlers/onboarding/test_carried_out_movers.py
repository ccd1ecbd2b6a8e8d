"""A mover dated after a leaver: carried out by a person, it takes the announced removal back."""

from __future__ import annotations

import pytest

from shared.domain.onboarding import OnboardingState
from shared.handlers.onboarding import administration
from shared.handlers.onboarding.announced import announced_leavers
from tests.support.hires import event, team
from tests.support.runs import MIA, OTHER_TEAM, user


@pytest.mark.parametrize("day", ["2026-02-01", "2026-02-04", "2026-03-01"])
async def test_a_mover_that_is_carried_out_ends_the_announced_leaver_at_once(day: str) -> None:
    run = await team(size=2)
    await run.name_by_events(OTHER_TEAM)
    for number in (1, 2):
        await run.send(event("leaver", f"l{number}", user(number), on="2026-02-01", removal="P0D"))
    await run.work_off()
    await run.send({**event("mover", "m1", user(1), on=day, groups=[OTHER_TEAM]), "time": "2026-01-03T00:00:00Z"})
    await run.work_off()
    record = await run.record("m1")
    assert record.state is OnboardingState.NEEDS_DECISION
    await administration.decide(run.world, record.key, MIA, carry_out=True)
    await run.work_off()
    assert [each.event.id for each in (await announced_leavers(run.world)).records] == ["l2"]
    leaver = await run.record("l1")
    assert (leaver.state, leaver.next_at) == (OnboardingState.SUPERSEDED, None)
    await run.wait(days=70)
    assert (run.member(user(1), OTHER_TEAM), run.member(user(2))) == (True, False)
