"""A first-contact run on the simulated tenant: the real requests, stores on tables in memory, and short pauses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import aiohttp
from azure.core.credentials import AccessToken

from local.tenant.generator.given_objects import place_objects
from local.tenant.http.server import SimulatedTenant
from shared.adapters.first_contact import GraphProbes
from shared.adapters.graph import GraphClient
from shared.domain.first_contact import Level, Run
from shared.domain.initiator import SYSTEM
from shared.handlers.operations.first_contact import RunObjects, continue_runs, start
from shared.handlers.operations.first_contact_probes import Pace
from shared.ports.world import World
from tests.support.tenant_stage import ANNA, BEN, E3, E5, F3, GUEST, guid
from tests.support.worlds import Fakes, fake_world

QUICK = Pace(
    settle_s=0.0,
    pause_s=0.05,
    tick_s=1.05,
    again_s=1.0,
    lag_s=2.0,
    restored_s=0.05,
    drain_s=2.0,
    contended_s=(0.05, 0.1, 0.2, 0.2, 0.2),
)
BRIEFLY_BUSY = {"busySeconds": [0.02, 0.1]}
"""For a tenant that accepts one write at a time: shorter than the pauses above."""

TESTER, TEST_GROUP = guid(0x700), guid(0x701)
OBJECTS: dict[str, Any] = {
    "skus": [{"skuId": E3, "enabled": 100}, {"skuId": E5, "enabled": 1}, {"skuId": F3, "enabled": 100}],
    "users": [
        {"id": ANNA, "licenses": [{"skuId": E3}]},
        {"id": BEN, "licenses": [{"skuId": E3}]},
        {"id": GUEST, "userType": "Guest"},
        {"id": TESTER},
    ],
    "groups": [
        {"id": guid(0x100), "members": [ANNA, BEN, GUEST]},
        {"id": guid(0x101), "members": [ANNA, GUEST], "assignedLicenses": [{"skuId": F3}]},
        {"id": TEST_GROUP, "members": []},
    ],
}
TEST = RunObjects(TESTER, TEST_GROUP, E3)

LOADERS = tuple(guid(0x800 + number) for number in range(20))
LOAD_OBJECTS: dict[str, Any] = {**OBJECTS, "users": [*OBJECTS["users"], *({"id": each} for each in LOADERS)]}
LOAD = RunObjects(sku_id=E3, user_ids=LOADERS)


class RealClock:
    """The machine's clock, which can be moved forward."""

    def __init__(self) -> None:
        self.moved = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.moved

    def ahead(self) -> timedelta | None:
        return None

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Token:
    """A credential with a token of the simulated tenant."""

    def __init__(self, tenant: SimulatedTenant) -> None:
        self._tenant = tenant

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken(self._tenant.token(), 2_000_000_000)

    async def close(self) -> None:
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Stage:
    """The app on a simulated tenant."""

    tenant: SimulatedTenant
    world: World
    fakes: Fakes
    clock: RealClock

    async def run(self, level: Level = Level.READ_ONLY, objects: RunObjects | None = None) -> Run:
        """A whole run."""
        wanted = objects or {Level.BASIC: TEST, Level.LOAD: LOAD}.get(level, RunObjects())
        begun = await start(self.world, level, wanted, SYSTEM)
        await continue_runs(self.world, QUICK)
        found = await self.world.stores.first_contact.get(begun.id)
        assert found is not None
        return found

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the control API of the tenant."""
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, f"{self.tenant.url}/_tenant/{path}", json=body) as response,
        ):
            assert response.status == 200, await response.text()
            return await response.json()

    def tester(self) -> tuple[Any, ...]:
        """Everything that a basic run can change."""
        directory = self.tenant.state.directory
        user, group = directory.users[TESTER], directory.groups[TEST_GROUP]
        return user.rows, user.usage_location, tuple(user.parents), tuple(group.member_ids), group.licenses


@asynccontextmanager
async def first_contact_stage(
    settings: Mapping[str, Any] | None = None, objects: Mapping[str, Any] | None = None
) -> AsyncIterator[Stage]:
    """A tenant with a few licensed users, a test user and a test group."""
    async with SimulatedTenant(settings={"quotaScale": 100, **(settings or {})}) as tenant:
        place_objects(tenant.state.directory, dict(objects or OBJECTS), datetime.now(UTC).timestamp() - 60)
        graph = GraphClient(tenant.graph_url, "https://graph.microsoft.com/.default", lambda: Token(tenant))
        clock, fakes = RealClock(), fake_world()
        world = replace(fakes.world, clock=clock, probes=GraphProbes(graph))
        yield Stage(tenant, world, fakes, clock)
        await graph.close()
