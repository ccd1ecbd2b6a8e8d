"""The rate of one caller: a minute's worth at once, and then as fast as the rate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.caller_limits import SPAN_S, admitted

NOW = 1_800_000_000.0


def test_a_minutes_worth_is_admitted_at_once_and_the_next_one_when_its_time_has_come() -> None:
    paid = 0.0
    for _ in range(60):
        paid, wait_s = admitted(paid, 60, 1, NOW)
        assert wait_s == 0.0
    _, wait_s = admitted(paid, 60, 1, NOW)
    assert wait_s == 1.0
    _, wait_s = admitted(paid, 60, 1, NOW + 1.0)
    assert wait_s == 0.0


def test_more_than_a_minutes_worth_is_admitted_when_nothing_is_owed_and_is_paid_off_after_it() -> None:
    paid, wait_s = admitted(0.0, 100, 1000, NOW)
    assert (paid, wait_s) == (NOW + 600.0, 0.0)
    assert admitted(paid, 100, 1000, NOW + 1)[1] == 599.0
    assert admitted(paid, 100, 1, NOW + 1)[1] > 0


@given(
    per_minute=st.integers(1, 500),
    steps=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 40)), max_size=60),
)
def test_in_any_minute_no_more_is_admitted_than_two_minutes_worth(
    per_minute: int, steps: list[tuple[float, int]]
) -> None:
    paid, now = 0.0, NOW
    taken: list[tuple[float, int]] = []
    for pause, n in steps:
        now += pause
        after, wait_s = admitted(paid, per_minute, n, now)
        if not wait_s:
            paid = after
            taken.append((now, n))
        else:
            assert admitted(paid, per_minute, n, now + wait_s + 1e-3)[1] == 0.0
    for at, _ in taken:
        within = sum(n for when, n in taken if at <= when < at + SPAN_S)
        assert within <= 2 * per_minute + 40
