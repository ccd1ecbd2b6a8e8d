"""The HTTP API with fakes behind it: who may, what is refused and how it says so, and how operations start."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from typing import Any

import azure.functions as func
import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from functions.web.application import ACCESS, MAX_BODY, build
from functions.web.principal import Access
from shared.bootstrap import App, SignIn
from shared.domain.ids import OperationId
from shared.domain.messages import OPERATIONS
from shared.domain.operation import Operation
from shared.ports.world import World
from tests.support.api_calls import (
    ASSIGN_E3,
    CHAT,
    E3,
    E5,
    GROUP,
    LOST,
    ON,
    OTHER_GROUP,
    PATH_VALUES,
    TENANT,
    USERS,
    WRITER,
    assigned,
    claims_of,
    client,
    error_of,
    insert,
    session,
    small_tenant,
    token,
)
from tests.support.roles import HR_SYSTEMS, HR_SYSTEMS_AND_READERS, READERS, WRITERS
from tests.support.worlds import Fakes


@pytest.fixture
def fakes() -> Fakes:
    return small_tenant()


@pytest.fixture
def world(fakes: Fakes) -> World:
    return fakes.world


def api_routes(app: FastAPI) -> list[APIRoute]:
    """Every route the application answers, whatever router it came in by."""
    found: list[APIRoute] = []
    waiting: list[Any] = list(app.routes)
    while waiting:
        route = waiting.pop()
        if isinstance(route, APIRoute):
            found.append(route)
        else:
            waiting += route.original_router.routes
    return found


LESSER = {
    Access.READ: "Onboarding.Write",
    Access.WRITE: "Licensing.Read",
    Access.ONBOARD: "Licensing.Read",
    Access.ONBOARD_READ: "Something.Else",
}
"""A role that does not suffice for an access."""


class TestAccess:
    def test_every_route_stands_in_the_table_and_every_row_is_a_route(self, world: World) -> None:
        app = build(lambda: App(world, ON))
        routes = {(method, route.path) for route in api_routes(app) for method in route.methods or ()}
        assert routes == set(ACCESS)
        documented = {(verb.upper(), path) for path, verbs in app.openapi()["paths"].items() for verb in verbs}
        programs = {row for row in ACCESS if row[1].startswith("/api/")}
        assert documented == programs - {("GET", "/api/openapi.json")}

    def test_what_each_route_asks_is_what_was_decided(self) -> None:
        decided = {(row, Access.READ) for row in READERS.split("\n") if row}
        decided |= {(row, Access.WRITE) for row in WRITERS.split("\n") if row}
        decided |= {(row, Access.ONBOARD) for row in HR_SYSTEMS.split("\n") if row}
        decided |= {(row, Access.ONBOARD_READ) for row in HR_SYSTEMS_AND_READERS.split("\n") if row}
        assert {(f"{method} {path}", access) for (method, path), access in ACCESS.items()} == decided

    @pytest.mark.parametrize(("method", "path"), sorted(ACCESS))
    async def test_each_route_refuses_who_lacks_its_role(self, world: World, method: str, path: str) -> None:
        url = path.format(**PATH_VALUES)
        lesser = claims_of(roles=[LESSER[ACCESS[method, path]]])
        async with client(world, headers={}) as api:
            nobody = await api.request(method, url)
            reader = await api.request(method, url, headers=token(lesser), json={})
            writer = await api.request(method, url, headers=WRITER, json={})
        assert (nobody.status_code, error_of(nobody)["code"]) == (401, "Unauthorized")
        assert (reader.status_code, error_of(reader)["code"]) == (403, "Forbidden")
        assert writer.status_code not in (401, 403)

    async def test_everything_is_refused_while_platform_authentication_is_off(self, world: World) -> None:
        off = SignIn(platform_authentication=False, tenant_id=TENANT)
        async with client(world, off) as api:
            answers = [await api.get("/api/operations"), await api.get("/api/no-such-route")]
        assert [answer.status_code for answer in answers] == [401, 401]

    async def test_a_write_from_another_site_s_page_is_refused_and_one_from_our_own_accepted(
        self, fakes: Fakes
    ) -> None:
        browser = session(claims_of(roles=["Licensing.ReadWrite"]))
        url = f"/api/groups/{GROUP}/assignLicense"
        async with client(fakes.world, headers=browser) as api:
            foreign = await api.post(url, json=ASSIGN_E3, headers={"sec-fetch-site": "cross-site"})
            assert not await fakes.world.stores.operations.open()
            own = await api.post(url, json=ASSIGN_E3, headers={"sec-fetch-site": "same-origin"})
        assert (foreign.status_code, error_of(foreign)["code"]) == (403, "CrossSiteRequest")
        assert own.status_code == 202


def test_nothing_of_a_request_runs_in_a_thread(world: World) -> None:
    waiting: list[Any] = [route.dependant for route in api_routes(build(lambda: App(world, ON)))]
    seen = 0
    while waiting:
        dependant = waiting.pop()
        waiting += dependant.dependencies
        assert inspect.iscoroutinefunction(dependant.call), dependant.call
        seen += 1
    assert seen > len(ACCESS)


class TestRequests:
    async def bad(self, world: World, body: object, path: str = f"/api/groups/{GROUP}/assignLicense") -> dict[str, Any]:
        async with client(world) as api:
            answer = await api.post(path, json=body)
        assert answer.status_code == 400, answer.text
        return error_of(answer)

    async def test_both_arrays_are_required(self, world: World) -> None:
        assert (await self.bad(world, {"addLicenses": []}))["target"] == "removeLicenses"
        assert (await self.bad(world, {"removeLicenses": []}))["target"] == "addLicenses"

    async def test_a_request_that_changes_nothing_is_refused(self, world: World) -> None:
        assert "both empty" in (await self.bad(world, {"addLicenses": [], "removeLicenses": []}))["message"]

    async def test_a_sku_in_both_arrays_is_refused_whatever_its_case(self, world: World) -> None:
        error = await self.bad(world, {"addLicenses": [{"skuId": E3.upper()}], "removeLicenses": [E3]})
        assert f"SKU {E3} is in addLicenses and in removeLicenses" in error["message"]
        assert error["code"] == "InvalidRequest"

    async def test_a_fault_names_the_field_and_what_stood_there(self, world: World) -> None:
        error = await self.bad(world, {"addLicenses": [{"skuId": E3}, {"skuId": "E3"}], "removeLicenses": []})
        assert error["target"] == "addLicenses.1.skuId"
        assert "must be a GUID, not 'E3'" in error["message"]
        plans = {"addLicenses": [{"skuId": E3, "disabledPlans": ["x"]}], "removeLicenses": []}
        assert (await self.bad(world, plans))["target"] == "addLicenses.0.disabledPlans.0"

    async def test_a_misspelt_field_is_refused_and_an_odata_annotation_let_pass(self, world: World) -> None:
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

    async def test_bodies_that_are_no_json_object_are_refused(self, world: World) -> None:
        url = f"/api/groups/{GROUP}/assignLicense"
        async with client(world) as api:
            broken = await api.post(url, content=b"{", headers={"content-type": "application/json"})
            text = await api.post(url, content=b"{}", headers={"content-type": "text/plain"})
            array = await api.post(url, json=[])
        assert [answer.status_code for answer in (broken, text, array)] == [400, 400, 400]
        assert error_of(broken)["code"] == "InvalidJson"
        assert "JSON object" in error_of(text)["message"]
        assert "JSON object" in error_of(array)["message"]

    async def test_a_body_over_the_limit_is_refused_with_and_without_its_length(self, world: World) -> None:
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
                await api.get("/api/groups/sales/status"),
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


class TestStarting:
    async def test_an_assignment_is_accepted_as_an_operation_with_a_message(self, fakes: Fakes) -> None:
        async with client(fakes.world) as api:
            answer = await api.post(f"/api/groups/{GROUP.upper()}/assignLicense", json=ASSIGN_E3)
            operation = answer.json()
            read = await api.get(answer.headers["location"])
        assert answer.status_code == 202
        assert answer.headers["location"] == f"/api/operations/{operation['id']}"
        assert read.json() == operation
        assert (operation["kind"], operation["state"]) == ("assign", "QueuedForProcessing")
        assert operation["target"] == {"groupId": GROUP}
        assert operation["requestedBy"] == "ada@fabrikam.example"
        assert operation["addLicenses"] == [{"skuId": E3, "disabledPlans": [CHAT]}]
        assert [message.queue for message in fakes.sent()] == [OPERATIONS]

    async def test_the_same_idempotency_key_gives_the_same_operation(self, world: World) -> None:
        first = await assigned(world, key="k-1")
        again = await assigned(world, key='"k-1"')
        other = await assigned(world, key="k-2")
        assert first["id"] == again["id"] != other["id"]

    async def test_an_idempotency_key_used_for_something_else_is_a_conflict(self, world: World) -> None:
        await assigned(world, key="k-1")
        async with client(world, headers={**WRITER, "idempotency-key": "k-1"}) as api:
            url = f"/api/groups/{GROUP}/assignLicense"
            answer = await api.post(url, json={"addLicenses": [{"skuId": E5}], "removeLicenses": []})
            too_long = await api.post(url, json=ASSIGN_E3, headers={"idempotency-key": "k" * 129})
        assert (answer.status_code, error_of(answer)["code"]) == (409, "Conflict")
        assert (too_long.status_code, error_of(too_long)["target"]) == (400, "idempotency-key")

    async def test_a_preview_says_so_and_changes_no_assignment(self, world: World) -> None:
        async with client(world) as api:
            answer = await api.post(f"/api/groups/{GROUP}/assignLicense?preview=true", json=ASSIGN_E3)
            assignment = await api.get(f"/api/groups/{GROUP}/licenseAssignment")
        assert (answer.status_code, answer.json()["preview"]) == (202, True)
        assert assignment.status_code == 404

    async def test_a_list_of_users_is_licensed_with_each_counted_once(self, world: World) -> None:
        async with client(world) as api:
            body = {**ASSIGN_E3, "userIds": [*USERS, USERS[0].upper()]}
            answer = await api.post("/api/users/assignLicense", json=body)
        assert (answer.status_code, answer.json()["target"]) == (202, {"userIds": 2})

    async def test_a_user_and_a_managed_group_can_be_reprocessed(self, world: World) -> None:
        await assigned(world)
        async with client(world) as api:
            group = await api.post(f"/api/groups/{GROUP}/reprocessLicenseAssignment")
            user = await api.post(f"/api/users/{USERS[0]}/reprocessLicenseAssignment")
            unmanaged = await api.post(f"/api/groups/{OTHER_GROUP}/reprocessLicenseAssignment")
        assert [answer.status_code for answer in (group, user, unmanaged)] == [202, 202, 404]
        assert {group.json()["kind"], user.json()["kind"]} == {"reprocess"}

    async def test_what_cannot_be_assigned_is_refused_with_the_handler_s_words(self, world: World) -> None:
        unknown = "00000000-0000-4000-8000-000000000000"
        async with client(world) as api:
            url = f"/api/groups/{GROUP}/assignLicense"
            answer = await api.post(url, json={"addLicenses": [{"skuId": unknown}], "removeLicenses": []})
        assert answer.status_code == 400
        assert unknown in error_of(answer)["message"]

    async def test_an_approved_preview_needs_its_checksum(self, fakes: Fakes) -> None:
        preview = await insert(fakes.world, preview=True, checksum="abc")
        plain = await insert(fakes.world, checksum="abc")
        async with client(fakes.world) as api:
            url = f"/api/groups/{GROUP}/assignLicense"

            async def approve(operation: Operation, checksum: str) -> httpx.Response:
                approved = {"id": operation.id, "checksum": checksum}
                return await api.post(url, json={**ASSIGN_E3, "approvedPreview": approved})

            wrong, no_preview, right = (
                await approve(preview, "abd"),
                await approve(plain, "abc"),
                await approve(preview, "abc"),
            )
        assert [answer.status_code for answer in (wrong, no_preview, right)] == [409, 409, 202]
        started = await fakes.world.stores.operations.get(OperationId(right.json()["id"]))
        assert started is not None
        assert started.preview_id == preview.id

    async def test_while_the_directory_is_away_the_caller_is_told_when_to_come_back(self, fakes: Fakes) -> None:
        fakes.directory.go_away(12.2)
        async with client(fakes.world) as api:
            answer = await api.post(f"/api/groups/{GROUP}/assignLicense", json=ASSIGN_E3)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "13")
        assert error_of(answer)["code"] == "ServiceUnavailable"

    async def test_a_fault_of_our_own_says_nothing_of_the_inside(self, fakes: Fakes) -> None:
        def break_down() -> str:
            raise RuntimeError("secret detail")

        async with client(replace(fakes.world, token=break_down)) as api:
            answer = await api.post(f"/api/groups/{GROUP}/assignLicense", json=ASSIGN_E3)
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert error_of(answer)["code"] == "InternalServerError"


async def test_the_application_answers_behind_azure_s_adapter(world: World) -> None:
    middleware: Any = func.AsgiMiddleware(build(lambda: App(world, ON)))  # type: ignore[no-untyped-call]
    request = func.HttpRequest(
        method="POST",
        url=f"https://licensing.example/api/groups/{GROUP}/assignLicense",
        headers={**WRITER, "content-type": "application/json"},
        body=json.dumps(ASSIGN_E3).encode(),
    )
    answer = await middleware.handle_async(request)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/operations/{json.loads(answer.get_body())['id']}"
