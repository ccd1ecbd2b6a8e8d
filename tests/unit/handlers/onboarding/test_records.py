"""Intake of HR events: duplicates, ids used twice, invalid events, and batches of a thousand."""

from __future__ import annotations

from tests.support.hires import SOURCE, Hires, event, team
from tests.support.runs import TEAM, user


async def letters(run: Hires) -> list[str]:
    return [letter.reason for letter in (await run.world.stores.dead_letters.page(2000))[0]]


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
