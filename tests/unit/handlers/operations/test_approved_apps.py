"""Apps that a confirmed request turns off: every listed removal is carried out, and no other one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.directory import AssignedLicense, SubscribedSku
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import Plans, SkuId, UserId
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.pending_removal import TENANT
from shared.handlers.operations.accept import accept
from shared.handlers.views import queries
from tests.support.runs import EXTRA, LARGE, MIA, OTHER_TEAM, SMALL, TEAM, Run, user

TO_TEAM = Target(TEAM)
MANY = 30
"""More than the removal allowance of a group, and fewer than need a second person."""


def apps(*numbers: int) -> Plans:
    """Plans of LARGE by number."""
    return frozenset(plan for number, plan in enumerate(sorted(LARGE.plan_ids), start=1) if number in numbers)


AT_FIRST, AFTERWARDS = apps(2, 4), apps(1, 2, 3)
"""What is off in LARGE before and after the change: PLAN4 is turned on, PLAN1 and PLAN3 are turned off."""


def without(product: SubscribedSku, off: Plans) -> AssignedLicense:
    return AssignedLicense(product.sku_id, off)


async def previewed(run: Run, change: LicenseChange, target: Target = TO_TEAM) -> OperationRequest:
    """The request with its preview, to be confirmed by the same person."""
    request = OperationRequest(target, MIA, change)
    preview = await run.finish(await accept(run.world, replace(request, preview=True)))
    return replace(request, preview_id=preview.id)


async def confirm(run: Run, request: OperationRequest) -> Operation:
    return await run.finish(await accept(run.world, request), approve=False)


async def request(run: Run, change: LicenseChange, target: Target = TO_TEAM) -> Operation:
    return await confirm(run, await previewed(run, change, target))


async def counted(run: Run, source: Source) -> set[UserId]:
    """People with a removal that an allowance counts."""
    scopes = [await run.world.stores.removals.load(scope) for scope in (str(source), TENANT)]
    return {row.user_id for scope in scopes for row in scope.rows}


async def is_done_without_allowance(run: Run, operation: Operation) -> bool:
    group_id = operation.target.group_id
    source = Source(SourceKind.GROUP, group_id) if group_id else Source(SourceKind.LIST)
    waiting = await queries.approvals(run.world)
    return (operation.state, waiting, await counted(run, source)) == (OperationState.COMPLETE, (), set())


CHANGES: dict[str, tuple[LicenseChange, LicenseChange, dict[SkuId, Plans]]] = {
    "apps off": (
        LicenseChange((without(LARGE, apps(2)),)),
        LicenseChange((without(LARGE, apps(1, 2, 3)),)),
        {LARGE.sku_id: apps(1, 2, 3)},
    ),
    "apps off, others on": (
        LicenseChange((without(LARGE, AT_FIRST),)),
        LicenseChange((without(LARGE, AFTERWARDS),)),
        {LARGE.sku_id: AFTERWARDS},
    ),
    "apps off, others on, and a product removed": (
        LicenseChange((without(LARGE, AT_FIRST), without(EXTRA, apps()))),
        LicenseChange((without(LARGE, AFTERWARDS),), (EXTRA.sku_id,)),
        {LARGE.sku_id: AFTERWARDS},
    ),
    "apps off, others on, and a product added": (
        LicenseChange((without(LARGE, AT_FIRST),)),
        LicenseChange((without(LARGE, AFTERWARDS), without(EXTRA, apps()))),
        {LARGE.sku_id: AFTERWARDS, EXTRA.sku_id: apps()},
    ),
    "a product replaced by one with fewer apps": (
        LicenseChange((without(LARGE, AT_FIRST),)),
        LicenseChange((without(SMALL, apps(1)),), (LARGE.sku_id,)),
        {SMALL.sku_id: apps(1)},
    ),
}


@pytest.mark.parametrize("by_name", [False, True], ids=["group", "named users"])
@pytest.mark.parametrize("case", CHANGES)
async def test_all_that_a_confirmed_preview_listed_goes_without_the_allowance(case: str, by_name: bool) -> None:
    run = Run()
    people = [run.directory.add_user(user(n)) for n in range(1, MANY + 1)] if by_name else run.people(MANY)
    target = Target(user_ids=tuple(people)) if by_name else TO_TEAM
    before, after, expected = CHANGES[case]
    await request(run, before, target)
    run.writer.throttle(people[0])
    run.writer.lose_answer(people[1])
    ended = await request(run, after, target)
    assert [run.directory.licenses(each) for each in people] == [expected] * MANY
    assert await is_done_without_allowance(run, ended)


async def test_another_group_that_adds_an_app_meanwhile_leaves_the_confirmed_removals_as_they_are() -> None:
    run = Run()
    people = run.people(MANY)
    await request(run, LicenseChange((without(LARGE, AT_FIRST),)))
    await request(run, LicenseChange((without(LARGE, apps(1, 3)),)), Target(OTHER_TEAM))
    run.later(hours=1)
    started = await accept(run.world, await previewed(run, LicenseChange((without(LARGE, AFTERWARDS),))))
    began = run.world.clock.now()
    await run.work_off(until=lambda: run.world.clock.now() > began)
    for each in people[:2]:
        run.directory.join(OTHER_TEAM, each)
    await run.reconcile(*people[:2])
    assert await is_done_without_allowance(run, await run.read(started))
    off = [run.directory.licenses(each)[LARGE.sku_id] for each in people]
    assert off == [apps(1, 3)] * 2 + [AFTERWARDS] * (MANY - 2)


async def test_members_who_joined_after_the_preview_keep_their_apps_until_a_person_decides() -> None:
    run = Run()
    people, late = run.people(25), [user(n) for n in range(61, 83)]
    await request(run, LicenseChange((without(LARGE, AT_FIRST),)))
    confirmed = await previewed(run, LicenseChange((without(LARGE, AFTERWARDS),)))
    for each in late:
        run.directory.add_user(each, groups=[TEAM])
    for some in (late[:20], late[20:]):
        await run.reconcile(*some)
    await confirm(run, confirmed)
    assert {run.directory.licenses(each)[LARGE.sku_id] for each in people} == {AFTERWARDS}
    assert {run.directory.licenses(each)[LARGE.sku_id] for each in late} == {apps(2)}
    assert len(await queries.approvals(run.world)) == 1


async def test_an_app_that_is_turned_on_by_hand_after_it_went_stays_on() -> None:
    run = Run()
    ann, ben, *_ = run.people(MANY)
    await request(run, LicenseChange((without(LARGE, AT_FIRST),)))
    await request(run, LicenseChange((without(LARGE, AFTERWARDS),)))
    run.later(hours=1)
    license = replace(run.directory.truth(ann).direct[LARGE.sku_id], disabled_plans=apps(1, 2))
    run.directory.change_user(replace(run.directory.truth(ann), license_assignment_states=(license,)))
    for cause in ("first", "second"):
        await run.reconcile(ann, ben, cause=cause)
        run.later(hours=1)
    assert [run.directory.licenses(each)[LARGE.sku_id] for each in (ann, ben)] == [apps(1, 2), AFTERWARDS]


async def test_a_license_of_which_the_preview_listed_an_app_is_not_removed_as_a_whole() -> None:
    run = Run()
    people = run.people(MANY)
    for each in people:
        run.directory.join(OTHER_TEAM, each)
    await request(run, LicenseChange((without(LARGE, apps()),)))
    await request(run, LicenseChange((without(LARGE, apps(1)),)), Target(OTHER_TEAM))
    confirmed = await previewed(run, LicenseChange(remove=(LARGE.sku_id,)))
    gone = people[:25]
    for each in gone:
        run.directory.leave(OTHER_TEAM, each)
    for some in (gone[:20], gone[20:]):
        await run.reconcile(*some)
    await confirm(run, confirmed)
    assert {run.directory.licenses(each)[LARGE.sku_id] for each in gone} == {apps()}
    assert {run.directory.licenses(each)[LARGE.sku_id] for each in people[25:]} == {apps(1)}
    assert len(await queries.approvals(run.world)) == 1
