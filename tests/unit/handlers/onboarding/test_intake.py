"""Intake of HR events: duplicates, ids used twice, invalid events, and batches of a thousand."""

from __future__ import annotations

from typing import Any

from shared.domain.hr_intake import open_keys
from shared.handlers.onboarding import administration, records
from tests.support.hires import SOURCE, TEAM, Hires, event, team
from tests.support.runs import user


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
