"""HR events in bulk: a batch of a thousand with faults in it, and leavers reported by mistake."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.errors import Conflict
from shared.domain.hr_intake import open_keys
from shared.domain.initiator import queue_sender
from shared.handlers.onboarding import administration, records
from tests.support.hires import Hires, event, team
from tests.support.runs import MIA, TEAM, user


async def dead_letters(run: Hires) -> list[str]:
    return [dead_letter.reason for dead_letter in (await run.world.stores.dead_letters.page(2000))[0]]


async def test_a_batch_of_a_thousand_names_each_fault_by_position_field_and_value() -> None:
    run = await team()
    events: list[Any] = []
    for number in range(2001, 3001):
        person = run.directory.add_user(user(number))
        events.append(event("joiner", f"e{number}", person, groups=[TEAM]))
    faults: dict[int, tuple[str, Any]] = {
        10: ("specversion", "0.1"),
        20: ("type", "hr.fired.v1"),
        30: ("source", ""),
        40: ("id", "x" * 200),
        50: ("data", None),
        60: ("time", "noon"),
    }
    for position, (name, value) in faults.items():
        events[position] = {**events[position], name: value}
    inside: dict[int, tuple[str, Any]] = {
        70: ("user", {"mail": "x"}),
        80: ("effectiveDate", "soon"),
        90: ("sequence", -1),
        100: ("usageLocation", "xx"),
        110: ("groups", ["g"]),
        120: ("attributes", {"hat": "8"}),
        130: ("unheardOf", 1),
        140: ("removal", "P1D"),
        150: ("profiles", [7]),
        160: ("correlationId", 3),
    }
    for position, (name, value) in inside.items():
        events[position] = {**events[position], "data": {**events[position]["data"], name: value}}
    events[170] = "no object"
    events[180] = events[179]
    events[190] = {**events[189], "data": {**events[189]["data"], "sequence": 5}}
    receipts = await records.accept(run.world, events, queue_sender("onboarding", ""))
    named = {each.position: {fault.field for fault in each.faults} for each in receipts if each.faults}
    assert set(named) == {*faults, *inside, 170}
    for position, (name, _) in faults.items():
        assert any(field.startswith(name) for field in named[position])
    for position, (name, _) in inside.items():
        assert any(field.startswith(f"data.{name}") for field in named[position]), named[position]
    assert [each.position for each in receipts if each.taken] == [190]
    assert await dead_letters(run) == [], "whoever sends many at once is told"
    await records.resume(run.world, open_keys(receipts))
    await run.work_off()
    good = [each.record for each in receipts if each.record is not None and not each.taken]
    assert len({record.key for record in good}) == 1000 - len(named) - 2
    states = {(await administration.record_of(run.world, record.key)).state for record in good}
    assert states == {"Done"}
    await records.resume(run.world, open_keys(await records.accept(run.world, events, queue_sender("onboarding", ""))))
    writes = len(run.memberships.log)
    await run.work_off()
    assert len(run.memberships.log) == writes


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
