"""Pages of groups licensed by Microsoft: the first visit, a group with its errors, and the acts on it."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from shared.domain.ids import GroupId
from shared.domain.write_results import Rejected
from shared.handlers.membership.watching import watch_all
from tests.support.native_runs import NativeRun
from tests.support.pages import READER, browser, previewed, send
from tests.support.runs import LARGE, SMALL, TEAM, Run, user

DRAWERS = GroupId(str(UUID(int=78)))
HERE = f"/nativeGroups/{DRAWERS}"
REASON = "License assignment failed because service plans a, b are mutually exclusive"


async def a_run() -> Run:
    """A watched group of three: one is in error by LARGE, which holds SMALL back; one is only in a nested group."""
    run = Run()
    for number in (1, 2, 3):
        run.directory.add_user(user(number))
    inner = run.directory.add_group(str(UUID(int=79)), [user(3)])
    run.fakes.native.license(DRAWERS, LARGE.sku_id, SMALL.sku_id, members=[user(1), user(2)])
    run.directory.join(DRAWERS, inner)
    run.fakes.native.give(user(1), DRAWERS, "MutuallyExclusiveViolation", LARGE.sku_id)
    await watch_all(run.world)
    await run.work_off()
    return run


async def test_the_first_visit_to_a_tenant_with_native_groups_opens_on_them_with_their_errors() -> None:
    run = await a_run()
    async with browser(run) as page:
        first = await page.get("/")
        assert (first.status_code, first.headers["location"]) == (302, "/nativeGroups")
        shown = (await page.get("/nativeGroups")).text
        assert f"Group {DRAWERS}" in shown
        assert "Errors and issues" in shown
    run.people(2)
    await run.change([SMALL])
    async with browser(run) as page:
        assert (await page.get("/")).status_code == 200


async def test_a_member_in_error_is_shown_with_cause_remedy_and_what_is_held_back() -> None:
    run = await a_run()
    async with browser(run) as page:
        shown = (await page.get(HERE)).text
        everybody = (await page.get(f"{HERE}?show=all")).text
        unreachable = (await page.get(f"{HERE}?show=Unreachable")).text
        csv = (await page.get(f"/groups/{DRAWERS}/members.csv?show=all")).text
    assert "Conflicting service plans" in shown
    assert "Held back by" in shown
    assert "What to do:" in shown
    assert f"/users/{user(2)}" not in shown
    assert f"/users/{user(2)}" in everybody
    assert "in a group inside" in unreachable
    assert csv.count('"MutuallyExclusiveViolation"') == 1


async def test_a_diagnosis_from_the_page_shows_graphs_words_at_the_member() -> None:
    run = await a_run()
    run.fakes.native.answer = lambda user_id: Rejected(400, "Request_BadRequest", REASON)
    async with browser(run) as page:
        sent = await send(page, f"/groups/{DRAWERS}/members/{user(1)}/diagnose")
        assert (sent.status_code, sent.headers["location"]) == (303, HERE)
        assert REASON in (await page.get(HERE)).text


async def test_members_in_error_are_reprocessed_and_the_group_is_read_from_the_page() -> None:
    run = await a_run()
    async with browser(run) as page:
        form = urlencode({"error": "MutuallyExclusiveViolation", "product": LARGE.sku_id})
        assert (await send(page, f"/groups/{DRAWERS}/reprocessErrors", form)).status_code == 303
        await run.work_off()
        assert "No member to show" in (await page.get(HERE)).text
        assert (await send(page, f"/groups/{DRAWERS}/watch")).status_code == 303
        assert (await send(page, f"/groups/{DRAWERS}/reprocessErrors", "error=Nonsense")).status_code == 400
    assert run.fakes.native.reprocessed == [user(1)]


async def test_the_page_of_a_watched_group_leads_to_its_native_page_and_a_direct_one_back() -> None:
    run = await a_run()
    people = run.people(1)
    operation = await run.change([SMALL])
    team = operation.target.group_id
    assert people
    async with browser(run) as page:
        assert (await page.get(f"/groups/{DRAWERS}")).headers["location"] == HERE
        assert (await page.get(f"/nativeGroups/{team}")).headers["location"] == f"/groups/{team}"
        assert "Licensed by Microsoft" in (await page.get("/groups")).text


async def test_a_group_is_managed_and_changed_from_its_page() -> None:
    run = await NativeRun.of(3)
    here = f"/nativeGroups/{TEAM}"
    form = urlencode(
        {"version": 1, "sku": LARGE.sku_id, f"plan-{LARGE.sku_id}": LARGE.service_plans[0].service_plan_id}
    )
    async with browser(run) as page:
        shown = (await page.get(here)).text
        dialog = (await page.get(f"/groups/{TEAM}/assign")).text
        preview, confirm = await previewed(run, page, form)
        started = (await send(page, f"{preview}/confirm", confirm)).headers["location"]
        running = (await page.get(started)).text
        await run.work_off()
        assert (await send(page, f"/groups/{TEAM}/stopManagingNatively")).headers["location"] == here
        after = (await page.get(here)).text
    assert "Change licenses" in shown and "This app decides which" in shown
    assert f'value="{SMALL.sku_id}" checked' in dialog
    assert "already assigns this product" not in dialog
    assert "Go back to what the group gave before" not in running
    assert run.calls == [(["LARGE"], ["SMALL"])]
    assert "Manage natively" in after and "Change licenses" not in after


async def test_a_waiting_change_says_what_it_waits_for() -> None:
    run = await NativeRun.of(3)
    run.stock(LARGE, 1)
    operation = await run.ask([LARGE], [SMALL])
    for _ in range(20):
        await run.step()
    async with browser(run) as page:
        shown = (await page.get(f"/operations/{operation.id}")).text
    assert "Licenses are missing: 2 of LARGE" in shown
    assert "All members are read before the group is changed" in shown


async def test_a_reader_sees_the_errors_and_no_act() -> None:
    run = await a_run()
    async with browser(run, READER) as page:
        shown = (await page.get(HERE)).text
    assert "Conflicting service plans" in shown
    assert "Diagnose</button>" not in shown
    assert "Reprocess members" not in shown


async def test_where_only_errors_can_be_read_the_page_says_so() -> None:
    run = await a_run()
    run.fakes.native.shows_licenses = False
    await watch_all(run.world)
    await run.work_off()
    async with browser(run) as page:
        assert "Only members in error can be read" in (await page.get(HERE)).text


async def test_with_read_permissions_alone_every_page_says_that_the_app_cannot_write() -> None:
    run = await a_run()
    run.fakes.permissions.append(frozenset({"User.Read.All"}))
    async with browser(run) as page:
        for path in ("/nativeGroups", "/health", "/firstDay"):
            assert "permissions to read only" in (await page.get(path)).text, path
