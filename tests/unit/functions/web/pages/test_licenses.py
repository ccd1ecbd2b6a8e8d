"""The page of a product: its figures, and its users with the source of each license."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from functions.web.pages import licenses as license_pages
from shared.domain.directory import LicenseAssignmentState
from shared.handlers.groups.status import publish_counts
from shared.handlers.maintenance.open_items import count_open_items
from shared.handlers.membership.watching import watch_now
from tests.support.native_runs import NativeRun
from tests.support.pages import browser, send
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
    assert "does not list the users of a product" in shown.text and "Groups that assign it" in shown.text


async def holders_of_three_sources() -> Run:
    """Two users by the team, one directly, one by native group-based licensing."""
    run = Run()
    run.people(2)
    await run.change([SMALL])
    for number, group in ((3, None), (4, OTHER_TEAM)):
        rows = [LicenseAssignmentState(SMALL.sku_id, assigned_by_group=group)]
        run.directory.add_user(user(number), rows=rows)
    for number, name in ((1, "Ann Lee"), (2, "Bo Berg"), (3, "Cy Lee"), (4, "=Di Lee")):
        run.directory.change_user(replace(run.directory.truth(user(number)), display_name=name))
    run.directory.add_user(user(5), groups=())
    run.directory.change_user(replace(run.directory.truth(user(5)), display_name="Ed Lee"))
    return run


@pytest.mark.parametrize(
    ("form", "numbers"),
    [
        ({}, {1, 2, 3, 4}),
        ({"name": "lee"}, {1, 3, 4}),
        ({"origin": "managed"}, {1, 2}),
        ({"origin": "direct"}, {3}),
        ({"origin": "nativeGroup", "name": "lee"}, {4}),
        ({"name": "nobody"}, set()),
    ],
)
async def test_users_of_a_product_are_filtered_on_the_page_and_in_the_download(
    form: dict[str, str], numbers: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await holders_of_three_sources()
    monkeypatch.setattr(license_pages, "PAGE", 2)
    async with browser(run) as page:
        shown = await send(page, f"/licenses/{SMALL.sku_id}", urlencode(form))
        file = await send(page, f"/licenses/{SMALL.sku_id}/users.csv", urlencode(form))
    rows = list(csv.DictReader(io.StringIO(file.text.removeprefix("\ufeff"))))
    assert {each["id"] for each in rows} == {user(number) for number in numbers}
    assert {number for number in range(1, 6) if f'href="/users/{user(number)}"' in shown.text} == numbers
    assert 'filename="SMALL-users-' in file.headers["content-disposition"]
    assert {each["product"] for each in rows} <= {"SMALL"}


async def test_a_name_is_not_taken_from_an_address_and_an_unknown_source_is_rejected() -> None:
    run = await holders_of_three_sources()
    async with browser(run) as page:
        named = await page.get(f"/licenses/{SMALL.sku_id}?name=lee")
        odd = await send(page, f"/licenses/{SMALL.sku_id}", "origin=moon")
        file = (await send(page, f"/licenses/{SMALL.sku_id}/users.csv", "")).text
        run.directory.lists_holders = False
        none = await send(page, f"/licenses/{SMALL.sku_id}/users.csv", "")
    assert [named.status_code, odd.status_code, none.status_code] == [400, 400, 503]
    assert '"\'=Di Lee"' in file


async def test_a_table_pages_forth_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    run.people(5)
    await run.change([SMALL])
    monkeypatch.setattr(license_pages, "ROWS", 2)

    def turn(text: str, label: str) -> str:
        (found,) = re.findall(rf'<a class="button" href="([^"]*)#users">{label}</a>', text)
        return str(found).replace("&amp;", "&")

    base = f"/licenses/{SMALL.sku_id}"

    def numbers(text: str) -> list[int]:
        return [number for number in range(1, 6) if f'href="/users/{user(number)}"' in text]

    async with browser(run) as page:
        first = (await page.get(base)).text
        second = (await page.get(base + turn(first, "Next page"))).text
        third = (await page.get(base + turn(second, "Next page"))).text
        back = (await page.get(base + turn(third, "Previous page"))).text
        start = (await page.get(base + turn(back, "First page"))).text
    assert [numbers(each) for each in (first, second, third, back, start)] == [[1, 2], [3, 4], [5], [3, 4], [1, 2]]
    assert "Previous page" not in first + second and "Next page" not in third


async def test_a_product_of_a_natively_licensed_group_names_the_group_and_counts_its_errors() -> None:
    run = await NativeRun.of(3)
    run.fakes.native.take(run.members[0], TEAM)
    run.fakes.native.give(run.members[0], TEAM, "CountViolation", SMALL.sku_id)
    await watch_now(run.world, TEAM)
    await run.work_off()
    run.later(minutes=3)
    await publish_counts(run.world)
    async with browser(run) as page:
        listed = (await page.get("/licenses")).text
        api = (await page.get(f"/api/licenses/{SMALL.sku_id}", headers={"accept": "application/json"})).json()
    row = listed[listed.index(f'href="/licenses/{SMALL.sku_id}"') :].split("</tr>")[0]
    assert f'href="/groups/{TEAM}"' in row and 'data-label="Errors">1<' in row
    assert [each["id"] for each in api["groups"]] == [TEAM]
