"""The assign dialog keeps what was chosen, names apps, and shows faults while boxes are ticked."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlencode

from shared.domain.directory import AssignedLicense, DirectoryGroup, ServicePlan, SubscribedSku
from shared.domain.ids import ServicePlanId, SkuId
from tests.support.pages import SAME_SITE, browser, chosen, previewed, send
from tests.support.runs import EXTRA, SMALL, TEAM, Run, product, user

EXCHANGE = ServicePlanId("efb87545-963c-4e0d-99df-69c6916d9eb0")
TEAMS = ServicePlanId("57ff2da0-773e-42df-b2af-ffb7a2317929")
SUITE = SubscribedSku(
    SkuId(user(70)), "SUITE", (ServicePlan(EXCHANGE, "EXCHANGE_S_ENTERPRISE"), ServicePlan(TEAMS, "TEAMS1")), enabled=9
)


def ticked(text: str) -> list[str]:
    """The values of all boxes that are ticked."""
    return re.findall(r'name="(?:sku|plan-[^"]+)" value="([^"]+)" checked', text)


def suite(run: Run) -> str:
    """The form of the suite without Teams."""
    run.directory.add_sku(SUITE)
    return urlencode({"version": 0, "sku": SUITE.sku_id, f"plan-{SUITE.sku_id}": EXCHANGE})


async def test_apps_have_friendly_names_and_the_summary_names_those_that_are_off() -> None:
    run = Run()
    run.people(2)
    form = suite(run)
    async with browser(run) as page:
        dialog = (await page.get(f"/groups/{TEAM}/assign")).text
        checked = (await page.post(f"/groups/{TEAM}/assign/check", content=form, headers=SAME_SITE)).text
        shown, _ = await previewed(run, page, form)
        preview = (await page.get(shown)).text
    assert "Exchange Online (Plan 2)" in dialog and "None of the apps of SUITE" in dialog
    assert "<li>Assign SUITE without Microsoft Teams.</li>" in checked
    assert "<strong>SUITE</strong> without Microsoft Teams" in preview


async def test_a_rejected_form_is_shown_again_with_everything_that_was_entered() -> None:
    run = Run()
    form = suite(run) + "&with_options=1&grace_days=7&usage_location=ZZ&include_guests=on&priority=3"
    async with browser(run) as page:
        wrong = await page.post(f"/groups/{TEAM}/assign", content=form, headers=SAME_SITE)
    assert wrong.status_code == 400
    assert "&#39;ZZ&#39; is none" in wrong.text and 'role="alert"' in wrong.text
    assert sorted(ticked(wrong.text)) == sorted([SUITE.sku_id, EXCHANGE, *_others()])
    assert 'name="usage_location" maxlength="2" value="ZZ"' in wrong.text
    assert 'value="7"' in wrong.text and 'name="include_guests" checked' in wrong.text


def _others() -> list[str]:
    """Apps of products that are not ticked: they are all on, should the product be ticked."""
    three = (*SMALL.service_plans, *product(2, "LARGE", (1, 2, 3, 4)).service_plans, *EXTRA.service_plans)
    return [plan.service_plan_id for plan in three]


async def test_going_back_from_a_preview_keeps_the_choice() -> None:
    run = Run()
    run.people(2)
    await run.change([SMALL])
    async with browser(run) as page:
        form = suite(run).replace("version=0", "version=1")
        shown, _ = await previewed(run, page, form)
        preview = (await page.get(shown)).text
        address = re.findall(r'href="(/groups/[^"]*/assign\?preview=[^"]*)"', preview)
        back = (await page.get(address[0])).text
    assert SUITE.sku_id in ticked(back) and TEAMS not in ticked(back) and EXCHANGE in ticked(back)
    assert SMALL.sku_id not in ticked(back), "the choice removed it"


async def test_products_that_were_added_meanwhile_are_ticked_in_the_form_that_is_shown_again() -> None:
    run = Run()
    run.people(2)
    await run.change([SMALL])
    await run.change([EXTRA])
    async with browser(run) as page:
        late = await send(page, f"/groups/{TEAM}/assign", chosen(SMALL, version=1))
        sent = re.findall(r'name="version" value="(\d)"', late.text)
    assert (late.status_code, sent) == (409, ["2"])
    assert {SMALL.sku_id, EXTRA.sku_id} <= set(ticked(late.text))


async def test_a_native_overlap_is_shown_as_soon_as_a_box_is_ticked() -> None:
    run = Run()
    native = (AssignedLicense(SMALL.sku_id),)
    group = DirectoryGroup(TEAM, "Team", security_enabled=True, native_skus=native)
    run.directory.add_group(TEAM, group=group)
    check = f"/groups/{TEAM}/assign/check"
    async with browser(run) as page:
        dialog = (await page.get(f"/groups/{TEAM}/assign")).text
        overlap = (await send(page, check, chosen(SMALL))).text
        allowed = (
            await send(page, check, chosen(SMALL, options={"with_options": "1", "allow_native_overlap": "on"}))
        ).text
        other = (await send(page, check, chosen(EXTRA))).text
    assert "Native group-based licensing already assigns this product" in dialog
    assert "notice bad" in overlap and "native group-based licensing" in overlap
    assert "notice" not in allowed and "notice" not in other


async def test_a_removal_is_confirmed_with_the_number_of_people() -> None:
    run = Run()
    people = run.people(3)
    await run.change([SMALL])
    async with browser(run) as page:
        shown, form = await previewed(run, page, chosen(version=1))
        text = (await page.get(shown)).text
        hasty = [await send(page, f"{shown}/confirm", form.replace("people=3", each)) for each in ("", "people=2")]
        started = await send(page, f"{shown}/confirm", form.replace("people=3", "people=%20 3"))
    assert [each.status_code for each in hasty] == [400, 400] and "which is 3" in hasty[0].text
    assert 'class="danger">Remove and start' in text and 'class="primary"' not in text
    assert started.status_code == 303
    await run.work_off()
    assert not any(run.licenses(each) for each in people)


async def test_the_options_dialog_of_a_known_group_is_not_reset_by_a_fault() -> None:
    run = Run()
    run.people(1)
    await run.change([SMALL])
    run.directory.add_sku(replace(SUITE, applies_to="Company"))
    async with browser(run) as page:
        form = urlencode({"version": 1, "sku": [SMALL.sku_id, SUITE.sku_id]}, doseq=True)
        wrong = await send(page, f"/groups/{TEAM}/assign", form)
    assert wrong.status_code == 400 and SMALL.sku_id in ticked(wrong.text)
    assert "with_options" not in wrong.text
