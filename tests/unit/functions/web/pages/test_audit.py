"""The page of the audit log: searched by names, and told in words."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from shared.domain.initiator import Initiator
from shared.domain.read_models import AuditEntry
from tests.support.api_calls import claims_of, token
from tests.support.hires import Hires
from tests.support.hr_calls import call
from tests.support.pages import browser, send
from tests.support.runs import SMALL, TEAM, Run, user


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


MANY = 10_050
"""Entries, more than a download once had."""


async def acted_often() -> Hires:
    run, boss = Hires(), Initiator(user(7), "Boss")
    now = run.world.clock.now()
    entries = [
        AuditEntry(f"{number:06}", now - timedelta(seconds=number), "Act", boss, "success", user(number % 9))
        for number in range(MANY)
    ]
    await run.world.stores.audit.append(entries)
    return run


@pytest.mark.parametrize(("path", "heading"), [("/audit.csv", 1), ("/audit.jsonl", 0)])
async def test_a_download_has_every_entry(path: str, heading: int) -> None:
    run = await acted_often()
    reader = token(claims_of(roles=["Licensing.Read"]))
    lines = (await call(run, "GET", path, reader)).text.splitlines()
    assert len(lines) == MANY + heading
    assert len(set(lines)) == MANY + heading
    rejected = await call(run, "GET", f"{path}?since=yesterday", reader)
    assert rejected.status_code == 400


async def test_an_export_of_a_person_has_every_entry_once() -> None:
    run = await acted_often()
    answer = await call(run, "GET", f"/api/users/{user(7)}/export", token(claims_of(roles=["Licensing.Configure"])))
    ids = [each["id"] for each in json.loads(answer.text)["auditEntries"]]
    assert (len(ids), len(set(ids))) == (MANY, MANY)
