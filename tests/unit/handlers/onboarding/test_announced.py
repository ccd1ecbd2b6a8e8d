"""Leavers that HR announced can be approved together, before their day."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.errors import Conflict
from shared.domain.initiator import Initiator
from shared.handlers.onboarding.announced import announced_leavers, approve_announced
from shared.handlers.onboarding.onboarding_queue import Onboarding
from tests.support.api_calls import HR_READER, WRITER
from tests.support.hires import Hires, event, team
from tests.support.hr_calls import call
from tests.support.runs import user

MIA = Initiator("mia", "Mia")


async def announced(days: tuple[str, ...]) -> Hires:
    """People of a team who leave on the days; the allowance is one leaver a day."""
    run = await team(size=len(days))
    policy = replace(run.world.policy, leaver_allowance_minimum=1, leaver_allowance_percent=0.0)
    run.onboarders = [Onboarding(replace(run.world, policy=policy))] * 2
    for number, day in enumerate(days, 1):
        await run.send(event("leaver", f"l{number}", user(number), on=day, removal="P0D"))
    await run.work_off()
    return run


async def test_approved_leavers_are_not_held_on_their_day_and_others_are() -> None:
    run = await announced(("2026-02-02", "2026-02-02", "2026-02-01"))
    listed = await announced_leavers(run.world)
    assert listed.records[0].event.id == "l3", "by day"
    assert {each.event.id for each in listed.records} == {"l1", "l2", "l3"}
    assert await approve_announced(run.world, listed.checksum, MIA) == 3
    assert (await announced_leavers(run.world)).records == ()
    await run.wait(days=40)
    assert [run.licenses(user(number)) for number in (1, 2, 3)] == [set(), set(), set()]
    assert {(await run.record(f"l{number}")).permitted_by for number in (1, 2, 3)} == {"Mia"}


async def test_a_list_that_has_changed_is_not_approved() -> None:
    run = await announced(("2026-02-02", "2026-02-02"))
    listed = await announced_leavers(run.world)
    await run.tell(event("leaver", "again", user(1), on="2026-03-01", removal="P0D"))
    with pytest.raises(Conflict, match="2 announced leavers now"):
        await approve_announced(run.world, listed.checksum, MIA)
    assert (await run.record("l2")).permitted_by == ""


async def test_a_corrected_date_is_approved_anew() -> None:
    run = await announced(("2026-02-02", "2026-02-02"))
    listed = await announced_leavers(run.world)
    await approve_announced(run.world, listed.checksum, MIA)
    await run.tell(event("leaver", "again", user(1), on="2026-03-01", removal="P0D"))
    assert (await run.record("again")).permitted_by == ""
    assert [each.event.id for each in (await announced_leavers(run.world)).records] == ["again"]


async def test_a_leaver_of_tomorrow_is_not_announced() -> None:
    run = await announced(("2026-01-06", "2026-01-07"))
    assert [each.event.id for each in (await announced_leavers(run.world)).records] == ["l2"]


async def test_the_list_is_read_and_approved_by_http_and_on_its_page() -> None:
    run = await announced(("2026-02-02", "2026-02-02"))
    listed = (await call(run, "GET", "/api/onboarding/announced", HR_READER)).json()
    assert listed["count"] == 2
    shown = await call(run, "GET", "/onboarding/announced", HR_READER)
    assert user(1) in shown.text
    assert "Approve all" not in shown.text
    body = {"checksum": listed["checksum"]}
    assert (await call(run, "POST", "/api/onboarding/announced/approve", HR_READER, json=body)).status_code == 403
    approved = await call(run, "POST", "/api/onboarding/announced/approve", WRITER, json=body)
    assert approved.json() == {"count": 2}
