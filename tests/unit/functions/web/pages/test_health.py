"""The health page: the quota in use, and what waits in the queues."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.messages import ONBOARDING
from shared.domain.read_models import DeadLetter
from tests.support.pages import READER, browser, licensed


async def test_the_health_page_shows_the_quota_in_use_and_what_waits() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        whole = await page.get("/health")
        live = await page.get("/health/queues")
        run.fakes.watch.away = True
        away = await page.get("/health/queues")
    assert "of 3,000" in whole.text
    assert "members-bulk" in live.text
    assert "was told to be away" in away.text


async def test_readers_see_no_dead_letter() -> None:
    run, _ = await licensed()
    reason = "no account for E-4711"
    await run.world.stores.dead_letters.keep(DeadLetter("1" * 32, ONBOARDING, b"{}", reason, run.world.clock.now()))
    async with browser(run) as page, browser(run, READER) as reading:
        assert reason in (await page.get("/deadLetters")).text
        assert reason not in (await reading.get("/health")).text
        assert (await reading.get("/deadLetters")).status_code == 403


async def test_a_wrong_clock_is_shown_with_what_to_do() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        assert "The clock of this machine" not in (await page.get("/health")).text
        run.fakes.clock.is_ahead = timedelta(minutes=10)
        shown = (await page.get("/health")).text
        assert "The clock of this machine is 600 s ahead of Microsoft Graph" in shown
        assert (await page.get("/api/overview")).json()["clockAheadSeconds"] == 600
