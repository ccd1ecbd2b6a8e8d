"""The page with fakes behind it: what it shows, to whom, that names are escaped, and that no other site can write."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from urllib.parse import urlencode

import httpx
import pytest

from functions.web.pages.downloads import csv_text
from functions.web.pages.labels import STATE_WORDS
from functions.web.pages.rendering import POLICY
from shared.domain.directory import LicenseError, ServicePlan, SubscribedSku
from shared.domain.ids import GroupId, ServicePlanId, SkuId, UserId
from shared.domain.member_status import MemberState
from shared.domain.operation import Operation, OperationState
from shared.domain.outcomes import Problem
from shared.domain.read_models import MemberRow
from tests.support.api_calls import claims_of, client, session
from tests.support.runs import OTHER_TEAM, SMALL, TEAM, Run, user
from tests.support.unmanaged import given_group

HOSTILE = '<script>alert("x")</script>'
SAME_SITE = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
ADMINISTRATOR = {**session(claims_of(roles=["Licensing.ReadWrite"], tenant="tenant")), "accept": "text/html"}
READER = {**session(claims_of(roles=["Licensing.Read"], tenant="tenant")), "accept": "text/html"}


def browser(run: Run, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
    from shared.bootstrap import SignIn

    return client(run.world, SignIn(True, "tenant"), ADMINISTRATOR if headers is None else headers)


async def licensed() -> tuple[Run, Operation]:
    """A group of three, licensed; one of them has a hostile name."""
    run = Run()
    first, *_ = run.people(3)
    run.directory.change_user(replace(run.directory.truth(first), display_name=HOSTILE))
    operation = await run.change([SMALL])
    return run, operation


async def test_every_view_is_shown_with_a_strict_policy_and_names_escaped() -> None:
    run, operation = await licensed()
    problem = Problem(LicenseError.COUNT_VIOLATION, "No seat.", "Buy one.", SMALL.sku_id)
    row = MemberRow(TEAM, user(1), HOSTILE, HOSTILE, MemberState.ERROR, run.world.clock.now(), (problem,))
    await run.world.stores.members.record([row])
    views = {
        "/licenses": SMALL.sku_part_number,
        f"/licenses/{SMALL.sku_id}": "members",
        "/groups": "Groups that give licenses",
        "/groups?search=t": "Found",
        f"/groups?search=g&sku={SMALL.sku_id}": f"assign?sku={SMALL.sku_id}",
        f"/groups/{TEAM}": "Buy one.",
        f"/groups/{TEAM}?show=all": "All",
        f"/groups/{TEAM}?show=Removed": "Nobody is Removed",
        f"/groups/{TEAM}/live": "members",
        f"/groups/{TEAM}/assign": "Preview",
        f"/groups/{OTHER_TEAM}/assign": "Default usage location",
        "/operations": "Completed",
        f"/operations/{operation.id}": "Licenses to give",
        "/approvals": "Nothing waits for a person",
        "/users": "Search",
        "/users?search=%3Cs": "enabled",
        f"/users/{user(1)}": "Groups managed here",
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


async def test_an_operation_is_shown_in_every_state_and_polled_while_it_goes_on() -> None:
    run, operation = await licensed()
    polled = set()
    for state in OperationState:
        known = await run.read(operation)
        await run.world.stores.operations.save(replace(known, state=state))
        async with browser(run) as page:
            whole = await page.get(f"/operations/{operation.id}")
            live = await page.get(f"/operations/{operation.id}/progress")
        assert (whole.status_code, live.status_code) == (200, 200), state
        assert STATE_WORDS[state] in live.text
        polled |= {state} if "data-poll" in live.text else set()
    assert polled == {OperationState.QUEUED, OperationState.IN_PROGRESS, OperationState.PAUSED}


async def test_choosing_previewing_and_confirming_licenses_a_group() -> None:
    run = Run()
    people = run.people(3)
    plans = [plan.service_plan_id for plan in SMALL.service_plans]
    chosen = {"sku": SMALL.sku_id, f"plan-{SMALL.sku_id}": plans}
    form = urlencode({**chosen, "version": 0}, doseq=True)
    async with browser(run) as page:
        sent = await page.post(f"/groups/{TEAM}/assign", content=form, headers=SAME_SITE)
        assert sent.status_code == 303
        await run.work_off()
        assert not any(run.licenses(each) for each in people)
        shown = await page.get(sent.headers["location"])
        assert "Confirm and start" in shown.text
        preview = await run.world.stores.operations.newest(1)
        checksum = urlencode({"checksum": preview[0][0].checksum})
        started = await page.post(f"{sent.headers['location']}/confirm", content=checksum, headers=SAME_SITE)
        assert started.status_code == 303
        await run.work_off()
        assert all(run.licenses(each) == {"SMALL"} for each in people)
        same = urlencode({**chosen, "version": 1}, doseq=True)
        again = await page.post(f"/groups/{TEAM}/assign", content=same, headers=SAME_SITE)
        assert (again.status_code, "Nothing was changed" in again.text) == (400, True)
        none = await page.post(f"/groups/{TEAM}/assign", content="version=1", headers=SAME_SITE)
        assert none.status_code == 303
        await run.work_off()
    assert all(run.licenses(each) == {"SMALL"} for each in people)


async def test_no_other_site_and_no_reader_can_write() -> None:
    run, _ = await licensed()
    path = f"/groups/{TEAM}/reprocess"
    async with browser(run) as page:
        foreign = await page.post(path, headers={**SAME_SITE, "sec-fetch-site": "cross-site"})
    async with browser(run, READER) as page:
        reader = await page.post(path, headers=SAME_SITE)
        shown = await page.get(f"/groups/{TEAM}")
    assert (foreign.status_code, reader.status_code) == (403, 403)
    assert "This was not done" in foreign.text
    assert "Change licenses" not in shown.text
    assert run.fakes.sent() == []


async def test_who_is_not_signed_in_is_sent_to_sign_in_and_programs_are_told() -> None:
    run, _ = await licensed()
    async with browser(run, {"accept": "text/html"}) as page:
        person = await page.get("/groups?search=a")
        program = await page.get("/groups", headers={"accept": "application/json"})
    assert person.status_code == 302
    assert person.headers["location"] == "/.auth/login/aad?post_login_redirect_uri=%2Fgroups%3Fsearch%3Da"
    assert (program.status_code, program.json()["error"]["code"]) == (401, "Unauthorized")


async def test_a_person_decides_about_removals_on_the_page() -> None:
    run = Run()
    people = run.people(30)
    await run.change([SMALL])
    waiting = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    async with browser(run) as page:
        assert str(TEAM) in (await page.get("/approvals")).text or "team" in (await page.get("/approvals")).text.lower()
        wrong = await page.post(f"/operations/{waiting.id}/approve", content="checksum=other", headers=SAME_SITE)
        assert wrong.status_code == 400
        checksum = urlencode({"checksum": waiting.checksum})
        approved = await page.post(f"/operations/{waiting.id}/approve", content=checksum, headers=SAME_SITE)
        unknown = await page.post(f"/operations/{waiting.id}/explode", headers=SAME_SITE)
    assert (approved.status_code, unknown.status_code) == (303, 404)
    ended = await run.finish(waiting)
    assert ended.state is OperationState.COMPLETE
    assert not any(run.licenses(each) for each in people)


async def test_options_are_set_and_faults_named() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        shown = await page.get(f"/groups/{TEAM}")
        assert '<input type="hidden" name="version" value="1">' in shown.text
        good = urlencode({"usage_location": "de", "grace_days": "30", "include_guests": "on", "version": "1"})
        done = await page.post(f"/groups/{TEAM}/options", content=good, headers=SAME_SITE)
        bad = await page.post(f"/groups/{TEAM}/options", content="usage_location=Germany&priority=x", headers=SAME_SITE)
        late = await page.post(f"/groups/{TEAM}/options", content=good, headers=SAME_SITE)
        typed = await page.post(f"/groups/{TEAM}/options", json={}, headers={"sec-fetch-site": "same-origin"})
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    assert (done.status_code, bad.status_code, late.status_code, typed.status_code) == (303, 400, 409, 415)
    assert "Somebody else has changed" in late.text
    assert "usageLocation: must be a country code of two letters" in bad.text
    assert "priority: " in bad.text
    options = stored.assignment.options
    assert (options.usage_location, options.grace.days, options.include_guests) == ("DE", 30, True)
    assert not options.include_disabled_accounts


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+1",
        "-1",
        "@x",
        "\t=1",
        "\r=1",
        '"=1',
        " =1",
        "''+1",
        "\uff1d1",
        "x;=1",
        "x,@y",
        "x\n=1",
        "x;  -1",
        '";"=1',
    ],
)
def test_no_cell_of_a_download_is_run_by_a_spreadsheet_whatever_parts_its_cells(cell: str) -> None:
    text = csv_text(["a", "b"], [["x", cell], [cell, "x"]]).removeprefix("\ufeff")
    for piece in re.split(r"[,;\t\r\n]", text):
        assert piece.strip(' "')[:1] not in {"=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"}, text


def test_plain_cells_of_a_download_stay_as_they_are() -> None:
    cells = [
        "Ada Lovelace",
        "ada-x+y@contoso.example",
        "2026-11-25 10:00:00",
        "a, b; c",
        "No seat: buy one.",
        "ä=b",
        "",
    ]
    (_, row) = csv.reader(io.StringIO(csv_text(["a"] * len(cells), [cells])))
    assert row == cells


async def test_downloads_hold_what_is_shown() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        audit = await page.get("/audit.csv")
        lines = await page.get(f"/audit.jsonl?group={TEAM}")
        members = await page.get(f"/groups/{TEAM}/members.csv?show=all")
    assert "attachment" in audit.headers["content-disposition"]
    assert len(members.text.splitlines()) == 4
    assert all(f'"group_id": "{TEAM}"' in line for line in lines.text.splitlines())


async def test_what_is_not_there_is_said_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        for path in (f"/groups/{GroupId(user(9))}", f"/users/{UserId(user(99))}", "/static/secret", "/groups/no-guid"):
            answer = await page.get(path)
            assert answer.status_code in (400, 404), path


async def test_a_choice_is_checked_while_it_is_made() -> None:
    run = Run()
    project, sharepoint = "fe71d6c3-a2ea-4499-9778-da042bf08063", "5dbe027f-2339-4123-9542-606e4d348a72"
    plans = tuple(
        ServicePlan(ServicePlanId(each), name) for each, name in ((project, "PROJECT"), (sharepoint, "SHARE"))
    )
    run.directory.add_sku(SubscribedSku(SkuId(user(70)), "PROJECTS", plans, enabled=10))
    check = f"/groups/{TEAM}/assign/check"
    lonely = urlencode({"version": 0, "sku": user(70), f"plan-{user(70)}": project})
    whole = urlencode({"version": 0, "sku": user(70), f"plan-{user(70)}": [project, sharepoint]}, doseq=True)
    async with browser(run, READER) as page:
        answers = [
            (await page.post(check, content=content, headers=SAME_SITE)).text
            for content in (
                lonely,
                whole,
                f"version=0&sku={user(71)}",
                "version=0&sku=x",
                "version=0",
                whole.replace("version=0", "version=3"),
            )
        ]
    assert "will be switched off" in answers[0] or "notice bad" in answers[0]
    assert ["notice" in answer for answer in answers] == [True, False, True, True, False, True]
    assert run.fakes.sent() == []


@pytest.mark.parametrize(("act", "said"), [("adopt", "plans that are on stay on"), ("enable", "they stay theirs")])
async def test_licenses_of_somebody_else_are_taken_over_or_completed_after_a_preview(act: str, said: str) -> None:
    run, _, same, lacking = await given_group()
    sku = urlencode({"sku": SMALL.sku_id})
    async with browser(run) as page:
        assert "Take over" in (await page.get(f"/users/{same}")).text
        for path in (f"/groups/{TEAM}/{act}", f"/users/{lacking}/{act}"):
            sent = await page.post(path, content=sku, headers=SAME_SITE)
            assert sent.status_code == 303
            await run.work_off()
            shown = await page.get(sent.headers["location"])
            assert said in shown.text
            (preview,), _ = await run.world.stores.operations.newest(1)
            checksum = urlencode({"checksum": preview.checksum})
            started = await page.post(f"{sent.headers['location']}/confirm", content=checksum, headers=SAME_SITE)
            assert started.status_code == 303
            await run.work_off()
        odd = await page.post(f"/groups/{TEAM}/explode", content=sku, headers=SAME_SITE)
    assert run.directory.licenses(lacking)[SMALL.sku_id] == frozenset()
    assert odd.status_code in (400, 404)


async def test_the_health_page_shows_the_quota_in_use_and_what_waits() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        whole = await page.get("/health")
        live = await page.get("/health/queues")
        run.fakes.watch.away = True
        away = await page.get("/health/queues")
    assert "of 3,000" in whole.text
    assert "members-bulk" in live.text
    assert "was told to be away" in away.text
