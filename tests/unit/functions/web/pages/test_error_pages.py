"""Pages for people who are not signed in, and for objects that do not exist."""

from __future__ import annotations

import pytest

from shared.domain.ids import GroupId, UserId
from tests.support.pages import browser, licensed
from tests.support.runs import user


async def test_who_is_not_signed_in_is_sent_to_sign_in_and_programs_are_told() -> None:
    run, _ = await licensed()
    async with browser(run, {"accept": "text/html"}) as page:
        person = await page.get("/groups?search=a")
        program = await page.get("/groups", headers={"accept": "application/json"})
    assert person.status_code == 302
    assert person.headers["location"] == "/.auth/login/aad?post_login_redirect_uri=%2Fgroups%3Fsearch%3Da"
    assert (program.status_code, program.json()["error"]["code"]) == (401, "Unauthorized")


async def test_what_is_not_there_is_said_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        for path in (f"/groups/{GroupId(user(9))}", f"/users/{UserId(user(99))}", "/static/secret", "/groups/no-guid"):
            answer = await page.get(path)
            assert answer.status_code in (400, 404), path
