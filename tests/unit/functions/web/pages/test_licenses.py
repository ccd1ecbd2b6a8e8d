"""The page of a product: its figures, and its users with the source of each license."""

from __future__ import annotations

import re

import pytest

from functions.web.pages import licenses as license_pages
from shared.domain.directory import LicenseAssignmentState
from shared.handlers.groups.status import publish_counts
from shared.handlers.maintenance.open_items import count_open_items
from tests.support.pages import browser
from tests.support.runs import LARGE, OTHER_TEAM, SMALL, TEAM, Run, product, user


def figures(text: str) -> dict[str, str]:
    """The figures of a page by their names."""
    found = re.findall(r"<dt>([^<]*)</dt><dd[^>]*>(?:<a[^>]*>)?([^<]*)<", text)
    return {name: value for name, value in found}


async def test_a_product_says_how_many_licenses_are_missing() -> None:
    run = Run()
    run.directory.add_sku(product(1, "SMALL", (1, 2, 3), seats=2))
    run.people(5)
    await run.change([SMALL])
    run.later(minutes=3)
    await publish_counts(run.world)
    await count_open_items(run.world)
    async with browser(run) as page:
        shown = (await page.get(f"/licenses/{SMALL.sku_id}")).text
        other = (await page.get(f"/licenses/{LARGE.sku_id}")).text
    assert figures(shown) == {
        "Total": "2",
        "Assigned": "2",
        "Available": "0",
        "Expired, still usable": "0",
        "Waiting users": "3",
        "Short by": "3",
    }
    assert figures(other)["Short by"] == "0"
    assert f'href="/licenseErrors?product={SMALL.sku_id}' in shown


async def test_users_of_a_product_are_listed_with_their_source(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    run.people(2)
    await run.change([SMALL])
    for number, group in ((3, None), (4, OTHER_TEAM)):
        rows = [LicenseAssignmentState(SMALL.sku_id, assigned_by_group=group)]
        run.directory.add_user(user(number), rows=rows)
    run.directory.add_user(user(5))
    monkeypatch.setattr(license_pages, "ROWS", 3)
    async with browser(run) as page:
        first = (await page.get(f"/licenses/{SMALL.sku_id}")).text
        after = re.findall(r'href="\?after=([^"#]*)#users"', first)
        second = (await page.get(f"/licenses/{SMALL.sku_id}?after={after[0]}")).text
    assert [f'href="/users/{user(number)}"' in first for number in (1, 2, 3, 4, 5)] == [True] * 3 + [False] * 2
    assert f"Group {TEAM} <span" in first and "assigned directly, outside this app" in first
    assert f"native group licensing of Group {OTHER_TEAM}" in second
    assert "?after=" not in second and "First page" in second


async def test_a_tenant_that_does_not_list_users_of_a_product_still_shows_the_rest() -> None:
    run = Run()
    await run.change([SMALL])
    run.directory.lists_holders = False
    async with browser(run) as page:
        shown = await page.get(f"/licenses/{SMALL.sku_id}")
    assert "does not list the users of a product" in shown.text and "Groups that give it" in shown.text
