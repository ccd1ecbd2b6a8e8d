"""The feed of HR events as a whole: doubled, reordered, broken, replayed, by the thousand, and by mistake."""

from __future__ import annotations

import random
from typing import Any

import pytest

from shared.domain.errors import BadRequest, Conflict
from shared.domain.hr_intake import open_keys
from shared.domain.operation import Actor
from shared.handlers.onboarding import administration, records
from tests.support.hires import LARGE, OTHER_TEAM, SMALL, SOURCE, TEAM, Hires, event
from tests.support.runs import user

MIA = Actor("mia", "Mia")


async def team(*, size: int = 0) -> Hires:
    run = Hires()
    for number in range(1, size + 1):
        run.directory.add_user(user(number), groups=[TEAM])
    await run.licensed_team(SMALL)
    return run


async def letters(run: Hires) -> list[str]:
    return [letter.reason for letter in await run.world.stores.dead_letters.newest(2000)]


async def test_the_same_event_again_changes_nothing() -> None:
    run = await team()
    ann = run.directory.add_user(user(1))
    joiner = event("joiner", "1", ann, groups=[TEAM])
    await run.tell(joiner, joiner)
    before = await run.record("1")
    await run.tell(joiner)
    assert await run.record("1") == before
    assert len(run.memberships.log) == 1
    assert len(run.results) == 1


async def test_another_event_under_the_same_id_is_refused_and_kept() -> None:
    run = await team()
    ann, bob = run.directory.add_user(user(1)), run.directory.add_user(user(2))
    await run.tell(event("joiner", "1", ann, groups=[TEAM]), event("joiner", "1", bob, groups=[TEAM]))
    assert run.member(ann)
    assert not run.member(bob)
    assert await letters(run) == [f"event '1' of '{SOURCE}' was received before with other content; use a new id"]


async def test_a_broken_event_is_kept_with_every_fault_and_can_be_sent_mended() -> None:
    run = await team()
    ann = run.directory.add_user(user(1))
    broken = event("joiner", "1", ann, groups=["x"], usageLocation="Germany")
    await run.tell(broken)
    assert await letters(run) == [
        'data.usageLocation must be a country code of two capital letters (ISO 3166-1), not "Germany"; '
        'data.groups must be a GUID, not "x"'
    ]
    await run.tell(event("joiner", "1", ann, groups=[TEAM]))
    assert await run.state("1") == "Done"


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
    receipts = await records.accept(run.world, events, "hr")
    named = {each.position: {fault.field for fault in each.faults} for each in receipts if each.faults}
    assert set(named) == {*faults, *inside, 170}
    for position, (name, _) in faults.items():
        assert any(field.startswith(name) for field in named[position])
    for position, (name, _) in inside.items():
        assert any(field.startswith(f"data.{name}") for field in named[position]), named[position]
    assert [each.position for each in receipts if each.taken] == [190]
    assert len(await letters(run)) == len(named) + 1
    await records.resume(run.world, open_keys(receipts))
    await run.work_off()
    good = [each.record for each in receipts if each.record is not None and not each.taken]
    assert len({record.key for record in good}) == 1000 - len(named) - 2
    states = {(await administration.record_of(run.world, record.key)).state for record in good}
    assert states == {"Done"}
    await records.resume(run.world, open_keys(await records.accept(run.world, events, "hr")))
    writes = len(run.memberships.log)
    await run.work_off()
    assert len(run.memberships.log) == writes


@pytest.mark.parametrize("seed", range(12))
async def test_a_persons_events_in_any_order_end_the_same(seed: int) -> None:
    run = await team()
    await run.license_other(LARGE)
    ann = run.directory.add_user(user(1))
    story = [
        event("joiner", "1", ann, on="2025-12-01", groups=[TEAM]),
        event("mover", "2", ann, on="2025-12-10", groups=[OTHER_TEAM]),
        event("leaver", "3", ann, on="2025-12-20", removal="P0D"),
        event("joiner", "4", ann, on="2026-01-02", groups=[OTHER_TEAM]),
    ]
    order = [*story, *random.Random(seed).sample(story, 2)]
    random.Random(seed).shuffle(order)
    for each in order:
        await run.send(each)
        if random.Random(f"{seed}{each['id']}").random() < 0.5:
            await run.work_off()
    await run.work_off()
    run.later(minutes=15)
    await run.look_at(ann)
    run.later(minutes=2)
    await run.look_at(ann)
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


async def test_an_event_is_cancelled_until_it_is_worked_on_and_replayed_only_after_a_failure() -> None:
    run = await team()
    ann = run.directory.add_user(user(1))
    await run.tell(event("joiner", "1", ann, on="2026-06-01", groups=[TEAM]))
    key = (await run.record("1")).key
    assert str((await administration.cancel(run.world, key, MIA)).state) == "Cancelled"
    assert str((await administration.cancel(run.world, key, MIA)).state) == "Cancelled"
    with pytest.raises(BadRequest, match="only Failed, DoneWithErrors"):
        await administration.replay(run.world, key, MIA)
    await run.tell(event("joiner", "2", ann, profiles=["late"]))
    assert await run.state("2") == "Failed"
    with pytest.raises(Conflict, match="cannot be cancelled any more"):
        await administration.cancel(run.world, (await run.record("2")).key, MIA)
    await run.profile("late", groups=(TEAM,))
    await administration.replay(run.world, (await run.record("2")).key, MIA)
    await run.work_off()
    assert await run.state("2") == "Done"
    assert [each["data"]["state"] for each in run.results] == ["Cancelled", "Failed", "Done"]
