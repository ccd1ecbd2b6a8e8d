"""Licenses that somebody else gave, on the pages of groups and users."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.support.pages import SAME_SITE, browser
from tests.support.runs import SMALL, TEAM
from tests.support.unmanaged import given_group


@pytest.mark.parametrize(("act", "said"), [("adopt", "apps that are on stay on"), ("enable", "they stay unmanaged")])
async def test_licenses_of_another_are_taken_over_or_completed_after_a_preview(act: str, said: str) -> None:
    run, _, same, lacking = await given_group()
    sku = urlencode({"sku": SMALL.sku_id})
    async with browser(run) as page:
        assert "Manage here" in (await page.get(f"/users/{same}")).text
        for path in (f"/groups/{TEAM}/{act}", f"/users/{lacking}/{act}"):
            sent = await page.post(path, content=sku, headers=SAME_SITE)
            assert sent.status_code == 303
            await run.work_off()
            shown = await page.get(sent.headers["location"])
            assert said in shown.text
            (preview,), _ = await run.world.stores.operations.newest(1)
            checksum = urlencode({"checksum": preview.checksum})
            started = await page.post(f"{sent.headers['location']}/confirm", content=checksum, headers=SAME_SITE)
            assert started.status_code == 303
            await run.work_off()
        odd = await page.post(f"/groups/{TEAM}/explode", content=sku, headers=SAME_SITE)
    assert run.directory.licenses(lacking)[SMALL.sku_id] == frozenset()
    assert odd.status_code in (400, 404)
