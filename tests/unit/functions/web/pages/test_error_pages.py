"""Pages for people who are not signed in, and for objects that do not exist."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from functions.web.pages.error_pages import path_of
from shared.domain.ids import GroupId, UserId
from tests.support.pages import browser, licensed
from tests.support.runs import user


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
