"""Pauses that grow with the wait: their values, their bounds, and bounds that make no sense."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.backoff import Backoff

S = timedelta(seconds=1)


def waits(low: float = -1e6, high: float = 1e6) -> st.SearchStrategy[timedelta]:
    return st.floats(low, high).map(lambda seconds: timedelta(seconds=seconds))


@st.composite
def backoffs(draw: st.DrawFn) -> Backoff:
    shortest = draw(waits(0.001, 1e4))
    return Backoff(shortest, shortest + draw(waits(0, 1e5)), draw(st.floats(0.01, 4)))


@pytest.mark.parametrize(
    ("waited", "pause"), [(-5, 3), (0, 3), (2, 3), (3, 3), (10, 10), (29.5, 29.5), (30, 30), (31, 30), (86_400, 30)]
)
def test_the_pause_is_as_long_as_the_wait_so_far_within_bounds(waited: float, pause: float) -> None:
    assert Backoff(3 * S, 30 * S).after(waited * S) == pause * S


@pytest.mark.parametrize(("waited", "pause"), [(0, 5), (20, 5), (60, 15), (3600, 900), (7200, 900)])
def test_a_share_makes_the_pause_a_part_of_the_wait(waited: float, pause: float) -> None:
    assert Backoff(5 * S, 900 * S, share=0.25).after(waited * S) == pause * S


@pytest.mark.parametrize(("tries", "pause"), [(-1, 1), (0, 1), (1, 2), (2, 4), (8, 256), (9, 300), (10**6, 300)])
def test_the_pause_doubles_with_each_try_up_to_the_longest(tries: int, pause: float) -> None:
    assert Backoff(S, 300 * S).after_tries(tries) == pause * S


@given(backoffs(), waits(), waits())
def test_a_longer_wait_never_makes_a_shorter_pause_and_no_pause_leaves_the_bounds(
    backoff: Backoff, one: timedelta, other: timedelta
) -> None:
    pauses = [backoff.after(waited) for waited in sorted((one, other))]
    assert timedelta(0) < backoff.shortest <= pauses[0] <= pauses[1] <= backoff.longest


@given(backoffs(), st.integers(-5, 10**9))
def test_another_try_never_makes_a_shorter_pause_and_no_pause_leaves_the_bounds(backoff: Backoff, tries: int) -> None:
    pauses = [backoff.after_tries(tries), backoff.after_tries(tries + 1)]
    assert timedelta(0) < backoff.shortest <= pauses[0] <= pauses[1] <= backoff.longest


@pytest.mark.parametrize(
    ("shortest", "longest", "share"), [(0, 5, 1.0), (-1, 5, 1.0), (6, 5, 1.0), (1, 5, 0.0), (1, 5, -0.5)]
)
def test_bounds_that_would_make_no_pause_are_rejected(shortest: float, longest: float, share: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Backoff(shortest * S, longest * S, share)
