"""HR events while writing is turned off."""

from __future__ import annotations

from shared.handlers.onboarding.onboarding_queue import resume_due_events
from shared.handlers.operations.writing import turn_off, turn_on
from tests.support.hires import Hires, event
from tests.support.runs import MIA, SMALL, TEAM, user


async def test_an_event_is_kept_and_carried_out_after_writing_is_turned_on() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    ann, bob = run.directory.add_user(user(1)), run.directory.add_user(user(2))
    await turn_off(run.world, MIA)
    await run.notify(event("joiner", "1", ann, groups=[TEAM]))
    await run.send(event("joiner", "2", bob, groups=[TEAM]))
    await run.work_off()
    assert [await run.state(each) for each in ("1", "2")] == ["Received", "Received"]
    assert not run.member(ann)
    run.later(days=2)
    await turn_on(run.world, MIA)
    await resume_due_events(run.world)
    await run.work_off()
    assert [run.member(each) for each in (ann, bob)] == [True, True]
    assert [run.licenses(each) for each in (ann, bob)] == [{"SMALL"}, {"SMALL"}]
