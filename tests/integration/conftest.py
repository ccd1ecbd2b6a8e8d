"""The simulated tenant behind the Graph adapters, and an address for its notifications."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from azure.identity.aio import ManagedIdentityCredential

from local.tenant.http.server import SimulatedTenant
from shared.adapters.graph import GraphClient
from tests.support.tenant_stage import OBJECTS, TenantStage


@pytest.fixture
async def on_tenant(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TenantStage]:
    async with SimulatedTenant(members=0, settings={"quotaScale": 100}) as tenant:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{tenant.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "local")
        graph = GraphClient(
            tenant.graph_url, "https://graph.microsoft.com/.default", ManagedIdentityCredential, sleep=_no_sleep
        )
        stage = TenantStage(tenant, graph)
        await stage.control("POST", "objects", OBJECTS)
        yield stage
        await graph.close()


@pytest.fixture
async def hook() -> AsyncIterator[str]:
    """An address that answers Graph's handshake."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=request.query.get("validationToken", ""))

    app = web.Application()
    app.router.add_post("/{any}", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.port}"


async def _no_sleep(_: float) -> None:
    return None
