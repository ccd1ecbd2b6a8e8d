"""Natively licensed groups over the API: the engine and its words, diagnose, reprocess, and an app that only reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared.domain.change_messages import WatchGroup
from shared.domain.write_results import Rejected
from shared.handlers.membership.watching import watch_all, watch_group
from tests.support.api_calls import (
    E3,
    E5,
    GROUP,
    OTHER_GROUP,
    READER,
    USERS,
    assigned,
    claims_of,
    client,
    error_of,
    token,
)
from tests.support.worlds import Fakes

EVERYTHING = token(claims_of(roles=["Licensing.ReadWrite"]))
READS = frozenset({"LicenseAssignment.Read.All", "User.Read.All", "Group.Read.All"})
REASON = "License assignment failed because service plans a, b are mutually exclusive"


async def watched(fakes: Fakes) -> None:
    """A direct group, and a watched one whose first member is in error by E5."""
    await assigned(fakes.world)
    for user_id in USERS:
        if fakes.directory.person(user_id) is None:
            fakes.directory.add_user(user_id)
    fakes.native.license(OTHER_GROUP, E3, E5, members=USERS)
    fakes.native.give(USERS[0], OTHER_GROUP, "MutuallyExclusiveViolation", E5)
    await watch_all(fakes.world)
    await watch_group(fakes.world, WatchGroup(OTHER_GROUP, fakes.clock.now()))


async def test_both_engines_are_listed_in_the_same_words(fakes: Fakes) -> None:
    await watched(fakes)
    async with client(fakes.world, headers=READER) as api:
        groups = {each["id"]: each for each in (await api.get("/api/groups")).json()["value"]}
        status = (await api.get(f"/api/groups/{OTHER_GROUP}/status")).json()
        assignment = (await api.get(f"/api/groups/{OTHER_GROUP}/licenseAssignment")).json()
    assert {key: each["engine"] for key, each in groups.items()} == {GROUP: "direct", OTHER_GROUP: "watched"}
    assert groups[OTHER_GROUP]["status"] == "Errors and issues"
    assert groups[OTHER_GROUP]["counts"] == {"Active": 1, "Error": 1}
    assert set(groups[OTHER_GROUP]["assignedSkuIds"]) == {E3, E5}
    assert (status["licenseProcessingState"], status["membersRead"]) == ("ProcessingComplete", "all")
    assert [each["skuId"] for each in assignment["nativeLicenses"]] == sorted((E3, E5))
    assert assignment["assignedLicenses"] == []


async def test_a_member_shows_the_culprit_and_what_it_holds_back_and_then_the_reason(fakes: Fakes) -> None:
    await watched(fakes)
    fakes.native.answer = lambda user_id: Rejected(400, "Request_BadRequest", REASON)
    path = f"/api/groups/{OTHER_GROUP}"
    async with client(fakes.world, headers=EVERYTHING) as api:
        (row,) = (await api.get(f"{path}/membersWithLicenseErrors")).json()["value"]
        diagnosed = await api.post(f"{path}/members/{USERS[0]}/diagnose")
        (after,) = (await api.get(f"{path}/membersWithLicenseErrors")).json()["value"]
        everywhere = (await api.get("/api/membersWithLicenseErrors?error=MutuallyExclusiveViolation")).json()["value"]
    held: dict[str, Any] = {each["skuId"]: each for each in row["problems"]}
    assert (held[E5]["error"], held[E5]["heldBackBy"]) == ("MutuallyExclusiveViolation", [])
    assert (held[E3]["error"], held[E3]["heldBackBy"]) == ("Other", [E5])
    assert (row["engine"], row["diagnosis"]) == ("watched", None)
    assert diagnosed.status_code == 200
    assert after["diagnosis"]["message"] == REASON
    assert [(each["groupId"], each["id"]) for each in everywhere] == [(OTHER_GROUP, USERS[0])]


async def test_members_in_error_are_reprocessed_and_a_direct_group_has_no_such_act(fakes: Fakes) -> None:
    await watched(fakes)
    async with client(fakes.world, headers=EVERYTHING) as api:
        run = await api.post(f"/api/groups/{OTHER_GROUP}/reprocessLicenseErrors", json={"skuId": E5})
        direct = await api.post(f"/api/groups/{GROUP}/reprocessLicenseErrors", json={})
        reprocess = await api.post(f"/api/groups/{OTHER_GROUP}/reprocessLicenseAssignment")
        watch = await api.post(f"/api/groups/{OTHER_GROUP}/watch")
    assert (run.status_code, run.json()["skuId"], run.json()["error"]) == (202, E5, None)
    assert direct.status_code == 404
    assert error_of(reprocess)["code"] == "NativeGroup"
    assert watch.status_code == 202


async def test_a_group_is_managed_on_request_and_then_changed_by_assign_license(fakes: Fakes) -> None:
    await watched(fakes)
    path, change = f"/api/groups/{OTHER_GROUP}", {"addLicenses": [], "removeLicenses": [E5]}
    async with client(fakes.world, headers=EVERYTHING) as api:
        refused = await api.post(f"{path}/assignLicense", json=change)
        managed = await api.post(f"{path}/manageNatively")
        direct = await api.post(f"/api/groups/{GROUP}/manageNatively")
        accepted = await api.post(f"{path}/assignLicense", json=change, headers={"If-Match": managed.headers["etag"]})
        stopped = await api.post(f"{path}/stopManagingNatively")
        operation = (await api.get(accepted.headers["location"])).json()
    assert error_of(refused)["code"] == "NativeGroup"
    assert (managed.status_code, managed.json()["engine"]) == (200, "native")
    assert error_of(direct)["code"] == "GroupManagedDirectly"
    assert (accepted.status_code, operation["nativeStage"]) == (202, "checkMembers")
    assert error_of(stopped)["code"] == "OperationOpen"
    assert fakes.native.group_calls == []


async def test_only_who_configures_can_change_the_engine(fakes: Fakes) -> None:
    await watched(fakes)
    for roles, status in ((["Licensing.Write"], 403), (["Licensing.Configure"], 200)):
        async with client(fakes.world, headers=token(claims_of(roles=roles))) as api:
            assert (await api.post(f"/api/groups/{OTHER_GROUP}/manageNatively")).status_code == status


async def test_a_reader_can_see_and_not_change(fakes: Fakes) -> None:
    await watched(fakes)
    async with client(fakes.world, headers=READER) as api:
        paths = ("watch", f"members/{USERS[0]}/diagnose", "reprocessLicenseErrors", "manageNatively")
        for path in (*paths, "stopManagingNatively"):
            assert (await api.post(f"/api/groups/{OTHER_GROUP}/{path}", json={})).status_code == 403


async def test_with_read_permissions_alone_the_api_says_that_the_app_cannot_write(fakes: Fakes) -> None:
    await watched(fakes)
    fakes.permissions.append(READS)
    async with client(fakes.world, headers=EVERYTHING) as api:
        writing = (await api.get("/api/writing")).json()
        overview = (await api.get("/api/overview")).json()
        turned = await api.post("/api/writing/turnOn")
        diagnosed = await api.post(f"/api/groups/{OTHER_GROUP}/members/{USERS[0]}/diagnose")
    assert (writing["on"], writing["readOnly"], overview["writing"]["readOnly"]) == (False, True, True)
    assert (turned.status_code, error_of(turned)["code"]) == (400, "ReadOnly")
    assert "read permissions only" in diagnosed.json()["error"]["message"]
    fakes.permissions.append(READS | {"LicenseAssignment.ReadWrite.All"})
    async with client(fakes.world, headers=EVERYTHING) as api:
        assert (await api.get("/api/writing")).json()["on"]


async def test_where_only_errors_can_be_read_the_status_says_so(fakes: Fakes) -> None:
    fakes = replace(fakes)
    fakes.native.shows_licenses = False
    await watched(fakes)
    async with client(fakes.world, headers=READER) as api:
        assert (await api.get(f"/api/groups/{OTHER_GROUP}/status")).json()["membersRead"] == "errors"
