"""Who can call which route of the API."""

from __future__ import annotations

import pytest

from functions.web.application import ACCESS, build
from functions.web.principal import Access
from shared.bootstrap import App, SignIn
from shared.ports.world import World
from tests.support.api_calls import (
    ASSIGN_E3,
    GROUP,
    ON,
    PATH_VALUES,
    TENANT,
    WRITER,
    claims_of,
    client,
    error_of,
    session,
    token,
)
from tests.support.roles import HR_SYSTEMS, HR_SYSTEMS_AND_READERS, READERS, WRITERS
from tests.support.routes import api_routes
from tests.support.worlds import Fakes

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
