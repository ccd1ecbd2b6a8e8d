"""Calls of other Graph clients that the app does not make: counts, single objects, and more filters."""

from __future__ import annotations

from typing import Any

import pytest

from local.tenant.tenant import TENANT_ID
from tests.support.graph_schema import validate
from tests.unit.local.tenant.calls import ANN, BOB, CEM, E3, SALES, UNKNOWN, a_tenant, ask
from tests.unit.local.tenant.nested import ids

ADVANCED = {"ConsistencyLevel": "eventual"}


@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        (f"id in ('{ANN}','{BOB}')", {ANN, BOB}),
        (f"id in ('{ANN}')", {ANN}),
        (f"id IN ( '{ANN.upper()}' , '{UNKNOWN}' )", {ANN}),
        ("userPrincipalName in ('ann@fabrikam.example', 'it''s')", {ANN}),
        (f"id in ('{ANN}') or displayName eq 'Cem Roth'", {ANN, CEM}),
        (f"id in ('{ANN}','{BOB}') and startswith(displayName,'Bob')", {BOB}),
    ],
)
async def test_a_filter_with_in_takes_any_of_the_values(filter_: str, found: set[str]) -> None:
    status, body, _ = await ask(a_tenant(), "GET", f"/users?$filter={filter_}")
    assert status == 200
    assert ids(body) == found


@pytest.mark.parametrize("values", ["", "'a' 'b'", ",".join(f"'{n}'" for n in range(16))])
async def test_a_filter_with_in_needs_one_to_fifteen_values(values: str) -> None:
    status, body, _ = await ask(a_tenant(), "GET", f"/users?$filter=id in ({values})")
    assert (status, body["error"]["code"]) == (400, "Request_UnsupportedQuery")


@pytest.mark.parametrize(
    ("filter_", "found"),
    [("displayName ne 'Ann Berg'", {BOB, CEM}), ("accountEnabled ne true", set()), ("usageLocation ne 'FR'", ...)],
)
async def test_a_filter_with_ne_is_an_advanced_query(filter_: str, found: Any) -> None:
    tenant, url = a_tenant(), f"/users?$filter={filter_}"
    assert (await ask(tenant, "GET", url))[0] == 400
    assert (await ask(tenant, "GET", url, headers=ADVANCED))[0] == 400
    status, body, _ = await ask(tenant, "GET", f"{url}&$count=true", headers=ADVANCED)
    assert status == 200
    assert ids(body) == ({ANN, BOB, CEM} if found is ... else found)


@pytest.mark.parametrize(
    ("url", "count"),
    [
        ("/users/$count", "3"),
        ("/groups/$count", "1"),
        (f"/groups/{SALES}/members/$count", "3"),
        (f"/users/$count?$filter=id in ('{ANN}','{BOB}')", "2"),
        ("/groups/$count?$filter=displayName eq 'Other'", "0"),
    ],
)
async def test_a_collection_is_counted_with_consistency_level_alone(url: str, count: str) -> None:
    tenant = a_tenant()
    status, body, headers = await ask(tenant, "GET", url, headers=ADVANCED)
    assert (status, str(body), headers["Content-Type"]) == (200, count, "text/plain")
    assert (await ask(tenant, "GET", url))[0] == 400


async def test_deleted_users_are_not_counted() -> None:
    tenant = a_tenant()
    tenant.directory.delete_user(tenant.directory.users[ANN], 1.0)
    assert str((await ask(tenant, "GET", "/users/$count", headers=ADVANCED))[1]) == "2"


@pytest.mark.parametrize(
    ("url", "kind"),
    [(f"/organization/{TENANT_ID}", "organization"), (f"/subscribedSkus/{TENANT_ID}_{E3}", "subscribedSku")],
)
async def test_one_object_of_a_small_collection_is_shown(url: str, kind: str) -> None:
    tenant = a_tenant()
    status, body, _ = await ask(tenant, "GET", url)
    assert status == 200
    assert body["@odata.context"].endswith("/$entity")
    validate(body, kind)
    _, shorter, _ = await ask(tenant, "GET", f"{url}?$select=id")
    assert {name for name in shorter if not name.startswith("@")} == {"id"}
    assert (await ask(tenant, "GET", url, client="outside"))[0] == 403


@pytest.mark.parametrize("url", [f"/organization/{UNKNOWN}", f"/subscribedSkus/{TENANT_ID}_{UNKNOWN}"])
async def test_an_object_that_is_not_there_is_not_found(url: str) -> None:
    assert (await ask(a_tenant(), "GET", url))[0] == 404


async def test_one_organization_is_as_restricted_as_the_list() -> None:
    tenant = a_tenant({"organizationRead": "rejected"})
    assert (await ask(tenant, "GET", f"/organization/{TENANT_ID}", client="product"))[0] == 403
    assert (await ask(tenant, "GET", f"/organization/{TENANT_ID}", client="administrator"))[0] == 200
