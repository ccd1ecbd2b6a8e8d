"""Requests that the API rejects, and what its errors say."""

from __future__ import annotations

from typing import Any

from functions.web.application import MAX_BODY
from shared.ports.world import World
from tests.support.api_calls import ASSIGN_E3, E3, GROUP, LOST, OTHER_GROUP, USERS, assigned, client, error_of


class TestRequests:
    async def bad(self, world: World, body: object, path: str = f"/api/groups/{GROUP}/assignLicense") -> dict[str, Any]:
        async with client(world) as api:
            answer = await api.post(path, json=body)
        assert answer.status_code == 400, answer.text
        return error_of(answer)

    async def test_both_arrays_are_required(self, world: World) -> None:
        assert (await self.bad(world, {"addLicenses": []}))["target"] == "removeLicenses"
        assert (await self.bad(world, {"removeLicenses": []}))["target"] == "addLicenses"

    async def test_a_request_that_changes_nothing_is_rejected(self, world: World) -> None:
        assert "both empty" in (await self.bad(world, {"addLicenses": [], "removeLicenses": []}))["message"]

    async def test_a_sku_in_both_arrays_is_rejected_whatever_its_case(self, world: World) -> None:
        error = await self.bad(world, {"addLicenses": [{"skuId": E3.upper()}], "removeLicenses": [E3]})
        assert f"SKU {E3} is in addLicenses and in removeLicenses" in error["message"]
        assert error["code"] == "InvalidRequest"

    async def test_a_fault_names_the_field_and_what_stood_there(self, world: World) -> None:
        error = await self.bad(world, {"addLicenses": [{"skuId": E3}, {"skuId": "E3"}], "removeLicenses": []})
        assert error["target"] == "addLicenses.1.skuId"
        assert "There is no product 'E3'" in error["message"]
        error = await self.bad(world, {"addLicenses": [{"skuId": "E3\n"}, {"skuId": "?"}], "removeLicenses": []})
        assert "must be a skuId or a skuPartNumber, not '?'" in error["message"]
        plans = {"addLicenses": [{"skuId": E3, "disabledPlans": ["x"]}], "removeLicenses": []}
        assert (await self.bad(world, plans))["target"] == "addLicenses.0.disabledPlans.0"

    async def test_a_misspelt_field_is_rejected_and_an_odata_annotation_let_pass(self, world: World) -> None:
        error = await self.bad(world, {**ASSIGN_E3, "addLicences": []})
        assert error["target"] == "addLicences"
        annotated = [{"@odata.type": "#microsoft.graph.assignedLicense", "skuId": E3}]
        await assigned(world, {"addLicenses": annotated, "removeLicenses": []})

    async def test_lists_have_limits_that_the_error_names(self, world: World) -> None:
        many_skus = {"addLicenses": [], "removeLicenses": [E3] * 51}
        assert "at most 50" in (await self.bad(world, many_skus))["message"]
        many_users = {**ASSIGN_E3, "userIds": [USERS[0]] * 5001}
        error = await self.bad(world, many_users, "/api/users/assignLicense")
        assert (error["target"], "at most 5000" in error["message"]) == ("userIds", True)
        none = await self.bad(world, {**ASSIGN_E3, "userIds": []}, "/api/users/assignLicense")
        assert none["target"] == "userIds"

    async def test_bodies_that_are_no_json_object_are_rejected(self, world: World) -> None:
        url = f"/api/groups/{GROUP}/assignLicense"
        async with client(world) as api:
            broken = await api.post(url, content=b"{", headers={"content-type": "application/json"})
            text = await api.post(url, content=b"{}", headers={"content-type": "text/plain"})
            array = await api.post(url, json=[])
        assert [answer.status_code for answer in (broken, text, array)] == [400, 400, 400]
        assert error_of(broken)["code"] == "InvalidJson"
        assert "JSON object" in error_of(text)["message"]
        assert "JSON object" in error_of(array)["message"]

    async def test_a_body_over_the_limit_is_rejected_with_and_without_its_length(self, world: World) -> None:
        async def pieces() -> Any:
            for _ in range(3):
                yield b" " * (MAX_BODY // 2)

        url = f"/api/groups/{GROUP}/assignLicense"
        async with client(world) as api:
            known = await api.post(url, content=b" " * (MAX_BODY + 1))
            unknown = await api.post(url, content=pieces())
        for answer in (known, unknown):
            assert (answer.status_code, error_of(answer)["code"]) == (413, "RequestTooLarge")

    async def test_ids_in_the_path_and_paging_are_checked(self, world: World) -> None:
        async with client(world) as api:
            answers = [
                await api.get("/api/users/ada/licenses"),
                await api.get("/api/operations/42"),
                await api.get("/api/operations?$top=0"),
                await api.get("/api/operations?$top=1000"),
                await api.get(f"/api/operations?$skiptoken={'x' * 2049}"),
            ]
        assert [answer.status_code for answer in answers] == [400] * 5
        assert error_of(answers[2])["target"] == "$top"

    async def test_unknown_things_are_404_and_wrong_methods_405_in_the_same_shape(self, world: World) -> None:
        async with client(world) as api:
            answers = [
                await api.get("/api/nothing"),
                await api.get(f"/api/operations/{LOST}"),
                await api.get(f"/api/groups/{OTHER_GROUP}/licenseAssignment"),
                await api.get(f"/api/groups/{OTHER_GROUP}/status"),
                await api.get(f"/api/groups/{OTHER_GROUP}/members"),
                await api.get(f"/api/users/{GROUP}/licenses"),
                await api.delete("/api/operations"),
            ]
        assert [answer.status_code for answer in answers] == [404] * 6 + [405]
        assert {error_of(answer)["code"] for answer in answers} == {"NotFound", "MethodNotAllowed"}
