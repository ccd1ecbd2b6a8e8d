"""Pages for people who are not signed in, and for objects that do not exist."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from functions.web.pages.error_pages import path_of
from shared.domain.ids import GroupId, UserId
from tests.support.api_calls import claims_of, session
from tests.support.pages import browser, licensed
from tests.support.runs import user

FORM = "application/x-www-form-urlencoded"


async def test_who_is_not_signed_in_is_sent_to_sign_in_and_programs_are_told() -> None:
    run, _ = await licensed()
    async with browser(run, {"accept": "text/html"}) as page:
        person = await page.get("/groups?sku=a")
        program = await page.get("/groups", headers={"accept": "application/json"})
    assert person.status_code == 302
    assert person.headers["location"] == "/.auth/login/aad?post_login_redirect_uri=%2Fgroups%3Fsku%3Da"
    assert (program.status_code, program.json()["error"]["code"]) == (401, "Unauthorized")


async def test_what_is_not_there_is_said_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        for path in (f"/groups/{GroupId(user(9))}", f"/users/{UserId(user(99))}", "/static/secret", "/groups/no-guid"):
            answer = await page.get(path)
            assert answer.status_code in (400, 404), path


@pytest.mark.parametrize("path", ["//evil.example", "//evil.example/x", "///evil.example", "/\\evil.example"])
async def test_no_address_sends_a_person_to_another_host_by_way_of_the_sign_in(path: str) -> None:
    """A browser takes what begins with two slashes, or a slash and a backslash, for a host (URL Standard, whatwg)."""
    run, _ = await licensed()
    page = f"https://licensing.example{path}"
    async with browser(run, {"accept": "text/html"}) as unknown:
        location = (await unknown.get(page)).headers["location"]
    target = unquote(location.partition("post_login_redirect_uri=")[2])
    assert not target.startswith(("//", "/\\"))
    assert not path_of(page).startswith(("//", "/\\"))


def _with(*, roles: tuple[str, ...] = (), wids: tuple[str, ...] = ()) -> dict[str, str]:
    return {**session(claims_of(roles=roles, wids=wids, tenant="tenant")), "accept": "text/html"}


@pytest.mark.parametrize("path", ["/", "/users", "/licenses"])
async def test_a_person_without_a_role_sees_a_styled_page_that_names_the_roles(path: str) -> None:
    run, _ = await licensed()
    async with browser(run, _with()) as page:
        denied = await page.get(path)
        files = [await page.get(f"/static/{name}") for name in ("site.css", "site.js", "icon.svg")]
    assert denied.status_code == 403
    assert "<h1>Access denied</h1>" in denied.text and "/static/site.css" in denied.text
    assert "Licensing.Read" in denied.text and "Global Reader" in denied.text
    assert [each.status_code for each in files] == [200, 200, 200]


async def test_the_help_desk_reads_people_and_is_shown_who_can_read_the_rest() -> None:
    run, _ = await licensed()
    async with browser(run, _with(wids=("729827e3-9c14-49f7-bb1b-9608f156bbb8",))) as page:
        found = await page.post("/users", content="search=user", headers={"content-type": FORM})
        person = await page.get(f"/users/{user(1)}")
        denied = await page.get("/licenses")
    assert (found.status_code, person.status_code, denied.status_code) == (200, 200, 403)
    assert "Global Reader" in denied.text and "Helpdesk Administrator" not in denied.text
    for address in ("/licenses/", "/groups/", "/approvals", "/audit", "/operations/"):
        assert f'href="{address}' not in person.text, address
