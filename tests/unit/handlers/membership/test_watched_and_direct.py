"""Nothing that licenses directly writes for a watched group: neither requests nor syncs, events or HR."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.assignment import Engine, OptionsChange
from shared.domain.change_messages import GroupsChanged
from shared.domain.directory import AssignedLicense
from shared.domain.errors import BadRequest
from shared.domain.grant import do_not_license
from shared.domain.ids import GroupId
from shared.domain.membership_changes import GroupChange, Nesting
from shared.domain.messages import NOTIFICATIONS
from shared.domain.operation import LicenseChange, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.read_models import AuditFilter
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.membership.notifications_queue import process_notifications, sync_all_soon
from shared.handlers.membership.watching import watch_now
from shared.handlers.operations.accept import accept
from shared.handlers.reconcile.enqueue import enqueue
from tests.support.runs import LARGE as SUITE
from tests.support.runs import MIA, SMALL, Run
from tests.support.watching import (
    ANN,
    BOB,
    DAN,
    OTHER,
    TEAM,
    a_world,
    guid,
    intent,
    license_writes,
    rows,
    watched,
)
from tests.support.worlds import Fakes


async def test_a_group_that_this_app_licenses_is_not_watched() -> None:
    fakes = a_world()
    await _assign(fakes, TEAM, overlap=True)
    before = await intent(fakes, TEAM)
    await watched(fakes)
    assert await intent(fakes, TEAM) == before
    assert (await intent(fakes, OTHER)).engine is Engine.WATCHED
    with pytest.raises(BadRequest) as fault:
        await watch_now(fakes.world, TEAM)
    assert fault.value.code == "GroupManagedDirectly"


async def _assign(fakes: Fakes, group_id: GroupId, *, overlap: bool = False) -> None:
    change = LicenseChange(add=(AssignedLicense(SMALL.sku_id),))
    options = OptionsChange({"allow_native_overlap": overlap})
    await accept(fakes.world, OperationRequest(Target(group_id), MIA, change=change, options=options))


async def test_a_person_who_assigns_directly_to_a_watched_group_makes_it_direct() -> None:
    fakes = a_world()
    await watched(fakes)
    with pytest.raises(BadRequest):
        await _assign(fakes, TEAM)
    assert (await intent(fakes, TEAM)).engine is Engine.WATCHED
    await _assign(fakes, TEAM, overlap=True)
    after = await intent(fakes, TEAM)
    assert (after.engine, after.native, [each.sku_id for each in after.skus]) == (Engine.DIRECT, (), [SMALL.sku_id])
    now = fakes.clock.now()
    (entry,), _ = await fakes.world.stores.audit.search(
        AuditFilter(activity="licensing engine"), now - timedelta(days=1), now + timedelta(days=1), 9
    )
    assert (entry.before, entry.after, entry.initiator) == ("watched", "direct", MIA)


@pytest.mark.parametrize("change", [LicenseChange(), LicenseChange(remove=(SUITE.sku_id,))])
async def test_neither_a_reprocess_nor_a_removal_of_the_direct_engine_is_accepted_for_a_watched_group(
    change: LicenseChange,
) -> None:
    fakes = a_world()
    await watched(fakes)
    request = OperationRequest(Target(TEAM), MIA, change=change, reprocess=not change.remove)
    with pytest.raises(BadRequest) as fault:
        await accept(fakes.world, request)
    assert fault.value.code == "NativeGroup"


async def test_syncs_and_notifications_write_no_license_and_no_other_row_for_a_watched_group() -> None:
    fakes = a_world()
    fakes.native.give(BOB, TEAM, "CountViolation")
    await watched(fakes)
    run = Run(fakes)
    before = await rows(fakes, TEAM)
    assert await sync_all(fakes.world) == 0
    await sync_all_soon(fakes.world)
    change = GroupChange(TEAM, {ANN: False, BOB: True})
    await process_notifications(fakes.world, GroupsChanged((change,), fakes.clock.now()).encode())
    await run.work_off()
    assert license_writes(fakes) == 0
    assert await rows(fakes, TEAM) == before
    assert await fakes.world.stores.operations.open() == ()


async def test_work_on_a_managed_group_leaves_rows_and_licenses_of_a_watched_one_with_the_same_members() -> None:
    fakes = a_world()
    fakes.native.give(BOB, TEAM, "CountViolation")
    outer = fakes.directory.add_group(guid(50), [ANN, BOB])
    await watched(fakes)
    before = await rows(fakes, TEAM)
    inherited = fakes.directory.truth(ANN).inherited
    run = Run(fakes)
    await _assign(fakes, outer)
    await run.work_off()
    assert SMALL.sku_id in fakes.directory.licenses(ANN)
    assert await rows(fakes, TEAM) == before
    fakes.directory.leave(outer, ANN)
    for _ in range(3):
        await sync_all(fakes.world)
        await run.work_off()
        fakes.clock.move(timedelta(hours=1))
    assert fakes.directory.licenses(ANN) == {}
    assert fakes.directory.truth(ANN).inherited == inherited
    assert await rows(fakes, TEAM) == before


async def test_a_person_whom_hr_reports_as_a_leaver_keeps_what_microsoft_assigns() -> None:
    fakes = a_world()
    await watched(fakes)
    before = await rows(fakes, TEAM)
    await fakes.world.stores.grants.put([(ANN, do_not_license("leaver-1", fakes.clock.now()))])
    await enqueue(fakes.world, [ANN], "hr:leaver")
    await Run(fakes).work_off()
    assert set(fakes.directory.truth(ANN).inherited) == {SUITE.sku_id, SMALL.sku_id}
    assert await rows(fakes, TEAM) == before
    assert license_writes(fakes) == 0


async def test_a_watched_group_inside_a_managed_one_still_leads_to_the_managed_one() -> None:
    fakes = a_world()
    outer = fakes.directory.add_group(guid(50), [TEAM])
    await _assign(fakes, outer)
    await watched(fakes)
    fakes.queue.messages.clear()
    fakes.clock.move(timedelta(minutes=2))
    await fakes.world.stores.nesting.save(Nesting(outer, frozenset({TEAM}), fakes.clock.now()))
    change = GroupChange(TEAM, {DAN: True})
    await process_notifications(fakes.world, GroupsChanged((change,), fakes.clock.now()).encode())
    queues = [message.queue for message in fakes.queue.messages]
    assert len(queues) == 2
    assert NOTIFICATIONS in queues
