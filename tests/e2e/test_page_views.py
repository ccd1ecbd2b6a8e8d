"""Every view of the page: accessible, whole on a phone, without broken words, without JavaScript, and right in any
time zone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from local.stack import ROOT
from tests.support.browsing import CHROMIUM, NO_CHROMIUM, chromium, signed_in
from tests.support.stack_journeys import Journey
from tests.support.views import View, busy_tenant

AXE = ROOT / "local" / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"width": 360, "height": 740}
WIDE = {"width": 1280, "height": 800}
ROLE = "Global Administrator"

BROKEN_WORDS = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    if (!walker.currentNode.parentElement.checkVisibility({ contentVisibilityAuto: true })) continue;
    for (const word of walker.currentNode.data.matchAll(/[A-Za-z]{2,20}/g)) {
      const range = document.createRange();
      range.setStart(walker.currentNode, word.index);
      range.setEnd(walker.currentNode, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size > 1) found.push(word[0]);
    }
  }
  return found;
}"""
"""Words of the page that are broken over two lines."""

pytestmark = pytest.mark.skipif(not CHROMIUM, reason=NO_CHROMIUM)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Journey, list[View]]]:
    with busy_tenant(tmp_path_factory.mktemp("views")) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_view(prepared: tuple[Journey, list[View]], browser: Browser, scheme: str) -> None:
    run, views = prepared
    found: list[str] = []
    with signed_in(run, browser, ROLE, color_scheme=scheme) as page:
        for view in views:
            view.show(page)
            page.evaluate(AXE.read_text())
            result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            for violation in result["violations"]:
                where = violation["nodes"][0]["html"][:160]
                found.append(f"{view.name}: {violation['id']}: {violation['help']}: {where}")
    assert found == []


def test_every_view_fits_a_phone(prepared: tuple[Journey, list[View]], browser: Browser) -> None:
    run, views = prepared
    wide = []
    with signed_in(run, browser, ROLE, viewport=PHONE) as page:
        for view in views:
            view.show(page)
            width = page.evaluate("document.documentElement.scrollWidth")
            wide += [f"{view.name}: {width}"] if width > PHONE["width"] else []
    assert wide == []


def test_no_word_is_broken_at_1280_pixels(prepared: tuple[Journey, list[View]], browser: Browser) -> None:
    run, views = prepared
    broken = {}
    with signed_in(run, browser, ROLE, viewport=WIDE) as page:
        for view in views:
            view.show(page)
            if words := page.evaluate(BROKEN_WORDS):
                broken[view.name] = words
            assert page.evaluate("document.documentElement.scrollWidth") <= WIDE["width"], view.name
    assert broken == {}


def test_the_first_tab_reaches_the_link_to_the_content_and_buttons_have_names_of_their_own(
    prepared: tuple[Journey, list[View]], browser: Browser
) -> None:
    run, views = prepared
    repeated = {}
    with signed_in(run, browser, ROLE) as page:
        for view in views:
            page.goto(view.path)
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.className") == "skip", view.name
            expect(page.locator(".skip")).to_be_in_viewport()
            names = [each.get_attribute("aria-label") or each.inner_text() for each in page.get_by_role("button").all()]
            if twice := {each for each in names if names.count(each) > 1 and "CSV" not in each}:
                repeated[view.name] = twice
    assert repeated == {}


def test_a_date_is_the_same_day_in_every_time_zone(prepared: tuple[Journey, list[View]], browser: Browser) -> None:
    run, views = prepared
    (event,) = [each for each in views if each.name == "onboarding-event"]
    for zone in ("Pacific/Honolulu", "Pacific/Auckland"):
        with signed_in(run, browser, ROLE, timezone_id=zone, locale="en-US") as page:
            event.show(page)
            expect(page.locator("time[datetime='2026-01-01']").first).to_have_text("Jan 1, 2026")


def test_every_view_is_there_without_javascript(prepared: tuple[Journey, list[View]], browser: Browser) -> None:
    run, views = prepared
    with signed_in(run, browser, ROLE, java_script_enabled=False) as page:
        for view in views:
            page.goto(view.path)
            expect(page.locator("main h1")).to_be_visible()


def test_licenses_are_assigned_without_javascript(prepared: tuple[Journey, list[View]], browser: Browser) -> None:
    run, _ = prepared
    with signed_in(run, browser, ROLE, java_script_enabled=False) as page:
        page.goto(f"/groups/{run.groups['labs']}/assign")
        page.locator(f"input[name=sku][value='{run.skus['EMS']}']").check()
        page.get_by_role("button", name="Preview").click()
        preview = page.url.rsplit("/", 1)[1]
        run.client.ended(preview, 240)
        page.reload()
        page.get_by_role("button", name="Confirm and start").click()
        operation = page.url.rsplit("/", 1)[1]
        assert operation != preview
    assert run.until_ended(operation)["state"] == "ProcessingComplete"


def test_a_choice_survives_the_way_back_and_the_end_of_the_session(
    prepared: tuple[Journey, list[View]], browser: Browser
) -> None:
    run, _ = prepared
    path = f"/groups/{run.groups['sales']}/assign"
    with signed_in(run, browser, ROLE) as page:
        page.goto(path)
        product = page.locator("section", has=page.locator(f"input[value='{run.skus['EMS']}']"))
        product.locator("input[name=sku]").check()
        product.get_by_role("button", name="None of the apps").click()
        assert product.locator("fieldset input:checked").count() == 0
        product.locator("fieldset input").first.check()
        expect(page.locator("#warnings .summary")).to_contain_text("without")
        page.context.clear_cookies()
        page.get_by_role("button", name="Preview").click()
        page.get_by_role("button", name=ROLE, exact=True).click()
        page.wait_for_url(f"**{path}")
        expect(product.locator("input[name=sku]")).to_be_checked()
        assert product.locator("fieldset input:checked").count() == 1
        expect(page.get_by_text("Your earlier choices are shown.")).to_be_visible()
        page.get_by_role("button", name="Preview").click()
        page.get_by_role("link", name="Go back").click()
        expect(product.locator("input[name=sku]")).to_be_checked()
        assert product.locator("fieldset input:checked").count() == 1
        page.goto(path)
        page.get_by_role("button", name="Start over").click()
        expect(product.locator("input[name=sku]")).not_to_be_checked()


def test_a_conflict_is_shown_as_soon_as_a_box_is_ticked_without_another_page(
    prepared: tuple[Journey, list[View]], browser: Browser
) -> None:
    run, _ = prepared
    with signed_in(run, browser, ROLE) as page:
        page.goto(f"/groups/{run.groups['sales']}/assign")
        loaded = page.evaluate("performance.timeOrigin")
        page.locator(f"input[name=sku][value='{run.skus['SPE_F1']}']").check()
        expect(page.locator("#warnings .warn").first).to_contain_text(re.compile("exclusive|rejected"))
        assert page.evaluate("performance.timeOrigin") == loaded
