"""Pages for people who are not signed in, and for objects that do not exist."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from functions.web.pages.error_pages import path_of
from shared.domain.ids import GroupId, UserId
from tests.support.api_calls import claims_of, session
from tests.support.pages import SAME_SITE, browser, licensed, send
from tests.support.runs import TEAM, user

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


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/nothing", "GET"),
        ("/groups/no-guid", "GET"),
        ("/operations/1", "GET"),
        ("/licenses/x/y", "GET"),
        ("/nothing", "POST"),
        ("/licenses", "POST"),
    ],
)
async def test_an_unknown_page_is_not_found(path: str, method: str) -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        answer = await page.request(method, path, headers=SAME_SITE)
    assert answer.status_code in (404, 405) and "<h1>Not found</h1>" in answer.text
    assert (answer.status_code == 405) == (path == "/licenses")


async def test_the_heading_says_what_is_wrong() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        entered = await send(page, f"/groups/{TEAM}/options", "version=1&usage_location=ZZ")
        changed = await send(page, f"/groups/{TEAM}/options", "version=0&usage_location=DE")
        run.fakes.tables.away = True
        away = await page.get("/operations")
    assert "<h1>Check what you entered</h1>" in entered.text and "such as DE" in entered.text
    assert "<h1>Changed in the meantime</h1>" in changed.text
    assert "<h1>Not available now</h1>" in away.text


async def test_a_form_of_an_expired_session_leads_to_the_sign_in_and_back_to_its_page() -> None:
    run, _ = await licensed()
    async with browser(run, {"accept": "text/html"}) as page:
        own = {**SAME_SITE, "referer": str(page.base_url.join(f"/groups/{TEAM}/assign"))}
        sent = await page.post(f"/groups/{TEAM}/assign", content="version=1", headers=own)
        unmanaged = {**SAME_SITE, "referer": "https://evil.example/groups"}
        other = await page.post(f"/groups/{TEAM}/assign", content="version=1", headers=unmanaged)
    assert (sent.status_code, other.status_code) == (303, 303)
    assert sent.headers["location"].endswith(f"%2Fgroups%2F{TEAM}%2Fassign")
    assert other.headers["location"].endswith("uri=%2F")
