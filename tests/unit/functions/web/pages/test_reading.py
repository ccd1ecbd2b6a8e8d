"""What the pages show, that names are escaped, and how people find one among many."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import pytest

from functions.web.pages.labels import STATE_WORDS
from functions.web.pages.rendering import POLICY
from shared.domain.directory import LicenseError
from shared.domain.member_status import MemberState
from shared.domain.operation import OperationState
from shared.domain.outcomes import Problem
from shared.domain.read_models import MemberRow
from tests.support.pages import HOSTILE, browser, chosen, licensed, previewed, send
from tests.support.runs import EXTRA, OTHER_TEAM, SMALL, TEAM, Run, user


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


async def test_every_view_is_shown_with_a_strict_policy_and_names_escaped() -> None:
    run, operation = await licensed()
    problem = Problem(LicenseError.COUNT_VIOLATION, "No seat.", "Buy one.", SMALL.sku_id)
    row = MemberRow(TEAM, user(1), HOSTILE, HOSTILE, MemberState.ERROR, run.world.clock.now(), (problem,))
    await run.world.stores.members.record([row])
    views = {
        "/licenses": SMALL.sku_part_number,
        f"/licenses/{SMALL.sku_id}": "members",
        "/groups": "Groups that give licenses",
        "/groups?search=t": "Found",
        f"/groups?search=g&sku={SMALL.sku_id}": f"assign?sku={SMALL.sku_id}",
        f"/groups/{TEAM}": "Buy one.",
        f"/groups/{TEAM}?show=all": "All",
        f"/groups/{TEAM}?show=Removed": "Nobody is Removed",
        f"/groups/{TEAM}/live": "members",
        f"/groups/{TEAM}/assign": "Preview",
        f"/groups/{OTHER_TEAM}/assign": "Default usage location",
        "/operations": "Completed",
        f"/operations/{operation.id}": "Licenses to give",
        "/approvals": "Nothing waits for a person",
        "/users": "Search",
        "/users?search=%3Cs": "enabled",
        f"/users/{user(1)}": "Groups managed here",
        "/audit": "Audit log",
        "/health": "Open operations",
    }
    async with browser(run) as page:
        for path, words in views.items():
            answer = await page.get(path)
            assert answer.status_code == 200, path
            assert words.lower() in answer.text.lower(), path
            assert answer.headers["content-security-policy"] == POLICY
            assert HOSTILE not in answer.text, path
        assert "&lt;script&gt;" in (await page.get(f"/groups/{TEAM}")).text


async def test_an_operation_is_shown_in_every_state_and_polled_while_it_goes_on() -> None:
    run, operation = await licensed()
    polled = set()
    for state in OperationState:
        known = await run.read(operation)
        await run.world.stores.operations.save(replace(known, state=state))
        async with browser(run) as page:
            whole = await page.get(f"/operations/{operation.id}")
            live = await page.get(f"/operations/{operation.id}/progress")
        assert (whole.status_code, live.status_code) == (200, 200), state
        assert STATE_WORDS[state] in live.text
        polled |= {state} if "data-poll" in live.text else set()
    assert polled == {OperationState.QUEUED, OperationState.IN_PROGRESS, OperationState.PAUSED}


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
