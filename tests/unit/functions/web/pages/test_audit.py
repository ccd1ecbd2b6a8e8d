"""The page of the audit log: searched by names, and told in words."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

from tests.support.pages import browser, send
from tests.support.runs import SMALL, TEAM, Run


async def test_the_audit_log_is_searched_by_names_and_told_in_words() -> None:
    run = Run()
    people = run.people(3)
    for each, name in zip(people, ("Ann Ames", "Ann Abel", "Bo Berg"), strict=True):
        run.directory.change_user(replace(run.directory.truth(each), display_name=name))
    await run.change([SMALL])
    names = {"user": "bo berg", "group": f"Group {TEAM}"}
    async with browser(run) as page:
        found = (await send(page, "/audit", urlencode(names))).text
        several = (await send(page, "/audit", "user=Ann")).text
        nobody = (await send(page, "/audit", "group=Nothing")).text
        shown = (await page.get(f"/groups/{TEAM}")).text
        version = urlencode({"version": "1", "usage_location": "DE", "grace_days": "30", "include_guests": "on"})
        await send(page, f"/groups/{TEAM}/options", version)
        options = (await page.get("/audit?activity=properties")).text
    for name, value in (("user", people[2]), ("group", TEAM)):
        assert f'<input type="hidden" name="{name}" value="{value}">' in found
    assert "SMALL added" in found
    assert "Ann" not in found
    assert "2 users match" in several
    assert "No groups have the name" in nobody
    assert "grace: P0D to P30D" in options
    assert "usageLocation: none to DE" in options
    assert "data-poll" not in shown
