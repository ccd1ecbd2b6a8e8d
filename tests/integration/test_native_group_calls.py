"""`assignLicense` of a group as the adapter sends it, on the simulated tenant."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.errors import NotFound
from shared.domain.ids import GroupId, ServicePlanId
from shared.domain.write_results import Accepted, LicenseCall, Rejected, Throttled
from shared.handlers.operations.group_calls import call_group
from tests.support.tenant_stage import E3, E5, F3, NATIVE, NATIVE_GROUP, NO_GROUP, UNKNOWN, TenantStage, guid
from tests.support.worlds import fake_world

EXCHANGE = "efb87545-963c-4e0d-99df-69c6916d9eb0"
SLOW = {"groupCallSeconds": 0.2}


async def switch(stage: TenantStage, **settings: Any) -> None:
    await stage.control("PATCH", "settings", settings)


async def products(stage: TenantStage) -> set[str]:
    found = await stage.native.licensed_group(NATIVE_GROUP)
    return {each.sku_id for each in found.group.native_skus}


async def test_products_are_added_with_disabled_plans_and_removed(on_tenant: TenantStage) -> None:
    license_ = AssignedLicense(E3, frozenset({ServicePlanId(EXCHANGE)}))
    assert isinstance(await on_tenant.native.assign_group_licenses(NATIVE_GROUP, [license_], [F3]), Accepted)
    found = await on_tenant.native.licensed_group(NATIVE_GROUP)
    assert found.group.native_skus == (license_,)
    assert found.processing in ("QueuedForProcessing", "ProcessingInProgress", "ProcessingComplete")


async def test_a_group_without_licenses_is_read_too(on_tenant: TenantStage) -> None:
    found = await on_tenant.native.licensed_group(GroupId(guid(0x100)))
    assert (found.group.native_skus, found.processing) == ((), "")
    with pytest.raises(NotFound):
        await on_tenant.native.licensed_group(NO_GROUP)


async def test_what_graph_rejects_comes_back_with_its_text(on_tenant: TenantStage) -> None:
    for add, remove in (([AssignedLicense(UNKNOWN)], []), ([], [E5])):
        answer = await on_tenant.native.assign_group_licenses(NATIVE_GROUP, add, remove)
        assert isinstance(answer, Rejected)
        assert answer.status == 400
        assert answer.message
    assert await products(on_tenant) == {F3}


@pytest.mark.parametrize("granted", ["LicenseAssignment.ReadWrite.All", "Group.ReadWrite.All"])
async def test_each_permission_of_the_page_lets_the_app_call(on_tenant: TenantStage, granted: str) -> None:
    await switch(on_tenant, permissionsFromToken=False, permissions={"product": ["Group.Read.All"]})
    denied = await on_tenant.native.assign_group_licenses(NATIVE_GROUP, [AssignedLicense(E3)], [])
    assert isinstance(denied, Rejected)
    assert denied.status == 403
    await switch(on_tenant, permissions={"product": ["Group.Read.All", granted]})
    answer = await on_tenant.native.assign_group_licenses(NATIVE_GROUP, [AssignedLicense(E3)], [])
    assert isinstance(answer, Accepted)


async def test_a_throttled_call_changes_nothing(on_tenant: TenantStage) -> None:
    action = {"status": 429, "code": "TooManyRequests", "message": "later", "retryAfter": 7}
    await on_tenant.fault("POST", f"/groups/{NATIVE_GROUP}/assignLicense", action)
    answer = await on_tenant.native.assign_group_licenses(NATIVE_GROUP, [AssignedLicense(E3)], [])
    assert isinstance(answer, Throttled)
    assert await products(on_tenant) == {F3}


async def test_calls_at_the_same_time_lose_a_product_unless_they_take_the_lease(on_tenant: TenantStage) -> None:
    await switch(on_tenant, **SLOW)
    adds = [AssignedLicense(E3), AssignedLicense(E5)]
    await asyncio.gather(*(on_tenant.native.assign_group_licenses(NATIVE_GROUP, [each], []) for each in adds))
    assert len(await products(on_tenant)) == 2  # of three

    world = replace(fake_world().world, native=on_tenant.native)
    calls = [call_group(world, NATIVE_GROUP, LicenseCall((each,), ()), each.sku_id, urgent=True) for each in adds]
    answers = await asyncio.gather(*calls)
    assert sorted(type(each).__name__ for each in answers) == ["Accepted", "datetime"]


async def test_members_follow_the_group(on_tenant: TenantStage) -> None:
    await on_tenant.native.assign_group_licenses(NATIVE_GROUP, [AssignedLicense(E3)], [F3])
    for _ in range(100):
        (user,) = [user async for page in on_tenant.native.members(NATIVE_GROUP) for user in page.users]
        rows = {row.sku_id for row in user.license_assignment_states if row.assigned_by_group == NATIVE_GROUP}
        if rows == {E3}:
            break
        await asyncio.sleep(0.05)
    assert (user.id, rows) == (NATIVE, {E3})
