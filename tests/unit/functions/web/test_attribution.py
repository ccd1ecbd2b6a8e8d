"""The audit log says who acted by the token of the call; what a message claims of itself stands beside it."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from unittest.mock import ANY

from shared.domain.read_models import AuditEntry, AuditFilter
from shared.handlers.operations.jobs_queue import process_jobs
from tests.support.api_calls import (
    CLIENT,
    GROUP,
    PERSON,
    READER,
    app_token,
    assigned,
    claims_of,
    client,
    session,
    token,
)
from tests.support.hires import SOURCE, Hires, event
from tests.support.hr_calls import call
from tests.support.job_messages import assign
from tests.support.runs import TEAM, user
from tests.support.worlds import Fakes

CEO = "ceo@fabrikam.example"


def job(**more: Any) -> bytes:
    return json.dumps(assign(groupId=GROUP, **more)).encode()


async def entries(fakes: Fakes, activity: str) -> list[AuditEntry]:
    now = fakes.clock.now()
    found, _ = await fakes.world.stores.audit.search(AuditFilter(activity=activity), now.replace(year=2000), now, 100)
    return list(found)


async def test_a_job_that_claims_to_be_somebody_is_not_recorded_as_theirs(fakes: Fakes) -> None:
    await process_jobs(fakes.world, job(id="1", requestedBy=CEO))
    async with client(fakes.world, headers=READER) as api:
        (operation,) = (await api.get("/api/operations")).json()["value"]
        (entry,) = (await api.get("/api/audit?activity=set+group")).json()["value"]
        by_claim = (await api.post("/api/audit/search", json={"initiatedBy": CEO})).json()["value"]
    sender = {"kind": "app", "id": None, "appId": None, "displayName": "Queue jobs", "channel": "jobs"}
    assert operation["initiatedBy"] == entry["initiatedBy"] == sender
    assert operation["claimedBy"] == entry["claimedBy"] == CEO
    assert [each["id"] for each in by_claim] == [entry["id"]]


async def test_a_caller_is_recorded_by_the_ids_of_the_token_and_the_channel(fakes: Fakes) -> None:
    operation = await assigned(fakes.world)
    ada = {"kind": "user", "id": PERSON, "appId": CLIENT, "displayName": "ada@fabrikam.example", "channel": "api"}
    assert (operation["initiatedBy"], operation["claimedBy"]) == (ada, None)
    browser = {**session(claims_of(roles=["Licensing.ReadWrite"])), "sec-fetch-site": "same-origin"}
    async with client(fakes.world, headers=browser) as page:
        form = {"content-type": "application/x-www-form-urlencoded"}
        answer = await page.post(f"/operations/{operation['id']}/pause", content="", headers=form)
    assert answer.status_code == 303
    (paused,) = await entries(fakes, "Pause license operation")
    assert (paused.initiator.id, paused.initiator.app_id, paused.initiator.channel) == (PERSON, "", "page")


async def test_downloads_name_the_ids_and_the_claim(fakes: Fakes) -> None:
    await process_jobs(fakes.world, job(id="1", requestedBy=CEO))
    await assigned(fakes.world)
    async with client(fakes.world, headers=READER) as api:
        rows = list(csv.DictReader(io.StringIO((await api.get("/audit.csv?activity=set+group")).text.lstrip("\ufeff"))))
        lines = [json.loads(line) for line in (await api.get("/audit.jsonl?activity=set+group")).text.splitlines()]
        shown = (await api.get("/audit", headers={"accept": "text/html"})).text
    observed = {(row["kind"], row["initiatorId"], row["initiatedBy"], row["channel"], row["claimedBy"]) for row in rows}
    assert observed == {("user", PERSON, "ada@fabrikam.example", "api", ""), ("app", "", "Queue jobs", "jobs", CEO)}
    assert {(line["initiatedBy"]["id"], line["claimedBy"]) for line in lines} == {(PERSON, None), (None, CEO)}
    assert f"Claims to be {CEO} (not verified)" in shown


async def test_an_hr_event_is_recorded_by_its_sender_and_its_source_is_a_claim() -> None:
    run = await Hires.of_two_teams()
    for number in (1, 2):
        run.directory.add_user(user(number))
    sent = await call(
        run,
        "POST",
        "/api/onboarding",
        app_token(roles=["Onboarding.Write"]),
        json=event("joiner", "by-api", user(1), groups=[TEAM]),
    )
    assert sent.status_code == 202, sent.text
    await run.notify(event("joiner", "by-queue", user(2), groups=[TEAM]))
    now = run.world.clock.now()
    wanted = AuditFilter(activity="Add member to group")
    found, _ = await run.world.stores.audit.search(wanted, now.replace(year=2000), now.replace(year=2100), 100)
    observed = {each.user_id: each.initiator for each in found}
    assert {(each.kind, each.id, each.channel) for each in observed.values()} == {
        ("hr", PERSON, "api"),
        ("hr", "", "onboarding"),
    }
    assert {each.claimed_by for each in observed.values()} == {SOURCE}


async def test_each_hr_event_is_shown_with_who_sent_it() -> None:
    run = await Hires.of_two_teams()
    hr = app_token(roles=["Onboarding.Write"])
    by_api, by_queue = (
        event("joiner", name, run.directory.add_user(user(n))) for n, name in ((1, "api"), (2, "queue"))
    )
    sent = await call(run, "POST", "/api/onboarding", hr, json=by_api)
    await run.notify(by_queue)
    application = {"kind": "hr", "id": PERSON, "appId": CLIENT, "displayName": ANY, "channel": "api"}
    queue = {"kind": "hr", "id": None, "appId": None, "displayName": "Queue onboarding", "channel": "onboarding"}
    reader = token(claims_of(roles=["Onboarding.Read"]))
    listed = (await call(run, "GET", "/api/onboarding", reader)).json()["value"]
    shown = {each["eventId"]: (each["initiatedBy"], each["claimedBy"]) for each in listed}
    assert shown == {"api": (application, SOURCE), "queue": (queue, SOURCE)}
    key = sent.json()["value"][0]["id"]
    for who in (reader, hr):
        item = (await call(run, "GET", f"/api/onboarding/{key}", who)).json()
        assert (item["initiatedBy"], item["claimedBy"]) == (application, SOURCE)
    page = await call(run, "GET", f"/onboarding/{key}", {**reader, "accept": "text/html"})
    assert f'title="hr {PERSON}"' in page.text
