"""A leaver that is cancelled while it is being worked on gives back what it took."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.ids import UserId
from shared.domain.initiator import Initiator
from shared.domain.onboarding import GroupOutcome
from shared.domain.write_results import Throttled
from shared.handlers.onboarding import administration
from tests.support.hires import Hires, event
from tests.support.runs import EXTRA, OTHER_TEAM, TEAM, user

MIA = Initiator("mia", "Mia")


async def left_with(run: Hires, until_unlicensed: bool) -> UserId:
    """Ann has a group, and a license of a profile; she leaves. Stops while the leaver is being worked on."""
    await run.profile("desk", match={"department": ("*",)}, licenses=(AssignedLicense(EXTRA.sku_id),))
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, groups=[TEAM], attributes={"department": "x"}))
    run.later(days=30)
    await run.send(event("leaver", "2", ann, on="2026-01-10", removal="P0D"))
    clock, start = run.fakes.clock, run.fakes.clock.now()

    def stop() -> bool:
        settled = clock.now() - start > timedelta(seconds=10) and not run.member(ann)
        return not run.licenses(ann) if until_unlicensed else settled

    await run.work_off(stop)
    assert await run.state("2") == "Working"
    return ann


@pytest.mark.parametrize("until_unlicensed", [False, True])
async def test_a_leaver_can_be_cancelled_until_it_is_done_and_gives_back_what_it_took(until_unlicensed: bool) -> None:
    run = await Hires.of_two_teams()
    ann = await left_with(run, until_unlicensed)
    key = (await run.record("2")).key
    assert str((await administration.cancel(run.world, key, MIA)).state) == "Working"
    again = await administration.cancel(run.world, key, MIA)
    assert "being given back" in again.note
    await run.work_off()
    record = await run.record("2")
    assert str(record.state) == "Cancelled"
    assert record.note == "Cancelled by Mia; what had been taken was given back."
    assert [(each.group_id, each.outcome) for each in record.groups] == [(TEAM, GroupOutcome.ADDED)]
    run.later(minutes=20)
    await run.reconcile(ann)
    run.later(minutes=2)
    await run.reconcile(ann)
    assert run.licenses(ann) == {"SMALL", "EXTRA"}
    assert [each["data"]["state"] for each in run.results if each["subject"] == "2"] == ["Cancelled"]
    await run.notify(event("mover", "3", ann, on="2026-01-05", groups=[OTHER_TEAM]))
    assert await run.state("3") == "Done"
    assert (run.member(ann, TEAM), run.member(ann, OTHER_TEAM)) == (False, True)


async def test_giving_back_is_done_again_where_a_write_was_not_answered() -> None:
    run = await Hires.of_two_teams()
    ann = await left_with(run, until_unlicensed=False)
    run.memberships.answers[TEAM].append((Throttled(20.0), False))
    await administration.cancel(run.world, (await run.record("2")).key, MIA)
    await run.work_off()
    assert await run.state("2") == "Cancelled"
    assert run.member(ann)
    assert run.licenses(ann) == {"SMALL", "EXTRA"}
