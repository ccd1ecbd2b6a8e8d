"""Native group-based licensing: first level only, all or nothing, inherited rows, leaving, reprocessing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from local.tenant.tenant import Tenant
from tests.support.graph_schema import validate
from tests.unit.local.tenant.calls import (
    ANALYTICS,
    ANN,
    BOB,
    CEM,
    E1,
    E3,
    E5,
    EMS,
    SALES,
    TEAMS_PLAN,
    VISIO,
    a_tenant,
    a_user,
    ask,
    assign,
    change,
)

NESTED = "22222222-0000-4000-8000-000000000002"


@contextlib.asynccontextmanager
async def working(tenant: Tenant) -> AsyncIterator[None]:
    """The background task of native licensing runs; at the end everything due is done."""
    task = asyncio.create_task(tenant.native.run())
    try:
        yield
    finally:
        await asyncio.sleep(0.05)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def rows(tenant: Tenant, user_id: str) -> dict[tuple[str, str | None], tuple[str, str]]:
    return {(row.sku_id, row.group): (row.state, row.error) for row in tenant.directory.users[user_id].rows}


async def license_group(tenant: Tenant, add: list[Any], remove: list[str] | None = None) -> None:
    async with working(tenant):
        status, body, headers = await ask(tenant, "POST", f"/groups/{SALES}/assignLicense", change(add, remove))
        assert status == 202
        assert "location" in headers
        validate(body, "group")


async def test_members_of_the_first_level_inherit_and_the_group_says_when_it_is_done() -> None:
    tenant = a_tenant(
        {"nativeDelaySeconds": 0},
        groups=[
            {"id": NESTED, "displayName": "Nested", "members": [CEM]},
            {"id": SALES, "displayName": "Sales", "members": [ANN, BOB, NESTED]},
        ],
    )
    await license_group(tenant, [(E3, [TEAMS_PLAN]), EMS])
    assert rows(tenant, ANN) == {(E3, SALES): ("Active", "None"), (EMS, SALES): ("Active", "None")}
    assert rows(tenant, CEM) == {}
    assert tenant.directory.subscriptions[E3].consumed == 2
    _, body, _ = await ask(tenant, "GET", f"/groups/{SALES}?$select=id,assignedLicenses,licenseProcessingState")
    assert body["licenseProcessingState"] == {"state": "ProcessingComplete"}
    validate(body, "group", ("id", "assignedLicenses", "licenseProcessingState"))


async def test_one_product_that_fails_blocks_all_and_the_innocent_say_other() -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0}, users=[a_user(BOB, licenses=[E1])])
    await license_group(tenant, [E3, EMS])
    assert rows(tenant, ANN)[(EMS, SALES)] == ("Active", "None")
    assert rows(tenant, BOB) == {
        (E1, None): ("Active", "None"),
        (E3, SALES): ("Error", "MutuallyExclusiveViolation"),
        (EMS, SALES): ("Error", "Other"),
    }
    assert tenant.directory.subscriptions[EMS].consumed == 2
    _, body, _ = await ask(tenant, "GET", f"/groups/{SALES}/membersWithLicenseErrors")
    assert [row["id"] for row in body["value"]] == [BOB]


@pytest.mark.parametrize(
    ("objects", "settings", "add", "error"),
    [
        ({"skus": [{"skuId": E5, "enabled": 0}]}, {}, [E5], "CountViolation"),
        (
            {"users": [a_user(ANN, usageLocation=None)]},
            {"prohibitedPlans": {"DE": ["*"]}},
            [E3],
            "ProhibitedInUsageLocationViolation",
        ),
        ({"users": [a_user(ANN, proxyAddressClash=True)]}, {}, [E3], "UniquenessViolation"),
        ({"users": [a_user(ANN, licenses=[E3])]}, {}, [ANALYTICS], "DependencyViolation"),
    ],
)
async def test_each_cause_has_its_error(objects: Any, settings: Any, add: list[str], error: str) -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0, **settings}, **objects)
    await license_group(tenant, add)
    assert rows(tenant, ANN)[(add[0], SALES)] == ("Error", error)


async def test_joining_and_leaving_bring_and_take_the_inherited_license_only() -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0}, users=[a_user(BOB, licenses=[E3])])
    await license_group(tenant, [E3])
    async with working(tenant):
        for one in (ANN, BOB):
            assert (await ask(tenant, "DELETE", f"/groups/{SALES}/members/{one}/$ref"))[0] == 204
    assert rows(tenant, ANN) == {}
    assert rows(tenant, BOB) == {(E3, None): ("Active", "None")}
    async with working(tenant):
        reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/users/{ANN}"}
        assert (await ask(tenant, "POST", f"/groups/{SALES}/members/$ref", reference))[0] == 204
        assert (await ask(tenant, "POST", f"/groups/{SALES}/members/$ref", reference))[0] == 400
    assert rows(tenant, ANN) == {(E3, SALES): ("Active", "None")}


async def test_a_license_something_depends_on_stays_with_an_error_when_its_holder_leaves() -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0})
    await license_group(tenant, [E3])
    assert (await assign(tenant, ANN, [ANALYTICS]))[0] == 200
    async with working(tenant):
        await ask(tenant, "DELETE", f"/groups/{SALES}/members/{ANN}/$ref")
    assert rows(tenant, ANN)[(E3, SALES)] == ("ActiveWithError", "DependencyViolation")


async def test_reprocessing_gives_what_became_possible_and_names_what_still_blocks() -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0}, skus=[{"skuId": VISIO, "enabled": 1}])
    await license_group(tenant, [VISIO])
    short = next(one for one in (ANN, BOB, CEM) if rows(tenant, one)[(VISIO, SALES)][0] == "Error")
    status, body, _ = await ask(tenant, "POST", f"/users/{short}/reprocessLicenseAssignment")
    assert (status, "does not have any available licenses" in body["error"]["message"]) == (400, True)
    tenant.directory.subscriptions[VISIO].enabled = 2
    status, body, _ = await ask(tenant, "POST", f"/users/{short}/reprocessLicenseAssignment")
    assert status == 200
    validate(body, "user")
    assert rows(tenant, short) == {(VISIO, SALES): ("Active", "None")}


async def test_taking_a_license_from_the_group_takes_it_from_its_members() -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0})
    await license_group(tenant, [E3, EMS])
    await license_group(tenant, [], [E3])
    assert rows(tenant, ANN) == {(EMS, SALES): ("Active", "None")}
    await license_group(tenant, [], [EMS])
    assert rows(tenant, ANN) == {}
    assert tenant.directory.subscriptions[EMS].consumed == 0
    status, _, _ = await ask(tenant, "POST", f"/groups/{SALES}/assignLicense", change([], [EMS]))
    assert status == 400
