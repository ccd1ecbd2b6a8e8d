"""Leavers over the removal allowance are held until an administrator approves or rejects them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.errors import ApprovalDenied
from shared.domain.hr_intake import open_keys
from shared.domain.hr_senders import BY_QUEUE
from shared.domain.initiator import Initiator
from shared.handlers.onboarding import administration, records
from shared.handlers.onboarding.leaver import leavers_allowed
from tests.support.hires import SOURCE, event, team
from tests.support.runs import EXTRA, SMALL, user

MIA = Initiator("mia", "Mia")
EVE = Initiator("eeeeeeee-0000-4000-8000-000000000005", "Eve", channel="api")


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


async def test_the_allowance_is_a_share_of_the_people_with_a_license_and_not_of_the_largest_group() -> None:
    run = await team(size=3)
    policy = replace(run.world.policy, leaver_allowance_minimum=1, leaver_allowance_percent=10.0)
    world = replace(run.world, policy=policy)
    assert await leavers_allowed(world) == 1
    run.directory.add_sku(replace(SMALL, consumed_units=197))
    assert await leavers_allowed(world) == 20, "200 people have the product"
    run.directory.add_sku(replace(EXTRA, consumed_units=9000))
    assert await leavers_allowed(world) == 20, "nobody has a managed license of this one"


async def test_a_person_who_sent_many_leavers_cannot_approve_them_and_another_person_can() -> None:
    run = await team(size=80)
    run.set_policy(hr_senders={SOURCE: frozenset({EVE.id})})
    leavers = [event("leaver", f"l{n}", user(n), on="2026-01-01", removal="P0D") for n in range(1, 81)]
    await records.resume(run.world, open_keys(await records.accept(run.world, leavers, EVE)))
    clock, start = run.fakes.clock, run.fakes.clock.now()
    await run.work_off(lambda: (clock.now() - start).total_seconds() > 7200)
    held = await administration.held_leavers(run.world)
    assert len(held.records) == 60
    with pytest.raises(ApprovalDenied, match="You requested this, and 60 people"):
        await administration.approve_held(run.world, held.checksum, EVE)
    assert await administration.approve_held(run.world, held.checksum, MIA) == 60


async def test_a_person_can_approve_few_leavers_of_their_own_and_those_of_applications() -> None:
    run = await team(size=25)
    run.set_policy(hr_senders={SOURCE: frozenset({EVE.id, BY_QUEUE})})
    leavers = [event("leaver", f"l{n}", user(n), on="2026-01-01", removal="P0D") for n in range(1, 26)]
    await records.resume(run.world, open_keys(await records.accept(run.world, leavers[:15], EVE)))
    await run.send(*leavers[15:])
    clock, start = run.fakes.clock, run.fakes.clock.now()
    await run.work_off(lambda: (clock.now() - start).total_seconds() > 7200)
    held = await administration.held_leavers(run.world)
    assert await administration.approve_held(run.world, held.checksum, EVE) == 5
