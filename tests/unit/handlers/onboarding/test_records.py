"""Intake of HR events: duplicates, ids used twice, invalid events, and batches of a thousand."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from shared.domain.messages import ONBOARDING
from shared.handlers.onboarding.rejected import DEAD_LETTERS_A_DAY
from shared.ports.messaging import Outgoing
from tests.support.api_calls import app_token, error_of
from tests.support.hires import SOURCE, Hires, event, team
from tests.support.hr_calls import call
from tests.support.runs import TEAM, user


async def dead_letters(run: Hires) -> list[str]:
    return [dead_letter.reason for dead_letter in (await run.world.stores.dead_letters.page(2000))[0]]


async def test_the_same_event_again_changes_nothing() -> None:
    run = await team()
    ann = run.directory.add_user(user(1))
    joiner = event("joiner", "1", ann, groups=[TEAM])
    await run.notify(joiner, joiner)
    before = await run.record("1")
    await run.notify(joiner)
    assert await run.record("1") == before
    assert len(run.memberships.log) == 1
    assert len(run.results) == 1


async def test_another_event_under_the_same_id_is_rejected_and_kept() -> None:
    run = await team()
    ann, bob = run.directory.add_user(user(1)), run.directory.add_user(user(2))
    await run.notify(event("joiner", "1", ann, groups=[TEAM]), event("joiner", "1", bob, groups=[TEAM]))
    assert run.member(ann)
    assert not run.member(bob)
    assert await dead_letters(run) == [f"event '1' of '{SOURCE}' was received before with other content; use a new id"]


async def test_a_broken_event_is_kept_with_every_fault_and_can_be_sent_mended() -> None:
    run = await team()
    ann = run.directory.add_user(user(1))
    broken = event("joiner", "1", ann, groups=["x"], usageLocation="Germany")
    await run.notify(broken)
    assert await dead_letters(run) == [
        'data.usageLocation must be a country code of two capital letters (ISO 3166-1), not "Germany"; '
        'data.groups must be a GUID, not "x"'
    ]
    await run.notify(event("joiner", "1", ann, groups=[TEAM]))
    assert await run.state("1") == "Done"


async def test_a_sender_who_is_answered_leaves_no_dead_letter() -> None:
    run = await team()
    ann = run.directory.add_user(user(1))
    broken = [event("joiner", f"{number}", ann, usageLocation="Germany") for number in range(1000)]
    app = app_token(roles=["Onboarding.Write"])
    rejected = await call(run, "POST", "/api/onboarding", app, json=broken)
    assert rejected.status_code == 400
    assert [each["position"] for each in error_of(rejected)["details"]] == list(range(1000))
    taken = event("joiner", "good", ann, groups=[TEAM])
    assert (await call(run, "POST", "/api/onboarding", app, json=[taken, broken[0]])).status_code == 202
    other = {**taken, "time": "2026-01-02T00:00:00Z"}
    assert (await call(run, "POST", "/api/onboarding", app, json=other)).status_code == 409
    assert await dead_letters(run) == []


async def test_a_source_keeps_a_hundred_dead_letters_a_day_and_hides_none_of_another_source(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = await team()
    ann = run.directory.add_user(user(1))
    broken = [event("joiner", f"{number}", ann, usageLocation="Germany") for number in range(DEAD_LETTERS_A_DAY + 2)]
    await run.notify(*broken, {**broken[0], "source": "urn:other"})
    named = [f"urn:new:{number}" for number in range(DEAD_LETTERS_A_DAY + 3)]
    await run.notify(*({**broken[0], "source": name} for name in named))
    await run.fakes.world.queue.send([Outgoing(ONBOARDING, b"[")])
    await run.work_off()
    kept = [json.loads(each.body)["source"] for each in (await run.world.stores.dead_letters.page(2000))[0]]
    assert Counter(kept) == {SOURCE: DEAD_LETTERS_A_DAY, "urn:other": 1, **dict.fromkeys(named[:DEAD_LETTERS_A_DAY], 1)}
    assert sum("is not kept" in line.getMessage() for line in caplog.records) == 2 + 3 + 1
    assert "Germany" not in caplog.text
    run.later(days=1, hours=1)
    await run.notify(broken[0])
    assert len(await dead_letters(run)) == 2 * DEAD_LETTERS_A_DAY + 2
