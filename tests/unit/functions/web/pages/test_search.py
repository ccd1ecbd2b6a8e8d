"""The one search box: people of the same name can be distinguished; groups and products are found with them."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import httpx
import pytest

from tests.support.api_calls import claims_of, session
from tests.support.pages import HOSTILE, browser, licensed, send
from tests.support.runs import LARGE, SMALL, TEAM, Run, user

HELP_DESK = {
    **session(claims_of(wids=["729827e3-9c14-49f7-bb1b-9608f156bbb8"], tenant="tenant")),
    "accept": "text/html",
}


async def search(page: httpx.AsyncClient, text: str) -> httpx.Response:
    return await send(page, "/search", urlencode({"search": text}))


async def namesakes() -> Run:
    """Four people called Ann Berg, of different departments, and Bo Berg."""
    run, _ = await licensed()
    for number, (department, title) in enumerate(
        (("Sales", "Clerk"), ("Sales", "Manager"), ("Legal", "Clerk"), ("", "")), 11
    ):
        key = run.directory.add_user(user(number))
        run.directory.change_user(replace(run.directory.truth(key), display_name="Ann Berg"))
        run.directory.described[key] = {
            "department": department,
            "job_title": title,
            "employee_id": f"E/{number}",
            "mail": f"ann{number}@mail.example",
        }
    bo = run.directory.add_user(user(20))
    run.directory.change_user(replace(run.directory.truth(bo), display_name="Bo Berg"))
    return run


async def test_people_of_the_same_name_can_be_distinguished() -> None:
    run = await namesakes()
    async with browser(run) as page:
        found = await search(page, "berg")
    for shown in ("Legal", "Manager", "Employee ID E/12", "ann13@mail.example", f"{user(14)}@fabrikam.example"):
        assert shown in found.text
    assert found.text.count("Ann Berg") == 4 and "Bo Berg" in found.text
    assert "ann" not in str(found.url)


@pytest.mark.parametrize("text", ["E/12", "e/12", "ann12@mail.example", user(12), f"{user(12)}@fabrikam.example"])
async def test_an_identifier_opens_its_one_person(text: str) -> None:
    run = await namesakes()
    async with browser(run) as page:
        answer = await search(page, text)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/users/{user(12)}")


async def test_groups_and_products_are_found_with_people() -> None:
    run = await namesakes()
    run.directory.change_user(replace(run.directory.truth(user(20)), display_name="Small Berg"))
    async with browser(run) as page:
        both = await search(page, "small")
        product = await search(page, "LARGE")
        group = await search(page, TEAM)
        none = await search(page, "nothing-like-this")
        hostile = await search(page, HOSTILE)
        long = await search(page, "x" * 121)
        empty = await send(page, "/search", "search=+")
    assert "Small Berg" in both.text and f'href="/licenses/{SMALL.sku_id}"' in both.text
    assert product.headers["location"] == f"/licenses/{LARGE.sku_id}"
    assert group.headers["location"] == f"/groups/{TEAM}"
    assert ["No person found" in none.text, "No group found" in none.text, "No product found" in none.text] == [
        True
    ] * 3
    assert (HOSTILE in hostile.text, long.status_code, empty.status_code) == (False, 400, 400)


async def test_the_help_desk_finds_people_only() -> None:
    run = await namesakes()
    async with browser(run, HELP_DESK) as page:
        people = await search(page, "berg")
        product = await search(page, "small")
    assert "Ann Berg" in people.text and "<h2>Groups</h2>" not in people.text
    assert product.status_code == 200 and "/licenses/" not in product.text
    assert 'action="/search"' in people.text
