"""Movers, who are added to the new groups before they leave the old ones."""

from __future__ import annotations

from shared.domain.onboarding import GroupOutcome
from shared.domain.write_results import Rejected
from tests.support.hires import Hires, event, outcomes
from tests.support.runs import LARGE, OTHER_TEAM, SMALL, TEAM, user


async def test_a_mover_is_in_the_new_groups_before_leaving_the_old_and_is_never_without() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.license_other(LARGE)
    await run.profile("sales", match={"department": ("Sales",)}, groups=(TEAM,))
    await run.profile("labs", match={"department": ("Labs",)}, groups=(OTHER_TEAM,))
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, attributes={"department": "Sales"}))
    run.later(days=30)
    await run.notify(event("mover", "2", ann, on="2026-01-20", attributes={"department": "Labs"}))
    assert await run.state("2") == "Done", await run.record("2")
    assert not run.member(ann, TEAM)
    assert run.member(ann, OTHER_TEAM)
    adds = [(change.group_id, change.add) for change in run.memberships.log]
    assert adds == [(TEAM, True), (OTHER_TEAM, True), (TEAM, False)]
    run.later(minutes=15)
    await run.reconcile(ann)
    run.later(minutes=2)
    await run.reconcile(ann)
    assert run.licenses(ann) == {"LARGE"}
    for entry in run.writer.log:
        if entry.user_id == ann and entry.before:
            assert entry.after, "a moment without any license"


async def test_a_mover_keeps_the_old_groups_while_a_new_one_cannot_be_given() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.license_other(LARGE)
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, groups=[TEAM]))
    run.memberships.answers[OTHER_TEAM].append((Rejected(403, "Authorization_RequestDenied", "Denied"), False))
    run.later(days=30)
    await run.notify(event("mover", "2", ann, on="2026-01-20", groups=[OTHER_TEAM]))
    record = await run.record("2")
    assert str(record.state) == "DoneWithErrors"
    assert run.member(ann, TEAM)
    assert outcomes(record.groups) == {OTHER_TEAM: GroupOutcome.REJECTED, TEAM: GroupOutcome.KEPT}
    assert run.licenses(ann) == {"SMALL"}


async def test_a_move_takes_nobody_out_of_groups_that_hr_did_not_put_them_in() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.license_other(LARGE)
    ann = run.directory.add_user(user(1), groups=[TEAM])
    await run.reconcile(ann)
    await run.notify(event("mover", "1", ann, groups=[OTHER_TEAM]))
    assert run.member(ann, TEAM)
    assert run.licenses(ann) == {"SMALL", "LARGE"}
