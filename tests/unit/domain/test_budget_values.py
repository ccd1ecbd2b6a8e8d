"""The write budget in numbers: each rule with a state and a result that can be checked by hand.

The limits are chosen for that: 2 writes a second, 10 at once, 300 in 150 s, and so pieces of 2 s. At 1,000 s a piece
numbered 500 begins, and 75 pieces make the window.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.budget import (
    EMPTY,
    BudgetLimits,
    BudgetState,
    Charged,
    Lane,
    Slot,
    charge,
    drawn,
    frozen_until,
    given_back,
    in_use,
    used,
    writes_for,
)

LIMITS = BudgetLimits(rate_per_s=2.0, burst=10, window_limit=300, window_s=150.0)
INTERACTIVE, BULK = Lane.INTERACTIVE, Lane.BULK
AFTER_A_BURST = BudgetState(full_until=1005.0, busy_from=1000.0, counts={500: 10})


class TestCharging:
    def test_the_rate_is_busy_for_as_long_as_the_writes_last_and_their_piece_counts_them(self) -> None:
        slot, state = charge(EMPTY, LIMITS, BULK, 10, 1000.0)
        assert (slot, replace(state, level_until=0.0)) == (Slot(1000.0, charged=True), AFTER_A_BURST)

    def test_a_burst_is_charged_at_once_and_the_next_writes_as_the_rate_makes_room(self) -> None:
        slot, state = charge(AFTER_A_BURST, LIMITS, INTERACTIVE, 4, 1000.0)
        assert slot == Slot(1002.0, charged=True)
        assert (state.full_until, state.busy_from, state.counts) == (1007.0, 1000.0, {500: 10, 501: 4})

    def test_more_than_a_burst_starts_when_the_rate_is_free_again(self) -> None:
        slot, state = charge(AFTER_A_BURST, LIMITS, INTERACTIVE, 20, 1003.0)
        assert (slot, state.full_until) == (Slot(1005.0, charged=True), 1015.0)

    @pytest.mark.parametrize(("lane", "longest"), [(INTERACTIVE, 3.0), (BULK, 1.8)])
    def test_a_start_is_charged_up_to_the_longest_wait_of_its_lane(self, lane: Lane, longest: float) -> None:
        """After a burst the rate makes room for one write at 1000.5 s."""
        busy = replace(AFTER_A_BURST, full_until=1004.5 + longest)
        assert charge(busy, LIMITS, lane, 1, 1000.0)[0] == Slot(1000.0 + longest, charged=True)
        busier = replace(AFTER_A_BURST, full_until=1004.51 + longest)
        assert not charge(busier, LIMITS, lane, 1, 1000.0)[0].charged

    def test_the_rate_is_busy_without_a_pause_while_charges_follow_each_other(self) -> None:
        _, state = charge(AFTER_A_BURST, LIMITS, BULK, 1, 1005.0)
        assert (state.busy_from, state.full_until) == (1000.0, 1005.5)
        _, state = charge(AFTER_A_BURST, LIMITS, BULK, 1, 1006.0)
        assert (state.busy_from, state.full_until) == (1006.0, 1006.5)

    def test_a_full_window_makes_room_when_its_oldest_piece_leaves_it(self) -> None:
        full = BudgetState(counts={426: 5, 427: 290})
        assert charge(full, LIMITS, INTERACTIVE, 5, 1000.0)[0] == Slot(1000.0, charged=True)
        slot, state = charge(full, LIMITS, INTERACTIVE, 6, 1002.0)
        assert (slot, state.counts) == (Slot(1004.0, charged=True), {426: 5, 427: 290, 502: 6})

    def test_pieces_that_left_the_window_long_ago_are_forgotten(self) -> None:
        _, state = charge(BudgetState(counts={422: 1, 423: 2, 424: 3}), LIMITS, BULK, 4, 1000.0)
        assert state.counts == {423: 2, 424: 3, 500: 4}

    def test_writes_of_one_piece_are_counted_together(self) -> None:
        _, state = charge(BudgetState(counts={500: 7}), LIMITS, BULK, 3, 1001.9)
        assert state.counts == {500: 10}

    @pytest.mark.parametrize("writes", [0, 301])
    def test_a_number_of_writes_that_no_window_holds_is_an_error_that_says_what_is_allowed(self, writes: int) -> None:
        with pytest.raises(ValueError, match=f"^{writes} writes at once: must be 1 to 300$"):
            charge(EMPTY, LIMITS, BULK, writes, 1000.0)

    @pytest.mark.parametrize("writes", [1, 300])
    def test_the_smallest_and_the_largest_number_of_writes_are_charged(self, writes: int) -> None:
        assert charge(EMPTY, LIMITS, BULK, writes, 1000.0)[0] == Slot(1000.0, charged=True)


class TestPlacesForLater:
    def test_work_that_must_come_back_gets_the_first_start_and_changes_nothing_else(self) -> None:
        slot, state = charge(AFTER_A_BURST, LIMITS, BULK, 19, 1000.0)
        assert slot == Slot(1005.0, charged=False)
        assert state == replace(AFTER_A_BURST, tails={BULK: 1005.0 + 19 / 1.95})

    def test_bulk_work_is_called_back_a_fortieth_slower_than_the_pace_and_interactive_work_at_it(self) -> None:
        busy = replace(AFTER_A_BURST, full_until=1010.0)
        tails = {INTERACTIVE: 1020.0, BULK: 1040.0}
        slot, state = charge(replace(busy, tails=tails), LIMITS, INTERACTIVE, 4, 1000.0)
        assert (slot, state.tails) == (Slot(1020.0, charged=False), {INTERACTIVE: 1022.0, BULK: 1040.0})
        slot, state = charge(replace(busy, tails=tails), LIMITS, BULK, 19, 1000.0)
        assert (slot, state.tails) == (Slot(1040.0, charged=False), {INTERACTIVE: 1020.0, BULK: 1040.0 + 19 / 1.95})

    def test_a_lane_that_nobody_waits_in_begins_at_the_first_start(self) -> None:
        slot, _ = charge(replace(AFTER_A_BURST, tails={INTERACTIVE: 1090.0}), LIMITS, BULK, 4, 1000.0)
        assert slot == Slot(1002.0, charged=False)

    def test_a_start_beyond_a_window_is_looked_for_again_after_one_window(self) -> None:
        slot, _ = charge(replace(EMPTY, not_before=1200.0), LIMITS, BULK, 4, 1000.0)
        assert slot == Slot(1150.0, charged=False)


class TestGivingBack:
    state = BudgetState(full_until=1010.0, busy_from=1000.0, counts={500: 10})

    def test_writes_that_were_not_sent_are_free_in_both_limits(self) -> None:
        back = given_back(self.state, LIMITS, 4, Slot(1000.0, charged=True))
        assert back == BudgetState(full_until=1008.0, busy_from=1000.0, counts={500: 6})

    def test_the_rate_has_had_those_of_before_a_pause_already(self) -> None:
        back = given_back(self.state, LIMITS, 4, Slot(999.9, charged=True))
        assert (back.full_until, back.counts) == (1010.0, {499: 0, 500: 10})

    def test_the_start_that_was_charged_tells_whether_there_was_a_pause(self) -> None:
        back = given_back(self.state, LIMITS, 4, Slot(1001.0, charged=True, since=999.0))
        assert (back.full_until, back.counts) == (1010.0, {500: 6})
        back = given_back(self.state, LIMITS, 4, Slot(1001.0, charged=True, since=1000.0))
        assert (back.full_until, back.counts) == (1008.0, {500: 6})

    def test_a_piece_never_counts_less_than_nothing(self) -> None:
        assert given_back(self.state, LIMITS, 11, Slot(1000.0, charged=True)).counts == {500: 0}


class TestDrawing:
    """Ten writes charged in advance at 1,000 s, with the state as it is then."""

    ahead = Charged(1000.0, 10)

    def test_a_charge_has_the_place_it_was_charged_for(self) -> None:
        assert self.ahead.slot == Slot(1000.0, charged=True)

    def test_writes_of_the_same_piece_use_the_charge_and_leave_its_rest(self) -> None:
        slot, rest, state = drawn(AFTER_A_BURST, LIMITS, BULK, self.ahead, 4, 1001.0)
        assert (slot, slot.since) == (Slot(1001.0, charged=True), 1000.0)
        assert (rest, state) == (Charged(1000.0, 6), AFTER_A_BURST)

    def test_all_writes_of_the_charge_leave_no_rest(self) -> None:
        slot, rest, state = drawn(AFTER_A_BURST, LIMITS, BULK, self.ahead, 10, 1001.0)
        assert (slot, rest, state) == (Slot(1001.0, charged=True), None, AFTER_A_BURST)

    def test_before_the_start_of_the_charge_the_writes_wait_for_it(self) -> None:
        slot, _, _ = drawn(AFTER_A_BURST, LIMITS, BULK, self.ahead, 4, 999.0)
        assert slot == Slot(1000.0, charged=True)

    def test_writes_of_a_later_piece_are_counted_there(self) -> None:
        slot, rest, state = drawn(AFTER_A_BURST, LIMITS, BULK, self.ahead, 4, 1003.0)
        assert (slot, slot.since, rest) == (Slot(1003.0, charged=True), 1000.0, Charged(1000.0, 6))
        assert state == replace(AFTER_A_BURST, counts={500: 6, 501: 4})

    def test_a_charge_is_good_for_fifteen_seconds(self) -> None:
        slot, rest, _ = drawn(AFTER_A_BURST, LIMITS, BULK, self.ahead, 4, 1015.0)
        assert (slot.since, rest) == (1000.0, Charged(1000.0, 6))
        slot, rest, state = drawn(AFTER_A_BURST, LIMITS, BULK, self.ahead, 4, 1015.01)
        assert (slot, slot.since, rest) == (Slot(1015.01, charged=True), None, None)
        assert state.counts == {500: 0, 507: 4}

    def test_more_writes_than_were_charged_are_all_charged_again(self) -> None:
        slot, rest, state = drawn(AFTER_A_BURST, LIMITS, BULK, self.ahead, 11, 1001.0)
        assert (slot, slot.since, rest) == (Slot(1001.0, charged=True), None, None)
        assert (state.full_until, state.counts) == (1006.5, {500: 11})

    def test_a_charge_from_before_the_end_of_a_freeze_is_not_used(self) -> None:
        frozen = replace(AFTER_A_BURST, not_before=1000.0)
        assert drawn(frozen, LIMITS, BULK, self.ahead, 4, 1001.0)[0].since == 1000.0
        frozen = replace(AFTER_A_BURST, not_before=1001.5)
        slot, rest, _ = drawn(frozen, LIMITS, BULK, self.ahead, 4, 1001.0)
        assert (slot, slot.since, rest) == (Slot(1001.5, charged=True), None, None)

    def test_where_the_window_has_no_room_any_more_the_writes_wait_for_it(self) -> None:
        """With a window of 37.5 s in pieces of 0.5 s, 20 writes fit. What was charged since takes 10 or 11 of them."""
        short = BudgetLimits(rate_per_s=100.0, burst=100, window_limit=20, window_s=37.5)
        state = BudgetState(full_until=1000.0, busy_from=1000.0, counts={2000: 10, 2020: 10})
        slot, rest, after = drawn(state, short, INTERACTIVE, self.ahead, 10, 1014.0)
        assert (slot.charged, slot.since, rest) == (True, 1000.0, None)
        assert after.counts == {2000: 0, 2020: 10, 2028: 10}
        crowded = replace(state, counts={2000: 10, 2020: 11})
        slot, rest, after = drawn(crowded, short, INTERACTIVE, self.ahead, 10, 1014.0)
        assert (slot, slot.since, rest) == (Slot(1048.0, charged=False), None, None)
        assert after.counts == {2000: 0, 2020: 11}


class TestFreezing:
    def test_nothing_starts_before_the_end_and_at_most_five_minutes_are_believed(self) -> None:
        assert frozen_until(EMPTY, 20.0, 1000.0) == BudgetState(not_before=1020.0, burst_from=87_400.0)
        assert frozen_until(EMPTY, 301.0, 1000.0).not_before == 1300.0
        assert frozen_until(EMPTY, -1.0, 1000.0).not_before == 1000.0

    def test_a_shorter_freeze_does_not_end_a_longer_one(self) -> None:
        assert frozen_until(BudgetState(not_before=1020.0), 10.0, 1000.0).not_before == 1020.0


class TestCounting:
    state = BudgetState(counts={425: 1, 426: 2, 500: 10, 501: 4})

    def test_the_window_holds_the_pieces_that_reach_into_it_and_what_is_booked(self) -> None:
        assert used(self.state, LIMITS, 1001.9) == 17
        assert used(self.state, LIMITS, 1002.0) == 16

    def test_the_share_in_use_is_of_the_windows_writes_and_at_most_all(self) -> None:
        assert in_use(BudgetState(counts={500: 75}), LIMITS, 1000.0) == 0.25
        assert in_use(BudgetState(counts={500: 600}), LIMITS, 1000.0) == 1.0

    @pytest.mark.parametrize(
        ("licenses", "location", "writes"), [(True, True, 2), (True, False, 1), (False, True, 0), (False, False, 0)]
    )
    def test_a_users_plan_takes_one_write_and_one_more_to_set_a_usage_location(
        self, licenses: bool, location: bool, writes: int
    ) -> None:
        assert writes_for(licenses=licenses, location=location) == writes

    def test_the_pace_is_the_lower_of_the_rate_and_what_the_window_allows(self) -> None:
        assert replace(LIMITS, rate_per_s=1.5).pace == 1.5
        assert replace(LIMITS, rate_per_s=30.0).pace == 2.0


class TestTheStoredState:
    def test_is_compact_json_with_times_rounded_up_and_the_start_of_work_rounded_down(self) -> None:
        state = BudgetState(1000.1234561, 1000.9999, 1001.98765, {BULK: 1002.0000001}, {501: 4, 500: 10})
        assert state.to_json() == (
            '{"fullUntil":1000.123457,"busyFrom":1000.999,"notBefore":1001.98765,"tails":{"bulk":1002.000001},'
            '"counts":{"500":10,"501":4}}'
        )

    def test_is_read_as_it_was_written(self) -> None:
        text = '{"fullUntil":1005,"busyFrom":1000,"notBefore":1001,"tails":{"interactive":1002},"counts":{"500":10}}'
        assert BudgetState.from_json(text) == BudgetState(1005.0, 1000.0, 1001.0, {INTERACTIVE: 1002.0}, {500: 10})

    def test_of_before_pauses_were_stored_is_read_as_if_work_began_when_the_rate_is_free(self) -> None:
        text = '{"fullUntil":1005,"notBefore":1001,"tails":{},"counts":{}}'
        assert BudgetState.from_json(text) == BudgetState(1005.0, 1005.0, 1001.0)
