"""HR events while writing is turned off."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.handlers.onboarding import administration
from shared.handlers.onboarding.announced import announced_leavers, approve_announced
from shared.handlers.onboarding.onboarding_queue import resume_due_events
from shared.handlers.operations.writing import turn_off, turn_on
from tests.support.hires import Hires, event, team
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


async def held_and_approved(size: int) -> Hires:
    """Five leavers over the allowance are held; a person approves them while writing is off."""
    run = await team(size=size)
    await run.send(*(event("leaver", f"l{n}", user(n), on="2026-01-01", removal="P0D") for n in range(1, size + 1)))
    start = run.fakes.clock.now()
    await run.work_off(lambda: run.fakes.clock.now() - start > timedelta(hours=2))
    await turn_off(run.world, MIA)
    held = await administration.held_leavers(run.world)
    assert await administration.approve_held(run.world, held.checksum, MIA) == len(held.records) == size - 20
    return run


async def go_on(run: Hires) -> None:
    await turn_on(run.world, MIA)
    await resume_due_events(run.world)
    start = run.fakes.clock.now()
    await run.work_off(lambda: run.fakes.clock.now() - start > timedelta(hours=7))


@pytest.mark.parametrize(("days", "is_carried_out"), [(29, True), (31, False)])
async def test_a_leaver_approved_long_before_writing_is_back_is_approved_again(days: int, is_carried_out: bool) -> None:
    run = await held_and_approved(25)
    run.later(days=days)
    await go_on(run)
    assert sum("SMALL" in run.licenses(user(n)) for n in range(1, 26)) == (0 if is_carried_out else 5)
    held = await administration.held_leavers(run.world)
    assert len(held.records) == (0 if is_carried_out else 5)
    if not is_carried_out:
        assert {each.note for each in held.records} == {
            "The approval has expired, because the leaver could not be carried out in time."
        }
        assert await administration.approve_held(run.world, held.checksum, MIA) == 5
        await run.work_off()
        assert not any("SMALL" in run.licenses(user(n)) for n in range(1, 26))


async def test_the_approval_of_an_announced_leaver_counts_from_its_day() -> None:
    run = await team(size=2)
    await run.notify(event("leaver", "l1", user(1), on="2026-03-02", removal="P0D"))
    listed = await announced_leavers(run.world)
    assert await approve_announced(run.world, listed.checksum, MIA) == 1
    run.later(days=60)
    await go_on(run)
    assert (await run.state("l1"), run.licenses(user(1))) == ("Done", set())
