"""When a retry becomes an error that a person sees."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.directory import LicenseError
from shared.domain.outcomes import Applied, Failed, Problem, Result, RetryAt, Skipped, SkipReason, Unchanged, Waiting
from shared.domain.retry import GIVEN_UP_REMEDY, attempts_after, bounded
from tests.support.builders import DAY, E3, HOUR, NOW

SOON = NOW + timedelta(seconds=10)
MOMENT = timedelta(microseconds=1)

REJECTED = RetryAt(SOON, "conflict", rejected=True)
UNREAD = RetryAt(SOON, "no answer", unread=True)
THROTTLED = RetryAt(SOON, "Graph throttles writes")

ENDS: list[Result] = [
    Applied(),
    Unchanged(),
    Skipped(SkipReason.GUEST),
    Waiting((E3,)),
    Failed((Problem(LicenseError.OTHER, "No.", "Do it."),)),
]


def given_up(text: str) -> Failed:
    return Failed((Problem(LicenseError.UNAVAILABLE, text, GIVEN_UP_REMEDY),))


@pytest.mark.parametrize("result", ENDS)
def test_a_result_that_is_no_retry_stays_as_it_is_at_any_age(result: Result) -> None:
    assert bounded(result, 50, NOW - 30 * DAY, NOW) == result


def test_the_eighth_rejection_is_the_last() -> None:
    assert bounded(REJECTED, 6, NOW, NOW) == REJECTED
    assert bounded(REJECTED, 7, NOW, NOW) == given_up("Given up after 8 attempts: conflict")


def test_a_retry_without_a_rejection_does_not_use_up_attempts() -> None:
    assert bounded(THROTTLED, 7, NOW, NOW) == THROTTLED
    assert bounded(UNREAD, 7, NOW, NOW) == UNREAD


def test_rejections_and_failed_reads_end_after_24_hours() -> None:
    assert bounded(REJECTED, 0, NOW - DAY, NOW) == REJECTED
    assert bounded(REJECTED, 0, NOW - DAY - MOMENT, NOW) == given_up("Given up after 24 hours: conflict")
    assert bounded(UNREAD, 0, NOW - DAY, NOW) == UNREAD
    assert bounded(UNREAD, 0, NOW - DAY - MOMENT, NOW) == given_up("Given up after 24 hours: no answer")


def test_throttling_and_second_reads_may_last_longer_than_24_hours() -> None:
    assert bounded(THROTTLED, 0, NOW - 2 * DAY, NOW) == THROTTLED


def test_a_first_try_has_no_age() -> None:
    assert bounded(REJECTED, 0, None, NOW) == REJECTED


def test_the_age_is_named_when_both_limits_are_exceeded() -> None:
    assert bounded(REJECTED, 7, NOW - DAY - HOUR, NOW) == given_up("Given up after 24 hours: conflict")


def test_the_error_that_the_retry_names_is_shown_with_its_own_remedy() -> None:
    unknown = RetryAt(SOON, "the directory does not know the user", rejected=True, error=LicenseError.NOT_FOUND)
    assert bounded(unknown, 7, NOW, NOW) == Failed(
        (
            Problem(
                LicenseError.NOT_FOUND,
                "Given up after 8 attempts: the directory does not know the user",
                "The user does not exist (any more). If the account was deleted, do nothing.",
            ),
        )
    )


def test_only_a_rejection_counts_as_one_more_attempt() -> None:
    assert attempts_after(REJECTED, 0) == 1
    assert attempts_after(REJECTED, 3) == 4
    assert attempts_after(UNREAD, 3) == 3
    assert attempts_after(THROTTLED, 3) == 3
    assert [attempts_after(result, 3) for result in ENDS] == [3, 3, 3, 3, 3]
