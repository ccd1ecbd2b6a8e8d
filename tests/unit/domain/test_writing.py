"""Whether the app writes: the setting, the switch of an administrator, and the charge that checks both."""

from __future__ import annotations

import pytest

from shared.domain.budget import EMPTY, BudgetLimits, BudgetState, Charged, Lane, charge, drawn
from shared.domain.writing import NO_SWITCH, RETRY_S, Switch, WritingSetting, followed, writing_of

ON, INITIALLY_OFF, OFF = WritingSetting
NOW = 1_800_000_000.0
TURNED_ON, TURNED_OFF = Switch(True, NOW - 60), Switch(False, NOW - 60)


@pytest.mark.parametrize(
    ("setting", "switch", "expected"),
    [
        (ON, NO_SWITCH, True),
        (ON, TURNED_OFF, False),
        (ON, TURNED_ON, True),
        (INITIALLY_OFF, NO_SWITCH, False),
        (INITIALLY_OFF, TURNED_ON, True),
        (INITIALLY_OFF, TURNED_OFF, False),
        (OFF, NO_SWITCH, False),
        (OFF, TURNED_ON, False),
        (ON, Switch(True, NOW, was_forced=True), False),
    ],
)
def test_the_setting_only_forces_it_off_and_else_the_switch_decides(
    setting: WritingSetting, switch: Switch, expected: bool
) -> None:
    found = writing_of(switch, setting)
    assert found.is_on is expected
    assert found.is_forced_off is (setting is OFF)
    limits = BudgetLimits(18, 30, 3000, 150, writing=setting)
    slot, state = charge(BudgetState(switch=switch), limits, Lane.INTERACTIVE, 3, NOW)
    assert slot.charged is expected
    assert slot.is_off is not expected
    if not expected:
        assert (slot.start, state.counts) == (NOW + RETRY_S, {})


def test_writes_that_were_charged_before_it_was_turned_off_do_not_go_out_and_can_go_back() -> None:
    limits = BudgetLimits(18, 30, 3000, 150)
    slot, state = charge(EMPTY, limits, Lane.BULK, 5, NOW)
    off = BudgetState(state.full_until, state.busy_from, counts=state.counts, switch=TURNED_OFF)
    drawn_slot, left, after = drawn(off, limits, Lane.BULK, Charged(slot.start, 5), 5, NOW)
    assert (drawn_slot.charged, drawn_slot.is_off, left) == (False, True, Charged(slot.start, 5))
    assert after is off


def test_the_switch_is_stored_with_the_charges_and_a_state_of_before_has_none() -> None:
    state = BudgetState(switch=TURNED_OFF)
    assert BudgetState.from_json(state.to_json()) == state
    assert '"writing"' not in EMPTY.to_json()
    assert BudgetState.from_json(EMPTY.to_json()) == EMPTY


def test_when_the_setting_stops_forcing_it_off_the_time_of_turning_on_is_now() -> None:
    forced = followed(TURNED_ON, OFF, NOW)
    assert not writing_of(forced, ON).is_on
    free = followed(forced, ON, NOW + 300)
    assert writing_of(free, ON).is_on
    assert free.at == NOW + 300
    assert followed(free, ON, NOW + 600) is free
