"""Reads of any kind: the schema of every answer, stale reads, unknown paths."""

from __future__ import annotations

import pytest

from tests.support.graph_schema import validate
from tests.unit.local.tenant.calls import ANN, BOB, E3, SALES, TEAMS_PLAN, a_tenant, ask, assign
from tests.unit.local.tenant.nested import ids, nested_tenant


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("/organization", "organization"),
        ("/subscribedSkus", "subscribedSku"),
        ("/users", "user"),
        ("/groups", "group"),
        (f"/groups/{SALES}", "group"),
        (f"/users/{ANN}/licenseDetails", "licenseDetails"),
        (f"/groups/{SALES}/membersWithLicenseErrors", "user"),
        (f"/groups/{SALES}/members", "directoryObject"),
        (f"/groups/{SALES}/transitiveMembers", "directoryObject"),
    ],
)
async def test_every_answer_is_what_the_metadata_says(url: str, kind: str) -> None:
    tenant = nested_tenant()
    await assign(tenant, ANN, [(E3, [TEAMS_PLAN])])
    status, body, _ = await ask(tenant, "GET", url)
    assert status == 200
    validate(body, kind)


async def test_reads_lag_behind_writes_and_the_write_sees_the_present() -> None:
    tenant = a_tenant({"staleSeconds": 60}, skus=[{"skuId": E3, "enabled": 1}])
    assert (await assign(tenant, ANN, [E3]))[0] == 200
    tenant.directory.remove_member(tenant.directory.groups[SALES], tenant.directory.users[BOB])
    url = f"/users/{ANN}?$select=assignedLicenses"
    assert (await ask(tenant, "GET", url))[1]["assignedLicenses"] == []
    assert BOB in ids((await ask(tenant, "GET", f"/groups/{SALES}/members"))[1])
    assert BOB in ids((await ask(tenant, "GET", f"/groups/{SALES}/transitiveMembers"))[1])
    groups = await ask(tenant, "POST", f"/users/{BOB}/getMemberGroups", {"securityEnabledOnly": False})
    assert groups[1]["value"] == [SALES]
    skus = (await ask(tenant, "GET", "/subscribedSkus?$select=skuId,consumedUnits"))[1]["value"]
    assert next(sku for sku in skus if sku["skuId"] == E3)["consumedUnits"] == 0
    assert (await assign(tenant, BOB, [E3]))[0] == 400
    tenant.settings.stale_seconds = 0.0
    assert len((await ask(tenant, "GET", url))[1]["assignedLicenses"]) == 1
    assert BOB not in ids((await ask(tenant, "GET", f"/groups/{SALES}/members"))[1])
    assert BOB not in ids((await ask(tenant, "GET", f"/groups/{SALES}/transitiveMembers"))[1])
    skus = (await ask(tenant, "GET", "/subscribedSkus?$select=skuId,consumedUnits"))[1]["value"]
    assert next(sku for sku in skus if sku["skuId"] == E3)["consumedUnits"] == 1


async def test_no_such_path_and_no_such_method() -> None:
    status, body, _ = await ask(a_tenant(), "GET", "/mugs")
    assert (status, body["error"]["message"]) == (400, "Resource not found for the segment 'mugs'.")
    assert (await ask(a_tenant(), "DELETE", f"/users/{ANN}"))[0] == 405
