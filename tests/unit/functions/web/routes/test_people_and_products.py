"""A person, a search and the users of a product by the API: what the page shows."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import UserId
from shared.domain.ledger_row import LedgerRow, ManagedLicense
from tests.support.api_calls import (
    CHAT,
    E3,
    E5,
    GROUP,
    MAIL,
    READER,
    USERS,
    assigned,
    claims_of,
    client,
    error_of,
    token,
)
from tests.support.worlds import Fakes

HELP_DESK = token(claims_of(wids=["729827e3-9c14-49f7-bb1b-9608f156bbb8"]))


@pytest.fixture
async def licensed(fakes: Fakes) -> UserId:
    """A user with a managed license that has one app off, and a direct one with all apps on."""
    user = UserId("2d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e")
    fakes.directory.add_user(user, has=[AssignedLicense(E3, frozenset({CHAT})), AssignedLicense(E5)])
    managed = ManagedLicense(frozenset({CHAT}), fakes.clock.now(), (Source(SourceKind.GROUP, GROUP),))
    await fakes.world.stores.ledger.write([LedgerRow(user, managed={E3: managed})])
    return user


async def test_a_person_has_every_app_on_or_off_by_source_and_since_when(fakes: Fakes, licensed: UserId) -> None:
    async with client(fakes.world, headers=READER) as api:
        found = (await api.get(f"/api/users/{licensed}")).json()
    apps = {each["servicePlanId"]: each for each in found["apps"]}
    assert apps.keys() == {CHAT, MAIL}
    assert apps[CHAT]["on"] is True
    assert apps[CHAT]["servicePlanName"] == "TEAMS1"
    assert apps[CHAT]["displayName"] == "Microsoft Teams"
    sources = {each["skuId"]: each for each in apps[CHAT]["sources"]}
    assert {sku_id: each["on"] for sku_id, each in sources.items()} == {E3: False, E5: True}
    assert sources[E3]["source"] == "managed"
    assert sources[E3]["grantedBy"] == [{"kind": "group", "id": GROUP}]
    assert sources[E5]["source"] == "direct"
    by_sku = {each["skuId"]: each for each in found["licenses"]}
    assert by_sku[E3]["sinceDateTime"] == fakes.clock.now().isoformat().replace("+00:00", "Z")


async def test_a_search_finds_people_groups_and_products_at_once(fakes: Fakes) -> None:
    await assigned(fakes.world)
    async with client(fakes.world, headers=READER) as api:
        found = (await api.post("/api/search", json={"search": "spe"})).json()
        group = (await api.post("/api/search", json={"search": GROUP})).json()
        person = (await api.post("/api/search", json={"search": USERS[0]})).json()
    assert [each["skuPartNumber"] for each in found["licenses"]] == ["SPE_E3", "SPE_E5"]
    assert [(each["id"], each["managed"]) for each in group["groups"]] == [(GROUP, True)]
    assert [each["id"] for each in person["users"]] == [USERS[0]]


async def test_who_reads_only_people_finds_only_people(fakes: Fakes) -> None:
    await assigned(fakes.world)
    async with client(fakes.world, headers=READER) as api:
        everything = (await api.post("/api/search", json={"search": GROUP})).json()
        people = (await api.post("/api/search", json={"search": GROUP}, headers=HELP_DESK)).json()
        person = (await api.post("/api/search", json={"search": USERS[0]}, headers=HELP_DESK)).json()
    assert everything["groups"] != []
    assert people == {"users": [], "groups": [], "licenses": []}
    assert [each["id"] for each in person["users"]] == [USERS[0]]


async def test_a_product_has_its_users_with_the_source_page_by_page(fakes: Fakes, licensed: UserId) -> None:
    more = UserId("3d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e")
    fakes.directory.add_user(more, has=[AssignedLicense(E3)])
    async with client(fakes.world, headers=READER) as api:
        product = (await api.get("/api/licenses/SPE_E3")).json()
        first = (await api.get("/api/licenses/SPE_E3/users?$top=1")).json()
        rest = (await api.get(first["@odata.nextLink"])).json()
    assert product["skuId"] == E3
    assert {"total", "assigned", "available", "expired", "waiting", "shortBy"} <= product.keys()
    users: list[dict[str, Any]] = [*first["value"], *rest["value"]]
    assert {each["id"]: each["licenses"][0]["source"] for each in users} == {licensed: "managed", more: "direct"}
    assert "@odata.nextLink" not in rest


async def test_a_list_that_graph_rejects_is_an_error_of_the_list(fakes: Fakes) -> None:
    fakes.directory.lists_holders = False
    async with client(fakes.world, headers=READER) as api:
        answer = await api.get("/api/licenses/SPE_E3/users")
        lost = await api.get("/api/licenses/ffffffff-0617-4261-8cee-bb44138d3ef5")
    assert (answer.status_code, error_of(answer)["code"]) == (400, "NotOffered")
    assert lost.status_code == 404


async def test_errors_of_all_groups_are_found_by_group(fakes: Fakes) -> None:
    await assigned(fakes.world)
    async with client(fakes.world, headers=READER) as api:
        answer = await api.get(f"/api/membersWithLicenseErrors?groupId={GROUP}&error=CountViolation&skuId=SPE_E3")
    assert answer.json() == {"value": []}
