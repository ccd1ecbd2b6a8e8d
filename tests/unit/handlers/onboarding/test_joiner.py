"""Joiners, from the event on the queue to their licenses."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shared.domain.directory import AssignedLicense
from shared.domain.onboarding import GroupOutcome, LicenseOutcome
from tests.support.fakes_directory import BEGINNING
from tests.support.hires import Hires, event, outcomes
from tests.support.runs import EXTRA, SMALL, TEAM, user


async def test_a_joiner_is_put_into_the_groups_of_the_profile_and_licensed_at_once() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.profile("sales", match={"department": ("Sales",)}, groups=(TEAM,), usage_location="FR")
    ann = run.directory.add_user(user(1), location=None)
    await run.notify(event("joiner", "1", ann, attributes={"department": "Sales"}))
    record = await run.record("1")
    assert str(record.state) == "Done", record
    assert run.member(ann)
    assert run.licenses(ann) == {"SMALL"}
    assert run.directory.truth(ann).usage_location == "FR"
    assert outcomes(record.groups) == {TEAM: GroupOutcome.ADDED}
    assert outcomes(record.licenses) == {SMALL.sku_id: LicenseOutcome.ASSIGNED}
    assert record.profiles == ("sales",)
    assert [each["data"]["state"] for each in run.results] == ["Done"]


async def test_a_membership_that_the_directory_does_not_show_yet_gives_its_licenses_all_the_same() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    ann = run.directory.add_user(user(1))
    run.directory.make_stale(ann)
    await run.send(event("joiner", "1", ann, groups=[TEAM]))
    await run.work_off(lambda: "SMALL" in run.licenses(ann))
    assert run.licenses(ann) == {"SMALL"}
    assert run.fakes.clock.now() - BEGINNING < timedelta(seconds=30)
    run.directory.make_fresh(ann)
    await run.work_off()
    run.later(minutes=11)
    await run.reconcile(ann)
    run.later(minutes=2)
    await run.reconcile(ann)
    assert run.licenses(ann) == {"SMALL"}
    assert await run.state("1") == "Done"


async def test_a_profile_gives_licenses_of_its_own_that_no_sync_takes_away() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.profile("desk", match={"jobTitle": ("Clerk*",)}, licenses=(AssignedLicense(EXTRA.sku_id),))
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, attributes={"jobTitle": "clerk II"}))
    assert run.licenses(ann) == {"EXTRA"}
    run.later(hours=1)
    await run.reconcile(ann, cause="sync-1")
    run.later(hours=1)
    await run.reconcile(ann, cause="sync-2")
    assert run.licenses(ann) == {"EXTRA"}


async def test_a_start_in_the_future_waits_as_a_row_and_survives_the_loss_of_every_message() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    ann = run.directory.add_user(user(1))
    await run.send(event("joiner", "1", ann, on="2026-05-04", groups=[TEAM]))
    await run.work_off()
    assert await run.state("1") == "Scheduled"
    run.fakes.queue.messages.clear()
    await run.wait(days=100)
    assert not run.member(ann)
    await run.wait(days=20)
    assert await run.state("1") == "Done"
    assert run.licenses(ann) == {"SMALL"}


async def test_an_event_without_a_profile_that_matches_does_nothing_and_says_so() -> None:
    run = Hires()
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, attributes={"department": "Unknown"}))
    await run.notify(event("joiner", "2", ann, profiles=["missing"]))
    assert "No profile matches" in (await run.record("1")).note
    assert "no profile missing" in (await run.record("2")).note
    assert [str((await run.record(name)).state) for name in ("1", "2")] == ["Failed", "Failed"]


async def test_a_joiner_without_a_free_seat_ends_with_that_error_and_its_remedy() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    run.directory.add_sku(replace(SMALL, enabled=0))
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, groups=[TEAM]))
    record = await run.record("1")
    assert str(record.state) == "DoneWithErrors"
    assert outcomes(record.licenses) == {SMALL.sku_id: LicenseOutcome.WAITING}
    assert record.licenses[0].remedy
