"""Earlier states of the directory."""

from __future__ import annotations

from local.tenant.directory.history import History
from local.tenant.directory.model import UserState
from tests.unit.local.tenant.calls import ANN, BOB, E3, SALES


def test_an_earlier_moment_is_seen_exactly_and_forgotten_after_the_horizon() -> None:
    history = History()
    history.horizon = 10.0
    states = [UserState(place, True, (), None) for place in ("DE", "AT", "CH")]
    history.user_changes(ANN, states[0], 100.0)
    history.user_changes(ANN, states[1], 105.0)
    seen = [history.user_as_of(ANN, states[2], when).usage_location for when in (99.0, 100.0, 104.0, 105.0, 106.0)]
    assert seen == ["DE", "AT", "AT", "CH", "CH"]
    history.membership_changes(SALES, ANN, True, 106.0)
    history.membership_changes(SALES, ANN, False, 107.0)
    history.membership_changes(SALES, BOB, True, 108.0)
    seen_members = [history.members_as_of(SALES, [BOB], when) for when in (105.0, 106.0, 107.0, 108.0)]
    assert seen_members == [[], [ANN], [], [BOB]]
    assert [history.parents_as_of(ANN, (), when) for when in (105.0, 106.0, 107.0)] == [(), (SALES,), ()]
    assert [history.changed_since(when) for when in (107.5, 108.0)] == [True, False]
    history.units_change(E3, 1, 109.0)
    assert [history.consumed_as_of(E3, 5, when) for when in (108.0, 109.0)] == [4, 5]
    history.user_changes(BOB, states[0], 130.0)
    assert history.user_as_of(ANN, states[2], 99.0) == states[2]
    assert history.members_as_of(SALES, [BOB], 99.0) == [BOB]
    assert history.consumed_as_of(E3, 5, 99.0) == 5
