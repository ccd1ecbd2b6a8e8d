"""The tables of the simulated tenant over HTTP: the switch, and each change that a test can make."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from local.tenant.http.server import SimulatedTenant

E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"
SHAREPOINT_1 = "c7699d2e-19aa-44de-8edf-1736da088ca1"
SHAREPOINT_2 = "5dbe027f-2339-4123-9542-606e4d348a72"
TEAMS = "57ff2da0-773e-42df-b2af-ffb7a2317929"
PAIR = sorted([SHAREPOINT_1, SHAREPOINT_2])


@pytest.fixture
async def tenant() -> AsyncIterator[SimulatedTenant]:
    async with SimulatedTenant(members=40, seed=3) as running:
        yield running


async def control(tenant: SimulatedTenant, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, f"{tenant.url}/_tenant/{path}", json=body) as response,
    ):
        return response.status, await response.json()


async def change(tenant: SimulatedTenant, **changes: Any) -> Any:
    status, body = await control(tenant, "PATCH", "tables", changes)
    assert status == 200, body
    return body


async def skus(tenant: SimulatedTenant) -> dict[str, Any]:
    """The tenant's products as Graph shows them, by part number."""
    headers = {"Authorization": f"Bearer {tenant.token()}"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{tenant.graph_url}/subscribedSkus", headers=headers) as response,
    ):
        return {one["skuPartNumber"]: one for one in (await response.json())["value"]}


async def test_pairs_of_plans_come_and_go(tenant: SimulatedTenant) -> None:
    assert PAIR in (await control(tenant, "GET", "tables"))[1]["exclusions"]
    tables = await change(
        tenant, permit=[["SHAREPOINTSTANDARD", SHAREPOINT_2]], exclude=[["TEAMS1", "SHAREPOINTENTERPRISE"]]
    )
    assert PAIR not in tables["exclusions"]
    assert sorted([TEAMS, SHAREPOINT_2]) in tables["exclusions"]
    assert (await control(tenant, "GET", "directory"))[1]["tables"] == tables


async def test_a_plan_is_retired_from_one_product_and_brought_back(tenant: SimulatedTenant) -> None:
    before = await skus(tenant)
    await change(tenant, retire=[{"sku": "SPE_E3", "plan": "TEAMS1"}])
    now = await skus(tenant)
    assert [one for one in before["SPE_E3"]["servicePlans"] if one not in now["SPE_E3"]["servicePlans"]] == [
        {"servicePlanId": TEAMS, "servicePlanName": "TEAMS1", "provisioningStatus": "Success", "appliesTo": "User"}
    ]
    assert now["SPE_E5"] == before["SPE_E5"]
    await change(tenant, bringBack=[{"sku": E3, "plan": TEAMS}])
    assert await skus(tenant) == before


@pytest.mark.parametrize("rows", ["kept", "dropped"])
async def test_users_go_on_showing_a_retired_plan_or_not(tenant: SimulatedTenant, rows: str) -> None:
    license_ = {"skuId": E3, "disabledPlans": [TEAMS, SHAREPOINT_2]}
    _, placed = await control(tenant, "POST", "objects", {"users": [{"licenses": [license_]}]})
    await change(tenant, retire=[{"sku": "SPE_E3", "plan": "TEAMS1", "rows": rows}])
    _, user = await control(tenant, "GET", f"users/{placed['users'][0]}")
    expected = [TEAMS, SHAREPOINT_2] if rows == "kept" else [SHAREPOINT_2]
    assert user["licenseAssignmentStates"][0]["disabledPlans"] == expected


async def test_a_product_is_withdrawn_with_its_assignments_and_readmitted_with_its_units(
    tenant: SimulatedTenant,
) -> None:
    before = await skus(tenant)
    tables = await change(tenant, withdraw=["SPE_E3"])
    assert tables["withdrawn"] == [E3]
    assert before.keys() - (await skus(tenant)).keys() == {"SPE_E3"}
    assert before.keys() - (await control(tenant, "GET", "summary"))[1]["skus"].keys() == {"SPE_E3"}
    _, directory = await control(tenant, "GET", "directory")
    assert not [one for user in directory["users"] for one in user["licenseAssignmentStates"] if one["skuId"] == E3]
    await change(tenant, readmit=[E3])
    again = (await skus(tenant))["SPE_E3"]
    assert (again["consumedUnits"], again["prepaidUnits"]) == (0, before["SPE_E3"]["prepaidUnits"])


async def test_a_withdrawn_product_can_stay_visible_on_users(tenant: SimulatedTenant) -> None:
    before = (await skus(tenant))["SPE_E3"]["consumedUnits"]
    await change(tenant, withdraw=[{"sku": "SPE_E3", "keepAssignments": True}])
    assert "SPE_E3" not in await skus(tenant)
    await change(tenant, readmit=["SPE_E3"])
    assert (await skus(tenant))["SPE_E3"]["consumedUnits"] == before > 0


async def test_plans_and_products_can_be_made_ones_of_the_company(tenant: SimulatedTenant) -> None:
    tables = await change(
        tenant, applyTo=[{"plan": "TEAMS1", "appliesTo": "Company"}, {"sku": "EMS", "appliesTo": "Company"}]
    )
    assert TEAMS in tables["companyPlans"]
    found = await skus(tenant)
    assert (found["EMS"]["appliesTo"], found["SPE_E3"]["appliesTo"]) == ("Company", "User")
    plans = {one["servicePlanName"]: one["appliesTo"] for one in found["SPE_E3"]["servicePlans"]}
    assert (plans["TEAMS1"], plans["EXCHANGE_S_ENTERPRISE"]) == ("Company", "User")


async def test_dependencies_come_and_go(tenant: SimulatedTenant) -> None:
    tables = await change(tenant, depend=[{"plan": "TEAMS1", "anyOf": ["SWAY", SHAREPOINT_2]}], release=["MCOEV"])
    rules = {one["servicePlanId"]: one["anyOf"] for one in tables["dependencies"]}
    assert rules[TEAMS] == ["a23b959c-7ce8-4e57-9140-b90eb88a9e97", SHAREPOINT_2]
    assert "4828c8ec-dc2e-4779-b502-87ac9ce28ab7" not in rules


async def test_the_switch_changes_the_tables_by_the_seed_and_takes_every_change_back(tenant: SimulatedTenant) -> None:
    _, published = await control(tenant, "GET", "tables")
    await control(tenant, "PATCH", "settings", {"tables": "bySeed"})
    _, varied = await control(tenant, "GET", "tables")
    assert varied != published
    await change(tenant, exclude=[["TEAMS1", "SHAREPOINTENTERPRISE"]])
    await control(tenant, "PATCH", "settings", {"tables": "bySeed"})
    assert (await control(tenant, "GET", "tables"))[1] == varied
    await control(tenant, "POST", "generate", {"members": 40, "seed": 3, "tables": "asPublished"})
    assert (await control(tenant, "GET", "tables"))[1] == published
    await control(tenant, "POST", "generate", {"members": 40, "seed": 3, "tables": "bySeed"})
    assert (await control(tenant, "GET", "tables"))[1] == varied


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"forget": ["TEAMS1"]}, "forget"),
        ({"exclude": [["TEAMS1", "TEAMS1"]]}, "two different"),
        ({"exclude": [["TEAMS1", "NO_SUCH_PLAN"]]}, "NO_SUCH_PLAN"),
        ({"retire": [{"sku": "EMS", "plan": "TEAMS1"}]}, "not in EMS"),
        ({"retire": [{"sku": "SPE_E3", "plan": "TEAMS1", "rows": "gone"}]}, "rows"),
        ({"bringBack": [{"sku": "EMS", "plan": "TEAMS1"}]}, "never was"),
        ({"withdraw": ["MICROSOFT_365_E7"]}, "not a product of the tenant"),
        ({"readmit": ["SPE_E3"]}, "was not withdrawn"),
        ({"applyTo": [{"plan": "TEAMS1", "appliesTo": "Group"}]}, "appliesTo"),
        ({"applyTo": [{"sku": "MICROSOFT_365_E7", "appliesTo": "User"}]}, "not a product of the tenant"),
    ],
)
async def test_a_change_that_cannot_be_is_named(tenant: SimulatedTenant, changes: Any, named: str) -> None:
    status, body = await control(tenant, "PATCH", "tables", changes)
    assert (status, named in body["error"]) == (400, True), body
