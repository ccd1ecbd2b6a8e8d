"""How many license writes are in flight at once: leases, rejections as concurrent, and the way back."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.width import (
    LEASE_S,
    LONGEST_WAIT_S,
    STEPS,
    WRITES_PER_USER,
    Lease,
    Width,
    is_alone,
    leased,
    released,
    writes_per_s,
)

START = 1_750_000_000.0


def lease_of(width: Width, users: int, now: float, *, urgent: bool = False) -> tuple[Lease, Width]:
    lease, after = leased(width, users, now, urgent=urgent)
    assert lease is not None
    return lease, after


def rejected(width: Width, now: float, *users: str) -> Width:
    """Each of the users is rejected, in one call."""
    lease, after = lease_of(width, len(users), now)
    return released(after, lease, 0, users, now + 0.1)


def test_no_more_users_are_in_flight_than_the_width() -> None:
    first, width = lease_of(Width(), 50, START)
    second, width = lease_of(width, 20, START)
    assert (first.users, second.users, leased(width, 1, START, urgent=False)[0]) == (50, 10, None)
    third, _ = lease_of(released(width, first, 50, (), START + 1), 60, START + 1)
    assert third.users == 50


def test_a_lease_of_a_worker_that_died_ends() -> None:
    _, width = lease_of(Width(step=0), 1, START)
    assert leased(width, 1, START + LEASE_S - 0.1, urgent=False)[0] is None
    assert lease_of(width, 1, START + LEASE_S)[0].users == 1


def test_interactive_work_gets_the_next_free_lease() -> None:
    lease, width = lease_of(Width(step=0), 1, START)
    nothing, width = leased(width, 1, START, urgent=True)
    width = released(width, lease, 1, (), START + 1)
    assert nothing is None
    assert leased(width, 1, START + 1, urgent=False)[0] is None
    _, width = lease_of(width, 1, START + 1, urgent=True)
    assert width.urgent_until == 0.0


def test_two_users_rejected_within_ten_seconds_narrow_by_one_step_and_one_user_does_not() -> None:
    width = rejected(Width(), START, "ann")
    assert rejected(width, START + 5, "ann").limit == 60
    assert rejected(width, START + 11, "bob").limit == 60
    assert rejected(width, START + 9, "bob").limit == 20
    assert rejected(Width(step=0), START, "ann", "bob").limit == 1


def test_one_occurrence_narrows_once_however_many_were_in_flight() -> None:
    leases, width = [], Width()
    for _ in range(3):
        lease, width = lease_of(width, 20, START)
        leases.append(lease)
    for number, lease in enumerate(leases):
        width = released(width, lease, 0, [f"u{number}-{n}" for n in range(20)], START + 1 + number)
    assert width.limit == 20
    assert rejected(width, START + 5, "ann", "bob").limit == 5


def accepted(width: Width, writes: int, now: float) -> Width:
    """Accepted writes until a time, as many at once as may be in flight."""
    while writes > 0:
        lease, width = lease_of(width, min(writes, width.limit), now)
        width = released(width, lease, lease.users, (), now)
        writes -= lease.users
    return width


def test_the_width_rises_after_time_and_writes_without_rejections() -> None:
    narrow = Width(step=0, changed_at=START, quiet_from=START)
    needed = WRITES_PER_USER * STEPS[1]
    assert accepted(narrow, needed, START + 9).limit == 1
    assert accepted(narrow, needed - 1, START + 20).limit == 1
    assert accepted(narrow, needed, START + 20).limit == 5


def test_each_rise_that_fails_doubles_the_wait_up_to_half_an_hour() -> None:
    width, now, waits = Width(step=1, changed_at=START, quiet_from=START), START, []
    for _ in range(12):
        began = now
        while width.step == 1:
            now += 5.0
            width = accepted(replace(width, accepted=5000), 1, now)
        waits.append(now - began)
        width = rejected(width, now, "ann", "bob")
        assert width.step == 1
    assert waits == sorted(waits)
    assert waits[0] == 10.0
    assert LONGEST_WAIT_S <= waits[-1] <= LONGEST_WAIT_S + 5.0


def test_a_user_is_alone_unless_another_was_rejected_within_the_hour() -> None:
    width = rejected(Width(), START, "ann")
    assert is_alone(width, "ann", START + 60)
    assert not is_alone(width, "bob", START + 60)
    assert is_alone(width, "bob", START + 3700)


def test_the_rate_that_can_be_expected_follows_the_time_a_write_takes() -> None:
    lease, width = lease_of(Width(step=0), 1, START)
    width = released(width, lease, 1, (), START + 0.5)
    assert (writes_per_s(width, 19.5), width.is_narrow(19.5)) == (2.0, True)
    assert (writes_per_s(Width(), 19.5), Width().is_narrow(19.5)) == (19.5, False)


moves = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 7.0, 30.0, 80.0, 2000.0]),
        st.integers(1, 60),
        st.booleans(),
        st.integers(0, 60),
        st.sampled_from(["accepted", "rejected", "lost"]),
    ),
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(moves)
def test_live_leases_never_exceed_the_width_they_were_given_in_and_the_state_survives(
    history: list[tuple[float, int, bool, int, str]],
) -> None:
    width, now, open_ones = Width(), START, list[Lease]()
    for passed, users, urgent, which, end in history:
        now += passed
        lease, width = leased(width, users, now, urgent=urgent)
        live = [each for each in width.leases if now < each.began + LEASE_S]
        if lease is not None:
            assert sum(each.users for each in live) <= width.limit
            open_ones.append(lease)
        if open_ones and end != "lost":
            ended = open_ones.pop(which % len(open_ones))
            names = [f"u{n}" for n in range(ended.users)] if end == "rejected" else []
            before = width.step
            width = released(width, ended, ended.users - len(names), names, now)
            assert abs(width.step - before) <= 1
            assert not (names and width.step > before)
        assert 0 <= width.step < len(STEPS)
        assert Width.from_list(width.to_list()) == replace(width, hold_s=round(width.hold_s, 3))
