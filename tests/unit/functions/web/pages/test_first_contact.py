"""The page of the first-contact check, and what the health page shows of it."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from shared.domain.first_contact import Answer
from shared.handlers.maintenance.alerts import check_alerts
from shared.handlers.operations.first_contact import continue_runs
from tests.support.fakes_first_contact import FakeProbes
from tests.support.pages import READER, browser, licensed, send
from tests.support.runs import Run
from tests.support.tenant_stage import E3, guid

NO_MORE = Answer(400, {}, {"error": {"code": "Request_BadRequest", "message": "No."}})
FORM = {"user": guid(0x700).upper(), "group": guid(0x701), "sku": E3}


def probes(run: Run) -> FakeProbes:
    found = run.world.probes
    assert isinstance(found, FakeProbes)
    return found


async def test_the_page_starts_a_run_and_shows_its_verdicts() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        assert "No run yet" in (await page.get("/firstContact")).text
        assert (await page.get("/api/overview", headers={"accept": "application/json"})).json()["firstContact"] is None
        assert (await send(page, "/firstContact", "")).status_code == 303
        assert "Queued" in (await page.get("/firstContact")).text
        assert (await send(page, "/firstContact", "")).status_code == 409
        await continue_runs(run.world)
        shown = (await page.get("/firstContact")).text
        (found,) = await run.world.stores.first_contact.newest(5)
        assert found.requests <= 60
        assert (await page.get(f"/firstContact?run={found.id}")).status_code == 200
        assert (await page.get(f"/firstContact?run={'0' * 32}")).status_code == 404
        overview = (await page.get("/api/overview", headers={"accept": "application/json"})).json()
    assert (overview["firstContact"]["id"], overview["firstContact"]["state"]) == (found.id, "completed")
    assert "Completed" in shown
    assert "Can groups be filtered by having licenses?" in shown
    assert f"/api/firstContact/{found.id}/recording" in shown


async def test_the_form_with_test_objects_starts_a_basic_run() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        assert (await send(page, "/firstContact", urlencode({**FORM, "sku": ""}))).status_code == 400
        assert (await send(page, "/firstContact", urlencode(FORM))).status_code == 303
        await continue_runs(run.world)
        shown = (await page.get("/firstContact")).text
    assert "Basic" in shown
    assert (probes(run).licensed, probes(run).member) == (False, False)


async def test_the_form_with_twenty_users_starts_a_load_run() -> None:
    run, _ = await licensed()
    users = [guid(0x800 + number) for number in range(20)]
    async with browser(run) as page:
        few = urlencode({"users": " ".join(users[:19]), "sku": E3})
        assert (await send(page, "/firstContact", few)).status_code == 400
        form = urlencode({"users": ", ".join(users).upper(), "sku": E3})
        assert (await send(page, "/firstContact", form)).status_code == 303
        await continue_runs(run.world)
        shown = (await page.get("/firstContact")).text
    assert "<dt>Accepted at once</dt><dd>20</dd>" in shown
    assert probes(run).holders == set()


async def test_a_reader_reads_and_does_not_start() -> None:
    run, _ = await licensed()
    async with browser(run, READER) as page:
        assert "Start a run" not in (await page.get("/firstContact")).text
        assert (await send(page, "/firstContact", "")).status_code == 403


async def test_a_changed_assumption_is_on_the_health_page_and_raises_an_alert() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        assert "None yet" in (await page.get("/health")).text
        for answer in (None, NO_MORE):
            if answer is not None:
                probes(run).answers["search"] = answer
            await send(page, "/firstContact", "")
            await continue_runs(run.world)
            run.fakes.clock.move(timedelta(seconds=1))
        health, shown = (await page.get("/health")).text, (await page.get("/firstContact")).text
    assert "Changed assumptions" in health
    assert "Before: works. Now: rejected." in shown
    alerts = [text for text in await check_alerts(run.world) if "assumption" in text]
    assert len(alerts) == 1
    assert alerts[0].startswith("an assumption about Graph no longer holds: number=47 was=works is=rejected")
    run.fakes.clock.move(timedelta(hours=2))
    assert [text for text in await check_alerts(run.world) if "assumption" in text] == []


@pytest.mark.parametrize("permission", ["Licensing.Write", "Licensing.Approve"])
async def test_only_an_administrator_who_configures_starts_a_run(permission: str) -> None:
    from tests.support.api_calls import claims_of, client, token

    run, _ = await licensed()
    async with client(run.world, headers=token(claims_of(roles=[permission]))) as api:
        assert (await api.post("/api/firstContact", json={})).status_code == 403
        assert (await api.get("/api/firstContact")).status_code == 200
