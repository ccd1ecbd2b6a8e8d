"""Leavers, whose licenses are removed after a delay or on release."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shared.domain.assignment import AssignmentOptions
from shared.domain.directory import AssignedLicense
from shared.domain.onboarding import LicenseOutcome
from tests.support.hires import Hires, event, outcomes
from tests.support.runs import EXTRA, LARGE, SMALL, TEAM, user


async def test_a_leaver_loses_what_the_app_assigned_after_the_delay_and_not_before() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.profile("desk", match={"department": ("*",)}, licenses=(AssignedLicense(EXTRA.sku_id),))
    ann = run.directory.add_user(user(1), has=[AssignedLicense(LARGE.sku_id)])
    await run.notify(event("joiner", "1", ann, groups=[TEAM], attributes={"department": "x"}))
    assert run.licenses(ann) == {"SMALL", "EXTRA", "LARGE"}
    await run.notify(event("leaver", "2", ann, on="2026-01-10", removal="P10D"))
    assert await run.state("2") == "Scheduled"
    await run.wait(days=12)
    assert run.licenses(ann) == {"SMALL", "EXTRA", "LARGE"}
    await run.wait(days=4)
    record = await run.record("2")
    assert not run.member(ann)
    assert run.licenses(ann) == {"LARGE"}
    assert outcomes(record.licenses) == {
        SMALL.sku_id: LicenseOutcome.REMOVED,
        EXTRA.sku_id: LicenseOutcome.REMOVED,
        LARGE.sku_id: LicenseOutcome.KEPT,
    }
    assert str(record.state) == "DoneWithErrors"
    assert record.permitted_by == "allowance"


async def test_a_leaver_on_release_waits_for_the_release_also_when_it_came_first() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    people = [run.directory.add_user(user(n)) for n in (1, 2)]
    await run.notify(*(event("joiner", f"j{n}", each, groups=[TEAM]) for n, each in enumerate(people)))
    await run.send(event("leaver", "1", people[0], on="2026-01-02", removal="release"))
    await run.work_off()
    assert await run.state("1") == "WaitingForRelease"
    await run.notify(event("leaver.release", "2", people[0]))
    assert (await run.state("1"), await run.state("2")) == ("Done", "Done")
    await run.send(
        event("leaver.release", "4", people[1]), event("leaver", "3", people[1], on="2026-01-02", removal="release")
    )
    await run.work_off()
    assert (await run.state("3"), await run.state("4")) == ("Done", "Done")
    assert [run.licenses(each) for each in people] == [set(), set()]


async def test_a_grace_of_the_group_does_not_delay_a_leaver_again() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    options = AssignmentOptions(grace=timedelta(days=30))
    await run.world.stores.assignments.save(replace(stored.assignment, options=options, version=9), stored.etag)
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, groups=[TEAM]))
    await run.notify(event("leaver", "2", ann, on="2026-01-02", removal="P0D"))
    assert run.licenses(ann) == set()
    assert await run.state("2") == "Done"
