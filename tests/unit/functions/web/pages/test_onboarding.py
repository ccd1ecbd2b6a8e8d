"""The pages of HR events, and the decisions made on them."""

from __future__ import annotations

from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from shared.domain.onboarding import SourceOrder
from tests.support.api_calls import HR_READER, claims_of, session
from tests.support.hires import Hires, event, held_leavers
from tests.support.hr_calls import call
from tests.support.runs import OTHER_TEAM, TEAM, user

HOSTILE = '<img src=x onerror="alert(1)">'
FORM = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}


async def test_the_page_shows_events_escaped_and_lets_a_person_decide() -> None:
    run = await held_leavers()
    who = {"employeeId": "<b>x", "userPrincipalName": '"><i>@fabrikam.example'}
    await run.send(event("joiner", HOSTILE.replace(" ", "_"), who, groups=[TEAM]))
    clock, start = run.fakes.clock, run.fakes.clock.now()
    await run.work_off(lambda: (clock.now() - start).total_seconds() > 60)
    admin = {**session(claims_of(roles=["Licensing.ReadWrite"])), "accept": "text/html"}
    reader = {**session(claims_of(roles=["Onboarding.Read"])), "accept": "text/html"}
    listed = await call(run, "GET", "/onboarding", admin)
    assert "5 leavers are held" in listed.text
    assert "<b>x" not in listed.text
    assert "&lt;b&gt;x" in listed.text
    assert "Remove their licenses" not in (await call(run, "GET", "/onboarding", reader)).text
    rejected = await call(
        run, "GET", "/onboarding", {**session(claims_of(roles=["Licensing.Read"])), "accept": "text/html"}
    )
    assert (rejected.status_code, "Onboarding.Read" in rejected.text) == (403, True)
    records, _ = await run.world.stores.onboarding.newest(50)
    hostile = next(record for record in records if record.event.id.startswith("<img"))
    one = await call(run, "GET", f"/onboarding/{hostile.key}", admin)
    assert "<img" not in one.text
    assert "Waits for the account" in one.text
    cancelled = await call(run, "POST", f"/onboarding/{hostile.key}/cancel", {**admin, **FORM}, content="")
    assert cancelled.status_code == 303
    unmanaged = await call(run, "POST", f"/onboarding/{hostile.key}/cancel", admin, content="")
    assert unmanaged.status_code == 403
    held = (await call(run, "GET", "/api/onboarding/held", HR_READER)).json()
    body = urlencode({"checksum": held["checksum"]})
    for people in ("", "4"):
        hasty = await call(
            run, "POST", "/onboarding/held/approve", {**admin, **FORM}, content=f"{body}&people={people}"
        )
        assert (hasty.status_code, "which is 5" in hasty.text) == (400, True)
    rejected = await call(run, "POST", "/onboarding/held/reject", {**admin, **FORM}, content=body)
    assert rejected.status_code == 303
    assert "leavers are held" not in (await call(run, "GET", "/onboarding", admin)).text
    assert "Nothing needs a person." in (await call(run, "GET", "/onboarding?attention=true", admin)).text


async def test_events_show_the_account_s_name_what_hr_said_and_a_date_as_a_date() -> None:
    run = Hires()
    (mia,) = run.people(1)
    await run.licensed_team()
    run.order_by(SourceOrder.ARRIVAL, ZoneInfo("Europe/Berlin"))
    await run.notify(
        event("joiner", "dated", mia, groups=[TEAM], attributes={"department": "Sales"}),
        event("mover", "timed", mia, on="2026-01-01T08:00:00+01:00", groups=[TEAM]),
    )
    admin = {**session(claims_of(roles=["Licensing.ReadWrite"])), "accept": "text/html"}
    listed = (await call(run, "GET", "/onboarding", admin)).text
    one = (await call(run, "GET", f"/onboarding/{(await run.record('dated')).key}", admin)).text
    name = run.directory.truth(mia).display_name
    assert (name in listed, name in one) == (True, True)
    assert '<time datetime="2026-01-01">' in listed
    assert '<time datetime="2026-01-01T07:00:00+00:00">' in listed
    assert "<dt>department</dt>" in one
    assert "hr.joiner" not in one


async def test_an_event_that_names_none_of_several_employments_can_only_be_dismissed() -> None:
    run = await Hires.of_two_teams()
    ann, bob = run.directory.add_user(user(1)), run.directory.add_user(user(2))
    for name, person, group in (("1", ann, TEAM), ("2", ann, OTHER_TEAM), ("3", bob, TEAM)):
        await run.notify(event("joiner", f"start-{name}", person, groups=[group], employmentId=name))
    await run.notify(event("leaver", "which", ann, on="2026-01-02"))
    await run.notify(event("mover", "unknown", bob, employmentId="4", groups=[OTHER_TEAM]))
    admin = {**session(claims_of(roles=["Licensing.ReadWrite"])), "accept": "text/html"}
    own = {**admin, "sec-fetch-site": "same-origin"}
    which, unknown = (await run.record("which")).key, (await run.record("unknown")).key
    pages = [(await call(run, "GET", f"/onboarding/{key}", admin)).text for key in (which, unknown)]
    assert ["Carry out</button>" in page for page in pages] == [False, True]
    assert ["Dismiss</button>" in page for page in pages] == [True, True]
    answers = [
        await call(run, "POST", f"/api/onboarding/{key}/decide", own, json={"decision": "carryOut"})
        for key in (which, unknown)
    ]
    assert [each.status_code for each in answers] == [400, 202]
    assert "employmentId" in answers[0].text
    await run.work_off()
    assert (await run.state("which"), await run.state("unknown")) == ("NeedsDecision", "Done")
