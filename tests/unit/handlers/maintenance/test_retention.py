"""What is over its retention goes, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.domain.initiator import SYSTEM
from shared.domain.read_models import AuditEntry
from shared.handlers.maintenance.retention import MONTHS_BACK, forget_old, months_before
from tests.support.builders import audited
from tests.support.hires import SOURCE, Hires, event
from tests.support.runs import SMALL, TEAM, user


def test_only_months_that_are_over_as_a_whole_are_named() -> None:
    months = months_before(datetime(2026, 2, 1, tzinfo=UTC))
    assert months[:3] == ["202601", "202512", "202511"]
    assert len(months) == MONTHS_BACK


async def test_old_audit_months_and_ended_events_go_and_open_ones_and_new_ones_stay() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    people = [run.directory.add_user(user(n)) for n in range(1, 4)]
    await run.notify(event("joiner", "done", people[0], groups=[TEAM]))
    await run.send(event("leaver", "open", people[1], on="2027-12-01", removal="P0D"))
    await run.work_off()
    old = run.fakes.clock.now()
    entry = AuditEntry("1", old, "Change user license", SYSTEM, "success")
    await run.world.stores.audit.append([entry])
    run.later(days=400)
    await run.notify(event("joiner", "new", people[2], on="2026-02-01", groups=[TEAM]))
    await run.world.stores.audit.append([replace(entry, id="2", at=run.fakes.clock.now())])
    assert (await forget_old(run.world)).events == 1
    records, _ = await run.world.stores.onboarding.newest(50)
    assert {record.event.id for record in records} == {"open", "new"}
    assert await run.world.stores.onboarding.of_person([f"id:{people[0]}"]) == ()
    assert await audited(run.world.stores, f"{old:%Y%m}") == ()
    assert await audited(run.world.stores, f"{run.fakes.clock.now():%Y%m}")
    assert (await forget_old(run.world)).events == 0
    assert run.licenses(people[0]) == {"SMALL"}
    state = (await run.world.stores.hr_states.of_users([people[0]]))[people[0]]
    assert state.of(SOURCE).groups == {TEAM}


async def test_the_retention_is_a_setting() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, groups=[TEAM]))
    run.later(days=40)
    assert (await forget_old(run.world)).events == 0
    shorter = replace(run.world, policy=replace(run.world.policy, retention_s=timedelta(days=31).total_seconds()))
    assert (await forget_old(shorter)).events == 1
