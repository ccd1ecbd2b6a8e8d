"""Licenses of protected people go only with an approval that names them, whatever asks for their removal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.errors import ApprovalDenied
from shared.domain.ids import UserId
from shared.domain.initiator import Initiator
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.plan import WAITS_FOR_LIST
from shared.domain.read_models import AuditFilter
from shared.handlers.operations import approvals
from shared.handlers.operations.accept import accept
from shared.handlers.operations.user_decisions import remove_licenses_now
from shared.handlers.views import queries
from tests.support.runs import LARGE, MAIL, MIA, NOA, SMALL, TEAM, Run, user
from tests.support.worlds import fake_world

BOSS, ADA, BEN = user(1), user(2), user(3)


async def protected_team(*protected: UserId) -> Run:
    """A licensed team of three, of whom some are protected."""
    run = Run()
    run.people(3)
    await run.change([SMALL])
    run.protect(*protected)
    return run


async def leave(run: Run, *people: UserId) -> None:
    for each in people:
        run.directory.leave(TEAM, each)
        await run.reconcile(each, cause=f"left-{each}")


async def waiting(run: Run) -> Operation:
    (found,) = await queries.approvals(run.world)
    return found


async def approve_all(run: Run, *people: Initiator) -> None:
    """Review, then approve, by two people unless others are named."""
    await approvals.review(run.world, (await waiting(run)).id, MIA)
    await run.work_off()
    snapshot = await waiting(run)
    for actor in people or (MIA, NOA):
        await approvals.approve(run.world, snapshot.id, snapshot.checksum, actor)
    await run.work_off()


async def test_a_protected_person_who_leaves_the_group_keeps_the_license_until_it_is_approved() -> None:
    run = await protected_team(BOSS)
    await leave(run, BOSS, ADA)
    run.later(hours=1)
    await run.reconcile(BOSS, cause="again")
    assert (run.licenses(BOSS), run.licenses(ADA)) == ({"SMALL"}, set())
    members, _ = await queries.members(run.world, TEAM, 10, None)
    (member,) = [each for each in members if each.user_id == BOSS]
    assert str(member.state) == "Pending"
    assert f"protectedPerson {SMALL.sku_id}" in member.notes
    await approve_all(run)
    assert run.licenses(BOSS) == set()


async def test_the_audit_log_names_both_people_who_approved() -> None:
    run = await protected_team(BOSS)
    await leave(run, BOSS)
    await approve_all(run)
    now = run.fakes.clock.now()
    wanted = AuditFilter(activity="Approve license removals")
    entries, _ = await run.world.stores.audit.search(wanted, now - timedelta(days=1), now, 9)
    assert sorted(each.initiator.display_name for each in entries) == ["Mia", "Noa"]


async def test_the_allowance_of_a_rejected_list_lets_no_protected_person_go() -> None:
    run = await protected_team(BOSS)
    await leave(run, BOSS)
    await approvals.review(run.world, (await waiting(run)).id, MIA)
    await run.work_off()
    snapshot = await waiting(run)
    assert snapshot.plan.protected == (BOSS,)
    await approvals.reject(run.world, snapshot.id, MIA)
    await run.work_off()
    run.later(days=1)
    await run.reconcile(BOSS, cause="again")
    assert run.licenses(BOSS) == {"SMALL"}
    assert await queries.approvals(run.world) == ()


async def test_a_removal_from_the_group_waits_for_an_approval_if_one_of_its_members_is_protected() -> None:
    run = await protected_team(BOSS)
    operation = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    assert (operation.state, operation.plan.protected) == (OperationState.AWAITING_APPROVAL, (BOSS,))
    await approvals.approve(run.world, operation.id, operation.checksum, NOA)
    await run.work_off()
    assert not any(run.licenses(each) for each in (BOSS, ADA, BEN))


async def test_turning_a_service_plan_off_waits_too() -> None:
    run = await protected_team(BOSS)
    change = LicenseChange((AssignedLicense(SMALL.sku_id, frozenset({MAIL})),))
    operation = await run.finish(await accept(run.world, OperationRequest(Target(TEAM), MIA, change)), approve=False)
    assert (operation.state, operation.plan.protected) == (OperationState.AWAITING_APPROVAL, (BOSS,))
    assert run.directory.licenses(BOSS)[SMALL.sku_id] == frozenset()


async def test_a_removal_from_named_users_waits_if_one_of_them_is_protected() -> None:
    run = Run()
    for each in (BOSS, ADA):
        run.directory.add_user(each)
    target = Target(user_ids=(BOSS, ADA))
    give = LicenseChange((AssignedLicense(SMALL.sku_id),))
    await run.finish(await accept(run.world, OperationRequest(target, MIA, give)))
    run.protect(BOSS)
    take = LicenseChange(remove=(SMALL.sku_id,))
    operation = await run.finish(await accept(run.world, OperationRequest(target, MIA, take)), approve=False)
    assert (operation.state, operation.plan.protected) == (OperationState.AWAITING_APPROVAL, (BOSS,))
    await run.finish(await run.read(operation))
    assert not any(run.licenses(each) for each in (BOSS, ADA))


async def test_removing_at_once_is_held_for_a_protected_person() -> None:
    run = await protected_team(BOSS)
    await leave(run, BOSS)
    await remove_licenses_now(run.world, BOSS, [SMALL.sku_id], MIA)
    await run.work_off()
    run.later(minutes=10)
    await run.reconcile(BOSS, cause="again")
    assert run.licenses(BOSS) == {"SMALL"}
    await approve_all(run)
    assert run.licenses(BOSS) == set()


async def test_who_becomes_protected_after_the_approval_needs_a_new_one() -> None:
    run = await protected_team()
    operation = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    assert operation.state is OperationState.COMPLETE, "three people are within the allowance"
    run = Run()
    run.people(30)
    await run.change([SMALL])
    operation = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    assert operation.state is OperationState.AWAITING_APPROVAL
    run.protect(BOSS)
    await run.finish(operation)
    assert [each for each in map(user, range(1, 31)) if run.licenses(each)] == [BOSS]
    with pytest.raises(ApprovalDenied, match="You requested this"):
        await approve_all(run, MIA)
    snapshot = await waiting(run)
    await approvals.approve(run.world, snapshot.id, snapshot.checksum, NOA)
    await run.work_off()
    assert run.licenses(BOSS) == set()


async def test_an_upgrade_takes_nothing_away_and_needs_no_approval() -> None:
    run = await protected_team(BOSS)
    await run.finish(await run.ask([LARGE], [SMALL]), approve=False)
    assert run.licenses(BOSS) == {"LARGE"}
    assert await queries.approvals(run.world) == ()


async def test_until_the_list_has_been_read_once_every_removal_waits_and_then_goes() -> None:
    run = Run(fake_world(protected_list_read=False))
    run.people(3)
    await run.change([SMALL])
    run.directory.leave(TEAM, ADA)
    await run.world.queue.send([message_of(ADA)])
    start = run.fakes.clock.now()
    await run.work_off(lambda: run.fakes.clock.now() - start > timedelta(hours=30))
    assert run.licenses(ADA) == {"SMALL"}
    row = await run.world.stores.ledger.rows([ADA])
    assert row[ADA].removal_seen_at
    run.fakes.tables.place(
        "protectedpeople", "list", "read", body='{"readAt": "2026-01-05T09:00:00+00:00", "fault": ""}'
    )
    await run.work_off()
    assert run.licenses(ADA) == set()
    assert WAITS_FOR_LIST.endswith("set PROTECTED_PEOPLE to off")


@pytest.mark.parametrize("accounts", [frozenset({BOSS}), frozenset()])
async def test_switched_off_nothing_waits_and_only_named_accounts_are_protected(accounts: frozenset[UserId]) -> None:
    fakes = fake_world(protected_list_read=False)
    policy = replace(fakes.world.policy, protected_roles=False, protected_accounts=accounts)
    run = Run(replace(fakes, world=replace(fakes.world, policy=policy)))
    run.people(3)
    await run.change([SMALL])
    await leave(run, BOSS, ADA)
    assert run.licenses(ADA) == set()
    assert run.licenses(BOSS) == ({"SMALL"} if accounts else set())


def message_of(user_id: UserId):  # type: ignore[no-untyped-def]
    from shared.domain.messages import MEMBERS, ProcessUsers
    from shared.ports.messaging import Outgoing

    return Outgoing(MEMBERS, ProcessUsers((user_id,), "left", bulk=False).encode())


async def test_the_audit_log_names_each_of_two_approvers() -> None:
    run = await protected_team(BOSS)
    await leave(run, BOSS)
    await approve_all(run)
    now = run.fakes.clock.now()
    entries, _ = await run.world.stores.audit.search(AuditFilter(), now - timedelta(days=1), now, 100)
    by = [each.initiator for each in entries if each.activity == "Approve license removals"]
    assert sorted(each.id for each in by) == [MIA.id, NOA.id]
