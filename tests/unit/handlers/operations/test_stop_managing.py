"""A group that is not managed any more: its members keep their licenses, whatever happens later."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.assignment import AssignmentState, Engine, GroupLicenseAssignment, OptionsChange
from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, DirectoryGroup
from shared.domain.errors import BadRequest
from shared.domain.grant import Source, SourceKind, do_not_license
from shared.domain.group_request import GroupRequest
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.member_status import MemberState
from shared.domain.operation import LicenseChange, Operation, OperationKind, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.permit import Permit, claims_of
from shared.handlers.operations import control
from shared.handlers.operations.accept import accept
from shared.handlers.operations.assignment_changes import set_options
from shared.handlers.operations.user_decisions import remove_licenses_now
from tests.support.operations import slow
from tests.support.runs import LARGE, MIA, OTHER_TEAM, SMALL, TEAM, Run, user

ALL = {"SMALL"}


async def ask(run: Run, *skus: SkuId, group: GroupId = TEAM, **options: object) -> Operation:
    change = LicenseChange(remove=skus or (SMALL.sku_id,), keep=True)
    return await accept(run.world, OperationRequest(Target(group), MIA, change, **options))  # type: ignore[arg-type]


async def stopped(run: Run, *skus: SkuId) -> Operation:
    """Carried out without any approval, so one that waits stays."""
    return await run.finish(await ask(run, *skus), approve=False)


async def much_later(run: Run, *people: UserId) -> None:
    """Long enough for every window, and read twice with what is due."""
    for number in range(3):
        run.later(hours=12)
        for start in range(0, len(people), 20):
            await run.reconcile(*people[start : start + 20], cause=f"later-{number}-{start}")


async def team(run: Run, count: int = 30) -> list[UserId]:
    people = run.people(count)
    await run.change([SMALL])
    return people


async def test_everybody_keeps_the_licenses_without_an_approval_and_nobody_new_gets_any() -> None:
    run = Run()
    people = await team(run)
    writes = len(run.writer.log)
    operation = await stopped(run)
    assert (operation.state, operation.kind) == (OperationState.COMPLETE, OperationKind.STOP_MANAGING)
    assert (operation.plan.users_keeping, operation.plan.users_losing, operation.plan.removals) == (30, 0, {})
    new = run.directory.add_user(user(99), groups=[TEAM])
    await much_later(run, *people, new)
    assert all(run.licenses(each) == ALL for each in people)
    assert run.licenses(new) == set()
    assert len(run.writer.log) == writes
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    assert (stored.assignment.state, stored.assignment.skus) == (AssignmentState.NOT_MANAGED, ())


async def test_without_keep_the_same_removal_waits_for_an_approval() -> None:
    run = Run()
    await team(run)
    operation = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    assert operation.state is OperationState.AWAITING_APPROVAL


async def test_a_preview_shows_who_keeps_and_changes_nothing() -> None:
    run = Run()
    people = await team(run, 4)
    preview = await run.finish(await ask(run, preview=True))
    assert (preview.plan.users_keeping, preview.plan.users_losing) == (4, 0)
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None and stored.assignment.state is AssignmentState.ACTIVE
    run.directory.leave(TEAM, people[0])
    await much_later(run, people[0])
    assert run.licenses(people[0]) == set()


async def test_who_leaves_the_group_later_keeps_the_license() -> None:
    run = Run()
    people = await team(run, 4)
    await stopped(run)
    run.directory.leave(TEAM, people[0])
    await much_later(run, people[0])
    assert run.licenses(people[0]) == ALL


async def test_who_was_in_the_grace_period_keeps_the_license() -> None:
    run = Run()
    people = await team(run, 30)
    await set_options(run.world, TEAM, OptionsChange({"grace": timedelta(days=5)}), MIA, None)
    run.directory.leave(TEAM, people[0])
    await run.reconcile(people[0])
    grants = (await run.world.stores.grants.of_users(people[:1]))[people[0]]
    assert [each.source.kind for each in grants] == [SourceKind.GRACE]
    await stopped(run)
    run.later(days=6)
    await much_later(run, people[0])
    assert run.licenses(people[0]) == ALL


async def test_whose_removal_waits_for_an_approval_keeps_the_license() -> None:
    run = Run()
    people = await team(run, 30)
    for each in people:
        run.directory.leave(TEAM, each)
    await run.reconcile(*people[:15])
    await run.reconcile(*people[15:], cause="event-2")
    grants = (await run.world.stores.grants.of_users(people[:1]))[people[0]]
    assert [each.source.kind for each in grants] == [SourceKind.HELD]
    await stopped(run)
    await much_later(run, *people)
    assert all(run.licenses(each) == ALL for each in people)
    held = [each for each in await run.world.stores.operations.open() if each.target.group_id == TEAM]
    assert held == []


async def test_before_any_member_was_processed_a_sync_already_keeps_what_they_have() -> None:
    run = Run()
    people = await team(run)
    operation = await ask(run)
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None and stored.assignment.state is AssignmentState.NOT_MANAGED
    run.fakes.queue.messages.clear()
    await much_later(run, *people)
    assert all(run.licenses(each) == ALL for each in people)
    assert (await run.read(operation)).state is not OperationState.COMPLETE


async def test_a_paused_and_resumed_operation_still_keeps_everything() -> None:
    run = Run()
    people = await team(run, 60)
    slow(run)
    operation = await ask(run)
    await run.work_off(until=lambda: run.done >= 1)
    await control.pause(run.world, operation.id, MIA)
    await run.work_off()
    await control.resume(run.world, operation.id, MIA)
    await run.work_off()
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None and stored.assignment.state is AssignmentState.NOT_MANAGED
    await much_later(run, *people)
    assert all(run.licenses(each) == ALL for each in people)


async def test_another_group_that_assigns_the_product_decides_about_it_alone() -> None:
    run = Run()
    people = await team(run, 3)
    for each in people[:2]:
        run.directory.join(OTHER_TEAM, each)
    given = LicenseChange((AssignedLicense(SMALL.sku_id),))
    await run.finish(await accept(run.world, OperationRequest(Target(OTHER_TEAM), MIA, given)))
    await stopped(run)
    run.directory.leave(OTHER_TEAM, people[0])
    await much_later(run, *people)
    assert [run.licenses(each) for each in people] == [set(), ALL, ALL]


async def test_apps_that_only_this_group_turned_on_stay_on() -> None:
    run = Run()
    people = await team(run, 2)
    for each in people:
        run.directory.join(OTHER_TEAM, each)
    off = frozenset({SMALL.service_plans[0].service_plan_id})
    given = LicenseChange((AssignedLicense(SMALL.sku_id, off),))
    await run.finish(await accept(run.world, OperationRequest(Target(OTHER_TEAM), MIA, given)))
    await stopped(run)
    await much_later(run, *people)
    assert [run.directory.licenses(each)[SMALL.sku_id] for each in people] == [frozenset(), frozenset()]


async def test_a_protected_person_keeps_the_license_without_an_approval() -> None:
    run = Run()
    people = await team(run, 2)
    run.protect(people[0])
    operation = await stopped(run)
    await much_later(run, *people)
    assert (operation.state, operation.plan.protected) == (OperationState.COMPLETE, ())
    assert run.licenses(people[0]) == ALL


async def test_a_leaver_of_hr_loses_the_license_also_without_being_processed_before() -> None:
    for processed in (True, False):
        run = Run()
        people = await team(run, 3)
        operation = await ask(run)
        if processed:
            await run.finish(operation, approve=False)
        else:
            run.fakes.queue.messages.clear()
        leaver = people[0]
        assignments = {each.group_id: each for each in await run.world.stores.assignments.all()}
        row = (await run.world.stores.ledger.rows([leaver]))[leaver]
        claims = claims_of(row.managed[SMALL.sku_id].sources, assignments)
        permit = Permit(leaver, SMALL.sku_id, Source(SourceKind.HR), run.world.clock.now(), "leaver-1", claims)
        await run.world.stores.permits.put([permit])
        run.directory.leave(TEAM, leaver)
        await much_later(run, *people)
        assert [run.licenses(each) for each in people] == [set(), ALL, ALL]


async def test_a_permit_of_the_allowance_does_not_end_what_is_kept() -> None:
    run = Run()
    people = await team(run, 1)
    await stopped(run)
    assignments = {each.group_id: each for each in await run.world.stores.assignments.all()}
    row = (await run.world.stores.ledger.rows(people))[people[0]]
    claims = claims_of(row.managed[SMALL.sku_id].sources, assignments)
    source = Source(SourceKind.GROUP, TEAM)
    await run.world.stores.permits.put(
        [Permit(people[0], SMALL.sku_id, source, run.world.clock.now(), "allowance", claims)]
    )
    await much_later(run, *people)
    assert run.licenses(people[0]) == ALL


async def test_a_person_who_must_not_be_licensed_does_not_keep_the_license() -> None:
    run = Run()
    people = await team(run, 2)
    await run.world.stores.grants.put([(people[0], do_not_license("leaver-1", run.world.clock.now()))])
    await stopped(run)
    await much_later(run, *people)
    assert [run.licenses(each) for each in people] == [set(), ALL]


async def test_a_person_who_must_not_be_licensed_later_does_not_keep_the_license() -> None:
    run = Run()
    people = await team(run, 2)
    await stopped(run)
    await run.world.stores.grants.put([(people[0], do_not_license("leaver-1", run.world.clock.now()))])
    await much_later(run, *people)
    assert [run.licenses(each) for each in people] == [set(), ALL]


async def test_a_person_can_still_remove_one_of_the_licenses() -> None:
    run = Run()
    people = await team(run, 2)
    await stopped(run)
    await remove_licenses_now(run.world, people[0], [SMALL.sku_id], MIA)
    await run.work_off()
    await much_later(run, *people)
    assert [run.licenses(each) for each in people] == [set(), ALL]


async def test_a_group_that_is_managed_again_removes_again_from_who_leaves_it() -> None:
    run = Run()
    people = await team(run, 2)
    await stopped(run)
    await run.change([SMALL])
    run.directory.leave(TEAM, people[0])
    await much_later(run, *people)
    assert [run.licenses(each) for each in people] == [set(), ALL]


async def test_members_are_not_shown_as_pending_for_ever() -> None:
    run = Run()
    people = await team(run, 2)
    await stopped(run)
    await much_later(run, *people)
    rows, _ = await run.world.stores.members.page(TEAM, 10, None)
    assert {row.state for row in rows} <= {MemberState.REMOVED}


async def test_a_group_that_was_deleted_can_be_left_too() -> None:
    run = Run()
    people = await team(run, 3)
    run.directory.remove_group(TEAM)
    await stopped(run)
    await much_later(run, *people)
    assert all(run.licenses(each) == ALL for each in people)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (LicenseChange(keep=True), "keepLicenses needs removeLicenses"),
        (LicenseChange((AssignedLicense(LARGE.sku_id),), (SMALL.sku_id,), keep=True), "and no addLicenses"),
    ],
)
async def test_a_change_that_does_not_only_remove_keeps_nothing(change: LicenseChange, reason: str) -> None:
    run = Run()
    await team(run, 1)
    with pytest.raises(BadRequest, match=reason):
        await accept(run.world, OperationRequest(Target(TEAM), MIA, change, reprocess=True))


async def test_some_products_of_a_group_cannot_be_left() -> None:
    run = Run()
    run.people(1)
    await run.change([SMALL, LARGE])
    with pytest.raises(BadRequest, match=f"Missing: {LARGE.sku_id}"):
        await ask(run)
    assert (await stopped(run, SMALL.sku_id, LARGE.sku_id)).state is OperationState.COMPLETE


async def test_named_users_keep_nothing_by_it() -> None:
    run = Run()
    people = run.people(1)
    change = LicenseChange(remove=(SMALL.sku_id,), keep=True)
    with pytest.raises(BadRequest, match="for groups only"):
        await accept(run.world, OperationRequest(Target(user_ids=tuple(people)), MIA, change))


def test_what_microsoft_assigns_to_a_group_cannot_be_kept() -> None:
    native = (AssignedLicense(SMALL.sku_id),)
    group = DirectoryGroup(TEAM, "Sales", security_enabled=True, native_skus=native)
    assignment = GroupLicenseAssignment(TEAM, engine=Engine.NATIVE, native=native, version=1)
    request = GroupRequest(assignment, None, group, Catalog({SMALL.sku_id: SMALL}))
    request.check(LicenseChange(remove=(SMALL.sku_id,)))
    with pytest.raises(BadRequest, match="removes them with the product"):
        request.check(LicenseChange(remove=(SMALL.sku_id,), keep=True))
