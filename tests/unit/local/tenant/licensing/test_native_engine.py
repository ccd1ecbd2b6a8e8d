"""The native engine in time: late and in no order, what fails, what nothing starts again, and calls that get lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from local.tenant.tenant import Tenant
from tests.support.graph_schema import validate
from tests.unit.local.tenant.calls import (
    ANN,
    BOB,
    CEM,
    E1,
    E3,
    EMS,
    SALES,
    TEAMS_PLAN,
    VISIO,
    a_tenant,
    a_user,
    ask,
    change,
    new_ids,
)

OTHER = "33333333-0000-4000-8000-000000000003"
DAY = 86_400.0
ADVANCED = {"ConsistencyLevel": "eventual"}
STATE = f"/groups/{SALES}?$select=id,licenseProcessingState"


def rows(tenant: Tenant, user_id: str, group: str = SALES) -> dict[str, tuple[str, str]]:
    """The rows of one source, by product."""
    found = tenant.directory.users[user_id].rows
    return {row.sku_id: (row.state, row.error) for row in found if row.group == group}


async def license_group(tenant: Tenant, add: list[Any], remove: list[str] | None = None, group: str = SALES) -> None:
    status, _, _ = await ask(tenant, "POST", f"/groups/{group}/assignLicense", change(add, remove))
    assert status == 202


async def state(tenant: Tenant) -> object:
    _, body, _ = await ask(tenant, "GET", STATE)
    return body["licenseProcessingState"]


def a_large_group(settings: dict[str, Any], count: int = 40) -> tuple[Tenant, list[str]]:
    ids = new_ids(count)
    users = [{"id": one, "userPrincipalName": f"{one}@fabrikam.example"} for one in ids]
    group = {"id": SALES, "displayName": "Sales", "members": ids}
    return a_tenant(
        settings, users=users, groups=[group], skus=[{"skuId": one, "enabled": 100} for one in (E3, EMS)]
    ), ids


def licensed(tenant: Tenant, ids: list[str], sku_id: str = E3) -> list[str]:
    return [one for one in ids if rows(tenant, one).get(sku_id, ("", ""))[0] == "Active"]


async def test_a_group_is_processed_late_and_member_by_member_in_no_order() -> None:
    tenant, ids = a_large_group({"nativeDelaySeconds": [DAY / 2, DAY / 2], "nativeSpanSeconds": DAY / 2})
    await license_group(tenant, [E3])
    assert await state(tenant) == {"state": "QueuedForProcessing"}
    await tenant.native.advance(DAY / 2 - 60)
    assert licensed(tenant, ids) == []
    await tenant.native.advance(DAY / 4)
    half = licensed(tenant, ids)
    assert 10 < len(half) < 30
    assert half != sorted(ids)[: len(half)]
    assert await state(tenant) == {"state": "ProcessingInProgress"}
    await tenant.native.advance(DAY / 4 + 120)
    assert licensed(tenant, ids) == ids
    assert await state(tenant) == {"state": "ProcessingComplete"}


async def test_delays_differ_between_least_and_longest() -> None:
    tenant, ids = a_large_group({"nativeDelaySeconds": [0, DAY]}, count=4)
    await license_group(tenant, [E3])
    await tenant.native.advance(DAY)
    for one in ids:
        await ask(tenant, "DELETE", f"/groups/{SALES}/members/{one}/$ref")
    seen = set()
    for _ in range(100):
        await tenant.native.advance(DAY / 100)
        seen.add(len(licensed(tenant, ids)))
    assert len(seen) > 2
    assert licensed(tenant, ids) == []


async def test_freed_licenses_give_nothing_until_a_member_is_processed_again() -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0}, skus=[{"skuId": VISIO, "enabled": 1}])
    await license_group(tenant, [VISIO])
    await tenant.native.advance(1)
    people = [ANN, BOB, CEM]
    short = [one for one in people if rows(tenant, one)[VISIO] == ("Error", "CountViolation")]
    assert len(short) == 2
    tenant.directory.subscriptions[VISIO].enabled = 3
    await tenant.native.advance(30 * DAY)
    assert [one for one in people if rows(tenant, one)[VISIO][0] == "Error"] == short
    assert (await ask(tenant, "POST", f"/users/{short[0]}/reprocessLicenseAssignment"))[0] == 200
    assert rows(tenant, short[0])[VISIO] == ("Active", "None")
    assert rows(tenant, short[1])[VISIO] == ("Error", "CountViolation")


async def test_some_members_fail_with_other_and_a_reprocess_helps_them() -> None:
    tenant, ids = a_large_group({"nativeDelaySeconds": 0, "nativeFailureShare": 0.3})
    await license_group(tenant, [E3, EMS])
    await tenant.native.advance(1)
    failed = [one for one in ids if rows(tenant, one)[E3] == ("Error", "Other")]
    assert 2 < len(failed) < 30
    assert all(rows(tenant, one)[EMS] == ("Error", "Other") for one in failed)
    assert (await ask(tenant, "POST", f"/users/{failed[0]}/reprocessLicenseAssignment"))[0] == 200
    assert rows(tenant, failed[0])[E3] == ("Active", "None")
    assert rows(tenant, failed[1])[E3] == ("Error", "Other")


async def test_a_failed_removal_keeps_the_license_with_an_error() -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0})
    await license_group(tenant, [E3])
    await tenant.native.advance(1)
    tenant.settings.native_failure_share = 1.0
    await license_group(tenant, [], [E3])
    await tenant.native.advance(1)
    assert rows(tenant, ANN)[E3] == ("ActiveWithError", "Other")
    assert tenant.directory.subscriptions[E3].consumed == 3


@pytest.mark.parametrize(
    ("position", "shown"),
    [
        ("object", {"state": "ProcessingComplete"}),
        ("text", "ProcessingComplete"),
        ("failed", {"state": "ProcessingFailed"}),
    ],
)
async def test_each_shape_of_the_processing_state(position: str, shown: object) -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0, "processingState": position}, users=[a_user(BOB, licenses=[E1])])
    assert await state(tenant) is None
    await license_group(tenant, [E3])
    await tenant.native.advance(1)
    assert await state(tenant) == shown
    await license_group(tenant, [], [E3])
    await tenant.native.advance(1)
    assert await state(tenant) is None


@pytest.mark.parametrize(("position", "left"), [("lost", 1), ("serial", 2)])
async def test_parallel_calls_for_one_group_lose_changes_unless_they_are_serial(position: str, left: int) -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0, "parallelGroupCalls": position})
    both = await asyncio.gather(
        *(ask(tenant, "POST", f"/groups/{SALES}/assignLicense", change([sku_id])) for sku_id in (E3, EMS))
    )
    assert [status for status, _, _ in both] == [202, 202]
    assert len(tenant.directory.groups[SALES].licenses) == left


async def test_reads_of_a_group_show_its_licenses_as_before_for_a_while() -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0, "groupLicenseLagSeconds": 3600})
    await license_group(tenant, [E3])
    _, body, _ = await ask(tenant, "GET", f"/groups/{SALES}?$select=id,assignedLicenses")
    assert body["assignedLicenses"] == []
    tenant.directory.groups[SALES].changed_licenses = ((), 0.0)
    _, body, _ = await ask(tenant, "GET", f"/groups/{SALES}?$select=id,assignedLicenses")
    assert [one["skuId"] for one in body["assignedLicenses"]] == [E3]


async def test_a_licensed_group_cannot_be_deleted() -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0})
    await license_group(tenant, [E3])
    assert (await ask(tenant, "DELETE", f"/groups/{SALES}"))[0] == 400
    assert tenant.directory.groups[SALES].deleted is None
    await license_group(tenant, [], [E3])
    assert (await ask(tenant, "DELETE", f"/groups/{SALES}"))[0] == 204
    assert (await ask(tenant, "GET", f"/groups/{SALES}"))[0] == 404


async def test_a_plan_that_microsoft_adds_is_on_for_members() -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0})
    tenant.directory.catalog.retire(E3, TEAMS_PLAN)
    await license_group(tenant, [E3])
    await tenant.native.advance(1)
    assert TEAMS_PLAN not in await plans(tenant, ANN)
    tenant.directory.catalog.bring_back(E3, TEAMS_PLAN)
    assert TEAMS_PLAN in await plans(tenant, ANN)


async def plans(tenant: Tenant, user_id: str) -> set[str]:
    _, body, _ = await ask(tenant, "GET", f"/users/{user_id}?$select=id,assignedPlans")
    return {one["servicePlanId"] for one in body["assignedPlans"]}


async def test_two_groups_with_the_same_license_take_one_unit_and_either_keeps_it() -> None:
    groups = [{"id": OTHER, "displayName": "Other", "members": [ANN, BOB]}]
    tenant = a_tenant({"nativeDelaySeconds": 0}, groups=groups)
    await license_group(tenant, [E3])
    await license_group(tenant, [(E3, [TEAMS_PLAN])], group=OTHER)
    await tenant.native.advance(1)
    assert tenant.directory.subscriptions[E3].consumed == 3
    await license_group(tenant, [], [E3])
    await tenant.native.advance(1)
    assert rows(tenant, ANN) == {}
    assert rows(tenant, ANN, OTHER)[E3] == ("Active", "None")
    assert tenant.directory.subscriptions[E3].consumed == 2


@pytest.mark.parametrize(
    ("query", "switch"),
    [("assignedLicenses/$count ne 0", "licenseCountFilter"), ("assignedLicenses/any()", "licensedFilter")],
)
async def test_licensed_groups_can_be_listed_unless_the_filter_is_not_offered(query: str, switch: str) -> None:
    groups = [{"id": OTHER, "displayName": "Other", "members": [ANN], "assignedLicenses": [E3]}]
    tenant = a_tenant({"nativeDelaySeconds": 0}, groups=groups)
    url = f"/groups?$filter={query}&$count=true&$select=id,assignedLicenses,licenseProcessingState"
    status, body, _ = await ask(tenant, "GET", url, headers=ADVANCED)
    assert (status, [one["id"] for one in body["value"]]) == (200, [OTHER])
    validate(body["value"][0], "group", ("id", "assignedLicenses", "licenseProcessingState"))
    if "$count ne" in query:
        assert (await ask(tenant, "GET", url))[0] == 400
    tenant.settings.patch({switch: False})
    assert (await ask(tenant, "GET", url, headers=ADVANCED))[0] == 400


async def test_groups_with_errors_can_be_listed_where_the_filter_works() -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0, "licenseErrorFilter": True}, users=[a_user(BOB, licenses=[E1])])
    url = "/groups?$filter=hasMembersWithLicenseErrors eq true&$select=id"
    assert (await ask(tenant, "GET", url))[1]["value"] == []
    await license_group(tenant, [E3])
    await tenant.native.advance(1)
    assert [one["id"] for one in (await ask(tenant, "GET", url))[1]["value"]] == [SALES]


async def test_a_reprocess_names_the_whole_reason_or_is_accepted_and_says_nothing() -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0}, users=[a_user(BOB, licenses=[E1])])
    await license_group(tenant, [E3, EMS])
    await tenant.native.advance(1)
    status, body, _ = await ask(tenant, "POST", f"/users/{BOB}/reprocessLicenseAssignment")
    assert (status, "mutually exclusive" in body["error"]["message"]) == (400, True)
    tenant.settings.patch({"reprocessAnswer": "accepted"})
    assert (await ask(tenant, "POST", f"/users/{BOB}/reprocessLicenseAssignment"))[0] == 200
    assert rows(tenant, BOB)[E3] == ("Error", "MutuallyExclusiveViolation")
    assert rows(tenant, BOB)[EMS] == ("Error", "Other")


@pytest.mark.parametrize(
    ("position", "shown"), [("there", [E3]), ("null", None), ("absent", "absent"), ("rejected", 400)]
)
async def test_license_states_of_members_in_each_shape(position: str, shown: object) -> None:
    tenant = a_tenant({"nativeDelaySeconds": 0, "memberStates": position})
    await license_group(tenant, [E3])
    await tenant.native.advance(1)
    url = f"/groups/{SALES}/members?$select=id,licenseAssignmentStates"
    status, body, _ = await ask(tenant, "GET", url)
    if status == 400:
        assert shown == 400
        return
    found = body["value"][0].get("licenseAssignmentStates", "absent")
    assert ([row["skuId"] for row in found] if isinstance(found, list) else found) == shown
