"""Pages of groups in a browser on the whole stack: a group that is no longer managed, and natively licensed groups."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browsing import CHROMIUM, NO_CHROMIUM, chromium, signed_in
from tests.support.stack_journeys import Journey, eventually, journey

GROUP = str(uuid.uuid5(uuid.NAMESPACE_DNS, "planners.page-groups.example"))
PEOPLE = [str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{number}.page-groups.example")) for number in range(4)]
PRODUCT = "PROJECTPROFESSIONAL"
NAME = "Planner and Project Plan 3"

pytestmark = pytest.mark.skipif(not CHROMIUM, reason=NO_CHROMIUM)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """Four members with three licenses from Microsoft's own licensing, beside a group that the app licenses."""
    tenant = ("--settings", json.dumps({"nativeDelaySeconds": 0}))
    with journey(tmp_path_factory.mktemp("groups"), members=30, processes=1, tenant=tenant) as started:
        objects: dict[str, Any] = {
            "skus": [{"skuPartNumber": PRODUCT, "enabled": 3}],
            "users": [{"id": each, "displayName": f"Planner {n}"} for n, each in enumerate(PEOPLE)],
            "groups": [{"id": GROUP, "displayName": "Planners", "members": PEOPLE, "assignedLicenses": [PRODUCT]}],
        }
        started.client.tenant("POST", "/objects", objects)
        eventually(lambda: started.client.tenant("GET", "/native"), lambda found: not found["steps"])
        started.oracle.meet(started.directory())
        started.finish(started.change(started.main, {"EMS": []}, []))
        started.believe(started.main, {"EMS": []}, [])
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(run: Journey, browser: Browser) -> Iterator[Page]:
    with signed_in(run, browser) as found:
        yield found


def licensed(run: Journey, part_number: str) -> set[str]:
    """Users who have a product, as the tenant knows."""
    sku = run.skus[part_number]
    return {
        each["id"]
        for each in run.directory()["users"]
        if any(row["skuId"] == sku and row["state"] == "Active" for row in each["licenseAssignmentStates"])
    }


def test_a_group_is_no_longer_managed_and_its_members_keep_their_licenses(run: Journey, page: Page) -> None:
    before = licensed(run, "EMS")
    assert before
    run.writes()
    page.goto(f"/groups/{run.main}")
    page.get_by_role("button", name="Stop managing this group").click()
    page.wait_for_url("**/operations/*")
    expect(page.get_by_role("heading", level=1)).to_have_text("Preview: stop managing the group")
    expect(page.get_by_text("members keep it")).to_be_visible()
    keeping = page.locator("dt", has_text="Users who keep their licenses").locator("xpath=following-sibling::dd")
    expect(keeping).to_have_text(str(len(before & members_of(run))))
    removing = page.locator("dt", has_text="Licenses to remove").locator("xpath=following-sibling::dd")
    expect(removing).to_have_text("0")
    page.get_by_role("button", name="Confirm and start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Operation: stop managing the group")
    expect(page.locator("#progress .badge")).to_have_text("Completed")
    page.goto(f"/groups/{run.main}")
    expect(page.get_by_text("This group is not managed any more.")).to_be_visible()
    expect(page.get_by_role("button", name="Stop managing this group")).to_have_count(0)
    assert licensed(run, "EMS") == before
    assert run.licensed_by_writes(run.writes()) == set()


def members_of(run: Journey) -> set[str]:
    """Members whom the app has licensed."""
    rows = run.rows(f"/api/groups/{run.main}/members?$top=999")
    return {row["id"] for row in rows if run.skus["EMS"] in row["assignedSkuIds"]}


def test_the_errors_of_a_natively_licensed_group_lead_to_the_person_and_the_source(run: Journey, page: Page) -> None:
    run.fire("watch_errors")
    eventually(lambda: {each["id"] for each in run.rows("/api/groups?$top=500")}, lambda found: GROUP in found)
    eventually(lambda: run.errors(GROUP), lambda found: len(found) == 1)
    (wrong,) = run.errors(GROUP)
    page.goto("/nativeGroups")
    page.get_by_role("link", name="Planners", exact=True).click()
    expect(page.locator("#members .remedy")).to_have_count(1)
    page.locator(f"#members a[href='/users/{wrong}']").click()
    expect(page.locator("td", has_text="Not enough licenses").first).to_be_visible()
    right = next(each for each in PEOPLE if each != wrong)
    page.goto(f"/users/{right}")
    row = page.locator("tr", has=page.get_by_role("link", name=NAME)).first
    expect(row).to_contain_text("native group licensing of Planners")
    portal = row.get_by_role("link", name="Change it in Microsoft Entra")
    expect(portal).to_have_attribute("href", re.compile(f"^https://entra.microsoft.com/.*/groupId/{GROUP}$"))
    expect(page.locator("#apps tbody tr").first).to_contain_text("native group licensing of Planners")
