"""Approvals that no person has reviewed yet: their titles, the users held so far, and the download of the list."""

from __future__ import annotations

from shared.handlers.views.approvals import waiting_approvals
from tests.support.api_calls import claims_of, session
from tests.support.operations import held_run
from tests.support.pages import browser
from tests.support.runs import OTHER_TEAM, SMALL, TEAM, Run


async def test_the_title_says_what_would_be_removed_and_the_list_is_there_before_the_review() -> None:
    run, held, waiting = await held_run()
    async with browser(run) as page:
        listed = (await page.get("/approvals")).text
        opened = (await page.get(f"/operations/{waiting.id}")).text
        saved = await page.get(f"/operations/{waiting.id}/held.csv")
    for text in (listed, opened):
        assert "SMALL from 5 people" in text
        assert "Reprocess" not in text.partition("<table")[2]
        assert "collecting" not in text.lower()
    assert waiting.reason in opened
    assert all(f"/users/{each}" in opened for each in held)
    rows = saved.text.splitlines()
    assert (saved.status_code, len(rows)) == (200, 6)
    assert all(any(each in row and "SMALL" in row and waiting.reason in row for row in rows) for each in held)


async def test_a_person_who_can_only_approve_is_told_to_ask_for_the_review() -> None:
    """Both decisions are rejected before the review, so their buttons are not shown."""
    run, _, waiting = await held_run()
    approver = {**session(claims_of(roles=["Licensing.Approve"], tenant="tenant")), "accept": "text/html"}
    async with browser(run, approver) as page:
        opened = (await page.get(f"/operations/{waiting.id}")).text
    async with browser(run) as page:
        by_writer = (await page.get(f"/operations/{waiting.id}")).text
    assert "A person with the role Licensing.Write must review these removals" in opened
    assert all(f"/operations/{waiting.id}/{act}" not in opened for act in ("approve", "reject", "review"))
    assert f"/operations/{waiting.id}/review" in by_writer
    assert "must review these removals" not in by_writer


async def test_who_comes_back_is_no_longer_on_the_list() -> None:
    run, held, _ = await held_run()
    run.directory.join(TEAM, held[0])
    await run.reconcile(held[0], cause="back")
    (found,) = await waiting_approvals(run.world)
    assert (sorted(found.held), found.people, found.skus) == (held[1:], 4, (SMALL.sku_id,))


async def test_who_is_no_longer_held_after_the_removal_leaves_the_list() -> None:
    run, held, _ = await held_run()
    for each in held:
        run.directory.join(TEAM, each)
    await run.reconcile(*held, cause="back")
    (found,) = await waiting_approvals(run.world)
    assert found.people == 0


async def test_a_deleted_group_is_shown_as_deleted() -> None:
    run = Run()
    people = run.people(3)
    await run.change([SMALL])
    run.directory.remove_group(TEAM)
    await run.reconcile(*people)
    (found,) = await waiting_approvals(run.world)
    async with browser(run) as page:
        texts = [(await page.get(path)).text for path in ("/approvals", f"/groups/{TEAM}")]
    assert found.group_is_deleted
    assert all("Deleted" in text for text in texts)
    assert "was deleted" in texts[0]
    assert OTHER_TEAM not in texts[0]
