"""Unmanaged licenses: left alone, and managed or completed when an administrator asks for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.assignment import AssignmentOptions
from shared.domain.directory import AssignedLicense, LicenseAssignmentState
from shared.domain.errors import BadRequest
from shared.domain.ids import SkuId, UserId
from shared.domain.member_status import MemberState
from shared.domain.operation import LicenseChange, OperationKind, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.operations.accept import accept
from tests.support.builders import audited
from tests.support.runs import EXTRA, MAIL, MIA, OTHER_TEAM, SMALL, TEAM, Run, user
from tests.support.unmanaged import CHAT, FILES, ask, given_group, off


async def states(run: Run, *users: UserId) -> list[MemberState]:
    return [row.state for each in users for row in await run.world.stores.members.of_user(each, [TEAM])]


async def leave(run: Run, *users: UserId) -> None:
    for each in users:
        run.directory.leave(TEAM, each)
    await run.reconcile(*users, cause="left")


async def test_an_adopted_license_gets_the_missing_plans_and_goes_with_the_group() -> None:
    run, managed, same, lacking = await given_group()
    assert await states(run, managed, same, lacking) == [
        MemberState.ACTIVE,
        MemberState.ACTIVE,
        MemberState.ACTIVE_WITH_ERROR,
    ]
    ended = await ask(run, LicenseChange(manage=(SMALL.sku_id,)))
    assert (ended.kind, ended.state, ended.totals.wrote) == (OperationKind.ADOPT, OperationState.COMPLETE, 1)
    assert off(run, lacking) == frozenset()
    assert await states(run, same, lacking) == [MemberState.ACTIVE, MemberState.ACTIVE]
    await leave(run, managed, same, lacking)
    assert not any(run.licenses(each) for each in (managed, same, lacking))


async def test_without_a_person_an_unmanaged_license_outlives_the_group() -> None:
    run, managed, same, lacking = await given_group()
    await leave(run, managed, same, lacking)
    assert [run.licenses(each) for each in (managed, same, lacking)] == [set(), {"SMALL"}, {"SMALL"}]
    assert off(run, lacking) == {MAIL, FILES}


async def test_plans_beyond_the_grant_stay_on_when_a_license_is_adopted() -> None:
    run, managed, same, lacking = await given_group(CHAT)
    await ask(run, LicenseChange(manage=(SMALL.sku_id,)))
    for number in range(3):
        await run.reconcile(managed, same, lacking, cause=f"event-{number}")
        run.later(minutes=2)
    assert [off(run, each) for each in (managed, same, lacking)] == [{CHAT}, frozenset(), frozenset()]


async def test_enabling_turns_the_missing_plans_on_and_leaves_the_license_to_its_giver() -> None:
    run, managed, same, lacking = await given_group(CHAT, FILES)
    ended = await ask(run, LicenseChange(enable=(SMALL.sku_id,)))
    assert (ended.kind, ended.totals.wrote) == (OperationKind.ENABLE, 1)
    assert [off(run, each) for each in (managed, same, lacking)] == [{CHAT, FILES}, frozenset(), {FILES}]
    assert await states(run, lacking) == [MemberState.ACTIVE]
    await leave(run, managed, same, lacking)
    assert [run.licenses(each) for each in (managed, same, lacking)] == [set(), {"SMALL"}, {"SMALL"}]


async def test_enabling_whose_answer_was_lost_does_not_make_the_license_managed() -> None:
    run, _, _, lacking = await given_group()
    run.writer.lose_answer(lacking)
    ended = await ask(run, LicenseChange(enable=(SMALL.sku_id,)), Target(user_ids=(lacking,)))
    assert (ended.totals.applied, off(run, lacking)) == (1, frozenset())
    await leave(run, lacking)
    assert run.licenses(lacking) == {"SMALL"}


async def test_only_what_the_group_grants_is_adopted_and_an_unknown_product_is_rejected() -> None:
    run, _, same, _ = await given_group()
    await ask(run, LicenseChange(manage=(EXTRA.sku_id,)))
    await leave(run, same)
    assert run.licenses(same) == {"SMALL"}
    with pytest.raises(BadRequest, match="no SKU"):
        await ask(run, LicenseChange(manage=(SkuId(CHAT),)))


async def test_an_adoption_stands_in_the_audit_log_once_per_user() -> None:
    run, _, same, lacking = await given_group()
    for _ in range(2):
        await ask(run, LicenseChange(manage=(SMALL.sku_id,)))
    entries = [each for each in await audited(run.world.stores, "202601") if each.activity == "Adopt user license"]
    assert sorted(entry.user_id or "" for entry in entries) == sorted([same, lacking])
    assert {entry.initiator for entry in entries} == {MIA}


async def test_who_only_inherited_a_license_gets_it_when_its_source_ends() -> None:
    run = Run()
    kept, lost = run.people(2)
    native = LicenseAssignmentState(SMALL.sku_id, assigned_by_group=OTHER_TEAM, last_updated=run.world.clock.now())
    for each in (kept, lost):
        run.directory.change_user(replace(run.directory.truth(each), license_assignment_states=(native,)))
    first = await run.finish(
        await accept(
            run.world,
            OperationRequest(
                Target(TEAM),
                MIA,
                LicenseChange((AssignedLicense(SMALL.sku_id),), options=AssignmentOptions(count_inherited=True)),
            ),
        )
    )
    assert (first.totals.wrote, first.totals.unchanged) == (0, 2)
    run.directory.change_user(replace(run.directory.truth(lost), license_assignment_states=()))
    await sync_all(run.world)
    await run.work_off()
    assert run.licenses(lost) == {"SMALL"}
    assert run.writes_of(kept) == 0


async def test_an_unmanaged_license_edited_during_a_grant_is_left_as_its_giver_last_said() -> None:
    run = Run()
    member = run.directory.add_user(user(21), groups=[TEAM], has=[AssignedLicense(SMALL.sku_id)])
    other, _ = (run.directory.add_user(user(number), groups=[TEAM]) for number in (22, 23))
    await run.change([SMALL])
    edited = LicenseAssignmentState(SMALL.sku_id, frozenset({MAIL}), last_updated=run.world.clock.now())
    run.directory.change_user(replace(run.directory.truth(member), license_assignment_states=(edited,)))
    await sync_all(run.world)
    await run.work_off()
    for each in (member, other):
        run.directory.leave(TEAM, each)
    await run.reconcile(member, other, cause="left")
    run.later(minutes=2)
    await run.reconcile(member, other, cause="left-2")
    assert run.directory.licenses(member) == {SMALL.sku_id: frozenset({MAIL})}
    assert (run.licenses(other), run.writes_of(member)) == (set(), 0)
