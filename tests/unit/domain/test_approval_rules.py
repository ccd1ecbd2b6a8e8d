"""Who may approve what somebody requested."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.approval_rules import (
    Approver,
    Given,
    Request,
    Rules,
    Ruling,
    approvals_needed,
    approver,
    denial,
    ruling,
)

THEN = datetime(2026, 11, 1, 8, tzinfo=UTC)
DAY = timedelta(hours=24)
MIA = "00000000-0000-4000-8000-00000000000a"
NOA = "00000000-0000-4000-8000-00000000000b"


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("requester", [NOA, None])
def test_another_person_approves_at_once_and_anyone_approves_what_no_person_requested(
    single: bool, requester: str | None
) -> None:
    assert approver(MIA, requester, THEN, THEN, single_approver=single) is Approver.ANOTHER


@pytest.mark.parametrize(
    ("single", "after", "expected", "may"),
    [
        (False, timedelta(0), Approver.REQUESTER, False),
        (False, 30 * DAY, Approver.REQUESTER, False),
        (True, timedelta(0), Approver.TOO_EARLY, False),
        (True, DAY - timedelta(seconds=1), Approver.TOO_EARLY, False),
        (True, DAY, Approver.ALONE, True),
        (True, -DAY, Approver.TOO_EARLY, False),
    ],
)
def test_a_person_approves_their_own_request_only_as_single_approver_after_a_day(
    single: bool, after: timedelta, expected: Approver, may: bool
) -> None:
    found = approver(MIA.upper(), MIA, THEN, THEN + after, single_approver=single)
    assert (found, found.may_approve) == (expected, may)


def test_nobody_approves_without_an_id() -> None:
    with pytest.raises(ValueError, match="object id"):
        approver("", None, THEN, THEN, single_approver=True)


RULES, ONE_ADMINISTRATOR = Rules(), Rules(single_approver=True)
ENOUGH, ONE_MORE = Ruling(Approver.ANOTHER, True), Ruling(Approver.ANOTHER, False)
REJECTED = Ruling(Approver.REQUESTER, False)


@pytest.mark.parametrize(
    ("requester", "people", "protected", "given", "who", "expected"),
    [
        (MIA, 50, False, (), MIA, ENOUGH),
        (MIA, 51, False, (), MIA, REJECTED),
        (MIA, 51, False, (), NOA, ENOUGH),
        (MIA, 1, True, (), MIA, REJECTED),
        (MIA, 1, True, (), NOA, ENOUGH),
        (None, 1000, False, (), MIA, ENOUGH),
        (None, 1, True, (), MIA, ONE_MORE),
        (None, 1, True, (Given(MIA, THEN),), MIA, REJECTED),
        (None, 1, True, (Given(MIA, THEN),), MIA.upper(), REJECTED),
        (None, 1, True, (Given(MIA, THEN),), NOA, ENOUGH),
    ],
)
def test_who_can_approve_and_whether_that_is_enough(
    requester: str | None, people: int, protected: bool, given: tuple[Given, ...], who: str, expected: Ruling
) -> None:
    request = Request(requester, THEN, people, protected, given)
    assert ruling(who, request, THEN + DAY, RULES) == expected
    assert approvals_needed(request) == (2 if protected and requester is None else 1)


def test_a_single_approver_waits_a_day_after_the_request_or_after_the_first_approval() -> None:
    own = Request(MIA, THEN, 51, False)
    assert ruling(MIA, own, THEN, ONE_ADMINISTRATOR) == Ruling(Approver.TOO_EARLY, False)
    assert ruling(MIA, own, THEN + DAY, ONE_ADMINISTRATOR) == Ruling(Approver.ALONE, True)
    text = denial(Approver.TOO_EARLY, own)
    assert text.startswith("You requested this, and 51 people would lose some: another person")
    assert text.endswith("you can approve it from 2026-11-02 08:00 UTC.")
    timer = Request(None, THEN, 1, True, (Given(MIA, THEN + DAY),))
    assert ruling(MIA, timer, THEN + DAY, ONE_ADMINISTRATOR) == Ruling(Approver.TOO_EARLY, False)
    assert ruling(MIA, timer, THEN + 2 * DAY, ONE_ADMINISTRATOR) == Ruling(Approver.ALONE, True)
    assert "from 2026-11-03 08:00 UTC" in denial(Approver.TOO_EARLY, timer)
