"""The write budget: both limits for any charges at any times, and the interactive share."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.budget import (
    MAX_FREEZE_S,
    MAX_WAIT_S,
    BudgetLimits,
    BudgetState,
    Charged,
    Lane,
    Slot,
    charge,
    drawn,
    frozen_until,
    given_back,
    used,
)

LIMITS = BudgetLimits(rate_per_s=18.0, burst=100, window_limit=3000, window_s=150.0)
DEFAULT = BudgetLimits(rate_per_s=18.0, burst=30, window_limit=3000, window_s=150.0)
TOO_FAST = BudgetLimits(rate_per_s=30.0, burst=30, window_limit=3000, window_s=150.0)
SMALL = BudgetLimits(rate_per_s=10.0, burst=30, window_limit=200, window_s=30.0)
SLOW = BudgetLimits(rate_per_s=5.0, burst=30, window_limit=200, window_s=30.0)
SHORT = BudgetLimits(rate_per_s=30.0, burst=30, window_limit=100, window_s=10.0)
START = 1_750_000_000.0
INTERACTIVE, BULK = Lane.INTERACTIVE, Lane.BULK

Starts = list[tuple[float, int]]


def most_in_any(starts: Starts, seconds: float) -> int:
    """The most writes that start in any half-open interval of that length."""
    ordered = sorted(starts)
    times = [at for at, _ in ordered]
    sums = [0]
    for _, n in ordered:
        sums.append(sums[-1] + n)
    return max((sums[bisect_left(times, at + seconds)] - sums[first] for first, at in enumerate(times)), default=0)


def test_a_charge_on_an_idle_budget_starts_now() -> None:
    slot, _ = charge(BudgetState(), LIMITS, INTERACTIVE, 20, START)
    assert (slot.start, slot.charged) == (START, True)


def test_after_the_burst_the_next_writes_start_at_the_rate() -> None:
    slot, state = charge(BudgetState(), LIMITS, INTERACTIVE, 100, START)
    slot, state = charge(state, LIMITS, INTERACTIVE, 18, START)
    assert slot.charged
    assert slot.start == pytest.approx(START + 1.0, abs=1e-6)


def test_a_far_start_charges_nothing_and_gives_places_one_after_the_other() -> None:
    state, places = BudgetState(), []
    for _ in range(12):
        before = state
        slot, state = charge(state, LIMITS, BULK, 20, START)
        if not slot.charged:
            places.append(slot.start)
            assert (state.full_until, state.counts) == (before.full_until, before.counts)
    assert len(places) > 2
    assert all(later - earlier >= 20 / 18 - 1e-9 for earlier, later in pairwise(places))
    assert places[0] > START + MAX_WAIT_S[BULK] - 1e-6


@pytest.mark.parametrize("n", [0, -1, 3001])
def test_more_writes_than_a_window_holds_or_none_are_rejected(n: int) -> None:
    with pytest.raises(ValueError, match="3000"):
        charge(BudgetState(), LIMITS, BULK, n, START)


def test_after_throttling_nothing_starts_before_its_end_and_an_absurd_one_is_cut() -> None:
    state = frozen_until(BudgetState(), 2.5, START)
    assert charge(state, LIMITS, INTERACTIVE, 1, START)[0].start == START + 2.5
    assert not charge(frozen_until(state, 60.0, START), LIMITS, INTERACTIVE, 1, START)[0].charged
    assert frozen_until(state, 1e9, START).not_before == START + MAX_FREEZE_S
    assert frozen_until(state, 0.1, START) == state
    assert frozen_until(BudgetState(), -5.0, START).not_before == START


def test_all_retries_after_a_freeze_do_not_return_together() -> None:
    state, places = frozen_until(BudgetState(), 60.0, START), []
    for _ in range(20):
        slot, state = charge(state, LIMITS, BULK, 20, START)
        places.append(slot.start)
    assert min(places) >= START + 60.0
    assert len(set(places)) == 20


def test_work_late_by_a_cold_start_is_paced_and_not_due_at_once() -> None:
    """900 writes scheduled for the last 45 s all arrive now: they were never charged, so they are paced now."""
    state, charged = BudgetState(), 0
    for _ in range(45):
        slot, state = charge(state, LIMITS, BULK, 20, START)
        charged += 20 * slot.charged
    assert charged <= LIMITS.burst + 18 * MAX_WAIT_S[BULK] + 20


@pytest.mark.parametrize("lane", list(Lane))
def test_five_thousand_joiners_in_one_burst_stay_below_both_limits(lane: Lane) -> None:
    limits = BudgetLimits(rate_per_s=20.0, burst=1000, window_limit=3000, window_s=150.0)
    starts = simulate(limits, [(START, lane, 1)] * 5000, seconds=400.0)
    assert most_in_any(starts, 150.0) <= 3000
    assert sum(n for _, n in starts) == 5000


def simulate(limits: BudgetLimits, work: list[tuple[float, Lane, int]], seconds: float) -> Starts:
    """Work that comes back at its place until it is charged."""
    state, starts = BudgetState(), []
    queue = [(at, index, lane, n) for index, (at, lane, n) in enumerate(work)]
    heapq.heapify(queue)
    for _ in range(60_000):
        if not queue or queue[0][0] > START + seconds:
            break
        now, index, lane, n = heapq.heappop(queue)
        slot, state = charge(state, limits, lane, n, now)
        if slot.charged:
            starts.append((slot.start, n))
        else:
            heapq.heappush(queue, (slot.start, index, lane, n))
    return starts


steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.01, 0.3, 1.0, 3.0, 7.0, 40.0, -0.005, -0.05]),
        st.sampled_from(list(Lane)),
        st.integers(1, 60),
    ),
    max_size=120,
)


@settings(max_examples=150, deadline=None)
@given(steps, st.sampled_from([None, None, 5.0, 400.0]))
def test_neither_limit_is_exceeded_over_any_window_even_when_the_clock_steps_back(
    charges: list[tuple[float, Lane, int]], retry_after: float | None
) -> None:
    state, now, starts = BudgetState(), START, Starts()
    for index, (passed, lane, n) in enumerate(charges):
        now += passed
        if retry_after and index == 20:
            state = frozen_until(state, retry_after, now)
        slot, state = charge(state, SMALL, lane, n, now)
        assert slot.start >= now
        if slot.charged:
            assert slot.start <= now + MAX_WAIT_S[lane]
            assert slot.start >= state.not_before
            starts.append((slot.start, n))
    assert most_in_any(starts, SMALL.window_s) <= SMALL.window_limit
    for seconds in (0.001, 1.0, 5.0, 20.0, 60.0):
        at_once = max([SMALL.burst, *(n for _, n in starts)])
        assert most_in_any(starts, seconds) <= at_once + SMALL.pace * seconds + 1e-6


@settings(max_examples=150, deadline=None)
@given(steps, st.lists(st.integers(0, 60), min_size=1, max_size=20))
def test_the_window_holds_and_a_burst_at_most_doubles_where_writes_are_given_back(
    charges: list[tuple[float, Lane, int]], back: list[int]
) -> None:
    state, now, sent, open_ones = BudgetState(), START, Starts(), Starts()
    for index, (passed, lane, n) in enumerate(charges):
        now += passed
        for start, charged in [each for each in open_ones if each[0] < now]:
            unsent = min(charged, back[index % len(back)])
            state = given_back(state, SMALL, unsent, Slot(start, charged=True))
            sent.append((start, charged - unsent))
        open_ones = [each for each in open_ones if each[0] >= now]
        slot, state = charge(state, SMALL, lane, n, now)
        if slot.charged:
            open_ones.append((slot.start, n))
    sent += open_ones
    assert most_in_any(sent, SMALL.window_s) <= SMALL.window_limit
    for seconds in (0.001, 1.0, 5.0, 20.0, 60.0):
        at_once = max([SMALL.burst, *(n for _, n in sent)])
        assert most_in_any(sent, seconds) <= 2 * at_once + SMALL.pace * (seconds + MAX_WAIT_S[INTERACTIVE]) + 1e-6


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.0, 0.01, 0.3, 1.0, 3.0, 7.0]),
            st.integers(1, 40),
            st.sampled_from([0.0, 0.3, 1.0, 3.9, 6.0, 20.0]),
            st.integers(0, 40),
        ),
        max_size=120,
    ),
    st.sampled_from([None, 5.0]),
    st.sampled_from([SLOW, SHORT]),
)
def test_the_window_holds_where_writes_are_charged_before_slow_reads_and_then_more_or_fewer_go_out(
    work: list[tuple[float, int, float, int]], retry_after: float | None, limits: BudgetLimits
) -> None:
    state, now, sent = BudgetState(), START, Starts()
    reading: list[tuple[float, int, Charged, int]] = []
    for index, (passed, n, reads, needed) in enumerate([*work, (60.0, 1, 0.0, 0)]):
        now += passed
        while reading and reading[0][0] <= now:
            at, _, charged, writes = heapq.heappop(reading)
            rest: Charged | None = charged
            if writes:
                slot, rest, state = drawn(state, limits, BULK, charged, writes, at)
                assert slot.start >= max(at, state.not_before)
                if slot.charged:
                    unsent = writes // 4
                    sent.append((slot.start, writes - unsent))
                    state = given_back(state, limits, unsent, slot)
            state = given_back(state, limits, rest.writes, rest.slot) if rest else state
        if retry_after and index == 20:
            state = frozen_until(state, retry_after, now)
        slot, state = charge(state, limits, BULK, n, now)
        if slot.charged:
            heapq.heappush(reading, (now + reads, index, Charged(slot.start, n), needed))
    assert most_in_any(sent, limits.window_s) <= limits.window_limit


def test_writes_given_back_after_a_pause_enlarge_no_burst() -> None:
    slot, state = charge(BudgetState(), DEFAULT, BULK, 20, START)
    later = START + 60.0
    _, state = charge(state, DEFAULT, BULK, 10, later)
    back = given_back(state, DEFAULT, 20, slot)
    room = 0
    while charge(back, DEFAULT, BULK, 1, later)[0].start < later + 1e-6:
        _, back = charge(back, DEFAULT, BULK, 1, later)
        room += 1
    assert room == DEFAULT.burst - 10
    assert used(given_back(state, DEFAULT, 20, slot), DEFAULT, later) == 10


@settings(max_examples=40, deadline=None)
@given(steps)
def test_a_state_that_was_stored_and_read_is_never_more_generous(charges: list[tuple[float, Lane, int]]) -> None:
    """What is stored is rounded up: at the edge of the window the slot may be later, never earlier."""
    state, now = BudgetState(), START
    for passed, lane, n in charges:
        now += passed
        read = BudgetState.from_json(state.to_json())
        slot, after = charge(state, SMALL, lane, n, now)
        again, _ = charge(read, SMALL, lane, n, now)
        assert slot.start <= again.start <= slot.start + SMALL.window_s
        state = after
    assert len(state.to_json()) < 2048


def saturated(
    returns_late: float, seconds: float, interactive_every: float | None, limits: BudgetLimits = LIMITS
) -> tuple[Starts, list[float]]:
    """40 bulk chunks of 20 that always come back, up to `returns_late` late, and interactive work beside them."""
    state, starts, waited = BudgetState(), Starts(), list[float]()
    queue: list[tuple[float, int, Lane, float]] = [(START, index, BULK, START) for index in range(40)]
    if interactive_every:
        count = int(seconds / interactive_every)
        queue += [
            (START + k * interactive_every, 1000 + k, INTERACTIVE, START + k * interactive_every) for k in range(count)
        ]
    heapq.heapify(queue)
    while queue and queue[0][0] < START + seconds:
        now, index, lane, asked = heapq.heappop(queue)
        slot, state = charge(state, limits, lane, 20 if lane is BULK else 1, now)
        late = returns_late * (index * 7 % 11) / 10
        if slot.charged and lane is INTERACTIVE:
            waited.append(slot.start - asked)
        if slot.charged:
            starts.append((slot.start, 20 if lane is BULK else 1))
        if lane is BULK:
            heapq.heappush(queue, (slot.start + late, index, lane, asked))
        elif not slot.charged:
            heapq.heappush(queue, (slot.start, index, lane, asked))
    return starts, waited


@pytest.mark.parametrize("limits", [DEFAULT, LIMITS], ids=["default burst", "burst of 100"])
@pytest.mark.parametrize("late", [0.0, 0.5, 2.0])
def test_forty_chunks_that_return_up_to_two_seconds_late_use_the_rate(late: float, limits: BudgetLimits) -> None:
    seconds = 600.0
    starts, _ = saturated(late, seconds, None, limits)
    used = sum(n for at, n in starts if at < START + seconds)
    assert used >= 0.97 * limits.rate_per_s * seconds
    assert used <= limits.burst + limits.rate_per_s * seconds


@pytest.mark.parametrize("limits", [DEFAULT, LIMITS, TOO_FAST], ids=["default", "burst of 100", "above the window"])
def test_interactive_work_gets_its_share_under_a_saturating_bulk_load(limits: BudgetLimits) -> None:
    """Also with a rate the window does not allow: bulk must not use it up and leave all waiting."""
    seconds, per_second = 300.0, limits.pace * limits.interactive_share
    starts, waited = saturated(1.0, seconds, 1 / per_second, limits)
    assert len(waited) >= 0.98 * per_second * (seconds - 5)
    assert max(waited) <= 2 * MAX_WAIT_S[INTERACTIVE]
    assert most_in_any(starts, 150.0) <= 3000


@pytest.mark.parametrize("lane", Lane)
def test_writes_that_are_given_back_are_there_for_others(lane: Lane) -> None:
    slot, full = charge(BudgetState(), DEFAULT, lane, 60, START)
    late, _ = charge(full, DEFAULT, lane, 20, START)
    assert late.start > START
    again = given_back(full, DEFAULT, 60, slot)
    assert charge(again, DEFAULT, lane, 20, START)[0] == Slot(START, charged=True)
    assert used(again, DEFAULT, START) == 0
    assert used(given_back(full, DEFAULT, 40, slot), DEFAULT, START) == 20


def test_writes_drawn_after_a_pause_and_not_sent_enlarge_no_burst() -> None:
    slot, state = charge(BudgetState(), DEFAULT, BULK, 20, START)
    later = START + 9.9
    _, state = charge(state, DEFAULT, BULK, 20, later)
    kept, left, state = drawn(state, DEFAULT, BULK, Charged(slot.start, 20), 20, later)
    assert (kept.start, left) == (later, None)
    back = given_back(state, DEFAULT, 20, kept)
    assert used(back, DEFAULT, later) == 20
    assert charge(back, DEFAULT, BULK, 10, later)[0].start == pytest.approx(later)
    assert charge(back, DEFAULT, BULK, 11, later)[0].start > later + 0.01


def test_writes_charged_in_a_state_that_was_stored_are_given_back_to_the_rate() -> None:
    for part in range(40):
        slot, full = charge(BudgetState(), DEFAULT, BULK, 60, START + part / 30_000)
        back = given_back(BudgetState.from_json(full.to_json()), DEFAULT, 60, slot)
        assert charge(back, DEFAULT, BULK, 30, slot.start)[0].start == pytest.approx(slot.start, abs=0.002)


def test_of_what_slow_reads_held_up_no_more_goes_out_at_once_than_a_short_window_holds() -> None:
    state, held = BudgetState(), list[Charged]()
    for second in range(14):
        slot, state = charge(state, SHORT, BULK, 10, START + second)
        assert slot.charged
        held.append(Charged(slot.start, 10))
    sent = Starts()
    for charged in held:
        slot, _, state = drawn(state, SHORT, BULK, charged, 10, START + 14.0)
        if slot.charged:
            sent.append((slot.start, 10))
    assert sum(n for _, n in sent) >= 100
    assert most_in_any(sent, SHORT.window_s) <= SHORT.window_limit
