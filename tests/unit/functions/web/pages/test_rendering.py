"""Every page has a strict policy and escaped names, and no other site and no reader can write."""

from __future__ import annotations

from functions.web.pages.rendering import POLICY
from shared.domain.directory import LicenseError
from shared.domain.member_status import MemberState
from shared.domain.outcomes import Problem
from shared.domain.read_models import MemberRow
from tests.support.api_calls import claims_of, session
from tests.support.pages import HOSTILE, READER, SAME_SITE, browser, licensed
from tests.support.runs import OTHER_TEAM, SMALL, TEAM, user


async def test_every_view_is_shown_with_a_strict_policy_and_names_escaped() -> None:
    run, operation = await licensed()
    problem = Problem(LicenseError.COUNT_VIOLATION, "No seat.", "Buy one.", SMALL.sku_id)
    row = MemberRow(TEAM, user(1), HOSTILE, HOSTILE, MemberState.ERROR, run.world.clock.now(), (problem,))
    await run.world.stores.members.record([row])
    views = {
        "/licenses": SMALL.sku_part_number,
        f"/licenses/{SMALL.sku_id}": "members",
        "/groups": "Groups that assign licenses",
        f"/groups?sku={SMALL.sku_id}": f'name="sku" value="{SMALL.sku_id}"',
        f"/groups/{TEAM}": "Buy one.",
        f"/groups/{TEAM}?show=all": "All",
        f"/groups/{TEAM}?show=Removed": "No member is in the state Removed",
        f"/groups/{TEAM}/live": "members",
        f"/groups/{TEAM}/assign": "Preview",
        f"/groups/{OTHER_TEAM}/assign": "Default usage location",
        "/operations": "Completed",
        f"/operations/{operation.id}": "Licenses to assign",
        "/approvals": "Nothing waits for a person",
        "/users": "Search",
        f"/users/{user(1)}": "Status by group",
        "/audit": "Audit log",
        "/health": "Open operations",
    }
    async with browser(run) as page:
        for path, words in views.items():
            answer = await page.get(path)
            assert answer.status_code == 200, path
            assert words.lower() in answer.text.lower(), path
            assert answer.headers["content-security-policy"] == POLICY
            assert HOSTILE not in answer.text, path
        assert "&lt;script&gt;" in (await page.get(f"/groups/{TEAM}")).text


async def test_no_other_site_and_no_reader_can_write() -> None:
    run, _ = await licensed()
    path = f"/groups/{TEAM}/reprocess"
    async with browser(run) as page:
        unmanaged = await page.post(path, headers={**SAME_SITE, "sec-fetch-site": "cross-site"})
    async with browser(run, READER) as page:
        reader = await page.post(path, headers=SAME_SITE)
        shown = await page.get(f"/groups/{TEAM}")
    assert (unmanaged.status_code, reader.status_code) == (403, 403)
    assert "Access denied" in unmanaged.text
    assert "Change licenses" not in shown.text
    assert run.fakes.sent() == []


async def test_a_caller_sees_the_sections_that_their_role_allows_and_begins_with_one() -> None:
    run, _ = await licensed()
    helpdesk = claims_of(wids=["729827e3-9c14-49f7-bb1b-9608f156bbb8"], tenant="tenant")
    async with browser(run, {**session(helpdesk), "accept": "text/html"}) as page:
        home = await page.get("/")
        users = await page.get("/users")
        groups = await page.get(f"/groups/{TEAM}")
    assert (home.headers["location"], users.status_code, groups.status_code) == ("/users", 200, 403)
    assert "(read only)" in users.text
    assert 'href="/groups"' not in users.text
    assert "Licensing.Read" in groups.text
