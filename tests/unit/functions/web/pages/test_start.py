"""The start page: what needs a person, in the sections that the caller can read."""

from __future__ import annotations

import re
from dataclasses import replace

from shared.domain.graph_permissions import PERMISSIONS
from shared.domain.move import Direction
from shared.handlers.groups.status import publish_counts
from shared.handlers.maintenance.open_items import count_open_items
from shared.handlers.membership.subscription import renew_subscription
from shared.handlers.operations.writing import turn_off
from shared.handlers.views.first_day import note_complete
from tests.support.api_calls import claims_of, session
from tests.support.moving import MovingRun
from tests.support.pages import READER, browser
from tests.support.runs import EXTRA, MIA, SMALL, TEAM, Run, user


async def troubled() -> Run:
    """Two users wait, one has an error, and removals wait for an approval."""
    run = Run()
    run.people(30)
    run.directory.add_sku(replace(SMALL, enabled=27))
    run.writer.reject(user(1), "Another object with the same value for property proxyAddresses already exists.")
    await run.change([SMALL])
    await run.change([EXTRA])
    await run.finish(await run.ask(remove=[EXTRA]), approve=False)
    await publish_counts(run.world)
    await count_open_items(run.world)
    return run


def links(text: str) -> dict[str, str]:
    """The number of each task by its link."""
    return dict(re.findall(r'<li><a href="([^"]+)"><span><bdi>[^<]*</bdi></span> <strong>([^<]*)</strong>', text))


async def test_each_item_has_its_number_and_a_link_and_the_navigation_has_badges() -> None:
    run = await troubled()
    async with browser(run) as page:
        shown = links((await page.get("/")).text)
        other = (await page.get("/health")).text
        for link in shown:
            assert (await page.get(link.replace("&amp;", "&"))).status_code == 200
    assert shown == {
        "/approvals": "1",
        f"/licenseErrors?product={SMALL.sku_id}&amp;error=CountViolation": "2",
        "/licenseErrors?error=UniquenessViolation": "1",
    }
    assert re.findall(r'<span class="open">(\d+)<span class="unseen"> (\w+)', other) == [
        ("3", "users"),
        ("1", "waiting"),
    ]


async def test_a_tenant_without_open_items_says_so_and_one_that_was_never_counted_does_not() -> None:
    run = Run()
    async with browser(run, READER) as page:
        before = (await page.get("/")).text
        await count_open_items(run.world)
        after = (await page.get("/")).text
    assert "Nothing has been counted yet" in before and "Nothing needs you" not in before
    assert "Nothing else needs you" in after and 'class="open"' not in after


async def test_nothing_needs_a_person_only_if_the_first_day_is_complete_too() -> None:
    run = Run()
    run.fakes.permissions.append(frozenset(permission for _, permission in PERMISSIONS))
    await renew_subscription(run.world)
    await count_open_items(run.world)
    async with browser(run, READER) as page:
        with_steps = (await page.get("/")).text
        await run.change([SMALL], preview=True)
        await count_open_items(run.world)
        all_done = (await page.get("/")).text
        assert await note_complete(run.world)
        later = (await page.get("/")).text
    assert "Nothing else needs you" in with_steps and "First preview" in with_steps
    assert "Nothing needs you" in all_done and "First preview" in all_done
    assert "Nothing needs you" in later and "First preview" not in later


async def test_the_start_page_takes_as_many_table_requests_with_much_to_do_as_with_nothing() -> None:
    calm, busy = Run(), await troubled()
    await count_open_items(calm.world)
    reads = []
    for run in (calm, busy):
        async with browser(run) as page:
            await page.get("/")
            before = run.fakes.tables.requests
            await page.get("/")
            reads.append(run.fakes.tables.requests - before)
    assert reads[0] == reads[1]


async def test_who_reads_hr_events_only_is_led_to_them() -> None:
    run = Run()
    reader = {**session(claims_of(roles=["Onboarding.Read"], tenant="tenant")), "accept": "text/html"}
    async with browser(run, reader) as page:
        home = await page.get("/")
    assert home.headers["location"] == "/onboarding"


async def test_the_first_day_is_listed_until_everything_was_done_once() -> None:
    run = Run()
    await turn_off(run.world, MIA)
    async with browser(run) as page:
        before = (await page.get("/")).text
        steps = before.split('<ol class="steps">')[1].split("</ol>")[0]
        found = re.findall(r'<a href="([^"]+)">', steps)
        assert len(found) == 5
        assert {(await page.get(link)).status_code for link in found} == {200}
        await run.world.stores.health.change(lambda record: replace(record, first_day_done_at=run.world.clock.now()))
        after = (await page.get("/")).text
    assert before.count('<ol class="steps">') == 1
    assert "Nothing was previewed yet." in before and "The app does not write to Microsoft Graph." in before
    assert '<ol class="steps">' not in after


async def test_a_move_that_waits_is_an_item_with_a_badge_and_the_page_of_approvals_leads_to_it() -> None:
    run = MovingRun()
    run.native_group(3)
    await run.begin(Direction.TO_DIRECT)
    await count_open_items(run.world)
    async with browser(run) as page:
        calm = (await page.get("/approvals")).text
        await run.act("pause")
        await count_open_items(run.world)
        shown = links((await page.get("/")).text)
        approvals = (await page.get("/approvals")).text
        move = await page.get(f"/groups/{TEAM}/move")
    assert 'id="moves"' not in calm
    assert shown == {"/approvals#moves": "1"}
    assert f'href="/groups/{TEAM}/move"' in approvals and "Paused by" in approvals
    assert re.findall(r'<span class="open">(\d+)<span class="unseen"> (\w+)', approvals) == [("1", "waiting")]
    assert move.status_code == 200
