"""Leavers over the removal allowance are held until an administrator approves or rejects them."""

from __future__ import annotations

import pytest

from shared.domain.errors import Conflict
from shared.domain.operation import Actor
from shared.handlers.onboarding import administration
from tests.support.hires import event, team
from tests.support.runs import user

MIA = Actor("mia", "Mia")


async def test_five_thousand_leavers_by_mistake_are_held_but_for_the_allowance_until_a_person_decides() -> None:
    run = await team(size=120)
    leavers = [event("leaver", f"l{n}", user(n), on="2026-01-01", removal="P0D") for n in range(1, 121)]
    await run.send(*leavers)
    clock, start = run.fakes.clock, run.fakes.clock.now()
    await run.work_off(lambda: (clock.now() - start).total_seconds() > 7200)
    licensed = [n for n in range(1, 121) if "SMALL" in run.licenses(user(n))]
    assert len(licensed) == 100
    held = await administration.held_leavers(run.world)
    assert (len(held.records), held.allowed) == (100, 20)
    with pytest.raises(Conflict, match="100 held leavers now"):
        await administration.approve_held(run.world, "0" * 64, MIA)
    spared = held.records[0]
    await administration.cancel(run.world, spared.key, MIA)
    seen = await administration.held_leavers(run.world)
    assert len(seen.records) == 99
    assert await administration.approve_held(run.world, seen.checksum, MIA) == 99
    run.fakes.queue.messages = [each for each in run.fakes.queue.messages if each.at is None or each.at <= clock.now()]
    await run.work_off()
    left = [n for n in range(1, 121) if "SMALL" in run.licenses(user(n))]
    assert [user(n) for n in left] == [spared.event.person.id]
    assert (await run.record("l1")).permitted_by in ("allowance", "Mia")
    assert await administration.held_leavers(run.world) == administration.HeldLeavers(
        (), 20, administration.checksum_of(())
    )


async def test_rejected_leavers_keep_everything() -> None:
    run = await team(size=25)
    await run.send(*(event("leaver", f"l{n}", user(n), on="2026-01-01", removal="P0D") for n in range(1, 26)))
    clock, start = run.fakes.clock, run.fakes.clock.now()
    await run.work_off(lambda: (clock.now() - start).total_seconds() > 7200)
    held = await administration.held_leavers(run.world)
    assert await administration.reject_held(run.world, held.checksum, MIA) == 5
    await run.wait(days=3)
    assert sum("SMALL" in run.licenses(user(n)) for n in range(1, 26)) == 5
    assert [await run.state(record.event.id) for record in held.records] == ["Cancelled"] * 5
