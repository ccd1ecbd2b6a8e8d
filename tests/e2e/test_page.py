"""The page in a real browser on the whole stack: choose, preview, confirm, watch, find the error, try again."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browsing import CHROMIUM, NO_CHROMIUM, chromium, signed_in
from tests.support.stack_journeys import PATIENCE_S, Journey, journey

HOSTILE = '<img src=x onerror="document.title=1">'

pytestmark = pytest.mark.skipif(not CHROMIUM, reason=NO_CHROMIUM)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    with journey(tmp_path_factory.mktemp("page"), members=80, processes=1) as started:
        started.client.tenant("POST", "/objects", {"users": [{"displayName": HOSTILE, "usageLocation": "DE"}]})
        started.oracle.meet(started.directory())
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(run: Journey, browser: Browser) -> Iterator[Page]:
    """A License Administrator who has signed in."""
    with signed_in(run, browser) as found:
        yield found


@contextmanager
def slow(run: Journey) -> Iterator[None]:
    """Graph answers so slowly that there is time to press a button while an operation goes on."""
    run.client.tenant("PATCH", "/settings", {"latencyMs": [2000, 2500]})
    try:
        yield
    finally:
        run.client.tenant("PATCH", "/settings", {"latencyMs": [5, 20]})


def test_a_group_is_found_licensed_watched_and_its_errors_reprocessed(run: Journey, page: Page) -> None:
    page.goto("/groups")
    page.get_by_label("Group name or ID").fill("main")
    page.get_by_role("button", name="Search").click()
    row = page.locator("tr", has=page.get_by_text(run.main))
    row.get_by_role("link", name="Assign licenses").click()
    page.locator(f"input[name=sku][value='{run.skus['SPE_E3']}']").check()
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("button", name="Confirm and start")).to_be_visible()
    page.get_by_role("button", name="Confirm and start").click()
    expect(page.get_by_role("heading", name="Operation: assign")).to_be_visible()
    expect(page.locator("#progress .badge")).to_have_text("Completed")
    run.believe(run.main, {"SPE_E3": []}, [])
    run.must_be_right()
    page.goto(f"/groups/{run.main}")
    expect(page.locator("#members .remedy").first).to_be_visible()
    page.locator("#members").get_by_role("button", name="Reprocess").first.click()
    expect(page.locator("#progress .badge")).to_have_text("Completed")


def test_a_person_is_found_by_surname_and_distinguished_from_namesakes(run: Journey, page: Page) -> None:
    people = run.client.tenant("GET", "/directory")["users"]
    surnames = Counter(each["displayName"].split(" ", 1)[-1] for each in people)
    surname, _ = next(each for each in surnames.most_common() if 1 < each[1] <= 25)
    page.goto("/users")
    page.get_by_label("People, groups and products").fill(surname)
    page.get_by_label("People, groups and products").press("Enter")
    expect(page.get_by_role("heading", name="People")).to_be_visible()
    assert page.locator("table.people tbody tr").count() >= surnames[surname]
    assert page.locator("td[data-label=Department]").first.inner_text() != ""
    assert surname not in page.url
    page.locator("table.people tbody a").first.click()
    expect(page.get_by_role("heading", name="Apps")).to_be_visible()


def test_licenses_are_chosen_and_confirmed_with_the_keyboard_alone(run: Journey, page: Page) -> None:
    page.goto(f"/groups/{run.groups['overlap']}/assign")
    box = page.locator(f"input[name=sku][value='{run.skus['SPE_E3']}']")
    for _ in range(200):
        page.keyboard.press("Tab")
        if box.evaluate("box => box === document.activeElement"):
            break
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url("**/operations/*")
    confirm = page.get_by_role("button", name="Confirm and start")
    expect(confirm).to_be_visible()
    for _ in range(40):
        page.keyboard.press("Tab")
        if confirm.evaluate("button => button === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Operation: assign")).to_be_visible()
    expect(page.locator("#progress .badge")).to_have_text("Completed")
    run.believe(run.groups["overlap"], {"SPE_E3": []}, [])
    run.must_be_right()


def test_nothing_scrolls_sideways_on_a_phone_and_no_name_is_run(run: Journey, page: Page) -> None:
    rejected: list[str] = []
    page.on("console", lambda line: rejected.append(line.text) if "Content Security Policy" in line.text else None)
    page.set_viewport_size({"width": 360, "height": 740})
    views = ("/licenses", "/groups", f"/groups/{run.main}", "/operations", "/approvals", "/audit", "/health")
    for view in (*views, f"/groups/{run.main}/assign", "/users"):
        page.goto(view)
        if view == "/users":
            page.locator("#search").fill("<img")
            page.get_by_role("button", name="Search").click()
            expect(page.get_by_text(HOSTILE)).to_be_visible()
            page.wait_for_load_state()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, view
    assert HOSTILE in page.locator("main").inner_text()
    assert page.title() != "1"
    assert rejected == []


def test_a_reader_sees_no_way_to_write_and_is_rejected(run: Journey, browser: Browser) -> None:
    with signed_in(run, browser, "Global Reader") as page:
        page.goto(f"/groups/{run.main}")
        assert page.get_by_role("button", name="Reprocess").count() == 0
        status = page.evaluate(
            "path => fetch(path, {method: 'POST'}).then(answer => answer.status)", f"/groups/{run.main}/reprocess"
        )
        assert status == 403


def test_an_operation_is_paused_and_resumed_and_another_cancelled_back_to_what_was_before(
    run: Journey, page: Page
) -> None:
    with slow(run):
        resumed = run.change(run.main, {"EMS": []}, [])
        page.goto(f"/operations/{resumed['id']}")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#progress .badge")).to_have_text("Paused")
        page.get_by_role("button", name="Resume").click()
        expect(page.locator("#progress .badge")).not_to_have_text("Paused")
    assert run.until_ended(resumed["id"])["state"] == "ProcessingComplete"
    run.believe(run.main, {"EMS": []}, [])
    with slow(run):
        cancelled = run.change(run.main, {"VISIOCLIENT": []}, [])
        page.goto(f"/operations/{cancelled['id']}")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#progress .badge")).to_have_text("Paused")
        page.locator("summary", has_text="Cancel").click()
        page.get_by_label("Go back to what the group gave before").check()
        page.get_by_role("button", name="Cancel the operation").click()
        page.wait_for_url(lambda url: "/operations/" in url and cancelled["id"] not in url)
    back = run.finish(run.client.operation(page.url.rsplit("/", 1)[1]))
    assert back["state"] == "ProcessingComplete"
    assert run.until_ended(cancelled["id"])["state"] == "Cancelled"
    run.must_be_right()


def test_one_problem_is_found_among_the_others_with_the_form(run: Journey, page: Page) -> None:
    errors = run.errors(run.main)
    page.goto(f"/groups/{run.main}")
    kinds = Counter(error for row in errors.values() for error in {each["error"] for each in row["problems"]})
    kind, number = kinds.most_common()[-1]
    assert number < 50 and len(kinds) > 1
    page.get_by_label("Problem").select_option(kind)
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**error=*")
    expected = {user for user, row in errors.items() if kind in {each["error"] for each in row["problems"]}}
    assert page.locator("#members tbody tr").count() == len(expected)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    with download.value.path().open(encoding="utf-8-sig", newline="") as file:
        assert {row["id"] for row in csv.DictReader(file)} == expected


def test_many_removals_are_seen_and_approved_by_a_person(run: Journey, page: Page) -> None:
    assignment = run.client.api("GET", f"/api/groups/{run.main}/licenseAssignment")
    given = [sku["skuPartNumber"] for sku in assignment["assignedLicenses"]]
    waiting = run.client.ended(run.change(run.main, {}, given)["id"], PATIENCE_S)
    assert waiting["state"] == "AwaitingApproval"
    page.goto("/approvals")
    page.locator("tr", has_text="users").get_by_role("link", name=re.compile("^Remove ")).click()
    expect(page.get_by_text(f"{waiting['plan']['usersLosing']} users would lose something")).to_be_visible()
    page.get_by_role("button", name="Approve the removals").click()
    assert page.url.endswith(waiting["id"]), "the number of people is missing"
    page.get_by_label("enter the number of people").fill(str(waiting["plan"]["usersLosing"]))
    page.get_by_role("button", name="Approve the removals").click()
    expect(page.get_by_role("status")).to_have_text("The removals are approved.")
    expect(page.locator("#progress .badge")).to_have_text("Completed")
    run.believe(run.main, {}, given)
    run.must_be_right()
