"""HR events over hours and months, on the whole stack, with a clock that the test moves: the app's and the queues'."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.days import DAY, HOUR, MINUTE, Days, movable
from tests.support.stack_hires import ENDS, accounts, by_queue, event, hiring, outcomes, record, until
from tests.support.stack_journeys import eventually

LEAD = 7
"""Days before the start at which joiners are taken up."""


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    folder = tmp_path_factory.mktemp("time")
    options = movable(folder)
    settings = {**options.pop("settings"), "ONBOARDING_LEAD_TIME": f"P{LEAD}D"}
    with hiring(folder, settings=settings, **options) as run:
        yield Days(run)


def sales(kind: str, name: str, user: dict[str, str], **data: Any) -> dict[str, Any]:
    return event(kind, name, user, attributes={"department": "Sales"}, **data)


def test_a_joiner_whose_account_appears_hours_later_waits_for_it_visibly_and_is_licensed_then(days: Days) -> None:
    run = days.run
    by_queue(run, sales("joiner", "late", {"employeeId": "late-1"}), sales("joiner", "never", {"employeeId": "no-1"}))
    waiting = until(run, "late", "WaitingForAccount")
    assert waiting["nextAttemptDateTime"]
    assert "Waits for the account" in waiting["note"]
    for _ in range(3):
        days.pass_by(2 * HOUR)
        assert until(run, "late", "WaitingForAccount")["nextAttemptDateTime"]
    (ann,) = accounts(run, 1, employeeId="late-1")
    days.pass_by(16 * MINUTE)
    ended = until(run, "late", *ENDS)
    assert (ended["state"], outcomes(ended)) == ("Done", (["Added"], ["Assigned"]))
    assert days.skus(ann) == {"SPE_E3"}
    assert record(run, "never")["state"] == "WaitingForAccount"
    run.must_be_right()


def test_a_start_in_four_months_survives_the_loss_of_every_message_and_worker(days: Days) -> None:
    run = days.run
    days.away_from_midnight()
    ann, bob = accounts(run, 2)
    start = days.date(120)
    run.until_quiet()
    scheduled = run.queues()["onboarding"]["scheduled"]
    by_queue(run, sales("joiner", "spring", {"id": ann}, effectiveDate=start))
    by_queue(run, sales("mover", "summer", {"id": bob}, effectiveDate=start))
    for name in ("spring", "summer"):
        assert until(run, name, "Scheduled")["nextAttemptDateTime"]
    run.until_quiet()
    assert run.queues()["onboarding"]["scheduled"] <= scheduled, "months ahead is a row, not a message"
    days.broker("/purge", {})
    for pid in run.stack.workers("process_hr_events"):
        run.stack.kill(pid)
    days.pass_by((120 - LEAD - 1.5) * DAY)
    run.until_quiet()
    assert record(run, "spring")["state"] == "Scheduled"
    days.pass_by(1.5 * DAY)
    assert until(run, "spring", *ENDS)["state"] == "Done"
    assert record(run, "summer")["state"] == "Scheduled", "only joiners are taken up before their day"
    assert (days.skus(ann), days.skus(bob)) == ({"SPE_E3"}, set())
    days.pass_by(LEAD * DAY)
    assert until(run, "summer", *ENDS)["state"] == "Done"
    assert until(run, "never", "Failed")["remedy"]
    run.until_quiet()
    run.must_be_right()


def test_a_leaver_keeps_everything_until_the_delay_is_over_or_the_release_comes_or_it_is_cancelled(days: Days) -> None:
    run = days.run
    people = dict(zip(("ann", "bob", "cem", "dora"), accounts(run, 4), strict=True))
    by_queue(run, *(sales("joiner", f"hire-{name}", {"id": each}) for name, each in people.items()))
    for name in people:
        assert until(run, f"hire-{name}", *ENDS)["state"] == "Done"
    days.away_from_midnight()
    today = days.date()
    for name, removal in (("ann", "P30D"), ("bob", "P30D"), ("cem", "release"), ("dora", "P0D")):
        by_queue(run, event("leaver", f"leave-{name}", {"id": people[name]}, effectiveDate=today, removal=removal))
    for name, state in (("ann", "Scheduled"), ("bob", "Scheduled"), ("cem", "WaitingForRelease")):
        until(run, f"leave-{name}", state)
    assert until(run, "leave-dora", *ENDS)["state"] == "Done"
    assert days.skus(people["dora"]) == set()
    cancelled = run.start(f"/api/onboarding/{record(run, 'leave-bob')['id']}/cancel")
    assert cancelled["state"] == "Cancelled"
    days.pass_by(28 * DAY)
    run.until_quiet()
    assert [days.skus(people[name]) for name in ("ann", "bob", "cem")] == [{"SPE_E3"}] * 3
    by_queue(run, event("leaver.release", "go-cem", {"id": people["cem"]}, effectiveDate=today))
    until(run, "leave-cem", *ENDS)
    assert days.skus(people["ann"]) == {"SPE_E3"}
    days.pass_by(3 * DAY)
    for name in ("ann", "cem"):
        ended = until(run, f"leave-{name}", *ENDS)
        assert (ended["state"], outcomes(ended)) == ("Done", (["Removed"], ["Removed"])), ended
        assert days.skus(people[name]) == set()
    assert record(run, "go-cem")["state"] == "Done"
    assert days.skus(people["bob"]) == {"SPE_E3"}
    run.until_quiet()
    run.must_be_right()


def test_a_leaver_that_has_begun_is_cancelled_and_gives_back_what_it_took(days: Days) -> None:
    run = days.run
    (ann,) = accounts(run, 1)
    by_queue(run, sales("joiner", "back-1", {"id": ann}))
    assert until(run, "back-1", *ENDS)["state"] == "Done"
    run.client.tenant("PATCH", "/settings", {"latencyMs": [800, 1000]})  # so that it is met while it is worked on
    by_queue(run, event("leaver", "back-2", {"id": ann}, effectiveDate=days.date(), removal="P0D"))
    begun = eventually(lambda: record(run, "back-2"), lambda each: bool(each.get("licenses")))
    assert begun["state"] == "Working"
    run.start(f"/api/onboarding/{begun['id']}/cancel")
    run.client.tenant("PATCH", "/settings", {"latencyMs": [5, 20]})
    ended = until(run, "back-2", "Cancelled")
    assert outcomes(ended)[0] == ["Added"]
    eventually(lambda: days.skus(ann), lambda skus: skus == {"SPE_E3"})
    run.until_quiet()
    run.must_be_right()
