"""The engine of a group changes by a person's request alone, and a watched group is never written to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.assignment import AssignmentState, Engine, OptionsChange
from shared.domain.directory import AssignedLicense, DirectoryGroup
from shared.domain.errors import BadRequest, NotFound
from shared.domain.ids import GroupId
from shared.domain.operation import LicenseChange, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.read_models import AuditFilter
from shared.handlers.membership.native_engine import manage_natively, stop_managing_natively
from shared.handlers.membership.watching import find_groups, watch_all
from shared.handlers.operations.accept import accept
from tests.support.native_runs import NativeRun
from tests.support.runs import EXTRA, LARGE, MIA, OTHER_TEAM, SMALL, TEAM, Run
from tests.support.watching import INNER, OTHER, a_world, guid, intent, status, watched, work
from tests.support.watching import TEAM as WATCHED_TEAM


async def engine_entries(run: Run) -> list[tuple[str, str]]:
    now = run.world.clock.now()
    entries, _ = await run.world.stores.audit.search(
        AuditFilter(group_id=TEAM), now - timedelta(days=1), now + timedelta(days=1), 99
    )
    return [(each.before, each.after) for each in entries if each.activity == "Change licensing engine of group"]


async def test_a_watched_group_is_managed_and_watched_again_each_with_an_entry_and_no_call() -> None:
    run = Run()
    run.fakes.native.license(TEAM, SMALL.sku_id)
    await watch_all(run.world)
    first = await manage_natively(run.world, TEAM, MIA)
    assert (first.assignment.engine, first.assignment.version) == (Engine.NATIVE, 1)
    assert [each.sku_id for each in first.assignment.native] == [SMALL.sku_id]
    assert await manage_natively(run.world, TEAM, MIA) == first
    await watch_all(run.world)
    assert (await intent(run.fakes, TEAM)).engine is Engine.NATIVE
    second = await stop_managing_natively(run.world, TEAM, MIA)
    assert (second.assignment.engine, second.assignment.version) == (Engine.WATCHED, 2)
    assert await engine_entries(run) == [("native", "watched"), ("watched", "native")]
    assert run.fakes.native.group_calls == []


async def test_a_group_without_licenses_can_be_managed_and_stays_managed_without_any() -> None:
    run = await NativeRun.of(3, [])
    await watch_all(run.world)
    await run.work_off()
    assert (await intent(run.fakes, TEAM)).engine is Engine.NATIVE
    await run.change([EXTRA])
    await run.change(remove=[EXTRA])
    await watch_all(run.world)
    stored = await intent(run.fakes, TEAM)
    assert (stored.engine, stored.state, stored.native) == (Engine.NATIVE, AssignmentState.ACTIVE, ())
    run.directory.remove_group(TEAM)
    await find_groups(run.world)
    assert (await intent(run.fakes, TEAM)).state is AssignmentState.ENDED


async def test_a_direct_group_never_becomes_native_and_a_native_one_never_direct() -> None:
    run = Run()
    run.people(2)
    await run.change([SMALL])
    with pytest.raises(BadRequest) as fault:
        await manage_natively(run.world, TEAM, MIA)
    assert fault.value.code == "GroupManagedDirectly"
    with pytest.raises(BadRequest) as fault:
        await stop_managing_natively(run.world, TEAM, MIA)
    assert fault.value.code == "NotManagedNatively"

    native = await NativeRun.of(2)
    with pytest.raises(BadRequest) as fault:
        await native.ask([EXTRA], options=OptionsChange({"allow_native_overlap": True}))
    assert fault.value.code == "NativeOptions"
    await native.change([EXTRA])
    assert (await intent(native.fakes, TEAM)).engine is Engine.NATIVE
    assert native.writer.calls == []


async def test_a_watched_group_rejects_a_removal_and_is_never_called() -> None:
    run = Run()
    run.fakes.native.license(TEAM, SMALL.sku_id)
    await watch_all(run.world)
    for change in (LicenseChange(remove=(SMALL.sku_id,)), LicenseChange((AssignedLicense(SMALL.sku_id),))):
        with pytest.raises(BadRequest):
            await accept(run.world, OperationRequest(Target(TEAM), MIA, change))
    await run.work_off()
    assert run.fakes.native.group_calls == []


async def test_while_an_operation_is_open_the_engine_stays() -> None:
    run = await NativeRun.of(2)
    operation = await run.ask([EXTRA])
    for act in (manage_natively, stop_managing_natively):
        with pytest.raises(BadRequest) as fault:
            await act(run.world, TEAM, MIA)
        assert fault.value.code == "OperationOpen"
    assert (await run.finish(operation)).state is OperationState.COMPLETE
    await stop_managing_natively(run.world, TEAM, MIA)


async def test_what_cannot_be_licensed_cannot_be_managed() -> None:
    run = Run()
    run.directory.add_group(OTHER_TEAM, group=DirectoryGroup(OTHER_TEAM, "Mail", security_enabled=False))
    with pytest.raises(BadRequest) as fault:
        await manage_natively(run.world, OTHER_TEAM, MIA)
    assert fault.value.code == "GroupNotSecurityEnabled"
    with pytest.raises(NotFound):
        await manage_natively(run.world, GroupId(guid(99)), MIA)


async def test_a_change_in_the_admin_center_is_read_and_the_group_stays_managed() -> None:
    run = await NativeRun.of(2)
    run.native.license(TEAM, SMALL.sku_id, LARGE.sku_id)
    await watch_all(run.world)
    stored = await intent(run.fakes, TEAM)
    assert (stored.engine, len(stored.native)) == (Engine.NATIVE, 2)


async def test_other_watched_groups_are_not_touched() -> None:
    fakes = a_world()
    await watched(fakes)
    await manage_natively(fakes.world, WATCHED_TEAM, MIA)
    await work(fakes)
    assert (await intent(fakes, OTHER)).engine is Engine.WATCHED
    assert (await status(fakes, WATCHED_TEAM)).counts == {"Active": 2}
    assert INNER in fakes.directory.groups
