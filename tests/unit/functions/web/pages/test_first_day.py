"""The page that turns writing on, the banner while it is off, and who may turn it."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.writing import WritingSetting
from shared.handlers.reconcile.write_limiter import writing
from tests.support.api_calls import app_token, claims_of, client, session, small_tenant
from tests.support.pages import browser, licensed, send

BANNER = "Writing to Microsoft Graph is turned off"
WRITER_ONLY = {**session(claims_of(roles=["Licensing.Write"], tenant="tenant")), "accept": "text/html"}


async def test_an_administrator_turns_writing_off_and_on_and_every_page_says_that_it_is_off() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        assert BANNER not in (await page.get("/groups")).text
        assert (await send(page, "/firstDay/turnOff")).status_code == 303
        for path in ("/groups", "/health", "/licenses", "/firstDay"):
            assert BANNER in (await page.get(path)).text, path
        assert "Turn on writing" in (await page.get("/firstDay")).text
        assert (await send(page, "/firstDay/turnOn")).status_code == 303
        assert BANNER not in (await page.get("/groups")).text
    assert (await writing(run.world)).is_on


async def test_whoever_cannot_configure_sees_the_switch_and_cannot_turn_it() -> None:
    run, _ = await licensed()
    async with browser(run, WRITER_ONLY) as page:
        shown = await page.get("/firstDay")
        assert "Turn off writing" not in shown.text
        assert (await send(page, "/firstDay/turnOff")).status_code == 403
    assert (await writing(run.world)).is_on


async def test_an_application_cannot_turn_writing_on() -> None:
    world = small_tenant().world
    world = replace(world, policy=replace(world.policy, writing=WritingSetting.INITIALLY_OFF))
    async with client(world, headers=app_token(roles=["Licensing.Configure", "Licensing.Read"])) as api:
        answer = await api.post("/api/writing/turnOn")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "PersonRequired")
        assert (await api.get("/api/writing")).json() == {
            "on": False,
            "forcedOff": False,
            "readOnly": False,
            "changedDateTime": None,
        }


async def test_what_the_setting_forces_off_is_said_with_who_can_change_it() -> None:
    run, _ = await licensed()
    run.world = replace(run.world, policy=replace(run.world.policy, writing=WritingSetting.OFF))
    async with browser(run) as page:
        shown = await page.get("/firstDay")
        assert "The setting <code>WRITING</code> is <code>off</code>" in shown.text
        rejected = await send(page, "/firstDay/turnOn")
    assert rejected.status_code == 400
    assert "The setting WRITING is off" in rejected.text
