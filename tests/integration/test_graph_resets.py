"""Connections to Graph that are reset: what can be repeated succeeds at once, and no write has a second effect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from azure.identity.aio import ManagedIdentityCredential

from local.tenant.http.server import SimulatedTenant
from local.tenant.metrics import WriteEntry
from shared.adapters.accounts import GraphAccounts, GraphMemberships
from shared.adapters.changes import GraphChangeFeed
from shared.adapters.directory import GraphDirectory
from shared.adapters.graph import GraphClient
from shared.adapters.licenses import GraphLicenseWriter
from shared.domain.directory import AssignedLicense, DirectoryUser
from shared.domain.errors import Unavailable
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.onboarding import PersonRef
from shared.domain.write_results import Accepted, LicenseCall, Unanswered
from shared.ports.graph_writes import MembershipChange
from tests.support.resetting import EVERY, ResettingProxy, resetting

E3 = SkuId("05e9a617-0261-4cee-bb44-138d3ef5d965")
SCOPE = "https://graph.microsoft.com/.default"


def guid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


ANNA, BEN, TEAM = UserId(guid(1)), UserId(guid(2)), GroupId(guid(0x100))
CROWD = [UserId(guid(number)) for number in range(1000, 1100)]
GIVE_E3, TAKE_E3 = LicenseCall((AssignedLicense(E3),), ()), LicenseCall((), (E3,))


@dataclass
class Stage:
    """`lost`: what the proxy loses next: `idle` the request, `answers` the answer."""

    tenant: SimulatedTenant
    graph: GraphClient
    proxy: ResettingProxy
    lost: str = "idle"
    waited: list[float] = field(default_factory=list)

    async def arm(self, times: int = 1, connections: int = 1) -> None:
        """Leave kept connections behind, count from here, and reset them with their next request or its answer."""
        # An answer that comes early would let the next read use the same connection.
        self.proxy.hold_until_open = connections
        await asyncio.gather(*(self.graph.read("/organization") for _ in range(connections)))
        self.proxy.hold_until_open = 0
        self.proxy.forget()
        self.waited.clear()
        setattr(self.proxy, self.lost, times)

    def reset_once(self) -> bool:
        """Whether there was one reset and one more attempt, without a wait."""
        return (self.proxy.resets, self.proxy.requests, self.waited) == (1, 2, [])

    def writes(self, subject: str) -> list[WriteEntry]:
        return [entry for entry in self.tenant.state.metrics.log if entry.subject == subject]

    async def user(self, user_id: UserId) -> DirectoryUser:
        read = (await GraphDirectory(self.graph).users([user_id]))[user_id]
        assert isinstance(read, DirectoryUser)
        return read


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with SimulatedTenant(members=0, settings={"quotaScale": 100}) as tenant, resetting(tenant.port) as proxy:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{tenant.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "local")
        waited: list[float] = []

        async def wait(seconds: float) -> None:
            waited.append(seconds)

        graph = GraphClient(f"http://127.0.0.1:{proxy.port}/v1.0", SCOPE, ManagedIdentityCredential, sleep=wait)
        objects = {
            "skus": [{"skuId": E3, "enabled": 10}],
            "users": [{"id": ANNA}, {"id": BEN, "licenses": [{"skuId": E3}]}, *({"id": each} for each in CROWD)],
            "groups": [{"id": TEAM, "members": [BEN]}],
        }
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{tenant.url}/_tenant/objects", json=objects) as response,
        ):
            assert response.status == 200, await response.text()
        yield Stage(tenant, graph, proxy, waited=waited)
        await graph.close()


@pytest.fixture(params=["idle", "answers"])
def broken(request: pytest.FixtureRequest, stage: Stage) -> Stage:
    stage.lost = request.param
    return stage


async def test_a_read_is_repeated_without_a_wait(broken: Stage) -> None:
    await broken.arm()
    assert await GraphDirectory(broken.graph).subscribed_skus(0.0)
    assert broken.reset_once()


async def test_a_batch_of_reads_is_repeated_without_a_wait(broken: Stage) -> None:
    await broken.arm()
    found = await GraphAccounts(broken.graph).find([PersonRef(ANNA)])
    assert len(found) == 1
    assert broken.reset_once()


async def test_reads_at_the_same_time_are_all_repeated_on_new_connections(stage: Stage) -> None:
    await stage.arm(EVERY, connections=4)
    reads = await GraphDirectory(stage.graph).users(CROWD, with_groups=False)
    assert all(isinstance(read, DirectoryUser) for read in reads.values())
    assert stage.proxy.resets >= 4
    assert stage.waited == []


async def test_a_reset_of_a_new_connection_is_a_repeated_read_and_an_unanswered_write(stage: Stage) -> None:
    stage.proxy.kept_only = False
    stage.proxy.answers = 1
    await stage.graph.read("/organization")
    assert (stage.proxy.resets, stage.waited) == (1, [])
    await stage.graph.close()
    stage.proxy.answers = 1
    results = await GraphLicenseWriter(stage.graph).assign({ANNA: GIVE_E3}, urgent=False)
    assert isinstance(results[ANNA], Unanswered)
    assert len(stage.writes(ANNA)) == 1


async def test_a_license_is_assigned_and_changes_the_user_once(broken: Stage) -> None:
    await broken.arm()
    assert await GraphLicenseWriter(broken.graph).assign({ANNA: GIVE_E3}, urgent=False) == {ANNA: Accepted()}
    assert broken.reset_once()
    assert [entry.changed for entry in broken.writes(ANNA)].count(True) == 1
    assert (await broken.user(ANNA)).direct.keys() == {E3}


async def test_a_license_whose_removal_never_arrived_is_removed(stage: Stage) -> None:
    await stage.arm()
    assert await GraphLicenseWriter(stage.graph).assign({BEN: TAKE_E3}, urgent=False) == {BEN: Accepted()}
    assert (await stage.user(BEN)).direct == {}


async def test_a_removal_that_was_done_before_is_not_taken_for_one_that_was_rejected(stage: Stage) -> None:
    """Graph rejects to remove what is gone; that must not be read as "nothing was written"."""
    stage.lost = "answers"
    await stage.arm()
    results = await GraphLicenseWriter(stage.graph).assign({BEN: TAKE_E3, ANNA: GIVE_E3}, urgent=False)
    assert isinstance(results[BEN], Unanswered)
    assert results[ANNA] == Accepted()
    assert [entry.changed for entry in stage.writes(BEN)].count(True) == 1


async def test_a_usage_location_is_set(broken: Stage) -> None:
    await broken.arm()
    assert await GraphLicenseWriter(broken.graph).set_usage_locations({ANNA: "CH"}, urgent=True) == {ANNA: Accepted()}
    assert broken.reset_once()
    assert (await broken.user(ANNA)).usage_location == "CH"


async def test_a_membership_whose_request_never_arrived_is_made(stage: Stage) -> None:
    await stage.arm()
    changes = [MembershipChange(TEAM, ANNA, add=True), MembershipChange(TEAM, BEN, add=False)]
    assert await GraphMemberships(stage.graph, stage.tenant.graph_url).change(changes) == [Accepted(), Accepted()]
    assert stage.reset_once()
    assert [TEAM in (await stage.user(each)).group_ids for each in (ANNA, BEN)] == [True, False]


async def test_a_membership_that_was_made_before_is_not_taken_for_one_of_another(stage: Stage) -> None:
    """Graph says "already a member" to the second attempt; that must not be read as "not added by this app"."""
    stage.lost = "answers"
    await stage.arm()
    changes = [MembershipChange(TEAM, ANNA, add=True), MembershipChange(TEAM, BEN, add=False)]
    results = await GraphMemberships(stage.graph, stage.tenant.graph_url).change(changes)
    assert [type(each) for each in results] == [Unanswered, Unanswered]
    assert [TEAM in (await stage.user(each)).group_ids for each in (ANNA, BEN)] == [True, False]


async def test_a_token_is_fetched_past_a_reset(broken: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """azure-identity repeats requests for tokens itself."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{broken.proxy.port}/msi/token")
    credential = ManagedIdentityCredential()
    await credential.get_token(SCOPE)
    broken.proxy.forget()
    setattr(broken.proxy, broken.lost, 1)
    assert (await credential.get_token("https://storage.azure.com/.default")).token
    assert (broken.proxy.resets, broken.proxy.requests) == (1, 2)
    await credential.close()


async def test_a_subscription_is_never_asked_for_twice(stage: Stage) -> None:
    stage.lost = "answers"
    await stage.arm()
    feed = GraphChangeFeed(stage.graph)
    url = f"{stage.tenant.url}/nowhere"
    with pytest.raises(Unavailable):
        await feed.subscribe(url, url, "secret", datetime.now(UTC) + timedelta(hours=1))
    assert stage.proxy.requests == 1
