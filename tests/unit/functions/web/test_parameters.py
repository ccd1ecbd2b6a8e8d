"""Query parameters that a route does not declare, and every fault of a request at once."""

from __future__ import annotations

import pytest

from functions.web.application import build
from shared.bootstrap import App
from shared.ports.world import World
from tests.support.api_calls import ASSIGN_E3, E3, GROUP, ON, PATH_VALUES, USERS, WRITER, client, error_of, small_tenant
from tests.support.routes import api_routes

BODIES = {"POST", "PUT", "PATCH"}
ROUTES = sorted(
    (method, route.path)
    for route in api_routes(build(lambda: App(small_tenant().world, ON)))
    for method in route.methods or ()
    if route.path != "/api/openapi.json"
)


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
async def test_no_route_ignores_an_unknown_parameter(world: World, route: tuple[str, str]) -> None:
    method, path = route
    async with client(world) as api:
        act = {"act": "approve" if "held" in path else "cancel" if "event_key" in path else "pause"}
        answer = await api.request(method, path.format(**PATH_VALUES | act), params={"stat": "x", "$expand": "y"})
    assert answer.status_code in (400, 403), answer.text
    if answer.status_code == 400 and path.startswith("/api/"):
        targets = {each["target"] for each in error_of(answer)["details"]}
        assert {"stat", "$expand"} <= targets


async def test_an_unknown_parameter_is_named_with_those_that_are_allowed(world: World) -> None:
    async with client(world) as api:
        answer = await api.get("/api/operations?$topp=5")
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["target"]) == (400, "InvalidRequest", "$topp")
    assert "Did you mean '$top'?" in error["message"]
    assert "$skiptoken" in error["message"]


async def test_a_route_without_parameters_says_so(world: World) -> None:
    async with client(world) as api:
        error = error_of(await api.get("/api/writing?verbose=true"))
    assert "no query parameters" in error["message"]


async def test_every_fault_of_path_query_header_and_body_is_listed(world: World) -> None:
    body = {"addLicenses": [{"skuId": 1}, {"skuId": E3, "plans": []}], "removeLicenses": "x"}
    headers = {"if-match": "3", "idempotency-key": "with blanks"}
    async with client(world) as api:
        answer = await api.post(
            f"/api/groups/{GROUP}/assignLicense?preview=perhaps&dryrun=1", json=body, headers=headers
        )
    details = error_of(answer)["details"]
    assert {each["target"] for each in details} == {
        "dryrun",
        "preview",
        "if-match",
        "idempotency-key",
        "addLicenses.0.skuId",
        "addLicenses.1.plans",
        "removeLicenses",
    }
    assert all(each["code"] == "InvalidRequest" and each["message"] for each in details)


async def test_faults_are_listed_without_an_unknown_parameter_too(world: World) -> None:
    async with client(world) as api:
        one = error_of(await api.get("/api/operations?$top=0"))
        two = error_of(await api.post("/api/users/assignLicense", json={**ASSIGN_E3, "userIds": [], "x": 1}))
    assert [each["target"] for each in one["details"]] == ["$top"]
    assert {each["target"] for each in two["details"]} == {"userIds", "x"}
    assert "1 more fault" in two["message"]


async def test_a_page_names_the_parameter(world: World) -> None:
    async with client(world, headers={**WRITER, "accept": "text/html"}) as api:
        answer = await api.get(f"/users/{USERS[0]}?tab=apps")
    assert answer.status_code == 400
    assert "tab" in answer.text


async def test_a_parameter_that_is_a_list_can_be_repeated_and_others_cannot(world: World) -> None:
    async with client(world) as api:
        back = await api.get("/audit?before=a&before=b", headers={"accept": "text/html"})
        twice = await api.get("/audit?after=a&after=b", headers={"accept": "text/html"})
        done = await api.get("/operations?done=optionsSaved", headers={"accept": "text/html"})
        not_on_api = await api.get("/api/operations?done=optionsSaved")
    assert (back.status_code, twice.status_code) == (200, 400)
    assert "The options are saved." in done.text
    assert not_on_api.status_code == 400
