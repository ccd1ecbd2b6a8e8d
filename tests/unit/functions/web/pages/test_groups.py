"""Pages of groups: licenses are chosen and previewed, options are set, one member is found among many."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from shared.domain.directory import AssignedLicense, LicenseError, ServicePlan, SubscribedSku
from shared.domain.ids import ServicePlanId, SkuId
from shared.domain.member_status import MemberState
from shared.domain.messages import MEMBERS, ProcessUsers
from shared.domain.operation import LicenseChange, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.outcomes import Problem
from shared.domain.read_models import MemberRow
from shared.handlers.operations.accept import accept
from shared.ports.messaging import Outgoing
from tests.support.pages import READER, SAME_SITE, browser, chosen, licensed, previewed, send
from tests.support.runs import EXTRA, LARGE, MIA, OTHER_TEAM, SMALL, TEAM, Run, user


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
    assert "Microsoft says that PROJECT of PROJECTS needs one of SHARE" in answers[0]
    assert ["notice" in answer for answer in answers] == [True, False, True, True, False, True]
    assert run.fakes.sent() == []


async def test_a_plan_that_the_form_does_not_show_stays_off_and_is_no_change() -> None:
    """It left its product since it was turned off."""
    run = Run()
    run.people(1)
    old = SMALL.service_plans[0].service_plan_id
    off = LicenseChange((AssignedLicense(SMALL.sku_id, frozenset({old})),))
    await run.finish(await accept(run.world, OperationRequest(Target(TEAM), MIA, off)))
    run.directory.retire_plan(SMALL.sku_id, old)
    left = replace(SMALL, service_plans=SMALL.service_plans[1:])
    async with browser(run) as page:
        same = await send(page, f"/groups/{TEAM}/assign", chosen(left, version=1))
        shown, checksum = await previewed(run, page, chosen(left, EXTRA, version=1))
        await send(page, f"{shown}/confirm", checksum)
    await run.work_off()
    assert "Nothing was changed" in same.text
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    assert {sku.sku_id: sku.disabled_plans for sku in stored.assignment.skus} == {
        SMALL.sku_id: {old},
        EXTRA.sku_id: frozenset(),
    }


async def test_what_another_assigned_meanwhile_is_not_taken_for_unticked() -> None:
    run = Run()
    run.people(3)
    await run.change([SMALL])
    async with browser(run) as page:
        assert 'name="version" value="1"' in (await page.get(f"/groups/{TEAM}/assign")).text
        await run.change([EXTRA])
        late = await send(page, f"/groups/{TEAM}/assign", chosen(SMALL, LARGE, version=1))
        fresh = await send(page, f"/groups/{TEAM}/assign", chosen(SMALL, EXTRA, LARGE, version=2))
    assert (late.status_code, "The assignment was changed meanwhile" in late.text) == (409, True)
    assert fresh.status_code == 303
    (newest, *_), _ = await run.world.stores.operations.newest(5)
    assert (newest.preview, newest.change.remove) == (True, ())


async def test_the_first_assignment_takes_its_options_with_it() -> None:
    run = Run()
    people = run.people(2, location=None)
    options = {"with_options": "1", "usage_location": "fr", "grace_days": "30", "include_guests": "on"}
    async with browser(run) as page:
        bad = await send(page, f"/groups/{TEAM}/assign", chosen(SMALL, options={**options, "grace_days": "400"}))
        assert (bad.status_code, "grace: " in bad.text) == (400, True)
        shown, checksum = await previewed(run, page, chosen(SMALL, options=options))
        await send(page, f"{shown}/confirm", checksum)
        await run.work_off()
        again = await page.get(f"/groups/{TEAM}/assign")
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    kept = stored.assignment.options
    assert (kept.usage_location, kept.grace.days, kept.include_disabled_accounts) == ("FR", 30, False)
    assert {run.directory.truth(each).usage_location for each in people} == {"FR"}
    assert "with_options" not in again.text


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
    assert "The assignment was changed meanwhile" in late.text
    assert "usageLocation: must be a country code of two letters" in bad.text
    assert "priority: " in bad.text
    options = stored.assignment.options
    assert (options.usage_location, options.grace.days, options.include_guests) == ("DE", 30, True)
    assert not options.include_disabled_accounts


async def troubled() -> Run:
    """A group of which many wait for a seat and few have another problem with another product."""
    run = Run()
    people = run.people(60)
    await run.change([SMALL, EXTRA])
    rows = []
    for n, each in enumerate(people):
        error, sku = (LicenseError.UNIQUENESS, EXTRA) if n % 20 == 7 else (LicenseError.COUNT_VIOLATION, SMALL)
        state = MemberState.ERROR if sku is EXTRA else MemberState.WAITING
        problem = Problem(error, "No.", "Do it.", sku.sku_id)
        known = replace(run.directory.truth(each), display_name=f"Person {n:02d}")
        run.directory.change_user(known)
        rows.append(
            MemberRow(
                TEAM, each, known.user_principal_name, f"Person {n:02d}", state, run.world.clock.now(), (problem,)
            )
        )
    await run.world.stores.members.record(rows)
    return run


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({"error": "UniquenessViolation"}, {7, 27, 47}),
        ({"product": EXTRA.sku_id}, {7, 27, 47}),
        ({"product": EXTRA.sku_id, "error": "CountViolation"}, set()),
        ({"show": "Error", "error": "UniquenessViolation"}, {7, 27, 47}),
        ({"show": "all", "error": "UniquenessViolation"}, {7, 27, 47}),
        ({"name": "person 2"}, set(range(20, 30))),
        ({"name": "person 2", "error": "UniquenessViolation"}, {27}),
        ({"name": "person 2", "show": "Error"}, {27}),
        ({"name": "person 2", "show": "all"}, set(range(20, 30))),
    ],
)
async def test_one_problem_is_found_among_many_on_the_page_and_in_the_download(
    query: dict[str, str], shown: set[int]
) -> None:
    run = await troubled()
    async with browser(run) as page:
        in_address = "name" not in query
        path, form = f"/groups/{TEAM}", urlencode(query)
        text = (await page.get(f"{path}?{form}") if in_address else await send(page, path, form)).text
        table = text[text.index('id="members"') : text.index("</table>", text.index('id="members"'))]
        path += "/members.csv"
        download = (await page.get(f"{path}?{form}") if in_address else await send(page, path, form)).text
    for where in (table, download):
        assert {n for n in range(60) if f"Person {n:02d}" in where} == shown
    assert ("No match" in table) == (not shown)


async def test_an_unknown_problem_is_rejected_by_name() -> None:
    run = await troubled()
    async with browser(run) as page:
        answer = await page.get(f"/groups/{TEAM}?error=Nonsense")
    assert (answer.status_code, "error: " in answer.text) == (400, True)


async def test_a_group_s_page_is_live_while_an_operation_is_open() -> None:
    run = Run()
    run.people(3)
    await run.ask([SMALL])
    async with browser(run) as page:
        going_on = (await page.get(f"/groups/{TEAM}")).text
        live = (await page.get(f"/groups/{TEAM}/live")).text
        await run.work_off()
        ended = (await page.get(f"/groups/{TEAM}/live")).text
        unknown = await page.get(f"/groups/{OTHER_TEAM}/live")
    assert f'data-poll="/groups/{TEAM}/live"' in going_on
    assert "data-poll" in live
    assert "data-poll" not in ended
    assert "All licenses assigned" in ended
    assert unknown.status_code == 404


async def test_removals_that_wait_are_shown_with_their_number_and_time_and_then_with_the_reason_for_the_hold() -> None:
    run = Run()
    people = run.people(60)
    await run.change([SMALL])
    for each in people[:25]:
        run.directory.leave(TEAM, each)
    body = ProcessUsers(tuple(people[:2]), "left", bulk=False).encode()
    await run.world.queue.send([Outgoing(MEMBERS, body)])
    await run.work_off(until=lambda: bool(run.fakes.sent()[0].at))
    at = (run.world.clock.now() + timedelta(minutes=5)).isoformat()
    async with browser(run) as page:
        waits = (await page.get(f"/groups/{TEAM}?show=all")).text
        assert "2 removals wait until" in waits
        assert at in waits
        assert "are decided together" in waits
        await run.reconcile(*people[:20], cause="left")
        held = (await page.get(f"/groups/{TEAM}")).text
        assert "25 of 60 members left within" in held
        assert "Review the removals" in held
        assert "25 of 60 members left within" in (await page.get("/approvals")).text


@pytest.mark.parametrize(
    ("allowance", "reason", "status"),
    [("30", "Shifts change", 303), ("30", "", 400), ("-1", "Why", 400), ("", "", 303)],
)
async def test_an_allowance_of_the_group_is_set_with_a_reason(allowance: str, reason: str, status: int) -> None:
    run, _ = await licensed()
    form = urlencode({"version": 1, "removal_allowance": allowance, "removal_allowance_reason": reason})
    async with browser(run) as page:
        sent = await page.post(f"/groups/{TEAM}/options", content=form, headers=SAME_SITE)
    assert sent.status_code == status
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    assert stored.assignment.options.removal_allowance == (int(allowance) if allowance and status == 303 else None)


async def test_a_group_is_not_managed_any_more_after_a_preview_that_counts_who_keeps_the_licenses() -> None:
    run = Run()
    people = run.people(3)
    await run.change([SMALL])
    async with browser(run) as page:
        assert "Stop managing this group" in (await page.get(f"/groups/{TEAM}")).text
        sent = await page.post(f"/groups/{TEAM}/stop-managing", headers=SAME_SITE)
        await run.work_off()
        shown = (await page.get(sent.headers["location"])).text
        assert "Preview: stop managing the group" in shown
        assert "<dt>Users who keep their licenses</dt><dd>3</dd>" in shown
        assert "Confirm and start" in shown
        (preview, *_), _ = await run.world.stores.operations.newest(1)
        checksum = urlencode({"checksum": preview.checksum})
        await page.post(f"{sent.headers['location']}/confirm", content=checksum, headers=SAME_SITE)
        await run.work_off()
        after = (await page.get(f"/groups/{TEAM}")).text
    assert "This group is not managed any more. Its former members keep their licenses." in after
    assert "Stop managing this group" not in after
    assert all(run.licenses(each) == {"SMALL"} for each in people)
