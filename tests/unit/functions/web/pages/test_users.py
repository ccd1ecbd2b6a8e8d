"""Pages of users: their licenses and their history."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

from shared.domain.directory import AssignedLicense, LicenseAssignmentState
from shared.domain.operation import LicenseChange, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.plan import WAITS
from shared.handlers.operations.accept import accept
from tests.support.pages import browser, licensed, send
from tests.support.rows import row_of
from tests.support.runs import EXTRA, MIA, OTHER_TEAM, SMALL, TEAM, Run


async def test_a_user_s_history_stands_beside_the_licenses_and_is_of_nobody_else() -> None:
    run = Run()
    first, second = run.people(2)
    await run.change([SMALL])
    async with browser(run) as page:
        shown = (await page.get(f"/api/users/{first}", headers={"accept": "application/json"})).json()
        run.later(days=8)
        later = (await page.get(f"/api/users/{second}", headers={"accept": "application/json"})).json()
    assert {each["userId"] for each in shown["history"]} == {first}
    assert [each["activityDisplayName"] for each in shown["history"]] == ["Change user license"]
    assert (later["history"], len(later["licenses"])) == ([], 1)


async def test_a_user_who_left_sees_why_the_license_is_still_there() -> None:
    run = Run()
    people = run.people(30)
    await run.change([SMALL])
    for each in people[:25]:
        run.directory.leave(TEAM, each)
    await run.reconcile(*people[:20], cause="left")
    async with browser(run) as page:
        held = (await page.get(f"/users/{people[0]}")).text
        listed = (await page.get("/operations")).text
        (approval,) = await run.world.stores.operations.open()
        opened = (await page.get(f"/operations/{approval.id}")).text
        await send(page, f"/operations/{approval.id}/review")
        await run.work_off()
        snapshot = (await page.get(f"/operations/{approval.id}")).text
        await send(page, f"/operations/{approval.id}/reject")
        await run.work_off()
        rejected = (await page.get("/operations")).text
        row = replace(await row_of(run, people[0]), notes=(WAITS, f"secondRead {SMALL.sku_id}"))
        await run.world.stores.members.record([row])
        shown = [(await page.get(path)).text for path in (f"/users/{people[0]}", f"/groups/{TEAM}?show=all")]
    assert "The removal waits for an approval" in held
    assert f'href="/operations/{approval.id}">approval' in held
    assert "Held removals" in listed
    assert "The list of users is made when a person reviews the removals." in opened
    assert "0</strong> of 0 members" not in opened
    assert ("Reject, keep the licenses" in snapshot, "/cancel" in snapshot) == (True, False)
    assert ("Rejected" in rejected, "Cancelled" in rejected) == (True, False)
    assert ["the removal waits and is decided with the other removals of the group" in each for each in shown] == [
        True
    ] * 2
    assert not any(WAITS in each for each in shown)


async def test_a_searched_name_is_in_no_address() -> None:
    run, _ = await licensed()
    async with browser(run) as page:
        assert 'method="post" action="/users"' in (await page.get("/users")).text
        found = await send(page, "/users", urlencode({"search": "<s"}))
        assert (found.status_code, "enabled" in found.text) == (200, True)
        assert str(found.url).endswith("/users")
        assert "enabled" not in (await page.get("/users?search=%3Cs")).text
        assert (await send(page, "/users", urlencode({"search": "x" * 121}))).status_code == 400
        assert (await page.get("/api/users?search=a")).status_code in (404, 405)


async def test_every_app_is_on_or_off_by_a_product_and_its_group() -> None:
    run = Run()
    first, _ = run.people(2)
    run.directory.change_user(
        replace(
            run.directory.truth(first),
            license_assignment_states=(
                LicenseAssignmentState(EXTRA.sku_id, assigned_by_group=OTHER_TEAM, last_updated=run.world.clock.now()),
            ),
        )
    )
    off = next(iter(SMALL.service_plans)).service_plan_id
    change = LicenseChange((AssignedLicense(SMALL.sku_id, frozenset({off})),))
    await run.finish(await accept(run.world, OperationRequest(Target(TEAM), MIA, change)))
    async with browser(run) as page:
        shown = " ".join((await page.get(f"/users/{first}")).text.split())
    apps = shown[shown.index("<h2>Apps") : shown.index("<h2>History")]
    assert [apps.count(f'<span class="badge {tone}">') for tone in ("good", "plain")] == [3, 1]
    assert "Off in SMALL: <a" in apps and f"Group {TEAM}" in apps
    assert f"native group licensing of Group {OTHER_TEAM}" in apps
    assert f"GroupDetailsMenuBlade/~/Licenses/groupId/{OTHER_TEAM}" in shown
    assert "SMALL added, 1 plan off" in shown[shown.index("<h2>History") :]
    assert "since <time" in shown


async def test_a_conflict_names_both_plans_both_products_and_who_assigned_each() -> None:
    run = Run()
    (first,) = run.people(1)
    mine, theirs = SMALL.service_plans[0], EXTRA.service_plans[0]
    run.directory.exclusions = (frozenset({mine.service_plan_id, theirs.service_plan_id}),)
    run.directory.change_user(
        replace(run.directory.truth(first), license_assignment_states=(LicenseAssignmentState(EXTRA.sku_id),))
    )
    await run.change([SMALL])
    async with browser(run) as page:
        shown = " ".join((await page.get(f"/users/{first}")).text.split())
    assert f"<strong>{mine.service_plan_name}</strong>: wanted in SMALL for Group {TEAM}" in shown
    assert f"<strong>{theirs.service_plan_name}</strong>: on in EXTRA, assigned directly, outside this app" in shown
    assert f"admin.microsoft.com/#/users/:/UserDetails/{first}/LicensesAndApps" in shown


async def test_the_history_says_that_a_person_left_and_links_to_the_approval_that_waits() -> None:
    run = Run()
    people = run.people(30)
    await run.change([SMALL])
    for each in people[:25]:
        run.directory.leave(TEAM, each)
    await run.reconcile(*people[:20], cause="left")
    async with browser(run) as page:
        held = (await page.get(f"/users/{people[0]}")).text
    (approval,) = await run.world.stores.operations.open()
    assert f'href="/operations/{approval.id}">approval for Group {TEAM}' in held
    assert f"Left Group {TEAM}: pending" in held
