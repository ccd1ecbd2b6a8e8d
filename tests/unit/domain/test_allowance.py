"""The removal allowance of a group."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.allowance import AllowanceState, limit, remaining, take, used
from tests.support.builders import DAY, HOUR, NOW


@pytest.mark.parametrize(
    ("size", "expected"), [(0, 20), (1, 20), (199, 20), (200, 20), (209, 20), (210, 21), (100_000, 10_000)]
)
def test_the_limit_is_the_larger_of_the_minimum_and_the_share(size: int, expected: int) -> None:
    assert limit(size, 20, 10.0) == expected


def test_taking_more_than_is_left_gives_what_is_left_and_then_nothing() -> None:
    granted, state = take(AllowanceState(), 15, 20, NOW)
    assert (granted, remaining(state, 20, NOW)) == (15, 5)
    granted, state = take(state, 15, 20, NOW + HOUR)
    assert (granted, remaining(state, 20, NOW + HOUR)) == (5, 0)
    granted, after = take(state, 15, 20, NOW + HOUR)
    assert (granted, after) == (0, state)


def test_four_thousand_removals_by_single_events_stop_at_the_allowance() -> None:
    state, granted = AllowanceState(), 0
    for event in range(4000):
        one, state = take(state, 1, limit(10_000, 20, 10.0), NOW + timedelta(seconds=event))
        granted += one
    assert granted == 1000


def test_what_was_used_more_than_a_day_ago_is_free_again_and_leaves_the_state() -> None:
    _, state = take(AllowanceState(), 20, 20, NOW)
    assert remaining(state, 20, NOW + DAY) == 0
    later = NOW + DAY + HOUR
    assert remaining(state, 20, later) == 20
    _, state = take(state, 1, 20, later)
    assert len(state.hours) == 1


def test_removals_of_the_hour_that_began_a_day_ago_still_count_after_the_next_one() -> None:
    _, state = take(AllowanceState(), 20, 30, NOW)
    granted, state = take(state, 5, 30, NOW + DAY)
    assert granted == 5
    assert used(state, NOW + DAY) == 25


def test_the_state_is_stored_as_compact_json_with_the_oldest_hour_first() -> None:
    state = AllowanceState({490_001: 3, 490_000: 20})
    assert state.to_json() == '{"490000":20,"490001":3}'
    assert AllowanceState.from_json('{"490000":20,"490001":3}') == state


def test_an_allowance_lowered_below_what_was_used_leaves_nothing_and_is_not_negative() -> None:
    _, state = take(AllowanceState(), 20, 20, NOW)
    assert remaining(state, 5, NOW) == 0
    assert take(state, 1, 5, NOW)[0] == 0


def test_fewer_than_no_removals_are_rejected() -> None:
    _, state = take(AllowanceState(), 20, 20, NOW)
    with pytest.raises(ValueError, match="-5"):
        take(state, -5, 20, NOW)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 30)), max_size=30), st.integers(0, 40))
def test_no_day_sees_more_removals_than_the_allowance(steps: list[tuple[int, int]], maximum: int) -> None:
    state, now = AllowanceState(), NOW
    taken: list[tuple[float, int]] = []
    for seconds, wanted in steps:
        now += timedelta(seconds=seconds)
        granted, state = take(state, wanted, maximum, now)
        taken.append((now.timestamp(), granted))
        day = sum(n for at, n in taken if at > now.timestamp() - 86_400)
        assert 0 <= granted <= wanted
        assert day <= maximum
        assert used(state, now) >= day
        assert AllowanceState.from_json(state.to_json()) == state
