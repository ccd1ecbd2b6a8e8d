"""Every collection is paged in one style, and operations are found by state, group and time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared.domain.dead_letters import BulkAct, BulkKind, DeadLetterSelection
from shared.domain.ids import GroupId
from shared.domain.operation import OperationState, Target
from shared.domain.read_models import DeadLetter
from shared.handlers.operations.first_contact import continue_runs, start_daily
from shared.ports.world import World
from tests.support.api_calls import (
    DESCRIPTION,
    GROUP,
    OTHER_GROUP,
    USERS,
    another,
    assigned,
    claims_of,
    client,
    error_of,
    insert,
    token,
)
from tests.support.hires import held_leavers
from tests.support.worlds import Fakes

EVERYTHING = token(claims_of(roles=["Licensing.ReadWrite", "Onboarding.Write"]))
SEARCHES = {"/api/groups/search", "/api/users/search"}
"""Searches of the directory, which show the first 25."""


def collections() -> list[tuple[str, str]]:
    """Operations that answer with a list."""
    found = []
    for path, verbs in DESCRIPTION["paths"].items():
        for verb, operation in verbs.items():
            schema = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema")
            shape = DESCRIPTION["components"]["schemas"][schema["$ref"].split("/")[-1]] if schema else {}
            if shape.get("properties", {}).get("value", {}).get("type") == "array" and path not in SEARCHES:
                found.append((verb, path))
    return sorted(found)


@pytest.mark.parametrize("operation", collections(), ids=" ".join)
def test_a_collection_declares_its_pages(operation: tuple[str, str]) -> None:
    verb, path = operation
    found = DESCRIPTION["paths"][path][verb]
    assert {"$top", "$skiptoken"} <= {each["name"] for each in found.get("parameters", ())}
    (schema,) = (found["responses"]["200"]["content"]["application/json"]["schema"]["$ref"],)
    assert "@odata.nextLink" in DESCRIPTION["components"]["schemas"][schema.split("/")[-1]]["properties"]


async def pages(api: httpx.AsyncClient, path: str, body: dict[str, Any] | None = None) -> AsyncIterator[dict[str, Any]]:
    """The pages of a collection, one item each, by the links that lead on."""
    link = f"{path}{'&' if '?' in path else '?'}$top=1"
    while link:
        answer = await api.request("GET" if body is None else "POST", link, json=body)
        assert answer.status_code == 200, answer.text
        yield answer.json()
        link = answer.json().get("@odata.nextLink", "")


async def filled(fakes: Fakes) -> None:
    """Two of everything that can be listed."""
    world, now = fakes.world, fakes.clock.now()
    fakes.directory.add_group(OTHER_GROUP, USERS)
    first = await insert(world, state=OperationState.AWAITING_APPROVAL)
    again = f"{int(first.id[:12], 16) + 1:012x}{first.id[12:]}"
    await world.stores.operations.insert(replace(first, id=type(first.id)(again), version=None))
    async with client(world, headers=EVERYTHING) as api:
        await api.post(f"/api/groups/{OTHER_GROUP}/assignLicense", json={"addLicenses": [], "removeLicenses": []})
        for name in ("sales", "support"):
            proposed = await api.put(f"/api/onboarding/profiles/{name}", json={"groups": [GROUP]})
            approver = token(another(claims_of(roles=["Licensing.Approve"])))
            version = {"version": proposed.json()["version"]}
            await api.post(f"/api/onboarding/proposals/{name}/approve", json=version, headers=approver)
            await api.put(f"/api/onboarding/profiles/{name}", json={"groups": [], "priority": 3})
    for number in range(2):
        key = f"{number:032x}"
        await world.stores.dead_letters.keep(DeadLetter(key, "members", b"{}", "why", now))
        act = BulkAct(key, BulkKind.DELETE, DeadLetterSelection(), first.initiator, now, now)
        await world.stores.dead_letters.begin(act)
        await start_daily(world)
        await continue_runs(world)
        fakes.clock.move(timedelta(days=1))


@pytest.mark.parametrize(
    "path",
    [
        "/api/operations",
        "/api/approvals",
        "/api/audit",
        "/api/licenses",
        "/api/subscribedSkus",
        "/api/onboarding/profiles",
        "/api/onboarding/proposals",
        "/api/deadLetters",
        "/api/deadLetters/bulk",
        "/api/firstContact",
    ],
)
async def test_all_pages_together_are_the_collection(fakes: Fakes, path: str) -> None:
    await filled(fakes)
    async with client(fakes.world, headers=EVERYTHING) as api:
        found = [item for page in [each async for each in pages(api, path)] for item in page["value"]]
        whole = (await api.get(path)).json()["value"]
    assert sorted(map(str, found)) == sorted(map(str, whole))
    assert len(found) >= 2


async def test_a_search_is_paged_by_links_too(fakes: Fakes) -> None:
    await filled(fakes)
    async with client(fakes.world, headers=EVERYTHING) as api:
        searches: tuple[tuple[str, dict[str, Any]], ...] = (
            ("deadLetters", {"text": "WHY"}),
            ("audit", {"activity": "profile"}),
        )
        for path, body in ((f"/api/{name}/search", body) for name, body in searches):
            found = [page["value"] async for page in pages(api, path, body)]
            assert [len(each) for each in found if each] == [1] * len([each for each in found if each])
            assert sum(map(len, found)) >= 2


async def test_held_and_announced_leavers_are_paged_under_one_checksum() -> None:
    fakes = await held_leavers()
    async with client(fakes.world, headers=EVERYTHING) as api:
        found = [each async for each in pages(api, "/api/onboarding/held")]
        announced = await api.get("/api/onboarding/announced?$top=1")
    assert len({each["checksum"] for each in found}) == 1
    assert sum(len(each["value"]) for each in found) == found[0]["count"] >= 2
    assert announced.status_code == 200


async def test_a_token_that_is_none_is_a_fault_of_the_token(fakes: Fakes) -> None:
    async with client(fakes.world) as api:
        for path in ("/api/groups", "/api/approvals", "/api/licenses"):
            error = error_of(await api.get(f"{path}?$skiptoken=abc"))
            assert (error["code"], error["target"]) == ("InvalidSkipToken", "$skiptoken")


async def test_operations_are_found_by_state_group_and_time(world: World) -> None:
    await assigned(world)
    old = await insert(world, state=OperationState.FAILED)
    other = await insert(world, target=Target(group_id=GroupId(OTHER_GROUP)))
    async with client(world) as api:

        async def ids(query: str) -> set[str]:
            answer = await api.get(f"/api/operations?{query}")
            assert answer.status_code == 200, answer.text
            return {each["id"] for each in answer.json()["value"]}

        every = await ids("")
        assert await ids("state=Failed") == {old.id}
        assert await ids(f"groupId={OTHER_GROUP}") == {other.id}
        assert await ids(f"groupId={OTHER_GROUP}&state=Failed") == set()
        times = {each["id"]: each["createdDateTime"] for each in (await api.get("/api/operations")).json()["value"]}
        assert await ids(f"since={min(times.values())[:10]}") | {old.id, other.id} == every
        assert await ids("until=2001-01-01") <= {old.id, other.id}
        page = (await api.get("/api/operations?state=QueuedForProcessing&$top=1")).json()
        assert "state=QueuedForProcessing" in page.get("@odata.nextLink", "state=QueuedForProcessing")


async def test_every_wrong_filter_of_operations_is_named(world: World) -> None:
    async with client(world) as api:
        answer = await api.get("/api/operations?state=Done&since=yesterday&until=1999-01-01&$top=0")
    assert {each["target"] for each in error_of(answer)["details"]} == {"state", "since", "until", "$top"}


async def test_accepted_work_says_where_it_is_and_when_to_ask(fakes: Fakes) -> None:
    async with client(fakes.world) as api:
        answer = await api.post(f"/api/users/{USERS[0]}/reprocessLicenseAssignment")
        assert answer.status_code == 202
        assert (await api.get(answer.headers["location"])).json()["id"] == answer.json()["id"]
        assert 0 < int(answer.headers["retry-after"]) <= timedelta(minutes=1).total_seconds()
