"""The health page: the quota in use, and what waits in the queues."""

from __future__ import annotations

from tests.support.pages import browser, licensed


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
