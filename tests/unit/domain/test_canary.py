from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.canary import IN_DELTA_WITHIN, NOTIFIED_WITHIN, PROVES_FOR, Canary, CanaryState, state_of

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CHANGED = Canary().changed(AT, is_member=True)
SEEN = Canary(AT, is_member=True, notified_at=AT + MINUTE, in_delta_at=AT + 5 * MINUTE)


def state(
    canary: Canary, after: timedelta, *, is_configured: bool = True, has_subscription: bool = True
) -> CanaryState:
    return state_of(canary, AT + after, is_configured=is_configured, has_subscription=has_subscription)


@pytest.mark.parametrize(
    ("canary", "after", "expected"),
    [
        (Canary(), MINUTE, CanaryState.NEVER_CHANGED),
        (CHANGED, MINUTE, CanaryState.WAITING),
        (CHANGED, NOTIFIED_WITHIN, CanaryState.OVERDUE),
        (SEEN, 10 * MINUTE, CanaryState.PROVEN),
        (SEEN, PROVES_FOR + 5 * MINUTE, CanaryState.OVERDUE),
        # A notification from before the change proves nothing about it.
        (SEEN.changed(AT + timedelta(hours=6), is_member=False), timedelta(hours=7), CanaryState.WAITING),
        (SEEN.changed(AT + timedelta(hours=6), is_member=False), timedelta(hours=10), CanaryState.OVERDUE),
    ],
)
def test_a_change_is_proven_by_both_ways_and_in_time(canary: Canary, after: timedelta, expected: CanaryState) -> None:
    assert state(canary, after) is expected


def test_a_change_by_hand_is_proven_alike() -> None:
    by_hand = Canary(notified_at=AT, in_delta_at=AT + MINUTE)
    assert state(by_hand, 2 * MINUTE) is CanaryState.PROVEN
    assert state(Canary(notified_at=AT), 2 * MINUTE) is CanaryState.WAITING
    assert state(Canary(notified_at=AT), NOTIFIED_WITHIN) is CanaryState.OVERDUE


def test_without_a_subscription_delta_alone_is_the_proof() -> None:
    in_delta = Canary(AT, in_delta_at=AT + MINUTE)
    assert state(in_delta, 2 * MINUTE, has_subscription=False) is CanaryState.PROVEN
    assert state(in_delta, 2 * MINUTE) is CanaryState.WAITING
    assert state(CHANGED, IN_DELTA_WITHIN, has_subscription=False) is CanaryState.OVERDUE


def test_without_a_setting_there_is_none() -> None:
    assert state(SEEN, MINUTE, is_configured=False) is CanaryState.NOT_CONFIGURED


def test_a_failed_change_keeps_what_was_proven_and_the_next_one_ends_the_fault() -> None:
    failed = SEEN.failed("403 Forbidden")
    assert (failed.fault, failed.notified_at) == ("403 Forbidden", SEEN.notified_at)
    assert failed.changed(AT + timedelta(days=1), is_member=False).fault == ""
