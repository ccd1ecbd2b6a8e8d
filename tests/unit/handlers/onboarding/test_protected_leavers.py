"""HR alone takes nothing from a protected person, whatever the delay: two people decide."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.approval_rules import Rules
from shared.domain.errors import ApprovalDenied
from shared.domain.initiator import Initiator
from shared.domain.read_models import AuditFilter
from shared.handlers.onboarding import administration
from shared.handlers.onboarding.onboarding_queue import Onboarding, resume_due_events
from tests.support.hires import Hires, event, team
from tests.support.runs import MIA, NOA, user

BOSS, ADA = user(1), user(2)


async def hour(run: Hires) -> None:
    """Work for an hour: a held leaver comes back for ever."""
    start = run.fakes.clock.now()
    await run.work_off(lambda: run.fakes.clock.now() - start > timedelta(hours=1))


async def leaving(removal: str, *, single: bool = False) -> Hires:
    """The protected boss and Ada leave."""
    run = await team(size=3)
    if single:
        run.world = replace(run.world, policy=replace(run.world.policy, approval_rules=Rules(single_approver=True)))
    run.protect(BOSS)
    await run.send(*(event("leaver", f"l{n}", user(n), on="2026-01-01", removal=removal) for n in (1, 2)))
    await hour(run)
    return run


async def approve(run: Hires, actor: Initiator) -> int:
    held = await administration.held_leavers(run.world)
    done = await administration.approve_held(run.world, held.checksum, actor)
    await hour(run)
    return done


async def test_a_protected_leaver_is_held_and_stays_in_the_group_until_two_people_approved() -> None:
    run = await leaving("P0D")
    assert (run.licenses(ADA), run.member(ADA)) == (set(), False)
    assert (run.licenses(BOSS), run.member(BOSS)) == ({"SMALL"}, True)
    record = await run.record("l1")
    assert str(record.state) == "Held"
    assert record.note == "A protected person (Global Administrator): two people have to approve the removal."
    assert "two approvals must be of different people" in record.remedy
    assert await approve(run, MIA) == 0
    assert run.licenses(BOSS) == {"SMALL"}
    assert "Approved by Mia; one more approval is needed." in (await run.record("l1")).note
    with pytest.raises(ApprovalDenied, match="already approved"):
        await approve(run, MIA)
    assert await approve(run, NOA) == 1
    assert (run.licenses(BOSS), run.member(BOSS)) == (set(), False)
    assert (await run.record("l1")).permitted_by == "Mia and Noa"


async def test_a_leaver_who_becomes_protected_before_the_day_of_removal_is_held_too() -> None:
    run = await team(size=3)
    await run.notify(event("leaver", "l1", BOSS, on="2026-01-01", removal="P30D"))
    assert await run.state("l1") == "Scheduled"
    run.protect(BOSS)
    run.later(days=40)
    await resume_due_events(run.world)
    await hour(run)
    assert await run.state("l1") == "Held"
    assert run.licenses(BOSS) == {"SMALL"}


async def test_a_single_approver_approves_twice_a_day_apart_with_an_alert(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    run = await leaving("P0D", single=True)
    assert await approve(run, MIA) == 0
    with pytest.raises(ApprovalDenied, match="single approver"):
        await approve(run, MIA)
    run.later(hours=24)
    assert await approve(run, MIA) == 1
    assert run.licenses(BOSS) == set()
    assert [each for each in caplog.messages if each.startswith("single approver: ")]
    now = run.fakes.clock.now()
    entries, _ = await run.world.stores.audit.search(AuditFilter(), now - timedelta(days=3), now, 100)
    acts = [each.activity for each in entries if each.activity.startswith("Approve leaver")]
    assert acts == ["Approve leaver as single approver", "Approve leaver"]


async def test_an_events_own_delay_of_nothing_is_a_day() -> None:
    run = await team(size=3)
    policy = replace(run.world.policy, leaver_minimum_delay_s=86400.0)
    run.fakes = replace(run.fakes, world=replace(run.fakes.world, policy=policy))
    run.world = run.fakes.world
    run.onboarders = [Onboarding(run.world), Onboarding(run.world)]
    await run.send(event("leaver", "l1", ADA, on="2026-01-01", removal="P0D"))
    await run.work_off(lambda: run.licenses(ADA) == set())
    assert run.licenses(ADA) == set()
    arrived = (await run.record("l1")).received_at
    assert timedelta(days=1) <= run.fakes.clock.now() - arrived < timedelta(days=1, hours=1)
