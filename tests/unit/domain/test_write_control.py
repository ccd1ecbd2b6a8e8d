"""Room for license writes: rate, window, burst and width together."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.budget import (
    BURST_SHARE,
    NO_BURST_S,
    UNITS_PER_10_S,
    UNITS_PER_USER,
    BudgetLimits,
    BudgetState,
    Burst,
    Charged,
    Lane,
    burst_of,
    charge,
    frozen_until,
    new_state,
)
from shared.domain.write_control import Answers, reported, take
from shared.domain.write_rate import LEAST_PER_S, Rate, after_acceptance, after_throttling

LIMITS = BudgetLimits(rate_per_s=19.5, burst=30, window_limit=3000, window_s=150.0)
START = 1_750_000_000.0
BULK, INTERACTIVE = Lane.BULK, Lane.INTERACTIVE


def at_once(state: BudgetState, burst: Burst, lane: Lane = BULK) -> int:
    """Writes that may all start now, in chunks of 20."""
    sent = 0
    while True:
        slot, state = charge(state, LIMITS, lane, 20, START, burst)
        if not slot.charged or slot.start > START:
            return sent
        sent += 20


@pytest.mark.parametrize(
    ("wrote", "expected"),
    [(0, Burst.LATER), (49, Burst.LATER), (50, Burst.NOW), (2399, Burst.NOW), (2400, Burst.NEVER)],
)
def test_the_first_additions_of_an_operation_burst_once_fifty_were_written(wrote: int, expected: Burst) -> None:
    assert burst_of(wrote, 3000) is expected


def in_burst(state: BudgetState) -> list[tuple[float, int]]:
    """The writes of a burst as (time, writes), where each caller comes back when it is told to, within a minute."""
    sent, now = [], START
    while now < START + 60:
        slot, state = charge(state, LIMITS, BULK, 20, now, Burst.NOW)
        if slot.is_burst:
            sent.append((now, 20))
        else:
            now = max(slot.start, now + 0.01)
    return sent


def test_a_burst_uses_the_free_window_all_but_a_fifth() -> None:
    assert 2000 <= sum(n for _, n in in_burst(BudgetState())) <= BURST_SHARE * 3000
    assert at_once(BudgetState(), Burst.NEVER) <= 40
    used = BudgetState(counts={int(START // 2) - 10: 2000})
    assert at_once(used, Burst.NOW) == 400


def test_a_burst_leaves_the_units_of_ten_seconds_to_spare() -> None:
    sent = in_burst(BudgetState())
    for begin, _ in sent:
        of_ten_seconds = sum(n for at, n in sent if begin <= at < begin + 10)
        assert of_ten_seconds * UNITS_PER_USER <= 0.8 * UNITS_PER_10_S
    assert sent[-1][0] - START < 25


def test_a_burst_that_used_the_units_goes_on_soon_and_not_at_the_even_rate() -> None:
    state, sent = BudgetState(full_until=START + 60), 0
    while (slot := charge(state, LIMITS, BULK, 20, START, Burst.NOW))[0].charged:
        state, sent = slot[1], sent + 20
    assert sent == 1600
    assert slot[0].start == START + 2


def test_work_that_may_burst_soon_comes_back_soon() -> None:
    state = BudgetState(full_until=START + 60)
    slot, _ = charge(state, LIMITS, BULK, 20, START, Burst.LATER)
    assert (slot.start, slot.charged) == (START + 2, False)


def test_after_a_burst_interactive_work_starts_at_once() -> None:
    state, sent = BudgetState(), 0
    while sent < 1600:
        slot, state = charge(state, LIMITS, BULK, 20, START, Burst.NOW)
        assert slot.charged
        sent += 20
    slot, state = charge(state, LIMITS, INTERACTIVE, 10, START + 5)
    assert (slot.start, slot.charged) == (START + 5, True)


def test_a_new_row_and_a_429_allow_no_burst() -> None:
    assert at_once(new_state(LIMITS, START), Burst.NOW) <= 40
    assert at_once(frozen_until(BudgetState(), 0.0, START - NO_BURST_S + 1), Burst.NOW) <= 40
    assert at_once(frozen_until(BudgetState(), 0.0, START - NO_BURST_S), Burst.NOW) == 1600


def test_a_reservation_that_exceeded_the_rate_is_not_used_for_removals() -> None:
    slot, state = charge(BudgetState(full_until=START + 60), LIMITS, BULK, 20, START, Burst.NOW)
    assert slot.is_burst
    grant, left, _ = take(state, LIMITS, BULK, [1] * 20, START, charged=Charged(slot.start, 20, slot.is_burst))
    assert grant is not None
    assert (grant.lease, grant.slot.charged, left) == (None, False, None)


def test_as_many_users_are_called_as_may_be_in_flight_and_only_their_writes_are_charged() -> None:
    grant, _, state = take(BudgetState(), LIMITS, BULK, [2, 1, 1], START)
    assert grant is not None
    assert (grant.users, sum(state.counts.values())) == (3, 4)
    narrow = reported(state, LIMITS, grant.lease, Answers(0, ("a", "b")), START + 1) if grant.lease else state
    assert narrow.width.limit == 20
    charged = Charged(START, 3)
    full = BudgetState.from_json(narrow.to_json())
    taken, left, _ = take(full, LIMITS, BULK, [1] * 40, START + 1, charged=charged)
    assert taken is not None
    assert (taken.users, left) == (20, None)


def test_a_429_lowers_the_rate_once_and_it_rises_again_to_that_of_the_settings() -> None:
    rate = after_throttling(Rate(), 19.5, START, START + 1)
    assert rate.per_s is not None
    assert after_throttling(rate, 19.5, START + 0.5, START + 1.2) == rate
    now = START
    while rate.per_s is not None:
        now += 60
        higher = after_acceptance(rate, 19.5, now)
        assert higher.per_s is None or rate.per_s is None or higher.per_s >= rate.per_s
        rate = higher
    assert now < START + 1200


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 20.0, 90.0, 4000.0]), st.booleans()), max_size=60))
def test_the_learned_rate_stays_between_the_least_and_the_settings(history: list[tuple[float, bool]]) -> None:
    rate, now = Rate(), START
    for passed, throttled in history:
        now += passed
        rate = after_throttling(rate, 19.5, now, now) if throttled else after_acceptance(rate, 19.5, now)
        assert rate.per_s is None or LEAST_PER_S <= rate.per_s <= 19.5
        assert Rate(*rate.to_list()) == rate


steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.1, 1.0, 3.0, 20.0, 151.0]),
        st.sampled_from(list(Lane)),
        st.integers(1, 60),
        st.sampled_from(list(Burst)),
        st.sampled_from([None, None, None, 0.5, 30.0]),
    ),
    max_size=150,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_no_window_is_exceeded_with_bursts_and_whatever_is_answered(
    history: list[tuple[float, Lane, int, Burst, float | None]],
) -> None:
    limits = BudgetLimits(rate_per_s=15.0, burst=30, window_limit=500, window_s=30.0)
    state, now, sent = BudgetState(), START, list[tuple[float, int]]()
    for passed, lane, users, burst, retry_after_s in history:
        now += passed
        grant, _, state = take(state, limits, lane, [1] * users, now, burst=burst)
        if grant is None or grant.lease is None:
            continue
        assert grant.slot.start >= max(now, state.not_before)
        sent.append((grant.slot.start, grant.users))
        state = reported(state, limits, grant.lease, Answers(grant.users, (), retry_after_s), now)
        state = BudgetState.from_json(state.to_json())
    times = sorted(sent)
    starts = [at for at, _ in times]
    for first, (at, _) in enumerate(times):
        assert sum(n for _, n in times[first : bisect_left(starts, at + limits.window_s)]) <= limits.window_limit
