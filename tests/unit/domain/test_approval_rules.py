"""Who may approve what somebody requested."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.approval_rules import Approver, approver

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
