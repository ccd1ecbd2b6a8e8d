"""What people do on the pages: choose, preview, confirm, approve, cancel; also at the same time or twice."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from shared.domain.directory import ServicePlan, SubscribedSku
from shared.domain.ids import ServicePlanId, SkuId
from shared.domain.operation import OperationState
from tests.support.pages import READER, SAME_SITE, browser, chosen, licensed, previewed, send
from tests.support.runs import EXTRA, LARGE, SMALL, TEAM, Run, user
from tests.support.unmanaged import given_group


async def test_what_somebody_else_assigned_meanwhile_is_not_taken_for_unticked() -> None:
    run = Run()
    run.people(3)
    await run.change([SMALL])
    async with browser(run) as page:
        assert 'name="version" value="1"' in (await page.get(f"/groups/{TEAM}/assign")).text
        await run.change([EXTRA])
        late = await send(page, f"/groups/{TEAM}/assign", chosen(SMALL, LARGE, version=1))
        fresh = await send(page, f"/groups/{TEAM}/assign", chosen(SMALL, EXTRA, LARGE, version=2))
    assert (late.status_code, "Somebody else has changed" in late.text) == (409, True)
    assert fresh.status_code == 303
    (newest, *_), _ = await run.world.stores.operations.newest(5)
    assert (newest.preview, newest.change.remove) == (True, ())


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


async def test_a_preview_of_what_the_group_gave_before_is_not_confirmed() -> None:
    run = Run()
    run.people(3)
    async with browser(run) as page:
        shown, checksum = await previewed(run, page, chosen(SMALL))
        await run.change([EXTRA])
        refused = await send(page, f"{shown}/confirm", checksum)
    assert (refused.status_code, "Somebody else has changed" in refused.text) == (409, True)
    assert all(run.licenses(user(n)) == {"EXTRA"} for n in (1, 2, 3))


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
    assert (done.headers["location"] == f"/operations/{asked.id}") == (intent == "keep")
    await run.work_off()
    assert (await run.read(asked)).state is OperationState.CANCELLED
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    assert {sku.sku_id for sku in stored.assignment.skus} == skus


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
