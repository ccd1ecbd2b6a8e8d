"""The twelve tasks of docs/testing.md, done in Chromium with the clicks counted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from local.stack import ROOT
from tests.support.administrator import assign_as_administrator
from tests.support.browsing import CHROMIUM, NO_CHROMIUM, Clicks, chromium, signed_in
from tests.support.stack_hires import accounts, by_queue, event, hiring, until
from tests.support.stack_journeys import PATIENCE_S, Journey, eventually

MOST = 4
DOCUMENTED = (ROOT / "docs" / "testing.md").read_text().partition("\n## Twelve tasks\n")[2].partition("\n## ")[0]
TASKS = {
    name: int(clicks) for name, clicks in re.findall(r"^\| ([^|]+) \| [^|]+ \| (\d)[^|]* \|$", DOCUMENTED, re.MULTILINE)
}
"""Clicks of each task, as the document says."""

pytestmark = pytest.mark.skipif(not CHROMIUM, reason=NO_CHROMIUM)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    with hiring(tmp_path_factory.mktemp("tasks"), members=120) as started:
        started.finish(started.change(started.main, {"SPE_E3": []}, []))
        started.believe(started.main, {"SPE_E3": []}, [])
        count(started)
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def person(run: Journey, browser: Browser) -> Iterator[Clicks]:
    """A License Administrator at the start page."""
    with signed_in(run, browser) as page:
        yield Clicks(page)


def count(run: Journey) -> None:
    """The counts that timers publish each minute."""
    run.fire("reconcile_due_users")


def licensed_member(run: Journey) -> dict[str, Any]:
    """A member who has Microsoft 365 E3."""
    rows = run.rows(f"/api/groups/{run.main}/members?$top=50")
    return next(row for row in rows if run.skus["SPE_E3"] in row["assignedSkuIds"])


def must_be_as_documented(person: Clicks, task: str) -> None:
    assert person.number == TASKS[task]
    assert person.number <= MOST


def test_every_task_is_documented() -> None:
    assert len(TASKS) == 12 and max(TASKS.values()) <= MOST


def test_who_lacks_a_license_in_one_group(run: Journey, person: Clicks) -> None:
    page, group = person.page, run.client.api("GET", f"/api/groups/{run.main}/status")
    person.section("Groups")
    person.click(page.get_by_role("link", name=group["displayName"], exact=True))
    expect(page.locator("#members .remedy").first).to_be_visible()
    must_be_as_documented(person, "which users lack a license and why, in one group")


def test_who_lacks_a_license_in_all_groups(run: Journey, person: Clicks) -> None:
    person.section("License errors")
    expect(person.page.locator(".remedy").first).to_be_visible()
    must_be_as_documented(person, "the same over all groups")


def test_a_product_is_assigned_with_an_app_off(run: Journey, person: Clicks) -> None:
    page, name = person.page, "Pilot users of the tasks"
    run.client.tenant("POST", "/objects", {"groups": [{"displayName": name}]})
    run.oracle.meet(run.directory())
    person.find(name)
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    product = page.locator("section", has=page.locator(f"input[name=sku][value='{run.skus['SPE_E3']}']"))
    person.click(product.locator("input[name=sku]"))
    person.click(product.get_by_label("Sway"))
    expect(page.locator("#warnings .summary")).to_contain_text("without Sway")
    person.click(page.get_by_role("button", name="Preview"))
    person.click(page.get_by_role("button", name="Confirm and start"))
    expect(page.locator("#progress .badge")).to_have_text("Completed")
    must_be_as_documented(person, "assign a product with an app off")


def test_an_assignment_is_watched(run: Journey, person: Clicks) -> None:
    running = run.change(run.main, {"EMS": []}, [])
    run.believe(run.main, {"EMS": []}, [])
    person.section("Operations")
    person.click(person.page.locator(f"a[href='/operations/{running['id']}']"))
    expect(person.page.locator("#progress progress")).to_be_visible()
    expect(person.page.locator("#progress .badge")).to_have_text("Completed")
    must_be_as_documented(person, "watch the assignment")


def test_a_conflict_is_resolved(run: Journey, person: Clicks) -> None:
    """The other license is removed in Microsoft's portal, to which the page leads. Clicks there are not counted."""
    page, errors = person.page, run.errors(run.main)
    user = next(
        key
        for key, row in errors.items()
        if "MutuallyExclusiveViolation" in {each["error"] for each in row["problems"]}
        and any(each["source"] == "direct" for each in run.rows(f"/api/users/{key}/licenses"))
    )
    other = [each["skuId"] for each in run.rows(f"/api/users/{user}/licenses") if each["source"] == "direct"]
    person.click(page.locator(".tasks").get_by_role("link", name="Conflicting service plans"))
    person.click(page.locator(f"a[href='/users/{user}']").first)
    expect(page.locator("td", has_text="Conflicting service plans").locator("strong").nth(1)).to_be_visible()
    portal = page.get_by_role("link", name="Microsoft 365 admin center").first
    expect(portal).to_have_attribute("href", re.compile(r"^https://"))
    person.number += 1
    assign_as_administrator(run, user, {"addLicenses": [], "removeLicenses": other})
    run.oracle.meet(run.directory())
    person.click(page.get_by_role("button", name=re.compile("^Try again")).first)
    expect(page.locator("#progress .badge")).to_have_text("Completed")
    left = run.errors(run.main).get(user, {"problems": []})["problems"]
    assert "MutuallyExclusiveViolation" not in {each["error"] for each in left}
    must_be_as_documented(person, "resolve a conflict")


def test_purchased_licenses_are_seen_assigned(run: Journey, person: Clicks) -> None:
    scarce = run.skus["VISIOCLIENT"]
    run.client.tenant("POST", "/objects", {"skus": [{"skuId": scarce, "enabled": 5}]})
    run.finish(run.change(run.main, {"VISIOCLIENT": []}, []))
    count(run)
    page = person.page
    person.section("Licenses")
    person.click(page.locator(f"td a[href='/licenses/{scarce}']").first)
    short = page.locator("dt", has_text="Short by").locator("xpath=following-sibling::dd")
    expect(short).not_to_have_text("0")
    run.client.tenant("POST", "/objects", {"skus": [{"skuId": scarce, "enabled": 5000}]})
    run.believe(run.main, {"VISIOCLIENT": []}, [])

    def waiting() -> str:
        run.fire("assign_freed_licenses")
        count(run)
        page.reload()
        return short.inner_text()

    eventually(waiting, lambda text: text == "0", PATIENCE_S)
    must_be_as_documented(person, "buy licenses and see them assigned")


def test_one_person_s_last_week(run: Journey, person: Clicks) -> None:
    member = licensed_member(run)
    person.find(member["displayName"].split(" ", 1)[-1])
    person.click(person.page.locator(f"table.people a[href='/users/{member['id']}']"))
    expect(person.page.get_by_role("heading", name="History of seven days")).to_be_visible()
    expect(person.page.locator("ul.card li").first).to_be_visible()
    must_be_as_documented(person, "one person's last week")


def test_the_state_of_a_joiner(run: Journey, person: Clicks) -> None:
    (ann,) = accounts(run, 1, displayName="Joiner of the tasks")
    by_queue(run, event("joiner", "task", {"id": ann}, attributes={"department": "sales"}))
    until(run, "task", "Done")
    person.section("Onboarding")
    row = person.page.locator("tr", has_text="Joiner of the tasks")
    person.click(row.get_by_role("link", name="Joiner", exact=True))
    expect(person.page.locator(".facts .badge")).to_have_text("Done")
    must_be_as_documented(person, "a joiner's state")


def test_an_export(run: Journey, person: Clicks) -> None:
    person.section("License errors")
    with person.page.expect_download() as download:
        person.click(person.page.get_by_role("link", name="Download CSV"))
    assert download.value.suggested_filename.startswith("License-errors-all-groups")
    must_be_as_documented(person, "an export")


def test_i_have_no_outlook(run: Journey, person: Clicks) -> None:
    page = person.page
    member = licensed_member(run)
    person.find(member["displayName"].split(" ", 1)[-1])
    person.click(page.locator(f"table.people a[href='/users/{member['id']}']"))
    page.get_by_label("Find an app").fill("Exchange")
    expect(page.locator("#apps tbody tr:visible", has_text="Exchange Online").first).to_contain_text("Microsoft 365 E3")
    must_be_as_documented(person, '"I have no Outlook"')


def test_who_has_visio_and_why(run: Journey, person: Clicks) -> None:
    page = person.page
    person.find("Visio")
    page.wait_for_url(f"**/licenses/{run.skus['VISIOCLIENT']}")
    expect(page.locator("#users ~ .table tbody tr").first).to_be_visible()
    must_be_as_documented(person, "which users have Visio and why")


def test_a_mass_removal_is_approved(run: Journey, person: Clicks) -> None:
    waiting = run.client.ended(run.change(run.main, {}, ["SPE_E3"])["id"], PATIENCE_S)
    assert waiting["state"] == "AwaitingApproval"
    count(run)
    page = person.page
    page.reload()
    person.click(page.locator(".tasks").get_by_role("link", name="Removals that wait for an approval"))
    person.click(page.get_by_role("link", name=re.compile("^Remove Microsoft 365 E3")))
    page.get_by_label("enter the number of people").fill(str(waiting["plan"]["usersLosing"]))
    person.click(page.get_by_role("button", name="Approve the removals"))
    expect(page.locator("#progress .badge")).to_have_text("Completed")
    run.believe(run.main, {}, ["SPE_E3"])
    must_be_as_documented(person, "approve a mass removal")
