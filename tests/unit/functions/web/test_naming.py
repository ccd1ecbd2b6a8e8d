"""Names instead of IDs: users by userPrincipalName, products by part number, apps and groups by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.ids import GroupId, OperationId
from shared.domain.read_models import AuditEntry
from shared.ports.world import World
from tests.support.api_calls import (
    ASSIGN_E3,
    CHAT,
    E3,
    E5,
    GROUP,
    MAIL,
    OTHER_GROUP,
    READER,
    USERS,
    assigned,
    client,
    error_of,
)
from tests.support.runs import MIA
from tests.support.worlds import Fakes

THIRD_GROUP = GroupId("0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e41")


@pytest.fixture
def upns(fakes: Fakes) -> list[str]:
    """The sign-in names of the two users."""
    return [fakes.directory.truth(user_id).user_principal_name for user_id in USERS]


@pytest.fixture(autouse=True)
def groups(fakes: Fakes) -> None:
    """One group with a name of its own, and two that share one."""
    for group_id, name in ((GROUP, "Sales"), (OTHER_GROUP, "Everyone"), (THIRD_GROUP, "everyone")):
        fakes.directory.add_group(group_id, USERS)
        fakes.directory.groups[group_id] = replace(fakes.directory.groups[group_id], display_name=name)


async def stored(world: World, answer: Any) -> Any:
    assert answer.status_code == 202, answer.text
    return await world.stores.operations.get(OperationId(answer.json()["id"]))


async def test_a_body_takes_names_where_it_takes_ids(world: World, upns: list[str]) -> None:
    body = {
        "addLicenses": [{"skuId": "spe_e3", "disabledPlans": ["TEAMS1"]}],
        "removeLicenses": [],
        "userIds": [upns[0].upper(), USERS[1]],
    }
    async with client(world) as api:
        operation = await stored(world, await api.post("/api/users/assignLicense", json=body))
    (license,) = operation.change.add
    assert (license.sku_id, license.disabled_plans) == (E3, {CHAT})
    assert set(operation.target.user_ids) == set(USERS)


async def test_a_path_takes_a_sign_in_name_and_the_name_of_one_group(world: World, upns: list[str]) -> None:
    async with client(world) as api:
        assert (await api.get(f"/api/users/{upns[1]}")).json()["id"] == USERS[1]
        await stored(world, await api.post(f"/api/users/{upns[1]}/reprocessLicenseAssignment"))
        body = {**ASSIGN_E3, "options": {"excludedGroups": ["sales"]}}
        operation = await stored(world, await api.post("/api/groups/Sales/assignLicense", json=body))
        assert (await api.get("/api/groups/SALES/licenseAssignment")).json()["groupId"] == GROUP
    assert operation.target.group_id == GROUP
    assert operation.change.options.excluded_groups == {GROUP}


async def test_a_name_of_two_groups_is_answered_with_the_candidates(world: World) -> None:
    async with client(world) as api:
        path = error_of(await api.get("/api/groups/Everyone/status"))
        answer = await api.patch(f"/api/groups/{GROUP}/licenseAssignment", json={"excludedGroups": ["Everyone", "x"]})
    assert (path["code"], path["target"]) == ("AmbiguousName", "group_id")
    details = {each["target"]: each for each in error_of(answer)["details"]}
    assert {name: each["code"] for name, each in details.items()} == {
        "excludedGroups.0": "AmbiguousName",
        "excludedGroups.1": "UnknownName",
    }
    for text in (path["message"], details["excludedGroups.0"]["message"]):
        assert OTHER_GROUP in text
        assert THIRD_GROUP in text


async def test_every_unknown_name_of_a_body_is_listed_with_a_suggestion(world: World) -> None:
    body = {
        "addLicenses": [{"skuId": "SPE_E33", "disabledPlans": ["TEAMS2"]}],
        "removeLicenses": [],
        "userIds": ["nobody@contoso.example", USERS[0]],
    }
    async with client(world) as api:
        answer = await api.post("/api/users/assignLicense", json=body)
    details = {each["target"]: each["message"] for each in error_of(answer)["details"]}
    assert details.keys() == {"addLicenses.0.skuId", "addLicenses.0.disabledPlans.0", "userIds.0"}
    assert "SPE_E3" in details["addLicenses.0.skuId"]
    assert "TEAMS1" in details["addLicenses.0.disabledPlans.0"]
    assert answer.status_code == 400


async def test_a_product_named_twice_in_two_ways_is_named_twice(world: World) -> None:
    for body in (
        {"addLicenses": [{"skuId": "SPE_E3"}, {"skuId": E3}], "removeLicenses": []},
        {"addLicenses": [{"skuId": "SPE_E3"}], "removeLicenses": [E3]},
    ):
        async with client(world) as api:
            answer = await api.post(f"/api/groups/{GROUP}/assignLicense", json=body)
        assert answer.status_code == 400, answer.text
        assert E3 in error_of(answer)["message"]


async def test_what_cannot_be_found_by_its_path_is_not_found(world: World) -> None:
    async with client(world) as api:
        for path in ("/api/users/nobody@contoso.example", "/api/groups/Nobody/status"):
            answer = await api.get(path)
            assert answer.status_code == 404, answer.text
        wrong = error_of(await api.get("/api/users/ada/licenses"))
    assert "userPrincipalName" in wrong["message"]


async def test_queries_and_action_bodies_take_part_numbers(world: World, upns: list[str]) -> None:
    await assigned(world)
    async with client(world) as api:
        for path in (
            "/api/membersWithLicenseErrors?skuId=SPE_E3",
            "/api/groups/Sales/membersWithLicenseErrors?skuId=spe_e5",
            "/api/operations?groupId=Sales",
        ):
            answer = await api.get(path)
            assert answer.status_code == 200, answer.text
        answer = await api.get("/api/membersWithLicenseErrors?skuId=SPE_E9")
        assert (answer.status_code, error_of(answer)["code"]) == (400, "UnknownName")
        operation = await stored(world, await api.post("/api/groups/Sales/adoptLicenses", json={"skuIds": ["SPE_E5"]}))
        assert operation.change.manage == (E5,)
        found = await api.post("/api/audit/search", json={"user": upns[0], "group": "Sales"})
        assert found.status_code == 200


async def test_the_audit_log_is_searched_by_names(world: World, upns: list[str]) -> None:
    await assigned(world)
    entry = AuditEntry("e1", world.clock.now(), "Change user license", MIA, "success", USERS[0], GROUP)
    other = AuditEntry("e2", world.clock.now(), "Change user license", MIA, "success", USERS[1], OTHER_GROUP)
    await world.stores.audit.append([entry, other])

    async def ids(query: str) -> list[str]:
        answer = await api.get(f"/api/audit?activity=change&{query}")
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["value"]]

    async with client(world, headers=READER) as api:
        assert await ids(f"user={upns[0].upper()}") == ["e1"]
        assert await ids(f"user={USERS[1]}") == ["e2"]
        assert await ids("group=sales") == ["e1"]
        assert await ids(f"initiatedBy={upns[0]}") == []
        wrong = [await api.get(f"/api/audit?{query}") for query in ("user=ann", "group=everyone", "user=no@x.example")]
    assert [(each.status_code, error_of(each)["target"]) for each in wrong] == [
        (400, "user"),
        (400, "group"),
        (400, "user"),
    ]


async def test_native_licensing_and_first_contact_take_names(world: World, upns: list[str]) -> None:
    """They are found by their names: each is rejected for what it is, and not for how it is named."""
    async with client(world) as api:
        answers = [
            await api.post("/api/groups/Nobody/watch"),
            await api.post("/api/groups/Sales/watch"),
            await api.get("/api/groups/Sales/moveLicensing"),
            await api.post(f"/api/groups/Sales/members/{upns[0]}/diagnose"),
            await api.post("/api/groups/Sales/reprocessLicenseErrors", json={"skuId": "SPE_NONE"}),
            await api.post(
                "/api/groups/Sales/moveLicensing", json={"direction": "toDirect", "pilot": ["no@x.example"]}
            ),
            await api.post(
                "/api/firstContact", json={"level": "basic", "testUserId": upns[0], "testSkuId": "SPE_NONE"}
            ),
        ]
    told = [(each.status_code, error_of(each)["code"], error_of(each).get("target")) for each in answers]
    assert told == [
        (404, "NotFound", None),
        (400, "GroupNotLicensed", "group"),
        (404, "NotFound", None),
        (404, "NotFound", None),
        (400, "UnknownName", "skuId"),
        (400, "UnknownName", "pilot.0"),
        (400, "UnknownName", "testSkuId"),
    ]
    assert error_of(answers[2])["message"] == "The group was never moved."


async def test_a_profile_is_stored_with_ids(world: World) -> None:
    body = {"groups": ["Sales"], "licenses": [{"skuId": "SPE_E5", "disabledPlans": ["EXCHANGE"]}]}
    async with client(world) as api:
        proposed = (await api.put("/api/onboarding/profiles/sales", json=body)).json()
    assert proposed["profile"]["groups"] == [GROUP]
    assert proposed["profile"]["licenses"] == [{"skuId": E5, "disabledPlans": [MAIL]}]
