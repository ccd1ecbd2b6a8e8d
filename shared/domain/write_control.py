"""Room for license writes: both controls together, the budget of writes and the width of those in flight.

Rejections as concurrent and 429 are pacing: they change the controls, and are no error of a license. Times are seconds
since the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.domain.budget import (
    BudgetLimits,
    BudgetState,
    Burst,
    Charged,
    Lane,
    Slot,
    charge,
    drawn,
    frozen_until,
    given_back,
)
from shared.domain.width import Lease, leased, released
from shared.domain.write_rate import PAUSE_S, after_acceptance, after_throttling
from shared.domain.writing import RETRY_S, writing_of


@dataclass(frozen=True, slots=True)
class Grant:
    """Users of a call whose license writes may go out at the start of the slot. `lease`: to be released after the
    answers; None if nothing may go out."""

    slot: Slot
    lease: Lease | None = None

    @property
    def users(self) -> int:
        return self.lease.users if self.lease else 0


def take(
    state: BudgetState,
    limits: BudgetLimits,
    lane: Lane,
    costs: Sequence[int],
    now: float,
    *,
    charged: Charged | None = None,
    burst: Burst = Burst.NEVER,
) -> tuple[Grant | None, Charged | None, BudgetState]:
    """Room for the license writes of the first users, and the rest of the writes reserved in advance. `costs`: writes
    of each user. None: too many writes are in flight; the same call a moment later may find room."""
    if not writing_of(state.switch, limits.writing).is_on:
        return Grant(Slot(now + RETRY_S, charged=False, is_off=True)), charged, state
    most = state.rate.most_at_once or len(costs)
    lease, width = leased(state.width, min(most, len(costs)), now, urgent=lane is Lane.INTERACTIVE)
    if lease is None:
        return None, charged, state if width is state.width else replace(state, width=width)
    n = sum(costs[: lease.users])
    if charged is None or (charged.is_burst and burst is not Burst.NOW):
        state = given_back(state, limits, charged.writes, charged.slot) if charged else state
        left = None
        slot, after = charge(state, limits, lane, n, now, burst)
    else:
        slot, left, after = drawn(state, limits, lane, charged, n, now, burst)
    if not slot.charged:
        return Grant(slot), left, after
    return Grant(slot, lease), left, replace(after, width=width)


@dataclass(frozen=True, slots=True)
class Answers:
    """How Graph answered the writes of a lease. `contended`: users rejected as concurrent. `retry_after_s`: of the
    longest 429; None without any."""

    accepted: int
    contended: Sequence[str] = ()
    retry_after_s: float | None = None


def reported(state: BudgetState, limits: BudgetLimits, lease: Lease, answers: Answers, now: float) -> BudgetState:
    """The state after the writes of a lease were answered."""
    width = released(state.width, lease, answers.accepted, answers.contended, now)
    rate = after_acceptance(state.rate, limits.pace, now) if answers.accepted else state.rate
    state = replace(state, width=width, rate=rate)
    if answers.retry_after_s is None:
        return state
    rate = after_throttling(rate, limits.pace, lease.began, now)
    return frozen_until(replace(state, rate=rate), max(answers.retry_after_s, PAUSE_S), now)
