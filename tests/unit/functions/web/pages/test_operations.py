"""Pages of operations: what they show, and what a person decides, also twice, at the same time or too late."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import pytest

from functions.web.pages.labels import STATE_WORDS
from shared.domain.directory import LicenseAssignmentState, ServicePlan
from shared.domain.ids import ServicePlanId
from shared.domain.operation import OperationState
from tests.support.api_calls import claims_of, session
from tests.support.pages import SAME_SITE, browser, chosen, licensed, previewed, send
from tests.support.runs import EXTRA, SMALL, TEAM, Run, product, user


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


async def test_a_person_decides_about_removals_on_the_page() -> None:
    run = Run()
    people = run.people(30)
    await run.change([SMALL])
    waiting = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    async with browser(run) as page:
        assert str(TEAM) in (await page.get("/approvals")).text or "team" in (await page.get("/approvals")).text.lower()
        wrong = await page.post(
            f"/operations/{waiting.id}/approve", content="checksum=other&people=30", headers=SAME_SITE
        )
        assert wrong.status_code == 409
        checksum = urlencode({"checksum": waiting.checksum, "people": "30"})
        approved = await page.post(f"/operations/{waiting.id}/approve", content=checksum, headers=SAME_SITE)
        unknown = await page.post(f"/operations/{waiting.id}/explode", headers=SAME_SITE)
    assert (approved.status_code, unknown.status_code) == (303, 404)
    ended = await run.finish(waiting)
    assert ended.state is OperationState.COMPLETE
    assert not any(run.licenses(each) for each in people)


async def test_a_preview_is_confirmed_once_however_often_the_button_is_pressed() -> None:
    run = Run()
    run.people(3)
    async with browser(run) as page:
        shown, checksum = await previewed(run, page, chosen(SMALL))
        first = await send(page, f"{shown}/confirm", checksum)
        again = await send(page, f"{shown}/confirm", checksum)
        await run.work_off()
        after = await send(page, f"{shown}/confirm", checksum)
    places = {answer.headers["location"] for answer in (first, again, after)}
    assert len(places) == 1
    operations, _ = await run.world.stores.operations.newest(10)
    assert [operation.preview for operation in operations] == [False, True]


async def test_removals_of_a_preview_are_approved_by_who_confirms_it_only_with_the_role_and_a_recent_sign_in() -> None:
    run = Run()
    run.people(30)
    await run.change([SMALL])
    base = {"accept": "text/html"}
    writer = {**session(claims_of(roles=["Licensing.Write"], tenant="tenant")), **base}
    yesterday = [*claims_of(roles=["Licensing.ReadWrite"], tenant="tenant"), ("auth_time", "1700000000")]
    async with browser(run, writer) as page:
        shown, checksum = await previewed(run, page, chosen(version=1))
        text = (await page.get(shown)).text
        async with browser(run, {**session(yesterday), **base}) as old:
            rejected = await send(old, f"{shown}/confirm", checksum)
        started = await send(page, f"{shown}/confirm", checksum)
        await run.work_off()
        (newest, *_), _ = await run.world.stores.operations.newest(5)
        waiting = (await page.get(f"/operations/{newest.id}")).text
        approved = await send(
            page, f"/operations/{newest.id}/approve", urlencode({"checksum": newest.checksum, "people": "30"})
        )
    assert "will wait for a person with the role Licensing.Approve" in text
    assert (rejected.status_code, "Sign out and sign in again" in rejected.text) == (401, True)
    assert started.status_code == 303
    assert (newest.state, newest.preview_id) == (OperationState.AWAITING_APPROVAL, None)
    assert "Approve the removals" not in waiting
    assert (approved.status_code, "Licensing.Approve" in approved.text) == (403, True)


async def test_a_preview_of_what_the_group_gave_before_is_not_confirmed() -> None:
    run = Run()
    run.people(3)
    async with browser(run) as page:
        shown, checksum = await previewed(run, page, chosen(SMALL))
        await run.change([EXTRA])
        rejected = await send(page, f"{shown}/confirm", checksum)
    assert (rejected.status_code, "The assignment was changed meanwhile" in rejected.text) == (409, True)
    assert all(run.licenses(user(n)) == {"EXTRA"} for n in (1, 2, 3))


@pytest.mark.parametrize(("intent", "skus"), [("keep", {SMALL.sku_id, EXTRA.sku_id}), ("former", {SMALL.sku_id})])
async def test_cancelling_keeps_what_was_asked_or_goes_back_to_what_was_before(intent: str, skus: set[str]) -> None:
    run = Run()
    run.people(3)
    await run.change([SMALL])
    asked = await run.ask([EXTRA])
    async with browser(run) as page:
        assert "Go back to what the group gave before" in (await page.get(f"/operations/{asked.id}")).text
        done = await send(page, f"/operations/{asked.id}/cancel", urlencode({"intent": intent}))
    assert done.status_code == 303
    assert (done.headers["location"].partition("?")[0] == f"/operations/{asked.id}") == (intent == "keep")
    await run.work_off()
    assert (await run.read(asked)).state is OperationState.CANCELLED
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    assert {sku.sku_id for sku in stored.assignment.skus} == skus


async def test_a_preview_tells_each_member_s_error_and_product() -> None:
    run = Run()
    good, without = run.people(2)
    run.directory.change_user(replace(run.directory.truth(without), usage_location=None))
    async with browser(run) as page:
        options = {"with_options": "1", "require_usage_location": "on", "include_guests": "on"}
        shown, _ = await previewed(run, page, chosen(SMALL, options=options))
        text = (await page.get(shown)).text
        rows = (await page.get(f"/api{shown}/members", headers={"accept": "application/json"})).json()["value"]
    by_id = {row["id"]: row for row in rows}
    assert by_id[good]["expectedErrors"] == []
    assert [each["error"] for each in by_id[without]["expectedErrors"]] == ["ProhibitedInUsageLocationViolation"]
    row = text[text.index(f'href="/users/{without}"') :]
    assert "Usage location isn&#39;t allowed" in row


async def test_a_preview_warns_of_listed_pairs_in_the_request_and_at_members_and_can_be_confirmed() -> None:
    run = Run()
    first, second = run.people(2)
    essentials, standard = "1126bef5-da20-4f07-b45e-ad25d2581aa8", "9aaf7827-d63c-4b61-89c3-182f06f82e5c"
    small, plan_1, mail = (
        replace(product(number, name, ()), service_plans=(ServicePlan(ServicePlanId(plan), name),))
        for number, name, plan in ((31, "SMALL_MAIL", essentials), (32, "PLAN_1", standard), (33, "MAIL", standard))
    )
    for sku in (small, plan_1, mail):
        run.directory.add_sku(sku)
    truth = run.directory.truth(first)
    run.directory.change_user(replace(truth, license_assignment_states=(LicenseAssignmentState(mail.sku_id),)))
    async with browser(run) as page:
        shown, checksum = await previewed(run, page, chosen(small, plan_1))
        text = (await page.get(shown)).text
        answer = (await page.get(f"/api{shown}", headers={"accept": "application/json"})).json()
        await send(page, f"{shown}/confirm", checksum)
    await run.work_off()
    listed, at_members = answer["plan"]["warnings"]
    assert listed.startswith("Microsoft lists SMALL_MAIL and PLAN_1 as exclusive (SMALL_MAIL and ")
    assert at_members.startswith("1 member has MAIL, which is listed as exclusive with SMALL_MAIL")
    for warning in (listed, at_members):
        assert warning in text
    assert run.licenses(second) == {"SMALL_MAIL", "PLAN_1"}
