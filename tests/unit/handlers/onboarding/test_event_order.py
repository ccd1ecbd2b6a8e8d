"""Events of one person in any order end the same."""

from __future__ import annotations

import random

import pytest

from shared.domain.onboarding import SourceOrder
from tests.support.hires import event, team
from tests.support.runs import LARGE, OTHER_TEAM, TEAM, user


@pytest.mark.parametrize("seed", range(12))
async def test_a_persons_events_in_any_order_end_the_same(seed: int) -> None:
    run = await team()
    run.order_by(SourceOrder.SEQUENCE)
    await run.license_other(LARGE)
    ann = run.directory.add_user(user(1))
    story = [
        event("joiner", "1", ann, on="2025-12-01", sequence=1, groups=[TEAM]),
        event("mover", "2", ann, on="2025-12-10", sequence=2, groups=[OTHER_TEAM]),
        event("leaver", "3", ann, on="2025-12-20", sequence=3, removal="P0D"),
        event("joiner", "4", ann, on="2026-01-02", sequence=4, groups=[OTHER_TEAM]),
    ]
    order = [*story, *random.Random(seed).sample(story, 2)]
    random.Random(seed).shuffle(order)
    for each in order:
        await run.send(each)
        if random.Random(f"{seed}{each['id']}").random() < 0.5:
            await run.work_off()
    await run.work_off()
    run.later(minutes=15)
    await run.reconcile(ann)
    run.later(minutes=2)
    await run.reconcile(ann)
    assert run.licenses(ann) == {"LARGE"}
    assert (run.member(ann, TEAM), run.member(ann, OTHER_TEAM)) == (False, True)
    assert await run.state("4") == "Done"
    for name in ("1", "2", "3"):
        assert await run.state(name) in ("Done", "DoneWithErrors", "Superseded")


async def test_a_mover_during_a_joiner_that_waits_for_the_account_comes_after_it() -> None:
    run = await team()
    await run.license_other(LARGE)
    who = {"employeeId": "77"}
    await run.send(
        event("joiner", "1", who, groups=[TEAM]), event("mover", "2", who, on="2026-01-02", groups=[OTHER_TEAM])
    )
    clock, start = run.fakes.clock, run.fakes.clock.now()
    await run.work_off(lambda: (clock.now() - start).total_seconds() > 3600)
    assert (await run.state("1"), await run.state("2")) == ("WaitingForAccount", "WaitingForEarlierEvent")
    ann = run.directory.add_user(user(1))
    run.accounts.employee_ids[ann] = "77"
    await run.work_off()
    assert (await run.state("1"), await run.state("2")) == ("Done", "Done")
    assert (run.member(ann, TEAM), run.member(ann, OTHER_TEAM)) == (False, True)
