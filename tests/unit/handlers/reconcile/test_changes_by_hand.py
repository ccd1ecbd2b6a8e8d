"""Licenses that an administrator changes by hand while the app works on the same user."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.directory import AssignedLicense, LicenseState
from shared.domain.grant import SourceKind
from shared.domain.ids import UserId
from shared.domain.operation import LicenseChange, OperationState, Target
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.operations import approvals
from tests.support.changes_by_hand import give_by_hand, take_by_hand
from tests.support.rows import row_of
from tests.support.runs import EXTRA, LARGE, MIA, NOA, SMALL, TEAM, Run, user
from tests.support.unmanaged import ask


async def test_a_license_taken_by_hand_during_a_swap_counts_as_removed_and_the_new_one_is_given() -> None:
    run = Run()
    taken, fine = run.people(2)
    await run.change([SMALL])
    run.writer.on_call = lambda user_id: take_by_hand(run, taken) if not run.writes_of(taken) > 1 else None
    ended = await run.change([LARGE], [SMALL])
    assert (run.licenses(taken), run.licenses(fine)) == ({"LARGE"}, {"LARGE"})
    assert (ended.totals.applied, ended.totals.remaining) == (2, 0)


async def test_a_managed_license_that_was_taken_by_hand_and_given_again_is_not_managed_any_more() -> None:
    run = Run()
    taken, fine = run.people(2)
    await run.change([SMALL])
    run.later(hours=1)
    take_by_hand(run, taken)
    run.directory.leave(TEAM, taken)
    for number in range(2):
        await run.reconcile(taken, fine, cause=f"event-{number}")
        run.later(minutes=20)
    give_by_hand(run, taken)
    for number in range(2, 4):
        await run.reconcile(taken, fine, cause=f"event-{number}")
        run.later(minutes=20)
    assert (run.licenses(taken), run.licenses(fine)) == ({"SMALL"}, {"SMALL"})


async def test_who_was_rejected_definitely_keeps_no_intent_and_what_is_given_by_hand_stays() -> None:
    run = Run()
    rejected, fine, _ = run.people(3)
    run.writer.reject(rejected, "Something nobody knows.", times=5)
    await run.change([SMALL])
    give_by_hand(run, rejected)
    for each in (rejected, fine):
        run.directory.leave(TEAM, each)
    for number in range(2):
        await run.reconcile(rejected, fine, cause=f"event-{number}")
        run.later(minutes=20)
    assert (run.licenses(rejected), run.licenses(fine)) == ({"SMALL"}, set())


async def test_of_two_removals_the_one_that_a_person_was_quicker_with_does_not_keep_the_other() -> None:
    run = Run()
    leaver, stays = run.people(2)
    await run.change([SMALL, EXTRA])
    run.directory.leave(TEAM, leaver)

    def by_hand(user_id: UserId) -> None:
        person = run.directory.truth(user_id)
        left = tuple(row for row in person.license_assignment_states if row.sku_id != SMALL.sku_id)
        run.directory.change_user(replace(person, license_assignment_states=left))

    run.writer.on_call = by_hand
    await run.reconcile(leaver, stays)
    assert (run.licenses(leaver), run.licenses(stays)) == (set(), {"SMALL", "EXTRA"})
    row = (await run.world.stores.ledger.rows([leaver]))[leaver]
    assert not row.managed


async def test_of_two_licenses_to_remove_one_that_was_taken_by_hand_does_not_hide_the_other() -> None:
    run = Run()
    first, second, other = run.people(3)
    await run.change([SMALL, EXTRA])
    for each, taken in ((first, SMALL), (second, EXTRA)):
        run.directory.make_stale(each)
        held = run.directory.truth(each)
        rest = tuple(row for row in held.license_assignment_states if row.sku_id != taken.sku_id)
        run.directory.change_user(replace(held, license_assignment_states=rest))
    ended = await run.change(remove=[SMALL, EXTRA])
    assert ended.state is OperationState.COMPLETE
    assert [run.licenses(each) for each in (first, second, other)] == [set(), set(), set()]


async def replaced_by_hand(minutes: float = 60) -> tuple[Run, UserId, UserId]:
    """People with SMALL, of whom one stays in the team. Of the first, an administrator removed it and assigned it
    again, with no read between."""
    run = Run()
    replaced, fine, _ = run.people(3)
    await run.change([SMALL])
    run.later(minutes=minutes)
    take_by_hand(run, replaced)
    give_by_hand(run, replaced)
    return run, replaced, fine


async def leave(run: Run, *users: UserId) -> None:
    """Leave the team, and be read for an hour."""
    for each in users:
        run.directory.leave(TEAM, each)
    for number in range(4):
        await run.reconcile(*users, cause=f"left-{number}")
        run.later(minutes=20)


@pytest.mark.parametrize("minutes", [1, 60, 60 * 24 * 30])
async def test_a_license_replaced_by_hand_between_two_reads_is_never_removed_without_a_person(minutes: int) -> None:
    run, replaced, fine = await replaced_by_hand(minutes)
    await leave(run, replaced, fine)
    assert (run.licenses(replaced), run.licenses(fine)) == ({"SMALL"}, set())
    held = await run.world.stores.grants.of_users([replaced])
    assert [grant.source.kind for grant in held[replaced]] == [SourceKind.HELD]


async def test_a_person_is_asked_about_a_license_replaced_by_hand_and_the_approval_removes_it() -> None:
    run, replaced, fine = await replaced_by_hand()
    await leave(run, replaced, fine)
    (asked,) = [o for o in await run.world.stores.operations.open() if o.state is OperationState.AWAITING_APPROVAL]
    assert "changed outside this app" in asked.reason
    await approvals.review(run.world, asked.id, MIA)
    await run.work_off()
    listed = await run.read(asked)
    assert (listed.plan.users_losing, listed.plan.removals) == (1, {SMALL.sku_id: 1})
    await approvals.approve(run.world, listed.id, listed.checksum, NOA)
    await run.work_off()
    assert run.licenses(replaced) == set()


async def test_a_rejected_removal_keeps_the_license_replaced_by_hand() -> None:
    run, replaced, fine = await replaced_by_hand()
    await leave(run, replaced, fine)
    (asked,) = [o for o in await run.world.stores.operations.open() if o.state is OperationState.AWAITING_APPROVAL]
    await approvals.review(run.world, asked.id, MIA)
    await run.work_off()
    await approvals.reject(run.world, asked.id, MIA)
    await run.work_off()
    run.later(hours=24)
    await sync_all(run.world)
    await run.work_off()
    assert run.licenses(replaced) == {"SMALL"}
    assert [o for o in await run.world.stores.operations.open() if o.state is OperationState.AWAITING_APPROVAL] == []


async def test_a_member_whose_license_was_replaced_is_shown_so_until_a_person_manages_it_again() -> None:
    run, replaced, fine = await replaced_by_hand()
    await run.reconcile(replaced, fine)
    notes = [(await row_of(run, each)).notes for each in (replaced, fine)]
    assert notes == [(f"changedByOthers {SMALL.sku_id}",), ()]
    await ask(run, LicenseChange(manage=(SMALL.sku_id,)))
    assert (await row_of(run, replaced)).notes == ()
    await leave(run, replaced, fine)
    assert (run.licenses(replaced), run.licenses(fine)) == (set(), set())


async def test_a_license_whose_state_microsoft_changed_and_changed_back_is_removed_like_any_other() -> None:
    """Microsoft sets the state of the row, and perhaps its time."""
    run = Run()
    changed, fine, _ = run.people(3)
    await run.change([SMALL])
    for state in (LicenseState.ACTIVE_WITH_ERROR, LicenseState.ACTIVE):
        run.later(hours=1)
        held, now = run.directory.truth(changed), run.world.clock.now()
        rows = tuple(replace(row, state=state, last_updated=now) for row in held.license_assignment_states)
        run.directory.change_user(replace(held, license_assignment_states=rows))
        await run.reconcile(changed, fine, cause=f"state-{state}")
    await leave(run, changed, fine)
    assert (run.licenses(changed), run.licenses(fine)) == (set(), set())


async def test_a_product_removed_from_the_group_does_not_take_a_license_replaced_by_hand() -> None:
    run, replaced, fine = await replaced_by_hand()
    await run.reconcile(replaced, fine)
    ended = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    assert ended.state is OperationState.COMPLETE
    assert (run.licenses(replaced), run.licenses(fine)) == ({"SMALL"}, set())


async def test_a_person_who_names_the_user_decides_about_a_license_replaced_by_hand() -> None:
    run = Run()
    replaced, fine = (run.directory.add_user(user(number)) for number in (1, 2))
    given, taken = LicenseChange((AssignedLicense(SMALL.sku_id),)), LicenseChange(remove=(SMALL.sku_id,))
    await ask(run, given, Target(user_ids=(replaced, fine)))
    run.later(hours=1)
    take_by_hand(run, replaced)
    give_by_hand(run, replaced)
    await ask(run, taken, Target(user_ids=(replaced, fine)))
    run.later(minutes=20)
    await run.reconcile(replaced, fine)
    assert (run.licenses(replaced), run.licenses(fine)) == (set(), set())
