"""Who can call which route of the page and the API: the table of docs/roles.md, and the application as it answers."""

from __future__ import annotations

import re

import pytest

from functions.web.application import build
from functions.web.route_access import ACCESS, ACTS
from shared.bootstrap import App, SignIn
from shared.domain.access import DEFAULT_DIRECTORY_ROLES, NARROW_ROLES, ROLES, Access, directory_roles
from shared.ports.world import World
from tests.support.api_calls import (
    ASSIGN_E3,
    GROUP,
    ON,
    OTHER_CLIENT,
    PATH_VALUES,
    TENANT,
    USERS,
    WRITER,
    app_token,
    claims_of,
    client,
    encoded,
    error_of,
    session,
    token,
)
from tests.support.project import ROOT
from tests.support.routes import api_routes
from tests.support.worlds import Fakes

PAGE = (ROOT / "docs" / "roles.md").read_text()
SHOWN = tuple(role for role in ROLES if role != "Licensing.ReadWrite")
"""The columns of the table; Licensing.ReadWrite would have a mark in every row."""

LESSER = {
    access: next((role for role in SHOWN if role not in NARROW_ROLES and access not in ROLES[role]), "Something.Else")
    for access in Access
}
"""A role that does not suffice for an access."""


def row_of(route: str, access: Access) -> str:
    """The row of a route as the document has it."""
    return (
        " | ".join(
            [f"| `{route}`", *("x" if access is Access.SIGNED_IN or access in ROLES[role] else " " for role in SHOWN)]
        )
        + " |"
    )


def _fits(path: str, start: str, act: str | None) -> bool:
    """Whether a row is one of a route that begins so and ends with an act, or is the route itself."""
    return path == start if act is None else path.startswith(start) and "/" not in path.removeprefix(start)


class TestTable:
    def test_the_document_shows_every_route_with_the_roles_that_suffice_and_no_other(self) -> None:
        shown = [line for line in PAGE.splitlines() if re.match(r"\| `(GET|POST|PUT|PATCH|DELETE) ", line)]
        expected = [row_of(f"{method} {path}", access) for (method, path), access in ACCESS.items()]
        assert sorted(shown) == sorted(expected), "docs/roles.md: replace or add the rows that differ"
        assert f"| route | {' | '.join(f'`{role}`' for role in SHOWN)} |" in PAGE

    def test_the_document_shows_what_directory_roles_stand_for(self) -> None:
        for part in DEFAULT_DIRECTORY_ROLES.split(";"):
            name, _, roles = part.partition("=")
            assert f"| {name} | {', '.join(f'`{role}`' for role in roles.split(','))} |" in PAGE
        assert len(directory_roles(DEFAULT_DIRECTORY_ROLES)) == len(DEFAULT_DIRECTORY_ROLES.split(";"))

    def test_every_route_stands_in_the_table_and_every_row_is_a_route(self, world: World) -> None:
        app = build(lambda: App(world, ON))
        routes = [(method, route) for route in api_routes(app) for method in route.methods or ()]
        found = set()
        for method, route in routes:
            act = next((name for name in ACTS if f"{{{name}}}" in route.path), None)
            start = route.path.partition(f"{{{act}}}")[0] if act else route.path
            rows = {row for row in ACCESS if row[0] == method and _fits(row[1], start, act)}
            assert rows, (method, route.path)
            found |= rows
        assert found == set(ACCESS)
        documented = {(verb.upper(), path) for path, verbs in app.openapi()["paths"].items() for verb in verbs}
        programs = {row for row in ACCESS if row[1].startswith("/api/")}
        assert documented == programs - {("GET", "/api/openapi.json")}

    def test_readers_reach_no_route_that_changes_something_or_shows_hr_events_or_messages(self) -> None:
        for role in ("Licensing.Read", "Users.Read"):
            rows = {row for row, access in ACCESS.items() if access in ROLES[role]}
            searches = {
                "/groups/{group_id}/assign/check",
                "/search",
                "/users",
                "/groups",
                "/groups/{group_id}",
                "/licenses/{sku_id}",
                "/licenses/{sku_id}/users.csv",
                "/audit",
            }
            searches |= {"/groups/{group_id}/members.csv", "/audit.csv", "/audit.jsonl"}
            searches |= {path for _, path in rows if path.startswith("/api/") and path.endswith("/search")}
            searches |= {"/api/operations/combinedPlan"}
            assert {path for method, path in rows if method != "GET"} <= searches
            hidden = [path for _, path in rows if "onboarding" in path or "deadLetters" in path]
            of_profiles = {"/api/onboarding/profiles", "/api/onboarding/profiles/{profile_name}"}
            of_profiles |= {
                "/api/onboarding/proposals",
                "/api/onboarding/proposals/{profile_name}",
                "/onboarding/profiles",
            }
            allowed = {"/api/onboarding/schema", *of_profiles}
            assert set(hidden) <= allowed


class TestAccess:
    @pytest.mark.parametrize(("method", "path"), sorted(ACCESS))
    async def test_each_route_rejects_who_lacks_its_role(self, world: World, method: str, path: str) -> None:
        url = path.format(**PATH_VALUES)
        lesser = claims_of(roles=[LESSER[ACCESS[method, path]]])
        async with client(world, headers={}) as api:
            nobody = await api.request(method, url)
            reader = await api.request(method, url, headers=token(lesser), json={})
            writer = await api.request(method, url, headers=WRITER, json={})
        assert (nobody.status_code, error_of(nobody)["code"]) == (401, "Unauthorized")
        if ACCESS[method, path] is Access.SIGNED_IN:
            assert reader.status_code == 200
        else:
            assert (reader.status_code, error_of(reader)["code"]) == (403, "Forbidden")
        assert writer.status_code not in (401, 403)

    @pytest.mark.parametrize(
        ("method", "path"), sorted(row for row, needed in ACCESS.items() if needed is Access.APPROVE)
    )
    async def test_no_application_approves(self, world: World, method: str, path: str) -> None:
        async with client(world, headers=app_token(roles=["Licensing.ReadWrite"])) as api:
            answer = await api.request(method, path.format(**PATH_VALUES), json={})
        assert (answer.status_code, error_of(answer)["code"]) == (403, "PersonRequired")

    @pytest.mark.parametrize(("method", "path"), sorted(ACCESS))
    async def test_no_route_takes_an_id_token_a_stranger_s_client_or_a_guest(
        self, world: World, method: str, path: str
    ) -> None:
        role = claims_of(roles=["Licensing.ReadWrite"])
        bearer = {"authorization": "Bearer x"}
        id_token = {"x-ms-client-principal": encoded(role), **bearer}
        async with client(world, headers={}) as api:
            for headers, status in (
                (id_token, 401),
                (token([*role, ("azp", OTHER_CLIENT)]), 403),
                (session([*role, ("acct", "1")]), 403),
            ):
                answer = await api.request(method, path.format(**PATH_VALUES), headers=headers)
                assert answer.status_code == status

    async def test_an_act_that_no_row_names_does_not_exist(self, world: World) -> None:
        async with client(world) as api:
            for path in ("/operations/{operation_id}/destroy", "/operations/{operation_id}/Approve"):
                answer = await api.post(path.format(**PATH_VALUES))
                assert (answer.status_code, error_of(answer)["code"]) == (404, "NotFound")

    async def test_everything_is_rejected_while_platform_authentication_is_off(self, world: World) -> None:
        off = SignIn(platform_authentication=False, tenant_id=TENANT)
        async with client(world, off) as api:
            answers = [await api.get("/api/operations"), await api.get("/api/no-such-route")]
        assert [answer.status_code for answer in answers] == [401, 401]

    async def test_a_write_from_another_site_s_page_is_rejected_and_one_from_our_own_accepted(
        self, fakes: Fakes
    ) -> None:
        browser = session(claims_of(roles=["Licensing.ReadWrite"]))
        url = f"/api/groups/{GROUP}/assignLicense"
        async with client(fakes.world, headers=browser) as api:
            unmanaged = await api.post(url, json=ASSIGN_E3, headers={"sec-fetch-site": "cross-site"})
            assert not await fakes.world.stores.operations.open()
            own = await api.post(url, json=ASSIGN_E3, headers={"sec-fetch-site": "same-origin"})
        assert (unmanaged.status_code, error_of(unmanaged)["code"]) == (403, "CrossSiteRequest")
        assert own.status_code == 202


class TestBodies:
    """What a body asks beyond what its route does."""

    async def test_options_of_a_group_need_the_right_to_configure(self, fakes: Fakes) -> None:
        body = {**ASSIGN_E3, "options": {"grace": "P7D"}}
        url = f"/api/groups/{GROUP}/assignLicense"
        async with client(fakes.world, headers=token(claims_of(roles=["Licensing.Write"]))) as api:
            rejected = await api.post(url, json=body)
            assert not await fakes.world.stores.operations.open()
            plain = await api.post(url, json=ASSIGN_E3)
        both = token(claims_of(roles=["Licensing.Write", "Licensing.Configure"]))
        async with client(fakes.world, headers=both) as api:
            allowed = await api.post(url, json=body)
        assert (rejected.status_code, plain.status_code, allowed.status_code) == (403, 202, 202)
        assert "Licensing.Configure" in error_of(rejected)["message"]

    async def test_a_groups_administrator_changes_no_user(self, fakes: Fakes) -> None:
        groups_only = token(claims_of(wids=["fdd7a751-b60b-444a-984c-02652fe8fa1c"]))
        async with client(fakes.world, headers=groups_only) as api:
            user = await api.post("/api/users/assignLicense", json={**ASSIGN_E3, "userIds": USERS})
            profile = await api.put("/api/onboarding/profiles/sales", json={"groups": [GROUP]})
            group = await api.post(f"/api/groups/{GROUP}/assignLicense", json=ASSIGN_E3)
        assert (user.status_code, profile.status_code, group.status_code) == (403, 403, 202)
