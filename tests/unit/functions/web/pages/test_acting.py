"""What people do on the page at the same time, twice, or for the first time, and how they find one among many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

import httpx
import pytest

from shared.bootstrap import SignIn
from shared.domain.directory import LicenseError, SubscribedSku
from shared.domain.member_status import MemberState
from shared.domain.operation import OperationState
from shared.domain.outcomes import Problem
from shared.domain.read_models import MemberRow
from tests.support.api_calls import claims_of, client, session
from tests.support.runs import EXTRA, LARGE, OTHER_TEAM, SMALL, TEAM, Run, user

SAME_SITE = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
ADMINISTRATOR = {**session(claims_of(roles=["Licensing.ReadWrite"], tenant="tenant")), "accept": "text/html"}


def browser(run: Run) -> httpx.AsyncClient:
    return client(run.world, SignIn(True, "tenant"), ADMINISTRATOR)


def chosen(*skus: SubscribedSku, version: int = 0, options: Mapping[str, str] | None = None) -> str:
    """The form of the assign dialog with products ticked and all their plans on."""
    fields: dict[str, object] = {"version": version, "sku": [sku.sku_id for sku in skus], **(options or {})}
    fields |= {f"plan-{sku.sku_id}": [plan.service_plan_id for plan in sku.service_plans] for sku in skus}
    return urlencode(fields, doseq=True)


async def send(page: httpx.AsyncClient, path: str, form: str = "") -> httpx.Response:
    return await page.post(path, content=form, headers=SAME_SITE)


async def previewed(run: Run, page: httpx.AsyncClient, form: str) -> tuple[str, str]:
    """The address of a preview, ready to be confirmed, and the form that confirms it."""
    shown = (await send(page, f"/groups/{TEAM}/assign", form)).headers["location"]
    await run.work_off()
    (preview,), _ = await run.world.stores.operations.newest(1)
    return shown, urlencode({"checksum": preview.checksum})


async def test_what_somebody_else_assigned_meanwhile_is_not_taken_for_unticked() -> None:
    run = Run()
    run.people(3)
    await run.change([SMALL])
    async with browser(run) as page:
        assert 'name="version" value="1"' in (await page.get(f"/groups/{TEAM}/assign")).text
        await run.change([EXTRA])
        late = await send(page, f"/groups/{TEAM}/assign", chosen(SMALL, LARGE, version=1))
        fresh = await send(page, f"/groups/{TEAM}/assign", chosen(SMALL, EXTRA, LARGE, version=2))
    assert (late.status_code, "Somebody else has changed" in late.text) == (409, True)
    assert fresh.status_code == 303
    (newest, *_), _ = await run.world.stores.operations.newest(5)
    assert (newest.preview, newest.change.remove) == (True, ())


async def test_a_preview_is_confirmed_once_however_often_the_button_is_pressed() -> None:
    run = Run()
    run.people(3)
    async with browser(run) as page:
        shown, checksum = await previewed(run, page, chosen(SMALL))
        first = await send(page, f"{shown}/confirm", checksum)
        again = await send(page, f"{shown}/confirm", checksum)
        await run.work_off()
        after = await send(page, f"{shown}/confirm", checksum)
    places = {answer.headers["location"] for answer in (first, again, after)}
    assert len(places) == 1
    operations, _ = await run.world.stores.operations.newest(10)
    assert [operation.preview for operation in operations] == [False, True]


async def test_a_preview_of_what_the_group_gave_before_is_not_confirmed() -> None:
    run = Run()
    run.people(3)
    async with browser(run) as page:
        shown, checksum = await previewed(run, page, chosen(SMALL))
        await run.change([EXTRA])
        refused = await send(page, f"{shown}/confirm", checksum)
    assert (refused.status_code, "Somebody else has changed" in refused.text) == (409, True)
    assert all(run.licenses(user(n)) == {"EXTRA"} for n in (1, 2, 3))


async def test_the_first_assignment_takes_its_options_with_it() -> None:
    run = Run()
    people = run.people(2, location=None)
    options = {"with_options": "1", "usage_location": "fr", "grace_days": "30", "include_guests": "on"}
    async with browser(run) as page:
        bad = await send(page, f"/groups/{TEAM}/assign", chosen(SMALL, options={**options, "grace_days": "400"}))
        assert (bad.status_code, "grace: " in bad.text) == (400, True)
        shown, checksum = await previewed(run, page, chosen(SMALL, options=options))
        await send(page, f"{shown}/confirm", checksum)
        await run.work_off()
        again = await page.get(f"/groups/{TEAM}/assign")
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    kept = stored.assignment.options
    assert (kept.usage_location, kept.grace.days, kept.include_disabled_accounts) == ("FR", 30, False)
    assert {run.directory.truth(each).usage_location for each in people} == {"FR"}
    assert "with_options" not in again.text


@pytest.mark.parametrize(("intent", "skus"), [("keep", {SMALL.sku_id, EXTRA.sku_id}), ("former", {SMALL.sku_id})])
async def test_cancelling_keeps_what_was_asked_or_goes_back_to_what_was_before(intent: str, skus: set[str]) -> None:
    run = Run()
    run.people(3)
    await run.change([SMALL])
    asked = await run.ask([EXTRA])
    async with browser(run) as page:
        assert "Go back to what the group gave before" in (await page.get(f"/operations/{asked.id}")).text
        done = await send(page, f"/operations/{asked.id}/cancel", urlencode({"intent": intent}))
    assert done.status_code == 303
    assert (done.headers["location"] == f"/operations/{asked.id}") == (intent == "keep")
    await run.work_off()
    assert (await run.read(asked)).state is OperationState.CANCELLED
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    assert {sku.sku_id for sku in stored.assignment.skus} == skus


async def troubled() -> Run:
    """A group of which many wait for a seat and few have another problem with another product."""
    run = Run()
    people = run.people(60)
    await run.change([SMALL, EXTRA])
    rows = []
    for n, each in enumerate(people):
        error, sku = (LicenseError.UNIQUENESS, EXTRA) if n % 20 == 7 else (LicenseError.COUNT_VIOLATION, SMALL)
        state = MemberState.ERROR if sku is EXTRA else MemberState.WAITING
        problem = Problem(error, "No.", "Do it.", sku.sku_id)
        known = replace(run.directory.truth(each), display_name=f"Person {n:02d}")
        run.directory.change_user(known)
        rows.append(
            MemberRow(
                TEAM, each, known.user_principal_name, f"Person {n:02d}", state, run.world.clock.now(), (problem,)
            )
        )
    await run.world.stores.members.record(rows)
    return run


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({"error": "UniquenessViolation"}, {7, 27, 47}),
        ({"product": EXTRA.sku_id}, {7, 27, 47}),
        ({"product": EXTRA.sku_id, "error": "CountViolation"}, set()),
        ({"show": "Error", "error": "UniquenessViolation"}, {7, 27, 47}),
        ({"show": "all", "error": "UniquenessViolation"}, {7, 27, 47}),
        ({"name": "person 2"}, set(range(20, 30))),
        ({"name": "person 2", "error": "UniquenessViolation"}, {27}),
        ({"name": "person 2", "show": "Error"}, {27}),
        ({"name": "person 2", "show": "all"}, set(range(20, 30))),
    ],
)
async def test_one_problem_is_found_among_many_on_the_page_and_in_the_download(
    query: dict[str, str], shown: set[int]
) -> None:
    run = await troubled()
    async with browser(run) as page:
        text = (await page.get(f"/groups/{TEAM}?{urlencode(query)}")).text
        table = text[text.index('id="members"') : text.index("</table>", text.index('id="members"'))]
        download = (await page.get(f"/groups/{TEAM}/members.csv?{urlencode(query)}")).text
    for where in (table, download):
        assert {n for n in range(60) if f"Person {n:02d}" in where} == shown
    assert ("Nobody fits" in table) == (not shown)


async def test_an_unknown_problem_is_refused_by_name() -> None:
    run = await troubled()
    async with browser(run) as page:
        answer = await page.get(f"/groups/{TEAM}?error=Nonsense")
    assert (answer.status_code, "error: " in answer.text) == (400, True)


async def test_a_group_s_page_is_live_while_an_operation_is_open() -> None:
    run = Run()
    run.people(3)
    await run.ask([SMALL])
    async with browser(run) as page:
        going_on = (await page.get(f"/groups/{TEAM}")).text
        live = (await page.get(f"/groups/{TEAM}/live")).text
        await run.work_off()
        ended = (await page.get(f"/groups/{TEAM}/live")).text
        unknown = await page.get(f"/groups/{OTHER_TEAM}/live")
    assert f'data-poll="/groups/{TEAM}/live"' in going_on
    assert "data-poll" in live
    assert "data-poll" not in ended
    assert "All licenses assigned" in ended
    assert unknown.status_code == 404


async def test_the_audit_log_is_searched_by_names_and_told_in_words() -> None:
    run = Run()
    people = run.people(3)
    for each, name in zip(people, ("Ann Ames", "Ann Abel", "Bo Berg"), strict=True):
        run.directory.change_user(replace(run.directory.truth(each), display_name=name))
    await run.change([SMALL])
    names = {"user": "bo berg", "group": f"Group {TEAM}"}
    async with browser(run) as page:
        found = (await page.get(f"/audit?{urlencode(names)}")).text
        several = (await page.get("/audit?user=Ann")).text
        nobody = (await page.get("/audit?group=Nothing")).text
        shown = (await page.get(f"/groups/{TEAM}")).text
        version = urlencode({"version": "1", "usage_location": "DE", "grace_days": "30", "include_guests": "on"})
        await send(page, f"/groups/{TEAM}/options", version)
        options = (await page.get("/audit?activity=properties")).text
    assert f"/audit.csv?user={people[2]}&amp;group={TEAM}" in found
    assert "SMALL added" in found
    assert "Ann" not in found
    assert "2 users have a name that begins with" in several
    assert "No groups have the name" in nobody
    assert "grace: P0D to P30D" in options
    assert "usageLocation: none to DE" in options
    assert "data-poll" not in shown


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


async def test_a_preview_tells_each_member_s_error_and_product() -> None:
    run = Run()
    good, without = run.people(2)
    run.directory.change_user(replace(run.directory.truth(without), usage_location=None))
    async with browser(run) as page:
        options = {"with_options": "1", "require_usage_location": "on", "include_guests": "on"}
        shown, _ = await previewed(run, page, chosen(SMALL, options=options))
        text = (await page.get(shown)).text
        rows = (await page.get(f"/api{shown}/members", headers={"accept": "application/json"})).json()["value"]
    by_id = {row["id"]: row for row in rows}
    assert by_id[good]["expectedErrors"] == []
    assert [each["error"] for each in by_id[without]["expectedErrors"]] == ["ProhibitedInUsageLocationViolation"]
    row = text[text.index(f'href="/users/{without}"') :]
    assert "Usage location isn&#39;t allowed" in row
