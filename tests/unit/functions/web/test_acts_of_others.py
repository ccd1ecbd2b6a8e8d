"""What one caller prepares, another one with fewer rights does not carry out; and what only a person starts."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.support.api_calls import LICENSE_ADMINISTRATOR, app_token, claims_of, client, error_of, session, token
from tests.support.pages import browser, chosen, previewed, send
from tests.support.runs import SMALL, TEAM, Run
from tests.support.tenant_stage import E3, guid

BASIC = {"level": "basic", "testUserId": guid(0x700), "testGroupId": guid(0x701), "testSkuId": E3}


@pytest.mark.parametrize(("roles", "status"), [("Licensing.Write", 403), ("Licensing.ReadWrite", 303)])
async def test_who_cannot_set_options_does_not_confirm_another_ones_preview_that_sets_some(
    roles: str, status: int
) -> None:
    run = Run()
    run.people(3)
    async with browser(run) as page:
        shown, checksum = await previewed(run, page, chosen(SMALL, options={"with_options": "1", "grace_days": "9"}))
    writer = {**session(claims_of(roles=[roles], tenant="tenant")), "accept": "text/html"}
    async with browser(run, writer) as page:
        answer = await send(page, f"{shown}/confirm", checksum)
    await run.work_off()
    assert answer.status_code == status
    stored = await run.world.stores.assignments.get(TEAM)
    assert (stored is not None) == (status == 303)


async def test_an_application_starts_no_basic_run_of_the_first_contact_check() -> None:
    run = Run()
    app = app_token(roles=["Licensing.Configure"])
    async with client(run.world, headers=app) as api:
        rejected = await api.post("/api/firstContact", json=BASIC)
        form = urlencode({"user": guid(0x700), "group": guid(0x701), "sku": E3})
        headers = {"content-type": "application/x-www-form-urlencoded", "x-requested-with": "x"}
        on_page = await api.post("/firstContact", content=form, headers=headers)
        assert await run.world.stores.first_contact.open() == []
        allowed = await api.post("/api/firstContact", json={"level": "readOnly"})
    assert (rejected.status_code, error_of(rejected)["code"]) == (403, "PersonRequired")
    assert (on_page.status_code, allowed.status_code) == (403, 202)


async def test_a_license_administrator_starts_no_run() -> None:
    run = Run()
    async with client(run.world, headers=token(claims_of(wids=[LICENSE_ADMINISTRATOR]))) as api:
        assert (await api.post("/api/firstContact", json=BASIC)).status_code == 403
