"""The simulated tenant over HTTP: tokens, paging by link, batches, faults, control API, and the process itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.core.credentials import AccessToken
from azure.identity.aio import ManagedIdentityCredential

from local.tenant.http.server import SimulatedTenant
from tests.integration import PATIENCE_S
from tests.support.graph_schema import validate, validate_batch, validate_error

ROOT = Path(__file__).parent.parent.parent
E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"
MEMBER = "id,userPrincipalName,displayName,usageLocation,assignedLicenses,licenseAssignmentStates"


@pytest.fixture
async def tenant() -> AsyncIterator[SimulatedTenant]:
    async with SimulatedTenant(members=150, seed=1, settings={"quotaScale": 10}) as running:
        yield running


@pytest.fixture
async def http(tenant: SimulatedTenant) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def bearer(tenant: SimulatedTenant, client: str = "product", **more: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {tenant.token(client, **more)}"}


async def get(http: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    async with http.get(url, headers=headers) as response:
        return response.status, await response.json()


async def send(http: aiohttp.ClientSession, method: str, url: str, body: Any, **more: Any) -> tuple[int, Any]:
    async with http.request(method, url, json=body, **more) as response:
        raw = await response.read()
        return response.status, json.loads(raw) if raw else None


async def control(http: aiohttp.ClientSession, tenant: SimulatedTenant, path: str) -> Any:
    return (await get(http, f"{tenant.url}/_tenant/{path}"))[1]


def change(*add: str) -> dict[str, Any]:
    return {"addLicenses": [{"skuId": one, "disabledPlans": []} for one in add], "removeLicenses": []}


async def test_without_a_valid_token_graph_answers_401(tenant: SimulatedTenant, http: aiohttp.ClientSession) -> None:
    other_key = SimulatedTenant(signing_key="x" * 32)
    for headers in (
        {},
        {"Authorization": "Bearer nonsense"},
        bearer(other_key),
        bearer(tenant, lifetime=-1),
        bearer(tenant, audience="api://group-based-licensing"),
    ):
        for path in ("/users", "/$batch"):
            async with http.get(tenant.graph_url + path, headers=headers) as response:
                body = await response.json()
                assert (response.status, body["error"]["code"]) == (401, "InvalidAuthenticationToken")
                assert "WWW-Authenticate" in response.headers
                validate_error(body)
    assert (await get(http, f"{tenant.graph_url}/users", bearer(tenant)))[0] == 200


async def test_a_token_ends(tenant: SimulatedTenant, http: aiohttp.ClientSession) -> None:
    headers = bearer(tenant, lifetime=5)
    assert (await get(http, f"{tenant.graph_url}/users", headers))[0] == 200
    async with asyncio.timeout(PATIENCE_S):
        while (await get(http, f"{tenant.graph_url}/users", headers))[0] == 200:
            await asyncio.sleep(0.2)
    assert (await get(http, f"{tenant.graph_url}/users", headers))[0] == 401


async def test_client_credentials_give_tokens_for_graph_and_for_the_api(
    tenant: SimulatedTenant, http: aiohttp.ClientSession
) -> None:
    url = f"{tenant.url}/{tenant.state.directory.tenant_id}/oauth2/v2.0/token"
    form = {
        "grant_type": "client_credentials",
        "client_id": tenant.state.clients["reader"].app_id,
        "client_secret": "local",
        "scope": "https://graph.microsoft.com/.default",
    }
    async with http.post(url, data=form) as response:
        body = await response.json()
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert (await get(http, f"{tenant.graph_url}/users", headers))[0] == 200
    async with http.post(
        url, data={**form, "client_id": "outside", "scope": "api://group-based-licensing/.default"}
    ) as r:
        api_token = (await r.json())["access_token"]
    headers = {"Authorization": f"Bearer {api_token}"}
    assert (await get(http, f"{tenant.graph_url}/users", headers))[0] == 401
    wrong = [("client_secret", "no", 401), ("client_id", "nobody", 400), ("scope", "x", 400), ("grant_type", "x", 400)]
    for name, value, status in wrong:
        async with http.post(url, data={**form, name: value}) as response:
            assert (response.status, "error_description" in await response.json()) == (status, True)


async def test_azure_identity_gets_a_token_from_the_managed_identity_endpoint(
    tenant: SimulatedTenant, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{tenant.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "local")
    async with ManagedIdentityCredential() as credential:
        token: AccessToken = await credential.get_token("https://graph.microsoft.com/.default")
    assert token.expires_on > time.time() + 3600
    headers = {"Authorization": f"Bearer {token.token}"}
    assert (await get(http, f"{tenant.graph_url}/organization", headers))[0] == 200
    url = f"{tenant.url}/msi/token?api-version=2019-08-01&resource=https://graph.microsoft.com"
    assert (await get(http, url, {"X-IDENTITY-HEADER": "wrong"}))[0] == 401


async def test_the_whole_main_group_is_read_by_following_links(
    tenant: SimulatedTenant, http: aiohttp.ClientSession
) -> None:
    main = (await control(http, tenant, "summary"))["groups"]["main"]
    for top, pages in ((999, 1), (40, 4)):
        url: str | None = f"{tenant.graph_url}/groups/{main}/transitiveMembers?$top={top}&$select={MEMBER}"
        rows: list[Any] = []
        read = 0
        while url is not None:
            status, body = await get(http, url, bearer(tenant))
            assert status == 200
            validate(body, "directoryObject", MEMBER.split(","))
            rows += body["value"]
            read += 1
            url = body.get("@odata.nextLink")
            assert url is None or url.startswith(tenant.graph_url)
        assert read == pages
        assert len({row["id"] for row in rows}) == len(rows)
        assert sum(1 for row in rows if row["@odata.type"] == "#microsoft.graph.user") == 150


async def test_a_batch_over_http_and_what_is_counted_and_logged(
    tenant: SimulatedTenant, http: aiohttp.ClientSession
) -> None:
    users = [user for user in tenant.state.directory.users.values() if user.usage_location and not user.rows][:3]
    items = [
        {
            "id": user.id,
            "method": "POST",
            "url": f"/users/{user.id}/assignLicense",
            "headers": {"Content-Type": "application/json"},
            "body": change(E3),
        }
        for user in users
    ]
    for _ in range(2):
        status, body = await send(
            http, "POST", f"{tenant.graph_url}/$batch", {"requests": items}, headers=bearer(tenant)
        )
        assert (status, {one["status"] for one in body["responses"]}) == (200, {200})
        validate_batch(body, [user.id for user in users])
        for one in body["responses"]:
            validate(one["body"], "user")
    url = f"{tenant.graph_url}/users/{users[0].id}/assignLicense"
    assert (await send(http, "POST", url, change(), headers=bearer(tenant, "administrator")))[0] == 400
    metrics = await control(http, tenant, "metrics")
    counted = {
        name: metrics[name] for name in ("requests", "items", "writes", "rejected", "unchangedWrites", "throttled")
    }
    assert counted == {"requests": 3, "items": 7, "writes": 6, "rejected": 1, "unchangedWrites": 3, "throttled": 0}
    assert metrics["byApp"][tenant.state.clients["product"].app_id]["writes"] == 6
    assert sum(writes for _, writes, _ in metrics["perSecond"]) == 6
    log = await control(http, tenant, "writes?after=2&limit=2")
    assert [entry["seq"] for entry in log] == [3, 4]
    assert [(entry["before"], entry["after"], entry["changed"]) for entry in log] == [
        ({}, {E3: []}, True),
        ({E3: []}, {E3: []}, False),
    ]
    directory = await control(http, tenant, "directory")
    held = {user["id"]: user["licenseAssignmentStates"] for user in directory["users"]}
    assert all(held[user.id][0]["skuId"] == E3 for user in users)


async def test_a_malformed_request_is_400(tenant: SimulatedTenant, http: aiohttp.ClientSession) -> None:
    headers = {**bearer(tenant), "Content-Type": "application/json"}
    for path, data in (("/$batch", "{"), ("/$batch", "[]"), ("/directoryObjects/getByIds", "nope")):
        async with http.post(tenant.graph_url + path, data=data, headers=headers) as response:
            assert response.status == 400
            validate_error(await response.json())


async def test_a_timeout_before_does_nothing_and_one_after_has_done_it(
    tenant: SimulatedTenant, http: aiohttp.ClientSession
) -> None:
    users = [user for user in tenant.state.directory.users.values() if user.usage_location and not user.rows][:3]
    actions: list[dict[str, Any]] = [{"timeoutBefore": True}, {"timeoutAfter": True}, {"reset": True}]
    rules = [
        {"match": {"path": user.id, "method": "POST"}, "times": 1, "action": action}
        for user, action in zip(users, actions, strict=True)
    ]
    assert (await send(http, "POST", f"{tenant.url}/_tenant/faults", rules))[0] == 200
    for user in users:
        with pytest.raises((TimeoutError, aiohttp.ClientError)):
            await send(
                http,
                "POST",
                f"{tenant.graph_url}/users/{user.id}/assignLicense",
                change(E3),
                headers=bearer(tenant),
                timeout=aiohttp.ClientTimeout(total=2),
            )
    assert [bool(user.rows) for user in users] == [False, True, False]
    assert [rule["struck"] for rule in await control(http, tenant, "faults")] == [1, 1, 1]
    async with http.delete(f"{tenant.url}/_tenant/faults") as response:
        assert await response.json() == []


async def test_answers_can_be_damaged(tenant: SimulatedTenant, http: aiohttp.ClientSession) -> None:
    rules = [
        {"match": {"path": "/members$"}, "times": 1, "action": {"missingValue": True}},
        {"match": {"path": "/members$"}, "action": {"nullFields": ["assignedLicenses"]}},
        {"match": {"path": "^/subscribedSkus$"}, "after": 1, "action": {"status": 500, "code": "x", "message": "y"}},
    ]
    await send(http, "POST", f"{tenant.url}/_tenant/faults", rules)
    main = (await control(http, tenant, "summary"))["groups"]["main"]
    url = f"{tenant.graph_url}/groups/{main}/members?$select={MEMBER}"
    assert "value" not in (await get(http, url, bearer(tenant)))[1]
    body = (await get(http, url, bearer(tenant)))[1]
    users = [row for row in body["value"] if row["@odata.type"].endswith("user")]
    assert users
    assert all(row["assignedLicenses"] is None and row["licenseAssignmentStates"] is not None for row in users)
    statuses = [(await get(http, f"{tenant.graph_url}/subscribedSkus", bearer(tenant)))[0] for _ in range(2)]
    assert statuses == [200, 500]


async def test_items_of_a_batch_wait_side_by_side(tenant: SimulatedTenant, http: aiohttp.ClientSession) -> None:
    await send(http, "PATCH", f"{tenant.url}/_tenant/settings", {"latencyMs": [100, 100]})
    user_id = next(iter(tenant.state.directory.users))
    items = [{"id": str(n), "method": "GET", "url": f"/users/{user_id}?$select=id"} for n in range(20)]
    loop = asyncio.get_running_loop()
    before = loop.time()
    status, body = await send(http, "POST", f"{tenant.graph_url}/$batch", {"requests": items}, headers=bearer(tenant))
    assert (status, len(body["responses"])) == (200, 20)
    assert 0.1 <= loop.time() - before < 1.5


async def test_a_scenario_is_placed_exactly_and_permissions_change_at_once(
    tenant: SimulatedTenant, http: aiohttp.ClientSession
) -> None:
    async with http.post(f"{tenant.url}/_tenant/generate", json={"members": 10, "seed": 9}) as response:
        assert (await response.json())["counts"]["members"] == 10
    one, two, group = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "123")
    objects = {
        "skus": [{"skuPartNumber": "SPE_E3", "enabled": 1, "warning": 1}],
        "users": [{"id": one, "licenses": [{"skuId": E3, "disabledPlans": []}]}, {"id": two, "usageLocation": None}],
        "groups": [{"id": group, "displayName": "Two", "members": [one, two]}],
    }
    assert (await send(http, "POST", f"{tenant.url}/_tenant/objects", objects))[0] == 200
    directory = await control(http, tenant, "directory")
    assert next(g for g in directory["groups"] if g["id"] == group)["members"] == [one, two]
    assert next(s for s in directory["subscribedSkus"] if s["skuId"] == E3)["prepaidUnits"]["warning"] == 1
    url = f"{tenant.graph_url}/groups/{group}/members"
    assert len((await get(http, url, bearer(tenant)))[1]["value"]) == 2
    await send(http, "POST", f"{tenant.url}/_tenant/membership", {"remove": [[group, two]]})
    assert len((await get(http, url, bearer(tenant)))[1]["value"]) == 1
    headers = bearer(tenant)
    await send(
        http, "PATCH", f"{tenant.url}/_tenant/settings", {"permissionsFromToken": False, "permissions": {"product": []}}
    )
    assert (await get(http, url, headers))[0] == 403
    wrong: list[dict[str, Any]] = [{"permissions": {"nobody": []}}, {"latency": 1}, {"quotaKind": "cup"}]
    for settings in wrong:
        assert (await send(http, "PATCH", f"{tenant.url}/_tenant/settings", settings))[0] == 400
    bad = {"groups": [{"displayName": "x", "members": ["nobody"]}]}
    assert (await send(http, "POST", f"{tenant.url}/_tenant/objects", bad))[0] == 400
    async with http.delete(f"{tenant.url}/_tenant/users/{one}") as response:
        assert await response.json() == {"id": one, "deleted": True}
    async with http.post(f"{tenant.url}/_tenant/users/{one}/restore") as response:
        assert await response.json() == {"id": one, "deleted": False}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_where_it_is_and_ends_with_0_on_a_signal(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "local.tenant", "--port", "0", "--members", "20", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE_S))
        async with aiohttp.ClientSession() as http:
            status, body = await get(http, f"http://127.0.0.1:{ready['port']}/_tenant/health")
            assert (status, body) == (200, {"status": "ok"})
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
