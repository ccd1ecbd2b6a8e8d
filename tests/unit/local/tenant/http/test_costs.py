"""What each operation costs: the table of Graph's identity and access limits, row by row, and its modifiers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.local.tenant.calls import ANN, E3, SALES, a_tenant, ask, change

ROWS: list[tuple[str, str, Any, int, int]] = [
    ("GET", f"/groups/{SALES}/members", None, 3, 0),
    ("GET", f"/groups/{SALES}/transitiveMembers", None, 5, 0),
    ("GET", "/users", None, 2, 0),
    ("GET", f"/users/{ANN}", None, 1, 0),
    ("GET", f"/groups/{SALES}", None, 1, 0),
    ("GET", "/groups", None, 1, 0),
    ("GET", "/organization", None, 1, 0),
    ("GET", "/subscribedSkus", None, 3, 0),
    ("GET", f"/users/{ANN}/licenseDetails", None, 2, 0),
    ("GET", f"/users/{ANN}/memberOf", None, 2, 0),
    ("GET", f"/users/{ANN}/transitiveMemberOf", None, 2, 0),
    ("POST", f"/users/{ANN}/checkMemberGroups", {"groupIds": [SALES]}, 4, 0),
    ("POST", f"/users/{ANN}/getMemberGroups", {"securityEnabledOnly": False}, 2, 0),
    ("POST", "/directoryObjects/getByIds", {"ids": [ANN]}, 5, 0),
    ("POST", "/directoryObjects/getByIds?$select=id", {"ids": [ANN]}, 2, 0),
    ("POST", f"/users/{ANN}/assignLicense", change([E3]), 1, 1),
    ("POST", f"/users/{ANN}/reprocessLicenseAssignment", None, 1, 1),
    ("PATCH", f"/users/{ANN}", {"usageLocation": "AT"}, 1, 1),
    ("DELETE", f"/groups/{SALES}/members/{ANN}/$ref", None, 1, 1),
]

MODIFIERS = [
    (f"/groups/{SALES}/members?$select=id", 2),
    (f"/groups/{SALES}/members?$top=999", 3),
    (f"/groups/{SALES}/members?$top=20", 3),
    (f"/groups/{SALES}/members?$top=19", 2),
    (f"/groups/{SALES}/members?$top=5&$select=id", 1),
    (f"/groups/{SALES}/transitiveMembers?$select=id&$top=999", 4),
    (f"/users/{ANN}?$select=id&$top=1", 1),
    ("/users?$expand=manager", 3),
    ("/subscribedSkus?$select=skuId", 2),
]


@pytest.mark.parametrize(("method", "url", "body", "units", "writes"), ROWS)
async def test_an_operation_costs_what_the_table_says(
    method: str, url: str, body: Any, units: int, writes: int
) -> None:
    tenant = a_tenant()
    status, _, headers = await ask(tenant, method, url, body)
    assert status < 300
    assert headers["x-ms-resource-unit"] == str(units)
    assert tenant.metrics.total.writes == writes


@pytest.mark.parametrize(("url", "units"), MODIFIERS)
async def test_query_options_change_the_cost_and_never_below_one(url: str, units: int) -> None:
    _, _, headers = await ask(a_tenant(), "GET", url)
    assert headers["x-ms-resource-unit"] == str(units)


async def test_adding_a_member_costs_a_write() -> None:
    tenant = a_tenant(groups=[{"id": SALES, "displayName": "Sales", "members": []}])
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{ANN}"}
    status, _, headers = await ask(tenant, "POST", f"/groups/{SALES}/members/$ref", reference)
    assert (status, headers["x-ms-resource-unit"], tenant.metrics.total.writes) == (204, "1", 1)


async def test_the_quota_takes_the_units_of_reads_and_the_writes_of_writes() -> None:
    tenant = a_tenant({"quotaScale": 0.002})  # 3,500 * 0.002 = 7 units, 3,000 * 0.002 = 6 writes
    assert [(await ask(tenant, "GET", f"/groups/{SALES}/members"))[0] for _ in range(3)] == [200, 200, 429]
    writes = [
        (await ask(tenant, "PATCH", f"/users/{ANN}", {"usageLocation": "AT"}, client="other"))[0] for _ in range(8)
    ]
    assert writes == [204] * 6 + [429] * 2


async def test_the_fullness_of_the_quota_shows_above_four_fifths() -> None:
    tenant = a_tenant({"quotaScale": 0.01, "throttlePercentage": "from0.8"})  # 30 writes
    shown = []
    for _ in range(30):
        _, _, headers = await ask(tenant, "PATCH", f"/users/{ANN}", {"usageLocation": "AT"})
        shown.append(headers.get("x-ms-throttle-limit-percentage"))
    assert shown[:23] == [None] * 23
    assert [float(one) for one in shown[24:] if one] == pytest.approx([n / 30 for n in range(25, 31)], abs=0.02)
