"""The product in one process on the simulated tenant, in one time that only waiting moves.

    async with tenant_run(settings) as run:
        await run.control("POST", "objects", OBJECTS)

The adapters of Graph are the real ones. Tables and queues are in memory. A token lives about a day, as that
of a managed identity does.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import aiohttp
import httpx
from aiohttp import web
from aiohttp.test_utils import TestServer
from azure.core.credentials import AccessToken

from local.tenant import clock
from local.tenant.directory.changes import Change
from local.tenant.http.pipeline import NoAnswerError
from local.tenant.http.server import SimulatedTenant
from local.tenant.notifications.payloads import change_notifications
from local.tenant.tenant import TENANT_ID
from shared.adapters.accounts import GraphAccounts, GraphMemberships
from shared.adapters.changes import GraphChangeFeed
from shared.adapters.directory import GraphDirectory
from shared.adapters.graph import GraphClient
from shared.adapters.licenses import GraphLicenseWriter
from shared.adapters.native_licensing import GraphNativeLicensing
from shared.adapters.token_roles import TokenRoles
from shared.domain.operation import Operation, OperationState, is_collecting
from shared.handlers.membership.delta import query_deltas
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.membership.subscription import renew_subscription
from shared.handlers.membership.watching import watch_all
from shared.handlers.membership.webhook import receive
from shared.handlers.onboarding.onboarding_queue import Onboarding, resume_due_events
from shared.handlers.operations import approvals
from shared.handlers.operations.members_queue import Members
from shared.handlers.operations.watchdog import watchdog
from shared.handlers.reconcile.grant_expiry import reconcile_due_users
from shared.handlers.reconcile.seats import assign_freed_licenses
from shared.ports.world import World
from tests.support.runs import MIA, NOA, Run

SCOPE = "https://graph.microsoft.com/.default"

TIMERS: tuple[Callable[[World], Awaitable[object]], ...] = (
    renew_subscription,
    watchdog,
    assign_freed_licenses,
    reconcile_due_users,
    resume_due_events,
    query_deltas,
)


class ManagedIdentity:
    """A credential as azure-identity's: a token is kept until five minutes before its end, by the tenant's time."""

    def __init__(self, tenant: SimulatedTenant) -> None:
        self._tenant = tenant
        self._kept: AccessToken | None = None

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        if self._kept is None or clock.time() >= self._kept.expires_on - 300:
            url = f"{self._tenant.url}/msi/token?api-version=2019-08-01&resource=https://graph.microsoft.com"
            async with aiohttp.ClientSession() as http, http.get(url, headers={"X-IDENTITY-HEADER": "local"}) as answer:
                body = await answer.json()
                self._kept = AccessToken(body["access_token"], int(body["expires_on"]))
        return self._kept

    async def close(self) -> None:
        return None

    async def __aenter__(self) -> ManagedIdentity:
        return self

    async def __aexit__(self, *fault: object) -> None:
        return None


class Directly(httpx.AsyncBaseTransport):
    """Takes requests to the tenant in this process, without a network."""

    def __init__(self, tenant: SimulatedTenant) -> None:
        self._tenant = tenant

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        query, path = dict(request.url.params), request.url.path.removeprefix("/v1.0")
        raw = await request.aread()
        try:
            status, shown, body = await self._tenant.serve(request.method, path, query, headers, raw)
        except NoAnswerError as silence:
            raise httpx.ReadError("no answer", request=request) from silence
        dated = {"date": formatdate(clock.time(), usegmt=True), **shown}
        return httpx.Response(status, headers=dated, content=body, request=request)


class TenantRun(Run):
    """A run on the simulated tenant. Changes of the tenant are told only by `notify`, or else by delta and syncs."""

    def __init__(self, tenant: SimulatedTenant, graph: GraphClient, hook: str, roles: TokenRoles) -> None:
        super().__init__()
        self.tenant = tenant
        self.state = tenant.state
        self.graph = graph
        read = GraphDirectory(graph, monotonic=clock.time)
        self.world = replace(
            self.world,
            directory=read,
            licenses=GraphLicenseWriter(graph),
            native=GraphNativeLicensing(graph, read),
            changes=GraphChangeFeed(graph),
            accounts=GraphAccounts(graph),
            memberships=GraphMemberships(graph, tenant.graph_url),
            policy=replace(self.world.policy, tenant_id=TENANT_ID, public_url=hook),
            graph_roles=roles.known,
        )
        self.use(self.world)
        self.unsent: list[Change] = []
        self.approved: list[Operation] = []
        self.state.directory.changes.listener = self.unsent.append

    def use(self, world: World) -> None:
        """Go on in this world, with new workers."""
        self.world = world
        self.workers = [Members(world), Members(world)]
        self.onboarders = [Onboarding(world), Onboarding(world)]

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, f"{self.tenant.url}/_tenant/{path}", json=body) as response,
        ):
            assert response.status == 200, await response.text()
            return await response.json()

    async def notify(self) -> None:
        """Graph sends what has changed to the webhook."""
        changes, self.unsent[:] = [each for each in self.unsent if each.observed], []
        for subscription in self.state.graph_subscriptions.alive(clock.time()):
            found = change_notifications(subscription, changes, TENANT_ID, self.state.settings)
            if found:
                reply = await receive(self.world, json.dumps({"value": found}).encode(), None)
                assert reply.status == 202, reply

    def lose_notifications(self) -> None:
        """Graph sends nothing of what has changed."""
        self.unsent.clear()

    async def timers(self) -> None:
        """Each timer once, and what it leads to."""
        await self.timers_once()
        await self.rest()

    async def timers_once(self) -> None:
        """Each timer once; its messages stay in the queues."""
        for timer in TIMERS:
            await timer(self.world)

    async def night(self) -> None:
        """The next day, with its syncs and the watch of native groups."""
        self.later(hours=24)
        await self.timers()
        await sync_all(self.world)
        await watch_all(self.world)
        await self.rest()

    async def rest(self) -> None:
        """Everything that waits is worked on, and a person approves what waits for one."""
        for _ in range(40):
            await self.work_off()
            waiting = [
                each
                for each in await self.world.stores.operations.open()
                if each.state is OperationState.AWAITING_APPROVAL
            ]
            if not waiting:
                return
            each = min(waiting, key=lambda one: one.created_at)
            if is_collecting(each):
                await approvals.review(self.world, each.id, MIA)
            else:
                await approvals.approve(self.world, each.id, each.checksum, NOA)
                self.approved.append(each)
        raise AssertionError("the work does not end")


@asynccontextmanager
async def tenant_run(
    settings: Mapping[str, Any], *, permissions: frozenset[str] | None = None
) -> AsyncIterator[TenantRun]:
    """`permissions`: the grants of the product's identity."""
    moved = Run().fakes.clock  # replaced below by that of the run, whose time the tenant follows
    with clock.following(lambda: moved.now().timestamp()):
        made = SimulatedTenant(settings={"notificationHttp": True, **settings})
        async with made as tenant, _hook() as hook:
            if permissions is not None:
                tenant.state.clients["product"].graph = permissions
            roles = TokenRoles()

            async def wait(seconds: float) -> None:
                run.later(seconds=seconds)

            graph = GraphClient(
                tenant.graph_url,
                SCOPE,
                lambda: roles.of(ManagedIdentity(tenant)),
                sleep=wait,
                transport=lambda _: Directly(tenant),
            )
            run = TenantRun(tenant, graph, hook, roles)
            moved = run.fakes.clock
            try:
                yield run
            finally:
                await graph.close()


@asynccontextmanager
async def _hook() -> AsyncIterator[str]:
    """An address that answers Graph's handshake."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=request.query.get("validationToken", ""))

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.port}"
