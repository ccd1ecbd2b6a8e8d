"""A searched name is never part of an address: proxies, histories and access logs keep those."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from functions.web.pages.rendering import HERE
from shared.domain.member_status import MemberState
from shared.domain.read_models import MemberRow
from tests.support.api_calls import PERSON, READER, client, error_of
from tests.support.pages import browser, licensed, send
from tests.support.runs import SMALL, TEAM, Run, user

WITH_NAMES = (
    "/api/groups?search=Sales",
    f"/api/groups/{TEAM}/members?search=ann",
    f"/api/groups/{TEAM}/membersWithLicenseErrors?search=ann",
    "/audit?user=ann",
    "/audit?initiatedBy=ada",
    "/audit.csv?initiatedBy=ada",
    "/audit.jsonl?user=ann",
    "/groups?search=Sales",
    f"/groups/{TEAM}?name=ann",
    f"/groups/{TEAM}/members.csv?name=ann",
)
WITHOUT = (
    f"/api/audit?user={user(1)}&group={TEAM}&initiatedBy={PERSON}&activity=set&since=2026-01-01",
    f"/api/groups/{TEAM}/members?state=Active",
    f"/api/groups/{TEAM}/membersWithLicenseErrors?error=CountViolation&skuId={SMALL.sku_id}",
    f"/audit?user={user(1)}&activity=set",
    f"/audit.csv?group={TEAM}",
    f"/groups?sku={SMALL.sku_id}",
    f"/groups/{TEAM}?show=all",
    f"/groups/{TEAM}?error=CountViolation&product={SMALL.sku_id}",
)


@pytest.mark.parametrize("address", WITH_NAMES)
async def test_a_name_in_an_address_is_rejected(address: str) -> None:
    run, _ = await licensed()
    async with client(run.world, headers=READER) as api:
        answer = await api.get(address)
    assert answer.status_code == 400, answer.text
    assert "POST" in (error_of(answer)["message"] if address.startswith("/api") else answer.text)


@pytest.mark.parametrize("address", WITHOUT)
async def test_ids_states_and_products_can_be_bookmarked(address: str) -> None:
    run, _ = await licensed()
    async with client(run.world, headers=READER) as api:
        assert (await api.get(address)).status_code == 200


def test_no_form_that_is_part_of_an_address_has_a_field_for_a_name() -> None:
    found: list[str] = []
    for template in sorted((HERE / "templates").glob("*.html")):
        for form in re.findall(r'<form method="get".*?</form>', template.read_text(), re.DOTALL):
            found += [
                f"{template.name} {tag}" for tag in re.findall(r"<input[^>]*>", form) if 'type="hidden"' not in tag
            ]
    assert found == []


async def found_by(path: str, body: dict[str, Any], run: Run) -> list[dict[str, Any]]:
    async with client(run.world, headers=READER) as api:
        answer = await api.post(path, json=body)
    assert answer.status_code == 200, answer.text
    value: list[dict[str, Any]] = answer.json()["value"]
    return value


async def test_the_api_takes_names_in_the_body() -> None:
    run, _ = await licensed()
    for number, name in ((1, "Ann Ames"), (2, "Bo Berg")):
        now = run.world.clock.now()
        row = MemberRow(TEAM, user(number), f"{name[:2]}@x.example", name, MemberState.ERROR, now)
        await run.world.stores.members.record([row])
        run.directory.change_user(replace(run.directory.truth(user(number)), display_name=name))
    assert [each["id"] for each in await found_by("/api/groups/search", {"search": f"Group {TEAM}"}, run)] == [TEAM]
    members = f"/api/groups/{TEAM}/members"
    assert [each["id"] for each in await found_by(f"{members}/search", {"search": "ann"}, run)] == [user(1)]
    assert await found_by(f"{members}/search", {"search": "ann", "state": "Active"}, run) == []
    errors = f"{members}WithLicenseErrors/search"
    assert [each["id"] for each in await found_by(errors, {"search": "bo"}, run)] == [user(2)]
    assert await found_by(errors, {"search": "bo", "error": "CountViolation"}, run) == []
    by_mia = await found_by("/api/audit/search", {"initiatedBy": "mi", "activity": "set"}, run)
    assert [each["activityDisplayName"] for each in by_mia] == ["Set group license"]
    assert await found_by("/api/audit/search", {"initiatedBy": "nobody"}, run) == []


async def test_a_search_of_the_audit_log_goes_on_where_it_stopped() -> None:
    run, _ = await licensed()
    async with client(run.world, headers=READER) as api:
        whole = (await api.post("/api/audit/search", json={"initiatedBy": "mia"})).json()
        first = (await api.post("/api/audit/search?$top=1", json={"initiatedBy": "mia"})).json()
        link = first["@odata.nextLink"].replace("$top=1", "$top=100")
        rest = (await api.post(link, json={"initiatedBy": "mia"})).json()
        wrong = await api.post("/api/audit/search", json={"user": "ann"})
    assert [*first["value"], *rest["value"]] == whole["value"]
    assert ("@odata.nextLink" in whole, len(first["value"]), wrong.status_code) == (False, 1, 400)


async def test_pages_and_downloads_take_names_by_forms() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        audit = await send(page, "/audit", urlencode({"initiatedBy": "mi"}))
        lines = await send(page, "/audit.jsonl", urlencode({"initiatedBy": "nobody"}))
        csv = await send(page, "/audit.csv", urlencode({"initiatedBy": "mi"}))
        groups = await send(page, "/groups", urlencode({"search": "group", "sku": SMALL.sku_id}))
        wrong = await send(page, f"/groups/{TEAM}", urlencode({"show": "nonsense"}))
    assert "Set group license" in audit.text
    assert 'value="mi"' in audit.text
    assert (lines.text, "Set group license" in csv.text) == ("", True)
    assert f"assign?sku={SMALL.sku_id}" in groups.text
    assert wrong.status_code == 400
