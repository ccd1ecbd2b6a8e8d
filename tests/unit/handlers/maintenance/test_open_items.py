"""What needs a person, counted over the whole tenant."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.ids import GroupId
from shared.domain.move import Direction
from shared.domain.open_items import OpenItems
from shared.domain.operation import LicenseChange, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.groups.status import publish_counts
from shared.handlers.maintenance.open_items import count_open_items
from shared.handlers.operations.accept import accept
from shared.handlers.reconcile.seats import assign_freed_licenses
from shared.handlers.views import license_center
from tests.support.moving import MovingRun
from tests.support.runs import MIA, OTHER_TEAM, SMALL, TEAM, Run


async def counted(run: Run) -> OpenItems:
    run.later(minutes=1)
    await publish_counts(run.world)
    await count_open_items(run.world)
    return await license_center.open_items(run.world)


async def license_team(run: Run, group: GroupId) -> None:
    change = LicenseChange((AssignedLicense(SMALL.sku_id),))
    await run.finish(await accept(run.world, OperationRequest(Target(group), MIA, change)))


async def test_a_user_of_two_groups_waits_once() -> None:
    run = Run()
    people = run.people(5)
    for each in people:
        run.directory.join(OTHER_TEAM, each)
    run.directory.add_sku(replace(SMALL, enabled=2))
    await license_team(run, TEAM)
    await license_team(run, OTHER_TEAM)
    items = await counted(run)
    found = next(each for each in await license_center.products(run.world) if each.sku.sku_id == SMALL.sku_id)
    assert (dict(items.waiting), items.license_errors) == ({SMALL.sku_id: 3}, 3)
    assert (found.counts.waiting, found.short_by) == (3, 3)
    run.directory.add_sku(replace(SMALL, enabled=4))
    await assign_freed_licenses(run.world)
    await run.work_off()
    assert dict((await counted(run)).waiting) == {SMALL.sku_id: 1}


async def test_errors_are_counted_by_cause_in_each_group() -> None:
    run = Run()
    people = run.people(4)
    for each in people[:2]:
        run.writer.reject(each, "Another object with the same value for property proxyAddresses already exists.")
    await run.change([SMALL])
    assert dict((await counted(run)).errors) == {LicenseError.UNIQUENESS: 2}


async def test_approvals_messages_and_decisions_are_counted_and_go_when_they_are_decided() -> None:
    run = Run()
    assert await license_center.open_items(run.world) == OpenItems()
    run.people(30)
    await run.change([SMALL])
    waiting = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    assert (await counted(run)).approvals == 1
    writes = run.fakes.tables.writes
    await count_open_items(run.world)
    assert run.fakes.tables.writes == writes, "the same counts were stored again"
    await run.finish(waiting)
    assert await counted(run) == OpenItems()


async def test_moves_that_wait_for_a_person_are_counted_and_running_ones_are_not() -> None:
    run = MovingRun()
    run.native_group(3)
    await run.begin(Direction.TO_DIRECT)
    assert (await counted(run)).moves == 0
    await run.act("pause")
    items = await counted(run)
    assert (items.moves, items.approvals, items.decisions) == (1, 0, 1)
    await run.act("resume")
    assert (await counted(run)).moves == 0
    await run.complete()
    assert (await counted(run)).moves == 0
