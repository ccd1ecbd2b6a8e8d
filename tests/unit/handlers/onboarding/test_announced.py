"""Leavers that HR announced can be approved together, before their day."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.adapters.tables.onboarding import SLACK
from shared.domain.errors import ApprovalDenied, Conflict
from shared.handlers.onboarding import administration
from shared.handlers.onboarding.announced import announced_leavers, approve_announced
from shared.handlers.onboarding.onboarding_queue import Onboarding, resume_due_events
from tests.support.api_calls import HR_READER, WRITER
from tests.support.hires import Hires, event, team
from tests.support.hr_calls import call
from tests.support.runs import MIA, NOA, user


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


async def test_a_protected_person_needs_the_approval_of_two_people_and_an_ordinary_leaver_one() -> None:
    run = await announced(("2026-02-02", "2026-02-02"))
    run.protect(user(1))
    listed = await announced_leavers(run.world)
    assert {key: reasons for key, reasons in listed.protected.items()} == {
        (await run.record("l1")).key: ("Global Administrator",)
    }
    assert await approve_announced(run.world, listed.checksum, MIA) == 1
    first = await run.record("l1")
    assert (str(first.state), first.permitted_by, first.for_protected) == ("Scheduled", "", False)
    assert first.note.endswith("Approved by Mia; one more approval is needed.")
    again = await announced_leavers(run.world)
    assert [each.event.id for each in again.records] == ["l1"]
    with pytest.raises(ApprovalDenied, match="already approved"):
        await approve_announced(run.world, again.checksum, MIA)
    assert await approve_announced(run.world, again.checksum, NOA) == 1
    assert (await announced_leavers(run.world)).records == ()
    await run.wait(days=40)
    assert [run.licenses(user(number)) for number in (1, 2)] == [set(), set()]
    assert (await run.record("l1")).permitted_by == "Mia and Noa"


async def test_a_protected_person_with_one_approval_is_held_on_the_day() -> None:
    run = await announced(("2026-02-02", "2026-02-02"))
    run.protect(user(1))
    await approve_announced(run.world, (await announced_leavers(run.world)).checksum, MIA)
    await day(run)
    assert (await run.state("l1"), run.licenses(user(1)), run.licenses(user(2))) == ("Held", {"SMALL"}, set())
    held = await administration.held_leavers(run.world)
    assert await administration.approve_held(run.world, held.checksum, NOA) == 1
    await run.work_off()
    assert run.licenses(user(1)) == set()


async def test_an_approval_from_before_the_protection_is_none_of_the_two() -> None:
    run = await announced(("2026-02-02", "2026-02-02"))
    await approve_announced(run.world, (await announced_leavers(run.world)).checksum, MIA)
    run.protect(user(1))
    await day(run)
    assert await run.state("l1") == "Held"
    for approver, going in ((NOA, 0), (MIA, 1)):
        held = await administration.held_leavers(run.world)
        assert await administration.approve_held(run.world, held.checksum, approver) == going
    await run.work_off()
    assert run.licenses(user(1)) == set()


async def day(run: Hires) -> None:
    """The day of the leavers comes; a held one comes back for ever, so only some hours are worked off."""
    run.later(days=40)
    await resume_due_events(run.world)
    start = run.fakes.clock.now()
    await run.work_off(lambda: run.fakes.clock.now() - start > timedelta(hours=2))


async def test_a_list_that_has_changed_is_not_approved() -> None:
    run = await announced(("2026-02-02", "2026-02-02"))
    listed = await announced_leavers(run.world)
    await run.notify(event("leaver", "again", user(1), on="2026-03-01", removal="P0D"))
    with pytest.raises(Conflict, match="2 announced leavers now"):
        await approve_announced(run.world, listed.checksum, MIA)
    assert (await run.record("l2")).permitted_by == ""


async def test_a_corrected_date_is_approved_anew() -> None:
    run = await announced(("2026-02-02", "2026-02-02"))
    listed = await announced_leavers(run.world)
    await approve_announced(run.world, listed.checksum, MIA)
    await run.notify(event("leaver", "again", user(1), on="2026-03-01", removal="P0D"))
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
    assert "Protected" not in shown.text
    run.protect(user(2))
    shown = await call(run, "GET", "/onboarding/announced", HR_READER)
    assert shown.text.count("Protected: Global Administrator") == 1
    body = {"checksum": listed["checksum"]}
    assert (await call(run, "POST", "/api/onboarding/announced/approve", HR_READER, json=body)).status_code == 403
    approved = await call(run, "POST", "/api/onboarding/announced/approve", WRITER, json=body)
    assert approved.json() == {"count": 1}


async def test_leavers_behind_thousands_of_other_events_are_listed_too() -> None:
    run = await announced(("2026-03-02", "2026-03-02"))
    store = run.world.stores.onboarding
    ((at, _), *_) = await store.due(run.world.clock.now() + timedelta(days=90), 1)
    for days in range(6):
        day = at - SLACK - timedelta(days=days)
        await store.check_again((day, f"{number:032x}") for number in range(1_001))
    assert len((await announced_leavers(run.world)).records) == 2
    shown = (await call(run, "GET", "/api/onboarding/announced", HR_READER)).json()
    assert (shown["count"], len(shown["value"])) == (2, 2)


async def test_reading_the_list_leaves_a_day_that_is_to_come_as_it_is() -> None:
    """A writer has noted the day, and its rows follow in a moment."""
    run = await announced(("2026-03-02",))
    tables = run.fakes.tables
    await tables.upsert_all("onboardingdue", [{"PartitionKey": "day", "RowKey": "20260401"}])
    await announced_leavers(run.world)
    assert await tables.get("onboardingdue", "day", "20260401") is not None
