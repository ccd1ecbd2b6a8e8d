"""The tenant's time can be moved, native licensing with it, and every change of licenses is logged on request."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from local.tenant import clock
from local.tenant.http.server import SimulatedTenant
from tests.unit.local.tenant.calls import ANN, E3, SALES

HOUR = 3600.0


@pytest.fixture
async def tenant() -> AsyncIterator[SimulatedTenant]:
    """Native licensing is an hour late. The clock of this process is as before at the end."""
    with clock.following(lambda: 1_000_000.0):
        async with SimulatedTenant(settings={"nativeDelaySeconds": HOUR}) as found:
            yield found


async def control(tenant: SimulatedTenant, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as http:
        data = json.dumps(body) if body is not None else None
        async with http.request(method, f"{tenant.url}/_tenant/{path}", data=data) as answer:
            return answer.status, await answer.json()


async def place(tenant: SimulatedTenant) -> None:
    objects = {
        "skus": [{"skuId": E3, "enabled": 5}],
        "users": [{"id": ANN}],
        "groups": [{"id": SALES, "displayName": "Sales", "members": [], "assignedLicenses": [E3]}],
    }
    assert (await control(tenant, "POST", "objects", objects))[0] == 200


async def test_time_passes_for_the_tenant_and_for_native_licensing_and_the_log_has_its_moment(
    tenant: SimulatedTenant,
) -> None:
    await place(tenant)
    assert await control(tenant, "POST", "licenseLog") == (200, {"time": 1_000_000.0})
    await control(tenant, "POST", "membership", {"add": [[SALES, ANN]]})
    await control(tenant, "POST", "clock", {"passSeconds": HOUR - 60})
    assert (await control(tenant, "GET", "licenseLog"))[1] == []
    assert (await control(tenant, "POST", "clock", {"passSeconds": 120}))[1] == {"time": 1_003_660.0}
    (entry,) = (await control(tenant, "GET", "licenseLog"))[1]
    assert entry == [1_003_660.0, ANN, [[E3, "Active", [], SALES]]]
    assert (await control(tenant, "GET", "licenseLog?after=1"))[1] == []
    assert (await control(tenant, "GET", "clock"))[1] == {"time": 1_003_660.0}


async def test_a_log_that_was_not_started_and_a_time_that_goes_back_are_rejected(tenant: SimulatedTenant) -> None:
    assert (await control(tenant, "GET", "licenseLog"))[0] == 400
    assert (await control(tenant, "POST", "clock", {"passSeconds": -1}))[0] == 400
    assert (await control(tenant, "GET", "clock"))[1] == {"time": 1_000_000.0}


async def test_another_source_of_time_is_not_ahead(tenant: SimulatedTenant) -> None:
    await control(tenant, "POST", "clock", {"passSeconds": 60})
    with clock.following(lambda: 5.0):
        assert clock.time() == 5.0
    assert clock.time() == 1_000_060.0
