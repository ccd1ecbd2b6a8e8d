"""Licenses that are there and do not count, as of a lapsed subscription: ours stay ours, others' stay theirs."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.directory import AssignedLicense, LicenseState, SubscribedSku
from shared.domain.ids import UserId
from tests.support.runs import MAIL, SMALL, TEAM, Run


def put_in_state(run: Run, user_id: UserId, sku: SubscribedSku, state: LicenseState) -> None:
    person = run.directory.truth(user_id)
    rows = tuple(
        replace(row, state=state) if row.sku_id == sku.sku_id else row for row in person.license_assignment_states
    )
    run.directory.change_user(replace(person, license_assignment_states=rows))


async def test_a_managed_license_stays_managed_while_its_subscription_has_lapsed() -> None:
    run = Run()
    leaver, stays = run.people(2)
    await run.change([SMALL])
    run.directory.add_sku(replace(SMALL, enabled=0))
    for each in (leaver, stays):
        put_in_state(run, each, SMALL, LicenseState.DISABLED)
    for number in range(3):
        run.later(minutes=20)
        await run.reconcile(leaver, stays, cause=f"event-{number}")
    run.directory.add_sku(SMALL)
    for each in (leaver, stays):
        put_in_state(run, each, SMALL, LicenseState.ACTIVE)
    run.directory.leave(TEAM, leaver)
    await run.reconcile(leaver, stays, cause="event-9")
    assert (run.licenses(leaver), run.licenses(stays)) == (set(), {"SMALL"})


async def test_a_lapsed_license_of_another_is_not_assigned_over_and_is_shown() -> None:
    run = Run()
    theirs, member, _ = run.people(3)
    given = AssignedLicense(SMALL.sku_id, frozenset({MAIL}))
    run.directory.add_user(theirs, has=[given], groups=[TEAM])
    put_in_state(run, theirs, SMALL, LicenseState.DISABLED)
    ended = await run.change([SMALL])
    assert (ended.totals.applied, ended.totals.failed, run.writes_of(theirs)) == (2, 1, 0)
    put_in_state(run, theirs, SMALL, LicenseState.ACTIVE)
    for each in (theirs, member):
        run.directory.leave(TEAM, each)
    await run.reconcile(theirs, member)
    assert run.directory.licenses(theirs) == {SMALL.sku_id: frozenset({MAIL})}
    assert run.licenses(member) == set()
